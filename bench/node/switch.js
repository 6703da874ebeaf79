// SPDX-License-Identifier: MIT
// switch.js TASKS: that many async functions give way in turn, by awaiting what is there already.
"use strict";
const { cpuSeconds, nsPerUnit, report } = require("./measure.js");

const tasks = Number(process.argv[2]);

/** The clock runs from when all tasks have started to when the first has ended. */
async function switchOften(n) {
  let began, ended;
  async function takeTurns() {
    await null;
    began ??= cpuSeconds();
    for (let i = Math.floor(n / tasks); i > 0; i--) await null;
    ended ??= cpuSeconds();
  }
  await Promise.all(Array.from({ length: tasks }, takeTurns));
  return ended - began;
}

nsPerUnit(switchOften).then(report);
