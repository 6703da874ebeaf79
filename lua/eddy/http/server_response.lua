-- SPDX-License-Identifier: MIT
-- From what a handler returns to an answer. A header that must not be sent, a wrong type, an unknown
-- field are errors of the handler. Framing (Content-Length, Transfer-Encoding, Connection, Date) is
-- ours alone.
local codec = require "eddy.http.codec"
local compress = require "eddy.http.compress"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"

local response = {}

local PLAIN = "text/plain; charset=utf-8"
local TEXT = "Content-Type: " .. PLAIN .. "\r\n"
local OURS = { ["content-length"] = true, date = true }

-- ---- Headers -----------------------------------------------------------------------------------

--- A handler's headers as `headers.merge` makes them. Raises for what must not be sent.
---@param fields table<string, eddy.http.Value>?
---@param kind string?               Content-Type where the handler gives none
---@return table merged
function response.merge(fields, kind)
  if fields ~= nil then misuse.check_type("headers", fields, "table") end
  local merged, err = headers.merge(nil, fields or {})
  if not merged then error(err, 0) end
  for name in pairs(OURS) do merged[name] = nil end
  if kind and not merged["content-type"] then merged["content-type"] = { "Content-Type", kind } end
  return merged
end

--- The lines of merged headers, each with its end.
function response.text(merged)
  local lines = {}
  headers.append(lines, merged)
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

--- The lines of a handler's headers. Raises for what must not be sent.
---@param fields table<string, eddy.http.Value>?
---@param kind string?               Content-Type where the handler gives none
---@return string lines
function response.lines(fields, kind)
  if not fields then return kind and "Content-Type: " .. kind .. "\r\n" or "" end
  return response.text(response.merge(fields, kind))
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
response.methods = Response

local function joined(...)
  local pieces = table.pack(...)
  for i = 1, pieces.n do
    if type(pieces[i]) ~= "number" then misuse.check_type("write", pieces[i], "string") end
  end
  return table.concat(pieces)
end

--- Send a piece of the body; waits until the system has taken it, so that a slow peer slows us down.
---@async
---@param ... string|number
---@return true? ok
---@return eddy.Error? err           the peer has gone, or more bytes than were announced
function Response:write(...)
  local bytes = select("#", ...) == 1 and (...) or joined(...)
  if type(bytes) == "number" then bytes = tostring(bytes) end
  misuse.check_type("write", bytes, "string")
  if self.is_closed then misuse.raise "write: the response is closed" end
  if bytes == "" then return true end
  if self.encoder_ then return self:write_coded_(bytes, true) end
  local ok, err = self.exchange_:write(bytes)
  if ok then self.bytes = self.bytes + #bytes end
  return ok, err
end

--- The same, coded. What was written can be read at the other end, unless more is to follow at once.
---@async
function Response:write_coded_(bytes, is_flushed)
  for slice in compress.slices(bytes) do
    local coded = self.encoder_:feed(slice)
    if coded ~= "" then
      local ok, err = self.exchange_:write(coded)
      if not ok then return nil, err end
      self.bytes = self.bytes + #coded
    end
  end
  if not is_flushed then return true end
  local rest = self.encoder_:flush()
  self.bytes = self.bytes + #rest
  return self.exchange_:write(rest)
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
  if not self.encoder_ then return self.exchange_:finish() end
  local last = self.encoder_:finish()
  self.encoder_:close()
  self.bytes = self.bytes + #last
  return self.exchange_:finish(last)
end

--- Raise for a body that was too short; that the peer has gone is no fault.
local function close_well(res)
  local ok, err = res:close()
  if not ok and err.kind == "protocol" then error(err, 0) end
end

--- Close; behind an error cut the connection instead: half an answer cannot be repaired.
---@param err any
function Response:leave(err)
  if err == nil then return close_well(self) end
  self.is_closed = true
  if self.encoder_ then self.encoder_:close() end
  self.exchange_:cut()
end

Response.__close = Response.leave

local RESPOND = { status = "number", headers = "table", length = "number", compress = "boolean" }

--- Begin an answer in pieces whose headers are merged; `is_coded`: what is written is to be gzip.
function response.start(req, status, merged, length, is_coded)
  local encoder
  if is_coded then
    compress.mark(merged)
    encoder = req.method ~= "HEAD" and compress.encoder(req) or nil
  end
  local self = setmetatable({
    status = status, bytes = 0, is_closed = false, exchange_ = req.exchange_, encoder_ = encoder,
  }, Response)
  req.exchange_:begin(status, next(merged) and response.text(merged) or "", length)
  req.response_ = self
  return self
end

--- Begin an answer in pieces. With `length` it is sent as it is; else it may be coded.
---@param options {status: integer?, headers: table?, length: integer?, compress: boolean?}?
---@return eddy.http.ServerResponse
function response.begin(req, options)
  options = options or {}
  misuse.check_type("respond", options, "table")
  for name, value in pairs(options) do
    if not RESPOND[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    misuse.check_type(name, value, RESPOND[name])
  end
  local length = options.length
  if length and (not math.tointeger(length) or length < 0) then misuse.raise "length: a number of bytes expected" end
  local status = options.status or 200
  response.check_status(status)
  local merged = response.merge(options.headers)
  local is_coded = not length and options.compress ~= false and compress.is_due(req, status, merged)
  return response.start(req, status, merged, length, is_coded)
end

local NO_BODY = { [204] = true, [304] = true }

--- A piece that an iterator gives; nil at the end.
local function next_piece(body)
  local piece = body()
  if piece ~= nil then misuse.check_type("body", piece, "string") end
  return piece
end

--- Send a body that comes from an iterator. Its first piece is made before the head goes out, so that
--- an error there still is a 500. Where no body is sent nobody waits for the others, which may have no end.
local function send_pieces(req, status, fields, body, may_code)
  local piece = next_piece(body)
  local res <close> = response.begin(req, { status = status, headers = fields, compress = may_code })
  if req.method == "HEAD" or NO_BODY[status] then piece = nil end
  while piece ~= nil do
    local ok = res:write(piece)
    if not ok then return false end
    piece = next_piece(body)
  end
  return res:close()
end

-- ---- Whole -------------------------------------------------------------------------------------

--- Lines and bytes of a whole answer that is large enough to be coded.
local function code_whole(req, status, fields, body, kind)
  local merged = response.merge(fields, kind)
  local coded = compress.is_due(req, status, merged, #body) and compress.all(req, body)
  if coded then compress.mark(merged) end
  return response.text(merged), coded or body
end

local function send_whole(req, status, fields, body, kind, may_code)
  local settings, lines = req.compress_, nil
  if body and settings and #body >= settings.min_size and may_code ~= false then
    lines, body = code_whole(req, status, fields, body, kind)
  end
  req.status_, req.bytes_ = status, body and #body or 0
  return req.exchange_:respond(status, lines or response.lines(fields, kind), body)
end

local function send(req, status, fields, body, kind, may_code)
  response.check_status(status)
  local form = type(body)
  if form == "function" then return send_pieces(req, status, fields, body, may_code) end
  if form ~= "string" and form ~= "nil" then
    error("body: string, function or nil expected, got " .. form, 0)
  end
  return send_whole(req, status, fields, body, kind, may_code)
end

local FIELDS = { status = true, headers = true, body = true, json = true, file = true, compress = true }

local function send_table(req, answer)
  for name in pairs(answer) do
    if not FIELDS[name] then error(("unknown field '%s' of a handler's answer"):format(tostring(name)), 0) end
  end
  local status, fields, may_code = answer.status, answer.headers, answer.compress
  if may_code ~= nil and type(may_code) ~= "boolean" then error("compress: boolean expected, got " .. type(may_code), 0) end
  if (answer.file ~= nil and 1 or 0) + (answer.json ~= nil and 1 or 0) + (answer.body ~= nil and 1 or 0) > 1 then
    error("only one of 'body', 'file', 'json' can be given", 0)
  end
  if answer.file ~= nil then
    return require "eddy.http.file".send(req, answer.file, { status = status, headers = fields, compress = may_code })
  end
  if answer.json == nil then return send(req, status or 200, fields, answer.body, nil, may_code) end
  local text, problem = codec.encode(answer.json)
  if not text then error(problem, 0) end
  return send(req, status or 200, fields, text, "application/json", may_code)
end

--- Send what a handler returned, unless it has answered by itself.
function response.send(req, first, second, third)
  local res = req.response_
  if res then
    if res ~= true then close_well(res) end
    return
  end
  local form = type(first)
  if form == "string" then
    local settings = req.compress_
    if settings and #first >= settings.min_size then return send_whole(req, 200, nil, first, PLAIN) end
    req.status_, req.bytes_ = 200, #first
    return req.exchange_:respond(200, TEXT, first)
  end
  if form ~= "table" then return send(req, first, second, third) end
  if first.send_ then return first:send_(req) end
  return send_table(req, first)
end

return response
