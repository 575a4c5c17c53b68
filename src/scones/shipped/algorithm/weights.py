"""Weights as a file that anybody can read: NumPy's .npz, one array for each name of a state.

Written beside the graph, because a graph for serving has its normalisations folded away and can
no longer be trained. Read as hostile: nothing is unpickled, and nothing is unpacked that does not
have the size the network asks for.
"""

import io
import zipfile
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

WEIGHTS_FILE = "weights.npz"
_HEADER_LIMIT = 4096  # bytes of an array's own header


class WeightsError(Exception):
    """The bytes are no weights of this network; the message says why."""


def pack(network: nn.Module) -> bytes:
    """The bytes of the file; the same weights give the same bytes."""
    buffer = io.BytesIO()
    values = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    np.savez(buffer, allow_pickle=False, **values)
    return buffer.getvalue()


def load_into(network: nn.Module, content: bytes) -> None:
    """Give a network the weights of a file. Raises WeightsError, and then changes nothing."""
    fit_into(network, _unpack(content, network.state_dict()))


def fit_into(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Give a network a state of exactly its own names and shapes. Raises WeightsError."""
    wanted = network.state_dict()
    if missing := sorted(wanted.keys() - values.keys()):
        raise WeightsError(f"{missing[0]} and {len(missing) - 1} more arrays are missing")
    if extra := sorted(values.keys() - wanted.keys()):
        raise WeightsError(f"{extra[0]} and {len(extra) - 1} more arrays belong to another network")
    for name, value in values.items():
        if value.shape != wanted[name].shape:
            shape, other = tuple(value.shape), tuple(wanted[name].shape)
            raise WeightsError(f"{name} has the shape {shape} and the network needs {other}")
        if not bool(value.isfinite().all()):
            raise WeightsError(f"{name} holds numbers that are not finite")
    network.load_state_dict(dict(values))


def _unpack(content: bytes, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.infolist():
                value = wanted.get(member.filename.removesuffix(".npy"))
                if value is None:
                    raise WeightsError(f"{member.filename[:80]} belongs to another network")
                if member.file_size > value.nbytes + _HEADER_LIMIT:
                    raise WeightsError(f"{member.filename} is larger than the network needs")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: _tensor(arrays[name], wanted[name]) for name in arrays.files}
    except WeightsError:
        raise
    except Exception as error:  # hostile bytes make a reader raise almost anything
        raise WeightsError(f"it is no readable .npz file ({error})") from error


def _tensor(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], like: Tensor) -> Tensor:
    found = torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    if found.dtype != like.dtype:
        raise WeightsError(f"an array has the type {array.dtype} and the network needs {like.dtype}")
    return found
