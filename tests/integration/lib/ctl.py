"""weirctl, run against a node under test."""
import json
import os
import subprocess

from .node import SANITIZER, NodeFailed, binary


def weirctl_binary():
    """Built beside the node that is under test."""
    build = os.path.dirname(os.path.dirname(binary()))
    return os.environ.get("WEIRCTL_BINARY") or os.path.join(build, "cluster", "ctl", "weirctl")


def weirctl(*args, node=None, socket=None, environment=None, deadline=30):
    """A run of weirctl: returncode, stdout and stderr as text. It finds the node by --socket, or by the environment."""
    where = socket or (node.admin_socket if node else None)
    command = [weirctl_binary()] + (["--socket", where] if where else []) + list(args)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline, encoding="utf-8",
                          errors="replace", env=dict(os.environ, **(environment or {})))
    if SANITIZER.search(done.stderr):
        raise NodeFailed("a sanitizer or assertion reported:\n%s" % done.stderr[-20000:])
    return done


def weirctl_json(*args, node, status=0):
    """What --json prints; AssertionError unless it ends with `status`."""
    done = weirctl("--json", *args, node=node)
    if done.returncode != status:
        raise AssertionError("weirctl %s ended with %d: %s" % (args, done.returncode, done.stderr))
    return json.loads(done.stdout)
