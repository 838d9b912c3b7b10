"""Commands that a node runs when it becomes ready or unready: what they are told, in which order, and that none of them
can hold the node up."""
import os
import signal
import stat

from lib.case import NodeCase
from lib.node import Node, run_weir, settings
from lib.wait import wait_until


class HookCase(NodeCase):
    def script(self, name, body):
        """A shell script in the node's directory; $D is that directory."""
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\nD=%s\n%s\n" % (self.dir, body))
        os.chmod(path, 0o755)
        return path

    def prepare(self, origin=None, **top):
        """A node that does not run yet, with a directory for scripts."""
        self.node_ = Node()
        self.addCleanup(self.node_.stop)
        self.dir = self.node_.dir
        self.config = settings(origin or self.origin(), **top)
        return self.node_

    def launch(self, ready=None, unready=None, timeout="5s"):
        hooks = {"timeout": timeout}
        for name, command in (("ready", ready), ("unready", unready)):
            if command:
                hooks[name] = command if isinstance(command, list) else [command]
        self.node_.write(dict(self.config, hooks=hooks))
        return self.node_.start()

    def told(self):
        try:
            with open(os.path.join(self.dir, "told")) as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def wait_told(self, *words):
        wait_until(lambda: self.told() == list(words), what="%r, not %r" % (words, self.told))


TELL = 'echo "$WEIR_EVENT:$WEIR_REASON" >>$D/told'


class Hooks(HookCase):
    def test_ready_after_the_start_and_unready_before_the_end(self):
        node = self.prepare()
        tell = self.script("tell", TELL)
        self.launch(tell, tell)
        self.wait_told("ready:")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertEqual(self.told(), ["ready:", "unready:draining"])

    def test_arguments_reach_the_command_as_they_are(self):
        self.prepare(node={"id": "node-7"})
        tell = self.script("tell", 'echo "$WEIR_NODE" >$D/node; for a; do echo "<$a>" >>$D/told; done')
        self.launch([tell, "$HOME", "a;b", "", "*"])
        self.wait_told("<$HOME>", "<a;b>", "<>", "<*>")
        with open(os.path.join(self.dir, "node")) as f:
            self.assertEqual(f.read(), "node-7\n")

    def test_its_output_and_its_end_are_logged(self):
        node = self.prepare()
        self.launch(self.script("fail", "echo all is lost; echo and more >&2; exit 7"))
        node.wait_log("hook ready: all is lost\n.*hook ready: and more\n")
        node.wait_log("error hook ready: exit status 7")
        self.assertEqual(node.get("/").status, 200)

    def test_a_hook_that_hangs_stops_nothing_and_the_newest_state_is_run_last(self):
        node = self.prepare(node={"drain_grace": "0s"})
        hang = self.script("hang", TELL + "\nexec sleep 60")
        self.launch(hang, self.script("tell", TELL), timeout="500ms")
        self.wait_told("ready:")
        self.assertEqual(node.get("/").status, 200)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertEqual(self.told(), ["ready:", "unready:draining"])
        self.assertIn("takes too long", node.log())

    def test_a_hanging_hook_delays_the_end_by_its_time_alone(self):
        node = self.prepare()
        self.launch(None, self.script("hang", "trap '' TERM\n" + TELL + "\nwhile :; do sleep 0.1; done"),
                    timeout="300ms")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertIn("killing it", node.log())

    def test_further_signals_do_not_wait_for_a_hook(self):
        node = self.prepare()
        self.launch(None, self.script("hang", TELL + "\nexec sleep 60"), timeout="1m")
        node.signal(signal.SIGTERM)
        self.wait_told("unready:draining")
        for _ in range(3):
            node.signal(signal.SIGTERM)
        wait_until(lambda: node.running is False or node.signal(signal.SIGTERM), what="it ends")
        self.assertEqual(node.wait(), 0)

    def test_a_hook_that_forks_and_keeps_everything_open_is_over_when_it_ends(self):
        node = self.prepare()
        tell = self.script("tell", TELL)
        fork = self.script("fork", "(sleep 60; echo late >>$D/told) &\n(sleep 60) &\n" + TELL)
        self.launch(fork, tell)
        self.wait_told("ready:")
        node.wait_log("hook ready: exit status 0")
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertEqual(self.told(), ["ready:", "unready:draining"])

    def test_megabytes_of_output_are_cut(self):
        node = self.prepare()
        self.launch(self.script("talk", "head -c 20000000 /dev/zero | tr '\\0' x; yes | head -c 3000000\n" + TELL))
        self.wait_told("ready:")
        node.wait_log("bytes more of output are not shown")
        self.assertLess(len(node.log()), 20000)

    def test_a_command_that_is_gone_is_an_error_in_the_log(self):
        node = self.prepare()
        gone = self.script("gone", TELL)
        os.symlink(gone, os.path.join(self.dir, "link"))
        tell = self.script("tell", TELL)
        self.launch(tell, os.path.join(self.dir, "link"))
        self.wait_told("ready:")
        os.unlink(gone)
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)
        self.assertIn("hook cannot be run", node.log())

    def test_a_reload_that_brings_a_hook_runs_it(self):
        node = self.prepare()
        tell = self.script("tell", TELL)
        self.launch()
        self.config["hooks"] = {"ready": [tell]}
        self.assertTrue(node.reload(self.config))
        self.wait_told("ready:")
        self.assertTrue(node.reload())
        self.assertEqual(self.told(), ["ready:"])

    def test_commands_that_cannot_be_run_are_told_before(self):
        node = self.prepare()
        plain = self.script("plain", "")
        os.chmod(plain, stat.S_IRUSR)
        for command, why in ((["weir-hook"], "expected a command by its absolute path"),
                             (["/nonexistent/hook"], "cannot be run: No such file"),
                             ([plain] if os.getuid() else ["/nonexistent"], "cannot be run")):
            node.write(dict(self.config, hooks={"ready": command}))
            done = run_weir("check", node.config_file)
            self.assertEqual(done.returncode, 2)
            self.assertIn(why, done.stderr)
