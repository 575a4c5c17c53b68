"""The whole test split through the endpoint, scored against its labels."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, code, message, missing
from scones.workflow.captures import novelty
from scones.workflow.errors import WorkflowError
from scones.workflow.parallel import each
from scones.workflow.progress import Progress
from scones.workflow.reliability import Reliability, reliability

__all__ = ["Answer", "Evaluate", "ask", "ask_test", "evaluate", "score"]

_MISTAKES = 24


@dataclass(frozen=True, slots=True)
class Answer:
    """What the endpoint said of one picture."""

    key: str
    label: int
    scores: tuple[float, ...]
    novelty: float | None = None
    """How unlike the training pictures the endpoint finds it; None where it does not say."""

    @property
    def predicted(self) -> int:
        return self.scores.index(max(self.scores))

    @property
    def confidence(self) -> float:
        return max(self.scores)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """How good the endpoint is, and how sure of itself."""

    endpoint: str
    classes: tuple[str, ...]
    count: int
    accuracy: float
    confusion: list[list[int]]
    """confusion[true][predicted]."""
    mean_confidence: float
    threshold: float
    coverage: float
    """Share of the pictures at or above the threshold."""
    accuracy_at_threshold: float | None
    """Accuracy of these; None when there are none."""
    novelty_limit: float
    novel: int | None
    """Pictures more novel than the limit; None where the endpoint does not say."""
    novel_and_sure: int | None
    """Of these, the ones at or above the threshold: only the limit refuses them."""
    reliability: Reliability
    """Whether the confidences mean what they say."""
    mistakes: list[dict[str, Any]]
    """The wrong answers that the model was surest of."""
    seconds: float
    finished: datetime
    answers: list[Answer] = field(repr=False)


def evaluate(aws: Aws, progress: Progress) -> Evaluate:
    """Raises WorkflowError when the endpoint is missing or answers with something else than scores."""
    started = time.monotonic()
    answers = ask_test(aws, progress)
    return score(
        answers,
        tuple(store.need(aws, store.MANIFEST)["classes"]),
        endpoint=aws.settings.endpoint_name,
        threshold=aws.settings.threshold,
        novelty_limit=aws.settings.novelty_limit,
        seconds=time.monotonic() - started,
    )


def ask_test(aws: Aws, progress: Progress) -> list[Answer]:
    """The endpoint's answers to the test split. Raises WorkflowError as `evaluate` does."""
    manifest, s3 = store.need(aws, store.MANIFEST), aws.client("s3")
    labels: dict[str, int] = manifest["test"]
    if not labels:
        raise WorkflowError("the test split is empty", "scones etl")

    def picture(key: str) -> bytes:
        content: bytes = s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read()
        return content

    return ask(aws, labels, picture, tuple(manifest["classes"]), "asking about the test split", progress)


def ask(
    aws: Aws,
    labels: Mapping[str, int],
    picture: Callable[[str], bytes],
    classes: tuple[str, ...],
    what: str,
    progress: Progress,
) -> list[Answer]:
    """The endpoint's answers, in the order of the keys. picture: the PNG of a key."""
    runtime, endpoint = aws.client("sagemaker-runtime"), aws.settings.endpoint_name

    def one(key: str) -> Answer:
        reply = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="image/png", Body=picture(key))
        scores = _scores(reply["Body"].read(), len(classes), endpoint)
        return Answer(key, labels[key], scores, novelty([reply.get("CustomAttributes", "")]))

    try:
        with progress.bar(what, len(labels)) as advance:
            return each(one, sorted(labels), workers=aws.settings.workers, done=advance)
    except ClientError as error:
        raise _explained(error, aws) from error


def score(
    answers: Sequence[Answer],
    classes: tuple[str, ...],
    *,
    endpoint: str,
    threshold: float,
    novelty_limit: float = math.inf,
    seconds: float,
) -> Evaluate:
    """The figures behind the answers. Pure but for the date."""
    scored = any(answer.novelty is not None for answer in answers)
    novel = [answer for answer in answers if answer.novelty is not None and answer.novelty > novelty_limit]
    confusion = [[0] * len(classes) for _ in classes]
    for answer in answers:
        confusion[answer.label][answer.predicted] += 1
    right = [answer for answer in answers if answer.predicted == answer.label]
    sure = [answer for answer in answers if answer.confidence >= threshold]
    sure_and_right = sum(answer.predicted == answer.label for answer in sure)
    wrong = sorted(
        (answer for answer in answers if answer.predicted != answer.label),
        key=lambda answer: (-answer.confidence, answer.key),
    )
    return Evaluate(
        endpoint=endpoint,
        classes=classes,
        count=len(answers),
        accuracy=len(right) / len(answers),
        confusion=confusion,
        mean_confidence=sum(answer.confidence for answer in answers) / len(answers),
        threshold=threshold,
        coverage=len(sure) / len(answers),
        novelty_limit=novelty_limit,
        novel=len(novel) if scored else None,
        novel_and_sure=sum(answer.confidence >= threshold for answer in novel) if scored else None,
        accuracy_at_threshold=sure_and_right / len(sure) if sure else None,
        reliability=reliability(
            [answer.confidence for answer in answers],
            [answer.predicted == answer.label for answer in answers],
        ),
        mistakes=[
            {
                "key": answer.key,
                "true": classes[answer.label],
                "predicted": classes[answer.predicted],
                "confidence": answer.confidence,
            }
            for answer in wrong[:_MISTAKES]
        ],
        seconds=seconds,
        finished=datetime.now(UTC),
        answers=list(answers),
    )


def _scores(body: bytes, classes: int, endpoint: str) -> tuple[float, ...]:
    try:
        scores = tuple(float(score) for score in json.loads(body))
    except (TypeError, ValueError) as error:
        raise WorkflowError(f"endpoint {endpoint} answered {body[:80]!r} instead of scores") from error
    if len(scores) != classes:
        raise WorkflowError(
            f"endpoint {endpoint} knows {len(scores)} classes, the test split has {classes}",
            "run `scones train` and `scones deploy` for these classes",
        )
    return scores


def _explained(error: ClientError, aws: Aws) -> Exception:
    name = aws.settings.endpoint_name
    if "not found" in message(error) and code(error) in {"ValidationError", "ValidationException"}:
        return WorkflowError(f"there is no endpoint {name}", "run `scones deploy` first")
    if missing(error):
        return WorkflowError(
            f"a picture of the test split is gone: {message(error)}", "run `scones etl` again"
        )
    return error
