"""RFC 9111 4.4: Location and Content-Location in a non-error answer to an unsafe method, if of the same origin."""
from lib.case import table
from lib.rows import HIT, MISS, RowsCase, ask, get

FRESH = "Cache-Control: max-age=60"
GONE, KEPT = True, False


@table
class Uris(RowsCase):
    """/x is stored, a method elsewhere (/y/z) names it: is it still served from the store? `BASE` stands for the path
    above both."""
    def row(self, gone, field, answer=201, method="POST"):
        base = "/%s/%s" % (type(self).__name__, self._testMethodName)
        super().row(get(FRESH, MISS, path="/x"), get(None, HIT, path="/x"),
                    ask(method, MISS, field.replace("BASE", base), answer=answer, path="/y/z"),
                    get(FRESH, MISS if gone else HIT, path="/x", body=None if gone else b"answer 1"))

    rows = {
        "Location as a path": (GONE, "Location: BASE/x"),
        "Content-Location as a path": (GONE, "Content-Location: BASE/x", 200),
        "Location as an absolute URI": (GONE, "Location: http://test.exampleBASE/x"),
        "Content-Location as an absolute URI": (GONE, "Content-Location: http://test.exampleBASE/x"),
        "the host in capitals and the default port are the same origin": (GONE, "Location: HTTP://TEST.example:80BASE/x"),
        "Location without a scheme": (GONE, "Location: //test.exampleBASE/x"),
        "Location as a relative reference": (GONE, "Location: ../x"),
        "Content-Location as a relative reference with dots": (GONE, "Content-Location: ./../y/../x", 200),
        "Location with a fragment": (GONE, "Location: BASE/x#part"),
        "Location of a redirect after PUT": (GONE, "Location: BASE/x", 303, "PUT"),
        "Content-Location after DELETE": (GONE, "Content-Location: BASE/x", 200, "DELETE"),
        "Location after a method nobody knows": (GONE, "Location: BASE/x", 200, "FOO"),
        "both fields, the second one names it": (GONE, "Location: BASE/w\nContent-Location: BASE/x"),
        "another path": (KEPT, "Location: BASE/xx"),
        "another field": (KEPT, "X-Location: BASE/x"),
        "another host in Location": (KEPT, "Location: http://other.exampleBASE/x"),
        "another host in Content-Location": (KEPT, "Content-Location: http://other.exampleBASE/x"),
        "another port": (KEPT, "Location: http://test.example:81BASE/x"),
        "another host without a scheme": (KEPT, "Location: //other.exampleBASE/x"),
        "a relative reference to something else": (KEPT, "Location: x"),
        "another scheme": (KEPT, "Content-Location: https://test.exampleBASE/x"),
        "a server error": (KEPT, "Location: BASE/x", 500),
        "a client error after PUT": (KEPT, "Location: BASE/x", 404, "PUT"),
        "a client error after DELETE": (KEPT, "Content-Location: BASE/x", 403, "DELETE"),
        "a safe method": (KEPT, "Location: BASE/x", 200, "OPTIONS"),
        "a GET": (KEPT, "Content-Location: BASE/x", 200, "GET"),
        "what is no URI": (KEPT, "Location: http://["),
    }
