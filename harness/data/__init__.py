"""Data sets as plugins see them: clips, captions and their files. No torch, nothing decoded."""

from harness.data.dataset import Caption, Clip, Contrast, DataReport, Dataset, Progress

__all__ = ["Caption", "Clip", "Contrast", "DataReport", "Dataset", "Progress"]
