"""Tables of what a cache must do: each row a few requests for one URL, what the origin would answer to each, and
whether it may be asked.

    "s-maxage counts before max-age (5.2.2.10)": twice("Cache-Control: s-maxage=60, max-age=1\nAge: 30", HIT),
    "a GET is invalidated by a PUT (4.4)": [get("Cache-Control: max-age=60"), ask("PUT", MISS), get(expect=MISS)],

Fields are written as lines. `{-60}` in them is the date a minute ago, `{+60|rfc850}` and `{0|asctime}` are the
obsolete forms of one. Time does not pass in a row: responses come with an Age or a Date of the past instead.

Every final response is also looked at by itself: what holds for all is told once, in check_always().
"""
import email.utils
import re
import threading
import time

from . import node as nodes
from .case import NodeCase, table
from .client import Client
from .origin import Origin
from .ports import LOOPBACK, free_port
from .wait import DEADLINE, wait_until

HIT = "hit"              # from the store; the origin is not asked
MISS = "miss"            # asked, without a condition made from what is stored
VALIDATED = "validated"  # asked, with such a condition
ASKED = "asked"          # asked, either way
REFRESHED = "refreshed"  # from the store at once; the origin is asked behind the client's back
ANY = None

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def date(offset=0, form="imf"):
    """The date `offset` seconds from now in one of the three forms of RFC 9110 5.6.7."""
    at = time.gmtime(time.time() + offset)
    imf = email.utils.formatdate(time.time() + offset, usegmt=True)
    if form == "rfc850":
        return "%s, %s" % (WEEKDAYS[at.tm_wday], imf[5:16].replace(" ", "-")[:7] + imf[14:16] + imf[16:])
    if form == "asctime":
        return "%s %s %2d %s %s" % (imf[:3], imf[8:11], at.tm_mday, imf[17:25], imf[12:16])
    return imf


def fill_in(text):
    return re.sub(r"\{([+-]?\d+)(?:\|(\w+))?\}", lambda m: date(int(m.group(1)), m.group(2) or "imf"), text)


def lines(text):
    """Field lines as pairs, dates filled in."""
    return [tuple(part.strip() for part in line.split(":", 1)) for line in fill_in(text).split("\n") if line]


class Step:
    """One request, and what is expected of it."""

    def __init__(self, expect=ANY, response=None, request="", method="GET", status=None, body=None, answer=200,
                 content=None, sent=None, fields=None, path="", validation=None, host="test.example", raw=None,
                 check=None, interim="", request_body=b"", until=False):
        self.expect = expect
        self.response = response      # field lines of the origin's answer; None: those of the step before
        self.answer = answer          # its status
        self.validation = validation  # (status, lines) instead, when the request is conditional; 304 by default
        self.content = content        # its content; by default one that differs for each answer
        self.raw = raw                # or all its bytes, after which the connection is closed
        self.interim = interim        # or heads before it
        self.request = request        # field lines of the request
        self.request_body = request_body
        self.method, self.path, self.host = method, path, host
        self.status = status          # expected; 0: any; by default that of the answer the content is from
        self.body = body              # expected; by default that of the last whole answer
        self.sent = sent or {}        # expected of the request at the origin: name -> value, None: absent
        self.fields = fields or {}    # expected of the response: name -> value, None: absent, or a predicate
        self.until = until            # asked again until `body` comes, and until(response), for what happens behind
        self.check = check            # called with (test, response)


def ask(method, expect=ANY, response=None, **kw):
    return Step(expect, response, method=method, **kw)


def get(response=None, expect=ANY, **kw):
    return Step(expect, response, **kw)


def twice(response, expect, **kw):
    """The same request two times; the second finds ... Keys of the step go to both, those with `then_` to the second."""
    second = {k[5:]: v for k, v in kw.items() if k.startswith("then_")}
    both = {k: v for k, v in kw.items() if not k.startswith("then_")}
    first = {k: v for k, v in both.items() if k not in ("sent", "fields", "check")}
    return [Step(ANY, response, **first), Step(expect, **dict(both, **second))]


class RowsCase(NodeCase):
    """One node, one origin, a path for each row. Without `configure` the node has nothing but --listen and --origin."""
    configure = None

    @classmethod
    def setUpClass(cls):
        cls.upstream = Origin()
        cls.addClassCleanup(cls.upstream.stop)
        if cls.configure:
            cls.front_node = nodes.Node(nodes.settings(cls.upstream, **cls.configure()))
        else:
            listen = "%s:%d" % (LOOPBACK, free_port())
            cls.front_node = nodes.Node(args=["--listen", listen, "--origin", cls.upstream.url])
            cls.front_node.address = nodes.address_of(listen)
        cls.addClassCleanup(cls.front_node.stop)
        cls.front_node.start()
        cls.connection = None

    def tearDown(self):
        malformed, self.upstream.malformed = self.upstream.malformed, []
        self.assertEqual(malformed, [], "the origin was sent what is no HTTP")
        errors, self.upstream.errors = self.upstream.errors, []
        if errors:
            raise errors[0]

    def row(self, *steps):
        Run(self, steps).all()


class Run:
    """One row under way."""

    def __init__(self, test, steps):
        self.test, self.steps = test, steps
        self.begun = time.monotonic()
        self.path = "/%s/%s" % (type(test).__name__, test._testMethodName)
        self.step = None
        self.response = ""  # lines of the last answer
        self.answers = 0
        self.body = None    # of the last whole answer, and its status
        self.status = 200
        self.sent = None    # status of the last answer
        self.statuses = {}  # by content
        self.seen = []
        self.lock = threading.Lock()
        test.upstream.routes = RouteByPrefix(test.upstream.routes, self.path, self.handle)

    def all(self):
        with Client(self.test.front_node.address) as client:
            for number, step in enumerate(self.steps):
                self.step = step
                with self.test.subTest("step %d" % (number + 1)):
                    client = self.one(client, step)

    # ---- the origin's side ----

    def handle(self, x):
        with self.lock:
            step = self.step
            self.seen.append(x.request)
            self.answers += 1
            if step.response is not None:
                self.response = step.response
            conditional = any(n in x.request.fields for n in ("if-none-match", "if-modified-since"))
            status, fields = step.answer, self.response
            if conditional and step.validation != "ignored":
                status, fields = step.validation or (304, self.response)
            body = step.content if step.content is not None else b"answer %d" % self.answers
            self.sent = status
            if status != 304:
                self.status = status
            if status in (204, 304):
                body = b""
            elif x.request.method != "HEAD":
                self.body = body
            self.statuses.setdefault(body, status)
        for head in filter(None, step.interim.split("\n\n")):
            code, _, rest = head.partition("\n")
            x.send_head(int(code), lines(rest))
        if step.raw is not None:
            x.send(fill_in(step.raw.decode("latin-1")))
            x.close()
        elif x.request.method == "HEAD":
            x.reply(status, lines(fields + ("" if status in (204, 304) or "\nContent-Length" in fields else
                                            "\nContent-Length: %d" % len(body))))
        else:
            x.reply(status, lines(fields), body)

    # ---- the client's side ----

    def one(self, client, step):
        before = len(self.seen)
        answer = self.send(client, step)
        while not self.settled(step, answer) and time.monotonic() < self.begun + DEADLINE:
            before = len(self.seen)
            answer = self.send(client, step)
        asked = self.seen[before:] if step.expect != REFRESHED else []
        self.judge(step, answer, asked, before)
        self.check_always(step, answer, asked)
        if answer.closes:
            client.close()
            client = Client(self.test.front_node.address)
        return client

    @staticmethod
    def settled(step, answer):
        return not step.until or answer.body == step.body and (step.until is True or step.until(answer))

    def send(self, client, step):
        return client.ask(step.method, self.path + step.path, lines(step.request), step.request_body, host=step.host)

    def judge(self, step, answer, asked, before):
        t = self.test
        if step.expect == REFRESHED:
            wait_until(lambda: len(self.seen) > before, what="a request behind the client's back")
        elif step.expect == HIT:
            t.assertEqual(asked, [], "the origin was asked: %s" % answer)
        elif step.expect in (MISS, VALIDATED, ASKED):
            t.assertEqual(len(asked), 1, "the origin was asked %d times: %s" % (len(asked), answer))
            if step.expect != ASKED:
                conditions = [n for n in ("if-none-match", "if-modified-since") if n in asked[0].fields]
                own = "if-" in step.request.lower()
                t.assertTrue(own or bool(conditions) == (step.expect == VALIDATED), asked[0])
        for name, value in step.sent.items():
            t.assertEqual(len(asked), 1)
            t.assertEqual(asked[0].fields.get(name), value, asked[0])
        expected = step.status or (self.sent if asked and self.sent != 304 else
                                   self.statuses.get(step.body or None, self.status))
        if step.status != 0:
            t.assertEqual(answer.status, expected, answer)
        for name, value in step.fields.items():
            if callable(value):
                t.assertTrue(value(answer.fields.get(name)), (name, answer))
            else:
                t.assertEqual(answer.fields.get(name), fill_in(value) if value else value, answer)
        if step.body is not None:
            t.assertEqual(answer.body, step.body, answer)
        elif answer.status == 200 and step.status != 0 and step.method != "HEAD" and step.expect in (HIT, MISS, VALIDATED, ASKED):
            t.assertEqual(answer.body, self.body, answer)
        if step.check:
            step.check(t, answer)

    def check_always(self, step, answer, asked):
        """What every response of a shared cache must be like."""
        t = self.test
        t.assertIn("date", answer.fields)                      # RFC 9110 6.6.1
        if not asked:
            t.assertLessEqual(len(answer.fields.all("age")), 1)
        if "age" in answer.fields and not asked:
            t.assertRegex(answer.fields["age"], r"^\d+$")      # RFC 9111 5.1
        if not asked and answer.status < 400:
            t.assertIn("age", answer.fields, "from the store, without Age (RFC 9111 5.1)")
            t.assertTrue(answer.hit, "Cache-Status does not say hit (RFC 9211 2.1): " + answer.cache_status)
        if len(asked) == 1 and step.expect not in (ANY, REFRESHED):
            t.assertFalse(answer.hit, "Cache-Status says hit, but the origin was asked: " + answer.cache_status)
        for name in ("connection", "keep-alive", "proxy-connection", "te", "upgrade"):
            t.assertIn(answer.fields.get(name), (None, "close", "keep-alive"), answer)  # RFC 9110 7.6.1


class RouteByPrefix(dict):
    """An origin's routes, with a row's handler for all paths below the row's."""

    def __init__(self, routes, prefix, handler):
        super().__init__(routes)
        self.rows = dict(getattr(routes, "rows", {}))
        self.rows[prefix] = handler

    def get(self, path, default=None):
        row = self.rows.get("/".join(path.split("/")[:3]))
        return (row, True) if row else super().get(path, default)


def rows(cls):
    """Class decorator: `rows` is a dict from a sentence to a list of steps."""
    cls.rows = {sentence: tuple(steps) for sentence, steps in cls.rows.items()}
    return table(cls)
