-- SPDX-License-Identifier: MIT
-- Server-sent events, the server's side: one event is one piece of a streamed answer.
local misuse = require "eddy.http.misuse"
local response = require "eddy.http.server_response"

local sse = {}

--- A `<close>` value.
---@class eddy.http.EventStream
local EventStream = {}
sse.methods = EventStream
EventStream.__index = EventStream
EventStream.__name = "eddy.http.EventStream"

--- One line each; what would begin another line must not be in them.
local function field(name, value)
  value = tostring(value)
  if value:find "[\r\n%z]" then misuse.raise("%s: a line end or zero byte in it", name) end
  return name .. ": " .. value .. "\n"
end

local function data_lines(text)
  text = text:gsub("\r\n?", "\n")
  return "data: " .. text:gsub("\n", "\ndata: ") .. "\n"
end

local function milliseconds(seconds)
  misuse.check_type("retry", seconds, "number")
  if not (seconds >= 0 and seconds < 1e9) then misuse.raise "retry: a number of seconds expected" end
  return math.floor(seconds * 1000)
end

local FIELDS = { event = true, data = true, id = true, retry = true }

local function format(event)
  if type(event) ~= "table" then event = { data = event } end
  local text = ""
  for name in pairs(event) do
    if not FIELDS[name] then misuse.raise("unknown field '%s' of an event", tostring(name)) end
  end
  if event.event then text = text .. field("event", event.event) end
  if event.id then text = text .. field("id", event.id) end
  if event.retry then text = text .. field("retry", milliseconds(event.retry)) end
  if event.data ~= nil then text = text .. data_lines(tostring(event.data)) end
  return text .. "\n"
end

--- Send an event; waits until the system has taken it.
---@async
---@param event string|{data: string?, event: string?, id: (string|number)?, retry: number?}  `retry` in seconds
---@return true? ok
---@return eddy.Error? err           the peer has gone
function EventStream:send(event)
  return self.response_:write(format(event))
end

--- A line that clients ignore: keeps connections alive.
---@async
---@param text string?
---@return true? ok
---@return eddy.Error? err
function EventStream:comment(text)
  text = text or ""
  if text:find "[\r\n]" then misuse.raise "comment: a line end in it" end
  return self.response_:write(": " .. text .. "\n\n")
end

--- The end of the stream. Never waits, can be repeated.
function EventStream:close() return self.response_:close() end

-- Leaving by an error cuts the connection.
function EventStream:__close(err) self.response_:leave(err) end

---@param options {headers: table?, retry: number?}?
function sse.begin(req, options)
  options = options or {}
  misuse.check_type("events", options, "table")
  local fields = { ["Content-Type"] = "text/event-stream", ["Cache-Control"] = "no-store" }
  for name, value in pairs(options.headers or {}) do fields[name] = value end
  local first = options.retry and format { retry = options.retry }
  local self = setmetatable({ response_ = response.begin(req, { headers = fields }) }, EventStream)
  if first then self.response_:write(first) else self.response_:flush() end
  return self
end

return sse
