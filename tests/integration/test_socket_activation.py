"""Sockets that systemd has opened (LISTEN_FDS): taken over by address or by name, shared by all workers, kept over
reloads."""
import fcntl
import os
import shutil
import socket
import sys

from lib.case import NodeCase
from lib.client import Client
from lib.node import Node, settings
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

# Runs as a child of the test: descriptors 3 and on are the sockets, and the pid is known only to it.
LAUNCHER = r"""
import os, sys
names, count = sys.argv[1], int(sys.argv[2])
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), LISTEN_FDNAMES=names)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class ActivatedNode(Node):
    """A node that is started with listening sockets, as systemd would."""

    def __init__(self, config, sockets, names):
        super().__init__(config)
        self.pass_fds = [s.fileno() for s in sockets]
        # Descriptors 3 and on in the child, whatever they are here: a shell's redirections move them.
        moves = " ".join("%d<&%d %d<&-" % (3 + i, fd, fd) for i, fd in enumerate(self.pass_fds))
        self.prefix = ["/bin/bash", "-c", 'exec "$@" ' + moves, "sh",
                       sys.executable, "-c", LAUNCHER, ":".join(names), str(len(sockets))]


class Activation(NodeCase):
    def listening(self, address=None, family=socket.AF_INET):
        s = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(s.close)
        s.bind(address if address is not None else (LOOPBACK, 0))
        s.listen(16)
        # So high that no redirection of the launcher overwrites another's source.
        high = socket.socket(family, socket.SOCK_STREAM, fileno=fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 20))
        self.addCleanup(high.close)
        s.close()
        return high

    def activated(self, config, sockets, names=None):
        node = ActivatedNode(config, sockets, names or ["s"] * len(sockets))
        self.addCleanup(node.stop)
        return node.start()

    def text(self, s):
        return "%s:%d" % s.getsockname()

    def test_a_socket_bound_to_the_address_is_taken_over(self):
        s = self.listening()
        waiting = Client(s.getsockname())  # connected before the node is there: nothing is lost
        self.addCleanup(waiting.close)
        origin = self.origin()
        node = self.activated(settings(origin, listen=[{"address": self.text(s)}]), [s])
        self.assertIn("listening on %s, inherited" % self.text(s), node.log())
        self.assert_status(waiting.ask(), 200)
        for _ in range(20):
            self.assert_status(node.get("/"), 200)

    def test_a_socket_is_taken_by_its_name(self):
        s, other = self.listening(), self.listening()
        origin = self.origin()
        config = settings(origin, listen=[{"address": "127.0.0.1:%d" % free_port()}, {"address": "systemd:web"}])
        node = self.activated(config, [other, s], ["spare", "web"])
        with Client(s.getsockname()) as client:
            self.assert_status(client.ask(), 200)
        self.assertIn("inherited socket %s (spare) is in no listen address: closed" % self.text(other), node.log())
        port = other.getsockname()[1]
        other.close()
        with self.assertRaises(ConnectionRefusedError):
            Client((LOOPBACK, port))

    def test_a_unix_socket_is_taken_and_stays_when_the_node_ends(self):
        path = "/tmp/weir-activation-%d.sock" % os.getpid()
        self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
        s = self.listening(path, socket.AF_UNIX)
        node = self.activated(settings(self.origin(), listen=[{"address": "unix:" + path}]), [s])
        self.assert_status(node.get("/"), 200)
        node.signal(15)
        self.assertEqual(node.wait(), 0)
        self.assertTrue(os.path.exists(path))

    def test_it_survives_reloads_and_comes_back(self):
        s = self.listening()
        with_it = settings(self.origin(), listen=[{"address": self.text(s)}])
        without = dict(with_it, listen=[{"address": "%s:%d" % (LOOPBACK, free_port())}])
        node = self.activated(with_it, [s])
        kept = Client(s.getsockname())
        self.addCleanup(kept.close)
        self.assert_status(kept.ask(), 200)
        self.assertTrue(node.reload(with_it))
        self.assert_status(kept.ask(), 200)
        with Client(s.getsockname()) as client:
            self.assert_status(client.ask(), 200)
        self.assertTrue(node.reload(without))
        self.assertTrue(node.reload(with_it))
        with Client(s.getsockname()) as client:
            self.assert_status(client.ask(), 200)

    def test_options_hold_for_it_too(self):
        s = self.listening()
        listen = [{"address": self.text(s), "proxy_protocol": ["127.0.0.0/8"]}]
        node = self.activated(settings(self.origin(), listen=listen), [s])
        client = self.client(node)
        client.send(b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2\r\n")
        self.assert_status(client.ask(), 200)

    def test_a_name_that_was_not_passed_on(self):
        node = Node(settings(self.origin(), listen=[{"address": "127.0.0.1:%d" % free_port()},
                                                    {"address": "systemd:web"}]))
        self.addCleanup(node.stop)
        node.expect_exit = 1
        node.spawn()
        self.assertNotEqual(node.wait(), 0)
        node.expect_exit = node.process.returncode
        self.assertIn("systemd:web: no socket of this name was passed on to us", node.log())

    def test_started_by_systemd_socket_activate(self):
        tool = shutil.which("systemd-socket-activate")
        if tool is None:
            self.skipTest("no systemd-socket-activate")
        port = free_port()
        node = Node(settings(self.origin(), listen=[{"address": "%s:%d" % (LOOPBACK, port)}]))
        self.addCleanup(node.stop)
        node.prefix = [tool, "--listen", "%s:%d" % (LOOPBACK, port), "--fdname", "web"]
        node.spawn()

        def first():
            try:
                return Client((LOOPBACK, port))
            except ConnectionRefusedError:
                return None
        client = wait_until(first, what="somebody listens")  # this connection starts the node
        self.addCleanup(client.close)
        self.assert_status(client.ask(), 200)
        self.assertIn(", inherited", node.log())
