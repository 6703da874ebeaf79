-- SPDX-License-Identifier: MIT
-- http_body.lua: see http_client.lua; the same with a large body.
dofile "bench/eddy/http_client.lua"
