-- SPDX-License-Identifier: MIT
-- Scenarios of Lua on other threads. See spec/sweep/run.lua. (A worker's own memory is not the
-- driver's: the state that asks is swept.)
local eddy = require "eddy"

local scenarios = {}

local function echo(...) return ... end

function scenarios.offload_values(s)
  local _ <close> = s.guard()
  local shared = { "shared", long = ("x"):rep(100) }
  local function up() return shared end
  local t, f = eddy.offload(echo, { shared, me = shared, [shared] = 1 }, up)
  assert(t[1] == t.me and t[t.me] == 1 and f() == t.me)
end

function scenarios.offload_errors(s)
  local _ <close> = s.guard()
  local ok, err = eddy.pcall(eddy.offload, function() error({ code = 1 }) end)
  if type(err) ~= "table" or err.code ~= 1 then error(err, 0) end   -- no memory, say
  assert(not ok)
end

function scenarios.offload_several(s)
  local _ <close> = s.guard()
  local results = eddy.offload_map({ 1, 2, 3, 4, 5, 6 }, function(i) return { i } end, { limit = 3 })
  for i = 1, 6 do assert(results[i][1] == i) end
end

function scenarios.offload_stopped(s)
  local _ <close> = s.guard()
  local function endless() while true do end end
  local _ = eddy.group(function(group)
    for _ = 1, 3 do group:spawn(function()
      local _ <close> = s.guard()
      eddy.offload(endless)
    end) end
    eddy.sleep(0)
    eddy.sleep(0)
    group:cancel()
  end)
end

return scenarios
