-- SPDX-License-Identifier: MIT
-- What newcomers run into, and what eddy says about it.
local eddy = require "eddy"

local function try(title, fn, ...)
  local _, err = pcall(fn, ...)
  print(title .. ":")
  print("  " .. tostring(err):gsub("^.-:%d+: ", ""))
end

-- Waiting where Lua cannot suspend. Sort first, then ask; or ask first, then sort.
try("a wait inside table.sort", table.sort, { 2, 1 }, function(a, b) eddy.sleep(0) return a < b end)
try("a wait inside gsub", string.gsub, "text", ".", function() eddy.sleep(0) end)
try("a wait in __tostring", tostring, setmetatable({}, { __tostring = function() eddy.sleep(0) return "" end }))

-- Mixing the two worlds.
try("run inside a run", eddy.run, print)
try("a task that awaits itself", function() eddy.current():await() end)
try("yielding from a task", coroutine.yield, 1)
try("yielding out of a block", coroutine.wrap(function() eddy.timeout(1, coroutine.yield) end))

-- A wait that can never end.
local ok, err = pcall(function()
  local queue = eddy.queue(0)
  eddy.within(0.01, queue.put, queue, "nobody takes it")   -- a deadline helps
end)
print("with a deadline:", ok, err)

-- Swallowing a cancellation: it comes back at the next wait, until the block is left.
local caught = 0
eddy.within(0.01, function()
  while caught < 3 do
    pcall(eddy.sleep, 60)
    caught = caught + 1
  end
end)
print("caught", caught, "times; use eddy.pcall, which lets cancellations pass")

-- Blocking the loop: while Lua computes, nobody else runs. Let others in, or compute elsewhere.
local ticks = 0
local ticker = eddy.spawn(function() while true do eddy.sleep(0.001) ticks = ticks + 1 end end)
local from = eddy.now()
while eddy.now() - from < 0.02 do end
print("ticks while the loop was blocked:", ticks)
repeat eddy.sleep(0) until ticks >= 3
print("and with eddy.sleep(0) in between:", ticks)
ticker:cancel()
