"""What a listening address can be told: the kernel is asked, and accepted connections show it."""
import os
import re
import socket
import stat
import subprocess

from lib.case import NodeCase
from lib.client import Client
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until


class Options(NodeCase):
    def listening(self, **options):
        address = "%s:%d" % (LOOPBACK, free_port())
        return self.node(settings(self.origin(), listen=[dict(address=address, **options)]))

    def of_connection(self, node, client):
        """What ss says of the node's side of a connection: timers and options."""
        port = client.sock.getsockname()[1]

        def line():
            out = subprocess.run(["ss", "-tnoi", "dst", "%s:%d" % (LOOPBACK, port)], capture_output=True,
                                 text=True).stdout
            return out if str(port) in out else None
        return wait_until(line)

    def backlog(self, node):
        out = subprocess.run(["ss", "-ltn", "src", "%s:%d" % node.address], capture_output=True, text=True).stdout
        return {int(line.split()[2]) for line in out.splitlines()[1:]}

    def test_connections_are_probed_by_default(self):
        node = self.listening()
        client = Client(node.address, source=LOOPBACK)
        self.addCleanup(client.close)
        client.ask()
        self.assertIn("keepalive", self.of_connection(node, client))

    def test_they_can_be_left_alone(self):
        node = self.listening(keepalive={"enabled": False})
        client = Client(node.address, source=LOOPBACK)
        self.addCleanup(client.close)
        client.ask()
        self.assertNotIn("keepalive", self.of_connection(node, client))

    def test_the_time_before_the_first_probe(self):
        node = self.listening(keepalive={"idle": "90s", "interval": "10s", "count": 3})
        client = Client(node.address, source=LOOPBACK)
        self.addCleanup(client.close)
        client.ask()
        timer = re.search(r"timer:\(keepalive,(\d+)min(\d+)", self.of_connection(node, client))
        self.assertEqual(timer and timer.group(1), "1", self.of_connection(node, client))

    def test_a_reload_changes_it_for_new_connections(self):
        node = self.listening()
        self.assertEqual(self.backlog(node), {4096})
        config = settings(self.origin(), listen=[{"address": "%s:%d" % node.address, "backlog": 77,
                                                  "keepalive": {"enabled": False}}])
        self.assertTrue(node.reload(config))
        self.assertEqual(self.backlog(node), {77})
        client = Client(node.address, source=LOOPBACK)
        self.addCleanup(client.close)
        client.ask()
        self.assertNotIn("keepalive", self.of_connection(node, client))

    def test_who_says_nothing_is_not_accepted_at_once(self):
        node = self.listening(defer_accept="5s")
        silent = Client(node.address)
        self.addCleanup(silent.close)
        with Client(node.address) as talker:
            self.assert_status(talker.ask(), 200)
        metrics = node.admin(path="/metrics")[1]
        self.assertRegex(metrics, r"(?m)^weir_connections_accepted_total 1$")

    def test_first_data_with_the_first_packet(self):
        node = self.listening(fastopen=16)
        with open("/proc/sys/net/ipv4/tcp_fastopen") as f:
            if int(f.read()) & 3 != 3:
                self.skipTest("the kernel has TCP Fast Open off")
        for _ in range(2):  # the first gets the cookie, the second uses it
            s = socket.socket()
            self.addCleanup(s.close)
            s.settimeout(10)
            s.sendto(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", socket.MSG_FASTOPEN, node.address)
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))

    def test_the_mode_of_a_unix_socket(self):
        path = "/tmp/weir-options-%d.sock" % os.getpid()
        node = self.node(settings(self.origin(), listen=[{"address": "unix:" + path, "mode": "0600"}]))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assert_status(node.get("/"), 200)
        node.signal(15)
        self.assertEqual(node.wait(), 0)
        self.assertFalse(os.path.exists(path))

    def test_what_is_out_of_range(self):
        node = self.listening()
        for options in ({"fastopen": 70000}, {"defer_accept": "2m"}, {"keepalive": {"count": 500}},
                        {"keepalive": {"nonsense": 1}}, {"address": "systemd:"}):
            with self.subTest(options=options):
                listen = [{"address": "%s:%d" % node.address}, dict({"address": ":1"}, **options)]
                self.assertFalse(node.reload(settings(self.origin(), listen=listen)))
