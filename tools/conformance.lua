-- SPDX-License-Identifier: MIT
-- The numbered statements of the semantics, 1 to 183, against spec/conformance and the C tests beside
-- spec/host: every number has exactly one test (`test_s001_words`, or `test_outside_s001_words` where it
-- needs no run of its own around it; in C a function of that name, which `main` calls) or one comment line
-- that says why not: `-- s075: not yet: <what it waits for>`, or `-- s066: struck`.
--     lua tools/conformance.lua FILE...
local LAST = 183

local tests, open, struck, failures = {}, {}, {}, 0

local function complain(text, ...)
  failures = failures + 1
  io.write(text:format(...), "\n")
end

local function note(list, number, place)
  list[number] = list[number] or {}
  table.insert(list[number], place)
end

local function read_c(path)
  local at, defined = 0, {}
  for line in io.lines(path) do
    at = at + 1
    local name = line:match "^static void (test_[%w_]+) %(void%)"
    local digits = name and name:match "^test_s(%d%d%d)_%w"
    if digits then defined[name] = { tonumber(digits), path .. ":" .. at }
    elseif name and path:find "conformance" then complain("%s:%d: %s has no number: test_s001_words", path, at, name) end
    local called = line:match "^  (test_s%d%d%d_[%w_]+)%(%);"
    if defined[called] then
      note(tests, table.unpack(defined[called]))
      defined[called] = nil
    end
  end
  for name, where in pairs(defined) do complain("%s: %s is never called", where[2], name) end
end

local function read(path)
  if path:find "%.c$" then return read_c(path) end
  local at = 0
  for line in io.lines(path) do
    at = at + 1
    local place = path .. ":" .. at
    local gone = line:match "^%-%- s(%d%d%d): struck$"
    if gone then note(struck, tonumber(gone), place) end
    local name = line:match "^function%s+[%w_]+[:.](test_[%w_]+)"
    local digits = name and (name:match "^test_s(%d%d%d)_%w" or name:match "^test_outside_s(%d%d%d)_%w")
    if digits then note(tests, tonumber(digits), place)
    elseif name and path:find "conformance" then complain("%s: %s has no number: test_s001_words", place, name) end
    local waiting, why = line:match "^%-%- s(%d%d%d): not yet:%s*(.*)"
    if waiting then
      note(open, tonumber(waiting), place)
      if #why < 10 then complain("%s: say what it waits for", place) end
    end
  end
end

for _, path in ipairs(arg) do read(path) end

local tested, waiting, valid = 0, 0, LAST
for number = 1, LAST do
  local has, lacks = tests[number] or {}, open[number] or {}
  tested, waiting = tested + math.min(#has, 1), waiting + math.min(#lacks, 1)
  if struck[number] then
    valid = valid - 1
    table.move(struck[number], 1, #struck[number], #lacks + 1, lacks)
  end
  if #has + #lacks == 0 then complain("statement %d: neither a test nor `-- s%03d: not yet: why`", number, number) end
  if #has + #lacks > 1 then
    table.move(lacks, 1, #lacks, #has + 1, has)
    complain("statement %d: more than once: %s", number, table.concat(has, ", "))
  end
end
for _, list in ipairs { tests, open } do
  for number, places in pairs(list) do
    if number < 1 or number > LAST then complain("%s: there is no statement %d", places[1], number) end
  end
end

print(("conformance: %d of %d statements have a test, %d are open"):format(tested, valid, waiting))
if failures > 0 then os.exit(false) end
