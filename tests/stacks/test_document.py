"""A YAML text becomes plain values that know their lines, and nothing but plain values."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stacks.document import parse_document, spell
from stacks.errors import StackError

KEYS = st.text(st.characters(codec="ascii", categories=("Ll", "Lu")), min_size=1, max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.dates() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_plain_data_is_read_as_it_was_written(values: dict[str, Any]) -> None:
    # Aliases are an economy of the writer, not of a reviewer.
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text = yaml.dump(values, Dumper=Plain)
    assert parse_document(text, "x.yaml").values == values


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_and_never_breaks_the_reader(text: str) -> None:
    told = "x.yaml"
    try:
        parse_document(text, "x.yaml")
    except StackError as error:
        told = str(error)
    assert told.startswith("x.yaml")
    assert len(told.splitlines()) == 1, "one problem is one line"


def test_every_key_and_item_knows_its_line() -> None:
    document = parse_document("a: 1\nb:\n  - c: 2\n    d: 3\n  - [4,\n     5]\n", "x.yaml")
    assert document.values == {"a": 1, "b": [{"c": 2, "d": 3}, [4, 5]]}
    lines = {spell(path): line for path, line in document.lines.items() if path}
    assert lines == {"a": 1, "b": 2, "b[0]": 3, "b[0].c": 3, "b[0].d": 4, "b[1]": 5, "b[1][0]": 5, "b[1][1]": 6}


def test_what_is_not_in_the_file_has_the_line_of_what_is_around_it() -> None:
    document = parse_document("a:\n  b:\n    c: 1\n", "x.yaml")
    assert document.line(("a", "b", "missing", "deeper")) == 2
    assert document.line(("elsewhere",)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3: a: this key stands in line 1 already"),
        ("a: &x [1]\nb: *x\n", "x.yaml:1: b: an alias"),
        ("a: &x [*x]\n", "x.yaml:1: a[0]: an alias"),
        ("1: a\n", "x.yaml:1: a key is text"),
        ("on: a\n", "x.yaml:1: a key is text"),
        ("? [a, b]\n: c\n", "x.yaml:1: a key is text"),
        ("a: !!python/name:os.system\n", "x.yaml:1: a: the tag"),
        ("a: !mine {b: 1}\n", "x.yaml:1: a: the tag !mine is not plain data"),
        ("a: !!set {b}\n", "x.yaml:1: a: the tag"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: is not YAML"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: is not YAML"),
        ("a: 1\nb: \x07\n", "x.yaml:2: the character U+0007 is not text; remove it"),
        ("a: " + "[" * 5000, "x.yaml: is nested too deeply to be read"),
        ("a: 2026-13-01\n", "x.yaml:1: a: '2026-13-01' is no such date or number"),
    ],
)
def test_what_is_not_plain_data_is_refused_at_its_line(text: str, told: str) -> None:
    with pytest.raises(StackError) as caught:
        parse_document(text, "x.yaml")
    assert str(caught.value).startswith(told)
