"""harness.plan.yaml_io: YAML 1.2 scalars, no key twice, and the line of every value."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import HarnessError
from harness.plan import yaml_io


def read(tmp_path: Path, text: str) -> tuple[dict, yaml_io.Origins]:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    return yaml_io.read(path, "shown.yaml")


def refusal(tmp_path: Path, text: str) -> HarnessError:
    with pytest.raises(HarnessError) as caught:
        read(tmp_path, text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-7", 1e-7),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-3.", -3.0),
        ("12", 12),
        ("-4", -4),
        ("010", 10),
        ("09", 9),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-02", "2024-01-02"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'5'", "5"),
        ("[1, 2e-3]", [1, 2e-3]),
        ("{a: 1e-7}", {"a": 1e-7}),
    ],
)
def test_scalars_follow_yaml_1_2(tmp_path, text, value):
    """A scalar is the same value and type in a file and after --set, by the YAML 1.2 rules."""
    parsed = yaml_io.parse_scalar(text)
    assert parsed == value and type(parsed) is type(value)
    from_file = read(tmp_path, f"key: {text}\n")[0]["key"]
    assert from_file == value and type(from_file) is type(value)


def test_every_leaf_remembers_its_line(tmp_path):
    """Each value, list and empty mapping has file and line; mappings with content have none."""
    _, origins = read(tmp_path, "a:\n  b: 1\n  c: {d: 2,\n      e: 3}\nf: [1,\n  2]\ng: {}\n")
    assert origins == {
        ("a", "b"): "shown.yaml:2",
        ("a", "c", "d"): "shown.yaml:3",
        ("a", "c", "e"): "shown.yaml:4",
        ("f",): "shown.yaml:5",
        ("g",): "shown.yaml:7",
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: 1\nb: 2\na: 3\n", "shown.yaml:3: 'a'"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "shown.yaml:4: 'a.b'"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path, text, named):
    """Of two equal keys neither wins: the message has the path and the second one's line."""
    assert named in refusal(tmp_path, text).message


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words\n", "7\n"])
def test_only_a_mapping_is_a_recipe(tmp_path, text):
    """A file that holds a list or a scalar is refused by name."""
    assert refusal(tmp_path, text).message == "recipe shown.yaml is not a mapping of settings"


def test_an_empty_file_sets_nothing(tmp_path):
    """A file of comments is a recipe without values."""
    assert read(tmp_path, "# nothing yet\n") == ({}, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1, 2\nb: 3\n", "shown.yaml:2"),
        (b"a: 1\n  b: 2\n", "shown.yaml:2"),
        (b"a: \xff\xfe\n", "not UTF-8"),
        (b"a: !!python/object/apply:os.getcwd []\n", "shown.yaml:1"),
        (b"a: 1\n---\nb: 2\n", "shown.yaml:2"),
    ],
)
def test_broken_yaml_names_the_place(tmp_path, content, said):
    """What cannot be parsed is a message with the file, and the line where there is one."""
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(HarnessError) as caught:
        yaml_io.read(path, "shown.yaml")
    assert said in caught.value.message and caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path):
    """A recipe that cannot be opened is a message with its name."""
    with pytest.raises(HarnessError, match=r"cannot read recipe shown\.yaml: No such file"):
        yaml_io.read(tmp_path / "none.yaml", "shown.yaml")


@pytest.mark.parametrize("text", ["[1, 2", "{a: 1", "'open"])
def test_a_broken_value_on_the_command_line_is_refused(text):
    """A value after --set that is no YAML is a message that repeats it."""
    with pytest.raises(HarnessError) as caught:
        yaml_io.parse_scalar(text)
    assert repr(text) in caught.value.message
