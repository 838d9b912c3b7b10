"""A scripted origin under TLS, or behind a PROXY header, or both.

    files = TlsFiles(folder)
    origin = TlsOrigin(files.cert, files.key)
    origin.on("/a", lambda x: (x.reply(...), farewell(x)))

What a test may want to know of its connections: .handshakes, .resumed, .names (SNI, None for none), .failures (of
handshakes), .alpn, .client_subjects, .proxied (PROXY headers as they came).
"""
import socket
import ssl
import struct

from .origin import Origin

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def farewell(x):
    """Ends the connection in order: close_notify, then FIN. (x.close() leaves the close_notify out.)"""
    x.open = False
    try:
        x.sock.unwrap()
    except OSError:
        pass
    x.close()


def exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("ended inside a PROXY header")
        data += more
    return data


def read_proxy(sock):
    """The header, byte by byte so that nothing behind it is taken: ("v1", line) or ("v2", command, from, to)."""
    start = exactly(sock, 6)
    if start == b"PROXY ":
        while not start.endswith(b"\r\n"):
            start += exactly(sock, 1)
        return ("v1", start[:-2].decode())
    start += exactly(sock, 10)
    if not start.startswith(V2):
        raise AssertionError("no PROXY header: %r" % start)
    command, family, length = struct.unpack("!BBH", start[12:])
    rest = exactly(sock, length)
    if family != 0x11:
        return ("v2", command, None, None)
    source, target = socket.inet_ntoa(rest[:4]), socket.inet_ntoa(rest[4:8])
    ports = struct.unpack("!HH", rest[8:12])
    return ("v2", command, (source, ports[0]), (target, ports[1]))


class TlsOrigin(Origin):
    """cert None: no TLS (for PROXY alone). context: changes the SSL context before it is used."""

    def __init__(self, cert=None, key=None, handler=None, context=None, proxy=False, **kw):
        self.context = None
        self.proxy = proxy
        self.handshakes = self.resumed = 0
        self.names, self.failures, self.alpn, self.client_subjects, self.proxied = [], [], [], [], []
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert, key)
            self.context.sni_callback = lambda sock, name, ctx: self.names.append(name)
            if context:
                context(self.context)
        super().__init__(handler, **kw)

    @property
    def url(self):
        return "%s://%s:%d" % ("https" if self.context else "http", self.address, self.port)

    def named(self, name):
        """The same origin by another name than its address."""
        return "https://%s:%d" % (name, self.port)

    def _serve(self, sock, number):
        try:
            if self.proxy:
                self.proxied.append(read_proxy(sock))
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
                self._note(sock)
                with self.lock:
                    self.open_sockets[number] = sock
        except (OSError, AssertionError) as e:
            self.failures.append(e)
            with self.lock:
                self.open_sockets.pop(number, None)
            sock.close()
            return
        super()._serve(sock, number)

    def _note(self, sock):
        with self.lock:
            self.handshakes += 1
            self.resumed += bool(sock.session_reused)
            self.alpn.append(sock.selected_alpn_protocol())
        subject = sock.getpeercert()
        if subject:
            self.client_subjects.append(dict(p[0] for p in subject["subject"]).get("commonName"))
