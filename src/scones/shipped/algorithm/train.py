"""The `train` command: from the input folders to the model folder, or to a failure file.

Mistakes of the request are found before PyTorch is imported, so that they come at once.
"""

import signal
import time
from types import FrameType

from .channels import MODEL, read_channels
from .contract import (
    ClientError,
    Layout,
    read_hosts,
    read_object,
    read_seed,
    report_failure,
)
from .data import numbered, read_class_names, read_split
from .earlier import check_fit, read_earlier
from .hyperparameters import Hyperparameters, defaults, parse
from .logs import log, start

CLIENT_STATUS = 2  # the request or its data is wrong
ALGORITHM_STATUS = 1  # we are


class _Stop:
    """Set by SIGTERM, by which SageMaker announces the end; asked after every step."""

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def main() -> int:
    """Train once and return the exit status: 0 done or stopped, 2 user's mistake, 1 ours."""
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    start()
    print("Docker entrypoint called with argument(s): train", flush=True)
    layout = Layout.from_environment()
    try:
        _train(layout, stop)
    except ClientError as error:
        log.error("Customer Error: %s", error)
        report_failure(layout, "ClientError", str(error))
        return CLIENT_STATUS
    except Exception as error:
        log.exception("Algorithm Error: %s", error)
        report_failure(layout, "AlgorithmError", f"{type(error).__name__}: {error}")
        return ALGORITHM_STATUS
    return 0


def _train(layout: Layout, stop: _Stop) -> None:
    began = time.perf_counter()
    request = read_object(layout.hyperparameters)
    settings = parse(request)
    _log_configuration(layout, request, settings)
    seed = read_seed()
    _check_hosts(layout)
    channels = read_channels(read_object(layout.input_data_config), layout)
    classes = read_class_names(layout, settings.num_classes)
    earlier = read_earlier(layout.channel(MODEL)) if channels.has_model else None
    if earlier:
        check_fit(earlier, settings, classes)
    train = read_split("train", layout, channels, settings, stop)
    validation = read_split("validation", layout, channels, settings, stop)
    if stop():
        log.info("Stopped before the first step: there is no model to store.")
        return
    names = classes or (earlier.classes if earlier else numbered(settings.num_classes))
    try:
        from .job import Job, versions

        found = versions()
    except ModuleNotFoundError as error:
        raise RuntimeError(f"training needs the package {error.name}, not installed here") from None
    Job(layout, request, settings, seed, names, found, began, earlier).run(train, validation, stop)


def _check_hosts(layout: Layout) -> None:
    hosts = read_hosts(layout)
    if len(hosts) > 1:
        raise ClientError(
            f"The job has {len(hosts)} instances, and training on several is not supported yet."
            " Set InstanceCount to 1."
        )


def _log_configuration(layout: Layout, request: dict[str, object], settings: Hyperparameters) -> None:
    base = defaults(settings.follows_recipe)
    source = "recipe.py" if settings.follows_recipe else "hyperparameters.py"
    log.info("Reading default configuration from %s: %s", source, base)
    log.info("Merging with provided configuration from %s: %s", layout.hyperparameters, request)
    log.info("Final configuration: %s", base | request)
    if settings.use_weighted_loss and not settings.multi_label:
        log.info("use_weighted_loss has an effect with multi_label=1 only.")
    if settings.top_k is not None and settings.multi_label:
        log.info("top_k has an effect with multi_label=0 only.")
    if settings.kv_store is not None:
        log.info("kv_store has an effect on several instances only.")
