#!/bin/bash
# Prometheus understands the scrape config, and every service is in it.
set -euo pipefail

readonly CONFIG=deploy/prometheus/prometheus.yml
promtool check config --lint-fatal "$CONFIG"
for service in registry allocator master state agent; do
  grep -q "job_name: tessera-$service$" "$CONFIG" || {
    echo "FAILED: tessera-$service is not scraped" >&2
    exit 1
  }
done

# The ports are those of the sample flag files.
for service in registry allocator master state agent; do
  address=$(sed -n 's/^--http_listen=//p' "deploy/systemd/$service.flags")
  grep -qF "\"$address\"" "$CONFIG" deploy/prometheus/agents.json || {
    echo "FAILED: nothing scrapes $address of $service" >&2
    exit 1
  }
done

# The check itself sees mistakes.
sed 's/scrape_interval/scrap_interval/' "$CONFIG" >"$TEST_TMPDIR/bad.yml"
if promtool check config "$TEST_TMPDIR/bad.yml" >/dev/null 2>&1; then
  echo "FAILED: an unknown key went unnoticed" >&2
  exit 1
fi
