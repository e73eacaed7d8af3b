// How far the server's clock is ahead of this page's, and how surely that is known.
//
// The server tells its time in whole milliseconds. It read its clock between our request and its
// answer, so each round trip bounds the difference from both sides; round trips at different
// moments of the millisecond bound it at different places, and what all allow is narrower than any.
// Invariant: the true difference lies within `uncertainty` of `offset`, for clocks that drift apart
// by no more than DRIFT.

/** By how much two clocks may drift apart, in parts of one. */
const DRIFT = 20e-6;
/** Browsers round times, so that pages cannot spy with them. */
const ROUNDING_MS = 0.1;
const TRIPS_MAX = 12;
const TRIPS_AT_FIRST = 5;
const TRIP_EVERY_MS = 20_000;
const TRIP_AT_FIRST_MS = 150;

/** This page's time in milliseconds since 1970, without the steps that a system's clock makes. */
export function pageTime(now = performance.now()) {
  return performance.timeOrigin + now;
}

export class ServerClock {
  /** Milliseconds to add to this page's time; not a number until it is known. */
  offset = NaN;
  uncertainty = NaN;

  #trips = [];
  #timer = 0;
  #left = 0;

  /** Measures now, a few times, and then now and again. */
  start() {
    clearTimeout(this.#timer);
    this.#left = TRIPS_AT_FIRST;
    this.#measure();
  }

  async #measure() {
    if (!document.hidden) {
      try {
        this.#take(await roundTrip());
      } catch {
        // The server is away; what is known grows older.
      }
    }
    this.#left = Math.max(0, this.#left - 1);
    const wait = this.#left > 0 ? TRIP_AT_FIRST_MS * (0.5 + Math.random()) : TRIP_EVERY_MS;
    this.#timer = setTimeout(() => this.#measure(), wait);
  }

  #take({ sentAt, heardAt, serverTime }) {
    // The clock was read in [sentAt, heardAt] and showed [serverTime, serverTime + 1).
    const least = serverTime - heardAt - ROUNDING_MS;
    const most = serverTime + 1 - sentAt + ROUNDING_MS;
    this.#trips.push({ at: heardAt, least, most });
    if (this.#trips.length > TRIPS_MAX) this.#trips.shift();
    this.#estimate(heardAt);
  }

  #estimate(now) {
    let [low, high] = [-Infinity, Infinity];
    // From the newest on: an older one that contradicts it is of a clock that has been set since.
    for (const { at, least, most } of this.#trips.toReversed()) {
      const slack = DRIFT * (now - at);
      const [nextLow, nextHigh] = [Math.max(low, least - slack), Math.min(high, most + slack)];
      if (nextLow > nextHigh) break;
      [low, high] = [nextLow, nextHigh];
    }
    this.offset = (low + high) / 2;
    this.uncertainty = (high - low) / 2;
  }
}

async function roundTrip() {
  performance.clearResourceTimings();
  const asked = performance.now();
  const response = await fetch('/api/v3/time', { cache: 'no-store' });
  const { serverTime } = await response.json();
  const done = performance.now();
  // Without the time that it took to connect, where the browser tells.
  const timing = performance.getEntriesByName(response.url, 'resource').at(-1);
  const sentAt = pageTime(timing?.requestStart || asked);
  const heardAt = pageTime(timing?.responseStart || done);
  if (!Number.isFinite(serverTime)) throw new TypeError('no time');
  return { sentAt, heardAt, serverTime };
}
