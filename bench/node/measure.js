// SPDX-License-Identifier: MIT
// How the Node programs measure, the same as bench/measure.lua does.
"use strict";

const LONG_ENOUGH = 0.4; // CPU seconds that a measured run lasts at least, roughly

/** CPU seconds of this process so far, those of the collector's and the compiler's threads included. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1e-6;
}

/** Seconds on the wall. */
function wallSeconds() {
  return performance.now() * 1e-3;
}

/**
 * CPU nanoseconds a unit of `work(n)`, which does n units and may answer the seconds that the part
 * worth measuring took. The short runs that find the right n are the warm-up.
 */
async function nsPerUnit(work) {
  async function seconds(n) {
    const began = cpuSeconds();
    return (await work(n)) ?? cpuSeconds() - began;
  }
  let n = 1000;
  let took = await seconds(n);
  while (took < LONG_ENOUGH) {
    n = took < LONG_ENOUGH / 20 ? n * 4 : Math.floor((n * 1.2 * LONG_ENOUGH) / took);
    took = await seconds(n);
  }
  return (took / n) * 1e9;
}

/** Print what the driver reads: numbers on one line. */
function report(...values) {
  console.log(values.map((value) => value.toFixed(3)).join(" "));
}

module.exports = { cpuSeconds, wallSeconds, nsPerUnit, report };
