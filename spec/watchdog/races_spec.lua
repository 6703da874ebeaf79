-- SPDX-License-Identifier: MIT
-- The watchdog's thread against the loop's: runs that begin and end, turns that end just when they are noticed,
-- runtimes inside of each other. Also for `make tsan`, so the loops allocate: that sanitizer holds signals back
-- until a thread calls something that it knows.
local lu = ...
local eddy = require "eddy"

local ROUNDS = tonumber(os.getenv "EDDY_ROUNDS") or 30

local function work(n)
  local list = {}
  for i = 1, n do list[i % 10 + 1] = tostring(i) end
  return #list
end

local TestRaces = { timeout = 120 }

function TestRaces:test_outside_runs_that_begin_and_end()
  eddy.config { slice = 0.0003, warn_blocking = 0.001, on_error = function() end }
  for i = 1, ROUNDS do
    local ended = 0
    eddy.run(function()
      for n = 1, 5 do eddy.spawn(function() work(n * 2000) ended = ended + 1 end) end
      if i % 2 == 0 then eddy.sleep(0.001) end
    end)
    lu.assertEquals(ended, 5)
  end
  eddy.config { slice = false, warn_blocking = false, on_error = false }
end

function TestRaces:test_outside_limits_that_are_reached_and_not()
  for _ = 1, ROUNDS do
    local results = eddy.run(function()
      local tasks = {}
      for n = 1, 4 do
        tasks[n] = eddy.spawn_with({ cpu = n % 2 == 0 and 0.002 or 60, slice = 0.0005 }, function()
          return work(n % 2 == 0 and math.huge or 2000)
        end)
      end
      return eddy.settle(tasks)
    end)
    for n, result in ipairs(results) do lu.assertEquals(result.ok, n % 2 == 1) end
  end
end

-- In workers, whose threads the pool may interrupt as well.
function TestRaces:test_inside_workers()
  local function inside()
    local eddy = require "eddy"   -- luacheck: ignore
    eddy.config { slice = 0.0005 }
    return eddy.run(function()
      local is_over = false
      eddy.spawn(function() while not is_over do local _ = tostring(1) .. "" end end)
      for _ = 1, 3 do eddy.sleep(0) end
      is_over = true
      return "over"
    end)
  end
  local list = {}
  for i = 1, 6 do list[i] = i end
  for _, value in ipairs(eddy.offload_map(list, inside)) do lu.assertEquals(value, "over") end
end

return { TestRaces = TestRaces }
