"""Certificates for a test, made by the openssl program: a CA, a server's and a client's."""
import os
import subprocess

from .ports import LOOPBACK

NAMES = ("IP:127.0.0.1", "IP:" + LOOPBACK, "IP:::1", "DNS:localhost")


class TlsFiles:
    """In `folder`: ca, cert and key (of a server with the alternative names `names`), client_cert, client_key."""

    def __init__(self, folder, names=NAMES):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.ca, self.ca_key = self._path("ca.crt"), self._path("ca.key")
        self.cert, self.key = self._path("server.crt"), self._path("server.key")
        self.client_cert, self.client_key = self._path("client.crt"), self._path("client.key")
        self._openssl("req", "-x509", *self._new("ca.key"), "-subj", "/CN=weir test CA", "-days", "2", "-out", self.ca,
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.issue("server", names)
        self.issue("client", ["DNS:client"])

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _new(self, key):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self._path(key)]

    def issue(self, name, names, days=2, extensions=(), rsa=False):
        """Makes NAME.crt and NAME.key, signed by the CA; days=-1: expired yesterday. `extensions`: further lines, as
        openssl wants them. Returns both paths."""
        file = self._path(name + ".ext")
        with open(file, "w") as f:
            f.write("\n".join(["subjectAltName=%s" % ",".join(names), *extensions, ""]))
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", self._path(name + ".key")] if rsa else \
            self._new(name + ".key")
        self._openssl("req", "-new", *key, "-subj", "/CN=weir test " + name, "-out", self._path(name + ".csr"))
        self._openssl("x509", "-req", "-in", self._path(name + ".csr"), "-CA", self.ca, "-CAkey", self.ca_key,
                      "-CAcreateserial", "-days", str(days), "-extfile", file, "-out", self._path(name + ".crt"))
        return self._path(name + ".crt"), self._path(name + ".key")

    def with_chain(self, name):
        """NAME.pem: the certificate, the CA's and the key in one file. Its path."""
        path = self._path(name + ".pem")
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as out:
            for part in (self._path(name + ".crt"), self.ca, self._path(name + ".key")):
                with open(part) as f:
                    out.write(f.read())
        return path

    @staticmethod
    def _openssl(*args):
        done = subprocess.run(("openssl",) + args, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError("openssl %s failed:\n%s" % (args[0], done.stderr))
