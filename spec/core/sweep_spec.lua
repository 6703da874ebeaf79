-- SPDX-License-Identifier: MIT
-- Cancelled after the 1st, 2nd, … turn of the scheduler, and killed there: whatever the moment, nothing is
-- left and what was begun is closed once.
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

-- Each scenario opens what it uses with `open(name)`, a `<close>` value, and ends by itself.
local SOURCE = [[
  local eddy = ...
  local scenarios = {}

  local function naps(n) for _ = 1, n do eddy.sleep(0) end end

  function scenarios.gen(open)
    for value in eddy.gen(function(emit)
      local _ <close> = open "producer"
      local _ <close> = eddy.defer(function() naps(2) end)
      for i = 1, 4 do naps(1) emit(i) end
    end) do
      local _ <close> = open "body"
      naps(1)
      if value == 3 then break end
    end
  end

  function scenarios.nested_gens(open)
    local function level(n)
      return eddy.gen(function(emit)
        local _ <close> = open("level " .. n)
        if n == 3 then naps(1) emit(1) naps(1) emit(2) return end
        for value in level(n + 1) do naps(1) emit(value) end
      end)
    end
    for _ in level(1) do naps(1) end
  end

  function scenarios.as_completed(open)
    local function member(n)
      return function()
        local _ <close> = open("member " .. n)
        local _ <close> = eddy.defer(function() naps(1) end)
        naps(n)
        if n == 2 then error "expected" end
      end
    end
    for index in eddy.as_completed { member(3), member(2), member(20), member(1) } do
      naps(1)
      if index == 1 then break end
    end
  end

  function scenarios.map(open)
    eddy.map({ 1, 2, 3, 4, 5 }, function(n)
      local _ <close> = open("call " .. n)
      naps(n % 3)
    end, { limit = 2 })
  end

  function scenarios.each(open)
    eddy.each(eddy.gen(function(emit)
      local _ <close> = open "source"
      for i = 1, 4 do naps(i % 2) emit(i) end
    end), function(n)
      local _ <close> = open("call " .. n)
      naps(n % 3)
    end, { limit = 2 })
  end

  function scenarios.await(open)
    for i = 1, 3 do
      local _ <close> = open "round"
      eddy.await(function(resolve)
        if i == 2 then return resolve(i) and nil end
        local closer = open("call " .. i)
        local pending = true
        local function finish()
          if pending then
            pending = false
            getmetatable(closer).__close(closer)
          end
        end
        eddy.background(function()
          local _ <close> = setmetatable({}, { __close = finish })
          naps(2)
          finish()
          resolve(i)
        end)
        return finish
      end)
    end
  end

  function scenarios.start(open)
    eddy.group(function(group)
      for i = 1, 2 do
        group:start(function(ready)
          local _ <close> = open("server " .. i)
          local _ <close> = eddy.defer(function() naps(1) end)
          naps(i)
          ready()
          naps(2)
        end)
        naps(1)
      end
    end)
  end

  function scenarios.future(open)
    local future = eddy.future()
    eddy.group(function(group)
      for i = 1, 2 do group:spawn(function() local _ <close> = open("waiter " .. i) future:await() naps(1) end) end
      naps(2)
      future:set(1)
      naps(1)
    end)
  end

  function scenarios.require(open)
    package.loaded.spec_sweep = nil
    package.preload.spec_sweep = function()
      local _ <close> = open "module"
      naps(3)
      return "loaded"
    end
    eddy.group(function(group)
      group:spawn(eddy.require, "spec_sweep")
      local first = eddy.spawn(eddy.require, "spec_sweep")
      naps(1)
      first:cancel()
      assert(eddy.require "spec_sweep" == "loaded")
    end)
  end

  return scenarios
]]

local scenarios = assert(load(SOURCE, "=scenarios"))(eddy)

--- A counter of what is open; closing one twice raises.
local function new_ledger()
  local ledger = { open = 0, total = 0 }
  function ledger.opener()
    ledger.open, ledger.total = ledger.open + 1, ledger.total + 1
    local is_closed = false
    return setmetatable({}, { __close = function()
      if is_closed then error "closed twice" end
      is_closed = true
      ledger.open = ledger.open - 1
    end })
  end
  return ledger
end

local TestCancel = { clock = "manual" }

for name, scenario in pairs(scenarios) do
  TestCancel["test_" .. name] = function()
    for turns = 0, 200 do
      local ledger = new_ledger()
      local task = eddy.spawn(scenario, ledger.opener)
      for _ = 1, turns do eddy.sleep(0) end
      local was_running = task:cancel()
      local ok, err = task:join()
      lu.assertEquals(ledger.open, 0)
      if not was_running or ok then
        lu.assertTrue(ok, tostring(err))
        lu.assertTrue(turns > 2 and ledger.total > 0)
        break
      end
      lu.assertTrue(eddy.is(err, "cancelled"), tostring(err))
      for _ = 1, 8 do eddy.sleep(0) end   -- what runs in the background
      lu.assertEquals(eddy.stats().operations, 0)
      lu.assertTrue(turns < 200)
    end
  end
end

local TestKill = { timeout = 60 }

-- In a state that ends after so many turns everything is killed where it is.
local KILL = [[
  local eddy = require "eddy"
  local scenarios = assert(load(%q, "=scenarios"))(eddy)
  local name = %q
  local turns, open = tonumber(%q), 0
  local function opener()
    open = open + 1
    local is_closed = false
    return setmetatable({}, { __close = function()
      if is_closed then print "closed twice" end
      is_closed = true
      open = open - 1
    end })
  end
  local _ <close> = setmetatable({}, { __close = function() print("left open", open) end })
  eddy.spawn(scenarios[name], opener)
  for _ = 1, turns do eddy.sleep(0) end
  os.exit(0, true)
]]

for name in pairs(scenarios) do
  TestKill["test_outside_" .. name] = function()
    for _, turns in ipairs { 1, 2, 3, 4, 6, 9 } do
      local result = process.eddy { "-e", KILL:format(SOURCE, name, turns) }
      lu.assertEquals({ turns, result.stderr, result.stdout, result.code }, { turns, "", "left open\t0\n", 0 })
    end
  end
end

return { TestCancel = TestCancel, TestKill = TestKill }
