"""An authority of ACME for tests: Debian's pebble, with a DNS server that leads all names where a test wants them."""
import json
import os
import stat
import subprocess
import tempfile
import urllib.request

from .ports import LOOPBACK, free_port
from .tls_files import TlsFiles
from .wait import wait_until

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


class Pebble:
    """Challenges go to `http_port` of the address that a name leads to: LOOPBACK, unless lead() says otherwise.
    `client` is uacme, for whom this authority's certificate is one that the system trusts."""

    def __init__(self, http_port, life=None):
        self.dir = tempfile.mkdtemp(prefix="weir-test-pebble-")
        self.tls = TlsFiles(os.path.join(self.dir, "tls"))
        self.http_port, self.life = http_port, life
        self.port, self.management, self.dns = free_port(), free_port(), free_port()
        self.dns_management = free_port()
        self.directory = "https://%s:%d/dir" % (LOOPBACK, self.port)
        self.client = self._write_client()
        self.processes = []

    def _write_client(self):
        # In a mount namespace of its own: uacme has no option for authorities.
        path = os.path.join(self.dir, "uacme")
        with open(path, "w") as f:
            f.write("#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s %s && exec /usr/bin/uacme \"$@\"' uacme \"$@\"\n"
                    % (self.tls.ca, SYSTEM_CA))
        os.chmod(path, stat.S_IRWXU)
        return path

    def _config(self):
        pebble = {"listenAddress": "%s:%d" % (LOOPBACK, self.port),
                  "managementListenAddress": "%s:%d" % (LOOPBACK, self.management),
                  "certificate": self.tls.cert, "privateKey": self.tls.key,
                  "httpPort": self.http_port, "tlsPort": free_port(), "ocspResponderURL": "",
                  "externalAccountBindingRequired": False}
        if self.life:
            pebble["certificateValidityPeriod"] = self.life
        path = os.path.join(self.dir, "pebble.json")
        with open(path, "w") as f:
            json.dump({"pebble": pebble}, f)
        return path

    def _spawn(self, *command):
        log = open(os.path.join(self.dir, "log"), "ab")
        environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
        with log:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                   env=environment, cwd=self.dir))

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def start(self):
        self._spawn("pebble-challtestsrv", "-defaultIPv4", LOOPBACK, "-defaultIPv6", "", "-http01", "", "-https01", "",
                    "-tlsalpn01", "", "-dns01", "%s:%d" % (LOOPBACK, self.dns),
                    "-management", "%s:%d" % (LOOPBACK, self.dns_management))
        self._spawn("pebble", "-config", self._config(), "-dnsserver", "%s:%d" % (LOOPBACK, self.dns))
        wait_until(lambda: "ACME directory available" in self.log(), 30, "pebble serves:\n%s" % self.log())
        return self

    def lead(self, name, address):
        """From now on `name` is `address`."""
        wait_until(lambda: self._tell("add-a", {"host": name + ".", "addresses": [address]}), what="the DNS server")

    def _tell(self, what, value):
        url = "http://%s:%d/%s" % (LOOPBACK, self.dns_management, what)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, json.dumps(value).encode()), timeout=10) as r:
                return r.status == 200
        except OSError:
            return False

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait(30)
        self.processes = []
