-- SPDX-License-Identifier: MIT
-- Print a port of 127.0.0.1 that nobody listens on.
local listener <close> = assert(require "eddy.net".listen { port = 0 })
print(listener.port)
