"""The database and the blobs keep what was acknowledged and forget what was not."""

from pathlib import Path

import pytest

from scones.cloud.state.blobs import Blobs
from scones.cloud.state.db import Database, SchemaError


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "state.sqlite")
    database.execute("CREATE TABLE notes (text TEXT)")
    return database


def texts(database: Database) -> list[str]:
    return [row["text"] for row in database.all("SELECT text FROM notes ORDER BY rowid")]


def test_a_raise_undoes_everything_since_the_outermost_block(database: Database) -> None:
    def work() -> None:
        with database.transaction():
            database.execute("INSERT INTO notes VALUES ('outer')")
            with database.transaction():
                database.execute("INSERT INTO notes VALUES ('inner')")
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        work()
    assert texts(database) == []


def test_nested_blocks_commit_together(database: Database) -> None:
    with database.transaction(), database.transaction():
        database.execute("INSERT INTO notes VALUES ('a')")
    assert texts(database) == ["a"]


def test_effects_run_after_the_commit_and_never_after_a_raise(database: Database) -> None:
    seen: list[list[str]] = []
    with database.transaction():
        database.execute("INSERT INTO notes VALUES ('a')")
        database.after_commit(lambda: seen.append(texts(database)))
        assert seen == []

    def fail() -> None:
        with database.transaction():
            database.after_commit(lambda: seen.append(["never"]))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    with database.transaction():
        pass
    assert seen == [["a"]]


def test_an_effect_outside_a_transaction_runs_at_once(database: Database) -> None:
    seen: list[int] = []
    database.after_commit(lambda: seen.append(1))
    assert seen == [1]


def test_migrations_run_once(tmp_path: Path) -> None:
    first = Database(tmp_path / "state.sqlite")
    applied = first.all("SELECT name FROM migrations")
    first.close()
    again = Database(tmp_path / "state.sqlite")
    assert again.all("SELECT name FROM migrations") == applied
    assert applied


def test_a_newer_state_is_refused_by_name(database: Database, tmp_path: Path) -> None:
    database.execute("INSERT INTO migrations VALUES ('9999_from_the_future.sql')")
    database.close()
    with pytest.raises(SchemaError, match="9999_from_the_future"):
        Database(tmp_path / "state.sqlite")


def test_a_blob_is_there_only_once_committed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    writer = blobs.writer()
    writer.write(b"half")
    assert not blobs.path(writer.blob_id).exists()
    writer.write(b"whole")
    assert blobs.path(writer.commit()).read_bytes() == b"halfwhole"


def test_a_discarded_blob_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    writer = blobs.writer()
    writer.write(b"x")
    writer.discard()
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


def test_the_sweep_removes_only_what_no_row_names(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    kept, orphan, unfinished = blobs.put(b"kept"), blobs.put(b"orphan"), blobs.writer()
    unfinished.write(b"never committed")
    assert blobs.sweep([kept]) == 2
    unfinished.discard()
    assert blobs.path(kept).read_bytes() == b"kept"
    assert not blobs.path(orphan).exists()
