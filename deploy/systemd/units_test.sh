#!/bin/bash
# The units are what systemd understands, harden what can be hardened, and spare containers.
set -euo pipefail

readonly UNITS=deploy/systemd
readonly SERVICES=(registry allocator master state agent)
# systemd's own score of a unit, 0 (best) to 100.
readonly MOST_EXPOSED=20

root=$(mktemp -d "${TEST_TMPDIR:-/tmp}/units.XXXXXX")
trap 'rm -rf "$root"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# A machine of its own, with the distribution's units and stand-ins for the binaries.
mkdir -p "$root"/{usr/lib/tessera,usr/lib/systemd,etc/systemd/system}
cp -r /lib/systemd/system "$root/usr/lib/systemd/"
ln -s usr/lib "$root/lib"
for service in "${SERVICES[@]}"; do
  cp /bin/true "$root/usr/lib/tessera/$service-svc"
  cp -L "$UNITS/tessera-$service.service" "$root/etc/systemd/system/"
done

# Prints what systemd has to say about our unit; an unknown key is only a warning to it.
complaints() {
  systemd-analyze verify --man=no --recursive-errors=no --root="$root" "$1" 2>&1 |
    grep -F "$1" || true
}

for service in "${SERVICES[@]}"; do
  unit=tessera-$service.service
  found=$(complaints "$unit")
  [[ -z $found ]] || fail "$found"
  grep -q '^Type=notify$' "$root/etc/systemd/system/$unit" || fail "$unit is not Type=notify"
  [[ -f $UNITS/$service.flags ]] || fail "$service.flags is missing"
  [[ $service == agent ]] && continue
  systemd-analyze security --offline=yes --root="$root" --threshold=$MOST_EXPOSED "$unit" \
    >"$root/security" 2>&1 || fail "$unit is exposed: $(tail -1 "$root/security")"
done

agent=$root/etc/systemd/system/tessera-agent.service
grep -q '^KillMode=process$' "$agent" || fail "stopping the agent would stop its containers"
grep -q '^Delegate=yes$' "$agent" || fail "the agent's cgroups would not be its own"

# The check itself sees mistakes.
sed -i 's/^KillMode=process/KilMode=process/' "$agent"
[[ -n $(complaints tessera-agent.service) ]] || fail "an unknown key went unnoticed"
rm "$root/usr/lib/tessera/master-svc"
[[ -n $(complaints tessera-master.service) ]] || fail "a missing binary went unnoticed"
echo "5 units are good"
