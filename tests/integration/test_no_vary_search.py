"""No-Vary-Search: responses that tell which parameters of the query do not matter."""
import threading

from lib.case import NodeCase

RULE = 'params=("utm_source" "utm_medium")'


def answering(rule=RULE, **fields):
    """Answers with the target it was asked for."""
    extra = dict({"Cache-Control": "max-age=600"}, **fields)
    if rule is not None:
        extra["No-Vary-Search"] = rule
    return lambda x: x.reply(200, extra, x.request.target.encode())


class Obeyed(NodeCase):
    def test_parameters_that_do_not_matter_share_a_response(self):
        origin = self.origin(answering())
        node = self.front(origin)
        self.assertFalse(node.get("/a?id=1&utm_source=x").hit)
        self.assertEqual(origin.last().target, "/a?id=1&utm_source=x")  # as the client sent it
        for path in ("/a?id=1&utm_source=x", "/a?id=1", "/a?utm_medium&id=1&utm_source=y", "/a?%69d=1"):
            answer = node.get(path)
            self.assertTrue(answer.hit, path)
            self.assertEqual(answer.body, b"/a?id=1&utm_source=x")
        for path in ("/a?id=2", "/a", "/a?id=1&x", "/a?id=1&id=1"):
            self.assertFalse(node.get(path).hit, path)
        self.assertFalse(node.get("/b?id=1").hit)  # another path, of which nothing is known
        self.assertFalse(node.get("/a?id=1", host="other.example").hit)

    def test_order(self):
        node = self.front(self.origin(answering("key-order")))
        node.get("/a?b=1&a=2")
        self.assertTrue(node.get("/a?a=2&b=1").hit)
        self.assertFalse(node.get("/a?a=1&b=2").hit)
        self.assertFalse(node.get("/a?a=2&b=1&b=1").hit)

    def test_only_what_matters(self):
        node = self.front(self.origin(answering('params, except=("id")')))
        node.get("/a?id=1&x=1")
        self.assertTrue(node.get("/a?y&id=1").hit)
        self.assertFalse(node.get("/a?id=2").hit)
        node.get("/a")
        self.assertTrue(node.get("/a?").hit)
        self.assertTrue(node.get("/a?x").hit)

    def test_on_every_worker(self):
        node = self.front(self.origin(answering()), node={"workers": 4})
        node.get("/a?id=1")
        self.assertTrue(all(node.get("/a?id=1&utm_source=%d" % i).hit for i in range(20)))

    def test_what_does_not_parse_says_nothing(self):
        node = self.front(self.origin(answering("params=(a)")))
        node.get("/a?a=1")
        self.assertTrue(node.get("/a?a=1").hit)
        self.assertFalse(node.get("/a?a=2").hit)

    def test_a_head_and_a_condition_are_answered_under_the_rule(self):
        node = self.front(self.origin(answering(ETag='"1"')))
        node.get("/a?id=1")
        self.assertTrue(node.ask("HEAD", "/a?id=1&utm_source=x").hit)
        self.assertEqual(node.get("/a?id=1&utm_source=x", {"If-None-Match": '"1"'}).status, 304)

    def test_it_can_be_turned_off(self):
        node = self.front(self.origin(answering()),
                          [{"upstream": "app", "cache": {"key": {"no_vary_search": False}}}])
        node.get("/a?id=1")
        self.assertTrue(node.get("/a?id=1").hit)
        self.assertFalse(node.get("/a?id=1&utm_source=x").hit)

    def test_after_the_routes_own_rules(self):
        origin = self.origin(answering())
        node = self.front(origin, [{"upstream": "app", "cache": {"key": {"query": "except", "parameters": ["drop"]}}}])
        node.get("/a?id=1&drop=1&utm_source=x")
        self.assertEqual(origin.last().target, "/a?id=1&utm_source=x")
        self.assertTrue(node.get("/a?drop=2&id=1").hit)

    def test_variants_stay_apart(self):
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600", "No-Vary-Search": RULE, "Vary":
                                                     "X-Kind"}, x.request.fields.get("x-kind", "-").encode()))
        node = self.front(origin)
        node.get("/a?id=1", {"X-Kind": "a"})
        self.assertEqual(node.get("/a?id=1&utm_source=x", {"X-Kind": "b"}).body, b"b")
        self.assertEqual(node.get("/a?utm_source=y&id=1", {"X-Kind": "a"}).body, b"a")
        self.assertEqual(origin.count(), 2)

    def test_an_unsafe_method_invalidates_what_its_target_shares(self):
        node = self.front(self.origin(answering()))
        node.get("/a?id=1&utm_source=x")
        node.ask("POST", "/a?id=1", body=b"x")
        self.assertFalse(node.get("/a?id=1&utm_source=y").hit)


class Changing(NodeCase):
    """A rule that changes, is withdrawn or is not on every response: misses, never another's answer."""

    def by_parameter(self, x):
        """The field comes only where the query has no "bare"."""
        fields = {"Cache-Control": "max-age=600"}
        if "bare" not in x.request.target:
            fields["No-Vary-Search"] = 'params, except=("id")'
        x.reply(200, fields, x.request.target.encode())

    def test_a_response_without_the_field_answers_its_own_query_alone(self):
        node = self.front(self.origin(self.by_parameter))
        node.get("/a?id=1")  # the rule is known
        for _ in range(2):
            for path in ("/a?id=2&bare=1", "/a?id=2&bare=2"):
                self.assertEqual(node.get(path).body, path.encode())
        self.assertTrue(node.get("/a?id=2&bare=1").hit)
        self.assertTrue(node.get("/a?id=2&bare=2").hit)
        self.assertFalse(node.get("/a?id=2").hit)
        self.assertTrue(node.get("/a?id=1&y").hit)  # what has the field goes on being shared

    def test_another_rule_takes_over(self):
        rule = ['params=("a")']
        origin = self.origin(lambda x: x.reply(200, {"Cache-Control": "max-age=600", "No-Vary-Search": rule[0]},
                                               x.request.target.encode()))
        node = self.front(origin)
        node.get("/p?id=1&a=1")
        rule[0] = 'params=("b")'
        node.get("/p?id=2&a=1&b=1")
        self.assertEqual(node.get("/p?id=2&a=2&b=1").body, b"/p?id=2&a=2&b=1")  # a counts now
        self.assertTrue(node.get("/p?id=2&a=1&b=9").hit)
        self.assertEqual(node.get("/p?id=1&a=2").body, b"/p?id=1&a=2")  # stored under the old rule: not found

    def test_a_stale_response_whose_successor_says_otherwise(self):
        answers = [RULE, None]
        def handler(x):
            fields = {"Cache-Control": "max-age=600" if len(answers) < 2 else "max-age=0", "ETag": '"%d"' % len(answers)}
            rule = answers.pop(0) if len(answers) > 1 else answers[0]
            if rule:
                fields["No-Vary-Search"] = rule
            x.reply(200, fields, x.request.target.encode())
        origin = self.origin(handler)
        node = self.front(origin)
        node.get("/a?id=1")
        second = node.get("/a?id=1&utm_source=x")  # validates, and gets a response that varies
        self.assertEqual(second.body, b"/a?id=1&utm_source=x")
        self.assertTrue(node.get("/a?id=1&utm_source=x").hit)
        self.assertEqual(node.get("/a?id=1").body, b"/a?id=1")

    def test_a_304_that_withdraws_the_rule(self):
        def handler(x):
            if "if-none-match" in x.request.fields:
                x.reply(304, {"ETag": '"1"', "Cache-Control": "max-age=600", "No-Vary-Search": "params=()"})
            else:
                x.reply(200, {"ETag": '"1"', "Cache-Control": "max-age=0", "No-Vary-Search": RULE},
                        x.request.target.encode())
        node = self.front(self.origin(handler))
        node.get("/a?id=1")
        self.assertEqual(node.get("/a?id=1").body, b"/a?id=1")
        self.assertFalse(node.get("/a?id=1&utm_source=x").hit)

    def test_followers_of_another_query_ask_again_when_the_rule_is_not_there(self):
        gate = threading.Event()

        def handler(x):
            if "slow" in x.request.target:
                gate.wait(30)
            self.by_parameter(x)
        origin = self.origin(handler)
        node = self.front(origin)
        node.get("/a?id=1")
        answers = {}

        def ask(path):
            answers[path] = node.get(path)
        paths = ["/a?id=3&bare=1&slow", "/a?id=3&bare=2&slow"]
        threads = [threading.Thread(target=ask, args=(p,)) for p in paths]
        threads[0].start()
        origin.wait_count(2)
        threads[1].start()
        gate.set()
        for t in threads:
            t.join(40)
        for path in paths:
            self.assertEqual(answers[path].body, path.encode())

    def test_followers_of_an_equal_query_share_one_fetch(self):
        gate = threading.Event()

        def handler(x):
            if "slow" in x.request.target:
                gate.wait(30)
            answering()(x)
        origin = self.origin(handler)
        node = self.front(origin)
        node.get("/a?id=1")
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(node.get("/a?slow&utm_source=%d" % i)))
                   for i in range(8)]
        for t in threads:
            t.start()
        origin.wait_count(2)
        gate.set()
        for t in threads:
            t.join(40)
        self.assertEqual(len({a.body for a in answers}), 1)
        self.assertEqual(origin.count(), 2)
