// SPDX-License-Identifier: MIT
// queue.js CAPACITY: one async function puts numbers into a ring, another gets them. Node has no
// queue of its own.
"use strict";
const { nsPerUnit, report } = require("./measure.js");

class Queue {
  #items;
  #head = 0;
  #count = 0;
  #getters = [];
  #putters = [];

  constructor(capacity) {
    this.#items = new Array(capacity).fill(undefined);
  }

  async put(value) {
    while (this.#count === this.#items.length) {
      await new Promise((resolve) => this.#putters.push(resolve));
    }
    this.#items[(this.#head + this.#count) % this.#items.length] = value;
    this.#count++;
    if (this.#getters.length > 0) this.#getters.shift()();
  }

  async get() {
    while (this.#count === 0) {
      await new Promise((resolve) => this.#getters.push(resolve));
    }
    const value = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.#items.length;
    this.#count--;
    if (this.#putters.length > 0) this.#putters.shift()();
    return value;
  }
}

const queue = new Queue(Number(process.argv[2]));

async function produce(n) {
  for (let i = 0; i < n; i++) await queue.put(i);
}

async function sendMany(n) {
  const producer = produce(n);
  for (let i = 0; i < n; i++) await queue.get();
  await producer;
}

nsPerUnit(sendMany).then(report);
