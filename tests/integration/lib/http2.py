"""A client of HTTP/2 with prior knowledge, on python3-h2: one connection, any number of streams."""
import socket

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings

from .wait import DEADLINE


class Stream:
    """What has come on one stream so far."""

    def __init__(self, number):
        self.number = number
        self.interim = []  # (status, fields)
        self.status = None
        self.fields = {}
        self.body = b""
        self.trailers = None
        self.ended = False
        self.reset = None  # error code, if it came before the end
        self.cut = False  # the server takes no more

    @property
    def over(self):
        return self.ended or self.reset is not None

    def __repr__(self):
        return "stream %d: %s %r, %d bytes, trailers %r, ended %s, reset %s" % (
            self.number, self.status, self.fields, len(self.body), self.trailers, self.ended, self.reset)


class Http2Client:
    def __init__(self, address, timeout=DEADLINE, consume=True, sock=None, settings=None):
        self.sock = sock or socket.create_connection(address, timeout)
        self.sock.settimeout(timeout)
        self.consume = consume
        self.streams = {}
        self.goaways = []  # (last stream, error, debug data)
        self.closed = False
        self.pings = 0
        self.unread = b""
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        if settings:
            self.h2.local_settings.update(settings)
        self.h2.initiate_connection()
        self.flush()

    def close(self):
        self.sock.close()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    # ---- asking ----

    def ask(self, method="GET", path="/", fields=(), end=True, authority="weir.test", scheme="http", **pseudo):
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        head += [(":" + name, value) for name, value in pseudo.items()]
        self.h2.send_headers(number, head + list(dict(fields).items() if isinstance(fields, dict) else fields), end)
        self.streams[number] = Stream(number)
        self.flush()
        return self.streams[number]

    def send(self, stream, data, end=False):
        """Within the windows, waiting for them."""
        data = memoryview(data)
        while len(data):
            room = min(self.h2.local_flow_control_window(stream.number), self.h2.max_outbound_frame_size)
            if room == 0:
                self.more()
                if stream.cut or self.closed:
                    return False
                continue
            self.h2.send_data(stream.number, data[:room].tobytes(), end and len(data) <= room)
            data = data[room:]
            self.flush()
        return True

    def end(self, stream, trailers=None):
        if trailers:
            self.h2.send_headers(stream.number, trailers, True)
        else:
            self.h2.end_stream(stream.number)
        self.flush()

    def cancel(self, stream, code=h2.errors.ErrorCodes.CANCEL):
        self.h2.reset_stream(stream.number, code)
        stream.reset = code
        self.flush()

    # ---- what comes ----

    def more(self):
        """One read; False at the end of the connection."""
        if self.closed:
            return False
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.unread += data
        while (frame := self._frame()):
            for event in self.h2.receive_data(frame):
                self._on(event)
        self.flush()
        return True

    def _frame(self):
        """The next whole frame: the library is given one at a time, for after a GOAWAY it takes nothing any more."""
        if len(self.unread) < 9:
            return b""
        size = 9 + int.from_bytes(self.unread[:3], "big")
        if len(self.unread) < size:
            return b""
        frame, self.unread = self.unread[:size], self.unread[size:]
        return frame

    def _on(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.InformationalResponseReceived):
            fields = dict(event.headers)
            stream.interim.append((int(fields.pop(":status")), fields))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.fields = dict(event.headers)
            stream.status = int(stream.fields.pop(":status"))
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            if self.consume:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset) and stream:
            stream.cut = True
            if not stream.ended:
                stream.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id, event.error_code, event.additional_data or b""))
            self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN  # streams go on (RFC 9113 6.8)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1

    def wait(self, done):
        while not done():
            if not self.more():
                break
        return done()

    def answer(self, stream):
        self.wait(lambda: stream.over)
        return stream

    def get(self, path="/", fields=(), **kw):
        return self.answer(self.ask("GET", path, fields, **kw))

    def post(self, path="/", body=b"", fields=(), **kw):
        stream = self.ask("POST", path, fields, end=False, **kw)
        if self.send(stream, body, end=True) and not body:
            self.end(stream)
        return self.answer(stream)

    def read_to_end(self):
        while self.more():
            pass
