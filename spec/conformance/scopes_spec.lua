-- SPDX-License-Identifier: MIT
-- Statements 29 to 54: cancellation scopes and shields. One test for each, named by its number.
-- luacheck: ignore 512 (a loop that is left at once)
local lu = ...
local eddy = require "eddy"

local reports = {}   -- what on_error was told

local TestScopes = { clock = "manual", config = { on_error = function(err) reports[#reports + 1] = err end } }

function TestScopes:setUp() reports = {} end

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = fn }) end

-- Start `fn`, cancel it in its first wait, and give the task.
local function cancelled(fn, reason)
  local task = eddy.spawn(fn)
  turns(2)
  task:cancel(reason)
  return task
end

local function is_cancelled(ok, err) return not ok and eddy.is(err, "cancelled") end

-- Every wait that could end at once; what it would have taken is still there.
local function waits_that_would_not_block()
  local done, event, future = eddy.spawn(function() return "value" end), eddy.event(), eddy.future()
  done:await()
  event:set()
  future:set "value"
  local queue, full, lock, free = eddy.queue(), eddy.queue(1), eddy.lock(), eddy.semaphore(2)
  local limit, opened, put = eddy.ratelimit(1, 1000), 0, eddy.queue(5)
  local pool <close> = eddy.pool { open = function() opened = opened + 1 return {} end }
  local used = eddy.pool { open = function() return {} end }
  used:get():release()
  queue:put "item"
  full:put "item"
  local function nothing() error "ran" end
  local waits = {
    sleep = function() eddy.sleep(-1) end,
    sleep_until = function() eddy.sleep_until(0) end,
    await = function() done:await() end,
    join = function() done:join() end,
    gather = function() eddy.gather(done) end,
    gather_nothing = function() eddy.gather {} end,
    gather_function = function() eddy.gather(nothing) end,
    settle = function() eddy.settle { done } end,
    race = function() eddy.race { done } end,
    any = function() eddy.any { done } end,
    as_completed = function() for _ in eddy.as_completed { done } do return end end,
    map = function() eddy.map({ 1 }, nothing) end,
    map_nothing = function() eddy.map({}, nothing) end,
    each = function() eddy.each(nothing, nothing) end,
    start = function() eddy.group(function(group) group:start(nothing) end) end,
    event = function() event:wait() end,
    future = function() future:await() end,
    get = function() queue:get() end,
    iter = function() for _ in queue:iter() do return end end,
    put = function() put:put "item" end,
    join_queue = function() eddy.queue():join() end,
    acquire = function() free:acquire() end,
    with = function() free:with(nothing) end,
    lock = function() lock:acquire() end,
    lock_with = function() lock:with(nothing) end,
    barrier = function() eddy.barrier(1):wait() end,
    select = function() eddy.select { queue } end,
    select_event = function() eddy.select { event, queue, timeout = 0 } end,
    ratelimit = function() limit:acquire() end,
    pool = function() pool:get() end,
    pool_idle = function() used:get() end,
    pool_timeout = function() used:get { timeout = 1 } end,
    callback = function() eddy.await(function(resolve) resolve(nothing) error "ran" end) end,
    offload = function() eddy.offload(function() return 1 end) end,
    closed = function() local closed = eddy.queue() closed:close() closed:get() end,
  }
  eddy.group(function(group)
    group:cancel "why"
    for name, wait in pairs(waits) do
      local ok, err = pcall(wait)
      lu.assertEquals({ name, ok, eddy.is(err, "cancelled") and err.reason }, { name, false, "why" })
    end
  end)
  lu.assertEquals({ queue:size(), put:size(), full:size(), free:available(), lock:locked(), opened }, { 1, 0, 1, 2, false, 0 })
  lu.assertTrue(eddy.within(1, limit.acquire, limit))
  lu.assertEquals({ used:stats().idle, used:stats().open, eddy.stats().operations }, { 1, 1, 0 })
  used:close()
end

function TestScopes:test_s029_every_checkpoint_raises_until_the_scope_is_left()
  local free, done, count = eddy.semaphore(100), eddy.spawn(function() end), 0
  done:await()
  eddy.group(function(group)
    group:cancel()
    for _, wait in ipairs { function() eddy.sleep(0) end, function() eddy.sleep(1) end, function() free:acquire() end,
        function() done:await() end, function() eddy.sleep(0) end } do
      if is_cancelled(pcall(wait)) then count = count + 1 end
    end
  end)
  lu.assertEquals({ count, free:available() }, { 5, 100 })
  waits_that_would_not_block()
end

function TestScopes:test_s030_outside_of_the_scope_nothing_raises()
  eddy.group(function(group) group:cancel "never delivered" end)
  eddy.sleep(1)
  eddy.group(function(group) group:cancel() pcall(eddy.sleep, 1) end)
  lu.assertFalse(eddy.cancelled())
  lu.assertTrue(eddy.within(5, eddy.sleep, 1))
end

function TestScopes:test_s031_cancelled_before_entry()
  local log = {}
  local task = eddy.spawn(function()
    eddy.current():cancel "early"
    eddy.timeout(10, function()
      log[1] = "entered"
      eddy.sleep(0)
      log[2] = "never"
    end)
  end)
  local _, err = task:join()
  lu.assertEquals({ log, err.reason, task:status() }, { { "entered" }, "early", "cancelled" })
end

function TestScopes:test_s032_a_deadline_past_at_entry()
  local from, log = eddy.now(), {}
  for _, seconds in ipairs { 0, -1, -math.huge } do
    local ok = eddy.within(seconds, function()
      log[#log + 1] = "ran"
      eddy.sleep(0)
      log[#log + 1] = "never"
    end)
    lu.assertFalse(ok)
  end
  lu.assertEquals({ log, eddy.now() }, { { "ran", "ran", "ran" }, from })
end

function TestScopes:test_s033_the_outer_of_two_cancelled_scopes_absorbs()
  local seen, after_inner, after_outer
  eddy.group(function(outer)
    eddy.group(function(inner)
      inner:cancel "inner"
      outer:cancel "outer"
      seen = select(2, pcall(eddy.sleep, 1))
      error(seen, 0)
    end)
    after_inner = true
  end)
  after_outer = true
  lu.assertEquals({ seen.reason, after_inner, after_outer }, { "outer", nil, true })
end

function TestScopes:test_s034_inner_cancelled_while_the_outers_error_travels()
  local log = {}
  eddy.group(function(outer)
    eddy.group(function(inner)
      local _ <close> = on_close(function(_, err) log[1] = err.reason inner:cancel "inner" end)
      outer:cancel "outer"
      eddy.sleep(1)
    end)
    log[2] = "never"
  end)
  lu.assertEquals(log, { "outer" })
end

function TestScopes:test_s035_a_shield_hides_only_what_is_outside()
  local log = {}
  local task = cancelled(function()
    pcall(eddy.sleep, 100)
    eddy.shield(50, function()
      eddy.sleep(1)
      log[1] = "hidden"
      log[2] = eddy.within(2, eddy.sleep, 40)          -- a deadline inside it
      eddy.group(function(group) group:cancel() eddy.sleep(40) log[3] = "never" end)
      eddy.sleep(1)
      log[3] = "end"
    end)
    eddy.sleep(0)
    log[4] = "never"
  end)
  local from = eddy.now()
  task:join()
  lu.assertEquals({ log, task:status() }, { { "hidden", false, "end" }, "cancelled" })
  lu.assertAlmostEquals(eddy.now() - from, 4, 1e-6)
end

function TestScopes:test_s036_the_end_of_a_shield_wakes_a_sleeper()
  -- A shield is not taken away from within a wait; what ends under a sleeper is its time.
  local from = eddy.now()
  local task = cancelled(function() eddy.shield(3, eddy.sleep, 1000) end, "why")
  local _, err = task:join()
  lu.assertAlmostEquals(eddy.now() - from, 3, 1e-6)
  lu.assertEquals({ err.kind, err.reason }, { "cancelled", "why" })
end

function TestScopes:test_s037_a_shield_in_close_does_not_absorb()
  local log = {}
  local task = cancelled(function()
    do
      local _ <close> = on_close(function()
        eddy.shield(5, function() eddy.sleep(1) log[1] = "cleaned" end)
      end)
      eddy.sleep(100)
    end
    log[2] = "went on"
  end)
  task:join()
  lu.assertEquals({ log, task:status() }, { { "cleaned" }, "cancelled" })
end

function TestScopes:test_s038_a_canceller_is_called_once()
  local calls = 0
  eddy.group(function(outer)
    eddy.group(function(inner)
      eddy.spawn(function()
        inner:cancel()
        outer:cancel()
        inner:cancel()
      end)
      eddy.await(function() return function() calls = calls + 1 end end)
    end)
  end)
  turns(3)
  lu.assertEquals(calls, 1)
end

-- 39 and 40 need an operation in C that cannot be given up: spec/host/conformance_ops_test.c.

function TestScopes:test_s041_a_block_is_entered_once()
  -- Scopes are no objects of their own; the handle of a block that ended opens nothing again.
  local kept
  eddy.group(function(group) kept = group end)
  local ran = false
  lu.assertErrorMsgContains("group", function() kept:spawn(function() ran = true end) end)
  turns(1)
  lu.assertFalse(ran)
  local group = eddy.group()
  do local _ <close> = group end
  lu.assertErrorMsgContains("group", function() local _ <close> = group group:spawn(print) end)
  eddy.sleep(0)
end

function TestScopes:test_s042_misnested_blocks_raise_and_the_stack_holds()
  local co = coroutine.create(function()
    eddy.group(function() coroutine.yield "out of an open block" end)
  end)
  local ok, err = coroutine.resume(co)
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "cannot yield out of")
  local task = eddy.spawn(function()
    local outer, inner = eddy.group(), eddy.group()
    local closed, problem = pcall(getmetatable(outer).__close, outer, nil)
    lu.assertFalse(closed)
    lu.assertStrContains(tostring(problem), "group")
    pcall(getmetatable(inner).__close, inner, nil)
    return "fine"
  end)
  task:join()
  lu.assertEquals({ eddy.within(1, eddy.sleep, 5) }, { false })
  lu.assertEquals({ eddy.deadline(), eddy.cancelled() }, { math.huge, false })
end

function TestScopes:test_s043_all_descendants_hear_of_it_in_one_turn()
  local heard, leaves = {}, 0
  local function tree(depth)
    if depth == 0 then
      leaves = leaves + 1
      local _, err = pcall(eddy.sleep, 100)
      heard[#heard + 1] = err.reason
      error(err, 0)
    end
    for _ = 1, 3 do eddy.spawn(tree, depth - 1) end
  end
  local root = eddy.spawn(tree, 3)
  turns(6)
  lu.assertEquals(leaves, 27)
  root:cancel "all"
  turns(1)
  lu.assertEquals(#heard, 27)
  for i = 1, 27 do lu.assertEquals(heard[i], "all") end
  root:join()
end

function TestScopes:test_s044_a_grandchild_spawned_meanwhile_never_runs()
  local ran, grandchild = false, nil
  local task = cancelled(function()
    eddy.spawn(function()
      local _ <close> = on_close(function() grandchild = eddy.spawn(function() ran = true end) end)
      eddy.sleep(100)
    end):await()
  end)
  task:join()
  turns(2)
  lu.assertEquals({ ran, grandchild:status() }, { false, "cancelled" })
end

function TestScopes:test_s045_a_shield_lasts_its_time()
  -- It counts from the outer cancel, and what it lets in is that cancel itself, with its reason.
  local seen
  local task = eddy.spawn(function()
    eddy.shield(2, function()
      seen = select(2, pcall(eddy.sleep, 1000))
      error(seen, 0)
    end)
  end)
  eddy.sleep(10)                                    -- without an outer cancel it never interrupts
  lu.assertEquals(task:status(), "waiting")
  task:cancel "outer"
  local from = eddy.now()
  task:join()
  lu.assertAlmostEquals(eddy.now() - from, 2, 1e-6)
  lu.assertEquals({ seen.kind, seen.reason, task:status() }, { "cancelled", "outer", "cancelled" })
end

function TestScopes:test_s046_swallowing_is_warned_about_and_ended()
  local rounds, other, warned_at = 0, 0, nil
  local task = cancelled(function()
    while true do
      rounds = rounds + 1
      if not warned_at and #reports > 0 then warned_at = rounds end
      pcall(eddy.sleep, 1)
    end
  end)
  local before = rounds
  while task:status() ~= "cancelled" and other < 5000 do
    other = other + 1
    eddy.sleep(0)
  end
  rounds, warned_at = rounds - before, warned_at - before
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals({ #reports, reports[1].code }, { 1, "swallowed" })
  lu.assertAlmostEquals(warned_at, 256, 2)
  lu.assertAlmostEquals(rounds, 1024, 2)
  lu.assertTrue(other >= 0.9 * rounds)              -- the others had their turns all the while
end

function TestScopes:test_s047_clean_up_of_a_killed_task()
  local log = {}
  local task = cancelled(function()
    local _ <close> = on_close(function(_, err) log[#log + 1] = { "first", err } end)
    local _ <close> = on_close(function(_, err)
      log[#log + 1] = { "second", err == nil or eddy.is(err, "cancelled") }
      error("in a handler", 0)
    end)
    local _ <close> = on_close(function()
      local ok, err = pcall(eddy.sleep, 0)
      log[#log + 1] = { "third", ok, tostring(err):match "cannot await: task is being killed" }
    end)
    while true do pcall(eddy.sleep, 1) end
  end)
  task:join()
  lu.assertEquals(log, { { "third", false, "cannot await: task is being killed" }, { "second", true },
    { "first", "in a handler" } })
end

function TestScopes:test_s048_a_killed_coroutine_is_not_reused()
  for _ = 1, 3 do
    cancelled(function()
      xpcall(function() while true do pcall(eddy.sleep, 1) end end, function() return "stale" end)
    end):join()
  end
  for i = 1, 1000 do
    lu.assertEquals({ eddy.spawn(function() error("own " .. i, 0) end):join() }, { false, "own " .. i })
  end
end

function TestScopes:test_s049_reason_and_place_of_the_cancel()
  local reason = {}
  local task = eddy.spawn(eddy.sleep, 1000)
  eddy.sleep(0)
  task:cancel(reason) local line = debug.getinfo(1, "l").currentline
  local _, err = task:join()
  lu.assertTrue(rawequal(err.reason, reason))
  lu.assertStrContains(err.traceback, ("scopes_spec.lua:%d"):format(line))
  local member
  eddy.group(function(group)
    member = group:spawn(eddy.sleep, 1000)
    eddy.sleep(0)
    group:cancel()
  end)
  lu.assertStrContains(select(2, member:join()).traceback, "cancelled at ")
end

function TestScopes:test_s050_asking_without_raising()
  local log = {}
  eddy.group(function(group)
    log[1] = eddy.cancelled()
    group:cancel()
    log[2] = eddy.cancelled()
    eddy.shield(1, function() log[3] = eddy.cancelled() end)
    log[4] = eddy.cancelled()
  end)
  log[5] = eddy.cancelled()
  lu.assertEquals(log, { false, true, false, true, false })
end

function TestScopes:test_s051_cancel_raises_in_the_innermost_coroutine()
  local log = {}
  local function noting(name) return on_close(function(_, err) log[#log + 1] = name .. " " .. tostring(err.reason) end) end
  local task = cancelled(function()
    local _ <close> = noting "task"
    coroutine.wrap(function()
      local _ <close> = noting "outer"
      coroutine.wrap(function()
        local _ <close> = noting "inner"
        eddy.sleep(100)
      end)()
    end)()
  end, "r")
  task:join()
  lu.assertEquals({ log, task:status() }, { { "inner r", "outer r", "task r" }, "cancelled" })
end

function TestScopes:test_s052_deep_nesting()
  local function close_groups(depth, bottom)
    if depth == 0 then return bottom() end
    local _ <close> = eddy.group()
    local result = close_groups(depth - 1, bottom)
    return result
  end
  lu.assertEquals(close_groups(10000, function() eddy.sleep(1) return "bottom" end), "bottom")
  local function forms(depth) return depth == 0 and "bottom" or (eddy.timeout(100, forms, depth - 1)) end
  lu.assertEquals(forms(150), "bottom")
  local ok, err = pcall(forms, 500)
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "overflow")
  -- A cancel from outside all of them ends them all.
  local task = cancelled(function() close_groups(10000, function() eddy.sleep(100) end) end)
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

function TestScopes:test_s053_equal_deadlines_fire_outer_first()
  local seen, after_inner
  local ok, err = pcall(eddy.timeout, 2, function()
    eddy.timeout(2, function()
      seen = select(2, pcall(eddy.sleep, 10))
      error(seen, 0)
    end)
    after_inner = true
  end)
  lu.assertFalse(ok)
  lu.assertEquals({ err.kind, seen.kind, seen.reason, after_inner }, { "timeout", "cancelled", "timeout", nil })
end

function TestScopes:test_s054_a_cancelled_scope_leaves_no_cycle()
  collectgarbage "stop"
  local _ <close> = on_close(function() collectgarbage "restart" end)
  local weak = setmetatable({}, { __mode = "k" })
  for _ = 1, 20 do
    local task = cancelled(function()
      eddy.group(function(group)
        weak[group] = true
        weak[group:spawn(eddy.sleep, 100)] = true
        eddy.within(50, eddy.sleep, 100)
      end)
    end)
    weak[task] = true
    weak[select(2, task:join())] = true
  end
  turns(2)
  collectgarbage()
  collectgarbage()
  local left = 0
  for _ in pairs(weak) do left = left + 1 end
  lu.assertTrue(left <= 3, left)                    -- those of the last round may lie in a register
  local before = collectgarbage "count"
  collectgarbage()
  lu.assertAlmostEquals(collectgarbage "count", before, 0.5)
end

return { TestScopes = TestScopes }
