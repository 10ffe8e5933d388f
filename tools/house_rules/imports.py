"""Who includes whom: rooms (folders), the arrows between them, and those that point back.

`lint.py --rooms` prints the house: rooms by floors, each with the rooms beneath that it includes
and how often.

Rules: no room includes another service's inside (its client/ is none); there is no circle between
rooms, nor between the files of a room (foo.h and foo.cc are one). Tests are no part of the house.
"""

import collections
import posixpath
import re

from house_rules import allowances
from house_rules.allowances import Finding

# Floors of what everybody may use, lowest first; everything of this tree that is not here belongs
# to the service or program whose folder it is in.
SHARED = ("protos", "services/base", "services/model", "services/auth", "services/rpc",
          "services/http", "services/feed")
# Programs that run whole systems may look into all of them.
OUTSIDE = ("tests", "bench")


def room_of(path):
    """The folder that a file belongs to: a service's part, a shared library, a program's part."""
    for shared in SHARED:
        if path.startswith(shared + "/"):
            return shared
    if posixpath.basename(path) == "main.cc":
        return path  # the one file that names every part
    parts = posixpath.dirname(path).split("/")
    return "/".join(parts[:3] if parts[0] in ("services", "sdk") else parts[:2])


def owner_of(path):
    """The service, library or program that the file is a part of."""
    for shared in SHARED:
        if path.startswith(shared + "/"):
            return shared
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("services", "sdk") else parts[0]


def stem_of(path):
    return re.sub(r"\.(h|cc)$", "", path)


def _is_ours(path):
    return path.split("/")[0] in ("services", "sdk", "cli", "bench", "tests", "protos") and \
        not path.endswith((".pb.h",))


def arrows(sources, test_only):
    """(file, included file) of everything that is not a test."""
    for source in sources:
        if source.path.endswith("_test.cc") or source.path in test_only:
            continue
        for _, header, system in source.includes:
            if not system and _is_ours(header):
                yield source.path, header


def foreign(sources, test_only):
    """(subject, message) for each include of another service's inside."""
    for source in sources:
        is_test = source.path.endswith("_test.cc") or source.path in test_only
        mine = owner_of(source.path)
        if mine in OUTSIDE:
            continue
        for line, header, system in source.includes:
            if system or not _is_ours(header):
                continue
            theirs = owner_of(header)
            if theirs in (mine, *SHARED) or room_of(header) == f"{theirs}/client":
                continue  # a service's client is made for others
            subject = f"{mine} -> {room_of(header)}" + (" in tests" if is_test else "")
            yield subject, f"{source.path}:{line}: includes the inside of {theirs}: {header}"


def circles(edges):
    """Groups of nodes that reach each other, from `edges`: node -> nodes. Tarjan's, without
    recursion."""
    index, low, on_stack = {}, {}, set()
    stack, found = [], []
    for root in sorted(edges):
        if root in index:
            continue
        work = [(root, iter(sorted(edges.get(root, ()))))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, children = work[-1]
            for child in children:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    on_stack.add(child)
                    work.append((child, iter(sorted(edges.get(child, ())))))
                    break
                if child in on_stack:
                    low[node] = min(low[node], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = set()
                    while True:
                        one = stack.pop()
                        on_stack.discard(one)
                        group.add(one)
                        if one == node:
                            break
                    if len(group) > 1:
                        found.append(group)
    return found


def back_arrows(pairs, unit):
    """[((from, to), includes)] that point back, where `unit` names the node of a file.

    Of each circle the thinnest arrow is taken out, until there is none: those are the back ones.
    """
    includes = collections.defaultdict(list)
    for source, header in pairs:
        one, other = unit(source), unit(header)
        if one != other:
            includes[(one, other)].append((source, header))
    back = []
    while True:
        edges = collections.defaultdict(set)
        for one, other in includes:
            edges[one].add(other)
        found = circles(edges)
        if not found:
            return back
        for group in found:
            inside = [(len(files), pair) for pair, files in includes.items()
                      if pair[0] in group and pair[1] in group]
            _, pair = min(inside)
            back.append((pair, includes.pop(pair)))


def findings(sources, test_only):
    pairs = list(arrows(sources, test_only))
    yield from allowances.by_subject(foreign(sources, test_only))
    for (one, other), files in back_arrows(pairs, room_of):
        yield Finding(f"{one} -> {other}", len(files),
                      [f"{a}: includes {b}, against the direction of the house" for a, b in files])
    within = [(a, b) for a, b in pairs if room_of(a) == room_of(b)]
    for (one, other), files in back_arrows(within, stem_of):
        yield Finding(f"{one} -> {other}", len(files),
                      [f"{a}: includes {b}, and there is a way back" for a, b in files])
    for index, shared in enumerate(SHARED):
        for a, b in pairs:
            if owner_of(a) == shared and owner_of(b) not in SHARED[:index + 1]:
                yield Finding(f"{a} -> {b}", 1, [f"{a}: {shared} may not know {b}"])


def floors(pairs):
    """Rooms by floors, lowest first: each room stands above all that it includes."""
    below = collections.defaultdict(set)
    rooms = set()
    back = {pair for pair, _ in back_arrows(pairs, room_of)}
    for source, header in pairs:
        one, other = room_of(source), room_of(header)
        rooms |= {one, other}
        if one != other and (one, other) not in back:
            below[one].add(other)
    height = {}

    def stand(room):
        if room not in height:
            height[room] = 1 + max((stand(other) for other in below[room]), default=-1)
        return height[room]

    levels = collections.defaultdict(list)
    for room in sorted(rooms):
        levels[stand(room)].append(room)
    return [levels[i] for i in sorted(levels)]


def drawing(sources, test_only):
    """The house as text."""
    pairs = list(arrows(sources, test_only))
    count = collections.Counter((room_of(a), room_of(b)) for a, b in pairs
                                if room_of(a) != room_of(b))
    back = [pair for pair, _ in back_arrows(pairs, room_of)]
    lines = []
    for level, rooms in reversed(list(enumerate(floors(pairs)))):
        lines.append(f"floor {level}")
        for room in rooms:
            below = [f"{other} {n}" for (one, other), n in sorted(count.items())
                     if one == room and (one, other) not in back]
            lines.append(f"  {room}" + (f" -> {', '.join(below)}" if below else ""))
    arrows_back = [f"  {one} -> {other} {count[(one, other)]}" for one, other in back]
    lines.append(f"{len(floors(pairs))} floors, {len(count)} arrows, {len(back)} back")
    return "\n".join(lines + arrows_back)


def dot(sources, test_only):
    """The house for graphviz."""
    pairs = list(arrows(sources, test_only))
    count = collections.Counter((room_of(a), room_of(b)) for a, b in pairs
                                if room_of(a) != room_of(b))
    back = {pair for pair, _ in back_arrows(pairs, room_of)}
    lines = ["digraph house {", "  rankdir=BT; node [shape=box];"]
    for (one, other), n in sorted(count.items()):
        colour = ", color=red" if (one, other) in back else ""
        lines.append(f'  "{one}" -> "{other}" [label={n}{colour}];')
    return "\n".join(lines + ["}"])
