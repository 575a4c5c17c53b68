"""Channels in every form and mode, and checkpoints, as a job's process finds them."""

import asyncio
import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.services.sagemaker.checkpoints import Checkpoints
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.wording import S3Uri

from .harness import Harness, channel, eventually, run, started
from .test_training import statuses, unpacked

MAGIC = struct.pack("<I", 0xCED7230A)


def record(content: bytes) -> bytes:
    return MAGIC + struct.pack("<I", len(content)) + content + bytes(-len(content) % 4)


def pipe(name: str, uri: str, kind: str = "S3Prefix", names: list[str] | None = None, **more: Any) -> Any:
    """A channel in Pipe mode."""
    made = channel(name, uri, InputMode="Pipe", **more)
    made["DataSource"]["S3DataSource"]["S3DataType"] = kind
    if names:
        made["DataSource"]["S3DataSource"]["AttributeNames"] = names
    return made


async def model(cloud: Harness, name: str, **request: Any) -> dict[str, bytes]:
    """Run a job to its end and open its model."""
    await cloud.train(name, **request)
    job = await cloud.job(name)
    assert job["TrainingJobStatus"] == "Completed", job
    return unpacked(cloud.objects.stored["bucket", f"models/{name}/output/model.tar.gz"])


def reading(epochs: dict[str, int], **more: str) -> dict[str, str]:
    return {"do": "read pipes", "epochs": json.dumps(epochs)} | more


def test_a_pipe_carries_all_objects_of_a_prefix_once_an_epoch(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            large = bytes(range(256)) * 4096
            cloud.objects.stored["bucket", "data/a"] = large
            cloud.objects.stored["bucket", "data/b"] = b"and more"
            cloud.objects.stored["bucket", "data/"] = b""
            cloud.objects.stored["bucket", "other"] = b"x"
            found = await model(
                cloud,
                "job",
                HyperParameters=reading({"train": 3, "other": 1}),
                InputDataConfig=[pipe("train", "s3://bucket/data/"), pipe("other", "s3://bucket/other")],
            )
            assert found == dict.fromkeys(("train_0", "train_1", "train_2"), large + b"and more") | {
                "other_0": b"x"
            }

    run(scenario())


def test_a_job_may_leave_an_epoch_early(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "data/a"] = bytes(5_000_000)
            found = await model(
                cloud,
                "job",
                HyperParameters=reading({"train": 3}, bytes="10"),
                InputDataConfig=[pipe("train", "s3://bucket/data/")],
            )
            assert found == dict.fromkeys(("train_0", "train_1", "train_2"), bytes(10))

    run(scenario())


def test_each_object_becomes_a_record_where_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "data/a"] = b"12345"
            cloud.objects.stored["bucket", "data/b"] = b""
            zipped = gzip.compress(b"first") + gzip.compress(b"second")
            cloud.objects.stored["bucket", "zipped/a"] = zipped
            found = await model(
                cloud,
                "job",
                HyperParameters=reading({"train": 1, "zipped": 1, "plain": 1}),
                InputDataConfig=[
                    pipe("train", "s3://bucket/data/", RecordWrapperType="RecordIO"),
                    pipe(
                        "zipped", "s3://bucket/zipped/", RecordWrapperType="RecordIO", CompressionType="Gzip"
                    ),
                    pipe("plain", "s3://bucket/zipped/", CompressionType="Gzip"),
                ],
            )
            assert found == {
                "train_0": record(b"12345") + record(b""),
                "zipped_0": record(b"firstsecond"),
                "plain_0": b"firstsecond",
            }

    run(scenario())


def test_an_augmented_manifest_sends_its_attributes_in_order(tmp_path: Path) -> None:
    lines = [
        {"source-ref": "s3://bucket/p/1.png", "class": "0", "class-metadata": {"type": "x"}},
        {"author": "me", "class": [1, 0], "source-ref": "s3://other/p/2.png"},
    ]

    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "p/1.png"] = b"first"
            cloud.objects.stored["other", "p/2.png"] = b"second"
            manifest = "\n".join(map(json.dumps, lines)).encode() + b"\r\n\n"
            cloud.objects.stored["bucket", "train.manifest"] = manifest
            found = await model(
                cloud,
                "job",
                HyperParameters=reading({"train": 1}),
                InputDataConfig=[
                    pipe(
                        "train",
                        "s3://bucket/train.manifest",
                        "AugmentedManifestFile",
                        ["source-ref", "class"],
                        RecordWrapperType="RecordIO",
                    )
                ],
            )
            wanted = [b"first", b"0", b"second", b"[1, 0]"]
            assert found["train_0"] == b"".join(map(record, wanted))

    run(scenario())


def test_shuffling_gives_each_epoch_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            for letter in b"abcdefghij":
                cloud.objects.stored["bucket", f"data/{letter}"] = bytes([letter])
            channels = [pipe("train", "s3://bucket/data/", ShuffleConfig={"Seed": 7})]
            once, again = [
                await model(cloud, name, HyperParameters=reading({"train": 2}), InputDataConfig=channels)
                for name in ("once", "again")
            ]
            assert once == again
            assert once["train_0"] != once["train_1"] != b"abcdefghij"
            assert sorted(once["train_0"]) == sorted(b"abcdefghij")

    run(scenario())


def test_a_manifest_names_the_objects_of_a_channel(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            for key in ("data/a", "data/deep/b", "data/c"):
                cloud.objects.stored["bucket", key] = key.encode()
            manifest = [{"prefix": "s3://bucket/data/"}, "deep/b", "a"]
            cloud.objects.stored["bucket", "list.manifest"] = json.dumps(manifest).encode()
            files = channel("files", "s3://bucket/list.manifest")
            files["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
            await cloud.train("job", InputDataConfig=[files])
            assert (await cloud.job("job"))["TrainingJobStatus"] == "Completed"
            packed = cloud.objects.stored["bucket", "models/job/output/model.tar.gz"]
            seen = json.loads(unpacked(packed)["sub/files.json"])["files"]
            assert seen == {"files/a": "data/a", "files/deep/b": "data/deep/b"}
            found = await model(
                cloud,
                "pipe",
                HyperParameters=reading({"train": 1}),
                InputDataConfig=[pipe("train", "s3://bucket/list.manifest", "ManifestFile")],
            )
            assert found == {"train_0": b"data/deep/bdata/a"}

    run(scenario())


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("ManifestFile", b"{}", "must be a JSON list"),
        ("ManifestFile", b'[{"prefix": "here"}, "a"]', "must be a JSON list"),
        ("ManifestFile", b'[{"prefix": "s3://bucket/"}, 7]', "must be a JSON list"),
        ("ManifestFile", b'[{"prefix": "s3://bucket/data/"}, "../../a"]', "no safe file name"),
        ("ManifestFile", b'[{"prefix": "s3://bucket/data/"}, "absent"]', "s3://bucket/data/absent: The spec"),
        ("AugmentedManifestFile", b"\n[]", "line 2 of the augmented manifest s3://bucket/m is not a JSON"),
        ("AugmentedManifestFile", b"{", "line 1 of the augmented manifest s3://bucket/m is not a JSON"),
        ("AugmentedManifestFile", b'{"a-ref": "s3://bucket/m"}', 'line 1 of the augmented manifest s3://bucket/m has no attribute "b"'),
        ("AugmentedManifestFile", b'{"a-ref": 3}', 'the attribute "a-ref" in line 1'),
        ("AugmentedManifestFile", b'{"a-ref": "s3://bucket/none"}', "s3://bucket/none: The specified key"),
        ("S3Prefix", b"no gzip", "s3://bucket/m is no gzip file"),
        ("S3Prefix", gzip.compress(b"x" * 100, mtime=0)[:-9], "s3://bucket/m is no whole gzip file"),
    ],
)  # fmt: skip
def test_what_a_pipe_cannot_carry_fails_the_job_and_is_named(
    tmp_path: Path, kind: str, content: bytes, words: str
) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "m"] = content
            more = {"CompressionType": "Gzip"} if kind == "S3Prefix" else {}
            names = ["a-ref", "b"] if kind == "AugmentedManifestFile" else None
            await cloud.train(
                "job",
                HyperParameters=reading({"train": 9}),
                InputDataConfig=[pipe("train", "s3://bucket/m", kind, names, **more)],
            )
            job = await cloud.job("job")
            assert job["TrainingJobStatus"] == "Failed"
            assert job["FailureReason"].startswith("ClientError: Data download failed: ")
            assert words in job["FailureReason"]

    run(scenario())


def test_a_job_that_never_opens_its_pipe_can_be_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "data/a"] = b"a"
            await cloud.train(
                "job", HyperParameters={"do": "hang empty"}, InputDataConfig=[pipe("c", "s3://bucket/data/")]
            )
            await cloud.logged("hanging")
            await cloud.do("StopTrainingJob", TrainingJobName="job")
            assert (await cloud.job("job"))["TrainingJobStatus"] == "Stopped"
            assert not list((tmp_path / "sagemaker/training").glob("*"))

    run(scenario())


CHECKPOINTS = {"S3Uri": "s3://bucket/kept"}
QUICK = Limits(checkpoint_s=0.05)


def test_checkpoints_reach_s3_while_a_job_runs_and_the_next_job_goes_on_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=QUICK)) as cloud:
            cloud.objects.stored["bucket", "kept-too/x"] = b"somebody else's"
            hang = {"do": "count", "steps": "9", "hang at": "4"}
            await cloud.train("job", HyperParameters=hang, CheckpointConfig=CHECKPOINTS)

            async def stored() -> bool | None:
                return cloud.objects.stored.get(("bucket", "kept/deep/steps")) == b"4" or None

            await eventually(stored)
            job = await cloud.job("job", until=("Training",))
            assert job["CheckpointConfig"] == CHECKPOINTS
            await cloud.do("StopTrainingJob", TrainingJobName="job")
            assert (await cloud.job("job"))["TrainingJobStatus"] == "Stopped"
            again = {"do": "count", "steps": "9"}
            found = await model(cloud, "again", HyperParameters=again, CheckpointConfig=CHECKPOINTS)
            assert found == {"steps": b"9"}
            await cloud.logged("from step 4")
            assert cloud.objects.stored["bucket", "kept/deep/steps"] == b"9"  # the last before the end
            assert "kept/deep/new" not in cloud.objects.under("kept/")

    run(scenario())


def test_a_job_goes_on_from_its_checkpoint_after_the_cloud_was_closed(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = Harness(tmp_path / "state", limits=QUICK)
        async with started(cloud):
            hang = {"do": "count", "steps": "5", "hang at": "3"}
            await cloud.train("job", HyperParameters=hang, CheckpointConfig=CHECKPOINTS)

            async def stored() -> bool | None:
                return cloud.objects.stored.get(("bucket", "kept/deep/steps")) == b"3" or None

            await eventually(stored)
        async with started(cloud):
            job = await cloud.job("job")
            assert job["TrainingJobStatus"] == "Completed"
            assert "Restarting" in statuses(job)
            await cloud.logged("from step 3")

    run(scenario())


def test_a_job_that_dies_leaves_its_last_checkpoint(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(checkpoint_s=600))) as cloud:
            dying = {"do": "count", "steps": "5", "die at": "2"}
            await cloud.train("job", HyperParameters=dying, CheckpointConfig=CHECKPOINTS)
            assert (await cloud.job("job"))["TrainingJobStatus"] == "Failed"
            assert cloud.objects.under("kept/") == {"kept/deep/steps": b"2"}
            again = {"do": "count", "steps": "5"}
            await model(cloud, "again", HyperParameters=again, CheckpointConfig=CHECKPOINTS)
            await cloud.logged("from step 2")

    run(scenario())


def test_checkpoints_that_s3_refuses_are_told_in_the_log_and_stored_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=QUICK)) as cloud:
            cloud.objects.broken = True
            hang = {"do": "count", "steps": "2", "hang at": "1"}
            await cloud.train("job", HyperParameters=hang, CheckpointConfig=CHECKPOINTS)
            words = "Checkpoints cannot be stored for now: s3://bucket/kept/deep/steps: The specified bucket does not exist"
            await cloud.logged(words)
            cloud.objects.broken = False

            async def stored() -> bool | None:
                return cloud.objects.stored.get(("bucket", "kept/deep/steps")) == b"1" or None

            await eventually(stored)
            await cloud.do("StopTrainingJob", TrainingJobName="job")
            await cloud.job("job")
            assert sum(words in lines for lines in cloud.logs.lines.values()) == 1

    run(scenario())


def test_a_checkpoint_is_whole_even_if_it_is_replaced_while_it_is_stored(tmp_path: Path) -> None:
    """Many versions in a row, each of one letter: none that reaches S3 is a mixture."""

    async def scenario() -> None:
        cloud = Harness(tmp_path / "state")
        folder = tmp_path / "checkpoints"
        folder.mkdir()
        kept = Checkpoints(cloud.call, S3Uri("bucket", ""), folder, tmp_path / "staging")
        await kept.restore()
        for letter in b"abcdef":
            (folder / "new").write_bytes(bytes([letter]) * 700_000)
            (folder / "new").replace(folder / "it")
            storing = asyncio.ensure_future(kept.store(final=True))
            await asyncio.sleep(0)
            (folder / "new").write_bytes(b"!" * 10)
            (folder / "new").replace(folder / "it")
            await storing
            assert len(set(cloud.objects.stored["bucket", "it"])) == 1

    run(scenario())


def test_a_checkpoint_that_never_rests_is_stored_all_the_same_and_half_a_file_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = Harness(tmp_path / "state")
        folder = tmp_path / "checkpoints"
        folder.mkdir()
        kept = Checkpoints(cloud.call, S3Uri("bucket", "deep/er"), folder, tmp_path / "staging")
        await kept.restore()
        for number in range(4):
            (folder / "new").write_text(str(number))
            (folder / "new").replace(folder / "renamed")
            with (folder / "growing").open("a") as file:
                file.write("more")
            await kept.store()
            assert cloud.objects.under("deep/er/").get("deep/er/renamed") == (
                str(number).encode() if number else None
            )
        assert "deep/er/growing" not in cloud.objects.under("deep/er/")
        await kept.store()
        assert cloud.objects.under("deep/er/")["deep/er/growing"] == b"more" * 4

    run(scenario())
