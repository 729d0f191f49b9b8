"""The page of one data set: a table for each hard key, a section for each train split and selection."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.names import in_path
from harness.results import published
from harness.results.conditions import RANKED, Stated, Table, conditions, headings, partition, tables
from harness.results.measured_table import render_rows
from harness.results.published_table import LEGEND, render_published
from harness.results.record import ResultRecord
from harness.results.row_keys import Section, section
from harness.results.table import SELECTIONS, escape, group_seeds

_OF_RANKS = (
    "T2V is text-to-video, V2T video-to-text; R@k is in percent of all queries, MdR and MnR are "
    "the median and mean rank counted from 1."
)
_OF_FIGURES = "Figures of tasks without ranks are as papers print them, times 100."
UNCERTAINTY = (
    "`a ± b` is the mean and sample standard deviation over seeds; `a [b, c]` is a single seed "
    "with its 95 % interval over queries: Wilson's of R@1"
)
_DRAWN = ", the percentile bootstrap's of MdR and MnR"


def dataset_page(dataset: str, records: Sequence[ResultRecord]) -> str:
    """The page's Markdown, without the line that says where it is from."""
    found = tables(records)
    body: list[str] = []
    legend = dict.fromkeys(_figures_of(found))
    for table, title in zip(found, headings(found), strict=True):
        body += ["", f"## {title}", "", conditions(table)]
        for part, runs in sections(table.measured).items():
            shown = render_rows(group_seeds(runs), [one for one in records if one.kind == "published"])
            legend |= dict.fromkeys(shown.legend)
            body += ["", f"### {section_title(part)}", "", shown.text]
        if not table.measured:
            body += ["", _empty_place(dataset, table)]
        body += _published_sections(table.published)
    lines = [f"# {escape(dataset)}", "", *(f"- {said}" for said in legend)]
    if any(table.published for table in found):
        lines += ["", LEGEND]
    lines += ["", f"Every row at full precision: [{escape(dataset)}.csv]({in_path(dataset)}.csv)."]
    return "\n".join([*lines, *body]) + "\n"


def sections(records: Sequence[ResultRecord]) -> dict[Section, list[ResultRecord]]:
    """The sections of one table, by train split, then from the strictest selection down."""
    parts = partition((section(record), record) for record in records)
    strictness = list(SELECTIONS)

    def order(part: Section) -> tuple[str, int]:
        return part.train_split, strictness.index(part.selection)

    return {part: parts[part] for part in sorted(parts, key=order)}


def section_title(part: Section) -> str:
    if part.train_split == published.ZERO_SHOT:
        return "Zero-shot: not trained on this data set"
    return f"Trained on {escape(part.train_split)}, {SELECTIONS[part.selection]}"


def _figures_of(found: Sequence[Table]) -> list[str]:
    """What the figures of a page are, of those kinds that it has."""
    ranked = {table.ranked for table in found}
    kinds = [text for kind, text in ((True, _OF_RANKS), (False, _OF_FIGURES)) if kind in ranked]
    runs = [run for table in found for run in table.measured]
    if runs:
        kinds.append(f"{UNCERTAINTY}{_DRAWN if any(run.resampling for run in runs) else ''}.")
    return kinds


def _published_sections(records: Sequence[ResultRecord]) -> list[str]:
    """The published rows of one table, a section for each train split and zero-shot rows last."""
    parts = partition((record.train_split, record) for record in records)
    lines = []
    for split in sorted(parts, key=lambda split: (split == published.ZERO_SHOT, split)):
        title = "zero-shot" if split == published.ZERO_SHOT else f"trained on {escape(split)}"
        lines += ["", f"### Published, {title}", "", render_published(parts[split])]
    return lines


def _empty_place(dataset: str, table: Table) -> str:
    """That nothing was measured under these conditions, and what to type to change that."""
    methods = ", ".join(escape(name) for name in sorted({record.method for record in table.published}))
    zero_shot = any(record.train_split == published.ZERO_SHOT for record in table.published)
    more = ", with `--zero-shot` for a zero-shot row" if zero_shot else ""
    command = run_command(dataset, table.stated)
    return f"**Not measured.** To fill this place: `{command}`{more}. M is any, such as {methods}."


def run_command(dataset: str, of: Stated) -> str:
    """What to type for a row in such a table, with M for the method."""
    command = ["harness", "run", "--method", "M", "--dataset", dataset, "--protocol", of.protocol]
    if of.query_unit not in RANKED:
        command += ["--task", of.task]
    if of.postprocess != "none":
        name, _, options = of.postprocess.removesuffix(")").partition("(")
        command += ["--post", name]
        for option in filter(None, options.split(", ")):
            command += ["--set", f"evaluation.postprocess.{option}"]
    return shlex.join(command)
