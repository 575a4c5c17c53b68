"""Results in files of bounded length, written in parts."""

import asyncio
import json
from typing import Any

import pytest

from scones.cloud.ports import Wire
from scones.cloud.services.stepfunctions.result_files import ResultFiles, abort_uploads


class Bucket:
    """As much of S3 as results need."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, list[bytes]] = {}

    async def call(self, service: str, operation: str, request: Wire) -> Wire:
        key = request.get("Key", "")
        if operation == "PutObject":
            self.objects[key] = request["Body"]
        elif operation == "CreateMultipartUpload":
            self.uploads[key] = []
            return {"UploadId": key}
        elif operation == "UploadPart":
            self.uploads[key].append(request["Body"])
            assert request["PartNumber"] == len(self.uploads[key])
            return {"ETag": f"e{request['PartNumber']}"}
        elif operation == "CompleteMultipartUpload":
            parts = self.uploads.pop(key)
            told = [(part["PartNumber"], part["ETag"]) for part in request["MultipartUpload"]["Parts"]]
            assert told == [(n, f"e{n}") for n in range(1, len(parts) + 1)]
            self.objects[key] = b"".join(parts)
        elif operation == "ListMultipartUploads":
            found = [key for key in self.uploads if key.startswith(request["Prefix"])]
            return {"Uploads": [{"Key": key, "UploadId": key} for key in found]}
        elif operation == "AbortMultipartUpload":
            del self.uploads[key]
        return {}


def write(bucket: Bucket, texts: list[str], *, lines: bool, **sizes: int) -> list[dict[str, Any]]:
    async def work() -> list[dict[str, Any]]:
        files = ResultFiles(bucket.call, "b", "out/SUCCEEDED", lines=lines, **sizes)
        for text in texts:
            await files.add(text)
        return await files.close()

    return asyncio.run(work())


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("part_bytes", [10, 1000])
@pytest.mark.parametrize("largest_bytes", [25, 100_000])
def test_all_results_are_there_in_order_however_they_are_cut(
    lines: bool, part_bytes: int, largest_bytes: int
) -> None:
    bucket = Bucket()
    texts = [f'"{n:04}"' for n in range(23)]
    files = write(bucket, texts, lines=lines, part_bytes=part_bytes, largest_bytes=largest_bytes)
    kind = "jsonl" if lines else "json"
    assert [file["Key"] for file in files] == [f"out/SUCCEEDED_{n}.{kind}" for n in range(len(files))]
    assert len(files) == (1 if largest_bytes > 1000 else 8)
    found: list[Any] = []
    for file in files:
        body = bucket.objects[file["Key"]]
        assert len(body) == file["Size"] <= largest_bytes
        found += [json.loads(line) for line in body.splitlines()] if lines else json.loads(body)
    assert found == [json.loads(text) for text in texts]
    assert not bucket.uploads


def test_no_results_are_no_file() -> None:
    bucket = Bucket()
    assert write(bucket, [], lines=False) == []
    assert not bucket.objects


def test_what_is_half_written_under_a_prefix_is_given_up() -> None:
    bucket = Bucket()
    bucket.uploads = {"out/a/SUCCEEDED_0.json": [b"x"], "out/b/SUCCEEDED_0.json": [b"x"]}
    asyncio.run(abort_uploads(bucket.call, "b", "out/a/"))
    assert list(bucket.uploads) == ["out/b/SUCCEEDED_0.json"]
