"""Good data is read exactly; every kind of bad data is named with its file and line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from scones.shipped.algorithm.channels import read_channels
from scones.shipped.algorithm.contract import ClientError, Layout, read_object
from scones.shipped.algorithm.data import Split, numbered, read_class_names, read_split
from scones.shipped.algorithm.hyperparameters import parse
from scones.shipped.algorithm.lists import Row, parse_list

if TYPE_CHECKING:
    from tests.unit.algorithm.conftest import Folder


def read(folder: Folder, split: str = "train", **hyperparameters: str) -> Split:
    layout = Layout(folder.base)
    values = read_object(layout.hyperparameters) | hyperparameters
    channels = read_channels(read_object(layout.input_data_config), layout)
    return read_split(split, layout, channels, parse(values), lambda: False)


def test_pictures_come_in_the_order_of_the_list(folder: Folder) -> None:
    folder.write_list("train", "5\t1\ttrain_1.png\n2\t0\ttrain_4.png\r\n\n9\t1.000000\ttrain_3.png\n")
    split = read(folder, mini_batch_size="3")
    assert split.labels.tolist() == [1, 0, 1]
    assert np.array_equal(split.pictures[1].transpose(1, 2, 0), np.asarray(folder.draw(0, 4)))


def test_other_files_in_a_channel_are_ignored(folder: Folder) -> None:
    (folder.channel("train") / "train.lst").write_text("not a list")
    (folder.channel("train") / "notes.txt").write_text("hello")
    assert len(read(folder).pictures) == 8


def test_digest_follows_list_and_pictures(folder: Folder) -> None:
    before = read(folder).sha256
    assert read(folder).sha256 == before
    folder.draw(1, 77).save(folder.channel("train") / "train_0.png")
    assert read(folder).sha256 != before


def test_larger_pictures_keep_their_pixels_and_resize_scales_the_short_side(folder: Folder) -> None:
    folder.draw(0, 1, 64).resize((90, 60)).save(folder.channel("train") / "train_0.png")
    assert read(folder).pictures[0].shape == (3, 60, 90)
    assert read(folder, resize="40").pictures[0].shape == (3, 40, 60)


def test_only_what_training_can_look_at_is_kept(folder: Folder) -> None:
    large = folder.draw(0, 1, 64).resize((90, 60))
    for split in ("train", "validation"):
        large.save(folder.channel(split) / f"{split}_0.png")
    centre = np.asarray(large)[14:46, 29:61].transpose(2, 0, 1)
    assert np.array_equal(read(folder, "validation").pictures[0], centre)
    assert np.array_equal(read(folder, learning_rate="0.1").pictures[0], centre)
    assert read(folder, augmentation_type="crop").pictures[0].shape == (3, 60, 90)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_converted(folder: Folder, mode: str, channels: int) -> None:
    path = folder.channel("train") / "train_0.png"
    image = folder.draw(0, 1)
    if mode == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256).save(path)
    else:
        image.convert(mode).save(path, "JPEG" if mode == "CMYK" else "PNG")
    picture = read(folder, image_shape=f"{channels},32,32").pictures[0]
    assert picture.shape == (channels, 32, 32)
    grey = np.asarray(image.convert("L")).astype(int)
    assert mode == "1" or abs(picture.mean(axis=0) - grey).mean() < 25


def test_wrong_count_of_samples_is_only_warned_about(folder: Folder) -> None:
    assert len(read(folder, num_training_samples="1000").pictures) == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Empty .lst file train.lst in train channel."),
        ("\n \n", "Empty .lst file"),
        ("0 0 train_0.png\n", "train.lst, line 1 is not index TAB label TAB path"),
        ("0\t0\ttrain_0.png\n1\tx\ttrain_1.png\n", "train.lst, line 2 is not"),
        ("0\t0.5\ttrain_0.png\n", "line 1 is not"),
        ("0\tnan\ttrain_0.png\n", "line 1 is not"),
        ("0\t0\t \n", "line 1 is not"),
        ("0\t0\ta\0b\n", "line 1 is not"),
        ("0\t0\t1\ttrain_0.png\n", "line 1: more than one label"),
        ("0\t2\ttrain_0.png\n", "line 1: the label 2 is not in 0..1"),
        ("0\t-1\ttrain_0.png\n", "line 1: the label -1 is not in 0..1"),
        ("7\t0\ttrain_0.png\n7\t1\ttrain_1.png\n", "line 2: the index 7 is not unique"),
        (b"0\t0\t\xff.png\n", "train.lst is not UTF-8 text"),
    ],
)
def test_bad_list_is_named(folder: Folder, content: str | bytes, words: str) -> None:
    folder.write_list("train", content)
    with pytest.raises(ClientError) as caught:
        read(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../validation/validation_0.png", "leaves the train channel"),
        ("/etc/hostname", "leaves the train channel"),
        ("link.png", "leaves the train channel"),
        ("absent.png", "absent.png (train.lst, line 2) is missing from the train channel"),
        ("folder", "is no file in the train channel"),
        ("text.png", "text.png (train.lst, line 2) cannot be used: not a readable"),
        ("cut.png", "cut.png (train.lst, line 2) cannot be used: not a readable"),
        ("other.gif", "other.gif (train.lst, line 2) cannot be used: not a readable"),
        ("bomb.png", "pixels are more than the 50000000 allowed"),
        ("small.png", "has 20x40 pixels, smaller than image_shape (32x32)"),
    ],
)
def test_bad_picture_is_named(folder: Folder, path: str, words: str) -> None:
    train = folder.channel("train")
    (train / "folder").mkdir()
    (train / "link.png").symlink_to(folder.channel("validation") / "validation_0.png")
    (train / "text.png").write_text("not a picture")
    (train / "cut.png").write_bytes((train / "train_0.png").read_bytes()[:200])
    folder.draw(0, 0).save(train / "other.gif")
    Image.new("1", (10_000, 5_001)).save(train / "bomb.png")
    folder.draw(0, 0).resize((20, 40)).save(train / "small.png")
    folder.write_list("train", f"0\t0\ttrain_0.png\n1\t1\t{path}\n")
    with pytest.raises(ClientError) as caught:
        read(folder, mini_batch_size="2")
    assert words in str(caught.value)


def test_labels_must_agree_with_num_classes(folder: Folder) -> None:
    with pytest.raises(ClientError) as caught:
        read(folder, num_classes="3")
    assert "Mismatch between number of labels in train.lst (2) and the num_classes parameter (3)" in str(
        caught.value
    )


def test_too_few_pictures_for_a_batch(folder: Folder) -> None:
    with pytest.raises(ClientError) as caught:
        read(folder, mini_batch_size="9")
    words = "The number of input images must be bigger or equal to the mini_batch_size."
    assert str(caught.value).startswith(words)


def test_list_must_be_there_and_be_one(folder: Folder) -> None:
    path = folder.channel("train_lst") / "train.lst"
    path.rename(path.with_name("a.lst"))
    assert len(read(folder).pictures) == 8
    (folder.channel("train_lst") / "b.lst").write_text("")
    with pytest.raises(ClientError, match=r"Several \.lst files in the train_lst channel: a\.lst, b\.lst"):
        read(folder)
    for other in folder.channel("train_lst").iterdir():
        other.unlink()
    with pytest.raises(ClientError, match=r"No \.lst file in the train_lst channel"):
        read(folder)


@pytest.mark.parametrize("name", ["train", "validation", "train_lst", "validation_lst"])
def test_missing_channel_is_named(folder: Folder, name: str) -> None:
    layout = Layout(folder.base)
    config = read_object(layout.input_data_config)
    del config[name]
    with pytest.raises(ClientError, match=f"The channel {name} is missing"):
        read_channels(config, layout)


@pytest.mark.parametrize(
    ("name", "channel", "words"),
    [
        ("train", {"ContentType": "text/csv"}, "content type text/csv. Supported: application/x-image"),
        ("train", {"TrainingInputMode": "Pipe"}, "sends application/x-image through a pipe"),
        ("train", {"TrainingInputMode": "Tube"}, "unknown TrainingInputMode 'Tube'"),
        ("train_lst", {"TrainingInputMode": "Pipe"}, "train_lst must use TrainingInputMode File"),
        ("train", {"ContentType": "application/x-image; label-format=hot"}, "has label-format 'hot'"),
        ("train", {"ContentType": "image/png; label-format=class-id"}, "different label-format"),
        ("model", {"ContentType": "image/png"}, "it must be application/x-sagemaker-model"),
        ("model", {"TrainingInputMode": "Pipe"}, "model must use TrainingInputMode File"),
    ],
)
def test_unsupported_channel_is_named(folder: Folder, name: str, channel: dict[str, str], words: str) -> None:
    layout = Layout(folder.base)
    with pytest.raises(ClientError) as caught:
        read_channels(read_object(layout.input_data_config) | {name: channel}, layout)
    assert words in str(caught.value)


def test_class_names_come_from_the_channel_or_are_numbers(folder: Folder) -> None:
    layout = Layout(folder.base)
    assert read_class_names(layout, 2) is None
    assert numbered(2) == ["0", "1"]
    path = folder.channel("train") / "classes.json"
    path.write_text('["bicycle", "motorcycle"]')
    assert read_class_names(layout, 2) == ["bicycle", "motorcycle"]


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[1, 2]", '["a"]', '["a", "a"]'])
def test_bad_class_names_are_refused(folder: Folder, content: str) -> None:
    (folder.channel("train") / "classes.json").write_text(content)
    with pytest.raises(ClientError, match=r"classes\.json in the train channel"):
        read_class_names(Layout(folder.base), 2)


def test_byte_order_mark_is_ignored() -> None:
    assert parse_list(b"\xef\xbb\xbf0\t1\ta.png", "train", "a.lst") == [Row(1, (1,), "a.png")]


@pytest.mark.parametrize("content", ["[]", "{", "\x00"])
def test_configuration_must_be_an_object(tmp_path: Path, content: str) -> None:
    path = tmp_path / "hyperparameters.json"
    path.write_text(content)
    with pytest.raises(ClientError, match=r"hyperparameters\.json"):
        read_object(path)


def test_jpeg_is_read(folder: Folder) -> None:
    buffer = io.BytesIO()
    folder.draw(0, 0).save(buffer, "JPEG", quality=95)
    (folder.channel("train") / "train_0.png").write_bytes(buffer.getvalue())
    assert read(folder).pictures[0].shape == (3, 32, 32)
