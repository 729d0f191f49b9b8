"""Data sets as plugins see them: clips, captions and their files. No torch, nothing decoded."""

from harness.data.annotated import AnnotatedDataset, AnnotatedOptions, paragraph
from harness.data.auxiliary import captions_for, read_captions, read_names, write_captions
from harness.data.dataset import (
    Caption,
    Clip,
    Contrast,
    DataReport,
    Dataset,
    Progress,
    Question,
    SplitReport,
    asked_and_answered,
)
from harness.data.questions import Asked, read_pairs
from harness.data.route import Route, Split, routes

__all__ = [
    "AnnotatedDataset",
    "AnnotatedOptions",
    "Asked",
    "Caption",
    "Clip",
    "Contrast",
    "DataReport",
    "Dataset",
    "Progress",
    "Question",
    "Route",
    "Split",
    "SplitReport",
    "asked_and_answered",
    "captions_for",
    "paragraph",
    "read_captions",
    "read_names",
    "read_pairs",
    "routes",
    "write_captions",
]
