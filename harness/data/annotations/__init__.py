"""Reads annotation files, whatever form they come in, as rows of (video, texts).

The same captions travel as csv, tab-separated text, lists of names, several dialects of JSON and
pickles. The form is recognised by looking at the content, never by the file's name, since files are
renamed as they are passed on. No torch, nothing decoded.
"""

from harness.data.annotations.reading import read, same
from harness.data.annotations.rows import AnnotationFile, Row

__all__ = ["AnnotationFile", "Row", "read", "same"]
