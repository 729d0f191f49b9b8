"""Names of the files in a run folder that more than one part of the harness reads."""

from __future__ import annotations

#: The plan, the record, and the log: a line of JSON for each step.
PLAN, RECORD, LOG = "plan.json", "record.json", "log.jsonl"
