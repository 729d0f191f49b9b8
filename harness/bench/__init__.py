"""Measurements of the parts of the harness, each against a reference in the same run."""
