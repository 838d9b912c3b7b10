"""A redis-server under the control of a test: its own process, ports and folder; nothing of the system is touched."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from .ports import LOOPBACK, lasting_port
from .resp import RedisError, RespClient, TIMEOUT, client_context
from .tls_files import TlsFiles
from .wait import DEADLINE, NotInTime, wait_until

KEEPER = "test-keeper"  # the user by which a test looks at servers that have users of their own

# Lines of every server: quick, and nothing that writes to disk unless the test says so.
BASICS = """
protected-mode no
save ""
appendonly no
enable-debug-command yes
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-ping-replica-period 1
tcp-keepalive 60
"""


class RedisServer:
    """`config`: further lines, which win. `include`: a configuration file that is read before all others. `users`:
    ACL lines such as "weir on >secret ~w1:* +get"; the test itself then works as KEEPER. `tls`: True, or TlsFiles:
    only TLS is served then. `basics`: False for the include as it stands. Started by start(); stop() ends it and removes
    its folder."""

    def __init__(self, config=(), include=None, users=None, tls=False, client_certificates=False, address=LOOPBACK,
                 basics=True):
        self.dir = tempfile.mkdtemp(prefix="weir-redis-")
        self.host = address
        self.port = lasting_port(address)
        self.include = include
        self.basics = basics
        self.config = [config] if isinstance(config, str) else list(config)
        self.users = users
        self.tls = TlsFiles(os.path.join(self.dir, "tls")) if tls is True else tls or None
        self.client_certificates = client_certificates
        self.process = None
        self.halted = False

    def path(self, name):
        return os.path.join(self.dir, name)

    # ---- configuration ----

    def _lines(self):
        lines = ["include " + self.include] if self.include else []
        lines += BASICS.split("\n") if self.basics else []
        lines += ["bind " + self.host, "dir " + self.dir]
        if self.tls:
            lines += ["port 0", "tls-port %d" % self.port, "tls-replication yes", "tls-ca-cert-file " + self.tls.ca,
                      "tls-cert-file " + self.tls.cert, "tls-key-file " + self.tls.key,
                      "tls-auth-clients " + ("yes" if self.client_certificates else "optional")]
        else:
            lines += ["port %d" % self.port]
        if self.users is not None:
            lines += ["user %s" % u for u in self.users] + ["user %s on >%s ~* &* +@all" % (KEEPER, KEEPER),
                                                            "masteruser " + KEEPER, "masterauth " + KEEPER]
        return lines + self.config

    def _write(self):
        with open(self.path("redis.conf"), "w") as f:
            f.write("\n".join(self._lines()) + "\n")

    # ---- the process ----

    def spawn(self):
        """Starts the process without waiting for anything."""
        self._write()
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(["redis-server", self.path("redis.conf")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT, cwd=self.dir)
        self.halted = False
        return self

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self, deadline=DEADLINE):
        """Until it answers and has loaded what was on disk."""
        def ready():
            if self.process.poll() is not None:
                raise AssertionError("redis-server ended with %d:\n%s" % (self.process.returncode, self.log()))
            return self.answers()
        try:
            wait_until(ready, deadline, "redis-server answers")
        except NotInTime:
            raise AssertionError("redis-server was not ready in time:\n%s" % self.log())

    def answers(self):
        try:
            return self.call("PING") == "PONG"
        except (OSError, RedisError):  # refused, or LOADING
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def usable(self):
        return self.running and not self.halted

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.halted = False

    def halt(self):
        """SIGSTOP: connections stay, nothing answers. Returns when it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        self.halted = True

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        self.halted = False

    def restart(self, config=None):
        """Ends it if it runs, starts it on the same port and folder; what it knows then is what it had saved."""
        if config is not None:
            self.config = [config] if isinstance(config, str) else list(config)
        if self.running:
            self.kill()
        return self.start()

    def stop(self):
        if self.running:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- asking ----

    @property
    def address(self):
        return self.host, self.port

    @property
    def endpoint(self):
        """host:port, as configurations write it."""
        return "[%s]:%d" % self.address if ":" in self.host else "%s:%d" % self.address

    def connect(self, user=None, password=None, timeout=TIMEOUT):
        """A RespClient; without a user, one that may do everything."""
        if user is None and password is None and self.users is not None:
            user, password = KEEPER, KEEPER
        context = client_context(self.tls, certificate=True) if self.tls else None
        return RespClient(self.address, context, user, password, timeout)

    def call(self, *args, timeout=TIMEOUT):
        """One command on a connection of its own."""
        with self.connect(timeout=timeout) as client:
            return client.call(*args)

    def info(self, section="everything"):
        """INFO as a dict."""
        lines = self.call("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands(self):
        """How often each command was executed since the start (or CONFIG RESETSTAT), by lower-case name."""
        stats = self.info("commandstats")
        return {name[len("cmdstat_"):]: int(value.split(",")[0].split("=")[1]) for name, value in stats.items()}

    def keys(self, pattern="*"):
        return sorted(k.decode("latin-1") for k in self.call("KEYS", pattern))

    def listens(self):
        """True when connections are accepted, answered or not."""
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as s:
            return s.connect_ex(self.address) == 0
