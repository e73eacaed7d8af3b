"""The rows of the table: what the load tool is asked to do, and which of its figures count.

This is the one place that knows the arguments and the output of `tickwire bench`.
"""

from collections import namedtuple

# task: what the servers are to do. arguments: those of `tickwire bench`. speed: the path of a figure
# in its output. better: "higher" or "lower". unit: what the figure is in.
Row = namedtuple("Row", "task arguments speed better unit")

# CPU time of the server a message, a delivery or a connection. `idle` has none.
CPU = "figures.server_cpu_us_each"


def echo(arguments):
    arguments = f"echo {{url}} --spin {arguments}"
    return Row("echo", arguments, "figures.messages_per_s", "higher", "messages/s")


def broadcast(arguments):
    arguments = f"broadcast {{url}} --spin --size 128 {arguments}"
    return Row("broadcast", arguments, "figures.deliveries_per_s", "higher", "deliveries/s")


def slower(row, speed, unit):
    """The row, judged by a figure of which less is better."""
    return row._replace(speed=speed, better="lower", unit=unit)


ROWS = {
    "lat": slower(
        echo("--connections 1 --depth 1 --size 64"), "latencies.round_trip.p50_us", "µs"
    ),
    "echo-64x1": echo("--connections 64 --depth 1 --size 64"),
    "echo-64x16": echo("--connections 64 --depth 16 --size 64"),
    "echo-1k": echo("--connections 64 --depth 16 --size 1024"),
    "echo-1k-text": echo("--connections 64 --depth 16 --size 1024 --text"),
    "echo-64k": echo("--connections 16 --depth 4 --size 65536"),
    "bc-100": broadcast("--subscribers 100 --window 1"),
    "bc-100w16": broadcast("--subscribers 100 --window 16"),
    "bc-1000": broadcast("--subscribers 1000 --window 1"),
    "bc-1000w16": broadcast("--subscribers 1000 --window 16"),
    "bc-rate": slower(
        broadcast("--subscribers 100 --rate {rate}"), "latencies.last.p50_us", "µs"
    ),
    "idle": Row(
        "echo", "idle {url} --connections 10000", "figures.resident_bytes_each_after_message",
        "lower", "bytes",
    ),
    "connect": Row(
        "echo", "connect {url} --concurrency 16", "figures.handshakes_per_s", "higher",
        "connections/s",
    ),
}


def load_arguments(row, url, rate, seconds, pid):
    """The arguments after `tickwire` for one run of a row."""
    words = row.arguments.format(url=url, rate=rate).split()
    return ["bench", *words, "--duration", f"{seconds:g}s", "--json", "--pid", str(pid)]


def figures(row, output):
    """Speed and CPU time of one run, from the object that the load tool printed."""
    if output["errors"]["total"]:
        raise ValueError(f"{output['errors']['total']} errors: {output['errors']['first']}")
    speed, cpu = at(output, row.speed), at(output, CPU)
    if speed is None:
        raise ValueError(f"there is no {row.speed}")
    return {"speed": float(speed), "cpu": None if cpu is None else float(cpu)}


def at(output, path):
    """What stands at a path of names separated by dots; None where nothing does."""
    for name in path.split("."):
        output = output.get(name)
        if output is None:
            return None
    return output
