-- SPDX-License-Identifier: MIT
-- One request over one connection of the pool: take a connection, open it where it is only a
-- place, send, read, and settle what becomes of it.
--
-- Promise: wherever this is left, the connection is given back (its answer was read to the end and
-- the request was sent to the end), kept by a response, or closed.
local eddy = require "eddy"
local core = require "eddy.core"
local body = require "eddy.http.body"
local dial = require "eddy.http.dial"
local errors = require "eddy.http.errors"
local headers = require "eddy.http.headers"
local pool_of = require "eddy.http.pool"
local request = require "eddy.http.request"
local response = require "eddy.http.response"

local native = core.http.exchange

local exchange = {}

-- ---- Opening -----------------------------------------------------------------------------------

local function open(pool, job, plan, connection)
  local stream, err = dial.open(job, plan)
  if not stream then return nil, err end
  pool:open(connection, stream)
  if pool.is_closed then return nil, pool_of.closed_error() end
  return stream
end

-- ---- Watching and uploading --------------------------------------------------------------------

--- End an exchange from beside it; its error is this one.
local function abort(job, connection, err)
  job.abort_ = job.abort_ or err
  connection.stream:close()
end

--- For how long have we waited for the network, and is it with sending? Not while we wait for the caller.
local function quiet_for(job, plan, connection)
  local source = plan.source
  local quiet, is_sending = connection.message:quiet(connection.stream)
  if not source then return quiet, is_sending end
  if source.is_asked and not is_sending then return 0, true end
  return math.min(quiet, eddy.now() - (source.given or -math.huge)), is_sending or job.is_uploading_
end

local function watch(job, plan, connection)
  local message, idle = connection.message, plan.settings.idle_timeout
  while true do
    local quiet, is_sending = quiet_for(job, plan, connection)
    if quiet >= idle then
      local phase = message:phase()
      if phase == "head" and is_sending and not message:has_begun() then phase = "write" end
      return abort(job, connection, errors.silent(phase, plan.url))
    end
    eddy.sleep(idle - quiet)
  end
end

local function upload(job, plan, connection)
  local ok, err = body.send(connection.stream, job.bytes_, plan.source)
  job.is_uploading_ = ok ~= true
  if ok == nil then abort(job, connection, err) end
end

--- The exchange with tasks beside it: one sends the body, one looks at the clock.
local function accompanied(job, plan, connection)
  local stream, message, settings = connection.stream, connection.message, plan.settings
  return eddy.group(function(g)
    local watcher = settings.idle_timeout and g:spawn(watch, job, plan, connection)
    local sender = plan.source and g:spawn(upload, job, plan, connection)
    job.is_uploading_ = sender ~= nil
    local results = table.pack(native(stream, message, job.bytes_, plan.body, settings.max_body, plan.stream, sender ~= nil))
    if sender then sender:cancel() end
    if watcher then watcher:cancel() end
    return results
  end)
end

local function run(job, plan, connection)
  if not plan.source and not plan.settings.idle_timeout then
    return native(connection.stream, connection.message, job.bytes_, plan.body, plan.settings.max_body, plan.stream)
  end
  local results = accompanied(job, plan, connection)
  if job.abort_ then return nil, job.abort_ end
  if job.is_uploading_ then results[4] = false end   -- half a request is on the wire
  return table.unpack(results, 1, results.n)
end

-- ---- Settling ----------------------------------------------------------------------------------

--- The server may want to keep the connection for less time than we do.
function exchange.keep_seconds(pool, head)
  local seconds = pool.keep_alive
  if not head:find("timeout=", 1, true) then return seconds end
  local offered = tonumber((headers.parse(head)["keep-alive"] or ""):match("timeout=(%d+)"))
  return offered and offered < seconds and offered or seconds
end

--- The connection is kept by the response, given back, or (by its `<close>`) dropped.
local function settle(pool, job, plan, connection, keep)
  if plan.stream then
    job.keep_seconds_ = exchange.keep_seconds(pool, job.head_)
    response.keep(job, connection, job.began_ + plan.settings.timeout, plan.settings.idle_timeout)
  elseif keep then
    pool:give(connection, job.ended_ + exchange.keep_seconds(pool, job.head_))
  end
end

--- The error of an exchange, told of the request.
function exchange.blame(plan, connection, err)
  err.op = err.op == "http" and connection.message:phase() or err.op   -- closed by client:close
  err.target = plan.url
  return err
end

local function failed(job, plan, connection, err, may_repeat)
  return nil, err == job.abort_ and err or exchange.blame(plan, connection, err), may_repeat
end

--- One exchange. The third result says that nothing came: "stale" over a kept connection, "closed"
--- over a fresh one, "connect" when there was none yet.
---@async
---@param pool eddy.http.Pool
---@param job eddy.http.Response
---@param plan eddy.http.Plan
---@param is_fresh boolean?
---@return true? ok
---@return eddy.Error? err
---@return string? nothing_came
function exchange.attempt(pool, job, plan, is_fresh)
  job.phase_, job.abort_, job.pool_ = "pool", nil, pool
  local connection <close>, problem = pool:take(plan.key, is_fresh)
  if not connection then return nil, problem end
  local stream = connection.stream
  local reused = stream ~= false
  if not reused then
    stream, problem = open(pool, job, plan, connection)
    if not stream then return nil, problem, "connect" end
  end
  job.phase_, job.message_ = "exchange", connection.message
  job.bytes_ = request.head_now(plan)
  local status, head, bytes, keep, first, ended, trailers = run(job, plan, connection)
  if not status then
    return failed(job, plan, connection, head, bytes and (reused and "stale" or "closed") or nil)
  end
  job.status, job.ok, job.reused = status, status >= 200 and status < 300, reused
  job.url, job.head_, job.body, job.trailers_ = plan.url, head, bytes, trailers
  job.first_, job.ended_ = first, ended
  settle(pool, job, plan, connection, keep)
  return true
end

return exchange
