"""What is run, and how its figures are told.

Memory bounds are those of the server's defaults but for what SERVE says; a case that allows more says
for what.
"""

import dataclasses
import signal

# A market quiet enough for 10,000 subscribers on two cores that others use too.
SERVE = ["--rate", "0.3", "--send-queue", "256KiB"]
# Some 32 KB a second, most of it on the clock: what a nuisance subscribes to.
HEAVY = "btcusdt@depth20@100ms,ethusdt@depth20@100ms,btcusdt@depth@100ms,btcusdt@trade"
# Some 90 KB a second: fills a send queue within a spell, where nothing is replaced or folded.
FLOOD = ",".join(f"{symbol}@{stream}" for symbol in ["btcusdt", "ethusdt", "solusdt", "bnbusdt"]
                 for stream in ["depth20@100ms", "depth10@100ms", "depth@100ms", "trade"])
# A machine that others use, too, may leave a server without a core for longer than the default.
PATIENCE = "30s"
NOBODY = {"churn": 0, "slow": 0, "pausing": 0, "stalled": 0, "unfinished": 0}


@dataclasses.dataclass
class Case:
    name: str
    what: str
    options: dict
    seconds: int = 100
    end_by: signal.Signals | None = None

    def flags(self, connections):
        """Options of the soak."""
        options = {"connections": connections, "patience": PATIENCE, **NOBODY, **self.options}
        flags = []
        for name, value in options.items():
            flags += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return flags


# Who does not read may have twice its send queue: a buffer doubles when it grows.
CASES = [
    Case("soak", "everything at once", {
        "churn": 50, "slow": "1%", "pausing": "1%", "stalled": "1%", "unfinished": 100,
        "nuisance-stream": HEAVY, "rss-max": "256MiB",
    }, seconds=600),
    Case("quiet", "honest clients alone", {"rss-max": "64MiB"}),
    Case("one", "one client that never reads", {
        "stalled": 1, "nuisance-stream": FLOOD, "rss-max": "64MiB", "alternate": "10s",
    }),
    Case("tenth", "a tenth of the clients never read", {
        "stalled": "10%", "nuisance-stream": FLOOD, "rss-max": "768MiB", "alternate": "10s",
    }),
    Case("twice", "a tenth of the clients read half of what comes", {
        "slow": "10%", "slow-rate": "16KiB", "nuisance-stream": HEAVY, "rss-max": "768MiB",
        "alternate": "10s",
    }),
    # The handshake that never ends begins when all are connected and answered.
    Case("stop", "SIGTERM", {"allow-restarts": True, "unfinished": 1}, 20, signal.SIGTERM),
    Case("kill", "SIGKILL, and another server at once",
         {"allow-restarts": True, "unfinished": 1}, 20, signal.SIGKILL),
]

MIB = 1 << 20
COLUMNS = [
    ("seconds", lambda report: f"{report['seconds']:.0f}"),
    ("open at the fewest", lambda report: part(report, "connections_min", 1, 0)),
    ("opened", lambda report: count(report, "opened")),
    ("events", lambda report: count(report, "received")),
    ("errors", lambda report: f"{report['errors']['total']:,}"),
    ("memory start, peak, end (MiB)", lambda report: " / ".join(
        part(report, f"resident_bytes_{when}", MIB, 1) for when in ["start", "peak", "end"])),
    ("slope (KiB/min)", lambda report: part(report, "resident_bytes_per_minute", 1024, 0)),
    ("descriptors before, peak, after", lambda report: " / ".join(
        part(report, f"descriptors_{when}", 1, 0) for when in ["before", "peak", "after"])),
    ("p99 (ms)", lambda report: p99(report)),
    ("disturbed / quiet", lambda report: part(report, "p99_ratio", 1, 2)),
    ("closed 1001, 1008", lambda report: " / ".join(
        count(report, f"closed_{code}") for code in [1001, 1008])),
    ("server CPU (%)", lambda report: part(report, "server_cpu_percent", 1, 0)),
]


def count(report, key):
    return f"{report['figures'].get(key, 0):,.0f}"


def part(report, key, unit, digits):
    value = report["figures"].get(key)
    return "" if value is None else f"{value / unit:.{digits}f}"


def p99(report):
    latencies = report["latencies"][report["main_latency"]]
    return f"{latencies['p99_us'] / 1000:.1f}" if latencies["count"] else ""


def markdown(rows):
    """The table, and below it what only some cases have."""
    titles = ["case", *(title for title, _ in COLUMNS)]
    lines = [titles, ["---"] * len(titles)]
    notes = []
    for case, report, _ in rows:
        if report:
            lines.append([case.name, *(value(report) for _, value in COLUMNS)])
            timed = {key: value for key, value in report["figures"].items()
                     if key.endswith("_after_s")}
            notes += [f"{case.name}: {key.removesuffix('_s').replace('_', ' ')} {value:.2f} s"
                      for key, value in timed.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([table, "", *notes]).rstrip()
