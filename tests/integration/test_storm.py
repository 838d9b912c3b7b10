"""Many clients and origins that misbehave by the dice, with reloads in between and a drain at the end.

What must hold whatever happens: no report of a sanitizer, a clean end, every complete 200 has the content meant for
its URL, the origin sees no request that no client sent, well-behaved clients of a well-behaved origin are always
served, and in the end every connection and descriptor is back.

The dice are thrown per client from a fixed seed. A longer run: WEIR_STORM_SEEDS=1,2,3 WEIR_STORM_STEPS=2000.
"""
import base64
import hashlib
import os
import random
import signal
import threading
import time

from lib.case import NodeCase
from lib.client import Client, request
from lib.http1 import LAST_CHUNK, Malformed, Truncated, chunk
from lib.node import address_of, settings, upstream
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until

SEEDS = [int(s) for s in os.environ.get("WEIR_STORM_SEEDS", "1,2,3").split(",")]
STEPS = int(os.environ.get("WEIR_STORM_STEPS", "25"))  # of each client
ROUGH, CALM = 14, 4  # clients
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
SIZES = [0, 1, 5, 300, 4096, 20000, 70000, 300000]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test.example\r\n\r\n"


def meant(path):
    """The content of a path /<kind>/<size>/<number>: never two alike."""
    seed = hashlib.sha256(path.encode()).digest()
    size = int(path.split("/")[2])
    return (seed * (size // len(seed) + 1))[:size]


def digest(body):
    return hashlib.sha256(body).hexdigest()


def caching(path):
    """Decided by the path, so that a URL keeps its ways."""
    number = int(path.split("/")[3])
    return ["no-store", "max-age=1", "max-age=600", "max-age=0, stale-while-revalidate=1", "private"][number % 5]


class Ledger:
    """What the clients sent, and what was seen that must not be."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}
        self.faults = []
        self.mutated = 0
        self.strays = 0
        self.served = 0

    def enter(self, method, path):
        with self.lock:
            number = "%d" % len(self.sent)
            self.sent[number] = (method, path)
            return number

    def fault(self, text):
        with self.lock:
            self.faults.append(text)


class RoughOrigin:
    """Answers by the dice, but never completes a message with other content than meant."""

    def __init__(self, seed, ledger):
        self.random = random.Random(seed)
        self.ledger = ledger

    def judge(self, r):
        number = r.fields.get("x-storm", "")
        if not number.isdigit() and not r.path.startswith("/smuggled"):
            self.ledger.strays += 1  # made of a mutated request
        elif self.ledger.sent.get(number) != (r.method, r.path):
            self.ledger.fault("the origin got what nobody sent: %r" % r)
        if r.body is not None and "x-body" in r.fields and digest(r.body) != r.fields["x-body"]:
            self.ledger.fault("the origin got another content: %r" % r)

    def __call__(self, x):
        dice = self.random
        rough = x.request.path.startswith("/rough/")
        if rough and dice.random() < 0.05:
            return x.close() if dice.random() < 0.5 else x.reset()
        early = rough and dice.random() < 0.1
        if not early:
            x.read_body()
        self.judge(x.request)
        if "upgrade" in x.request.fields:
            return self.tunnel(x)
        if not x.request.path.startswith(("/rough/", "/calm/")):
            return x.reply(404)
        try:
            body = meant(x.request.path)
        except (ValueError, IndexError):
            return x.reply(404)
        if x.request.method not in ("GET", "HEAD"):
            body = (x.request.fields.get("x-body") or "").encode()
        fields = {"Cache-Control": caching(x.request.path), "ETag": '"%s"' % digest(body)[:8]}
        if "vary" in x.request.target:
            fields["Vary"] = dice.choice(["Accept-Language", "X-Kind, Accept-Language"])
        if rough:
            self.rough(x, fields, body, dice)
        elif x.request.fields.get("if-none-match") == fields["ETag"]:
            x.reply(304, fields)
        else:
            x.reply(200, fields, body)
        if early:
            x.close()

    def slices(self, body, dice):
        at = 0
        while at < len(body):
            size = dice.choice([1, 100, 5000, 60000, len(body)])
            if size == 1 and len(body) > 400:
                size = 977
            yield body[at:at + size]
            at += size

    def rough(self, x, fields, body, dice):
        head_only = x.request.method == "HEAD"
        way = dice.randrange(16)
        if x.request.fields.get("if-none-match") == fields["ETag"] and way < 10:
            return x.reply(304, fields)
        if way == 0:
            return x.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        if way == 1:
            return x.send(bytes(dice.randrange(256) for _ in range(dice.randrange(1, 2000))) + b"\r\n\r\n"), x.close()
        if way == 2:
            return x.reply(dice.choice([500, 502, 503, 504, 404]), fields, b"")
        if way == 3:
            return x.send("HTTP/1.1 200 OK\r\nX-Pad: %s\r\n\r\n" % ("p" * 70000)), x.close()
        if way == 4:
            for _ in range(dice.randrange(1, 12)):
                x.send_head(103, {"Link": "</s.css>; rel=preload"})
        if way == 5:
            x.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1))
            x.send(b"" if head_only else body)
            return x.close() if dice.random() < 0.5 else x.reset()
        if way == 6 and len(body) <= 20000:  # more than it said, at once: a whole answer behind it
            whole = dict(fields, **{"Content-Length": str(len(body))}).items()
            return x.send("HTTP/1.1 200 OK\r\n%s\r\n" % "".join("%s: %s\r\n" % f for f in whole) +
                          ("" if head_only else body.decode("latin-1")) +
                          "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        if way == 7:
            time.sleep(dice.random() * 0.3)
        if way == 8:
            x.send_head(200, dict(fields, Connection="close"))
            x.send(b"" if head_only else body)
            return x.close()
        if way in (9, 10, 11) and not head_only:
            x.send_head(200, dict(fields, **{"Transfer-Encoding": "chunked"}))
            for piece in self.slices(body, dice):
                x.chunk(piece)
                if way == 10 and dice.random() < 0.1:
                    return x.close() if dice.random() < 0.5 else x.reset()
                if dice.random() < 0.05:
                    time.sleep(0.01)
            return x.send(LAST_CHUNK if way != 11 else b"0\r\nX-Trailer: t\r\n\r\n")
        if way == 12 and not head_only:
            x.send_head(200, dict(fields, **{"Content-Length": str(len(body))}))
            for piece in self.slices(body, dice):
                x.send(piece)
                time.sleep(dice.random() * 0.005)
            return None
        return x.reply(200, fields, body)

    def tunnel(self, x):
        if self.random.random() < 0.2:
            return x.reply(403)
        x.send_head(101, {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": ACCEPT})
        while True:
            if x.source.buffer:
                x.send(x.source.take())
            if self.random.random() < 0.1:
                return x.close()
            if not x.source.more():
                return x.close()


class Visitor(threading.Thread):
    def __init__(self, storm, seed):
        super().__init__(daemon=True)
        self.storm, self.ledger, self.random = storm, storm.ledger, random.Random(seed)

    def run(self):
        for _ in range(STEPS):
            if self.storm.over.is_set():
                return
            try:
                with Client(self.storm.address, timeout=20) as client:
                    self.visit(client)
            except (Truncated, ConnectionError, TimeoutError) as e:
                self.failed(e)
            except Malformed as e:
                self.ledger.fault("a client got what is no HTTP: %s" % e)
            except OSError as e:
                self.failed(e)

    def failed(self, error):
        pass

    def check(self, method, path, answer, body=None):
        if answer.status != 200 or method == "HEAD":
            return
        right = meant(path) if method == "GET" else digest(body).encode()
        if answer.body != right:
            self.ledger.fault("%s %s: %d bytes that were not meant: %r" % (method, path, len(answer.body),
                                                                          answer.body[:60]))
        with self.ledger.lock:
            self.ledger.served += 1


class CalmVisitor(Visitor):
    """Does nothing wrong and expects the same."""

    def visit(self, client):
        dice = self.random
        for _ in range(dice.randrange(1, 8)):
            path = "/calm/%d/%d" % (dice.choice(SIZES), dice.randrange(20))
            if dice.random() < 0.3:
                body = os.urandom(dice.choice(SIZES))
                fields = {"X-Storm": self.ledger.enter("POST", path), "X-Body": digest(body)}
                answer = client.ask("POST", path, fields, body)
                self.check("POST", path, answer, body)
            else:
                answer = client.ask("GET", path, {"X-Storm": self.ledger.enter("GET", path)})
                self.check("GET", path, answer)
            if answer.status != 200 and not self.storm.draining.is_set():
                self.ledger.fault("a calm request failed: %s %r" % (path, answer))
            if answer.closes:
                return

    def failed(self, error):
        if not self.storm.draining.is_set():
            self.ledger.fault("a calm connection failed: %r" % error)


class RoughVisitor(Visitor):
    def path(self):
        dice = self.random
        return "/rough/%d/%d" % (dice.choice(SIZES), dice.randrange(30))

    def visit(self, client):
        dice = self.random
        way = dice.randrange(12)
        if way == 0:
            return self.mutated(client)
        if way == 1:
            return self.tunnel(client)
        if way == 2:
            return self.half(client)
        if way in (3, 4, 5):
            return self.upload(client)
        if way == 6:
            return self.pipelined(client)
        for _ in range(dice.randrange(1, 5)):
            method = "HEAD" if dice.random() < 0.1 else "GET"
            path = self.path()
            target = path + ("?vary" if dice.random() < 0.3 else "")
            client.send(request(method, target, self.fields(method, path)))
            if dice.random() < 0.1:
                time.sleep(dice.random() * 0.02)
                return client.reset() if dice.random() < 0.5 else client.close()
            answer = client.response(method)
            self.check(method, path, answer)
            if answer.closes:
                return None
        return None

    def fields(self, method, path):
        dice = self.random
        fields = {"X-Storm": self.ledger.enter(method, path)}
        if dice.random() < 0.3:
            fields["Accept-Language"] = dice.choice(["en", "de"])
        if dice.random() < 0.05:
            fields["Connection"] = dice.choice(["close", "keep-alive, X-None", "Accept-Language"])
        if dice.random() < 0.05:
            fields["Cache-Control"] = dice.choice(["no-cache", "no-store", "only-if-cached", "max-age=0"])
        return fields

    def dribble(self, client, data):
        dice = self.random
        at = 0
        while at < len(data):
            size = dice.choice([1, 7, 100, 3000, 40000]) if len(data) < 3000 else dice.choice([900, 9000, 90000])
            client.send(data[at:at + size])
            at += size
            if dice.random() < 0.1:
                time.sleep(dice.random() * 0.01)
            if dice.random() < 0.01:
                return False
        return True

    def upload(self, client):
        """Content that would be a request if its framing were lost."""
        dice = self.random
        path, method = self.path(), dice.choice(["POST", "PUT", "GET", "DELETE"])
        body = (SMUGGLED * 20000)[:dice.choice(SIZES)]
        fields = dict(self.fields(method, path), **{"X-Body": digest(body)})
        if dice.random() < 0.5:
            content = b"".join(chunk(body[i:i + 7000]) for i in range(0, len(body), 7000)) + LAST_CHUNK
            fields["Transfer-Encoding"] = "chunked"
        else:
            content = body
            fields["Content-Length"] = str(len(body))
        if dice.random() < 0.2:
            fields["Expect"] = "100-continue"
        data = request(method, path, fields) + content
        if dice.random() < 0.15:
            data = data[:dice.randrange(len(data))]
            self.dribble(client, data)
            return client.reset() if dice.random() < 0.5 else client.close()
        if not self.dribble(client, data):
            return None
        answer = client.response(method)
        if method in ("POST", "PUT", "DELETE"):
            self.check(method, path, answer, body)
        return None

    def pipelined(self, client):
        dice = self.random
        asked = []
        data = b""
        for _ in range(dice.randrange(2, 12)):
            path = self.path()
            asked.append(path)
            data += request("GET", path, {"X-Storm": self.ledger.enter("GET", path)})
        if not self.dribble(client, data):
            return
        for path in asked:
            answer = client.response()
            self.check("GET", path, answer)
            if answer.closes:
                return

    def half(self, client):
        """Leaves in the middle of something."""
        dice = self.random
        path = self.path()
        data = request("GET", path, {"X-Storm": self.ledger.enter("GET", path)})
        if dice.random() < 0.5:
            client.send(data[:dice.randrange(len(data))])
        else:
            client.send(data)
            client.half_close() if dice.random() < 0.3 else None
            try:
                client.sock.settimeout(dice.random() * 0.05 + 0.001)
                client.sock.recv(dice.choice([1, 1000, 30000]))
            except TimeoutError:
                pass
        client.reset() if dice.random() < 0.5 else client.close()

    def mutated(self, client):
        dice = self.random
        data = bytearray(request(dice.choice(["GET", "POST", "OPTIONS", "FOO"]), self.path(),
                                 {"X-Storm": "mutated", "Accept": "application/json", "Content-Length": "4",
                                  "Cookie": "a=b"}) + b"body")
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            what = dice.randrange(5)
            if what == 0:
                data[at] = dice.randrange(256)
            elif what == 1:
                del data[at:at + dice.randrange(1, 20)]
            elif what == 2:
                data[at:at] = dice.choice([b"\r\n", b"\n", b"\0", b" ", b"Transfer-Encoding: chunked\r\n", b":" * 9000,
                                           b"Content-Length: 3\r\n", b"Host: b\r\n", b"\r\n\r\n"])
            elif what == 3:
                data[at:at] = data[:dice.randrange(len(data))]
            else:
                data = data[:at + 1]
        self.ledger.mutated += 1
        if self.dribble(client, bytes(data)) and dice.random() < 0.7:
            client.half_close()
            client.source.rest()

    def tunnel(self, client):
        dice = self.random
        path = "/rough/0/%d" % dice.randrange(30)
        client.send(request("GET", path, {
            "X-Storm": self.ledger.enter("GET", path), "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}))
        if client.response().status != 101:
            return
        for _ in range(dice.randrange(20)):
            piece = os.urandom(dice.choice([1, 100, 5000, 50000]))
            client.send(piece)
            if client.source.exactly(len(piece)) != piece:
                self.ledger.fault("a tunnel changed what went through it")
        client.reset() if dice.random() < 0.5 else client.close()


class Storm(NodeCase):
    def configuration(self, rough, calm, listen, dice):
        """A new one for every reload: limits and cache change, an address comes and goes."""
        patience = {"connect": "2s", "first_byte": "5s", "read": "5s", "write": "5s"}
        return settings(
            [upstream(rough, "rough", timeouts=patience, eject={"fails": dice.choice([0, 5])},
                      connections={"max": dice.choice([4, 16, 64]), "idle": dice.choice([0, 8]),
                                   "idle_timeout": "1s", "requests": dice.choice([0, 7])},
                      retries={"attempts": dice.choice([0, 1, 2]), "on_status": dice.random() < 0.5}),
             upstream(calm, "calm", connections={"max": 4, "queue_timeout": "20s", "idle_timeout": "1s",
                                                 "requests": dice.choice([0, 0, 5])})],
            [{"match": {"paths": ["/calm/"]}, "upstream": "calm",
              "cache": {"client_directives": dice.choice(["none", "sparing", "all"])}},
             {"upstream": "rough", "websocket": True, "trailers": ["X-Trailer"] if dice.random() < 0.5 else [],
              "limits": {"total_timeout": dice.choice([0, "1s"])},
              "cache": {"client_directives": dice.choice(["none", "sparing", "all"]), "stale_if_error": "10s"}}],
            listen=listen[:1 + (dice.random() < 0.5)],
            node={"workers": 2, "drain_timeout": "3s"},
            client={"head_timeout": "3s", "body_timeout": "3s", "send_timeout": "3s",
                    "requests_per_connection": dice.choice([3, 10000])},
            cache={"memory": dice.choice(["1MiB", "16MiB"]), "object_max": dice.choice(["50KiB", "8MiB"]),
                   "collapse_timeout": dice.choice(["50ms", "5s"]), "hit_for_miss": "1s"},
            log={"access_file": dice.choice(["access.log", "other.log"])})

    def all_places_are_there(self, node, calm):
        """Every connection to the origin was given back: as many requests as there may be run at a time."""
        arrived, go = threading.Semaphore(0), threading.Event()
        self.addCleanup(go.set)

        def hold(x):
            arrived.release()
            go.wait(40)
            x.reply(200)
        calm.default = hold
        clients = [self.client(node) for _ in range(4)]
        for client in clients:
            client.send(request("POST", "/calm/hold"))
        for _ in clients:
            self.assertTrue(arrived.acquire(timeout=10), "a place for a connection was lost")
        go.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def storm(self, seed):
        self.ledger, self.over, self.draining = Ledger(), threading.Event(), threading.Event()
        dice = random.Random(seed)
        rough, calm = (self.origin(RoughOrigin(seed + n, self.ledger), start=False) for n in (0, 1000))
        for origin in (rough, calm):
            origin.routes = Everything(origin.default)
            origin.start()
        listen = [{"address": "%s:%d" % (LOOPBACK, free_port())} for _ in range(2)]
        node = self.node(self.configuration(rough, calm, listen, dice))
        self.address = address_of(listen[0]["address"])
        files = node.open_files()
        visitors = [RoughVisitor(self, seed * 100 + n) for n in range(ROUGH)] + \
                   [CalmVisitor(self, seed * 100 + 50 + n) for n in range(CALM)]
        for visitor in visitors:
            visitor.start()
        while any(v.is_alive() for v in visitors):
            node.write(self.configuration(rough, calm, listen, dice))
            node.signal(dice.choice([signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1]))
            time.sleep(dice.random() * 0.1)
            self.assertTrue(node.running, node.log()[-4000:])
        node.address = self.address
        wait_until(lambda: node.open_files() <= files + 3, 30, "descriptors are given back: %d" % files)
        calm.routes = {}
        self.all_places_are_there(node, calm)
        self.drain_under_traffic(node, seed)
        self.assertEqual(self.ledger.faults[:5], [])
        self.assertLessEqual(self.ledger.strays, 3 * self.ledger.mutated)
        self.assertGreater(self.ledger.served, ROUGH)
        rough.errors.clear()  # mutated requests make its scripts stumble
        rough.malformed, malformed = [], rough.malformed
        self.assertEqual(malformed, [], "the origin was sent what is no HTTP")

    def drain_under_traffic(self, node, seed):
        visitors = [RoughVisitor(self, seed * 100 + 70 + n) for n in range(6)]
        for visitor in visitors:
            visitor.start()
        time.sleep(0.2)
        self.draining.set()
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.over.set()
        for visitor in visitors:
            visitor.join(30)


class Everything(dict):
    """Every path has this handler, which reads the content itself."""

    def __init__(self, handler):
        super().__init__()
        self.handler = handler

    def get(self, path, default=None):
        return (self.handler, False)


for _seed in SEEDS:
    def _test(self, seed=_seed):
        self.storm(seed)
    setattr(Storm, "test_seed_%d" % _seed, _test)
