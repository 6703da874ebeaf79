-- SPDX-License-Identifier: MIT
-- A task's results and errors reach whoever waits for it, unchanged.
local eddy = require "eddy"

local function divide(a, b)
  eddy.sleep(0.01)
  if b == 0 then error { code = "DIVISION", message = "by zero" } end
  return a // b, a % b
end

-- `await` gives all results, and again if asked again.
local task = eddy.spawn(divide, 17, 5)
print("await", task:await())
print("again", task:await())
print("status", task:status())

-- `join` never raises: like pcall, for a task.
print("join", eddy.spawn(divide, 9, 2):join())

-- The error is the very value that was raised.
local ok, err = eddy.pcall(eddy.group, function(group)
  group:spawn(divide, 1, 0)
end)
print("failed", ok, err.code, err.message)

-- A cancelled task ends at its wait; what it holds in `<close>` variables is given back.
local sleeper = eddy.spawn(function()
  local _ <close> = setmetatable({}, { __close = function() print("cleaning up") end })
  eddy.sleep(3600)
end)
eddy.sleep(0)
print("cancel", sleeper:cancel(), sleeper:cancel())
local _, reason = sleeper:join()
print("was cancelled", eddy.is(reason, "cancelled"), sleeper:status())
