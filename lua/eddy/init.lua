-- SPDX-License-Identifier: MIT
--
-- Module "eddy": the kernel as scripts see it. What is fast or touches the loop is C
-- (eddy.core); here are the few functions that are policy.

local core = require "eddy.core"
require "eddy.errors"
core.library()

---@class eddy
local eddy = {}

for _, name in ipairs {
  "run", "spawn", "spawn_with", "background", "current", "sleep", "sleep_until", "now",
  "group", "gather", "settle", "race", "any", "timeout", "within", "shield", "deadline",
  "remaining", "cancelled", "is", "error", "config", "stats", "dump", "future", "await",
  "Error", "ErrorGroup", "coroutine", "atomic", "var", "frame",
} do
  eddy[name] = core[name]
end

for name, fn in pairs(require "eddy.sync") do eddy[name] = fn end

--- Version of the library.
eddy.version = core.version

local function pass_cancellation(ok, ...)
  if not ok and core.cancels((...)) then error((...), 0) end
  return ok, ...
end

--- As `pcall`, but a cancellation of a block around the running task passes through; an error
--- that merely is of kind "cancelled" (from a task that somebody else cancelled) is caught.
---@async
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...  results of `fn`, or its error
function eddy.pcall(fn, ...)
  return pass_cancellation(pcall(fn, ...))
end

local iterate = require "eddy.iterate"
eddy.every, eddy.as_completed, eddy.map, eddy.each = iterate.every, iterate.as_completed, iterate.map, iterate.each
eddy.gen = require("eddy.gen").new
eddy.defer = require("eddy.defer").new
eddy.require = require("eddy.loader").require
eddy.on = require("eddy.host").on

eddy.offload = core.offload.offload   -- no wrapper: refusals name the line of the caller
eddy.offload_map = require("eddy.offload").offload_map

return eddy
