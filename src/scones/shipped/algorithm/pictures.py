"""Bytes of a PNG or JPEG file to an array of pixels. Used alike by training and serving.

Transparency is dropped, colour converted and the camera's orientation obeyed as OpenCV's `imdecode`,
which the built-in uses, would do it. Of an animated picture the first frame counts.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# A file of a few kilobytes can claim any size; this bound is checked before pixels are decoded.
PIXEL_LIMIT = 50_000_000

Pixels = NDArray[np.uint8]


class PictureError(Exception):
    """The bytes are not a picture that can be used; the message says why."""


def decode(content: bytes, channels: int) -> Image.Image:
    """Decode one picture, as mode L for one channel and RGB for three.

    Raises PictureError when the bytes are no PNG or JPEG, are damaged, or claim more than
    PIXEL_LIMIT pixels.
    """
    mode = "L" if channels == 1 else "RGB"
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        width, height = image.size
        if width * height <= PIXEL_LIMIT:
            image.load()
            if "exif" in image.info:
                image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):
                image = _to_eight_bits(image)
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # on the straight way to other modes Pillow complains
            return image if image.mode == mode else image.convert(mode)
    except Exception as error:  # hostile bytes make a decoder raise almost anything
        raise PictureError(f"not a readable PNG or JPEG picture ({error})") from error
    raise PictureError(f"{width}x{height} pixels are more than the {PIXEL_LIMIT} allowed")


def resize_short_side(image: Image.Image, side: int) -> Image.Image:
    """Scale so that the shorter side has `side` pixels; the aspect ratio stays."""
    width, height = image.size
    scale = side / min(width, height)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def resize_exactly(image: Image.Image, height: int, width: int) -> Image.Image:
    """Scale to the given size whatever the aspect ratio, as documented for inference."""
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def to_pixels(image: Image.Image) -> Pixels:
    """(channels, height, width) uint8, 0 to 255, colours in the order R, G, B, contiguous."""
    array = np.asarray(image, dtype=np.uint8)
    if array.ndim == 2:
        return array[np.newaxis].copy()
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _to_eight_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips sixteen-bit grey at 255; the upper byte is what is meant.
    return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
