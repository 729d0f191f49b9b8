"""Plugins that break one promise each: the kit names it, and whoever is beside them is unharmed."""

from __future__ import annotations

import importlib
import json
import math
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness import plugins
from harness.plugins import GROUP, Plugin, Registry, discover
from harness.testing import Fault, Outcome, Subject, examine, parity, subjects
from harness.testing.report import lines
from tests.docs.blocks import plugins_of

HERE = "tests.conformance.broken"


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins, and beside them the broken ones of this folder."""
    found = discover(entry_points(group=GROUP))
    for name in ("modules", "losses", "api", "twin", "data", "loud"):
        target = f"{HERE}.{name}"
        found.add(Plugin(f"broken_{name}", "tests", "1", target, importlib.import_module(target)))
    return found


def failed(registry: Registry, kind: str, name: str, until: str = "") -> dict[str, Outcome]:
    """The failed checks of a component or plugin by title, no further than the one of that title."""
    [subject] = [s for s in subjects(registry, name) if s.kind == kind]
    found = {}
    for outcome in examine(subject):
        if outcome.status == "failed":
            found[outcome.check] = outcome
        if outcome.check == until:
            break
    return found


TEMPORAL = {
    "leaky": (
        "features do not depend on the rest of the batch",
        "leak across the batch: beside other clips they differ",
    ),
    "leaky_in_training": ("features do not depend on the rest of the batch", "(train mode)"),
    "maskless": ("padding is obeyed", "other pixels in masked frames changes scores"),
    "nan": ("features and scores have the promised form", "pooled of plain input are not finite"),
    "empty_nan": ("a clip without a frame poisons nothing", "without a real frame is not finite"),
    "halved": ("features and scores have the promised form", "is torch.float16"),
    "in_place": ("features and scores have the promised form", "changes the frames that it is given"),
    "unpooled": ("features and scores have the promised form", "these features have no pooled vector"),
    "untaught": ("gradients are finite", "no weight gets a gradient from the scores"),
    "unsaved": ("a saved module is loaded as it was", "scores otherwise"),
    "counting": ("the number of workers changes nothing", "depends on the number of workers"),
    "floated": ("the number of workers changes nothing", "a step in double precision fails"),
    "float_mask": ("features and scores have the promised form", "the mask is torch.float32"),
    "no_module": ("the factory makes a temporal module", "returned a dict"),
    "typo": ("the factory makes a temporal module", "small.wich"),
}


@pytest.mark.parametrize("name", TEMPORAL)
def test_a_temporal_module_is_named(registry, name):
    """The check that fails is the one about the broken promise, with a message that says which."""
    check, message = TEMPORAL[name]
    found = failed(registry, "temporal modules", f"broken_{name}", check)
    assert check in found and message in found[check].message
    assert found[check].hint


def test_a_sound_module_beside_them_passes(registry):
    """The module that the broken ones are made of has no fault: the kit accuses nobody else."""
    assert failed(registry, "temporal modules", "broken_plain") == {}


LOSSES = {
    "by_share": ("the number of workers changes nothing", "depends on the number of workers"),
    "detached": ("the number of workers changes nothing", "the gradient of"),
    "random": ("the same samples have the same loss", "another loss the second time"),
    "infinite": ("loss and gradients are finite", "the loss of plain samples is nan"),
    "unnamed": ("loss and gradients are finite", "it asks for 'frame', which it is not given"),
    "nowhere": ("the factory makes a loss", "has no 'nowhere'"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_named(registry, name):
    """A share of the batch, a term without ``total``, a free draw and a NaN are told apart."""
    check, message = LOSSES[name]
    found = failed(registry, "losses", f"broken_{name}", check)
    assert check in found and message in found[check].message


def test_a_sound_loss_beside_them_passes(registry):
    """The loss that the broken ones are made of has no fault."""
    assert failed(registry, "losses", "broken_contrast") == {}


def outcome_of(registry: Registry, name: str, check: str) -> Outcome:
    [subject] = subjects(registry, name)
    return next(outcome for outcome in examine(subject) if outcome.check == check)


def test_a_source_that_looks_misspelt_is_told(registry):
    """A source that is nearly one that every batch has is told with that one, and is no fault."""
    found = outcome_of(registry, "reads_texts", "no source looks misspelt")
    assert found.status == "skipped" and "reads 'texts'" in found.message and "'text' meant?" in found.message


@pytest.mark.parametrize("name", ["reads_context", "broken_contrast", "ocl_vsc_fc"])
def test_a_further_text_is_no_slip(registry, name):
    """A text of a name of its own, and the middle frame, are not taken for slips."""
    assert outcome_of(registry, name, "no source looks misspelt").status == "passed"


OTHERS = {
    ("schedules", "broken_negative"): "step 4 of 7 has the factor",
    ("postprocessors", "broken_in_place"): "changes the scores that it is given",
    ("methods", "broken_recipe"): "model.temporal.linear_pach': unknown key",
    ("plugins", "broken_losses"): "imports torch",
    ("plugins", "broken_api"): "written for hook API 98..99",
    ("plugins", "broken_twin"): "loss 'info_nce' is declared by",
    ("plugins", "broken_loud"): "prints 'thank you for choosing loud'",
    ("datasets", "broken_text_paths"): "the path of clip owl is a str",
    ("datasets", "broken_plain_error"): "over an empty folder it raises FileNotFoundError",
    ("datasets", "broken_empty"): "over its own sample it says: there is no",
}


@pytest.mark.parametrize(("kind", "name"), OTHERS)
def test_everything_else_is_named(registry, kind, name):
    """A negative rate, a changed input, a misspelt recipe; a plugin that is heavy, old or takes a name."""
    found = failed(registry, kind, name)
    assert any(OTHERS[kind, name] in outcome.message for outcome in found.values()), found


def test_a_task_that_returns_nothing():
    """A task without a result on the first worker is named, in a run as by the kit."""
    with plugins_of(Path(__file__).parent / "broken", "lying.py"):
        found = failed(plugins.registry(), "tasks", "silent")
    assert [outcome.message for outcome in found.values()] == [
        "the task 'silent' returned nothing on the first worker"
    ]


def test_a_task_whose_audit_disagrees():
    """A task is scored, also one with another's protocols, and figures that its audit does not give are named."""
    with plugins_of(Path(__file__).parent / "broken", "lying.py"):
        found = failed(plugins.registry(), "tasks", "lying:lying")
    assert [outcome.message for outcome in found.values()] == ["its record says right = 99.0, its audit 50.0"]


def test_a_sound_data_set_beside_them_passes(registry):
    """The data set that the broken ones are made of has no fault."""
    assert failed(registry, "datasets", "broken_sound") == {}


def test_a_name_of_two_is_checked_by_its_qualified_one(registry):
    """A name that two plugins declare is checked with the plugin before it, and then works as such."""
    [subject] = subjects(registry, "broken_twin:info_nce")
    assert (subject.kind, subject.name) == ("losses", "broken_twin:info_nce")
    assert {s.name for s in subjects(registry, "info_nce")} == {"broken_twin:info_nce", "standard:info_nce"}


def test_paths_are_not_broken_in_the_report():
    """However long the line, what is copied from it is whole."""
    path = "/a/long-path/" + "with-hyphens/" * 12 + "module.py:7"
    outcome = Outcome(plugin="p", kind="loss", name="n", check="c", status="failed", message=f"see {path}")
    assert any(path in line for text in lines([outcome]) for line in text.splitlines())


def test_a_plugin_that_cannot_be_imported_is_one_line(cli, monkeypatch):
    """`harness check` says why it did not load, and ends with 1."""
    broken = discover([])
    broken.add(Plugin("gone", "tests", "1", "gone", None, "import failed: ModuleNotFoundError: no gone"))
    monkeypatch.setattr("harness.plugins.registry", lambda: broken)
    done = cli("check", "gone")
    assert done.exit_code == 1
    assert "FAILED the plugin loads" in done.stdout and "ModuleNotFoundError: no gone" in done.stdout


def test_an_unknown_name_is_an_error_of_the_user(cli):
    """What is neither a plugin nor a component is refused, with what could have been meant."""
    done = cli("check", "info_nse")
    assert done.exit_code == 2 and "info_nce" in done.stderr


def test_json_is_a_line_for_each_check(cli):
    """Every line can be read by a program, and says plugin, component, check and status."""
    done = cli("check", "cosine", "--json")
    assert done.exit_code == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 3 and {row["name"] for row in found} == {"cosine"}
    assert {row["status"] for row in found} == {"passed"}


def test_whatever_a_check_meets_the_others_run(registry):
    """A component of the promised form has every other check run, whichever of them fails."""
    [subject] = subjects(registry, "broken_untaught")
    assert isinstance(subject, Subject)
    outcomes = list(examine(subject))
    titles = [outcome.check for outcome in outcomes]
    assert len(titles) == len(set(titles)) > 8
    assert "not reached" not in {outcome.status for outcome in outcomes}


BEFORE = {
    "broken_unpooled": ("features and scores have the promised form", 9),
    "broken_unnamed": ("loss and gradients are finite", 4),
    "broken_infinite": ("loss and gradients are finite", 4),
    "broken_negative": ("every step has a factor", 1),
    "broken_unclaimed": ("it claims the files that it writes", 3),
    "broken_no_module": ("the factory makes a temporal module", 10),
    "broken_nowhere": ("the factory makes a loss", 5),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_fault_that_others_would_repeat_is_told_once(registry, name):
    """After what cannot be made, or has not the promised form, no check runs, and each says which one failed."""
    check, others = BEFORE[name]
    [subject] = subjects(registry, name)
    outcomes = list(examine(subject))
    assert [outcome.check for outcome in outcomes if outcome.status == "failed"] == [check]
    unreached = [outcome for outcome in outcomes if outcome.status == "not reached"]
    assert len(unreached) == others and all(f"'{check}' failed" in outcome.message for outcome in unreached)
    said = "\n".join(lines(outcomes))
    assert said.count("not reached") == 2 and said.endswith(f"1 failed, {others} not reached")


def test_a_fault_told_once_still_fails_the_command(cli, registry, monkeypatch):
    """`harness check` ends with 1, and `--json` has an object for the checks that were not reached too."""
    monkeypatch.setattr("harness.plugins.registry", lambda: registry)
    done = cli("check", "broken_negative", "--json")
    assert done.exit_code == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in found] == ["passed", "failed", "not reached"]


PARITY = {"kind": "losses", "component": "broken_contrast", "source": "by hand", "tolerance": 1e-6}


@pytest.mark.parametrize(("off", "met"), [(0.0, True), (1e-3, False)])
def test_a_reference_figure_is_met_or_named(registry, tmp_path, off, met):
    """A fixture with the loss of two pairs, worked out by hand, passes; one that is off by 1e-3 fails by name."""
    similarity, scale = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor(2.0)
    loss = torch.tensor(math.log(1 + math.exp(-2.0)) + off)
    (tmp_path / "case.json").write_text(json.dumps(PARITY))
    save_file({"similarity": similarity, "logit_scale": scale, "loss": loss}, tmp_path / "case.safetensors")
    [subject] = [s for s in subjects(registry, "broken_losses") if s.kind == "plugins"]
    if met:
        parity.compare(subject, tmp_path / "case.json")
    else:
        with pytest.raises(Fault, match=r"case.json: loss of broken_contrast differs .* by 0.001"):
            parity.compare(subject, tmp_path / "case.json")
