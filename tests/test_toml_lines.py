"""The line of each key in a TOML file."""

import tomllib

import pytest

from dronewall.toml_lines import lines


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("a = 1\n\n# a = 2\nb = 3", ("b",), 4),
        ("[t]\na = 1\n[t.u]\nb = 2", ("t", "u", "b"), 4),
        ("[[t]]\n[[t]]\n  [[t.u]]\n  a = 1", ("t", 1, "u", 0, "a"), 4),
        ("[[t]]\n[[t.u]]\n[[t]]\n[[t.u]]\na = 1", ("t", 1, "u", 0, "a"), 5),
        ("[[t]]\n[t.u]\na = 1", ("t", 0, "u", "a"), 3),
        ("a = [\n  1, # ]\n  [2,\n   3],\n]\nb = 1", ("a", 1, 1), 4),
        ("a = [\n  1, # ]\n  [2,\n   3],\n]\nb = 1", ("b",), 6),
        ("a = { b = 1, c = [ { d = 2 } ] }\ne = 1", ("a", "c", 0, "d"), 1),
        ("a.b.c = 1\na.b.d = 2", ("a", "b", "d"), 2),
        ('a = """\n[t]\nb = 1 \\"""\n"""\n[t]\nb = 2', ("t", "b"), 6),
        ("a = '''\n[t]\n'''\n[t]\nb = 2", ("t", "b"), 5),
        ('a = ""\nb = "# \\" ["\nc = 1', ("c",), 3),
        ("[\"a.b\"]\n'c d' = 1", ("a.b", "c d"), 2),
        ("a = 1979-05-27 07:32:00\nb = 1", ("b",), 2),
        ('a = """x""""\nb = 1', ("b",), 2),
    ],
)
def test_a_key_has_the_line_it_stands_on(text, key, line):
    assert lines(text)[key] == line


def test_every_key_of_the_demos_site_has_a_line_that_shows_it(pytestconfig):
    text = (pytestconfig.rootpath / "examples" / "jacksboro.toml").read_text("utf-8")
    found, source = lines(text), text.split("\n")

    def keys(value, key):
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, item in items:
            yield (*key, name)
            yield from keys(item, (*key, name))

    wanted = list(keys(tomllib.loads(text), ()))
    assert len(wanted) > 200
    for key in wanted:
        name = next(part for part in reversed(key) if isinstance(part, str))
        shown = source[found[key] - 1]
        # The items of a list over several lines stand on lines of their own.
        assert name in shown or (isinstance(key[-1], int) and shown.strip().startswith("["))
