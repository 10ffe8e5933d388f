"""That the demo says of each check whether it held, failed, or could not be judged."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import unittest

_PATH = pathlib.Path(__file__).resolve().parent / "demo"
_LOADER = importlib.machinery.SourceFileLoader("demo", str(_PATH))
demo = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo", _LOADER))
_LOADER.exec_module(demo)



def samples(used, count, each=4, wanting=True):
    """So many samples, between which `each` tasks end."""
    return [demo.Sample(used, wanting, i * each) for i in range(count)]


FULL, EQUAL, IDLE = (2.0, 4.0), (3.0, 3.0), (1.0, 1.0)


class DemoTest(unittest.TestCase):
    def shares(self, taken, disturbed=False):
        """What is printed, and the checks."""
        checks = demo.Checks()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            demo.show_shares(taken, checks, disturbed)
        return out.getvalue(), checks

    def test_shares_by_weight_hold(self):
        text, checks = self.shares(samples(FULL, 100))
        self.assertIn("ok   the shares are as the weights: 2.00 for 2", text)
        self.assertEqual(checks.verdict(), "The demo succeeded.")

    def test_equal_shares_fail(self):
        text, checks = self.shares(samples(EQUAL, 100))
        self.assertIn("FAIL the shares are as the weights", text)
        self.assertEqual(checks.verdict(), "1 checks failed.")

    def test_what_cannot_be_judged_does_not_pass(self):
        for taken, disturbed, why in (
            ([], False, "0 samples of a full cluster, too few"),
            ([], True, "0 samples of a full cluster, too few"),
            (samples(FULL, 10), False, "too few"),
            (samples(EQUAL, 100, wanting=False), False, "0 samples of a full cluster"),
            (samples(EQUAL, 100), True, "allocation pauses while services are down"),
            (samples(EQUAL, 60) + samples(IDLE, 60), False, "much was idle"),
            (samples(EQUAL, 100, each=1), False, "74 tasks ended meanwhile, too few"),
        ):
            with self.subTest(why=why, disturbed=disturbed):
                text, checks = self.shares(taken, disturbed)
                self.assertIn("not judged: the shares are as the weights", text)
                self.assertIn(why, text)
                self.assertNotIn("ok  ", text)
                self.assertEqual((checks.failed, checks.unjudged), (0, 1))
                self.assertIn("not judged: 1", checks.verdict())

    def test_a_failure_is_the_verdict_whatever_was_not_judged(self):
        checks = demo.Checks()
        with contextlib.redirect_stdout(io.StringIO()):
            checks.not_judged("this", "that")
            checks.that(False, "it holds")
        self.assertEqual(checks.verdict(), "1 checks failed.")

    def test_work_is_split_evenly_and_whole(self):
        parts = demo.split(list(range(10)), 4)
        self.assertEqual(sum(parts, []), list(range(10)))
        self.assertEqual({len(p) for p in parts}, {2, 3})
        self.assertEqual(demo.split([1], 4), [[1]])


if __name__ == "__main__":
    unittest.main()
