"""Verdicts of the Autobahn suite: reading index.json, comparing it with expected.json, the table.

Pure functions over dictionaries {case id: Verdict}; knows no process, network or command line.
Invariant: a case that was not run, or that nobody expects, is never a pass.
"""

import json
from collections import Counter
from typing import NamedTuple

# Best first. A word that is not here (the suite may learn new ones) ranks after the last.
RANKING = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "WRONG CODE", "UNCLEAN", "FAILED"]

GROUP_NAMES = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "closing",
    9: "limits and speed",
    10: "auto-fragmentation",
    12: "compression: payloads",
    13: "compression: parameters",
}


class Verdict(NamedTuple):
    """What the suite says of one case: of its exchange, and of how the connection was closed."""

    behavior: str
    close: str

    def __str__(self):
        return f"{self.behavior} (close {self.close})"


class Difference(NamedTuple):
    """One case that is not as expected; `fatal` unless it is merely better."""

    case: str
    text: str
    fatal: bool


def case_key(case):
    """Sorts case ids by number: 1.1.2 before 1.1.10."""
    return [int(part) for part in case.split(".")]


def group_of(case):
    """The group a case belongs to: 7 for 7.13.1."""
    return case_key(case)[0]


def in_groups(verdicts, groups):
    """The cases of `verdicts` that belong to one of `groups`."""
    return {case: verdict for case, verdict in verdicts.items() if group_of(case) in groups}


def parse_index(text):
    """Reads the suite's index.json: one agent's cases, or none where it met no server."""
    agents = json.loads(text)
    if len(agents) > 1:
        raise ValueError(f"index.json names {len(agents)} agents, not one: {sorted(agents)}")
    cases = next(iter(agents.values()), {})
    return {case: Verdict(row["behavior"], row["behaviorClose"]) for case, row in cases.items()}


def parse_expected(text):
    """Reads expected.json: {case: [behavior, behaviorClose]}."""
    return {case: Verdict(*pair) for case, pair in json.loads(text).items()}


def format_expected(verdicts):
    """Writes expected.json, one case a line in the order of their numbers, for readable diffs."""
    rows = [
        f"  {json.dumps(case)}: {json.dumps(list(verdicts[case]))}"
        for case in sorted(verdicts, key=case_key)
    ]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def rank(word):
    """How bad a verdict's word is: 0 for OK, more for worse."""
    return RANKING.index(word) if word in RANKING else len(RANKING)


def compare(expected, actual):
    """All differences, in case order. Missing, unknown and worse are fatal; better is not."""
    differences = []
    for case in sorted(expected.keys() | actual.keys(), key=case_key):
        want, got = expected.get(case), actual.get(case)
        if want == got:
            continue
        if got is None:
            differences.append(Difference(case, f"not run; expected {want}", True))
        elif want is None:
            differences.append(Difference(case, f"{got}; nothing is expected of this case", True))
        else:
            worse = any(rank(new) > rank(old) for new, old in zip(got, want))
            text = f"{got}; expected {want}" + ("" if worse else ": better")
            differences.append(Difference(case, text, worse))
    return differences


def table(expected, actual):
    """The lines of a table: one row for each group, with counts of each verdict met."""
    words = sorted({verdict.behavior for verdict in actual.values()} | {"OK"}, key=rank)
    groups = sorted({group_of(case) for case in expected.keys() | actual.keys()})
    head = "".join(f"{word:>15}" for word in words)
    lines = [f"{'group':<28}{'expected':>9}{'run':>6}{head}"]
    for group in groups:
        rows = in_groups(actual, {group})
        counts = Counter(verdict.behavior for verdict in rows.values())
        title = f"{group:>2}  {GROUP_NAMES.get(group, '?')}"
        lines.append(
            f"{title:<28}{len(in_groups(expected, {group})):>9}{len(rows):>6}"
            + "".join(f"{counts[word]:>15}" for word in words)
        )
    return lines


def difference_lines(expected, actual, differences):
    """One line for each difference, but one for a whole group that is new or did not run."""
    lines, told = [], set()
    for case, text, _ in differences:
        group = group_of(case)
        want, got = len(in_groups(expected, {group})), len(in_groups(actual, {group}))
        if want and got:
            lines.append(f"  {case}: {text}")
        elif group not in told:
            told.add(group)
            whole = f"none of {want} cases ran" if want else f"{got} cases ran, none is expected"
            lines.append(f"  {group}.*: {whole}")
    return lines


def summary(expected, actual, differences):
    """The last line: how many cases were as expected (or better), and what they were."""
    fatal = {difference.case for difference in differences if difference.fatal}
    total = len(expected.keys() | actual.keys())
    counts = Counter(verdict.behavior for verdict in actual.values())
    words = ", ".join(f"{counts[word]} {word}" for word in sorted(counts, key=rank)) or "none ran"
    return f"autobahn: {total - len(fatal)} of {total} cases as expected ({words})"
