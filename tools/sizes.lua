-- SPDX-License-Identifier: MIT
-- Nothing grows beyond what can be read at once.   lua tools/sizes.lua FILE...
-- A file over 600 lines or a function over 60 is an error; functions over 30 are counted.
package.path = "tools/?.lua;" .. package.path
local csource = require "csource"

local FILE_MAX, FUNCTION_MAX, FUNCTION_LONG = 600, 60, 30
local failures, functions, long = 0, 0, 0

local function complain(message, ...)
  failures = failures + 1
  io.write(message:format(...), "\n")
end

local function count_lines(text)
  local _, count = text:gsub("\n", "\n")
  return count
end

--- Functions of a Lua file that end on a line of their own, found by indentation.
local function lua_functions(text)
  local found, open, line = {}, {}, 0
  for row in (text .. "\n"):gmatch("(.-)\n") do
    line = line + 1
    local indent, rest = row:match("^(%s*)(.*)$")
    if open[#indent] and rest:match("^end%f[^%w_]") then
      local func = open[#indent]
      func.last = line
      found[#found + 1] = func
      open[#indent] = nil
    elseif rest:match("%f[%w_]function%f[^%w_]") and not rest:match("^%-%-") and not rest:match("%f[%w_]end[%s),;]*$") then
      open[#indent] = { name = rest:match("function%s*([%w_.:]+)") or "(anonymous)", first = line }
    end
  end
  return found
end

--- Specs are lists of facts: their files count, their functions do not.
local function functions_of(file, text)
  if file:match("^spec/.*_spec%.lua$") then return {} end
  return file:match("%.lua$") and lua_functions(text) or csource.functions(text)
end

for _, file in ipairs(arg) do
  local text = csource.read(file)
  local lines = count_lines(text)
  if lines > FILE_MAX then complain("%s:%d: file of %d lines, at most %d", file, lines, lines, FILE_MAX) end
  for _, func in ipairs(functions_of(file, text)) do
    local size = func.last - func.first + 1
    functions = functions + 1
    if size > FUNCTION_MAX then
      complain("%s:%d: function %s of %d lines, at most %d", file, func.first, func.name, size, FUNCTION_MAX)
    elseif size > FUNCTION_LONG then
      long = long + 1
    end
  end
end
io.write(("  sizes    %d files, %d functions, %d of them over %d lines\n"):format(#arg, functions, long, FUNCTION_LONG))
if failures > 0 then os.exit(false) end
