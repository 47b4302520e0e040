"""YAML and JSON, strictly: what is read, and where what is not read is wrong (policy-admin.md, "Required" 1 and 6)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import InvalidFiles
from connector.files.documents import MAX_BYTES, Document, read


def problems(text: str | bytes, file: str = "p.yaml") -> list[str]:
    with pytest.raises(InvalidFiles) as caught:
        read(text if isinstance(text, bytes) else text.encode(), file)
    return [str(problem) for problem in caught.value.problems]


def yaml(text: str) -> Document:
    return read(text.encode(), "p.yaml")


def test_yaml_and_json_give_the_same_value_and_their_own_places() -> None:
    written = yaml("permission:\n  - action: use\n    count: 3\n")
    as_json = read(b'{"permission": [\n {"action": "use", "count": 3}]}', "p.jsonld")
    assert written.value == as_json.value == {"permission": [{"action": "use", "count": 3}]}
    assert written.nodes.places["permission", 0, "count"] == (3, 12)
    assert written.nodes.keys["permission", 0, "count"] == (3, 5)
    assert as_json.nodes.places["permission", 0, "count"] == (2, 29)
    assert as_json.nodes.keys["permission", 0, "count"] == (2, 20)


def test_what_is_typed_in_yaml_is_what_every_reader_types_alike() -> None:
    text = """\
null: ~
empty:
yes: true
whole: -12
decimal: 1.50
exponent: 1e3
date: 2026-11-23
instant: 2026-11-23T10:00:00Z
time: 12:30
quoted: "yes"
version: 1.2.3
block: |
  no
"""
    assert yaml(text).value == {
        "null": None,
        "empty": None,
        "yes": True,
        "whole": -12,
        "decimal": 1.5,
        "exponent": 1000.0,
        "date": "2026-11-23",
        "instant": "2026-11-23T10:00:00Z",
        "time": "12:30",
        "quoted": "yes",
        "version": "1.2.3",
        "block": "no\n",
    }


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "y", "N", "NO", "True", "NULL"])
def test_a_word_that_is_a_truth_value_to_some_is_refused(word: str) -> None:
    """`spatial: NO` is Norway, or false: nobody has to guess."""
    assert problems(f"spatial: {word}") == [
        f"p.yaml:1:10: error yaml-ambiguous {word} is a truth value to some readers of YAML and text to others; "
        f'write true, false or null, or "{word}" in quotes'
    ]


@pytest.mark.parametrize("number", ["012", "0o14", "0x1F", "1_000", "-07", ".inf", ".NaN"])
def test_a_number_that_is_another_one_to_some_is_refused(number: str) -> None:
    (problem,) = problems(f"count: {number}")
    assert problem.startswith(f"p.yaml:1:8: error yaml-ambiguous {number} is n")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: error duplicate-key 'a' is here twice, first in line 1, column 1"),
        ("a: &x 1\n", "1:4: error yaml-anchor &x: anchors and aliases are not read; write it out"),
        ("a: {<<: {b: 1}}\n", "1:5: error yaml-anchor <<: merge keys are not read; write the keys out"),
        ("a: !!str 1\n", "1:4: error yaml-tag tag:yaml.org,2002:str: tags are not read; remove it"),
        ("a: 1\n---\nb: 1\n", "2:1: error yaml-documents a second document begins; write one per file"),
        ("%YAML 1.1\n---\na: 1\n", "2:1: error yaml-version asks for another YAML than 1.2; remove the %YAML line"),
        ("a:\n\tb: 1\n", "2:1: error yaml-syntax a tab; indent with spaces"),
        ("a: [1\nb: 2\n", "2:2: error yaml-syntax expected ',' or ']', but got ':', while parsing a flow sequence"),
        ("a: \x07\n", "1:4: error yaml-syntax the character #x0007 is not allowed; remove it"),
        ("? [a]\n: 1\n", "1:3: error yaml-key a key must be text"),
        ("", "1:1: error file-empty is empty"),
        ("# nothing but words\n", "1:1: error file-empty is empty"),
    ],
)
def test_what_only_some_readers_understand_is_refused_with_its_place(text: str, problem: str) -> None:
    assert problems(text) == [f"p.yaml:{problem}"]


def test_a_bomb_of_aliases_is_never_built() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    assert all("yaml-anchor" in problem for problem in problems("\n".join(lines)))


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"a": 1,\n "a": 2}', "2:2: error duplicate-key 'a' is here twice, first in line 1, column 2"),
        ('{\n\t"a":\t[1,],\n}', "2:10: error json-syntax "),
        ("{'a': 1}", "1:2: error json-syntax expecting property name enclosed in double quotes"),
        ('{"a": 1 // why\n}', "1:9: error json-syntax expecting ',' delimiter"),
        ('{"a": NaN}', "1:7: error json-syntax NaN is not JSON; write a number"),
        ('{"a": "x\ny"}', "1:9: error json-syntax invalid control character at"),
        ("", "1:1: error json-syntax expecting value"),
        ("[" * 100 + "]" * 100, "1:66: error file-depth is nested deeper than 64 levels"),
        ("[" * 100_000, "1:1: error file-depth is nested deeper than 64 levels"),
    ],
)
def test_json_is_json(text: str, problem: str) -> None:
    assert problems(text, "d.jsonld")[0].startswith(f"d.jsonld:{problem}")


@pytest.mark.parametrize("file", ["p.yaml", "d.jsonld"])
@pytest.mark.parametrize(
    "data, problem",
    [
        (b"\xef\xbb\xbf{}", "1:1: error file-encoding begins with a byte order mark; save it as UTF-8 without one"),
        (b'{\n"a": "\xe6"}', "2:7: error file-encoding is not UTF-8 from here on; save it as UTF-8"),
        (b" " * (MAX_BYTES + 1), f"1:1: error file-size has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"),
    ],
)
def test_bytes_that_are_not_text_are_refused(file: str, data: bytes, problem: str) -> None:
    assert problems(data, file) == [f"{file}:{problem}"]


@pytest.mark.parametrize("file", ["p.yaml", "d.jsonld"])
def test_half_a_character_is_refused_and_a_whole_one_is_read(file: str) -> None:
    assert problems(b'{"a":\n "x\\ud800"}', file) == [
        f"{file}:2:4: error file-encoding \\ud800 is half a character; write the character itself"
    ]
    assert read(b'{"a": "\\u00e6"}', file).value == {"a": "æ"}
    assert read(b'{"a": "\\ud83d\\ude00"}', "d.jsonld").value == {"a": "\N{GRINNING FACE}"}


def test_tabs_between_the_tokens_of_json_are_fine() -> None:
    assert read(b'{\n\t"a":\t[1,\t2]\n}', "d.jsonld").value == {"a": [1, 2]}


def test_a_place_that_is_not_there_is_that_of_the_node_around_it() -> None:
    document = yaml("source:\n  type: file\n")
    assert str(document.problem("c", "m", ("source", "path", 3))) == "p.yaml:2:3: error c m"


def test_several_problems_are_all_reported() -> None:
    assert len(problems("a: yes\nb: &x 1\nc: *x\na: 012\n")) == 5


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 1, 4]), st.booleans())
def test_every_json_document_is_read_as_the_standard_library_reads_it(
    value: object, indent: int | None, escape: bool
) -> None:
    """JSON is a part of YAML only nearly: what YAML cannot read is read all the same, its problems are without place."""
    text = json.dumps(value, indent=indent, ensure_ascii=escape)
    document = read(text.encode(), "d.jsonld")
    assert document.value == json.loads(text)
    assert document.problem("c", "m", ("a", 0)).line is not None
