-- SPDX-License-Identifier: MIT
-- Statements 96 to 107: gather, settle, race, any, as_completed. One test for each, named by its number.
-- luacheck: ignore 512 (a loop that is left at once closes what it stands on)
local lu = ...
local eddy = require "eddy"
local process = require "spec.support.process"

local TestGather = { clock = "manual", config = { on_error = function() end } }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = fn }) end

local function after(seconds, value) return function() eddy.sleep(seconds) return value, "second result" end end

local function fail_at(seconds, value) return function() eddy.sleep(seconds) error(value, 0) end end

-- Waits long, and needs `seconds` for its clean-up, of which `log` is told.
local function lingering(log, seconds, name)
  return function()
    local _ <close> = on_close(function() eddy.shield(100, eddy.sleep, seconds) log[#log + 1] = name end)
    eddy.sleep(1000)
  end
end

function TestGather:test_s096_results_in_the_order_of_arguments()
  local list = eddy.gather { after(3, "a"), after(1, nil), after(2, false), after(0, nil) }
  lu.assertEquals({ list.n, list[1], list[2], list[3], list[4] }, { 4, "a", nil, false, nil })
  lu.assertEquals(table.pack(eddy.gather(after(2, "a"), after(1, nil), after(0, "c"))), { "a", nil, "c", n = 3 })
end

function TestGather:test_s097_empty_lists()
  local others = false
  eddy.spawn(function() others = true end)
  lu.assertEquals(eddy.gather {}, { n = 0 })
  lu.assertEquals(#eddy.settle {}, 0)
  lu.assertFalse(others)
  lu.assertErrorMsgContains("gather_spec.lua", function() eddy.race {} end)
end

function TestGather:test_s098_the_first_error_ends_the_others()
  local log, from = {}, eddy.now()
  local ok, err = pcall(eddy.gather, lingering(log, 3, "loser"), fail_at(1, "first"), fail_at(9, "too late"))
  lu.assertEquals({ ok, err, log }, { false, "first", { "loser" } })
  lu.assertAlmostEquals(eddy.now() - from, 4, 1e-6)
  local function failing_late(seconds, value)
    return function()
      local _ <close> = on_close(function() eddy.shield(100, eddy.sleep, seconds) error(value, 0) end)
      eddy.sleep(1000)
    end
  end
  local _, group = pcall(eddy.gather, failing_late(5, "third"), failing_late(2, "second"), fail_at(1, "first"))
  lu.assertEquals({ group.kind, group.errors }, { "group", { "first", "second", "third" } })
end

function TestGather:test_s099_settle()
  local value = {}
  local cancelled = eddy.spawn(eddy.sleep, 100)
  eddy.spawn(function() cancelled:cancel() end)
  local list = eddy.settle { after(2, "a"), function() error(value) end, cancelled, after(1, nil) }
  lu.assertEquals(list[1], { ok = true, value = "a" })
  lu.assertFalse(list[2].ok)
  lu.assertTrue(rawequal(list[2].err, value))
  lu.assertEquals({ list[3].ok, list[3].err.kind, list[4].ok }, { false, "cancelled", true })
  local task = eddy.spawn(function()
    eddy.settle { after(100) }
    error "not reached"
  end)
  turns(2)
  task:cancel()
  task:join()
  lu.assertEquals(task:status(), "cancelled")
end

function TestGather:test_s100_cancelling_the_caller()
  local forms = { gather = eddy.gather, settle = eddy.settle, race = eddy.race, any = eddy.any }
  forms.as_completed = function(list) for _ in eddy.as_completed(list) do eddy.sleep(0) end end
  for name, form in pairs(forms) do
    local log = {}
    local task = eddy.spawn(form, { lingering(log, 2, "a"), lingering(log, 1, "b") })
    turns(3)
    task:cancel()
    task:join()
    lu.assertEquals({ name, log, task:status() }, { name, { "b", "a" }, "cancelled" })
  end
end

function TestGather:test_s101_the_same_task_twice()
  local task = eddy.spawn(after(1, "x"))
  lu.assertEquals(table.pack(eddy.gather(task, after(2, "y"), task)), { "x", "y", "x", n = 3 })
  local list = eddy.settle { task, task }
  lu.assertEquals({ list[1].value, list[2].value }, { "x", "x" })
end

function TestGather:test_s102_the_winner_of_a_race()
  local event, closed = eddy.event(), {}
  local function runner(name)
    return function()
      local _ <close> = on_close(function() closed[#closed + 1] = name end)
      event:wait()
      return name
    end
  end
  local a, b, c = runner "a", runner "b", runner "c"
  eddy.spawn(function() turns(3) event:set() end)
  lu.assertEquals({ eddy.race { a, b, c } }, { "a", 1 })
  table.sort(closed)
  lu.assertEquals(closed, { "a", "b", "c" })
  lu.assertEquals({ eddy.race { after(3, "x"), after(1, "y"), after(2, "z") } }, { "y", 2 })
  lu.assertErrorMsgEquals("fastest", eddy.race, { after(3, "x"), fail_at(1, "fastest") })
end

function TestGather:test_s103_a_loser_that_ignores_its_cancel()
  local from, rounds = eddy.now(), 0
  lu.assertEquals({ eddy.race {
    after(1, "winner"),
    function() while true do rounds = rounds + 1 pcall(eddy.sleep, 1) end end,
  } }, { "winner", 1 })
  lu.assertTrue(rounds >= 256 and rounds <= 1100, rounds)
  lu.assertTrue(eddy.now() - from <= 1 + 5)          -- kill_grace
end

function TestGather:test_s104_any()
  lu.assertEquals({ eddy.any { fail_at(1, "no"), after(3, "late"), after(2, "yes") } }, { "yes", 3 })
  local ok, err = pcall(eddy.any, { fail_at(3, "a"), fail_at(1, "b"), fail_at(2, "c") })
  lu.assertFalse(ok)
  lu.assertEquals({ err.kind, err.errors }, { "group", { "a", "b", "c" } })
  lu.assertEquals(select(2, pcall(eddy.any, { fail_at(1, "alone") })).errors, { "alone" })
end

function TestGather:test_s105_as_completed()
  local seen = {}
  for index, ok, value in eddy.as_completed { after(3, "a"), fail_at(1, "b"), after(2, nil) } do
    seen[#seen + 1] = { index, ok, value }
  end
  lu.assertEquals(seen, { { 2, false, "b" }, { 3, true }, { 1, true, "a" } })
  local log, from = {}, eddy.now()
  for index in eddy.as_completed { lingering(log, 2, "ended"), after(1) } do
    lu.assertEquals(index, 2)
    break
  end
  lu.assertEquals(log, { "ended" })
  lu.assertAlmostEquals(eddy.now() - from, 3, 1e-6)
  local pairs_seen = {}
  for i in eddy.as_completed { after(2), after(1) } do
    for j in eddy.as_completed { after(2), after(1) } do pairs_seen[#pairs_seen + 1] = i .. j end
  end
  lu.assertEquals(pairs_seen, { "22", "21", "12", "11" })
end

function TestGather:test_s106_members_that_never_wait()
  local function now(value) return function() return value end end
  lu.assertEquals({ eddy.gather(now "a", now "b") }, { "a", "b" })
  lu.assertEquals({ eddy.race { now "a", now "b" } }, { "a", 1 })
  lu.assertEquals({ eddy.any { function() error "no" end, now "b" } }, { "b", 2 })
  lu.assertEquals(eddy.settle { now "a" }[1], { ok = true, value = "a" })
  local seen = {}
  for i, ok, value in eddy.as_completed { now "a", now "b" } do seen[#seen + 1] = { i, ok, value } end
  lu.assertEquals(seen, { { 1, true, "a" }, { 2, true, "b" } })
end

-- Ours are the answers of the name service, of which every part of the host's name is an address.
local function with_names(script)
  local shim = os.tmpname()
  local _ <close> = on_close(function() os.remove(shim) end)
  local built = process.run(("${CC:-cc} -shared -fPIC -D_GNU_SOURCE -o %s spec/io/names.c -ldl"):format(shim))
  if not built.ok then lu.skip "no C compiler for the name service of this test" end
  local result = process.eddy({ "-e", 'local eddy, net, pair = require "eddy", require "eddy.net", require "spec.io.pair"\n'
    .. script }, { env = { LD_PRELOAD = shim, ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0" } })
  lu.assertEquals({ result.stderr, result.code }, { "", 0 })
  return (result.stdout:gsub("lookup [^\n]*\n", ""))
end

function TestGather:test_outside_s107_staggered_start()
  lu.assertEquals(with_names [[
    local full <close> = pair.full_listener()            -- on 127.0.0.1: an attempt there hangs
    local good <close> = assert(net.listen { host = "127.0.0.2", port = full.port })
    eddy.sleep(0.01)
    local handles = eddy.stats().handles
    local function connect(host)
      local from = eddy.now()
      local stream, err = net.connect { host = host, port = full.port }
      local took = eddy.now() - from
      if not stream then return err, took end
      local peer = stream:peername()
      stream:close()
      eddy.sleep(0.01)
      return peer, took, eddy.stats().handles - handles
    end
    local peer, took, left = connect "127.0.0.1,127.0.0.2!"
    print("after the delay", peer, took > 0.2, left)    -- and the attempt that hung is gone
    peer, took, left = connect "127.0.0.3,127.0.0.4,127.0.0.2!"
    print("after failures", peer, took < 0.2, left)
    local err = connect "127.0.0.3,127.0.0.4,127.0.0.5!"
    print("all fail", err.code, #err.suppressed)]],
    "after the delay\t127.0.0.2\ttrue\t0\nafter failures\t127.0.0.2\ttrue\t0\nall fail\tECONNREFUSED\t2\n")
end

return { TestGather = TestGather }
