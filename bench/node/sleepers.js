// SPDX-License-Identifier: MIT
// sleepers.js TASKS: that many async functions, each asleep for a different time.
"use strict";
const { cpuSeconds, report } = require("./measure.js");

const tasks = Number(process.argv[2]);

async function sleep(seconds) {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** How long sleeper i sleeps: between half a second and one and a half. */
function nap(i) {
  return 0.5 + ((i * 7919) % tasks) / tasks;
}

async function main() {
  const before = process.memoryUsage.rss();
  const began = cpuSeconds();
  const started = Array.from({ length: tasks }, (_, i) => sleep(nap(i)));
  const asleep = process.memoryUsage.rss();
  await Promise.all(started);
  report(((cpuSeconds() - began) / tasks) * 1e6, (asleep - before) / tasks);
}

main();
