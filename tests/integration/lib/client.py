"""A client that sends the bytes it is told to and reads responses strictly."""
import socket
import struct

from . import http1
from .http1 import Fields, Malformed, Source, Truncated

TIMEOUT = 30  # seconds for any one read or write


class Response:
    """status, reason, version ("1.0" or "1.1"), fields, body, trailers; framing is how the end was found:
    "length", "chunked", "close" or "none" (there can be no content)."""

    def __init__(self, head, method):
        lines = http1.split_head(head)
        match = http1.STATUS_LINE.match(lines[0])
        if not match:
            raise Malformed("status line %r" % lines[0])
        self.version = "1." + match.group(1).decode()
        self.status = int(match.group(2))
        self.reason = match.group(3).decode("latin-1")
        self.fields = http1.parse_fields(lines[1:])
        self.head = head
        self.body = b""
        self.trailers = Fields()
        chunked, self.length = http1.is_chunked(self.fields), http1.content_length(self.fields)
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            self.framing = "none"
        elif chunked:
            self.framing = "chunked"
        elif self.length is not None:
            self.framing = "length"
        else:
            self.framing = "close"

    @property
    def text(self):
        return self.body.decode("latin-1")

    @property
    def closes(self):
        return "close" in [t.strip().lower() for t in self.fields.get("connection", "").split(",")]

    @property
    def cache_status(self):
        return self.fields.get("cache-status", "")

    @property
    def hit(self):
        """What the last cache, ours, says."""
        return "hit" in [p.strip() for p in self.cache_status.split(",")[-1].split(";")]

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.fields, self.body[:200])


class Client:
    """One connection. `address` is (host, port) or the path of a Unix socket; `source` an address to come from."""

    def __init__(self, address, timeout=TIMEOUT, source=None, receive_buffer=None):
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        try:
            self.sock.connect(address)
            if family != socket.AF_UNIX:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.sock.close()
            raise
        self.source = Source(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Ends with RST rather than FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def head(self, method="GET"):
        """The next head, interim ones included. Truncated when the connection ended instead."""
        raw = self.source.until(b"\r\n\r\n")
        if raw is None:
            raise Truncated("closed without a response")
        return Response(raw, method)

    def content(self, response):
        """Reads the content of a response whose head was read, into it."""
        try:
            if response.framing == "length":
                response.body = self.source.exactly(response.length)
            elif response.framing == "chunked":
                response.body, response.trailers = http1.read_chunked(self.source)
            elif response.framing == "close":
                response.body = self.source.rest()
        except Truncated as e:
            raise Truncated(str(e), e.partial, response)
        return response

    def response(self, method="GET"):
        """The next final response, whole. Interim ones are gathered in its .interim."""
        interim = []
        while True:
            response = self.head(method)
            if response.status >= 200 or response.status == 101:
                response.interim = interim
                return self.content(response)
            interim.append(response)

    def ask(self, method="GET", path="/", fields=(), body=b"", host="test.example", version="1.1"):
        """Sends one request and reads its response."""
        self.send(request(method, path, fields, body, host, version))
        return self.response(method)

    def closed(self):
        """True when the peer has closed or closes now, with nothing more sent: FIN or RST."""
        try:
            return not self.source.buffer and not self.source.more()
        except ConnectionError:
            return True

    def was_reset(self):
        """Reads to the end; True when that was a reset rather than a FIN."""
        try:
            self.source.rest()
            return False
        except ConnectionResetError:
            return True

    def readable(self, seconds):
        """True when bytes or the end come within that time: for showing that something does *not* come."""
        if self.source.buffer:
            return True
        self.sock.settimeout(seconds)
        try:
            self.source.more()
            return True
        except TimeoutError:
            return False
        finally:
            self.sock.settimeout(TIMEOUT)


def as_pairs(fields):
    return list(fields.items()) if isinstance(fields, dict) else list(fields)


def request(method="GET", path="/", fields=(), body=b"", host="test.example", version="1.1"):
    """The bytes of a request; Content-Length is added when there is a body and no framing field is given."""
    pairs = as_pairs(fields)
    names = [n.lower() for n, _ in pairs]
    if host is not None and "host" not in names:
        pairs.insert(0, ("Host", host))
    if body and "content-length" not in names and "transfer-encoding" not in names:
        pairs.append(("Content-Length", str(len(body))))
    head = "%s %s HTTP/%s\r\n" % (method, path, version) + "".join("%s: %s\r\n" % p for p in pairs) + "\r\n"
    return head.encode("latin-1") + body


def ask(address, method="GET", path="/", fields=(), body=b"", host="test.example", version="1.1", **kw):
    """One request on a connection of its own."""
    with Client(address, **kw) as client:
        return client.ask(method, path, fields, body, host, version)


def get(address, path="/", fields=(), **kw):
    return ask(address, "GET", path, fields, **kw)
