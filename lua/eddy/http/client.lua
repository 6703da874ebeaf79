-- SPDX-License-Identifier: MIT
-- Clients: a pool of kept connections, defaults for requests, and the way of one request through
-- pool, connect, exchange and redirects, all inside one deadline.
--
-- Promise: wherever a request is cancelled or fails, its connection is closed and its place in the
-- pool is free again; only an answer that was read to its end gives the connection back.
local eddy = require "eddy"
local core = require "eddy.core"
local net = require "eddy.net"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"
local pool = require "eddy.http.pool"
local request = require "eddy.http.request"
local response = require "eddy.http.response"

local exchange = core.http.exchange
local now, within = eddy.now, eddy.within

local client = {}

local MAX_BODY = 64 * 1024 * 1024
local KEPT_PLANS = 512
local FOLLOWED = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

---@class eddy.http.Client
local Client = {}
Client.__index = Client

-- ---- One exchange ------------------------------------------------------------------------------

local function timed_out(phase, target)
  return core.error {
    kind = "timeout", code = "ETIMEDOUT", op = phase, target = target, message = "the request took too long",
  }
end

local function connect(plan)
  if not plan.connect_timeout then return net.connect(plan.target) end
  local in_time, stream, err = within(plan.connect_timeout, net.connect, plan.target)
  if not in_time then return nil, timed_out("connect", plan.url) end
  return stream, err
end

--- Open the stream of a connection that is only a place so far.
local function open(self, job, plan, connection)
  job.phase_ = "connect"
  local stream, err = connect(plan)
  if not stream then return nil, err end
  self.pool:open(connection, stream)
  if self.pool.is_closed then return nil, pool.closed_error() end
  job.connected_ = now()
  return stream
end

--- The server may want to keep the connection for less time than we do.
local function keep_seconds(self, head)
  local seconds = self.pool.keep_alive
  if not head:find("timeout=", 1, true) then return seconds end
  local offered = tonumber((headers.parse(head)["keep-alive"] or ""):match("timeout=(%d+)"))
  return offered and offered < seconds and offered or seconds
end

--- The connection is kept by the response, given back, or (by its `<close>`) dropped.
local function settle(self, job, plan, connection, keep)
  if plan.stream then
    response.keep(job, connection, job.began_ + plan.timeout)
  elseif keep then
    self.pool:give(connection, job.ended_ + keep_seconds(self, job.head_))
  end
end

--- One exchange over one connection. The third result says that nothing came over a kept
--- connection, so that the request may be repeated over a fresh one.
local function attempt(self, job, plan, is_fresh)
  job.phase_ = "pool"
  local connection <close>, problem = self.pool:take(plan.key, is_fresh)
  if not connection then return nil, problem end
  local stream = connection.stream
  local reused = stream ~= false
  if not reused then
    stream, problem = open(self, job, plan, connection)
    if not stream then return nil, problem end
  end
  job.phase_, job.message_ = "exchange", connection.message
  local status, head, body, keep, first, ended =
    exchange(stream, connection.message, plan.head, plan.body, plan.max_body, plan.stream)
  if not status then
    head.op = head.op == "http" and connection.message:phase() or head.op   -- closed by client:close
    head.target = plan.url
    return nil, head, reused and body and plan.is_idempotent
  end
  job.status, job.ok, job.reused = status, status >= 200 and status < 300, reused
  job.url, job.head_, job.body = plan.url, head, body
  job.first_, job.ended_ = first, ended
  settle(self, job, plan, connection, keep)
  return true
end

-- ---- One request -------------------------------------------------------------------------------

--- The next plan where the answer is a redirect that is to be followed; nil, nil where not.
local function follow(job, plan)
  local location = FOLLOWED[job.status] and plan.max_redirects > 0 and job.headers.location
  if not location then return nil end
  local hops = job.hops_ or {}
  if #hops >= plan.max_redirects then
    return nil, core.error {
      kind = "limit", code = "EREDIRECTS", op = "redirect", target = plan.url, message = "too many redirects",
    }
  end
  local next_plan, err = request.redirect(plan, job.status, location)
  if not next_plan then return nil, err end
  hops[#hops + 1] = { status = job.status, url = plan.url }
  job:close()
  job.hops_, job.headers = hops, nil   -- those of the next answer are other ones
  return next_plan
end

local function perform(self, job, plan)
  while true do
    local ok, err, is_stale = attempt(self, job, plan)
    if is_stale then ok, err = attempt(self, job, plan, true) end
    if not ok then return nil, err end
    if job.status < 300 or job.status > 399 then return job end
    local next_plan, problem = follow(job, plan)
    if problem then
      job:close()
      return nil, problem
    end
    if not next_plan then return job end
    plan = next_plan
  end
end

--- The plan of a GET without options is kept: most clients ask for the same things again.
local function plan_of(self, method, url, options)
  if options ~= nil or method ~= "GET" then return request.prepare(self.settings, method, url, options) end
  local plan = self.plans[url]
  if plan then return plan end
  local err
  plan, err = request.prepare(self.settings, method, url)
  if not plan then return nil, err end
  if self.nplans == KEPT_PLANS then self.plans, self.nplans = {}, 0 end
  self.plans[url] = plan
  self.nplans = self.nplans + 1
  return plan
end

local function phase_of(job)
  return job.phase_ == "exchange" and job.message_:phase() or job.phase_
end

---@class eddy.http.RequestOptions
---@field headers table<string, eddy.http.Value>?  false takes a default away
---@field query table?               keys sorted, lists repeat; an array of pairs keeps its order
---@field body string?
---@field json any
---@field form table?                as `query`
---@field timeout number?            seconds from now to the last byte; default 30
---@field connect_timeout number?    seconds until a connection is usable
---@field max_body number?           bytes; default 64 MiB, unlimited with `stream`
---@field stream boolean?            return after the head; read the body in pieces
---@field redirects (number|{max: number})?  default 10; 0 follows none

--- Send a request and wait for its answer. HTTP statuses are no errors.
---@async
---@param method string
---@param url string                 absolute, or relative to the client's `base_url`
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err           e.g. kind "timeout", code "ETIMEDOUT" with the phase as `op`
function Client:request(method, url, options)
  local plan, err = plan_of(self, method, url, options)
  if not plan then return nil, err end
  local job = response.new(now())
  local in_time, result, problem = within(plan.timeout, perform, self, job, plan)
  if in_time then return result, problem end
  return nil, timed_out(phase_of(job), plan.url)
end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:get(url, options) return self:request("GET", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:head(url, options) return self:request("HEAD", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:post(url, options) return self:request("POST", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:put(url, options) return self:request("PUT", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:patch(url, options) return self:request("PATCH", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:delete(url, options) return self:request("DELETE", url, options) end

---@async
---@param url string
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err
function Client:options(url, options) return self:request("OPTIONS", url, options) end

-- ---- The client --------------------------------------------------------------------------------

--- How often connections were opened and reused, and what they do now.
---@return eddy.http.PoolStats
function Client:stats() return self.pool:stats() end

--- Close every connection. Requests that run, and later ones, fail with kind "closed".
function Client:close() self.pool:close() end

Client.__close = Client.close
Client.__name = "eddy.http.Client"

---@class eddy.http.ClientOptions
---@field base_url string?           what relative URLs are joined to
---@field headers table<string, eddy.http.Value>?  for every request
---@field max integer?               connections in all; default 100
---@field max_per_host integer?      default 100
---@field keep_alive number?         seconds that an idle connection is kept; default 30
---@field timeout number?            default of requests, as the following
---@field connect_timeout number?
---@field max_body number?
---@field redirects (number|{max: number})?

local function base_of(url)
  if not url then return nil end
  local parts, err = request.parse_url(url)
  if not parts then misuse.raise("base_url: %s", err.message) end
  return url:sub(-1) == "/" and url or url .. "/"
end

--- A client with a pool and defaults of its own.
---@param options eddy.http.ClientOptions?
---@return eddy.http.Client
function client.new(options)
  options = options or {}
  request.check_client_options(options)
  local merged, err = headers.merge(request.DEFAULT_HEADERS, options.headers or {})
  if not merged then misuse.raise("headers: %s", err.message) end
  return setmetatable({
    settings = {
      base_url = base_of(options.base_url), headers = merged,
      timeout = options.timeout or 30, connect_timeout = options.connect_timeout,
      max_body = options.max_body or MAX_BODY, redirects = options.redirects,
    },
    plans = {}, nplans = 0,
    pool = pool.new {
      max = options.max or 100, max_per_host = options.max_per_host or 100,
      keep_alive = options.keep_alive or 30,
    },
  }, Client)
end

return client
