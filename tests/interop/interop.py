"""permessage-deflate (RFC 7692) with Python's websockets: interop.py NAME BASE. The names: see run.

Prints `N messages: what was checked` and exits 0, or says what was wrong and exits 1. The deadline
is the caller's. Invariant: the same messages at every run.
"""

import asyncio
import random
import sys
import traceback

from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

# Messages and the longest one's bytes, of the default offer.
DEFAULT = (1000, 128 << 10)
# Of each other setting: more than the largest window in all.
SETTING = (100, 16 << 10)
BYTES_MIN = 16
EDGES = (16, 125, 126, 127, 128, 65_535, 65_536, 131_072)
IN_FLIGHT_MAX = 16
# Half of the bytes are noise; what comes back must be clearly less than what was sent.
WIRE_SHARE_MAX = 0.75


class CheckFailed(Exception):
    """What a client got is not what the protocol promises."""


def check(holds, text):
    """Unlike assert, also under python -O."""
    if not holds:
        raise CheckFailed(text)


class CountingConnection(ClientConnection):
    """Counts the bytes that come from the socket."""

    wire_bytes = 0

    def data_received(self, data):
        self.wire_bytes += len(data)
        super().data_received(data)


def messages(count, bytes_max):
    """Text and bytes, compressible and not, of all sizes, short ones as often as long ones."""
    source = random.Random(7692)
    edges = [size for size in EDGES if size <= bytes_max]

    def trades(size):
        events = [f'{{"e":"trade","s":"BTCUSDT","t":{source.randrange(10**9)}}}' for _ in range(20)]
        return ("".join(events) * (size // 500 + 1))[:size]

    def text(body):
        """As many bytes in UTF-8: its last character takes two."""
        return body[:-2] + "é"

    kinds = (
        lambda size: text(trades(size)),
        source.randbytes,
        lambda size: trades(size).encode(),
        lambda size: text("".join(map(chr, source.choices(range(32, 127), k=size)))),
        bytes,
    )
    for index in range(count):
        uniform = BYTES_MIN * (bytes_max / BYTES_MIN) ** source.random()
        yield kinds[index % len(kinds)](edges[index] if index < len(edges) else round(uniform))


async def echo_all(base, parameters, count, bytes_max, **options):
    """One connection; returns how many bytes came back, and in how many on the wire."""
    payload_bytes = 0
    sent = list(messages(count, bytes_max))
    async with connect(base, max_size=None, proxy=None, create_connection=CountingConnection,
                       **options) as socket:
        answer = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        given = sorted(part.strip() for part in answer.split(";"))
        wanted = sorted(["permessage-deflate", *parameters])
        check(given == wanted, f"instead of {wanted} the answer was: {answer}")

        room = asyncio.Semaphore(IN_FLIGHT_MAX)
        sender = asyncio.create_task(send_all(socket, sent, room))
        try:
            for index, message in enumerate(sent):
                echo = await socket.recv()
                check(type(echo) is type(message) and echo == message,
                      f"message {index} of {len(message)} came back changed")
                payload_bytes += len(echo) + isinstance(echo, str)
                room.release()
            await sender
        finally:
            sender.cancel()
    check(socket.close_code == 1000, f"Close 1000 was answered by {socket.close_code}")
    return payload_bytes, socket.wire_bytes


async def send_all(socket, sent, room):
    """Every seventh message goes in three fragments."""
    for index, message in enumerate(sent):
        await room.acquire()
        if index % 7 == 0:
            third = len(message) // 3
            message = [message[:third], message[third:2 * third], message[2 * third:]]
        await socket.send(message)


def summary(count, payload_bytes, wire_bytes, offers):
    share = wire_bytes / payload_bytes
    check(share < WIRE_SHARE_MAX, f"{payload_bytes} bytes came back in {wire_bytes} on the wire")
    return f"{count} messages: {offers}, payloads, {share:.0%} of the bytes on the wire, close"


async def default_offer(base):
    counted = await echo_all(base, [], *DEFAULT)
    return summary(DEFAULT[0], *counted, "its default offer")


async def windows(base, contexts):
    """Every pair of windows, offered or not, with these contexts."""
    count = payload_bytes = wire_bytes = connections = 0
    for server in (None, *range(8, 16)):
        # It cannot compress with a window of 8 bits.
        for client in (None, True, *range(9, 16)):
            offer = ClientPerMessageDeflateFactory(
                server_max_window_bits=server, client_max_window_bits=client,
                **dict.fromkeys(contexts, True),
            )
            # §7.1: what the answer to this offer has.
            parameters = list(contexts)
            if server:
                parameters.append(f"server_max_window_bits={server}")
            if client and client is not True:
                parameters.append(f"client_max_window_bits={client}")
            counted = await echo_all(base, parameters, *SETTING,
                                     compression=None, extensions=[offer])
            count += SETTING[0]
            payload_bytes += counted[0]
            wire_bytes += counted[1]
            connections += 1
    return summary(count, payload_bytes, wire_bytes, f"{connections} offers")


SERVER, CLIENT = "server_no_context_takeover", "client_no_context_takeover"
CLIENTS = {
    "websockets": default_offer,
    "websockets-windows": lambda base: windows(base, []),
    "websockets-no-server-context": lambda base: windows(base, [SERVER]),
    "websockets-no-client-context": lambda base: windows(base, [CLIENT]),
    "websockets-no-context": lambda base: windows(base, [SERVER, CLIENT]),
}

if __name__ == "__main__":
    name, base_url = sys.argv[1:]
    try:
        print(asyncio.run(CLIENTS[name](base_url)))
    except Exception as error:
        traceback.print_exc(limit=-4, file=sys.stdout)
        print(f"failed: {type(error).__name__}: {error}")
        sys.exit(1)
