-- SPDX-License-Identifier: MIT
-- Time belongs to blocks: everything inside, children too, ends when the time is over.
local eddy = require "eddy"

-- within: true and the results, or false.
print("in time", eddy.within(1, function() eddy.sleep(0.01) return "done" end))
print("too late", eddy.within(0.05, eddy.sleep, 3600))

-- timeout raises an error of kind "timeout", after the block has cleaned up.
local ok, err = eddy.pcall(eddy.timeout, 0.05, function()
  local _ <close> = setmetatable({}, { __close = function() print("cleaning up") end })
  eddy.spawn(eddy.sleep, 3600)
  eddy.sleep(3600)
end)
print("timeout", ok, eddy.is(err, "timeout"))

-- The nearest deadline wins: the outer one ends the inner block, and is reported by the outer.
print("outer", eddy.within(0.05, function()
  return eddy.within(3600, eddy.sleep, 3600)
end))

-- shield: what must be finished gets a moment more.
eddy.within(0.02, function()
  eddy.shield(1, function()
    eddy.sleep(0.05)
    print("said good-bye properly")
  end)
end)
