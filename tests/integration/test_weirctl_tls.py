"""weirctl --node: how it talks to a node over TLS, and to whom it does not. The node is a script here."""
import json
import os
import shutil
import socket
import ssl
import tempfile
import threading
import unittest

from lib.ctl import weirctl
from lib.ports import LOOPBACK
from lib.tls_files import TlsFiles

FINE, USAGE = 0, 3
ANSWER = {"engine": "embedded", "farm": None, "endpoints": [], "operations": {}}


class Listener:
    """Answers each request with ANSWER, and keeps its head."""

    def __init__(self, files, client_ca=None, goodbye=True):
        self.heads, self.goodbye = [], goodbye
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(files.cert, files.key)
        if client_ca:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.socket = socket.create_server((LOOPBACK, 0))
        self.url = "https://%s:%d" % (LOOPBACK, self.socket.getsockname()[1])
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            try:
                peer.settimeout(10)
                with self.context.wrap_socket(peer, server_side=True) as s:
                    head = b""
                    while b"\r\n\r\n" not in head and (data := s.recv(65536)):
                        head += data
                    self.heads.append(head.decode())
                    body = json.dumps(ANSWER).encode()
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
                    if self.goodbye:
                        s.unwrap()
            except OSError:
                pass  # the client did not like it

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = TlsFiles(os.path.join(cls.folder, "ours"))
        cls.others = TlsFiles(os.path.join(cls.folder, "others"))
        cls.token = cls.write("token", "secret-token\n")

    @classmethod
    def write(cls, name, text):
        path = os.path.join(cls.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def listener(self, *args, **kw):
        listener = Listener(*args, **kw)
        self.addCleanup(listener.close)
        return listener

    def ask(self, url, *args, token=None, ca=None):
        return weirctl("redis", "--node", url, "--token-file", token or self.token,
                       "--ca-file", ca or self.files.ca, *args)

    def test_the_token_goes_along(self):
        for goodbye in (True, False):
            listener = self.listener(self.files, goodbye=goodbye)
            done = self.ask(listener.url)
            self.assertEqual(done.returncode, FINE, done.stderr)
            self.assertIn("no farm", done.stdout)
            self.assertIn("\r\nAuthorization: Bearer secret-token\r\n", listener.heads[0])

    def test_a_certificate_instead_of_a_token(self):
        listener = self.listener(self.files, client_ca=self.files.ca)
        done = weirctl("redis", "--node", listener.url, "--ca-file", self.files.ca, "--cert-file",
                       self.files.client_cert, "--key-file", self.files.client_key)
        self.assertEqual(done.returncode, FINE, done.stderr)
        self.assertNotIn("Authorization", listener.heads[0])

    def test_nobody_else_gets_the_token(self):
        listener = self.listener(self.others)
        done = self.ask(listener.url)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("TLS", done.stderr)
        self.assertEqual(listener.heads, [])

    def test_another_name_is_somebody_else(self):
        listener = self.listener(self.files)
        self.assertEqual(self.ask(listener.url, "--server-name", "elsewhere").returncode, USAGE)
        self.assertEqual(self.ask(listener.url, "--server-name", "localhost").returncode, FINE)

    def test_a_token_goes_in_the_clear_to_this_host_alone(self):
        for host in ("192.0.2.1", "127.elsewhere.invalid"):
            done = self.ask("http://%s:1" % host)
            self.assertEqual(done.returncode, USAGE)
            self.assertIn("without TLS only to this host", done.stderr)

    def test_what_makes_no_sense_is_3(self):
        listener = self.listener(self.files)
        for url, token in (("http://localhost:1", self.token), ("http://192.0.2.1:80", self.token), ("ftp://a:1", self.token), ("https://localhost", self.token),
                           ("https://:1", self.token), (listener.url, "/nonexistent/token"),
                           (listener.url, self.write("two", "a\r\nX: b")), (listener.url, self.write("none", "")),
                           ("https://%s:1" % LOOPBACK, self.token), ("https://host.invalid:1", self.token)):
            with self.subTest(url=url, token=token):
                done = self.ask(url, token=token)
                self.assertEqual(done.returncode, USAGE)
                self.assertRegex(done.stderr, r"\Aweirctl: .+\n")
                self.assertNotIn("secret-token", done.stderr)
        self.assertEqual(listener.heads, [])
