"""Rows -> figures. Pure: nothing is read, shown or saved here, and pyplot's global state is not touched."""

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import matplotlib.dates
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scones.workflow.bound import lower_bound
from scones.workflow.captures import Record
from scones.workflow.reliability import Reliability

__all__ = ["confusion", "png", "recent_inferences", "reliability", "scores_over_time", "spread"]

_PASS, _FAIL, _LINE = "#2166ac", "#b2182b", "#1a7f37"
_CLASSES = ("#2166ac", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d")


def recent_inferences(records: Sequence[Record], threshold: float) -> Figure:
    """One point per captured inference: its highest score, above or below the threshold."""
    figure, axes = _figure()
    times, heights = spread(records), [record.confidence for record in records]
    colours = [_PASS if height >= threshold else _FAIL for height in heights]
    axes.scatter(times, heights, c=colours, s=26, alpha=0.8, linewidths=0, zorder=3)
    axes.axhline(threshold, color=_LINE, linestyle="--", linewidth=1.4, label=f"threshold {threshold:g}")
    passed = sum(height >= threshold for height in heights)
    axes.set_ylim(min([*heights, threshold]) - 0.03, 1.01)
    axes.set_ylabel("confidence")
    figure.suptitle("Observed recent inferences", fontsize=14)
    axes.set_title(
        f"{passed} of {len(records)} at or above the confidence threshold for production use", fontsize=10
    )
    _finish(axes, times)
    return figure


def scores_over_time(records: Sequence[Record], classes: Sequence[str]) -> Figure:
    """Every class's score in every captured inference."""
    figure, axes = _figure()
    times = spread(records)
    for label, name in enumerate(classes):
        chosen = [
            (time, record) for time, record in zip(times, records, strict=True) if label < len(record.scores)
        ]
        moments, scores = [time for time, _ in chosen], [record.scores[label] for _, record in chosen]
        colour = _CLASSES[label % len(_CLASSES)]
        axes.scatter(moments, scores, s=22, alpha=0.6, color=colour, linewidths=0, label=name)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("score")
    figure.suptitle("Prediction scores over time", fontsize=14)
    axes.set_title(f"one point per class in each of {len(records)} captured inferences", fontsize=10)
    _finish(axes, times)
    return figure


def spread(records: Sequence[Record]) -> list[datetime]:
    """Their times, those of the same second side by side: captures know only whole seconds."""
    counts = Counter(record.time for record in records)
    met: Counter[datetime] = Counter()
    times = []
    for record in records:
        times.append(record.time + timedelta(seconds=met[record.time] / counts[record.time]))
        met[record.time] += 1
    return times


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Rows: what it is; columns: what the model says."""
    counts = np.asarray(matrix)
    figure = Figure(
        figsize=(1.8 + 1.1 * min(len(classes), 12), 1.5 + 1.0 * min(len(classes), 12)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(counts, cmap="Blues", vmin=0)
    axes.set_xticks(range(len(classes)), classes, rotation=30 if len(classes) > 4 else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title("Confusion matrix, test split", fontsize=11)
    if len(classes) <= 12:
        middle = counts.max() / 2
        for (true, predicted), count in np.ndenumerate(counts):
            colour = "white" if count > middle else "black"
            axes.text(predicted, true, str(count), ha="center", va="center", color=colour, fontsize=13)
    return figure


def reliability(found: Reliability, lowest: float) -> Figure:
    """Accuracy over confidence, bin by bin, with 95 % intervals; below, how many answers each bin holds.

    lowest: confidence that a picture can have at the least, one over the number of classes.
    """
    figure = Figure(figsize=(5.4, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 1, height_ratios=(4, 1))
    axes: Any = figure.add_subplot(grid[0])
    below: Any = figure.add_subplot(grid[1], sharex=axes)
    axes.plot([0, 1], [0, 1], color=_LINE, linestyle="--", linewidth=1.2, label="probabilities that hold")
    places = [bin.confidence for bin in found.bins]
    heights = [bin.accuracy for bin in found.bins]
    bounds = [_interval(round(bin.accuracy * bin.count), bin.count) for bin in found.bins]
    reach = [
        [height - low for height, (low, _) in zip(heights, bounds, strict=True)],
        [high - height for height, (_, high) in zip(heights, bounds, strict=True)],
    ]
    axes.errorbar(
        places, heights, yerr=reach, fmt="o", color=_PASS, capsize=3, label="accuracy, 95 % interval"
    )
    start = min(lowest, *(bin.low for bin in found.bins))
    axes.set_xlim(start - 0.02, 1.02)
    axes.set_ylim(min([start, *(low for low, _ in bounds)]) - 0.03, 1.03)
    axes.set_ylabel("accuracy")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.tick_params(labelbottom=False)
    low, high = found.interval
    figure.suptitle("Reliability, test split", fontsize=13)
    axes.set_title(f"expected calibration error {found.error:.3f} ({low:.3f} to {high:.3f})", fontsize=10)
    counts = [bin.count for bin in found.bins]
    below.bar(
        [bin.low for bin in found.bins],
        counts,
        width=[0.96 * (bin.high - bin.low) for bin in found.bins],
        align="edge",
        color="#b0bccb",
    )
    below.set_ylabel("pictures")
    below.set_xlabel("confidence")
    for one in (axes, below):
        one.spines[["top", "right"]].set_visible(False)
    return figure


def _interval(right: int, count: int) -> tuple[float, float]:
    """95 %, after Clopper and Pearson."""
    return lower_bound(count, count - right, 0.975), 1 - lower_bound(count, right, 0.975)


def png(figure: Figure, dpi: int = 130) -> bytes:
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=dpi)
        return file.getvalue()


dates: Any = matplotlib.dates  # its stubs leave the locators untyped


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(9.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()  # its stubs refuse times, which it accepts
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(axes: Any, times: Sequence[datetime]) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    locator = dates.AutoDateLocator(tz=UTC, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=UTC))
    if times:
        margin = max((max(times) - min(times)) * 0.03, timedelta(seconds=1))
        axes.set_xlim(min(times) - margin, max(times) + margin)
    axes.set_xlabel("time of inference (UTC)")
