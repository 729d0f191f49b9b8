"""The one error that a user is meant to read.

Everything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import traceback


class HarnessError(Exception):
    """A mistake in the input, said in one line, with what to do about it.

    ``message`` says what is wrong and where; ``hint`` says what to type or change next. The
    command line prints both and exits with code 2.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self):
        return (type(self), (self.message, self.hint))


#: What only calls a stranger's code; a place in it explains nothing.
_CALLERS = ("importlib", "harness.plugins", "harness.plugin_trial", "harness.plugin_environment")


def in_one_line(error: BaseException, package: str = "") -> str:
    """A stranger's error in one line, with the place that raised it.

    The place is the innermost one in ``package``, where its author can do something, else the innermost one.
    """
    places = [
        (frame.f_globals.get("__name__") or "", f"{frame.f_code.co_filename}:{line}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [place for module, place in places if module.partition(".")[0] == package]
    other = [
        place
        for module, place in places
        if not place.startswith("<frozen") and not module.startswith(_CALLERS)
    ]
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{said} ({(own or other)[-1]})" if own or other else said
