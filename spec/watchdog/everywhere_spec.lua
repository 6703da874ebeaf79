-- SPDX-License-Identifier: MIT
-- Preempted after every instruction, a task computes what it computes undisturbed. Each case runs as a task
-- beside a second one of its kind and one that only takes turns; preemption is by count here, not by time, so
-- every place is hit in every run.
local lu = ...
local eddy = require "eddy"
local core = require "eddy.core"
local stock = require "spec.support.stock"

local cases = {}

function cases.loops_and_jumps()
  local sum, n = 0, 0
  for i = 1, 10 do sum = sum + i end
  for i = 10, 1, -3 do sum = sum - i end
  for x = 0, 1, 0.25 do sum = sum + x end
  while n < 5 do n = n + 1 end
  repeat n = n - 1 until n == 0
  for i = 1, 5 do
    if i % 2 == 0 then goto continue end
    sum = sum + i
    ::continue::
  end
  return sum, n
end

function cases.arithmetic_and_comparison()
  local a, b, s = 7, 2.5, "10"
  local numbers = { a + b, a - b, a * b, a / b, a // 2, a % 3, a ^ 2, a & 3, a | 8, a ~ 1, ~a, a << 2, a >> 1, -a, s + 1, s .. a }
  local truths = { a == 7, a ~= 7, a < b, a <= 7, a > b, a >= 8, not a, a and b, nil or s }
  return table.concat(numbers, " "), #truths, truths[1], truths[9]
end

function cases.calls()
  local function varargs(...) return select("#", ...), ... end
  local function tail(n, acc) if n == 0 then return acc end return tail(n - 1, acc + n) end
  local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
  local object = { value = 3 }
  function object:get(...) return self.value, ... end
  local many = table.pack(varargs(nil, 1, nil))
  return many.n, many[1], many[3], tail(20, 0), fib(8), object:get(1, 2)
end

function cases.closures()
  local list = {}
  for i = 1, 3 do list[i] = function(step) i = i + step return i end end
  local total = 0
  for _, fn in ipairs(list) do total = total + fn(10) + fn(1) end
  return total
end

function cases.tables()
  local t = { 1, 2, x = 3, [4] = 4, { deep = { 5 } } }
  t.y, t.x = t.x, t[1]
  t[#t + 1] = "end"
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = tostring(k):sub(1, 5) end
  table.sort(keys, function(a, b) return a < b end)
  return t.x, t.y, t[3].deep[1], #t, table.concat(keys, ",")
end

function cases.strings()
  local words = {}
  for word in ("one two three"):gmatch "%a+" do words[#words + 1] = word:upper() .. #word end
  local text = ("a-b-c"):gsub("%a", function(c) return c:byte() end)
  return table.concat(words, ";"), text, ("%d|%s"):format(5, "x")
end

function cases.metamethods()
  local log = {}
  local meta
  local function note(name, value) log[#log + 1] = name return value end
  meta = { __index = function(_, k) return note("index", k) end, __newindex = function(t, k, v) rawset(t, k, note("newindex", v)) end,
    __add = function() return note("add", 1) end, __sub = function() return note("sub", 2) end,
    __concat = function() return note("concat", "c") end, __len = function() return note("len", 3) end,
    __eq = function() return note("eq", true) end, __lt = function() return note("lt", true) end,
    __le = function() return note("le", false) end, __unm = function() return note("unm", 4) end,
    __call = function(_, x) return note("call", x) end, __idiv = function() return note("idiv", 5) end }
  local a, b = setmetatable({}, meta), setmetatable({}, meta)
  a.new = 1
  local results = { a.x, a + 1, 1 - a, a .. b .. "x", #a, a == b, a < b, a <= b, b >= a, -a, a(7), a // b }
  return #results, results[1], results[4], results[9], table.concat(log, " ")
end

function cases.errors()
  local function thrower(v) error(v, 0) end
  local value = {}
  local ok, err = pcall(thrower, value)
  local ok2, text = xpcall(function() return nil + 1 end, function(e) return "handled " .. tostring(e):match "perform.*" end)
  local ok3, where = pcall(function() error "here" end)
  return ok, err == value, ok2, text, ok3, where, select("#", pcall(pcall, error))
end

function cases.closing_values()
  local log = {}
  local function closer(name) return setmetatable({}, { __close = function(_, e) log[#log + 1] = name .. ":" .. tostring(e) end }) end
  do
    local _ <close> = closer "a"
    local _ <close> = closer "b"
  end
  pcall(function()
    local _ <close> = closer "c"
    error("x", 0)
  end)
  for _ in (function() local n = 0 return function() n = n + 1 return n < 4 and n or nil end, nil, nil, closer "loop" end)() do
    local _ <close> = closer "body"
  end
  local function early() local _ <close> = closer "return" return "value" end
  log[#log + 1] = early()
  return table.concat(log, " ")
end

function cases.coroutines()
  local log = {}
  local co = coroutine.create(function(a)
    local b = coroutine.yield(a + 1)
    local _, main = coroutine.running()
    log[#log + 1] = tostring(main)
    local c = coroutine.yield(b * 2)
    error("end" .. c, 0)
  end)
  for i = 1, 4 do log[#log + 1] = table.concat({ tostring(coroutine.status(co)), tostring(select(2, coroutine.resume(co, i))) }, "=") end
  local open = coroutine.wrap(function()
    local _ <close> = setmetatable({}, { __close = function() log[#log + 1] = "closed" end })
    coroutine.yield(1)
  end)
  open()
  open()
  local unfinished = coroutine.create(function() coroutine.yield() end)
  coroutine.resume(unfinished)
  log[#log + 1] = tostring(coroutine.close(unfinished))
  return table.concat(log, " ")
end

local function tree(depth)
  return coroutine.wrap(function()
    if depth > 0 then for value in tree(depth - 1) do coroutine.yield(value) end end
    coroutine.yield(depth)
    if depth > 0 then for value in tree(depth - 1) do coroutine.yield(value) end end
  end)
end

function cases.nested_coroutines()
  local list = {}
  for value in tree(3) do list[#list + 1] = value end
  return table.concat(list)
end

function cases.generators()
  local list = {}
  local function numbers(n) return eddy.gen(function(emit) for i = 1, n do emit(i, -i) end end) end
  local function doubled(n) return eddy.gen(function(emit) for i in numbers(n) do emit(2 * i) end end) end
  for i, j in numbers(5) do list[#list + 1] = i * 10 + j end
  for i in doubled(9) do
    if i > 8 then break end
    list[#list + 1] = i
  end
  local ok, err = pcall(function() for _ in eddy.gen(function(emit) emit(1) error("inside", 0) end) do list[#list + 1] = "e" end end)
  return table.concat(list, " "), ok, err
end

function cases.waits_in_between()
  local list = {}
  for i in eddy.gen(function(emit) for i = 1, 3 do eddy.sleep(0) emit(i) eddy.sleep(1) end end) do
    list[#list + 1] = i
    eddy.sleep(0)
  end
  local step = coroutine.wrap(function() for i = 1, 3 do eddy.sleep(1) coroutine.yield(i) end end)
  for _ = 1, 3 do list[#list + 1] = step() end
  local results = eddy.map({ 1, 2, 3 }, function(v) eddy.sleep(4 - v) return v * v end, { limit = 2 })
  return table.concat(list, " "), table.concat(results, " "), eddy.within(1, eddy.sleep, 5)
end

function cases.blocks()
  local queue, list = eddy.queue(1), {}
  eddy.group(function(group)
    group:spawn(function() for i = 1, 5 do queue:put(i) end queue:close() end)
    group:spawn(function() for value in queue:iter() do list[#list + 1] = value end end)
  end)
  local ok, err = pcall(eddy.timeout, 1, function()
    local _ <close> = eddy.defer(function() eddy.sleep(0.1) list[#list + 1] = "deferred" end)
    eddy.sleep(10)
  end)
  local inside = eddy.var "out"
  local seen = inside:with("in", function() return eddy.spawn(function() return inside:get() end):await() end)
  return table.concat(list, " "), ok, err.kind, seen, inside:get()
end

function cases.where_it_cannot_be_suspended()
  local list = { 3, 1, 2 }
  table.sort(list, function(a, b) local less = a < b return less end)
  local text = ("abc"):gsub("%a", function(c) local up = c:upper() return up end)
  local atomic = eddy.atomic(function() local sum = 0 for i = 1, 20 do sum = sum + i end return sum end)
  local plain = stock.wrap(function() local x = stock.yield(1) return x + 1 end)
  return table.concat(list), text, atomic, plain(), plain(4)
end

function cases.finalizers()
  local n = 0
  for _ = 1, 3 do setmetatable({}, { __gc = function() for i = 1, 10 do n = n + i end end }) end
  collectgarbage()
  collectgarbage()
  return n
end

--- The results of both, and how often they were preempted.
local function run_case(case, count)
  local turns, is_over, results = 0, false, {}
  local before, after = core.probe.preempt(count), nil
  eddy.group(function(group)
    group:spawn(function()
      while not is_over do
        turns = turns + 1
        eddy.sleep(turns % 50 == 0 and 0.1 or 0)   -- so that the manual clock can move
      end
    end)
    eddy.gather(function() results[1] = table.pack(case()) end, function() results[2] = table.pack(case()) end)
    after = core.probe.preempt(0)
    is_over = true
  end)
  return results, after - before
end

local TestEverywhere = { clock = "manual", timeout = 60 }

for name, case in pairs(cases) do
  TestEverywhere["test_" .. name] = function()
    local wanted, never = run_case(case, 0)
    lu.assertEquals(never, 0)
    for _, count in ipairs { 1, 2, 3, 7 } do
      local results, preemptions = run_case(case, count)
      lu.assertEquals(results, wanted, count)
      lu.assertTrue(preemptions > 2, preemptions)
    end
  end
end

return { TestEverywhere = TestEverywhere }
