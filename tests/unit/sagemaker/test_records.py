"""The transition tables, and what the SDK and the exit codes are turned into. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.services.sagemaker.outcome import failure_reason
from scones.cloud.services.sagemaker.records import (
    ENDPOINT_MOVES,
    JOB_MOVES,
    Deployment,
    Endpoint,
    EndpointStatus,
    IllegalTransitionError,
    ModelSource,
    Phase,
    TrainingJob,
    Transition,
    VariantSpec,
)
from scones.cloud.services.sagemaker.transfer import TransferError, local_name


def job(phase: Phase) -> TrainingJob:
    return TrainingJob(
        name="j",
        arn="a",
        request={},
        phase=phase,
        created=0,
        modified=0,
        log_stream="s",
        transitions=(Transition(phase, 0),),
    )


@pytest.mark.parametrize("start", Phase)
@pytest.mark.parametrize("target", Phase)
def test_a_training_job_makes_only_legal_moves(start: Phase, target: Phase) -> None:
    if target in JOB_MOVES[start]:
        moved = job(start).advance(target, 5)
        assert moved.phase is target
        assert moved.transitions[-2].ended == 5
        assert moved.transitions[-1] == Transition(target, 5, 5 if target.final else None)
        assert moved.ended == (5 if target.final else None)
    else:
        with pytest.raises(IllegalTransitionError):
            job(start).advance(target, 5)


def test_every_phase_leads_to_an_end() -> None:
    ends = {phase for phase in Phase if phase.final}
    assert {phase.status for phase in ends} == {"Completed", "Failed", "Stopped"}
    for start in Phase:
        reached, frontier = {start}, {start}
        while frontier:
            frontier = {move for phase in frontier for move in JOB_MOVES[phase]} - reached
            reached |= frontier
        assert reached & ends


@pytest.mark.parametrize("start", EndpointStatus)
@pytest.mark.parametrize("target", EndpointStatus)
def test_an_endpoint_makes_only_legal_moves(start: EndpointStatus, target: EndpointStatus) -> None:
    endpoint = Endpoint(name="e", arn="a", status=start, created=0, modified=0)
    if target in ENDPOINT_MOVES[start]:
        assert endpoint.advance(target, 5).modified == 5
    else:
        with pytest.raises(IllegalTransitionError):
            endpoint.advance(target, 5)


def test_a_deployment_survives_its_row() -> None:
    spec = VariantSpec(
        name="v",
        model="m",
        image="i",
        environment={"A": "b"},
        source=ModelSource(url="s3://b/k", archive=True),
        instances=1,
        weight=0.5,
        startup_timeout_s=60,
    )
    deployment = Deployment(generation="g", config="c", variants=(spec,), capture=None, since=1)
    assert Deployment.load(deployment.dump()) == deployment


@given(st.integers(-70, 255).filter(bool), st.text(max_size=3000), st.text(max_size=3000))
def test_a_failure_reason_fits_its_member_and_names_the_exit_code(code: int, text: str, last: str) -> None:
    reason = failure_reason(code, text, last)
    assert len(reason) <= 1024
    assert reason.endswith(f", exit code: {code if code > 0 else 128 - code}")


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("train.lst", "train.lst", "train.lst"),
        ("a/train.lst", "a/train.lst", "train.lst"),
        ("train/", "train/a/b.png", "a/b.png"),
        ("train", "train/a.png", "a.png"),
        ("train", "train.lst", "train.lst"),
        ("data/part-", "data/part-0.csv", "part-0.csv"),
        ("", "a/b.png", "a/b.png"),
        ("train/", "train//a.png", "a.png"),
    ],
)
def test_a_key_is_stored_below_its_channel(prefix: str, key: str, name: str) -> None:
    assert local_name(prefix, key) == name


@given(st.text(alphabet="a./\\\0-", max_size=12), st.text(alphabet="a./\\\0-", max_size=12))
def test_no_key_leaves_its_channel(prefix: str, rest: str) -> None:
    try:
        name = local_name(prefix, prefix + rest)
    except TransferError:
        return
    parts = name.split("/")
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(parts)
