"""What nodes write into shared state, as a stranger or another version of weir would write it: seals, briefs, boards."""
import hashlib
import hmac
import struct
import time

CRITICAL = 0x8000


def seal_key(secret, farm="default"):
    """HKDF-SHA256 without salt, as base/seal.c makes it."""
    extracted = hmac.new(b"\0" * 32, secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, b"weir seal 1:" + farm.encode() + b"\1", hashlib.sha256).digest()


def sealed(key, purpose, place, data):
    mac = hmac.new(key, purpose.encode() + b"\0" + place.encode() + b"\0" + data, hashlib.sha256).digest()
    return mac[:16] + data


def field(kind, data):
    return struct.pack("<HI", kind, len(data)) + data


def number(kind, value):
    return field(kind, struct.pack("<Q", value))


def brief(sequence=1, flags=1, form=1, more=b""):
    """cluster/member_brief.c"""
    return (number(0x200, form) + number(0x201, sequence) + number(0x202, flags) + number(0x203, 0) +
            number(0x204, 0) + number(0x205, 0) + field(0x206, b"") + more)


class Board:
    """The board of members or words of a farm, written to past all rules."""

    def __init__(self, redis, what="N", name="b", farm="default"):
        self.redis = redis
        self.key = "w1:{%s.%s}:%s" % (what, farm, name)
        self.channel = "w1:{%s.%s}:ch" % (what, farm)

    def put(self, entry, data, life=60):
        now = int(time.time() * 1000)
        self.redis.call("HSET", self.key, entry, b"%d %d " % (now, now + life * 1000) + data)

    def entries(self):
        """id -> bytes as they were put"""
        flat = self.redis.call("HGETALL", self.key) or []
        pairs = dict(zip(flat[::2], flat[1::2]))
        return {k.decode(): v.split(b" ", 2)[2] for k, v in pairs.items() if k}

    def hint(self, data):
        """Returns how many heard it."""
        return self.redis.call("SPUBLISH", self.channel, data)
