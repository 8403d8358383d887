"""Signature checks outside the loop: every question has its own answers, in order."""

import asyncio

from ledger.signatures import Signer
from node import ports
from node.checking import CHUNK, HERE_MAX, Checker, Results

MESSAGE = b"a record"
SIGNER = Signer(bytes(32))
GOOD = ports.SignatureJob(SIGNER.public_key, MESSAGE, SIGNER.sign(MESSAGE))
BAD = ports.SignatureJob(SIGNER.public_key, b"another", GOOD.signature)


def test_few_signatures_are_answered_at_once() -> None:
    async def ask() -> Results:
        checker = Checker(lambda _: None)
        checker.ask(ports.Verify(1, (GOOD, BAD)))
        checker.ask(ports.Verify(2, (GOOD,) * (HERE_MAX - 2)))
        try:
            return checker.begin()
        finally:
            checker.close()

    assert asyncio.run(ask()) == [(1, [True, False]), (2, [True, True])]


def test_what_is_more_than_threads_take_comes_back_group_by_group() -> None:
    sizes = {1: CHUNK, 2: CHUNK, 3: 3, 4: CHUNK}
    answers: list[Results] = []

    async def ask() -> None:
        done = asyncio.Event()

        def answered(results: Results) -> None:
            answers.append(results)
            if sum(map(len, answers)) == len(sizes):
                done.set()

        checker = Checker(answered)
        checker._threads = 1
        for token, size in sizes.items():
            checker.ask(ports.Verify(token, (BAD,) + (GOOD,) * (size - 1)))
        assert checker.begin() == []
        async with asyncio.timeout(20):
            await done.wait()
        checker.close()

    asyncio.run(ask())
    assert [[token for token, _ in group] for group in answers] == [[1], [2], [3], [4]]
    for token, valid in (each for group in answers for each in group):
        assert valid == [False] + [True] * (sizes[token] - 1)
