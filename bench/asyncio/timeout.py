# SPDX-License-Identifier: MIT
"""A deadline around a function that ends at once, while an outer one is pending."""
import asyncio

from measure import ns_per_unit, report


async def work():
    pass


if hasattr(asyncio, "timeout"):  # 3.11

    async def timeout(seconds, function):
        async with asyncio.timeout(seconds):
            return await function()

else:

    async def timeout(seconds, function):
        return await asyncio.wait_for(function(), seconds)


async def time_out_often(n):
    for _ in range(n):
        await timeout(5, work)


async def measured():
    report(await ns_per_unit(time_out_often))


async def main():
    await timeout(60, measured)
