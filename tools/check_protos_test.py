"""What check_protos.py refuses and what it lets through."""

import pathlib
import tempfile
import unittest

import check_protos

OLD = """
syntax = "proto3";
package tessera.sample.v1;
service Samples {
  rpc Get(GetRequest) returns (GetResponse);
  rpc Watch(WatchRequest) returns (stream WatchResponse);
}
message GetRequest {
  reserved 9;
  string name = 1;
  int64 count = 2;
  repeated string tags = 3;
  oneof choice {
    string a = 4;
    string b = 5;
  }
  message Nested { uint32 x = 1; }
  map<string, string> facts = 6;
  optional string note = 7;
}
message GetResponse { State state = 1; }
message WatchRequest {}
message WatchResponse {}
enum State {
  STATE_UNSPECIFIED = 0;
  STATE_READY = 1;
  STATE_GONE = 2;
}
"""


def compiled(text):
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root, "protos", "tessera", "sample", "v1")
        folder.mkdir(parents=True)
        (folder / "sample.proto").write_text(text)
        return check_protos.compile_protos(pathlib.Path(root))


class BreakingChangesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = compiled(OLD)

    def changes(self, before, after):
        self.assertIn(before, OLD)
        return check_protos.breaking_changes(self.old, compiled(OLD.replace(before, after)))

    def assert_refused(self, before, after, expected):
        changes = self.changes(before, after)
        self.assertEqual([c for c in changes if expected in c], changes)
        self.assertTrue(changes, f"nothing was refused; expected: {expected}")

    def test_the_same_is_accepted(self):
        self.assertEqual(check_protos.breaking_changes(self.old, compiled(OLD)), [])

    def test_additions_are_accepted(self):
        self.assertEqual(self.changes("int64 count = 2;", "int64 count = 2; bool more = 8;"), [])
        self.assertEqual(self.changes("STATE_GONE = 2;", "STATE_GONE = 2; STATE_LOST = 3;"), [])
        self.assertEqual(self.changes("message WatchRequest {}",
                                      "message WatchRequest { string x = 1; } message New {}"), [])
        self.assertEqual(self.changes("reserved 9;", "reserved 9, 10;"), [])
        self.assertEqual(
            self.changes("service Samples {",
                         "message P {}\nservice Samples { rpc Put(P) returns (P);"), [])

    def test_fields(self):
        self.assert_refused("int64 count = 2;", "", "count: removed (number 2)")
        self.assert_refused("int64 count = 2;", "reserved 2;", "count: removed (number 2)")
        self.assert_refused("int64 count = 2;", "int64 count = 8;", "count: renumbered from 2 to 8")
        self.assert_refused("int64 count = 2;", "int64 total = 2;", "count: renamed to total")
        self.assert_refused("int64 count = 2;", "string count = 2;", "count: type changed")
        self.assert_refused("repeated string tags", "string tags", "single and repeated")
        self.assert_refused("optional string note = 7;", "oneof q { string note = 7; }", "a oneof")
        self.assert_refused("uint32 x = 1;", "uint64 x = 1;", "Nested.x: type changed")
        self.assert_refused("map<string, string> facts", "map<string, int32> facts",
                            "type changed")
        self.assert_refused("reserved 9;", "", "no longer reserved")

    def test_messages_and_enums(self):
        self.assert_refused("message Nested { uint32 x = 1; }", "", "Nested: message removed")
        self.assert_refused("STATE_GONE = 2;", "", "STATE_GONE: enum value 2 removed")
        self.assert_refused("STATE_GONE = 2;", "STATE_LOST = 2;", "renamed to STATE_LOST")

    def test_services(self):
        self.assert_refused("rpc Get(GetRequest) returns (GetResponse);", "", "Get: rpc removed")
        self.assert_refused("returns (stream WatchResponse)", "returns (WatchResponse)",
                            "Watch: streaming changed")
        self.assert_refused("rpc Watch(WatchRequest)", "rpc Watch(GetResponse)",
                            "Watch: request or response type changed")
        self.assert_refused("service Samples", "service Others", "Samples: service removed")


class RulesTest(unittest.TestCase):
    def breaks(self, before, after):
        self.assertIn(before, OLD)
        return " ".join(check_protos.rule_breaks(compiled(OLD.replace(before, after))))

    def test_rules(self):
        self.assertEqual(self.breaks(OLD, OLD), "")
        self.assertIn("agree with its folder", self.breaks("package tessera.sample.v1",
                                                           "package tessera.other.v1"))
        self.assertIn("_UNSPECIFIED", self.breaks("STATE_UNSPECIFIED", "STATE_NEW"))
        self.assertIn("shares", self.breaks("rpc Watch(WatchRequest)", "rpc Watch(GetRequest)"))
        self.assertIn("more than one service",
                      self.breaks("service Samples", "service Second {}\nservice Samples"))


class ThisTreeTest(unittest.TestCase):
    def test_contracts_are_as_committed(self):
        self.assertEqual(check_protos.main([]), 0)


if __name__ == "__main__":
    unittest.main()
