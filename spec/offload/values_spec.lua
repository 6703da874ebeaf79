-- SPDX-License-Identifier: MIT
-- What travels between states, there and back, and what is refused and how.
local lu = ...
local eddy = require "eddy"

local function echo(...) return ... end
local function round_trip(...) return eddy.offload(echo, ...) end

-- ---- Everything that travels -------------------------------------------------------------------

local TestValues = {}

function TestValues:test_plain_values()
  local values = {
    true, false, 0, 1, -1, 63, 64, -64, -65, 1 << 31, math.maxinteger, math.mininteger, 0.5, -0.25, 1e308, 5e-324,
    math.huge, -math.huge, "", "a", "\0\1\255", ("x"):rep(40), ("x"):rep(41), ("long"):rep(100000),
  }
  for i, value in ipairs(values) do
    local back = round_trip(value)
    lu.assertEquals({ i, back, math.type(back) }, { i, value, math.type(value) })
  end
  lu.assertEquals(1 / round_trip(-0.0), -math.huge)
  local nan = round_trip(0 / 0)
  lu.assertTrue(nan ~= nan)
end

function TestValues:test_counts_and_nils()
  lu.assertEquals(table.pack(round_trip()), { n = 0 })
  lu.assertEquals(table.pack(round_trip(nil)), { n = 1 })
  lu.assertEquals(table.pack(round_trip(nil, 2, nil)), { nil, 2, nil, n = 3 })
  local many = {}
  for i = 1, 2000 do many[i] = i end
  lu.assertEquals({ round_trip(table.unpack(many)) }, many)
end

function TestValues:test_tables()
  local holes = { 1, nil, 3, nil, nil, 6, x = { y = { "z" } }, [2.5] = true, [-1] = "minus", [true] = false }
  lu.assertEquals(round_trip(holes), holes)
  lu.assertEquals(round_trip {}, {})
  lu.assertEquals(round_trip { [3] = "c", [2] = "b", [1] = "a" }, { "a", "b", "c" })
end

function TestValues:test_cycles_and_shared_parts()
  local part = { "part" }
  local t = { part, again = part, [part] = part }
  t.me, t[t] = t, "key"
  local back, other = round_trip(t, part)
  lu.assertIs(back.me, back)
  lu.assertEquals(back[back], "key")
  lu.assertIs(back[1], other)
  lu.assertIs(back.again, other)
  lu.assertIs(back[other], other)
  lu.assertNotIs(back, t)
end

function TestValues:test_depth_needs_no_stack()
  local n = 300000
  local chain = {}
  for i = 1, n do chain = { next = chain, i = i } end
  local back, depth = round_trip(chain), 0
  while back.next do back, depth = back.next, depth + 1 end
  lu.assertEquals(depth, n)
end

function TestValues:test_functions_and_upvalues()
  local a, b = 1, { "b" }
  local function sum(c) return a + c + #b end
  lu.assertEquals(eddy.offload(sum, 5), 7)
  local back = round_trip(sum)
  lu.assertNotIs(back, sum)
  lu.assertEquals(back(10), 12)
  a = 100
  lu.assertEquals(back(10), 12)   -- a copy has a copy of the variable
end

function TestValues:test_recursive_functions()
  local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
  lu.assertEquals(eddy.offload(factorial, 10), 3628800)
  local is_odd
  local function is_even(n) if n == 0 then return true end return is_odd(n - 1) end
  function is_odd(n) if n == 0 then return false end return is_even(n - 1) end
  lu.assertTrue(eddy.offload(is_even, 10))
  lu.assertTrue(round_trip(is_odd)(7))
end

function TestValues:test_functions_share_variables_as_before()
  local n = 0
  local function up() n = n + 1 return n end
  local function get() return n end
  local other
  do
    local m = 10
    other = function() m = m + 1 return m end
  end
  local up2, get2, other2 = round_trip(up, get, other)
  up2() up2()
  lu.assertEquals({ get2(), get(), other2(), up2() }, { 2, 0, 11, 3 })
end

function TestValues:test_a_variable_that_holds_its_function()
  local box = {}
  function box.method() return box end
  local back = round_trip(box)
  lu.assertIs(back.method(), back)
end

function TestValues:test_globals_are_those_of_the_other_side()
  local where = eddy.offload(function()
    marker_of_worker = "there"  -- luacheck: ignore
    return _G
  end)
  lu.assertIs(where, _G)
  lu.assertNil(rawget(_G, "marker_of_worker"))
  lu.assertIs(round_trip(_G), _G)
  local env = { answer = 42 }
  local function reads() local _ENV = env return answer end  -- luacheck: ignore
  lu.assertEquals(eddy.offload(reads), 42)
end

function TestValues:test_library_functions_and_modules_by_name()
  local insert, sort, leaks = table.insert, table.sort, require "spec.support.leaks"
  lu.assertIs(round_trip(insert), insert)
  lu.assertIs(round_trip(print), print)
  lu.assertIs(round_trip(string), string)
  lu.assertIs(round_trip(leaks), leaks)
  lu.assertIs(round_trip(eddy), eddy)
  lu.assertIs(round_trip(eddy.sleep), eddy.sleep)
  local function sorted(list) insert(list, 0) sort(list) return list end
  lu.assertEquals(eddy.offload(sorted, { 3, 1, 2 }), { 0, 1, 2, 3 })
  lu.assertEquals(eddy.offload(string.rep, "ab", 3), "ababab")
  lu.assertEquals(eddy.offload(function() return type(eddy.run) end), "function")
end

function TestValues:test_metatables()
  local Point = {}
  Point.__index = Point
  function Point.__add(a, b) return setmetatable({ x = a.x + b.x }, Point) end
  function Point:double() return self + self end
  local p, q = setmetatable({ x = 1 }, Point), setmetatable({ x = 2 }, Point)
  local sum = eddy.offload(function(a, b) return a + b end, p, q)
  lu.assertEquals(sum.x, 3)
  lu.assertEquals(sum:double().x, 6)
  local a, b = round_trip(p, q)
  lu.assertIs(getmetatable(a), getmetatable(b))
end

function TestValues:test_metamethods_are_not_called()
  local function never() error "called" end
  local shy = setmetatable({ 1 }, {
    __index = never, __newindex = never, __pairs = never, __len = never, __metatable = "locked", __eq = never,
  })
  local back = round_trip(shy)
  lu.assertEquals({ rawget(back, 1), getmetatable(back) }, { 1, "locked" })
end

function TestValues:test_weak_tables_keep_what_is_held()
  local key = {}
  local weak = setmetatable({ [key] = "value" }, { __mode = "k" })
  local back, back_key = round_trip(weak, key)
  collectgarbage()
  lu.assertEquals(back[back_key], "value")
end

function TestValues:test_error_objects()
  local err = eddy.error { kind = "io", code = "EX", op = "op", cause = eddy.error { kind = "tls" } }
  local back = round_trip(err)
  lu.assertTrue(eddy.is(back, "EX"))
  lu.assertTrue(eddy.is(back.cause, "tls"))
  lu.assertEquals(tostring(back), tostring(err))
  lu.assertIs(getmetatable(back), eddy.Error)
end

function TestValues:test_null()
  local ok, cjson = pcall(require, "cjson")
  lu.skipIf(not ok, "no cjson")
  lu.assertEquals(round_trip { cjson.null }[1], cjson.null)
end

function TestValues:test_long_strings_go_once()
  local long = ("x"):rep(1 << 20)
  local list = {}
  for i = 1, 200 do list[i] = long end
  local back = round_trip(list)
  lu.assertEquals(#back, 200)
  lu.assertTrue(back[200] == long)
end

-- ---- Random graphs -----------------------------------------------------------------------------

local TestRandom = {}

local function random_scalar(random)
  local kind = random(7)
  if kind == 1 then return random(2) == 1 end
  if kind == 2 then return random(-1000, 1000) end
  if kind == 3 then return random(0) end
  if kind == 4 then return (random(0) | 1) / 65536 end
  if kind == 5 then return ("s"):rep(random(0, 60)) .. random(100) end
  if kind == 6 then return "k" .. random(20) end
  return 0.5 + random(100)
end

-- Tables, functions that hold tables, all pointing at each other.
local function random_graph(random, size)
  local nodes = {}
  for i = 1, size do
    if random(4) == 1 then
      local held, n = nil, i
      nodes[i] = function(set) if set ~= nil then held = set end return held, n end
    else
      nodes[i] = {}
    end
  end
  local function any() return random(3) == 1 and random_scalar(random) or nodes[random(size)] end
  for _, node in ipairs(nodes) do
    if type(node) == "function" then node(any())
    else
      for j = 1, random(0, 6) do node[j] = any() end
      for _ = 1, random(0, 6) do node[any()] = any() end
      if random(5) == 1 then
        local meta = nodes[random(size)]
        if type(meta) == "table" then setmetatable(node, meta) end
      end
    end
  end
  return nodes
end

-- Are two graphs the same shape? Walks both at once, without recursion. Keys that are objects are
-- told apart by what `twin` says of them once they were met elsewhere.
local function assert_same_graph(a, b)
  local twin, back, work = {}, {}, {}
  local function meet(x, y)
    if type(x) ~= "table" and type(x) ~= "function" then
      lu.assertEquals({ x, math.type(x) }, { y, math.type(y) })
      return
    end
    lu.assertEquals(type(y), type(x))
    if twin[x] or back[y] then
      lu.assertIs(twin[x], y)
      lu.assertIs(back[y], x)
      return
    end
    twin[x], back[y] = y, x
    work[#work + 1] = x
  end
  meet(a, b)
  while #work > 0 do
    local x = table.remove(work)
    local y = twin[x]
    if type(x) == "function" then
      local held, n = x()
      local held2, n2 = y()
      lu.assertEquals(n2, n)
      meet(held, held2)
    else
      local count, objects = 0, 0
      for key, value in next, x do
        count = count + 1
        if type(key) == "table" or type(key) == "function" then
          if twin[key] then meet(value, rawget(y, twin[key])) else objects = objects + 1 end
        else
          meet(value, rawget(y, key))
        end
      end
      for _ in next, y do count = count - 1 end
      lu.assertEquals(count, 0)
      meet(getmetatable(x), getmetatable(y))
    end
  end
end

function TestRandom:test_graphs_there_and_back()
  for seed = 1, 60 do
    math.randomseed(seed)
    local nodes = random_graph(math.random, math.random(60))
    local ok, err = pcall(assert_same_graph, nodes, (round_trip(nodes)))
    if not ok then lu.fail(("seed %d: %s"):format(seed, err.msg or tostring(err))) end
  end
end

function TestRandom:test_a_large_graph()
  math.randomseed(7)
  local nodes = random_graph(math.random, 20000)
  assert_same_graph(nodes, (round_trip(nodes)))
end

-- ---- Refused -----------------------------------------------------------------------------------

local TestRefused = {}

local function refusal(...)
  local ok, err = pcall(eddy.offload, ...)
  lu.assertFalse(ok)
  lu.assertIsString(err)
  return err
end

function TestRefused:test_with_its_path()
  local file = io.stdout
  local deep = { foo = { bar = file } }
  lu.assertStrContains(refusal(echo, deep), "argument 2.foo.bar: userdata")
  lu.assertStrContains(refusal(echo, 1, 2, file), "argument 4: userdata (FILE*)")
  lu.assertStrContains(refusal(echo, { 1, { file } }), "argument 2[2][1]: userdata")
  lu.assertStrContains(refusal(echo, { ["a b"] = file }), 'argument 2["a b"]: userdata')
  lu.assertStrContains(refusal(echo, { [1.5] = { [true] = file } }), "argument 2[1.5][true]: userdata")
  lu.assertStrContains(refusal(echo, { x = { [file] = 1 } }), "argument 2.x (a key): userdata")
  lu.assertStrContains(refusal(echo, { [{}] = file }), "argument 2[a table]: userdata")
  lu.assertStrContains(refusal(echo, coroutine.create(print)), "argument 2: thread")
  lu.assertStrContains(refusal(echo, setmetatable({}, { x = file })), "argument 2 (its metatable).x: userdata")
end

function TestRefused:test_in_upvalues()
  local log = { file = io.stdout }
  local function helper() return log end
  local function work() return helper() end
  lu.assertStrContains(refusal(work), "argument 1 (upvalue helper) (upvalue log).file: userdata")
  lu.assertStrContains(refusal(echo, { work }), "argument 2[1] (upvalue helper)")
end

function TestRefused:test_what_has_a_state_of_its_own()
  lu.assertStrContains(refusal(echo, { eddy.event() }), "argument 2[1]: userdata (eddy.Event)")
  lu.assertStrContains(refusal(echo, { f = coroutine.wrap(print) }), "argument 2.f: C function")
  lu.assertStrContains(refusal(echo, { t = setmetatable({}, { __gc = function() end }) }), "argument 2.t: table with __gc")
  lu.assertStrContains(refusal(echo, { setmetatable({}, { __close = function() end }) }), "argument 2[1]: table with __close")
end

function TestRefused:test_a_path_that_is_too_long_is_cut()
  local chain = { io.stdout }
  for _ = 1, 100000 do chain = { chain } end
  local text = refusal(echo, chain)
  lu.assertStrContains(text, "argument 2...[1][1]")
  lu.assertTrue(#text < 400)
end

function TestRefused:test_before_anything_happens_and_with_the_line_of_the_caller()
  local n = 0
  local ok, err = pcall(function() n = n + 1 eddy.offload(echo, io.stdout) end)
  lu.assertFalse(ok)
  lu.assertStrMatches(err, ".-values_spec%.lua:%d+: cannot transfer argument 2: userdata.*")
  lu.assertEquals({ n, eddy.stats().jobs, eddy.stats().handles }, { 1, 0, 0 })
end

function TestRefused:test_results()
  lu.assertStrContains(refusal(function() return 1, { x = io.stdout } end), "cannot transfer result 2.x: userdata (FILE*)")
  lu.assertEquals(eddy.offload(echo, "works"), "works")
end

function TestRefused:test_misuse()
  lu.assertErrorMsgContains("bad argument #1 to 'eddy.offload'", eddy.offload)
  lu.assertErrorMsgContains("bad argument #1", eddy.offload, 1)
  lu.assertErrorMsgContains("bad argument #1", eddy.offload, "print")
end

function TestRefused:test_where_nothing_can_wait()
  lu.assertErrorMsgContains("cannot await inside 'sort'", table.sort, { 2, 1 }, function() eddy.offload(echo) end)
end

return { TestValues = TestValues, TestRandom = TestRandom, TestRefused = TestRefused }
