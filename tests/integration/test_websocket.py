"""A complete WebSocket handshake on a route that allows it becomes a tunnel; everything else is an ordinary exchange."""
import base64
import hashlib
import socket
import threading

from lib.case import NodeCase
from lib.client import request

KEY = base64.b64encode(b"0123456789abcdef").decode()
ROUTES = [{"upstream": "app", "websocket": True}]


def accept(key=KEY):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def handshake(**changes):
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
    fields.update({k.replace("_", "-"): v for k, v in changes.items()})
    return request("GET", "/ws", {k: v for k, v in fields.items() if v is not None})


def switch(x, **changes):
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": accept()}
    fields.update({k.replace("_", "-"): v for k, v in changes.items()})
    x.send_head(101, {k: v for k, v in fields.items() if v is not None})


class Tunnel(NodeCase):
    def open(self, after, **top):
        """A client whose tunnel leads to after(exchange) at the origin."""
        def upgrade(x):
            switch(x, Sec_WebSocket_Protocol="chat")
            after(x)
            x.close()
        origin = self.origin(upgrade)
        self.upgrades = origin
        node = self.front(origin, ROUTES, **top)
        client = self.client(node)
        client.send(handshake(Sec_WebSocket_Protocol="chat"))
        answer = client.response()
        self.assertEqual(answer.status, 101)
        self.assertEqual(answer.fields["upgrade"].lower(), "websocket")
        self.assertEqual(answer.fields["connection"].lower(), "upgrade")
        self.assertEqual(answer.fields["sec-websocket-accept"], accept())
        self.assertEqual(answer.fields["sec-websocket-protocol"], "chat")
        return client

    def test_bytes_flow_both_ways(self):
        def echo(x):
            while x.source.buffer or x.source.more():
                x.send(x.source.take())
        client = self.open(echo)
        for n in range(20):
            client.send(b"\x81\x05hello%d" % n)
            self.assertEqual(client.source.exactly(len(b"\x81\x05hello%d" % n)), b"\x81\x05hello%d" % n)
        sent = self.upgrades.last().fields
        self.assertEqual(sent["upgrade"].lower(), "websocket")
        self.assertEqual(sent["connection"].lower(), "upgrade")
        self.assertEqual(sent["sec-websocket-key"], KEY)

    def test_a_megabyte_each_way_arrives_whole(self):
        blob = bytes(range(256)) * 4096

        def echo(x):
            data = x.source.exactly(len(blob))
            x.send(data)
        client = self.open(echo)
        sender = threading.Thread(target=client.send, args=(blob,))
        sender.start()
        self.assertEqual(client.source.exactly(len(blob)), blob)
        sender.join()

    def test_the_origin_may_speak_with_the_switch(self):
        def upgrade(x):
            x.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   b"Sec-WebSocket-Accept: " + accept().encode() + b"\r\n\r\nfirst words")
            x.peer_left()
            x.close()
        client = self.client(self.front(self.origin(upgrade), ROUTES))
        client.send(handshake())
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.source.exactly(11), b"first words")

    def test_the_origin_may_say_much_with_the_switch(self):
        blob = bytes(range(256)) * 1024
        head = (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: " + accept().encode() + b"\r\n\r\n")
        client = self.client(self.front(self.origin(lambda x: (x.send(head + blob), x.close())), ROUTES))
        client.send(handshake())
        self.assertEqual(client.response().status, 101)
        self.assertEqual(client.source.rest(), blob)

    def test_half_close_by_the_client(self):
        def until_end(x):
            data = x.source.rest()
            x.send(b"got " + data)
        client = self.open(until_end)
        client.send(b"all")
        client.half_close()
        self.assertEqual(client.source.rest(), b"got all")

    def test_half_close_by_the_origin(self):
        heard = threading.Event()

        def speak_first(x):
            x.send(b"bye")
            x.sock.shutdown(socket.SHUT_WR)
            if x.source.rest() == b"and you":
                heard.set()
        client = self.open(speak_first)
        self.assertEqual(client.source.rest(), b"bye")
        client.send(b"and you")
        client.close()
        self.assertTrue(heard.wait(30))

    def test_a_client_that_leaves_ends_the_tunnel(self):
        left = threading.Event()
        client = self.open(lambda x: (x.peer_left(), left.set()))
        client.reset()
        self.assertTrue(left.wait(30))

    def test_a_reset_of_the_origin_is_one_of_the_client(self):
        client = self.open(lambda x: x.reset())
        with self.assertRaises(ConnectionResetError):
            client.sock.recv(1)

    def test_an_idle_tunnel_is_closed(self):
        left = threading.Event()
        client = self.open(lambda x: (x.peer_left(), left.set()), client={"tunnel_idle": "200ms"})
        self.assertTrue(client.closed())
        self.assertTrue(left.wait(30))

    def test_traffic_keeps_a_tunnel_open(self):
        client = self.open(lambda x: x.peer_left(), client={"tunnel_idle": "2s", "idle_timeout": "200ms",
                                                            "first_timeout": "200ms"})
        for _ in range(25):
            self.assertFalse(client.readable(0.1), "the tunnel was closed in spite of traffic")
            client.send(b"x")


class Refused(NodeCase):
    def test_a_route_that_does_not_allow_it_gives_an_ordinary_exchange(self):
        origin = self.origin()
        client = self.client(self.front(origin))
        client.send(handshake())
        self.assertIn(client.response().status, (200, 403))
        for request_seen in origin.seen():
            self.assertNotIn("upgrade", request_seen.fields)

    def test_an_incomplete_handshake_is_not_forwarded_as_one(self):
        origin = self.origin()
        node = self.front(origin, ROUTES)
        for changes in ({"Sec_WebSocket_Key": None}, {"Sec_WebSocket_Version": "8"}, {"Sec_WebSocket_Version": None},
                        {"Upgrade": "h2c"}, {"Connection": "keep-alive"}, {"Sec_WebSocket_Key": "short"}):
            client = self.client(node)
            client.send(handshake(**changes))
            self.assertIn(client.response().status, (200, 400, 426), changes)
        for request_seen in origin.seen():
            self.assertNotIn("upgrade", request_seen.fields)

    def test_an_origin_that_declines_gives_an_ordinary_response(self):
        client = self.client(self.front(self.origin(lambda x: x.reply(403, {}, b"no")), ROUTES))
        client.send(handshake())
        answer = client.response()
        self.assertEqual((answer.status, answer.body), (403, b"no"))
        self.assertEqual(client.ask().status, 403)  # still HTTP

    def refused_by_weir(self, handler):
        client = self.client(self.front(self.origin(handler), ROUTES))
        client.send(handshake())
        self.assertEqual(client.response().status, 502)

    def test_a_wrong_accept_is_502(self):
        self.refused_by_weir(lambda x: (switch(x, Sec_WebSocket_Accept=accept("another key")), x.close()))

    def test_no_accept_is_502(self):
        self.refused_by_weir(lambda x: (switch(x, Sec_WebSocket_Accept=None), x.close()))

    def test_another_protocol_is_502(self):
        self.refused_by_weir(lambda x: (switch(x, Upgrade="h2c"), x.close()))

    def test_bytes_sent_before_the_switch_are_not_a_request_to_the_origin(self):
        origin = self.origin(lambda x: x.reply(200, {}, b"no"))
        client = self.client(self.front(origin, ROUTES))
        client.send(handshake() + b"GET /smuggled HTTP/1.1\r\nHost: inner.example\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        for r in origin.seen("/smuggled"):
            self.assertIn("via", r.fields, "bytes for the tunnel reached the origin raw")
