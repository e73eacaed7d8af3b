// The order book as a ladder: asks above bids, the best prices in the middle, each row with a bar
// as long as all that is offered up to it.
// Invariant: rows are made once; afterwards only what differs is written.

import { decimalsOf, fixed, NOTHING, setText } from './format.js';

const LEVELS_MAX = 20;

export class Ladder {
  #asks;
  #bids;
  #spread = document.getElementById('spread');
  #shown = null;

  constructor() {
    // The best ask is the last row of its half.
    this.#asks = makeRows(document.getElementById('asks')).reverse();
    this.#bids = makeRows(document.getElementById('bids'));
  }

  show(instrument) {
    const book = instrument?.book ?? null;
    if (book === this.#shown) return;
    this.#shown = book;
    const bids = accumulate(book?.bids ?? []);
    const asks = accumulate(book?.asks ?? []);
    const most = Math.max(bids.at(-1)?.total ?? 0, asks.at(-1)?.total ?? 0);
    fill(this.#bids, bids, most, instrument);
    fill(this.#asks, asks, most, instrument);
    setText(this.#spread, `spread ${spread(instrument)}`);
  }
}

/** How far apart the best prices are, with what part of the price that is. */
export function spread(instrument) {
  const [bid, ask] = [instrument?.book?.bids[0]?.[0], instrument?.book?.asks[0]?.[0]];
  if (bid === undefined || ask === undefined) return NOTHING;
  const difference = Number(ask) - Number(bid);
  const basisPoints = (2e4 * difference) / (Number(ask) + Number(bid));
  const decimals = Math.max(decimalsOf(bid), decimalsOf(ask), instrument.priceDecimals);
  return `${fixed(difference, decimals)} (${fixed(basisPoints, 2)} bp)`;
}

function accumulate(levels) {
  let total = 0;
  return levels.slice(0, LEVELS_MAX).map(([price, quantity]) => {
    total += Number(quantity);
    return { price: Number(price), quantity: Number(quantity), total };
  });
}

function makeRows(body) {
  return Array.from({ length: LEVELS_MAX }, () => {
    const row = body.insertRow();
    const cells = Array.from({ length: 3 }, () => row.insertCell());
    return { row, cells, bar: '' };
  });
}

function fill(rows, levels, most, instrument) {
  rows.forEach((entry, index) => {
    const level = levels[index];
    const [price, quantity, total] = entry.cells;
    setText(price, level ? fixed(level.price, instrument.priceDecimals) : '');
    setText(quantity, level ? fixed(level.quantity, instrument.quantityDecimals) : '');
    setText(total, level ? fixed(level.total, instrument.quantityDecimals) : '');
    // Whole percent: a bar that grows by less is not worth painting.
    const bar = level && most > 0 ? `${Math.round((100 * level.total) / most)}%` : '0%';
    if (bar !== entry.bar) {
      entry.bar = bar;
      entry.row.style.setProperty('--bar', bar);
    }
  });
}
