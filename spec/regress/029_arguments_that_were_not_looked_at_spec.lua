-- SPDX-License-Identifier: MIT
-- An option of spawn_with that is none was ignored. Its name was checked as argument #-1, and in a
-- group its options as `self`. A method called without its object was said to have got a table. The
-- list of `map` with a negative `n` gave a negative `n`, one with a float or NaN was not asked, and a
-- large one kept the loop for as long as it takes to count to it. `each(pairs(t), fn)` failed inside `next`.
local lu = ...
local eddy = require "eddy"

local function nothing() end

local function raises(text, fn)
  local here = ":%d+: "
  local ok, err = pcall(fn)
  lu.assertFalse(ok)
  lu.assertEquals((err:gsub("^.-" .. here, "")), text)
  lu.assertStrContains(err, "029_arguments_that_were_not_looked_at_spec.lua:")
end

local TestArguments = { clock = "manual" }

function TestArguments:test_options_of_spawn_with()
  local group <close> = eddy.group()
  for _, spawn_with in ipairs {
    eddy.spawn_with, function(...) local task = group:spawn_with(...) return task end,
  } do
    raises("unknown spawn_with option 'nam'", function() local _ = spawn_with({ nam = "x" }, nothing) end)
    raises("unknown spawn_with option '1'", function() local _ = spawn_with({ "x" }, nothing) end)
    raises("spawn_with option 'name' must be a string", function() local _ = spawn_with({ name = {} }, nothing) end)
    raises("bad argument #1 to 'spawn_with' (table expected, got nil)", function() local _ = spawn_with(nil, nothing) end)
    raises("bad argument #2 to 'spawn_with' (function expected, got nil)", function() local _ = spawn_with({}, nil) end)
    local task = spawn_with({ name = "bob" }, function(...) return select("#", ...), ... end, nil, 2, nil)
    lu.assertEquals(task:name(), "bob")
    lu.assertEquals(table.pack(task:await()), { 3, nil, 2, nil, n = 4 })
  end
end

function TestArguments:test_a_method_without_its_object()
  local task = eddy.spawn(nothing)
  raises("bad argument #1 to 'await' (eddy.Task expected, got no value)", function() local _ = task.await() end)
  raises("bad argument #1 to 'await' (eddy.Task expected, got number)", function() local _ = task.await(1) end)
  local get = eddy.queue().get
  raises("bad argument #1 to 'get' (eddy.Queue expected, got no value)", function() local _ = get() end)
end

function TestArguments:test_each_of_pairs()
  local text = "bad argument #1 to 'each' (the iterators of 'pairs' and 'ipairs' need their table; eddy.map takes lists)"
  raises(text, function() eddy.each(pairs { a = 1 }, nothing) end)
  raises(text, function() eddy.each(ipairs { 1 }, nothing) end)
end

function TestArguments:test_the_n_of_a_list()
  for _, n in ipairs { -1, 2.5, math.huge, 0 / 0, math.mininteger } do
    raises("bad argument #1 to 'map' (its 'n' must be a whole number of at least 0)",
      function() local _ = eddy.map({ 1, 2, n = n }, nothing) end)
  end
  lu.assertEquals(eddy.map({ 1, 2, 3, n = 2.0 }, tostring), { "1", "2", n = 2 })
  lu.assertEquals(eddy.map({ n = 4, nil, 2, [4] = false, [5] = 5 }, tostring), { "nil", "2", "nil", "false", n = 4 })
  local squares = setmetatable({ n = 5000 }, { __index = function(_, i) return i * i end })
  lu.assertEquals(eddy.map(squares, function(v) return v end)[5000], 25000000)
end

function TestArguments:test_a_list_that_claims_to_be_very_long()
  for _, list in ipairs { { 1, 2, n = 1 << 40 }, setmetatable({ n = 1 << 40 }, { __index = function() return 1 end }) } do
    local calls = 0
    local task = eddy.spawn(eddy.map, list, function() calls = calls + 1 eddy.sleep(1) end, { limit = 2 })
    eddy.sleep(getmetatable(list) and 0 or 1.5)
    task:cancel()
    lu.assertFalse((task:join()))
    lu.assertEquals(task:status(), "cancelled")
    lu.assertEquals(calls, getmetatable(list) and 0 or 4)
  end
end

return { TestArguments = TestArguments }
