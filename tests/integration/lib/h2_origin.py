"""An origin of HTTP/2 (python3-h2), by prior knowledge or under TLS. What it answers is in the path:

    /size/N      N bytes                  /slow        bytes only when `go` is set
    /echo        what was uploaded        /reset       half of the content, then RST_STREAM
    /hints       103, then the answer     /trailers    trailers behind the content
    /refused     REFUSED_STREAM for the first that comes, then an answer
"""
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from .ports import LOOPBACK


class H2Origin:
    def __init__(self, cert=None, key=None, streams=100):
        self.context = None
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert, key)
            self.context.set_alpn_protocols(["h2"])
        self.streams = streams
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.connections = self.requests = self.open = self.most_open = self.refused = 0
        self.heads = []
        self.leave_after = None  # a connection says GOAWAY after so many requests
        self.stopped = False
        self.socket = socket.create_server((LOOPBACK, 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    @property
    def url(self):
        return "%s://%s:%d" % ("https" if self.context else "h2c", LOOPBACK, self.port)

    def stop(self):
        self.stopped = True
        self.go.set()
        self.socket.close()
        for thread in self.threads:
            thread.join(40)

    def _accept(self):
        self.socket.settimeout(0.1)
        while not self.stopped:
            try:
                sock, _ = self.socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self.lock:
                self.connections += 1
            thread = threading.Thread(target=self._connection, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _connection(self, sock):
        try:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            _Connection(self, sock).run()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        finally:
            sock.close()


class _Connection:
    def __init__(self, origin, sock):
        self.origin, self.sock = origin, sock
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.conn.initiate_connection()
        self.conn.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: origin.streams})
        self.left = {}    # stream -> content still to be sent
        self.slow = {}    # streams that wait for `go`
        self.got = {}     # stream -> [path, bytes of content]
        self.broken = {}  # stream -> where its content breaks off
        self.trailing = set()
        self.seen = 0

    def run(self):
        self.sock.settimeout(0.05)
        while not self.origin.stopped:
            self._flush()
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                self._send_slow()
                continue
            if not data:
                return
            for event in self.conn.receive_data(data):
                self._event(event)
            self._send_slow()
            if self.leaving() and not self.got and not self.left and not self.slow:
                self._flush()
                return

    def leaving(self):
        return self.origin.leave_after is not None and self.seen >= self.origin.leave_after

    def _flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.settimeout(10)
            self.sock.sendall(data)
            self.sock.settimeout(0.05)

    def _event(self, event):
        origin = self.origin
        if isinstance(event, h2.events.RequestReceived):
            head = dict(event.headers)
            self.got[event.stream_id] = [head[":path"], b""]
            self.seen += 1
            with origin.lock:
                origin.requests += 1
                origin.open += 1
                origin.most_open = max(origin.most_open, origin.open)
                origin.heads.append(event.headers)
            if self.seen == origin.leave_after:
                self.conn.close_connection(last_stream_id=event.stream_id)
                # h2 takes its own GOAWAY for the end; what was begun is to be finished all the same
                self.conn.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self.got:
                self.got[event.stream_id][1] += event.data
            self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            if self.leaving() and event.stream_id > 2 * origin.leave_after:
                self.got.pop(event.stream_id, None)  # behind GOAWAY's last: not looked at
                self._done()
            elif event.stream_id in self.got:
                self._answer(event.stream_id, *self.got.pop(event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            self.got.pop(event.stream_id, None)
            if self.left.pop(event.stream_id, None) is not None or self.slow.pop(event.stream_id, None) is not None:
                self._done()
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in list(self.left):
                self._push(stream)

    def _done(self):
        with self.origin.lock:
            self.origin.open -= 1

    def _answer(self, stream, path, content):
        origin, word = self.origin, path.split("?")[0].split("/")[1]
        if word == "refused":
            with origin.lock:
                origin.refused += 1
                first = origin.refused == 1
            if first:
                self.conn.reset_stream(stream, error_code=7)
                self._done()
                return
        body = {"size": lambda: b"x" * int(path.split("/")[2]), "echo": lambda: content,
                "slow": lambda: b"s" * 1000, "reset": lambda: b"r" * 1000}.get(word, lambda: b"origin")()
        if word == "hints":
            self.conn.send_headers(stream, [(":status", "103"), ("link", "</a.css>; rel=preload")])
        if word == "reset":
            self.broken[stream] = 500
        if word == "trailers":
            self.trailing.add(stream)
        fields = [(":status", "200"), ("cache-control", "no-store")]
        if word != "trailers":
            fields.append(("content-length", str(len(body))))
        self.conn.send_headers(stream, fields)
        if word == "slow":
            self.slow[stream] = body
        else:
            self.left[stream] = body
            self._push(stream)

    def _send_slow(self):
        if not self.origin.go.is_set():
            return
        for stream in list(self.slow):
            self.left[stream] = self.slow.pop(stream)
            self._push(stream)

    def _push(self, stream):
        body = self.left[stream]
        while body:
            room = min(self.conn.local_flow_control_window(stream), self.conn.max_outbound_frame_size, len(body))
            if stream in self.broken and len(body) <= self.broken[stream]:
                del self.left[stream], self.broken[stream]
                self.conn.reset_stream(stream, error_code=2)
                self._done()
                return
            if stream in self.broken:
                room = min(room, len(body) - self.broken[stream])
            if room <= 0:
                self.left[stream] = body
                return
            self.conn.send_data(stream, body[:room])
            body = body[room:]
            self.left[stream] = body
        del self.left[stream]
        if stream in self.trailing:
            self.trailing.discard(stream)
            self.conn.send_headers(stream, [("x-sum", "42")], end_stream=True)
        else:
            self.conn.end_stream(stream)
        self._done()
