"""TLS and HTTP/2 on several workers at a time, while certificates are loaded anew and operators look: what threads share
(contexts, ticket keys, certificates, the pool that signs). Under the thread sanitizer it shows races.
"""
import ssl
import subprocess
import threading

from lib.ctl import weirctl
from lib.http2 import Http2Client
from test_tls import TlsCase

CLIENTS = 4
RELOADS = 3


class AtATime(TlsCase):
    def slow_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-keyout", self.path("slow.key"),
                        "-out", self.path("slow.crt"), "-days", "2", "-subj", "/CN=slow", "-addext",
                        "subjectAltName=DNS:slow.example"], check=True, capture_output=True)
        return self.certificate("slow")

    def once(self, node):
        """A slow signature; a full handshake with a request, and another that resumes it, of both versions; HTTP/2."""
        self.connect(node, self.unverified, name="slow.example").close()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.maximum_version = version
            first = self.connect(node, context)
            self.assertIn(b"200 OK", self.ask(first))
            again = self.connect(node, context, session=first.session)
            self.assertIn(b"200 OK", self.ask(again))
            first.close()
            again.close()
        two = Http2Client(None, sock=self.connect(node, self.context(protocols=("h2",))))
        streams = [two.ask(path="/%d" % i, authority="www.example", scheme="https") for i in range(8)]
        while not all(stream.over for stream in streams) and two.more():
            pass
        self.assertEqual([stream.status for stream in streams], [200] * 8)
        two.close()

    def client(self, node):
        try:
            while not self.over:
                self.once(node)
                self.rounds.append(1)
        except BaseException as e:  # told by the test's own thread
            self.faults.append(e)

    def test_nothing_that_threads_share_is_torn(self):
        self.over, self.faults, self.rounds = False, [], []
        self.unverified = self.context(verify=False)
        self.unverified.verify_mode = ssl.CERT_NONE
        self.server = self.origin()
        certificates = [self.certificate("server"), self.certificate("shop"), self.slow_certificate()]
        config = self.configuration(self.server, certificates=certificates)
        config["node"] = dict(config.get("node", {}), workers=3)
        node = self.node(config)
        threads = [threading.Thread(target=self.client, args=(node,)) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            for i in range(RELOADS):
                self.files.issue("shop", ["DNS:shop%d.example" % i])
                self.assertTrue(node.reload(config), node.log())
                for command in (("tls",), ("tls", "tickets"), ("status",), ("metrics",)):
                    weirctl(*command, node=node)
        finally:
            self.over = True
            for thread in threads:
                thread.join()
        self.assertEqual(self.faults, [])
        self.assertGreaterEqual(len(self.rounds), CLIENTS)
