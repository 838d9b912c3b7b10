#!/usr/bin/python3
"""A small web site to stand behind weir: static pages with validators, and endpoints that show caching.

    tools/demo/origin.py [PORT]      without PORT the system chooses one

Prints `serving http://127.0.0.1:PORT` once it listens, then one line for each request it sees.
"""
import email.utils
import hashlib
import html
import itertools
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml",
         ".txt": "text/plain; charset=utf-8", ".js": "text/javascript"}
GREETINGS = {"de": "Guten Tag", "en": "Good day", "fr": "Bonjour", "nl": "Goedendag", "es": "Buenos días"}

seen = itertools.count(1)  # next() is atomic under the interpreter's lock
last_seen = 0


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "demo"
    timeout = 60

    def do_GET(self):
        global last_seen
        last_seen = next(seen)
        path = urlsplit(self.path).path
        endpoint = ENDPOINTS.get(path)
        if endpoint is not None:
            endpoint(self)
        else:
            self.static(path)

    do_HEAD = do_GET

    def answer(self, content, kind="text/plain; charset=utf-8", status=200, **fields):
        """One whole response; the keywords are fields (cache_control= becomes Cache-Control)."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-").title(), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer_or_304(self, content, **fields):
        etag = '"%s"' % hashlib.sha256(content).hexdigest()[:16]
        if etag in self.headers.get("If-None-Match", ""):
            self.send_response(304)
            self.send_header("ETag", etag)
            self.send_header("Cache-Control", fields["cache_control"])
            self.end_headers()
        else:
            self.answer(content, etag=etag, **fields)

    def static(self, path):
        if path.endswith("/"):
            path += "index.html"
        name = os.path.realpath(os.path.join(SITE, path.lstrip("/")))
        if not name.startswith(SITE + os.sep) or not os.path.isfile(name):
            self.answer(b"There is no such page.\n", status=404, cache_control="max-age=5")
            return
        with open(name, "rb") as f:
            content = f.read()
        self.answer_or_304(content, kind=TYPES.get(os.path.splitext(name)[1], "application/octet-stream"),
                           cache_control="public, max-age=600",
                           last_modified=email.utils.formatdate(os.stat(name).st_mtime, usegmt=True))

    def time(self):
        """Changes every twenty seconds but is fresh for five, so most validations end in a 304."""
        now = time.gmtime(time.time() // 20 * 20)
        self.answer_or_304(time.strftime("%H:%M:%S UTC, to twenty seconds\n", now).encode(),
                           cache_control="max-age=5")

    def hello(self):
        wanted = self.headers.get("Accept-Language", "en")[:2].lower()
        language = wanted if wanted in GREETINGS else "en"
        self.answer((GREETINGS[language] + "!\n").encode(), cache_control="max-age=60",
                    vary="Accept-Language", content_language=language)

    def private(self):
        self.answer(b"For your eyes only.\n", cache_control="private, no-store", set_cookie="visit=1; HttpOnly; Path=/")

    def count(self):
        self.answer(b"The origin has seen %d requests.\n" % last_seen, cache_control="no-store")

    def echo(self):
        lines = "".join("%s: %s\n" % field for field in self.headers.items())
        page = "<!doctype html><title>echo</title><pre>%s</pre>" % html.escape(self.requestline + "\n" + lines)
        self.answer(page.encode(), kind="text/html; charset=utf-8", cache_control="no-store")

    def chunk(self, content):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()

    def chunked(self, pieces, kind, cache_control):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", cache_control)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in pieces:
            self.chunk(piece)
        self.chunk(b"")

    def slow(self):
        def pieces():
            for n in range(1, 5):
                time.sleep(0.5)
                yield b"part %d of 4\n" % n
        self.chunked(pieces(), "text/plain", "max-age=10")

    def events(self):
        def pieces():
            for n in range(1, 61):
                yield b"id: %d\ndata: %s\n\n" % (n, time.strftime("%H:%M:%S").encode())
                time.sleep(1)
        self.chunked(pieces(), "text/event-stream", "no-store")

    def log_message(self, format, *args):
        sys.stdout.write("origin: %s %s\n" % (self.command, self.path))
        sys.stdout.flush()


ENDPOINTS = {"/time": Site.time, "/hello": Site.hello, "/private": Site.private, "/count": Site.count,
             "/echo": Site.echo, "/slow": Site.slow, "/events": Site.events}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that leaves in the middle is ordinary; anything else is worth its traceback."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def main():
    server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Site)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("serving http://127.0.0.1:%d" % server.server_port, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
