"""The table of tickwire beside its peers, in Markdown. Pure: figures in, text out.

Results are {row: [{server: {"speed": …, "cpu": …}}]}, one dictionary a repetition; a server whose run
failed is missing from it, and the CPU time may be None.
"""

from statistics import median

OURS = "tickwire"


def markdown(rows, servers, results):
    """Two tables: the speed beside each peer, and the server's CPU time a message."""
    peers = [server for server in servers if server != OURS]
    return "\n".join([*speed_table(rows, peers, results), "", *cpu_table(rows, servers, results)])


def speed_table(rows, peers, results):
    lines = [
        "Speed: how many times as fast as each peer tickwire is, the median of the ratios within"
        " repetitions.",
        "",
        line(["row", "unit", OURS, "best peer", "its figure", "ratio to it", *peers]),
        rule(5 + len(peers) + 1),
    ]
    for name, repetitions in results.items():
        row = rows[name]
        best = best_peer(row, peers, repetitions)
        cells = [name, row.unit, number(typical(repetitions, OURS, "speed")), best or "–"]
        cells += [number(typical(repetitions, best, "speed")), times(ratio(row, repetitions, best))]
        cells += [times(ratio(row, repetitions, peer)) for peer in peers]
        lines.append(line(cells))
    return lines


def cpu_table(rows, servers, results):
    lines = [
        "The server's CPU time in µs for a message delivered; in `connect`, for a connection:",
        "",
        line(["row", *servers]),
        rule(1 + len(servers)),
    ]
    for name, repetitions in results.items():
        if all(typical(repetitions, server, "cpu") is None for server in servers):
            continue
        lines.append(line([name, *(number(typical(repetitions, server, "cpu")) for server in servers)]))
    return lines


def ratio(row, repetitions, peer):
    """How many times as fast tickwire is, the median over repetitions in which both ran."""
    ratios = []
    for figures in repetitions:
        if OURS in figures and peer in figures:
            ours, theirs = figures[OURS]["speed"], figures[peer]["speed"]
            over, under = (ours, theirs) if row.better == "higher" else (theirs, ours)
            if under > 0:
                ratios.append(over / under)
    return median(ratios) if ratios else None


def best_peer(row, peers, repetitions):
    """The peer with the best typical figure; None where none ran."""
    typical_of = {peer: typical(repetitions, peer, "speed") for peer in peers}
    ran = [peer for peer in peers if typical_of[peer] is not None]
    choose = max if row.better == "higher" else min
    return choose(ran, key=typical_of.get) if ran else None


def typical(repetitions, server, figure):
    values = [figures[server][figure] for figures in repetitions if server in figures]
    values = [value for value in values if value is not None]
    return median(values) if values else None


def times(value):
    return "–" if value is None else f"{value:.2f}"


def number(value):
    """Three digits that count, and commas."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def rule(columns):
    return "|" + "---|" * columns
