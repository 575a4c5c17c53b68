"""Check values and joins of the three CRCs; zlib is the oracle for the one it knows."""

import random
import zlib

import pytest

from scones.cloud.services.s3.crc import CRC32, CRC32C, CRC64NVME, Crc, CrcHash


def check(crc: Crc, *pieces: bytes) -> int:
    hasher = CrcHash(crc)
    for piece in pieces:
        hasher.update(piece)
    return int.from_bytes(hasher.digest(), "big")


@pytest.mark.parametrize(
    ("crc", "value"), [(CRC32, 0xCBF43926), (CRC32C, 0xE3069283), (CRC64NVME, 0xAE8B14860A799888)]
)
def test_the_published_check_values_come_out(crc: Crc, value: int) -> None:
    assert check(crc, b"123456789") == value
    assert check(crc) == 0


@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 1000, 262_143, 262_144, 300_001])
def test_bulk_computation_agrees_with_zlib(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert check(CRC32, data) == zlib.crc32(data)


@pytest.mark.parametrize("crc", [CRC32, CRC32C, CRC64NVME])
def test_pieces_and_joined_parts_give_the_check_of_the_whole(crc: Crc) -> None:
    data = random.Random(5).randbytes(40_000)
    whole = check(crc, data)
    for cut in (0, 1, 8, 12_345, len(data)):
        assert check(crc, data[:cut], data[cut:]) == whole
        joined = crc.join(check(crc, data[:cut]), check(crc, data[cut:]), len(data) - cut)
        assert joined == whole
