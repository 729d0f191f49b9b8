"""Settings of MSR-VTT."""

from __future__ import annotations

from harness import Options


class MsrvttOptions(Options):
    """``annotations`` is the folder of the annotation files where it is not under the data root."""

    annotations: str = ""
