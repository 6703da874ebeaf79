-- SPDX-License-Identifier: MIT
-- The same function offloaded again and again: its code is dumped and loaded once, and that shows in nothing.
local lu = ...
local eddy = require "eddy"

local TestAgain = { config = { workers = 1 } }

function TestAgain:test_arguments_and_results_are_those_of_each_call()
  local function add(a, b) return a + b, { a, b } end
  for i = 1, 20 do
    local sum, pair = eddy.offload(add, i, 10 * i)
    lu.assertEquals({ sum, pair }, { 11 * i, { i, 10 * i } })
  end
end

function TestAgain:test_variables_have_the_values_of_the_moment()
  local n = 0
  local function read() n = n + 1 return n end
  for i = 1, 10 do
    n = i * 100
    lu.assertEquals(eddy.offload(read), i * 100 + 1)
  end
  lu.assertEquals(n, 1000)
end

-- Two closures of one code are two things on the other side as well.
function TestAgain:test_functions_of_one_transfer_stay_apart()
  local function make() return function() return 1 end end
  local f, g = make(), make()
  for _ = 1, 5 do
    local n = eddy.offload(function(a, b)
      local set = { [a] = true, [b] = true }
      local count = 0
      for _ in pairs(set) do count = count + 1 end
      return count
    end, f, g)
    lu.assertEquals(n, 2)
  end
end

function TestAgain:test_the_functions_that_come_back_are_new_ones()
  local function give() return function() return "x" end end
  local seen = {}
  for i = 1, 5 do seen[eddy.offload(give)] = i end
  local count = 0
  for f in pairs(seen) do count = count + 1 lu.assertEquals(f(), "x") end
  lu.assertEquals(count, 5)
end

-- Globals of its own are a variable as any other.
function TestAgain:test_an_environment_of_its_own()
  local function in_environment(word)
    return load("word = word .. '!' return word", "=chunk", "t", { word = word })
  end
  for _, word in ipairs { "a", "b", "b", "c" } do
    local f = in_environment(word)
    for _ = 1, 3 do lu.assertEquals(eddy.offload(f), word .. "!") end
  end
end

function TestAgain:test_functions_in_turn_and_new_ones_of_the_same_line()
  local function one() return 1 end
  local function two() return 2 end
  for i = 1, 10 do
    lu.assertEquals({ eddy.offload(one), eddy.offload(two) }, { 1, 2 })
    lu.assertEquals(eddy.offload(function(k) return k * 2 end, i), 2 * i)
  end
end

function TestAgain:test_after_collections_on_both_sides()
  local function work() collectgarbage() return "done" end
  for _ = 1, 5 do
    lu.assertEquals(eddy.offload(work), "done")
    collectgarbage()
  end
end

-- Errors name the function and the line, also when it was loaded long ago.
function TestAgain:test_errors_have_their_line()
  local function fail(k) if k == 3 then error("third") end end
  for k = 1, 5 do
    local ok, err = pcall(eddy.offload, fail, k)
    lu.assertEquals(ok, k ~= 3)
    if not ok then lu.assertStrMatches(err, "spec/offload/again_spec.lua:%d+: third") end
  end
end

function TestAgain:test_large_code()
  local lines = {}
  for i = 1, 2000 do lines[i] = ("local x%d = %d"):format(i % 150, i) end
  local big = load("do " .. table.concat(lines, " end do ") .. " end return ...")
  for i = 1, 4 do lu.assertEquals(eddy.offload(big, i), i) end
end

-- The sender keeps the dump, and not the function.
function TestAgain:test_a_function_that_was_sent_twice_can_be_collected()
  local held = setmetatable({}, { __mode = "v" })
  do
    local unique = {}
    local f = load("return " .. tostring(#unique))
    held[1] = f
    eddy.offload(f)
    eddy.offload(f)
    eddy.offload(f)
  end
  collectgarbage()
  lu.assertNil(held[1])
end

return { TestAgain = TestAgain }
