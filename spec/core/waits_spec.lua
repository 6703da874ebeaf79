-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of every wait of the kernel.
local lu = ...
local eddy = require "eddy"
local waits = require "spec.support.waits"
local process = require "spec.support.process"

local suite = {}

suite.TestEventWait = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env) return env.event:wait() end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals({ ... }, { true }) end,
  is_immediate = true,
})

suite.TestSemaphoreAcquire = waits.class(lu, {
  setup = function()
    local held = {}
    return waits.env({ semaphore = eddy.semaphore(0), held = held }, { close = function()
      for _, permit in ipairs(held) do permit:release() end
    end })
  end,
  wait = function(env) return env.semaphore:acquire() end,
  finish = function(env) env.semaphore:release() end,
  check = function(_, env, permit)
    lu.assertTrue(permit:release())
    lu.assertFalse(permit:release())
    lu.assertEquals(env.semaphore:available(), 1)
    table.insert(env.held, env.semaphore:acquire())
  end,
  is_immediate = true,
})

suite.TestQueueGet = waits.class(lu, {
  setup = function() return waits.env { queue = eddy.queue(), n = 0 } end,
  wait = function(env) return env.queue:get() end,
  finish = function(env) env.n = env.n + 1 env.queue:try_put(env.n) end,
  check = function(_, env, item)
    lu.assertEquals(item, env.n)
    lu.assertEquals(env.queue:size(), 0)
  end,
  close = function(env) env.queue:close() end,
  is_immediate = true,
})

suite.TestQueuePut = waits.class(lu, {
  setup = function()
    local queue = eddy.queue(1)
    queue:put "first"
    return waits.env { queue = queue }
  end,
  wait = function(env) return env.queue:put "second" end,
  finish = function(env) env.queue:try_get() end,
  check = function(_, env, ok)
    lu.assertTrue(ok)
    lu.assertEquals(env.queue:size(), 1)
  end,
  close = function(env) env.queue:close() end,
  is_immediate = true,
})

suite.TestQueueJoin = waits.class(lu, {
  setup = function()
    local queue = eddy.queue()
    queue:put(1)
    queue:get()
    return waits.env { queue = queue }
  end,
  wait = function(env) return env.queue:join() end,
  finish = function(env) env.queue:task_done() end,
  check = function(_, _, ok) lu.assertTrue(ok) end,
  is_immediate = true,
})

local function task_env()
  local event = eddy.event()
  return waits.env { event = event, task = eddy.spawn(function() event:wait() return "a", nil, "c" end) }
end

-- `finish` sets an event; the awaited task itself ends one turn later.
suite.TestTaskAwait = waits.class(lu, {
  setup = task_env,
  wait = function(env) return env.task:await() end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals(table.pack(...), { "a", nil, "c", n = 3 }) end,
})

suite.TestTaskJoin = waits.class(lu, {
  setup = task_env,
  wait = function(env) return env.task:join() end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals(table.pack(...), { true, "a", nil, "c", n = 4 }) end,
})

suite.TestGather = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    return eddy.gather(function() env.event:wait() return 1, 2 end, function() env.event:wait() return 3 end)
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals({ ... }, { 1, 3 }) end,
})

suite.TestGroupJoin = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event() } end,
  wait = function(env)
    return eddy.group(function(group)
      group:spawn(env.event.wait, env.event)
      return "done"
    end)
  end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals({ ... }, { "done" }) end,
})

-- The state ends while everything waits: '<close>' variables run once, nothing is printed.
local TestStateEnds = {}
suite.TestStateEnds = TestStateEnds

local all_waits = [[
  local eddy = require "eddy"
  local closed = 0
  local function waiting(fn, ...)
    return eddy.spawn(function(...)
      local _ <close> = setmetatable({}, { __close = function()
        closed = closed + 1
        local ok, err = pcall(eddy.sleep, 0)
        if ok or not err:find "being killed" then print("waited while killed", ok, err) end
      end })
      fn(...)
    end, ...)
  end
  local full, empty, rendezvous = eddy.queue(1), eddy.queue(), eddy.queue(0)
  full:put(1)
  local never = eddy.event()
  local sleeper = waiting(eddy.sleep, 1000)
  waiting(never.wait, never)
  waiting(full.put, full, 2)
  waiting(empty.get, empty)
  waiting(rendezvous.put, rendezvous, 1)
  waiting(full.join, full)
  waiting(sleeper.await, sleeper)
  waiting(sleeper.join, sleeper)
  local none = eddy.semaphore(0)
  waiting(none.acquire, none)
  waiting(eddy.gather, function() never:wait() end, function() eddy.sleep(1000) end)
  waiting(eddy.settle, { sleeper })
  waiting(eddy.timeout, 1000, never.wait, never)
  waiting(eddy.shield, 1000, never.wait, never)
  waiting(eddy.group, function(g) g:spawn(never.wait, never) end)
  waiting(function() local g <close> = eddy.group() g:spawn(never.wait, never) end)
  for _ = 1, 5 do eddy.sleep(0) end
  local _ <close> = setmetatable({}, { __close = function() print("closed", closed) end })
]]

function TestStateEnds:test_outside_exit_inside_a_task()
  local result = process.eddy { "-e", all_waits .. "os.exit(0, true)" }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "closed\t15\n")
  lu.assertEquals(result.code, 0)
end

function TestStateEnds:test_outside_exit_inside_close()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    eddy.spawn(function() eddy.sleep(1000) end)
    eddy.sleep(0)
    local _ <close> = setmetatable({}, { __close = function() os.exit(7, true) end })]] }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.code, 7)
end

function TestStateEnds:test_outside_a_long_chain_of_tasks()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local n, closed = 0, 0
    local function chain()
      n = n + 1
      local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
      if n < 20000 then eddy.spawn(chain) end
      eddy.sleep(1000)
    end
    eddy.spawn(chain)
    while n < 20000 do eddy.sleep(0) end
    local _ <close> = setmetatable({}, { __close = function() print(closed) end })
    os.exit(0, true)]] }
  lu.assertEquals({ result.code, result.stdout, result.stderr }, { 0, "20000\n", "" })
end

function TestStateEnds:test_outside_error_in_close()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local function bad(name) return setmetatable({}, { __close = function() print(name) error(name) end }) end
    eddy.spawn(function() local _ <close> = bad "outer" local _ <close> = bad "inner" eddy.sleep(1000) end)
    eddy.sleep(0)
    os.exit(3, true)]] }
  lu.assertEquals(result.stdout, "inner\nouter\n")
  lu.assertEquals(result.code, 3)
end

return suite
