"""The door: `python /path/to/algorithm train|serve`, or `python -m algorithm train|serve`."""

import importlib
import os
import sys
from pathlib import Path


def main() -> int:
    """Run one of the two commands and return its exit status; 64 when neither was asked for."""
    command = sys.argv[1] if len(sys.argv) == 2 else ""
    if command not in ("train", "serve"):
        print("usage: algorithm train|serve", file=sys.stderr)
        return 64  # sysexits.h, EX_USAGE: 1 and 2 carry a meaning of their own here
    # Threads that spin while they wait starve each other when the cores are shared: on two busy
    # cores an epoch then took 30 times as long. OpenMP reads this once, before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # On a GPU the same seed gives the same result only with this; also read once.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if not __package__:
        # Started by path: our own folder is on the path and we are no package yet. The folder
        # above takes its place, so that no file of ours can hide a module of the same name.
        folder = Path(__file__).resolve().parent
        sys.path[0] = str(folder.parent)
        package = folder.name
    else:
        package = __package__
    status = importlib.import_module(f"{package}.{command}").main()
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
