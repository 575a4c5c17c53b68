"""Tags on any SageMaker resource that exists."""

from typing import get_args

from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.store import Store, Table
from scones.cloud.services.sagemaker.wording import invalid, resource_limit

__all__ = ["Tags", "checked_tags"]

_LIMIT = 50  # tags on one resource


def checked_tags(tags: list[Wire]) -> list[tuple[str, str]]:
    """(key, value) pairs; raises ValidationException for reserved or repeated keys."""
    pairs = [(tag["Key"], tag["Value"]) for tag in tags]
    keys = [key for key, _ in pairs]
    for key in keys:
        if key.lower().startswith("aws:"):
            raise invalid(f'The tag key "{key}" is reserved: keys may not start with "aws:".')
        if keys.count(key) > 1:
            raise invalid(f'The tag key "{key}" is given more than once.')
    return pairs


class Tags:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add_tags(self, request: Wire, context: Context) -> Wire:
        arn = self._existing(request["ResourceArn"])
        self._store.put_tags(arn, checked_tags(request["Tags"]))
        tags = self._store.tags(arn)
        if len(tags) > _LIMIT:
            raise resource_limit(f"A resource takes at most {_LIMIT} tags.")
        return {"Tags": _wire(tags)}

    def list_tags(self, request: Wire, context: Context) -> Wire:
        return {"Tags": _wire(self._store.tags(self._existing(request["ResourceArn"])))}

    def delete_tags(self, request: Wire, context: Context) -> Wire:
        self._store.remove_tags(self._existing(request["ResourceArn"]), request["TagKeys"])
        return {}

    def _existing(self, arn: str) -> str:
        head, slash, name = arn.partition("/")
        canonical = f"{head}{slash}{name.lower()}"
        if not any(self._store.holds(table, canonical) for table in get_args(Table)):
            raise invalid(f'Could not find a resource with the ARN "{arn}".')
        return canonical


def _wire(tags: list[tuple[str, str]]) -> list[Wire]:
    return [{"Key": key, "Value": value} for key, value in tags]
