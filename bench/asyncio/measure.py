# SPDX-License-Identifier: MIT
"""Runs an asyncio program, and how they measure, the same as bench/measure.lua does.

    python3 -B bench/asyncio/measure.py PROGRAM [ARGUMENT...]

runs its `main()` on asyncio's loop, or on uvloop's with BENCH_LOOP=uvloop in the environment.
"""
import sys

sys.path.pop(0)  # this folder: its queue.py would be found before the library's
sys.modules["measure"] = sys.modules["__main__"]

import asyncio  # noqa: E402
import os  # noqa: E402
import runpy  # noqa: E402
import time  # noqa: E402

LONG_ENOUGH = 0.4  # CPU seconds that a measured run lasts at least, roughly


async def ns_per_unit(work):
    """CPU nanoseconds a unit of `work(n)`, which does n units.

    It may answer the seconds that the part worth measuring took. The short runs that find the
    right n are the warm-up.
    """

    async def seconds(n):
        began = time.process_time()
        took = await work(n)
        return time.process_time() - began if took is None else took

    n = 1000
    took = await seconds(n)
    while took < LONG_ENOUGH:
        n = n * 4 if took < LONG_ENOUGH / 20 else int(n * 1.2 * LONG_ENOUGH / took)
        took = await seconds(n)
    return took / n * 1e9


def report(*values):
    """Print what the driver reads: numbers on one line."""
    print(*(f"{value:.3f}" for value in values))


def resident_bytes():
    """Bytes of this process in memory; None where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def new_loop():
    if os.environ.get("BENCH_LOOP") != "uvloop":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run(program):
    loop = new_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(program["main"]())
    loop.close()


if __name__ == "__main__":
    sys.argv.pop(0)
    run(runpy.run_path(sys.argv[0]))
