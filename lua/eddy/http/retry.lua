-- SPDX-License-Identifier: MIT
-- Trying again: after a connection that failed or an answer that never began, and after statuses
-- that the caller named, as long as the request's deadline allows it.
local eddy = require "eddy"
local mime = require "eddy.http.mime"

local retry = {}

local FIRST_PAUSE, MAX_PAUSE = 0.1, 10

--- May a request be sent once more after this failure?
---@param plan eddy.http.Plan
---@param err eddy.Error
---@param nothing_came string?       of exchange.attempt
---@return boolean
function retry.is_wanted(plan, err, nothing_came)
  if plan.source and plan.source.is_used or not nothing_came then return false end
  if nothing_came == "connect" then
    if err.code == "ECONNREFUSED" then return true end
    return plan.is_idempotent and (err.kind == "io" or err.kind == "timeout") and err.code ~= "EPROXY"
  end
  return plan.is_idempotent and err.kind == "io"
end

--- How long to wait before the attempt with this number: doubling, with jitter.
---@param attempt integer            1 for the first repetition
---@return number seconds
function retry.pause(attempt)
  local most = math.min(MAX_PAUSE, FIRST_PAUSE * 2 ^ (attempt - 1))
  return most / 2 + math.random() * most / 2
end

--- Seconds from now until a date of HTTP, or nil.
local function until_date(text)
  local date = mime.parse_date(text)
  return date and date - os.time()
end

--- Seconds that a server asks us to wait, or nil.
---@param field string?
---@return number?
function retry.after(field)
  if not field then return nil end
  local seconds = field:match("^%d+$") and tonumber(field) or until_date(field)
  return seconds and math.max(0, seconds)
end

--- How long to wait before a status is tried again; nil when it is to be returned as it is.
---@param plan eddy.http.Plan
---@param job eddy.http.Response
---@param attempt integer
---@param deadline number
---@return number?
function retry.for_status(plan, job, attempt, deadline)
  local statuses = plan.settings.retry_statuses
  if not statuses or not statuses[job.status] or not plan.is_idempotent then return nil end
  if plan.source and plan.source.is_used then return nil end
  local pause = retry.after(job.headers["retry-after"]) or retry.pause(attempt)
  if eddy.now() + pause >= deadline then return nil end
  return pause
end

return retry
