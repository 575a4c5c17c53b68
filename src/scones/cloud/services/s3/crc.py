"""Cyclic redundancy checks as algebra: polynomials over GF(2), shifted, joined and computed in bulk.

Two things need it. The checksum of a whole upload follows from those of its parts without reading
them again, and CRC32C and CRC64NVME, which the standard library lacks, are computed with NumPy at a
few hundred MB/s, by joining the remainders of many blocks at once.

Bits are reflected, as in zlib: the highest bit of a remainder is the coefficient of x**0.
"""

import zlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Words = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]

__all__ = ["CRC32", "CRC32C", "CRC64NVME", "Crc", "CrcHash", "Zlib32"]

_BLOCK = 8
_SLICE = 256 * 1024


class Crc:
    """One polynomial. A check starts from all ones and ends inverted, as all three of S3's do."""

    def __init__(self, width: int, polynomial: int) -> None:
        self.width = width
        self.ones = (1 << width) - 1
        self._polynomial = polynomial
        self._squares = [1 << (width - 2)]
        self._shifts: dict[int, list[Words]] = {}

    def multiply(self, a: int, b: int) -> int:
        """a * b modulo the polynomial."""
        product = 0
        bit = 1 << (self.width - 1)
        while bit:
            if a & bit:
                product ^= b
            b = b >> 1 ^ (self._polynomial if b & 1 else 0)
            bit >>= 1
        return product

    def power(self, exponent: int) -> int:
        """x**exponent modulo the polynomial."""
        result = 1 << (self.width - 1)
        for position in range(exponent.bit_length()):
            if position == len(self._squares):
                self._squares.append(self.multiply(self._squares[-1], self._squares[-1]))
            if exponent >> position & 1:
                result = self.multiply(result, self._squares[position])
        return result

    def join(self, first: int, second: int, second_bytes: int) -> int:
        """The check of two byte strings in a row, from the check of each."""
        return self.multiply(self.power(8 * second_bytes), first) ^ second

    @cached_property
    def _byte_tables(self) -> "list[Words]":
        """For each place of a block, the remainder of each value of the byte there."""
        return [self._table(8 * (_BLOCK - place), 0) for place in range(_BLOCK)]

    def _shift_tables(self, size_bytes: int) -> "list[Words]":
        """By these a word moves on by `size_bytes`: one look-up for each of its own bytes."""
        if size_bytes not in self._shifts:
            places = range(self.width // 8)
            self._shifts[size_bytes] = [self._table(8 * size_bytes, 8 * place) for place in places]
        return self._shifts[size_bytes]

    def _table(self, shift_bits: int, first_bit: int) -> "Words":
        """What a word of zeros but for one byte, at `first_bit`, becomes when it moves on."""
        import numpy as np

        factor = self.power(shift_bits)
        bits = [self.multiply(factor, 1 << (first_bit + bit)) for bit in range(8)]
        table = np.zeros(256, dtype=f"u{self.width // 8}")
        values = np.arange(256)
        for bit, word in enumerate(bits):
            table[values >> bit & 1 == 1] ^= table.dtype.type(word)
        return table

    def remainder(self, data: bytes) -> int:
        """Of `data` alone, from a register of zeros; at most 256 KiB at once."""
        import numpy as np

        # Leading zeros leave a register of zeros as it is.
        padded = data.rjust(-(-len(data) // _BLOCK) * _BLOCK, b"\0")
        columns = np.frombuffer(padded, dtype=np.uint8).reshape(-1, _BLOCK)
        words = self._byte_tables[0][columns[:, 0]]
        for place in range(1, _BLOCK):
            words ^= self._byte_tables[place][columns[:, place]]
        size = _BLOCK
        while len(words) > 1:
            if len(words) % 2:
                words = np.concatenate((np.zeros(1, words.dtype), words))
            words = self._moved(np.ascontiguousarray(words[0::2]), size) ^ words[1::2]
            size *= 2
        return int(words[0])

    def _moved(self, words: "Words", size_bytes: int) -> "Words":
        import numpy as np

        octets = words.view(np.uint8).reshape(-1, self.width // 8)  # little-endian, as machines are
        tables = self._shift_tables(size_bytes)
        moved = tables[0][octets[:, 0]]
        for place in range(1, self.width // 8):
            moved ^= tables[place][octets[:, place]]
        return moved


CRC32 = Crc(32, 0xEDB88320)
CRC32C = Crc(32, 0x82F63B78)
CRC64NVME = Crc(64, 0x9A6C9329AC4BC9B5)


class CrcHash:
    """A check computed piece by piece, with hashlib's two methods."""

    def __init__(self, crc: Crc) -> None:
        self._crc = crc
        self._register = crc.ones

    def update(self, piece: bytes) -> None:
        crc = self._crc
        for start in range(0, len(piece), _SLICE):
            data = piece[start : start + _SLICE]
            moved = crc.multiply(crc.power(8 * len(data)), self._register)
            self._register = moved ^ crc.remainder(data)

    def digest(self) -> bytes:
        return (self._register ^ self._crc.ones).to_bytes(self._crc.width // 8, "big")


class Zlib32:
    """CRC32, which zlib computes at memory speed."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, piece: bytes) -> None:
        self._value = zlib.crc32(piece, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")
