# SPDX-License-Identifier: MIT
"""offload.py JOBS: that many empty functions at a time run by the loop's executor.

Prints wall-clock microseconds a job.
"""
import asyncio
import sys
import time

from measure import ns_per_unit, report

jobs = int(sys.argv[1])


def empty():
    pass


async def run_jobs(n):
    began = time.perf_counter()
    loop, left = asyncio.get_running_loop(), n

    async def member():
        nonlocal left
        while left > 0:
            left -= 1
            await loop.run_in_executor(None, empty)

    await asyncio.gather(*(member() for _ in range(jobs)))
    return time.perf_counter() - began


async def main():
    report(await ns_per_unit(run_jobs) / 1000)
