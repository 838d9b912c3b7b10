"""What people come with: Chromium and Firefox, over TLS and HTTP/2, to a page with many parts, uploads and a WebSocket."""
import base64
import hashlib
import json
import struct
import tempfile

from lib.browser import Browser
from lib.case import NodeCase
from lib.firefox import Firefox
from lib.ports import LOOPBACK, free_port
from lib.tls_files import TlsFiles
from lib.wait import wait_until

TAKES = 30  # seconds: browsers start slowly
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PARTS = 60
LARGE = bytes(range(256)) * 12000  # 3 MB
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def page(x):
    images = "".join('<img src="/part/%d">' % n for n in range(PARTS))
    x.reply(200, {"Content-Type": "text/html", "Cache-Control": "no-store"},
            ("<!doctype html><title>weir</title>%s<p>done</p>" % images).encode())


def echo(x):
    body = x.read_body()
    x.reply(200, {"Content-Type": "text/plain"}, hashlib.sha256(body).hexdigest().encode())


def frame(opcode, payload):
    return bytes([0x80 | opcode, len(payload)]) + payload


def socket_echo(x):
    """A WebSocket server: sends back each short message, until the client closes."""
    key = x.request.fields["sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    x.send_head(101, {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": accept})
    while True:
        first, length = struct.unpack("BB", x.source.exactly(2))
        mask = x.source.exactly(4)
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(x.source.exactly(length & 0x7f)))
        x.send(frame(first & 0x0f, payload))
        if first & 0x0f == 8:
            return x.close()


PROTOCOLS = """
    const all = performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'));
    return all.map(e => [new URL(e.name).pathname, e.nextHopProtocol]);"""
UPLOAD = """
    const body = new Uint8Array(arguments[0]).map((_, i) => i % 251);
    return fetch('/echo', {method: 'POST', body}).then(r => r.text());"""
DOWNLOAD = """
    return fetch('/large').then(r => r.arrayBuffer()).then(b => crypto.subtle.digest('SHA-256', b))
        .then(d => Array.from(new Uint8Array(d)).map(n => n.toString(16).padStart(2, '0')).join(''));"""
CHAT = """
    return new Promise((resolve, reject) => {
        const got = [], s = new WebSocket('wss://' + location.host + '/chat');
        s.onopen = () => { for (let i = 0; i < 10; i++) s.send('hello ' + i); };
        s.onmessage = m => { got.push(m.data); if (got.length == 10) s.close(1000); };
        s.onclose = e => resolve([got, e.code, e.wasClean]);
        s.onerror = () => reject(new Error('the WebSocket failed'));
        setTimeout(() => resolve([got, -1, false]), 20000);
    });"""


class Browsers(NodeCase):
    def setUp(self):
        origin = self.origin()
        origin.on("/", page)
        origin.on("/echo", echo, read_body=False)
        origin.on("/chat", socket_echo, read_body=False)
        origin.on("/large", lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, LARGE))
        for n in range(PARTS):
            origin.on("/part/%d" % n, lambda x: x.reply(200, {"Content-Type": "image/png",
                                                              "Cache-Control": "max-age=60"}, PIXEL))
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        files = TlsFiles(folder.name)
        port = free_port()
        self.home = "https://%s:%d" % (LOOPBACK, port)
        self.served = self.front(
            origin, [{"upstream": "app", "websocket": True}], log={"access": "json"},
            listen=[{"address": "%s:%d" % (LOOPBACK, port), "tls": {}}],
            tls={"certificates": [{"certificate": files.cert, "key": files.key}]})

    def visit(self, run):
        """`run` executes the body of a function in the page and returns what it returns."""
        protocols = run(PROTOCOLS)
        self.assertEqual(len([p for p in protocols if p[0].startswith("/part/")]), PARTS)
        self.assertEqual({p[1] for p in protocols}, {"h2"}, protocols)
        sent = bytes(i % 251 for i in range(2000000))
        self.assertEqual(run(UPLOAD, len(sent)), hashlib.sha256(sent).hexdigest())
        for _ in range(2):
            self.assertEqual(run(DOWNLOAD), hashlib.sha256(LARGE).hexdigest())
        got, code, clean = run(CHAT)
        self.assertEqual((got, code, clean), (["hello %d" % n for n in range(10)], 1000, True))
        chat = wait_until(lambda: [line for line in self.served.access_log() if "/chat" in line], 30, "the log tells")
        self.assertEqual(json.loads(chat[0])["protocol"], "HTTP/2")

    def test_chromium(self):
        browser = Browser(self.home, insecure=True)
        self.addCleanup(browser.quit)
        browser.go("/")
        self.visit(browser.run)
        self.assertEqual(browser.complaints(), [])

    def test_firefox(self):
        browser = Firefox()
        self.addCleanup(browser.quit)
        browser.open(self.home + "/")
        self.visit(browser.script)
