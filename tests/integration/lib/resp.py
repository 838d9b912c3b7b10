"""The protocol of Redis (RESP2), by hand: a blocking client, and the encoding a scripted server answers with."""
import binascii
import socket
import ssl

TIMEOUT = 30  # seconds for one answer; a busy machine under sanitizers is slow
SLOTS = 16384


class RedisError(Exception):
    """An error reply; its first word is .code."""

    @property
    def code(self):
        return str(self).partition(" ")[0]


class Status(str):
    """A simple string: +OK."""


class NilArray:
    """*-1, which blocking reads and aborted transactions answer."""


def key_slot(key):
    """The hash slot of a key, by its hash tag if it has one."""
    key = key.encode() if isinstance(key, str) else key
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        key = key[begin + 1:end]
    return binascii.crc_hqx(key, 0) % SLOTS


def key_in_slot(slot, prefix="k"):
    """A key of that slot."""
    return next(k for k in ("%s%d" % (prefix, n) for n in range(1 << 22)) if key_slot(k) == slot)


def as_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def command(*args):
    """The bytes of a command."""
    parts = [as_bytes(a) for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def reply(value):
    """The bytes of a reply: None, int, str and bytes (bulk), Status, RedisError, lists of these."""
    if value is None:
        return b"$-1\r\n"
    if value is NilArray:
        return b"*-1\r\n"
    if isinstance(value, RedisError):
        return b"-" + str(value).encode() + b"\r\n"
    if isinstance(value, Status):
        return b"+" + value.encode() + b"\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, (list, tuple)):
        return b"*%d\r\n" % len(value) + b"".join(reply(v) for v in value)
    data = as_bytes(value)
    return b"$%d\r\n%s\r\n" % (len(data), data)


class RespReader:
    """Commands or replies, one by one, from a socket. ConnectionError at its end."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def _more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError("closed by the peer")
        self.buffer += data

    def _line(self):
        while (end := self.buffer.find(b"\r\n")) < 0:
            self._more()
        line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
        return line

    def _exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def value(self):
        """The next value. Errors are returned, not raised: they may stand inside arrays."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Status(rest.decode())
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if int(rest) < 0 else self._exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.value() for _ in range(int(rest))]
        raise ValueError("not RESP2: %r" % line)


class RespClient:
    """One connection: call() for an answer, send() and read() for pipelines and subscriptions."""

    def __init__(self, address, tls=None, user=None, password=None, timeout=TIMEOUT):
        self.sock = socket.create_connection(address, timeout)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.sock = tls.wrap_socket(self.sock, server_hostname=address[0])
            self.reader = RespReader(self.sock)
            if password is not None:
                self.call("AUTH", user or "default", password)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *args):
        self.sock.sendall(command(*args))

    def read(self):
        return self.reader.value()

    def call(self, *args):
        """The answer: None, int, bytes, Status or a list. An error reply is raised."""
        self.send(*args)
        answer = self.read()
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def close(self):
        self.sock.close()


def client_context(files, certificate=False):
    """What a client verifies a server with; `certificate`: and shows one of its own."""
    context = ssl.create_default_context(cafile=files.ca)
    if certificate:
        context.load_cert_chain(files.client_cert, files.client_key)
    return context
