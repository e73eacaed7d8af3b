// What is checked of the events that clients get.

export const EVENTS = 5;

export function check(holds, text) {
  if (!holds) throw new Error(text);
}

/** Trade ids without gaps, each of one symbol, with prices as decimal strings. */
export function checkTrades(trades) {
  trades.forEach((trade, index) => {
    check(trade.e === 'trade' && trade.s === 'BTCUSDT', `not a trade: ${JSON.stringify(trade)}`);
    check(typeof trade.p === 'string' && Number(trade.p) > 0, `price: ${JSON.stringify(trade)}`);
    check(trade.t === trades[0].t + index, `trade ids have gaps: ${trades.map((t) => t.t)}`);
  });
}
