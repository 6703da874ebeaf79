-- SPDX-License-Identifier: MIT
-- What the specs of the HTTP server begin with: a server that remembers what was reported, its addresses,
-- and streams to it.
local http = require "eddy.http"
local net = require "eddy.net"

local serving = {}

--- A server, and the list of what its handlers' errors said.
---@param handler fun(request: eddy.http.Request): any
---@param options table?
---@return eddy.http.Server server
---@return string[] reports
function serving.serve(handler, options)
  local reports = {}
  options = options or {}
  options.handler = handler
  options.on_error = function(err) reports[#reports + 1] = tostring(err) end
  return assert(http.serve(options)), reports
end

--- An address of a server on this machine.
---@param server {port: integer}
---@param path string?
---@return string
function serving.url_of(server, path) return ("http://127.0.0.1:%d%s"):format(server.port, path or "/") end

--- A stream to it.
---@async
---@param server {port: integer}
---@return eddy.Stream
function serving.connect(server) return assert(net.connect { host = "127.0.0.1", port = server.port }) end

return serving
