// SPDX-License-Identifier: MIT
// An empty async function is called and awaited, again and again.
"use strict";
const { nsPerUnit, report } = require("./measure.js");

async function empty() {}

async function spawnOften(n) {
  for (let i = 0; i < n; i++) await empty();
}

nsPerUnit(spawnOften).then(report);
