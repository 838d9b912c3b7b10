"""A strict reader of HTTP/1.1 messages, independent of weir's: what is not in the grammar raises Malformed."""
import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(;.*)?\Z")


class Malformed(AssertionError):
    pass


class Truncated(AssertionError):
    """The connection ended inside a message. `partial` is the content up to there, `response` its head if any."""

    def __init__(self, text, partial=b"", response=None):
        super().__init__(text)
        self.partial = partial
        self.response = response


class Fields:
    """A header section: order and case kept, look-ups without regard to case."""

    def __init__(self, lines=()):
        self.lines = list(lines)  # (name, value), both str in latin-1

    def all(self, name):
        return [v for n, v in self.lines if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def names(self):
        return [n.lower() for n, _ in self.lines]

    def __contains__(self, name):
        return name.lower() in self.names()

    def __getitem__(self, name):
        value = self.get(name)
        if value is None:
            raise AssertionError("no field %s in %r" % (name, self.lines))
        return value

    def __repr__(self):
        return repr(self.lines)


def parse_fields(lines):
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or not VALUE.match(value):
            raise Malformed("field line %r" % line)
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return Fields(fields)


def split_head(raw):
    """The lines of a head that ends with an empty line; a bare CR or LF is malformed."""
    if not raw.endswith(b"\r\n\r\n"):
        raise Malformed("head without its empty line: %r" % raw[-40:])
    lines = raw[:-4].split(b"\r\n")
    for line in lines:
        if b"\r" in line or b"\n" in line:
            raise Malformed("bare CR or LF in %r" % line)
    return lines


class Source:
    """Bytes of a socket, buffered. Its timeout bounds every read."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.ended = False

    def more(self):
        """Reads once; False at the end of the stream. A reset raises ConnectionResetError."""
        if self.ended:
            return False
        data = self.sock.recv(1 << 18)
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def take(self, count=None):
        """What is buffered, or the first `count` bytes of it."""
        count = len(self.buffer) if count is None else count
        out = bytes(memoryview(self.buffer)[:count])
        del self.buffer[:count]
        return out

    def until(self, mark, limit=1 << 20):
        """Through the mark. None when the stream ended before the first byte; Truncated when inside."""
        start = 0
        while True:
            at = self.buffer.find(mark, start)
            if at >= 0:
                return self.take(at + len(mark))
            start = max(0, len(self.buffer) - len(mark) + 1)
            if len(self.buffer) > limit:
                raise Malformed("no %r within %d bytes" % (mark, limit))
            if not self.more():
                if not self.buffer:
                    return None
                raise Truncated("ended before %r" % mark, bytes(self.buffer))

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.more():
                raise Truncated("%d bytes of %d" % (len(self.buffer), count), bytes(self.buffer))
        return self.take(count)

    def rest(self):
        while self.more():
            pass
        return self.take()


def read_chunk(source):
    """One chunk's data; b"" for the last chunk, whose trailer section is then still unread."""
    line = source.until(b"\r\n")
    if line is None:
        raise Truncated("ended before a chunk")
    match = CHUNK_LINE.match(line[:-2])
    if not match or b"\n" in line[:-2] or b"\r" in line[:-2]:
        raise Malformed("chunk line %r" % line)
    size = int(match.group(1), 16)
    if size == 0:
        return b""
    data = source.exactly(size)
    if source.exactly(2) != b"\r\n":
        raise Malformed("chunk data not followed by CRLF")
    return data


def read_trailers(source):
    lines = []
    while True:
        line = source.until(b"\r\n")
        if line is None:
            raise Truncated("ended in the trailer section")
        if line == b"\r\n":
            return parse_fields(lines)
        lines.append(line[:-2])


def read_chunked(source):
    pieces = []
    try:
        while True:
            data = read_chunk(source)
            if not data:
                return b"".join(pieces), read_trailers(source)
            pieces.append(data)
    except Truncated as e:
        raise Truncated("chunked content incomplete: %s" % e, b"".join(pieces) + e.partial)


def content_length(fields):
    values = fields.all("content-length")
    if not values:
        return None
    if len(values) != 1 or not re.fullmatch("[0-9]{1,18}", values[0]):
        raise Malformed("Content-Length %r" % values)
    return int(values[0])


def is_chunked(fields):
    codings = fields.all("transfer-encoding")
    if not codings:
        return False
    if codings != ["chunked"]:
        raise Malformed("Transfer-Encoding %r" % codings)
    if "content-length" in fields:
        raise Malformed("Content-Length beside Transfer-Encoding")
    return True


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


LAST_CHUNK = b"0\r\n\r\n"
