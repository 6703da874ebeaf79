-- SPDX-License-Identifier: MIT
-- Every scenario under every driver: driver spec/sweep/run.lua [--all] [SCENARIO [DRIVER [POINT]]]
--
-- A scenario is a function in spec/sweep/scenarios/*.lua that does something complete with eddy. It
-- is run in Lua states made for it: plainly; cancelled, killed, expired, abandoned, closed with its
-- state at each of its points; with memory running out at each request; with a collection
-- before each resume; in shuffled order; with tasks preempted after each instruction. Each run must end
-- in time and leave nothing. Without --all a
-- well-spread part of the points is tried. What fails is printed with the words that repeat it.
local fresh, first = ...
local is_all = first == "--all"
local only = { select(is_all and 3 or 2, ...) }

local MANY = is_all and 2000 or 8      -- points of a scenario under a driver
local MANY_STATES = is_all and 600 or 10   -- where each point has a Lua state of its own

local DRIVERS = { "plain", "cancel", "cancel_again", "cancel_one", "deadline", "kill", "abandon", "collect", "shuffle", "preempt",
  "memory", "no_memory" }
local STATE_DRIVERS = { "alloc", "no_alloc", "quit", "exit" }

local passed, failed = 0, 0

local function fail(what, message)
  failed = failed + 1
  io.stdout:write(("\nsweep %s: %s\n"):format(what, message))
end

local function files()
  local pipe <close> = assert(io.popen("ls spec/sweep/scenarios/*.lua"))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  return list
end

--- What is wrong with a state that has ended, or nil.
local function wrong(result)
  if result.err then return result.err end
  if result.bytes ~= 0 then return ("%d bytes of Lua's left"):format(result.bytes) end
  if result.remains == -1 then return "its loop was left behind" end
  if result.remains ~= 0 then return ("%d bytes of eddy's left"):format(result.remains) end
  if result.descriptors ~= 0 then return ("%d descriptors left"):format(result.descriptors) end
end

local function call(file, scenario, driver, many, point, options)
  local request = options or {}
  request.label = table.concat({ scenario, driver, point }, " ")
  request[1], request[2], request[3], request[4] = "spec/sweep/inside.lua", file, scenario, driver
  request[5], request[6] = tostring(many), point and tostring(point)
  return fresh(request)
end

--- All points in one state.
local function sweep_inside(file, scenario, driver)
  local result = call(file, scenario, driver, MANY, only[3])
  local problem = wrong(result)
  if problem then return fail(("%s %s"):format(scenario, driver), problem) end
  passed = passed + 1
end

-- Swept at every point also in the daily run, since a point between those has failed there once.
local WHOLE = { clean_up_waits_in_a_shield = true }

--- Points from 1 to `count`: the first few, then evenly spread; or the one that was asked for.
local function each_point(scenario, count, see)
  if only[3] then return see(math.tointeger(only[3])) end
  local step = WHOLE[scenario] and 1 or math.max(1, count // MANY_STATES)
  for point = 1, count, step do
    if see(point) == false then return end
  end
end

-- Without memory the script may not even be told what is wrong.
local function sweep_alloc(file, scenario, driver)
  local for_good = driver == "no_alloc"
  local plain = call(file, scenario, driver, 1)
  local problem = wrong(plain)
  if problem then return fail(("%s %s"):format(scenario, driver), problem) end
  each_point(scenario, plain.requests, function(point)
    local result = call(file, scenario, driver, 1, point, { fail_at = point, for_good = for_good })
    problem = wrong(result)
    if problem then
      fail(("%s %s %d"):format(scenario, driver, point), problem)
      return false
    end
  end)
  if not problem then passed = passed + 1 end
end

local function sweep_close(file, scenario, driver)
  local plain = call(file, scenario, driver, 1)
  local problem = wrong(plain)
  if problem then return fail(("%s %s"):format(scenario, driver), problem) end
  each_point(scenario, math.tointeger(plain.answer), function(point)
    problem = wrong(call(file, scenario, driver, 1, point))
    if problem then
      fail(("%s %s %d"):format(scenario, driver, point), problem)
      return false
    end
  end)
  if not problem then passed = passed + 1 end
end

local sweeps = { alloc = sweep_alloc, no_alloc = sweep_alloc, quit = sweep_close, exit = sweep_close }

local function is_wanted(word, i) return only[i] == nil or only[i] == word end

local function sweep_scenario(file, scenario)
  local before = failed
  for _, list in ipairs { DRIVERS, STATE_DRIVERS } do
    for _, driver in ipairs(list) do
      if is_wanted(driver, 2) then (sweeps[driver] or sweep_inside)(file, scenario, driver) end
    end
  end
  io.stdout:write(failed > before and "" or ".")
  io.stdout:flush()
end

io.stdout:write("  sweep    ")
call("spec/sweep/scenarios/kernel.lua", "sleep", "plain", 1)   -- what libuv keeps for the process
for _, file in ipairs(files()) do
  local list = call(file, "-", "list", 1)
  if not list.answer then
    fail(file, list.err or "no answer")
  else
    for scenario in list.answer:gmatch "%S+" do
      if is_wanted(scenario, 1) then sweep_scenario(file, scenario) end
    end
  end
end
print(("\n%d passed, %d failed"):format(passed, failed))
return failed == 0 and passed > 0
