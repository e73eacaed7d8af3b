// What is known of each symbol, from the payloads of its streams. Knows no sockets and no screen.
// Invariant: memory has a bound, whatever comes and for however long.

import { Candles } from './candles.js';
import { decimalsOf } from './format.js';
import { split } from './streams.js';

const SYMBOLS_MAX = 1000;
const OUTDATED_MS_MAX = 5000;
export const TRADES_MAX = 64;

export class Market {
  /** By the name in their streams, in the order of their coming. */
  symbols = new Map();
  /** Called when a symbol is heard of for the first time. */
  #onSymbol;

  constructor(onSymbol) {
    this.#onSymbol = onSymbol;
  }

  /** The symbol with this lower-case name, made where there is none and there are not too many. */
  symbol(name) {
    let symbol = this.symbols.get(name);
    if (!symbol && this.symbols.size < SYMBOLS_MAX) {
      symbol = new Instrument(name);
      this.symbols.set(name, symbol);
      this.#onSymbol(symbol);
    }
    return symbol;
  }

  handle(stream, data) {
    // A feed of one's own may carry anything.
    if (data === null || typeof data !== 'object') return;
    const [name, kind] = split(stream);
    if (name.startsWith('!')) {
      if (Array.isArray(data)) {
        for (const ticker of data) this.symbol(ticker.s?.toLowerCase())?.onTicker(ticker);
      }
      return;
    }
    const symbol = this.symbol(name);
    if (!symbol) return;
    if (kind === 'trade' || kind === 'aggTrade') symbol.onTrade(data);
    else if (kind === 'bookTicker') symbol.onBestPrices(data);
    else if (kind === 'kline_1s') symbol.onCandle(data);
    else if (kind.startsWith('depth') && data.bids) symbol.onBook(data);
    else if (kind === 'miniTicker' || kind === 'ticker') symbol.onTicker(data);
  }

  /** Forgets books, which say nothing any more once their stream has been cut. */
  forgetBooks() {
    for (const symbol of this.symbols.values()) symbol.forgetBook();
  }
}

/** One symbol. `version` grows with each change, so that a view sees whether there was one. */
class Instrument {
  version = 0;
  last = NaN;
  /** Of the last 24 hours where a ticker tells them, else since the page was opened. */
  open = NaN;
  high = NaN;
  low = NaN;
  volume = NaN;
  hasTicker = false;
  priceDecimals = 0;
  quantityDecimals = 0;
  /** The newest last; `tradeCount` counts all that have come. */
  trades = [];
  tradeCount = 0;
  candles = new Candles();
  /** {bids, asks} as the stream has them: [[price, quantity], …] in text, the best first. */
  book = null;

  #hasDepth = false;
  #hasCandles = false;
  /** By the feed's time, in milliseconds. */
  #tradedAt = NaN;

  constructor(name) {
    this.name = name;
    this.label = name.toUpperCase();
  }

  onTicker({ E, c, o, h, l, v }) {
    this.hasTicker = true;
    [this.open, this.high, this.low, this.volume] = [o, h, l, v].map(Number);
    if (!this.#isOutdated(E)) this.#moveTo(c);
    this.version += 1;
  }

  onTrade({ p, q, T, E, m }) {
    this.#tradedAt = T ?? E;
    this.#moveTo(p);
    this.quantityDecimals = Math.max(this.quantityDecimals, decimalsOf(q));
    if (!this.hasTicker) this.volume = (this.volume || 0) + Number(q);
    const trade = { price: Number(p), quantity: Number(q), time: this.#tradedAt, isSell: m };
    this.trades.push(trade);
    this.tradeCount += 1;
    if (this.trades.length > 2 * TRADES_MAX) this.trades.splice(0, TRADES_MAX);
    if (!this.#hasCandles) this.candles.addTrade(trade.time, trade.price, trade.quantity);
    this.version += 1;
  }

  onCandle({ E, k }) {
    this.#hasCandles = true;
    const [o, h, l, c, v] = [k.o, k.h, k.l, k.c, k.v].map(Number);
    this.candles.put({ t: Math.floor(k.t / 1000), o, h, l, c, v });
    if (!this.hasTicker && !this.#isOutdated(E)) this.#moveTo(k.c);
    this.version += 1;
  }

  onBook({ bids, asks }) {
    this.#hasDepth = true;
    this.#takeBook(bids, asks);
  }

  onBestPrices({ b, B, a, A }) {
    if (!this.#hasDepth && B && A) this.#takeBook([[b, B]], [[a, A]]);
    if (this.tradeCount > 0 || this.hasTicker || this.#hasCandles) return;
    // Nothing else tells a price: the middle stands for it, at the time of its coming.
    const middle = (Number(b) + Number(a)) / 2;
    if (!Number.isFinite(middle)) return;
    this.#moveTo(middle.toFixed(this.priceDecimals));
    this.candles.addTrade(Date.now(), middle, 0);
  }

  forgetBook() {
    this.book = null;
    this.#hasDepth = false;
    this.version += 1;
  }

  #takeBook(bids, asks) {
    this.book = { bids, asks };
    for (const [price, quantity] of [...bids, ...asks]) {
      this.priceDecimals = Math.max(this.priceDecimals, decimalsOf(price));
      this.quantityDecimals = Math.max(this.quantityDecimals, decimalsOf(quantity));
    }
    this.version += 1;
  }

  /** Whether a trade has told a newer price than an event of this time. One that is much older is
   *  of a recording that has begun again. */
  #isOutdated(time) {
    const age = this.#tradedAt - time;
    return age > 0 && age < OUTDATED_MS_MAX;
  }

  #moveTo(text) {
    const price = Number(text);
    this.priceDecimals = Math.max(this.priceDecimals, decimalsOf(text));
    this.last = price;
    if (Number.isNaN(this.open)) this.open = this.high = this.low = price;
    this.high = Math.max(this.high, price);
    this.low = Math.min(this.low, price);
  }
}
