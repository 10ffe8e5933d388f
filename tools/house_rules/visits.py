"""No visit has a silent last branch: a new kind of event must not compile into a wrong answer.

Four forms let one through: a visitor for everything else which ignores what it is given; a template
beside overloads of the same name; `default:` in a switch over kinds that are all known; a chain of
holds_alternative and get_if, whose end takes or drops what nobody thought of. What is written
instead: a visit with one overload for each, so that the compiler names the one that is missing.
A switch over the names of a contract's enum (upper case) may have a default: a newer peer can send
what this one does not know.
"""

import re

_KIND = re.compile(r"k[A-Z]\w*$")
_ASKS = ("get_if", "holds_alternative")


def _skip(tokens, i, opener, closer):
    depth = 0
    while i < len(tokens):
        depth += (tokens[i] == opener) - (tokens[i] == closer)
        i += 1
        if depth == 0:
            return i
    return i


def catch_alls(source):
    """Visitors for the rest that do not look at it."""
    tokens, lines = source.tokens, source.lines
    for i, token in enumerate(tokens):
        if token != "Overloaded" or i + 1 == len(tokens) or tokens[i + 1] != "{":
            continue
        end = _skip(tokens, i + 1, "{", "}")
        depth = 0
        for j in range(i + 1, end):
            depth += (tokens[j] in "{([") - (tokens[j] in "})]")
            # A lambda of this visitor, not of one within it.
            if depth != 2 or tokens[j] != "[" or tokens[j - 1] not in ("{", ","):
                continue
            parameters = _skip(tokens, j, "[", "]")
            if parameters >= end or tokens[parameters] != "(":
                continue
            body = _skip(tokens, parameters, "(", ")")
            taken = tokens[parameters + 1:body - 1]
            if "auto" not in taken:
                continue
            name = taken[-1] if re.match(r"\w", taken[-1]) and taken[-1] != "auto" else None
            while body < end and tokens[body] != "{":
                body += 1
            if name is None or name not in tokens[body:_skip(tokens, body, "{", "}")]:
                yield lines[j], "a visitor for everything else that does not look at it"


def asked_members(source):
    """`if constexpr (requires …)`: what does not have the member gets the other branch."""
    tokens = source.tokens
    for i in range(len(tokens) - 2):
        if tokens[i] == "constexpr" and tokens[i + 1] == "(" and tokens[i + 2] == "requires":
            yield source.lines[i], "a branch for what lacks a member; name the kinds"


def template_overloads(source):
    """A template beside overloads of the same name in one class."""
    for one in source.classes:
        plain = {m.name for m in one.members if m.kind == "function" and not m.template}
        for member in one.members:
            if member.kind == "function" and member.template and member.name in plain and \
                    member.name not in (one.name, "operator"):
                yield member.line, (f"the template {member.name} takes whatever has no overload of "
                                    "its own")


def switch_defaults(source):
    """default: in a switch whose cases are all kinds of ours."""
    tokens = source.tokens
    for i, token in enumerate(tokens):
        if token != "switch":
            continue
        body = _skip(tokens, i + 1, "(", ")")
        depth = 0
        labels, default = [], None
        for j in range(body, _skip(tokens, body, "{", "}")):
            depth += (tokens[j] == "{") - (tokens[j] == "}")
            if depth == 1 and tokens[j] == "case":
                end = j + 1
                while tokens[end] != ":":
                    end += 1
                labels.append(tokens[j + 1:end])
            elif depth == 1 and tokens[j] == "default" and tokens[j + 1] == ":":
                default = j
        # Those of absl::StatusCode are not ours to list; new ones may come with a new library.
        if default is not None and any(_KIND.match(label[-1]) and "StatusCode" not in label
                                       for label in labels if label):
            yield source.lines[default], "default: in a switch over kinds; name them all"


def asked_chains(source):
    """if (get_if …) else if (get_if …) …"""
    tokens, lines = source.tokens, source.lines
    i = 0
    while i < len(tokens):
        if tokens[i] != "if" or (i and tokens[i - 1] == "else"):
            i += 1
            continue
        at, asked = i, 0
        while at < len(tokens) and tokens[at] == "if":
            condition = at + 1
            while tokens[condition] != "(":
                condition += 1
            end = _skip(tokens, condition, "(", ")")
            asked += any(word in tokens[condition:end] for word in _ASKS)
            if tokens[end] == "{":
                at = _skip(tokens, end, "{", "}")
            else:
                at = tokens.index(";", end) + 1
            if tokens[at:at + 2] != ["else", "if"]:
                break
            at += 1
        if asked > 1:
            yield lines[i], (f"asks a variant {asked} times in a chain, which passes over what it "
                             "does not name; visit it")
        i += 1


RULES = (catch_alls, asked_members, template_overloads, switch_defaults, asked_chains)


def pairs(sources, test_only):
    """(file, message) of each break outside of tests."""
    for source in sources:
        if source.path.endswith("_test.cc") or source.path in test_only or \
                "/testing/" in source.path:
            continue
        for rule in RULES:
            for line, why in rule(source):
                yield source.path, f"{source.path}:{line}: {why}"
