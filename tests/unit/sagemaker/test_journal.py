"""Records that wait for S3: appended whole or not at all, and found again after a crash."""

import asyncio
import resource
from pathlib import Path

import pytest

from scones.cloud.services.sagemaker.journal import Journal


def content(journal: Journal, number: int) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in journal.body(number)])

    return asyncio.run(read())


def opened(folder: Path, *known: int) -> Journal:
    journal = Journal(folder, sync=False)
    journal.repair(known)
    return journal


@pytest.mark.parametrize("sync", [False, True])
def test_records_stand_in_the_order_of_their_coming(tmp_path: Path, sync: bool) -> None:
    journal = Journal(tmp_path, sync=sync)
    journal.repair([])
    for number in range(3):
        journal.append(1, b"%d\n" % number)
        journal.append(2, b"other\n")
    assert journal.size(1) == 6
    assert content(journal, 1) == b"0\n1\n2\n"
    journal.delete(1)
    assert journal.size(1) == 0
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["2.jsonl"]


def test_a_crash_leaves_whole_records_and_no_strangers(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    for number in (1, 2, 3):
        journal.append(number, b"whole\n")
    journal.append(2, b"torn")
    journal.append(4, b"only torn")
    journal.close()
    revived = opened(tmp_path, 2, 3, 4, 5)
    assert content(revived, 2) == b"whole\n"
    assert content(revived, 3) == b"whole\n"
    assert [revived.size(number) for number in (1, 4, 5)] == [0, 0, 0]


def test_a_record_that_finds_no_room_leaves_nothing_of_itself(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.append(1, b"first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.append(1, b"much too long\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.append(1, b"second\n")
    assert content(journal, 1) == b"first\nsecond\n"
