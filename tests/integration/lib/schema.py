"""docs/schema: does an answer keep to what is documented?"""
import functools
import json
import os

import jsonschema

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "schema")


@functools.lru_cache(maxsize=None)
def schemas():
    found = {}
    for name in os.listdir(FOLDER):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
            found[name] = json.load(f)
    return found


def check(value, name):
    """AssertionError unless `value` keeps to docs/schema/NAME.json."""
    schema = schemas()[name + ".json"]
    resolver = jsonschema.RefResolver(schema["$id"], schema, store=schemas())
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver)
    errors = sorted(validator.iter_errors(value), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        raise AssertionError("against %s.json:\n%s" % (name, "\n".join(
            "%s: %s" % ("/".join(map(str, e.absolute_path)), e.message[:300]) for e in errors[:10])))
