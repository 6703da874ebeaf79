-- SPDX-License-Identifier: MIT
-- Tasks: begin them, ask them, wait for them, end them early.
local eddy = require "eddy"

local function work(name, seconds)
  eddy.sleep(seconds)
  print(name .. " is done")
  return name:upper()
end

local quick = eddy.spawn_with({ name = "quick" }, work, "quick", 0.01)
local slow = eddy.spawn_with({ name = "slow" }, work, "slow", 0.2)
local endless = eddy.spawn_with({ name = "endless" }, work, "endless", 3600)
print(quick:status(), "a task begins when its spawner waits")

eddy.sleep(0)
print(slow:name(), slow:status())
print(endless)

print(quick:await())
print(slow:await(), slow:await())   -- as often as you like

print(endless:cancel "enough")
local ok, err = endless:join()      -- does not raise
print(ok, err.reason, endless:status())

-- a group ends when all that was spawned into it has ended
local total = 0
eddy.group(function(group)
  for n = 1, 3 do group:spawn(function() eddy.sleep(0.01 * n) total = total + n end) end
end)
print("total", total)
