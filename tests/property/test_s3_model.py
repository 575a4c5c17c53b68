"""S3 against a dictionary: any sequence of operations, and any page of any listing."""

import asyncio
import hashlib
import inspect
import itertools
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, FileBody, Wire
from scones.cloud.services.s3 import S3
from scones.cloud.services.s3.listing import page
from scones.cloud.services.s3.store import after_prefix
from scones.cloud.settings import CloudSettings
from scones.cloud.state.blobs import Blobs
from scones.cloud.state.db import Database

CONTEXT = Context(request_id="r", account_id="000000000000", region="us-east-1")
IN_ROW_BYTES = 16 * 1024


class World:
    """The clock, the ids and the faults of a place where nothing happens by itself."""

    def __init__(self) -> None:
        self._ids = itertools.count()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def uuid(self) -> str:
        return f"{next(self._ids):036x}"

    def token(self, length: int) -> str:
        return f"{next(self._ids):0{length}x}"

    def reach(self, point: str) -> None:
        pass


# A small alphabet makes keys that share prefixes, contain each other, and sort by bytes.
KEYS = st.text("a/é😀\x00\uffff ", min_size=1, max_size=6)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.integers(IN_ROW_BYTES - 1, IN_ROW_BYTES + 2).map(lambda size: b"x" * size),
)


class Objects(RuleBasedStateMachine):
    known = Bundle("known")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.model: dict[str, bytes] = {}
        self.open()
        self.call("create_bucket")

    def open(self) -> None:
        root = Path(self.folder.name)
        self.db = Database(root / "state.sqlite")
        self.blobs = Blobs(root / "blobs")
        world = self.world
        self.s3 = S3(
            db=self.db,
            blobs=self.blobs,
            clock=world,
            ids=world,
            faults=world,
            settings=CloudSettings(state_dir=root),
        )
        self.loop.run_until_complete(self.s3.start())

    def teardown(self) -> None:
        self.loop.run_until_complete(self.s3.close())
        files = [file for file in self.blobs.root.rglob("*") if file.is_file()]
        assert len(files) == sum(len(body) > IN_ROW_BYTES for body in self.model.values())
        self.db.close()
        self.loop.close()
        self.folder.cleanup()

    def call(self, operation: str, **request: Any) -> Wire:
        method = next(m for part in self.s3.parts if (m := getattr(part, operation, None)) is not None)
        request["Bucket"] = "shelf"
        if inspect.iscoroutinefunction(method):
            return dict(self.loop.run_until_complete(method(request, CONTEXT)))
        # A blob's removal is scheduled on the running loop, as in the cloud itself.
        return self.loop.run_until_complete(self._within_transaction(method, request))

    async def _within_transaction(self, method: Any, request: Wire) -> Wire:
        with self.db.transaction():
            return dict(method(request, CONTEXT))

    @rule(target=known, key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> str:
        reply = self.call("put_object", Key=key, Body=body)
        assert reply["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        self.model[key] = body
        return key

    @rule(key=known, body=BODIES)
    def put_only_if_new(self, key: str, body: bytes) -> None:
        if key in self.model:
            with pytest.raises(ServiceError, match="PreconditionFailed"):
                self.call("put_object", Key=key, Body=body, IfNoneMatch="*")
        else:
            self.call("put_object", Key=key, Body=body, IfNoneMatch="*")
            self.model[key] = body

    @rule(key=known, first=st.integers(0, 50), last=st.integers(0, 50))
    def get(self, key: str, first: int, last: int) -> None:
        if key not in self.model:
            with pytest.raises(ServiceError, match="NoSuchKey"):
                self.call("get_object", Key=key)
            return
        body = self.model[key]
        assert content(self.call("get_object", Key=key)) == body
        if first <= last and first < len(body):
            stretch = self.call("get_object", Key=key, Range=f"bytes={first}-{last}")
            assert content(stretch) == body[first : last + 1]

    @rule(source=known, key=KEYS)
    def copy(self, source: str, key: str) -> None:
        if source not in self.model or source == key:
            return
        self.call("copy_object", Key=key, CopySource=f"shelf/{percent(source)}")
        self.model[key] = self.model[source]

    @rule(key=known)
    def delete(self, key: str) -> None:
        self.call("delete_object", Key=key)
        self.model.pop(key, None)

    @rule(keys=st.lists(known, min_size=1, max_size=4))
    def delete_several(self, keys: list[str]) -> None:
        self.call("delete_objects", Delete={"Objects": [{"Key": key} for key in keys]})
        for key in keys:
            self.model.pop(key, None)

    @rule()
    def crash(self) -> None:
        self.db.close()
        self.open()

    @invariant()
    def lists_what_is_there(self) -> None:
        listed = self.call("list_objects_v2")["Contents"]
        expected = sorted(self.model, key=str.encode)
        assert [(item["Key"], item["Size"]) for item in listed] == [(k, len(self.model[k])) for k in expected]


def content(reply: Wire) -> bytes:
    body = reply["Body"]
    return body.read() if isinstance(body, FileBody) else bytes(body)


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


TestObjects = Objects.TestCase
TestObjects.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- pages --------------------------------------------------------------------------------------


class Key:
    def __init__(self, key: bytes) -> None:
        self.key = key


def naive(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    """Everything a listing shows, by the definition: keys, and what they have before a delimiter."""
    shown = set()
    for key in keys:
        if key.startswith(prefix):
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            shown.add(prefix + head + found if found else key)
    return sorted(shown, key=str.encode)


@given(
    keys=st.sets(KEYS, max_size=30),
    prefix=st.text("a/é", max_size=3),
    delimiter=st.text("a/é", max_size=2),
    limit=st.integers(1, 5),
    after=st.one_of(st.just(""), KEYS),
)
@settings(max_examples=400, deadline=None)
def test_pages_show_what_a_naive_model_shows(
    keys: set[str], prefix: str, delimiter: str, limit: int, after: str
) -> None:
    stored = sorted(key.encode() for key in keys)
    end = after_prefix(prefix.encode())

    def scan(start: bytes, count: int) -> Iterator[Key]:
        return itertools.islice((Key(key) for key in stored if start <= key < end), count)

    marker = after.encode()
    seen: list[str] = []
    while True:
        found = page(scan, prefix=prefix.encode(), delimiter=delimiter.encode(), after=marker, limit=limit)
        names = sorted([item.key for item in found.items] + found.prefixes)
        assert len(names) <= limit
        seen += [name.decode() for name in names]
        if not found.truncated:
            break
        assert len(names) == limit
        assert names[-1] == found.last
        marker = found.last
    wanted = naive(keys, prefix, delimiter)
    assert seen == [name for name in wanted if name.encode() > after.encode()]
