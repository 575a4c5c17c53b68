"""Rows, pixels, PNG and .lst."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scones.workflow import drawn, folder
from scones.workflow.errors import WorkflowError
from scones.workflow.frames import Frame, lst, png, row, unique
from scones.workflow.objects import plan


def test_a_row_becomes_exactly_its_pixels() -> None:
    values = np.random.default_rng(5).integers(0, 256, 3072).astype(np.uint8)
    with Image.open(io.BytesIO(png(values))) as picture:
        assert (picture.size, picture.mode, picture.format) == ((32, 32), "RGB", "PNG")
        for x, y in ((0, 0), (31, 0), (0, 31), (7, 19)):
            at = y * 32 + x
            assert picture.getpixel((x, y)) == (values[at], values[1024 + at], values[2048 + at])
        assert np.array_equal(row(picture), values)


def test_png_bytes_are_the_same_every_time() -> None:
    values = np.arange(3072).astype(np.uint8)
    assert png(values) == png(values.copy())


def test_lst_lines_hold_index_label_and_name_between_tabs() -> None:
    assert lst([0, 1], ["a.png", "b.png"]) == "0\t0\ta.png\n1\t1\tb.png\n"


def test_unique_names_keep_their_endings() -> None:
    assert unique(["a.png", "a.png", "a-2.png", "b", "b"]) == ("a.png", "a-2.png", "a-2-2.png", "b", "b-2")


def test_a_frame_of_disagreeing_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        Frame(("a.png",), np.zeros(2, np.int64), np.zeros((1, 3072), np.uint8))


def test_drawn_pictures_are_the_same_every_time_and_all_different() -> None:
    first, second = drawn.draw({"train": 4, "test": 2}), drawn.draw({"train": 4, "test": 2})
    assert first.drawn
    assert np.array_equal(first.train.rows, second.train.rows)
    assert len({values.tobytes() for values in np.vstack([first.train.rows, first.test.rows])}) == 12
    assert sorted(first.train.labels.tolist()) == [0] * 4 + [1] * 4


def test_the_plan_has_every_picture_both_lists_and_the_names() -> None:
    uploads = {upload.key: upload for upload in plan(drawn.draw({"train": 2, "test": 1}))}
    assert len(uploads) == 4 + 2 + 3
    assert uploads["test.lst"].content() == (
        b"0\t0\tdrawn_bicycle_test_0000.png\n1\t1\tdrawn_motorcycle_test_0000.png\n"
    )
    assert uploads["train/classes.json"].content() == b'["bicycle", "motorcycle"]'
    contents = {uploads[key].content() for key in uploads if key.endswith(".png")}
    assert len(contents) == 6, "test pictures come from the test split"


def _pictures(place: Path, count: int) -> None:
    place.mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (40, 20), (index, 0, 0)).save(place / f"p{index}.png")


def test_a_folder_of_classes_is_divided_always_the_same_way(tmp_path: Path) -> None:
    _pictures(tmp_path / "cat", 12)
    _pictures(tmp_path / "dog", 6)
    dataset = folder.read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (15, 3)
    assert not set(dataset.train.filenames) & set(dataset.test.filenames[:2])
    assert folder.read(tmp_path).test.filenames == dataset.test.filenames


def test_train_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            _pictures(tmp_path / part / name, count)
    dataset = folder.read(tmp_path, ("dog", "cat"))
    assert dataset.classes == ("dog", "cat")
    assert (len(dataset.train), len(dataset.test)) == (6, 4)
    assert dataset.train.filenames[:4] == ("p0.png", "p1.png", "p2.png", "p0-2.png")


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    _pictures(tmp_path / "cat", 2)
    _pictures(tmp_path / "dog", 2)
    (tmp_path / "dog" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(WorkflowError, match=r"broken\.png is not a readable picture"):
        folder.read(tmp_path)


@pytest.mark.parametrize("classes", [("cat", "cow"), ()])
def test_a_folder_without_the_classes_is_refused(classes: tuple[str, ...], tmp_path: Path) -> None:
    _pictures(tmp_path / "cat", 2)
    with pytest.raises(WorkflowError):
        folder.read(tmp_path, classes)
