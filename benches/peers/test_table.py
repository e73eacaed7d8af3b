"""Tests of table.py and rows.py: ratios the right way round, and no figure from a failed run."""

import unittest

from rows import ROWS, figures, load_arguments
from table import best_peer, markdown, number, ratio, typical

HIGHER, LOWER = ROWS["echo-64x1"], ROWS["lat"]


def repetition(**speeds):
    return {server: {"speed": speed, "cpu": speed / 10} for server, speed in speeds.items()}


class Ratios(unittest.TestCase):
    def test_more_is_faster_or_slower_as_the_row_has_it(self):
        repetitions = [repetition(tickwire=20, a=10)]
        self.assertEqual(ratio(HIGHER, repetitions, "a"), 2)
        self.assertEqual(ratio(LOWER, repetitions, "a"), 0.5)

    def test_ratios_are_taken_within_repetitions(self):
        # The machine was ten times slower in one of them; medians apart would say 100 / 50.
        repetitions = [
            repetition(tickwire=10, a=10),
            repetition(tickwire=100, a=50),
            repetition(tickwire=110, a=100),
        ]
        self.assertAlmostEqual(ratio(HIGHER, repetitions, "a"), 1.1)

    def test_a_repetition_in_which_one_failed_does_not_count(self):
        repetitions = [repetition(tickwire=10), repetition(tickwire=30, a=10), repetition(a=1)]
        self.assertEqual(ratio(HIGHER, repetitions, "a"), 3)
        self.assertIsNone(ratio(HIGHER, [repetition(tickwire=10)], "a"))
        self.assertEqual(typical(repetitions, "a", "speed"), 5.5)

    def test_the_best_peer_is_the_fastest(self):
        repetitions = [repetition(tickwire=1, a=10, b=20)]
        self.assertEqual(best_peer(HIGHER, ["a", "b"], repetitions), "b")
        self.assertEqual(best_peer(LOWER, ["a", "b"], repetitions), "a")
        self.assertIsNone(best_peer(LOWER, ["c"], repetitions))


class Markdown(unittest.TestCase):
    def test_the_whole_table(self):
        results = {"lat": [repetition(tickwire=8, a=16, b=10), repetition(tickwire=8, b=10)]}
        lines = markdown(ROWS, ["tickwire", "a", "b", "c"], results).splitlines()
        self.assertIn("| lat | µs | 8 | b | 10 | 1.25 | 2.00 | 1.25 | – |", lines)
        self.assertIn("| lat | 0.8 | 1.6 | 1 | – |", lines)
        for table in (lines[2:5], lines[8:11]):
            self.assertEqual(len({text.count("|") for text in table}), 1, table)

    def test_a_row_without_cpu_times_has_no_line_among_them(self):
        idle = [{"tickwire": {"speed": 1, "cpu": None}, "a": {"speed": 2, "cpu": None}}]
        lines = markdown(ROWS, ["tickwire", "a"], {"idle": idle}).splitlines()
        self.assertEqual([text for text in lines if "idle" in text],
                         ["| idle | bytes | 1 | a | 2 | 2.00 | 2.00 |"])

    def test_numbers_have_three_digits_that_count(self):
        self.assertEqual([number(value) for value in (1234567.8, 99.96, 0.28312, None)],
                         ["1,234,568", "100", "0.283", "–"])


class Load(unittest.TestCase):
    def test_arguments_name_the_server(self):
        words = load_arguments(ROWS["bc-rate"], "ws://127.0.0.1:9/", 500, 2, 77)
        self.assertEqual(words[:3], ["bench", "broadcast", "ws://127.0.0.1:9/"])
        self.assertEqual(words[words.index("--rate") + 1], "500")
        self.assertEqual(words[words.index("--duration") + 1], "2s")
        self.assertEqual(words[-2:], ["--pid", "77"])

    def test_every_row_can_be_asked_for(self):
        for row in ROWS.values():
            self.assertNotIn("{", " ".join(load_arguments(row, "url", 1, 1, 1)))

    def test_figures_are_found_by_their_paths(self):
        output = {
            "figures": {"messages_per_s": 5.5, "server_cpu_us_each": 0.5},
            "latencies": {"round_trip": {"p50_us": 21}},
            "errors": {"total": 0, "first": None},
        }
        self.assertEqual(figures(HIGHER, output), {"speed": 5.5, "cpu": 0.5})
        self.assertEqual(figures(LOWER, output), {"speed": 21, "cpu": 0.5})
        with self.assertRaises(ValueError):
            figures(ROWS["bc-100"], output)
        del output["figures"]["server_cpu_us_each"]
        self.assertIsNone(figures(HIGHER, output)["cpu"])
        output["errors"]["total"] = 1
        with self.assertRaises(ValueError):
            figures(HIGHER, output)


if __name__ == "__main__":
    unittest.main()
