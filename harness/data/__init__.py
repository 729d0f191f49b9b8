"""Data sets as plugins see them: clips, captions and their files. No torch, nothing decoded."""

from harness.data.annotated import AnnotatedDataset, AnnotatedOptions, Route, Split, paragraph, routes
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
)

__all__ = [
    "AnnotatedDataset",
    "AnnotatedOptions",
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
    "captions_for",
    "paragraph",
    "read_captions",
    "read_names",
    "routes",
    "write_captions",
]
