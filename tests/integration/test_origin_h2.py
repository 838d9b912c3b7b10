"""HTTP/2 to origins: many requests over few connections, and nothing that one of them does harms the others."""
import os
import shutil
import tempfile
import threading

from lib.case import NodeCase
from lib.h2_origin import H2Origin
from lib.node import settings, upstream
from lib.tls_files import TlsFiles
from lib.wait import wait_until


class H2Case(NodeCase):
    TLS = False

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="weir-h2-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.files = TlsFiles(os.path.join(cls.folder, "tls")) if cls.TLS else None

    def h2_origin(self, **kw):
        if self.TLS:
            kw.update(cert=self.files.cert, key=self.files.key)
        origin = H2Origin(**kw)
        self.addCleanup(origin.stop)
        return origin

    def before(self, *origins, routes=None, **keys):
        if self.TLS:
            keys["tls"] = {"ca": self.files.ca}
        return self.node(settings([upstream(list(origins), **keys)], routes=routes, node={"workers": 1}))

    def at_once(self, count, do):
        """do(i) in so many threads; what each returned."""
        results, threads = [None] * count, []

        def one(i):
            try:
                results[i] = do(i)
            except Exception as e:  # shown by the assertion that looks at it
                results[i] = e
        for i in range(count):
            threads.append(threading.Thread(target=one, args=(i,)))
            threads[-1].start()
        for thread in threads:
            thread.join(60)
        return results


class PriorKnowledge(H2Case):
    def test_a_request_goes_out_as_one_of_http_2(self):
        origin = self.h2_origin()
        answer = self.before(origin).get("/x?y=1", {"X-Name": "Value", "Connection": "close"})
        self.assertEqual((answer.status, answer.body), (200, b"origin"))
        head = origin.heads[0]
        self.assertEqual(head[:4], [(":method", "GET"), (":scheme", "http"), (":authority", "test.example"),
                                    (":path", "/x?y=1")])
        names = [name for name, _ in head]
        self.assertIn("x-name", names)
        self.assertNotIn("connection", names)
        self.assertNotIn("host", names)
        self.assertIn(("te", "trailers"), head)

    def test_a_hundred_clients_share_few_connections(self):
        origin = self.h2_origin()
        node = self.before(origin)
        waiting = self.at_once_later(100, lambda i: node.get("/slow").body)
        wait_until(lambda: origin.most_open == 100, 30)
        origin.go.set()
        self.assertEqual(waiting(), [b"s" * 1000] * 100)
        self.assertLessEqual(origin.connections, 2)

    def at_once_later(self, count, do):
        box = []
        thread = threading.Thread(target=lambda: box.append(self.at_once(count, do)))
        thread.start()

        def join():
            thread.join(60)
            return box[0]
        return join

    def test_no_more_streams_than_the_origin_allows(self):
        origin = self.h2_origin(streams=5)
        origin.go.set()
        node = self.before(origin, connections={"max": 1})
        self.assertEqual(node.get("/").status, 200)  # its SETTINGS are known
        self.assertEqual(self.at_once(30, lambda i: node.get("/slow").status), [200] * 30)
        self.assertEqual(origin.connections, 1)

    def test_a_slow_stream_holds_up_nobody(self):
        origin = self.h2_origin()
        node = self.before(origin)
        slow = self.client(node)
        slow.send(b"GET /slow HTTP/1.1\r\nHost: test.example\r\n\r\n")
        wait_until(lambda: origin.open == 1)
        self.assertEqual(node.get("/size/3000000").body, b"x" * 3000000)
        origin.go.set()
        self.assertEqual(slow.response().body, b"s" * 1000)
        self.assertEqual(origin.connections, 1)

    def test_large_content_both_ways(self):
        origin = self.h2_origin()
        node = self.before(origin)
        body = bytes(range(256)) * 20000
        self.assertEqual(node.ask("POST", "/echo", {}, body).body, body)
        chunked = b"".join(b"10000\r\n" + body[i:i + 65536] + b"\r\n" for i in range(0, 20 * 65536, 65536)) + b"0\r\n\r\n"
        answer = node.ask("POST", "/echo", {"Transfer-Encoding": "chunked"}, chunked)
        self.assertEqual(answer.body, body[:20 * 65536])
        self.assertEqual(origin.connections, 1)

    def test_trailers_and_hints_come_through(self):
        origin = self.h2_origin()
        node = self.before(origin, routes=[{"upstream": "app", "trailers": ["X-Sum"]}])
        answer = node.get("/trailers", {"TE": "trailers"})
        self.assertEqual([v for n, v in answer.trailers.lines if n.lower() == "x-sum"], ["42"])
        self.assertEqual([i.status for i in node.get("/hints").interim], [103])

    def test_a_reset_breaks_one_message_off_and_no_other(self):
        origin = self.h2_origin()
        node = self.before(origin, retries={"attempts": 0})
        client = self.client(node)
        client.send(b"GET /reset HTTP/1.1\r\nHost: test.example\r\n\r\n")
        with self.assertRaises(Exception):
            client.response()
        self.assertEqual(node.get("/x").body, b"origin")
        self.assertEqual(origin.connections, 1)

    def test_a_refused_stream_is_asked_again(self):
        origin = self.h2_origin()
        node = self.before(origin, retries={"attempts": 0})
        self.assertEqual(node.ask("POST", "/refused", {"Content-Length": "0"}).status, 200)
        self.assertEqual(origin.refused, 2)

    def test_goaway_under_load_fails_nobody(self):
        origin = self.h2_origin()
        origin.leave_after = 20
        node = self.before(origin)
        results = self.at_once(16, lambda i: [node.get("/size/2000").status for _ in range(20)])
        self.assertEqual(results, [[200] * 20] * 16)
        self.assertGreater(origin.connections, 10)

    def test_a_websocket_is_refused_where_there_is_only_http_2(self):
        origin = self.h2_origin()
        node = self.before(origin, routes=[{"upstream": "app", "websocket": True}])
        answer = node.get("/", {"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        self.assertEqual(answer.status, 502)


class Alpn(H2Case):
    TLS = True

    def test_http_2_is_agreed_upon_and_shared(self):
        origin = self.h2_origin()
        origin.go.set()
        node = self.before(origin)
        self.assertEqual(self.at_once(40, lambda i: node.get("/slow").body), [b"s" * 1000] * 40)
        self.assertLessEqual(origin.connections, 2)
        self.assertEqual(origin.heads[0][1], (":scheme", "https"))

    def test_large_content_under_tls(self):
        origin = self.h2_origin()
        node = self.before(origin)
        body = bytes(range(256)) * 8000
        self.assertEqual(node.ask("POST", "/echo", {}, body).body, body)
        self.assertEqual(node.get("/size/5000000").body, b"x" * 5000000)
