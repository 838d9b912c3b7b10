"""What the scanners testssl.sh and sslscan find: nothing, but for what the test's own certificates are to blame."""
import json
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree

from lib.case import NodeCase, table
from lib.node import settings
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles

# Of a certificate made for the test by a CA nobody knows, for two days, that has no responder.
OF_THE_CERTIFICATE = ("cert_", "DNS_CAArecord", "OCSP_stapling", "certificate_transparency", "chain_of_trust",
                      "cert_trust")
TAKES = 60  # seconds


class Scanned(NodeCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-scan-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = TlsFiles(cls.folder)

    def scanned(self):
        listen = [{"address": "%s:%d" % (LOOPBACK, free_port()), "tls": {}}]
        certificates = [{"certificate": self.files.cert, "key": self.files.key}]
        return self.node(settings(self.origin(), listen=listen, tls={"certificates": certificates}))


@table
class Testssl(Scanned):
    # Its groups of checks, and how many findings are the least, so that none is missed that did not run. Each is a run of
    # its own: a few seconds, but many times that where others want the processor.
    rows = {
        "versions": (10, "-p"),
        "forward secrecy": (5, "-f"),
        "what a server prefers by default": (35, "-S"),
        "Heartbleed, CCS, Ticketbleed": (3, "-H -I -T"),
        "renegotiation, CRIME, POODLE, fallback, SWEET32, BEAST, LUCKY13, FREAK, LOGJAM, DROWN, RC4":
            (10, "-R -C -O -Z -W -A -L -F -J -D -4"),
    }

    def row(self, least, checks):
        report = os.path.join(tempfile.mkdtemp(dir=self.folder), "report.json")
        subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--assume-http", "--nodns", "none",
                        "--add-ca", self.files.ca, "--jsonfile", report, *checks.split(),
                        "%s:%d" % self.scanned().address], stdin=subprocess.DEVNULL, capture_output=True)
        with open(report) as f:
            findings = json.load(f)
        self.assertGreaterEqual(len(findings), least, "the scan did not come to its end")
        bad = [f for f in findings if f["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL")
               and not f["id"].startswith(OF_THE_CERTIFICATE)]
        self.assertEqual(bad, [])


class Sslscan(Scanned):
    def test_it_sees_what_is_offered(self):
        node = self.scanned()
        said = subprocess.run(["sslscan", "--xml=-", "--no-colour", "%s:%d" % node.address], capture_output=True,
                              timeout=60).stdout
        test = xml.etree.ElementTree.fromstring(said).find("ssltest")
        on = {p.get("type") + p.get("version") for p in test.iter("protocol") if p.get("enabled") == "1"}
        self.assertEqual(on, {"tls1.2", "tls1.3"})
        self.assertEqual(test.find("renegotiation").get("supported"), "0")
        self.assertTrue(all(c.get("supported") == "0" for c in test.iter("compression")))
        self.assertEqual({h.get("vulnerable") for h in test.iter("heartbleed")}, {"0"})
        ciphers = [c.get("cipher") for c in test.iter("cipher")]
        self.assertTrue(ciphers)
        for cipher in ciphers:
            self.assertRegex(cipher, "^(TLS_|ECDHE-).*(GCM|CHACHA20)")
        groups = {g.get("name").split()[0] for g in test.iter("group")}
        self.assertEqual(groups, {"x25519", "secp256r1", "secp384r1"})
