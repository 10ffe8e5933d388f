#!/bin/sh
# Makes the Python modules of Tessera's contracts.
#   generate_stubs.sh OUT_DIR
# Put OUT_DIR on the module path and import `protos.tessera.scheduler.v1.scheduler_service_pb2`.
set -eu
out=${1:?usage: generate_stubs.sh OUT_DIR}
root=$(cd "$(dirname "$0")/../../.." && pwd)
plugin=$(command -v grpc_python_plugin) || {
  echo "generate_stubs.sh: grpc_python_plugin is missing: install protobuf-compiler-grpc" >&2
  exit 1
}
mkdir -p "$out"
cd "$root"
# shellcheck disable=SC2046
protoc -I. --python_out="$out" --grpc_out="$out" --plugin=protoc-gen-grpc="$plugin" \
  $(find protos/tessera -name '*.proto')
