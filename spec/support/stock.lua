-- SPDX-License-Identifier: MIT
-- The functions of Lua's own coroutine library, taken before eddy.run puts ours in their place.
local stock = {}
for name, fn in pairs(coroutine) do stock[name] = fn end
return stock
