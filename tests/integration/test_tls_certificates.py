"""Certificates: loaded, seen by operators, changed by a reload; what is wrong with one changes nothing."""
import os
import re
import shutil
import subprocess
import tempfile
import time

from lib import schema
from lib.case import NodeCase
from lib.ctl import weirctl
from lib.node import Node, NodeFailed, sanitizer, settings
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles

DAY = 86400


class CertificatesCase(NodeCase):
    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="weir-certs-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.tls = TlsFiles(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def config(self, rows=None, **tls):
        if rows is not None:
            tls["certificates"] = rows
        return settings([{"name": "app", "origins": ["http://127.0.0.1:9"]}], [{"respond": {"body": "here"}}], tls=tls)

    def row(self, name):
        return {"certificate": self.path(name + ".crt"), "key": self.path(name + ".key")}

    def see(self, node):
        status, answer = node.admin(path="/v1/tls")
        self.assertEqual(status, 200)
        schema.check(answer, "tls")
        return answer

    def refused(self, config, error):
        node = Node(config)
        self.addCleanup(node.stop)
        node.expect_exit = 1
        with self.assertRaisesRegex(NodeFailed, error):
            node.start()


class Certificates(CertificatesCase):
    def test_operators_see_them(self):
        self.tls.issue("www", ["DNS:www.example", "DNS:*.www.example"], days=400)
        self.tls.issue("old", ["DNS:old.example"], days=3, rsa=True)
        node = self.node(self.config([self.row("www"), self.row("old")]))
        seen = self.see(node)
        www, old = seen["certificates"]
        self.assertEqual(www["names"], ["www.example", "*.www.example"])
        self.assertEqual((www["key"], old["key"]), ("ECDSA P-256", "RSA 2048"))
        self.assertEqual(www["source"], self.path("www.crt"))
        self.assertAlmostEqual(www["not_after"], time.time() + 400 * DAY, delta=300)
        self.assertEqual((seen["summary"]["certificates"], seen["summary"]["expiring"]), (2, 1))
        self.assertEqual(seen["summary"]["nearest_expiry"], old["not_after"])
        record = node.admin(path="/v1/node")[1]
        schema.check(record, "node")
        self.assertEqual(record["certificates"], {"expired": 0, "expiring": 1, "nearest_expiry": old["not_after"]})
        status = weirctl("status", node=node)
        self.assertIn("1 certificate within 14 days of expiry", status.stdout)
        metrics = node.admin(path="/metrics")[1]
        self.assertIn("\nweir_tls_certificates 2\n", metrics)
        self.assertIn("\nweir_tls_certificates_expiring 1\n", metrics)
        self.assertIn("\nweir_tls_certificate_expiry_seconds %d\n" % old["not_after"], metrics)

    def test_weirctl_shows_those_first_that_expire_first(self):
        self.tls.issue("www", ["DNS:www.example", "DNS:shop.example"], days=400)
        self.tls.issue("old", ["DNS:old.example"], days=3)
        node = self.node(self.config([self.row("www"), self.row("old")]))
        done = weirctl("tls", node=node)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[1], r"^old\.example .*ECDSA P-256 .* [23] days")
        self.assertRegex(lines[2], r"^www\.example \+1 .* (399|400) days")
        self.assertTrue(node.reload(self.config([self.row("www")])))
        self.assertEqual(weirctl("tls", node=node).returncode, 0)

    def test_none(self):
        node = self.node(self.config())
        self.assertEqual(self.see(node)["summary"]["certificates"], 0)
        self.assertIn("there are no certificates", weirctl("tls", node=node).stdout)

    def test_a_directory(self):
        folder = self.path("all")
        os.mkdir(folder)
        for name in ("a", "b"):
            self.tls.issue(name, ["DNS:%s.example" % name])
            for ending in (".crt", ".key"):
                shutil.copy(self.path(name + ending), folder)
            os.chmod(os.path.join(folder, name + ".key"), 0o600)
        node = self.node(self.config(directory=folder))
        self.assertEqual([c["names"][0] for c in self.see(node)["certificates"]], ["a.example", "b.example"])
        self.tls.issue("c", ["DNS:c.example"])
        shutil.copy(self.tls.with_chain("c"), folder)
        os.chmod(os.path.join(folder, "c.pem"), 0o600)
        self.assertTrue(node.reload())
        self.assertEqual(len(self.see(node)["certificates"]), 3)

    def test_what_is_wrong_stops_the_start(self):
        self.tls.issue("www", ["DNS:www.example"])
        os.chmod(self.path("www.key"), 0o644)
        self.refused(self.config([self.row("www")]), r"www\.key: holds a private key, but its mode 0644 lets others")
        os.chmod(self.path("www.key"), 0o600)
        self.refused(self.config([{"certificate": self.path("www.crt")}]), r"www\.crt: there is no private key")
        self.refused(self.config([{"certificate": self.path("www.crt"), "key": self.tls.key}]),
                     r"www\.crt: the private key of \S+server\.key does not belong")
        subprocess.run(["openssl", "ec", "-in", self.path("www.key"), "-aes128", "-passout", "pass:x",
                        "-out", self.path("locked.key")], check=True, capture_output=True)
        os.chmod(self.path("locked.key"), 0o600)
        self.refused(self.config([{"certificate": self.path("www.crt"), "key": self.path("locked.key")}]),
                     r"locked\.key: the private key is encrypted")

    def test_a_broken_file_leaves_everything_as_it_was(self):
        self.tls.issue("www", ["DNS:www.example"])
        node = self.node(self.config([self.row("www")]))
        before = self.see(node)["certificates"][0]
        for text in ("", "junk\n", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"):
            with open(self.path("www.crt"), "w") as f:
                f.write(text)
            mark = node.mark()
            self.assertFalse(node.reload())
            self.assertIn("www.crt: ", node.log()[mark:])
            now = self.see(node)["certificates"][0]
            self.assertEqual(now["not_after"], before["not_after"])
            self.assertEqual(node.get().status, 200)
        self.assertIn("www.crt", node.admin(path="/v1/node")[1]["config"]["last_reload"]["error"])
        self.tls.issue("www", ["DNS:www.example"], days=30)
        self.assertTrue(node.reload())
        self.assertNotEqual(self.see(node)["certificates"][0]["not_after"], before["not_after"])

    def test_many_are_loaded_fast_and_hold_little(self):
        """Each costs its bytes: two thousand take no second, and a few megabytes."""
        folder = self.path("many")
        os.mkdir(folder)
        self.tls.issue("www", ["DNS:www.example"])
        pem = self.tls.with_chain("www")
        empty = self.node(self.config())
        for i in range(2000):
            os.link(pem, os.path.join(folder, "c%d.pem" % i))
        node = self.node(self.config(directory=folder))
        self.assertEqual(self.see(node)["summary"]["certificates"], 2000)
        mark = node.cpu_seconds()
        self.assertTrue(node.reload())
        self.assertLess(node.cpu_seconds() - mark, 2)
        if sanitizer() is None:
            self.assertLess(node.rss() - empty.rss(), 64 << 20)



class Shown(CertificatesCase):
    """What clients get to see."""
    def config(self, rows=None, **tls):
        config = super().config(rows, **tls)
        config["listen"].append({"address": "%s:%d" % (LOOPBACK, self.secure), "tls": {}})
        return config

    def setUp(self):
        super().setUp()
        self.secure = free_port()

    def shown(self, name=None, *options):
        """Subject and kind of key of the certificate a client with these options of s_client gets."""
        sni = ["-servername", name] if name else ["-noservername"]
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (LOOPBACK, self.secure), *sni, *options],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        subject = re.search(r"subject=CN = weir test (\w+)", done.stdout)
        self.assertTrue(subject, done.stdout + done.stderr)
        return subject.group(1)

    def test_by_name_and_kind_of_key(self):
        self.tls.issue("first", ["DNS:first.example"])
        self.tls.issue("wild", ["DNS:*.example"])
        self.tls.issue("ec", ["DNS:both.example"])
        self.tls.issue("rsa", ["DNS:both.example"], rsa=True)
        node = self.node(self.config([self.row(n) for n in ("first", "wild", "rsa", "ec")]))
        self.assertEqual(self.shown(), "first")
        self.assertEqual(self.shown("nobody.invalid"), "first")
        self.assertEqual(self.shown("FIRST.example"), "first")
        self.assertEqual(self.shown("other.example"), "wild")
        self.assertEqual(self.shown("a.other.example"), "first")
        for version in ("-tls1_3", "-tls1_2"):
            self.assertEqual(self.shown("both.example", version), "ec")
            self.assertEqual(self.shown("both.example", version, "-sigalgs", "rsa_pss_rsae_sha256"), "rsa")
        self.assertEqual(self.shown("both.example", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "rsa")
        self.assertTrue([c["in_use"] for c in self.see(node)["certificates"]])

    def test_a_reload_shows_the_new_one(self):
        self.tls.issue("www", ["DNS:www.example"])
        node = self.node(self.config([self.row("www")]))
        self.assertEqual(self.shown("www.example"), "www")
        self.tls.issue("other", ["DNS:www.example"])
        for ending in (".crt", ".key"):
            os.replace(self.path("other" + ending), self.path("www" + ending))
        self.assertTrue(node.reload())
        self.assertEqual(self.shown("www.example"), "other")
        with open(self.path("www.crt"), "w") as f:
            f.write("junk")
        self.assertFalse(node.reload())
        self.assertEqual(self.shown("www.example"), "other")
