"""Several things done side by side in threads of this process, which wait for jobs and servers elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

Asked = TypeVar("Asked")
Done = TypeVar("Done")


def side_by_side(do: Callable[[Asked], Done], each: Sequence[Asked], at_once: int) -> list[Done]:
    """Do something with each, so many at once; what is first in order begins first.

    Parameters
    ----------
    do : callable
    each : sequence
    at_once : int
        One: they are done one after the other.

    Returns
    -------
    list
        What came of each, in order.

    Raises
    ------
    Exception
        The first in order that was raised, once all are over; with one at a time, at once.

    Examples
    --------
    >>> side_by_side(lambda n: n * n, [1, 2, 3], at_once=2)
    [1, 4, 9]
    """
    if at_once == 1:
        return [do(one) for one in each]
    turns, done, raised = threading.Semaphore(at_once), dict[int, Done](), dict[int, BaseException]()

    def take(number: int) -> None:
        try:
            done[number] = do(each[number])
        except BaseException as error:  # for whoever waits
            raised[number] = error
        finally:
            turns.release()

    threads = []
    for number in range(len(each)):
        turns.acquire()
        # No pool: Python would wait for its threads, and so for all that they wait for, before it ends.
        threads.append(threading.Thread(target=take, args=(number,), name=f"beside {number}", daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[min(raised)]
    return [done[number] for number in range(len(each))]
