// JavaScript market-data clients as people use them, but for the base URL: clients.mjs NAME BASE.
//
// Prints `N events: what was checked` and exits 0, or says what was wrong and exits 1. The
// deadline is the caller's: see run.

import { BOOK_CLIENTS } from './books.mjs';
import { EVENTS, check, checkTrades } from './checks.mjs';
import { evaluateInPage } from './chromium.mjs';

// --- binance-api-node: one connection a stream, /ws/<stream>, on ws 7 -----------------------

async function binanceApiNode(base) {
  const { default: binance } = await import('binance-api-node');
  const { ws } = binance.default({ wsBase: `${base}/ws` });
  // Its callbacks get parsed events with names of its own; `wanted` of them end the stream.
  const watch = (start, wanted) =>
    new Promise((resolve) => {
      const events = [];
      const close = start((event) => {
        events.push(event);
        if (events.length === wanted) resolve({ events, close });
      });
    });
  const watched = await Promise.all([
    watch((on) => ws.trades(['BTCUSDT'], on), EVENTS),
    watch((on) => ws.candles('BTCUSDT', '1m', on), 1),
    watch((on) => ws.ticker('BTCUSDT', on), 1),
    watch((on) => ws.partialDepth({ symbol: 'BTCUSDT', level: 5 }, on), 1),
    watch((on) => ws.depth('BTCUSDT', on), 1),
  ]);
  const [trades, candles, tickers, books, diffs] = watched.map(({ events }) => events);
  trades.forEach((trade, index) => {
    check(trade.eventType === 'trade' && Number(trade.price) > 0, JSON.stringify(trade));
    check(Number(trade.tradeId) === Number(trades[0].tradeId) + index, 'trade ids have gaps');
  });
  check(candles[0].interval === '1m', `candle: ${JSON.stringify(candles[0])}`);
  check(Number(tickers[0].curDayClose) > 0, `ticker: ${JSON.stringify(tickers[0])}`);
  check(books[0].bids.length > 0 && books[0].asks.length > 0, `book: ${JSON.stringify(books[0])}`);
  check(diffs[0].finalUpdateId >= diffs[0].firstUpdateId, `diff: ${JSON.stringify(diffs[0])}`);
  watched.forEach(({ close }) => close());
  return [EVENTS + 4, 'trades without gaps, 1m candle, ticker, depth5, depth'];
}

// --- the WebSocket of the web, in Node and in a page --------------------------------------------

/**
 * Subscribes over the web's WebSocket API and collects; runs in Node and, sent as text, in a page,
 * so it uses nothing from this file.
 */
function collectTrades(base, wanted) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${base}/ws`);
    const trades = [];
    let acknowledged = false;
    socket.onopen = () => {
      socket.send(JSON.stringify({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 7 }));
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.id === 7 && message.result === null) acknowledged = true;
      else trades.push(message);
      if (trades.length === wanted) socket.close(1000, 'enough');
    };
    socket.onerror = () => reject(new Error('the WebSocket failed'));
    socket.onclose = ({ code, wasClean }) =>
      resolve({ trades: trades.slice(0, wanted), acknowledged, code, wasClean });
  });
}

function checkCollected({ trades, acknowledged, code, wasClean }) {
  check(acknowledged, 'SUBSCRIBE was not acknowledged');
  check(trades.length === EVENTS, `closed after ${trades.length} trades, code ${code}`);
  checkTrades(trades);
  check(wasClean && code === 1000, `closed with ${code}, clean: ${wasClean}`);
  return [EVENTS, 'ack, trades without gaps, clean close'];
}

async function nodeWebSocket(base) {
  check(typeof WebSocket === 'function', 'Node 22, or 20.10 with --experimental-websocket');
  return checkCollected(await collectTrades(base, EVENTS));
}

async function chromium(base) {
  const script = `(${collectTrades})(${JSON.stringify(base)}, ${EVENTS})`;
  return checkCollected(await evaluateInPage(script));
}

// --- ws: permessage-deflate is offered, and may be declined -------------------------------------

async function ws(base) {
  const { default: Socket } = await import('ws');
  const socket = new Socket(`${base}/stream?streams=btcusdt@trade`);
  const trades = [];
  let pong = false;
  const closed = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', (code) => resolve(code));
  });
  socket.on('open', () => socket.ping('mark'));
  socket.on('pong', (payload) => {
    pong = payload.toString() === 'mark';
  });
  socket.on('message', (text, isBinary) => {
    check(!isBinary, 'an event in a binary message');
    const { stream, data } = JSON.parse(text);
    check(stream === 'btcusdt@trade', `of another stream: ${stream}`);
    trades.push(data);
    if (trades.length === EVENTS) socket.close(1000);
  });
  const code = await closed;
  checkTrades(trades.slice(0, EVENTS));
  check(pong, 'a ping was not answered by a pong with its payload');
  check(code === 1000, `closed with ${code}`);
  return [EVENTS, 'combined trades without gaps, pong, clean close'];
}

const CLIENTS = {
  'binance-api-node': binanceApiNode,
  'node-websocket': nodeWebSocket,
  ws,
  chromium,
  ...BOOK_CLIENTS,
};

const [name, base] = process.argv.slice(2);
try {
  const [events, checks] = await CLIENTS[name](base);
  console.log(`${events} events: ${checks}`);
  process.exit(0);
} catch (error) {
  console.log(`failed: ${error.message}`);
  process.exit(1);
}
