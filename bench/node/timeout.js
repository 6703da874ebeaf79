// SPDX-License-Identifier: MIT
// A deadline around an async function that ends at once, while an outer one is pending: a promise
// between a timer, which is taken back, and the function's own.
"use strict";
const { nsPerUnit, report } = require("./measure.js");

async function work() {}

function timeout(seconds, fn) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("too late")), seconds * 1000);
    function settled(settle, value) {
      clearTimeout(timer);
      settle(value);
    }
    fn().then((value) => settled(resolve, value), (reason) => settled(reject, reason));
  });
}

async function timeOutOften(n) {
  for (let i = 0; i < n; i++) await timeout(5, work);
}

timeout(60, () => nsPerUnit(timeOutOften)).then(report);
