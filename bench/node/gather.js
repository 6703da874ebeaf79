// SPDX-License-Identifier: MIT
// gather.js MEMBERS: a list of empty async functions under Promise.all. The unit is one member.
"use strict";
const { nsPerUnit, report } = require("./measure.js");

const members = Number(process.argv[2]);
const list = Array.from({ length: members }, () => async () => {});

async function gatherOften(n) {
  for (let done = 0; done < n; done += members) await Promise.all(list.map((fn) => fn()));
}

nsPerUnit(gatherOften).then(report);
