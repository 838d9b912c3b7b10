"""Certificates by ACME: obtained once for a farm, challenges answered by whoever is asked, renewed, kept."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from lib import node as nodes
from lib import ports
from lib.ctl import weirctl
from lib.farm import FarmCase
from lib.pebble import SYSTEM_CA, Pebble
from lib.wait import wait_until

TAKES = 60

NAME = "www.example.test"
PATH = "/.well-known/acme-challenge/"
ISSUED = 40  # seconds, on a busy machine


def can_bind_mount():
    return subprocess.run(["unshare", "-m", "mount", "--bind", "/etc/hostname", SYSTEM_CA],
                          capture_output=True).returncode == 0


@unittest.skipUnless(can_bind_mount(), "needs root, for a mount namespace")
class AcmeCase(FarmCase):
    def begin(self, **keys):
        self.port, self.tls_port = ports.free_port(), ports.free_port()
        self.pebble = Pebble(self.port, **keys)
        self.addCleanup(self.pebble.stop)
        self.pebble.start()
        self.site = self.origin(lambda x: x.reply(200, body=b"hello"))
        self.count = 0

    def state_dir(self):
        path = tempfile.mkdtemp(prefix="weir-test-state-")
        self.addCleanup(shutil.rmtree, path, True)
        return path

    def settings_of(self, names=(NAME,), farm=None, state=None, address=ports.LOOPBACK, **acme):
        listen = [{"address": "%s:%d" % (address, self.port), "redirect_https": True},
                  {"address": "%s:%d" % (address, self.tls_port), "tls": {"http2": False}}]
        top = {"acme": dict({"directory": self.pebble.directory, "client": self.pebble.client, "terms_agreed": True,
                             "certificates": [{"names": list(names)}]}, **acme)}
        if farm:
            top["farm"] = farm
            config = self.farm_settings(None, self.site, listen=listen, **top)
            self.count += 1
            config["node"]["id"] = "node-%d" % self.count
        else:
            config = self.front_settings(listen, top)
        config["node"].update(state_dir=state or self.state_dir(), workers=1)
        return config

    def front_settings(self, listen, top):
        return nodes.settings([nodes.upstream(self.site)], listen=listen, **top)

    def addresses(self, count):
        """Of nodes that share a port."""
        base = ports.LOOPBACK.rpartition(".")[0]
        return ["%s.%d" % (base, 1 + i) for i in range(count)]

    def certificates(self, node):
        status, body = node.admin(path="/v1/tls/acme")
        self.assertEqual(status, 200, body)
        return body["certificates"]

    def wait_valid(self, node, deadline=ISSUED):
        return wait_until(lambda: [c for c in self.certificates(node) if c["state"] == "valid"], deadline,
                          "a certificate: %s\n%s" % (self.certificates(node), node.log()[-3000:]))[0]

    def shown(self, address=ports.LOOPBACK, name=NAME):
        """Serial number and issuer of what a client is shown; "" if it is shown nothing."""
        got = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (address, self.tls_port), "-servername", name],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial", "-issuer"], input=got, capture_output=True,
                              text=True).stdout

    def wait_shown(self, address=ports.LOOPBACK, name=NAME):
        return wait_until(lambda: self.shown(address, name), what="a certificate for %s" % name)

    def issued(self, *nodes):
        return sum(len(re.findall("acme: a certificate for .* was issued", n.log())) for n in nodes)


class AloneTest(AcmeCase):
    def test_a_certificate_is_obtained_and_kept(self):
        self.begin()
        state = self.state_dir()
        config = self.settings_of(["www.example.test", "example.test"], state=state)
        node = self.node(config)
        cert = self.wait_valid(node)
        self.assertEqual(cert["names"], ["www.example.test", "example.test"])
        shown = self.wait_shown()
        self.assertIn("Pebble Intermediate", shown)
        self.assertEqual(self.wait_shown(name="example.test"), shown)
        certificate = shown
        self.assertGreater(cert["renews"], 0)
        self.assertGreater(cert["not_after"], cert["renews"])
        kept = os.path.join(state, "acme", "certificates")
        wait_until(lambda: os.path.exists(kept), what="the file")
        self.assertEqual(os.stat(kept).st_mode & 0o7777, 0o600)
        self.assertFalse(os.path.exists(os.path.join(state, "acme", "work")), "nothing of the order is left")
        shown = weirctl("tls", "acme", node=node)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("www.example.test +1", shown.stdout)
        node.stop()
        self.pebble.stop()
        again = self.node(config)
        self.assertEqual(self.certificates(again)[0]["state"], "valid", "without the authority")
        self.assertEqual(self.certificates(again)[0]["not_after"], cert["not_after"])
        self.assertEqual(self.shown(), certificate, "from the first moment on")
        self.assertEqual(self.issued(again), 0)

    def test_it_is_renewed_before_it_ends(self):
        self.begin(life=12)
        node = self.node(self.settings_of())
        first = self.wait_valid(node)
        shown = self.wait_shown()
        wait_until(lambda: self.issued(node) >= 2, ISSUED, "a second one")
        wait_until(lambda: self.shown() not in ("", shown), what="the new one is shown")
        self.assertGreater(self.wait_valid(node)["not_after"], first["not_after"])

    def test_only_tokens_that_are_known_are_answered(self):
        self.begin()
        node = self.node(self.settings_of())
        token = re.search(r"GET " + PATH + r"(\S+) .* 200 ", "\n".join(self.wait_valid(node) and node.wait_access(1)))
        self.assertTrue(token, node.access_log())
        with self.client(node) as c:
            r = c.ask(path=PATH + token.group(1))
            self.assertEqual((r.status, r.body.decode().split(".")[0]), (200, token.group(1)))
            self.assertEqual(r.body.decode().count("."), 1)
            for other in ("x" * 43, token.group(1) + "x", token.group(1) + "/", "", "../x"):
                r = c.ask(path=PATH + other)
                self.assertEqual(r.status, 308, other)  # as if there were no ACME

    def test_a_failure_is_seen_and_not_repeated_at_once(self):
        self.begin()
        self.pebble.lead(NAME, "127.255.255.254")
        node = self.node(self.settings_of())
        wait_until(lambda: self.certificates(node)[0]["failures"], ISSUED, "a failure")
        cert = self.certificates(node)[0]
        self.assertEqual(cert["state"], "waiting")
        self.assertGreater(cert["next"], cert["failed"])
        self.assertTrue(cert["error"], cert)
        self.assertRegex(node.log(), "acme: no certificate for www.example.test: .*; again in")
        self.assertIn(NAME, weirctl("tls", "acme", node=node).stdout)

    def test_an_authority_that_is_gone_is_a_failure(self):
        self.begin()
        self.pebble.stop()
        node = self.node(self.settings_of())
        wait_until(lambda: self.certificates(node)[0]["failures"], ISSUED, "a failure")
        with self.client(node) as c:
            self.assertEqual(c.ask().status, 308)

    def test_what_a_reload_adds_is_obtained(self):
        self.begin()
        config = self.settings_of()
        node = self.node(config)
        self.wait_valid(node)
        config["acme"]["certificates"].append({"names": ["more.example.test"]})
        self.assertTrue(node.reload(config))
        wait_until(lambda: [c["state"] for c in self.certificates(node)] == ["valid"] * 2, ISSUED, "both")
        self.assertEqual(self.issued(node), 2)


class ConfigurationTest(AcmeCase):
    def refuse(self, text, **acme):
        node = self.node_that_fails(self.settings_of(**acme))
        self.assertIn(text, node)

    def node_that_fails(self, config):
        node = nodes.Node(config)
        self.addCleanup(shutil.rmtree, node.dir, True)
        done = subprocess.run([nodes.binary(), "check", node.config_file], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_what_cannot_be_is_said_clearly(self):
        self.begin()
        self.refuse("terms_agreed: true", terms_agreed=False)
        self.refuse("proves no wildcards", names=["*.example.test"])
        self.refuse("https://", directory="http://example.test/dir")
        self.refuse("package uacme", client="/nowhere/uacme")
        self.refuse("lower case", names=["WWW.example.test"])
        self.refuse("lower case", names=["-rf"])
        self.refuse("must not be empty", names=[])


class FarmTest(AcmeCase):
    def begin_farm(self, count=3, **keys):
        self.begin(**keys)
        self.shared = self.redis()
        self.secret = self.farm_of(self.shared)
        return self.addresses(count)

    def test_one_node_obtains_it_for_all(self):
        where = self.begin_farm()
        states = [self.state_dir() for _ in where]
        configs = [self.settings_of(farm=self.secret, address=a, state=s) for a, s in zip(where, states)]
        nodes = [self.node(c) for c in configs]
        ends = {self.wait_valid(n)["not_after"] for n in nodes}
        self.assertEqual(len(ends), 1, "all have the same")
        self.assertEqual(len({self.wait_shown(a) for a in where}), 1)
        self.assertEqual(self.issued(*nodes), 1)
        for node in nodes:
            node.stop()
        with open(os.path.join(states[0], "acme", "certificates")) as f:
            self.assertNotIn("2d2d2d2d2d424547494e", f.read(), "no PEM to be read")
        # Neither Redis nor the authority: what was kept goes on.
        self.shared.stop()
        self.pebble.stop()
        again = self.node(configs[1])
        self.assertEqual({c["not_after"] for c in self.certificates(again)}, ends)
        self.assertIn("Pebble", self.shown(where[1]))

    def test_a_challenge_is_answered_by_a_node_that_did_not_order(self):
        where = self.begin_farm(2)
        self.pebble.lead(NAME, where[0])
        other = self.node(self.settings_of(["other.example.test"], farm=self.secret, address=where[0]))
        orders = self.node(self.settings_of(farm=self.secret, address=where[1]))
        self.wait_valid(orders)
        self.assertEqual(self.issued(orders), 1)
        wait_until(lambda: [x for x in other.access_log() if NAME in x or PATH in x], what="who was asked")
        self.assertFalse([x for x in orders.access_log() if PATH in x])

    def test_a_late_node_has_it_without_ordering(self):
        where = self.begin_farm(2)
        first = self.node(self.settings_of(farm=self.secret, address=where[0]))
        end = self.wait_valid(first)["not_after"]
        late = self.node(self.settings_of(farm=self.secret, address=where[1]))
        self.assertEqual(self.wait_valid(late, 10)["not_after"], end)
        self.assertEqual(self.issued(first, late), 1)

    def test_without_redis_nothing_is_ordered_until_it_is_back(self):
        where = self.begin_farm(1)
        self.shared.kill()
        node = self.node(self.settings_of(farm=self.secret, address=where[0]))
        with self.client(node) as c:
            self.assertEqual(c.ask().status, 308)
        self.assertEqual(self.certificates(node)[0]["state"], "waiting")
        self.assertEqual(self.certificates(node)[0]["failures"], 0)
        self.shared.restart()
        self.wait_valid(node)

    def test_what_no_node_has_put_is_neither_answered_nor_shown(self):
        where = self.begin_farm(1)
        node = self.node(self.settings_of(farm=self.secret, address=where[0]))
        self.wait_valid(node)
        token = "x" * 43
        self.shared.call("SET", "w1:a:default:" + token, token + ".forged")
        board = "w1:{A.default}:b"
        for field in self.shared.call("HKEYS", board):
            value = self.shared.call("HGET", board, field)
            self.shared.call("HSET", board, field, value[:-1] + bytes([value[-1] ^ 1]))
        self.shared.call("PUBLISH", "w1:{A.default}:ch", "a")
        with self.client(node) as c:
            self.assertEqual(c.ask(path=PATH + token).status, 308)
        node.wait_log("acme: a certificate in shared state makes no sense")
        self.assertEqual(self.certificates(node)[0]["state"], "valid")
