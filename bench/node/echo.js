// SPDX-License-Identifier: MIT
// An echo server. Prints its port first.
"use strict";
const net = require("node:net");

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});

server.listen({ host: "127.0.0.1", port: 0, backlog: 512 }, () => console.log(server.address().port));
