"""The rules that every package of this tree uses, so that flags change in one place."""

_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-sign-compare",
    # gcc 12 sees dangling and uninitialised reads inside inlined library code that are none.
    "-Wno-maybe-uninitialized",
    "-Wno-array-bounds",
    "-Wno-stringop-overflow",
    "-Wno-stringop-overread",
    "-Wno-restrict",
    # Designated initialisers leave the rest at their defaults: that is what they are for.
    "-Wno-missing-field-initializers",
]

# Generated code is not ours to lint.
_GENERATED_COPTS = ["-w"]

# Packages that are made for everybody; each folder's README says what may enter. Everything else
# is for the service (or program) whose folder it is in, and for those that run whole systems.
_FOR_EVERYBODY = [
    "protos",
    "sdk/cpp",
    "services/auth",
    "services/base",
    "services/feed",
    "services/http",
    "services/model",
    "services/rpc",
]

def _visibility(said, also_for = []):
    """Who may depend on a target of this package, unless it says so itself (`said`).

    Args:
      said: the target's own list, or None.
      also_for: packages outside that are let in one by one, e.g. because their tests run the
        real neighbour.
    """
    if said != None:
        return said
    package = native.package_name()
    for shared in _FOR_EVERYBODY:
        # What an SDK is made of is its own business.
        if package == shared or (package.startswith(shared + "/") and shared != "sdk/cpp"):
            return ["//visibility:public"]
    parts = package.split("/")
    if parts[0] == "services" and parts[-1] == "client":
        return ["//visibility:public"]  # how others call the service
    owner = "/".join(parts[:2] if parts[0] in ("services", "sdk") else parts[:1])
    return ["//%s:__subpackages__" % owner, "//tools:whole_systems"] + also_for

def tessera_alias(name, actual, visibility = None):
    """Another name for a target, seen by those who see the package."""
    native.alias(name = name, actual = actual, visibility = _visibility(visibility))

def tessera_cc_library(name, srcs = [], hdrs = [], deps = [], copts = [], **kwargs):
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        copts = _COPTS + copts,
        linkstatic = True,
        visibility = _visibility(kwargs.pop("visibility", None), kwargs.pop("also_for", [])),
        **kwargs
    )

def tessera_cc_binary(name, srcs = [], deps = [], copts = [], **kwargs):
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        copts = _COPTS + copts,
        visibility = _visibility(kwargs.pop("visibility", None)),
        **kwargs
    )

def tessera_cc_test(
        name,
        srcs = None,
        deps = [],
        copts = [],
        size = "small",
        main = True,
        **kwargs):
    """A GoogleTest. `main = False` when the sources bring their own main()."""
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        size = size,
        deps = deps + ["@system_libs//:gtest_main" if main else "@system_libs//:gtest"],
        copts = _COPTS + copts,
        linkstatic = True,
        **kwargs
    )

def tessera_cc_benchmark(name, srcs = None, deps = [], copts = [], **kwargs):
    """A program that measures; `make bench-<part>` runs it.

    It prints `figure <name> <value> <unit>` for each figure.
    """
    native.cc_binary(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        deps = deps + ["@system_libs//:benchmark"],
        copts = _COPTS + copts,
        testonly = kwargs.pop("testonly", True),
        visibility = _visibility(kwargs.pop("visibility", None)),
        **kwargs
    )

def tessera_proto(srcs = [], services = [], deps = []):
    """The contracts of one package, once per BUILD file.

    Makes `:messages` (protobuf only) of srcs and services, and `:grpc` (stubs) when there are
    services; `:protos` is the .proto files with those they import.

    Args:
      srcs: .proto files with messages only.
      services: .proto files that define a service.
      deps: packages of imported .proto files, e.g. "//protos/tessera/model/v1".
    """
    package = native.package_name()
    every = srcs + services
    stems = [f[:-len(".proto")] for f in every]
    service_stems = [f[:-len(".proto")] for f in services]
    visibility = _visibility(None)

    native.filegroup(
        name = "protos",
        srcs = every + [d + ":protos" for d in deps],
        visibility = visibility,
    )

    native.genrule(
        name = "messages_code",
        srcs = [":protos"],
        tools = ["@system_libs//:protoc"],
        outs = [s + ".pb.cc" for s in stems] + [s + ".pb.h" for s in stems],
        cmd = "/usr/bin/protoc -I. --cpp_out=$(GENDIR) " +
              " ".join([package + "/" + f for f in every]),
    )
    native.cc_library(
        name = "messages",
        srcs = [s + ".pb.cc" for s in stems],
        hdrs = [s + ".pb.h" for s in stems],
        copts = _GENERATED_COPTS,
        linkstatic = True,
        deps = [d + ":messages" for d in deps] + ["@system_libs//:protobuf"],
        visibility = visibility,
    )

    if services:
        native.genrule(
            name = "grpc_code",
            srcs = [":protos"],
            tools = ["@system_libs//:protoc"],
            outs = [s + ".grpc.pb.cc" for s in service_stems] +
                   [s + ".grpc.pb.h" for s in service_stems],
            cmd = "/usr/bin/protoc -I. --grpc_out=$(GENDIR) " +
                  "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " +
                  " ".join([package + "/" + f for f in services]),
        )
        native.cc_library(
            name = "grpc",
            srcs = [s + ".grpc.pb.cc" for s in service_stems],
            hdrs = [s + ".grpc.pb.h" for s in service_stems],
            copts = _GENERATED_COPTS,
            linkstatic = True,
            deps = [":messages", "@system_libs//:grpcxx"],
            visibility = visibility,
        )

def tessera_script_test(name, script, data = [], size = "small", **kwargs):
    """A test that is a program of its own, in bash or Python (`#!/usr/bin/python3`).

    It runs in the runfiles' root, so `data` is found under its path in the tree.
    """
    native.sh_test(
        name = name,
        srcs = [script],
        data = data,
        size = size,
        **kwargs
    )
