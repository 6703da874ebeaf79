-- SPDX-License-Identifier: MIT
-- The patterns of a sandbox beside Lua's own: the same answers for random patterns over random texts. What ours
-- refuses for its form Lua may not come to look at; what Lua refuses ours refuses.
local lu = ...
local pattern = require("eddy.core").pattern

local ATOMS = { "a", "b", ".", "%a", "%D", "[ab]", "[^a]", "%1", "%2", "(", ")", "()", "%b()", "%bxx", "%f[a]", "$", "^", "*", "+",
  "-", "?", "[]]", "[^]]", "[a-c]", "[%a-]", "[a-%%]", "%", "[", "]", "\0", "%z", "%g", "[^%s]", "[\128-\255]", "%%", "[a-", "%f" }
local BYTES = { "a", "b", "c", "(", ")", "x", "1", " ", "\0", "\200", "%", "]", "-" }
local REPLACEMENTS = { "<%0>", "%1", "%%", "x", function(...) return select("#", ...) end, { a = "A" }, "%2%9" }

local function text_of(parts, most)
  local list = {}
  for i = 1, math.random(0, most) do list[i] = parts[math.random(#parts)] end
  return table.concat(list)
end

local function all(gmatch, text, form)
  local list = {}
  for a, b, c in gmatch(text, form) do list[#list + 1] = ("%s,%s,%s"):format(a, b, c) end
  return table.concat(list, ";")
end

local function assert_same(what, theirs, ours)
  if not ours[1] then return end
  lu.assertEquals({ what, ours }, { what, theirs })
end

local function compare(text, form)
  local init, repl = math.random(-14, 14), REPLACEMENTS[math.random(#REPLACEMENTS)]
  local what, refused = ("%q in %q"):format(form, text), 0
  for _, case in ipairs {
    { string.find, pattern.find, text, form, init }, { string.match, pattern.match, text, form, init },
    { string.gsub, pattern.gsub, text, form, repl }, { string.gsub, pattern.gsub, text, form, repl, 2 },
  } do
    local ours = table.pack(pcall(table.unpack(case, 2)))
    assert_same(what, table.pack(pcall(case[1], table.unpack(case, 3))), ours)
    if not ours[1] then refused = refused + 1 end
  end
  local ours = table.pack(pcall(all, pattern.gmatch, text, form))
  assert_same(what, table.pack(pcall(all, string.gmatch, text, form)), ours)
  return refused == 0
end

local TestPattern = {}

function TestPattern:test_outside_random_ones()
  math.randomseed(2718)
  local taken = 0
  for _ = 1, 20000 do
    if compare(text_of(BYTES, 12), text_of(ATOMS, 7)) then taken = taken + 1 end
  end
  lu.assertTrue(taken > 5000, taken)
end

function TestPattern:test_outside_many_that_may_be_missing()
  local form = ("a?"):rep(1000) .. "b"
  lu.assertEquals({ pattern.find("xb", form) }, { 2, 2 })
  lu.assertErrorMsgContains("too complex", pattern.find, ("a"):rep(1000) .. "b", form)
end

function TestPattern:test_outside_malformed_ones()
  for form, text in pairs {
    ["%"] = "ends with '%'", ["[a"] = "missing ']'", ["(a"] = "unfinished capture", ["a)"] = "invalid pattern capture",
    ["%1"] = "invalid capture index", ["%f"] = "missing '['", ["%b"] = "missing arguments", [("()"):rep(33)] = "too many captures",
  } do
    lu.assertErrorMsgContains(text, pattern.match, "text", form)
  end
end

return { TestPattern = TestPattern }
