"""Pictures the project draws itself: something to run on where no archive can be had.

Side views of bicycles (two thin hoops, a thin frame) and motorcycles (two thick tyres, tank, engine, seat) in
random colours, places and sizes. Deterministic, and much easier than photographs: figures made from them say
nothing about CIFAR-100.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scones.workflow.frames import SIDE, Dataset, Frame, row

__all__ = ["CLASSES", "draw"]

CLASSES = ("bicycle", "motorcycle")
SOURCE = "pictures drawn by the project"

_SCALE = 4  # drawn four times as large, then reduced: smooth edges
_SPLITS = {"train": 500, "test": 100}  # pictures per class

Colour = tuple[int, int, int]


def draw(per_class: dict[str, int] | None = None) -> Dataset:
    """1,000 training and 200 test pictures, the same ones every time."""
    counts = per_class or _SPLITS
    return Dataset(
        classes=CLASSES,
        train=_frame("train", counts["train"]),
        test=_frame("test", counts["test"]),
        source=SOURCE,
        drawn=True,
    )


def _frame(split: str, per_class: int) -> Frame:
    names, labels, rows = [], [], []
    for index in range(per_class):
        for label, name in enumerate(CLASSES):
            random = np.random.Generator(np.random.PCG64([sum(split.encode()), label, index]))
            names.append(f"drawn_{name}_{split}_{index:04d}.png")
            labels.append(label)
            rows.append(_picture(label, random))
    return Frame(tuple(names), np.array(labels, dtype=np.int64), np.stack(rows))


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where a vehicle stands: a unit square mapped into the canvas, maybe mirrored."""

    left: float
    ground: float
    size: float
    mirrored: bool

    def at(self, x: float, y: float) -> tuple[float, float]:
        """(0..1 from the rear, 0..1 above ground) -> canvas pixels."""
        across = 1 - x if self.mirrored else x
        return self.left + across * self.size, self.ground - y * self.size


def _picture(label: int, random: np.random.Generator) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    side = SIDE * _SCALE
    canvas = _background(side, random)
    size = side * random.uniform(0.68, 0.92)
    stage = _Stage(
        left=random.uniform(0.02, 0.98) * (side - size),
        ground=side * random.uniform(0.8, 0.95),
        size=size,
        mirrored=bool(random.random() < 0.5),
    )
    pen = ImageDraw.Draw(canvas)
    (_bicycle if label == 0 else _motorcycle)(pen, stage, random)
    canvas = canvas.rotate(
        random.uniform(-7, 7), Image.Resampling.BILINEAR, fillcolor=canvas.getpixel((1, 1))
    )
    small = canvas.filter(ImageFilter.GaussianBlur(random.uniform(0, 2.5))).resize(
        (SIDE, SIDE), Image.Resampling.BOX
    )
    noisy = np.asarray(small, dtype=np.float64) + random.normal(0, random.uniform(2, 14), (SIDE, SIDE, 3))
    return row(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))


def _background(side: int, random: np.random.Generator) -> Image.Image:
    top, bottom = random.integers(110, 256, 3), random.integers(90, 236, 3)
    blend = np.linspace(0, 1, side)[:, None, None]
    shade = np.broadcast_to(top * (1 - blend) + bottom * blend, (side, side, 3))
    return Image.fromarray(shade.astype(np.uint8))


def _colour(random: np.random.Generator, low: int = 0, high: int = 200) -> Colour:
    red, green, blue = (int(value) for value in random.integers(low, high, 3))
    return red, green, blue


def _wheel(
    pen: ImageDraw.ImageDraw, stage: _Stage, x: float, radius: float, width: float, colour: Colour
) -> None:
    across, down = stage.at(x, radius)
    reach = radius * stage.size
    box = (across - reach, down - reach, across + reach, down + reach)
    pen.ellipse(box, outline=colour, width=max(1, round(width * stage.size)))


def _bicycle(pen: ImageDraw.ImageDraw, stage: _Stage, random: np.random.Generator) -> None:
    radius = random.uniform(0.2, 0.245)
    tyre, frame = _colour(random, 0, 70), _colour(random)
    width = max(2, round(stage.size * random.uniform(0.018, 0.034)))
    for x in (radius, 1 - radius):
        _wheel(pen, stage, x, radius, random.uniform(0.018, 0.032), tyre)
    rear, front = stage.at(radius, radius), stage.at(1 - radius, radius)
    crank, saddle, head = stage.at(0.46, radius), stage.at(0.38, 0.56), stage.at(0.68, 0.56)
    for start, end in [
        (rear, crank),
        (rear, saddle),
        (crank, saddle),
        (crank, head),
        (saddle, head),
        (head, front),
    ]:
        pen.line((*start, *end), fill=frame, width=width)
    pen.line((*stage.at(0.31, 0.6), *stage.at(0.44, 0.6)), fill=tyre, width=2 * width)
    pen.line((*head, *stage.at(0.66, 0.66), *stage.at(0.74, 0.68)), fill=tyre, width=width)


def _motorcycle(pen: ImageDraw.ImageDraw, stage: _Stage, random: np.random.Generator) -> None:
    radius = random.uniform(0.17, 0.215)
    tyre, body, metal = _colour(random, 0, 60), _colour(random), _colour(random, 70, 170)
    for x in (radius, 1 - radius):
        _wheel(pen, stage, x, radius, random.uniform(0.065, 0.095), tyre)
    pen.polygon(
        [stage.at(x, y) for x, y in ((0.34, 0.14), (0.64, 0.14), (0.68, 0.38), (0.32, 0.38))], fill=metal
    )
    pen.polygon(
        [stage.at(x, y) for x, y in ((0.44, 0.36), (0.7, 0.36), (0.74, 0.5), (0.62, 0.57), (0.45, 0.5))],
        fill=body,
    )
    pen.polygon(
        [stage.at(x, y) for x, y in ((0.08, 0.44), (0.44, 0.36), (0.46, 0.49), (0.1, 0.52))], fill=tyre
    )
    thick = max(3, round(stage.size * random.uniform(0.04, 0.06)))
    pen.line((*stage.at(1 - radius, radius), *stage.at(0.7, 0.6)), fill=metal, width=thick)
    pen.line((*stage.at(0.7, 0.6), *stage.at(0.62, 0.68)), fill=tyre, width=thick)
    pen.line((*stage.at(0.04, 0.16), *stage.at(0.42, 0.16)), fill=metal, width=thick)
