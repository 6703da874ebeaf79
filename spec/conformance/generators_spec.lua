-- SPDX-License-Identifier: MIT
-- Statements 154 to 163: nested coroutines, iterators, metamethods, hooks. One test for each.
-- luacheck: ignore 512 581 (`not (x < y)` is meant; a loop that is left at once closes what it stands on)
local lu = ...
local eddy = require "eddy"
local stock = require "spec.support.stock"

local TestGenerators = { clock = "manual" }

local function turns(n) for _ = 1, n do eddy.sleep(0) end end

local function on_close(fn) return setmetatable({}, { __close = fn }) end

function TestGenerators:test_s154_awaits_at_any_depth()
  local function nested(depth, fn) return depth == 0 and fn() or coroutine.wrap(nested)(depth - 1, fn) end
  for _, depth in ipairs { 1, 2, 8, 100 } do
    local from = eddy.now()
    lu.assertEquals(nested(depth, function() eddy.sleep(2) return "from " .. depth end), "from " .. depth)
    lu.assertAlmostEquals(eddy.now() - from, 2, 1e-6)
  end
  local ok, err = pcall(nested, 1000, function() eddy.sleep(1) return "never" end)
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(err), "C stack overflow")
  lu.assertEquals(nested(8, function() eddy.sleep(1) return "again" end), "again")
  lu.assertEquals(eddy.spawn(function() eddy.sleep(1) return "others" end):await(), "others")
end

function TestGenerators:test_s155_yielded_values_are_the_users()
  local event, task = eddy.event(), eddy.spawn(function() end)
  local lists = { table.pack(), table.pack(nil), table.pack(nil, nil), table.pack(false, event), table.pack(task),
    table.pack(eddy), table.pack(coroutine.running()) }
  local step = coroutine.wrap(function()
    local sent = {}
    for i, list in ipairs(lists) do
      eddy.sleep(0)
      sent[i] = table.pack(coroutine.yield(table.unpack(list, 1, list.n)))
      eddy.sleep(1)
    end
    return sent
  end)
  local got = {}
  local input = table.pack()
  for i = 1, #lists do
    got[i] = table.pack(step(table.unpack(input, 1, input.n)))
    input = lists[i]
  end
  local sent = step(table.unpack(input, 1, input.n))
  for i, list in ipairs(lists) do
    for _, seen in ipairs { got[i], sent[i] } do
      lu.assertEquals(seen.n, list.n, i)
      for k = 1, list.n do lu.assertTrue(rawequal(seen[k], list[k]), i) end
    end
  end
end

function TestGenerators:test_s156_status_while_it_awaits()
  local co, own
  local task = eddy.spawn(function()
    co = coroutine.create(function()
      own = coroutine.status(co)
      eddy.sleep(5)
      return "end"
    end)
    return coroutine.resume(co)
  end)
  turns(1)
  lu.assertEquals({ own, coroutine.status(co) }, { "running", "normal" })
  local ok, err = coroutine.resume(co)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "waiting in an await")
  lu.assertEquals(eddy.spawn(coroutine.resume, co):await(), false)   -- nor by another task
  lu.assertEquals({ task:await() }, { true, "end" })                 -- whose wait is as it was
  lu.assertEquals(coroutine.status(co), "dead")
end

function TestGenerators:test_s157_closing_one_that_awaits()
  -- It is "normal" for others, as one that resumed another is, and such a one is not closed but refused.
  local co, closed
  local before = eddy.stats().operations
  local task = eddy.spawn(function()
    coroutine.wrap(function()
      co = coroutine.running()
      local _ <close> = on_close(function() closed = true end)
      eddy.sleep(100)
    end)()
  end)
  turns(1)
  local ok, err = pcall(coroutine.close, co)
  lu.assertFalse(ok)
  lu.assertStrContains(err, "waiting")
  lu.assertNil(closed)
  task:cancel()
  task:join()
  lu.assertEquals({ closed, coroutine.status(co), eddy.stats().operations - before }, { true, "dead", 0 })
  local suspended = coroutine.create(function()
    local _ <close> = on_close(function() closed = "suspended" end)
    eddy.sleep(1)
    coroutine.yield()
  end)
  coroutine.resume(suspended)
  lu.assertEquals({ coroutine.close(suspended), closed }, { true, "suspended" })
end

-- Messages of bad arguments name the function as it was found; ours have a module around theirs.
local function unnamed(line) return (line:gsub("to '[^']*'", "to '?'"):gsub("coroutine expected", "thread expected")) end

-- What any implementation of Lua's coroutine library does, told as text. (Lua's own test file is not copied.)
local function behaviour(co)
  local log = {}
  local function note(...)
    local list = table.pack(...)
    for i = 1, list.n do list[i] = type(list[i]) == "thread" and "thread" or tostring(list[i]) end
    log[#log + 1] = unnamed(table.concat(list, " "))
  end
  local main, is_main = co.running()
  note(type(main), is_main, co.isyieldable())
  local c = co.create(function(...)
    note("in", ..., co.isyieldable(), select(2, co.running()))
    note("got", co.yield(1, nil, 3))
    note("got", co.yield())
    return "done", nil
  end)
  note(co.status(c))
  note(co.resume(c, "a", nil))
  note(co.status(c))
  note(co.resume(c, "b"))
  note(co.resume(c))
  note(co.status(c), co.resume(c))
  note(pcall(co.wrap(function() error("in wrap", 0) end)))
  note(pcall(co.wrap(function() error { } end)) == false)
  note(co.resume(co.create(function() local _ <close> = on_close(function() note "closed" end) error("x", 0) end)))
  local open = co.create(function()
    local _ <close> = on_close(function(_, err) note("closing", err) end)
    co.yield()
  end)
  co.resume(open)
  note(co.close(open), co.status(open))
  local failing = co.create(function() local _ <close> = on_close(function() error("in close", 0) end) co.yield() end)
  co.resume(failing)
  note(co.close(failing))
  local self
  self = co.create(function() return co.resume(self) end)
  note(co.resume(self))
  self = co.wrap(function() return pcall(self) end)
  note(self())
  note(co.resume(co.create(function() return pcall(pcall, co.yield, 1) end)))
  local gen = co.wrap(function() for i = 1, 3 do co.yield(i) end end)
  for i in gen do note(i) end
  note(pcall(gen))
  for _, bad in ipairs { 1, "x", {} } do
    note(pcall(co.create, bad))
    note(pcall(co.resume, bad))
    note(pcall(co.status, bad))
    note(pcall(co.wrap, bad))
  end
  local meta = setmetatable({}, { __index = function(_, k) return co.yield(k) end, __add = function(a, b) return co.yield(b) or a end })
  local m = co.wrap(function() return meta.field, meta + 1, "end" end)
  note(m())
  note(m "value")
  note(m "sum")
  local traced = co.create(function() co.yield() end)
  co.resume(traced)
  note(debug.traceback(traced):match "stack traceback" ~= nil)
  return log
end

function TestGenerators:test_outside_s158_the_stock_behaviour()
  local expected = behaviour(stock)
  lu.assertTrue(#expected >= 36, #expected)
  lu.assertEquals(behaviour(eddy.coroutine), expected)
  eddy.run(function() end)
  lu.assertEquals(behaviour(coroutine), expected)    -- also as they stand in Lua's own table
  -- And within a task, but for what is said of the main coroutine.
  local within = eddy.run(function() return behaviour(coroutine) end)
  lu.assertEquals(#within, #expected)
  for i = 2, #expected do lu.assertEquals(within[i], expected[i], i) end
end

function TestGenerators:test_s159_iterators_that_await()
  local closed_at
  local function ticks()
    local n = 0
    return function() eddy.sleep(1) n = n + 1 return n end, nil, nil,
      on_close(function() eddy.sleep(3) closed_at = eddy.now() end)
  end
  local from, seen = eddy.now(), {}
  for n in ticks() do
    seen[n] = eddy.now() - from
    if n == 3 then break end
  end
  lu.assertEquals(#seen, 3)
  for n = 1, 3 do lu.assertAlmostEquals(seen[n], n, 1e-6) end
  lu.assertAlmostEquals(closed_at - from, 6, 1e-6)
  local log = {}
  for i in eddy.gen(function(emit)
    local _ <close> = on_close(function() eddy.sleep(1) log[#log + 1] = "producer closed" end)
    for i = 1, 9 do eddy.sleep(1) emit(i) end
  end) do
    log[#log + 1] = i
    if i == 2 then break end
  end
  log[#log + 1] = "after the loop"
  lu.assertEquals(log, { 1, 2, "producer closed", "after the loop" })
end

function TestGenerators:test_s160_a_generator_that_is_not_exhausted()
  local closed, sem = {}, eddy.semaphore(1)
  local task = eddy.spawn(function()
    for _ in eddy.gen(function(emit)
      local _ <close> = sem:acquire()
      local _ <close> = on_close(function() closed[#closed + 1] = "at the end of the scope" end)
      emit(1)
      emit(2)
    end) do
      eddy.sleep(100)
    end
  end)
  turns(1)
  for _ = 1, 3 do collectgarbage() end
  lu.assertEquals({ closed, sem:available() }, { {}, 0 })
  task:cancel()
  task:join()
  lu.assertEquals({ closed, sem:available() }, { { "at the end of the scope" }, 1 })
  closed = {}
  task = eddy.spawn(function()   -- nobody holds it
    local value = (eddy.gen(function(emit)
      local _ <close> = sem:acquire()
      local _ <close> = on_close(function() eddy.sleep(1) closed[#closed + 1] = "at the end of the scope" end)
      emit(1)
    end))()
    for _ = 1, 3 do collectgarbage() end
    eddy.sleep(1)
    lu.assertEquals({ value, closed, sem:available() }, { 1, {}, 0 })
  end)
  task:await()
  lu.assertEquals({ closed, sem:available() }, { { "at the end of the scope" }, 1 })
end

function TestGenerators:test_s161_awaits_in_metamethods()
  local from, count = eddy.now(), 0
  local function slow(value)
    return function()
      eddy.sleep(1)
      count = count + 1
      return value
    end
  end
  local meta = { __call = slow "call", __index = slow "index", __len = slow(7), __unm = slow "unm", __bnot = slow "bnot" }
  for _, name in ipairs { "add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr" } do
    meta["__" .. name] = slow(name)
  end
  local stored
  meta.__newindex = function(_, k, v) eddy.sleep(1) count = count + 1 stored = { k, v } end
  meta.__eq, meta.__lt, meta.__le = slow(true), slow(true), slow(false)
  meta.__concat = function(a, b)
    eddy.sleep(1)
    count = count + 1
    return (type(a) == "table" and "o" or a) .. (type(b) == "table" and "o" or b)
  end
  meta.__pairs = function() eddy.sleep(1) count = count + 1 return next, { one = 1 }, nil end
  local closed
  meta.__close = function() eddy.sleep(1) count = count + 1 closed = true end
  local a, b = setmetatable({}, meta), setmetatable({}, meta)
  lu.assertEquals({ a + b, a - 1, 2 * a, a / b, a % 2, a ^ 2, a // 2, a & 1, a | 1, a ~ 1, a << 1, 1 >> a },
    { "add", "sub", "mul", "div", "mod", "pow", "idiv", "band", "bor", "bxor", "shl", "shr" })
  lu.assertEquals({ -a, ~a, #a, a.field, a[1], a(1, 2) }, { "unm", "bnot", 7, "index", "index", "call" })
  a.key = "value"
  lu.assertEquals(stored, { "key", "value" })
  lu.assertEquals({ a == b, a ~= b, a < b, a > b, not (a < b), a <= b, a >= b }, { true, false, true, true, false, false, false })
  if a <= b then lu.fail "a jump on the wrong side" end
  if not (a < b) then lu.fail "a jump on the wrong side" end
  lu.assertEquals({ a .. "x", "x" .. a, "x" .. a .. "y" .. "z", "p" .. "q" .. a, a .. b .. "r" .. 1 },
    { "ox", "xo", "xoyz", "pqo", "oor1" })
  for k, v in pairs(a) do lu.assertEquals({ k, v }, { "one", 1 }) end
  do local _ <close> = a end
  lu.assertTrue(closed)
  lu.assertAlmostEquals(eddy.now() - from, count, 1e-6)
  lu.assertTrue(count >= 36, count)
end

function TestGenerators:test_s162_the_whole_chain_is_looked_at()
  local queue = eddy.queue()
  queue:put "item"
  local function producer() coroutine.yield(1) queue:get() end
  local step, said = coroutine.wrap(producer), nil
  table.sort({ 1, 2, 3 }, function(a, b)
    if not said then
      step()
      said = select(2, pcall(step))                  -- yieldable in itself, but not through sort
    end
    return a < b
  end)
  lu.assertStrContains(tostring(said), "cannot await inside 'sort' (a C function that cannot be suspended)")
  lu.assertEquals(queue:size(), 1)
  local closing
  local gen, _, _, value = eddy.gen(function(emit) emit(1) queue:get() end)
  closing = value
  table.sort({ 2, 1 }, function() said = { gen(), pcall(gen) } return false end)
  lu.assertEquals({ said[1], said[2] }, { 1, false })
  lu.assertStrContains(tostring(said[3]), "cannot await inside 'sort'")
  lu.assertEquals(queue:size(), 1)
  closing:close()
end

local function over_suspension()
  local lines, others = 0, 0
  local function hook() lines = lines + 1 end
  local task = eddy.spawn(function()
    debug.sethook(hook, "l")
    eddy.sleep(1)
    local at_first = lines
    local fn, mask = debug.gethook()
    eddy.sleep(1)
    debug.sethook()
    return fn, mask, lines > at_first
  end)
  local other = eddy.spawn(function()
    eddy.sleep(0.5)
    others = debug.gethook()
  end)
  lu.assertEquals({ task:await() }, { hook, "l", true })
  other:await()
  lu.assertNil(others)                               -- it is that task's alone
  local next_one = eddy.spawn(function() return (debug.gethook()) end)
  lu.assertNil(next_one:await())                     -- and not that of whoever gets its coroutine
end

local function over_preemption()
  for _, how in ipairs { { "l", 0 }, { "", 1000 } } do
    local calls, others = 0, 0
    local function hook() calls = calls + 1 end
    local task = eddy.spawn(function()
      debug.sethook(hook, how[1], how[2])
      local n, till = 0, os.clock() + 20
      while others < 5 and os.clock() < till do n = n + 1 end   -- never waits
      local at_end = calls
      for _ = 1, 10000 do n = n + 1 end
      local kept = table.pack(debug.gethook())
      debug.sethook()
      return kept, others == 5 and at_end > 0 and calls > at_end
    end)
    for _ = 1, 5 do
      eddy.sleep(0)
      others = others + 1
      lu.assertNil((debug.gethook()))
    end
    local kept, goes_on = task:await()
    lu.assertEquals({ kept[1] == hook, kept[2], kept[3], goes_on }, { true, how[1], how[2], true })
  end
end

function TestGenerators:test_outside_s163_a_users_hook_stays()
  eddy.config { clock = "manual" }
  local ok, err = pcall(eddy.run, over_suspension)
  eddy.config { slice = 0.002 }
  if ok then ok, err = pcall(eddy.run, over_preemption) end
  eddy.config { slice = false, clock = false }
  if not ok then error(err, 0) end
end

return { TestGenerators = TestGenerators }
