"""Tasks: none is lost, no failure is silent, shutdown waits for them."""

import asyncio
import gc
import threading

import pytest

from oneapi import tasks


async def test_a_task_that_nobody_holds_still_runs_to_its_end() -> None:
    ended = asyncio.Event()
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()

    tasks.spawn(work(), name="work")
    await asyncio.sleep(0)
    gc.collect()
    go.set()
    await ended.wait()


@pytest.mark.expected_log("task failed name=doomed\nTraceback", "ValueError: no such thing")
async def test_the_failure_of_a_task_is_logged_with_its_name() -> None:
    async def work() -> None:
        raise ValueError("no such thing")

    task = tasks.spawn(work(), name="doomed")
    await asyncio.wait([task])
    await asyncio.sleep(0)


async def test_a_cancelled_task_is_no_failure() -> None:
    task = tasks.spawn(asyncio.Event().wait(), name="waiting")
    task.cancel()
    await asyncio.wait([task])
    assert tasks.running() == 0


@pytest.mark.expected_log("task failed name=doomed\nTraceback", "ValueError: no such thing")
async def test_the_failure_of_a_request_is_logged_too() -> None:
    async def work() -> None:
        raise ValueError("no such thing")

    await asyncio.wait([tasks.start(work, name="doomed")])
    assert tasks.running() == 0


@pytest.mark.parametrize("begun", [False, True], ids=["before it began", "after it began"])
async def test_nothing_is_left_of_a_request_that_was_cancelled(begun: bool) -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    task = tasks.start(work, name="waiting")
    if begun:
        await asyncio.sleep(0)
    tasks.cancel(task)
    await asyncio.wait([task])
    assert task.cancelled()
    assert tasks.running() == 0


async def test_drain_cancels_a_request_that_has_not_begun() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    tasks.start(work, name="waiting")
    assert await tasks.drain(0) == 1
    assert tasks.running() == 0


async def test_drain_waits_for_tasks_and_for_those_that_they_start() -> None:
    done: list[str] = []

    async def child() -> None:
        await asyncio.sleep(0)
        done.append("child")

    async def parent() -> None:
        await asyncio.sleep(0)
        tasks.spawn(child(), name="child")
        done.append("parent")

    tasks.spawn(parent(), name="parent")
    assert await tasks.drain(5) == 0
    assert done == ["parent", "child"]


async def test_drain_cancels_what_does_not_end_in_time() -> None:
    cleaned = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    tasks.spawn(endless(), name="endless")
    assert await tasks.drain(0.01) == 1
    assert cleaned.is_set()
    assert tasks.running() == 0


async def test_drain_without_tasks_returns_at_once() -> None:
    assert await tasks.drain(0) == 0


async def test_blocking_work_runs_in_a_thread_and_hands_back_value_or_failure() -> None:
    def work(first: int, *, second: int) -> tuple[int, str]:
        return first + second, threading.current_thread().name

    total, thread = await tasks.run_blocking(work, 1, second=2)
    assert total == 3
    assert thread.startswith("oneapi-worker")
    with pytest.raises(ZeroDivisionError):
        await tasks.run_blocking(lambda: 1 // 0)
