"""That the pages of the cores say what the sources say."""

import pathlib
import tempfile
import unittest

import core_pages
from house_rules import cc_source

EVENTS = """// What goes in and out.
#pragma once
namespace t {
// The process runs. It may act.
struct Started {};
struct Wake {};
// A call of a user.
using Request = std::variant<api::Run, api::Stop>;
struct Call {
  CallId call;
  Request request;
};
// Nobody takes it.
struct Ignored {};
using Event = std::variant<Started, Wake, Call, Ignored>;
// Answers a Call: exactly one.
struct Reply {};
struct Persist {};
struct Send {};
using Effect = std::variant<Reply, Persist, Send>;
}
"""
CORE = """
class Flow {
 public:
  void OnCall(CallId call, const api::Run& request);
  void OnCall(CallId call, const api::Stop& request);
  void Tick();
 private:
  void Answer();
  Outbox& outbox_;
};
class Core {
  void Step(absl::Time now, const Event& event, Effects* effects);
  void On(const Started&);
  Flow flow_;
};
"""
BODY = """
void Flow::OnCall(CallId call, const api::Run& request) { Persist record{1}; Keep(record);
  Answer(); }
void Flow::OnCall(CallId call, const api::Stop& request) { Answer(); }
void Flow::Answer() { outbox_.Push(Reply{}); }
void Flow::Tick() { outbox_.Push(Send{}); }
void Other::Tick() { outbox_.Push(Persist{}); }
void Core::On(const Started&) { flow_.Tick(); }
void Core::Step(absl::Time now, const Event& event, Effects* effects) {
  std::visit(Overloaded{[&](const Started& e) { On(e); }, [&](const Wake&) { flow_.Tick(); },
                        [&](const Call& e) { std::visit([&](const auto& r) {
                          flow_.OnCall(e.call, r); }, e.request); },
                        [](const Ignored&) {}}, event);
}
"""


def sources():
    return [cc_source.Source(f"services/t/core/{name}", text) for name, text in
            (("t_events.h", EVENTS), ("core.h", CORE), ("core.cc", BODY))]


class CorePagesTest(unittest.TestCase):
    def row(self, name):
        return {r.name: r for r in core_pages.Core(sources()).rows()}[name]

    def test_rows(self):
        started = self.row("Started")
        self.assertEqual(started.note, "The process runs")
        self.assertIn("Core::On", started.handlers)
        # Through a member's type, so that Other::Tick is not meant.
        self.assertEqual(started.effects, ["Send"])
        self.assertEqual(self.row("Wake").effects, ["Send"])
        self.assertEqual(self.row("Ignored").handlers, [])
        self.assertEqual(self.row("Ignored").effects, [])

    def test_requests_within_a_call(self):
        self.assertEqual(self.row("Call: Run").effects, ["Reply", "Persist"])
        self.assertEqual(self.row("Call: Stop").effects, ["Reply"])
        self.assertEqual(self.row("Call").effects, ["Reply", "Persist"])
        self.assertEqual(self.row("Call: Run").handlers, ["Flow::OnCall"])

    def test_same(self):
        self.assertTrue(core_pages.same("a::X", "X"))
        self.assertTrue(core_pages.same("a::X", "a::X"))
        self.assertFalse(core_pages.same("a::X", "b::X"))
        self.assertFalse(core_pages.same("a::X", "a::Y"))

    def test_page_and_what_is_stale(self):
        pages = core_pages.pages(sources())
        self.assertEqual(list(pages), ["docs/cores/t.md"])
        self.assertIn("| Reply | Answers a Call | Call |", pages["docs/cores/t.md"])
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs" / "cores").mkdir(parents=True)
            self.assertEqual(len(list(core_pages.stale(sources(), root))), 1)
            (root / "docs" / "cores" / "t.md").write_text(pages["docs/cores/t.md"])
            self.assertEqual(list(core_pages.stale(sources(), root)), [])
            (root / "docs" / "cores" / "gone.md").write_text("")
            self.assertEqual(len(list(core_pages.stale(sources(), root))), 1)


if __name__ == "__main__":
    unittest.main()
