-- SPDX-License-Identifier: MIT
--
-- Module "eddy.offload": what is policy about Lua functions in other states, on other cores. The call
-- itself, and what travels how, is C (eddy.core). Scripts find these functions in "eddy".

local core = require "eddy.core"
local misuse = require "eddy.misuse"

local offload = {}

---@class eddy.OffloadMapOptions
---@field limit integer?  how many jobs at a time, default: as many as there are workers

local function check_options(options)
  if options == nil then return core.offload.workers() end
  if type(options) ~= "table" then error("bad argument #3 to 'offload_map' (table expected)", 3) end
  for name in pairs(options) do
    if name ~= "limit" then error(("unknown option '%s' of offload_map"):format(tostring(name)), 3) end
  end
  local limit = options.limit
  if limit == nil then return core.offload.workers() end
  if math.type(limit) ~= "integer" or limit < 1 then
    error("option 'limit' of offload_map must be a positive integer", 3)
  end
  return limit
end

--- `fn(value, index)` for each value of `list` in the workers; the first result of each, in order.
--- The first failure cancels the rest, waits for its end, and is raised.
---@async
---@param list table                      its length is `list.n` or `#list`
---@param fn function
---@param options eddy.OffloadMapOptions?
---@return table results                  with `n`
function offload.offload_map(list, fn, options)
  if type(list) ~= "table" then error("bad argument #1 to 'offload_map' (table expected)", 2) end
  if type(fn) ~= "function" then error("bad argument #2 to 'offload_map' (function expected)", 2) end
  local limit = check_options(options)
  misuse.check_awaitable()
  local n, at = list.n or #list, 0
  local results = { n = n }
  local function member()
    while at < n do
      at = at + 1
      local index = at
      results[index] = (core.offload.offload(fn, list[index], index))
    end
  end
  local members = {}
  for i = 1, math.min(limit, n) do members[i] = member end
  core.gather(members)
  return results
end

return offload
