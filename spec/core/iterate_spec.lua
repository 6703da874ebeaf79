-- SPDX-License-Identifier: MIT
-- every, as_completed, map, each.
-- luacheck: ignore 512 (a loop that is left at once closes what it stands on)
local lu = ...
local eddy = require "eddy"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local function after(seconds, value)
  return function() eddy.sleep(seconds) return value end
end

local function failing(seconds, err)
  return function() eddy.sleep(seconds) error(err, 0) end
end

local function on_close(fn) return setmetatable({}, { __close = function(_, err) fn(err) end }) end

local TestEvery = { clock = "manual" }

function TestEvery:test_ticks_without_drift()
  local start, seen = eddy.now(), {}
  for n in eddy.every(1) do
    seen[#seen + 1] = math.floor((eddy.now() - start) * 1000 + 0.5)
    lu.assertEquals(n, #seen)
    eddy.sleep(0.25)
    if n == 4 then break end
  end
  lu.assertEquals(seen, { 1000, 2000, 3000, 4000 })
end

function TestEvery:test_missed_ticks_are_skipped()
  local start, seen = eddy.now(), {}
  for n in eddy.every(1) do
    seen[#seen + 1] = { n, math.floor((eddy.now() - start) * 10 + 0.5) }
    if n == 1 then eddy.sleep(3.5) end
    if n >= 6 then break end
  end
  lu.assertEquals(seen, { { 1, 10 }, { 4, 45 }, { 5, 50 }, { 6, 60 } })
end

function TestEvery:test_periods_are_counted_from_the_call()
  local start = eddy.now()
  local tick = eddy.every(1)
  eddy.sleep(0.5)
  lu.assertEquals(tick(), 1)
  lu.assertAlmostEquals(eddy.now() - start, 1, 1e-6)
end

function TestEvery:test_numbers_are_integers_also_for_odd_periods()
  local tick = eddy.every(0.1)
  for n = 1, 100 do
    local got = tick()
    lu.assertEquals({ got, math.type(got) }, { n, "integer" })
  end
end

function TestEvery:test_cancelled()
  local task = eddy.spawn(function() for _ in eddy.every(10) do error "no tick" end end)
  turns()
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
end

function TestEvery:test_outside_misuse()
  for _, seconds in ipairs { 0, -1, 0 / 0 } do
    lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: bad argument #1 to 'every' %(must be above 0%)",
      function() eddy.every(seconds) end)
  end
  lu.assertErrorMsgContains("number expected, got nil", eddy.every)
  lu.assertErrorMsgContains("number expected, got string", eddy.every, "1")
end

local TestCompleted = { clock = "manual" }

local function run_through(list)
  local seen = {}
  for index, ok, value in eddy.as_completed(list) do seen[#seen + 1] = { index, ok, value } end
  return seen
end

function TestCompleted:test_s105_in_completion_order()
  local err = {}
  lu.assertEquals(run_through { after(3, "slow"), after(1, "fast"), failing(2, err), function() return false, 2 end },
    { { 4, true, false }, { 2, true, "fast" }, { 3, false, err }, { 1, true, "slow" } })
  lu.assertEquals(run_through {}, {})
end

function TestCompleted:test_s106_members_that_never_wait()
  lu.assertEquals(run_through { function() return 1 end, function() end, function() error("e", 0) end },
    { { 1, true, 1 }, { 2, true }, { 3, false, "e" } })
end

function TestCompleted:test_the_error_is_the_same_value()
  local err = setmetatable({}, { __tostring = function() return "e" end })
  for _, _, value in eddy.as_completed { failing(1, err) } do lu.assertTrue(rawequal(value, err)) end
end

function TestCompleted:test_s105_break_cancels_and_awaits_the_rest()
  local log = {}
  local function slow()
    local _ <close> = eddy.defer(function(err)
      eddy.sleep(1)
      log[#log + 1] = eddy.is(err, "cancelled")
    end)
    eddy.sleep(1000)
  end
  for index in eddy.as_completed { slow, after(1), slow } do
    lu.assertEquals(index, 2)
    break
  end
  lu.assertEquals(log, { true, true })
end

function TestCompleted:test_return_and_error_do_too()
  local ended = 0
  local function slow()
    local _ <close> = eddy.defer(function() eddy.sleep(1) ended = ended + 1 end)
    eddy.sleep(1000)
  end
  local function first() for index in eddy.as_completed { slow, after(1) } do return index end end
  lu.assertEquals(first(), 2)
  lu.assertEquals(ended, 1)
  lu.assertErrorMsgEquals("body", function()
    for _ in eddy.as_completed { slow, after(1) } do error("body", 0) end
  end)
  lu.assertEquals(ended, 2)
end

function TestCompleted:test_tasks_as_members()
  local task, done = eddy.spawn(after(2, "task")), eddy.spawn(function() return "done" end)
  turns()
  lu.assertEquals(run_through { task, after(1, "function"), done, task },
    { { 3, true, "done" }, { 2, true, "function" }, { 1, true, "task" }, { 4, true, "task" } })
  local left = eddy.spawn(eddy.sleep, 1000)
  for _ in eddy.as_completed { left, after(1) } do break end
  lu.assertEquals(left:status(), "cancelled")
end

function TestCompleted:test_a_member_that_somebody_cancels()
  local task = eddy.spawn(eddy.sleep, 1000)
  eddy.spawn(function() eddy.sleep(1) task:cancel "why" end)
  for index, ok, err in eddy.as_completed { task } do
    lu.assertEquals({ index, ok, err.kind, err.reason }, { 1, false, "cancelled", "why" })
  end
end

function TestCompleted:test_it_counts_as_awaiting()
  eddy.group(function()
    local seen = run_through { failing(1, "e"), after(2, "x") }
    lu.assertEquals(seen, { { 1, false, "e" }, { 2, true, "x" } })
    eddy.sleep(1)
  end)
end

function TestCompleted:test_s105_it_may_nest()
  local seen = {}
  for i in eddy.as_completed { after(1), after(2) } do
    for j in eddy.as_completed { after(2), after(1) } do seen[#seen + 1] = i * 10 + j end
  end
  lu.assertEquals(seen, { 12, 11, 22, 21 })
end

function TestCompleted:test_s100_cancelling_the_loop()
  local log = {}
  local task = eddy.spawn(function()
    for _ in eddy.as_completed {
      function()
        local _ <close> = eddy.defer(function() eddy.sleep(1) log[#log + 1] = "member" end)
        eddy.sleep(1000)
      end,
    } do error "not reached" end
  end)
  turns()
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(log, { "member" })
end

function TestCompleted:test_the_body_is_in_no_block_of_ours()
  local log, child = {}, nil
  for index in eddy.as_completed { after(1), after(1000) } do
    child = eddy.spawn(function(i) eddy.sleep(5) log[#log + 1] = i end, index)
    break
  end
  child:await()
  lu.assertEquals(log, { 1 })
end

function TestCompleted:test_stepped_by_hand()
  local step, _, _, closing = eddy.as_completed { after(1, "a"), after(1000, "b") }
  lu.assertEquals({ step() }, { 1, true, "a" })
  local waiter = eddy.spawn(step)
  turns()
  lu.assertErrorMsgContains("another task is waiting", step)
  waiter:cancel()
  waiter:join()
  closing:close()
  closing:close()
end

function TestCompleted:test_misuse_starts_nothing()
  local started = false
  local function member() started = true end
  lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: bad argument #1 to 'as_completed' %(member 2: function or Task expected, got number%)",
    function() eddy.as_completed { member, 1 } end)
  lu.assertErrorMsgContains("task cannot await itself", eddy.as_completed, { member, eddy.current() })
  lu.assertErrorMsgContains("table expected, got function", eddy.as_completed, member)
  turns()
  lu.assertFalse(started)
end

function TestCompleted:test_an_abandoned_iterator_is_collected()
  lu.assertErrorMsgEquals("e", eddy.group, function()
    eddy.as_completed { failing(1, "e") }
    collectgarbage()
    collectgarbage()
    eddy.sleep(1000)
  end)
end

local TestMap = { clock = "manual" }

function TestMap:test_s96_results_in_order_with_n()
  local results = eddy.map({ 3, 1, 2 }, function(value, index)
    eddy.sleep(value)
    return value * 10 + index, "dropped"
  end)
  lu.assertEquals(results, { 31, 12, 23, n = 3 })
  lu.assertEquals(eddy.map({}, error), { n = 0 })
  lu.assertEquals(eddy.map({ 1, 2, 3 }, function(v) return v ~= 2 and v or nil end), { 1, nil, 3, n = 3 })
  lu.assertEquals(eddy.map(table.pack(nil, 2, nil), function(v, i) return { v, i } end),
    { { nil, 1 }, { 2, 2 }, { nil, 3 }, n = 3 })
end

function TestMap:test_limit()
  local running, most, start = 0, 0, eddy.now()
  local function work(value)
    running = running + 1
    most = math.max(most, running)
    eddy.sleep(1)
    running = running - 1
    return value
  end
  lu.assertEquals(eddy.map({ 1, 2, 3, 4, 5 }, work, { limit = 2 }), { 1, 2, 3, 4, 5, n = 5 })
  lu.assertEquals(most, 2)
  lu.assertAlmostEquals(eddy.now() - start, 3, 1e-6)
  eddy.map({ 1, 2, 3, 4, 5 }, work)
  lu.assertEquals(most, 5)
  eddy.map({ 1, 2, 3 }, work, { limit = math.huge })
end

function TestMap:test_limit_counts_children_too()
  local order = {}
  eddy.map({ 1, 2 }, function(value)
    eddy.spawn(function() eddy.sleep(1) order[#order + 1] = value end)
    order[#order + 1] = -value
  end, { limit = 1 })
  lu.assertEquals(order, { -1, 1, -2, 2 })
end

function TestMap:test_s98_fail_fast()
  local err, log = {}, {}
  local ok, got = pcall(eddy.map, { 1, 2, 3, 4 }, function(value)
    log[#log + 1] = value
    local _ <close> = eddy.defer(function() eddy.sleep(1) log[#log + 1] = -value end)
    if value == 2 then error(err) end
    eddy.sleep(1000)
  end, { limit = 3 })
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertEquals(log, { 1, 2, 3, -2, -1, -3 })
end

function TestMap:test_s98_several_failures()
  local ok, err = pcall(eddy.map, { 3, 1, 2 }, function(value)
    local _ <close> = on_close(function(e) if eddy.is(e, "cancelled") then error("late " .. value, 0) end end)
    eddy.sleep(value)
    error("e" .. value, 0)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(eddy.is(err, "group"))
  lu.assertEquals(err.errors, { "e1", "late 3", "late 2" })
end

function TestMap:test_s100_cancelling_the_caller()
  local ended = 0
  local task = eddy.spawn(eddy.map, { 1, 2, 3 }, function()
    local _ <close> = eddy.defer(function() eddy.sleep(1) ended = ended + 1 end)
    eddy.sleep(1000)
  end, { limit = 2 })
  turns(3)
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals({ task:status(), ended }, { "cancelled", 2 })
end

function TestMap:test_a_call_that_is_cancelled_alone_is_a_failure()
  local begun = 0
  local ok, err = pcall(eddy.map, { 1, 2, 3 }, function(value)
    begun = begun + 1
    if value == 2 then eddy.current():cancel "alone" eddy.sleep(1) end
    return value
  end, { limit = 1 })
  lu.assertEquals({ ok, err.reason }, { false, "alone" })
  lu.assertTrue(begun <= 3)
end

function TestMap:test_the_list_is_the_calls_own()
  local list = { 1, 2, 3 }
  local results = eddy.map(list, function(value) list[3] = nil eddy.sleep(1) return value end, { limit = 1 })
  lu.assertEquals(results, { 1, 2, 3, n = 3 })
end

function TestMap:test_nothing_to_do_is_a_checkpoint_too()
  for _, call in ipairs { function() eddy.map({}, print) end, function() eddy.each(function() end, print) end } do
    local passed = false
    local task = eddy.spawn(function() eddy.current():cancel() call() passed = true end)
    task:join()
    lu.assertEquals({ task:status(), passed }, { "cancelled", false })
  end
end

function TestMap:test_misuse()
  local function bad(message, ...)
    local args = table.pack(...)
    lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: .*" .. message .. ".*",
      function() local _ = eddy.map(table.unpack(args, 1, args.n)) end)
  end
  bad("#1 to 'map' %(table expected, got nil%)")
  bad("#2 to 'map' %(function expected, got nil%)", {})
  bad("#3 to 'map' %(table expected, got number%)", {}, print, 3)
  bad("unknown option 'limits'", {}, print, { limits = 3 })
  for _, limit in ipairs { 0, -1, 1.5, "2", 0 / 0 } do bad("'limit' must be a whole number", {}, print, { limit = limit }) end
end

function TestMap:test_outside_a_task()
  lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: cannot await outside a task.*", function() local _ = eddy.map({}, print) end)
  lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: cannot await outside a task.*", function() eddy.each(error, print) end)
end

local TestEach = { clock = "manual" }

local function count_to(n)
  local i = 0
  return function() if i < n then i = i + 1 return i end end
end

function TestEach:test_all_values_of_each_step()
  local seen = {}
  eddy.each(string.gmatch("a=1 b=2", "(%w)=(%w)"), function(...) seen[#seen + 1] = table.pack(...) end)
  lu.assertEquals(seen, { { "a", "1", n = 2 }, { "b", "2", n = 2 } })
  seen = {}
  eddy.each(coroutine.wrap(function(state, control)
    repeat
      seen[#seen + 1] = { state, control }
      state, control = coroutine.yield((control or 0) + 1, nil, nil)
    until control == 2
  end), function(...) lu.assertEquals(select("#", ...), 3) end)
  lu.assertEquals(seen, { {}, { nil, 1 } })
  lu.assertEquals(select("#", eddy.each(count_to(0), error)), 0)
end

function TestEach:test_back_pressure()
  local taken, running, most = 0, 0, 0
  local step = count_to(10)
  eddy.each(function()
    lu.assertTrue(running < 3)
    local value = step()
    taken = value or taken
    return value
  end, function(value)
    running = running + 1
    most = math.max(most, running)
    lu.assertTrue(taken - value < 3)
    eddy.sleep(1)
    running = running - 1
  end, { limit = 3 })
  lu.assertEquals({ taken, most }, { 10, 3 })
end

function TestEach:test_the_iterator_may_await()
  local queue, seen = eddy.queue(1), {}
  eddy.spawn(function() for i = 1, 5 do eddy.sleep(1) queue:put(i) end queue:close() end)
  eddy.each(queue:iter(), function(value) eddy.sleep(2) seen[#seen + 1] = value end, { limit = 2 })
  lu.assertEquals(seen, { 1, 2, 3, 4, 5 })
end

function TestEach:test_an_error_of_the_iterator_after_the_workers_ended()
  local err, log = {}, {}
  local step = count_to(2)
  local ok, got = pcall(eddy.each, function()
    local value = step()
    if not value then eddy.sleep(1) error(err) end
    return value
  end, function(value)
    local _ <close> = eddy.defer(function() eddy.sleep(1) log[#log + 1] = value end)
    eddy.sleep(1000)
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertEquals(log, { 1, 2 })
end

function TestEach:test_a_failing_call_interrupts_the_iterator()
  local interrupted
  local first = count_to(1)
  local ok, err = pcall(eddy.each, function()
    local value = first()
    if value then return value end
    local _ <close> = on_close(function(e) interrupted = eddy.is(e, "cancelled") end)
    eddy.sleep(1000)
  end, function() eddy.sleep(1) error("e", 0) end)
  lu.assertEquals({ ok, err, interrupted }, { false, "e", true })
end

function TestEach:test_a_generator_is_closed_when_the_call_is_left()
  local closed = false
  local function producer(emit)
    local _ <close> = eddy.defer(function() eddy.sleep(1) closed = true end)
    for i = 1, 9 do emit(i) end
  end
  lu.assertErrorMsgEquals("e", eddy.each, eddy.gen(producer), function() error("e", 0) end, { limit = 1 })
  lu.assertTrue(closed)
end

function TestEach:test_s100_cancelling_the_caller()
  local ended, n = 0, 0
  local task = eddy.spawn(eddy.each, function() n = n + 1 return n end, function()
    local _ <close> = eddy.defer(function() eddy.sleep(1) ended = ended + 1 end)
    eddy.sleep(1000)
  end, { limit = 2 })
  turns(3)
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals({ task:status(), ended }, { "cancelled", 2 })
end

function TestEach:test_an_iterator_without_end_can_be_cancelled_without_a_limit()
  local n = 0
  local task = eddy.spawn(eddy.each, function() n = n + 1 return n end, function() end)
  turns(5)
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertTrue(n > 5)
end

function TestEach:test_memory_is_flat()
  local most = 0
  local function watch(value)
    if value % 1000 == 0 then
      collectgarbage()
      most = math.max(most, collectgarbage "count")
    end
    eddy.sleep(0)
  end
  eddy.each(count_to(2000), watch, { limit = 4 })
  local before = most
  eddy.each(count_to(20000), watch, { limit = 4 })
  lu.assertTrue(most < before + 40, ("%f KB, then %f KB"):format(before, most))
end

function TestEach:test_misuse()
  lu.assertErrorMsgMatches(".-iterate_spec%.lua:%d+: .*#1 to 'each' %(an iterator function expected, got table.*",
    function() eddy.each({ 1 }, print) end)
  lu.assertErrorMsgContains("#2 to 'each' (function expected, got nil)", eddy.each, print)
  lu.assertErrorMsgContains("'limit' must be a whole number", eddy.each, print, print, { limit = 0 })
end

return { TestEvery = TestEvery, TestCompleted = TestCompleted, TestMap = TestMap, TestEach = TestEach }
