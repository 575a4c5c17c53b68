"""Reading one JSON object of a definition: typed fields, and a diagnostic for each that is wrong.

Reading goes on after a mistake, so that a person learns of all of them at once.
"""

from collections.abc import Collection
from typing import Any

from .failures import Diagnostic
from .paths import Path, compile_path
from .query import Payload, Query, compile_payload, is_query
from .queryerrors import QuerySyntaxError
from .template import Expression, Template, TemplateError, compile_expression, compile_template

__all__ = ["ROOT", "SCHEMA", "Reader"]

ROOT = compile_path("$")
SCHEMA = "SCHEMA_VALIDATION_FAILED"
_NO_REFERENCE = "Value is not a Reference Path"
_NO_EXPRESSION = "The value for the field '{}' must be a valid JSONPath or a valid intrinsic function call"


class Reader:
    """One object and where it stands. All readers of a definition share the list of diagnostics."""

    def __init__(
        self, fields: dict[str, Any], place: str, diagnostics: list[Diagnostic], jsonata: bool = False
    ) -> None:
        self.fields = fields
        self.place = place
        self.diagnostics = diagnostics
        self.jsonata = jsonata

    @property
    def arguments(self) -> str:
        """The field with what a state hands to its work."""
        return "Arguments" if self.jsonata else "Parameters"

    @property
    def _local(self) -> str:
        """The place below the state, as error messages of expressions tell it."""
        _, _, below = self.place.rpartition("States/")[2].partition("/")
        return f"{below}/" if below else ""

    def below(self, field: str, value: Any) -> "Reader | None":
        """A reader for the object `value` in `field`; None, and a diagnostic, where it is none."""
        if not isinstance(value, dict):
            self.wrong("Expected value of type Object", field)
            return None
        return Reader(value, f"{self.place}/{field}", self.diagnostics, self.jsonata)

    def wrong(self, message: str, field: str = "", code: str = SCHEMA) -> None:
        place = f"{self.place}/{field}" if field else self.place or "/"
        self.diagnostics.append(Diagnostic(code, message, place))

    def unsupported(self, what: str, field: str = "") -> None:
        self.wrong(f"{what} is not supported by this cloud yet", field, "NOT_SUPPORTED")

    def __contains__(self, field: str) -> bool:
        return field in self.fields

    def allow(self, names: Collection[str], elsewhere: Collection[str] = ()) -> None:
        """elsewhere: the fields of the same thing in the other query language."""
        own, other = ("JSONata", "JSONPath") if self.jsonata else ("JSONPath", "JSONata")
        for name in self.fields:
            if name in names:
                continue
            if name in elsewhere:
                reason = f"The QueryLanguage is set to '{own}', but field '{name}' is only supported for the"
                self.wrong(f"{reason} '{other}' QueryLanguage")
            else:
                self.wrong(f"Field '{name}' is not supported")

    def require(self, *names: str) -> bool:
        missing = [name for name in names if name not in self.fields]
        if missing:
            self.wrong(f"These fields are required: [{', '.join(missing)}]")
        return not missing

    def at_most_one(self, *names: str) -> None:
        present = [name for name in names if name in self.fields]
        if len(present) > 1:
            self.wrong(f"There should only be one of the following fields: [{', '.join(present)}]")

    def text(self, field: str) -> str | None:
        value = self.fields.get(field)
        if value is None and field not in self.fields:
            return None
        if not isinstance(value, str):
            self.wrong("Expected value of type String", field)
            return None
        return value

    def integer(self, field: str, fewest: int, most: int) -> int | None:
        value = self.fields.get(field)
        if field not in self.fields or self.queried(field):
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            self.wrong("Expected value of type Integer", field)
        elif value < fewest:
            self.wrong(f"Minimum value is {fewest}", field)
        elif value > most:
            self.wrong(f"Maximum value is {most}", field)
        else:
            return value
        return None

    def array(self, field: str) -> list[Any]:
        value = self.fields.get(field, [])
        if isinstance(value, list):
            return value
        self.wrong("Expected value of type Array", field)
        return []

    def filled_array(self, field: str) -> list[Any]:
        if self.fields.get(field) == []:
            self.wrong("Value cannot be empty", field)
        return self.array(field)

    def path(self, field: str) -> Path | None:
        """A path; None where the field is absent or broken."""
        if field not in self.fields:
            return None
        value = self.fields[field]
        try:
            if not isinstance(value, str):
                raise ValueError
            return compile_path(value)
        except ValueError:
            self.wrong("Value must be a valid JSONPath.", field)
            return None

    def path_or_null(self, field: str) -> Path | None:
        """InputPath and OutputPath: absent means `$`, null means None."""
        if field not in self.fields:
            return ROOT
        return None if self.fields[field] is None else self.path(field)

    def reference_path(self, field: str) -> Path | None:
        """ResultPath: absent means `$`, null means None; only names and indices may lead there."""
        if self.fields.get(field, "") is None:
            return None
        path = self.path(field) if field in self.fields else ROOT
        if path and (path.source != "input" or not path.single):
            self.wrong(_NO_REFERENCE, field)
            return None
        return path

    def number_path(self, field: str) -> Path | None:
        """The path of a number of a Map: to one place in the input, or to a variable."""
        path = self.path(field)
        if path and (path.source == "context" or not path.single):
            self.wrong(_NO_REFERENCE, field)
            return None
        return path

    def expression(self, field: str) -> Expression | None:
        if field not in self.fields:
            return None
        try:
            return compile_expression(self.fields[field])
        except ValueError:
            self.wrong(_NO_EXPRESSION.format(field))
            return None

    def queried(self, field: str) -> bool:
        """Whether a JSONata expression stands in the field of a state that has them."""
        return self.jsonata and is_query(self.fields.get(field))

    def query(self, field: str) -> Query | None:
        """The field's expression; None where something else stands there."""
        if not self.queried(field):
            return None
        payload = self.payload(field)
        return payload.value if payload and isinstance(payload.value, Query) else None

    def payload(self, field: str) -> Payload | None:
        """A JSONata state's field with expressions inside; None in other states, and where absent."""
        if field not in self.fields or not self.jsonata:
            return None
        try:
            return compile_payload(self.fields[field], f"{self._local}{field}")
        except QuerySyntaxError as problem:
            self.wrong(str(problem), f"{field}{problem.place}", problem.code)
            return None

    def template(self, field: str) -> Template | None:
        if self.jsonata:
            return self.payload(field)
        if field not in self.fields:
            return None
        try:
            return compile_template(self.fields[field], field)
        except TemplateError as problem:
            self.wrong(_NO_EXPRESSION.format(problem.field), problem.place)
            return None
