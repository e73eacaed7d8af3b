"""Tests of verdicts.py: every way in which a report may fall short must be seen."""

import json
import unittest

from verdicts import (
    Verdict,
    compare,
    difference_lines,
    format_expected,
    parse_expected,
    parse_index,
    summary,
    table,
)

OK = Verdict("OK", "OK")
INFORMATIONAL = Verdict("INFORMATIONAL", "INFORMATIONAL")
EXPECTED = {"1.1.1": OK, "1.1.10": OK, "7.1.6": INFORMATIONAL}


def fatal(actual):
    """The fatal cases of `actual` against EXPECTED."""
    return [difference.case for difference in compare(EXPECTED, actual) if difference.fatal]


class Compare(unittest.TestCase):
    def test_the_same_verdicts_are_no_difference(self):
        self.assertEqual(compare(EXPECTED, dict(EXPECTED)), [])

    def test_a_case_that_was_not_run_is_fatal(self):
        self.assertEqual(fatal({"1.1.1": OK, "7.1.6": INFORMATIONAL}), ["1.1.10"])
        self.assertEqual(fatal({}), ["1.1.1", "1.1.10", "7.1.6"])

    def test_a_case_that_nobody_expects_is_fatal_even_when_it_is_ok(self):
        self.assertEqual(fatal(EXPECTED | {"12.1.1": OK}), ["12.1.1"])

    def test_a_worse_exchange_or_a_worse_close_is_fatal(self):
        self.assertEqual(fatal(EXPECTED | {"1.1.1": Verdict("NON-STRICT", "OK")}), ["1.1.1"])
        self.assertEqual(fatal(EXPECTED | {"1.1.1": Verdict("OK", "UNCLEAN")}), ["1.1.1"])

    def test_a_better_exchange_does_not_excuse_a_worse_close(self):
        self.assertEqual(fatal(EXPECTED | {"7.1.6": Verdict("OK", "FAILED")}), ["7.1.6"])

    def test_a_verdict_the_ranking_does_not_know_is_the_worst(self):
        self.assertEqual(fatal(EXPECTED | {"1.1.1": Verdict("PERPLEXED", "OK")}), ["1.1.1"])

    def test_a_better_verdict_is_told_and_is_not_fatal(self):
        differences = compare(EXPECTED, EXPECTED | {"7.1.6": OK})
        self.assertEqual([(d.case, d.fatal) for d in differences], [("7.1.6", False)])


class Files(unittest.TestCase):
    def test_expected_survives_writing_and_reading_in_the_order_of_numbers(self):
        text = format_expected(EXPECTED)
        self.assertEqual(parse_expected(text), EXPECTED)
        self.assertEqual(list(json.loads(text)), ["1.1.1", "1.1.10", "7.1.6"])

    def test_an_index_without_an_agent_has_no_cases(self):
        self.assertEqual(parse_index("{}"), {})

    def test_an_index_of_two_agents_is_refused(self):
        with self.assertRaises(ValueError):
            parse_index('{"a": {}, "b": {}}')


class Report(unittest.TestCase):
    def test_the_summary_counts_what_is_as_expected_and_what_was_seen(self):
        actual = {"1.1.1": Verdict("FAILED", "OK"), "7.1.6": INFORMATIONAL}
        self.assertEqual(
            summary(EXPECTED, actual, compare(EXPECTED, actual)),
            "autobahn: 1 of 3 cases as expected (1 INFORMATIONAL, 1 FAILED)",
        )

    def test_the_table_has_a_row_for_a_group_that_did_not_run(self):
        rows = table(EXPECTED, {"1.1.1": OK})
        self.assertEqual(len(rows), 3)
        self.assertEqual(rows[2].split(), ["7", "closing", "1", "0", "0"])

    def test_each_difference_has_a_line_and_a_whole_group_has_one(self):
        actual = {"1.1.1": OK, "12.1.1": OK, "12.1.2": OK}
        lines = difference_lines(EXPECTED, actual, compare(EXPECTED, actual))
        self.assertEqual(
            lines,
            [
                "  1.1.10: not run; expected OK (close OK)",
                "  7.*: none of 1 cases ran",
                "  12.*: 2 cases ran, none is expected",
            ],
        )


if __name__ == "__main__":
    unittest.main()
