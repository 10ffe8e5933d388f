"""Reads C++ as far as house rules need it: what is declared where, with which members and bodies.

Not a compiler: it knows no types and expands no macros. It reads the C++ of this tree, which
clang-format has laid out, and goes on after what it does not understand. Preprocessor lines are
no code to it; `includes` keeps those that name files of the tree.
"""

import collections
import functools
import re

_NOISE = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<raw>R\"(?P<delimiter>[^(\s]*)\(.*?\)(?P=delimiter)\")"
    r"|(?P<string>\"(?:\\.|[^\"\\\n])*\")"
    r"|(?P<number>\b\d[\w.']*)"
    r"|(?P<char>'(?:\\.|[^'\\\n])+')", re.S)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|::|->\*?|\.\.\.|&&|\|\||<<=|<=>|[<=!>]=|\"\"|\n|\S")
_INCLUDE = re.compile(r"^#include (?:\"([^\"]+)\"|<([^>]+)>)", re.M)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.)*", re.M | re.S)
_WORD = re.compile(r"[A-Za-z_]\w*")
_MACRO = re.compile(r"[A-Z][A-Z0-9_]{2,}$")

# One declaration. `kind`: function, data, static (data), class, enum (enum class), names (an old
# enum) or alias. `owner`: the classes around it (or before its name in a definition outside of
# them), joined by "::". `body`: first and last token of the braces, None when it has none.
# `head`: of a function, its first token and the parentheses of its parameters; of data, its first
# token and its name.
# `given`: not = default or = delete. `overrides`: says `override`. `template`: has parameters.
Declaration = collections.namedtuple(
    "Declaration", "kind name owner line body given access template overrides head")
# A class with its members' declarations.
Class = collections.namedtuple("Class", "name owner line keyword members body")

_SKIPPED = ("using", "typedef", "static_assert", "friend", "extern")
_NOT_A_NAME = {"decltype", "alignas", "noexcept", "explicit", "requires", "__attribute__"}


def _blank(match):
    """Keeps the line breaks of what is taken out."""
    if match.group("number"):
        return match.group(0)
    kept = "\n" * match.group(0).count("\n")
    return kept if match.group("comment") else '""' + kept


def without_comments(text):
    """The text with comments gone and every string or character literal made ""."""
    return _NOISE.sub(_blank, text)


def comments(text):
    """(line, text) of each comment, in order."""
    found = []
    for match in _NOISE.finditer(text):
        if match.group("comment"):
            found.append((text.count("\n", 0, match.start()) + 1, match.group(0)))
    return found


class Source:
    """One file of C++. What is asked of it is worked out once."""

    def __init__(self, path, text):
        self.path = path
        self.text = text

    @functools.cached_property
    def code(self):
        """Without comments and literals, but with preprocessor lines."""
        return without_comments(self.text)

    @functools.cached_property
    def words(self):
        """How often each identifier occurs, in preprocessor lines, too."""
        return collections.Counter(_WORD.findall(self.code))

    @functools.cached_property
    def includes(self):
        """(line, path, is_system) of each #include."""
        return [(self.text.count("\n", 0, m.start()) + 1, m.group(1) or m.group(2), not m.group(1))
                for m in _INCLUDE.finditer(self.text)]

    @functools.cached_property
    def _tokens(self):
        code = _DIRECTIVE.sub(lambda m: "\n" * m.group(0).count("\n"), self.code)
        texts, lines = [], []
        line = 1
        for token in _TOKEN.findall(code):
            if token == "\n":
                line += 1
            else:
                texts.append(token)
                lines.append(line)
        return texts, lines

    @property
    def tokens(self):
        return self._tokens[0]

    @property
    def lines(self):
        """The line of each token."""
        return self._tokens[1]

    @functools.cached_property
    def _parsed(self):
        reader = _Reader(self.tokens, self.lines)
        reader.read_scope(0, "", None, None)
        return reader

    @property
    def declarations(self):
        return self._parsed.declarations

    @property
    def classes(self):
        return self._parsed.classes

    def body(self, declaration):
        """The tokens of a declaration's braces."""
        if declaration.body is None:
            return []
        return self.tokens[declaration.body[0]:declaration.body[1] + 1]


_CLOSER = {"(": ")", "{": "}", "[": "]"}


class _Reader:
    def __init__(self, tokens, lines):
        self.tokens = tokens
        self.lines = lines
        self.declarations = []
        self.classes = []

    def at(self, i):
        return self.tokens[i] if i < len(self.tokens) else ""

    def skip_balanced(self, i):
        """Index after the bracket that closes the one at i."""
        depth = 0
        while i < len(self.tokens):
            if self.tokens[i] in _CLOSER:
                depth += 1
            elif self.tokens[i] in ")}]":
                depth -= 1
                if depth == 0:
                    return i + 1
            i += 1
        return i

    def skip_angles(self, i):
        """Index after the > that closes the < at i; parentheses within are skipped."""
        depth = 0
        while i < len(self.tokens):
            token = self.tokens[i]
            if token in _CLOSER:
                i = self.skip_balanced(i)
                continue
            if token == "<":
                depth += 1
            elif token == ">":
                depth -= 1
                if depth == 0:
                    return i + 1
            elif token in (";", "}"):
                return i
            i += 1
        return i

    def skip_to_semicolon(self, i):
        """Index after the next ; or after a body that ends the declaration."""
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == ";":
                return i + 1
            if token == "{":
                end = self.skip_balanced(i)
                if self.at(end) != ";" and self.tokens[i - 1] in (")", "const", "noexcept"):
                    return end
                i = end
            elif token in _CLOSER:
                i = self.skip_balanced(i)
            elif token == "}":
                return i
            else:
                i += 1
        return i

    def read_scope(self, i, owner, members, keyword):
        """Reads declarations until the } of the scope. `members` takes those of a class."""
        access = "private" if keyword == "class" else "public"
        template = False
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == "}":
                return i
            if token == ";":
                i += 1
            elif token in ("public", "protected", "private") and self.at(i + 1) == ":":
                access = token
                i += 2
            elif token == "[" and self.at(i + 1) == "[":
                i = self.skip_balanced(i)
            elif token == "template":
                i = self.skip_angles(i + 1)
                template = True
                continue
            elif token in ("namespace", "inline") and "namespace" in self.tokens[i:i + 2]:
                i = self._read_namespace(i, owner)
            elif token == "extern" and self.at(i + 1) == '""' and self.at(i + 2) == "{":
                i = self.read_scope(i + 3, owner, None, None) + 1
            elif token in _SKIPPED and not (token == "extern" and self.at(i + 1) != "template"):
                if token == "using" and self.at(i + 2) == "=":
                    self._add(members, "alias", self.at(i + 1), owner, i + 1, None, access=access)
                i = self.skip_to_semicolon(i)
            elif token == "enum":
                i = self._read_enum(i, owner, members, access)
            elif token in ("class", "struct", "union") and self._opens_class(i):
                i = self._read_class(i, owner, members, access)
            else:
                i = max(i + 1, self._read_declaration(i, owner, members, access, template))
            template = False
        return i

    def _read_namespace(self, i, owner):
        while i < len(self.tokens) and self.tokens[i] not in ("{", ";", "="):
            i += 1
        if self.at(i) != "{":
            return self.skip_to_semicolon(i)
        return self.read_scope(i + 1, owner, None, None) + 1

    def _read_enum(self, i, owner, members, access):
        name = i + 1
        while self.at(name) in ("class", "struct"):
            name += 1
        end = name
        while self.at(end) not in ("{", ";", ""):
            end += 1
        if self.at(end) == "{":
            body = (end, self.skip_balanced(end) - 1)
            kind = "enum" if name > i + 1 else "names"
            self._add(members, kind, self.at(name), owner, name, body, access=access)
        return self.skip_to_semicolon(end)

    def _opens_class(self, i):
        """Whether the class at i is defined here, and is not a part of another declaration."""
        while i < len(self.tokens) and self.tokens[i] not in ("{", ";", "=", ")"):
            if self.tokens[i] == "<":
                i = self.skip_angles(i)
            elif self.tokens[i] == "(" and not _MACRO.match(self.tokens[i - 1]):
                return False
            elif self.tokens[i] in _CLOSER:
                i = self.skip_balanced(i)
            else:
                i += 1
        return self.at(i) == "{"

    def _read_class(self, i, owner, members, access):
        keyword = self.tokens[i]
        name = None
        i += 1
        while self.tokens[i] not in ("{", ":"):
            if self.tokens[i] == "<":
                i = self.skip_angles(i)
            elif self.tokens[i] in _CLOSER:
                i = self.skip_balanced(i)
            else:
                if self.tokens[i] not in ("final", "::") and not _MACRO.match(self.tokens[i]):
                    name = i
                i += 1
        while self.tokens[i] != "{":
            i = self.skip_angles(i) if self.tokens[i] == "<" else i + 1
        title = self.tokens[name] if name is not None else ""
        inner = f"{owner}::{title}" if owner else title
        own = []
        end = self.read_scope(i + 1, inner, own, keyword)
        body = (i, end)
        self.classes.append(Class(title, owner, self.lines[name if name else i], keyword, own,
                                  body))
        if title:
            self._add(members, "class", title, owner, name, body, access=access)
        if self.at(end + 1) not in (";", ""):
            # `struct { … } name;` declares a member as well.
            return self._read_declaration(end + 1, owner, members, access, False)
        return end + 1

    def _add(self, members, kind, name, owner, at, body, given=True, access="public",
             template=False, overrides=False, head=None):
        found = Declaration(kind, name, owner, self.lines[min(at, len(self.lines) - 1)], body,
                            given, access, template, overrides, head)
        self.declarations.append(found)
        if members is not None:
            members.append(found)

    def _read_declaration(self, i, owner, members, access, template):
        """A function or data at i; the index after it."""
        start = i
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == "operator":
                while self.at(i + 1) != "(" or self.tokens[i] == "operator":
                    i += 1
                    if self.at(i) == "(" and self.at(i + 1) == ")":
                        i += 1
                        break
                return self._read_function(i + 1, "operator", start, owner, members, access,
                                           template)
            if token == "<" and _WORD.fullmatch(self.tokens[i - 1]):
                i = self.skip_angles(i)
            elif token == "(":
                before = self.tokens[i - 1]
                if before in _NOT_A_NAME or self.at(i + 1) == "*":
                    i = self.skip_balanced(i)
                elif _MACRO.match(before):
                    if i - 1 == start:  # a macro that stands alone, with a body or without
                        i = self.skip_balanced(i)
                        return self.skip_balanced(i) if self.at(i) == "{" else i
                    i = self.skip_balanced(i)
                else:
                    return self._read_function(i, before, start, owner, members, access, template)
            elif token in (";", "=", "{", ":", ","):
                return self._read_data(i, start, owner, members, access)
            elif token == "[":
                if self.at(i + 1) == "[":
                    i = self.skip_balanced(i)
                else:
                    return self._read_data(i, start, owner, members, access)
            elif token == "}":
                return i
            else:
                i += 1
        return i

    def _read_data(self, i, start, owner, members, access):
        words = self.tokens[start:i]
        at = i - 1
        while at > start and (self.tokens[at] == ")" or _MACRO.match(self.tokens[at])):
            if self.tokens[at] == ")":  # ABSL_GUARDED_BY(mutex_)
                while at > start and self.tokens[at] != "(":
                    at -= 1
            at -= 1
        kind = "static" if "static" in words or members is None else "data"
        if _WORD.fullmatch(self.at(at)) and at > start:
            self._add(members, kind, self.tokens[at], owner, at, None, access=access,
                      head=(start, at, at))
        while i < len(self.tokens) and self.tokens[i] not in (";", "}"):
            if self.tokens[i] == "," and _WORD.fullmatch(self.at(i + 1)):
                self._add(members, kind, self.tokens[i + 1], owner, i + 1, None, access=access)
            if self.tokens[i] == "<" and _WORD.fullmatch(self.tokens[i - 1]):
                i = self.skip_angles(i)
            elif self.tokens[i] in _CLOSER:
                i = self.skip_balanced(i)
            else:
                i += 1
        return i + 1 if self.at(i) == ";" else i

    def _read_function(self, i, name, start, owner, members, access, template):
        """A function whose parameters open at i."""
        at = i - 1
        outer = []
        back = at - 1
        if self.at(back) == "~":
            name = "~" + name
            back -= 1
        while back > start and self.tokens[back] == "::" and back - 1 >= start:
            back -= 1
            if self.tokens[back] == ">":  # Table<Key>::Find
                depth = 0
                while back > start:
                    depth += {">": 1, "<": -1}.get(self.tokens[back], 0)
                    back -= 1
                    if depth == 0:
                        break
            if not _WORD.fullmatch(self.tokens[back]):
                break
            outer.insert(0, self.tokens[back])
            back -= 1
        if outer:
            owner = "::".join(([owner] if owner else []) + outer)
        head = (start, i, self.skip_balanced(i) - 1)
        i = head[2] + 1
        body = None
        given = True
        overrides = False
        while i < len(self.tokens):
            token = self.tokens[i]
            if token == ";":
                i += 1
                break
            if token == "=":
                given = self.at(i + 1) not in ("default", "delete")
                i += 2
            elif token == "{":
                body = (i, self.skip_balanced(i) - 1)
                i = body[1] + 1
                break
            elif token == ":":
                i = self._skip_initialisers(i + 1)
            elif token in ("(", "["):
                i = self.skip_balanced(i)
            elif token == "<" and _WORD.fullmatch(self.tokens[i - 1]):
                i = self.skip_angles(i)
            elif token == "}":
                break
            else:
                overrides |= token == "override"
                i += 1
        self._add(members, "function", name, owner, at, body, given, access, template, overrides,
                  head)
        return i

    def _skip_initialisers(self, i):
        """Index of the body's { after a constructor's list of initialisers."""
        while i < len(self.tokens):
            while self.at(i) not in ("(", "{", ""):
                i = self.skip_angles(i) if self.tokens[i] == "<" else i + 1
            i = self.skip_balanced(i)
            if self.at(i) == "...":
                i += 1
            if self.at(i) != ",":
                return i
            i += 1
        return i
