"""Firefox without a screen, driven over its own Marionette protocol (Debian has no geckodriver): a second engine's view.

Needs Debian's firefox-esr (`tools/deps apps`); a test that asks for it where it is missing fails.
"""
import json
import os
import shutil
import socket
import subprocess
import tempfile

from .wait import wait_until

START_DEADLINE = 60  # seconds, on a machine that is busy with other tests
COMMAND_DEADLINE = 40
PREFERENCES = {
    "marionette.port": 0,  # a free one, which it writes into its profile
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.server": "",
    "app.update.disabledForTesting": True,
    "app.normandy.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
    "browser.safebrowsing.downloads.enabled": False,
}


class FirefoxError(AssertionError):
    pass


class Firefox:
    """One browser with a profile of its own; takes any certificate."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="weir-firefox-")
        self.process = None
        self.socket = None
        self.number = 0
        try:
            self._start()
        except BaseException:
            self.quit()
            raise

    def _start(self):
        profile = os.path.join(self.dir, "profile")
        os.mkdir(profile)
        with open(os.path.join(profile, "user.js"), "w", encoding="ascii") as f:
            for name, value in PREFERENCES.items():
                f.write("user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value)))
        with open(os.path.join(self.dir, "output"), "wb") as out:
            self.process = subprocess.Popen(
                ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.dir,
                env=dict(os.environ, HOME=self.dir, MOZ_DISABLE_CONTENT_SANDBOX="1"))
        port_file = os.path.join(profile, "MarionetteActivePort")

        def port():
            if self.process.poll() is not None:
                raise FirefoxError("firefox ended with %d" % self.process.returncode)
            try:
                with open(port_file, encoding="ascii") as f:
                    return int(f.read() or 0)
            except FileNotFoundError:
                return 0
        self.socket = socket.create_connection(("127.0.0.1", wait_until(port, START_DEADLINE, "firefox listens")))
        self.socket.settimeout(COMMAND_DEADLINE)
        self._receive()  # who it is
        self.command("WebDriver:NewSession", {"acceptInsecureCerts": True})

    def _receive(self):
        """One message: its length in digits, a colon, JSON."""
        length = b""
        while not length.endswith(b":"):
            byte = self.socket.recv(1)
            if not byte:
                raise FirefoxError("firefox has closed")
            length += byte
        left, parts = int(length[:-1]), []
        while left > 0:
            parts.append(self.socket.recv(left))
            if not parts[-1]:
                raise FirefoxError("firefox has closed")
            left -= len(parts[-1])
        return json.loads(b"".join(parts))

    def command(self, name, parameters=None):
        self.number += 1
        text = json.dumps([0, self.number, name, parameters or {}]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, number, error, result = self._receive()
        assert number == self.number
        if error is not None:
            raise FirefoxError("%s: %s" % (name, error.get("message") or error["error"]))
        return result

    def open(self, url):
        self.command("WebDriver:Navigate", {"url": url})

    def script(self, text, *arguments):
        """What the function body `text` returns, a promise's value for one."""
        return self.command("WebDriver:ExecuteScript", {"script": text, "args": list(arguments)})["value"]

    def quit(self):
        if self.socket is not None:
            self.socket.close()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
