// Prices by the second, as far back as the page has seen them. Knows no streams and no screen.
// Invariant: seconds are in order, and there are at most SECONDS_MAX of them.

const SECONDS_MAX = 3600;
/** Dropped together, so that dropping is rare. */
const SECONDS_SPARE = 120;

export class Candles {
  /** {t, o, h, l, c, v}, `t` in seconds since 1970. */
  #seconds = [];
  /** When the first second was seen, in seconds since 1970, though it may be dropped by now. */
  since = null;

  get isEmpty() {
    return this.#seconds.length === 0;
  }

  addTrade(ms, price, quantity) {
    const t = Math.floor(ms / 1000);
    const last = this.#seconds.at(-1);
    if (last?.t === t) {
      last.h = Math.max(last.h, price);
      last.l = Math.min(last.l, price);
      last.c = price;
      last.v += quantity;
    } else {
      this.put({ t, o: price, h: price, l: price, c: price, v: quantity });
    }
  }

  /** A second as a feed tells it, in place of what is known of it. */
  put(candle) {
    const last = this.#seconds.at(-1);
    // A recording that begins again is another market.
    if (last && candle.t < last.t) {
      this.#seconds = [];
      this.since = null;
    }
    if (this.#seconds.at(-1)?.t === candle.t) this.#seconds.pop();
    this.#seconds.push(candle);
    this.since ??= candle.t;
    if (this.#seconds.length > SECONDS_MAX + SECONDS_SPARE) {
      this.#seconds.splice(0, SECONDS_SPARE);
    }
  }

  /** At most `count` candles of `width` seconds, the newest last, as columns. */
  columns(width, count) {
    const columns = { t: [], o: [], h: [], l: [], c: [], v: [] };
    const end = this.#seconds.at(-1)?.t ?? 0;
    const start = (Math.floor(end / width) - count + 1) * width;
    let index = this.#seconds.length;
    while (index > 0 && this.#seconds[index - 1].t >= start) index -= 1;
    for (; index < this.#seconds.length; index += 1) join(columns, this.#seconds[index], width);
    return columns;
  }
}

function join(columns, second, width) {
  const t = Math.floor(second.t / width) * width;
  const last = columns.t.length - 1;
  if (columns.t[last] === t) {
    columns.h[last] = Math.max(columns.h[last], second.h);
    columns.l[last] = Math.min(columns.l[last], second.l);
    columns.c[last] = second.c;
    columns.v[last] += second.v;
    return;
  }
  columns.t.push(t);
  for (const name of ['o', 'h', 'l', 'c', 'v']) columns[name].push(second[name]);
}
