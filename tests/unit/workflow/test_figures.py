"""Rows -> figures and the page."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from scones.workflow import plots
from scones.workflow.captures import Record
from scones.workflow.deploy import Deploy
from scones.workflow.etl import Etl
from scones.workflow.evaluate import Answer, score
from scones.workflow.execute import Execute, Execution
from scones.workflow.frames import png
from scones.workflow.monitor import Monitor
from scones.workflow.reliability import reliability
from scones.workflow.report import Results, write
from scones.workflow.source import DRAWN_BANNER
from scones.workflow.threshold import Threshold
from scones.workflow.train import Train

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLASSES = ("bicycle", "motorcycle")


def records(count: int) -> list[Record]:
    scores = np.linspace(0.5, 0.99, count)
    return [
        Record(str(index), NOW + timedelta(seconds=index), (float(value), 1 - float(value)))
        for index, value in enumerate(scores)
    ]


def test_recent_inferences_show_every_record_and_the_threshold() -> None:
    figure = plots.recent_inferences(records(30), 0.93)
    (axes,) = figure.axes
    (points,) = axes.collections
    (line,) = axes.lines
    offsets: Any = points.get_offsets()
    assert len(offsets) == 30
    assert np.asarray(line.get_ydata()).tolist() == [0.93, 0.93]
    assert plots.png(figure).startswith(b"\x89PNG")


def test_points_below_the_threshold_have_another_colour() -> None:
    (points,) = plots.recent_inferences(records(30), 0.93).axes[0].collections
    heights = np.asarray(points.get_offsets())[:, 1]
    colours: Any = points.get_facecolors()  # type: ignore[attr-defined]
    assert len({tuple(colour) for colour in colours[heights < 0.93]}) == 1
    assert {tuple(colour) for colour in colours[heights < 0.93]}.isdisjoint(
        {tuple(colour) for colour in colours[heights >= 0.93]}
    )


def test_scores_over_time_show_every_class_of_every_record() -> None:
    figure = plots.scores_over_time(records(30), CLASSES)
    counts: list[Any] = [points.get_offsets() for points in figure.axes[0].collections]
    assert [len(offsets) for offsets in counts] == [30, 30]


def test_records_of_the_same_second_stand_side_by_side() -> None:
    same = [replace(record, time=NOW) for record in records(4)]
    later = replace(same[0], time=NOW + timedelta(seconds=1))
    times = plots.spread([*same, later])
    assert times[0] == NOW
    assert times == sorted(set(times))
    assert times[-1] == later.time


def test_figures_of_nothing_are_figures_too() -> None:
    for figure in (plots.recent_inferences([], 0.9), plots.scores_over_time([], CLASSES)):
        assert plots.png(figure).startswith(b"\x89PNG")
    assert plots.png(plots.confusion([[0, 0], [0, 0]], CLASSES))


def test_scores_of_answers() -> None:
    answers = [
        Answer("a", 0, (0.95, 0.05)),
        Answer("b", 1, (0.97, 0.03)),
        Answer("c", 1, (0.4, 0.6)),
        Answer("d", 0, (0.45, 0.55)),
    ]
    found = score(answers, CLASSES, endpoint="e", threshold=0.93, seconds=1)
    assert found.accuracy == 0.5
    assert found.confusion == [[1, 1], [1, 1]]
    assert (found.coverage, found.accuracy_at_threshold) == (0.5, 0.5)
    assert [mistake["key"] for mistake in found.mistakes] == ["b", "d"]
    assert score(answers, CLASSES, endpoint="e", threshold=1, seconds=1).accuracy_at_threshold is None
    assert found.novel is None
    scored = [replace(answer, novelty=float(place)) for place, answer in enumerate(answers)]
    found = score(scored, CLASSES, endpoint="e", threshold=0.93, novelty_limit=0.5, seconds=1)
    assert (found.novel, found.novel_and_sure) == (3, 1)


def results(*, drawn: bool = False) -> Results:
    answers = [Answer("test/<b>.png", 1, (0.97, 0.03)), Answer("test/c.png", 1, (0.4, 0.6))]
    failed = Execution(
        "n", ("test/c.png",), {}, status="FAILED", error="THRESHOLD_CONFIDENCE_NOT_MET", cause="too low"
    )
    passed = Execution("m", ("test/b.png",), {}, status="SUCCEEDED", output={"inferences": [0.97, 0.03]})
    seen = records(5)
    return Results(
        run_id="run-1",
        etl=Etl("bucket", CLASSES, 10, 2, 12, 0, 0, "the archive", "d", drawn, DRAWN_BANNER if drawn else ""),
        train=Train("job-1", "s3://bucket/model.tar.gz", "image", False, 0.9, 3, 4.0, CLASSES),
        deploy=Deploy("endpoint-1", "config", "job-1", True, "s3://bucket/data_capture", 40),
        execute=Execute("run-1", "machine", 1, 1, 0, [passed, failed]),
        evaluate=score(answers, CLASSES, endpoint="endpoint-1", threshold=0.93, seconds=1),
        monitor=Monitor("endpoint-1", CLASSES, None, 2, 5, 0, 0.93, 1, 0.7, seen),
        seconds={"etl": 1.0, "train": 2.0, "deploy": 3.0},
        pictures={"test/<b>.png": png(np.zeros(3072, np.uint8))},
    )


def test_the_report_is_one_page_with_everything_in_it(tmp_path: Path) -> None:
    page = write(results(), tmp_path / "report")
    text = page.read_text()
    for expected in ("run-1", "job-1", "endpoint-1", "THRESHOLD_CONFIDENCE_NOT_MET", "too low", "50.0 %"):
        assert expected in text
    assert not re.search(r'(src|href)="(?!data:)', text), "nothing is loaded from elsewhere"
    assert text.count("data:image/png;base64,") == 5
    assert "&lt;b&gt;.png" in text, "names are escaped"
    assert "<b>.png" not in text
    assert 'class="banner"' not in text
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        *("report.html", "recent_inferences.png", "scores_over_time.png", "confusion.png", "reliability.png"),
        *(
            "run.json",
            "training.json",
            "endpoint.json",
            "executions.json",
            "evaluation.json",
            "captures.json",
            "threshold.json",
        ),
    }


def test_the_report_says_what_a_threshold_can_promise(tmp_path: Path) -> None:
    proven = Threshold(
        "e", "m", 0.95, 0.95, True, 0.87, ["the test split"], 200, 90, 1, 0.45, None, 0.985
    )  # fmt: skip
    text = write(replace(results(), proposal=proven), tmp_path).read_text()
    assert "From 0.87 on, at least 95.0 %" in text
    assert "45.0 % of them pass (90, 1 of these wrong)" in text
    assert "the test split" in text
    without = replace(
        proven, proven=False, threshold=None, share=None, accepted=0, precision=0.99, needed=600
    )
    text = write(replace(results(), proposal=without), tmp_path).read_text()
    assert "200 labelled pictures cannot prove a precision of 0.99" in text
    assert "About 600 labelled pictures would do" in text


def test_the_reliability_diagram_has_a_point_for_each_bin_with_answers() -> None:
    found = reliability([0.55, 0.58, 0.97, 0.99], [True, False, True, True])
    above, below = plots.reliability(found, 0.5).axes
    (points, *_), *_ = above.containers
    assert np.asarray(points.get_xdata()).tolist() == [bin.confidence for bin in found.bins]
    assert np.asarray(points.get_ydata()).tolist() == [0.5, 1.0]
    assert [bar.get_height() for bar in below.patches] == [2, 2]  # type: ignore[attr-defined]


def test_drawn_pictures_carry_a_banner(tmp_path: Path) -> None:
    assert "NOT photographs" in write(results(drawn=True), tmp_path).read_text()


def test_a_run_without_mistakes_or_captures_has_a_report(tmp_path: Path) -> None:
    plain = results()
    right = score([Answer("a", 0, (1.0, 0.0))], CLASSES, endpoint="e", threshold=0.93, seconds=1)
    nothing = replace(plain.monitor, records=[], captured=0, mean_confidence=None)
    assert write(replace(plain, evaluate=right, monitor=nothing), tmp_path).exists()
