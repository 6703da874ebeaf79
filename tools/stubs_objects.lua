-- SPDX-License-Identifier: MIT
-- The tables in which the public functions of eddy are, by the names that the annotations give them.
return function(eddy)
  local core = require "eddy.core"
  local net = require "eddy.net"
  local testing = require "eddy.testing"
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
    live["eddy.Future"] = methods(eddy.future())
    live["eddy.Error"] = core.Error.__index
    live["eddy.net"] = net
    live["eddy.testing"] = testing
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
