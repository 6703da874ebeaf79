-- SPDX-License-Identifier: MIT
-- A web server in this process, as slow and as unreliable as the web: each request takes 20 to 300 ms,
-- some take longer than anybody waits, some answer 500 or 503, some break off in the middle.
--
-- Which ones is decided by a hash of seed and path, so every run with the same seed meets the same
-- fate, in whatever order the requests come.

local eddy = require "eddy"
local http = require "eddy.http"

local origin = {}

local SHORTEST, LONGEST = 0.020, 0.300   -- seconds
local SLOW = 3                           -- seconds: longer than the crawler's timeout

-- Of all pages, this share, each for so many attempts.
local FATES = {
  { share = 0.010, name = "slow", attempts = math.huge },
  { share = 0.020, name = "slow", attempts = 1 },
  { share = 0.030, name = "busy", attempts = 1 },
  { share = 0.010, name = "broken", attempts = math.huge },
  { share = 0.010, name = "cut", attempts = math.huge },
  { share = 0.015, name = "cut", attempts = 1 },
}

--- A number from 0 to 1 that looks like chance (FNV-1a, then mixed).
local function chance(...)
  local hash = 0xcbf29ce484222325
  for byte in table.concat({ ... }, "\0"):gmatch(".") do hash = (hash ~ byte:byte()) * 0x100000001b3 end
  hash = (hash ~ (hash >> 32)) * 0x9e3779b97f4a7c15
  return (hash >> 11) / (1 << 53)
end

local function fate_of(seed, target, attempt)
  local roll = chance(seed, "fate", target)
  for _, fate in ipairs(FATES) do
    roll = roll - fate.share
    if roll < 0 then return attempt <= fate.attempts and fate.name or nil end
  end
end

local CUT = {}   -- raised on purpose

--- A body that breaks off: half of it, then an error, so that the server hangs up.
local function cut(body)
  local sent = false
  return function()
    if sent then error(CUT) end
    sent = true
    return body:sub(1, #body // 2 + 1)
  end
end

local function report(err)
  if err ~= CUT then io.stderr:write("origin: ", tostring(err), "\n") end
end

---@async
local function answer(library, target, fate)
  local page = library:page(target)
  if not page then return 404, { ["Content-Type"] = "text/plain" }, "no such page\n" end
  if fate == "broken" then return 500, { ["Content-Type"] = "text/plain" }, "broken\n" end
  if fate == "busy" then return 503, { ["Content-Type"] = "text/plain", ["Retry-After"] = "1" }, "busy\n" end
  local headers = { ["Content-Type"] = page.type }
  if page.next then headers["Link"] = ('<%s>; rel="next"'):format(page.next) end
  return 200, headers, fate == "cut" and cut(page.body) or page.body
end

--- Serve `library` on a free port, until the returned server is closed.
---@async
---@param library crawl.Library
---@param options {seed: integer, hurry: number?, faults: boolean?}   `hurry`: latencies times that
---@return table server
---@return string url
function origin.serve(library, options)
  local attempts, hurry = {}, options.hurry or 1
  local function handler(request)
    local target = request.target
    local attempt = (attempts[target] or 0) + 1
    attempts[target] = attempt
    local fate = options.faults ~= false and target ~= "/" and fate_of(options.seed, target, attempt) or nil
    local latency = SHORTEST + (LONGEST - SHORTEST) * chance(options.seed, "latency", target, attempt)
    eddy.sleep((fate == "slow" and SLOW or latency) * hurry)
    return answer(library, target, fate)
  end
  local server = assert(http.serve { host = "127.0.0.1", port = 0, handler = handler, on_error = report })
  return server, ("http://127.0.0.1:%d/"):format(server.port)
end

return origin
