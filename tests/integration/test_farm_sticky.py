"""Stickiness in a farm: whichever node a client comes to, it stays with its origin."""
import unittest

from lib.farm import FarmCase
from lib.node import settings


class Sticky(FarmCase):
    def origins(self, count):
        def origin(name):
            return self.origin(lambda x: x.reply(200, {"Cache-Control": "no-store"}, name.encode()))
        return [origin(str(i)) for i in range(count)]

    def test_a_cookie_of_one_node_binds_on_all_of_them(self):
        redis = self.redis()
        upstream = {"name": "app", "origins": [o.url for o in self.origins(4)],
                    "balance": {"method": "random"}, "sticky": {"cookie": "at"}}
        farm = self.farm_of(redis)
        one, other = [self.node(settings([upstream], farm=farm)) for _ in range(2)]
        first = one.get("/")
        cookie = first.fields["set-cookie"].partition(";")[0]
        for _ in range(12):
            again = other.get("/", {"Cookie": cookie})
            self.assertEqual(again.text, first.text)
            self.assertNotIn("set-cookie", again.fields)
        stranger = self.node(settings([upstream]))
        self.assertIn("set-cookie", stranger.get("/", {"Cookie": cookie}).fields)


if __name__ == "__main__":
    unittest.main()
