-- SPDX-License-Identifier: MIT
-- Compare output with what a page or a file says it should be. In the expectation `...` (or the one
-- character for it) stands for any text within a line, and alone on a line for any number of lines.

local expect = {}

local function lines_of(text)
  local list = {}
  for line in (text:gsub("\r\n", "\n"):gsub("%s*$", "") .. "\n"):gmatch("(.-)\n") do
    list[#list + 1] = (line:gsub("%s+$", ""))
  end
  return list
end

local function is_gap(line)
  return line:match("^%s*%.%.%.$") or line:match("^%s*…$")
end

local function line_matches(wanted, got)
  if wanted == got then return true end
  local pattern = wanted:gsub("…", "..."):gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*")
  return got:match("^" .. pattern .. "$") ~= nil
end

--- Match lines `i` of `wanted` on against lines `j` of `got` on.
local function matches(wanted, got, i, j)
  while i <= #wanted do
    if is_gap(wanted[i]) then
      for k = j, #got + 1 do
        if matches(wanted, got, i + 1, k) then return true end
      end
      return false
    end
    if got[j] == nil or not line_matches(wanted[i], got[j]) then return false end
    i, j = i + 1, j + 1
  end
  return j > #got
end

--- True if `got` is what `wanted` says, else false and both as text to show.
---@param wanted string
---@param got string
---@return boolean ok
---@return string? difference
function expect.output(wanted, got)
  if matches(lines_of(wanted), lines_of(got), 1, 1) then return true end
  return false, ("--- expected\n%s\n--- got\n%s"):format(table.concat(lines_of(wanted), "\n"), table.concat(lines_of(got), "\n"))
end

return expect
