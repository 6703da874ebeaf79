---@meta eddy
-- SPDX-License-Identifier: MIT
-- Lua on other cores as an editor sees it: what is written in C.
-- luacheck: ignore 212 241 (declarations have no bodies)

---@class eddy
local eddy = {}

---Run `fn(...)` in the Lua state of a worker, on a thread of its own, and wait for the results.
---
---`fn` is copied with its upvalues: what it changes there, it changes in the copy. Nil, booleans, numbers, strings, tables (with
---cycles, shared parts and plain metatables) and Lua functions travel both ways. Globals mean the worker's, modules are required
---there. Anything else is refused with its path, before anything runs. The error of `fn` is raised here, the same value, with
---both tracebacks.
---
---A cancel or a deadline stops the function, wherever in Lua it is; its state is thrown away then.
---@async
---@param fn function
---@param ... any  its arguments
---@return any ...  its results
function eddy.offload(fn, ...) end

return eddy
