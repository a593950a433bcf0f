"""Work on threads, a bounded way ahead of whoever takes its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Future[Result]]:
    """What ``work`` makes of each item, in their order. Up to twice as many items as there are workers and one more are taken
    ahead."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="yolo9")
    ahead: deque[Future[Result]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            while ahead and (len(ahead) > 2 * workers or ahead[0].done()):
                yield ahead.popleft()
        while ahead:
            yield ahead.popleft()
    finally:
        # Whoever stops in the middle waits for nothing but what is being processed.
        pool.shutdown(wait=True, cancel_futures=True)
