"""RFC 9111 5.2.1 and 5.4: what requests may ask of a cache, on routes where clients' directives count, and where not."""
from lib.rows import ASKED, HIT, MISS, VALIDATED, RowsCase, ask, get, rows, twice

FRESH = "Cache-Control: max-age=60"
OLD = FRESH + "\nAge: 30"
TAG = '\nETag: "a"'
GONE = FRESH + "\nAge: 70" + TAG  # worth storing, for it can be validated


def cc(value):
    return "Cache-Control: " + value


@rows
class Obeyed(RowsCase):
    """client_directives: all"""
    @classmethod
    def configure(cls):
        return {"routes": [{"upstream": "app", "cache": {"client_directives": "all"}}]}
    rows = {
        "max-age above the age (5_2_1_1)": twice(OLD, HIT, then_request=cc("max-age=50")),
        "max-age below the age (5_2_1_1)": twice(OLD, MISS, then_request=cc("max-age=10")),
        "max-age below the age, with a validator": twice(OLD + TAG, VALIDATED, then_request=cc("max-age=10")),
        "max-age of zero (5_2_1_1)": twice(FRESH, MISS, then_request=cc("max-age=0")),
        "max-age of zero stores what comes": [get(FRESH, MISS), get(None, MISS, request=cc("max-age=0")), get(None, HIT, body=b"answer 2")],
        "max-age does not make fresh what is stale": twice(GONE, VALIDATED, then_request=cc("max-age=100")),
        "max-age that is no number is strict": twice(OLD, MISS, then_request=cc("max-age=abc")),
        "max-stale without a value (5_2_1_2)": twice(GONE, HIT, then_request=cc("max-stale")),
        "max-stale within (5_2_1_2)": twice(GONE, HIT, then_request=cc("max-stale=50")),
        "max-stale exceeded (5_2_1_2)": twice(GONE, VALIDATED, then_request=cc("max-stale=5")),
        "max-stale and must-revalidate (5_2_2_2)": twice("Cache-Control: max-age=60, must-revalidate\nAge: 70", MISS, then_request=cc("max-stale=100")),
        "max-stale and proxy-revalidate (5_2_2_8)": twice("Cache-Control: max-age=60, proxy-revalidate\nAge: 70", MISS, then_request=cc("max-stale")),
        "max-stale and s-maxage (5_2_2_10)": twice("Cache-Control: s-maxage=60\nAge: 70", MISS, then_request=cc("max-stale")),
        "max-stale and no-cache in the response": twice("Cache-Control: max-age=60, no-cache" + TAG, VALIDATED, then_request=cc("max-stale")),
        "max-stale and max-age (5_2_1_1)": twice(GONE, HIT, then_request=cc("max-age=1, max-stale=100")),
        "what is served stale says its age": twice(GONE, HIT, then_request=cc("max-stale"), then_fields={"age": lambda v: int(v) >= 70}),
        "min-fresh within (5_2_1_3)": twice(OLD, HIT, then_request=cc("min-fresh=10")),
        "min-fresh exceeded (5_2_1_3)": twice(OLD, MISS, then_request=cc("min-fresh=50")),
        "min-fresh beyond what any number can be": twice(OLD, MISS, then_request=cc("min-fresh=99999999999999999999")),
        "no-cache (5_2_1_4)": twice(FRESH, MISS, then_request=cc("no-cache")),
        "no-cache with a validator (5_2_1_4)": twice(FRESH + TAG, ASKED, then_request=cc("no-cache")),
        "no-cache stores what comes": [get(FRESH, MISS), get(None, MISS, request=cc("no-cache")), get(None, HIT, body=b"answer 2")],
        "No-Cache in another case (5_2)": twice(FRESH, MISS, then_request=cc("NO-CACHE")),
        "no-cache beats max-stale": twice(FRESH, MISS, then_request=cc("max-stale, no-cache")),
        "Pragma: no-cache with Cache-Control is ignored (5_4)": twice(FRESH, HIT, then_request="Pragma: no-cache\nCache-Control: max-age=60"),
        "Pragma with something else is ignored (5_4)": twice(FRESH, HIT, then_request="Pragma: foo"),
        "no-store is not stored (5_2_1_5)": [get(FRESH, MISS, request=cc("no-store")), get(None, MISS)],
        "no-store and what is stored (5_2_1_5)": [get(FRESH, MISS), get(None, None, request=cc("no-store")), get(None, HIT, body=b"answer 1")],
        "only-if-cached and nothing stored (5_2_1_7)": [get(FRESH, None, request=cc("only-if-cached"), status=504),
                                                        get(FRESH, MISS, body=b"answer 1")],
        "only-if-cached and a fresh one (5_2_1_7)": twice(FRESH, HIT, then_request=cc("only-if-cached")),
        "only-if-cached and a stale one (5_2_1_7)": [get(GONE, MISS), get(None, None, request=cc("only-if-cached"), status=504)],
        "only-if-cached and max-stale (5_2_1_7)": [get(GONE, MISS), get(None, HIT, request=cc("only-if-cached, max-stale"))],
        "no-transform is not for the choice of the response": twice(FRESH, HIT, then_request=cc("no-transform")),
        "an unknown directive is ignored (5_2_3)": twice(FRESH, HIT, then_request=cc("foo, bar=baz")),
        "response directives mean nothing in requests": twice(FRESH, HIT, then_request=cc("private, must-revalidate, s-maxage=0, public")),
        "directives on several lines": twice(FRESH, MISS, then_request=cc("foo") + "\n" + cc("no-cache")),
        "a quoted string hides what is in it": twice(FRESH, HIT, then_request=cc('foo="no-cache"')),
        "immutable, and a reload by max-age of zero (8246 2_1)": twice("Cache-Control: max-age=60, immutable" + TAG, HIT, then_request=cc("max-age=0")),
        "immutable, and a forced reload (8246 2_1)": twice("Cache-Control: max-age=60, immutable" + TAG, ASKED, then_request=cc("no-cache")),
        "immutable, but stale, is validated (8246 2)": twice("Cache-Control: max-age=60, immutable\nAge: 70" + TAG, VALIDATED),
        "HEAD obeys them": [get(FRESH, MISS), ask("HEAD", ASKED, request=cc("no-cache"), body=b"")],
    }


@rows
class Default(RowsCase):
    """Nothing of a no-store request is stored; what spares the origin counts; clients cannot have it asked."""
    rows = {
        "only-if-cached and nothing stored (5_2_1_7)": [get(FRESH, None, request=cc("only-if-cached"), status=504), get(None, MISS)],
        "only-if-cached and a fresh one (5_2_1_7)": twice(FRESH, HIT, then_request=cc("only-if-cached")),
        "max-stale within (5_2_1_2)": twice(GONE, HIT, then_request=cc("max-stale=50")),
        "max-stale exceeded (5_2_1_2)": twice(GONE, VALIDATED, then_request=cc("max-stale=5")),
        "no-cache does not force a reload": twice(FRESH, HIT, then_request=cc("no-cache")),
        "max-age=0 does not force a reload": twice(FRESH, HIT, then_request=cc("max-age=0")),
        "min-fresh does not force a reload": twice(FRESH, HIT, then_request=cc("min-fresh=100000")),
        "Pragma does not force a reload": twice(FRESH, HIT, then_request="Pragma: no-cache"),
        "no-store is not stored (5_2_1_5)": [get(FRESH, MISS, request=cc("no-store")), get(None, MISS)],
        "no-store with Expires is not stored (5_2_1_5)": [get("Expires: {+60}", MISS, request=cc("no-store")), get(None, MISS)],
        "no-store in another case is not stored (5_2_1_5)": [get(FRESH, MISS, request=cc("No-Store")), get(None, MISS)],
        "no-store does not remove what is stored": [get(FRESH, MISS), get(None, None, request=cc("no-store")), get(None, HIT, body=b"answer 1")],
        "no-cache reaches the origin when it is asked (5_2)": [get(FRESH, MISS, request=cc("no-cache"), sent={"cache-control": "no-cache"})],
        "Pragma reaches the origin": [get(FRESH, MISS, request="Pragma: no-cache", sent={"pragma": "no-cache"})],
        "max-age in a request does not make a lifetime": [get("", MISS, request=cc("max-age=60")), get(None, MISS)],
    }


@rows
class Unheard(RowsCase):
    """client_directives: none"""
    @classmethod
    def configure(cls):
        return {"routes": [{"upstream": "app", "cache": {"client_directives": "none"}}]}

    rows = {
        "only-if-cached": [get(FRESH, MISS, request=cc("only-if-cached")), get(None, HIT)],
        "max-stale": twice(GONE, VALIDATED, then_request=cc("max-stale=50")),
        "no-store is not stored (5_2_1_5)": [get(FRESH, MISS, request=cc("no-store")), get(None, MISS)],
    }
