"""Task tokens: what an outside worker names a waiting task by.

A token tells its execution and task, sealed with the execution's seed. It needs no record of its own,
so whatever survives of the execution makes its tokens survive.
"""

import base64
import binascii
import hashlib
import hmac

__all__ = ["matches_token", "read_token", "task_token"]


def task_token(arn: str, seed: str, task: int) -> str:
    seal = hashlib.sha256(f"{seed}:token:{task}".encode()).hexdigest()
    return base64.b64encode(f"{arn} {task} {seal}".encode()).decode()


def read_token(token: str) -> tuple[str, int] | None:
    """(execution's ARN, task); None for what never was a token. The seal is not checked here."""
    try:
        arn, task, _ = base64.b64decode(token, validate=True).decode().split(" ")
        return arn, int(task)
    except (binascii.Error, ValueError):
        return None


def matches_token(token: str, arn: str, seed: str, task: int) -> bool:
    return hmac.compare_digest(token.encode(), task_token(arn, seed, task).encode())
