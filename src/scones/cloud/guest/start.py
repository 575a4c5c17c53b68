"""Become another program, tied to the life of the process that started us.

`python start.py PARENT_PID PROGRAM [ARG ...]`: on Linux the kernel ends the program when the
cloud dies, even by kill -9. Elsewhere the next start of the cloud finds and ends it.
Standard library only: this file runs in somebody else's interpreter.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above took effect
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
