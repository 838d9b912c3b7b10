"""Waiting for something observed: no test sleeps for a guessed time."""
import time

DEADLINE = 30  # seconds; generous, since a machine under sanitizers is slow and success never waits it out


class NotInTime(AssertionError):
    pass


def wait_until(predicate, deadline=DEADLINE, what=None):
    """Polls until predicate() is true and returns its value; NotInTime after `deadline` seconds."""
    end = time.monotonic() + deadline
    pause = 0.001
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise NotInTime("not within %g s: %s" % (deadline, what or predicate))
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
