#!/usr/bin/python3
"""Every service's /metrics is well-formed, and a real Prometheus scrapes and answers."""

import json
import re
import shutil
import socket
import subprocess
import unittest
import urllib.parse

import cluster

KINDS = ("registry", "allocator", "master", "state", "agent")
ACCEPTED = 'tessera_framework_offers_total{outcome="accepted"}'


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@cluster.needs_root
@unittest.skipIf(shutil.which("prometheus") is None, "Debian's prometheus is not installed")
class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(cluster.LocalCluster(agents=1))
        cls.cluster.await_agents()
        # A framework with a name that needs escaping; it lives as long as the tests.
        cls.framework = subprocess.Popen(
            cls.cluster.argv("run", '--name=fancy "name" \\ here', "--count=2", "sleep 100"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        cls.addClassCleanup(cls.framework.wait)
        cls.addClassCleanup(cls.framework.terminate)

        def running():
            states = [t["task"]["state"] for t in cls.cluster.json("tasks")]
            return states.count("TASK_RUNNING") == 2

        cluster.wait_for(running, 20, "two running tasks", pause=0.2)

    def service(self, kind):
        return "agent-1" if kind == "agent" else kind

    def test_promtool_accepts_every_service(self):
        for kind in KINDS:
            with self.subTest(service=kind):
                text = cluster.http_get(
                    self.cluster.address(self.service(kind), "http"), "/metrics"
                )
                samples = [x for x in text.splitlines() if x and not x.startswith("#")]
                self.assertGreater(len(samples), 5)
                names = {re.split(r"[{ ]", s)[0] for s in samples}
                self.assertTrue(any(n.startswith("tessera_") for n in names), names)
                check = subprocess.run(
                    ["promtool", "check", "metrics"],
                    input=text,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                self.assertEqual(check.returncode, 0, check.stdout + check.stderr)

    def test_every_service_is_healthy(self):
        for kind in KINDS:
            with self.subTest(service=kind):
                address = self.cluster.address(self.service(kind), "http")
                self.assertTrue(cluster.http_get(address, "/healthz"))

    def prometheus_config(self):
        """deploy's scrape config with this cluster's addresses and a shorter interval."""
        text = (cluster.ROOT / "deploy/prometheus/prometheus.yml").read_text()
        text = re.sub(r"scrape_interval: \w+", "scrape_interval: 1s", text)
        text = re.sub(r"scrape_timeout: \w+", "scrape_timeout: 1s", text)
        for kind in KINDS[:-1]:
            text, count = re.subn(
                rf'(job_name: tessera-{kind}\n.*?targets: \[")[^"]*("\])',
                rf"\g<1>{self.cluster.address(kind, 'http')}\g<2>",
                text,
                flags=re.S,
            )
            self.assertEqual(count, 1, kind)
        folder = self.cluster.folder / "prometheus"
        folder.mkdir()
        (folder / "prometheus.yml").write_text(text)
        targets = [{"targets": [self.cluster.address("agent-1", "http")], "labels": {"cell": "x"}}]
        (folder / "agents.json").write_text(json.dumps(targets))
        return folder

    def test_prometheus_answers_a_query_of_accepted_offers(self):
        folder = self.prometheus_config()
        port = free_port()
        log = open(folder / "log", "wb")
        self.addCleanup(log.close)
        prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.terminate)

        def query(expression):
            path = "/api/v1/query?query=" + urllib.parse.quote(expression)
            try:
                answer = json.loads(cluster.http_get(f"127.0.0.1:{port}", path, timeout=2))
            except OSError:
                return []
            return answer["data"]["result"]

        up = cluster.wait_for(
            lambda: [r for r in query("up == 1") if len(query("up == 1")) == len(KINDS)],
            20,
            "a scrape of every service",
            pause=0.3,
        )
        self.assertEqual({r["metric"]["job"] for r in up}, {f"tessera-{k}" for k in KINDS})

        accepted = cluster.wait_for(lambda: query(ACCEPTED), 10, "accepted offers", pause=0.3)
        values = {r["metric"].get("framework_id"): float(r["value"][1]) for r in accepted}
        framework = self.cluster.json("frameworks")[0]["framework"]["info"]
        self.assertIn(framework["id"], values)
        self.assertGreaterEqual(values[framework["id"]], 1)
        rate = f"sum(rate({ACCEPTED}[1m])) >= 0"
        cluster.wait_for(lambda: query(rate), 10, "a second scrape", pause=0.3)


if __name__ == "__main__":
    cluster.main()
