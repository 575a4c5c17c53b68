"""Items of distributed Maps out of objects of every form, sound and broken."""

import asyncio
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.asl.distributed import Reading
from scones.cloud.asl.failures import StateError
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.stepfunctions.item_reader import Place, read_items


class Pieces:
    """A body that comes a few bytes at a time."""

    length = None

    def __init__(self, body: bytes, size: int) -> None:
        self._body, self._size = body, size

    async def __aiter__(self) -> Any:
        for start in range(0, len(self._body), self._size):
            yield self._body[start : start + self._size]


def read(
    objects: dict[str, bytes], size: int = 7, place: Any = None, done: int = 0, **fields: Any
) -> list[Any]:
    """The items, from a bucket that holds these objects."""

    async def call(service: str, operation: str, request: Wire) -> Wire:
        if operation == "ListObjectsV2":
            after = request.get("StartAfter", "")
            keys = sorted(key for key in objects if key.startswith(request["Prefix"]) and key > after)
            start = int(request.get("ContinuationToken", 0))
            found = [
                {"Key": key, "ETag": '"e"', "Size": len(objects[key]), "LastModified": datetime.now(UTC)}
                for key in keys[start : start + 2]
            ]
            more = start + 2 < len(keys)
            return {"Contents": found, "IsTruncated": more, "NextContinuationToken": str(start + 2)}
        if request["Key"] not in objects:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", status=404)
        if request.get("IfMatch", "now") != "now":
            raise ServiceError("PreconditionFailed", "It has another ETag.", status=412)
        return {"Body": Pieces(objects[request["Key"]], size), "ETag": "now"}

    async def collect() -> list[Any]:
        return [item.value async for item in read_items(call, reading(**fields), Place(**place or {}), done)]

    return asyncio.run(collect())


def reading(**fields: Any) -> Reading:
    defaults: dict[str, Any] = {
        "action": "getObject",
        "parameters": {"Bucket": "b", "Key": "k"},
        "input_type": "JSON",
        "headers": None,
        "delimiter": ",",
        "max_items": 0,
        "pointer": [],
        "flatten": False,
    }
    return Reading(**defaults | fields)


def failure(body: bytes, **fields: Any) -> str:
    with pytest.raises(StateError) as caught:
        read({"k": body}, **fields)
    assert caught.value.error == "States.ItemReaderFailed"
    return str(caught.value.cause)


@given(
    st.lists(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=5,
    ),
    st.integers(1, 40),
)
def test_json_gives_the_arrays_elements_however_it_is_cut(items: list[Any], size: int) -> None:
    assert read({"k": json.dumps(items).encode()}, size) == items


def test_a_pointer_leads_to_the_array_inside_a_document() -> None:
    body = json.dumps({"version": [9], "data": {"items": [1, {"a": 2}], "more": [3]}}).encode()
    assert read({"k": body}, pointer=["data", "items"]) == [1, {"a": 2}]


@pytest.mark.parametrize("body", [b'{"Hello": "world"}', b'"text"', b"7", b"null"])
def test_a_document_that_is_no_array_has_no_items(body: bytes) -> None:
    assert failure(body) == "Attempting to map over non-iterable node."


def test_a_pointer_to_nothing_or_to_no_array_has_no_items() -> None:
    assert "non-iterable" in failure(b'{"a": {"b": 1}}', pointer=["a", "c"])
    assert "non-iterable" in failure(b'{"a": {"b": 1}}', pointer=["a", "b"])


@pytest.mark.parametrize("body", [b"", b"[1, 2", b"[1 2]", b"\xff\xfe[1]", b"[" * 100_000])
def test_what_is_not_json_is_said_to_be_so(body: bytes) -> None:
    assert failure(body, size=4096) != ""


def test_json_lines_may_be_blank_and_need_no_last_end() -> None:
    assert read({"k": b'{"a":1}\r\n\n  \n[2]\n"x"'}, input_type="JSONL") == [{"a": 1}, [2], "x"]
    assert failure(b'{"a":1}\n{"a"\n', input_type="JSONL") == "Line 2 of the object is not valid JSON."


def test_csv_takes_its_headers_from_the_first_row() -> None:
    body = b'\xef\xbb\xbffile,label\n"a, b.png",0\r\n"say ""hi""\nthere",1\n\nshort\nlong,2,3\n'
    assert read({"k": body}, input_type="CSV") == [
        {"file": "a, b.png", "label": "0"},
        {"file": 'say "hi"\nthere', "label": "1"},
        {"file": "short", "label": ""},
        {"file": "long", "label": "2"},
    ]


def test_csv_with_given_headers_and_another_delimiter() -> None:
    found = read({"k": b"a|1\nb|2"}, input_type="CSV", headers=["name", "n"], delimiter="|")
    assert found == [{"name": "a", "n": "1"}, {"name": "b", "n": "2"}]


def test_csv_headers_are_unique() -> None:
    assert failure(b"a,a\n1,2\n", input_type="CSV") == "CSV headers cannot contain duplicates."


def test_a_record_that_never_closes_its_quotes_is_given_up() -> None:
    assert "longer than" in failure(b'a\n"' + b"x\n" * 5_000_000, size=65536, input_type="CSV")


def test_bytes_that_are_no_text_are_said_to_be_so() -> None:
    assert failure(b"a\n\xff\xff\n", input_type="CSV") == "The object is not encoded in UTF-8."


def test_no_more_items_come_than_are_wanted() -> None:
    assert read({"k": b"[1,2,3,4]"}, max_items=2) == [1, 2]
    assert failure(b"[1]", max_items=-1) == "field MaxItems must be positive"


def test_a_listing_goes_over_all_its_pages() -> None:
    objects = {f"p/{n}": b"x" * n for n in range(5)}
    found = read(objects, action="listObjectsV2", input_type=None, parameters={"Bucket": "b", "Prefix": "p/"})
    assert [(item["Key"], item["Size"]) for item in found] == [(f"p/{n}", n) for n in range(5)]


def test_listed_objects_are_loaded_but_not_folders() -> None:
    objects = {"p/": b"", "p/1": b"[1,2]", "p/2": b"[3]"}
    where: dict[str, Any] = {"action": "listObjectsV2", "parameters": {"Bucket": "b", "Prefix": "p/"}}
    assert read(objects, flatten=True, **where) == [1, 2, 3]


def test_an_inventory_gives_the_rows_of_its_files() -> None:
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "one.csv.gz"}, {"key": "two.csv"}],
    }
    objects = {
        "k": json.dumps(manifest).encode(),
        "one.csv.gz": gzip.compress(b'"b","a.png","3"\n'),
        "two.csv": b'"b","b.png","4"\n',
    }
    assert read(objects, input_type="MANIFEST") == [
        {"Bucket": "b", "Key": "a.png", "Size": "3"},
        {"Bucket": "b", "Key": "b.png", "Size": "4"},
    ]


def test_an_inventory_that_is_broken_is_said_to_be_so() -> None:
    assert "manifest" in failure(b"[1]", input_type="MANIFEST")
    body = json.dumps({"fileFormat": "CSV", "fileSchema": "Key", "files": [{"key": "k.gz"}]}).encode()
    with pytest.raises(StateError, match="gzip"):
        read({"k": body, "k.gz": b"not gzip at all"}, input_type="MANIFEST")


def test_what_s3_refuses_is_told_with_its_code() -> None:
    with pytest.raises(StateError, match=r"does not exist.*Status Code: 404; Error Code: NoSuchKey"):
        read({})
    with pytest.raises(StateError, match="Key of an ItemReader must be a string"):
        read({}, parameters={"Bucket": "b", "Key": 3})


def test_reading_goes_on_after_what_is_done() -> None:
    assert read({"k": b"[1,2,3,4]"}, place={"etag": "now"}, done=2) == [3, 4]
    assert read({"k": b"[1,2,3,4]"}, place={"etag": "now"}, done=2, max_items=3) == [3]
    with pytest.raises(StateError, match="PreconditionFailed"):
        read({"k": b"[1,2,3,4]"}, place={"etag": "then"}, done=2)


def test_a_listing_goes_on_after_the_last_key_whatever_came_before_it_since() -> None:
    objects = {f"p/{name}": b"" for name in ("a", "a2", "b", "c")}
    where: dict[str, Any] = {"action": "listObjectsV2", "parameters": {"Bucket": "b", "Prefix": "p/"}}
    found = read(objects, place={"key": "p/b"}, done=2, max_items=4, **where)
    assert [item["Key"] for item in found] == ["p/c"]
