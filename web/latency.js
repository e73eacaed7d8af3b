// How long events take from their coming into the server to this page, and to the screen.
// Knows neither clocks nor screens: it is given spans in milliseconds.
// Invariant: memory does not depend on how many events there are.

const LEAST_MS = 0.01;
/** Buckets for each doubling: a percentile is right to within 4.5 %. */
const BUCKETS_A_DOUBLING = 16;
const BUCKETS = 24 * BUCKETS_A_DOUBLING;
/** Percentiles are of the last so many seconds. */
export const WINDOW_S = 30;
/** The plot goes back so far. */
export const HISTORY_S = 300;

class Histogram {
  #counts = new Uint32Array(BUCKETS);
  count = 0;
  max = 0;

  record(ms) {
    const bucket = Math.floor(BUCKETS_A_DOUBLING * Math.log2(Math.max(ms, LEAST_MS) / LEAST_MS));
    this.#counts[Math.min(bucket, BUCKETS - 1)] += 1;
    this.count += 1;
    this.max = Math.max(this.max, ms);
  }

  add(other) {
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      this.#counts[bucket] += other.#counts[bucket];
    }
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  clear() {
    this.#counts.fill(0);
    this.count = 0;
    this.max = 0;
  }

  /** The span that this fraction of events did not exceed. */
  quantile(fraction) {
    if (this.count === 0) return NaN;
    let left = Math.ceil(fraction * this.count);
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= this.#counts[bucket];
      if (left <= 0) {
        return Math.min(this.max, LEAST_MS * 2 ** ((bucket + 1) / BUCKETS_A_DOUBLING));
      }
    }
    return this.max;
  }
}

/** Percentiles over a moving window, made of one histogram a second. */
class MovingWindow {
  #seconds = Array.from({ length: WINDOW_S }, () => ({ second: -1, histogram: new Histogram() }));
  #sum = new Histogram();

  record(second, ms) {
    const slot = this.#seconds[second % WINDOW_S];
    if (slot.second !== second) {
      slot.second = second;
      slot.histogram.clear();
    }
    slot.histogram.record(ms);
  }

  /** The histogram of one second; nothing if it has passed out of the window or had no event. */
  at(second) {
    const slot = this.#seconds[second % WINDOW_S];
    return slot.second === second ? slot.histogram : undefined;
  }

  percentiles(now) {
    this.#sum.clear();
    for (const { second, histogram } of this.#seconds) {
      if (second > now - WINDOW_S && second <= now) this.#sum.add(histogram);
    }
    const sum = this.#sum;
    const max = sum.count > 0 ? sum.max : NaN;
    return { p50: sum.quantile(0.5), p90: sum.quantile(0.9), p99: sum.quantile(0.99), max };
  }
}

export class Latency {
  /** To the page's having it, and to its being on the screen. */
  received = new MovingWindow();
  painted = new MovingWindow();
  /** One point for each second that has ended, with gaps (null) where nothing came. */
  history = { t: [], p50: [], p99: [], max: [] };

  #second = null;

  /** `second`: the present one, since 1970. */
  record(second, receivedMs, paintedMs) {
    this.advance(second);
    this.received.record(second, receivedMs);
    this.painted.record(second, paintedMs);
  }

  /** Notes the seconds that have ended. */
  advance(second) {
    this.#second ??= second;
    // After a longer sleep there is nothing to tell of most of it.
    this.#second = Math.max(this.#second, second - HISTORY_S);
    for (; this.#second < second; this.#second += 1) this.#note(this.#second);
  }

  #note(second) {
    const histogram = this.painted.at(second);
    const { t, p50, p99, max } = this.history;
    t.push(second);
    p50.push(histogram ? histogram.quantile(0.5) : null);
    p99.push(histogram ? histogram.quantile(0.99) : null);
    max.push(histogram ? histogram.max : null);
    if (t.length > HISTORY_S) for (const column of [t, p50, p99, max]) column.shift();
  }
}
