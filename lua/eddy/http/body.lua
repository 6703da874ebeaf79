-- SPDX-License-Identifier: MIT
-- What a request sends: bytes that are there, or a source that is asked for them while the request
-- runs. A source can be used once: what was taken from it cannot be sent again.
local eddy = require "eddy"
local forms = require "eddy.http.forms"
local json = require "eddy.json"
local misuse = require "eddy.http.misuse"
local multipart = require "eddy.http.multipart"

local body = {}

-- As one chunk of the chunked coding; empty bytes stay empty, since an empty chunk is the end.
local function chunk(bytes)
  if bytes == "" then return "" end
  return ("%x\r\n"):format(#bytes) .. bytes .. "\r\n"
end

local PIECE = 65536

-- ---- Options -----------------------------------------------------------------------------------

local function is_reader(value)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" then return false end
  local ok, read = pcall(function() return value.read end)
  return ok and type(read) == "function"
end

--- Raise unless this can be an option `body`.
function body.check(name, value)
  local kind = type(value)
  if kind == "string" or kind == "function" or is_reader(value) then return end
  misuse.raise("%s: string, iterator or object with read expected, got %s", name, kind)
end

---@class eddy.http.Source
---@field next fun(): string?, any   one piece; nil, err when it fails
---@field length integer?            known in advance
---@field is_used boolean
---@field is_asked boolean?          for a piece, at this moment
---@field given number?              when it gave the last one

local function source_of(value, length)
  local next_piece = value
  if type(value) ~= "function" then next_piece = function() return value:read(PIECE) end end
  return { next = next_piece, length = length, is_used = false }
end

local function encode_json(value)
  local ok, text = pcall(json.encode, value)
  if not ok then misuse.raise("json: %s", (tostring(text):gsub("^.-:%d+: ", ""))) end
  return text
end

local function raw_of(options)
  if options.form then return forms.form(options.form), "application/x-www-form-urlencoded" end
  if options.json ~= nil then return encode_json(options.json), "application/json" end
  if options.multipart then return multipart.encode(options.multipart) end
  return options.body
end

local function check_count(options)
  local count = 0
  for _, name in ipairs { "body", "json", "form", "multipart" } do
    if options[name] ~= nil then count = count + 1 end
  end
  if count > 1 then misuse.raise "only one of 'body', 'json', 'form', 'multipart' can be given" end
  if options.length and options.body == nil then misuse.raise "'length' without 'body'" end
end

--- The body of a request: bytes, or a source, and their content type.
---@param options table
---@return string? bytes
---@return eddy.http.Source? source
---@return string? content_type
---@return eddy.Error? err
function body.of(options)
  check_count(options)
  local raw, kind, err = raw_of(options)
  if err then return nil, nil, nil, err end
  if type(raw) ~= "string" then return nil, raw and source_of(raw, options.length), kind end
  if options.length and options.length ~= #raw then
    return nil, nil, nil, select(2, misuse.invalid "'length' does not agree with the body")
  end
  return raw, nil, kind
end

-- ---- Sending -----------------------------------------------------------------------------------

local function disagrees()
  return select(2, misuse.invalid "the body does not have the length that was announced")
end

--- Write one piece; the number of bytes, or nil when the connection does not take it.
local function write_piece(stream, source, piece)
  misuse.check_type("body", piece, "string")
  if piece == "" then return 0 end
  return stream:write(source.length and piece or chunk(piece)) and #piece
end

--- The next piece, and when it came: the time that a source takes is not the peer's.
local function ask(source)
  source.is_asked = true
  local piece, err = source.next()
  source.is_asked, source.given = false, eddy.now()
  return piece, err
end

--- Write a head and then what the source gives. True when all was sent; false when the connection
--- did not take it (whoever reads the answer learns why); or `nil, err` when the source failed.
---@async
function body.send(stream, head, source)
  source.is_used = true
  if not stream:write(head) then return false end
  local left = source.length
  while true do
    local piece, err = ask(source)
    if piece == nil then
      if err ~= nil then return nil, err end
      break
    end
    if left and #piece > left then return nil, disagrees() end
    local n = write_piece(stream, source, piece)
    if not n then return false end
    left = left and left - n
  end
  if left and left > 0 then return nil, disagrees() end
  return source.length and true or stream:write("0\r\n\r\n") == true
end

return body
