# SPDX-License-Identifier: MIT
"""semaphore.py TASKS: that many tasks share one permit, which goes to who has waited longest."""
import asyncio
import sys

from measure import ns_per_unit, report

tasks = int(sys.argv[1])


async def main():
    semaphore = asyncio.Semaphore(1)

    async def take_turns(n):
        async with semaphore:
            await asyncio.sleep(0)  # until everyone else is waiting
        for _ in range(n):
            async with semaphore:
                pass

    async def take_often(n):
        await asyncio.gather(*(take_turns(n // tasks) for _ in range(tasks)))

    report(await ns_per_unit(take_often))
