"""Real applications from Debian's packages, run by hand in a folder of their own: no service of the system is touched.

Needs mediawiki, php-cli, php-cgi, php-sqlite3 and nginx (`tools/deps apps`).
"""
import os
import shutil
import socket
import subprocess
import tempfile

from .ports import LOOPBACK, free_port
from .wait import wait_until

MEDIAWIKI = "/usr/share/mediawiki"
DOCS = "/usr/share/doc"
USERS = {"Keeper": "weir-password-1", "Visitor": "weir-password-2"}  # Keeper is the administrator

# How long a shared cache may keep pages for readers who are not logged in; they see edits after that.
PAGE_SECONDS = 3

SETTINGS = """
$wgArticlePath = "/wiki/$1";
$wgCacheDirectory = "%(dir)s/cache";
$wgUploadDirectory = "%(dir)s/images";
$wgEnableUploads = true;
$wgUseImageMagick = false;
$wgFileExtensions = [ 'png' ];
$wgJobRunRate = 0;
$wgEnableEmail = false;
$wgUseCdn = true;
$wgCdnServersNoPurge = [ "%(host)s" ];
$wgCdnMaxAge = %(page_seconds)d;
"""

NGINX = """
daemon off;
user root root;
pid %(dir)s/nginx.pid;
worker_processes 2;
events { worker_connections 256; }
http {
    include /etc/nginx/mime.types;
    default_type text/plain;
    absolute_redirect off;
    access_log off;
    client_max_body_size 16m;
    client_body_temp_path %(dir)s/tmp;
    fastcgi_temp_path %(dir)s/tmp;
    proxy_temp_path %(dir)s/tmp;
    scgi_temp_path %(dir)s/tmp;
    uwsgi_temp_path %(dir)s/tmp;
    server {
        listen %(host)s:%(docs)d;
        location /doc/ {
            alias /usr/share/doc/;
            autoindex on;
            charset utf-8;
            add_header Cache-Control "public, max-age=600";
        }
    }
    server {
        listen %(host)s:%(wiki)d;
        location / { return 302 /wiki/Main_Page; }
        location /wiki/ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME %(mediawiki)s/index.php;
            fastcgi_pass unix:%(dir)s/php.sock;
        }
        location ~ ^/w(/[a-z]+\\.php)$ {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME %(mediawiki)s$1;
            fastcgi_pass unix:%(dir)s/php.sock;
        }
        location ~ ^/w(/(?:resources|skins)/.*)$ {
            alias %(mediawiki)s$1;
            add_header Cache-Control "public, max-age=600";
        }
        location /w/images/ { alias %(dir)s/images/; }
    }
}
"""


class WebApps:
    """MediaWiki on SQLite under /wiki/ and /w/ (wiki_url), and Debian's documentation under /doc/ (docs_url).
    `public` is the address people use: the node's."""

    def __init__(self, public):
        self.dir = tempfile.mkdtemp(prefix="weir-apps-")
        self.processes = []
        self.values = {"dir": self.dir, "host": LOOPBACK, "docs": free_port(), "wiki": free_port(),
                       "mediawiki": MEDIAWIKI, "page_seconds": PAGE_SECONDS}
        self.environment = dict(os.environ, MW_CONFIG_FILE=self.path("LocalSettings.php"), PHP_FCGI_CHILDREN="3",
                                PHP_FCGI_MAX_REQUESTS="0")
        try:
            self._install(public)
            self._serve()
        except BaseException:
            self.stop()
            raise

    def path(self, name):
        return os.path.join(self.dir, name)

    @property
    def wiki_url(self):
        return "http://%(host)s:%(wiki)d" % self.values

    @property
    def docs_url(self):
        return "http://%(host)s:%(docs)d" % self.values

    def _php(self, script, *args, **kw):
        done = subprocess.run(["php", "%s/maintenance/%s" % (MEDIAWIKI, script)] + list(args), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=100, **kw)
        if done.returncode:
            raise AssertionError("%s failed:\n%s%s" % (script, done.stdout, done.stderr))

    def _install(self, public):
        for name in ("cache", "images", "tmp"):
            os.mkdir(self.path(name))
        self._php("install.php", "--dbtype", "sqlite", "--dbpath", self.path("db"), "--dbname", "wiki",
                  "--confpath", self.dir, "--server", public, "--scriptpath", "/w", "--skins", "Vector",
                  "--pass", USERS["Keeper"], "Weir Wiki", "Keeper")
        with open(self.path("LocalSettings.php"), "a") as f:
            f.write(SETTINGS % self.values)
        self._php("createAndPromote.php", "Visitor", USERS["Visitor"], env=self.environment)

    def _serve(self):
        with open(self.path("nginx.conf"), "w") as f:
            f.write(NGINX % self.values)
        self._spawn("php-cgi", "-b", self.path("php.sock"))
        self._spawn("nginx", "-e", self.path("nginx.log"), "-c", self.path("nginx.conf"))
        wait_until(lambda: os.path.exists(self.path("php.sock")), what="php listens")
        for name in ("docs", "wiki"):
            wait_until(lambda: self._listens(self.values[name]), what="nginx listens")

    def _spawn(self, *command):
        with open(self.path(command[0] + ".out"), "wb") as out:
            self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                                   stderr=subprocess.STDOUT, cwd=self.dir, env=self.environment))

    @staticmethod
    def _listens(port):
        with socket.socket() as s:
            return s.connect_ex((LOOPBACK, port)) == 0

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
