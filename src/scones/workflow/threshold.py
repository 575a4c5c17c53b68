"""The threshold above which predictions are right at a wanted rate, proposed from labelled answers.

The answers come from pictures that the model did not learn from: those its training kept aside, the test
split when asked for, or labelled pictures of one's own. What they cannot prove is said, never proposed.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scones.workflow import bound, folder, store
from scones.workflow.aws import Aws
from scones.workflow.errors import WorkflowError
from scones.workflow.evaluate import Answer, ask, ask_test
from scones.workflow.frames import png
from scones.workflow.held_out import Record, record_of, served_model
from scones.workflow.progress import Progress

__all__ = [
    "CONFIDENCE",
    "HELD_OUT",
    "PRECISION",
    "TEST",
    "Threshold",
    "current",
    "hint",
    "settle",
    "threshold",
    "why_not",
]

PRECISION = 0.99
CONFIDENCE = 0.95
"""Of the statement about the precision; not a confidence of the model."""
HELD_OUT = "held-out"
TEST = "test"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A proposal, or why there is none.

    When proven: with probability `confidence` over the draw of the labelled pictures, predictions at or above
    `threshold` are right at least at the rate `precision`, although the same pictures chose the threshold.
    That held-out pictures set the model's temperature too changes nothing with two classes, where it reorders
    no confidences, and little with more.
    """

    endpoint: str
    model: str
    precision: float
    confidence: float
    proven: bool
    threshold: float | None
    sources: list[str]
    """What the labelled pictures were."""
    labelled: int
    accepted: int
    """Of these, at or above the threshold."""
    wrong: int
    """Of the accepted."""
    share: float | None
    """Of traffic that passes: accepted over labelled."""
    needed: int | None
    """When not proven: about how many labelled pictures would do, if all went as these; None: no number."""
    attainable: float
    """The highest precision that so many pictures could prove, were all accepted and right."""


def threshold(aws: Aws, progress: Progress, *, on: Sequence[str] = ()) -> Threshold:
    """Propose a threshold for the endpoint's model, and keep the proposal beside the workflow's documents.

    on: "held-out" (also when empty), "test", or folders with a sub-folder per class; together where several.
    Raises WorkflowError when there is nothing to judge by.
    """
    settings = aws.settings
    model, uri = served_model(aws)
    heights, right, sources = list[float](), list[bool](), list[str]()
    for name in dict.fromkeys(on or [HELD_OUT]):
        record, source = _answers(aws, name, uri, progress)
        heights, right, sources = heights + record[0], right + record[1], [*sources, source]
    wanted = PRECISION if settings.precision is None else settings.precision
    found = bound.propose(heights, right, wanted, CONFIDENCE)
    result = Threshold(
        endpoint=settings.endpoint_name,
        model=model,
        precision=wanted,
        confidence=CONFIDENCE,
        proven=found is not None,
        threshold=found.threshold if found else None,
        sources=sources,
        labelled=len(heights),
        accepted=found.count if found else 0,
        wrong=found.wrong if found else 0,
        share=found.count / len(heights) if found else None,
        needed=None if found else bound.wanted(heights, right, wanted, CONFIDENCE),
        attainable=bound.attainable(len(heights), CONFIDENCE),
    )
    store.put(aws, store.PROPOSED, dataclasses.asdict(result))
    return result


def current(aws: Aws, progress: Progress) -> Threshold:
    """The last proposal, if it is for the model being served and the precision asked for; else a new one.

    Raises WorkflowError as `threshold` does.
    """
    known, settings = store.get(aws, store.PROPOSED) or {}, aws.settings
    if {entry.name for entry in dataclasses.fields(Threshold)} != set(known):
        return threshold(aws, progress)
    model, _ = served_model(aws)
    if known["model"] != model or settings.precision not in (None, known["precision"]):
        return threshold(aws, progress)
    return Threshold(**known)


def settle(aws: Aws, progress: Progress) -> Aws:
    """`aws` with the proposed threshold in its settings, where --threshold auto asks for one.

    Raises WorkflowError when nothing is proven.
    """
    if not aws.settings.threshold_proposed:
        return aws
    found = current(aws, progress)
    if found.threshold is None:
        raise WorkflowError(f"no threshold is proven: {why_not(found)}", hint(found))
    progress.say(f"threshold {found.threshold:g}, proposed for a precision of {found.precision:g}")
    return Aws(dataclasses.replace(aws.settings, threshold=found.threshold, threshold_proposed=False))


def why_not(found: Threshold) -> str:
    """Why nothing was proposed, in one sentence without a full stop."""
    claim = f"a precision of {found.precision:g} at {100 * found.confidence:g} % confidence"
    if found.attainable < found.precision:
        return (
            f"{found.labelled} labelled pictures cannot prove {claim};"
            f" {found.attainable:.3f} at best, were all of them accepted and right"
        )
    return (
        f"the model is wrong on too many of the surest of the {found.labelled} labelled pictures for {claim}"
    )


def hint(found: Threshold) -> str:
    """What would help."""
    if found.needed is None:
        return "ask for a lower precision (--precision), or train a better model"
    return (
        f"about {found.needed:,} labelled pictures would do: `scones threshold --on FOLDER`;"
        " or ask for a lower precision (--precision)"
    )


def _answers(aws: Aws, name: str, uri: str, progress: Progress) -> tuple[Record, str]:
    """Confidences and outcomes, and what they are of."""
    if name == HELD_OUT:
        record = record_of(aws, uri)
        if not record[0]:
            raise WorkflowError(
                f"the model of endpoint {aws.settings.endpoint_name} has no record of held-out pictures",
                "give labelled ones, `scones threshold --on FOLDER`, or accept the test split, --on test",
            )
        return record, f"{len(record[0])} training pictures held out from training"
    if name == TEST:
        progress.warn(
            "the test split chooses the threshold: what `evaluate` says at it is no independent check"
        )
        return _of(ask_test(aws, progress)), "the test split"
    return _of(_ask_folder(aws, Path(name), progress)), f"labelled pictures in {name}"


def _of(answers: Sequence[Answer]) -> Record:
    return (
        [answer.confidence for answer in answers],
        [answer.predicted == answer.label for answer in answers],
    )


def _ask_folder(aws: Aws, place: Path, progress: Progress) -> list[Answer]:
    if not place.is_dir():
        raise WorkflowError(f"there is no folder {place}", f"--on takes {HELD_OUT}, {TEST}, or a folder")
    classes = tuple(store.need(aws, store.MANIFEST)["classes"])
    frame = folder.read_all(place, classes)
    rows = dict(zip(frame.filenames, frame.rows, strict=True))
    labels = dict(zip(frame.filenames, frame.labels.tolist(), strict=True))
    return ask(aws, labels, lambda key: png(rows[key]), classes, f"asking about {place}", progress)
