"""Many small requests at once; the first failure, or Ctrl-C, drops what has not begun."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["each"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    done: Callable[[], object] = lambda: None,
) -> list[Result]:
    """`function` of every item, in the items' order; `done` is called once per finished item."""
    executor = ThreadPoolExecutor(workers, thread_name_prefix="scones")
    try:
        futures: list[Future[Result]] = []
        for item in items:
            future = executor.submit(function, item)
            future.add_done_callback(lambda future: done() if not future.cancelled() else None)
            futures.append(future)
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done() and (error := future.exception()):
                raise error
        return [future.result() for future in futures]
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
