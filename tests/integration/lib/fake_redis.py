"""A Redis that follows a script: it answers each command as the test says, rightly or not.

    fake = FakeRedis()                                  one node that owns every slot and keeps strings
    fake.on("GET", b"$5\\r\\nhel")                      bytes are sent as they are; resp.reply() makes right ones
    fake.on("GET", RedisError("MOVED 1 127.0.0.1:1"))   anything else is encoded: None, int, str (bulk), Status, lists
    fake.on("GET", lambda c: ...)                       called with the Command, gives the answer; may wait for events
    fake.on("GET", SILENCE)                             never answered; the connection stays
    fake.on("GET", CLOSE)                               closed instead of answered
    fake.on("GET", None, "x")                           for successive commands; the last one stays
    fake.on("CLUSTER SLOTS", fake.slots([(0, 16383, fake)]))
"""
import socket
import threading
import time

from .ports import LOOPBACK
from .resp import SLOTS, NilArray, RedisError, RespReader, Status, reply
from .wait import wait_until

TIMEOUT = 60  # seconds: no thread outlives its test by more

SILENCE = object()
CLOSE = object()

OK = Status("OK")


class Command:
    """One command as it arrived: .args (bytes), .name ("CLUSTER SLOTS" for containers), the connection's number."""
    CONTAINERS = {"CLUSTER", "CLIENT", "CONFIG", "ACL", "SCRIPT", "COMMAND", "DEBUG"}

    def __init__(self, fake, args, connection, sock):
        self.fake = fake
        self.args = args
        self.connection = connection
        self.sock = sock
        self.time = time.monotonic()
        word = args[0].decode("latin-1").upper()
        inner = word in self.CONTAINERS and len(args) > 1
        self.name = word + " " + args[1].decode("latin-1").upper() if inner else word

    def __repr__(self):
        return "<%s>" % b" ".join(self.args)[:200].decode("latin-1")

    def send(self, data):
        """Bytes before (or instead of, with SILENCE) the answer."""
        self.sock.sendall(data)


class FakeRedis:
    def __init__(self, address=LOOPBACK, tls=None, start=True):
        self.host = address
        self.port = None
        self.tls = tls  # an ssl.SSLContext for servers
        self.script = {}
        self.strings = {}
        self.log = []
        self.errors = []  # what a script raised
        self.connections = 0
        self.lock = threading.Lock()
        self.open_sockets = {}
        self.listener = None
        if start:
            self.start()

    # ---- life ----

    def start(self):
        """Listens (again, on the same port, after stop())."""
        self.listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port or 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(512)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """Refuses new connections and cuts those there are."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            listener.close()
        self.cut_all()

    def cut_all(self):
        with self.lock:
            socks = list(self.open_sockets.values())
        for sock in socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def address(self):
        return self.host, self.port

    @property
    def endpoint(self):
        return "[%s]:%d" % self.address if ":" in self.host else "%s:%d" % self.address

    # ---- the script ----

    def on(self, name, *answers):
        """What is answered to a command; "*" for all that have no answer of their own."""
        with self.lock:
            self.script[name.upper()] = list(answers)
        return self

    def off(self, name):
        """Back to the usual answer."""
        with self.lock:
            self.script.pop(name.upper(), None)
        return self

    def slots(self, ranges):
        """A reply to CLUSTER SLOTS: (first, last, node, replica ...), each a FakeRedis, RedisServer or (host, port)."""
        def place(node):
            host, port = getattr(node, "address", node)
            return [host, port, "%040x" % port, []]
        return [[first, last] + [place(node) for node in nodes] for first, last, *nodes in ranges]

    def usual(self, command):
        """What a small, honest Redis would say."""
        args = command.args
        answers = {
            "PING": lambda: Status("PONG"), "AUTH": lambda: OK, "READONLY": lambda: OK, "ASKING": lambda: OK,
            "READWRITE": lambda: OK, "CLIENT SETNAME": lambda: OK, "CLIENT ID": lambda: command.connection,
            "CLUSTER SLOTS": lambda: self.slots([(0, SLOTS - 1, self)]), "TIME": self._time, "WAIT": lambda: 0,
            "CLUSTER INFO": lambda: "cluster_state:ok\r\ncluster_slots_ok:%d\r\n" % SLOTS,
            "INFO": lambda: "# Server\r\nredis_version:7.0.15\r\n# Cluster\r\ncluster_enabled:1\r\n",
            "GET": lambda: self.strings.get(args[1]), "SET": lambda: self._set(args),
            "DEL": lambda: self._delete(args[1:]), "UNLINK": lambda: self._delete(args[1:]),
            "EXISTS": lambda: sum(k in self.strings for k in args[1:]), "PEXPIRE": lambda: int(args[1] in self.strings),
            "EVALSHA": lambda: RedisError("NOSCRIPT No matching script. Please use EVAL."),
            "XRANGE": lambda: [], "SPUBLISH": lambda: 0, "XREAD": lambda: NilArray,
            "SSUBSCRIBE": lambda: [b"ssubscribe", args[1], 1], "SUBSCRIBE": lambda: [b"subscribe", args[1], 1],
            "SUNSUBSCRIBE": lambda: [b"sunsubscribe", args[1], 0],
        }
        answer = answers.get(command.name)
        return reply(answer() if answer else RedisError("ERR unknown command '%s'" % command.name))

    @staticmethod
    def _time():
        now = time.time()
        return [str(int(now)), str(int(now * 1000000) % 1000000)]

    def _set(self, args):
        self.strings[args[1]] = args[2]
        return OK

    def _delete(self, keys):
        return sum(self.strings.pop(k, None) is not None for k in keys)

    # ---- what arrived ----

    def seen(self, name=None):
        """The commands so far, in order; only those of a name when given."""
        with self.lock:
            return [c for c in self.log if name is None or c.name == name.upper()]

    def count(self, name=None):
        return len(self.seen(name))

    def wait_count(self, n, name=None, deadline=30):
        wait_until(lambda: self.count(name) >= n, deadline, "%d times %s" % (n, name or "anything"))
        return self.seen(name)

    @property
    def open_connections(self):
        with self.lock:
            return len(self.open_sockets)

    # ---- serving ----

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        number = None
        try:
            sock.settimeout(TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                self.connections += 1
                number = self.connections
                self.open_sockets[number] = sock
            reader = RespReader(sock)
            while self._one(reader.value(), number, sock):
                pass
        except OSError:
            pass  # the peer went away, or was cut
        except Exception as e:  # a fault of the script, or bytes that are no command
            self.errors.append(e)
        finally:
            with self.lock:
                self.open_sockets.pop(number, None)
            sock.close()

    def _next_answer(self, command):
        with self.lock:
            self.log.append(command)
            answers = self.script.get(command.name, self.script.get("*"))
            if answers is None:
                return self.usual
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def _one(self, args, number, sock):
        command = Command(self, args, number, sock)
        answer = self._next_answer(command)
        if callable(answer):
            answer = answer(command)
        if answer is CLOSE:
            return False
        if answer is not SILENCE:
            sock.sendall(answer if isinstance(answer, bytes) else reply(answer))
        return True
