-- SPDX-License-Identifier: MIT
-- From a plan to a stream that can carry its exchange: lookup, connection, the proxy's tunnel, TLS.
-- The job learns which phase runs and when each ended.
--
-- Promise: a stream that is not handed out is closed, wherever this is left.
local eddy = require "eddy"
local core = require "eddy.core"
local errors = require "eddy.http.errors"
local net = require "eddy.net"

local now = eddy.now

local dial = {}

local MAX_HEAD, MAX_INTERIMS = 64 * 1024, 32

-- ---- TCP ---------------------------------------------------------------------------------------

local function target_of(plan, progress)
  local settings, parts = plan.settings, plan.parts
  if settings.unix then return { path = settings.unix } end
  local host, port = parts.host, parts.port
  if plan.proxy then host, port = plan.proxy.host, plan.proxy.port end
  return { host = settings.resolve and settings.resolve[host] or host, port = port, progress = progress }
end

local function connect(job, plan)
  local progress = core.net.progress()
  job.progress_ = not plan.settings.unix and progress or nil
  job.phase_ = "connect"
  local stream, err = net.connect(target_of(plan, progress))
  job.resolved_ = core.net.resolved(progress)
  return stream, err
end

-- ---- Proxy -------------------------------------------------------------------------------------

local function refused(plan, status, message)
  return nil, core.error {
    kind = "io", code = "EPROXY", op = "connect", target = plan.proxy.name, message = message, status = status,
  }
end

--- The status of the proxy's answer, interim ones skipped.
local function read_status(stream)
  for _ = 1, MAX_INTERIMS do
    local head, err = stream:read_until("\r\n\r\n", MAX_HEAD)
    if not head then return nil, err end
    local status = tonumber(head:match("^HTTP/1%.[01] (%d%d%d)[ \r]"))
    if not status then return nil end
    if status >= 200 then return status end
  end
end

--- Ask the proxy for a tunnel to the host itself.
local function open_tunnel(stream, plan)
  local parts = plan.parts
  local host = parts.host:find(":", 1, true) and "[" .. parts.host .. "]" or parts.host
  local authority = ("%s:%d"):format(host, parts.port)
  local lines = { "CONNECT " .. authority .. " HTTP/1.1", "Host: " .. authority }
  if plan.proxy.authorization then lines[3] = "Proxy-Authorization: " .. plan.proxy.authorization end
  local ok, err = stream:write(table.concat(lines, "\r\n") .. "\r\n\r\n")
  if not ok then return nil, err end
  local status
  status, err = read_status(stream)
  if not status then
    if err and err.kind == "io" and err.code ~= "EOF" then return nil, err end
    return refused(plan, nil, "the proxy did not answer the request for a tunnel")
  end
  if status > 299 then return refused(plan, status, ("the proxy refused the tunnel with status %d"):format(status)) end
  return true
end

-- ---- TLS ---------------------------------------------------------------------------------------

-- Certificates that nobody looks at are reported under the name of the origin, once.
local function wrap(job, plan, stream)
  if not core.tls then
    return nil, core.error {
      kind = "tls", code = "ENOTSUP", op = "tls", target = plan.origin,
      message = "TLS was left out of this build of eddy (TLS=0)",
    }
  end
  local context, err = job.pool_:context(plan.tls_key, plan.settings)
  if not context then return nil, err end
  return core.tls.starter(context, plan.parts.host, plan.origin, plan.origin)(stream)
end

-- ---- All of it ---------------------------------------------------------------------------------

local guard_meta = { __close = function(self) if self.stream then self.stream:close() end end }

local function establish(job, plan)
  local guard <close> = setmetatable({ stream = nil }, guard_meta)
  local is_secure = plan.parts.scheme == "https"
  local stream, err = connect(job, plan)
  if not stream then return nil, err end
  guard.stream = stream
  if is_secure and plan.proxy then
    local ok, problem = open_tunnel(stream, plan)
    if not ok then return nil, problem end
  end
  job.connected_ = now()
  if is_secure then
    job.phase_ = "tls"
    stream, err = wrap(job, plan, stream)
    if not stream then
      err.target = plan.url   -- not the proxy, nor an address of `resolve`
      return nil, err
    end
    job.secured_ = now()
  end
  guard.stream = nil
  return stream
end

--- Open a stream for a plan.
---@async
---@param job table                  the response in the making
---@param plan eddy.http.Plan
---@return eddy.Stream? stream
---@return eddy.Error? err
function dial.open(job, plan)
  local settings = plan.settings
  local limit = math.min(settings.connect_timeout or math.huge, settings.idle_timeout or math.huge)
  if limit == math.huge then return establish(job, plan) end
  local in_time, stream, err = eddy.within(limit, establish, job, plan)
  if not in_time then return nil, errors.timed_out(job:phase_now_(), plan.url) end
  return stream, err
end

return dial
