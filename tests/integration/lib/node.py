"""A weir process under test: started from a configuration, watched through its log, judged when it ends."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile

from .client import Client, ask, get
from .ports import LOOPBACK, free_port
from .wait import DEADLINE, NotInTime, wait_until

START_DEADLINE = 30  # seconds, under sanitizers on a busy machine
STOP_DEADLINE = 25  # seconds; less than a drain takes by default when it waits in vain

SANITIZER = re.compile(r"(ERROR|WARNING): \w*Sanitizer|runtime error:|Assertion .* failed|SUMMARY: \w*Sanitizer")


def binary():
    path = os.environ.get("WEIR_BINARY")
    if not path:
        raise RuntimeError("WEIR_BINARY is not set: start the tests with tests/integration/run")
    return path


def sanitizer():
    """ "address", "thread" or None: memory sizes mean nothing under these."""
    global _sanitizer
    if _sanitizer is False:
        with open(binary(), "rb") as f:
            content = f.read()
        _sanitizer = "address" if b"__asan_init" in content else "thread" if b"__tsan_init" in content else None
    return _sanitizer


_sanitizer = False


def settings(upstreams, routes=None, listen=None, **top):
    """A configuration as a dict: `upstreams` is an Origin, a list of them (one upstream "app"), or a list of
    dicts that is taken as it is. `routes` defaults to one route to the first upstream."""
    if not isinstance(upstreams, list):
        upstreams = [upstreams]
    if upstreams and not isinstance(upstreams[0], dict):
        upstreams = [{"name": "app", "origins": [getattr(o, "url", o) for o in upstreams]}]
    config = {"listen": listen or [{"address": "%s:%d" % (LOOPBACK, free_port())}]}
    config["upstreams"] = upstreams
    config["routes"] = routes if routes is not None else [{"upstream": upstreams[0]["name"]}]
    config.update(top)
    config.setdefault("node", {}).setdefault("workers", 2)
    return config


def upstream(origins, name="app", **keys):
    """One entry of `upstreams`."""
    origins = origins if isinstance(origins, list) else [origins]
    return dict(name=name, origins=[getattr(o, "url", o) for o in origins], **keys)


def address_of(listen):
    """What a client connects to for a `listen` address."""
    if listen.startswith("unix:"):
        return listen[5:]
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


class NodeFailed(AssertionError):
    pass


class Node:
    """`config` is a dict (written as JSON, which is YAML) or YAML text; None with `args` for a node without a file."""

    def __init__(self, config=None, args=None, files=None, environment=None, prefix=()):
        self.dir = tempfile.mkdtemp(prefix="weir-test-")
        self.config_file = os.path.join(self.dir, "weir.yaml")
        self.stderr_file = os.path.join(self.dir, "stderr")
        self.stdout_file = os.path.join(self.dir, "stdout")
        self.error_file = self.stderr_file  # or where the configuration sends the error log
        self.process = None
        self.expect_exit = 0
        self.address = None
        self.admin_socket = None
        if config is not None:
            self.write(config)
        self.args = args if args is not None else ["--config", self.config_file]
        self.files = files  # RLIMIT_NOFILE
        self.environment = environment or {}
        self.prefix = list(prefix)  # of the command: to run it inside a namespace
        self.pass_fds = ()  # descriptors it inherits

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, config):
        text = config
        if isinstance(config, dict):
            # A socket of its own, out of the way of whatever else runs on this machine.
            config = dict(config, admin=dict({"socket": self.path("admin.sock")}, **config.get("admin", {})))
            self.admin_socket = config["admin"]["socket"]
            text = json.dumps(config, indent=1)
            if "error_file" in config.get("log", {}):
                self.error_file = os.path.join(self.dir, config["log"]["error_file"])
            self.address = address_of(config["listen"][0]["address"])
        with open(self.config_file, "w") as f:
            f.write(text)

    def spawn(self):
        """Starts the process without waiting for anything."""
        command = self.prefix + [binary()] + self.args
        if self.files:
            command = ["prlimit", "--nofile=%d" % self.files, "--"] + command
        environment = dict(os.environ, **self.environment)
        environment["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99:abort_on_error=0"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        environment["TSAN_OPTIONS"] = "exitcode=66:second_deadlock_stack=1"
        with open(self.stderr_file, "ab") as err, open(self.stdout_file, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            cwd=self.dir, env=environment, pass_fds=self.pass_fds)
        return self

    def start(self):
        self.spawn()

        def ready():
            if self.process.poll() is not None:
                raise NodeFailed("weir ended with %d at start:\n%s" % (self.process.returncode, self.log()))
            return re.search(r" ready\b", self.log())
        try:
            wait_until(ready, START_DEADLINE, "the node is ready")
        except NotInTime:
            raise NodeFailed("weir was not ready in time:\n%s" % self.log())
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        """The error log so far, and what a sanitizer wrote to standard error."""
        text = ""
        for name in dict.fromkeys((self.stderr_file, self.error_file)):
            if os.path.exists(name):
                with open(name, encoding="utf-8", errors="replace") as f:
                    text += f.read()
        return text

    def mark(self):
        return len(self.log())

    def wait_log(self, pattern, since=0, deadline=DEADLINE):
        """The match of a pattern in what was logged after mark `since`."""
        return wait_until(lambda: re.search(pattern, self.log()[since:]), deadline,
                          "a log line like %r in:\n%s" % (pattern, self.log()[since:][-2000:]))

    def access_log(self, name=None):
        """Lines of the access log: standard output, or the file of that name in the node's directory."""
        with open(self.path(name) if name else self.stdout_file, encoding="utf-8", errors="replace") as f:
            return f.read().splitlines()

    def wait_access(self, count=1, name=None):
        """The log's writer is asynchronous: waits for `count` lines."""
        wait_until(lambda: len(self.access_log(name)) >= count, what="%d access log lines" % count)
        return self.access_log(name)

    def reload(self, config=None):
        """SIGHUP, after writing `config` if given. True when the node says it reloaded, False when it refused."""
        if config is not None:
            address = self.address
            self.write(config)
            self.address = self.address or address
        mark = self.mark()
        self.signal(signal.SIGHUP)
        return self.wait_log(r" (reloaded|reload failed)\b", mark).group(1) == "reloaded"

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, deadline=STOP_DEADLINE):
        """Exit status once it has ended by itself (or after a signal of the test)."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise NodeFailed("weir did not end within %d s:\n%s" % (deadline, self.log()[-4000:]))

    def stop(self):
        """SIGTERM if it still runs; then the verdict: clean exit, no report of a sanitizer. Removes its files."""
        if self.process is None:
            return
        try:
            if self.running:
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(STOP_DEADLINE)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                    raise NodeFailed("weir did not end %d s after SIGTERM:\n%s" % (STOP_DEADLINE, self.log()[-4000:]))
            self.judge()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.dir, ignore_errors=True)

    def judge(self):
        log = self.log()
        report = SANITIZER.search(log)
        if report:
            raise NodeFailed("a sanitizer or assertion reported:\n%s" % log[report.start():][:20000])
        if self.process.returncode != self.expect_exit:
            raise NodeFailed("weir ended with %d, not %s:\n%s" % (self.process.returncode, self.expect_exit,
                                                                 log[-4000:]))

    def kill_now(self):
        """SIGTERM twice: ends at once, for tests that leave exchanges open. Still judged by stop()."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGTERM)

    def halt(self):
        """SIGSTOP; returns when every thread stands still. What arrives until go_on() is seen in one turn."""
        self.signal(signal.SIGSTOP)
        tasks = "/proc/%d/task" % self.pid

        def state(task):
            with open("%s/%s/stat" % (tasks, task)) as f:
                return f.read().rsplit(")", 1)[1].split()[0]
        wait_until(lambda: all(state(t) == "T" for t in os.listdir(tasks)), what="every thread stands still")

    def go_on(self):
        self.signal(signal.SIGCONT)

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def open_files(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def admin(self, method="GET", path="/v1/cache/stats", body=None, deadline=30):
        """One request to the admin API: status and what its JSON says (text where it is none)."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        with Client(self.admin_socket, timeout=deadline) as client:
            data = (body or "").encode() if not isinstance(body, bytes) else body
            client.send(("%s %s HTTP/1.1\r\nHost: node\r\nContent-Length: %d\r\n\r\n"
                         % (method, path, len(data))).encode() + data)
            response = client.response(method)
        if response.fields.get("content-type") == "application/json":
            return response.status, json.loads(response.body)
        return response.status, response.text

    def metric(self, name):
        """The number under weir_NAME, which has no labels, in what it tells Prometheus."""
        return int(re.search(r"(?m)^weir_%s (\d+)$" % name, self.admin(path="/metrics")[1]).group(1))

    # Requests to its first listener.
    def client(self, **kw):
        return Client(self.address, **kw)

    def get(self, path="/", fields=(), **kw):
        return get(self.address, path, fields, **kw)

    def ask(self, method, path="/", fields=(), body=b"", **kw):
        return ask(self.address, method, path, fields, body, **kw)


def run_weir(*args, deadline=30, **kw):
    """A run that ends by itself, such as `weir check FILE`: status, stdout and stderr as text."""
    done = subprocess.run([binary()] + list(args), stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline,
                          encoding="utf-8", errors="replace", **kw)
    if SANITIZER.search(done.stderr):
        raise NodeFailed("a sanitizer or assertion reported:\n%s" % done.stderr[-20000:])
    return done
