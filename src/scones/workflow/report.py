"""Results -> a folder that explains itself: one self-contained page, the figures, the JSON behind them."""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from scones.workflow import plots
from scones.workflow.captures import Record
from scones.workflow.deploy import Deploy
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import Etl
from scones.workflow.evaluate import Evaluate
from scones.workflow.execute import Execute
from scones.workflow.monitor import Monitor
from scones.workflow.threshold import Threshold, why_not
from scones.workflow.train import Train

__all__ = ["Results", "as_json", "html", "write", "write_figures"]

_FIGURES = {
    "recent_inferences": "Observed recent inferences",
    "scores_over_time": "Prediction scores over time",
    "confusion": "Confusion matrix",
    "reliability": "Reliability diagram",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Results:
    """Everything that one run found out."""

    run_id: str
    etl: Etl
    train: Train
    deploy: Deploy
    execute: Execute
    evaluate: Evaluate
    monitor: Monitor
    seconds: Mapping[str, float]
    """Step -> how long it took."""
    pictures: Mapping[str, bytes]
    """Key -> PNG bytes of the pictures that the page shows."""
    proposal: Threshold | None = None
    """What a threshold can promise for this model; None where there are no held-out pictures to tell."""


def write(results: Results, folder: Path) -> Path:
    """Write the folder and return the page's path. Raises WorkflowError when it cannot be written."""
    figures = {
        "recent_inferences": plots.recent_inferences(results.monitor.records, results.monitor.threshold),
        "scores_over_time": plots.scores_over_time(results.monitor.records, results.monitor.classes),
        "confusion": plots.confusion(results.evaluate.confusion, results.evaluate.classes),
        "reliability": plots.reliability(results.evaluate.reliability, 1 / len(results.evaluate.classes)),
    }
    images = {name: plots.png(figure) for name, figure in figures.items()}
    documents = {
        "run": {"run_id": results.run_id, "seconds": results.seconds, "data": results.etl},
        "training": results.train,
        "endpoint": results.deploy,
        "executions": results.execute,
        "evaluation": results.evaluate,
        "captures": results.monitor,
        "threshold": results.proposal,
    }
    page = folder / "report.html"
    contents = {f"{name}.png": content for name, content in images.items()}
    contents |= {f"{name}.json": as_json(document).encode() for name, document in documents.items()}
    contents["report.html"] = html(results, images).encode()
    _write(folder, contents)
    return page


def write_figures(found: Monitor, folder: Path) -> list[Path]:
    """Both monitoring figures and the records behind them."""
    contents = {
        "recent_inferences.png": plots.png(plots.recent_inferences(found.records, found.threshold)),
        "scores_over_time.png": plots.png(plots.scores_over_time(found.records, found.classes)),
        "captures.json": as_json(found).encode(),
    }
    return _write(folder, contents)


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            incoming = folder / f".{name}.incoming"
            incoming.write_bytes(content)
            paths.append(incoming.replace(folder / name))
    except OSError as error:
        raise WorkflowError(f"{folder} cannot be written: {error.strerror}", "--report FOLDER") from error
    return paths


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1, default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def html(results: Results, images: Mapping[str, bytes]) -> str:
    """The page; it needs no other file."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "data_uri": _data_uri, "short": _short}
    template = (files("scones.workflow") / "report.html.j2").read_text(encoding="utf-8")
    evaluation = results.evaluate
    return environment.from_string(template).render(
        results=results,
        evaluation=evaluation,
        reliability=evaluation.reliability,
        proposal=results.proposal,
        why_not=why_not,
        figures=[(name, title, images[name]) for name, title in _FIGURES.items()],
        mistakes=[mistake for mistake in evaluation.mistakes if mistake["key"] in results.pictures],
        executions=results.execute.executions,
        total_s=sum(results.seconds.values()),
        last=_last(results.monitor.records),
    )


def _last(records: Sequence[Record]) -> str:
    return records[-1].time.strftime("%Y-%m-%d %H:%M:%S UTC") if records else "none"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _data_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _short(key: str) -> str:
    return key.rpartition("/")[2]
