"""Rows of Parquet files as items: every type, every compression, and files that mean harm."""

import datetime as dt
import io
import struct
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.items import failure, read, read_items

import scones.cloud
from scones.cloud.asl.failures import StateError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

GUEST = Path(scones.cloud.__file__).parent / "guest" / "parquet_rows.py"
NOON = dt.datetime(2024, 1, 2, 12, 0, 0, 678901)
NOON_MS = 1704196800678


def parquet(rows: list[dict[str, Any]], schema: Any = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("type_", "value", "item"),
    [
        (pa.bool_(), True, True),
        (pa.int8(), -5, -5),
        (pa.uint64(), 2**63, 2**63),
        (pa.float32(), 0.1, 0.1),
        (pa.float64(), 0.1, 0.1),
        (pa.float64(), float("nan"), "NaN"),
        (pa.float64(), float("-inf"), "-Infinity"),
        (pa.string(), "höhe", "höhe"),
        (pa.string(), None, None),
        (pa.binary(), b"\xff", "/w=="),
        (pa.decimal128(10, 2), Decimal("12.50"), 12.5),
        (pa.decimal128(30, 0), Decimal(10**25 + 1), 10**25 + 1),
        (pa.date32(), dt.date(2024, 1, 2), "2024-01-02"),
        (pa.time64("us"), dt.time(1, 2, 3), "01:02:03"),
        (pa.timestamp("us"), NOON, NOON_MS),
        (pa.timestamp("ns", tz="UTC"), NOON, NOON_MS),
        (pa.timestamp("ms"), dt.datetime(1969, 12, 31, 23, 59, 59), -1000),
        (pa.list_(pa.timestamp("us")), [NOON, None], [NOON_MS, None]),
        (pa.list_(pa.list_(pa.float32())), [[0.1], None], [[0.1], None]),
        (pa.struct([("a", pa.float32()), ("b", pa.string())]), {"a": 0.1, "b": "x"}, {"a": 0.1, "b": "x"}),
        (pa.map_(pa.string(), pa.timestamp("us")), [("k", NOON)], {"k": NOON_MS}),
        (pa.map_(pa.int32(), pa.int32()), [(1, 2)], {"1": 2}),
        (pa.dictionary(pa.int32(), pa.string()), "x", "x"),
    ],
    ids=str,
)
def test_a_value_becomes_json(type_: Any, value: Any, item: Any) -> None:
    body = parquet([{"v": value}], pa.schema([("v", type_)]))
    assert read({"k": body}, 65536, input_type="PARQUET") == [{"v": item}]


def test_the_old_form_of_a_timestamp_is_one_too() -> None:
    body = parquet([{"v": NOON}], use_deprecated_int96_timestamps=True)
    assert read({"k": body}, 65536, input_type="PARQUET") == [{"v": NOON_MS}]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_rows_come_in_order_over_all_row_groups_however_they_are_compressed(codec: str) -> None:
    rows = [{"n": n, "s": f"row {n}"} for n in range(3000)]
    body = parquet(rows, compression=codec, row_group_size=700)
    found = read_items({"k": body}, 65536, input_type="PARQUET")
    assert [item.value for item in found] == rows
    assert found[0].source == "S3://b/k"


def test_a_file_without_rows_has_no_items() -> None:
    assert read({"k": parquet([], pa.schema([("v", pa.int32())]))}, input_type="PARQUET") == []


def test_no_more_rows_come_than_are_wanted_and_reading_goes_on_after_what_is_done() -> None:
    body = parquet([{"n": n} for n in range(100_000)])
    found = read({"k": body}, 65536, done=10, max_items=12, place={"etag": "now"}, input_type="PARQUET")
    assert found == [{"n": 10}, {"n": 11}]


def test_listed_files_and_those_of_a_manifest_are_read_in_turn() -> None:
    objects = {f"p/{n}": parquet([{"n": n}, {"n": n + 10}]) for n in range(2)}
    expected = [{"n": 0}, {"n": 10}, {"n": 1}, {"n": 11}]
    where = {"Bucket": "b", "Prefix": "p/"}
    assert expected == read(
        objects, 65536, action="listObjectsV2", parameters=where, flatten=True, input_type="PARQUET"
    )
    manifest = {"k": b"s3://b/p/0\ns3://b/p/1\n"}
    assert expected == read(objects | manifest, 65536, athena=True, input_type="PARQUET")


def test_a_version_of_a_parquet_file_is_refused() -> None:
    where = {"Bucket": "b", "Key": "k", "VersionId": "null"}
    assert "VersionId of an ItemReader is not supported" in failure(
        b"", input_type="PARQUET", parameters=where
    )


# What means harm ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "too short"),
        (b"n,s\n1,2\n3,4\n", "does not end as a Parquet file"),
        (b"PAR1" + b"\0" * 64 + struct.pack("<I", 6 * 1024**2) + b"PAR1", "its footer has 6291456 bytes"),
        (b"PAR1" + b"\0" * 64 + struct.pack("<I", 1000) + b"PAR1", "cannot be read"),
        (b"PAR1" + b"\xff" * 64 + struct.pack("<I", 60) + b"PAR1", "cannot be read"),
        (b"PAR1" + b"\0" * 64 + struct.pack("<I", 60) + b"PARE", "cannot be read"),
    ],
)
def test_what_is_not_parquet_is_said_to_be_so(body: bytes, problem: str) -> None:
    said = failure(body, size=4096, input_type="PARQUET")
    assert said.startswith("The Parquet file S3://b/k cannot be read: ")
    assert problem in said


def test_a_damaged_page_fails_the_reading() -> None:
    body = bytearray(parquet([{"s": "x" * n} for n in range(2000)], compression="gzip"))
    body[200:260] = b"\xff" * 60
    assert "cannot be read" in failure(bytes(body), size=65536, input_type="PARQUET")


def test_every_byte_may_be_wrong_and_the_reading_ends() -> None:
    body = parquet([{"n": n, "s": f"{n}"} for n in range(50)], compression="snappy")
    for at in range(0, len(body), len(body) // 12):
        broken = bytearray(body)
        broken[at] ^= 0xFF
        try:
            read({"k": bytes(broken)}, 65536, input_type="PARQUET")
        except StateError as problem:
            assert problem.error == "States.ItemReaderFailed"


def test_a_row_group_that_is_too_large_is_refused() -> None:
    column = pa.array(range(40_000_000), type=pa.int64())
    buffer = io.BytesIO()
    options = {"use_dictionary": False, "column_encoding": "PLAIN", "compression": "zstd"}
    pq.write_table(pa.table({"n": column}), buffer, row_group_size=40_000_000, **options)
    assert "row group 0 has 32" in failure(buffer.getvalue(), size=1 << 20, input_type="PARQUET")


def test_a_row_that_is_too_long_is_refused() -> None:
    body = parquet([{"s": "short"}, {"s": "x" * 9_000_000}])
    assert "a row is longer than 8388608 bytes" in failure(body, size=65536, input_type="PARQUET")


def test_a_long_value_that_is_stored_once_for_many_rows_is_read_without_holding_them_all() -> None:
    body = parquet([{"s": "x" * 1_000_000}] * 300)
    assert len(body) < 1_000_000
    found = read({"k": body}, 65536, max_items=150, input_type="PARQUET")
    assert {len(row["s"]) for row in found} == {1_000_000}


def test_what_unpacks_to_more_than_the_memory_allowed_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(parquet([{"l": [0] * 40_000_000}], pa.schema([("l", pa.list_(pa.int8()))])))
    assert bomb.stat().st_size < 1000
    arguments = [sys.executable, "-P", str(GUEST), str(bomb), "8388608", "400000000"]
    environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        said = reader.stdout.readline()
        reader.kill()
    assert said == b"!reading it takes more than 400000000 bytes of memory\n"


def test_columns_of_one_name_are_refused() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), buffer)
    assert "two columns have the same name" in failure(buffer.getvalue(), size=4096, input_type="PARQUET")


def test_a_reader_that_dies_fails_the_reading_and_no_more(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="its reader broke off with code -11"):
        read_items(
            {"k": parquet([{"n": 1}])}, 4096, python=python(tmp_path, "kill -SEGV $$"), input_type="PARQUET"
        )


def test_a_reader_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    silent = python(tmp_path, "while :; do sleep 1; done")
    with pytest.raises(StateError, match="no row came for 0"):
        read_items({"k": b""}, python=silent, silence_s=0.2, input_type="PARQUET")


def test_without_pyarrow_the_failure_says_what_to_install(tmp_path: Path) -> None:
    bare = python(tmp_path, f'exec {sys.executable} -S "$@"')
    with pytest.raises(StateError) as caught:
        read_items({"k": parquet([{"n": 1}])}, 4096, python=bare, input_type="PARQUET")
    assert caught.value.error == "States.ItemReaderFailed"
    assert "pip install 'scones[parquet]'" in str(caught.value.cause)


def python(folder: Path, script: str) -> str:
    """An interpreter that is none of ours."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
