# SPDX-License-Identifier: MIT
"""queue.py CAPACITY: one task puts numbers into a queue, another gets them."""
import asyncio
import sys

from measure import ns_per_unit, report


async def main():
    queue = asyncio.Queue(int(sys.argv[1]))

    async def produce(n):
        for i in range(n):
            await queue.put(i)

    async def send_many(n):
        producer = asyncio.create_task(produce(n))
        for _ in range(n):
            await queue.get()
        await producer

    report(await ns_per_unit(send_many))
