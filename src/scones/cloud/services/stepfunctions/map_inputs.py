"""What the executions of a map run are given: an item each, or a batch of them."""

from dataclasses import dataclass

from scones.cloud.asl.distributed import Batching
from scones.cloud.asl.jsontext import Json, dumps

__all__ = ["Batch", "Given"]


@dataclass(frozen=True, slots=True)
class Given:
    """What one execution is given."""

    input: Json
    items: int
    key: str | None
    """Of the last item, where the items are a listing."""


class Batch:
    """Items that make one execution's input."""

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._items: list[Given] = []
        self._size = len(self._text("").encode())

    def __len__(self) -> int:
        return len(self._items)

    def full(self, item: Given) -> bool:
        """Whether the batch must go before the item."""
        if not self._items:
            return False
        most = self._batching.max_items
        size = self._size + len(item.input.text.encode()) + 1
        return bool(most and len(self._items) >= most) or size > self._batching.max_bytes

    def add(self, item: Given) -> None:
        self._items.append(item)
        self._size += len(item.input.text.encode()) + 1

    def _text(self, items: str) -> str:
        given = self._batching.batch_input
        first = "" if given is None else f'"BatchInput":{dumps(given)},'
        return f'{{{first}"Items":[{items}]}}'

    def input(self) -> Given:
        text = self._text(",".join(item.input.text for item in self._items))
        return Given(Json(text=text), len(self._items), self._items[-1].key)
