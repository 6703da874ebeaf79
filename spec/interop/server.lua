-- SPDX-License-Identifier: MIT
-- For tools/interop.sh: our server under programs of others.   eddy server.lua FOLDER [CERT KEY]
-- Prints its port; with a certificate a second line has that of TLS. Ends when /stop is asked for.
local eddy = require "eddy"
local http = require "eddy.http"

local PAGE = [[<!doctype html><title>page</title><p id=out>nothing</p><script>
const wait = new Promise(done => {
  const source = new EventSource("/events");
  source.addEventListener("tick", e => { source.close(); done(e.data); });
});
Promise.all([fetch("/fetched").then(r => r.text()), wait]).then(
  ([text, event]) => { out.textContent = "fetched " + text + ", event " + event; });
</script>]]

local stopping = eddy.event()
local files = http.files(arg[1], { prefix = "/files" })
local routes = {}

routes["/echo"] = function(req) return 200, nil, req.body end
routes["/page"] = function() return 200, { ["Content-Type"] = "text/html" }, PAGE end

routes["/stream"] = function()
  local n = 0
  return 200, { ["Content-Type"] = "text/plain" }, function()
    n = n + 1
    return n <= 10 and ("piece %d\n"):format(n) or nil
  end
end

routes["/events"] = function(req)
  local events <close> = req:events()
  events:send { event = "tick", data = "tick" }
  eddy.sleep(10)
end

routes["/stop"] = function()
  stopping:set()
  return ""
end

local function handler(req)
  if req.path:find "^/files/" then return files(req) end
  local route = routes[req.path]
  if route then return route(req) end
  return "hello " .. req.path
end

local server <close> = assert(http.serve { handler = handler, max_body = 10 * 1024 * 1024 })
local secure <close> = arg[2] and assert(http.serve { handler = handler, tls = { cert = arg[2], key = arg[3] } }) or nil
io.stdout:setvbuf "no"
print(secure and ("%d\n%d"):format(server.port, secure.port) or server.port)
stopping:wait()
server:stop { grace = 5 }
if secure then secure:stop { grace = 5 } end
