#!/usr/bin/python3
"""`tessera` on a real local cluster: what it runs, shows, passes on and leaves behind."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

import cluster


@cluster.needs_root
class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cluster.make_stubs(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.cluster = cls.enterClassContext(cluster.LocalCluster(agents=2))
        cls.cluster.await_agents()

    def background(self, *arguments):
        process = subprocess.Popen(
            self.cluster.argv(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def await_running(self, framework_name):
        """Id of the framework and of its first running task."""

        def running():
            frameworks = [
                f["framework"]["info"]["id"]
                for f in self.cluster.json("frameworks")
                if f["framework"]["info"]["name"] == framework_name
            ]
            for task in self.cluster.json("tasks"):
                record = task["task"]
                if record["framework_id"] in frameworks and record["state"] == "TASK_RUNNING":
                    return record["framework_id"], record["info"]["id"]
            return None

        return cluster.wait_for(running, 20, f"a running task of {framework_name}", pause=0.2)

    def test_status_shows_every_service(self):
        status = self.cluster.json("cluster", "status")
        names = [s["name"] for s in status["services"]]
        self.assertEqual(names, ["registry", "allocator", "master", "state", "agent-1", "agent-2"])
        self.assertTrue(all(s["running"] for s in status["services"]))
        table = self.cluster.tessera("cluster", "status")
        self.assertEqual(table.returncode, 0)
        self.assertIn("agent-2", table.stdout)

    def test_a_second_cluster_in_the_same_folder_is_refused(self):
        again = self.cluster.tessera("cluster", "up", f"--bin_dir={self.cluster.bin}")
        self.assertNotEqual(again.returncode, 0)
        self.assertIn("runs already", again.stderr)

    def test_run_passes_exit_status_and_output_on(self):
        result = self.cluster.tessera(
            "run", "--", "sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"
        )
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertIn("to stdout", result.stdout)
        self.assertIn("to stderr", result.stderr)

    def test_run_succeeds(self):
        result = self.cluster.tessera("run", "--", "true")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_run_tells_of_a_signal_as_shells_do(self):
        result = self.cluster.tessera("run", "kill -TERM $$")
        self.assertEqual(result.returncode, 128 + 15, result.stderr)

    def test_run_gives_environment_and_many_tasks(self):
        out = self.cluster.folder / "out"
        report = self.cluster.folder / "report.json"
        result = self.cluster.tessera(
            "run",
            "--count=6",
            "--env=GREETING=hello",
            f"--output_dir={out}",
            f"--report={report}",
            'echo "$GREETING"',
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        tasks = json.loads(report.read_text())["tasks"]
        self.assertEqual([t["state"] for t in tasks], ["TASK_FINISHED"] * 6)
        for task in tasks:
            self.assertEqual((out / f"{task['name']}.stdout").read_text(), "hello\n")

    def test_lists_agents(self):
        agents = self.cluster.json("agents")
        hostnames = sorted(a["agent"]["info"]["hostname"] for a in agents)
        self.assertEqual(hostnames, ["agent-1", "agent-2"])
        table = self.cluster.tessera("agents")
        self.assertEqual(table.returncode, 0)
        self.assertIn("connected", table.stdout)

    def test_logs_tasks_and_kill(self):
        process = self.background(
            "run", "--name=longrun", "echo started; echo bad >&2; exec sleep 40"
        )
        framework, task = self.await_running("longrun")
        record = next(
            t["task"] for t in self.cluster.json("tasks") if t["task"]["framework_id"] == framework
        )
        self.assertEqual(record["info"]["id"], task)
        self.assertEqual({r["name"] for r in record["resources"]}, {"cpus", "mem"})
        table = self.cluster.tessera("tasks", f"--framework={framework}")
        self.assertIn("running", table.stdout)

        def logged():
            logs = self.cluster.tessera("logs", f"--framework={framework}", task)
            return logs.returncode == 0 and logs.stdout == "started\n"

        cluster.wait_for(logged, 10, "the task's output", pause=0.2)
        errors = self.cluster.tessera("logs", "--stderr", f"--framework={framework}", task)
        self.assertEqual(errors.stdout, "bad\n")

        killed = self.cluster.tessera("kill", "--grace=1s", f"--framework={framework}", task)
        self.assertEqual(killed.returncode, 0, killed.stderr)
        process.wait(20)
        self.assertNotEqual(process.returncode, 0)
        self.assertIn("TASK_KILLED", process.stderr.read())

    def test_logs_from_the_end_and_on(self):
        go_on = self.cluster.folder / "go-on"
        process = self.background(
            "run",
            "--name=talker",
            f"echo first; echo second; while [ ! -e {go_on} ]; do sleep 0.1; done; echo third",
        )
        framework, task = self.await_running("talker")

        def logs(*flags):
            return self.cluster.tessera("logs", *flags, f"--framework={framework}", task).stdout

        cluster.wait_for(lambda: logs() == "first\nsecond\n", 10, "the task's output", pause=0.2)
        self.assertEqual(logs("--tail=7"), "second\n")
        self.assertEqual(logs("--tail=0"), "")
        self.assertEqual(logs("--tail=1000"), "first\nsecond\n")
        # What is written later comes, too, and the end of the task ends it.
        following = self.background("logs", "-f", "--tail=7", f"--framework={framework}", task)
        self.assertEqual(following.stdout.readline(), "second\n")
        self.assertIsNone(following.poll())
        go_on.touch()
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(following.wait(20), 0, following.stderr.read())
        self.assertEqual(following.stdout.read(), "third\n")

    def test_logs_of_what_comes_from_now_on(self):
        enough = self.cluster.folder / "enough"
        process = self.background(
            "run",
            "--name=counter",
            f"i=0; while [ ! -e {enough} ]; do i=$((i + 1)); echo $i; sleep 0.1; done",
        )
        framework, task = self.await_running("counter")
        command = ["logs", f"--framework={framework}", task]
        cluster.wait_for(
            lambda: "3\n" in self.cluster.tessera(*command).stdout, 10, "some lines", pause=0.2
        )
        newest = self.background(*command, "-f", "--tail=0")
        first = newest.stdout.readline()
        enough.touch()
        self.assertEqual(process.wait(20), 0)
        self.assertEqual(newest.wait(20), 0, newest.stderr.read())
        shown = first + newest.stdout.read()
        everything = self.cluster.tessera(*command).stdout
        self.assertTrue(everything.endswith(shown), (everything, shown))
        self.assertNotIn("1\n2\n3\n", shown)

    def test_frameworks_are_listed(self):
        process = self.background("run", "--name=listed", "--role=listed", "exec sleep 60")
        framework, _ = self.await_running("listed")

        def row(*flags):
            table = self.cluster.tessera("frameworks", *flags)
            self.assertEqual(table.returncode, 0, table.stderr)
            header, *lines = table.stdout.splitlines()
            self.assertEqual(header.split()[:6], "ID NAME STATE ROLES TASKS ENDED".split())
            return next((line.split() for line in lines if line.startswith(framework)), None)

        self.assertEqual(row()[1:6], ["listed", "active", "listed", "1", "0"])
        process.send_signal(signal.SIGINT)
        process.wait(20)
        # One that has ended is shown when asked for.
        cluster.wait_for(lambda: row() is None, 20, "the end of the framework", pause=0.2)
        self.assertEqual(row("--all")[1:3], ["listed", "completed"])

    def test_offers_are_listed(self):
        import grpc
        from protos.tessera.model.v1 import framework_pb2
        from protos.tessera.scheduler.v1 import scheduler_service_pb2 as api
        from protos.tessera.scheduler.v1 import scheduler_service_pb2_grpc as api_grpc

        # A framework that keeps what it is offered.
        channel = self.enterContext(grpc.insecure_channel(self.cluster.address("master")))
        info = framework_pb2.FrameworkInfo(name="holder", user="root", roles=["holder"])
        stream = api_grpc.SchedulerServiceStub(channel).Subscribe(
            api.SubscribeRequest(info=info), timeout=60
        )
        self.addCleanup(stream.cancel)
        events = (event for response in stream for event in response.events)
        framework = next(e for e in events if e.HasField("subscribed")).subscribed.framework_id
        offer = next(e for e in events if e.HasField("offers")).offers.offers[0]

        def row():
            table = self.cluster.tessera("offers", f"--framework={framework}")
            self.assertEqual(table.returncode, 0, table.stderr)
            header, *lines = table.stdout.splitlines()
            self.assertEqual(
                header.split(), "ID FRAMEWORK ROLE AGENT HOSTNAME RESOURCES".split()
            )
            return next((line.split() for line in lines if line.startswith(offer.id)), None)

        shown = cluster.wait_for(row, 10, "the offer", pause=0.2)
        self.assertEqual(shown[1:5], [framework, "holder", offer.agent_id, offer.hostname])
        self.assertTrue(shown[5].startswith("cpus:"), shown)
        self.assertIn(offer.id, self.cluster.tessera("offers").stdout)
        self.assertIn(offer.id, [o["id"] for o in self.cluster.json("offers")])
        nobody = self.cluster.tessera("offers", "--framework=nobody")
        self.assertEqual((nobody.returncode, len(nobody.stdout.splitlines())), (0, 1))

    def test_weights_are_set_and_listed(self):
        def rows(result):
            self.assertEqual(result.returncode, 0, result.stderr)
            header, *lines = result.stdout.splitlines()
            self.assertEqual(header.split(), "ROLE WEIGHT FRAMEWORKS ALLOCATED".split())
            return {line.split()[0]: line.split()[1] for line in lines}

        rows(self.cluster.tessera("weights", "heavy=2.5", "deep/role=0.5"))
        # Reads come from state-svc, which hears of it a moment later.
        wanted = {"heavy": "2.5", "deep/role": "0.5"}
        cluster.wait_for(
            lambda: wanted.items() <= rows(self.cluster.tessera("weights")).items(),
            10,
            "the weights",
            pause=0.2,
        )
        roles = [r["role"] for r in self.cluster.json("weights")]
        listed = {r["name"]: r["weight_milli"] for r in roles}
        self.assertEqual((listed["heavy"], listed["deep/role"]), ("2500", "500"))
        self.cluster.tessera("weights", "heavy=1", "deep/role=1")

    def test_quotas_are_set_listed_and_removed(self):
        def quota(*arguments):
            result = self.cluster.tessera("quota", *arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            return [line.split() for line in result.stdout.splitlines()[1:]]

        def shows(expected):
            cluster.wait_for(lambda: quota("show") == expected, 10, "the quotas", pause=0.2)

        quota("set", "team", "--guarantee=cpus:1;mem:64", "--limit=cpus:2;gpus:0")
        quota("set", "team/night", "--limit=cpus:0.5")
        shows([["team", "cpus:1", "mem:64", "cpus:2", "gpus:0", "-"],
               ["team/night", "-", "cpus:0.5", "-"]])
        for role, status, word in (
            ("team/day", 2, "more than the 1 of 'team'"),
            ("large", 1, "force"),
        ):
            refused = self.cluster.tessera("quota", "set", role, "--guarantee=cpus:1000000")
            self.assertEqual(refused.returncode, status)
            self.assertIn(word, refused.stderr)
        quota("set", "large", "--guarantee=cpus:1000000", "--force")
        quota("remove", "team", "team/night", "large")
        shows([])

    def test_state_sums_up(self):
        table = self.cluster.tessera("state")
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertIn("2 active", table.stdout)
        state = self.cluster.json("state")
        self.assertEqual(state["activated_slaves"], 2.0)

    def test_help_of_a_command_lists_its_flags_only(self):
        common = {"cluster_dir", "log_level", "log_verbosity", "flagfile", "help", "version"}
        overview = self.cluster.tessera("--help")
        self.assertEqual(overview.returncode, 0)
        self.assertIn("  cluster down ", overview.stdout)
        self.assertEqual(
            set(cluster.flags_of(overview.stdout)), common - {"flagfile", "help", "version"}
        )
        for words, own in (
            (("offers",), {"state", "timeout", "output", "framework"}),
            (("cluster", "down"), {"timeout", "purge"}),
            (("cluster", "up"), {"agents", "agent_resources", "bin_dir", "service_flag"}),
            (("kill",), {"master", "state", "timeout", "framework", "grace"}),
        ):
            with self.subTest(command=words):
                text = self.cluster.tessera(*words, "--help")
                self.assertEqual(text.returncode, 0, text.stderr)
                self.assertEqual(set(cluster.flags_of(text.stdout)), own | common)

    def test_help_of_every_binary_tells_default_and_unit(self):
        texts = {
            name: subprocess.run(
                [str(self.cluster.bin / name), "--help"],
                capture_output=True,
                text=True,
                timeout=20,
                check=True,
            ).stdout
            for name in ("master-svc", "allocator-svc", "registry-svc", "state-svc", "agent-svc")
        }
        for command in (("run",), ("logs",), ("kill",), ("agents",), ("cluster", "up")):
            texts["tessera " + " ".join(command)] = self.cluster.tessera(*command, "--help").stdout
        unit = r"number of|percent|duration|seed|in mib|least severe line|detail of the log"
        for name, text in texts.items():
            flags = cluster.flags_of(text)
            self.assertGreater(len(flags), 5, name)
            for flag, (default, what) in flags.items():
                if flag in ("help", "version"):
                    continue
                with self.subTest(binary=name, flag=flag):
                    self.assertTrue(default)
                    self.assertTrue(what)
                    if re.fullmatch(r"-?[\d.]+", default):
                        self.assertRegex(what.lower(), unit)
                    elif re.fullmatch(r"inf|-?([\d.]+(h|m|s|ms|us|ns))+", default):
                        self.assertRegex(what.lower(), r"duration")
                    elif re.search(r"listen|advertise", flag):
                        self.assertRegex(what, r"host:port")

    def test_says_what_is_wrong(self):
        for arguments, status, word in (
            (("nonsense",), 2, "unknown command"),
            (("run",), 2, "nothing to run"),
            (("run", "--no_such_flag=1", "true"), 2, "no_such_flag"),
            (("run", "--count=0", "true"), 2, "--count"),
            (("agents", "--count=2"), 2, "--count is no flag of tessera agents: it belongs to"),
            (("run", "--noall", "true"), 2, "it belongs to tessera frameworks and tessera tasks"),
            (("tasks", "--output=xml"), 2, "--output"),
            (("weights", "heavy=none"), 2, "ROLE=WEIGHT"),
            (("quota", "set", "a"), 2, "quota remove"),
            (("quota", "set", "a", "--limit=cpus"), 2, "--limit"),
            (("quota", "remove"), 2, "name the roles"),
            (("logs", "no-such-task"), 1, "no-such-task"),
            (("kill", "no-such-task"), 1, "no-such-task"),
        ):
            with self.subTest(arguments=arguments):
                result = self.cluster.tessera(*arguments)
                self.assertEqual(result.returncode, status, result.stderr)
                self.assertIn(word, result.stderr)

    def test_an_interrupted_run_ends_its_tasks(self):
        process = self.background("run", "--name=interrupted", "exec sleep 60")
        framework, _ = self.await_running("interrupted")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertIn("the framework and its tasks were ended", process.stderr.read())

        def gone():
            tasks = self.cluster.json("tasks")
            return not [t for t in tasks if t["task"]["framework_id"] == framework]

        cluster.wait_for(gone, 20, "the end of the tasks", pause=0.2)

    def test_zy_an_interrupted_run_does_not_claim_what_no_master_confirmed(self):
        process = self.background("run", "--name=unconfirmed", "exec sleep 60")
        self.await_running("unconfirmed")
        master = self.cluster.services()["master"]["pid"]
        os.kill(master, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(45), 130)
        finally:
            os.kill(master, signal.SIGCONT)
        said = process.stderr.read()
        self.assertNotIn("were ended", said)
        self.assertIn("may run on", said)
        self.cluster.await_agents()

    def test_zz_down_leaves_nothing(self):
        self.background("run", "--count=4", "sleep 50")
        cluster.wait_for(
            lambda: len([t for t in self.cluster.json("tasks")]) >= 4, 20, "tasks", pause=0.2
        )
        pids = [s["pid"] for s in self.cluster.services().values()]
        work_dirs = [self.cluster.dir / f"agent-{i}" / "work" for i in (1, 2)]
        for work_dir in work_dirs:
            self.assertTrue(cluster.cgroups_of_agent(work_dir))
        # A cluster that the environment names is another one: nothing of it is touched or needed.
        elsewhere = {"TESSERA_MASTER": "127.0.0.1:1", "TESSERA_STATE": "127.0.0.1:1"}
        down = self.cluster.down(environment=elsewhere)
        self.assertEqual(down.returncode, 0, down.stderr)
        self.assertFalse(self.cluster.dir.exists())
        cluster.wait_for(
            lambda: not [x for x in cluster.leftovers(self.cluster.dir) if " run" not in x],
            5,
            "the end of every process and mount",
        )
        for pid in pids:
            self.assertFalse(cluster.pathlib.Path(f"/proc/{pid}").exists())
        left = [cgroup for work_dir in work_dirs for cgroup in cluster.cgroups_of_agent(work_dir)]
        self.assertEqual(left, [])


if __name__ == "__main__":
    cluster.main()
