"""A real application and a large static tree behind one node, as people and their browsers meet them.

MediaWiki on SQLite (nginx and php) takes everything but /doc/, which is Debian's documentation. Readers who are
not logged in share what the cache holds; whoever is logged in must get pages of his own, and nobody else theirs.
"""
import os
import re
import struct
import zlib
from urllib.parse import quote

from lib import node as nodes
from lib.browser import Browser
from lib.case import NodeCase
from lib.client import Client
from lib.ports import LOOPBACK, free_port
from lib.wait import wait_until
from lib.webapps import DOCS, PAGE_SECONDS, USERS, WebApps

TAKES = 75  # seconds, most of them waits: the runner begins with it

MIB = 1 << 20
STATIC = re.compile(r"/w/(load\.php|resources/|skins/)|/doc/")


def is_hit(fields):
    return "hit" in [part.strip() for part in fields.get("cache-status", "").split(";")]


def picture(side):
    """A PNG of a plain colour."""
    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = (b"\0" + b"\x20\x60\xa0" * side) * side
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            + part(b"IDAT", zlib.compress(rows, 0)) + part(b"IEND", b""))


def doc_files(most_bytes):
    """Plain files of the tree with their sizes, in a fixed order, up to that many bytes in all."""
    files, total = [], 0
    for folder, folders, names in os.walk(DOCS):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            size = os.path.getsize(path)
            if size < MIB and total + size <= most_bytes:
                total += size
                files.append(path)
    return files


class AppsCase(NodeCase):
    @classmethod
    def setUpClass(cls):
        address = "%s:%d" % (LOOPBACK, free_port())
        cls.home = "http://" + address
        cls.apps = WebApps(cls.home)
        cls.addClassCleanup(cls.apps.stop)
        cls.server = nodes.Node(nodes.settings(
            [nodes.upstream(cls.apps.wiki_url, "wiki"), nodes.upstream(cls.apps.docs_url, "docs")],
            [{"upstream": "wiki"}, {"match": {"paths": ["/doc/"]}, "upstream": "docs"}],
            listen=[{"address": address}]))
        cls.addClassCleanup(cls.server.stop)
        cls.server.start()


class InTheBrowser(AppsCase):
    def browser(self):
        browser = Browser(self.home)
        self.addCleanup(browser.quit)
        return browser

    def assert_sound(self, browser):
        """Every part of what was shown arrived, through the node, and no script complained. Returns the parts."""
        parts = browser.responses()
        self.assertGreater(len(parts), 0)
        for path, status, fields in parts:
            self.assertLess(status, 400, path)
            self.assertIn("weir", fields.get("via", ""), path)
        self.assertEqual(browser.complaints(), [])
        return parts

    def log_in(self, browser, name):
        browser.go("/wiki/Special:UserLogin")
        browser.find("#wpName1").type(name)
        browser.find("#wpPassword1").type(USERS[name])
        browser.find("#wpLoginAttempt").click()
        browser.wait_text("#pt-userpage", name)

    def save(self, browser, page, text):
        browser.go("/w/index.php?action=edit&title=" + page)
        browser.find("#wpTextbox1").type(text)
        browser.find("#wpSave").click()
        browser.wait_text(".mw-parser-output", text)

    def settled(self, browser):
        """Waits until the page's scripts have loaded what they load after the page itself."""
        wait_until(lambda: browser.run("""
            return document.readyState == 'complete' && mw.loader.getState('skins.vector.legacy.js') == 'ready' &&
                mw.loader.getModuleNames().every(n => !['loading', 'loaded', 'executing'].includes(mw.loader.getState(n)))
            """), what="the scripts ran")

    def who(self, browser):
        """Whom the page says it is for."""
        names = [e.text for e in browser.all("#pt-userpage")]
        return names[0] if names else None

    def test_pages_render_with_their_styles_scripts_and_pictures(self):
        browser = self.browser()
        browser.go("/")
        self.assertEqual(browser.title, "Weir Wiki")
        self.assertTrue(browser.url.endswith("/wiki/Main_Page"))
        self.assertIn("MediaWiki has been installed.", browser.text("#content"))
        self.assertEqual(browser.run("return getComputedStyle(document.body).backgroundColor"), "rgb(246, 246, 246)")
        self.settled(browser)
        self.assertEqual(browser.run("return [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"), [])
        self.assertGreater(len(self.assert_sound(browser)), 8)

    def test_static_parts_are_hits_for_the_next_browser(self):
        first = self.browser()
        first.go("/wiki/Main_Page")
        self.settled(first)
        wanted = sorted({path for path, _, _ in self.assert_sound(first) if STATIC.match(path)})
        second = self.browser()
        second.go("/wiki/Main_Page")
        self.settled(second)
        parts = [part for part in self.assert_sound(second) if STATIC.match(part[0])]
        self.assertEqual(sorted({path for path, _, _ in parts}), wanted)
        self.assertGreater(len(parts), 5)
        for path, _, fields in parts:
            self.assertTrue(is_hit(fields), "%s: %s" % (path, fields.get("cache-status")))

    def test_the_documentation_can_be_browsed(self):
        browser = self.browser()
        browser.go("/doc/")
        browser.find('a[href="base-files/"]').click()
        browser.wait_text("h1", "Index of /doc/base-files/")
        browser.find('a[href="copyright"]').click()
        wait_until(lambda: browser.url.endswith("/copyright"), what="the file is shown")
        with open(DOCS + "/base-files/copyright", encoding="utf-8") as f:
            self.assertIn(f.readline().strip(), browser.text())
        self.assert_sound(browser)

    def test_an_edit_is_seen_by_its_author_at_once_and_by_others_when_their_copy_has_aged(self):
        author, reader = self.browser(), self.browser()
        self.log_in(author, "Keeper")
        self.save(author, "River", "The river is low.")
        reader.go("/wiki/River")
        self.assertIn("The river is low.", reader.text("#content"))
        self.save(author, "River", "The river is high.")
        author.go("/wiki/River")
        self.assertIn("The river is high.", author.text("#content"))

        def sees_it():
            reader.go("/wiki/River")
            return "The river is high." in reader.text("#content")
        wait_until(sees_it, PAGE_SECONDS + 10, "the reader sees the edit")
        self.assert_sound(author)
        self.assert_sound(reader)

    def test_nobody_is_shown_the_page_of_someone_else(self):
        keeper, visitor, stranger = self.browser(), self.browser(), self.browser()
        self.log_in(keeper, "Keeper")
        self.save(keeper, "Lock", "The lock has two gates.")
        self.log_in(visitor, "Visitor")
        everybody = ((keeper, "Keeper"), (visitor, "Visitor"), (stranger, None))
        for browser, _ in everybody:
            browser.responses()  # what came before does not count below
        for _ in range(3):
            for browser, name in everybody:
                browser.go("/wiki/Lock")
                self.assertIn("The lock has two gates.", browser.text("#content"))
                self.assertEqual(self.who(browser), name)
        self.assertEqual(keeper.cookies()["wikiUserName"]["value"], "Keeper")
        self.assertNotIn("wikiUserName", stranger.cookies())
        for browser, name in everybody:
            for path, _, fields in self.assert_sound(browser):
                if not STATIC.match(path) and name is not None:
                    self.assertFalse(is_hit(fields), path)
                    self.assertNotIn("stored", fields["cache-status"], path)
                self.assertNotIn("set-cookie", fields if is_hit(fields) else (), path)

    def test_strangers_share_a_stored_page(self):
        def view():
            with Client(self.server.address) as client:
                return client.ask("GET", "/wiki/Main_Page", host=self.home[len("http://"):])
        view()
        page = wait_until(lambda: next((p for p in (view(), view()) if p.hit), None), what="a stored page is used")
        self.assertIn("MediaWiki has been installed", page.text)
        self.assertIn("age", page.fields)
        self.assertNotIn("set-cookie", page.fields)

    def test_after_logging_out_the_pages_are_those_of_a_stranger(self):
        browser = self.browser()
        self.log_in(browser, "Visitor")
        browser.go("/wiki/Special:UserLogout")
        browser.find("#mw-content-text button[type=submit]").click()
        browser.find("#pt-login")
        browser.go("/wiki/Main_Page")
        self.assertEqual(self.who(browser), None)
        browser.find("#pt-login")
        self.assert_sound(browser)

    def test_a_wrong_password_is_refused_and_sets_nobody(self):
        browser = self.browser()
        browser.go("/wiki/Special:UserLogin")
        browser.find("#wpName1").type("Keeper")
        browser.find("#wpPassword1").type("not the password")
        browser.find("#wpLoginAttempt").click()
        browser.wait_text(".mw-message-box-error", "Incorrect username or password")
        browser.go("/wiki/Main_Page")
        self.assertEqual(self.who(browser), None)

    def test_an_uploaded_picture_is_shown(self):
        data = picture(800)
        path = self.apps.path("Weir.png")
        with open(path, "wb") as f:
            f.write(data)
        browser = self.browser()
        self.log_in(browser, "Keeper")
        browser.go("/wiki/Special:Upload")
        browser.find("#wpUploadFile").type(path)
        browser.find("input[name=wpUpload]").click()
        browser.wait_text("#firstHeading", "Weir.png")
        wait_until(lambda: browser.run("return document.querySelector('.fullImageLink img').naturalWidth") == 800,
                   what="the picture is shown")
        self.assert_sound(browser)
        with self.server.client() as client:
            link = browser.find(".fullImageLink a").property("href")
            self.assertEqual(client.ask("GET", link[len(self.home):]).body, data)


class TheTree(AppsCase):
    def test_every_file_is_as_on_disk_and_a_hit_the_second_time(self):
        files = doc_files(128 * MIB)
        self.assertGreater(len(files), 200)
        client = self.client(self.server)
        for hit in (False, True):
            for path in files:
                response = client.ask("GET", "/doc" + quote(path[len(DOCS):]))
                with open(path, "rb") as f:
                    self.assertEqual((response.status, response.body == f.read()), (200, True), path)
                self.assertEqual(response.hit, hit, "%s: %s" % (path, response.cache_status))
                if response.closes:  # client.requests_per_connection is reached
                    client = self.client(self.server)

    def test_who_has_a_file_is_told_so_by_the_cache(self):
        first = self.server.get("/doc/base-files/README")
        again = self.server.get("/doc/base-files/README", {"If-None-Match": first.fields["etag"]})
        self.assertEqual((again.status, again.hit, again.fields["etag"]), (304, True, first.fields["etag"]))
        again = self.server.get("/doc/base-files/README", {"If-Modified-Since": first.fields["last-modified"]})
        self.assertEqual((again.status, again.hit), (304, True))
        again = self.server.get("/doc/base-files/README", {"If-None-Match": '"another"'})
        self.assertEqual((again.status, again.hit, again.body), (200, True, first.body))

    def test_what_is_not_there_is_not_found(self):
        self.assertEqual(self.server.get("/doc/no-such-package/copyright").status, 404)
