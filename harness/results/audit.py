"""Whether everything that a folder of leaderboards states follows from what lies in it.

Each figure is computed again from its record: ranks from the counts of the queries, figures of other
tasks from their evidence, by the plugin of the task (:class:`harness.specs.TaskSpec`). So are the
digests that are made of others, the names of the files, and the pages. It takes neither model nor
videos, hence not covered: whether the counts themselves are true.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from harness.errors import HarnessError
from harness.plan.packaged import own_recipe_digest
from harness.plugins import Registry, load_factory
from harness.results import leaderboard, published, ranks
from harness.results.digest import file_digest, recipe_digest
from harness.results.footnotes import IMPORTED_SHA256
from harness.results.record import DIRECTIONS, QueryCounts, ResultRecord, TiePolicy
from harness.results.record_file import load, record_path
from harness.results.resampling import resampled
from harness.results.row_keys import hard_key, section
from harness.results.stored import misplaced

#: A figure is stored as it was computed; evidence is rounded to 12 places, further below this.
TOLERANCE = 1e-9

_RECALL = re.compile(r"R@([1-9][0-9]*)")


@dataclass
class Audit:
    """What came out of it.

    ``records`` were read and ``figures`` computed again. ``problems`` are sentences, each with its file.
    ``remarks`` maps what is no problem to the files that it is true of: what could not be computed again,
    and why, and the rows that are stale.
    """

    records: int = 0
    figures: int = 0
    problems: list[str] = field(default_factory=list)
    remarks: dict[str, list[Path]] = field(default_factory=dict)

    def remark(self, what: str, path: Path) -> None:
        paths = self.remarks.setdefault(what, [])
        if path not in paths[-1:]:  # a record's probes are remarked on with it
            paths.append(path)

    def remark_lines(self) -> Iterator[str]:
        """Every remark with the first of its files."""
        for what, paths in sorted(self.remarks.items()):
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            yield f"{what}: {paths[0]}{more}"


def audit(leaderboards: str | os.PathLike[str], registry: Registry, *, full: bool = False) -> Audit:
    """Check every record, and the pages made of them.

    ``full`` also draws every bootstrap interval again, and holds the published rows beside the records
    against those of the installed plugins.
    Raises HarnessError for a plugin whose audit cannot be imported.
    """
    folder = Path(leaderboards)
    done = Audit()
    read, usable = [], True
    models: dict[tuple[str, ...], Path] = {}
    recipe_now = lru_cache(maxsize=None)(partial(_recipe_now, registry))  # many records have one recipe
    for path in sorted((folder / "results").rglob("*.json")):
        try:
            record = load(path)
            belongs = record_path(folder, record)
        except HarnessError as error:
            done.problems.append(str(error))
            usable = False
            continue
        done.records += 1
        read.append(record)
        if path != belongs:
            done.problems.append(str(misplaced(path, belongs)))
            usable = False
        _check_figures(record, path, registry, done)
        _check_probes(record, path, registry, done)
        if full:
            _check_resampling(record, path, done)
        _check_digests(record, path, registry, done)
        _check_age(record, path, recipe_now, done)
        _check_code(record, path, registry, done)
        _check_model(record, path, models, done)
    if usable:  # else there is nothing to make the pages of
        try:
            done.problems += leaderboard.differences(folder, read)
        except HarnessError as error:  # of the published rows
            done.problems.append(str(error))
    if full:
        done.problems += [
            f"{copy} is not the published rows that are installed: run `harness leaderboard`"
            for copy in published.outdated(registry, folder)
        ]
    return done


def _check_figures(record: ResultRecord, path: Path, registry: Registry, done: Audit) -> None:
    for direction in DIRECTIONS:
        stored = getattr(record.metrics, direction)
        counts = getattr(record.queries, direction) if record.queries else None
        found = _ranked(counts, stored, record.ties)
        _compare(f"metrics.{direction}", stored, found, "counts", path, done)
    for name in record.metrics.contrasts:
        done.remark(f"not recomputed: contrasts.{name}, of which no counts are kept", path)
    if record.metrics.figures or record.evidence:
        found = _evidenced(record, record.evidence, "evidence", path, registry, done)
        if found is not None:
            _compare("metrics.figures", record.metrics.figures, found, "evidence", path, done)


def _check_probes(record: ResultRecord, path: Path, registry: Registry, done: Audit) -> None:
    """Of their contrasts no counts are kept, as little as of the record's own, which are remarked on."""
    for name, probe in record.probes.items():
        ranked = _ranked(probe.queries, probe.metrics.t2v, record.ties)
        _compare(f"probes.{name}.metrics.t2v", probe.metrics.t2v, ranked, "counts", path, done)
        if probe.metrics.figures or probe.evidence:
            found = _evidenced(record, probe.evidence, f"probes.{name}.evidence", path, registry, done)
            if found is not None:
                group = f"probes.{name}.metrics.figures"
                _compare(group, probe.metrics.figures, found, "evidence", path, done)


def _evidenced(
    record: ResultRecord,
    evidence: Mapping[str, str],
    what: str,
    path: Path,
    registry: Registry,
    done: Audit,
) -> Mapping[str, float | None] | None:
    """The figures that follow from evidence, by the plugin of the record's task; None where it cannot say."""
    try:
        spec, plugin = registry.find("tasks", record.task)
    except HarnessError as error:
        done.remark(f"not recomputed: figures of the task '{record.task}': {error.message}", path)
        return None
    if not spec.audit:
        done.remark(
            f"not recomputed: figures of the task '{record.task}', whose plugin does not say how", path
        )
        return None
    compute = load_factory(spec.audit, plugin)
    try:
        return dict(compute(evidence))
    except Exception as error:  # a plugin's code on an edited file: anything may come out of it
        said = " ".join(f"{type(error).__name__}: {error}".split())
        done.problems.append(f"{path}: figures cannot be computed from {what}: {said}")
        return None


def _ranked(counts: QueryCounts | None, stored: Mapping[str, float], ties: TiePolicy) -> Mapping[str, float]:
    """The figures of one direction, at every k for which there is a recall among those ``stored``."""
    if counts is None:
        return {}
    recalls = map(_RECALL.fullmatch, stored)
    return ranks.metrics(ranks.Counts.unpack(counts), [int(found[1]) for found in recalls if found], ties)


def _compare(
    group: str,
    stored: Mapping[str, float],
    found: Mapping[str, float | None],
    source: str,
    path: Path,
    done: Audit,
) -> None:
    for name in dict.fromkeys((*stored, *found)):
        figure = f"{group}.{name}"
        if name not in found:
            done.problems.append(
                f"{path}: {figure} is {stored[name]!r}, and does not follow from any {source}"
            )
            continue
        value = found[name]
        if value is None:
            done.remark(f"not recomputed: {figure}, of which the {source} does not hold enough", path)
            continue
        done.figures += 1
        if name not in stored:
            done.problems.append(f"{path}: {figure} is missing, from the {source} follows {value!r}")
        elif not abs(stored[name] - value) <= TOLERANCE:  # so that NaN is a difference
            done.problems.append(
                f"{path}: {figure} is {stored[name]!r}, which does not follow from its {source}: {value!r} does"
            )


def _check_resampling(record: ResultRecord, path: Path, done: Audit) -> None:
    """Draws are repeated by the seed, so an interval is the same or wrong."""
    stored, queries = record.resampling, record.queries
    if stored is None:
        if queries is not None:
            done.remark("not checked: intervals of MdR and MnR, which the records do not have", path)
        return
    if queries is None:
        done.problems.append(f"{path}: resampling does not follow from any counts")
        return
    found = resampled(queries, record.ties)
    for name in ("samples", "seed"):
        if getattr(stored, name) != getattr(found, name):
            done.problems.append(
                f"{path}: resampling.{name} is {getattr(stored, name)}, intervals are drawn with "
                f"{getattr(found, name)}"
            )
    for name in sorted({*stored.intervals, *found.intervals}):
        have, want = stored.intervals.get(name), found.intervals.get(name)
        if have != want:
            done.problems.append(f"{path}: resampling.intervals.{name} is {have}, the counts give {want}")


def _check_digests(record: ResultRecord, path: Path, registry: Registry, done: Audit) -> None:
    texts = record.protocol.ids_texts_hash
    if not record.plan_digest:
        done.remark("not recomputed: recipe_digest, without the digest of a plan", path)
    else:
        digest = recipe_digest(record.plan_digest, record.trained_digest or record.plan_digest, texts)
        of_file = file_digest(digest, record.checkpoint_sha256 or "")
        if record.recipe_digest not in (digest, of_file):
            done.problems.append(
                f"{path}: recipe_digest is {record.recipe_digest}, plan_digest, trained_digest and "
                f"protocol.ids_texts_hash give {digest}"
            )
    if record.protocol.hash_status == "verified":
        for stated in _stated_hashes(record, registry):
            if stated != texts:
                done.problems.append(
                    f"{path}: protocol.ids_texts_hash is {texts} and said to be verified, the data set "
                    f"'{record.dataset}' states {stated or 'none'}"
                )


def _check_age(
    record: ResultRecord, path: Path, recipe_now: Callable[[str, str, str], str], done: Audit
) -> None:
    """A row is stale once its method's own recipe is another; recipes of its variants are not looked at."""
    recipe = f"the recipe of {record.method} for {record.dataset}, {record.task}"
    if not record.own_recipe_digest:
        done.remark("not checked: whether recipes have changed since, which the records do not tell", path)
        return
    try:
        now = recipe_now(record.method, record.dataset, record.task)
    except HarnessError as error:
        done.remark(f"not checked: whether {recipe}, has changed since: {error.message}", path)
        return
    if now != record.own_recipe_digest:
        done.remark(f"stale: {recipe}, has changed since", path)


def _check_model(record: ResultRecord, path: Path, models: dict[tuple[str, ...], Path], done: Audit) -> None:
    """One model, or one file of scores, under two seeds would make a row's mean of several out of one."""
    for what, sha256 in (
        ("model", record.checkpoint_sha256),
        ("file of scores", record.environment.get(IMPORTED_SHA256)),
    ):
        if not sha256:
            continue
        row = map(str, (*hard_key(record), *section(record), record.method, record.recipe_digest))
        first = models.setdefault((what, sha256, *row), path)
        if first != path:
            done.problems.append(
                f"{path} is of the same {what} as {first}, {sha256[:12]}, and another seed, "
                "so it counts twice: delete one of them"
            )


def _check_code(record: ResultRecord, path: Path, registry: Registry, done: Audit) -> None:
    """A row is stale, too, once a plugin that took part in it is installed in another version."""
    for plugin in registry.plugins:
        then = record.versions.get(plugin.key)
        if then and plugin.status == "ok" and then != plugin.version:
            done.remark(f"stale: made with {plugin.key} {then}, and {plugin.version} is installed", path)


def _recipe_now(registry: Registry, method: str, dataset: str, task: str) -> str:
    """The digest of a method's own recipe as it is installed; HarnessError where there is none."""
    specs = (registry.find("methods", method)[0], registry.find("datasets", dataset)[0])
    return own_recipe_digest(*specs, task)


def _stated_hashes(record: ResultRecord, registry: Registry) -> Iterator[str]:
    """What the data set says the hash of the protocol's texts is, empty where it does not; nothing where the
    data set is not installed or knows no such protocol."""
    for spec, _ in registry.called("datasets", record.dataset):
        for protocol in spec.protocols:
            if protocol.name == record.protocol.name:
                yield protocol.texts_hash
