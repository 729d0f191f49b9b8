"""Data sets as plugins see them: clips, captions and their files. No torch, nothing decoded."""

from harness.data.annotated import AnnotatedDataset, AnnotatedOptions, Route, Split, paragraph, routes
from harness.data.dataset import Caption, Clip, Contrast, DataReport, Dataset, Progress, SplitReport

__all__ = [
    "AnnotatedDataset",
    "AnnotatedOptions",
    "Caption",
    "Clip",
    "Contrast",
    "DataReport",
    "Dataset",
    "Progress",
    "Route",
    "Split",
    "SplitReport",
    "paragraph",
    "routes",
]
