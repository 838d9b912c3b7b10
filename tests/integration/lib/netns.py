"""A network namespace with links to the rest of the machine that a test can cut: nothing is refused then, packets just
do not arrive. Needs root."""
import os
import subprocess

HIGH, LOW = (os.getpid() >> 8) % 50, os.getpid() % 256  # networks of this process alone


def ip(*args):
    done = subprocess.run(["ip"] + list(args), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError("ip %s: %s" % (" ".join(args), done.stderr.strip()))


class Namespace:
    def __init__(self):
        self.name = "weir-%d" % os.getpid()
        self.links = []
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def link(self):
        """Further ones lead there by ways of their own."""
        link = Link(self, len(self.links))
        self.links.append(link)
        return link

    @property
    def prefix(self):
        """What is put before a command to run it inside."""
        return ["ip", "netns", "exec", self.name]

    def close(self):
        for link in self.links:
            link.remove()
        ip("netns", "del", self.name)


class Link:
    """Servers outside listen on .outside, which stays an address of this machine when the link is cut; who is inside
    has .inside."""

    def __init__(self, namespace, number):
        self.namespace, self.device = namespace, "w%dx%d" % (os.getpid(), number)
        network = "10.%d.%d" % (200 + HIGH, (LOW + number * 101) % 256)
        self.outside, via, self.inside = network + ".1", network + ".2", network + ".3"
        ip("addr", "add", self.outside + "/32", "dev", "lo")
        ip("link", "add", self.device, "type", "veth", "peer", "name", "in" + self.device, "netns", namespace.name)
        ip("addr", "add", via + "/24", "dev", self.device)
        ip("link", "set", self.device, "up")
        ip("-n", namespace.name, "addr", "add", self.inside + "/24", "dev", "in" + self.device)
        ip("-n", namespace.name, "link", "set", "in" + self.device, "up")
        ip("-n", namespace.name, "route", "add", self.outside + "/32", "via", via)

    def cut(self):
        ip("link", "set", self.device, "down")

    def mend(self):
        ip("link", "set", self.device, "up")

    def remove(self):
        ip("link", "del", self.device)
        ip("addr", "del", self.outside + "/32", "dev", "lo")
