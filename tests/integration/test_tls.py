"""TLS with clients, as clients see it: versions, protocols, names, proofs, resumption, and what is refused."""
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

from lib.case import NodeCase
from lib.client import Client
from lib.node import binary, settings
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

NAMES = ("IP:127.0.0.1", "IP:" + LOOPBACK, "DNS:www.example", "DNS:*.wild.example")


class TlsCase(NodeCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = TlsFiles(cls.folder, NAMES)
        cls.files.issue("shop", ["DNS:shop.example"])

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificate(self, name):
        return {"certificate": self.path(name + ".crt"), "key": self.path(name + ".key")}

    def configuration(self, origin, listen_tls=None, **tls):
        tls.setdefault("certificates", [self.certificate("server"), self.certificate("shop")])
        listen = [{"address": "%s:%d" % (LOOPBACK, free_port()), "tls": listen_tls or {}}]
        return settings(origin, listen=listen, tls=tls)

    def tls_node(self, listen_tls=None, **tls):
        self.server = self.origin()
        return self.node(self.configuration(self.server, listen_tls, **tls))

    def context(self, protocols=("http/1.1",), client=None, verify=True):
        context = ssl.create_default_context(cafile=self.files.ca)
        context.set_alpn_protocols(list(protocols))
        if not verify:
            context.check_hostname = False
        if client:
            context.load_cert_chain(self.path(client + ".crt"), self.path(client + ".key"))
        return context

    def connect(self, node, context=None, name="www.example", session=None):
        plain = socket.create_connection(node.address, 10)
        self.addCleanup(plain.close)
        sock = (context or self.context()).wrap_socket(plain, server_hostname=name, session=session)
        self.addCleanup(sock.close)
        return sock

    def ask(self, sock, path="/", host="www.example"):
        sock.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, host)).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = sock.recv(65536)
            self.assertTrue(piece, answer)
            answer += piece
        return answer

    def s_client(self, node, *args, stdin=b""):
        """The openssl program's client: what it says of the connection."""
        done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % node.address, "-CAfile", self.files.ca,
                               *args], input=stdin, capture_output=True, timeout=20)
        return (done.stdout + done.stderr).decode("latin-1")

    def metric(self, node, name):
        answer = subprocess.run(["curl", "-s", "--unix-socket", node.admin_socket, "http://weir/metrics"],
                                capture_output=True, text=True).stdout
        values = [line.split()[1] for line in answer.splitlines() if line.startswith("weir_%s_total " % name)]
        return int(values[0]) if values else None


class Handshakes(TlsCase):
    def test_both_versions_and_nothing_older(self):
        node = self.tls_node()
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            sock = self.connect(node, context)
            self.assertEqual(sock.version(), name)
            self.assertIn(b"200 OK", self.ask(sock))
        old = self.s_client(node, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        self.assertIn("alert protocol version", old)

    def test_only_1_3_where_it_is_asked_for(self):
        node = self.tls_node(min_version="1.3")
        self.assertIn("alert protocol version", self.s_client(node, "-tls1_2"))
        self.assertIn("TLSv1.3", self.s_client(node))

    def test_keep_alive_and_bodies_of_every_size(self):
        node = self.tls_node()
        content = os.urandom(3000000)
        origin = self.server
        origin.handler = lambda request: {"body": content[:int(request.path[1:])]}
        for size in (1, 100, 16383, 16384, 16385, 65536, 3000000):
            got = subprocess.run(["curl", "-s", "--http1.1", "--cacert", self.files.ca,
                                  "https://%s:%d/%d" % (*node.address, size)], capture_output=True)
            self.assertEqual(got.returncode, 0, got.stderr)

    def test_protocols(self):
        node = self.tls_node()
        self.assertEqual(self.connect(node, self.context(("h2", "http/1.1"))).selected_alpn_protocol(), "h2")
        self.assertEqual(self.connect(node, self.context(("http/1.1", "h2"))).selected_alpn_protocol(), "h2")
        self.assertEqual(self.connect(node, self.context(("http/1.1",))).selected_alpn_protocol(), "http/1.1")
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            self.connect(node, self.context(("smtp",)))

    def test_without_http2(self):
        node = self.tls_node({"http2": False})
        self.assertEqual(self.connect(node, self.context(("h2", "http/1.1"))).selected_alpn_protocol(), "http/1.1")

    def test_names_choose_certificates(self):
        node = self.tls_node()
        for name in ("www.example", "a.wild.example", "shop.example"):
            self.connect(node, name=name)  # verified by Python
        certificate = self.connect(node, self.context(verify=False), "other.example").getpeercert()
        self.assertIn(("DNS", "www.example"), certificate["subjectAltName"])  # the first one

    def test_ciphers_have_forward_secrecy(self):
        node = self.tls_node()
        self.assertIn("ECDHE-ECDSA-AES128-GCM-SHA256", self.s_client(node, "-tls1_2"))
        self.assertIn("TLS_AES_128_GCM_SHA256", self.s_client(node, "-tls1_3"))
        chacha = self.s_client(node, "-tls1_2", "-cipher", "ECDHE+CHACHA20:ECDHE+AESGCM")
        self.assertIn("ECDHE-ECDSA-CHACHA20-POLY1305", chacha)  # of who prefers it
        self.assertIn("handshake failure", self.s_client(node, "-tls1_2", "-cipher", "AES128-GCM-SHA256"))
        self.assertIn("X25519", self.s_client(node))

    def test_sessions_are_resumed(self):
        node = self.tls_node()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            sock = self.connect(node, context)
            self.ask(sock)  # tickets of TLS 1.3 come with the answer
            self.assertFalse(sock.session_reused)
            again = self.connect(node, context, session=sock.session)
            self.assertTrue(again.session_reused)
            self.assertIn(b"200 OK", self.ask(again))
        self.assertEqual(self.metric(node, "tls_resumed"), 2)

    def test_tickets_can_be_turned_off(self):
        node = self.tls_node(tickets=False)
        context = self.context()
        sock = self.connect(node, context)
        self.ask(sock)
        self.assertFalse(self.connect(node, context, session=sock.session).session_reused)

    def test_slow_keys_sign_on_other_threads(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:4096", "-nodes", "-keyout", self.path("slow.key"),
                        "-out", self.path("slow.crt"), "-days", "2", "-subj", "/CN=slow", "-addext",
                        "subjectAltName=DNS:slow.example"], check=True, capture_output=True)
        node = self.tls_node(certificates=[self.certificate("slow")])
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("CN = slow", self.s_client(node, version))


class Refusals(TlsCase):
    def test_renegotiation(self):
        node = self.tls_node()
        said = self.s_client(node, "-tls1_2", stdin=b"R\n")
        self.assertIn("no renegotiation", said)

    def test_what_is_no_tls(self):
        node = self.tls_node()
        for text in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"x" * 70000):
            with socket.create_connection(node.address, 10) as sock:
                try:
                    sock.sendall(text)
                    while sock.recv(1000):
                        pass
                except ConnectionError:
                    pass
        wait_until(lambda: (self.metric(node, "tls_failed_not_tls") or 0) >= 2)
        self.assertIn(b"200 OK", self.ask(self.connect(node)))

    def test_a_handshake_that_does_not_go_on(self):
        node = self.tls_node(handshake_timeout="300ms")
        with socket.create_connection(node.address, 10) as sock:
            sock.sendall(b"\x16\x03\x01")
            self.assertEqual(sock.recv(100), b"")

    def test_what_breaks_off_is_no_end(self):
        """Without close_notify the client may not take the end for an end; and we send ours."""
        node = self.tls_node()
        sock = self.connect(node)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
        while sock.recv(65536):  # raises SSLEOFError when the end is not announced
            pass

    def test_plain_addresses_stay_plain(self):
        config = self.configuration(self.origin())
        config["listen"].append({"address": "%s:%d" % (LOOPBACK, free_port())})
        node = self.node(config)
        host, _, port = config["listen"][1]["address"].rpartition(":")
        client = Client((host, int(port)))
        self.addCleanup(client.close)
        self.assertEqual(client.ask().status, 200)
        self.assertIn(b"200 OK", self.ask(self.connect(node)))


class ClientCertificates(TlsCase):
    def test_optional(self):
        node = self.tls_node({"client_auth": "optional", "client_ca": self.files.ca})
        self.assertIn(b"200 OK", self.ask(self.connect(node)))
        self.assertIn(b"200 OK", self.ask(self.connect(node, self.context(client="client"))))

    def test_one_that_is_shown_must_be_good(self):
        stranger = TlsFiles(self.path("stranger"))
        node = self.tls_node({"client_auth": "optional", "client_ca": self.files.ca})
        context = self.context()
        context.load_cert_chain(stranger.client_cert, stranger.client_key)
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.ask(self.connect(node, context))
        self.assertEqual(self.metric(node, "tls_failed_certificate"), 1)

    def test_required(self):
        node = self.tls_node({"client_auth": "required", "client_ca": self.files.ca})
        self.assertIn(b"200 OK", self.ask(self.connect(node, self.context(client="client"))))
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.ask(self.connect(node))

    def test_revoked(self):
        self.files.issue("revoked", ["DNS:revoked"])
        crl = self.revoke("revoked")
        node = self.tls_node({"client_auth": "required", "client_ca": self.files.ca, "client_crl": crl})
        self.assertIn(b"200 OK", self.ask(self.connect(node, self.context(client="client"))))
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.ask(self.connect(node, self.context(client="revoked")))

    def revoke(self, name):
        database, config, crl = self.path("index.txt"), self.path("ca.cnf"), self.path("crl.pem")
        with open(database, "w"):
            pass
        with open(config, "w") as f:
            f.write("[ca]\ndefault_ca=x\n[x]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=2\n" % database)
        ca = ["openssl", "ca", "-config", config, "-cert", self.files.ca, "-keyfile", self.files.ca_key]
        subprocess.run(ca + ["-revoke", self.path(name + ".crt")], check=True, capture_output=True)
        subprocess.run(ca + ["-gencrl", "-out", crl], check=True, capture_output=True)
        return crl


class Reloads(TlsCase):
    def test_new_certificates_for_new_connections_and_old_ones_go_on(self):
        node = self.tls_node(certificates=[self.certificate("server")])
        old = self.connect(node)
        self.ask(old)
        config = self.configuration(self.server, certificates=[self.certificate("shop")])
        config["listen"][0]["address"] = "%s:%d" % node.address
        self.assertTrue(node.reload(config))
        self.assertIn(b"200 OK", self.ask(old))
        self.connect(node, name="shop.example")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.connect(node)

    def test_broken_ones_change_nothing(self):
        node = self.tls_node()
        config = self.configuration(self.server, certificates=[{"certificate": "/nowhere.crt", "key": "/nowhere"}])
        config["listen"][0]["address"] = "%s:%d" % node.address
        self.assertFalse(node.reload(config))
        self.assertIn(b"200 OK", self.ask(self.connect(node)))
        config = self.configuration(self.server, ciphers="nonsense")
        config["listen"][0]["address"] = "%s:%d" % node.address
        self.assertFalse(node.reload(config))
        self.assertIn(b"200 OK", self.ask(self.connect(node)))

    def test_sessions_outlive_a_reload(self):
        node = self.tls_node()
        context = self.context()
        sock = self.connect(node, context)
        self.ask(sock)
        self.assertTrue(node.reload())
        self.assertTrue(self.connect(node, context, session=sock.session).session_reused)

    def test_check_reads_what_a_start_would(self):
        for tls, why in (({}, ""), ({"ciphers": "nonsense"}, "tls.ciphers"),
                         ({"certificates": [{"certificate": "/nowhere.crt"}]}, "/nowhere.crt"),
                         ({"certificates": []}, "there is no certificate")):
            config = self.configuration("http://127.0.0.1:1", **tls)
            path = self.path("check.yaml")
            with open(path, "w") as f:
                json.dump(config, f)
            done = subprocess.run([binary(), "check", path], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2 if why else 0, done.stderr)
            self.assertIn(why, done.stderr)


class EarlyData(TlsCase):
    def early(self, node, session):
        request = self.path("early")
        with open(request, "w") as f:
            f.write("GET /early HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
        with open(request, "rb") as f:  # once more, for when it was refused
            return self.s_client(node, "-sess_in", session, "-early_data", request, "-servername", "www.example",
                                 "-ign_eof", stdin=f.read())

    def first(self, node):
        session = self.path("session")
        self.s_client(node, "-sess_out", session, "-servername", "www.example", "-ign_eof",
                      stdin=b"GET / HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
        return session

    def test_it_is_off(self):
        node = self.tls_node()
        said = self.early(node, self.first(node))
        self.assertNotIn("Early data was accepted", said)

    def test_it_is_taken_where_the_address_says_so(self):
        node = self.tls_node({"early_data": True})
        said = self.early(node, self.first(node))
        self.assertIn("Early data was accepted", said)
        self.assertRegex(said, "HTTP/1.1 (200|425)")
