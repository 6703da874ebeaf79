-- SPDX-License-Identifier: MIT
-- http_body.lua: see http_client.lua; the same with a large body. A script that moves megabytes of
-- strings chooses the collector for it: the usual mode makes a full round for every other body.
collectgarbage "generational"
dofile "bench/eddy/http_client.lua"
