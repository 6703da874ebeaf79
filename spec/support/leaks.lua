-- SPDX-License-Identifier: MIT
-- What a test left behind in the process: open descriptors, global names. (What it left in its run
-- is found by eddy.testing.)

local leaks = {}

local MAX_DESCRIPTOR = 255

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
