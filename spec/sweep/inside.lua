-- SPDX-License-Identifier: MIT
-- One scenario under one driver, in a Lua state of its own:
--   sweep FILE SCENARIO DRIVER MANY [POINT]
-- MANY is how many points are tried at most, POINT the only one. Answers with a text for the
-- controlling state (spec/sweep/run.lua), or raises.
local sweep, file, name, driver, many, only = ...
sweep.arm(false)

local eddy = require "eddy"
local core = require "eddy.core"
local testing = require "eddy.testing"
local probe = core.probe

sweep.watch()
many, only = math.tointeger(many), math.tointeger(only)

local SECONDS = 5
local PASSES = 3   -- over the points, to see whether something grows

-- ---- The scenario ------------------------------------------------------------------------------

local scenarios = assert(loadfile(file))()

local scenario = scenarios[name]
if type(scenario) == "function" then scenario = { run = scenario } end

local facts

-- What a scenario may note down, and values that must be closed exactly once. Counts are kept as sets: with
-- `preempt`, another task may come between reading a number and writing it back.
local function new_facts()
  local self = { opened = {}, closed = {} }
  function self.guard()
    local value = setmetatable({}, { __close = function(value)
      assert(not self.closed[value], "closed twice")
      self.closed[value] = true
    end })
    self.closed[value] = false
    self.opened[value] = true   -- when nothing more can fail for want of memory
    return value
  end
  return self
end

local function size(set)
  local n = 0
  for _, is_in in pairs(set) do n = n + (is_in and 1 or 0) end
  return n
end

local function body()
  facts = new_facts()
  scenario.run(facts)
end

-- `lost`: how many values Lua may have had no memory to call __close of.
local function verify(lost)
  if not facts then return end
  local opened, closed = size(facts.opened), size(facts.closed)
  if closed + (lost or 0) < opened then error(("%d of %d values closed"):format(closed, opened), 0) end
  if scenario.check then scenario.check(facts) end
end

local errors_seen = 0
eddy.config { on_error = function() errors_seen = errors_seen + 1 end }

-- ---- Nothing grows -----------------------------------------------------------------------------

local function measure()
  collectgarbage()
  collectgarbage()
  return { lua = math.floor(collectgarbage "count" * 1024), eddy = eddy.stats().bytes, references = #debug.getregistry() }
end

local SLACK = { lua = 512, eddy = 0, references = 0 }

-- Passes until one adds nothing: caches fill in the first ones.
local function check_growth(pass)
  local before, more = measure(), nil
  for _ = 1, PASSES + 3 do
    pass()
    local after = measure()
    more = nil
    for what, slack in pairs(SLACK) do
      if after[what] > before[what] + slack then more = ("%s grew by %d"):format(what, after[what] - before[what]) end
    end
    before = after
    if not more then return end
  end
  error("each pass leaves something: " .. more, 0)
end

-- ---- Drivers -----------------------------------------------------------------------------------

local ABANDONED = {}

local function mentions(err, ...)
  local text = tostring(err)
  for _, word in ipairs { ... } do
    if text:find(word, 1, true) then return true end
  end
  return false
end

local function is_cancelled(err) return eddy.is(err, "cancelled") or mentions(err, "cancelled", "planned") end

local function is_memory(err) return mentions(err, "memory", "ENOMEM", "planned", "too many results") or scenario.is_loose end

local function each_point(act, errors, fn)
  local n
  local function once(points)
    n = testing.everywhere(fn or body, function()
      sweep.label(("%s %s"):format(name, driver))
      return act()
    end, { timeout = SECONDS, points = points, point = only, errors = errors, check = verify })
  end
  once(many)
  if not only then check_growth(function() once(math.min(many, 12)) end) end
  return ("%d points"):format(n)
end

local drivers = {}

function drivers.plain()
  testing.run(body, { timeout = SECONDS })
  verify()
  check_growth(function() testing.run(body, { timeout = SECONDS }) end)
  return "1 run"
end

local function cancel_root()
  local root = probe.root()
  if root then root:cancel() end
end

function drivers.cancel() return each_point(cancel_root, is_cancelled) end

-- The root at one point, whatever lives at the next one.
function drivers.cancel_again()
  local is_second = false
  return each_point(function()
    if is_second then for _, task in ipairs(probe.tasks()) do task:cancel "again" end end
    cancel_root()
    is_second = not is_second
    return is_second
  end, is_cancelled)
end

-- One of the tasks, in turn.
function drivers.cancel_one()
  local turn = 0
  local function errors(err) return is_cancelled(err) or eddy.is(err, "deadlock") or scenario.is_loose or scenario.has_hidden_tasks end
  return each_point(function()
    local tasks = probe.tasks()
    turn = turn + 1
    if #tasks > 0 then tasks[1 + turn % #tasks]:cancel() end
  end, errors)
end

function drivers.deadline()
  return each_point(probe.expire, is_cancelled, function() eddy.within(1e6, body) end)
end

function drivers.kill()
  return each_point(function() probe.kill() end, is_cancelled)
end

function drivers.abandon()
  return each_point(function() error(ABANDONED) end, function(err) return err == ABANDONED end)
end

function drivers.collect()
  probe.collect(true)
  testing.run(body, { timeout = SECONDS })
  probe.collect(false)
  verify()
  return "1 run"
end

function drivers.shuffle()
  local first, last = only or 1, only or math.max(4, many // 4)
  for seed = first, last do
    sweep.label(("%s shuffle %d"):format(name, seed))
    local ok, err = pcall(testing.run, body, { timeout = SECONDS, seed = seed })
    if ok then ok, err = pcall(verify) end
    if not ok then error(("point %d: %s"):format(seed, tostring(err)), 0) end
  end
  return ("%d seeds"):format(last)
end

local ARMED = 1 << 40

-- eddy's own requests for memory fail, one or all from one on; the runtime must be usable afterwards.
local function sweep_memory(for_good)
  local n = ARMED
  local function starved()
    probe.fail(n, for_good)
    body()
  end
  testing.run(starved, { timeout = SECONDS })
  local count = ARMED - probe.fail()
  local step = math.max(1, count // many)
  for at = only or 1, only or count, step do
    n = at
    sweep.label(("%s %s %d"):format(name, driver, n))
    local ok, err = pcall(testing.run, starved, { timeout = SECONDS })
    probe.fail()
    if not ok and not is_memory(err) then error(("point %d: %s"):format(n, tostring(err)), 0) end
    ok, err = pcall(verify)
    if not ok then error(("point %d: %s"):format(n, tostring(err)), 0) end
  end
  testing.run(body, { timeout = SECONDS })
  return ("%d requests"):format(count)
end

function drivers.memory() return sweep_memory(false) end
function drivers.no_memory() return sweep_memory(true) end

-- One run under Lua's failing allocator; which request fails the controlling state decides.
function drivers.alloc()
  eddy.config { clock = "manual" }
  sweep.arm()
  local ok, err = pcall(eddy.run, body)
  sweep.arm(false)
  if not ok and not is_memory(err) then error(err, 0) end
  if driver == "alloc" then verify(1) end   -- without memory Lua cannot call __close either
  eddy.run(function() eddy.gather(function() eddy.sleep(1) end, function() eddy.sleep(0) end) end)
  local stats = eddy.stats()
  for _, what in ipairs { "tasks", "operations", "handles", "timers", "files", "jobs" } do
    if stats[what] ~= 0 then error(("%d %s left"):format(stats[what], what), 0) end
  end
  return ok and "succeeded" or "failed as it should"
end
drivers.no_alloc = drivers.alloc

-- The state is closed at a point: between two tasks, or in a task where it goes on. Without POINT:
-- how many there are.
local function sweep_close(act)
  local count, options = 0, { timeout = SECONDS, points = 0 }
  testing.everywhere(body, function() end, options)
  eddy.config { clock = "manual" }
  probe.watch { point = function()
    count = count + 1
    if count == only then act() end
  end }
  pcall(eddy.run, body)
  probe.watch()
  return tostring(count)
end

function drivers.quit() return sweep_close(sweep.quit) end

function drivers.exit()
  return sweep_close(function()
    local co = probe.coroutine()
    if co then debug.sethook(co, sweep.quit, "", 1) end
  end)
end

-- Every task is suspended after each instruction of the script, or each few.
function drivers.preempt()
  local first, last = only or 1, only or math.max(3, many // 4)
  for count = first, last do
    sweep.label(("%s preempt %d"):format(name, count))
    probe.preempt(count)
    local ok, err = pcall(testing.run, body, { timeout = SECONDS })
    if ok then ok, err = pcall(verify) end
    probe.preempt(0)
    if not ok then error(("point %d: %s"):format(count, tostring(err)), 0) end
  end
  return ("%d distances"):format(last)
end

function drivers.list()
  local names = {}
  for key in pairs(scenarios) do names[#names + 1] = key end
  table.sort(names)
  return table.concat(names, " ")
end

return drivers[driver]()
