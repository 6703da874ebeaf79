# SPDX-License-Identifier: MIT
"""gather.py MEMBERS: a list of empty functions is gathered. The unit is one member."""
import asyncio
import sys

from measure import ns_per_unit, report


async def empty():
    pass


members = [empty] * int(sys.argv[1])


async def gather_often(n):
    for _ in range(0, n, len(members)):
        await asyncio.gather(*(member() for member in members))


async def main():
    report(await ns_per_unit(gather_often))
