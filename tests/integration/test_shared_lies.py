"""Redis gives every wrong answer there is: clients get the right pages all the while, nothing grows without end, and the
nodes share again once Redis is honest."""
import itertools
import unittest

from lib.between import cut, half_then, hang, slowly, spoilt
from lib.case import table
from lib.fake_redis import CLOSE, SILENCE
from lib.hostile import Hostile, NOISE, errors
from lib.resp import NilArray, RedisError, Status, reply
from lib.wait import wait_until

TAKES = 260  # seconds, most of them waits: the runner begins with it


# ---- answers that are wrong ----

WRITES = ("EVALSHA", "EVAL", "SET", "SPUBLISH")
GREETINGS = ("PING", "CLIENT SETNAME")
SUBSCRIPTIONS = ("SSUBSCRIBE", "SUNSUBSCRIBE")
FEW = (WRITES, ("*",))  # for answers after which a node waits long before it trusts again
TLS_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@table
class Answers(Hostile):
    """One answer to each kind of command, one kind after the other."""
    kinds = (("GET",), WRITES, ("CLUSTER SLOTS",), SUBSCRIPTIONS, GREETINGS, ("*",))
    rows = {
        "a status": (b"+OK\r\n",),
        "an empty status": (b"+\r\n",),
        "an integer": (b":1\r\n",),
        "a negative integer": (b":-9223372036854775808\r\n",),
        "an integer too large": (b":99999999999999999999999999\r\n",),
        "nil": (b"$-1\r\n",),
        "a nil array": (b"*-1\r\n",),
        "an empty array": (b"*0\r\n",),
        "an empty bulk": (b"$0\r\n\r\n",),
        "a bulk of noise": (reply(NOISE),),
        "a large bulk of noise": (reply(NOISE * 200),),
        "an array of everything": (reply([None, 1, "x", Status("OK"), RedisError("ERR no"), [[]], NilArray]),),
        "an array of two integers": (reply([1, 2]),),
        "a lease of another that never ends": (reply([0, 2 ** 62]),),
        "an array of nils": (reply([None] * 100),),
        "a deep array": (b"*1\r\n" * 7 + b":1\r\n",),
        "a bottomless array": (b"*1\r\n" * 100000,),
        "a broad array": (b"*1000000\r\n" + b":1\r\n" * 1000000,),
        "an array of 2^31 elements": (b"*2147483648\r\n",),
        "an array of 2^31 - 1 elements, never sent": (hang(b"*2147483647\r\n"),),
        "an array of minus two elements": (b"*-2\r\n",),
        "a bulk of 2 GB, never sent": (hang(b"$2147483647\r\nabc"),),
        "a bulk of 15 MB, never sent": (hang(b"$15000000\r\nabc"),),
        "a bulk of 15 MB": (b"$15000000\r\n" + bytes(15000000) + b"\r\n",),
        "a bulk of 2^64 bytes": (b"$18446744073709551616\r\nabc\r\n",),
        "a bulk of minus five bytes": (b"$-5\r\nabc\r\n",),
        "a bulk of no number of bytes": (b"$abc\r\nabc\r\n",),
        "a bulk longer than announced": (b"$3\r\nabcdef\r\n",),
        "a bulk shorter than announced": (b"$9\r\nabc\r\n",),
        "RESP3": (b"%1\r\n+a\r\n:1\r\n_\r\n#t\r\n,1.5\r\n(123\r\n=5\r\ntxt:a\r\n>1\r\n+x\r\n",),
        "noise": (NOISE,),
        "HTTP": (HTTP,),
        "a TLS alert": (TLS_ALERT,),
        "a line without end": (b"+" + b"a" * 4000000,),
        "a number without end": (b"$" + b"1" * 4000000,),
        "blank lines": (b"\r\n" * 1000,),
        "zeros": (bytes(1000000),),
        "silence": (SILENCE,),
        "a hang": (hang(),),
        "the end": (CLOSE,),
        "a beginning and the end": (cut(b"$100\r\nabc"),),
        "a beginning and silence": (hang(b"*3\r\n$100\r\nabc"),),
        "half of the right answer and the end": (half_then(cut),),
        "half of the right answer and silence": (half_then(hang),),
        "the right answer, byte by byte": (slowly(1),),
        "the right answer twice": (spoilt(lambda right: right * 2),),
        "the right answer, and one that nobody asked for": (spoilt(lambda right: right + b"$-1\r\n"),),
        "one that nobody asked for, and the right answer": (spoilt(lambda right: b"+OK\r\n" + right),),
        "a push before the right answer": (spoilt(lambda right: reply(["smessage", "w1:x", "y"]) + right),),
        "a push of invalidations": (spoilt(lambda right: reply(["message", "__redis__:invalidate", None]) + right),),
        "half of the answers missing": ("every other",),
        "the answer to the command before": ("delayed",),
        "MOVED to itself": (lambda c: errors("MOVED 1 %s" % c.fake.endpoint),),
        "MOVED to nowhere": (errors("MOVED 1 127.0.0.1:1"),),
        "MOVED without a target": (errors("MOVED"),),
        "MOVED to no slot": (errors("MOVED 16384 127.0.0.1:1"),),
        "MOVED to no port": (errors("MOVED 1 127.0.0.1:99999"),),
        "MOVED to the same host": (errors("MOVED 1 :1"),),
        "MOVED to an IPv6 address": (errors("MOVED 1 ::1:1"),),
        "MOVED to a name that does not exist": (errors("MOVED 1 nowhere.invalid:6379"),),
        "ASK itself": (lambda c: errors("ASK 1 %s" % c.fake.endpoint),),
        "ASK nobody": (errors("ASK 1 127.0.0.1:1"),),
        "TRYAGAIN": (errors("TRYAGAIN Multiple keys request during rehashing of slot"),),
        "CLUSTERDOWN": (errors("CLUSTERDOWN The cluster is down"),),
        "LOADING": (errors("LOADING Redis is loading the dataset in memory"),),
        "MASTERDOWN": (errors("MASTERDOWN Link with MASTER is down"),),
        "BUSY": (errors("BUSY Redis is busy running a script."),),
        "READONLY": (errors("READONLY You can't write against a read only replica."),),
        "NOSCRIPT": (errors("NOSCRIPT No matching script."),),
        "OOM": (errors("OOM command not allowed when used memory > 'maxmemory'."),),
        "NOAUTH": (errors("NOAUTH Authentication required."), FEW),
        "NOPERM": (errors("NOPERM this user has no permissions"), FEW),
        "WRONGPASS": (errors("WRONGPASS invalid username-password pair"), FEW),
        "MISCONF": (errors("MISCONF Redis is configured to save RDB snapshots"),),
        "NOREPLICAS": (errors("NOREPLICAS Not enough good replicas to write."),),
        "too many clients": (cut(errors("ERR max number of clients reached")),),
        "CROSSSLOT": (errors("CROSSSLOT Keys in request don't hash to the same slot"),),
        "WRONGTYPE": (errors("WRONGTYPE Operation against a key holding the wrong kind of value"),),
        "an error without words": (b"-\r\n",),
        "an error with control characters": (b"-ERR \x1b[31m\nfake line\x00\xff\r\n",),
        "an error of a megabyte": (b"-ERR " + b"x" * 1000000 + b"\r\n",),
    }

    def row(self, answer, kinds=kinds):
        self.start_nodes()
        if isinstance(answer, str):
            answer = self.delayed() if answer == "delayed" else self.every_other()
        with self.load as load:
            for names in kinds:
                with self.subTest(names):
                    heard = self.heard(names)
                    for name in names:
                        self.between.on(name, answer)
                    if names[0] not in ("GET", "EVALSHA"):
                        self.between.cut_all()  # the rest is asked by new connections
                    self.server.call("FLUSHALL")
                    load.go_on(40)
                    wait_until(lambda: self.heard(names) > heard, what="%s is asked" % (names,))
                    for name in names:
                        self.between.off(name)
                    self.wait_shares()
        self.judge()

    def heard(self, names):
        return sum(self.between.count(None if name == "*" else name) for name in names)

    @staticmethod
    def every_other():
        counter = itertools.count()
        return lambda c: c.fake.usual(c) if next(counter) % 2 else SILENCE

    @staticmethod
    def delayed():
        """Answers one place off: a node that believed them would serve one page for another."""
        last = {}

        def answer(c):
            before = last.get(c.connection, b"$-1\r\n")
            last[c.connection] = c.fake.usual(c)
            return before
        return answer


if __name__ == "__main__":
    unittest.main()
