// Which streams there are, and which of them the page wants. Knows names, and no payloads.
// Invariant: until the server has said what it feeds, every stream counts as fed: to subscribe to
// one that is not is allowed, and silent.

/** How long to wait between questions what is fed, in seconds: while nothing is, since a feed may
 *  begin late, and then, since it may grow. Each question is a connection. */
const ASK_AFTER = { empty: [1, 2, 2, 5, 10, 20, 30], known: [3, 30, 60] };

/** Of how many symbols prices and candles are kept although they are not on the screen. */
const WATCHED_MAX = 12;

/** What a ladder can be drawn from, the best first. */
const BOOKS = [
  'depth20@100ms', 'depth20', 'depth10@100ms', 'depth10', 'depth5@100ms', 'depth5', 'bookTicker',
];
const TRADES = ['trade', 'aggTrade'];
const TICKERS = ['miniTicker', 'ticker'];
const ALL_TICKERS = ['!miniTicker@arr', '!ticker@arr'];

/** 'btcusdt@trade' → ['btcusdt', 'trade']. */
export function split(stream) {
  const at = stream.indexOf('@');
  return at < 0 ? [stream, ''] : [stream.slice(0, at), stream.slice(at + 1)];
}

/** Streams whose every event counts: a number that is left out there is a loss. In all others a
 *  newer event tells what an older one did. */
export function isLossless(stream) {
  return TRADES.includes(split(stream)[1]);
}

/** What the server feeds, asked of /tickwire/streams. */
export class Catalogue {
  #names = null;
  #asked = 0;
  #timer = 0;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Asks now, and again from time to time for as long as the page is looked at. */
  start() {
    clearTimeout(this.#timer);
    this.#asked = 0;
    this.#ask();
  }

  get isKnown() {
    return this.#names !== null;
  }

  has(stream) {
    return this.#names === null || this.#names.has(stream);
  }

  /** Symbols with streams of their own, in the server's order; none while nothing is known. */
  symbols() {
    const all = new Set();
    for (const name of this.#names ?? []) {
      const [symbol, kind] = split(name);
      if (kind && !symbol.startsWith('!')) all.add(symbol);
    }
    return [...all];
  }

  async #ask() {
    if (!document.hidden) {
      try {
        const response = await fetch('/tickwire/streams', { cache: 'no-store' });
        // Another server of this protocol, behind the same proxy, need not know this address.
        if (response.status === 404) return;
        if (response.ok) this.#take(await response.json());
      } catch {
        // The server is away: its connection says so, and this asks again.
      }
    }
    const waits = this.isKnown ? ASK_AFTER.known : ASK_AFTER.empty;
    const seconds = waits[Math.min(this.#asked, waits.length - 1)];
    this.#asked += 1;
    this.#timer = setTimeout(() => this.#ask(), 1000 * seconds);
  }

  #take({ streams }) {
    const names = new Set(streams.map(({ stream }) => stream));
    // A recording says what it has only when it is played, for which somebody must listen.
    const known = names.size > 0 ? names : null;
    const before = this.#names;
    const same = known?.size === before?.size && [...(known ?? [])].every((n) => before.has(n));
    this.#names = known;
    if (same) return;
    this.#asked = 0;
    this.#onChange();
  }
}

/** All that the page wants while `selected` (or no symbol yet) is on the screen. */
export function wanted(catalogue, symbols, selected) {
  const all = new Set();
  const first = (symbol, kinds) => {
    const kind = kinds.find((kind) => catalogue.has(`${symbol}@${kind}`));
    if (kind) all.add(`${symbol}@${kind}`);
    return Boolean(kind);
  };
  const tickers = ALL_TICKERS.find((stream) => catalogue.has(stream));
  if (tickers) all.add(tickers);
  for (const symbol of symbols.slice(0, WATCHED_MAX)) {
    if (!tickers) first(symbol, TICKERS);
    if (!first(symbol, ['kline_1s']) && !first(symbol, TRADES)) first(symbol, ['bookTicker']);
  }
  if (selected) {
    first(selected, ['kline_1s']);
    first(selected, TRADES);
    first(selected, BOOKS);
    // The best prices at least, should there be no more.
    if (!catalogue.isKnown) first(selected, ['bookTicker']);
    if (!tickers) first(selected, TICKERS);
  }
  return all;
}
