"""Instruction counts: read from what gungraun prints, compared with the committed ones.

Knows neither processes nor files.
"""

import json
from collections import namedtuple

# A count that is this much above the committed one is a regression.
TOLERANCE = 0.03

# kind: "same", "worse", "better", "new" (nothing is committed) or "gone" (it was not run).
Verdict = namedtuple("Verdict", "name kind committed counted")

FATAL = {"worse", "new", "gone"}


def parse_output(text):
    """The counts by name, from one JSON object a benchmark."""
    counts = {}
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        summary, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        counts[name_of(summary)] = instructions_of(summary)
    return counts


def name_of(summary):
    return f"{summary['function_name']}.{summary['id']}"


def instructions_of(summary):
    """Those of this run; an earlier one's may stand beside them, as "old"."""
    for profile in summary["profiles"]:
        if profile["tool"] == "Callgrind":
            return profile["data"]["total"]["metrics"]["Ir"]["values"]["new"]
    raise ValueError(f"no count of {name_of(summary)}")


def compare(committed, counted):
    """A verdict for each benchmark, by name."""
    verdicts = []
    for name in sorted(committed.keys() | counted.keys()):
        before, now = committed.get(name), counted.get(name)
        if before is None:
            kind = "new"
        elif now is None:
            kind = "gone"
        elif now > before * (1 + TOLERANCE):
            kind = "worse"
        elif now < before * (1 - TOLERANCE):
            kind = "better"
        else:
            kind = "same"
        verdicts.append(Verdict(name, kind, before, now))
    return verdicts


def table(verdicts):
    """A line for each verdict, and what it says where it is not the same."""
    width = max((len(verdict.name) for verdict in verdicts), default=0)
    notes = {
        "same": "",
        "worse": "  WORSE: more than 3 % above the committed count",
        "better": "  better: commit the new count",
        "new": "  NO COMMITTED COUNT",
        "gone": "  COMMITTED, BUT NOT RUN",
    }
    lines = []
    for name, kind, before, now in verdicts:
        change = f"{100 * (now / before - 1):+.2f} %" if before and now else ""
        numbers = f"{shown(before):>12} {shown(now):>12} {change:>10}"
        lines.append(f"{name:<{width}} {numbers}{notes[kind]}".rstrip())
    return lines


def shown(count):
    return "-" if count is None else f"{count:,}"
