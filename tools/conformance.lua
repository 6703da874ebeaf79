-- SPDX-License-Identifier: MIT
-- The numbered statements of the semantics, 1 to 183, against spec/conformance: every number has
-- exactly one test (`test_s001_words`, or `test_outside_s001_words` where it needs no run of its own
-- around it) or one comment line that says why not: `-- s075: not yet: <what it waits for>`.
--     lua tools/conformance.lua FILE...
local LAST = 183

local tests, open, failures = {}, {}, 0

local function complain(text, ...)
  failures = failures + 1
  io.write(text:format(...), "\n")
end

local function note(list, number, place)
  list[number] = list[number] or {}
  table.insert(list[number], place)
end

local function read(path)
  local at = 0
  for line in io.lines(path) do
    at = at + 1
    local place = path .. ":" .. at
    local name = line:match "^function%s+[%w_]+[:.](test_[%w_]+)"
    local digits = name and (name:match "^test_s(%d%d%d)_%w" or name:match "^test_outside_s(%d%d%d)_%w")
    if digits then note(tests, tonumber(digits), place)
    elseif name then complain("%s: %s has no number: test_s001_words", place, name) end
    local waiting, why = line:match "^%-%- s(%d%d%d): not yet:%s*(.*)"
    if waiting then
      note(open, tonumber(waiting), place)
      if #why < 10 then complain("%s: say what it waits for", place) end
    end
  end
end

for _, path in ipairs(arg) do read(path) end

local tested, waiting = 0, 0
for number = 1, LAST do
  local has, lacks = tests[number] or {}, open[number] or {}
  tested, waiting = tested + math.min(#has, 1), waiting + math.min(#lacks, 1)
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

print(("conformance: %d of %d statements have a test, %d are open"):format(tested, LAST, waiting))
if failures > 0 then os.exit(false) end
