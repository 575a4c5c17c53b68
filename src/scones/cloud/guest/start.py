"""Become another program, tied to the life of the process that started us.

`python start.py PARENT_PID [--opt FOLDER] PROGRAM [ARG ...]`: on Linux the kernel ends the program
when the cloud dies, even by kill -9. Elsewhere the next start of the cloud finds and ends it. With
--opt, on Linux only, the program finds FOLDER's entries in /opt beside those of the machine, and
begins in /opt/ml. Exit codes are Docker's: 125 where that cannot be had, 126 and 127 where the
program cannot be started or found.
Standard library only: this file runs in somebody else's interpreter.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000  # linux/sched.h
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000  # linux/mount.h


def main() -> None:
    parent, *command = sys.argv[1:]
    if command[0] == "--opt":
        _, folder, *command = command
        try:
            _own_opt(folder)
            os.chdir("/opt/ml")
        except OSError as error:
            _end(125, f"this process cannot have an /opt of its own: {error}")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it died before the line above took effect
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        _end(127, f"{command[0]}: there is no such program")
    except OSError as error:
        _end(126, f"{command[0]}: {error.strerror}")


def _end(code: int, message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(code)


def _own_opt(folder: str) -> None:
    """Lay `folder` over /opt, with the machine's entries in it, for this process and its children only."""
    if sys.platform != "linux":
        raise OSError(f"{sys.platform} has no mount namespaces")
    from pathlib import Path  # few processes need it, and all wait for what this file imports

    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: str, flags: int) -> None:
        if libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)

    _own_mounts(libc)
    mount("none", "/", _MS_REC | _MS_PRIVATE)  # before anything else: nothing of this reaches the machine
    for entry in Path("/opt").iterdir():
        place = Path(folder, entry.name)
        if entry.name == "ml":
            continue
        if entry.is_symlink():
            place.symlink_to(entry.readlink())
        else:
            place.mkdir() if entry.is_dir() else place.touch()
            mount(str(entry), str(place), _MS_BIND | _MS_REC)
    mount(folder, "/opt", _MS_BIND | _MS_REC)


def _own_mounts(libc: ctypes.CDLL) -> None:
    """A mount namespace of our own: as root outright, else as who we are in a user namespace."""
    if not libc.unshare(_CLONE_NEWNS):
        return
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    texts = {"setgroups": "deny", "uid_map": f"{user} {user} 1", "gid_map": f"{group} {group} 1"}
    for name, text in texts.items():
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, text.encode())
        os.close(file)


if __name__ == "__main__":
    main()
