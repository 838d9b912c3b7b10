"""Chromium without a screen, driven over the W3C WebDriver protocol: what a person at a browser would see.

Needs Debian's chromium and chromium-driver (`tools/deps apps`); a test that asks for a browser where they
are missing fails.
"""
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile

from .wait import wait_until

DRIVER_TRIES = 5
START_DEADLINE = 60  # seconds, on a machine that is busy with other tests
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key under which the protocol names an element
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--window-size=1200,900"]


class BrowserError(AssertionError):
    pass


class Element:
    def __init__(self, browser, identity):
        self.browser = browser
        self.path = "/element/" + identity

    def click(self):
        self.browser.command("POST", self.path + "/click", {})

    def type(self, text):
        """Replaces what a field holds. For a file field: the path of the file."""
        if self.browser.command("GET", self.path + "/property/type") != "file":
            self.browser.command("POST", self.path + "/clear", {})
        self.browser.command("POST", self.path + "/value", {"text": text})

    @property
    def text(self):
        return self.browser.command("GET", self.path + "/text")

    def property(self, name):
        return self.browser.command("GET", self.path + "/property/" + name)


class Browser:
    """One browser with a profile of its own: nothing cached, no cookies. `home` is put before paths. `insecure`: takes
    any certificate."""

    def __init__(self, home, insecure=False):
        self.home = home
        self.insecure = insecure
        self.dir = tempfile.mkdtemp(prefix="weir-browser-")
        self.driver = None
        self.session = None
        try:
            self._start()
        except BaseException:
            self.quit()
            raise

    def _start_driver(self):
        """The port chromedriver listens on, or None when it ended: it takes a free IPv4 port, and gives up when the
        IPv6 port of that number is taken."""
        output = os.path.join(self.dir, "driver")
        with open(output, "wb") as out:
            self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=out,
                                           stderr=subprocess.STDOUT, cwd=self.dir, env=dict(os.environ, HOME=self.dir))

        def started():
            with open(output, encoding="utf-8", errors="replace") as f:
                found = re.search(r"started successfully on port (\d+)", f.read())
            return found or self.driver.poll() is not None
        found = wait_until(started, START_DEADLINE, "chromedriver listens")
        return None if found is True else int(found.group(1))

    def _start(self):
        for _ in range(DRIVER_TRIES):
            self.port = self._start_driver()
            if self.port is not None:
                break
        if self.port is None:
            raise BrowserError("chromedriver ended %d times instead of listening" % DRIVER_TRIES)
        options = {"binary": shutil.which("chromium"), "args": ARGUMENTS + ["--user-data-dir=" + self.dir + "/profile"]}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": self.insecure,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"pageLoad": 45000, "script": 30000}}}})
        self.session = "/session/" + answer["sessionId"]

    def quit(self):
        try:
            if self.session:
                self._call("DELETE", self.session)
        finally:
            if self.driver:
                self.driver.terminate()
                self.driver.wait()
            shutil.rmtree(self.dir, ignore_errors=True)

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_DEADLINE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
        finally:
            connection.close()
        if response.status != 200:
            raise BrowserError("%s %s: %s: %s" % (method, path, value["error"], value["message"]))
        return value

    def command(self, method, path, body=None):
        return self._call(method, self.session + path, body)

    def go(self, path):
        """Opens a page and waits until it is loaded with all its parts."""
        self.command("POST", "/url", {"url": self.home + path})

    @property
    def url(self):
        return self.command("GET", "/url")

    @property
    def title(self):
        return self.command("GET", "/title")

    @property
    def source(self):
        return self.command("GET", "/source")

    def run(self, script, *args):
        """What a script, the body of a function, returns."""
        return self.command("POST", "/execute/sync", {"script": script, "args": list(args)})

    def all(self, css):
        found = self.command("POST", "/elements", {"using": "css selector", "value": css})
        return [Element(self, e[ELEMENT]) for e in found]

    def find(self, css, deadline=START_DEADLINE / 2):
        """The first element, waiting until there is one."""
        return wait_until(lambda: self.all(css), deadline, "an element %s on %s" % (css, self.url))[0]

    def text(self, css="body"):
        return self.find(css).text

    def wait_text(self, css, wanted, deadline=START_DEADLINE / 2):
        """Waits until an element holds that text. For what a click leads to: the page before may have the element too,
        and may go while it is read."""
        def there():
            try:
                return any(wanted in element.text for element in self.all(css))
            except BrowserError:
                return False
        wait_until(there, deadline, "%r in %s on %s" % (wanted, css, self.url))

    def cookies(self):
        return {c["name"]: c for c in self.command("GET", "/cookie")}

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.command("GET", "/screenshot")))

    def responses(self):
        """Responses that came over the network since the last call, none of the browser's own cache: a list of
        (path, status, fields), the fields a dict with names in lower case."""
        own, out = set(), []
        for line in self.command("POST", "/se/log", {"type": "performance"}):
            event = json.loads(line["message"])["message"]
            if event["method"] == "Network.requestServedFromCache":
                own.add(event["params"]["requestId"])
            elif event["method"] == "Network.responseReceived" and event["params"]["requestId"] not in own:
                response = event["params"]["response"]
                if response["url"].startswith(self.home) and not response["fromDiskCache"]:
                    fields = {name.lower(): value for name, value in response["headers"].items()}
                    out.append((response["url"][len(self.home):], response["status"], fields))
        return out

    def complaints(self):
        """What the console holds of errors since the last call: scripts that failed, parts that did not load."""
        return [e["message"] for e in self.command("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE"]
