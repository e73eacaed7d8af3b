// The list of symbols, of which one is selected, and the list of the last trades.
// Invariant: a row once made is kept, so that focus and reading position are.

import { fixed, NOTHING, percent, setClass, setText, timeOfDay } from './format.js';
import { TRADES_MAX } from './market.js';

/** Over so long a move of the selected symbol is told by colour. */
const MOVE_MS = 1000;

function directionClass(direction) {
  return direction > 0 ? 'up' : direction < 0 ? 'down' : '';
}

/** A change since `open`, coloured by what it says: not at all where that is nothing. */
function showChange(node, last, open) {
  const text = percent(last / open - 1);
  setText(node, text);
  setClass(node, { '+': 'up', '−': 'down' }[text[0]] ?? '');
}

/** A listbox, as the ARIA practices have it: one stop for Tab, arrows within. */
export class SymbolList {
  #list = document.getElementById('symbols');
  #rows = new Map();
  #onSelect;
  #selected = null;

  constructor(onSelect) {
    this.#onSelect = onSelect;
    this.#list.addEventListener('keydown', (event) => this.#onKey(event));
    this.#list.addEventListener('click', ({ target }) => {
      const row = target.closest('[role=option]');
      if (row) this.#onSelect(row.dataset.symbol);
    });
  }

  add(instrument) {
    const row = document.createElement('li');
    row.id = `symbol-${this.#rows.size}`;
    row.role = 'option';
    row.ariaSelected = 'false';
    row.dataset.symbol = instrument.name;
    const cells = Array.from({ length: 3 }, () => row.appendChild(document.createElement('span')));
    setText(cells[0], instrument.label);
    this.#rows.set(instrument.name, { row, cells, instrument, version: -1 });
    this.#list.append(row);
  }

  /** Puts rows in the order of these names; others stay behind them. */
  order(names) {
    const rows = new Map();
    for (const name of [...names, ...this.#rows.keys()]) {
      if (this.#rows.has(name)) rows.set(name, this.#rows.get(name));
    }
    this.#rows = rows;
    this.#list.append(...[...rows.values()].map(({ row }) => row));
  }

  select(name) {
    const before = this.#rows.get(this.#selected)?.row;
    if (before) before.ariaSelected = 'false';
    this.#selected = name;
    const row = this.#rows.get(name)?.row;
    if (!row) return;
    row.ariaSelected = 'true';
    this.#list.setAttribute('aria-activedescendant', row.id);
    row.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  show() {
    for (const entry of this.#rows.values()) {
      const { instrument, cells: [, last, change] } = entry;
      if (entry.version === instrument.version) continue;
      entry.version = instrument.version;
      setText(last, fixed(instrument.last, instrument.priceDecimals));
      showChange(change, instrument.last, instrument.open);
    }
  }

  #onKey(event) {
    const names = [...this.#rows.keys()];
    const at = names.indexOf(this.#selected);
    const to = {
      ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1,
      Home: 0, End: names.length - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (names[to]) this.#onSelect(names[to]);
  }
}

/** The last trades, the newest first. A row that is due to leave comes back at the top, so that a
 *  trade costs one row, however many are shown. */
export class TradeList {
  #body = document.getElementById('trades');
  #rows;
  #shown = null;
  #count = 0;
  #decimals = '';

  constructor() {
    this.#rows = Array.from({ length: TRADES_MAX }, () => {
      const row = this.#body.insertRow();
      return { row, cells: Array.from({ length: 3 }, () => row.insertCell()) };
    });
  }

  show(instrument) {
    if (!instrument) return;
    const { priceDecimals, quantityDecimals, tradeCount, trades } = instrument;
    const decimals = `${priceDecimals} ${quantityDecimals}`;
    // All are written anew for another symbol, and where one has turned out to have finer prices.
    const isSame = instrument === this.#shown && decimals === this.#decimals;
    const fresh = isSame ? Math.min(tradeCount - this.#count, TRADES_MAX) : TRADES_MAX;
    [this.#shown, this.#count, this.#decimals] = [instrument, tradeCount, decimals];
    for (let back = fresh; back > 0; back -= 1) {
      const entry = this.#rows.pop();
      this.#rows.unshift(entry);
      this.#body.prepend(entry.row);
      fillTrade(entry, trades.at(-back), instrument);
    }
  }
}

function fillTrade({ row, cells: [price, quantity, time] }, trade, instrument) {
  setText(price, trade ? fixed(trade.price, instrument.priceDecimals) : '');
  setText(quantity, trade ? fixed(trade.quantity, instrument.quantityDecimals) : '');
  setText(time, trade ? timeOfDay(trade.time) : '');
  setClass(row, trade ? directionClass(trade.isSell ? -1 : 1) : '');
}

/** The selected symbol in large. Its colour tells the last second's move: that of the last trade
 *  would flicker. */
export class Quote {
  #shown = null;
  #before = { at: -Infinity, price: NaN };
  #nodes = Object.fromEntries(
    ['symbol', 'last', 'change', 'high', 'low', 'volume', 'spread', 'basis'].map((name) => [
      name, document.getElementById(`quote-${name}`),
    ]),
  );

  show(instrument, spread, now) {
    const { symbol, last, change, high, low, volume, basis } = this.#nodes;
    setText(symbol, instrument?.label ?? NOTHING);
    if (!instrument) return;
    const decimals = instrument.priceDecimals;
    setText(last, fixed(instrument.last, decimals));
    if (instrument !== this.#shown || now - this.#before.at > MOVE_MS) {
      if (instrument === this.#shown) {
        setClass(last, directionClass(instrument.last - this.#before.price));
      }
      this.#shown = instrument;
      this.#before = { at: now, price: instrument.last };
    }
    showChange(change, instrument.last, instrument.open);
    setText(basis, instrument.hasTicker ? '24 h change' : 'since opened');
    setText(high, fixed(instrument.high, decimals));
    setText(low, fixed(instrument.low, decimals));
    setText(volume, fixed(instrument.volume, 2));
    setText(this.#nodes.spread, spread);
  }
}
