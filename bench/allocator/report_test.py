#!/usr/bin/python3
"""What the report makes of a few figures."""

import pathlib
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import report  # noqa: E402

LINES = """
figure allocator.cycle.1000x200 0.35 ms
figure allocator.cycle.50000x200 45 ms
figure allocator.change.50000x2000 25 us
figure allocator.add_agents.min.1000x50 2 ms
figure allocator.add_agents.1000x50 2.5 ms
figure allocator.add_agents.times_faster.1000x50 50 times
figure allocator.decline.cycle0.1000x200 2 ms
figure allocator.decline.cycle0.times_faster.1000x200 30 times
something else
""".splitlines()


class Report(unittest.TestCase):
    def setUp(self):
        self.figures = report.read(LINES)

    def test_reads_names_sizes_and_units(self):
        self.assertEqual(len(self.figures), 8)
        self.assertEqual(self.figures["add_agents.min", (1000, 50)], (2.0, "ms"))

    def test_says_which_targets_are_met(self):
        lines = "\n".join(report.targets(self.figures))
        self.assertIn("| 1,000 x 200 | 0.350 ms | 1 ms | met |", lines)
        self.assertIn("| 50,000 x 2,000 | 25.0 us | 20 us | **not met** |", lines)

    def test_compares_the_best_round(self):
        self.assertIn("| `add_agents` | 2.00 (50.0x) |", report.comparison(self.figures))

    def test_names_what_is_too_slow(self):
        count, slow = report.below(self.figures, 50)
        self.assertEqual(count, 2)
        self.assertEqual(slow, [("decline.cycle0", (1000, 200), 30.0)])

    def test_replaces_its_section_only(self):
        page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
        self.assertEqual(
            report.put_section(page, f"{report.BEGIN}\nnew\n{report.END}"),
            f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n",
        )
        with self.assertRaises(ValueError):
            report.put_section("no marks", "text")

    def test_plots_every_point(self):
        root = xml.etree.ElementTree.fromstring(report.svg(self.figures))
        circles = [e for e in root.iter() if e.tag.endswith("circle")]
        self.assertEqual(len(circles), 3)  # two runs of ours and one of Mesos


if __name__ == "__main__":
    unittest.main()
