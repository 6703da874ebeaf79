-- SPDX-License-Identifier: MIT
-- The tables in which the public functions of eddy are, by the names that the annotations give them.

-- What eddy.http gives to scripts; its classes have their methods in tables of their own.
local function add_http(live)
  local http = require "eddy.http"
  local client <close> = http.client()
  local server <close> = http.serve { handler = print }
  live["eddy.http"] = http
  live["eddy.http.Client"], live["eddy.http.Server"] = getmetatable(client).__index, getmetatable(server).__index
  live["eddy.http.Jar"] = getmetatable(http.cookies()).__index
  live["eddy.http.Response"] = require "eddy.http.response".methods
  live["eddy.http.Request"] = require "eddy.http.incoming".methods
  live["eddy.http.ServerResponse"] = require "eddy.http.server_response".methods
  live["eddy.http.EventStream"] = require "eddy.http.sse".methods
end

return function(eddy)
  local core = require "eddy.core"
  local net = require "eddy.net"
  local testing = require "eddy.testing"
  local tls = require "eddy.tls"
  -- `internal`: classes of our own that scripts do not see.
  local live = { inherited = {}, internal = { ["eddy.loading"] = true } }
  eddy.run(function()
    local function methods(object) return core.methods(object) end
    live["eddy"] = eddy
    live["eddy.Coroutine"] = eddy.coroutine
    live["eddy.Task"] = methods(eddy.current())
    do
      local group <close> = eddy.group()
      live["eddy.Group"] = methods(group)
    end
    live["eddy.Var"] = methods(eddy.var())
    live["eddy.Semaphore"] = methods(eddy.semaphore(1))
    live["eddy.Permit"] = methods(eddy.semaphore(1):acquire())
    live["eddy.Event"] = methods(eddy.event())
    live["eddy.Queue"] = methods(eddy.queue())
    do
      local lock = eddy.lock()
      local guard <close> = lock:acquire()
      live["eddy.Lock"], live["eddy.Guard"] = methods(lock), methods(guard)
    end
    -- its `__index` is a function, for `.lock`
    local condition = eddy.condition()
    live["eddy.Condition"] = { wait = condition.wait, wait_for = condition.wait_for, notify = condition.notify,
      notify_all = condition.notify_all }
    live["eddy.Barrier"] = methods(eddy.barrier(1))
    live["eddy.RateLimit"] = methods(eddy.ratelimit(1, 1))
    live["eddy.Future"] = methods(eddy.future())
    do
      local pool = eddy.pool { open = function() return {} end }
      local slot = pool:get()
      live["eddy.Pool"], live["eddy.Slot"] = getmetatable(pool).__index, getmetatable(slot).__index
      slot:release()
      pool:close()
    end
    live["eddy.Events"] = getmetatable(eddy.on("stub")).__index
    live["eddy.Error"] = core.Error.__index
    live["eddy.net"] = net
    live["eddy.testing"] = testing
    live["eddy.tls"] = tls
    live["eddy.json"] = require "eddy.json"
    add_http(live)
    live["eddy.tls.Context"] = methods(tls.context {})
    do
      local listener <close> = assert(net.listen { port = 0 })
      local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port })
      live["eddy.Listener"] = core.net.listener
      live["eddy.Stream"] = methods(stream)
    end
  end)
  for _, name in ipairs { "create", "running", "isyieldable" } do live.inherited[eddy.coroutine[name]] = true end
  return live
end
