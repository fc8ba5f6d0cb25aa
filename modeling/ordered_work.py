"""Work in threads whose results come in order, a few ahead of what is taken."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_order(
    function: Callable[[In], Out], items: Iterable[In], new_pool: Callable[[], ThreadPoolExecutor], ahead: int
) -> Generator[Out, None, None]:
    """Yield ``function`` of each item in order, worked out by a pool no more than ``ahead`` items before it is taken.

    The pool is made when the first result is asked for, and ends with the last one, with an error, or when the
    iterator is closed.
    """
    waiting: deque[Future[Out]] = deque()
    pool = new_pool()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
