"""Pictures of every kind become pixels, or are refused with a reason; nothing else happens."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scones.shipped.algorithm.pictures import PictureError, decode, to_pixels


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def quadrants() -> Image.Image:
    """Black but for a white upper left quarter."""
    image = Image.new("RGB", (16, 16))
    image.paste((255, 255, 255), (0, 0, 8, 8))
    return image


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("orientation", "row", "column"), [(1, 0, 0), (3, 1, 1), (6, 0, 1), (8, 1, 0), (77, 0, 0)]
)
def test_the_cameras_orientation_is_obeyed(form: str, orientation: int, row: int, column: int) -> None:
    content = encoded(quadrants(), form, exif=oriented(orientation))
    pixels = to_pixels(decode(content, 3))[0]
    quarters = pixels.reshape(2, 8, 2, 8).mean(axis=(1, 3))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == (row, column)


def test_an_orientation_that_is_none_does_no_harm() -> None:
    content = encoded(quadrants(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    try:
        assert decode(content, 3).size == (16, 16)
    except PictureError as error:
        assert "not a readable" in str(error)


def test_of_an_animated_picture_the_first_frame_counts() -> None:
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    content = encoded(red, save_all=True, append_images=[blue])
    assert to_pixels(decode(content, 3))[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("form", ["L", "RGB"])
def test_sixteen_bits_keep_the_upper_eight(form: str) -> None:
    value = 0xAB12
    if form == "L":
        content = encoded(Image.fromarray(np.full((4, 4), value, dtype=np.uint16)))
    else:
        rows = (b"\0" + struct.pack(">3H", value, value, value) * 4) * 4
        content = png_of(struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0), rows)
    assert set(to_pixels(decode(content, 3)).flatten().tolist()) == {0xAB}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_dropped(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (200, 200, 200, 0)).convert(mode)
    assert to_pixels(decode(encoded(image), 3))[:, 0, 0].tolist() == pytest.approx([200] * 3, abs=3)


def test_print_colours_become_screen_colours() -> None:
    content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    red, green, blue = to_pixels(decode(content, 3))[:, 4, 4].tolist()
    assert red > 200 > 60 > max(green, blue)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("keep", [0, 1, 8, 20, 60, 0.5, 0.9])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_truncated_picture_is_refused(form: str, keep: float, channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), form)
    cut = content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)]
    with pytest.raises(PictureError, match="not a readable PNG or JPEG picture"):
        decode(cut, channels)


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_refused(form: str) -> None:
    with pytest.raises(PictureError, match="not a readable PNG or JPEG"):
        decode(encoded(quadrants(), form), 3)


def test_a_claim_of_huge_size_is_refused_unread() -> None:
    content = png_of(struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0), b"")
    with pytest.raises(PictureError):
        decode(content, 3)


def png_of(header: bytes, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
