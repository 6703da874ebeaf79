-- SPDX-License-Identifier: MIT
-- The questions of spec/support/waits.lua, asked of every wait of the synchronisation objects; and that
-- waiting takes no memory from the system once a program is warm.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local waits = require "spec.support.waits"
local process = require "spec.support.process"

local suite = {}

-- A lock that another task holds until it is told to let go.
local function held_lock()
  local env = waits.env { lock = eddy.lock(), go = eddy.event() }
  env.holder = eddy.spawn(function()
    local _ <close> = env.lock:acquire()
    env.go:wait()
  end)
  eddy.sleep(0)
  return env
end

-- What a check acquired is still held when the next one waits: each gives it back.
suite.TestLockAcquire = waits.class(lu, {
  setup = held_lock,
  wait = function(env)
    local guard <close> = env.lock:acquire()
    return env.lock:locked(), guard:release()
  end,
  finish = function(env) env.go:set() end,
  check = function(_, env, ...)
    lu.assertEquals({ ... }, { true, true })
    env.holder:await()
  end,
})

suite.TestConditionWait = waits.class(lu, {
  setup = function() return waits.env { condition = eddy.condition() } end,
  wait = function(env)
    local _ <close> = env.condition.lock:acquire()
    return env.condition:wait()
  end,
  finish = function(env)
    eddy.spawn(function() env.condition.lock:with(env.condition.notify, env.condition) end)
  end,
  check = function(_, env, ok)
    lu.assertTrue(ok)
    lu.assertFalse(env.condition.lock:locked())
  end,
})

suite.TestConditionWaitFor = waits.class(lu, {
  setup = function() return waits.env { condition = eddy.condition() } end,
  wait = function(env)
    local _ <close> = env.condition.lock:acquire()
    return env.condition:wait_for(function() return env.value end)
  end,
  finish = function(env)
    eddy.spawn(function()
      local _ <close> = env.condition.lock:acquire()
      env.value = "there"
      env.condition:notify_all()
    end)
  end,
  check = function(_, _, value) lu.assertEquals(value, "there") end,
})

-- `finish` are the last two arrivals; one waits besides them.
suite.TestBarrierWait = waits.class(lu, {
  setup = function() return waits.env { barrier = eddy.barrier(3) } end,
  wait = function(env) return env.barrier:wait() end,
  finish = function(env) for _ = 1, 2 do eddy.spawn(env.barrier.wait, env.barrier) end end,
  check = function(_, _, index) lu.assertEquals(index, 1) end,
})

suite.TestRateLimitAcquire = waits.class(lu, {
  setup = function()
    local limit = eddy.ratelimit(1, 0.02)
    limit:acquire()
    return waits.env { limit = limit }
  end,
  wait = function(env) return env.limit:acquire() end,
  finish = function() eddy.sleep(0.02) end,
  check = function(_, _, ok) lu.assertTrue(ok) end,
})

suite.TestSelectQueue = waits.class(lu, {
  setup = function() return waits.env { other = eddy.event(), queue = eddy.queue(), n = 0 } end,
  wait = function(env)
    local index, item, err = eddy.select { env.other, env.queue, timeout = 100 }
    lu.assertEquals(index, 2)
    return item, err
  end,
  finish = function(env) env.n = env.n + 1 env.queue:try_put(env.n) end,
  check = function(_, env, item)
    lu.assertEquals(item, env.n)
    lu.assertEquals(env.queue:size(), 0)
  end,
  close = function(env) env.queue:close() end,
  is_immediate = true,
})

suite.TestSelectEvent = waits.class(lu, {
  setup = function() return waits.env { event = eddy.event(), queue = eddy.queue() } end,
  wait = function(env) return eddy.select { env.queue, env.event } end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals({ ... }, { 2, true }) end,
  is_immediate = true,
})

suite.TestSelectTask = waits.class(lu, {
  setup = function()
    local event = eddy.event()
    return waits.env { event = event, task = eddy.spawn(function() event:wait() end) }
  end,
  wait = function(env) return eddy.select { eddy.event(), env.task } end,
  finish = function(env) env.event:set() end,
  check = function(_, _, ...) lu.assertEquals({ ... }, { 2, true }) end,
})

for _, order in ipairs { "lifo", "priority" } do
  suite["TestQueueGet_" .. order] = waits.class(lu, {
    setup = function() return waits.env { queue = eddy.queue(nil, { order = order }), n = 0 } end,
    wait = function(env) return env.queue:get() end,
    finish = function(env) env.n = env.n + 1 env.queue:try_put(env.n) end,
    check = function(_, env, item) lu.assertEquals(item, env.n) end,
    close = function(env) env.queue:close() end,
    is_immediate = true,
  })
  suite["TestQueuePut_" .. order] = waits.class(lu, {
    setup = function()
      local queue = eddy.queue(1, { order = order })
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
end

suite.TestPoolGet = waits.class(lu, {
  setup = function()
    local pool = eddy.pool { max = 1, open = function() return {} end }
    local env
    env = waits.env({ pool = pool, slot = pool:get() }, { close = function() env.slot:release() end })
    return env
  end,
  wait = function(env)
    local slot, err = env.pool:get()
    if not slot then return nil, err end
    env.slot = slot
    return true
  end,
  finish = function(env) env.slot:release() end,
  check = function(_, _, ok) lu.assertTrue(ok) end,
  close = function(env) env.pool:close() end,
  is_immediate = true,
})

-- ---- Memory ----------------------------------------------------------------------------------------

local TestAllocations = { clock = "manual" }
suite.TestAllocations = TestAllocations

-- How often the system is asked for memory by 500 rounds of two tasks, after 100 to warm up.
local function count(round)
  local asked
  eddy.group(function(group)
    for i = 1, 2 do
      group:spawn(function()
        for n = 1, 600 do
          if i == 1 and n == 100 then asked = core.allocations() end
          round(i)
        end
      end)
    end
  end)
  return core.allocations() - asked
end

function TestAllocations:test_none_once_warm()
  lu.skipIf(process.program:find "/asan/" or process.program:find "/memcheck/", "this build keeps no memory for reuse")
  local semaphore, lock, condition = eddy.semaphore(1), eddy.lock(), eddy.condition()
  local barrier, limit = eddy.barrier(2), eddy.ratelimit(1000, 1, 1)
  local there, back = eddy.event(), eddy.event()
  local rounds = {
    semaphore = function() local _ <close> = semaphore:acquire() eddy.sleep(0) end,
    lock = function() local _ <close> = lock:acquire() eddy.sleep(0) end,
    barrier = function() barrier:wait() end,
    ratelimit = function() limit:acquire() end,
    event = function(i)
      local mine, yours = i == 1 and there or back, i == 1 and back or there
      if i == 1 then yours:set() end
      mine:wait()
      mine:clear()
      if i == 2 then yours:set() end
    end,
    condition = function()
      local _ <close> = condition.lock:acquire()
      condition:notify()
      eddy.within(0.001, condition.wait, condition)
    end,
  }
  for _, order in ipairs { "fifo", "lifo", "priority" } do
    for max = 0, 1 do
      local queue = eddy.queue(max, { order = order })
      rounds["queue " .. order .. max] = function(i) if i == 1 then queue:get() else queue:put(i) end end
      local chosen = eddy.queue(max, { order = order })
      rounds["select " .. order .. max] = function(i)
        if i == 1 then eddy.select { there, chosen, timeout = 1 } else chosen:put(i) end
      end
    end
  end
  for name, round in pairs(rounds) do
    there:clear()
    back:clear()
    lu.assertEquals({ name, count(round) }, { name, 0 })
  end
end

-- ---- The state ends while everything waits ------------------------------------------------------------

local TestStateEnds = {}
suite.TestStateEnds = TestStateEnds

function TestStateEnds:test_outside_exit_inside_a_task()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local closed = 0
    local function waiting(fn, ...)
      return eddy.spawn(function(...)
        local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        fn(...)
      end, ...)
    end
    local never, queue = eddy.event(), eddy.queue(nil, { order = "priority" })
    local lock, condition, barrier = eddy.lock(), eddy.condition(), eddy.barrier(9)
    local limit = eddy.ratelimit(1, 1000)
    local pool = eddy.pool { max = 1, open = function() return 1 end, close = function() eddy.sleep(1) end }
    local slot, guard = pool:get(), lock:acquire()
    limit:acquire()
    waiting(lock.acquire, lock)
    for _ = 1, 2 do waiting(function() local _ <close> = condition.lock:acquire() condition:wait() end) end
    waiting(function() local _ <close> = condition.lock:acquire() condition:notify() never:wait() end)
    waiting(barrier.wait, barrier)
    waiting(limit.acquire, limit)
    waiting(eddy.select, { never, queue, timeout = 1000 })
    waiting(pool.get, pool)
    waiting(pool.get, pool, { timeout = 1000 })
    for _ = 1, 5 do eddy.sleep(0) end
    local _ <close> = setmetatable({}, { __close = function() print("closed", closed) end })
    os.exit(0, true)]] }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.stdout, "closed\t9\n")
  lu.assertEquals(result.code, 0)
end

return suite
