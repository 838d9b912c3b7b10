"""A scripted origin: real sockets, every byte decided by the test.

    origin = Origin()
    origin.on("/a", b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")     canned bytes
    origin.on("/b", lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"hi"))
    origin.on("/c", handler, read_body=False)      the handler reads (or does not read) the content itself

A handler runs in the thread of its connection. It may wait for events of the test, send any bytes, and end
with x.close() or x.reset(); otherwise the connection is kept for the next request. What it raises is kept
in origin.errors, which the test case looks at in the end.
"""
import os
import socket
import struct
import threading
import time

from . import http1
from .client import as_pairs
from .http1 import Malformed, Source, Truncated
from .ports import LOOPBACK
from .wait import wait_until

TIMEOUT = 40  # seconds: no thread outlives its test by more


class Request:
    """One request as it arrived: raw head, method, target, version, fields, body, trailers, connection number."""

    def __init__(self, raw, connection):
        lines = http1.split_head(raw)
        match = http1.REQUEST_LINE.match(lines[0])
        if not match:
            raise Malformed("request line %r" % lines[0])
        self.raw = raw
        self.method = match.group(1).decode()
        self.target = match.group(2).decode()
        self.path = self.target.partition("?")[0]
        self.version = "1." + match.group(3).decode()
        self.fields = http1.parse_fields(lines[1:])
        self.body = None  # None: not (wholly) read
        self.trailers = http1.Fields()
        self.connection = connection
        self.time = time.monotonic()

    def __repr__(self):
        return "<%s %s %s>" % (self.method, self.target, self.fields)


class Exchange:
    """What a handler works with: .request, and the connection."""

    def __init__(self, origin, request, sock, source):
        self.origin = origin
        self.request = request
        self.sock = sock
        self.source = source
        self.open = True

    def read_body(self):
        """Reads the content as framed; Truncated when the peer stops before its end."""
        r = self.request
        if http1.is_chunked(r.fields):
            r.body, r.trailers = http1.read_chunked(self.source)
        else:
            r.body = self.source.exactly(http1.content_length(r.fields) or 0)
        return r.body

    def read_chunk(self):
        return http1.read_chunk(self.source)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def send_head(self, status=200, fields=(), reason="Scripted"):
        lines = "".join("%s: %s\r\n" % p for p in as_pairs(fields))
        self.send("HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, lines))

    def reply(self, status=200, fields=(), body=b"", reason="Scripted"):
        """A whole response; Content-Length is added where content is possible and no framing is given."""
        pairs = as_pairs(fields)
        names = [n.lower() for n, _ in pairs]
        framed = "content-length" in names or "transfer-encoding" in names
        if not framed and status >= 200 and status not in (204, 304):
            pairs.append(("Content-Length", str(len(body))))
        head = "HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, "".join("%s: %s\r\n" % p for p in pairs))
        self.send(head.encode("latin-1") + (b"" if self.request.method == "HEAD" else body))

    def chunk(self, data):
        self.send(http1.chunk(data))

    def last_chunk(self):
        self.send(http1.LAST_CHUNK)

    def close(self):
        self.open = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        self.open = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def peer_left(self, deadline=30):
        """Waits until the peer closes or resets; NotInTime if it does not. Bytes it sends are dropped."""
        self.sock.settimeout(deadline)
        try:
            while self.source.more():
                self.source.take()
        except ConnectionError:
            pass
        return True


class Origin:
    def __init__(self, handler=None, address=LOOPBACK, unix=None, backlog=512, start=True):
        self.default = handler or (lambda x: x.reply(200, {}, b"origin"))
        self.routes = {}
        self.requests = []
        self.errors = []
        self.connections = 0
        self.malformed = []  # heads that are no HTTP: a proxy must never send one
        self.lock = threading.Lock()
        self.open_sockets = {}
        self.unix = unix
        self.address = address
        self.port = None
        self.backlog = backlog
        self.listener = None
        if start:
            self.start()

    def start(self):
        """Listens (again, on the same port, after stop())."""
        if self.unix:
            if os.path.exists(self.unix):
                os.unlink(self.unix)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.unix)
        else:
            self.listener = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.address, self.port or 0))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(self.backlog)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

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

    close = stop

    def cut_all(self):
        with self.lock:
            socks = list(self.open_sockets.values())
        for sock in socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def url(self):
        if self.unix:
            return "unix:" + self.unix
        return "http://%s:%d" % ("[%s]" % self.address if ":" in self.address else self.address, self.port)

    def on(self, path, handler, read_body=True):
        """`handler` is a callable taking an Exchange, bytes to send, or a list of these for successive requests
        (the last one stays)."""
        self.routes[path] = (handler, read_body)
        return self

    @property
    def open_connections(self):
        with self.lock:
            return len(self.open_sockets)

    def seen(self, path=None):
        """The requests that arrived so far, in order; only those for `path` when given."""
        with self.lock:
            return [r for r in self.requests if path is None or r.path == path]

    def count(self, path=None):
        return len(self.seen(path))

    def wait_count(self, n, path=None, deadline=30):
        wait_until(lambda: self.count(path) >= n, deadline, "%d requests at the origin" % n)
        return self.seen(path)

    def last(self, path=None):
        return self.seen(path)[-1]

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
                self.open_sockets[number] = sock
            sock.settimeout(TIMEOUT)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock, number):
        source = Source(sock)
        try:
            while self._one(sock, source, number):
                pass
        except (ConnectionError, TimeoutError, Truncated, OSError):
            pass  # the peer went away: the test sees that by what it asks of the exchange
        except AssertionError as e:
            self.errors.append(e)
        except Exception as e:  # a fault of the script: shown at the end of the test
            self.errors.append(e)
        finally:
            with self.lock:
                self.open_sockets.pop(number, None)
            sock.close()

    def _one(self, sock, source, number):
        raw = source.until(b"\r\n\r\n")
        if raw is None:
            return False
        try:
            request = Request(raw, number)
        except Malformed as e:
            self.malformed.append(raw)
            raise e
        x = Exchange(self, request, sock, source)
        handler, read_body = self.routes.get(request.path, (self.default, True))
        with self.lock:
            if isinstance(handler, list):
                handler = handler.pop(0) if len(handler) > 1 else handler[0]
            self.requests.append(request)
        if read_body:
            x.read_body()
        if isinstance(handler, bytes):
            x.send(handler)
        else:
            handler(x)
        return x.open


def raw(*pieces, then="keep"):
    """A handler that sends exactly these bytes; then "close", "reset" or "keep" the connection."""
    def handle(x):
        for piece in pieces:
            x.send(piece)
        if then == "close":
            x.close()
        elif then == "reset":
            x.reset()
    return handle


class RawListener:
    """A listener without any HTTP: hands each accepted socket to handle(sock) in a thread."""

    def __init__(self, handle, address=LOOPBACK):
        self.sock = socket.socket()
        self.sock.bind((address, 0))
        self.sock.listen(64)
        self.address = self.sock.getsockname()
        self.handle = handle
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "http://%s:%d" % self.address

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            sock.settimeout(TIMEOUT)
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        try:
            self.handle(sock)
        except OSError:
            pass
        finally:
            sock.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
