"""What one client may not share must not keep others from sharing: markers, Vary, and a busy page of a wiki."""
from lib.case import NodeCase


def page(x):
    """As wikis do: private for whoever has a session, shared by all others."""
    who = x.request.fields.get("cookie")
    x.reply(200, {"Vary": "Cookie", "Cache-Control": "private" if who else "s-maxage=60"},
            ("for %s" % (who or "all")).encode())


class PrivateVariants(NodeCase):
    def setUp(self):
        self.server = self.front(self.origin(page), cache={"variants": 4})

    def view(self, who=None):
        return self.server.get("/", {"Cookie": who} if who else {})

    def test_a_stored_page_stays_in_use_after_a_private_one_of_the_same_url(self):
        self.assertFalse(self.view().hit)
        self.assertEqual(self.view("anna").body, b"for anna")
        self.assertTrue(self.view().hit)

    def test_a_page_is_stored_after_a_private_one_of_the_same_url(self):
        self.view("anna")
        self.assertEqual((self.view().hit, self.view().hit), (False, True))

    def test_more_private_views_than_variants_leave_the_shared_page_alone(self):
        self.view()
        for n in range(10):
            who = "user%d" % n
            self.assertEqual(self.view(who).text, "for " + who)
        shared = self.view()
        self.assertEqual((shared.hit, shared.body), (True, b"for all"))

    def test_who_has_a_private_page_is_passed_on_from_then(self):
        self.view("anna")
        again = self.view("anna")
        self.assertIn("hit-for-miss", again.cache_status)
        self.assertEqual(again.body, b"for anna")


class RequestId(NodeCase):
    def test_the_id_of_an_origin_is_neither_stored_nor_sent_beside_ours(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=60", "X-Request-Id": "theirs"}, b"x"))
        node = self.front(origin)
        self.assertEqual(node.get("/").fields.all("x-request-id"), [origin.last().fields["x-request-id"]])
        self.assertNotIn("theirs", node.get("/").fields.all("x-request-id"))
