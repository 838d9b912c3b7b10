"""Faults found by reading: the client's side. Each test failed, or made a sanitizer report, before its repair."""
import threading

from lib.case import NodeCase
from lib.client import Client, request
from lib.wait import wait_until

FRESH = {"Cache-Control": "max-age=600"}


class Heads(NodeCase):
    def test_a_pipelined_head_that_is_cut_behind_one_that_was_cut(self):
        """The second head lies in the middle of the buffer that holds the first."""
        node = self.front(self.origin(lambda x: x.reply(200, FRESH, x.request.target.encode())))
        node.get("/a")
        both = request(path="/a") + request(path="/b", fields={"X-Pad": "p" * 3000})
        client = self.client(node)
        client.send(both[:20])
        self.assertFalse(client.readable(0.05))
        client.send(both[20:-1500])
        self.assertEqual(client.response().body, b"/a")
        self.assertFalse(client.readable(0.05))
        client.send(both[-1500:])
        self.assertEqual(client.response().body, b"/b")

    def test_a_head_refused_in_its_second_piece_is_answered_as_its_first_piece_asked(self):
        node = self.front(self.origin())
        client = self.client(node)
        client.send("GET / HTTP/1.1\r\nAccept: application/json\r\n")
        self.assertFalse(client.readable(0.05))
        client.send("bad line\r\n\r\n")
        answer = client.response()
        self.assert_status(answer, 400)
        self.assertEqual(answer.fields["content-type"], "application/problem+json")
        self.assertTrue(client.closed())

    def test_a_head_that_does_not_end_is_answered_as_it_asked(self):
        node = self.front(self.origin(), client={"head_timeout": "300ms"})
        client = self.client(node)
        client.send("GET / HTTP/1.1\r\nAccept: application/json\r\nX-Pad: " + "p" * 5000)
        answer = client.response()
        self.assert_status(answer, 408)
        self.assertEqual(answer.fields["content-type"], "application/problem+json")

    def test_an_empty_line_behind_a_request_does_not_keep_the_connection_for_ever(self):
        node = self.front(self.origin(), client={"idle_timeout": "300ms"})
        client = self.client(node)
        client.send(request() + b"\r\n")
        self.assert_status(client.response(), 200)
        self.assertTrue(client.closed())


class Closing(NodeCase):
    def test_an_answer_never_reaches_who_has_the_descriptor_next(self):
        """In one turn of the loop: a client resets, another is accepted and gets its descriptor, and the answer
        for the first comes from the origin."""
        go = threading.Event()
        self.addCleanup(go.set)

        def secret(x):
            go.wait(30)
            x.reply(200, {}, b"for the first alone")
        origin = self.origin(secret)
        node = self.front(origin, node={"workers": 1})
        for path in ("/1", "/2", "/3"):
            go.clear()
            first = Client(node.address)
            first.send(request(path=path))
            origin.wait_count(1, path)
            node.halt()
            try:
                first.reset()
                second = self.client(node)
                go.set()
                wait_until(lambda: origin.open_connections == 1)
                threading.Event().wait(0.1)  # its answer is on its way to a process that stands still
            finally:
                node.go_on()
            self.assertFalse(second.readable(0.2))
            second.close()

    def test_a_client_that_sent_on_ahead_still_gets_the_last_answer(self):
        """The node closes after so many requests; what lies unread must not turn that into a reset."""
        node = self.front(self.origin(lambda x: x.reply(200, {}, b"x" * 50000)), client={"requests_per_connection": 1})
        client = self.client(node, receive_buffer=4096)
        client.send(request())
        head = client.head()
        self.assertTrue(head.closes)
        for _ in range(20):
            client.send(request(path="/ahead", fields={"X-Pad": "p" * 4000}))
        self.assertEqual(len(client.content(head).body), 50000)

    def test_an_upload_that_breaks_off_leaves_no_timer_behind(self):
        """The limit of the whole exchange must not be set anew for a connection that has gone."""
        node = self.front(self.origin(), client={"total_timeout": "1s"})
        for _ in range(5):
            with Client(node.address) as client:
                client.send(request("POST", "/", {"Content-Length": "100000"}) + b"begin")
                self.assertFalse(client.readable(0.02))
        self.assertFalse(self.client(node).readable(1.3))
        self.assert_status(node.get("/"), 200)


class BothWays(NodeCase):
    """A response that begins before the request has ended: the one timer of a connection serves two directions."""

    def slow_reader(self, node):
        client = self.client(node, receive_buffer=4096)
        client.send(request("POST", "/", {"Transfer-Encoding": "chunked"}))
        return client

    def test_a_client_that_uploads_but_takes_nothing_is_ended_when_its_upload_stands(self):
        """The origin stops reading since it cannot write: nobody moves any more."""
        def echo(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            for _ in range(4000):
                x.chunk(b"r" * 65536)
        origin = self.origin()
        origin.on("/", echo, read_body=False)
        node = self.front(origin, client={"send_timeout": "1s", "min_rate": 0},
                          routes=[{"upstream": "app", "limits": {"body": 0}}],
                          upstream={"timeouts": {"read": "60s", "write": "60s"}})
        client = self.slow_reader(node)
        piece = b"10000\r\n" + b"u" * 65536 + b"\r\n"
        with self.assertRaises(ConnectionError):
            for _ in range(4000):
                client.sock.sendall(piece)

    def test_a_pause_of_the_upload_is_not_taken_for_a_client_that_does_not_read(self):
        """It was blocked once, and has taken everything since."""
        taken = threading.Event()
        self.addCleanup(taken.set)

        def half(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            for _ in range(200):
                x.chunk(b"r" * 65536)
            x.read_chunk()
            x.read_chunk()
            x.last_chunk()
        origin = self.origin()
        origin.on("/", half, read_body=False)
        node = self.front(origin, client={"send_timeout": "1500ms", "body_timeout": "20s", "min_rate": 0})
        client = self.slow_reader(node)
        head = client.head()
        threading.Event().wait(0.1)  # its buffers are full by now
        got = 0
        while got < 200 * 65536:
            got += len(client.source.exactly(int(client.source.until(b"\r\n"), 16) + 2)) - 2
        self.assert_status(head, 200)
        self.assertFalse(client.readable(2.5))
        client.send(b"1\r\nx\r\n0\r\n\r\n")
        self.assertEqual(client.source.until(b"\r\n\r\n"), b"0\r\n\r\n")

    def test_an_origin_that_begins_early_and_then_hangs_is_given_up(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def hang(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            x.chunk(b"begin")
            x.read_body()
            release.wait(30)
        origin = self.origin()
        origin.on("/", hang, read_body=False)
        node = self.front(origin, upstream={"timeouts": {"read": "500ms"}})
        client = self.client(node)
        client.send(request("POST", "/", {"Content-Length": "4"}))
        head = client.head()
        self.assert_status(head, 200)
        client.send(b"body")
        with self.assertRaises((AssertionError, ConnectionError)):
            client.content(head)

    def test_an_origin_that_begins_early_and_takes_no_more_is_given_up(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def hang(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            x.chunk(b"begin")
            release.wait(30)
        origin = self.origin()
        origin.on("/", hang, read_body=False)
        node = self.front(origin, upstream={"timeouts": {"read": "60s", "write": "500ms"}})
        client = self.client(node)
        client.send(request("POST", "/", {"Content-Length": "16000000"}))
        head = client.head()
        self.assert_status(head, 200)
        with self.assertRaises(ConnectionError):
            for _ in range(1600):
                client.sock.sendall(b"u" * 10000)

    def test_an_echo_waits_for_its_client(self):
        """Until the request is out the client's patience counts, not the origin's."""
        def echo(x):
            x.send_head(200, {"Transfer-Encoding": "chunked"})
            while True:
                piece = x.read_chunk()
                if not piece:
                    break
                x.chunk(piece)
            x.last_chunk()
        origin = self.origin()
        origin.on("/", echo, read_body=False)
        node = self.front(origin, upstream={"timeouts": {"read": "1s"}})
        client = self.client(node)
        client.send(request("POST", "/", {"Transfer-Encoding": "chunked"}) + b"1\r\na\r\n")
        head = client.head()
        self.assertEqual(client.source.until(b"\r\n"), b"1\r\n")
        self.assertEqual(client.source.exactly(3), b"a\r\n")
        self.assertFalse(client.readable(1.5))
        client.send(b"1\r\nb\r\n0\r\n\r\n")
        self.assertEqual(client.content(head).body, b"b")
