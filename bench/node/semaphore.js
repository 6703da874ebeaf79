// SPDX-License-Identifier: MIT
// semaphore.js TASKS: that many async functions share one permit, which goes to who has waited
// longest. Node has no semaphore.
"use strict";
const { nsPerUnit, report } = require("./measure.js");

class Semaphore {
  #available;
  #waiting = [];

  constructor(permits) {
    this.#available = permits;
  }

  acquire() {
    if (this.#available === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#available--;
    return Promise.resolve();
  }

  release() {
    if (this.#waiting.length > 0) this.#waiting.shift()();
    else this.#available++;
  }
}

const tasks = Number(process.argv[2]);
const semaphore = new Semaphore(1);

async function takeTurns(n) {
  await semaphore.acquire();
  await null; // until everyone else is waiting
  semaphore.release();
  for (let i = 0; i < n; i++) {
    await semaphore.acquire();
    semaphore.release();
  }
}

async function takeOften(n) {
  await Promise.all(Array.from({ length: tasks }, () => takeTurns(Math.floor(n / tasks))));
}

nsPerUnit(takeOften).then(report);
