"""What the three observers share: how they are switched on, and which event goes where.

``HARNESS_OBSERVERS=csv,tensorboard`` switches them on. It is an environment variable because observing
belongs to a place and a person, like a cache folder, and not to the run: it holds for every command that
trains or scores, is in no plan and no digest, and comes with the environment to workers under Ray.
Each is a plugin of its own, so that one that fails does not take the others with it.
"""

from __future__ import annotations

import difflib
import os
from importlib.util import find_spec
from typing import ClassVar

from harness import HarnessError, hookimpl

VARIABLE = "HARNESS_OBSERVERS"
NAMES = ("csv", "tensorboard", "wandb")


def switched_on() -> list[str]:
    """The observers that are asked for; a name that there is not is a HarnessError."""
    asked = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    for name in filter(None, asked):
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(NAMES)}"
            raise HarnessError(f"unknown observer '{name}' in {VARIABLE}", hint)
    return asked


class Observer:
    """One observer; a subclass has a method for each event that it wants, called after the event.

    ``package`` is what has to be installed for it, by the extra that is called like the observer.
    """

    name: ClassVar[str]
    package: ClassVar[str] = ""

    @hookimpl
    def harness_run_event(self, event: str, payload: dict) -> None:
        if self.name not in switched_on():
            return
        if event == "run_planned":
            self.check()
        elif hears := getattr(self, event, None):
            hears(payload)

    def check(self) -> None:
        """Refuse, before any work, what could not be observed."""
        if self.package and find_spec(self.package) is None:
            raise HarnessError(
                f"observer '{self.name}' needs the package {self.package}, which is not installed",
                f"pip install 'video-text-harness[{self.name}]', or take it out of {VARIABLE}",
            )
