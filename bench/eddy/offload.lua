-- SPDX-License-Identifier: MIT
-- offload.lua JOBS: that many empty functions at a time run by workers. Prints wall-clock
-- microseconds a job, a Lua function there and back included.
local eddy = require "eddy"
local measure = dofile "bench/measure.lua"

local jobs = tonumber(arg[1])
local function empty() end

local function run_jobs(n)
  local began = eddy.now()
  local left = n
  local members = {}
  for i = 1, jobs do
    members[i] = function()
      while left > 0 do
        left = left - 1
        eddy.offload(empty)
      end
    end
  end
  eddy.gather(members)
  return eddy.now() - began
end

eddy.run(function() measure.report(measure.ns_per_unit(run_jobs) / 1000) end)
