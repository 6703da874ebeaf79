# SPDX-License-Identifier: MIT
"""sleepers.py TASKS: that many tasks, each asleep for a different time."""
import asyncio
import sys
import time

from measure import report, resident_bytes

tasks = int(sys.argv[1])


async def sleep(seconds):
    await asyncio.sleep(seconds)


def nap(i):
    """How long sleeper i sleeps: no two alike, between half a second and one and a half."""
    return 0.5 + i * 7919 % tasks / tasks


async def main():
    before, began = resident_bytes(), time.process_time()
    started = [asyncio.create_task(sleep(nap(i))) for i in range(tasks)]
    await asyncio.sleep(0)
    asleep = resident_bytes()
    for task in started:
        await task
    cpu = time.process_time() - began
    report(cpu / tasks * 1e6, -1 if before is None else (asleep - before) / tasks)
