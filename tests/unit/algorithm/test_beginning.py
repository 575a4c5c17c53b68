"""What training begins from: earlier models and pretrained weights, read without trusting them."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scones.shipped.algorithm.artefact import FORMAT
from scones.shipped.algorithm.begin import begin
from scones.shipped.algorithm.contract import ClientError
from scones.shipped.algorithm.earlier import Earlier, check_fit, read_earlier
from scones.shipped.algorithm.export import export
from scones.shipped.algorithm.hyperparameters import Hyperparameters, parse
from scones.shipped.algorithm.network import resnet
from scones.shipped.algorithm.pretrained import ImageNetNetwork, find_weights, pretrained
from scones.shipped.algorithm.weights import WeightsError, load_into, pack

MEAN, SPREAD = torch.full((3,), 120.0), torch.full((3,), 60.0)


def settings(**values: str) -> Hyperparameters:
    return parse({"num_classes": "2", "num_training_samples": "8", "image_shape": "3,32,32"} | values)


def small(seed: int = 0, classes: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(classes))


def made(seed: int = 0) -> nn.Module:
    net = small(seed)
    net(torch.zeros(2, 3, 8, 8))
    return net


def test_weights_come_back_exactly_and_are_the_same_bytes_each_time() -> None:
    first, second = made(0), made(1)
    content = pack(first)
    assert content == pack(first)
    load_into(second, content)
    assert pack(second) == content


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def state(**changes: Any) -> dict[str, Any]:
    values = {name: value.numpy() for name, value in made().state_dict().items()} | changes
    return {name: value for name, value in values.items() if value is not None}


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("/tmp/this-was-run",)


def zeros_that_claim_to_be_small() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.weight.npy", bytes(50_000_000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no readable .npz file"),
        (b"PK\x03\x04 and so on", "no readable .npz file"),
        (pack(made())[:-30], "no readable .npz file"),
        (zeros_that_claim_to_be_small(), "0.weight.npy is larger than the network needs"),
        (npz(**state(**{"0.weight": None})), "0.weight and 0 more arrays are missing"),
        (npz(**state(extra=np.zeros(1))), "extra.npy belongs to another network"),
        (npz(**state(**{"0.bias": np.zeros(3, np.float32)})), r"0.bias has the shape \(3,\)"),
        (npz(**state(**{"0.bias": np.zeros(4)})), "has the type float64"),
        (npz(**state(**{"0.bias": np.full(4, np.nan, np.float32)})), "0.bias holds numbers that are not"),
        (npz(**state(**{"0.bias": np.array([Bomb()] * 4)})), "no readable .npz file"),
    ],
)
def test_other_bytes_are_no_weights_and_change_nothing(content: bytes, words: str) -> None:
    net = made()
    before = pack(net)
    with pytest.raises(WeightsError, match=words):
        load_into(net, content)
    assert pack(net) == before
    assert not Path("/tmp/this-was-run").exists()


def card(**changes: Any) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "network": {"family": "resnet-preactivation", "num_layers": 20},
        "image_shape": [3, 32, 32],
        "classes": ["a", "b"],
    } | changes


def archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def resnet20() -> bytes:
    return pack(resnet(settings(), 20))


@pytest.mark.parametrize("packed", [True, False])
def test_training_goes_on_from_an_earlier_model(tmp_path: Path, packed: bool, resnet20: bytes) -> None:
    files = {"./notes.txt": b"hello", "model.json": json.dumps(card()).encode(), "weights.npz": resnet20}
    if packed:
        archive(tmp_path / "model.tar.gz", files)
    else:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
    earlier = read_earlier(tmp_path)
    check_fit(earlier, settings(num_layers="20"), None)
    check_fit(earlier, settings(num_layers="20"), ["a", "b"])
    beginning = begin(settings(num_layers="20"), MEAN, SPREAD, earlier)
    assert pack(beginning.network) == resnet20
    assert beginning.record == {"from": "model channel", "sha256": earlier.sha256}


@pytest.mark.parametrize(
    ("changes", "request_", "words"),
    [
        ({}, {"num_layers": "32"}, "has num_layers 20 and the request 32"),
        ({}, {}, "has num_layers 20 and the request none (the network of the default recipe)"),
        (
            {"network": {"family": "recipe", "num_layers": 9}},
            {"num_layers": "20"},
            "has num_layers none (the network of the default recipe) and the request 20",
        ),
        (
            {"image_shape": [3, 64, 32]},
            {"num_layers": "20"},
            "has image_shape 3,64,32 and the request 3,32,32",
        ),
        ({"classes": ["a"]}, {"num_layers": "20"}, "has num_classes 1 and the request 2"),
        ({"classes": ["b", "a"]}, {"num_layers": "20"}, "calls its classes b, a and classes.json a, b"),
        ({}, {"num_layers": "18", "use_pretrained_model": "1"}, "are two starts"),
    ],
)
def test_a_model_that_does_not_match_is_refused(
    tmp_path: Path, changes: dict[str, Any], request_: dict[str, str], words: str
) -> None:
    (tmp_path / "model.json").write_text(json.dumps(card(**changes)))
    (tmp_path / "weights.npz").write_bytes(b"")
    with pytest.raises(ClientError) as caught:
        check_fit(read_earlier(tmp_path), settings(**request_), ["a", "b"])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "model.json is missing from the model channel"),
        ({"a.tar.gz": b"", "b.tar.gz": b""}, "Several models in the model channel: a.tar.gz, b.tar.gz"),
        ({"a.tar.gz": b"no archive"}, "a.tar.gz in the model channel is no readable archive"),
        ({"model.json": b"{}", "weights.npz": b""}, "no card of a model that can be trained further"),
        ({"model.json": b"[" * 100_000, "weights.npz": b""}, "no card of a model"),
        ({"model.json": b'{"format": 1, "network": 3}', "weights.npz": b""}, "no card of a model"),
        ({"model.json": json.dumps(card(format=9)).encode(), "weights.npz": b""}, "format 9"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ClientError) as caught:
        read_earlier(tmp_path)
    assert words in str(caught.value)


def test_a_model_of_the_built_in_itself_is_refused(tmp_path: Path) -> None:
    files = {"image-classification-0001.params": b"x", "image-classification-symbol.json": b"{}"}
    archive(tmp_path / "model.tar.gz", files)
    with pytest.raises(
        ClientError, match=r"model\.json is missing from model\.tar\.gz: .* this algorithm made"
    ):
        read_earlier(tmp_path)


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        for name in ("model.json", "weights.npz"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    with pytest.raises(ClientError, match=r"model\.json is missing"):
        read_earlier(tmp_path)


@pytest.mark.parametrize(
    ("family", "weights", "words"),
    [
        ("resnet-preactivation", b"junk", "do not fit the network of this job"),
        ("unheard-of", b"junk", "unknown kind 'unheard-of'"),
        ("resnet-imagenet", b"junk", "unknown kind"),  # which has no 20 layers
    ],
)
def test_weights_that_do_not_fit_are_refused(family: str, weights: bytes, words: str) -> None:
    earlier = Earlier(family, 20, (3, 32, 32), ["a", "b"], weights)
    with pytest.raises(ClientError, match=words):
        begin(settings(num_layers="20"), MEAN, SPREAD, earlier)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """A folder with the weights of a network of 18 layers and a thousand classes."""
    torch.manual_seed(0)
    values = ImageNetNetwork(18, 1000).state_dict()
    torch.save({k: v for k, v in values.items() if "normalise" not in k}, tmp_path / "resnet18-0a1b2c3d.pth")
    return tmp_path


def test_all_but_the_last_layer_is_taken_over(imagenet: Path) -> None:
    net, source = pretrained(18, 5, {"PRETRAINED_MODELS": str(imagenet)})
    assert source["file"] == "resnet18-0a1b2c3d.pth"
    wanted = torch.load(imagenet / source["file"], weights_only=True)
    found = net.state_dict()
    assert torch.equal(found["layer4.1.conv2.weight"], wanted["layer4.1.conv2.weight"])
    assert found["fc.weight"].shape == (5, 512)
    assert found["normalise.mean"].flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert net.eval()(torch.zeros(1, 3, 40, 40)).shape == (1, 5)
    assert export(net, 1.0, [np.zeros((3, 40, 40), dtype=np.uint8)], (3, 40, 40))


def test_names_and_sizes_are_torchvisions() -> None:
    """Figures: torchvision 0.28, sum of numel() of resnet18() to resnet50(), and some of its names."""
    for depth, parameters, name in (
        (18, 11_689_512, "layer1.0.conv1.weight"),
        (34, 21_797_672, "layer2.0.downsample.1.running_var"),
        (50, 25_557_032, "layer1.0.downsample.0.weight"),
    ):
        net = ImageNetNetwork(depth, 1000)
        assert sum(value.numel() for value in net.parameters()) == parameters
        assert name in net.state_dict()


def test_where_weights_are_looked_for(imagenet: Path) -> None:
    with pytest.raises(ClientError, match=r"has no file resnet34-\*\.pth .* PRETRAINED_MODELS"):
        find_weights(34, {"PRETRAINED_MODELS": str(imagenet)})
    cache = imagenet / "home/hub/checkpoints"
    cache.mkdir(parents=True)
    (cache / "resnet34.pth").touch()
    (cache / "resnet34-b.pth").touch()
    assert find_weights(34, {"TORCH_HOME": str(imagenet / "home")}).name == "resnet34-b.pth"
    with pytest.raises(ClientError, match="has no file resnet34"):
        find_weights(34, {"PRETRAINED_MODELS": str(imagenet / "nowhere")})
    with pytest.raises(ClientError, match="goes with num_layers 18, 34, 50, 101, 152, not 200"):
        pretrained(200, 2, {})


def test_a_file_that_is_no_network_is_refused_unrun(imagenet: Path) -> None:
    path = next(imagenet.glob("*.pth"))
    environment = {"PRETRAINED_MODELS": str(imagenet)}
    good = torch.load(path, weights_only=True)
    for content, words in (
        ({"conv1.weight": Bomb()}, "is no file of weights"),
        ([1, 2], "does not hold a state"),
        ({k: v for k, v in good.items() if k != "bn1.weight"}, "bn1.weight and 0 more arrays are missing"),
        (good | {"conv1.weight": torch.zeros(64, 3, 3, 3)}, "conv1.weight has the shape"),
        (good | {"more": torch.zeros(1)}, "more and 0 more arrays belong to another network"),
    ):
        torch.save(content, path)
        with pytest.raises(ClientError, match=words):
            pretrained(18, 2, environment)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ClientError, match="is no file of weights"):
        pretrained(18, 2, environment)
    assert not Path("/tmp/this-was-run").exists()


def test_a_pretrained_model_is_trained_as_documented(imagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = settings(use_pretrained_model="1", num_layers="18")
    assert not asked.follows_recipe
    monkeypatch.setenv("PRETRAINED_MODELS", str(imagenet))
    beginning = begin(asked, MEAN, SPREAD, None)
    assert (beginning.family, beginning.num_layers) == ("resnet-imagenet", 18)
    assert beginning.record["from"] == "pretrained model"
    earlier = Earlier(beginning.family, 18, (3, 32, 32), ["a", "b"], pack(beginning.network))
    again = begin(settings(num_layers="18"), MEAN, SPREAD, earlier)
    assert pack(again.network) == earlier.weights
    for extra, words in (
        ({"image_shape": "1,32,32"}, "needs colour"),
        ({"num_layers": "20"}, "goes with num_layers 18, 34, 50, 101, 152, 200, not 20"),
    ):
        with pytest.raises(ClientError, match=words):
            settings(**{"use_pretrained_model": "1"} | extra)
