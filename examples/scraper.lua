-- SPDX-License-Identifier: MIT
-- Follow the links of a site, politely: a few pages at a time, and no more than so many in a second.
local eddy = require "eddy"
local http = require "eddy.http"

local AT_ONCE, PER_SECOND = 3, 100

-- The site: page n links to 2n and 2n+1.
local site = assert(http.serve { handler = function(req)
  local n = tonumber(req.path:match "^/page/(%d+)$")
  if not n or n > 15 then return 404, {}, "no such page" end
  return 200, { ["Content-Type"] = "text/html" },
    ('<h1>Page %d</h1><a href="/page/%d">left</a> <a href="%d">right</a>'):format(n, 2 * n, 2 * n + 1)
end })

local client <close> = http.client { timeout = 5, retry = 2 }
local seen, titles, broken = {}, {}, 0
local places = eddy.semaphore(AT_ONCE)
local next_start = eddy.now()

--- Wait until it is our turn.
local function keep_the_rate()
  local start = math.max(next_start, eddy.now())
  next_start = start + 1 / PER_SECOND
  eddy.sleep_until(start)
end

local function join(base, link)
  return link:sub(1, 1) == "/" and base:match "^(%w+://[^/]+)" .. link or base:match "^.*/" .. link
end

--- Load a page and spawn a visit for each link that is new.
local function visit(url)
  local permit <close> = places:acquire()
  keep_the_rate()
  local res = client:get(url)
  permit:release()
  if not res or not res.ok then
    broken = broken + 1
    return
  end
  titles[#titles + 1] = res.body:match "<h1>(.-)</h1>"
  for link in res.body:gmatch 'href="(.-)"' do
    local address = join(res.url, link)
    if not seen[address] then
      seen[address] = true
      eddy.spawn(visit, address)
    end
  end
end

local began = eddy.now()
eddy.group(function() visit(("http://127.0.0.1:%d/page/1"):format(site.port)) end)
local count = #titles + broken
print(("%d pages, %d broken links"):format(#titles, broken))
print("within the rate:", count <= (eddy.now() - began) * PER_SECOND + 2)
print("connections at most as many as visits at once:", client:stats().opened <= AT_ONCE)
site:close()
