"""RFC 9111 4.4 and RFC 9110 9.2.1: which methods invalidate, and what does not."""
from lib.rows import ASKED, HIT, MISS, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"


def after(method, expect, answer=200, response="", **kw):
    """A stored GET, the method, and the GET again."""
    return [get(FRESH, MISS), ask(method, MISS, response, answer=answer, **kw), get(FRESH, expect)]


@rows
class Methods(RowsCase):
    """An unsafe method that gets a non-error answer invalidates its target URI."""
    rows = {}
    for _method in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "PURGEX", "MOVE", "MKCOL", "LOCK"):
        rows["%s invalidates (4_4)" % _method] = after(_method, MISS, content=b"")
    for _method in ("OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY", "HEAD"):
        rows["%s is safe and does not invalidate (4_4)" % _method] = [
            get(FRESH, MISS), ask(_method, None, FRESH, body=b"" if _method == "HEAD" else None), get(FRESH, HIT, body=b"answer 1")]
    for _status in (200, 201, 202, 204, 205, 299, 301, 302, 303, 307, 308, 399):
        rows["POST answered %d invalidates (4_4)" % _status] = after("POST", MISS, _status)
    for _status in (400, 401, 403, 404, 405, 409, 410, 412, 422, 429, 499, 500, 501, 502, 503, 504, 599):
        rows["POST answered %d does not invalidate (4_4)" % _status] = [
            get(FRESH, MISS), ask("POST", MISS, "", answer=_status), get(FRESH, HIT, body=b"answer 1")]
    rows.update({
        "a method in lower case is unknown, so it invalidates": after("post", MISS),
        "other URIs stay (4_4)": [get(FRESH, MISS, path="/x"), ask("POST", MISS, "", path="/y"), get(None, HIT, path="/x", body=b"answer 1")],
        "another query is another URI": [get(FRESH, MISS, path="?a"), ask("POST", MISS, "", path="?b"), get(None, HIT, path="?a", body=b"answer 1")],
        "another host is another URI": [get(FRESH, MISS), ask("POST", MISS, "", host="other.example"), get(None, HIT, body=b"answer 1")],
        "what POST brings is not served": [get(FRESH, MISS), ask("POST", MISS, FRESH), get(FRESH, MISS)],
        "a stale response with a window for errors is gone too":
            [get("Cache-Control: max-age=0, stale-if-error=60\nETag: \"a\"", MISS), ask("POST", MISS, ""),
             get("", MISS, answer=503, status=503)],
        "a response that validates is gone or validated": [get('Cache-Control: max-age=60\nETag: "a"', MISS), ask("DELETE", MISS, "", answer=204),
                                                           get(None, ASKED)],
        "a DELETE without content": [get(FRESH, MISS), ask("DELETE", MISS, "", answer=204), get(FRESH, MISS)],
        "a PUT with content": [get(FRESH, MISS), ask("PUT", MISS, "", request_body=b"new", answer=204), get(FRESH, MISS)],
    })
