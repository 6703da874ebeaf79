-- SPDX-License-Identifier: MIT
-- Pools: never more than max, nothing open that nobody has, whatever happens to who asks.
local lu = ...
local eddy = require "eddy"
local killed = require "spec.support.killed"

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local reported
local TestPool = { clock = "manual", config = { on_error = function(err) reported = err end } }

-- A pool of numbered things, and what is open and was opened and closed so far.
local function new_pool(options)
  local log = { opened = 0, closed = {}, living = 0, peak = 0 }
  options = options or {}
  options.max = options.max or 2
  options.open = options.open or function()
    log.opened = log.opened + 1
    log.living = log.living + 1
    log.peak = math.max(log.peak, log.living)
    return log.opened
  end
  options.close = options.close or function(value)
    log.living = log.living - 1
    log.closed[#log.closed + 1] = value
  end
  return eddy.pool(options), log
end

function TestPool:test_reuse_last_in_first_out()
  local pool, log = new_pool { max = 3 }
  local a, b, c = pool:get(), pool:get(), pool:get()
  lu.assertEquals({ a.value, b.value, c.value }, { 1, 2, 3 })
  lu.assertEquals(pool:stats(), { open = 3, idle = 0, busy = 3, waiting = 0 })
  lu.assertTrue(a:release())
  lu.assertTrue(c:release())
  lu.assertFalse(c:release())
  lu.assertFalse(c:discard())
  lu.assertNil(c.value)
  lu.assertEquals(pool:stats(), { open = 3, idle = 2, busy = 1, waiting = 0 })
  do
    local again <close> = pool:get()
    lu.assertEquals(again.value, 3)
  end
  b:release()
  lu.assertEquals(log.opened, 3)
  pool:close()
  lu.assertEquals({ log.living, log.closed }, { 0, { 2, 3, 1 } })
end

function TestPool:test_waiters_in_order()
  local pool, order = new_pool { max = 1 }, {}
  local slot = pool:get()
  for i = 1, 3 do
    eddy.spawn(function()
      local mine <close> = pool:get()
      order[#order + 1] = { i, mine.value }
      turns(2)
    end)
  end
  turns(2)
  lu.assertEquals(pool:stats().waiting, 3)
  slot:release()
  eddy.sleep(1)
  lu.assertEquals(order, { { 1, 1 }, { 2, 1 }, { 3, 1 } })
end

function TestPool:test_timeout_of_get()
  local pool = new_pool { max = 1 }
  local slot <close> = pool:get { timeout = 1 }
  local start = eddy.now()
  local none, err = pool:get { timeout = 2 }
  lu.assertNil(none)
  lu.assertEquals({ err.kind, err.op }, { "timeout", "pool:get" })
  lu.assertAlmostEquals(eddy.now() - start, 2, 1e-6)
  lu.assertEquals(pool:stats().waiting, 0)
  slot:release()
  local at_once <close> = pool:get { timeout = 0 }
  lu.assertEquals(at_once.value, 1)
end

function TestPool:test_timeout_covers_opening()
  local pool, opened
  opened = 0
  pool = eddy.pool { max = 1, open = function() eddy.sleep(10) opened = opened + 1 return "x" end }
  local none, err = pool:get { timeout = 1 }
  lu.assertNil(none)
  lu.assertEquals({ err.kind, opened, pool:stats().open }, { "timeout", 0, 0 })
  local slot <close> = pool:get()
  lu.assertEquals(slot.value, "x")
end

function TestPool:test_open_that_fails_gives_the_place_back()
  local answer
  local pool = eddy.pool { max = 1, open = function() return answer() end }
  answer = function() return nil, "no" end
  for _ = 1, 3 do lu.assertEquals({ pool:get() }, { nil, "no" }) end
  answer = function() error { "raised" } end
  for _ = 1, 3 do
    local ok, err = pcall(pool.get, pool)
    lu.assertEquals({ ok, err }, { false, { "raised" } })
  end
  answer = function() end
  lu.assertStrContains(tostring(select(2, pool:get())), "open returned nothing")
  answer = function() return "fine" end
  local slot <close> = pool:get()
  lu.assertEquals(slot.value, "fine")
end

function TestPool:test_check()
  local bad = {}
  local pool, log = new_pool { max = 2, check = function(value)
    eddy.sleep(1)
    if bad[value] == "raise" then error "check raised" end
    return not bad[value]
  end }
  local a, b = pool:get(), pool:get()
  a:release()
  b:release()
  bad[2], bad[1] = true, "raise"
  reported = nil
  local slot <close> = pool:get()
  lu.assertEquals({ slot.value, log.closed }, { 3, { 2, 1 } })
  lu.assertStrContains(reported, "check raised")
  lu.assertEquals(pool:stats(), { open = 1, idle = 0, busy = 1, waiting = 0 })
end

function TestPool:test_idle_ones_grow_old()
  local pool, log = new_pool { max = 3, idle = 10 }
  local a, b = pool:get(), pool:get()
  a:release()
  eddy.sleep(4)
  b:release()
  eddy.sleep(7)
  lu.assertEquals({ log.closed, pool:stats().idle }, { { 1 }, 1 })   -- without anybody asking
  eddy.sleep(4)
  lu.assertEquals({ log.closed, pool:stats().open }, { { 1, 2 }, 0 })
  local c = pool:get()
  lu.assertEquals(c.value, 3)
  c:release()
  pool:close()
  turns(1)   -- who watches the age of the idle ones ends
  lu.assertEquals(log.closed, { 1, 2, 3 })
end

function TestPool:test_lifetime()
  local pool, log = new_pool { max = 2, lifetime = 10 }
  local a, b = pool:get(), pool:get()
  eddy.sleep(6)
  a:release()
  eddy.sleep(5)
  lu.assertEquals(log.closed, { 1 })
  b:release()                              -- too old to be kept
  lu.assertEquals(log.closed, { 1, 2 })
  lu.assertEquals(pool:stats().open, 0)
end

function TestPool:test_a_shorter_life_is_noticed()
  local pool, log = new_pool { max = 2, lifetime = 10, idle = 8 }
  local old = pool:get()
  eddy.sleep(7)
  pool:get():release()     -- due in 8
  old:release()            -- due in 3
  eddy.sleep(3.5)
  lu.assertEquals(log.closed, { 1 })
  eddy.sleep(5)
  lu.assertEquals(log.closed, { 1, 2 })
end

function TestPool:test_discard()
  local pool, log = new_pool()
  local slot = pool:get()
  lu.assertTrue(slot:discard())
  lu.assertFalse(slot:release())
  lu.assertEquals({ log.closed, pool:stats().open }, { { 1 }, 0 })
end

function TestPool:test_close_wakes_waiters_and_what_is_out_is_closed_later()
  local pool, log = new_pool { max = 1 }
  local slot = pool:get()
  local waiter = eddy.spawn(pool.get, pool)
  local patient = eddy.spawn(pool.get, pool, { timeout = 1000 })
  turns(2)
  pool:close()
  pool:close()
  for _, task in ipairs { waiter, patient } do
    local none, err = task:await()
    lu.assertNil(none)
    lu.assertEquals(err.kind, "closed")
  end
  lu.assertEquals(log.living, 1)
  slot:release()
  lu.assertEquals({ log.living, pool:stats().open }, { 0, 0 })
  lu.assertEquals(select(2, pool:get()).kind, "closed")
end

function TestPool:test_closed_while_one_is_opened()
  local pool, log
  pool, log = new_pool { max = 1, open = function() eddy.sleep(5) log.living = log.living + 1 return "x" end }
  local task = eddy.spawn(pool.get, pool)
  eddy.sleep(1)
  pool:close()
  local none, err = task:await()
  lu.assertNil(none)
  lu.assertEquals({ err.kind, log.living, log.closed }, { "closed", 0, { "x" } })
end

function TestPool:test_an_error_in_close_is_reported_and_changes_nothing()
  local pool = eddy.pool { max = 1, open = function() return {} end, close = function() error "cannot close" end }
  reported = nil
  pool:get():discard()
  lu.assertStrContains(reported, "cannot close")
  local slot <close> = pool:get()
  lu.assertNotNil(slot.value)
end

function TestPool:test_closing_waits_in_a_cancelled_task()
  local done = {}
  local pool = eddy.pool { max = 2, open = function() return #done + 1 end,
    close = function(value) eddy.sleep(1) done[#done + 1] = value end }
  local task = eddy.spawn(function()
    local slot = pool:get()
    eddy.current():cancel()
    slot:discard()
  end)
  task:join()
  lu.assertEquals(done, { 1 })
end

-- Cancelled at every moment of its way: the place and what was opened come back.
function TestPool:test_cancelled_anywhere()
  for delay = 0, 8 do
    local pool, log
    pool, log = new_pool { max = 1,
      open = function() eddy.sleep(2) log.living = log.living + 1 return {} end,
      check = function() eddy.sleep(2) return true end }
    pool:get():release()
    local holder = pool:get()
    local task = eddy.spawn(function()
      local first = pool:get()
      first:discard()
      local second = pool:get()
      second:release()
    end)
    eddy.spawn(function() eddy.sleep(1.5) holder:release() end)
    eddy.sleep(delay)
    task:cancel()
    task:join()
    eddy.sleep(10)
    lu.assertEquals(pool:stats().busy, 0, "delay " .. delay)
    lu.assertEquals(log.living, pool:stats().open)
    local slot = pool:get()
    lu.assertNotNil(slot)
    slot:release()
  end
end

function TestPool:test_killed_anywhere()
  for _, at in ipairs(killed.TURNS) do
    for _, how in ipairs { "waiting", "granted", "opening", "checking" } do
      local pool, log
      local slow = 0
      pool, log = new_pool { max = 1,
        open = function() eddy.sleep(slow) log.living = log.living + 1 return {} end,
        check = function() if slow > 0 then eddy.sleep(slow) end return true end }
      local slot = pool:get()
      if how == "opening" then slot:discard() elseif how == "checking" then slot:release() end
      if how == "opening" or how == "checking" then slow = 1000 end
      local function body() local _ <close> = pool:get() end
      killed.around({ body, body }, function() if how == "granted" then slot:release() end end, at)
      slow = 0
      slot:release()
      local again <close> = pool:get()
      lu.assertNotNil(again.value)
      lu.assertEquals({ how, log.living }, { how, 1 })
      lu.assertEquals(pool:stats(), { open = 1, idle = 0, busy = 1, waiting = 0 })
    end
  end
end

function TestPool:test_model()
  for seed = 1, 8 do
    math.randomseed(seed)
    local pool, log
    pool, log = new_pool { max = 3, idle = 5, lifetime = 9,
      open = function()
        eddy.sleep(math.random(0, 2))
        if math.random() < 0.1 then return nil, "no" end
        log.living = log.living + 1
        log.peak = math.max(log.peak, log.living)
        return { n = seed }
      end,
      close = function()
        log.living = log.living - 1
        if math.random() < 0.5 then eddy.sleep(1) end
      end,
      check = function() return math.random() < 0.9 end }
    eddy.group(function(group)
      for _ = 1, 60 do
        local task = group:spawn(function()
          local slot = pool:get { timeout = math.random(1, 8) }
          if not slot then return end
          local _ <close> = slot
          eddy.sleep(math.random(0, 3))
          if math.random() < 0.2 then slot:discard() end
        end)
        if math.random() < 0.3 then group:spawn(function() eddy.sleep(math.random(0, 9)) task:cancel() end) end
        if math.random() < 0.5 then eddy.sleep(math.random(0, 1)) end
      end
    end)
    lu.assertTrue(log.peak <= 3)
    local stats = pool:stats()
    lu.assertEquals({ stats.busy, stats.waiting, log.living }, { 0, 0, stats.open })
    pool:close()
    lu.assertEquals({ log.living, pool:stats().open }, { 0, 0 })
  end
end

function TestPool:test_misuse()
  lu.assertErrorMsgContains("table of options", eddy.pool)
  lu.assertErrorMsgContains("'open' is missing", eddy.pool, {})
  lu.assertErrorMsgContains("unknown pool option 'maximum'", eddy.pool, { open = print, maximum = 1 })
  lu.assertErrorMsgContains("'max' must be an integer", eddy.pool, { open = print, max = 1.5 })
  lu.assertErrorMsgContains("'max' must be above 0", eddy.pool, { open = print, max = 0 })
  lu.assertErrorMsgContains("'idle' must be above 0", eddy.pool, { open = print, idle = 0 / 0 })
  local pool = new_pool()
  lu.assertErrorMsgContains("unknown pool:get option", pool.get, pool, { time = 1 })
  lu.assertErrorMsgContains("must be a number", pool.get, pool, { timeout = "1" })
end

function TestPool:test_outside_of_a_task()
  local pool, slot
  local living = 0
  pool = eddy.pool { open = function() living = living + 1 return {} end, close = function() living = living - 1 end,
    idle = 100 }
  lu.assertErrorMsgContains("outside a task", pool.get, pool)
  eddy.run(function() slot = pool:get() pool:get():release() end)
  slot:release()
  lu.assertEquals({ living, pool:stats().idle }, { 2, 2 })
  eddy.run(function() pool:get():release() end)
  lu.assertEquals(living, 2)
  pool:close()
  lu.assertEquals(living, 0)
end

return { TestPool = TestPool }
