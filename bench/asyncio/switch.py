# SPDX-License-Identifier: MIT
"""switch.py TASKS: that many tasks give way in turn."""
import asyncio
import sys
import time

from measure import ns_per_unit, report

tasks = int(sys.argv[1])


async def switch_often(n):
    """The clock runs from when all tasks have started to when the first has ended."""
    began = ended = None

    async def take_turns():
        nonlocal began, ended
        await asyncio.sleep(0)
        if began is None:
            began = time.process_time()
        for _ in range(n // tasks):
            await asyncio.sleep(0)
        if ended is None:
            ended = time.process_time()

    await asyncio.gather(*(take_turns() for _ in range(tasks)))
    return ended - began


async def main():
    report(await ns_per_unit(switch_often))
