"""RecordIO as MXNet writes it is read exactly; everything else is refused by name."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scones.shipped.algorithm.channels import read_channels
from scones.shipped.algorithm.contract import ClientError, Layout, read_object
from scones.shipped.algorithm.data import Split, read_split
from scones.shipped.algorithm.hyperparameters import parse
from scones.shipped.algorithm.labels import LabelError, Labels
from scones.shipped.algorithm.pictures import decode, to_pixels
from scones.shipped.algorithm.recordio import MAGIC, RecordError, records, unpack
from scones.shipped.algorithm.streams import read_label

if TYPE_CHECKING:
    from tests.unit.algorithm.conftest import Folder

RECORD_TYPE = "application/x-recordio"


def part(content: bytes, flag: int = 0) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | len(content)) + content + bytes(-len(content) % 4)


def headed(labels: list[float], content: bytes) -> bytes:
    """What im2rec packs: one label in the header, several after it."""
    if len(labels) == 1:
        return struct.pack("<IfQQ", 0, labels[0], 7, 0) + content
    return struct.pack("<IfQQ", len(labels), 0.0, 7, 0) + struct.pack(f"<{len(labels)}f", *labels) + content


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def to_records(folder: Folder, **contents: bytes) -> None:
    """Make both channels hold one .rec file, drawn where no content is given."""
    for split in ("train", "validation"):
        drawn = [part(headed([n % 2], png(folder.draw(n % 2, n)))) for n in range(8)]
        (folder.channel(split) / f"{split}.rec").write_bytes(contents.get(split, b"".join(drawn)))
    folder.configure(
        "inputdataconfig", {name: {"ContentType": RECORD_TYPE} for name in ("train", "validation")}
    )


def read(folder: Folder, split: str = "train", **hyperparameters: str) -> Split:
    layout = Layout(folder.base)
    values = read_object(layout.hyperparameters) | hyperparameters
    channels = read_channels(read_object(layout.input_data_config), layout)
    return read_split(split, layout, channels, parse(values), lambda: False)


@pytest.mark.parametrize("content", [b"", b"x", b"abcd", b"abcde", MAGIC * 3, bytes(1000)])
def test_records_come_back_as_they_were_written(content: bytes) -> None:
    stream = io.BytesIO(part(b"before") + part(content) + part(b"after"))
    assert list(records(stream)) == [b"before", content, b"after"]


@given(st.lists(st.binary(max_size=60)), st.binary(max_size=40))
def test_any_bytes_are_records_or_refused(contents: list[bytes], rest: bytes) -> None:
    found = []
    with contextlib.suppress(RecordError):
        for record in records(io.BytesIO(b"".join(map(part, contents)) + rest)):
            found.append(record)
            with contextlib.suppress(RecordError):
                unpack(record)
    assert found[: len(contents)] == contents


def test_a_record_that_holds_the_magic_word_is_put_together_again() -> None:
    stream = io.BytesIO(part(b"abcd", 1) + part(b"efgh", 2) + part(b"i", 3) + part(b"next"))
    assert list(records(stream)) == [b"abcd" + MAGIC + b"efgh" + MAGIC + b"i", b"next"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no record at all", "the magic word 0xced7230a of RecordIO is missing"),
        (MAGIC, "the magic word"),
        (part(b"abc")[:-1], "it claims 3 bytes and the stream ends after 3"),
        (MAGIC + struct.pack("<I", 2**29 - 1), "more than the 67108864 allowed"),
        (part(b"a", 5), "its flag is 5"),
        (part(b"a", 2), "it begins in the middle"),
        (part(b"a", 1), "it ends in the middle"),
        (part(b"a", 1) + part(b"b"), "it ends in the middle"),
    ],
)
def test_broken_framing_is_named(content: bytes, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        list(records(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"short", "too few for the header"),
        (struct.pack("<IfQQ", 4_000_000_000, 0.0, 0, 0) + b"abcd", "claims 4000000000 labels"),
        (headed([float("nan")], b""), "not a finite number"),
    ],
)
def test_a_header_is_not_believed(record: bytes, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        unpack(record)


def test_a_rec_file_gives_the_same_pictures_as_a_list(folder: Folder) -> None:
    listed = read(folder)
    to_records(folder)
    split = read(folder)
    assert split.labels.tolist() == listed.labels.tolist()
    assert all(np.array_equal(a, b) for a, b in zip(split.pictures, listed.pictures, strict=True))


@pytest.mark.parametrize(
    ("labels", "hyperparameters", "content_type", "wanted"),
    [
        ([1.0, 0.0, 1.0], {"multi_label": "1", "num_classes": "3"}, RECORD_TYPE, [1, 0, 1]),
        (
            [2.0, 0.0],
            {"multi_label": "1", "num_classes": "3"},
            f"{RECORD_TYPE}; label-format=class-id",
            [1, 0, 1],
        ),
    ],
)
def test_many_labels_of_one_picture(
    folder: Folder,
    labels: list[float],
    hyperparameters: dict[str, str],
    content_type: str,
    wanted: list[int],
) -> None:
    to_records(folder, train=part(headed(labels, png(folder.draw(0, 0)))) * 4)
    config = {name: {"ContentType": content_type} for name in ("train", "validation")}
    folder.configure("inputdataconfig", config)
    assert read(folder, **hyperparameters).labels.tolist() == [wanted] * 4


def test_many_labels_stand_in_a_list_too(folder: Folder) -> None:
    folder.write_list("train", "".join(f"{n}\t1\t0\t1\ttrain_{n}.png\n" for n in range(4)))
    assert read(folder, multi_label="1", num_classes="3").labels.tolist() == [[1, 0, 1]] * 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Unable to start training. Empty .rec file in train channel."),
        (b"junk", "Invalid records in the train channel. Picture 0 (train.rec): the magic word"),
        (part(headed([2], b"")), "Picture 0 (train.rec): the label 2 is not in 0..1"),
        (part(headed([0.5], b"")), "Picture 0 (train.rec): the label 0.5 is not a whole number"),
        (part(headed([0, 1], b"")), "Picture 0 (train.rec): more than one label"),
        (part(headed([0], b"no picture")), "The picture 0 (train.rec) cannot be used: not a readable"),
        (part(headed([0], png(Image.new("RGB", (9, 40))))), "has 9x40 pixels, smaller than image_shape"),
    ],
)
def test_a_bad_record_is_named(folder: Folder, content: bytes, words: str) -> None:
    to_records(folder, train=content)
    with pytest.raises(ClientError) as caught:
        read(folder)
    assert words in str(caught.value)


def test_labels_of_records_must_agree_with_num_classes(folder: Folder) -> None:
    to_records(folder)
    with pytest.raises(ClientError, match=r"labels in train\.rec \(2\) and the num_classes parameter \(3\)"):
        read(folder, num_classes="3")
    with pytest.raises(ClientError, match="bigger or equal to the mini_batch_size"):
        read(folder, mini_batch_size="9")


def test_a_channel_holds_one_rec_file(folder: Folder) -> None:
    to_records(folder)
    (folder.channel("train") / "deeper").mkdir()
    (folder.channel("train") / "deeper/b.rec").write_bytes(b"")
    with pytest.raises(ClientError, match=r"Several \.rec files in the train channel: b\.rec, train\.rec"):
        read(folder)
    for path in folder.channel("train").rglob("*.rec"):
        path.unlink()
    with pytest.raises(ClientError, match=r"No \.rec file in the train channel"):
        read(folder)


def through_pipe(folder: Folder, content: bytes, wrapper: str, **hyperparameters: str) -> Split:
    config = {"ContentType": RECORD_TYPE, "TrainingInputMode": "Pipe", "RecordWrapperType": wrapper}
    folder.configure("inputdataconfig", {"train": config, "validation": config})
    path = folder.channel("train_0")
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[content])
    writer.start()
    try:
        return read(folder, **hyperparameters)
    finally:
        writer.join()


def test_records_come_through_a_pipe(folder: Folder) -> None:
    content = b"".join(part(headed([n % 2], png(folder.draw(n % 2, n)))) for n in range(200))
    split = through_pipe(folder, content, "None")
    assert split.labels.tolist() == [0, 1] * 100
    assert np.array_equal(split.pictures[199].transpose(1, 2, 0), np.asarray(folder.draw(1, 199)))


def test_pictures_and_labels_come_by_turns(folder: Folder) -> None:
    content = b"".join(
        part(png(folder.draw(n % 2, n))) + part(label.encode())
        for n, label in enumerate(["0", "1", '"0"', "[1]"])
    )
    assert through_pipe(folder, content, "RecordIO").labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Empty pipe train_0 in train channel"),
        (part(b"picture"), "Picture 0 (train_0): its label is missing"),
        (part(b"0") + part(b"\x89PNG"), "AttributeNames must name picture, then label"),
        (part(b"p") + part(b"[" * 100_000), "is no label"),
        (part(b"p") + part(b"1" * 400), "is no label"),
        (part(b"p") + part(b"NaN"), "is not a whole number"),
        (part(b"p") + part(b"true"), "is no label"),
        (part(b"p") + part(b"[]"), "no label"),
    ],
)
def test_what_is_no_pair_is_named(folder: Folder, content: bytes, words: str) -> None:
    with pytest.raises(ClientError) as caught:
        through_pipe(folder, content, "RecordIO")
    assert words in str(caught.value)


def test_a_pipe_that_nobody_writes_to_does_not_outlive_a_stop(folder: Folder) -> None:
    config = {"ContentType": RECORD_TYPE, "TrainingInputMode": "Pipe"}
    folder.configure("inputdataconfig", {"train": config, "validation": config})
    layout = Layout(folder.base)
    channels = read_channels(read_object(layout.input_data_config), layout)
    settings = parse(read_object(layout.hyperparameters))
    with pytest.raises(ClientError, match=r"The pipe .*train_0 of the train channel is missing"):
        read_split("train", layout, channels, settings, lambda: False)
    os.mkfifo(folder.channel("train_0"))
    asked = iter([False, False, True])
    split = read_split("train", layout, channels, settings, lambda: next(asked, True))
    assert split.pictures == []


def test_labels_as_a_manifest_has_them() -> None:
    assert [read_label(text) for text in (b"1", b'"1"', b"[0, 2]", b'["0", "2"]', b'"[0, 2]"')] == [
        (1.0,), (1.0,), (0.0, 2.0), (0.0, 2.0), (0.0, 2.0),
    ]  # fmt: skip


def test_multi_label_counts_what_it_gets() -> None:
    hot = Labels(3, multi_label=True)
    with pytest.raises(LabelError, match=r"multi-label data \(2\) and the num_classes parameter \(3\)"):
        hot.read([0, 1])
    with pytest.raises(LabelError, match="nothing but 0 and 1"):
        hot.read([0, 2, 0])
    ids = Labels(3, multi_label=True, form="class-id")
    assert ids.read([]).tolist() == [0, 0, 0]
    with pytest.raises(LabelError, match=r"the label 3 is not in 0\.\.2"):
        ids.read([3])


def test_a_file_that_mxnet_wrote_is_read() -> None:
    """Made with MXNet 1.9.1, mxnet.recordio.MXRecordIO and pack_img, on 2026-11-25."""
    with (Path(__file__).parent / "fixtures/mxnet-1.9.1.rec").open("rb") as stream:
        found = [unpack(record) for record in records(stream)]
    assert [labels for labels, _ in found] == [(1.0,), (0.0,), (1.0, 0.0, 1.0), (3.0,)]
    down, across = np.mgrid[:8, :8]
    for number, (_, content) in zip((1, 0, 2), found, strict=False):
        wanted = np.stack([16 * down + number, 16 * across, 8 * (across + down)])
        assert np.array_equal(to_pixels(decode(content, 3)), wanted)
    assert found[3][1] == b"abcd" + MAGIC * 3 + b"tail!"
