"""Tests of counts.py: what is over the limit must be seen, and what is not must pass."""

import json
import unittest

from counts import FATAL, compare, parse_output, table


def kinds(committed, counted):
    return {verdict.name: verdict.kind for verdict in compare(committed, counted)}


class Compare(unittest.TestCase):
    def test_three_percent_either_way_are_the_same(self):
        committed = {"a": 1000, "b": 1000, "c": 7}
        self.assertEqual(
            kinds(committed, {"a": 1030, "b": 970, "c": 7}), dict.fromkeys("abc", "same")
        )

    def test_more_than_that_is_worse_or_better(self):
        self.assertEqual(
            kinds({"a": 1000, "b": 1000}, {"a": 1031, "b": 969}), {"a": "worse", "b": "better"}
        )

    def test_every_benchmark_has_a_committed_count_and_every_count_a_benchmark(self):
        self.assertEqual(kinds({"a": 1}, {"b": 1}), {"a": "gone", "b": "new"})

    def test_only_what_is_better_or_the_same_passes(self):
        self.assertEqual(FATAL, {"worse", "gone", "new"})


class ParseOutput(unittest.TestCase):
    def summary(self, name, values):
        function, identity = name.split(".")
        profile = {
            "tool": "Callgrind",
            "data": {"total": {"metrics": {"Ir": {"values": values}, "Dr": {"values": {}}}}},
        }
        return json.dumps({"function_name": function, "id": identity, "profiles": [profile]})

    def test_the_new_count_is_taken_where_there_is_an_old_one(self):
        text = "\n".join(
            [self.summary("f.x", {"new": 5}), self.summary("f.y", {"new": 6, "old": 9})]
        )
        self.assertEqual(parse_output(text + "\n"), {"f.x": 5, "f.y": 6})

    def test_a_benchmark_without_a_count_is_an_error(self):
        text = json.dumps({"function_name": "f", "id": "x", "profiles": []})
        with self.assertRaises(ValueError):
            parse_output(text)


class Table(unittest.TestCase):
    def test_a_line_says_what_is_wrong(self):
        lines = table(compare({"f.x": 1000, "f.long": 10}, {"f.x": 1100, "f.new": 3}))
        self.assertEqual(
            [line.split() for line in lines],
            [
                "f.long 10 - COMMITTED, BUT NOT RUN".split(),
                "f.new - 3 NO COMMITTED COUNT".split(),
                "f.x 1,000 1,100 +10.00 % WORSE: more than 3 % above the committed count".split(),
            ],
        )


if __name__ == "__main__":
    unittest.main()
