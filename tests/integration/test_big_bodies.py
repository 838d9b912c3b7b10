"""Ten gibibytes through a node, each way and in both framings: whole, in bounded memory, in little time.

Nothing is stored: the sender repeats one block, the receiver compares. A release build carries the whole size,
others a part of it.
"""
import os
import time

from lib import http1
from lib import node as nodes
from lib.case import NodeCase
from lib.client import request

MIB = 1 << 20
GIB = 1 << 30
BLOCK = b"".join(n.to_bytes(4, "little") for n in range(MIB // 4))
TWICE = BLOCK + BLOCK  # so that whatever a read brings is one slice of this
CHUNK_HEAD = b"%x\r\n" % MIB
LEAVE_BYTES = 4 * MIB  # what the node may need for a body beyond what it had before
SECONDS = 40


def size():
    if nodes.sanitizer():
        return 256 * MIB
    with open(nodes.binary(), "rb") as f:
        debug = b"weir_alloc_fail_at" in f.read()  # what only a build for tests contains
    return GIB if debug else 10 * GIB


class Sender:
    """Sends `total` bytes of blocks; the data goes from a memory file, without a copy through here."""

    def __init__(self, sock, total):
        self.sock = sock
        self.total = total
        self.file = os.memfd_create("block")
        os.write(self.file, BLOCK)

    def _block(self):
        sent = 0
        while sent < MIB:
            sent += os.sendfile(self.sock.fileno(), self.file, sent, MIB - sent)

    def run(self, chunked):
        timeout = self.sock.gettimeout()
        self.sock.setblocking(True)  # os.sendfile() does not wait as the methods of a socket do
        try:
            for _ in range(self.total // MIB):
                if chunked:
                    self.sock.sendall(CHUNK_HEAD)
                self._block()
                if chunked:
                    self.sock.sendall(b"\r\n")
            if chunked:
                self.sock.sendall(http1.LAST_CHUNK)
        finally:
            self.sock.settimeout(timeout)
            os.close(self.file)


class Receiver:
    """Reads a body and compares it; begins with what a Source has read already."""

    def __init__(self, source):
        self.sock = source.sock
        self.rest = bytearray(source.take())
        self.got = 0
        self.buffer = bytearray(MIB)

    def _compare(self, data):
        at = self.got % MIB
        if data != TWICE[at:at + len(data)]:
            raise AssertionError("other bytes than were sent, after %d" % self.got)
        self.got += len(data)

    def _read(self):
        n = self.sock.recv_into(self.buffer)
        if n == 0:
            raise AssertionError("ended after %d bytes" % self.got)
        return bytes(memoryview(self.buffer)[:n])

    def plain(self, total):
        self._compare(bytes(self.rest))
        while self.got < total:
            self._compare(self._read())

    def chunked(self):
        """The grammar has few cases here: no extensions, no trailers."""
        data, at = bytes(self.rest), 0
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                data, at = data[at:] + self._read(), 0
                continue
            left = int(data[at:end], 16)
            at = end + 2
            last = left == 0
            while left > 0:
                if at == len(data):
                    data, at = self._read(), 0
                part = data[at:at + left]
                self._compare(part)
                left -= len(part)
                at += len(part)
            while len(data) - at < 2:
                data, at = data[at:] + self._read(), 0
            if data[at:at + 2] != b"\r\n":
                raise AssertionError("a chunk that does not end, after %d" % self.got)
            at += 2
            if last:
                return


def memory(pid, name):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no %s" % name)


class BigBodies(NodeCase):
    def setUp(self):
        self.total = size()
        self.source = self.origin()
        self.server = self.front(self.source, routes=[{"upstream": "app", "limits": {"body": 0}}])
        for _ in range(4):  # what the first exchanges allocate is not for the body
            self.server.ask("POST", "/warm", body=b"x" * 65536)
        with open("/proc/%d/clear_refs" % self.server.pid, "w") as f:
            f.write("5")  # VmHWM begins anew
        self.before = memory(self.server.pid, "VmRSS")
        self.begun = time.monotonic()

    def judge(self):
        seconds = time.monotonic() - self.begun
        grown = memory(self.server.pid, "VmHWM") - self.before
        if not nodes.sanitizer():
            self.assertLess(grown, LEAVE_BYTES, "for %d bytes" % self.total)
            self.assertLess(seconds, SECONDS, "%.0f MiB/s" % (self.total / MIB / seconds))

    def framing(self, chunked):
        return {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(self.total)}

    def download(self, chunked):
        def send(x):
            x.send_head(200, dict(self.framing(chunked), **{"Cache-Control": "no-store"}))
            Sender(x.sock, self.total).run(chunked)
        self.source.on("/big", send)
        client = self.client(self.server)
        client.send(request(path="/big"))
        head = client.head()
        self.assertEqual(head.framing, "chunked" if chunked else "length")
        receiver = Receiver(client.source)
        if chunked:
            receiver.chunked()
        else:
            receiver.plain(self.total)
        self.assertEqual(receiver.got, self.total)
        self.judge()

    def upload(self, chunked):
        got = []

        def take(x):
            receiver = Receiver(x.source)
            if http1.is_chunked(x.request.fields):
                receiver.chunked()
            else:
                receiver.plain(http1.content_length(x.request.fields))
            got.append(receiver.got)
            x.reply(200, {}, b"thanks")
        self.source.on("/big", take, read_body=False)
        client = self.client(self.server, timeout=SECONDS + 10)
        client.send(request("POST", "/big", self.framing(chunked)))
        Sender(client.sock, self.total).run(chunked)
        self.assertEqual(client.response().body, b"thanks")
        self.assertEqual(got, [self.total])
        self.judge()

    def test_a_download_with_a_length(self):
        self.download(False)

    def test_a_chunked_download(self):
        self.download(True)

    def test_an_upload_with_a_length(self):
        self.upload(False)

    def test_a_chunked_upload(self):
        self.upload(True)
