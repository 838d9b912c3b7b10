"""A client of HTTP/2 that is made of frames: it says what no library would let it say."""
import socket

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame,
                              RstStreamFrame, SettingsFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEADLINE = 30


class Answer:
    """What has come on one stream."""
    def __init__(self):
        self.heads, self.data, self.ended, self.reset = [], b"", False, None

    @property
    def status(self):
        return int(self.field(":status")) if self.heads else None

    def field(self, name, head=0):
        return dict(self.heads[head]).get(name)

    @property
    def trailers(self):
        return dict(self.heads[-1]) if len(self.heads) > 1 else {}

    def __repr__(self):
        return "Answer(%r, %d bytes, ended %s, reset %s)" % (self.heads, len(self.data), self.ended, self.reset)


class Http2:
    """Connects by prior knowledge. window 0: leaves the windows for responses as they are."""
    def __init__(self, address, settings=None, source=None, start=True):
        self.sock = socket.create_connection(address, DEADLINE, source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.buffer, self.answers = b"", {}
        self.goaway = self.reason = None
        self.over, self.pings, self.block = False, [], b""
        self.next_id = 1
        if start:
            self.send(PREFACE + SettingsFrame(settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    # ---- out ----

    def send(self, data):
        """True: the node still takes it."""
        try:
            self.sock.sendall(data)
            return True
        except (ConnectionError, socket.timeout):
            return False

    def frame(self, frame):
        return self.send(frame.serialize())

    def head(self, fields, end=True, stream=None, huffman=False):
        """The bytes of HEADERS, and the stream."""
        stream = stream or self.stream()
        f = HeadersFrame(stream, self.encoder.encode(fields, huffman=huffman), flags=["END_HEADERS"])
        if end:
            f.flags.add("END_STREAM")
        return f.serialize(), stream

    def stream(self):
        self.next_id += 2
        self.answers[self.next_id - 2] = Answer()
        return self.next_id - 2

    def ask(self, path="/", method="GET", fields=(), end=True, authority="test.example"):
        data, stream = self.head([(":method", method), (":scheme", "http"), (":path", path),
                                  (":authority", authority)] + list(fields), end)
        self.send(data)
        return stream

    def data(self, stream, data, end=False):
        return self.frame(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def reset(self, stream, code=8):
        return self.frame(RstStreamFrame(stream, error_code=code))

    # ---- in ----

    def _take(self, f):
        answer = self.answers.get(f.stream_id)
        if isinstance(f, GoAwayFrame):
            self.goaway, self.reason = f.error_code, f.additional_data.decode()
        elif isinstance(f, PingFrame) and "ACK" in f.flags:
            self.pings.append(f.opaque_data)
        elif isinstance(f, SettingsFrame) and "ACK" not in f.flags:
            self.frame(SettingsFrame(flags=["ACK"]))
        elif isinstance(f, (HeadersFrame, ContinuationFrame)):
            self.block += f.data
            if "END_HEADERS" in f.flags:
                head, self.block = self.decoder.decode(self.block), b""
                if answer:
                    answer.heads.append(head)
            if answer and "END_STREAM" in f.flags:
                answer.ended = True
        elif isinstance(f, DataFrame) and answer:
            answer.data += f.data
            answer.ended = "END_STREAM" in f.flags
        elif isinstance(f, RstStreamFrame) and answer:
            answer.reset = f.error_code

    def hear(self, deadline=DEADLINE):
        """One read. False: nothing more will come, or nothing has in that time."""
        self.sock.settimeout(deadline)
        try:
            data = self.sock.recv(65536)
        except (socket.timeout, BlockingIOError):
            return False
        except ConnectionError:
            data = b""
        finally:
            self.sock.settimeout(DEADLINE)
        if not data:
            self.over = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            f, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + length:
                break
            f.parse_body(memoryview(self.buffer[9:9 + length]))
            self.buffer = self.buffer[9 + length:]
            self._take(f)
        return True

    def until(self, predicate):
        while not predicate() and not self.over:
            if not self.hear() and not self.over:
                raise AssertionError("nothing more came: %r" % self.answers)
        return predicate()

    def wait(self, stream):
        answer = self.answers[stream]
        self.until(lambda: answer.ended or answer.reset is not None or self.goaway is not None)
        return answer

    def get(self, path="/", **kw):
        return self.wait(self.ask(path, **kw))

    def ended(self):
        """Reads to the end: the code of GOAWAY and its text."""
        self.until(lambda: False)
        return self.goaway, self.reason
