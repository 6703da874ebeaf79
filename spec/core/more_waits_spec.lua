-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of the waits that are made of others.
-- luacheck: ignore 512 (a loop that is left at once closes what it stands on)
local lu = ...
local eddy = require "eddy"
local waits = require "spec.support.waits"

local suite = {}

suite.TestFutureAwait = waits.class(lu, {
  setup = function() return waits.env { future = eddy.future() } end,
  wait = function(env) return env.future:await() end,
  finish = function(env) if not env.future:is_set() then env.future:set("a", nil, "c") end end,
  check = function(_, _, ...) lu.assertEquals(table.pack(...), { "a", nil, "c", n = 3 }) end,
  is_immediate = true,
})

-- Each wait registers its own callback; `finish` calls all that are waiting.
suite.TestAwaitCallback = waits.class(lu, {
  setup = function() return waits.env { resolvers = {} } end,
  wait = function(env)
    return eddy.await(function(resolve)
      table.insert(env.resolvers, resolve)
      return function() resolve "refused" end
    end)
  end,
  finish = function(env)
    for _, resolve in ipairs(env.resolvers) do resolve("a", nil, "c") end
    env.resolvers = {}
  end,
  check = function(_, _, ...) lu.assertEquals(table.pack(...), { "a", nil, "c", n = 3 }) end,
  is_immediate = true,
})

suite.TestGroupStart = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    return eddy.group(function(group)
      return group:start(function(ready) env.event:wait() ready("a", nil, "c") end)
    end)
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals(table.pack(...), { "a", nil, "c", n = 3 }) end,
})

suite.TestAsCompleted = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    local seen = {}
    for index, ok, value in eddy.as_completed { function() env.event:wait() return "x" end, function() end } do
      seen[#seen + 1] = { index, ok, value }
    end
    return seen
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, seen) lu.assertEquals(seen, { { 2, true }, { 1, true, "x" } }) end,
})

suite.TestMap = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    return eddy.map({ 1, 2, 3 }, function(value) env.event:wait() return value * 2 end, { limit = 2 })
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, results) lu.assertEquals(results, { 2, 4, 6, n = 3 }) end,
})

suite.TestEach = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    local n, sum = 0, 0
    eddy.each(function()
      n = n + 1
      return n <= 3 and n or nil
    end, function(value) env.event:wait() sum = sum + value end, { limit = 2 })
    return sum
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, sum) lu.assertEquals(sum, 6) end,
})

suite.TestGenerator = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    for value in eddy.gen(function(emit) env.event:wait() emit "x" end) do return value end
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, value) lu.assertEquals(value, "x") end,
})

suite.TestRequire = waits.class(lu, {
  setup = function()
    local event = eddy.event()
    package.preload.spec_waits = function() event:wait() return "module" end
    return setmetatable({ event = event }, { __close = function()
      package.preload.spec_waits, package.loaded.spec_waits = nil, nil
    end })
  end,
  wait = function() return (eddy.require "spec_waits") end,
  finish = function(env) env.event:set() end,
  check = function(_, _, value) lu.assertEquals(value, "module") package.loaded.spec_waits = nil end,
})

suite.TestEvery = waits.class(lu, {
  setup = function() return waits.env {} end,
  wait = function() for n in eddy.every(0.003) do return n end end,
  finish = function() eddy.sleep(0.004) end,
  check = function(_, _, n) lu.assertTrue(n >= 1) end,
})

return suite
