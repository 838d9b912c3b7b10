"""conf/dns with a real name server: a node's addresses are in DNS while it is ready."""
import os
import re
import shutil
import signal
import subprocess
import tempfile

from lib.case import NodeCase
from lib.node import Node
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "dns")
HOOK = os.path.join(os.path.abspath(CONF), "weir-dns")
SERVER = "127.0.0.1"  # named listens on addresses of interfaces only
ADDRESSES = ["192.0.2.11", "2001:db8::11"]

ZONE = """$TTL 60
@ SOA ns1.example.org. hostmaster.example.org. 1 3600 600 86400 5
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.99
"""


class NameServer:
    """named with the lines of conf/dns/named.conf."""

    def __init__(self, case):
        self.dir = tempfile.mkdtemp(prefix="weir-test-dns-")
        case.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.port = free_port(SERVER)
        self.key = self.path("node1.key")
        with open(self.key, "w") as f:
            f.write(self.make_key("weir-node1"))
        with open(self.path("zone"), "w") as f:
            f.write(ZONE)
        with open(os.path.join(CONF, "named.conf")) as f:
            lines = f.read()
        lines = lines.replace("/etc/bind/weir-node1.key", self.key).replace("/var/lib/bind/example.org.zone",
                                                                           self.path("zone"))
        with open(self.path("named.conf"), "w") as f:
            f.write('options { directory "%s"; pid-file "%s"; session-keyfile "%s"; listen-on port %d { %s; }; '
                    'listen-on-v6 { none; }; recursion no; dnssec-validation no; };\ncontrols { };\n%s'
                    % (self.dir, self.path("pid"), self.path("session.key"), self.port, SERVER, lines))
        self.log = open(self.path("log"), "w")
        self.process = subprocess.Popen(["named", "-g", "-c", self.path("named.conf")], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        case.addCleanup(self.stop)
        wait_until(lambda: self.addresses("www", "A") == ["192.0.2.99"], 30, "the name server answers")

    def make_key(self, name):
        return subprocess.run(["tsig-keygen", "-a", "hmac-sha256", name], capture_output=True, text=True,
                              check=True).stdout

    def path(self, name):
        return os.path.join(self.dir, name)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(40)
        self.log.close()

    def dig(self, name, kind, *options):
        return subprocess.run(["dig", "@" + SERVER, "-p", str(self.port), "+tries=1", "+time=2"] + list(options) +
                              [name + ".example.org", kind], capture_output=True, text=True).stdout

    def addresses(self, name, kind):
        return sorted(self.dig(name, kind, "+short").split())

    def ttl(self, address):
        return int(re.search(r"^www\.example\.org\.\s+(\d+)\s+IN\s+A+\s+%s$" % re.escape(address),
                             self.dig("www", "AAAA" if ":" in address else "A", "+noall", "+answer"), re.M).group(1))

    def both(self):
        return self.addresses("www", "A") + self.addresses("www", "AAAA")


class DnsUpdate(NodeCase):
    def setUp(self):
        self.dns = NameServer(self)
        self.hook = [HOOK, "-z", "example.org", "-n", "www.example.org", "-k", self.dns.key,
                     "-s", SERVER, "-p", str(self.dns.port)] + ADDRESSES

    def launch(self, timeout="10s", **top):
        node = Node({"listen": [{"address": "%s:%d" % (LOOPBACK, free_port())}],
                     "routes": [{"respond": {"status": 204}}], "node": dict({"workers": 1}, **top),
                     "hooks": {"ready": self.hook, "unready": self.hook, "timeout": timeout}})
        self.addCleanup(node.stop)
        return node.start()

    def run_hook(self, event, hook=None):
        return subprocess.run(hook or self.hook, capture_output=True, text=True,
                              env=dict(os.environ, WEIR_EVENT=event))

    def test_the_addresses_are_there_while_the_node_is_ready(self):
        node = self.launch(drain_grace="30s")
        wait_until(lambda: self.dns.both() == ["192.0.2.11", "192.0.2.99", "2001:db8::11"], what="the records")
        self.assertEqual([self.dns.ttl(a) for a in ADDRESSES], [30, 30])
        node.signal(signal.SIGTERM)
        wait_until(lambda: self.dns.both() == ["192.0.2.99"], what="only what is not this node's")
        self.assertEqual(node.get("/").status, 204)  # it serves on
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)

    def test_a_killed_node_is_taken_out_by_the_same_command(self):
        node = self.launch()
        wait_until(lambda: len(self.dns.both()) == 3, what="the records")
        node.expect_exit = -signal.SIGKILL
        node.signal(signal.SIGKILL)
        node.wait()
        self.assertEqual(self.run_hook("unready").returncode, 0)
        self.assertEqual(self.dns.both(), ["192.0.2.99"])
        self.assertEqual(self.run_hook("unready").returncode, 0)  # nothing left to remove

    def test_what_was_there_with_another_ttl_is_there_once(self):
        self.assertEqual(self.run_hook("ready", self.hook[:1] + ["-t", "300"] + self.hook[1:]).returncode, 0)
        self.assertEqual(self.dns.ttl(ADDRESSES[0]), 300)
        self.assertEqual(self.run_hook("ready").returncode, 0)
        self.assertEqual(self.dns.addresses("www", "A"), ["192.0.2.11", "192.0.2.99"])
        self.assertEqual(self.dns.ttl(ADDRESSES[0]), 30)

    def test_what_the_server_refuses_is_an_error(self):
        other = self.dns.path("other.key")
        with open(other, "w") as f:
            f.write(self.dns.make_key("weir-node1"))
        stranger = [other if word == self.dns.key else word for word in self.hook]
        self.assertNotEqual(self.run_hook("ready", stranger).returncode, 0)
        elsewhere = ["ns1.example.org" if word == "www.example.org" else word for word in self.hook]
        self.assertNotEqual(self.run_hook("ready", elsewhere).returncode, 0)
        self.assertEqual(self.dns.both(), ["192.0.2.99"])
        self.assertEqual(self.run_hook("other").returncode, 2)
        self.assertEqual(self.run_hook("ready", [HOOK, "-z", "example.org"]).returncode, 2)

    def test_a_server_that_does_not_answer_is_waited_for_in_bounds(self):
        self.dns.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.dns.process.send_signal, signal.SIGCONT)
        node = self.launch("1s")
        self.assertEqual(node.get("/").status, 204)
        node.wait_log("hook ready: takes too long")
        node.wait_log("error hook ready: signal 15 after")
