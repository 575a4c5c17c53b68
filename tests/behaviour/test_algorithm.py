"""The algorithm as its host sees it: a process, files, exit codes, signals and HTTP."""

import http.client
import io
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ALGORITHM = Path(__file__).parents[2] / "src/scones/shipped/algorithm"
DEADLINE_S = 60.0
LOG_PREFIX = r"^\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] "


def draw(label: int, number: int, side: int = 32) -> Image.Image:
    """Stripes across for label 0, down for label 1, in a colour and phase of their own."""
    random = np.random.default_rng(1000 * label + number)
    wave = 127 + 100 * np.sin(np.arange(side) * 0.8 + random.uniform(0, 6))
    stripes = np.tile(wave, (side, 1)) if label else np.tile(wave[:, None], (1, side))
    pixels = stripes[..., None] * random.uniform(0.5, 1, 3) + random.normal(0, 10, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def lay_out(base: Path, train: int, validation: int, **hyperparameters: str) -> None:
    """Write a job's input folders and configuration."""
    for split, count, first in (("train", train, 0), ("validation", validation, 500)):
        pictures, lists = base / "input/data" / split, base / f"input/data/{split}_lst"
        pictures.mkdir(parents=True)
        lists.mkdir()
        lines = []
        for number in range(count):
            (pictures / f"{number}.png").write_bytes(png(draw(number % 2, first + number)))
            lines.append(f"{number}\t{number % 2}\t{number}.png\n")
        (lists / f"{split}.lst").write_text("".join(lines))
    (base / "input/data/train/classes.json").write_text('["across", "down"]')
    configure(base, num_training_samples=str(train), **hyperparameters)


def configure(base: Path, **hyperparameters: str) -> None:
    folder = base / "input/config"
    folder.mkdir(parents=True, exist_ok=True)
    values = {"image_shape": "3,32,32", "num_classes": "2"} | hyperparameters
    (folder / "hyperparameters.json").write_text(json.dumps(values))
    channels = ("train", "validation", "train_lst", "validation_lst")
    config = {name: {"ContentType": "application/x-image"} for name in channels}
    (folder / "inputdataconfig.json").write_text(json.dumps(config))


def start(base: Path, command: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ALGORITHM), command],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=base,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    return process.returncode, out, err


def train(base: Path, **environment: str) -> tuple[int, str]:
    """Exit status and log of a whole training run; nothing may appear on standard error."""
    status, out, err = finish(start(base, "train", **environment))
    assert err == ""
    return status, out


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


Request = Callable[..., tuple[int, bytes]]


@contextmanager
def served(
    base: Path, launch: Callable[..., subprocess.Popen[str]] = start
) -> Iterator[tuple[Request, subprocess.Popen[str]]]:
    """A running endpoint that has answered its first ping, and a way to ask it."""
    port = free_port()
    process = launch(base, "serve", SAGEMAKER_BIND_TO_PORT=str(port), BIND_HOST="127.0.0.1")

    def request(method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    try:
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                assert request("GET", "/ping") == (200, b"")
                break
            except ConnectionRefusedError:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
        yield request, process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the log of a job that learnt to tell the drawn pictures apart."""
    base = tmp_path_factory.mktemp("job")
    lay_out(base, 64, 16, epochs="8", mini_batch_size="16")
    status, log = train(base)
    assert status == 0, log
    return base, log


def test_training_logs_every_epoch_as_the_built_in_does(trained: tuple[Path, str]) -> None:
    lines = trained[1].splitlines()
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    for epoch in range(8):
        for pattern in (
            rf"Epoch\[{epoch}\] Train-accuracy=\d\.\d{{6}}",
            rf"Epoch\[{epoch}\] Time cost=\d+\.\d{{3}}",
            rf"Epoch\[{epoch}\] Validation-accuracy=\d\.\d{{6}}",
        ):
            assert [line for line in lines if _matches(LOG_PREFIX + pattern + "$", line)], pattern
    assert not [line for line in lines if "Storing the best model" in line]


def _matches(pattern: str, line: str) -> bool:
    return re.search(pattern, line) is not None


def test_the_model_folder_says_how_it_came_about(trained: tuple[Path, str]) -> None:
    folder = trained[0] / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.onnx", "weights.npz"]
    card = json.loads((folder / "model.json").read_text())
    assert card["classes"] == ["across", "down"]
    assert card["image_shape"] == [3, 32, 32]
    assert card["training"]["hyperparameters"]["epochs"] == "8"
    assert len(card["training"]["epochs"]) == 8
    assert card["training"]["data"]["train"]["pictures"] == 64
    assert card["training"]["seed"] == 0
    assert not (trained[0] / "output/failure").exists()


def test_an_endpoint_answers_like_the_built_in(trained: tuple[Path, str]) -> None:
    with served(trained[0]) as (request, process):
        right = 0
        for number in range(16):
            body = png(draw(number % 2, 900 + number, 48 if number < 4 else 32))
            status, answer = request("POST", "/invocations", body, Content_Type="image/png")
            assert status == 200
            scores = json.loads(answer)
            assert answer.decode() == str(scores)
            assert sum(scores) == pytest.approx(1.0, abs=1e-5)
            right += scores[number % 2] > 0.5
        assert right >= 12
        lines = request(
            "POST", "/invocations", body, Content_Type="image/png", Accept="application/jsonlines"
        )
        assert json.loads(lines[1]) == {"prediction": scores}
        refused = request("POST", "/invocations", b"0\t1\tx.png", Content_Type="application/x-image")
        assert refused == (400, b"unable to evaluate payload provided")
        assert request("POST", "/invocations", body, Content_Type="text/csv")[0] == 415
        assert request("POST", "/invocations", bytes(7 * 2**20), Content_Type="image/png")[0] == 413
        assert request("GET", "/nowhere")[0] == 404
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 0


def test_serving_never_imports_torch(trained: tuple[Path, str]) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ALGORITHM.parent)!r}); import algorithm.serve;"
        f"from algorithm.artefact import load; from pathlib import Path;"
        f"load(Path({str(trained[0] / 'model')!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE_S)


def test_a_damaged_model_is_not_served(tmp_path: Path, trained: tuple[Path, str]) -> None:
    (tmp_path / "model").mkdir()
    status, _, err = finish(start(tmp_path, "serve", SAGEMAKER_BIND_TO_PORT=str(free_port())))
    assert status == 1
    assert "model.json cannot be read: No such file" in err
    for name in ("model.json", "model.onnx"):
        (tmp_path / "model" / name).write_bytes((trained[0] / "model" / name).read_bytes()[:-1])
    status, _, err = finish(start(tmp_path, "serve", SAGEMAKER_BIND_TO_PORT=str(free_port())))
    assert status == 1
    assert "The model cannot be served" in err


def test_a_port_in_use_is_named(trained: tuple[Path, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = start(trained[0], "serve", SAGEMAKER_BIND_TO_PORT=str(port), BIND_HOST="127.0.0.1")
        status, _, err = finish(process)
    assert status == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in err


def test_the_users_mistake_is_a_client_error(tmp_path: Path) -> None:
    lay_out(tmp_path, 4, 4, mini_batch_size="4")
    (tmp_path / "input/data/train/2.png").write_text("no picture")
    status, log = train(tmp_path)
    failure = (tmp_path / "output/failure").read_text()
    assert status == 2
    assert failure.startswith("ClientError: The picture 2.png (train.lst, line 3) cannot be used")
    assert "ERROR" in log.splitlines()[-1]
    assert "Customer Error: The picture 2.png" in log.splitlines()[-1]
    assert not (tmp_path / "model/model.onnx").exists()


def test_our_mistake_is_an_algorithm_error(tmp_path: Path) -> None:
    lay_out(tmp_path, 8, 4, epochs="1", mini_batch_size="4")
    (tmp_path / "model").write_text("a file where a folder must be")
    status, log = train(tmp_path)
    assert status == 1
    assert (tmp_path / "output/failure").read_text().startswith("AlgorithmError: ")
    assert "Traceback" in log


def test_a_stop_signal_leaves_a_model(tmp_path: Path) -> None:
    lay_out(tmp_path, 16, 4, epochs="100000", mini_batch_size="8")
    process = start(tmp_path, "train")
    assert process.stdout is not None
    for line in process.stdout:
        if "Epoch[0] Validation-accuracy" in line:
            break
    process.send_signal(signal.SIGTERM)
    status, log, _ = finish(process)
    assert status == 0, log
    card = json.loads((tmp_path / "model/model.json").read_text())
    assert card["training"]["stopped_early"] is True
    assert (tmp_path / "model/model.onnx").stat().st_size > 0


def test_documented_training_keeps_the_best_epoch_and_a_seed_decides_it(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", "5"), ("b", "5")):
        base = tmp_path / name
        lay_out(
            base, 16, 8, epochs="2", mini_batch_size="8", num_layers="20", learning_rate="0.05",
            augmentation_type="crop_color", top_k="2",
        )  # fmt: skip
        status, log = train(base, RANDOM_SEED=seed)
        assert status == 0, log
        assert "Storing the best model with validation accuracy: " in log
        assert "Epoch[1] Train-top_k_accuracy_2=1.000000" in log
        digests.append(json.loads((base / "model/model.json").read_text())["graph"]["sha256"])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("arguments", [[], ["evaluate"], ["train", "serve"]])
def test_other_commands_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ALGORITHM), *arguments], capture_output=True, timeout=DEADLINE_S
    )
    assert done.returncode == 64
    assert b"usage: algorithm train|serve" in done.stderr


def test_it_also_starts_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "algorithm", "train"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(tmp_path), "PYTHONPATH": str(ALGORITHM.parent)},
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 2
    assert b"hyperparameters.json is missing" in done.stdout


@pytest.mark.skipif(
    not Path(os.environ.get("SCONES_DATA", ".")).is_file(),
    reason="SCONES_DATA names no archive on this machine",
)
def test_real_rows_are_learnt_beyond_chance(tmp_path: Path) -> None:
    lay_out(tmp_path, 2, 2, epochs="6")
    _replace_pictures(tmp_path, Path(os.environ["SCONES_DATA"]))
    status, log = train(tmp_path)
    assert status == 0, log
    card = json.loads((tmp_path / "model/model.json").read_text())
    assert card["training"]["epochs"][-1]["validation_accuracy"] >= 0.65


def _replace_pictures(base: Path, archive: Path) -> None:
    """Put the bicycles (8) and motorcycles (48) of a trusted archive into a job's channels."""
    with tarfile.open(archive) as files:
        for split, member in (("train", "train"), ("validation", "test")):
            stream = files.extractfile(f"cifar-100-python/{member}")
            assert stream is not None
            rows = pickle.load(stream, encoding="bytes")
            lines = []
            for number, (label, data) in enumerate(zip(rows[b"fine_labels"], rows[b"data"], strict=True)):
                if label in (8, 48):
                    pixels = np.asarray(data, dtype=np.uint8).reshape(3, 32, 32).transpose(1, 2, 0)
                    Image.fromarray(pixels).save(base / f"input/data/{split}/{number}.png")
                    lines.append(f"{number}\t{int(label == 48)}\t{number}.png\n")
            (base / f"input/data/{split}_lst/{split}.lst").write_text("".join(lines))
            if split == "train":
                configure(base, num_training_samples=str(len(lines)), epochs="6")
