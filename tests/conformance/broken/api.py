"""A plugin for another version of the hooks."""

HARNESS_API = (98, 99)
