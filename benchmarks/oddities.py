"""Pictures that are neither class, by the name of their kind: drawn, textured, noisy, blank, of other things.

Each kind is (n, 3, 32, 32) uint8 and the same every time. Photographs, textures, faces and text come from
scikit-image's and matplotlib's packages; without scikit-image these kinds are left out.
"""

import importlib
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scones.workflow import drawn

__all__ = ["Pictures", "oddities"]

Pictures = NDArray[np.uint8]
SIDE = 32
_OBJECTS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "camera", "coins", "clock",
            "moon", "immunohistochemistry", "retina")  # fmt: skip
_FACES = 100  # of scikit-image's cut-outs, the first ones are faces


def oddities(test: Pictures, count: int, seed: int = 0) -> dict[str, Pictures]:
    """test: real pictures, for the kinds that are made of these. count: pictures of each kind."""
    random = np.random.default_rng(seed)
    light, dark = random.uniform(0, 255, (2, count, 3, 1, 1))
    across, down = _turned(random, count)
    middle = random.uniform(60, 200, (count, 3, 1, 1))
    strength = random.uniform(10, 70, (count, 1, 1, 1))
    noise = random.normal(size=(count, 3, SIDE, SIDE))
    found = {
        "one colour": np.broadcast_to(light, (count, 3, SIDE, SIDE)),
        "gradients": light + (dark - light) * (across / 45 + 0.5),
        "uniform noise": random.integers(0, 256, (count, 3, SIDE, SIDE)),
        "Gaussian noise": middle + strength * noise,
        "pink noise": middle + 50 * _pink(random, count),
        "stripes and checkers": _stripes(random, light, dark, across, down),
    }
    kinds = {name: values.round().clip(0, 255).astype(np.uint8) for name, values in found.items()}
    some = test[np.linspace(0, len(test) - 1, min(count, len(test))).astype(np.int64)]
    kinds |= {
        "drawn shapes": np.stack([_shapes(random) for _ in range(count)]),
        "drawn vehicles": drawn.draw({"train": 1, "test": -(-count // 2)}).test.rows.reshape(
            -1, 3, SIDE, SIDE
        )[:count],
        "pieces of 8, shuffled": _shuffled(random, some, 8),
        "pieces of 4, shuffled": _shuffled(random, some, 4),
        "negatives": 255 - some,
        "upside down": some[:, :, ::-1].copy(),
    }
    return kinds | _photographs(random, count)


def _turned(random: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates from the middle, turned by an angle of each picture's own."""
    angle = random.uniform(0, 2 * math.pi, (count, 1, 1, 1))
    down, across = np.mgrid[-16:16, -16:16] + 0.5
    return np.cos(angle) * across + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * across


def _pink(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Noise whose strength falls with its frequency, mostly grey; mean 0 and deviation 1 in each picture."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    noise = random.normal(size=(count, 1, SIDE, SIDE)) + 0.3 * random.normal(size=(count, 3, SIDE, SIDE))
    waves = np.fft.ifft2(np.fft.fft2(noise) / frequency).real
    centred = waves - waves.mean((1, 2, 3), keepdims=True)
    return np.asarray(centred / centred.std((1, 2, 3), keepdims=True))


def _stripes(
    random: np.random.Generator, light: Any, dark: Any, across: Any, down: Any
) -> NDArray[np.float64]:
    count = len(light)
    wave = 2 * math.pi / random.uniform(3, 12, (count, 1, 1, 1))
    stripes = np.sign(np.sin(across * wave + random.uniform(0, 6, (count, 1, 1, 1))))
    checkers = stripes * np.sign(np.sin(down * wave))
    every_other = (np.arange(count) % 2 == 0)[:, None, None, None]
    return np.asarray((light + dark) / 2 + (light - dark) / 2 * np.where(every_other, stripes, checkers))


def _shapes(random: np.random.Generator) -> Pictures:
    def colour() -> tuple[int, int, int]:
        red, green, blue = random.integers(0, 256, 3).tolist()
        return red, green, blue

    canvas = Image.new("RGB", (4 * SIDE, 4 * SIDE), colour())
    pen = ImageDraw.Draw(canvas)
    for _ in range(random.integers(1, 5)):
        left, top = random.integers(0, 90, 2).tolist()
        wide, high = random.integers(20, 100, 2).tolist()
        box = (left, top, left + wide, top + high)
        match random.integers(0, 4):
            case 0:
                pen.ellipse(box, fill=colour())
            case 1:
                pen.ellipse(box, outline=colour(), width=int(random.integers(3, 14)))
            case 2:
                pen.rectangle(box, fill=colour())
            case _:
                pen.polygon(
                    [tuple(point) for point in random.integers(0, 128, (3, 2)).tolist()], fill=colour()
                )
    return _pixels(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))


def _shuffled(random: np.random.Generator, pictures: Pictures, piece: int) -> Pictures:
    many = SIDE // piece
    cut = pictures.reshape(-1, 3, many, piece, many, piece).transpose(0, 2, 4, 1, 3, 5)
    pieces = cut.reshape(len(pictures), many * many, 3, piece, piece)
    mixed = np.stack([one[random.permutation(many * many)] for one in pieces])
    grid = mixed.reshape(-1, many, many, 3, piece, piece).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(grid.reshape(-1, 3, SIDE, SIDE))


def _photographs(random: np.random.Generator, count: int) -> dict[str, Pictures]:
    try:
        data: Any = importlib.import_module("skimage.data")
    except ImportError:
        return {}
    things = [Image.fromarray(getattr(data, name)()) for name in _OBJECTS]
    things.append(Image.open(f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg"))
    surfaces = [Image.fromarray(getattr(data, name)()) for name in ("brick", "grass", "gravel")]
    pages = [Image.fromarray(getattr(data, name)()) for name in ("page", "text")]
    faces = [Image.fromarray((face * 255).astype(np.uint8)) for face in data.lfw_subset()[:_FACES]]
    return {
        "photographs of other things": _windows(random, things, count, smallest=0.35),
        "photographed surfaces": _windows(random, surfaces, count, smallest=0.2),
        "faces, grey": np.stack([_pixels(face.resize((SIDE, SIDE))) for face in faces[:count]]),
        "text": _windows(random, pages, count, smallest=0.3),
    }


def _windows(
    random: np.random.Generator, images: Sequence[Image.Image], count: int, *, smallest: float
) -> Pictures:
    """Squares of random size and place, the images in turn, half of them mirrored."""
    result = []
    for number in range(count):
        image = images[number % len(images)].convert("RGB")
        side = min(image.size) * random.uniform(smallest, 1)
        left, top = random.uniform(0, image.width - side), random.uniform(0, image.height - side)
        box = (left, top, left + side, top + side)
        window = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box)
        if random.random() < 0.5:
            window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        result.append(_pixels(window))
    return np.stack(result)


def _pixels(image: Image.Image) -> Pictures:
    return np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1)
