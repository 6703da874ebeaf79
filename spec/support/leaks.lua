-- SPDX-License-Identifier: MIT
-- What a test left behind: counters of the runtime, open descriptors, global names.
local eddy = require "eddy"

local leaks = {}

local COUNTERS = { "tasks", "operations", "handles", "timers", "files", "jobs" }
local MAX_DESCRIPTOR = 255

local function has_any(counters)
  for _, name in ipairs(COUNTERS) do
    if counters[name] ~= 0 then return true end
  end
  return false
end

--- What the runtime still counts after everything unreachable is gone.
---@return table<string, integer>
function leaks.counters()
  collectgarbage()
  collectgarbage()
  if has_any(eddy.stats()) then
    -- What the collector closed just now gets its close callback in the next turns of a loop.
    eddy.run(function() eddy.sleep(0) eddy.sleep(0) end)
    collectgarbage()
  end
  return eddy.stats()
end

--- Which counters are higher than they were: "" or "2 handles, 1 files".
---@param before table<string, integer>
---@param after table<string, integer>
---@return string
function leaks.more(before, after)
  local left = {}
  for _, name in ipairs(COUNTERS) do
    if after[name] > before[name] then left[#left + 1] = ("%d %s"):format(after[name] - before[name], name) end
  end
  return table.concat(left, ", ")
end

local has_proc = io.open("/proc/self/fdinfo/0") ~= nil

--- The open descriptors as a set, or an empty one where the system does not tell.
---@return table<integer, boolean>
function leaks.descriptors()
  local open = {}
  if not has_proc then return open end
  for number = 0, MAX_DESCRIPTOR do
    -- A look without side effects: it does not open what the descriptor refers to.
    local file = io.open("/proc/self/fdinfo/" .. number)
    if file then
      file:close()
      open[number] = true
    end
  end
  return open
end

--- The members of `after` that `before` lacks, as text.
---@param before table
---@param after table
---@return string
function leaks.added(before, after)
  local names = {}
  for name in pairs(after) do
    if before[name] == nil then names[#names + 1] = tostring(name) end
  end
  table.sort(names)
  return table.concat(names, ", ")
end

local function count(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

--- More members than before? (A number may be closed and another one opened.)
---@param before table
---@param after table
---@return boolean
function leaks.has_grown(before, after)
  return count(after) > count(before)
end

--- The global names as a set.
---@return table<string, boolean>
function leaks.globals()
  local names = {}
  for name in pairs(_G) do names[name] = true end
  return names
end

return leaks
