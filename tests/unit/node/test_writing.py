"""`node.writing`: batches in order, each answered on the loop; nothing after a failure."""

import asyncio
import threading
from functools import partial

from node.writing import BatchWriter


class Answers:
    """What a writer told the loop, and on which thread."""

    def __init__(self) -> None:
        self.told: list[tuple[int, BaseException | None]] = []
        self.threads: set[int] = set()
        self.came = asyncio.Event()

    def take(self, number: int, error: BaseException | None) -> None:
        self.told.append((number, error))
        self.threads.add(threading.get_ident())
        self.came.set()


async def _three_batches() -> None:
    written: list[int] = []
    answers = Answers()
    writer = BatchWriter()
    writer.start(asyncio.get_running_loop(), answers.take)
    for number in range(1, 4):
        answers.came.clear()
        writer.begin(number, partial(written.append, number))
        await answers.came.wait()
        assert written == list(range(1, number + 1))
    writer.close()
    assert answers.told == [(1, None), (2, None), (3, None)]
    assert answers.threads == {threading.get_ident()}


def test_each_batch_is_answered_on_the_loop_once_it_is_written() -> None:
    asyncio.run(_three_batches())


async def _a_failure() -> None:
    written: list[int] = []
    failure = OSError("no space left")

    def fail(number: int) -> None:
        written.append(number)
        raise failure

    answers = Answers()
    writer = BatchWriter()
    writer.start(asyncio.get_running_loop(), answers.take)
    writer.begin(1, partial(fail, 1))
    writer.begin(2, partial(fail, 2))
    await answers.came.wait()
    writer.close()
    assert answers.told == [(1, failure)] and written == [1]


def test_nothing_is_written_after_a_write_that_failed() -> None:
    asyncio.run(_a_failure())
