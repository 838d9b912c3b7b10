"""A Redis that lies: it stands between nodes and a real one, hands on what is said, and spoils what it is told to.

    between = Between(server).start()
    between.on("GET", b"$-1\\r\\n")          as any FakeRedis; what is not spoiled is answered by the real one
    between.on("GET", spoilt(lambda reply: reply[:-1]))
    between.on("GET", cut(b"$100\\r\\nabc"), hang(b"$100\\r\\nabc"), slowly(1))
"""
import socket
import threading

from .fake_redis import CLOSE, SILENCE, FakeRedis
from .resp import RespClient, command as encoded, reply

SUBSCRIBING = {"SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"}
OWN = {"CLUSTER SLOTS"}  # answered by itself: it is the cluster


class Between(FakeRedis):
    """`server`: a RedisServer."""

    def __init__(self, server, **kw):
        self.server = server
        self.upstreams = {}   # of connections: a RespClient
        self.subscribers = set()
        super().__init__(**kw)

    def usual(self, command):
        if command.name in OWN:
            return super().usual(command)
        upstream = self._upstream(command)
        upstream.sock.sendall(encoded(*command.args))
        if command.name in SUBSCRIBING and command.connection not in self.subscribers:
            self.subscribers.add(command.connection)
            threading.Thread(target=self._pump, args=(upstream, command.sock), daemon=True).start()
        return b"" if command.connection in self.subscribers else reply(upstream.read())

    def _upstream(self, command):
        with self.lock:
            found = self.upstreams.get(command.connection)
            if found is None:
                found = self.upstreams[command.connection] = RespClient(self.server.address, timeout=60)
        return found

    @staticmethod
    def _pump(upstream, sock):
        """What a subscriber hears, when it comes."""
        try:
            while data := upstream.sock.recv(1 << 16):
                sock.sendall(data)
        except OSError:
            pass

    def _serve(self, sock):
        super()._serve(sock)
        with self.lock:
            gone = [n for n in self.upstreams if n not in self.open_sockets]
            upstreams = [self.upstreams.pop(n) for n in gone]
        for upstream in upstreams:
            try:
                upstream.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            upstream.close()


# ---- answers ----

def _read_until_it_leaves(sock):
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass


def cut(data):
    """These bytes, and the end of the connection."""
    def answer(c):
        c.send(data)
        return CLOSE
    return answer


def hang(data=b""):
    """These bytes, and then nothing for ever; the connection stays."""
    def answer(c):
        c.send(data)
        _read_until_it_leaves(c.sock)
        return CLOSE
    return answer


def spoilt(change):
    """The right answer, changed."""
    return lambda c: change(c.fake.usual(c))


def slowly(step):
    """The right answer, `step` bytes at a time."""
    def answer(c):
        right = c.fake.usual(c)
        some = right[:600 * step]
        for at in range(0, len(some), step):
            c.send(some[at:at + step])
        c.send(right[len(some):])
        return SILENCE
    return answer


def half_then(then):
    """The first half of the right answer, then cut or hang."""
    def answer(c):
        right = c.fake.usual(c)
        return then(right[:(len(right) + 1) // 2])(c)
    return answer
