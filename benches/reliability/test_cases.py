"""Tests of cases.py: each case asks for what it says, and the table tells what there was."""

import unittest

from cases import CASES, COLUMNS, Case, markdown


def report(**figures):
    latencies = {"quiet": {"count": 1, "p99_us": 12_340}}
    return {"seconds": 100.2, "figures": figures, "errors": {"total": 3},
            "latencies": latencies, "main_latency": "quiet"}


class Cases(unittest.TestCase):
    def test_what_is_not_asked_for_is_nobody(self):
        flags = Case("a", "b", {"stalled": "10%", "allow-restarts": True}).flags(7)
        told = dict(zip(flags, flags[1:]))
        self.assertEqual([told["--connections"], told["--stalled"], told["--churn"]],
                         ["7", "10%", "0"])
        self.assertEqual(flags.count("--allow-restarts"), 1)

    def test_names_are_names(self):
        names = [case.name for case in CASES]
        self.assertEqual(len(set(names)), len(names))

    def test_who_ends_the_server_lets_it_come_back(self):
        ended = [case for case in CASES if case.end_by]
        self.assertTrue(ended)
        for case in ended:
            self.assertTrue(case.options["allow-restarts"])
            self.assertEqual(case.options["unfinished"], 1)


class Table(unittest.TestCase):
    def test_a_row_has_a_cell_for_each_column(self):
        figures = {"opened": 1234, "resident_bytes_peak": 3 << 20, "p99_ratio": 1.055,
                   "back_after_s": 1.5}
        lines = markdown([(CASES[0], report(**figures), None)]).splitlines()
        self.assertEqual({line.count("|") for line in lines[:3]}, {len(COLUMNS) + 2})
        for part in ["1,234", " / 3.0 / ", "12.3", "| 3 |"]:
            self.assertIn(part, lines[2])
        self.assertEqual(lines[4:], ["soak: back after 1.50 s"])

    def test_a_case_without_a_report_has_no_row(self):
        self.assertEqual(len(markdown([(CASES[0], None, "it failed")]).splitlines()), 2)


if __name__ == "__main__":
    unittest.main()
