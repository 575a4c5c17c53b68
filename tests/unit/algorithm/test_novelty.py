"""A picture unlike the training pictures scores high, whatever the network would say of it."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from scones.shipped.algorithm.artefact import INPUT_NAME, NOVELTY_NAME, describe, load, save
from scones.shipped.algorithm.export import export
from scones.shipped.algorithm.novelty import LEAST, Novelty, learn, taken_apart

Pictures = NDArray[np.uint8]


def discs(count: int, shape: tuple[int, int, int], seed: int = 0) -> list[Pictures]:
    """A bright disc on a darker ground, somewhere near the middle, a little noise over all."""
    random, (channels, height, width) = np.random.default_rng(seed), shape
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    result = []
    for _ in range(count):
        x, y = random.uniform(-0.2, 0.2, 2)
        inside = (down - y) ** 2 + (across - x) ** 2 < random.uniform(0.3, 0.6) ** 2
        ground, light = random.uniform(20, 80, (channels, 1, 1)), random.uniform(120, 200, (channels, 1, 1))
        pixels = np.where(inside, light, ground) + random.normal(0, 8, shape)
        result.append(pixels.clip(0, 255).astype(np.uint8))
    return result


def learnt(shape: tuple[int, int, int], count: int = 300) -> Novelty | None:
    pictures = discs(count, shape)
    pixels = np.stack(pictures).astype(np.float32)
    mean, spread = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    return learn(pictures, shape, torch.tensor(mean), torch.tensor(spread), seed=0)


def score(novelty: Novelty, pictures: Any) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(novelty(torch.from_numpy(np.stack(pictures)).float()).numpy())


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 47, 20), (3, 80, 64)])
def test_pictures_of_the_same_kind_score_low_and_others_high(shape: tuple[int, int, int]) -> None:
    novelty = learnt(shape)
    assert novelty is not None
    random = np.random.default_rng(1)
    same = score(novelty, discs(200, shape, seed=1))
    assert 0.88 <= (same <= 1).mean() <= 0.99, "one in twenty is to score above 1"
    assert abs(float(np.median(same))) < 0.5
    others = {
        "noise": random.integers(0, 256, (20, *shape)).astype(np.uint8),
        "blank": np.broadcast_to(random.integers(0, 256, (20, shape[0], 1, 1)), (20, *shape)).astype(
            np.uint8
        ),
        "stripes": np.broadcast_to(np.arange(shape[2]) // 4 % 2 * 200, (5, *shape)).astype(np.uint8),
    }
    for name, pictures in others.items():
        assert score(novelty, list(pictures)).min() > 1, name


def test_the_seed_decides_it_all() -> None:
    one, two = learnt((3, 32, 32)), learnt((3, 32, 32))
    assert one is not None
    assert two is not None
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


def test_too_few_or_too_small_pictures_teach_nothing() -> None:
    assert learnt((3, 32, 32), LEAST - 1) is None
    assert learnt((3, 32, 12)) is None


def test_pictures_without_any_variety_do_no_harm() -> None:
    same = [np.full((3, 32, 32), 90, np.uint8)] * LEAST
    novelty = learn(same, (3, 32, 32), torch.full((3,), 90.0), torch.ones(3), seed=0)
    assert novelty is not None
    assert np.isfinite(score(novelty, [*same[:3], *discs(3, (3, 32, 32))])).all()


def test_pictures_taken_apart_keep_their_colours() -> None:
    pictures = np.stack(discs(10, (3, 32, 32))).astype(np.float32)
    shuffled, dephased, enlarged = taken_apart(pictures, np.random.default_rng(0))
    assert np.array_equal(np.sort(shuffled.reshape(10, -1)), np.sort(pictures.reshape(10, -1)))
    assert not np.array_equal(shuffled, pictures)
    assert dephased.mean((2, 3)) == pytest.approx(pictures.mean((2, 3)), abs=8)
    assert enlarged.shape == pictures.shape


def test_the_graph_scores_as_the_module_does_and_a_model_without_scores_says_so(tmp_path: Any) -> None:
    shape = (3, 32, 32)
    novelty, pictures = learnt(shape), discs(6, shape, seed=2)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2))
    graph = export(net, 1.0, pictures, shape, novelty=novelty)
    save(tmp_path, graph, describe(graph, shape, ["a", "b"], {}, {}, scores_novelty=True))
    model = load(tmp_path)
    assert novelty is not None
    probabilities, scores = model.answers(np.stack(pictures))
    assert scores == pytest.approx(score(novelty, pictures), abs=1e-3)
    assert probabilities.shape == (6, 2)
    one = model.session.run([NOVELTY_NAME], {INPUT_NAME: np.stack(pictures[:1])})[0]
    assert one == pytest.approx(scores[:1] if scores is not None else None, abs=1e-4)
    plain = export(net, 1.0, pictures, shape)
    save(tmp_path, plain, describe(plain, shape, ["a", "b"], {}, {}))
    assert load(tmp_path).answers(np.stack(pictures))[1] is None
