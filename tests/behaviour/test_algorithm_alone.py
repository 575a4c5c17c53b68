"""The algorithm without the project around it: as its image has it, and what its model is elsewhere."""

import ast
import json
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from tests.behaviour.test_algorithm import ALGORITHM, DEADLINE_S, draw, lay_out, png, served

ROOT = Path(__file__).parents[2]
ALONE = {
    # Without `site` no .pth file is read, so this project cannot be imported; its packages can.
    "PYTHONPATH": os.pathsep.join(site.getsitepackages()),
    "PATH": os.environ["PATH"],
}


def instructions() -> list[list[str]]:
    """The Dockerfile, one list of words for each instruction."""
    lines = (ALGORITHM / "Dockerfile").read_text().splitlines()
    return [shlex.split(line, comments=True) for line in lines if line and not line.startswith("#")]


def image(root: Path) -> Path:
    """Copy what the Dockerfile copies below another root; returns what its entry point starts."""
    for word, *rest in instructions():
        if word != "COPY":
            continue
        *sources, target = rest
        assert target.endswith("/")
        folder = root / target.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            found = list(ALGORITHM.glob(source))
            assert found, source
            for path in found:
                shutil.copy(path, folder)
    (entry,) = (" ".join(rest) for word, *rest in instructions() if word == "ENTRYPOINT")
    assert entry.startswith("[python,")
    return root / entry.removeprefix("[python,").strip(" ]").lstrip("/")


def alone(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env=ALONE | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model.tar.gz of a job that ran from the image's files alone."""
    root = tmp_path_factory.mktemp("image")
    program = image(root)
    base = root / "opt/ml"
    lay_out(base, 16, 4, epochs="2", mini_batch_size="8")
    done = alone(str(program), "train", cwd=root, SAGEMAKER_BASE_DIR=str(base))
    assert done.returncode == 0, done.stdout
    archive = root / "model.tar.gz"
    pack = ROOT / "src/scones/cloud/guest/pack.py"
    subprocess.run([sys.executable, str(pack), str(base / "model"), str(archive)], check=True)
    return archive


def test_the_project_is_out_of_reach(tmp_path: Path) -> None:
    done = alone("-c", "import scones", cwd=tmp_path)
    assert "No module named 'scones'" in done.stderr


def test_the_images_files_train_and_serve(model: Path) -> None:
    def launch(base: Path, command: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-S", "-m", "algorithm", command],
            env=ALONE | environment | {"SAGEMAKER_BASE_DIR": str(base)},
            cwd=model.parent / "opt/program",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with served(model.parent / "opt/ml", launch) as (request, _):
        status, answer = request("POST", "/invocations", png(draw(0, 1)), Content_Type="image/png")
        assert status == 200
        assert len(json.loads(answer)) == 2


def test_ten_lines_read_a_model_anywhere(model: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"## The model\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    shutil.copy(model, tmp_path)
    for mode in ("RGB", "RGBA", "L"):
        draw(1, 2, 48).convert(mode).save(tmp_path / "picture.png")
        done = alone("-c", code, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        scores: dict[str, float] = ast.literal_eval(done.stdout)
        assert list(scores) == ["across", "down"]
        assert sum(scores.values()) == pytest.approx(1.0, abs=1e-5)


def test_those_lines_say_what_the_endpoint_says(model: Path, tmp_path: Path) -> None:
    (code,) = re.findall(r"## The model\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    shutil.copy(model, tmp_path)
    picture = draw(0, 3, 40)
    picture.save(tmp_path / "picture.png")
    scores = ast.literal_eval(alone("-c", code, cwd=tmp_path).stdout)
    with served(model.parent / "opt/ml") as (request, _):
        _, answer = request("POST", "/invocations", png(picture), Content_Type="image/png")
    assert json.loads(answer) == pytest.approx(list(scores.values()), abs=1e-6)


def test_the_card_tells_the_whole_story(model: Path) -> None:
    card = json.loads((model.parent / "opt/ml/model/model.json").read_text())
    assert set(card) >= {
        "format", "algorithm", "image_shape", "classes", "input", "output", "preprocessing", "calibration",
        "network", "graph", "weights", "training",
    }  # fmt: skip
    assert set(card["training"]) >= {
        "hyperparameters", "manner", "beginning", "seed", "data", "epochs", "steps", "device", "versions",
    }  # fmt: skip
    assert card["network"]["parameters"] > 1000
    assert len(card["training"]["data"]["train"]["sha256"]) == 64
    assert card["training"]["beginning"] == {"from": "random weights"}
    assert 0 <= card["training"]["epochs"][-1]["validation_accuracy"] <= 1


def test_requirements_are_what_is_imported_at_the_versions_in_use() -> None:
    lines = (ALGORITHM / "requirements.txt").read_text().splitlines()
    required = [line for line in lines if not line.startswith("#")]
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in required if line not in pinned] == []
    imported = {
        name.partition(".")[0]
        for path in ALGORITHM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names(node)
    } - sys.stdlib_module_names
    uses = {"PIL": "pillow"}
    # The server picks these two by name; the exporter imports the writer of graphs itself.
    unseen = {"httptools", "uvloop", "onnx"}
    assert {uses.get(name, name) for name in imported} | unseen == {
        line.partition("==")[0] for line in required
    }


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
