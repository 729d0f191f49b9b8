"""Training curves: what is read of a log and how it is drawn."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from harness import HarnessError
from harness.results.curves import Curve, picture, read_curve, summary, thinned

SVG = "{http://www.w3.org/2000/svg}"


def run(folder, values):
    folder.mkdir()
    lines = [f'{{"loss": {value}, "lr": 0.5, "step": {step}}}\n' for step, value in enumerate(values)]
    (folder / "log.jsonl").write_text("".join(lines))
    return folder


def test_a_curve_is_what_the_log_says(tmp_path):
    """Every step's value in order, under the folder's name or the given label."""
    folder = run(tmp_path / "one", [3, 2, 1])
    assert read_curve(str(folder), "loss") == Curve("one", (1, 2, 3), (3.0, 2.0, 1.0))
    assert read_curve(f"mine={folder}", "lr") == Curve("mine", (1, 2, 3), (0.5, 0.5, 0.5))


def test_a_folder_whose_name_holds_an_equals_sign(tmp_path):
    """A path that exists is a path, not a label."""
    folder = run(tmp_path / "lr=1", [1])
    assert read_curve(str(folder), "loss").label == "lr=1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no log at"),
        ("", "has no step in it yet"),
        ("nonsense", "is not the log of a run"),
        ('{"lr": 1}\n', "is not the log of a run"),
    ],
)
def test_what_is_no_log(tmp_path, content, said):
    """A folder without a log, or with something else in its place, is named in one line."""
    if content is not None:
        (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(HarnessError) as caught:
        read_curve(str(tmp_path), "loss")
    assert said in caught.value.message and str(tmp_path) in caught.value.message


def test_thinning_keeps_the_mean():
    """Fewer points, each the mean of so many steps, up to the last step."""
    curve = Curve("a", tuple(range(1, 1001)), tuple(float(v) for v in range(1000)))
    few = thinned(curve, 10)
    assert len(few.values) == 100 and few.steps[-1] == 1000
    assert math.isclose(sum(few.values) / 100, sum(curve.values) / 1000)


def test_the_picture_holds_every_curve_inside_its_axes():
    """One line and one label a curve; higher values stand higher; nothing leaves the picture."""
    curves = [Curve("a <b>", (1, 2, 3), (3.0, 2.0, 1.0)), Curve("c", (1, 2), (0.5, 0.5))]
    root = ElementTree.fromstring(picture(curves, "loss"))
    width, height = map(float, root.get("viewBox").split()[2:])
    lines = root.findall(f"{SVG}polyline")
    points = [[tuple(map(float, p.split(","))) for p in line.get("points").split()] for line in lines]
    assert [len(line) for line in points] == [3, 2]
    assert all(0 <= x <= width and 0 <= y <= height for line in points for x, y in line)
    heights = [y for _, y in points[0]]
    assert heights == sorted(heights) and heights[0] < points[1][0][1]
    assert {"a <b>", "c", "loss", "step"} <= {text.text for text in root.findall(f"{SVG}text")}


def test_a_level_curve_can_be_drawn():
    """Values that never change leave the axis a height."""
    root = ElementTree.fromstring(picture([Curve("a", (1,), (2.0,))], "loss"))
    assert "nan" not in ElementTree.tostring(root).decode()


def test_the_summary_compares_start_and_end():
    """The means of the first and the last twentieth of the steps."""
    curve = Curve("a", tuple(range(1, 41)), tuple(float(v) for v in range(40)))
    assert "|               0.5 |             38.5 |" in summary([curve], "loss")
