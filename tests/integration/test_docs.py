"""What the documentation names is what there is: log fields, errors, statuses, links, the examples."""
import glob
import json
import os
import re
import subprocess
import tempfile
import unittest

from lib.ctl import weirctl
from lib.node import binary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ["README.md", "CHANGELOG.md", "bench/README.md"] + ["docs/" + n for n in os.listdir(ROOT + "/docs")
                                                             if n.endswith(".md")]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def section(page, title):
    """The text below a heading, up to the next one of the same or a higher level."""
    match = re.search(r"^(#+) %s$" % re.escape(title), page, re.MULTILINE)
    level = len(match.group(1))
    rest = page[match.end():]
    end = re.search(r"^#{1,%d} " % level, rest, re.MULTILINE)
    return rest[:end.start()] if end else rest


def anchor(title):
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


class Errors(unittest.TestCase):
    rows = re.findall(r'^X\((\w+), "(\w*)", (\d+), ', read("include/weir/errors.def"), re.MULTILINE)

    def test_every_error_stands_beside_its_status(self):
        table = section(read("docs/http.md"), "Every error and its status")
        documented = {(name, status) for status, names in re.findall(r"^\| (\d{3}) \| (.*) \|$", table, re.MULTILINE)
                      for name in re.findall(r"\b[A-Z_]{4,}\b", names)}
        self.assertEqual(documented, {(name, status) for name, _, status in self.rows})

    def test_every_proxy_status_a_client_may_see_is_explained(self):
        """weir sends Proxy-Status with 5xx alone; configuration errors reach no client."""
        table = section(read("docs/operations.md"), "What Proxy-Status says")
        explained = {(kind, status) for kind, statuses in re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", table, re.MULTILINE)
                     for status in statuses.split(", ")}
        self.assertEqual(explained, {(kind, status) for _, kind, status in self.rows
                                     if kind and status >= "500" and kind != "proxy_configuration_error"})


class Words(unittest.TestCase):
    def test_every_field_of_the_json_log_is_explained(self):
        table = section(read("docs/operations.md"), "The fields of the JSON log")
        rows = re.findall(r"^\| `(\w+)`( \*)? \|", table, re.MULTILINE)
        fields = re.findall(r'^    \{"(\w+)", \w+, (\w+), put_', read("node/exchange/access_log.c"), re.MULTILINE)
        self.assertGreater(len(fields), 10)
        self.assertEqual([(name, not star) for name, star in rows], [(name, d == "true") for name, d in fields])

    def test_every_detail_of_cache_status_is_explained(self):
        page = section(read("docs/operations.md"), "What Cache-Status says")
        explained = set()
        for cell in re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE):
            explained.update(re.findall(r"`([\w-]+)`", cell))
        words = set(re.findall(r'\[STORABLE_\w+\] = "([\w-]+)"', read("node/cache/storable.c"))) - {"method"}
        self.assertGreater(len(words), 10)
        for name in ("lookup.c", "fetch.c", "fetch_answer.c", "fetch_validate.c"):
            source = read("node/exchange/" + name)
            words.update(re.findall(r'(?:return|FWD_\w+,|x->fwd,|answer_stale\([^"]*|ask_again\(x,|too_large \?) "([\w-]+)"',
                                    source))
        self.assertTrue({"off", "hit-for-miss", "collapse-timeout", "stale-if-error", "too-large"} < words, words)
        self.assertEqual(words - explained, set())

    def test_every_reason_to_forward_that_occurs_is_explained(self):
        words = dict(re.findall(r'\[(FWD_\w+)\] = "([\w-]+)"', read("node/cache/cache_status.c")))
        used = {name for path in ("node/exchange/lookup.c", "node/cache/reuse.c")
                for name in re.findall(r"\bFWD_\w+", read(path))}
        page = section(read("docs/operations.md"), "What Cache-Status says")
        missing = [word for name, word in words.items() if name in used and "| `%s` |" % word not in page]
        self.assertEqual(missing, [])


class Requirements(unittest.TestCase):
    """docs/cache.md: tables whose last column is called "test" name the tests that prove what they say."""
    def named(self):
        proving = False
        for line in read("docs/cache.md").splitlines():
            cells = [c.strip() for c in line.strip("|").split("|")]
            if not line.startswith("|"):
                proving = False
            elif cells[-1] in ("test", "tests", "proof"):
                proving = True
            elif proving and not cells[0].startswith("---"):
                names = re.findall(r"`([\w.]+)`", cells[-1])
                self.assertTrue(names, "no test in: " + line)
                yield from names

    def missing(self, names, tests):
        """Those that are no tests. `.that_too` stands for another test of a file or class named before."""
        prefixes = set()
        for name in names:
            words = name.split(".")
            if not any(f in tests for f in ([p + name for p in prefixes] if name.startswith(".") else [name])):
                yield name
            elif words[0]:
                prefixes.update(".".join(words[:n]) for n in range(1, len(words) + 1))

    def test_every_requirement_is_proved_by_tests_that_exist(self):
        tests = {os.path.basename(path)[:-2] for path in glob.glob(ROOT + "/*/**/fuzz_*.c", recursive=True)}
        for path in glob.glob(ROOT + "/*/**/test_*.c", recursive=True):
            file = os.path.basename(path)[:-2]
            names = re.findall(r"cmocka_unit_test\w*\((\w+)", read(path))
            tests.update([file] + names + [file + "." + name for name in names])
        here = os.path.dirname(os.path.abspath(__file__))
        modules = [f[:-3] for f in os.listdir(here) if re.fullmatch(r"test_\w+\.py", f)]
        suites = [unittest.defaultTestLoader.loadTestsFromNames(modules)]
        while suites:
            suite = suites.pop()
            if isinstance(suite, unittest.TestSuite):
                suites.extend(suite)
            else:
                words = suite.id().split(".")
                tests.update(".".join(words[:n]) for n in range(1, len(words) + 1))
        named = list(self.named())
        self.assertGreater(len(named), 60)
        self.assertEqual(list(self.missing(named, tests)), [])


class Pages(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in PAGES:
            for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
                if re.match(r"https?:", link):
                    continue
                path, _, fragment = link.partition("#")
                target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                with self.subTest(page=page, link=link):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, target)))
                    titles = re.findall(r"^#+ (.*)$", read(target), re.MULTILINE) if fragment else []
                    self.assertIn(fragment or "", [anchor(t) for t in titles] + [""])

    def test_the_stages_are_named(self):
        stages = re.findall(r'^    \[STAGE_\w+\] = \{"(\w+)", ', read("node/exchange/stages.c"), re.MULTILINE)
        self.assertGreater(len(stages), 4)
        table = section(read("docs/architecture.md"), "The path of a request")
        self.assertEqual(re.findall(r"^\| (\w+) \|", table, re.MULTILINE), ["stage"] + stages)

    def test_the_manual_knows_every_option_and_the_version(self):
        page = read("docs/weir.8").replace("\\-", "-")
        for option in re.findall(r'\{"(\w+)", \w+_argument', read("node/main.c")):
            self.assertIn("--" + option, page)
        version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        self.assertIn('"%s"' % version, page)

    def test_the_manual_of_weirctl_knows_every_command_and_option_and_the_version(self):
        page = re.sub(r"\\f[BIRP]", "", read("docs/weirctl.1")).replace("\\-", "-")
        tables = json.loads(weirctl("help", "--json").stdout)
        for option in tables["options"]:
            self.assertTrue(re.search(r"--%s\b" % re.escape(option["name"]), page), option)
        for command in tables["commands"]:
            name = " ".join(filter(None, (command["group"], command.get("name"))))
            self.assertTrue(re.search(r'(?m)^\.(B|BI|BR) .*\b%s\b' % re.escape(name), page), name)
        version = weirctl("--version").stdout.strip().split()[1]
        self.assertIn('"weir %s"' % version, page)

    def test_the_manuals_are_well_formed(self):
        for page in ("weir.8", "weirctl.1"):
            done = subprocess.run(["man", "--warnings", "-l", os.path.join(ROOT, "docs", page)], capture_output=True,
                                  text=True, env=dict(os.environ, LC_ALL="C.UTF-8", MANPAGER="cat", MANWIDTH="100"))
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    def test_every_endpoint_is_explained(self):
        page = read("docs/api.md")
        titles = " ".join(a or b for a, b in re.findall(r"^### (.*)$|^\| `([^`]*)` \|", page, re.MULTILINE))
        endpoints = re.findall(r'\{"(/[\w/]+)", HTTP_M_(\w+)', read("node/admin/admin.c"))
        self.assertGreater(len(endpoints), 3)
        for path, method in endpoints:
            self.assertRegex(titles, r"\b%s %s(?![\w/])" % (method, path))

    def test_whole_configurations_shown_are_good(self):
        """Every indented block that holds the three sections a configuration needs."""
        shown = 0
        for page in PAGES:
            for block in re.findall(r"(?:^    .*\n|^\n)+", read(page), re.MULTILINE):
                text = re.sub(r"^    ", "", block, flags=re.MULTILINE)
                if not all(re.search("^%s:" % key, text, re.MULTILINE) for key in ("listen", "upstreams", "routes")):
                    continue
                shown += 1
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
                    f.write(text)
                    f.flush()
                    check = subprocess.run([binary(), "check", f.name], capture_output=True, text=True)
                self.assertEqual(check.returncode, 0, page + ": " + check.stderr)
        self.assertGreater(shown, 1)
