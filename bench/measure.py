"""What bench/run reads from the kernel and from the programs that make the load."""

import json
import os
import re
import subprocess


def processes_of(root):
    """root and all its descendants, as far as they live."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def cpu_ns(pids):
    """Time on a processor of all threads, in nanoseconds (utime + stime only count ticks)."""
    total = 0
    for pid in pids:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
    return total


def pss_bytes(pids):
    """Resident memory, pages that several processes share counted by their part."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += int(re.search(r"^Pss:\s+(\d+) kB", f.read(), re.M).group(1)) * 1024
        except (OSError, AttributeError):
            pass
    return total


def microseconds(text):
    """wrk's 12.34us, 1.20ms, 1.00s, 1.00m."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}[unit]


def h2load(url, seconds, core):
    """One run of h2load: 16 connections, 32 streams each. As wrk(); its p50 is the mean."""
    out = subprocess.run(
        ["taskset", "-c", str(core), "h2load", "-c16", "-m32", f"-D{seconds}", url],
        capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    took = microseconds(re.search(r"finished in ([\d.]+(?:us|ms|s|m))", out).group(1)) / 1e6
    done, failed = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", out).groups()
    times = re.search(r"^time for request:(.*)$", out, re.M).group(1).split()
    return {"requests": int(done), "errors": int(failed), "seconds": took,
            "p50_us": microseconds(times[2]), "p99_us": microseconds(times[1])}


def shaker(program, kind, port, path, seconds, at_once, core):
    """Handshakes, full or resumed, each with one request. As wrk()."""
    out = subprocess.run(["taskset", "-c", str(core), program, kind, str(port), path, str(seconds), str(at_once)],
                         capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    got = json.loads(out)
    if kind == "resumed" and got["resumed"] + at_once < got["requests"] * 0.99:  # the first of each is full
        raise RuntimeError(f"only {got['resumed']} of {got['requests']} handshakes were resumed")
    return got


def wrk(url, seconds, connections, core):
    """One run of wrk. requests, errors, seconds, p50_us, p99_us."""
    out = subprocess.run(
        ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url],
        capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    requests, length, unit = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m),", out).groups()
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", out))
    errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", out))
    return {
        "requests": int(requests),
        "errors": errors,
        "seconds": microseconds(length + unit) / 1e6,
        "p50_us": microseconds(re.search(r"^\s+50%\s+(\S+)", out, re.M).group(1)),
        "p99_us": microseconds(re.search(r"^\s+99%\s+(\S+)", out, re.M).group(1)),
    }


def churn(visitor, port, path, seconds, connections, core):
    """The same, with a new connection for every request."""
    out = subprocess.run(
        ["taskset", "-c", str(core), visitor, "churn", str(port), path, str(seconds), str(connections)],
        capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
    return json.loads(out)
