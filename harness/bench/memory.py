"""What a process holds in memory and held at its peak, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def is_told() -> bool:
    """Whether the system says what a process holds."""
    return _STATUS.exists()


def resident_mb() -> float:
    """Megabytes held now."""
    return _field("VmRSS")


def peak_mb() -> float:
    """The most megabytes held since the process began or :func:`reset_peak`."""
    return _field("VmHWM")


def reset_peak() -> None:
    """Count the peak from here, so that what was needed to get here does not hide what comes."""
    _RESET.write_text("5")


def _field(name: str) -> float:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def available_mb() -> float | None:
    """Megabytes that a process could still take; None where the system does not say."""
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1024
