"""RFC 5861 (stale-while-revalidate, stale-if-error), RFC 8246 (immutable), RFC 9111 4.2.4: when stale may be served."""
from lib.case import NodeCase
from lib.rows import ASKED, HIT, MISS, REFRESHED, VALIDATED, RowsCase, ask, get, rows

TAG = '\nETag: "a"'
OLD = "\nAge: 70"


def cc(value):
    return "Cache-Control: " + value


@rows
class WhileRevalidate(RowsCase):
    """RFC 5861 3"""
    SWR = cc("max-age=60, stale-while-revalidate=60")
    rows = {
        "stale within the window is served and refreshed (3)": [get(SWR + OLD, MISS), get(cc("max-age=60"), REFRESHED, body=b"answer 1"),
                                                                get(None, HIT, body=b"answer 2", until=True)],
        "stale within the window is validated behind the client's back": [
            get(SWR + OLD + TAG, MISS), get(SWR + TAG, REFRESHED, body=b"answer 1"),
            get(None, HIT, body=b"answer 1", until=lambda r: int(r.fields["age"]) < 60)],
        "it says how old it is": [get(SWR + OLD, MISS), get(None, REFRESHED, body=b"answer 1", fields={"age": lambda v: int(v) >= 70})],
        "beyond the window it is asked for": [get(SWR + "\nAge: 130", MISS), get(None, MISS)],
        "the end of the window is exclusive or inclusive, but ends": [get(SWR + "\nAge: 121", MISS), get(None, MISS)],
        "fresh is a hit": [get(SWR, MISS), get(None, HIT)],
        "must-revalidate forbids (9111 5_2_2_2)": [get(SWR + ", must-revalidate" + OLD + TAG, MISS), get(None, VALIDATED)],
        "proxy-revalidate forbids (9111 5_2_2_8)": [get(SWR + ", proxy-revalidate" + OLD + TAG, MISS), get(None, VALIDATED)],
        "s-maxage forbids (9111 5_2_2_10)": [get(cc("s-maxage=60, stale-while-revalidate=60") + OLD + TAG, MISS), get(None, VALIDATED)],
        "no-cache forbids (9111 5_2_2_4)": [get(SWR + ", no-cache" + TAG, MISS), get(None, VALIDATED)],
        "a window that is no number is none": [get(cc("max-age=60, stale-while-revalidate=abc") + OLD + TAG, MISS), get(None, VALIDATED)],
        "a window of zero is none": [get(cc("max-age=60, stale-while-revalidate=0") + OLD + TAG, MISS), get(None, VALIDATED)],
        "a huge window": [get(cc("max-age=60, stale-while-revalidate=99999999999") + OLD, MISS), get(None, REFRESHED, body=b"answer 1")],
        "a failing refresh keeps the stale one": [get(SWR + OLD + TAG, MISS), get(None, REFRESHED, validation=(503, ""), body=b"answer 1"),
                                                  get(None, None, validation=(503, ""), body=b"answer 1", status=200)],
        "with Expires": [get("Expires: {-10}\nDate: {-70}\nCache-Control: stale-while-revalidate=60", MISS),
                         get(None, REFRESHED, body=b"answer 1")],
        "HEAD is served as well": [get(SWR + OLD, MISS), ask("HEAD", None, cc("max-age=60"), body=b"", fields={"age": lambda v: int(v) >= 70})],
    }


@rows
class IfError(RowsCase):
    """RFC 5861 4"""
    SIE = cc("max-age=60, stale-if-error=60")
    rows = {}
    for _status in (500, 502, 503, 504):
        rows["%d is an error (4)" % _status] = [get(SIE + OLD, MISS), get("", ASKED, answer=_status, status=200, body=b"answer 1",
                                                                         fields={"age": lambda v: int(v) >= 70})]
        rows["%d in answer to a validation is an error (4)" % _status] = [
            get(SIE + OLD + TAG, MISS), get(None, VALIDATED, validation=(_status, ""), status=200, body=b"answer 1")]
    for _status in (400, 403, 404, 410, 429, 501, 505):
        rows["%d is an answer (4)" % _status] = [get(SIE + OLD, MISS), get("", ASKED, answer=_status, status=_status, body=b"answer 2")]
    rows.update({
        "beyond the window the error is passed on (4)": [get(SIE + "\nAge: 130" + TAG, MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "without the directive it is passed on (9111 4_2_4)": [get(cc("max-age=60") + OLD + TAG, MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "must-revalidate forbids": [get(SIE + ", must-revalidate" + OLD + TAG, MISS), get(None, ASKED, validation=(503, ""), status=503)],
        "an error is not stored over it": [get(SIE + OLD, MISS), get(cc("max-age=60"), ASKED, answer=503, status=200, body=b"answer 1"),
                                           get("", ASKED, answer=503, status=200, body=b"answer 1")],
        "when the origin is back its answer counts": [get(SIE + OLD, MISS), get("", ASKED, answer=503, status=200, body=b"answer 1"),
                                                      get(cc("max-age=60"), ASKED, body=b"answer 3"), get(None, HIT, body=b"answer 3")],
        "an answer that breaks off in its head is an error": [get(SIE + OLD, MISS), get(None, None, raw=b"HTTP/1.1 200 OK\r\nContent-", status=200, body=b"answer 1")],
        "an answer that is no HTTP is an error": [get(SIE + OLD, MISS), get(None, None, raw=b"rubbish\r\n\r\n", status=200, body=b"answer 1")],
        "a connection that ends without an answer is an error": [get(SIE + OLD, MISS), get(None, None, raw=b"", status=200, body=b"answer 1")],
        "HEAD is answered too": [get(SIE + OLD, MISS), ask("HEAD", None, "", answer=503, status=200, body=b"")],
    })


@rows
class Immutable(RowsCase):
    """RFC 8246 2: no more than freshness as any other cache has it, unless clients' directives count."""
    rows = {
        "fresh": [get(cc("max-age=60, immutable"), MISS), get(None, HIT)],
        "stale is validated": [get(cc("max-age=60, immutable") + OLD + TAG, MISS), get(None, VALIDATED)],
        "an argument means nothing": [get(cc('max-age=60, immutable="x"'), MISS), get(None, HIT)],
        "it gives no freshness": [get(cc("immutable"), MISS), get(None, MISS)],
    }


class OriginGone(NodeCase):
    """RFC 9111 4.2.4: disconnected."""
    def test_an_origin_that_is_gone_is_an_error(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60, stale-if-error=60", "Age": "70"}, b"kept"))
        node = self.front(origin)
        node.get("/")
        origin.stop()
        answer = node.get("/")
        self.assertEqual((answer.status, answer.body), (200, b"kept"))
        self.assertGreaterEqual(int(answer.fields["age"]), 70)

    def test_without_leave_it_is_a_gateway_error_and_with_must_revalidate_too(self):
        fields = {"/a": "max-age=60", "/b": "max-age=60, must-revalidate, stale-if-error=60", "/c": "no-cache, stale-if-error=60"}
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": fields[x.request.path], "Age": "70", "ETag": '"a"'}, b"kept"))
        node = self.front(origin)
        for path in fields:
            node.get(path)
        origin.stop()
        for path in fields:
            self.assertIn(node.get(path).status, (502, 504), path)

    def test_fresh_responses_need_no_origin(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60"}, b"kept"))
        node = self.front(origin)
        node.get("/")
        origin.stop()
        self.assertTrue(node.get("/").hit)
