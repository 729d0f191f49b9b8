"""A real browser without a window, where one is installed: what it makes of a page, and what it complains of."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Commands of browsers that print a page as it is after its scripts. Firefox cannot.
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")


def find_browser() -> str | None:
    """The first one on the path."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(frozen=True)
class Shown:
    """``dom`` is the page after its scripts, ``console`` the lines that it wrote there."""

    dom: str
    console: list[str]


@dataclass(frozen=True)
class Browser:
    """``profile`` is a folder of its own, so that the user's is left alone."""

    command: str
    profile: Path

    def show(self, page: Path, width: int = 1280, after: str = "") -> Shown:
        """Open a page; ``after`` is JavaScript that runs at its end, where its policy lets scripts run."""
        if after:
            text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{after}</script></body>")
            page = page.with_name(f"{page.stem}-driven.html")
            page.write_text(text, encoding="utf-8")
        options = ["--headless", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]
        if os.geteuid() == 0:  # it refuses to sandbox root
            options.append("--no-sandbox")
        done = subprocess.run(
            [
                self.command,
                *options,
                f"--user-data-dir={self.profile}",
                f"--window-size={width},900",
                page.resolve().as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return Shown(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])
