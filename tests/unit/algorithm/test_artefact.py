"""A model is loaded whole or refused with a reason; files appear whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scones.shipped.algorithm.artefact import ModelError, describe, load, save
from scones.shipped.algorithm.contract import (
    FAILURE_LIMIT,
    ClientError,
    Layout,
    read_hosts,
    read_seed,
    report_failure,
    write_atomically,
)
from scones.shipped.algorithm.export import export

SHAPE = (1, 4, 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a network of one linear layer."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    graph = export(net, 2.0, [np.full(SHAPE, 9, dtype=np.uint8)], SHAPE)
    save(tmp_path, graph, describe(graph, SHAPE, ["a", "b"], {"temperature": 2.0}, {"seed": 0}))
    return tmp_path


def test_a_saved_model_gives_probabilities_for_any_number_of_pictures(folder: Path) -> None:
    model = load(folder)
    found = model.probabilities(np.zeros((5, *SHAPE), dtype=np.uint8))
    assert found.shape == (5, 2)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (model.shape, model.classes) == (SHAPE, ["a", "b"])


@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x00\xff garbage"])
def test_damage_is_named(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=name):
        load(folder)


@pytest.mark.parametrize(
    "change", [{"image_shape": [3, 4, 4]}, {"image_shape": [4]}, {"classes": ["a"]}, {"format": 2}]
)
def test_a_card_that_does_not_fit_its_graph_is_refused(folder: Path, change: dict[str, object]) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | change))
    with pytest.raises(ModelError):
        load(folder)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_atomically(target, b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_failure_text_is_cut(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    report_failure(layout, "ClientError", "x" * 5000)
    assert layout.failure.read_text() == ("ClientError: " + "x" * 5000)[:FAILURE_LIMIT]


def test_seed_and_hosts(tmp_path: Path) -> None:
    assert read_seed({}) == 0
    assert read_seed({"RANDOM_SEED": "12"}) == 12
    with pytest.raises(ClientError, match="RANDOM_SEED must be an integer"):
        read_seed({"RANDOM_SEED": "-1"})
    assert read_hosts(Layout(tmp_path)) == ["algo-1"]
