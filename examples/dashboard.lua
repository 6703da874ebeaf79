-- SPDX-License-Identifier: MIT
-- A page made of several services' answers: all are asked at once, and the page is there when its
-- time is up, with what has come by then.
local eddy = require "eddy"
local http = require "eddy.http"

-- The services: three that answer, one that fails, one that is much too slow.
local services = assert(http.serve { handler = function(req)
  if req.path == "/weather" then return { json = { text = "rain" } } end
  if req.path == "/news" then eddy.sleep(0.02) return { json = { text = "nothing new" } } end
  if req.path == "/mail" then return { json = { text = "3 unread" } } end
  if req.path == "/stocks" then return 503, {}, "closed today" end
  eddy.sleep(3600)
end })

local client <close> = http.client { base_url = ("http://127.0.0.1:%d"):format(services.port) }

--- One part of the page; whatever goes wrong is a part, too.
local function part(name)
  local res, err = client:get(name, { timeout = 0.3 })
  if res then res, err = res:expect() end
  local data
  if res then data, err = res:json() end
  return data and data.text or ("(%s)"):format(err.code)
end

local names = { "weather", "news", "mail", "stocks", "traffic" }
local texts = eddy.map(names, part)
for i, name in ipairs(names) do print(("%-8s %s"):format(name, texts[i])) end
services:close()
