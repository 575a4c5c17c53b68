"""The ways to name a function: name, partial ARN, full ARN, each with or without a qualifier. Pure."""

import re
from dataclasses import dataclass

from scones.cloud.services.lambda_.errors import invalid, not_found

__all__ = ["LATEST", "FunctionName", "Place"]

LATEST = "$LATEST"
_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):)?"
    r"(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionName:
    """A function of this account; `qualifier` is as given, empty when none was."""

    name: str
    qualifier: str

    @property
    def version(self) -> str:
        return self.qualifier or LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The account and region in which names are understood."""

    region: str
    account: str

    def arn(self, name: str, qualifier: str = "") -> str:
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{arn}:{qualifier}" if qualifier else arn

    def parse(self, given: str, qualifier: str = "") -> FunctionName:
        """Raises when the name's own qualifier contradicts `qualifier`, or for another account."""
        found = _NAME.fullmatch(given)
        if not found:
            raise invalid(f"{given} is not a valid function name or ARN")
        if found["region"] not in (None, self.region):
            raise not_found(
                f"Functions from '{found['region']}' are not reachable in this region ('{self.region}')"
            )
        own = found["qualifier"] or ""
        if own and qualifier and own != qualifier:
            raise invalid(
                "The derived qualifier from the function name does not match the specified qualifier."
            )
        if found["account"] not in (None, self.account):
            raise not_found(f"Function not found: {given}")
        return FunctionName(name=found["name"], qualifier=own or qualifier)
