-- SPDX-License-Identifier: MIT
-- Random requests over one pool.   lua spec/stress/http_stress.lua [REQUESTS [SEED]]
package.path = "./?.lua;" .. package.path
local eddy = require "eddy"
local model = require "spec.http.model"

local requests, seed = tonumber(arg[1]) or 1000000, tonumber(arg[2]) or os.time()
math.randomseed(seed)
local ok, reused, answered = pcall(eddy.run, model, requests)
if not ok then print(("seed %d: %s"):format(seed, reused))
else print(("seed %d: %d requests, %d answered, each with its own; %d over kept connections"):format(seed, requests, answered, reused)) end
print(("%d passed, %d failed"):format(ok and 1 or 0, ok and 0 or 1))
os.exit(ok)
