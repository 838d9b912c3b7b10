"""Session tickets: what one node has issued resumes on another, over rotations, restarts and without Redis."""
import os
import shutil
import stat
import subprocess
import tempfile

from lib import node as nodes
from lib import ports
from lib.ctl import weirctl, weirctl_json
from lib.farm import FarmCase
from lib.tls_files import TlsFiles
from lib.wait import wait_until

TAKES = 40

LONG = "1h"
PERIOD = 6  # seconds, where keys are to change


class TicketsCase(FarmCase):
    def begin(self, count=2, rotation=LONG, redis=True):
        self.dir = tempfile.mkdtemp(prefix="weir-test-tickets-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.files = TlsFiles(os.path.join(self.dir, "tls"))
        self.site = self.origin(lambda x: x.reply(200, body=b"hello"))
        self.shared = self.redis() if redis else None
        self.secret = self.farm_of(self.shared) if redis else None
        self.configs = [self.settings_of(i, rotation) for i in range(count)]
        self.nodes = [self.node(c) for c in self.configs]

    def settings_of(self, number, rotation):
        listen = [{"address": "%s:%d" % (ports.LOOPBACK, ports.free_port()), "tls": {}}]
        top = {"tls": {"certificates": [{"certificate": self.files.cert, "key": self.files.key}],
                       "ticket_rotation": rotation}}
        if self.secret:
            top["farm"] = self.secret
        config = nodes.settings([nodes.upstream(self.site)], listen=listen, **top)
        state = os.path.join(self.dir, "state-%d" % number)
        os.mkdir(state, 0o700)
        config["node"].update(id="n%d" % number, state_dir=state, workers=2)
        return config

    def connect(self, node, version, session_in=None, session_out=None):
        """True: it was resumed."""
        command = ["openssl", "s_client", "-connect", "%s:%d" % node.address, "-servername", "localhost", "-" + version]
        command += ["-sess_in", session_in] if session_in else []
        command += ["-sess_out", session_out] if session_out else []
        # A ticket of TLS 1.3 comes after the handshake: with the answer at the latest.
        done = subprocess.run(command + ["-ign_eof"], input="GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                              capture_output=True, text=True, timeout=20)
        self.assertIn("hello", done.stdout, done.stderr)
        return "Reused, TLS" in done.stdout

    def ticket(self, node, version):
        handle, path = tempfile.mkstemp(dir=self.dir)
        os.close(handle)
        self.assertFalse(self.connect(node, version, session_out=path))
        self.assertTrue(os.path.getsize(path))
        return path

    def facts(self, node):
        return weirctl_json("tls", "tickets", node=node)

    def issuer(self, node):
        return [k for k in self.facts(node)["keys"] if k["issues"]][0]

    def wait_same(self, deadline=30):
        """Until all nodes issue under one key that is of the farm."""
        wait_until(lambda: len({(k["name"], k["kind"]) for k in map(self.issuer, self.nodes)}) == 1
                   and self.issuer(self.nodes[0])["kind"] == "stored", deadline, "one key for all")

    def wait_period(self, node, after):
        """Until the period after that of key `after` has begun."""
        wait_until(lambda: self.issuer(node)["begins"] > after["begins"], 3 * PERIOD, "the next period")

    def restart_all(self):
        for node in self.nodes:
            node.stop()
        self.nodes = [self.node(c) for c in self.configs]

    def both(self, check):
        for version in ("tls1_2", "tls1_3"):
            with self.subTest(version):
                check(version)


class TicketsTest(TicketsCase):
    def test_a_ticket_of_one_node_resumes_on_the_other(self):
        self.begin()
        self.wait_same()

        def check(version):
            ticket = self.ticket(self.nodes[0], version)
            self.assertTrue(self.connect(self.nodes[1], version, ticket))
            self.assertTrue(self.connect(self.nodes[0], version, ticket))
        self.both(check)

    def test_it_resumes_after_one_rotation_and_not_after_two(self):
        self.begin(rotation="%ds" % PERIOD)
        self.wait_same()
        key = self.issuer(self.nodes[0])
        self.wait_period(self.nodes[0], key)  # a whole one lies ahead
        key = self.issuer(self.nodes[0])
        tickets = {v: self.ticket(self.nodes[0], v) for v in ("tls1_2", "tls1_3")}
        self.wait_period(self.nodes[1], key)
        old = self.issuer(self.nodes[1])
        self.assertEqual([k["use"] for k in self.facts(self.nodes[1])["keys"] if k["name"] == key["name"]], ["previous"])
        for version, ticket in tickets.items():
            self.assertTrue(self.connect(self.nodes[1], version, ticket), version)
        self.wait_period(self.nodes[1], old)
        for version, ticket in tickets.items():
            self.assertFalse(self.connect(self.nodes[1], version, ticket), version)

    def test_it_resumes_after_a_restart_of_all(self):
        self.begin()
        self.wait_same()
        tickets = {v: self.ticket(self.nodes[0], v) for v in ("tls1_2", "tls1_3")}
        self.restart_all()
        self.wait_same()
        for version, ticket in tickets.items():
            self.assertTrue(self.connect(self.nodes[1], version, ticket), version)

    def test_it_resumes_when_redis_is_gone_and_after_a_restart_then(self):
        self.begin()
        self.wait_same()
        before = {v: self.ticket(self.nodes[0], v) for v in ("tls1_2", "tls1_3")}
        self.shared.stop()
        meanwhile = {v: self.ticket(self.nodes[1], v) for v in ("tls1_2", "tls1_3")}
        for version in before:
            self.assertTrue(self.connect(self.nodes[1], version, before[version]), version)
            self.assertTrue(self.connect(self.nodes[0], version, meanwhile[version]), version)
        self.restart_all()
        for version in before:
            self.assertTrue(self.connect(self.nodes[1], version, before[version]), version)
            self.assertTrue(self.connect(self.nodes[0], version, meanwhile[version]), version)

    def test_nodes_that_never_saw_redis_agree(self):
        self.begin(count=0)
        self.shared.kill()
        self.configs = [self.settings_of(i, LONG) for i in range(2)]
        self.nodes = [self.node(c) for c in self.configs]
        self.assertEqual({self.issuer(n)["kind"] for n in self.nodes}, {"derived"})

        def check(version):
            tickets[version] = self.ticket(self.nodes[0], version)
            self.assertTrue(self.connect(self.nodes[1], version, tickets[version]))
        tickets = {}
        self.both(check)
        self.shared.restart()  # what was issued meanwhile stays good
        self.wait_same(deadline=40)
        for version, ticket in tickets.items():
            self.assertTrue(self.connect(self.nodes[1], version, ticket), version)

    def test_a_node_alone_keeps_its_keys_for_itself(self):
        self.begin(count=1, redis=False)
        self.assertEqual(self.issuer(self.nodes[0])["kind"], "own")
        tickets = {v: self.ticket(self.nodes[0], v) for v in ("tls1_2", "tls1_3")}
        self.assertTrue(self.nodes[0].reload())
        for version, ticket in tickets.items():
            self.assertTrue(self.connect(self.nodes[0], version, ticket), version)
        self.restart_all()
        for version, ticket in tickets.items():
            self.assertTrue(self.connect(self.nodes[0], version, ticket), version)
        kept = os.path.join(self.configs[0]["node"]["state_dir"], "tickets")
        self.assertEqual(stat.S_IMODE(os.stat(kept).st_mode), 0o600)

    def test_nobody_is_shown_a_key(self):
        self.begin()
        self.wait_same()
        shown = weirctl("tls", "tickets", node=self.nodes[0])
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("issues tickets", shown.stdout)
        for key in self.facts(self.nodes[0])["keys"]:
            self.assertEqual(len(key["name"]), 16)
            self.assertEqual(set(key), {"name", "kind", "use", "issues", "begins", "ends"})
        with open(os.path.join(self.configs[0]["node"]["state_dir"], "tickets")) as f:
            self.assertIn("wrapped", f.readline())

    def test_tickets_can_be_turned_off(self):
        self.begin(count=0, redis=False)
        config = self.settings_of(0, LONG)
        config["tls"]["tickets"] = False
        node = self.node(config)
        self.assertFalse(self.facts(node)["enabled"])
        self.assertFalse(self.connect(node, "tls1_3"))
