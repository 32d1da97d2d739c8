"""The only place that starts tasks and worker threads.

A task started here is referenced until it ends, its failure is logged, and shutdown waits for it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

_running: set[asyncio.Task[Any]] = set()
# For work that would hold up the loop and releases the interpreter lock: password hashes, tokenizing.
_workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="oneapi-worker")


def spawn(coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start ``coro`` on the running loop. Its failure is logged, also when somebody awaits the task."""
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    failure = task.exception()
    if failure is not None:
        log.error("task failed name=%s", task.get_name(), exc_info=failure)


def start(work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> asyncio.Task[None]:
    """`spawn` for what every request needs, and nobody awaits: it ends without another turn of the loop.

    Only `cancel` may cancel it.
    """
    # The loop's own method would set the name a second time.
    task = asyncio.Task(_to_its_end(work, name), loop=asyncio.get_running_loop(), name=name)
    _running.add(task)
    return task


async def _to_its_end(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    try:
        await work()
    except Exception:
        log.exception("task failed name=%s", name)
    finally:
        _running.discard(asyncio.current_task())


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel ``task``, which may not have begun: then nothing of it runs, and it cannot deregister itself."""
    task.add_done_callback(_running.discard)
    task.cancel()


async def drain(timeout_s: float) -> int:
    """Wait for the tasks of this loop and those that they start; cancel what is left after ``timeout_s``.

    Returns how many had to be cancelled. A task that ignores its cancellation is not waited for longer than
    one more second.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while (pending := _of(loop)) and (left := deadline - loop.time()) > 0:
        await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        cancel(task)
    if pending:
        await asyncio.wait(pending, timeout=1.0)
    return len(pending)


def running() -> int:
    """How many tasks of the running loop have not ended."""
    return len(_of(asyncio.get_running_loop()))


def _of(loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    current = asyncio.current_task(loop)
    return {task for task in _running if task.get_loop() is loop and task is not current}


async def run_blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """``function`` in a small pool of threads. Cancelling the wait does not stop the function."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_workers, lambda: function(*args, **kwargs))
