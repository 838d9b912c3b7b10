"""RFC 9211: Cache-Status says what the cache did, so that a machine can read it."""
import re

from lib.rows import ASKED, HIT, MISS, REFRESHED, VALIDATED, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"
TAG = '\nETag: "a"'


def members(value):
    """The list as [(cache, {parameter: value})], most recent last. Raises where the grammar of RFC 9651 is not met."""
    out = []
    for member in re.split(r",\s*(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", value):
        name, *rest = re.split(r";\s*(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", member)
        if not re.fullmatch(r'[A-Za-z*][\w:/!#$%&\'*+\-.^`|~]*|"[^"]*"', name):
            raise AssertionError("no token and no string: %r" % name)
        parameters = {}
        for parameter in rest:
            match = re.fullmatch(r"([a-z*][a-z0-9_\-.*]*)(?:=(-?\d{1,15}|\?[01]|\"[^\"]*\"|[A-Za-z*][\w:/!#$%&'*+\-.^`|~]*))?", parameter)
            if not match:
                raise AssertionError("no parameter: %r" % parameter)
            text = match.group(2)
            parameters[match.group(1)] = True if text in (None, "?1") else int(text) if re.fullmatch(r"-?\d+", text) else text
        out.append((name, parameters))
    return out


def says(absent=(), before=(), **expected):
    """A check of the last member: parameters it must have (`fwd_status` for fwd-status), those it must not have."""
    def check(test, response):
        caches = members(response.fields["cache-status"])
        name, parameters = caches[-1]
        test.assertEqual(name, "weir")
        test.assertEqual([c for c, _ in caches[:-1]], list(before))
        test.assertEqual("hit" in parameters, "fwd" not in parameters, "hit and fwd exclude each other (2.1, 2.2)")
        for key, value in expected.items():
            found = parameters.get(key.replace("_", "-"))
            test.assertTrue(value(found) if callable(value) else value == found, (key, found, response.cache_status))
        for key in absent:
            test.assertNotIn(key, parameters)
    return check


def near(seconds):
    return lambda v: v is not None and seconds - 15 <= v <= seconds


@rows
class Parameters(RowsCase):
    rows = {
        "hit (2_1)": [get(FRESH, MISS), get(None, HIT, check=says(hit=True, absent=["fwd", "stored", "collapsed", "fwd-status"]))],
        "ttl of a hit is what is left (2_4)": [get(FRESH + "\nAge: 20", MISS), get(None, HIT, check=says(ttl=near(40)))],
        "ttl of a stale hit is negative (2_4)": [get("Cache-Control: max-age=60, stale-while-revalidate=60\nAge: 70", MISS),
                                                 get(None, REFRESHED, check=says(hit=True, ttl=lambda v: -25 <= v <= -10), body=b"answer 1")],
        "uri-miss (2_2)": [get(FRESH, MISS, check=says(fwd="uri-miss", stored=True))],
        "a miss that is not stored does not say stored (2_5)": [get("Cache-Control: no-store", MISS, check=says(fwd="uri-miss", absent=["stored", "ttl"]))],
        "vary-miss (2_2)": [get(FRESH + "\nVary: Foo", MISS, request="Foo: 1"), get(None, MISS, request="Foo: 2", check=says(fwd="vary-miss", stored=True))],
        "method (2_2)": [ask("POST", MISS, "", check=says(fwd="method", absent=["stored", "hit"]))],
        "stale (2_2), with the status that was forwarded (2_3)":
            [get("Cache-Control: max-age=0" + TAG, MISS), get(None, VALIDATED, validation=(304, FRESH + TAG), check=says(fwd="stale", fwd_status=304, stored=True))],
        "stale, and a new response": [get("Cache-Control: max-age=0" + TAG, MISS),
                                      get(None, VALIDATED, validation=(200, FRESH), check=says(fwd="stale", stored=True, fwd_status=lambda v: v in (None, 200)))],
        "an error served from the store (2_3)": [get("Cache-Control: max-age=60, stale-if-error=60\nAge: 70", MISS),
                                                get("", ASKED, answer=503, status=200, body=b"answer 1", check=says(fwd="stale", fwd_status=503))],
        "an own 304 is a hit": [get(FRESH + TAG, MISS), get(None, HIT, request='If-None-Match: "a"', status=304, body=b"", check=says(hit=True))],
        "a part from the store is a hit": [get(FRESH, MISS), get(None, HIT, request="Range: bytes=0-1", status=206, body=b"an", check=says(hit=True))],
        "HEAD from the store is a hit": [get(FRESH, MISS), ask("HEAD", HIT, body=b"", check=says(hit=True))],
        "caches before it stand before it (2)": [get(FRESH + "\nCache-Status: Inner; hit; ttl=3", MISS, check=says(fwd="uri-miss", before=["Inner"]))],
        "detail, where it says why not": [get(FRESH + "\nSet-Cookie: a=b", MISS, check=says(detail=lambda v: "set-cookie" in str(v)))],
        "a part of a name in a request is not believed": [get(FRESH, MISS, request="Cache-Status: x; hit", check=says(fwd="uri-miss"))],
    }


@rows
class Requested(RowsCase):
    """On a route where clients' directives count."""
    @classmethod
    def configure(cls):
        return {"routes": [{"upstream": "app", "cache": {"client_directives": "all"}}]}
    rows = {
        "request (2_2)": [get(FRESH, MISS), get(None, MISS, request="Cache-Control: no-cache", check=says(fwd="request", stored=True))],
        "only-if-cached: a 504 of the cache's own": [get(FRESH, None, request="Cache-Control: only-if-cached", status=504)],
    }


@rows
class Bypassed(RowsCase):
    @classmethod
    def configure(cls):
        return {"routes": [{"upstream": "app", "cache": {"enabled": False}}]}
    rows = {
        "bypass (2_2)": [get(FRESH, MISS, check=says(fwd="bypass", absent=["stored", "ttl"])), get(None, MISS)],
    }
