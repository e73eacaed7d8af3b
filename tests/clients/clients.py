"""Python market-data clients as people use them, but for the base URL: clients.py NAME BASE_URL.

Prints `N events: what was checked` and exits 0, or says what was wrong and exits 1. The deadline
is the caller's: see run.
"""

import asyncio
import json
import os
import queue
import sys
import traceback

import books
from checks import STREAM_FIELDS, check, check_payload

EVENTS = 5


# --- ccxt ---------------------------------------------------------------------------------------


def ccxt_markets():
    """What `load_markets` makes of the exchange: BTCUSDT is a pair's id and a perpetual's."""
    spot = {
        "id": "BTCUSDT", "lowercaseId": "btcusdt", "symbol": "BTC/USDT",
        "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "type": "spot", "spot": True, "margin": False, "swap": False, "future": False,
        "option": False, "contract": False, "linear": None, "inverse": None,
        "active": True,
        "precision": {"price": 0.01, "amount": 0.00001}, "limits": {},
    }
    swap = {
        **spot, "symbol": "BTC/USDT:USDT", "settle": "USDT", "settleId": "USDT",
        "type": "swap", "spot": False, "swap": True, "contract": True,
        "linear": True, "inverse": False,
    }
    return [spot, swap]


async def ccxt(base, path, markets):
    """ccxt dials /ws/0, /ws/1 … and subscribes there; each watch_* is one stream.

    Where an id is a pair's and a perpetual's, it takes an event for the pair's only if `/stream`
    is somewhere in the URL, as in the exchange's host name; else watch_* never returns.
    """
    import ccxt.pro

    exchange = ccxt.pro.binance({"newUpdates": True})
    exchange.urls["api"]["ws"]["spot"] = base + path
    exchange.set_markets(markets)
    try:
        trades = []
        while len(trades) < EVENTS:
            trades += await exchange.watch_trades("BTC/USDT")
        ids = [int(trade["id"]) for trade in trades]
        check(ids == list(range(ids[0], ids[0] + len(ids))), f"trade ids have gaps: {ids}")
        check(all(trade["price"] > 0 and trade["amount"] > 0 for trade in trades), "bad trade")
        ticker = await exchange.watch_ticker("BTC/USDT")
        check(ticker["low"] <= ticker["last"] <= ticker["high"], f"bad ticker: {ticker}")
        candle = (await exchange.watch_ohlcv("BTC/USDT", "1m"))[-1]
        check(candle[0] % 60_000 == 0, f"a candle that starts within a minute: {candle}")
        check(candle[3] <= candle[4] <= candle[2], f"close outside of low and high: {candle}")
        book = (await exchange.watch_bids_asks(["BTC/USDT"]))["BTC/USDT"]
        check(0 < book["bid"] < book["ask"], f"crossed book: {book}")
        await exchange.un_watch_trades("BTC/USDT")
    finally:
        await exchange.close()
    return len(trades) + 3, "trades without gaps, ticker, 1m candle, best bid and ask, unwatch"


# --- binance-connector --------------------------------------------------------------------------


def binance_connector(base, combined):
    """Its reader is a thread with callbacks. It answers a ping with an empty pong."""
    from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

    inbox = queue.Queue()
    client = SpotWebsocketStreamClient(
        stream_url=base,
        on_message=lambda _, text: inbox.put(json.loads(text)),
        on_error=lambda _, error: inbox.put(error),
        on_close=lambda _: inbox.put("closed"),
        is_combined=combined,
    )

    def receive(wanted):
        """The next message that `wanted` accepts; events between it and its request may come."""
        while True:
            message = inbox.get()
            check(isinstance(message, dict), f"instead of a message: {message!r}")
            check("error" not in message, f"refused: {message}")
            if wanted(message):
                return message

    client.agg_trade("btcusdt", id=1)
    check(receive(lambda m: m.get("id") == 1)["result"] is None, "SUBSCRIBE was not acknowledged")
    client.mini_ticker(symbol="btcusdt", id=2)
    receive(lambda m: m.get("id") == 2)
    for kind in ["aggTrade"] * EVENTS + ["miniTicker"]:
        if combined:
            event = receive(lambda m, name=f"btcusdt@{kind}": m.get("stream") == name)
            check(sorted(event) == ["data", "stream"], f"wrapping of a combined stream: {event}")
            event = event["data"]
        else:
            type_name = {"miniTicker": "24hrMiniTicker"}.get(kind, kind)
            event = receive(lambda m, name=type_name: m.get("e") == name)
        check_payload(kind, event)
    client.list_subscribe(id=3)
    listed = receive(lambda m: m.get("id") == 3)["result"]
    check(sorted(listed) == ["btcusdt@aggTrade", "btcusdt@miniTicker"], f"LIST: {listed}")
    client.agg_trade("btcusdt", id=4, action=client.ACTION_UNSUBSCRIBE)
    receive(lambda m: m.get("id") == 4)
    # It sends Close and then waits for the server's, in its reading thread.
    client.stop()
    return EVENTS + 1, "acks, payloads, LIST_SUBSCRIPTIONS, unsubscribe, close"


# --- websockets ---------------------------------------------------------------------------------


async def websockets(base):
    """A plain client: what the others do not ask."""
    events = 0
    for kind in STREAM_FIELDS:
        events += await one_stream(base, kind)
    await combined_by_address(base)
    await control_messages(base)
    return events, "every stream's payload, depth without gaps, ping, control messages, 404, close"


async def one_stream(base, kind):
    """/ws/<stream>: the bare payload from the first message on, no ack."""
    from websockets.asyncio.client import connect

    # Of state streams one value is enough: a candle or ticker may come once a second.
    wanted = EVENTS if kind in ("trade", "aggTrade", "depth@100ms") else 1
    async with connect(f"{base}/ws/btcusdt@{kind}", max_size=2**24) as socket:
        payloads = [json.loads(await receive_text(socket)) for _ in range(wanted)]
        await (await socket.ping())
    check(socket.close_code == 1000, f"Close 1000 was answered by {socket.close_code}")
    for payload in payloads:
        check_payload(kind, payload)
    pairs = list(zip(payloads, payloads[1:]))
    if kind == "trade":
        check(all(new["t"] == old["t"] + 1 for old, new in pairs), f"trade ids: {payloads}")
    if kind == "depth@100ms":
        check(all(new["U"] == old["u"] + 1 for old, new in pairs), f"U and u: {payloads}")
    return wanted


async def receive_text(socket):
    """The next message, which must be a text message: so are all that the protocol knows."""
    message = await socket.recv()
    check(isinstance(message, str), f"a binary message: {message!r}")
    return message


async def combined_by_address(base):
    """/stream?streams=a/b: wrapped events of both, the names percent-encoded or not."""
    from websockets.asyncio.client import connect

    names = {"btcusdt@trade", "btcusdt@bookTicker"}
    async with connect(f"{base}/stream?streams=btcusdt%40trade/btcusdt@bookTicker") as socket:
        seen = set()
        while seen != names:
            event = json.loads(await receive_text(socket))
            check_payload(event["stream"].partition("@")[2], event["data"])
            seen.add(event["stream"])
        check(seen == names, f"streams that nobody asked for: {seen}")


async def control_messages(base):
    """Each request gets its reply, with its id of the same type; another path is a 404."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async with connect(f"{base}/ws") as socket:

        async def ask(text):
            await socket.send(text if isinstance(text, str) else json.dumps(text))
            return json.loads(await receive_text(socket))

        for request, reply in (
            ({"method": "LIST_SUBSCRIPTIONS", "id": 1}, {"result": [], "id": 1}),
            ({"method": "SUBSCRIBE", "params": ["nothing@feeds"], "id": "a"},
             {"result": None, "id": "a"}),
            ({"method": "UNSUBSCRIBE", "params": ["never@trade"], "id": None},
             {"result": None, "id": None}),
            ({"method": "GET_PROPERTY", "params": ["combined"], "id": 2},
             {"result": False, "id": 2}),
            ({"method": "SET_PROPERTY", "params": ["combined", True], "id": 3},
             {"result": None, "id": 3}),
        ):
            answer = await ask(request)
            check(answer == reply, f"{request} was answered by {answer}")
        check((await ask({"method": "FOO", "id": 4}))["error"]["code"] == 2, "unknown method")
        check((await ask("{"))["error"]["code"] == 3, "broken JSON")
    try:
        async with connect(f"{base}/nowhere"):
            check(False, "/nowhere was upgraded")
    except InvalidStatus as error:
        check(error.response.status_code == 404, f"/nowhere: {error.response.status_code}")


CLIENTS = {
    "ccxt": lambda base: asyncio.run(ccxt(base, "/streams/ws", ccxt_markets())),
    "ccxt-spot-only": lambda base: asyncio.run(ccxt(base, "/ws", ccxt_markets()[:1])),
    "binance-connector-raw": lambda base: binance_connector(base, combined=False),
    "binance-connector-combined": lambda base: binance_connector(base, combined=True),
    "websockets": lambda base: asyncio.run(websockets(base)),
    **books.CLIENTS,
}

if __name__ == "__main__":
    name, base_url = sys.argv[1:]
    try:
        count, checks = CLIENTS[name](base_url)
        print(f"{count} events: {checks}")
        code = 0
    except Exception as error:
        traceback.print_exc(limit=-4, file=sys.stdout)
        print(f"failed: {type(error).__name__}: {error}")
        code = 1
    # A client's own threads must not keep this process, whatever they wait for.
    sys.stdout.flush()
    os._exit(code)
