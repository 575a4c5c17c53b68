"""Items of distributed Maps out of objects of every form, sound and broken."""

import gzip
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.items import failure, read, read_items

from scones.cloud.asl.failures import StateError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


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


def test_the_pairs_of_an_object_inside_a_document_are_items() -> None:
    body = json.dumps(
        {"servers": {"web": {"port": 80}, "db": [1, 2], "none": None}, "more": {"x": 1}}
    ).encode()
    found = read_items({"k": body}, pointer=["servers"])
    assert [item.name for item in found] == ["web", "db", "none"]
    assert [item.value for item in found] == [
        {"Key": "web", "Value": {"port": 80}},
        {"Key": "db", "Value": [1, 2]},
        {"Key": "none", "Value": None},
    ]


def test_a_pointer_to_nothing_or_to_no_array_has_no_items() -> None:
    assert "non-iterable" in failure(b'{"a": {"b": 1}}', pointer=["a", "c"])
    assert "non-iterable" in failure(b'{"a": {"b": 1}}', pointer=["a", "b"])


def test_items_begin_within_the_first_bytes_and_are_of_bounded_length() -> None:
    ahead = b'{"a": [' + b"1," * 9_000_000 + b'1], "b": [1]}'
    assert "do not begin within" in failure(ahead, size=262_144, pointer=["b"])
    assert "longer than 8388608 bytes" in failure(b'["' + b"x" * 9_000_000, size=262_144)
    after = b'{"b": [1], "a": [' + b"1," * 5_000_000 + b"1]}"
    assert read({"k": after}, size=262_144, pointer=["b"]) == [1]


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


def test_a_backslash_protects_what_follows_or_goes() -> None:
    body = rb"""path,size,say
C:\\Program Files\\a,6\,5,\"hi\"
\n,"a\,b","c\\"
"""
    assert read({"k": body}, input_type="CSV") == [
        {"path": "C:\\Program Files\\a", "size": "6,5", "say": '"hi"'},
        {"path": "n", "size": "a,b", "say": "c\\"},
    ]


def test_two_quotes_are_one_in_quotes_and_outside() -> None:
    body = b'abc,"a ""b"", and a\nnewline",{""My"":""Value""},"[1,2]","",""""\n'
    (found,) = read({"k": body}, input_type="CSV", headers=list("abcdef"))
    assert list(found.values()) == ["abc", 'a "b", and a\nnewline', '{"My":"Value"}', "[1,2]", "", '"']


def test_csv_headers_are_of_bounded_length() -> None:
    assert "CSV headers are longer than 10240 bytes" in failure(b"a" * 10_241 + b"\n1\n", input_type="CSV")


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


@pytest.mark.parametrize("key", ["k.jsonl.gz", "k.jsonl.zst", "k.jsonl.zstd"])
def test_an_object_that_is_compressed_is_read_as_if_it_were_not(key: str) -> None:
    pack = gzip.compress if key.endswith(".gz") else zstd.compress
    lines = [f'{{"n":{n}}}\n'.encode() for n in range(50_000)]
    body = pack(b"".join(lines[:40_000])) + pack(b"".join(lines[40_000:]))
    found = read({key: body}, 1000, input_type="JSONL", parameters={"Bucket": "b", "Key": key})
    assert found == [{"n": n} for n in range(50_000)]


@pytest.mark.parametrize("key", ["k.gz", "k.zst"])
def test_what_is_not_compressed_as_its_name_says_is_said_so(key: str) -> None:
    whole = (gzip.compress if key == "k.gz" else zstd.compress)(b'{"n":1}\n' * 1000)
    for body, problem in ((b"[1]\n" * 9, "is not valid"), (whole[:-5], "ends too early")):
        with pytest.raises(StateError, match=problem):
            read({key: body}, input_type="JSONL", parameters={"Bucket": "b", "Key": key})


@pytest.mark.parametrize("key", ["k.gz", "k.zst"])
def test_a_little_object_that_unpacks_to_a_line_without_end_is_given_up(key: str) -> None:
    body = (gzip.compress if key == "k.gz" else zstd.compress)(b"x" * 50_000_000)
    with pytest.raises(StateError, match="longer than 8388608 bytes"):
        read({key: body}, 65536, input_type="JSONL", parameters={"Bucket": "b", "Key": key})


def test_a_manifest_of_athena_gives_the_rows_of_its_files() -> None:
    objects = {
        "k": b's3://b/out/one.gz\n"s3://b/out/two"\n\n',
        "out/one.gz": gzip.compress(b'{"n":1}\n{"n":2}\n'),
        "out/two": b'{"n":3}\n',
    }
    found = read_items(objects, input_type="JSONL", athena=True)
    assert [(item.value["n"], item.source) for item in found] == [
        (1, "S3://b/out/one.gz"), (2, "S3://b/out/one.gz"), (3, "S3://b/out/two"),
    ]  # fmt: skip
    csv = objects | {"out/one.gz": gzip.compress(b"1,x\n"), "out/two": b"2,y\n"}
    assert read(csv, input_type="CSV", athena=True, headers=["n", "s"]) == [
        {"n": "1", "s": "x"}, {"n": "2", "s": "y"},
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"out/one\n", b"s3://b\n", b'{"files": []}'])
def test_what_is_no_manifest_of_athena_is_said_to_be_so(body: bytes) -> None:
    assert "is not a manifest of Athena" in failure(body, input_type="JSONL", athena=True)


def test_a_manifest_that_names_what_is_gone_fails_with_what_s3_says() -> None:
    assert "NoSuchKey" in failure(b"s3://b/gone\n", input_type="JSONL", athena=True)


def test_a_version_and_the_buckets_owner_are_asked_of_s3() -> None:
    asked: list[Any] = []
    more = {"VersionId": "null", "ExpectedBucketOwner": "000000000000"}
    read_items({"k": b"[1]"}, asked=asked, parameters={"Bucket": "b", "Key": "k"} | more)
    assert asked == [{"Bucket": "b", "Key": "k"} | more]
    listing = {"Bucket": "b", "Prefix": "", "ExpectedBucketOwner": "000000000000"}
    read_items({}, asked=asked, action="listObjectsV2", input_type=None, parameters=listing)
    assert asked[1]["ExpectedBucketOwner"] == "000000000000"


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
