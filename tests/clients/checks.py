"""What is checked of the events that clients get."""

STREAM_FIELDS = {
    "trade": "e E s t p q T m M",
    "aggTrade": "e E s a p q f l T m M",
    "bookTicker": "u s b B a A",
    "depth@100ms": "e E s U u b a",
    "depth5": "lastUpdateId bids asks",
    "kline_1m": "e E s k",
    "miniTicker": "e E s c o h l v q",
    "ticker": "e E s p P w x c Q b B a A o h l v q O C F L n",
}


class CheckFailed(Exception):
    """What a client got is not what the protocol promises."""


def check(holds, text):
    """Unlike assert, also under python -O."""
    if not holds:
        raise CheckFailed(text)


def check_payload(kind, payload):
    """The payload has the fields of its stream, in any order, and prices are decimal strings."""
    fields = STREAM_FIELDS[kind].split()
    check(sorted(payload) == sorted(fields), f"{kind} has fields {sorted(payload)}")
    check(payload.get("s", "BTCUSDT") == "BTCUSDT", f"{kind} of another symbol: {payload}")
    for name in set(fields) & {"p", "q", "c"}:
        check(isinstance(payload[name], str), f"{kind}: {name} is not a string: {payload}")
        float(payload[name])
