#!/bin/bash
# Every sample flag file is understood by its binary, whose --help says what each flag is for.
set -euo pipefail

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

for service in registry allocator master state agent; do
  binary=services/$service/$service-svc
  file=deploy/systemd/$service.flags
  [[ -x $binary ]] || fail "$binary is not built"

  help=$("$binary" --flagfile="$file" --help) || fail "$binary does not understand $file"
  grep -q "^Usage: $service-svc " <<<"$help" || fail "$binary --help has no usage line"
  # Each line that names a flag has a default, and an explanation below it.
  awk '/^  --/ { if (wants) exit 1; wants = 1
                 if ($0 !~ /default:/ && $1 != "--help" && $1 != "--version") exit 1; next }
       /^      / { wants = 0 }
       END { if (wants) exit 1 }' <<<"$help" ||
    fail "$binary --help leaves a flag without default or explanation"

  "$binary" --version | grep -qE "^$service-svc [0-9]+\.[0-9]+\.[0-9]+$" ||
    fail "$binary --version prints no version"
  code=0
  "$binary" --no_such_flag=1 2>"$TEST_TMPDIR/error" || code=$?
  [[ $code == 2 ]] || fail "$binary takes an unknown flag with exit code $code"
  grep -q "unknown flag --no_such_flag" "$TEST_TMPDIR/error" ||
    fail "$binary does not name the unknown flag: $(<"$TEST_TMPDIR/error")"
done
echo "5 flag files are good"
