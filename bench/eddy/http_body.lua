-- SPDX-License-Identifier: MIT
-- http_body.lua: see http_client.lua; the same with a large body. A script that moves megabytes of
-- strings tells the collector: in its usual mode it makes a full round for nearly every body.
collectgarbage("generational", 100, 1000)
dofile "bench/eddy/http_client.lua"
