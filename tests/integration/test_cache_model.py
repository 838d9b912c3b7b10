"""Random clients and a random origin, judged by what may never happen, whatever the order of events.

Every body tells in each of its blocks whose it is, which version, and at which offset, so that any part of one can be
judged by itself. The model keeps what the origin has said and when:

- a response is of one version, whole as its framing says, and at the offsets it claims;
- what is one client's reaches no other, and each gets the variant it asked for;
- after a purge or an unsafe request was acknowledged nobody who asks is given what was before;
- nothing is served longer after it was replaced than its lifetime and windows allow;
- a hit is fresh where nothing allows stale, and Age of one stored response never goes back.

WEIR_MODEL_SEED and WEIR_MODEL_SECONDS choose another run; a failure names its seed.
"""
import gzip
import os
import random
import re
import shutil
import subprocess
import threading
import time

from lib.case import NodeCase
from lib.client import Client, Truncated, request
from lib.http1 import Malformed
from lib.node import settings, upstream

SECONDS = float(os.environ.get("WEIR_MODEL_SECONDS", "15"))
CLIENTS = 8
BLOCK = 32
SLACK = 4  # seconds that a busy machine may lose between an event and its record
DECODERS = {"gzip": gzip.decompress}
for _coding, _tool in (("zstd", "zstd"), ("br", "brotli")):
    if shutil.which(_tool):
        DECODERS[_coding] = lambda data, tool=_tool: subprocess.run([tool, "-dc"], input=data, capture_output=True, check=True).stdout


class Kind:
    """What all paths below one prefix have in common."""

    def __init__(self, control, stale=0, etag=True, size=20000, own=False, vary=False, lifetime=0, route=None, by=None,
                 more=()):
        self.control, self.stale, self.etag, self.size = control, stale, etag, size
        self.own = own            # the answer is the asker's alone
        self.vary = vary          # the answer varies by X-Kind
        self.lifetime = lifetime  # seconds
        self.route = route or {}  # its cache settings
        self.by = by              # what else the answer depends on: "query" (?v=), or "content" (of a QUERY)
        self.more = list(more)    # response fields


KINDS = {
    "plain": Kind("max-age=2", lifetime=2),
    "small": Kind("max-age=3", lifetime=3, size=300),
    "bare": Kind("max-age=2", lifetime=2, etag=False),
    "vary": Kind("max-age=2", lifetime=2, vary=True, size=3000),
    "while": Kind("max-age=1, stale-while-revalidate=2", stale=2, lifetime=1),
    "error": Kind("max-age=1, stale-if-error=3", stale=3, lifetime=1),
    "must": Kind("max-age=1, must-revalidate", lifetime=1),
    "ask": Kind("no-cache", size=6000),
    "private": Kind("private, max-age=60", own=True, size=3000),
    "login": Kind("max-age=60", own=True, lifetime=60, size=3000),
    "slices": Kind("max-age=2", lifetime=2, size=90000, route={"slice": "16KiB"}),
    "ahead": Kind("max-age=3", lifetime=3, size=4000, route={"refresh_ahead": "50%"}),
    "group": Kind("max-age=3", lifetime=3, size=2000, more=[("Cache-Groups", '"g"')]),
    "search": Kind("max-age=2", lifetime=2, size=2000, by="query", more=[("No-Vary-Search", 'params=("u")')]),
    "asked": Kind("max-age=2", lifetime=2, size=2000, by="content"),
    "passed": Kind("max-age=2", lifetime=2, size=30000, route={"range_miss": "pass"}),
}
PATHS = ["/%s/%d" % (k, n) for k in KINDS for n in range(4)]


def kind_of(path):
    return KINDS[path.split("/")[1]]


def size_of(path, version):
    return BLOCK * (1 + (sum(map(ord, path)) * 7919 + version * 104729) % (kind_of(path).size // BLOCK))


def body_of(path, version, whose):
    size = size_of(path, version)
    return "".join(block_of(at, version, whose, path) for at in range(0, size, BLOCK)).encode()


def block_of(at, version, whose, path):
    return "%08d %06d %-8s%7s\n" % (at, version, whose, path[-7:].replace("/", "."))


class Wrong(AssertionError):
    pass


class Truth:
    """What the origin has, when it changed, and from which version on every new request must be answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.version = dict.fromkeys(PATHS, 1)
        self.floor = dict.fromkeys(PATHS, 1)
        self.replaced = {}  # (path, version): when
        self.fetches = {}   # X-Fetch: when the origin sent it
        self.fetch = 0

    def change(self, path):
        with self.lock:
            self.replaced[path, self.version[path]] = time.monotonic()
            self.version[path] += 1
            return self.version[path]

    def acknowledge(self, path, version):
        with self.lock:
            self.floor[path] = max(self.floor[path], version)

    def new_fetch(self):
        with self.lock:
            self.fetch += 1
            self.fetches[self.fetch] = time.monotonic()
            return self.fetch


class Speaker:
    """The origin: right in what it says, but slow, broken off and failing at random."""

    def __init__(self, truth, rng):
        self.truth, self.rng = truth, rng

    def __call__(self, x):
        r = x.request
        path = r.path
        if r.method == "POST":
            changed = {path: self.truth.change(path)}
            fields = []
            if path.startswith("/bare"):  # these say what else they have changed
                changed.update((p, self.truth.change(p)) for p in PATHS if p.startswith("/group"))
                fields.append(("Cache-Group-Invalidation", '"g"'))
            return x.reply(200, fields, " ".join("%s=%d" % c for c in changed.items()).encode())
        kind, chance = kind_of(path), self.rng.random()
        if chance < 0.06:
            return x.reply(self.rng.choice((500, 503)), {}, b"failing")
        version = self.truth.version[path]
        whose = self.whose(r, kind)
        body = body_of(path, version, whose)
        tag = '"%d-%s"' % (version, whose)
        fields = [("Cache-Control", kind.control), ("Content-Type", "text/plain"), ("X-Fetch", str(self.truth.new_fetch())),
                  ("Surrogate-Key", "all " + path.split("/")[1])]
        fields += [("ETag", tag)] if kind.etag else []
        fields += [("Vary", "X-Kind")] if kind.vary else []
        fields += kind.more
        if chance < 0.12:
            time.sleep(self.rng.random() * 0.05)
        if kind.etag and r.fields.get("if-none-match") == tag:
            return x.reply(304, fields)
        self.content(x, fields, body, chance)

    @staticmethod
    def whose(r, kind):
        if kind.vary:
            return r.fields.get("x-kind", "none")
        if kind.by == "query":
            return re.search(r"v=(\w)", r.target).group(1)
        if kind.by == "content":
            return r.body.decode() or "nothing"
        return r.fields.get("authorization", "anyone")[-8:] if kind.own else "all"

    def content(self, x, fields, body, chance):
        status, fields = 200, list(fields)
        first, last = self.part(x.request, len(body), dict(fields).get("ETag"))
        if first is not None:
            status = 206
            fields.append(("Content-Range", "bytes %d-%d/%d" % (first, last, len(body))))
            body = body[first:last + 1]
        if x.request.method == "HEAD":
            return x.reply(status, fields + [("Content-Length", str(len(body)))])
        cut = len(body) if chance < 0.94 else self.rng.randrange(len(body))
        if self.rng.random() < 0.5:
            x.send_head(status, fields + [("Content-Length", str(len(body)))])
            self.pieces(x, body[:cut], x.send)
        else:
            x.send_head(status, fields + [("Transfer-Encoding", "chunked")])
            self.pieces(x, body[:cut], x.chunk)
            if cut == len(body):
                x.last_chunk()
        if cut < len(body):
            x.reset() if self.rng.random() < 0.5 else x.close()

    def pieces(self, x, body, send):
        step = self.rng.choice((1 << 20, 1 << 20, 5000))
        for at in range(0, len(body), step):
            send(body[at:at + step])
            if at + step < len(body):
                time.sleep(0.001)

    @staticmethod
    def part(r, size, tag):
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", r.fields.get("range", ""))
        if not match or r.fields.get("if-range", tag) != tag or int(match.group(1)) >= size:
            return None, None
        return int(match.group(1)), min(int(match.group(2) or size), size - 1)


class Visitor(threading.Thread):
    """One client after the other on one thread."""

    def __init__(self, number, node, truth, seed, until):
        super().__init__(daemon=True)
        self.rng = random.Random(seed)
        self.me = "user%04d" % number
        self.node, self.truth, self.until = node, truth, until
        self.ages = {}   # X-Fetch: the Age last seen
        self.tags = {}   # path: an ETag seen
        self.error = None
        self.counts = {}
        self.client = None

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.step()
        except Exception as e:
            self.error = e
        finally:
            if self.client:
                self.client.close()

    def step(self):
        path, chance = self.rng.choice(PATHS), self.rng.random()
        if chance < 0.02:
            self.post(path)
        elif chance < 0.05:
            self.purge(path)
        elif chance < 0.08:
            self.truth.change(path)  # and nobody is told
        elif chance < 0.10:
            self.leave(path)
        else:
            self.ask(path)

    def connection(self):
        if self.client is None or self.rng.random() < 0.02:
            if self.client:
                self.client.close()
            self.client = Client(self.node.address)
        return self.client

    def exchange(self, method, path, fields=(), body=b""):
        """A response, or None where the message visibly broke off."""
        try:
            answer = self.connection().ask(method, path, fields, body)
        except (Truncated, ConnectionError):
            self.client.close()
            self.client = None
            return self.note("broken off")
        if answer.closes:
            self.client.close()
            self.client = None
        return answer

    def note(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    # ---- what changes things ----

    def post(self, path):
        answer = self.exchange("POST", path)
        if answer and answer.status == 200:
            for change in answer.text.split():
                where, _, version = change.partition("=")
                self.truth.acknowledge(where, int(version))
            self.note("post")

    def purge(self, path):
        """By URL, by a tag of its kind, or all: always hard."""
        how = self.rng.choice(("url", "url", "tag", "prefix", "all"))
        prefix = path.rsplit("/", 1)[0] + "/"
        paths = [path] if how == "url" else PATHS if how == "all" else [p for p in PATHS if p.startswith(prefix)]
        versions = {p: self.truth.change(p) for p in paths}
        fields = {"Purge-Mode": "hard"}
        if how == "tag":
            fields["Surrogate-Key"] = path.split("/")[1]
        elif how != "url":
            fields["Purge-Scope"] = how
        answer = self.exchange("PURGE", prefix if how == "prefix" else path, fields)
        if answer:
            if answer.status != 200:
                raise Wrong("a purge was refused: %r" % answer)
            for p, version in versions.items():
                self.truth.acknowledge(p, version)
            self.note("purge " + how)

    def leave(self, path):
        client = Client(self.node.address)
        client.send(request(path=path + self.search(path), fields=self.identity(path)))
        if self.rng.random() < 0.5:
            client.sock.recv(100)
        client.reset() if self.rng.random() < 0.5 else client.close()

    # ---- what looks ----

    def identity(self, path):
        kind = kind_of(path)
        fields = {"X-Kind": self.rng.choice("abc")} if kind.vary else {}
        if kind.own and (path.startswith("/private") or self.rng.random() < 0.5):
            fields["Authorization"] = "Basic " + self.me
        return fields

    def search(self, path):
        """A query that matters and one that does not, in any order."""
        if kind_of(path).by != "query":
            return ""
        parameters = ["v=" + self.rng.choice("abc"), "u=%d" % self.rng.randrange(9)]
        self.rng.shuffle(parameters)
        return "?" + "&".join(parameters)

    def ask(self, path):
        fields, chance = self.identity(path), self.rng.random()
        method, search, body = "GET", self.search(path), b""
        if kind_of(path).by == "content" and chance < 0.8:
            method, body, fields["Content-Type"] = "QUERY", self.rng.choice((b"one", b"two", b"three")), "text/plain"
        elif chance < 0.15:
            fields["Range"] = "bytes=" + self.range()
            if path in self.tags and self.rng.random() < 0.3:
                fields["If-Range"] = self.tags[path]
        elif chance < 0.25 and path in self.tags:
            fields["If-None-Match"] = self.tags[path]
        elif chance < 0.30:
            method = "HEAD"
        if self.rng.random() < 0.35:
            fields["Accept-Encoding"] = self.rng.choice(("gzip", "zstd", "br", "gzip, br, zstd", "gzip;q=0.5, br"))
        floor, begun = self.truth.floor[path], time.monotonic()
        answer = self.exchange(method, path + search, fields, body)
        if answer is None:
            return
        whose = self.whose(path, fields, search, body)
        try:
            self.judge(method, path, fields, whose, floor, begun, answer)
        except (AssertionError, KeyError, ValueError, IndexError) as e:
            raise Wrong("%s\n%s %s%s %s %s\nfloor %d, version %d, at %.3f\n%r" % (
                e, method, path, search, fields, body, floor, self.truth.version[path], begun, answer)) from e

    def range(self):
        first = self.rng.randrange(0, 20000)
        return self.rng.choice(("0-99", "%d-%d" % (first, first + self.rng.randrange(5000)), "%d-" % first, "-%d" % (first + 1),
                                "0-9,40-49", "%d-%d,0-63" % (first, first + 200)))

    # ---- the judgement ----

    @staticmethod
    def whose(path, fields, search, body):
        """Whose the answer may be."""
        kind = kind_of(path)
        if kind.by == "query":
            return {re.search(r"v=(\w)", search).group(1)}
        if kind.by == "content":
            return {body.decode() or "nothing"}
        if not kind.own:
            return {fields.get("X-Kind", "all")}
        own = {fields.get("Authorization", "anyone")[-8:]}
        return own | {"anyone"} if path.startswith("/login") else own  # what is for everyone is also for who is logged in

    def judge(self, method, path, fields, whose, floor, begun, answer):
        self.note(str(answer.status))
        if answer.status in (500, 502, 503, 504, 416):
            return
        self.fetched(path, answer)
        if answer.status == 304:
            version = int(re.match(r'(?:W/)?"(\d+)-', answer.fields["etag"]).group(1))
            assert "If-None-Match" in fields, "nobody asked for a 304"
            assert answer.fields["etag"].replace("W/", "") == fields["If-None-Match"].replace("W/", ""), "a 304 for another tag"
        elif method == "HEAD":
            version = self.head(path, answer)
        else:
            version = self.content(path, fields, whose, answer)
        if "etag" in answer.fields and "If-None-Match" not in fields and kind_of(path).by is None:
            self.tags[path] = answer.fields["etag"]
        if version is not None:
            self.timely(path, version, floor, begun)

    def head(self, path, answer):
        tag = answer.fields.get("etag")
        if tag is None:
            return None
        version = int(re.match(r'(?:W/)?"(\d+)-', tag).group(1))
        if "content-encoding" not in answer.fields and "content-length" in answer.fields:
            assert int(answer.fields["content-length"]) == size_of(path, version), "the length of another version"
        return version

    def content(self, path, fields, whose, answer):
        coding = answer.fields.get("content-encoding")
        if coding:
            assert coding in fields.get("Accept-Encoding", ""), "a coding that was not asked for"
            self.note("coded " + coding)
        if answer.status == 200:
            body = DECODERS[coding](answer.body) if coding else answer.body
            version = self.blocks(path, body, 0, whose)
            assert len(body) == size_of(path, version), "%d bytes are not the whole of %d" % (len(body), size_of(path, version))
            return version
        assert answer.status == 206, "an unexpected status"
        assert "Range" in fields, "nobody asked for a part"
        assert not coding, "parts are of the content as it came"
        versions = {self.piece(path, body, where, whose) for where, body in parts_of(answer)}
        versions.discard(None)
        assert len(versions) <= 1, "parts of several versions: %s" % versions
        version = versions.pop() if versions else None
        if "If-Range" in fields and version is not None:
            assert fields["If-Range"].startswith('"%d-' % version), "a part of another version than If-Range names"
        return version

    def piece(self, path, body, where, whose):
        first, last, total = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", where).groups())
        assert len(body) == last - first + 1, "%d bytes for %s" % (len(body), where)
        version = self.blocks(path, body, first, whose)
        assert version is None or total == size_of(path, version), "the length of another version"
        return version

    @staticmethod
    def blocks(path, body, first, whose):
        """The version of a body or a part that begins at `first`; None if it holds no whole block."""
        at = -first % BLOCK
        version = owner = None
        while at + BLOCK <= len(body):
            block = body[at:at + BLOCK].decode()
            if version is None:
                version, owner = int(block[9:15]), block[16:24].strip()
                assert owner in whose, "what is for %s reached %s" % (owner, whose)
            assert block == block_of(first + at, version, owner, path), "block %r at %d, version %d, for %s" % (
                block, first + at, version, owner)
            at += BLOCK
        return version

    def timely(self, path, version, floor, begun):
        assert version >= floor, "version %d, but %d was acknowledged before it was asked for" % (version, floor)
        kind, replaced = kind_of(path), self.truth.replaced.get((path, version))
        if replaced is not None:
            late = begun - replaced
            assert late <= kind.lifetime + kind.stale + SLACK, "replaced %.1f s before it was asked for" % late

    def fetched(self, path, answer):
        if not answer.hit:
            return
        self.note("hit " + path.split("/")[1])
        kind, age = kind_of(path), int(answer.fields["age"])
        assert not kind.own or path.startswith("/login"), "what is private was a hit"
        if kind.stale == 0:
            assert age < kind.lifetime, "a stale hit, of age %d" % age
        fetch = int(answer.fields["x-fetch"])
        since = time.monotonic() - self.truth.fetches[fetch]
        assert age <= since + SLACK, "Age %d, %.1f s after the origin sent it" % (age, since)
        assert age >= self.ages.get(fetch, 0), "Age went back to %d" % age
        self.ages[fetch] = age


def parts_of(answer):
    """(Content-Range, bytes) of each part of a 206."""
    if "content-range" in answer.fields:
        return [(answer.fields["content-range"], answer.body)]
    boundary = b"--" + re.search(r'boundary="?([^";]+)', answer.fields["content-type"]).group(1).encode()
    out = []
    for section in (b"\r\n" + answer.body).split(b"\r\n" + boundary)[1:-1]:
        head, _, body = section.partition(b"\r\n\r\n")
        out.append((re.search(rb"(?i)content-range: ([^\r]+)", head).group(1).decode(), body))
    return out


class Model(NodeCase):
    def configuration(self, origin, other=False):
        """Two ways to do the same: slices or not, parts fetched or passed, compressed or not, more and less memory."""
        routes = []
        for name, kind in KINDS.items():
            cache = dict(kind.route)
            if other:
                cache.pop("slice", None)
                cache["range_miss"] = "fetch" if "range_miss" in cache else "pass"
            routes.append({"name": name, "match": {"paths": ["/%s/" % name]}, "upstream": "app", "cache": cache,
                           "compression": {"enabled": not other, "min": "256"}})
        return settings([upstream(origin, eject={"fails": 0})], routes + [{"upstream": "app"}],
                        cache={"memory": "4MiB" if other else "8MiB", "hit_for_miss": "1s", "purge_clients": ["127.0.0.0/8"]}, node={"workers": 2})

    def test_what_may_never_happen_does_not(self):
        seed = int(os.environ.get("WEIR_MODEL_SEED", random.SystemRandom().randrange(1 << 32)))
        truth = Truth()
        origin = self.origin(Speaker(truth, random.Random(seed)))
        configs = [self.configuration(origin, other) for other in (False, True)]
        configs[1]["listen"] = configs[0]["listen"]
        node = self.node(configs[0])
        until = time.monotonic() + SECONDS
        visitors = [Visitor(n, node, truth, seed + n, until) for n in range(CLIENTS)]
        for visitor in visitors:
            visitor.start()
        reloads = 0
        while any(v.is_alive() for v in visitors):
            visitors[reloads % CLIENTS].join(1.5)
            if time.monotonic() < until and not any(v.error for v in visitors):
                reloads += 1
                self.assertTrue(node.reload(configs[reloads % 2]))
        # An origin that is broken off in the middle of a message is what it is told to be.
        origin.errors = [e for e in origin.errors if not isinstance(e, (Truncated, Malformed))]
        for visitor in visitors:
            if visitor.error:
                raise AssertionError("seed %d: %s" % (seed, visitor.error)) from visitor.error
        counts = {}
        for visitor in visitors:
            for what, count in visitor.counts.items():
                counts[what] = counts.get(what, 0) + count
        print("model: seed %d, %d reloads, %s" % (seed, reloads, dict(sorted(counts.items()))))
        hits = ["hit " + name for name in KINDS if name not in ("ask", "private", "must", "while")]
        for what in ["200", "206", "304", "broken off", "post", "purge url", "purge tag", "purge all"] + hits:
            self.assertGreater(counts.get(what, 0), 0, "nothing of this kind happened: " + what)
