"""Small rules of the steps: settings, names, log lines, moments, the definition."""

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scones.workflow.errors import WorkflowError
from scones.workflow.execute import entered, execution_name
from scones.workflow.images import image_classification
from scones.workflow.monitor import moment
from scones.workflow.orchestrate import FUNCTIONS, definition
from scones.workflow.parallel import each
from scones.workflow.settings import DEFAULT_ENDPOINT_URL, PUBLISHED_ARCHIVE, Settings
from scones.workflow.train import Epochs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_flag_beats_environment_beats_default() -> None:
    environment = {"SCONES_THRESHOLD": "0.5", "SCONES_DATA": "/data"}
    assert Settings.build({"threshold": 0.7}, environment).threshold == 0.7
    assert Settings.build({"threshold": None}, environment).threshold == 0.5
    assert Settings.build({}, {}).threshold == 0.93
    assert Settings.build({"threshold": "auto"}, environment).threshold_proposed
    assert Settings.build({}, {"SCONES_THRESHOLD": "auto"}).threshold_proposed
    assert not Settings.build({"threshold": 0.7}, {"SCONES_THRESHOLD": "auto"}).threshold_proposed
    assert Settings.build({}, environment).data_given
    assert Settings.build({}, {}).data == PUBLISHED_ARCHIVE
    assert not Settings.build({}, {}).data_given


def test_aws_itself_must_be_asked_for() -> None:
    assert Settings.build({}, {}).endpoint_url == DEFAULT_ENDPOINT_URL
    assert Settings.build({}, {"AWS_ENDPOINT_URL": "http://localhost:1"}).endpoint_url == "http://localhost:1"
    assert Settings.build({"aws": True}, {"AWS_ENDPOINT_URL": "http://localhost:1"}).endpoint_url is None
    with pytest.raises(WorkflowError):
        Settings.build({"aws": True, "endpoint_url": "http://localhost:1"}, {})


def test_this_machine_needs_no_gpu_and_no_patience() -> None:
    here, there = Settings.build({}, {}), Settings.build({"aws": True}, {})
    assert (here.on_this_machine, there.on_this_machine) == (True, False)
    assert here.training_instance_type == "ml.m5.xlarge"
    assert there.training_instance_type == "ml.g4dn.xlarge"
    assert here.poll_s < there.poll_s


@pytest.mark.parametrize(
    "flags",
    [
        {"threshold": 1.5},
        {"precision": 1.0},
        {"novelty_limit": float("nan")},
        {"capture_percent": 101},
        {"classes": ("a",)},
        {"classes": ("a", "a")},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(flags: dict[str, object]) -> None:
    with pytest.raises(WorkflowError):
        Settings.build(flags, {})


def test_execution_names_are_stable_legal_and_distinct() -> None:
    name = execution_name("run-1", ["test/bike s_000?.png"])
    assert name == execution_name("run-1", ["test/bike s_000?.png"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name)
    assert name != execution_name("run-1", ["other/bike s_000?.png"])
    assert name != execution_name("run-2", ["test/bike s_000?.png"])
    assert len(execution_name("r" * 90, ["k" * 90])) <= 80


def test_log_lines_become_epochs() -> None:
    epochs = Epochs()
    lines = [
        "[01/02/2026 03:04:05 INFO 1] epochs: 2",
        "[01/02/2026 03:04:05 INFO 1] Epoch[0] Batch [20]#011Speed: 1.0 samples/sec#011accuracy=0.5",
        "[01/02/2026 03:04:05 INFO 1] Epoch[0] Train-accuracy=0.537298",
        "[01/02/2026 03:04:05 INFO 1] Epoch[0] Validation-accuracy=0.479167",
        "[01/02/2026 03:04:05 INFO 1] Storing the best model with validation accuracy: 0.479167",
        "[01/02/2026 03:04:05 INFO 1] Epoch[1] Train-accuracy=0.6",
        "[01/02/2026 03:04:05 INFO 1] Epoch[1] Validation-accuracy=0.4",
    ]
    assert [epochs.read(line) for line in lines] == [False, False, False, True, False, False, True]
    assert (epochs.total, epochs.count, epochs.best) == (2, 2, 0.479167)
    assert epochs.note == "epoch 2  train 0.600  validation 0.400"


def test_moments() -> None:
    assert moment("15m", NOW) == NOW - timedelta(minutes=15)
    assert moment("2h", NOW) == NOW - timedelta(hours=2)
    assert moment("2026-01-01T12:00", NOW) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert moment("2026-01-01T12:00+02:00", NOW) == datetime(2026, 1, 1, 10, tzinfo=UTC)
    with pytest.raises(WorkflowError):
        moment("soon", NOW)


def test_image_of_the_region() -> None:
    assert image_classification("us-east-1") == (
        "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
    )
    assert ".amazonaws.com.cn/" in image_classification("cn-north-1")
    with pytest.raises(WorkflowError):
        image_classification("mars-north-1")


def test_the_definition_has_every_arn_in_its_place() -> None:
    arns = {name: f"arn:aws:lambda:us-east-1:000000000000:function:{name}" for name in FUNCTIONS}
    machine = json.loads(definition(arns, "arn:aws:sns:us-east-1:000000000000:scones-failures"))
    used = {name: json.dumps(machine).count(arn) for name, arn in arns.items()}
    assert used == dict.fromkeys(FUNCTIONS, 2)


def test_every_next_state_exists_and_every_state_is_reached() -> None:
    arns = {name: f"arn:aws:lambda:us-east-1:000000000000:function:{name}" for name in FUNCTIONS}

    def check(machine: dict[str, object]) -> None:
        states = machine["States"]
        assert isinstance(states, dict)
        reached = {machine["StartAt"]}
        for state in states.values():
            branches = [*state.get("Catch", []), *state.get("Choices", [])]
            reached |= {branch["Next"] for branch in branches} | {state.get("Next"), state.get("Default")}
            if "ItemProcessor" in state:
                check(state["ItemProcessor"])
        assert reached - {None} == set(states)

    check(json.loads(definition(arns, "arn:aws:sns:us-east-1:000000000000:scones-failures")))


def test_states_entered() -> None:
    events: list[dict[str, Any]] = [
        {"type": "x"},
        *({"stateEnteredEventDetails": {"name": name}} for name in ("A", "B", "A")),
    ]
    assert entered(iter(events)) == ["A", "B"]


def test_each_keeps_the_order_and_raises_the_failure() -> None:
    done = itertools.count()
    assert each(lambda number: number * 2, range(50), workers=8, done=lambda: next(done)) == list(
        range(0, 100, 2)
    )
    assert next(done) == 50
    with pytest.raises(ZeroDivisionError):
        each(lambda number: 1 // number, [1, 0, 2], workers=2)
