// Clients with REST beside the streams, each with its own idea of both.

import { EVENTS, check, checkTrades } from './checks.mjs';

const SYMBOL = 'BTCUSDT';

/** The HTTP base URL beside a WebSocket one. */
function restBase(base) {
  return base.replace('ws', 'http');
}

/** The server's own book. */
async function depth(base, limit) {
  const url = `${restBase(base)}/api/v3/depth?symbol=${SYMBOL}&limit=${limit}`;
  const response = await fetch(url);
  check(response.ok, `${url}: ${response.status}`);
  return response.json();
}

/** The first levels as texts of numbers. */
function levels(side, count) {
  return side.slice(0, count).map(([price, quantity]) => `${Number(price)} ${Number(quantity)}`);
}

// --- npm binance (tiagosiebler): a client for streams, and one for REST -------------------------

async function npmBinance(base) {
  const { MainClient, WebsocketClient } = await import('binance');
  const rest = new MainClient({ baseUrl: restBase(base) });
  const info = await rest.getExchangeInfo();
  const market = info.symbols.find(({ symbol }) => symbol === SYMBOL);
  check(market?.status === 'TRADING', `exchangeInfo: ${JSON.stringify(market)}`);
  const book = await rest.getOrderBook({ symbol: SYMBOL, limit: 100 });
  check(book.lastUpdateId > 0 && book.bids.length === 100 || book.bids.length > 30,
    `order book: ${JSON.stringify(book).slice(0, 200)}`);
  const silent = { trace() {}, info() {}, error() {} };
  const streams = new WebsocketClient({ wsUrl: base, beautify: false }, silent);
  const trades = [];
  const kinds = new Set();
  const done = new Promise((resolve, reject) => {
    streams.on('exception', (error) => reject(new Error(JSON.stringify(error))));
    streams.on('message', (message) => {
      const event = message.data ?? message;
      if (event.e === 'trade' && trades.length < EVENTS) trades.push(event);
      kinds.add(event.e ?? ('lastUpdateId' in event ? 'depth' : '?'));
      if (trades.length === EVENTS && kinds.has('kline') && kinds.has('depthUpdate')) resolve();
    });
  });
  await Promise.all([
    streams.subscribeSpotTrades(SYMBOL),
    streams.subscribeSpotKline(SYMBOL, '1m'),
    streams.subscribeSpotDiffBookDepth(SYMBOL, 100),
  ]);
  await done;
  checkTrades(trades);
  streams.closeAll(true);
  return [EVENTS + 2, 'exchangeInfo, order book, trades without gaps, candle, depth'];
}

// --- @binance/connector: the exchange's own ------------------------------------------------------

async function binanceConnector(base) {
  const { Spot, WebsocketStream } = (await import('@binance/connector')).default;
  const rest = new Spot('', '', { baseURL: restBase(base) });
  const { data: info } = await rest.exchangeInfo({ symbol: SYMBOL.toLowerCase() });
  check(info.symbols.length === 1, `exchangeInfo of one symbol: ${JSON.stringify(info)}`);
  const { data: book } = await rest.depth(SYMBOL, { limit: 5 });
  check(book.bids.length === 5, `depth: ${JSON.stringify(book)}`);
  const trades = [];
  let books = 0;
  await new Promise((resolve, reject) => {
    const logger = { info() {}, debug() {}, warn() {}, error: (text) => reject(new Error(text)) };
    const callbacks = {
      open: (client) => {
        client.trade(SYMBOL.toLowerCase());
        client.partialBookDepth(SYMBOL.toLowerCase(), '10', '100ms');
      },
      message: (text) => {
        const event = JSON.parse(text).data ?? JSON.parse(text);
        if (event.e === 'trade' && trades.length < EVENTS) trades.push(event);
        if (event.bids?.length === 10) books += 1;
        if (trades.length === EVENTS && books > 1) {
          stream.disconnect();
          resolve();
        }
      },
    };
    const stream = new WebsocketStream({
      wsURL: base, combinedStreams: true, callbacks, logger,
    });
    stream.kline(SYMBOL.toLowerCase(), '1m');
  });
  checkTrades(trades);
  return [EVENTS + books, 'exchangeInfo, depth, trades without gaps, partial books'];
}

// --- ccxt ----------------------------------------------------------------------------------------

async function ccxt(base) {
  const { pro } = (await import('ccxt')).default;
  const exchange = new pro.binance({
    newUpdates: true, options: { fetchMarkets: { types: ['spot'] } },
  });
  exchange.urls.api.public = `${restBase(base)}/api/v3`;
  exchange.urls.api.ws.spot = `${base}/ws`;
  // It wants this before the first ws:// that is not wss://.
  await exchange.loadHttpProxyAgent();
  const markets = await exchange.loadMarkets();
  check(markets['BTC/USDT'].spot, 'BTC/USDT is not among the markets');
  let met = 0;
  while (met < 3) {
    const book = await exchange.watchOrderBook('BTC/USDT');
    const server = await depth(base, 20);
    if (book.nonce !== server.lastUpdateId) continue;
    for (const side of ['bids', 'asks']) {
      const [ours, theirs] = [levels(server[side], 20), levels(book[side], 20)];
      check(ours.join() === theirs.join(), `${side} differ at ${book.nonce}: ${theirs}, ${ours}`);
    }
    met += 1;
  }
  await exchange.close();
  return [met, 'markets by exchangeInfo, the book by diffs and a snapshot'];
}

export const BOOK_CLIENTS = {
  'npm-binance': npmBinance,
  'binance-connector-js': binanceConnector,
  'ccxt-js': ccxt,
};
