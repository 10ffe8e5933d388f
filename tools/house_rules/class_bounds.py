"""A class is bounded by what it holds and does, not a file by its lines.

Counts every method that is written out (not `= default`, `= delete`) and every member that is not
static. A struct without private members is a row or a configuration: it may be as wide as what it
describes, as long as it does little.
"""

from house_rules.allowances import Finding

MOST_METHODS = 40
MOST_MEMBERS = 20


def counts(one):
    """(methods, members) of a Class."""
    methods = sum(m.kind == "function" and m.given for m in one.members)
    members = sum(m.kind == "data" for m in one.members)
    return methods, members


def findings(sources):
    for source in sources:
        if source.path.endswith("_test.cc"):
            continue
        for one in source.classes:
            methods, members = counts(one)
            name = "::".join(filter(None, (one.owner, one.name))) or "(no name)"
            hides = any(m.access != "public" for m in one.members)
            for what, number, most in (("methods", methods, MOST_METHODS),
                                       ("members", members, MOST_MEMBERS)):
                if number > most and (what == "methods" or hides):
                    yield Finding(
                        f"{source.path} {name} {what}", number,
                        [f"{source.path}:{one.line}: {name} has {number} {what} (at most {most}); "
                         "split it by its nouns"])
