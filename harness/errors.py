"""The one error that a user is meant to read.

Everything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


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
