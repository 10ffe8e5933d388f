#!/usr/bin/python3
"""Keeps the contracts in protos/ compatible.

  check_protos.py           compares protos/ with the committed descriptor set
  check_protos.py --accept  makes today's protos/ the committed descriptor set

A service talks to neighbours one minor version older and newer, and frameworks are built by other
people: what has been published stays. `check` fails on a breaking change, on a break of the house
rules for contracts, and when the committed set is not up to date.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMITTED = ROOT / "protos" / "descriptors.binpb"

_FIELD = descriptor_pb2.FieldDescriptorProto


def compile_protos(root):
    """The descriptor set of every .proto file below root/protos."""
    files = sorted(str(p.relative_to(root)) for p in (root / "protos").rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", "-I.", f"--descriptor_set_out={out.name}", *files],
                       cwd=root, check=True)
        return parse_set(pathlib.Path(out.name).read_bytes())


def parse_set(data):
    descriptor_set = descriptor_pb2.FileDescriptorSet()
    descriptor_set.ParseFromString(data)
    return descriptor_set


def _messages(descriptor_set):
    """Every message by full name, nested ones and the entries of maps included."""
    found = {}

    def add(prefix, messages):
        for message in messages:
            name = f"{prefix}.{message.name}"
            found[name] = message
            add(name, message.nested_type)

    for file in descriptor_set.file:
        add(file.package, file.message_type)
    return found


def _enums(descriptor_set):
    found = {}
    for file in descriptor_set.file:
        for enum in file.enum_type:
            found[f"{file.package}.{enum.name}"] = enum
    for name, message in _messages(descriptor_set).items():
        for enum in message.enum_type:
            found[f"{name}.{enum.name}"] = enum
    return found


def _services(descriptor_set):
    return {f"{file.package}.{service.name}": service
            for file in descriptor_set.file for service in file.service}


def _type_of(field):
    if field.type_name:
        return field.type_name
    return _FIELD.Type.Name(field.type)


def _oneof_of(message, field):
    """The oneof that a field is in, "" for none; proto3 `optional` is not one."""
    if not field.HasField("oneof_index") or field.proto3_optional:
        return ""
    return message.oneof_decl[field.oneof_index].name


def _reserved_numbers(message):
    return {n for r in message.reserved_range for n in range(r.start, min(r.end, r.start + 10000))}


def _compare_message(name, old, new):
    new_fields = {f.number: f for f in new.field}
    for field in old.field:
        now = new_fields.get(field.number)
        where = f"{name}.{field.name}"
        if now is None:
            moved = [f for f in new.field if f.name == field.name]
            yield (f"{where}: renumbered from {field.number} to {moved[0].number}" if moved else
                   f"{where}: removed (number {field.number})")
            continue
        if now.name != field.name:
            yield f"{where}: renamed to {now.name}"
        if _type_of(now) != _type_of(field):
            yield f"{where}: type changed from {_type_of(field)} to {_type_of(now)}"
        if (now.label == _FIELD.LABEL_REPEATED) != (field.label == _FIELD.LABEL_REPEATED):
            yield f"{where}: changed between single and repeated"
        if _oneof_of(new, now) != _oneof_of(old, field):
            yield f"{where}: moved into or out of a oneof"
    freed = _reserved_numbers(old) - _reserved_numbers(new)
    if freed:
        yield f"{name}: numbers {sorted(freed)} are no longer reserved"


def _compare_service(name, old, new):
    new_methods = {m.name: m for m in new.method}
    for method in old.method:
        now = new_methods.get(method.name)
        where = f"{name}.{method.name}"
        if now is None:
            yield f"{where}: rpc removed"
            continue
        if now.input_type != method.input_type or now.output_type != method.output_type:
            yield f"{where}: request or response type changed"
        if (now.client_streaming, now.server_streaming) != (method.client_streaming,
                                                            method.server_streaming):
            yield f"{where}: streaming changed"


def breaking_changes(old, new):
    """What users of `old` can no longer rely on in `new`, one sentence each."""
    changes = []
    new_messages, new_enums, new_services = _messages(new), _enums(new), _services(new)
    for name, message in _messages(old).items():
        if name not in new_messages:
            changes.append(f"{name}: message removed")
        else:
            changes.extend(_compare_message(name, message, new_messages[name]))
    for name, enum in _enums(old).items():
        if name not in new_enums:
            changes.append(f"{name}: enum removed")
            continue
        values = {v.number: v.name for v in new_enums[name].value}
        for value in enum.value:
            if value.number not in values:
                changes.append(f"{name}.{value.name}: enum value {value.number} removed")
            elif values[value.number] != value.name:
                changes.append(
                    f"{name}.{value.name}: enum value renamed to {values[value.number]}")
    for name, service in _services(old).items():
        if name not in new_services:
            changes.append(f"{name}: service removed")
        else:
            changes.extend(_compare_service(name, service, new_services[name]))
    return changes


def rule_breaks(descriptor_set):
    """Breaks of the house rules for contracts, one sentence each."""
    breaks = []
    used_types = {}
    for file in descriptor_set.file:
        folder = os.path.dirname(file.name).removeprefix("protos/").replace("/", ".")
        if file.package != folder:
            breaks.append(f"{file.name}: package {file.package} does not agree with its folder")
        if len(file.service) > 1:
            breaks.append(f"{file.name}: more than one service in a file")
        for service in file.service:
            for method in service.method:
                rpc = f"{service.name}.{method.name}"
                for kind in (method.input_type, method.output_type):
                    if kind in used_types:
                        breaks.append(f"{rpc}: shares {kind} with {used_types[kind]}")
                    used_types[kind] = rpc
    for name, enum in _enums(descriptor_set).items():
        if enum.value[0].number != 0 or not enum.value[0].name.endswith("_UNSPECIFIED"):
            breaks.append(f"{name}: the first value must be ..._UNSPECIFIED = 0")
    return breaks


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true",
                        help="write protos/descriptors.binpb from today's protos")
    parser.add_argument("--allow-breaking", action="store_true",
                        help="with --accept: accept breaking changes as well")
    options = parser.parse_args(arguments)

    today = compile_protos(ROOT)
    committed = parse_set(COMMITTED.read_bytes()) if COMMITTED.exists() else parse_set(b"")
    problems = rule_breaks(today)
    changes = breaking_changes(committed, today)
    if not options.allow_breaking:
        problems += [f"breaking: {change}" for change in changes]
    if problems:
        print("\n".join(problems), file=sys.stderr)
        if changes and not options.allow_breaking:
            print("Keep the old form and add beside it. For a removal that nobody can miss: "
                  "reserve number and name, then `make protos-accept ALLOW_BREAKING=1`.",
                  file=sys.stderr)
        return 1
    if options.accept:
        COMMITTED.write_bytes(today.SerializeToString(deterministic=True))
        print(f"{COMMITTED.relative_to(ROOT)}: {len(_messages(today))} messages, "
              f"{len(_services(today))} services")
        return 0
    if committed != today:
        print(f"{COMMITTED.relative_to(ROOT)} is not up to date: run `make protos-accept` and "
              "commit it with the change", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
