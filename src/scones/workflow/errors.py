"""The one family of errors that a person is meant to read."""

__all__ = ["WorkflowError"]


class WorkflowError(Exception):
    """Something the person can mend: `message` says what was found, `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
