-- SPDX-License-Identifier: MIT
-- Server-sent events (WHATWG HTML, 9.2): a stream of text/event-stream as an iterator that connects
-- again when it breaks, and says where it was.
local eddy = require "eddy"
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"
local options_of = require "eddy.http.options"

local events = {}

local MAX_EVENT = 1024 * 1024
local FIRST_PAUSE, MAX_PAUSE = 3, 60
local LEAST_PAUSE = 0.1   -- behind the first, whatever the server says

---@class eddy.http.Event
---@field event string               "message" unless the server named it
---@field data string                lines joined by "\n"
---@field id string?                 the last one that came
---@field retry number?              seconds, where this event sets them

---@class eddy.http.EventOptions: eddy.http.RequestOptions
---@field method string?             default "GET"
---@field reconnect boolean?         default true for GET, else false
---@field last_event_id string?      where to begin

-- ---- Parsing -----------------------------------------------------------------------------------

local Parser = {}
Parser.__index = Parser

--- What takes texts apart as they come: `feed(piece)`, then `next()` until nothing more.
function events.parser()
  return setmetatable({ text = "", at = 1, data = {}, size = 0, is_first = true }, Parser)
end

--- Add what has come. The limit counts what is kept: an unfinished line and the event's data.
function Parser:feed(piece)
  self.text, self.at = self.text:sub(self.at) .. piece, 1
  if self.is_first and (#self.text >= 3 or self.text ~= ("\xEF\xBB\xBF"):sub(1, #self.text)) then
    self.is_first = false
    if self.text:sub(1, 3) == "\xEF\xBB\xBF" then self.at = 4 end
  end
end

--- The next whole line, or nil. A CR at the end of what has come may be half of a CRLF: the LF is
--- left out when it comes.
local function next_line(self)
  if self.is_first then return nil end
  if self.skips_lf and self.at <= #self.text then
    if self.text:byte(self.at) == 10 then self.at = self.at + 1 end
    self.skips_lf = false
  end
  local stop = self.text:find("[\r\n]", self.at)
  if not stop then return nil end
  local line = self.text:sub(self.at, stop - 1)
  self.skips_lf = self.text:byte(stop) == 13
  self.at = stop + 1
  return line
end

local function take_field(self, name, value)
  if name == "data" then
    self.data[#self.data + 1] = value
    self.size = self.size + #value + 1
  elseif name == "event" then self.event = value
  elseif name == "id" and not value:find("\0", 1, true) then self.id = value
  elseif name == "retry" and value:find("^%d+$") and #value < 10 then self.retry = tonumber(value) / 1000 end
end

--- A blank line: the event, if it has data.
local function dispatch(self)
  local event
  if #self.data > 0 then
    event = {
      event = self.event ~= "" and self.event or "message", data = table.concat(self.data, "\n"),
      id = self.id, retry = self.retry,
    }
    event.event = event.event or "message"
  end
  self.pause = self.retry or self.pause
  self.data, self.size, self.event, self.retry = {}, 0, nil, nil
  return event
end

--- The next event of what was fed, or nil; raises the error object at the limit.
function Parser:next()
  for line in next_line, self do
    if line == "" then
      local event = dispatch(self)
      if event then return event end
    elseif line:byte() ~= 58 then   -- not a comment
      local name, value = line:match("^([^:]*): ?(.*)$")
      take_field(self, name or line, value or "")
    end
    if self.size > MAX_EVENT then return nil, true end
  end
  return nil, #self.text - self.at + 1 + self.size > MAX_EVENT
end

-- ---- Connecting --------------------------------------------------------------------------------

local Source = {}
local source_meta = { __index = Source, __name = "eddy.http.Events", __close = function(self) self:close() end }

--- Close the connection; the iterator ends. Can be repeated.
function Source:close()
  self.is_over = true
  if self.response then self.response:close() end
  self.response = nil
end

local function headers_with(options, id)
  local headers = { Accept = "text/event-stream", ["Cache-Control"] = "no-cache" }
  local lower = { accept = "Accept", ["cache-control"] = "Cache-Control", ["last-event-id"] = "Last-Event-ID" }
  if id and id ~= "" then headers["Last-Event-ID"] = id end
  for name, value in pairs(options.headers or {}) do
    local ours = type(name) == "string" and lower[name:lower()]
    if ours then headers[ours] = nil end
    headers[name] = value
  end
  if id and id ~= "" and not headers["Last-Event-ID"] then headers["Last-Event-ID"] = id end
  return headers
end

local function is_passing(err) return err.kind == "io" or err.kind == "timeout" end

--- A failure that may pass: wait, when we may connect again; else it is raised.
local function pause_after(self, err)
  if not self.reconnects or err and not is_passing(err) then
    self:close()
    if err then error(err, 0) end
    return
  end
  local first = self.parser.pause or FIRST_PAUSE
  local pause = self.failures == 0 and first or math.max(first, LEAST_PAUSE) * 2 ^ self.failures
  eddy.sleep(math.min(math.max(MAX_PAUSE, first), pause))
  self.failures = self.failures + 1
end

local function refuse(self, response, err)
  response:close()
  self:close()
  error(err, 0)
end

local function check_type(response)
  local kind = (response.headers["content-type"] or ""):lower():match("^%s*([^;%s]*)")
  if kind == "text/event-stream" then return end
  return core.error {
    kind = "protocol", code = "EBADHEAD", op = "events", target = response.url,
    message = "not an event stream but " .. (kind ~= "" and kind or "of no type"), response = response,
  }
end

--- Is this answer a stream of events? Else wait, end or raise.
local function accept(self, response)
  if response.status == 204 then
    response:close()
    return self:close()
  end
  if response.status >= 500 then
    local _, err = response:expect()
    response:close()
    if not self.reconnects then refuse(self, response, err) end
    return pause_after(self)
  end
  local _, err = response:expect(200)
  err = err or check_type(response)
  if err then refuse(self, response, err) end
  self.response = response
  local kept = self.parser
  self.parser = events.parser()   -- half an event of the last connection is dropped
  self.parser.id, self.parser.pause = kept.id, kept.pause
end

local function connect(self)
  local request = {}
  for name, value in pairs(self.options) do request[name] = value end
  request.headers = headers_with(self.options, self.parser.id)
  local response, err = self.client:request(self.method, self.url, request)
  if response then accept(self, response) else pause_after(self, err) end
end

local function read_on(self)
  local piece, err = self.response:read()
  if piece then
    self.failures = 0
    return self.parser:feed(piece)
  end
  self.response:close()
  self.response = nil
  pause_after(self, err)
end

local function too_large(self)
  local target = self.response.url
  self:close()
  error(core.error {
    kind = "limit", code = "EEVENT", op = "events", target = target, message = "event above 1 MiB",
  }, 0)
end

local function next_event(self)
  while true do
    if self.response then
      local event, is_large = self.parser:next()
      if event then return event end
      if is_large then too_large(self) end
    end
    if self.is_over then return nil end
    if self.response then read_on(self) else connect(self) end
  end
end

local OWN = {
  method = function(name, value) misuse.check_type(name, value, "string") end,
  reconnect = function(name, value) misuse.check_type(name, value, "boolean") end,
  last_event_id = function(name, value) misuse.check_type(name, value, "string") end,
}

--- Events of a server, as they come: connects at the first step, and again when the connection
--- breaks or a 5xx comes, after 3 s (or what the server asks for), doubling to 60 as long as nothing comes. Ends when the
--- server answers 204, with `break`, or when the task is cancelled. Raises other failures.
---@param client eddy.http.Client
---@param url string
---@param options eddy.http.EventOptions?
---@return fun(): eddy.http.Event?
function events.iterate(client, url, options)
  misuse.check_type("url", url, "string")
  local own, rest = options_of.split(options, OWN)
  rest.stream, rest.timeout = true, rest.timeout or math.huge
  local method, reconnects = own.method or "GET", own.reconnect
  if reconnects == nil then reconnects = method == "GET" end
  local self = setmetatable({
    client = client, url = url, method = method, options = rest, reconnects = reconnects,
    parser = events.parser(), failures = 0, is_over = false,
  }, source_meta)
  self.parser.id = own.last_event_id
  return next_event, self, nil, self
end

return events
