-- SPDX-License-Identifier: MIT
-- From what a handler returns to an answer. A header that must not be sent, a wrong type, an unknown
-- field are errors of the handler. Framing (Content-Length, Transfer-Encoding, Connection, Date) is
-- ours alone.
local codec = require "eddy.http.codec"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"

local response = {}

local TEXT = "Content-Type: text/plain; charset=utf-8\r\n"
local OURS = { ["content-length"] = true, date = true }

-- ---- Headers -----------------------------------------------------------------------------------

--- The lines of a handler's headers, each with its end. Raises for what must not be sent.
---@param fields table<string, eddy.http.Value>?
---@param kind string?               Content-Type where the handler gives none
---@return string lines
function response.lines(fields, kind)
  if not fields then return kind and "Content-Type: " .. kind .. "\r\n" or "" end
  misuse.check_type("headers", fields, "table")
  local merged, err = headers.merge(nil, fields)
  if not merged then error(err, 0) end
  for name in pairs(OURS) do merged[name] = nil end
  if kind and not merged["content-type"] then merged["content-type"] = { "Content-Type", kind } end
  local lines = {}
  headers.append(lines, merged)
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

function response.check_status(status)
  if math.type(status) ~= "integer" or status < 200 or status > 999 then
    error(("a handler returns a status (200 to 999), a table or a string, got %s"):format(tostring(status)), 0)
  end
end

-- ---- In pieces ---------------------------------------------------------------------------------

--- An answer that is written piece by piece; a `<close>` value.
---@class eddy.http.ServerResponse
---@field status integer
---@field bytes integer              of the body so far
local Response = {}
Response.__index = Response
Response.__name = "eddy.http.ServerResponse"

--- Send a piece of the body; waits until the system has taken it, so that a slow peer slows us down.
---@async
---@param ... string|number
---@return true? ok
---@return eddy.Error? err           the peer has gone, or more bytes than were announced
function Response:write(...)
  local bytes = select("#", ...) == 1 and (...) or table.concat { ... }
  if type(bytes) == "number" then bytes = tostring(bytes) end
  misuse.check_type("write", bytes, "string")
  if self.is_closed then misuse.raise "write: the response is closed" end
  if bytes == "" then return true end
  local ok, err = self.exchange_:write(bytes)
  if ok then self.bytes = self.bytes + #bytes end
  return ok, err
end

--- Send what is due: before the first piece that is the head alone.
---@async
---@return true? ok
---@return eddy.Error? err
function Response:flush()
  return self.exchange_:write ""
end

--- The end of the body. Never waits, can be repeated.
---@return true? ok
---@return eddy.Error? err           the body is shorter than its announced length; the connection is cut
function Response:close()
  if self.is_closed then return true end
  self.is_closed = true
  return self.exchange_:finish()
end

--- Close; behind an error cut the connection instead: half an answer cannot be repaired.
function Response:leave(err)
  if err == nil then return self:close() end
  self.is_closed = true
  self.exchange_:cut()
end

Response.__close = Response.leave

local RESPOND = { status = "number", headers = "table", length = "number" }

--- Begin an answer in pieces.
---@param options {status: integer?, headers: table?, length: integer?}?
---@return eddy.http.ServerResponse
function response.begin(req, options)
  options = options or {}
  misuse.check_type("respond", options, "table")
  for name, value in pairs(options) do
    if not RESPOND[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    misuse.check_type(name, value, RESPOND[name])
  end
  local status = options.status or 200
  response.check_status(status)
  local self = setmetatable({ status = status, bytes = 0, is_closed = false, exchange_ = req.exchange_ }, Response)
  req.exchange_:begin(status, response.lines(options.headers), options.length)
  req.response_ = self
  return self
end

--- Send a body that comes from an iterator. Its first piece is made before the head goes out, so that
--- an error there still is a 500.
local function send_pieces(req, status, fields, body)
  local piece = body()
  local res = response.begin(req, { status = status, headers = fields })
  while piece ~= nil do
    misuse.check_type("body", piece, "string")
    local ok = res:write(piece)
    if not ok then return false end
    piece = body()
  end
  return res:close()
end

-- ---- Whole -------------------------------------------------------------------------------------

local function send(req, status, fields, body, kind)
  response.check_status(status)
  local form = type(body)
  if form == "function" then return send_pieces(req, status, fields, body) end
  if form ~= "string" and form ~= "nil" then
    error("body: string, function or nil expected, got " .. form, 0)
  end
  req.status_, req.bytes_ = status, body and #body or 0
  return req.exchange_:respond(status, response.lines(fields, kind), body)
end

local FIELDS = { status = true, headers = true, body = true, json = true, file = true }

local function send_table(req, answer)
  for name in pairs(answer) do
    if not FIELDS[name] then error(("unknown field '%s' of a handler's answer"):format(tostring(name)), 0) end
  end
  if answer.file ~= nil then
    return require "eddy.http.file".send(req, answer.file, { status = answer.status, headers = answer.headers })
  end
  if answer.json == nil then return send(req, answer.status or 200, answer.headers, answer.body) end
  local text, problem = codec.encode(answer.json)
  if not text then error(problem, 0) end
  return send(req, answer.status or 200, answer.headers, text, "application/json")
end

--- Send what a handler returned, unless it has answered by itself.
function response.send(req, first, second, third)
  local res = req.response_
  if res then
    if res ~= true and not res.is_closed then res:close() end
    return
  end
  local form = type(first)
  if form == "string" then
    req.status_, req.bytes_ = 200, #first
    return req.exchange_:respond(200, TEXT, first)
  end
  if form ~= "table" then return send(req, first, second, third) end
  if first.send_ then return first:send_(req) end
  return send_table(req, first)
end

return response
