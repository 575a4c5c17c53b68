"""How a JSONata expression fails, in the words that AWS passes on."""

__all__ = ["DEPTH", "MEMORY", "TIME", "QueryError", "QuerySyntaxError"]


class QueryError(Exception):
    """An expression failed while it ran.

    code: JSONata's; empty where what Step Functions allows an evaluation is spent.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code

    @property
    def ending(self) -> str:
        """What follows the sentence that an expression threw an error."""
        return f". {self}" if self.code else f": {self}"


class QuerySyntaxError(ValueError):
    """A text that is no JSONata, or none that Step Functions or this interpreter takes.

    code: of the diagnostic.  place: where it stands below the payload's root, as `/a/b[0]`.
    """

    def __init__(self, code: str, message: str, place: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.place = place


TIME = "Expression evaluation timeout: Check for infinite loop"
MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
DEPTH = (
    "Stack overflow error: Check for non-terminating recursive function."
    " Consider rewriting as tail-recursive."
)
