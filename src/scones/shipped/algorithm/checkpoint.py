"""Checkpoints: where training stood after an epoch, so that it can go on there after anything.

They are written when SageMaker laid a folder for them (CheckpointConfig), whole or not at all. One
that is read is hostile until checked: nothing in it is run, and it must be of the same job.

Apart from that, `checkpoint_frequency` keeps the weights of every so many epochs for the model's
archive. Source: SageMaker Developer Guide, "Use Checkpoints in Amazon SageMaker".
"""

import io
import json
import shutil
import time
import zipfile
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from .contract import ClientError, Layout, write_atomically
from .hyperparameters import Hyperparameters
from .logs import log
from .weights import pack

FORMAT = 1
CHECKPOINT_FILE = "checkpoint.pt"
KEPT_FILES = "image-classification-{:04d}.npz"  # by epoch, counted from 1 as the built-in does
SHARE = 0.05  # of a job's time may go into writing checkpoints

# What a job may change and still go on from a checkpoint.
FREE_NAMES = frozenset(
    {
        "epochs",
        "num_training_samples",
        "top_k",
        "kv_store",
        "checkpoint_frequency",
        "early_stopping",
        "early_stopping_min_epochs",
        "early_stopping_patience",
        "early_stopping_tolerance",
        "given",
    }
)


class CheckpointError(Exception):
    """A checkpoint cannot be used; the message says why."""


class Saver:
    """The checkpoints of one job."""

    def __init__(
        self, layout: Layout, settings: Hyperparameters, *, share: float = SHARE, **about: object
    ) -> None:
        """share: of the time that writing may take; infinity to save every state that is offered.

        about: whatever else must be the same for a job to go on, by name; JSON values.
        """
        self._layout = layout
        self._frequency = settings.checkpoint_frequency
        values = {name: value for name, value in asdict(settings).items() if name not in FREE_NAMES}
        values |= {"manner": "recipe" if settings.follows_recipe else "documented"} | about
        self._job = {name: json.dumps(value) for name, value in values.items()}
        self._wanted = layout.checkpoints.is_dir()
        self._path = layout.checkpoints / CHECKPOINT_FILE
        self._share = share
        self._due = 0.0  # from time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None at the very beginning.

        Raises ClientError when there is one that cannot be used.
        """
        if not self._wanted:
            return None
        for left in self._layout.checkpoints.glob(f".{CHECKPOINT_FILE}.*"):
            left.unlink()  # half a file of a process that was killed
        if not self._path.exists():
            return None
        try:
            return self._read()
        except CheckpointError as error:
            raise self.unusable(error) from error

    def unusable(self, error: CheckpointError) -> ClientError:
        """The same for the user, with what to do."""
        return ClientError(
            f"The checkpoint {self._path} cannot be used: {error}. Give the job another CheckpointConfig, or"
            " delete what is under its S3Uri to begin anew."
        )

    def save(self, state: dict[str, Any], *, last: bool) -> None:
        """Save a state, unless the last time was so slow and recent that training would suffer."""
        began = time.monotonic()
        if not self._wanted or (began < self._due and not last):
            return
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, "job": self._job} | state, buffer)
        write_atomically(self._path, buffer.getvalue())
        took = time.monotonic() - began
        self._due = time.monotonic() + took / self._share

    def keep(self, epoch: int, network: nn.Module) -> None:
        """Keep the weights after an epoch, counted from 0, when `checkpoint_frequency` says so."""
        if self._frequency is None or (epoch + 1) % self._frequency:
            return
        # The model's folder does not outlive an attempt; that of the checkpoints does.
        folder = self._layout.checkpoints if self._wanted else self._layout.model
        path = folder / KEPT_FILES.format(epoch + 1)
        write_atomically(path, pack(network))
        log.info('Saved checkpoint to "%s"', path)

    def collect(self, epochs: int) -> None:
        """Put all that was kept into the model's folder. epochs: how many were finished."""
        if not self._wanted or self._frequency is None:
            return
        self._layout.model.mkdir(parents=True, exist_ok=True)
        for epoch in range(self._frequency, epochs + 1, self._frequency):
            path = self._layout.checkpoints / KEPT_FILES.format(epoch)
            if path.is_file() and not path.is_symlink():
                shutil.copyfile(path, self._layout.model / path.name)

    def _read(self) -> dict[str, Any]:
        try:
            size = self._path.stat().st_size
            with zipfile.ZipFile(self._path) as archive:
                claimed = sum(member.file_size for member in archive.infolist())
            if claimed > size:
                raise CheckpointError(f"it claims {claimed} bytes and has {size}")
            found: Any = torch.load(self._path, map_location="cpu", weights_only=True)
        except CheckpointError:
            raise
        except Exception as error:  # hostile bytes make a reader raise almost anything
            reason = str(error).partition("\n")[0][:200]
            raise CheckpointError(f"it is damaged ({reason})") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise CheckpointError(f"it is none of format {FORMAT}")
        job = found.get("job")
        if not isinstance(job, dict):
            raise CheckpointError("it does not say of which job it is")
        for name, value in self._job.items():
            if job.get(name) != value:
                raise CheckpointError(
                    f"it is of a job with another {name}: {str(job.get(name))[:80]} there, {value[:80]} here"
                )
        return found
