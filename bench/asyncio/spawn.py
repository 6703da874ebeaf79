# SPDX-License-Identifier: MIT
"""An empty function is made a task and awaited, again and again."""
import asyncio

from measure import ns_per_unit, report


async def empty():
    pass


async def spawn_often(n):
    for _ in range(n):
        await asyncio.create_task(empty())


async def main():
    report(await ns_per_unit(spawn_often))
