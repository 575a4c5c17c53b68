"""How a state fails, and how a definition is refused. Error names and wordings are AWS's."""

from dataclasses import dataclass

__all__ = [
    "HEARTBEAT_TIMEOUT",
    "RUNTIME",
    "TIMEOUT",
    "DataError",
    "DefinitionError",
    "Diagnostic",
    "StateError",
]

RUNTIME = "States.Runtime"
"""The one error that no Retry and no Catch ever sees."""


TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
"""A missed heartbeat, to Retry and Catch; everywhere else it is told as a timeout, as recorded."""


class StateError(Exception):
    """A state failed with an error name that Retry and Catch may match.

    error, cause: None where the history must not have the field at all (a Fail state without them,
    a timeout without a cause).
    also: a second name that Retry and Catch may match.
    """

    wrapped = False
    """Whether the machine puts the state's name and entry event before the cause."""

    def __init__(self, error: str | None, cause: str | None = None, also: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.also = also


class DataError(StateError):
    """Data that does not fit the definition."""

    wrapped = True

    def __init__(self, message: str) -> None:
        super().__init__(RUNTIME, message)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One reason for which a definition is refused."""

    code: str
    message: str
    location: str | None = None
    """A path like /States/Wait/Seconds; None where the text is no object at all."""

    def __str__(self) -> str:
        place = f" at {self.location or 'null'}"  # AWS's own word for no place
        if self.location and self.message.endswith(self.location):
            place = ""
        return f"{self.code}: {self.message}{place}"


class DefinitionError(Exception):
    """The definition breaks the language's rules, or uses a part of it that is not here yet."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(", ".join(str(d) for d in diagnostics))
        self.diagnostics = diagnostics
