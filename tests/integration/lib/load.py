"""Clients that ask the nodes of a farm for known pages all the while, and judge every byte of every answer."""
import hashlib
import random
import threading
import time

from .client import Client
from .wait import wait_until

SIZES = (300, 9000, 70000, 400000)  # in one value with its record, and in chunks


def page(path):
    """What the origin has under a path: bytes that belong to no other path, text-like for some."""
    number = int(path.rsplit("/", 1)[1])
    seed = hashlib.sha256(path.encode()).hexdigest()
    size = SIZES[number % len(SIZES)]
    line = ("%s %s\n" % (path, seed)).encode()
    return (line * (size // len(line) + 1))[:size]


def origin_handler(max_age=600):
    def handle(x):
        path = x.request.path
        fields = [("Cache-Control", "max-age=%d" % max_age), ("Content-Type", "text/plain" if int(
            path.rsplit("/", 1)[1]) % 2 else "application/octet-stream")]
        x.reply(200, fields, page(path))
    return handle


class Load:
    """`threads` clients for each node, each asking for /load/N with N < `pages`, popular ones more often. Everything
    that is not the right page within `slow` seconds is noted in .faults."""

    def __init__(self, nodes, pages=80, threads=2, slow=4.0):
        self.nodes, self.pages, self.slow = nodes, pages, slow
        self.faults = []
        self.answers = 0
        self.slowest = 0.0
        self.stopping = False
        self.threads = [threading.Thread(target=self._run, args=(n, i), daemon=True)
                        for n in nodes for i in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        self.stopping = True
        for t in self.threads:
            t.join(30)

    def go_on(self, count=100):
        """Until `count` more answers have come: whatever the farm is going through has been asked through."""
        goal = self.answers + count
        wait_until(lambda: self.answers >= goal or self.faults, 60, "%d more answers" % count)

    def _run(self, node, number):
        dice = random.Random(number)
        client = None
        while not self.stopping:
            path = "/load/%d" % int(self.pages * dice.random() ** 2)
            began = time.monotonic()
            try:
                client = client or Client(node.address, timeout=20)
                response = client.ask("GET", path)
                if response.closes:
                    client.close()
                    client = None
            except Exception as e:  # noted: the test fails by it
                self.faults.append("%s: %r after %.3f s" % (path, e, time.monotonic() - began))
                client = None
                continue
            took = time.monotonic() - began
            self.slowest = max(self.slowest, took)
            if response.status != 200 or response.body != page(path):
                self.faults.append("%s: status %d, %d bytes, %s" % (path, response.status, len(response.body),
                                                                    "right" if response.body == page(path) else "WRONG"))
            elif took > self.slow:
                self.faults.append("%s took %.3f s" % (path, took))
            self.answers += 1
        if client:
            client.close()
