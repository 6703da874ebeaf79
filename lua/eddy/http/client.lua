-- SPDX-License-Identifier: MIT
-- Clients: a pool of kept connections, defaults for requests, and the way of one request through
-- pool, connect, exchange and redirects, all inside one deadline.
--
-- Promise: wherever a request is cancelled or fails, its connection is closed and its place in the
-- pool is free again; only an answer that was read to its end gives the connection back.
local eddy = require "eddy"
local core = require "eddy.core"
local cookies = require "eddy.http.cookies"
local download = require "eddy.http.download"
local errors = require "eddy.http.errors"
local events = require "eddy.http.events"
local exchange = require "eddy.http.exchange"
local check_awaitable = require "eddy.misuse".check_awaitable
local misuse = require "eddy.http.misuse"
local options_of = require "eddy.http.options"
local pool = require "eddy.http.pool"
local request = require "eddy.http.request"
local response = require "eddy.http.response"
local retry = require "eddy.http.retry"

local fetch = core.http.fetch
local now, within = eddy.now, eddy.within
local whole = response.whole

local client = {}

local KEPT_PLANS = 512
local FOLLOWED = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

---@class eddy.http.Client
local Client = {}
Client.__index = Client

-- ---- One request -------------------------------------------------------------------------------

--- The next plan where the answer is a redirect that is to be followed; nil, nil where not.
local function follow(job, plan)
  local most = plan.settings.max_redirects
  local location = FOLLOWED[job.status] and most > 0 and job.headers.location
  if not location then return nil end
  local hops = job.hops_ or {}
  if #hops >= most then
    return nil, core.error {
      kind = "limit", code = "EREDIRECTS", op = "redirect", target = plan.url, message = "too many redirects",
    }
  end
  local next_plan, err = request.redirect(plan, job.status, location)
  if not next_plan then return nil, err end
  hops[#hops + 1] = { status = job.status, url = plan.url }
  response.renew(job)
  job.hops_ = hops
  return next_plan
end

--- One exchange; what came over a connection that had just gone stale is sent once more.
local function send(self, job, plan)
  local ok, err, nothing_came = exchange.attempt(self.pool, job, plan, job.needs_fresh_)
  local is_spent = plan.source and plan.source.is_used
  if nothing_came == "stale" and plan.is_idempotent and not is_spent then
    ok, err, nothing_came = exchange.attempt(self.pool, job, plan, true)
  end
  return ok, err, nothing_came
end

--- The same as often as the caller allows.
local function persist(self, job, plan, deadline)
  local attempts = plan.settings.retries
  for attempt = 1, math.huge do
    local ok, err, nothing_came = send(self, job, plan)
    local pause
    if attempt > attempts then return ok, err end
    if not ok then
      if not retry.is_wanted(plan, err, nothing_came) then return nil, err end
      pause = retry.pause(attempt)
    else
      pause = retry.for_status(plan, job, attempt, deadline)
      if not pause then return true end
      response.renew(job)
    end
    job.phase_ = "retry"
    eddy.sleep(pause)
  end
end

--- Keep what the answer sets.
local function store_cookies(job, plan)
  local jar = plan.settings.jar
  if not jar or not job.head_:find("[Ss][Ee][Tt]%-[Cc][Oo][Oo][Kk][Ii][Ee]:") then return end
  for _, line in ipairs(job.headers:all "set-cookie") do jar:store(plan.url, line) end
end

local function perform(self, job, plan, deadline)
  while true do
    if not job.is_there_ then
      local ok, err = persist(self, job, plan, deadline)
      if not ok then return nil, err end
    end
    job.is_there_, job.needs_fresh_ = nil, nil
    store_cookies(job, plan)
    local next_plan, problem
    if job.status >= 300 and job.status <= 399 then next_plan, problem = follow(job, plan) end
    if problem then
      job:close()
      return nil, problem
    end
    if not next_plan then return response.decode(job, plan) end
    plan = next_plan
  end
end

--- The plan of a GET without options is kept: most clients ask for the same things again.
local function plan_of(self, method, url, options)
  if options ~= nil or method ~= "GET" then return request.prepare(self.settings, method, url, options) end
  local plan, err = self.plans[url]
  if plan then return plan end
  plan, err = request.prepare(self.settings, method, url)
  if not plan then return nil, err end
  if self.nplans == KEPT_PLANS then self.plans, self.nplans = {}, 0 end
  self.plans[url] = plan
  self.nplans = self.nplans + 1
  return plan
end

--- The whole way, inside the deadline. `job` may have come a part of it.
local function at_length(self, plan, job)
  local deadline = job.began_ + plan.timeout
  local in_time, result, problem = within(deadline - now(), perform, self, job, plan, deadline)
  if in_time then return result, problem end
  return nil, errors.timed_out(job:phase_now_(), plan.url)
end

local KEEP_ALIVE, MUST_CLOSE = 4, 8   -- of what core.http.fetch says

--- What the short way is not made for: failures, redirects, codings, connections that end.
local function go_on(self, plan, connection, began, in_time, status, head, body, prospect, first, ended, trailers)
  local kept = self.pool
  if not in_time then
    local phase = connection.message:phase()
    return nil, errors.timed_out(phase == "done" and "write" or phase, plan.url)   -- done: this one has not begun
  end
  if status == false then
    kept:reject(connection)
    return at_length(self, plan, response.new(began))
  end
  if not status then
    local err, nothing_came = head, body
    if not (nothing_came and plan.is_idempotent) then return nil, exchange.blame(plan, connection, err) end
    kept:drop(connection)
    local job = response.new(began)
    job.needs_fresh_ = true
    return at_length(self, plan, job)
  end
  local seconds = prospect & KEEP_ALIVE ~= 0 and exchange.keep_seconds(kept, head) or kept.keep_alive
  if prospect & MUST_CLOSE ~= 0 then kept:drop(connection) else kept:keep(connection, ended + seconds) end
  local job = whole(status, plan.url, head, body, began, first, ended)
  job.trailers_, job.phase_, job.message_, job.is_there_ = trailers, "exchange", connection.message, true
  return at_length(self, plan, job)
end

--- The short way: one exchange over a connection that is idle, and an answer with nothing to it.
local function over_idle(self, plan, idle, began)
  local connection <close> = idle
  local in_time, status, head, body, prospect, first, ended, trailers =
    within(plan.timeout, fetch, connection.stream, connection.message, plan.head, plan.body, plan.max_body)
  if prospect ~= 0 or trailers or status >= 300 and status <= 399 then
    return go_on(self, plan, connection, began, in_time, status, head, body, prospect, first, ended, trailers)
  end
  local kept = self.pool
  kept:keep(connection, ended + kept.keep_alive)
  return whole(status, plan.url, head, body, began, first, ended)
end

--- Send a request and wait for its answer. HTTP statuses are no errors.
---@async
---@param method string
---@param url string                 absolute, or relative to the client's `base_url`
---@param options eddy.http.RequestOptions?
---@return eddy.http.Response? response
---@return eddy.Error? err           e.g. kind "timeout", code "ETIMEDOUT" with the phase as `op`
function Client:request(method, url, options)
  local plan, err = plan_of(self, method, url, options)
  if not plan then
    check_awaitable()
    return nil, err
  end
  local began = now()
  local idle = plan.is_plain and self.pool:idle(plan.key, began)
  if idle then return over_idle(self, plan, idle, began) end
  return at_length(self, plan, response.new(began))
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

--- Server-sent events: `for event in client:events(url) do`. See eddy.http.events.
---@async
---@param url string
---@param options eddy.http.EventOptions?
---@return fun(): eddy.http.Event?
function Client:events(url, options) return events.iterate(self, url, options) end

--- Load a file. See eddy.http.download.
---@async
---@param url string
---@param path string
---@param options eddy.http.DownloadOptions?
---@return eddy.http.Response? response  without body
---@return eddy.Error? err
function Client:download(url, path, options) return download.load(self, url, path, options) end

-- ---- The client --------------------------------------------------------------------------------

--- How often connections were opened and reused, and what they do now.
---@return eddy.http.PoolStats
function Client:stats() return self.pool:stats() end

--- Close every connection. Requests that run, and later ones, fail with kind "closed".
function Client:close() self.pool:close() end

Client.__close = Client.close
Client.__name = "eddy.http.Client"

local function base_of(url)
  if not url then return nil end
  local parts, err = request.parse_url(url)
  if not parts then misuse.raise("base_url: %s", err.message) end
  return url:sub(-1) == "/" and url or url .. "/"
end

--- Options that a request checks when it is made: here they are wrong before any request is.
local function check_settings(settings)
  local probe = settings.base_url or "http://localhost/"
  local plan, err = request.prepare(settings, "GET", probe)
  if not plan then misuse.raise("%s", err.message) end
end

--- A client with a pool and defaults of its own. `cookies = true` gives it a jar.
---@param options eddy.http.ClientOptions?
---@return eddy.http.Client
function client.new(options)
  options = options or {}
  options_of.check_client(options)
  local settings = {}
  for name, value in pairs(options) do settings[name] = value end
  local merged, err = request.default_headers(settings)
  if not merged then misuse.raise("headers: %s", err.message) end
  settings.base_url, settings.headers = base_of(options.base_url), merged
  if settings.cookies == true then settings.cookies = cookies.jar() end
  check_settings(settings)
  return setmetatable({
    settings = settings, plans = {}, nplans = 0,
    pool = pool.new {
      max = options.max or 100, max_per_host = options.max_per_host or 100,
      keep_alive = options.keep_alive or 30,
    },
  }, Client)
end

return client
