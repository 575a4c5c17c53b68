"""How unlike the training pictures a picture is, by its colours and textures and where they lie.

A network told to choose between two classes is sure of itself about noise and blank frames too. What
a photograph of either class has in common with the others, they lack: this file learns that from
the training pictures alone, apart from the network, so that it serves any network.

Three parts, added: two distances in the sense of Mahalanobis, and a linear direction towards
training pictures that were taken apart (Lee et al., 2018, and Hendrycks et al., "Deep Anomaly
Detection with Outlier Exposure", 2019, give the ideas).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .fit import crops
from .pictures import Pixels

SIDE = 32  # pixels: larger pictures are reduced to about this, where their layout still shows
SMALLEST = 16  # pixels: a side below this has no layout to speak of
LEAST = 100  # pictures to learn from: with fewer, chance decides
MOST = 2_000  # pictures learnt from, evenly out of all: more would hardly change a mean
BATCH = 256  # pictures at once
FOLDS = 5  # the scale is set by pictures that were left out, a fifth at a time
ACCEPTED = 0.95  # share of such pictures that score at most 1

FAINTEST = 1e-3  # squared share of the pixels' spread, below which an edge is none
GRID = 4  # cells each way, for the layout
LEVELS = 2  # sizes at which edges are measured, each half of the one before
SHRINKAGE = 0.05  # of covariances towards their diagonal
FARTHEST = 1_000.0  # where a part of the score ends: beyond, nothing is told apart
BOUND = 4.0  # standard deviations, where the linear part stops counting


class Statistics(nn.Module):
    """(N, C, H, W) float32 pixels from 0 to 255 to (N, tones + layout) float32.

    Filters of 2 x 2 pixels answer with brightness, two colour differences, and edges in each; at half
    the size with edges alone. Kept of their answers are means and mean squares: over the picture (tones), and
    of brightness and its edges cell by cell (layout). The steps are few, for every picture takes them.
    """

    first: Tensor
    later: Tensor
    offset: Tensor

    def __init__(self, shape: tuple[int, int, int], mean: Tensor, spread: Tensor) -> None:
        """shape: (C, H, W), fixed as the exported graph needs it. mean, spread: (C,) of training pixels."""
        super().__init__()
        channels, height, width = shape
        self.factor = max(1, min(height, width) // SIDE)
        high, wide = height // self.factor // GRID, width // self.factor // GRID
        # A filter's answers are one row and one column fewer than the pixels.
        self.cell, self.stride = (high - 1, wide - 1), (high, wide)
        self.values = 1 if channels == 1 else 3
        self.tones = 2 * self.values + LEVELS * (self.values + 1)  # the first so many statistics
        filters = _filters(channels) / spread.cpu().view(1, -1, 1, 1)
        self.register_buffer("first", filters)
        self.register_buffer("later", filters[self.values :])
        self.register_buffer("offset", -(filters.sum((2, 3)) @ mean.cpu()))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.of_reduced(self.reduce(pixels))

    def reduce(self, pixels: Tensor) -> Tensor:
        """Pictures whose shorter side has about SIDE pixels, by means over squares."""
        return functional.avg_pool2d(pixels, self.factor) if self.factor > 1 else pixels

    def of_reduced(self, pixels: Tensor) -> Tensor:
        """The statistics of pictures that are reduced already."""
        answers = functional.conv2d(pixels, self.first, self.offset)
        squares = answers * answers
        count = self.values
        cells = functional.avg_pool2d(torch.cat([answers[:, :count], squares], 1), self.cell, self.stride)
        over = functional.adaptive_avg_pool2d(cells, 1).flatten(1)
        means, second = over[:, :count], over[:, count : 2 * count]
        variances = (second - means * means).clamp(min=0.0)
        edges = [over[:, 2 * count :]]
        for _ in range(1, LEVELS):
            pixels = functional.avg_pool2d(pixels, 2)
            answers = functional.conv2d(pixels, self.later)
            edges.append(functional.adaptive_avg_pool2d(answers * answers, 1).flatten(1))
        brightness, placed = cells[:, 0].flatten(1), cells[:, 2 * count : 2 * count + 2].flatten(1)
        positive = torch.cat([variances, *edges, placed], 1)
        return torch.cat([means, torch.log(positive + FAINTEST), brightness], 1)


class Novelty(nn.Module):
    """(N, C, H, W) float32 pixels to (N,) scores.

    0 is as unusual as the middle one of the training pictures, 1 as unusual as one in twenty.
    """

    middle: Tensor
    scale: Tensor
    spun: Tensor
    blocks: Tensor
    apart: Tensor
    centres: Tensor
    weights: Tensor
    zero: Tensor

    def __init__(self, statistics: Statistics, found: NDArray[np.float64], odd: NDArray[np.float64]) -> None:
        """found, odd: (N, S) statistics of training pictures, whole and taken apart."""
        super().__init__()
        self.statistics = statistics
        middle, scale = found.mean(axis=0), found.std(axis=0) + 1e-3
        whole, parts = (found - middle) / scale, (odd - middle) / scale
        count, tones = whole.shape[1], statistics.tones
        spun, blocks, apart = (
            np.zeros((count, tones + count)),
            np.zeros((tones + count, 3)),
            np.zeros((count, 3)),
        )
        spun[:tones, :tones], spun[:, tones:] = _whitening(whole[:, :tones]), _whitening(whole)
        blocks[:tones, 0] = blocks[tones:, 1] = 1.0
        apart[:, 2] = _direction(whole.clip(-BOUND, BOUND), parts.clip(-BOUND, BOUND))
        told = (whole @ spun) ** 2 @ blocks + whole.clip(-BOUND, BOUND) @ apart
        centres = np.median(told, axis=0)
        reaches = np.quantile(told, ACCEPTED, axis=0) - centres + 1e-6
        for name, value in {
            "middle": middle,
            "scale": scale,
            "spun": spun,
            "blocks": blocks / reaches,
            "apart": apart / reaches,
            "centres": centres / reaches,
            "weights": np.ones(3),
            "zero": np.zeros(()),
        }.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.score(self.statistics(pixels))

    def score(self, found: Tensor) -> Tensor:
        """(N,) scores. found: (N, S) statistics."""
        whole = (found - self.middle) / self.scale
        turned = whole @ self.spun
        parts = (turned * turned) @ self.blocks + whole.clamp(-BOUND, BOUND) @ self.apart - self.centres
        # A part that finds nothing odd cannot make up for one that does.
        return parts.clamp(-1.0, FARTHEST) @ self.weights - self.zero

    def settle(self, scores: NDArray[np.float64]) -> None:
        """Fix what 0 and 1 mean. scores: those that pictures not learnt from got before."""
        middle = float(np.median(scores))
        unit = float(np.quantile(scores, ACCEPTED)) - middle + 1e-6
        self.weights /= unit
        self.zero += middle / unit


@torch.no_grad()
def learn(
    pictures: Sequence[Pixels], shape: tuple[int, int, int], mean: Tensor, spread: Tensor, seed: int
) -> Novelty | None:
    """Learn from training pictures; None where they are too few or too small.

    shape: of the network's input, to which pictures are cut. mean, spread: (C,) of the training
    pixels. seed: for taking pictures apart and leaving them out.
    """
    if min(shape[1:]) < SMALLEST or len(pictures) < LEAST:
        return None
    random = np.random.default_rng(seed)
    statistics = Statistics(shape, mean.cpu(), spread.cpu())
    chosen = np.linspace(0, len(pictures) - 1, min(len(pictures), MOST)).astype(np.int64)
    small = np.concatenate(
        [
            statistics.reduce(
                torch.from_numpy(crops([pictures[i] for i in batch], shape, None)).float()
            ).numpy()
            for batch in np.array_split(chosen, -(-len(chosen) // BATCH))
        ]
    )
    found = _measured(statistics, small)
    odd = np.stack([_measured(statistics, part) for part in taken_apart(small, random)])
    fold = random.permutation(len(found)) % FOLDS
    scores = np.empty(len(found))
    for number in range(FOLDS):
        inside = fold != number
        part = Novelty(statistics, found[inside], np.concatenate(odd[:, inside]))
        scores[~inside] = part.score(torch.tensor(found[~inside], dtype=torch.float32)).numpy()
    made = Novelty(statistics, found, np.concatenate(odd))
    made.settle(scores)
    return made


def taken_apart(pictures: NDArray[np.float32], random: np.random.Generator) -> list[NDArray[np.float32]]:
    """Nothing that anybody would photograph, with the colours and edges of what was photographed.

    pictures: (N, C, H, W). Returns three arrays of that shape: a grid of pieces in another order, the
    same waves displaced at random, and a small piece enlarged.
    """
    return [_shuffled(pictures, random), _dephased(pictures, random), _enlarged(pictures, random)]


def _shuffled(pictures: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    result = pictures.copy()
    high, wide = pictures.shape[2] // GRID, pictures.shape[3] // GRID
    cells = [
        np.s_[:, top * high : (top + 1) * high, left * wide : (left + 1) * wide]
        for top in range(GRID)
        for left in range(GRID)
    ]
    for picture, changed in zip(pictures, result, strict=True):
        for here, there in zip(cells, random.permutation(len(cells)), strict=True):
            changed[here] = picture[cells[there]]
    return result


def _dephased(pictures: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    noise = random.normal(size=(len(pictures), 1, *pictures.shape[2:]))
    turn = np.angle(np.fft.fft2(noise))  # of real noise, so that the result is real too
    turn[:, :, 0, 0] = 0.0
    waves = np.fft.fft2(pictures) * np.exp(1j * turn)
    return np.fft.ifft2(waves).real.clip(0, 255).astype(np.float32)


def _enlarged(pictures: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    height, width = pictures.shape[2:]
    high, wide = height // 3, width // 3
    pieces = [
        picture[:, top : top + high, left : left + wide]
        for picture, top, left in zip(
            pictures,
            random.integers(0, height - high, len(pictures)),
            random.integers(0, width - wide, len(pictures)),
            strict=True,
        )
    ]
    grown = functional.interpolate(torch.from_numpy(np.stack(pieces)), (height, width), mode="bicubic")
    return np.asarray(grown.clamp(0, 255).numpy())


def _filters(channels: int) -> Tensor:
    """(filters, C, 2, 2): the values, then the edges of brightness across and down, then those of colours."""
    every = torch.full((1, channels), 1.0 / channels)
    if channels == 3:
        every = torch.cat([every, torch.tensor([[1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]])])
    flat = torch.full((2, 2), 0.25)
    across = torch.tensor([[-0.5, 0.5], [-0.5, 0.5]])
    values = [mix[:, None, None] * flat for mix in every]
    edges = [every[0][:, None, None] * edge for edge in (across, across.T)]
    return torch.stack([*values, *edges, *(mix[:, None, None] * across for mix in every[1:])])


def _whitening(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, S): rows times this have about the unit covariance. found: (N, S), of mean 0."""
    inverse: NDArray[np.float64] = np.linalg.inv(np.linalg.cholesky(_covariance(found)))
    return inverse.T


def _direction(whole: NDArray[np.float64], parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,): Fisher's discriminant from pictures towards those taken apart."""
    covariance = (_covariance(whole - whole.mean(axis=0)) + _covariance(parts - parts.mean(axis=0))) / 2
    return np.asarray(np.linalg.solve(covariance, parts.mean(axis=0) - whole.mean(axis=0)))


def _covariance(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    found = centred.T @ centred / len(centred)
    result: NDArray[np.float64] = (1 - SHRINKAGE) * found + SHRINKAGE * np.diag(np.diag(found))
    return result + 1e-3 * np.eye(len(found))  # statistics that never vary stay harmless


def _measured(statistics: Statistics, small: NDArray[np.float32]) -> NDArray[np.float64]:
    batches = np.array_split(small, -(-len(small) // BATCH))
    return np.concatenate(
        [statistics.of_reduced(torch.from_numpy(batch)).numpy() for batch in batches]
    ).astype(np.float64)
