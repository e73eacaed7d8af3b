"""Clients that keep an order book: each follows the exchange's procedure in its own way, and its
book is compared with the server's at the same update id.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from decimal import Decimal

from checks import check

LEVELS = 20
SYMBOL = "BTCUSDT"


def rest_base(base):
    """The HTTP base URL beside a WebSocket one."""
    return base.replace("ws", "http", 1)


def depth(base, symbol=SYMBOL, limit=LEVELS):
    """The server's own book: its update id, and the best bids and asks."""
    url = f"{rest_base(base)}/api/v3/depth?symbol={symbol}&limit={limit}"
    with urllib.request.urlopen(url, timeout=5) as response:
        book = json.load(response)
    return book["lastUpdateId"], numbers(book["bids"]), numbers(book["asks"])


def numbers(levels, most=LEVELS):
    """The first levels, as exact numbers."""
    return [(Decimal(str(price)), Decimal(str(quantity))) for price, quantity, *_ in levels][:most]


async def same_book(base, current, wanted=3):
    """Waits until `current()`, an update id with bids and asks, and the server's book have met at
    the same id so many times; each time they must be equal."""
    met = set()
    while len(met) < wanted:
        server = await asyncio.to_thread(depth, base)
        client = current()
        if client is not None and client[0] == server[0]:
            ours, theirs = (server[1], server[2]), (client[1], client[2])
            check(ours == theirs, f"books differ at {server[0]}: {theirs} is not {ours}")
            met.add(server[0])
        await asyncio.sleep(0.02)
    return len(met)


def ccxt_exchange(base):
    import ccxt.pro

    exchange = ccxt.pro.binance({
        "newUpdates": True, "options": {"fetchMarkets": {"types": ["spot"]}},
    })
    exchange.urls["api"]["public"] = rest_base(base) + "/api/v3"
    exchange.urls["api"]["ws"]["spot"] = base + "/ws"
    return exchange


async def ccxt_book(base):
    """load_markets by exchangeInfo, watch_order_book by diffs and a snapshot of 1,000 levels."""
    exchange = ccxt_exchange(base)
    books = {}

    async def watch():
        while True:
            book = await exchange.watch_order_book("BTC/USDT")
            books["now"] = (book["nonce"], numbers(book["bids"]), numbers(book["asks"]))

    try:
        markets = await exchange.load_markets()
        market = markets["BTC/USDT"]
        check(market["spot"] and market["active"], f"the market: {market}")
        check(market["precision"]["price"] > 0, f"no tick size: {market['precision']}")
        fetched = await exchange.fetch_order_book("BTC/USDT", 5)
        check(len(fetched["bids"]) == 5, f"fetch_order_book: {fetched}")
        watching = asyncio.create_task(watch())
        met = await same_book(base, lambda: books.get("now"))
        watching.cancel()
    finally:
        await exchange.close()
    return met, f"{len(markets)} markets by exchangeInfo, the book by diffs and a snapshot"


async def python_binance(base):
    """DepthCacheManager, at both speeds; it deletes a level by the text 0.00000000."""
    from binance import AsyncClient, BinanceSocketManager, DepthCacheManager

    class Client(AsyncClient):
        API_URL = rest_base(base) + "/api"

    class Sockets(BinanceSocketManager):
        STREAM_URL = base + "/"

    client = await Client.create()
    met = 0
    try:
        info = await client.get_symbol_info(SYMBOL)
        check(info["status"] == "TRADING", f"get_symbol_info: {info}")
        check(abs((await client.get_server_time())["serverTime"] - time.time() * 1000) < 60_000,
              "the server's time")
        for interval in (100, None):
            manager = DepthCacheManager(client, SYMBOL, bm=Sockets(client), conv_type=Decimal,
                                        ws_interval=interval)
            async with manager:
                books = {}

                async def watch(manager=manager, books=books):
                    while True:
                        cache = await manager.recv()
                        books["now"] = (manager._last_update_id, numbers(cache.get_bids()),
                                        numbers(cache.get_asks()))

                watching = asyncio.create_task(watch())
                met += await same_book(base, lambda books=books: books.get("now"),
                                       3 if interval else 1)
                watching.cancel()
    finally:
        await client.close_connection()
    return met, "get_symbol_info, time, the depth cache at 100 ms and at 1 s"


@contextlib.contextmanager
def tls_before(base):
    """The base URL of a proxy that ends TLS before the server, with a certificate made for it."""
    host, _, port = base.removeprefix("ws://").partition(":")
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = (os.path.join(folder, name) for name in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        accepting.load_cert_chain(certificate, key)
        trusting = ssl.create_default_context(cafile=certificate)

        async def pipe(reader, writer):
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def relay(reader, writer):
            near = (reader, writer)
            far = await asyncio.open_connection(host, int(port))
            await asyncio.gather(pipe(near[0], far[1]), pipe(far[0], near[1]))

        loop = asyncio.new_event_loop()
        proxy = loop.run_until_complete(
            asyncio.start_server(relay, "127.0.0.1", 0, ssl=accepting))
        threading.Thread(target=loop.run_forever, daemon=True).start()
        try:
            yield f"wss://localhost:{proxy.sockets[0].getsockname()[1]}", trusting
        finally:
            loop.call_soon_threadsafe(loop.stop)


def cryptofeed(base):
    """It reads exchangeInfo when it is made, asks for a snapshot at the first diff, and takes no
    ws:// address: TLS ends in a proxy."""
    with tls_before(base) as (secure_base, trusting):
        return cryptofeed_book(base, secure_base, trusting)


def cryptofeed_book(base, secure_base, trusting):
    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
    from cryptofeed.defines import L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import Binance

    class Here(Binance):
        websocket_endpoints = [WebsocketEndpoint(secure_base, options={"ssl": trusting})]
        rest_endpoints = [RestEndpoint(rest_base(base), routes=Routes(
            "/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}",
            authentication="/api/v3/userDataStream"))]

    books, counts = {}, {"trades": 0, "tickers": 0}

    async def on_book(book, _):
        bids, asks = book.book.bids, book.book.asks
        levels = [[(price, side[price]) for price in (side.index(n)[0] for n in
                   range(min(LEVELS, len(side))))] for side in (bids, asks)]
        books["now"] = (book.sequence_number, *(numbers(side) for side in levels))

    async def on_trade(trade, _):
        counts["trades"] += 1
        check(trade.price > 0 and trade.amount > 0, f"a trade: {trade}")

    async def on_ticker(ticker, _):
        counts["tickers"] += 1
        check(ticker.bid < ticker.ask, f"crossed: {ticker}")

    handler = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
    handler.add_feed(Here(symbols=["BTC-USDT"], channels=[L2_BOOK, TRADES, TICKER],
                          callbacks={L2_BOOK: on_book, TRADES: on_trade, TICKER: on_ticker}))

    async def compare():
        met = await same_book(base, lambda: books.get("now"))
        while not all(counts.values()):
            await asyncio.sleep(0.05)
        return met

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler.run(start_loop=False, install_signal_handlers=False)
    met = loop.run_until_complete(compare())
    return met, "symbols by exchangeInfo, the book by diffs and a snapshot, trades, best prices"


def unicorn(base):
    """unicorn-binance-websocket-api: its manager is a thread, and it counts what comes."""
    from unicorn_binance_websocket_api import BinanceWebSocketApiManager

    manager = BinanceWebSocketApiManager(
        exchange="binance.com", websocket_base_uri=base + "/", restful_base_uri=rest_base(base) + "/",
        output_default="dict", disable_colorama=True, warn_on_update=False,
    )
    try:
        stream = manager.create_stream(["trade", "depth", "kline_1m"], [SYMBOL.lower()])
        seen, deadline = {}, time.monotonic() + 15
        while len(seen) < 3 or min(seen.values()) < 2:
            check(time.monotonic() < deadline, f"only {seen} came")
            event = manager.pop_stream_data_from_stream_buffer()
            if not event:
                time.sleep(0.02)
                continue
            if "stream" in event:
                kind = event["stream"].partition("@")[2]
                seen[kind] = seen.get(kind, 0) + 1
        manager.subscribe_to_stream(stream, channels="miniTicker", markets=[SYMBOL.lower()])
        while "miniTicker" not in seen:
            check(time.monotonic() < deadline, f"a later subscription: only {seen} came")
            event = manager.pop_stream_data_from_stream_buffer()
            if event and "stream" in event:
                seen[event["stream"].partition("@")[2]] = 1
            else:
                time.sleep(0.02)
    finally:
        manager.stop_manager()
    return sum(seen.values()), "trade, depth, 1m candle, a subscription to a stream that is open"


async def nautilus(base):
    """nautilus_trader's client is Rust inside, and takes the event as bytes."""
    from nautilus_trader.adapters.binance.websocket.client import BinanceWebSocketClient
    from nautilus_trader.common.component import LiveClock

    events = []
    client = BinanceWebSocketClient(
        clock=LiveClock(), base_url=base, handler=lambda raw: events.append(json.loads(raw)),
        handler_reconnect=None, loop=asyncio.get_running_loop(),
    )
    await client.subscribe_trades(SYMBOL)
    await client.connect()
    await client.subscribe_diff_book_depth(SYMBOL, 100)
    kinds = set()
    while not {f"{SYMBOL.lower()}@trade", f"{SYMBOL.lower()}@depth@100ms"} <= kinds:
        await asyncio.sleep(0.02)
        kinds = {event.get("stream") for event in events}
    await client.disconnect()
    return len(events), "trades by address, depth by a subscription"


def run(coroutine):
    """A client that is a coroutine, as one that blocks."""
    return lambda base: asyncio.run(coroutine(base))


CLIENTS = {
    "ccxt-book": run(ccxt_book),
    "python-binance": run(python_binance),
    "cryptofeed": cryptofeed,
    "unicorn": unicorn,
    "nautilus": run(nautilus),
}
