"""What a run folder holds for a page: its record, what it retrieved, and the videos of its test clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.plan.opening import dataset_at
from harness.plan.plan import data_root_of
from harness.plan.run_plan import RunPlan, load_plan
from harness.plugins import Registry
from harness.report.pictures import Pictures
from harness.results import retrieved
from harness.results.record import ResultRecord
from harness.results.record_file import load
from harness.results.retrieved import Retrieved
from harness.results.run_files import PLAN, RECORD


@dataclass(frozen=True)
class RunFolder:
    """``found`` is None where the run left no file of what it retrieved, as tasks without ranks do."""

    path: Path
    record: ResultRecord
    found: Retrieved | None


def open_folder(path: Path) -> RunFolder:
    """Raises HarnessError where there is no finished run."""
    if not (path / RECORD).is_file():
        raise HarnessError(f"{path} is no folder of a finished run: it has no {RECORD}", "give a run folder")
    record = load(path / RECORD)
    if record.kind != "measured":
        raise HarnessError(f"{path / RECORD} is a published row, not a run", "give a run folder")
    return RunFolder(path, record, retrieved.read(path, record))


def pictures_of(run: RunFolder, data_root: str, components: Registry) -> tuple[Pictures, str]:
    """The test clips of a run, and why there are no pictures of them, empty where there are.

    ``data_root`` is where the data set lies, empty for where the run found it. Raises HarnessError where it is
    given and wrong.
    """
    if not (run.path / PLAN).is_file():
        return Pictures(), f"the folder has no {PLAN}, which tells where the videos are"
    plan = load_plan(run.path / PLAN)
    try:
        clips = _test_clips(plan, data_root, components)
    except HarnessError as error:
        if data_root:
            raise
        return Pictures(), f"{error.message} (--data-root DIR tells where the videos are)"
    if not any(clip.path and clip.path.exists() for clip in clips):
        where = data_root or plan.data_root
        return Pictures(), f"no video was found in {where} (--data-root DIR tells where they are)"
    return Pictures({clip.id: clip for clip in clips}), ""


def _test_clips(plan: RunPlan, data_root: str, components: Registry):
    root = Path(plan.data_root)
    if data_root:
        root = data_root_of(components.find("datasets", plan.dataset)[0], data_root)
    opened = dataset_at(root, plan.dataset, plan.recipe.data.options, components)
    return opened.clips(plan.protocol.test)
