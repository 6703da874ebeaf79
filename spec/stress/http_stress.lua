-- SPDX-License-Identifier: MIT
-- Random requests over one pool.   lua spec/stress/http_stress.lua [REQUESTS [SEED]]
package.path = "./?.lua;" .. package.path
local eddy = require "eddy"
local model = require "spec.http.model"

local requests, seed = tonumber(arg[1]) or 1000000, tonumber(arg[2]) or os.time()
math.randomseed(seed)
local ok, problem = pcall(eddy.run, model, requests)
if not ok then print(("seed %d: %s"):format(seed, problem)) end
print(("%d passed, %d failed"):format(ok and 1 or 0, ok and 0 or 1))
os.exit(ok)
