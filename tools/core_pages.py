#!/usr/bin/python3
"""One page for each core: event -> handler -> effects, made from the sources.

  core_pages.py          writes docs/cores/<service>.md
  core_pages.py --check  says which pages are not up to date, and exits with 1 if there are any

Reads the variants Event and Effect of each core, what stands above their structs, which function or
visitor takes an event, and which effects those that it calls may make. Calls are followed by the
names of members and their types, so a page may name an effect too many (a call in a branch that the
event never takes) and misses what goes through a std::function; it never invents a name.
"""

import collections
import functools
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from house_rules import cc_source  # noqa: E402

FOLDER = "docs/cores"
_SEAM = re.compile(r"using \w*Event =.*using \w*Effect =", re.S)

# `owner`: its class, "" for a free one. `name`: for people. `takes`: the types of its parameters,
# with the namespace that was written.
Function = collections.namedtuple("Function", "owner name takes tokens")
# A line of the table of events. `note`: the first sentence of what stands above it.
Row = collections.namedtuple("Row", "name note handlers effects")


def qualified(tokens, start, end):
    """The types named in a range, with the last namespace before each: "sched::KillTaskRequest"."""
    found = []
    for i in range(start, end):
        if re.match(r"[A-Z]", tokens[i]):
            space = f"{tokens[i - 2]}::" if i > 1 and tokens[i - 1] == "::" else ""
            found.append(space + tokens[i])
    return found


def same(one, other):
    """Whether two names can be of one type: a namespace that is left out fits any."""
    (space, name), (other_space, other_name) = one.split("::")[-2:] if "::" in one else ("", one), \
        other.split("::")[-2:] if "::" in other else ("", other)
    return name == other_name and (not space or not other_space or space == other_space)


def comment_above(text, line):
    """The comment right above a line; that of a neighbour without a blank between counts, too."""
    lines = text.split("\n")
    at = line - 2
    while at >= 0 and lines[at].strip() and not lines[at].lstrip().startswith("//"):
        at -= 1
    found = []
    while at >= 0 and lines[at].lstrip().startswith("//"):
        found.insert(0, lines[at].lstrip().lstrip("/").strip())
        at -= 1
    words = " ".join(found)
    return "" if re.match(r"-{2,}", words) else words


def first_sentence(words):
    match = re.match(r"(.+?[.:;])(\s|$)", words)
    return (match.group(1) if match else words).rstrip(".:;")


class Core:
    """What the sources of one core say of it."""

    def __init__(self, sources):
        self.sources = sources
        self.variants = {}
        self.notes = {}
        self.functions = []
        self.member_types = {}
        self.variant_members = collections.defaultdict(list)
        for source in sources:
            self._read_variants(source)
        for source in sources:
            self._read_declarations(source)
        self.by_name = collections.defaultdict(list)
        for function in self.functions:
            self.by_name[function.name.split("::")[-1]].append(function)
        self._reached = {}

    def kinds(self, what):
        """The alternatives of the variant of events (or effects): Event, or StateEvent."""
        names = [n for n in self.variants if n == what] or \
            [n for n in self.variants if n.endswith(what)]
        return self.variants[names[0]] if names else []

    def _read_variants(self, source):
        tokens = source.tokens
        for i, token in enumerate(tokens):
            if token != "using" or tokens[i + 2:i + 6] != ["=", "std", "::", "variant"]:
                continue
            depth, names, last = 0, [], None
            for at in range(i + 6, len(tokens)):
                depth += (tokens[at] == "<") - (tokens[at] == ">")
                if depth == 1 and tokens[at] == "," or depth == 0:
                    names.append(last)
                    last = None
                    if depth == 0:
                        break
                elif depth == 1 and re.match(r"\w", tokens[at]):
                    last = qualified(tokens, at, at + 1)[-1] if tokens[at][0].isupper() else last
            self.variants[tokens[i + 1]] = names

    def _read_declarations(self, source):
        classes = {c.name: c for c in source.classes}
        for name, one in classes.items():
            self.notes.setdefault(name, comment_above(source.text, one.line))
        for one in source.declarations:
            tokens = source.tokens
            if one.kind == "function" and one.body is not None and one.head is not None:
                takes = qualified(tokens, one.head[1], one.head[2])
                name = f"{one.owner}::{one.name}" if one.owner else one.name
                self.functions.append(Function(one.owner.split("::")[-1], name, takes,
                                               source.body(one)))
            elif one.kind == "data" and one.head is not None:
                types = [t for t in tokens[one.head[0]:one.head[1]] if re.match(r"[A-Z]", t)]
                owner = one.owner.split("::")[-1]
                if types:
                    self.member_types[(owner, one.name)] = types[-1]
                    if types[-1] in self.variants:
                        self.variant_members[owner].append(types[-1])

    # What a body calls and makes.

    def _types_of(self, receiver, owner):
        """The classes that a receiver may be of."""
        if (owner, receiver) in self.member_types:
            return {self.member_types[(owner, receiver)]}
        return {t for (_, name), t in self.member_types.items() if name == receiver}

    def calls(self, tokens, owner):
        """The functions of the core that a body may call."""
        found = []
        for i in range(len(tokens) - 1):
            name = tokens[i]
            if tokens[i + 1] != "(" or name not in self.by_name:
                continue
            candidates = self.by_name[name]
            before = tokens[i - 1] if i else ""
            if before in (".", "->"):
                types = self._types_of(tokens[i - 2], owner)
                candidates = [f for f in candidates if f.owner in types]
            elif before != "::":
                candidates = [f for f in candidates if f.owner in (owner, "")]
            # An overload for one event is another's handler: the row of that event has it.
            if len(candidates) > 1:
                candidates = [f for f in candidates if not self._is_handler(f)]
            found += candidates
        return found

    def _is_handler(self, function):
        return any(same(t, name) for t in function.takes for name in self.event_names)

    @functools.cached_property
    def event_names(self):
        names = set(self.kinds("Event"))
        for event in list(names):
            for variant in self.variant_members.get(event, ()):
                names |= set(self.variants[variant])
        return names

    def made(self, tokens):
        """The effects that a body makes itself."""
        effects = self.kinds("Effect")
        found = set()
        for i in range(len(tokens) - 1):
            if tokens[i] not in effects or (i and tokens[i - 1] in (".", "->")):
                continue
            after = tokens[i + 1]
            if after == "{" or re.match(r"[a-z_]\w*$", after) or \
                    after == ">" and tokens[i - 1] == "<":
                found.add(tokens[i])
        return found

    def reached(self, function):
        """The effects of a function and of all that it calls."""
        seen, todo, found = set(), [function], set()
        while todo:
            one = todo.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            found |= self.made(one.tokens)
            todo += self.calls(one.tokens, one.owner)
        return found

    # The rows.

    def visitors(self, event):
        """(where, body) of the lambdas that take the event."""
        for function in self.functions:
            tokens = function.tokens
            for i, token in enumerate(tokens):
                if token != "]" or tokens[i + 1:i + 2] != ["("]:
                    continue
                close = tokens.index(")", i)
                if not any(same(event, t) for t in qualified(tokens, i + 2, close)):
                    continue
                at = tokens.index("{", close)
                depth, end = 0, at
                while end < len(tokens):
                    depth += (tokens[end] == "{") - (tokens[end] == "}")
                    end += 1
                    if depth == 0:
                        break
                yield function, tokens[at:end]

    def row(self, event, label):
        handlers, effects = [], set()
        takers = [f for f in self.functions if any(same(event, t) for t in f.takes)]
        # What an On calls with the same event in its hand is its own business.
        takers = [f for f in takers if f.name.split("::")[-1].startswith("On")] or takers
        for function in takers:
            handlers.append(function.name)
            effects |= self.reached(function)
        inline = []
        for function, body in self.visitors(event):
            called = self.calls(body, function.owner)
            handlers += [f.name for f in called]
            inline += [f"{function.name}, in place"] if len(body) > 2 else []
            effects |= self.made(body)
            for one in called:
                effects |= self.reached(one)
        handlers = handlers or inline
        order = self.kinds("Effect")
        return Row(label, first_sentence(self.notes.get(event, "")),
                   list(dict.fromkeys(handlers)), [e for e in order if e in effects])

    def rows(self):
        for event in self.kinds("Event"):
            inner = [name for variant in self.variant_members.get(event, ())
                     for name in self.variants[variant]]
            if not inner:
                yield self.row(event, event)
                continue
            rows = [self.row(name, f"{event}: {name.split('::')[-1]}") for name in inner]
            reached = set().union(*(row.effects for row in rows))
            yield Row(event, first_sentence(self.notes.get(event, "")), [],
                      [e for e in self.kinds("Effect") if e in reached])
            yield from rows

    def always(self):
        """Effects of what a step does whatever the event is."""
        found = set()
        for function in self.functions:
            if function.name.split("::")[-1] == "Step":
                found |= self.reached(function)
        return [e for e in self.kinds("Effect") if e in found]


def page(service, sources):
    """The text of a core's page."""
    core = Core(sources)
    events = next((s for s in sources if _SEAM.search(s.text)), None)
    lines = [f"# {service}: events and effects", "",
             "Made by `make docs` from the sources; not to be changed by hand. Effects are those "
             "that may", "follow in the same step, here or further down; several go out in the "
             "order in which they were made.", ""]
    if events is not None:
        lines += [f"The seam is `{events.path}`, which says what the shell promises.", ""]
    lines += ["| event | what it says | taken by | effects that may follow |",
              "| --- | --- | --- | --- |"]
    rows = list(core.rows())
    for row in rows:
        handlers = ", ".join(f"`{h}`" for h in row.handlers) or "–"
        effects = ", ".join(row.effects) or "–"
        lines.append(f"| {row.name} | {row.note} | {handlers} | {effects} |")
    always = core.always()
    if always:
        lines.append("| *each step* | deadlines that have passed, and what every step ends with | "
                     f"`Step` | {', '.join(always)} |")
    lines += ["", "| effect | what is to be done | may follow |", "| --- | --- | --- |"]
    for effect in core.kinds("Effect"):
        causes = [row.name for row in rows if effect in row.effects and ": " not in row.name]
        causes += ["*each step*"] if effect in always else []
        lines.append(f"| {effect} | {first_sentence(core.notes.get(effect, ''))} | "
                     f"{', '.join(causes) or '–'} |")
    return "\n".join(lines) + "\n"


def pages(sources):
    """Path of each page -> its text, from all C++ sources of the tree."""
    by_core = collections.defaultdict(list)
    for source in sources:
        match = re.match(r"services/(\w+)/core/", source.path)
        if match and not source.path.endswith("_test.cc") and \
                not re.search(r"/testing/|/test_|_harness\.h$|_fixture\.h$", source.path):
            by_core[match.group(1)].append(source)
    return {f"{FOLDER}/{service}.md": page(service, found)
            for service, found in sorted(by_core.items())
            if any(_SEAM.search(s.text) for s in found)}


def stale(sources, root):
    """What is to be said of pages that differ from the sources."""
    wanted = pages(sources)
    for path, text in wanted.items():
        if not (root / path).exists() or (root / path).read_text() != text:
            yield f"{path}: not up to date; run `make docs`"
    for path in sorted((root / FOLDER).glob("*.md")):
        if path.name != "README.md" and f"{FOLDER}/{path.name}" not in wanted:
            yield f"{FOLDER}/{path.name}: there is no such core"


def main(arguments):
    files = sorted(str(p.relative_to(ROOT)) for suffix in ("h", "cc")
                   for p in (ROOT / "services").glob(f"*/core/**/*.{suffix}"))
    sources = [cc_source.Source(f, (ROOT / f).read_text()) for f in files]
    if "--check" in arguments:
        breaks = list(stale(sources, ROOT))
        print("\n".join(breaks), end="\n" if breaks else "")
        return 1 if breaks else 0
    (ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
    for path, text in pages(sources).items():
        (ROOT / path).write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
