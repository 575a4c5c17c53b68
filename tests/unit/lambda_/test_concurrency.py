"""Slots: shared ones in order of arrival with a bounded wait, reserved ones at once or never."""

import asyncio

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.lambda_.concurrency import Slots


def test_waiting_invocations_get_their_turn_in_order() -> None:
    async def scenario() -> list[int]:
        slots = Slots(limit=2, queue=10, wait_s=5)
        order: list[int] = []
        running = 0

        async def use(number: int) -> None:
            nonlocal running
            async with slots.one("f", None):
                running += 1
                assert running <= 2
                order.append(number)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(use(number) for number in range(8)))
        return order

    assert asyncio.run(scenario()) == list(range(8))


def test_full_queue_and_long_wait_are_throttled() -> None:
    async def scenario() -> None:
        slots = Slots(limit=1, queue=1, wait_s=0.02)

        async def one() -> None:
            async with slots.one("f", None):
                pass

        async with slots.one("f", None):
            waiting = asyncio.ensure_future(one())
            await asyncio.sleep(0)
            with pytest.raises(ServiceError, match="Rate Exceeded"):
                await one()
            with pytest.raises(ServiceError) as raised:
                await waiting
            assert raised.value.code == "TooManyRequestsException"
            assert raised.value.fields["Reason"] == "ConcurrentInvocationLimitExceeded"
        await one()

    asyncio.run(scenario())


def test_reservation_is_honoured_exactly_and_apart_from_the_shared_slots() -> None:
    async def scenario() -> None:
        slots = Slots(limit=1, queue=1, wait_s=1)
        async with slots.one("shared", None), slots.one("own", 2), slots.one("own", 2):
            with pytest.raises(ServiceError) as raised:
                async with slots.one("own", 2):
                    pass
            assert raised.value.fields["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        with pytest.raises(ServiceError):
            async with slots.one("stopped", 0):
                pass

    asyncio.run(scenario())


def test_slot_given_to_a_cancelled_waiter_is_not_lost() -> None:
    async def scenario() -> None:
        slots = Slots(limit=1, queue=5, wait_s=1)

        async def one() -> None:
            async with slots.one("f", None):
                pass

        async with slots.one("f", None):
            waiting = asyncio.ensure_future(one())
            await asyncio.sleep(0)
        waiting.cancel()  # its turn has come, but it has not run yet
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(one(), 1)

    asyncio.run(scenario())
