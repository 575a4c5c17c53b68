"""Training that is interrupted and goes on ends where training without a break ends."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scones.shipped.algorithm import plan
from scones.shipped.algorithm.checkpoint import CHECKPOINT_FILE, Saver
from scones.shipped.algorithm.contract import ClientError, Layout
from scones.shipped.algorithm.data import Split
from scones.shipped.algorithm.fit import Outcome, fit
from scones.shipped.algorithm.hyperparameters import Hyperparameters, parse
from scones.shipped.algorithm.weights import pack

MEAN, SPREAD = torch.full((3,), 120.0), torch.full((3,), 60.0)

MANNERS: list[dict[str, str]] = [
    {},
    {"learning_rate": "0.05", "augmentation_type": "crop_color"},
    {"optimizer": "adam", "learning_rate": "0.01"},
    {"optimizer": "rmsprop", "learning_rate": "0.001"},
]


def settings(**values: str) -> Hyperparameters:
    least = {
        "num_classes": "2", "num_training_samples": "8", "image_shape": "3,8,8", "epochs": "4",
        "mini_batch_size": "4",
    }  # fmt: skip
    return parse(least | values)


def pictures() -> Split:
    random = np.random.default_rng(0)
    found = [random.integers(0, 256, (3, 10, 9), dtype=np.uint8) for _ in range(8)]
    return Split(found, np.arange(8) % 2, "digest")


def train(
    base: Path, values: Hyperparameters, *, stopped: Callable[[], bool] = lambda: False, seed: int = 1
) -> Outcome:
    torch.manual_seed(seed)
    made = (plan.by_recipe if values.follows_recipe else plan.as_documented)(values, MEAN, SPREAD)
    saver = Saver(Layout(base), values, share=math.inf, seed=seed, train_data="digest")
    split = pictures()
    return fit(made, values, split, split, torch.Generator().manual_seed(seed), stopped, saver)


def after(steps: int) -> Callable[[], bool]:
    """Stop after so many steps; it is asked once in each step and once after each epoch of two."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= steps + steps // 2


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("steps", [1, 5])
def test_an_interruption_changes_nothing_in_the_end(
    base: Path, tmp_path: Path, manner: dict[str, str], steps: int
) -> None:
    values = settings(**manner)
    whole = train(tmp_path / "nowhere", values)
    broken = train(base, values, stopped=after(steps))
    assert broken.stopped
    done = len(broken.epochs)
    assert done < 4
    rest = train(base, values, seed=1)
    assert rest.resumed == done
    assert pack(rest.network) == pack(whole.network)
    assert [e.validation_accuracy for e in rest.epochs] == [e.validation_accuracy for e in whole.epochs]
    assert rest.steps == whole.steps


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    train(tmp_path, settings())
    assert list(tmp_path.rglob("*")) == []


def test_a_finished_job_goes_on_where_more_epochs_are_asked_for(base: Path) -> None:
    first = train(base, settings(learning_rate="0.05", epochs="2"))
    second = train(base, settings(learning_rate="0.05", epochs="4"))
    straight = train(base / "elsewhere", settings(learning_rate="0.05", epochs="4"))
    assert (first.resumed, second.resumed) == (0, 2)
    assert pack(second.network) == pack(straight.network)
    again = train(base, settings(learning_rate="0.05", epochs="4"))
    assert (again.resumed, pack(again.network)) == (4, pack(second.network))


def test_early_stopping_counts_the_epochs_before_the_break(base: Path) -> None:
    patient = {
        "learning_rate": "0", "early_stopping": "True", "early_stopping_min_epochs": "2",
        "early_stopping_patience": "2", "epochs": "9",
    }  # fmt: skip
    train(base, settings(**patient), stopped=after(4))
    found = train(base, settings(**patient))
    assert (found.resumed, len(found.epochs)) == (2, 3)
    assert len(train(base, settings(**patient)).epochs) == 3


@pytest.mark.parametrize("change", [{"momentum": "0.5"}, {"optimizer": "nag"}, {"mini_batch_size": "2"}])
def test_another_jobs_checkpoint_is_refused_and_kept(base: Path, change: dict[str, str]) -> None:
    train(base, settings(learning_rate="0.05", epochs="1"))
    before = (base / "checkpoints" / CHECKPOINT_FILE).read_bytes()
    (name,) = change
    with pytest.raises(ClientError, match=f"of a job with another {name}: .* delete what is under its S3Uri"):
        train(base, settings(learning_rate="0.05", epochs="1", **change))
    with pytest.raises(ClientError, match="of a job with another seed: 1 there, 2 here"):
        train(base, settings(learning_rate="0.05", epochs="1"), seed=2)
    assert (base / "checkpoints" / CHECKPOINT_FILE).read_bytes() == before


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("/tmp/this-was-run",)


def hollow() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    return buffer.getvalue()


def test_a_checkpoint_is_not_trusted(base: Path) -> None:
    values = settings(learning_rate="0.05", epochs="2")
    train(base, values, stopped=after(2))
    path = base / "checkpoints" / CHECKPOINT_FILE
    good = torch.load(path, weights_only=True)
    network = dict(good["network"])
    first = next(iter(network))
    for content, words in (
        (b"", "damaged"),
        (path.read_bytes()[:-100], "damaged"),
        (hollow(), "it claims 50000000 bytes"),
        ([1], "none of format 1"),
        (good | {"format": 7}, "none of format 1"),
        (good | {"bomb": Bomb()}, "damaged"),
        (good | {"job": 3}, "does not say of which job"),
        (good | {"epochs": 3}, "does not fit this job"),
        (good | {"epochs": [{}]}, "does not fit this job"),
        (good | {"network": {}}, "does not fit this job"),
        (good | {"network": network | {first: torch.zeros(1)}}, "does not fit this job"),
        (good | {"network": network | {first: network[first] * float("nan")}}, "not finite"),
        (good | {"optimizer": {0: {"momentum_buffer": torch.zeros(9, 9)}}}, "another shape"),
        (good | {"optimizer": {99: {"momentum_buffer": torch.zeros(9)}}}, "does not fit this job"),
        (good | {"generator": torch.zeros(3, dtype=torch.uint8)}, "does not fit this job"),
        ({k: v for k, v in good.items() if k != "keeper"}, "does not fit this job"),
    ):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with pytest.raises(ClientError, match=words) as caught:
            train(base, values)
        assert f"The checkpoint {path} cannot be used" in str(caught.value)
    assert not Path("/tmp/this-was-run").exists()


def test_half_a_file_of_a_killed_process_is_cleared_away(base: Path) -> None:
    (base / "checkpoints" / f".{CHECKPOINT_FILE}.123").write_bytes(b"half")
    train(base, settings(epochs="1"))
    assert [path.name for path in (base / "checkpoints").iterdir()] == [CHECKPOINT_FILE]


@pytest.mark.parametrize("with_folder", [True, False])
def test_checkpoint_frequency_keeps_weights_for_the_model(tmp_path: Path, with_folder: bool) -> None:
    if with_folder:
        (tmp_path / "checkpoints").mkdir()
    values = settings(learning_rate="0.05", checkpoint_frequency="2", epochs="5")
    if with_folder:
        train(tmp_path, values, stopped=after(7))
    found = train(tmp_path, values)
    Saver(Layout(tmp_path), values).collect(len(found.epochs))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "image-classification-0002.npz",
        "image-classification-0004.npz",
    ]
