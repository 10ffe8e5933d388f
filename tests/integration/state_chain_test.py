#!/usr/bin/python3
"""State-svcs that list each other: each knows how old its state is, and that the master is gone."""

import signal
import subprocess
import unittest

import cluster

AGE = "tessera_state_snapshot_age_seconds"
FOLLOWING = "tessera_state_following"
TIMEOUT_SECONDS = 7


@cluster.needs_root
class StateChain(unittest.TestCase):
    def setUp(self):
        self.services = self.enterContext(cluster.Services())

    def await_all(self, states, name, holds, what):
        for state in states:
            cluster.wait_for(
                lambda s=state: (v := s.metric(name)) is not None and holds(v),
                60,
                f"{what} of {state.name}",
                pause=0.2,
            )

    def test_state_svcs_that_list_each_other_do_not_keep_one_another_fresh(self):
        registry, allocator = self.services.registry(), self.services.allocator()
        master = self.services.master(registry, allocator)
        timeout = f"--feed_timeout={TIMEOUT_SECONDS}s"
        first = self.services.state(master, name="state-1", flags=[timeout])
        # The second one follows the first, and never the master while the first has news of it.
        second = self.services.state(first, master, name="state-2", flags=[timeout])
        self.await_all([first, second], FOLLOWING, lambda v: v == 1, "following")
        self.assertEqual(first.metric("tessera_state_feed_hops"), 0)
        self.assertEqual(second.metric("tessera_state_feed_hops"), 1)
        # The first one is started anew, with the second one at the head of its list.
        first.stop()
        first.flags = [f"--feed={second.grpc},{master.grpc}", timeout]
        first.start()
        self.await_all([first, second], FOLLOWING, lambda v: v == 1, "following")

        master.kill()
        self.await_all([first, second], FOLLOWING, lambda v: v == 0, "the end of following")
        # From here on an age only grows, for as long as the master is away, whoever follows whom.
        for state in (first, second):
            age = state.metric(AGE)
            self.assertGreaterEqual(age, TIMEOUT_SECONDS)
            messages = state.metric("tessera_state_messages_sent_total")
            cluster.wait_for(
                lambda s=state, a=age: s.metric(AGE) >= a + TIMEOUT_SECONDS,
                60,
                f"an age of {state.name} that grows",
                pause=0.2,
            )
            self.assertEqual(state.metric(FOLLOWING), 0)
            # Nothing circulates: a few messages for each time that one dials the other.
            sent = state.metric("tessera_state_messages_sent_total") - messages
            self.assertLess(sent, 200)
            # What they hold is shown all the same.
            self.assertGreaterEqual(state.metric("tessera_state_snapshot_version"), 1)

        master.start()
        self.await_all([first, second], FOLLOWING, lambda v: v == 1, "following again")
        self.await_all([first, second], AGE, lambda v: v < TIMEOUT_SECONDS, "a small age")

    def test_a_state_svc_leaves_another_one_that_has_lost_the_master(self):
        registry, allocator = self.services.registry(), self.services.allocator()
        master = self.services.master(registry, allocator)
        timeout = f"--feed_timeout={TIMEOUT_SECONDS}s"
        relay = self.relay(master.grpc)
        near = self.services.start("state-1", "state-svc", f"--feed={relay.address}", timeout)
        self.await_all([near], FOLLOWING, lambda v: v == 1, "following")
        far = self.services.state(near, master, name="state-2", flags=[timeout])
        self.await_all([far], FOLLOWING, lambda v: v == 1, "following")
        self.assertEqual(far.metric("tessera_state_feed_hops"), 1)
        # The near one keeps its state, answers, and hears nothing of the master any more.
        relay.send_signal(signal.SIGSTOP)
        self.await_all([near], FOLLOWING, lambda v: v == 0, "the end of following")
        self.await_all([far], "tessera_state_feed_hops", lambda v: v == 0, "the way to the master")
        self.await_all([far], FOLLOWING, lambda v: v == 1, "following the master itself")
        self.assertGreaterEqual(near.metric(AGE), TIMEOUT_SECONDS)

    def relay(self, address):
        """A process that passes bytes on between a port of its own and an address."""
        relay = subprocess.Popen(
            ["/usr/bin/python3", "-c", RELAY, address], stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(relay.stdout.close)
        self.addCleanup(relay.wait)
        self.addCleanup(relay.kill)
        relay.address = relay.stdout.readline().strip()
        return relay


RELAY = """
import socket, sys, threading

host, port = sys.argv[1].rsplit(":", 1)
listener = socket.create_server(("127.0.0.1", 0))
print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)

def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

while True:
    client, _ = listener.accept()
    server = socket.create_connection((host, int(port)))
    for ends in ((client, server), (server, client)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
"""


if __name__ == "__main__":
    cluster.main()
