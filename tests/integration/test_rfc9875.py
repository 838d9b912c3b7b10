"""RFC 9875: Cache-Groups and Cache-Group-Invalidation."""
from lib.rows import ASKED, HIT, MISS, RowsCase, ask, get, rows

FRESH = "Cache-Control: max-age=60"


@rows
class Groups(RowsCase):
    """Numbers in names are sections of RFC 9875."""
    G = FRESH + '\nCache-Groups: "scripts", "all"'
    rows = {
        "a group is invalidated by an unsafe method (3)":
            [get(G, MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "scripts"', path="/y"), get(FRESH, MISS, path="/x")],
        "one of several groups suffices (3)":
            [get(G, MISS, path="/x"), ask("PUT", MISS, 'Cache-Group-Invalidation: "none", "all"', path="/y"), get(FRESH, MISS, path="/x")],
        "other groups stay": [get(G, MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "script"', path="/y"),
                              get(None, HIT, path="/x", body=b"answer 1")],
        "names are compared with their case (2_1)":
            [get(G, MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "Scripts"', path="/y"), get(None, HIT, path="/x", body=b"answer 1")],
        "a safe method invalidates no group (3)":
            [get(G, MISS, path="/x"), get('Cache-Group-Invalidation: "scripts"', MISS, path="/y"), get(None, HIT, path="/x", body=b"answer 1")],
        "groups of another origin stay (2_1)":
            [get(G, MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "scripts"', path="/y", host="other.example"),
             get(None, HIT, path="/x", body=b"answer 1")],
        "a member that is no string makes the field void (RFC 9651)":
            [get(G, MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "scripts", 4', path="/y"), get(None, HIT, path="/x", body=b"answer 1")],
        "parameters are ignored (2)":
            [get(FRESH + '\nCache-Groups: "a";x=1', MISS, path="/x"), ask("POST", MISS, 'Cache-Group-Invalidation: "a";y', path="/y"),
             get(FRESH, MISS, path="/x")],
        "lines of the field are one list": [get(FRESH + '\nCache-Groups: "a"\nCache-Groups: "b"', MISS, path="/x"),
                                            ask("POST", MISS, 'Cache-Group-Invalidation: "b"', path="/y"), get(FRESH, MISS, path="/x")],
        "an unsafe method invalidates not those in the group of its target (2_2_1)":
            [get(G, MISS, path="/x"), get(G, MISS, path="/y"), ask("POST", MISS, "", path="/y"), get(None, ASKED, path="/y"),
             get(None, None, path="/x")],
        "32 groups of 32 characters are kept (2)":
            [get(FRESH + "\nCache-Groups: " + ", ".join('"%032d"' % n for n in range(32)), MISS, path="/x"),
             ask("POST", MISS, 'Cache-Group-Invalidation: "%032d"' % 31, path="/y"), get(FRESH, MISS, path="/x")],
        "the field is passed on": [get(G, MISS, fields={"cache-groups": '"scripts", "all"'}),
                                   get(None, HIT, fields={"cache-groups": '"scripts", "all"'})],
    }
