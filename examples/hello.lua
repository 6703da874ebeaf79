-- SPDX-License-Identifier: MIT
-- Two tasks that sleep side by side. The program ends when both have ended.
local eddy = require "eddy"

local function greet(name, seconds)
  eddy.sleep(seconds)
  print("hello " .. name)
end

eddy.spawn(greet, "slow world", 0.1)
eddy.spawn(greet, "quick world", 0.05)
print("started")
