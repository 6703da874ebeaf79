-- SPDX-License-Identifier: MIT
-- https_client.lua: see http_client.lua; the same over TLS.
dofile "bench/eddy/http_client.lua"
