-- SPDX-License-Identifier: MIT
-- eddy.gen: producers that await, are closed by the loop, and fail at the consumer.
-- luacheck: ignore 512 (a loop that is left at once closes what it stands on)
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local function turns(n) for _ = 1, n or 2 do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = function(_, err) fn(err) end }) end

local function count_to(n, wait)
  return function(emit)
    for i = 1, n do
      if wait then eddy.sleep(wait) end
      emit(i)
    end
  end
end

local function collect(...)
  local list = {}
  for value in ... do list[#list + 1] = value end
  return list
end

local TestGen = { clock = "manual" }

function TestGen:test_values_pass_also_several_and_nils()
  local seen = {}
  for a, b, c in eddy.gen(function(emit) emit(1, nil, 3) emit(false) emit("x", {}, nil) end) do
    seen[#seen + 1] = { a, b, c }
  end
  lu.assertEquals(seen, { { 1, nil, 3 }, { false }, { "x", {} } })
  lu.assertEquals(collect(eddy.gen(function() end)), {})
  lu.assertEquals(table.pack(eddy.gen(function(emit) emit(1, nil, nil) end)()).n, 3)
end

function TestGen:test_s159_it_may_await()
  local start = eddy.now()
  lu.assertEquals(collect(eddy.gen(count_to(3, 1))), { 1, 2, 3 })
  lu.assertAlmostEquals(eddy.now() - start, 3, 1e-6)
end

function TestGen:test_it_runs_only_as_far_as_it_is_asked()
  local reached = 0
  local next_value, _, _, closing = eddy.gen(function(emit) for i = 1, 9 do reached = i emit(i) end end)
  lu.assertEquals(reached, 0)
  lu.assertEquals({ next_value(), reached }, { 1, 1 })
  lu.assertEquals({ next_value(), reached }, { 2, 2 })
  closing:close()
  closing:close()
  lu.assertNil(next_value())
  lu.assertEquals(reached, 2)
end

function TestGen:test_s159_break_closes_and_may_await()
  local log = {}
  for i in eddy.gen(function(emit)
    local _ <close> = on_close(function(err)
      lu.assertTrue(eddy.is(err, "closed"))
      eddy.sleep(2)
      log[#log + 1] = "outer"
    end)
    local _ <close> = on_close(function() eddy.sleep(1) log[#log + 1] = "inner" end)
    count_to(9)(emit)
    log[#log + 1] = "not reached"
  end) do
    if i == 2 then break end
  end
  lu.assertEquals(log, { "inner", "outer" })
end

function TestGen:test_return_and_error_in_the_body_close_too()
  local closed = 0
  local function producer(emit)
    local _ <close> = on_close(function() eddy.sleep(1) closed = closed + 1 end)
    count_to(3)(emit)
  end
  local function first() for i in eddy.gen(producer) do return i end end
  lu.assertEquals(first(), 1)
  lu.assertEquals(closed, 1)
  local err = {}
  local ok, got = pcall(function() for _ in eddy.gen(producer) do error(err) end end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
  lu.assertEquals(closed, 2)
end

function TestGen:test_an_unstarted_one_has_nothing_to_close()
  local ran = false
  local _, _, _, closing = eddy.gen(function() ran = true end)
  closing:close()
  lu.assertFalse(ran)
end

function TestGen:test_an_error_is_raised_at_the_consumer_the_same_value()
  for _, err in ipairs { {}, "text", false } do
    local next_value = eddy.gen(function(emit) emit(1) eddy.sleep(1) error(err, 0) end)
    lu.assertEquals(next_value(), 1)
    local ok, got = pcall(next_value)
    lu.assertFalse(ok)
    lu.assertTrue(rawequal(got, err))
    lu.assertNil(next_value())
  end
  local next_value = eddy.gen(function() error(nil) end)
  lu.assertEquals(table.pack(pcall(next_value)), { false, nil, n = 2 })
end

function TestGen:test_close_variables_of_a_failing_producer_may_await()
  local log = {}
  local next_value = eddy.gen(function()
    local _ <close> = on_close(function(err) eddy.sleep(1) log[#log + 1] = err end)
    error("e", 0)
  end)
  lu.assertErrorMsgEquals("e", next_value)
  lu.assertEquals(log, { "e" })
end

function TestGen:test_an_error_of_the_closing_is_raised()
  local err = {}
  local ok, got = pcall(function()
    for _ in eddy.gen(function(emit) local _ <close> = on_close(function() error(err) end) emit(1) end) do break end
  end)
  lu.assertFalse(ok)
  lu.assertTrue(rawequal(got, err))
end

function TestGen:test_misuse_of_emit()
  local kept
  local next_value, _, _, closing = eddy.gen(function(emit)
    kept = emit
    emit(1)
    coroutine.wrap(function() emit(2) end)()
  end)
  next_value()
  lu.assertErrorMsgMatches(".-gen_spec%.lua:%d+: cannot emit from another coroutine.*", function() kept(1) end)
  lu.assertErrorMsgContains("cannot emit from another coroutine", next_value)
  lu.assertErrorMsgContains("cannot emit after the generator has ended", kept, 1)
  closing:close()
  lu.assertErrorMsgMatches(".-gen_spec%.lua:%d+: cannot emit nil.*", eddy.gen(function(emit) emit(nil) end))
  lu.assertErrorMsgContains("cannot emit nil", eddy.gen(function(emit) emit() end))
  lu.assertErrorMsgContains("function expected", eddy.gen, {})
end

function TestGen:test_emitting_out_of_a_block()
  for _, name in ipairs { "timeout", "within", "shield" } do
    local next_value = eddy.gen(function(emit) eddy[name](1, function() emit(1) end) end)
    lu.assertErrorMsgMatches(".-gen_spec%.lua:%d+: cannot yield out of '" .. name .. "'", next_value)
  end
  local next_value = eddy.gen(function(emit)
    eddy.group(function(g) g:spawn(eddy.sleep, 1) lu.assertFalse((pcall(emit, 1))) end)
    emit "after the block"
  end)
  lu.assertEquals(next_value(), "after the block")
  lu.assertNil(next_value())
end

function TestGen:test_blocks_around_the_loop_are_no_hindrance()
  local generator = eddy.gen(count_to(4, 1))
  lu.assertEquals(generator(), 1)
  lu.assertEquals(eddy.timeout(10, generator), 2)
  eddy.group(function() lu.assertEquals(generator(), 3) end)
  lu.assertFalse(eddy.within(0.5, generator))
  lu.assertNil(generator())
end

function TestGen:test_nested()
  local function pairs_of(n)
    return eddy.gen(function(emit)
      for i in eddy.gen(count_to(n, 1)) do
        for j in eddy.gen(count_to(i)) do emit(i, j) end
      end
    end)
  end
  local seen = {}
  for i, j in pairs_of(3) do seen[#seen + 1] = i * 10 + j end
  lu.assertEquals(seen, { 11, 21, 22, 31, 32, 33 })
end

function TestGen:test_break_closes_nested_ones_inside_out()
  local log = {}
  local function level(n)
    return eddy.gen(function(emit)
      local _ <close> = on_close(function() eddy.sleep(1) log[#log + 1] = n end)
      if n == 3 then return count_to(9)(emit) end
      for v in level(n + 1) do emit(v) end
    end)
  end
  for v in level(1) do if v == 2 then break end end
  lu.assertEquals(log, { 3, 2, 1 })
end

function TestGen:test_two_tasks_at_once()
  local generator, _, _, closing = eddy.gen(count_to(3, 1))
  local first = eddy.spawn(generator)
  turns()
  lu.assertErrorMsgMatches(".-gen_spec%.lua:%d+: the generator is already running.*", function() generator() end)
  lu.assertErrorMsgContains("cannot close a generator that is running", closing.close, closing)
  lu.assertStrContains(tostring(closing), "running")
  lu.assertEquals(first:await(), 1)
  lu.assertEquals(eddy.spawn(generator):await(), 2)   -- in turns they may
  local own
  own = eddy.gen(function() own() end)
  lu.assertErrorMsgContains("already running", own)
  closing:close()
  lu.assertStrContains(tostring(closing), "ended")
end

function TestGen:test_cancelled_while_the_producer_waits()
  local log = {}
  local task = eddy.spawn(function()
    for _ in eddy.gen(function(emit)
      emit(1)
      local _ <close> = on_close(function(err) log[#log + 1] = eddy.is(err, "cancelled") end)
      eddy.sleep(1000)
    end) do log[#log + 1] = "step" end
  end)
  turns()
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(log, { "step", true })
end

function TestGen:test_cancelled_while_the_body_waits()
  local log = {}
  local task = eddy.spawn(function()
    for _ in eddy.gen(function(emit)
      local _ <close> = on_close(function()
        log[#log + 1] = "closing"
        eddy.shield(5, eddy.sleep, 1)
        log[#log + 1] = "closed"
        eddy.sleep(0)
        log[#log + 1] = "not reached"
      end)
      emit(1)
    end) do eddy.sleep(1000) end
  end)
  turns()
  task:cancel()
  lu.assertFalse((task:join()))
  lu.assertEquals(task:status(), "cancelled")
  lu.assertEquals(log, { "closing", "closed" })
end

function TestGen:test_a_producer_that_catches_its_closing()
  local caught, closed = 0, false
  for _ in eddy.gen(function(emit)
    local _ <close> = on_close(function() closed = true end)
    while true do
      if not pcall(emit, 1) then caught = caught + 1 end
    end
  end) do break end
  lu.assertTrue(closed)
  lu.assertTrue(caught >= 256 and caught < 1000)
end

function TestGen:test_a_producer_that_ends_well_when_closed()
  local log = {}
  for _ in eddy.gen(function(emit)
    if not pcall(emit, 1) then eddy.sleep(1) log[#log + 1] = "told" end
    lu.assertFalse((pcall(emit, "more")))
  end) do break end
  lu.assertEquals(log, { "told" })
end

function TestGen:test_children_of_the_producer_belong_to_the_block_around_it()
  local log = {}
  eddy.group(function()
    for i in eddy.gen(function(emit)
      eddy.spawn(function() eddy.sleep(1) log[#log + 1] = "child" end)
      emit(1)
    end) do log[#log + 1] = i end
  end)
  lu.assertEquals(log, { 1, "child" })
end

function TestGen:test_outside_a_task_it_is_a_plain_generator()
  lu.assertEquals(collect(eddy.gen(count_to(3))), { 1, 2, 3 })
  local closed = false
  for _ in eddy.gen(function(emit) local _ <close> = on_close(function() closed = true end) emit(1) end) do break end
  lu.assertTrue(closed)
  lu.assertErrorMsgContains("cannot await outside a task", eddy.gen(count_to(1, 1)))
end

function TestGen:test_s162_stepped_where_waiting_is_impossible()
  local generator = eddy.gen(function(emit) emit(1) eddy.sleep(1) emit(2) end)
  local ok, err = pcall(table.sort, { 3, 2, 1 }, function() generator() return generator() end)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "cannot await inside 'sort'")
end

function TestGen:test_the_traceback_shows_the_producer_and_the_loop()
  local function fails_deep_inside() error "e" end
  local task = eddy.spawn(function()
    for value in eddy.gen(function(emit) emit(1) eddy.sleep(1) fails_deep_inside() end) do lu.assertEquals(value, 1) end
  end)
  lu.assertFalse((task:join()))
  local text = task:traceback()
  lu.assertStrContains(text, "fails_deep_inside")
  lu.assertStrContains(text, "gen_spec.lua:" .. debug.getinfo(1, "l").currentline - 5 .. ":")
  lu.assertTrue(text:find "fails_deep_inside" < text:find "core.raise")
end

function TestGen:test_nothing_is_kept_of_a_finished_one()
  local weak = setmetatable({}, { __mode = "v" })
  do
    local generator, _, _, closing = eddy.gen(function(emit) weak.value = {} emit(weak.value) end)
    weak.generator, weak.closing = generator, closing
    generator()
    generator()
  end
  collectgarbage()
  collectgarbage()
  lu.assertNil(next(weak))
end

local TestEnd = {}

function TestEnd:test_outside_its_task_was_killed()
  local generator, _, _, closing = eddy.gen(function() while true do pcall(eddy.event().wait, eddy.event()) end end)
  eddy.config { on_error = function() end }
  eddy.run(function()
    eddy.background(generator)
    eddy.sleep(0)
  end)
  eddy.config { on_error = false }
  lu.assertNil(eddy.run(generator))
  closing:close()
end

function TestEnd:test_outside_killed_while_suspended_and_while_waiting()
  local result = process.eddy { "-e", [[
    local eddy = require "eddy"
    local function producer(emit)
      local _ <close> = setmetatable({}, { __close = function() print("closed", pcall(eddy.sleep, 0)) end })
      emit(1)
      eddy.sleep(1000)
    end
    eddy.spawn(function() for _ in eddy.gen(producer) do eddy.sleep(1000) end end)
    eddy.spawn(function() for _ in eddy.gen(producer) do end end)
    eddy.sleep(0) eddy.sleep(0)
    os.exit(0, true)]] }
  lu.assertEquals(result.stderr, "")
  lu.assertEquals(result.code, 0)
  lu.assertEquals(result.stdout, ("closed\tfalse\tcannot await: task is being killed\n"):rep(2))
end

return { TestGen = TestGen, TestEnd = TestEnd }
