"""The audit: every figure follows from its record, and whatever does not is named with its file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sample_records import protocol, sample

from harness import DatasetSpec, MethodSpec, ProtocolSpec, TaskSpec, hookimpl
from harness.plan.packaged import own_recipe_digest
from harness.plugins import Plugin, Registry, registry
from harness.results import leaderboard, ranks, record, record_file
from harness.results.audit import Audit, audit
from harness.results.digest import digest, file_digest, recipe_digest
from harness.results.footnotes import IMPORTED_SHA256
from harness.results.record import Metrics, Probe, QueryCounts, ResultRecord
from harness.results.resampling import resampled
from harness_standard import answers
from harness_standard.caption_metrics import evaluate, evidence


def _record(method: str = "method_a", **changes: Any) -> ResultRecord:
    """A record whose digests belong together."""
    made = sample(method, plan_digest=digest([method, changes.get("task")]), **changes)
    own = recipe_digest(
        made.plan_digest, made.trained_digest or made.plan_digest, made.protocol.ids_texts_hash
    )
    return msgspec.structs.replace(made, recipe_digest=own)


def _of_figures(task: str, unit: str, figures: dict[str, float], columns: dict[str, str]) -> ResultRecord:
    size = len(next(iter(columns.values())).split())
    asked = protocol(name=task, query_unit=unit, n_queries=size, n_gallery=size)
    metrics = Metrics(figures=figures)
    return _record(task=task, protocol=asked, metrics=metrics, queries=None, evidence=columns)


def _captioned() -> ResultRecord:
    said = {"a": "a dog runs home", "b": "the red square moves up", "c": "", "d": "a cat"}
    meant = {
        "a": ["a dog runs home", "it runs"],
        "b": ["a red square moves up fast", "a square"],
        "c": ["a man"],
        "d": ["the cat sat", "a dog"],
    }
    scores = evaluate(said, meant)
    exact = [True, False, False, False]
    figures = {"CIDEr": scores.corpus["CIDEr"], **scores.corpus, "exact": 25.0}
    return _of_figures("captioning", "clip", figures, evidence.columns(scores, exact))


def _answered() -> ResultRecord:
    columns = answers.columns(
        [True, False, True, True, False],
        ["what", "how many", "what", "who", ""],
        [None, False, True, False, None],
    )
    return _of_figures("video_qa", "question", answers.accuracies(columns), columns)


def _saved(folder: Path, *records: ResultRecord) -> list[Path]:
    paths = [record_file.write(one, record_file.record_path(folder, one)) for one in records]
    leaderboard.write_all(folder)
    return paths


def _edit(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a record's file as somebody with an editor would, and bring the pages in line with it."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    folder = path.parents[3]
    if path == record_file.record_path(
        folder, record_file.load(path)
    ):  # else there is nothing to make them of
        leaderboard.write_all(folder)


def _remarks(done: Audit) -> list[str]:
    """Remarks, but for that on the age of records that do not tell."""
    return [line for line in done.remark_lines() if "changed since" not in line]


def _installed(**hooks: list[Any]) -> Registry:
    """A registry of one plugin, with these hooks."""
    module = SimpleNamespace(
        **{f"harness_{name}": hookimpl(_returning(f"harness_{name}", found)) for name, found in hooks.items()}
    )
    found = Registry()
    found.add(Plugin("toy", "toys", "1", "toys:plugin", module))
    assert not found.plugins[0].problem
    return found


def _returning(name: str, found: list[Any]) -> Callable[[], list[Any]]:
    def hook():
        return found

    hook.__name__ = name
    return hook


def test_what_follows_passes(tmp_path: Path) -> None:
    """Sound records of all three tasks pass, each with all of its figures computed again."""
    paths = _saved(tmp_path, _record(), _record("method_b", lift=0.3, seed=2), _captioned(), _answered())
    done = audit(tmp_path, registry())
    assert done.problems == [] and _remarks(done) == []
    captioned = json.loads(paths[2].read_text())["metrics"]["figures"]
    assert len(captioned) == 7 and done.records == 4
    assert done.figures == 2 * 10 + len(captioned) + len({"all", "what", "how many", "who", "foil"})


@pytest.mark.parametrize("ties", ["average", "optimistic", "pessimistic", "average_ce"])
def test_ranks_are_counted_by_the_records_own_ties(tmp_path: Path, ties: str) -> None:
    """Of four records that differ in the tie policy alone only the one with its own figures passes."""
    counts = QueryCounts.of([0, 0, 4, 9, 12] * 10, [1, 2, 2, 3, 1] * 10, 50)
    queries = record.Queries(t2v=counts, v2t=counts)
    figures = ranks.metrics(ranks.Counts.unpack(counts), ties=ties)
    metrics = Metrics(t2v=figures, v2t=figures)
    for policy in ("average", "optimistic", "pessimistic", "average_ce"):
        folder = tmp_path / policy
        _saved(folder, _record(queries=queries, metrics=metrics, ties=policy))
        assert bool(audit(folder, registry()).problems) == (policy != ties)


@pytest.mark.parametrize(
    ("direction", "name"), [("t2v", "R@1"), ("t2v", "MnR"), ("v2t", "R@10"), ("v2t", "MdR")]
)
def test_a_digit_of_a_figure(tmp_path: Path, direction: str, name: str) -> None:
    """A figure that is a little another is named, with its file and what the counts give; the pages,
    made anew, do not hide it."""
    sound, edited = _saved(tmp_path, _record(), _record("method_b", lift=0.3))
    before = json.loads(edited.read_text())["metrics"][direction][name]

    def change(content: dict[str, Any]) -> None:
        content["metrics"][direction][name] = before + (1e-6 if before < 99 else -1e-6)

    _edit(edited, change)
    [problem] = audit(tmp_path, registry()).problems
    assert problem.startswith(f"{edited}: metrics.{direction}.{name} is ") and str(before) in problem
    assert str(sound) not in problem


def test_a_count(tmp_path: Path) -> None:
    """One query's count, or one more tie, makes at least one figure of its direction fail and no other."""
    for key in ("better", "tied"):
        folder = tmp_path / key
        [path] = _saved(folder, _record())

        def change(content: dict[str, Any], key: str = key) -> None:
            counts = content["queries"]["v2t"]
            if key == "better":
                first, rest = counts["better"].split(" ", 1)
                counts["better"] = f"{(int(first) + 1) % 40} {rest}"
            else:
                counts["tied"]["3"] = counts["tied"].get("3", 1) + 1

        _edit(path, change)
        problems = audit(folder, registry()).problems
        assert problems and all(said.startswith(f"{path}: metrics.v2t.") for said in problems)


@pytest.mark.parametrize(
    ("make", "column", "at"),
    [
        (_captioned, "bleu", 0),
        (_captioned, "rouge", 1),
        (_captioned, "cider", 1),
        (_captioned, "exact", 3),
        (_answered, "right", 1),
        (_answered, "kind", 0),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
def test_a_value_of_the_evidence(tmp_path: Path, make: Callable, column: str, at: int) -> None:
    """One changed value of any column is found, and the file is named."""
    [path] = _saved(tmp_path, make())

    def change(content: dict[str, Any]) -> None:
        values = content["evidence"][column].split()
        if column == "kind":
            values[at] = "how_many"
        elif column in ("right", "exact"):
            values[at] = {"0": "1", "1": "0"}[values[at]]
        else:
            values[at] = str((int(values[at][0]) + 1) % 10) + values[at][1:]
        assert " ".join(values) != content["evidence"][column]
        content["evidence"][column] = " ".join(values)

    _edit(path, change)
    problems = audit(tmp_path, registry()).problems
    assert problems and all(said.startswith(f"{path}: ") for said in problems)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("right", "1 0 2 1 0", "right must be 0 or 1"),
        ("right", "1 0 1 1", "as many entries as there are questions"),
        ("right", None, "KeyError: 'right'"),
    ],
)
def test_evidence_that_is_none(tmp_path: Path, column: str, value: str | None, said: str) -> None:
    """Columns that the task cannot have written are one problem with the file and the reason."""
    [path] = _saved(tmp_path, _answered())

    def change(content: dict[str, Any]) -> None:
        del content["evidence"][column]
        if value:
            content["evidence"][column] = value

    _edit(path, change)
    [problem] = audit(tmp_path, registry()).problems
    assert problem.startswith(f"{path}: figures cannot be computed") and said in problem


def test_columns_of_different_lengths(tmp_path: Path) -> None:
    """A caption's scores that are left out of one column are missed, and so is a word too many."""
    columns = _captioned().evidence
    with pytest.raises(ValueError, match="different lengths: bleu 4, rouge 3"):
        evidence.figures(columns | {"rouge": columns["rouge"].rsplit(" ", 1)[0]})
    longer = columns["bleu"].replace(";4;4", ";5;4", 1)
    assert longer != columns["bleu"]
    with pytest.raises(ValueError, match="not the n-grams of 5 words"):
        evidence.figures(columns | {"bleu": longer})


def test_a_figure_too_many_or_too_few(tmp_path: Path) -> None:
    """A figure that follows from nothing is a problem, and so is one that was taken out."""
    [path] = _saved(tmp_path, _answered())

    def change(content: dict[str, Any]) -> None:
        figures = content["metrics"]["figures"]
        figures["accuracy, where"] = figures.pop("accuracy, who")

    _edit(path, change)
    invented, missing = audit(tmp_path, registry()).problems
    assert invented.startswith(f"{path}: metrics.figures.accuracy, where is 100.0, and does not follow")
    assert missing.startswith(f"{path}: metrics.figures.accuracy, who is missing")


def test_a_digit_of_a_table(tmp_path: Path) -> None:
    """An edited page is named as `leaderboard --check` names it."""
    _saved(tmp_path, _record(), _captioned())
    page = tmp_path / "toys.md"
    text = page.read_text()
    at = random.Random(0).choice([at for at, character in enumerate(text) if character.isdigit()])
    page.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    done = audit(tmp_path, registry())
    assert done.problems == leaderboard.check(tmp_path)
    assert done.problems[0].startswith(f"{page} line ")


@pytest.mark.parametrize("key", ["recipe_digest", "plan_digest", "trained_digest", "ids_texts_hash"])
def test_a_digit_of_a_hash(tmp_path: Path, key: str) -> None:
    """A digest that does not follow from the others of its record is found."""
    [path] = _saved(tmp_path, _record(trained_digest="cd" * 32))

    def change(content: dict[str, Any]) -> None:
        place = content["protocol"] if key == "ids_texts_hash" else content
        place[key] = place[key][:-1] + ("0" if place[key][-1] != "0" else "1")

    _edit(path, change)
    [problem] = audit(tmp_path, registry()).problems
    assert problem.startswith(f"{path}: recipe_digest is ")


def test_a_checkpoint_file_has_a_digest_of_its_own(tmp_path: Path) -> None:
    """A row of a file that was trained nobody knows how is told apart by the file's hash, which the digest has to
    follow from."""
    made = _record(checkpoint_sha256="ab" * 32)
    own = file_digest(made.recipe_digest, made.checkpoint_sha256)
    [path] = _saved(tmp_path, msgspec.structs.replace(made, recipe_digest=own))
    assert audit(tmp_path, registry()).problems == []
    _edit(path, lambda content: content.update(checkpoint_sha256="ab" * 31 + "ac"))
    [problem] = audit(tmp_path, registry()).problems
    assert problem.startswith(f"{path}: recipe_digest is ")


def test_texts_that_are_said_to_be_verified(tmp_path: Path) -> None:
    """A verified hash is held against that of the installed data set's protocol, one that was only
    computed is not."""
    stated = ProtocolSpec(name="test_a", summary="-", train="train", test="test", texts_hash="ef" * 32)
    toys = _installed(
        datasets=[DatasetSpec(name="toys", summary="-", factory="toys:build", protocols=(stated,))]
    )
    [path] = _saved(tmp_path / "verified", _record())
    [problem] = audit(tmp_path / "verified", toys).problems
    assert problem.startswith(f"{path}: protocol.ids_texts_hash is ") and "ef" * 32 in problem
    _saved(tmp_path / "computed", _record(protocol=protocol(hash_status="computed")))
    assert audit(tmp_path / "computed", toys).problems == []


def test_nothing_is_verified_by_a_data_set_that_states_no_hash(tmp_path: Path) -> None:
    """A record whose texts are said to be verified is named where the installed data set says nothing of them."""
    silent = ProtocolSpec(name="test_a", summary="-", train="train", test="test")
    toys = _installed(
        datasets=[DatasetSpec(name="toys", summary="-", factory="toys:build", protocols=(silent,))]
    )
    [path] = _saved(tmp_path, _record())
    [problem] = audit(tmp_path, toys).problems
    assert problem.startswith(f"{path}: protocol.ids_texts_hash is ") and problem.endswith("states none")


def test_every_record_is_looked_at(tmp_path: Path) -> None:
    """A file that is no record and one under another's name are problems, each once, beside the figures
    of the rest."""
    broken, moved, edited = _saved(tmp_path, *(_record(f"method_{name}") for name in "abc"))
    broken.write_text("{}")
    moved = moved.rename(moved.with_name("copy.json"))
    content = json.loads(edited.read_text())
    content["metrics"]["t2v"]["MnR"] += 1
    edited.write_text(json.dumps(content))
    problems = audit(tmp_path, registry()).problems
    assert all(str(path) in said for path, said in zip((broken, moved, edited), problems, strict=True))


def test_a_task_that_is_not_installed(tmp_path: Path) -> None:
    """Figures of an unknown task, or of one that does not say how, are listed, and are no problem."""
    [path] = _saved(tmp_path, _answered())
    for components, why in (
        (Registry(), "unknown task 'video_qa'"),
        (
            _installed(tasks=[TaskSpec(name="video_qa", summary="-", factory="toys:build")]),
            "does not say how",
        ),
    ):
        done = audit(tmp_path, components)
        assert done.problems == [] and done.figures == 0
        [line] = _remarks(done)
        assert line.startswith("not recomputed: ") and why in line and line.endswith(str(path))


def test_what_the_record_does_not_hold_is_listed(tmp_path: Path) -> None:
    """A contrast and a corpus' METEOR are said not to be recomputed, once for all files."""
    scored = _captioned()
    metrics = Metrics(figures=scored.metrics.figures | {"METEOR": 20.5})
    meteor = msgspec.structs.replace(
        scored, metrics=metrics, evidence=scored.evidence | {"meteor": "0.5 0.2 0.0 0.1"}
    )
    twins = []
    for name in ("method_a", "method_b"):
        plain = _record(name)
        contrasted = msgspec.structs.replace(plain.metrics, contrasts={"twin": 62.5})
        twins.append(msgspec.structs.replace(plain, metrics=contrasted))
    paths = _saved(tmp_path, *twins, meteor)
    done = audit(tmp_path, registry())
    assert done.problems == []
    contrast, corpus = _remarks(done)
    assert "contrasts.twin" in contrast and contrast.endswith(f"{paths[0]} and 1 more")
    assert "metrics.figures.METEOR" in corpus and corpus.endswith(str(paths[2]))


def test_a_row_is_stale_when_its_methods_recipe_has_changed(tmp_path: Path) -> None:
    """A record that knows another recipe of its method is said to be stale, one that knows the present
    recipe is not, whatever its run changed; neither is a problem. What cannot be told is said."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("train: {lr: 0.1}\nnote: first\n")
    toys = DatasetSpec(name="toys", summary="-", factory="toys:build", protocols=())
    mine = MethodSpec(name="mine", summary="-", recipe=str(recipe))
    components = _installed(datasets=[toys], methods=[mine])
    then = own_recipe_digest(mine, toys, "retrieval")
    records = [_record(name, own_recipe_digest=then) for name in ("mine", "gone")]
    gone, own, untold = sorted(_saved(tmp_path, *records, _record("untold")))

    recipe.write_text("train: {lr: 0.1}\nnote: second\n")
    fresh = audit(tmp_path, components)
    recipe.write_text("train: {lr: 0.2}\n")
    stale = audit(tmp_path, components)
    lost = "not checked: whether the recipe of gone for toys, retrieval, has changed since"
    unknown = f"{lost}: unknown method 'gone': {gone}"
    silent = f"not checked: whether recipes have changed since, which the records do not tell: {untold}"
    assert [*fresh.remark_lines()] == [silent, unknown]
    old = f"stale: the recipe of mine for toys, retrieval, has changed since: {own}"
    assert [*stale.remark_lines()] == [silent, unknown, old]
    assert fresh.problems == stale.problems == []


def test_a_row_is_stale_when_a_plugins_code_has_another_version(tmp_path: Path) -> None:
    """A record that a plugin of another version took part in is said to be stale, one of the installed version and
    one of a plugin that is not there are not; none is a problem."""
    components = _installed()
    [plugin] = components.plugins
    old, now, gone = ({key: version} for key, version in (
        (plugin.key, "0.0.9"), (plugin.key, plugin.version), ("elsewhere:gone", "0.0.9"),
    ))  # fmt: skip
    records = [_record(f"method_{i}", versions=v) for i, v in enumerate((old, now, gone))]
    paths = _saved(tmp_path, *records)
    done = audit(tmp_path, components)
    stale = [line for line in done.remark_lines() if line.startswith("stale")]
    assert stale == [f"stale: made with {plugin.key} 0.0.9, and {plugin.version} is installed: {paths[0]}"]
    assert done.problems == []


def test_the_command(cli, workplace: Path) -> None:
    """It ends with 0 and a count, or with 1 and every mismatch on standard error; with ``--full`` the
    published rows must be those that are installed. It loads no torch and changes nothing."""
    folder = Path("leaderboards")
    path, *_ = _saved(folder, _record(), _captioned(), _answered())
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    program = (
        "import sys; sys.argv[1:] = ['audit']\nfrom harness.cli import main\n"
        "try: main()\nexcept SystemExit as done: assert not done.code\n"
        "assert not {'torch', 'ray', 'av', 'torchvision', 'PIL'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n3 records, 22 figures, all follow from their counts\n")
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before

    lacking = cli("audit", "--full")
    assert lacking.exit_code == 1 and "is not the published rows that are installed" in lacking.stderr
    assert cli("leaderboard").exit_code == cli("audit", "--full").exit_code == 0

    content = json.loads(path.read_text())
    content["created"] = "yesterday"
    path.write_text(json.dumps(content))
    failed = cli("audit")
    assert failed.exit_code == 1 and str(path) in failed.stderr and "follow" not in failed.stdout
    assert cli("audit", "--leaderboards", "nowhere").exit_code == 2


def test_every_figure_is_looked_at(tmp_path: Path) -> None:
    """The audit counts ten figures for each of 40 retrieval records, five of each direction."""
    n = 50
    counts = QueryCounts.of([i * 7 % n for i in range(n)], [1] * n, n)
    queries = record.Queries(t2v=counts, v2t=counts)
    for seed in range(40):
        one = sample(seed=seed, queries=queries, protocol=protocol(n_queries=n, n_gallery=n))
        record_file.write(one, record_file.record_path(tmp_path, one))
    found: Audit = audit(tmp_path, registry())
    assert found.records == 40 and found.figures == 400


def _drawn(method: str = "method_a", **changes: Any) -> ResultRecord:
    made = _record(method, **changes)
    return msgspec.structs.replace(made, resampling=resampled(made.queries, made.ties))


@pytest.mark.parametrize(
    "change",
    [
        lambda drawn: drawn["intervals"].update({"t2v.MnR": [1.0, 99.0]}),
        lambda drawn: drawn["intervals"].pop("v2t.MdR"),
        lambda drawn: drawn.update(seed=1),
        lambda drawn: drawn.update(samples=999),
    ],
    ids=["interval", "missing", "seed", "samples"],
)
def test_intervals_are_drawn_again_in_full(tmp_path: Path, change: Callable) -> None:
    """With ``full`` an interval, seed or number of samples that was edited is named; without, none is drawn."""
    sound, edited = _saved(tmp_path, _drawn(), _drawn("method_b", lift=0.3))
    assert audit(tmp_path, Registry(), full=True).problems == []
    _edit(edited, lambda content: change(content["resampling"]))
    [problem] = audit(tmp_path, Registry(), full=True).problems
    assert problem.startswith(f"{edited}: resampling.") and str(sound) not in problem
    assert audit(tmp_path, Registry()).problems == []


@pytest.mark.parametrize(
    "place",
    [
        ("metrics", "t2v", "R@1"),
        ("queries", "t2v", "better"),
        ("resampling", "intervals", "t2v.MnR"),
        ("protocol", "ids_texts_hash"),
        ("recipe_digest",),
        ("plan_digest",),
        ("seed",),
    ],
    ids=".".join,
)
def test_a_digit_of_a_record_is_found(tmp_path: Path, place: tuple[str, ...]) -> None:
    """One changed digit of a figure, count, interval, hash or seed in a record, with pages as they were, and
    the audit names the record or a page that no longer follows from it."""
    path, _ = _saved(tmp_path, _drawn(), _drawn("method_b", lift=0.3))
    content = json.loads(path.read_text())
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = _another(inner[place[-1]])
    path.write_text(json.dumps(content))
    problems = audit(tmp_path, Registry(), full=True).problems
    assert any(said.startswith(str(path)) for said in problems)
    pages = [str(tmp_path / name) for name in ("README.md", "toys.csv", "toys.md")]
    assert all(said.startswith((str(path), *pages)) for said in problems)


def _swap_queries(content: dict[str, Any]) -> None:
    better = content["queries"]["t2v"]["better"].split()
    one, other = better.index("0"), next(at for at, count in enumerate(better) if count != "0")
    better[one], better[other] = better[other], better[one]
    content["queries"]["t2v"]["better"] = " ".join(better)


@pytest.mark.parametrize(
    "change",
    [
        _swap_queries,
        lambda content: content.update(checkpoint_sha256="ab" * 31 + "ac"),
        lambda content: content.update(commit="0" * 40),
        lambda content: content["resampling"]["intervals"].update({"t2v.MnR": [1.0, 99.0]}),
        lambda content: content["probes"]["middle"]["metrics"]["contrasts"].update(twin=51.0),
    ],
    ids=["queries", "checkpoint", "commit", "interval", "contrast of a probe"],
)
def test_what_no_figure_follows_from_is_found_in_the_csv(tmp_path: Path, change: Callable) -> None:
    """Whatever is changed in a record, `leaderboard --check` names its line of the CSV and its file, even if
    every figure and every page stays as it was."""
    plain = _drawn(checkpoint_sha256="ab" * 32)
    probe = Probe(metrics=Metrics(t2v=plain.metrics.t2v, contrasts={"twin": 50.0}), queries=plain.queries.t2v)
    path, _ = _saved(
        tmp_path,
        msgspec.structs.replace(plain, probes={"middle": probe}),
        _drawn(seed=1, lift=0.3, checkpoint_sha256="cd" * 32),
    )
    assert leaderboard.check(tmp_path) == audit(tmp_path, Registry()).problems == []
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    [problem] = leaderboard.check(tmp_path)
    assert problem.startswith(f"{tmp_path / 'toys.csv'} line 2 ")
    assert path.relative_to(tmp_path).as_posix() in problem
    assert audit(tmp_path, Registry()).problems == [problem]


@pytest.mark.parametrize(
    "whose",
    [{"checkpoint_sha256": "ab" * 32}, {"environment": {IMPORTED_SHA256: "ab" * 32}}],
    ids=["checkpoint", "imported"],
)
def test_one_model_does_not_count_as_two_seeds(tmp_path: Path, whose: dict[str, Any]) -> None:
    """A record again under another seed is named beside the first, with pages that were made of both; the same
    model in another row, such as one with post-processed scores, is none."""
    _, again, _ = _saved(
        tmp_path,
        _record(**whose),
        _record(seed=1, **whose),
        _record(postprocess="dual_softmax(temperature=1.0)", **whose),
    )
    [problem] = audit(tmp_path, Registry()).problems
    assert problem.startswith(f"{again} is of the same ") and "-s0.json" in problem


def _another(value: Any) -> Any:
    """The value with one digit changed to another."""
    if isinstance(value, list):
        return [value[0], value[1] + 1.0]
    if isinstance(value, str):
        # Of a hash its last digit; of counts the first, which becomes 1 or 0.
        return (
            value[:-1] + ("0" if value[-1] != "0" else "1")
            if len(value) == 64
            else str(1 - int(value[0] == "1")) + value[1:]
        )
    return value - 1.0 if value > 1.5 else value + 1


def test_pages_are_checked_as_the_leaderboard_does(tmp_path: Path) -> None:
    """A published row that is not well formed is one problem, as `leaderboard --check` words it."""
    _saved(tmp_path, _record())
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "x.yaml").write_text("a: 7\n")
    assert audit(tmp_path, Registry()).problems == leaderboard.check(tmp_path) != []
