// SPDX-License-Identifier: MIT
// offload.js JOBS: that many empty jobs at a time run by worker threads: a message to the next
// thread of a fixed set, and a message back. Prints wall-clock microseconds a job.
"use strict";
const os = require("node:os");
const { isMainThread, parentPort, Worker } = require("node:worker_threads");
const { nsPerUnit, report, wallSeconds } = require("./measure.js");

function empty() {}

/** As many threads as there are processors; each answers its jobs in their order. */
class Pool {
  #lanes;
  #turn = 0;

  constructor(size) {
    this.#lanes = Array.from({ length: size }, () => {
      const lane = { worker: new Worker(__filename), pending: [] };
      lane.worker.on("message", (answer) => lane.pending.shift()(answer));
      lane.worker.on("error", (err) => { throw err; });
      return lane;
    });
  }

  run(argument) {
    const lane = this.#lanes[this.#turn];
    this.#turn = (this.#turn + 1) % this.#lanes.length;
    return new Promise((resolve) => {
      lane.pending.push(resolve);
      lane.worker.postMessage(argument);
    });
  }

  close() {
    return Promise.all(this.#lanes.map((lane) => lane.worker.terminate()));
  }
}

async function main() {
  const jobs = Number(process.argv[2]);
  const pool = new Pool(os.cpus().length);
  async function runJobs(n) {
    const began = wallSeconds();
    let left = n;
    async function member() {
      while (left > 0) {
        left--;
        await pool.run();
      }
    }
    await Promise.all(Array.from({ length: jobs }, member));
    return wallSeconds() - began;
  }
  report((await nsPerUnit(runJobs)) / 1000);
  await pool.close();
}

if (isMainThread) main();
else parentPort.on("message", (argument) => parentPort.postMessage(empty(argument)));
