-- SPDX-License-Identifier: MIT
-- Undoing the content codings of a body, one behind the other, within a limit. Each step of much
-- output lets other tasks run.
local eddy = require "eddy"
local coding = require "eddy.core".coding

local decode = {}

local SLICE = 65536        -- bytes that are decoded at once
local YIELD = 1024 * 1024  -- bytes of output after which others get a turn
local MAX_CODINGS = 4

---@class eddy.http.Decoder
local Decoder = {}

local function close(self)
  for _, step in ipairs(self) do step:close() end
end

local decoder_meta = { __index = Decoder, __close = close, __gc = close }

--- What undoes the codings of a Content-Encoding field; nil where one of them is not known or
--- there is nothing to do.
---@param field string?
---@param max number                 bytes of output; below 0: unlimited
---@param ratio number?              of output to input behind the first MiB; default 100
---@return eddy.http.Decoder?
function decode.new(field, max, ratio)
  local names = {}
  for name in (field or ""):gmatch("[^%s,]+") do
    if name:lower() ~= "identity" then table.insert(names, 1, name) end   -- the last was put on last
  end
  if #names == 0 or #names > MAX_CODINGS then return nil end
  local self = setmetatable({}, decoder_meta)
  for i, name in ipairs(names) do
    self[i] = coding.decoder(name, max, ratio)
    if not self[i] then return nil end
  end
  return self
end

--- What these bytes decode to, or `nil, err`.
---@param bytes string
---@return string? bytes
---@return eddy.Error? err
function Decoder:feed(bytes, from, to)
  local err
  for _, step in ipairs(self) do
    bytes, err = step:feed(bytes, from, to)
    if not bytes then return nil, err end
    from, to = nil, nil
  end
  return bytes
end

--- The input has ended; truncated is an error.
---@return true? ok
---@return eddy.Error? err
function Decoder:finish()
  for _, step in ipairs(self) do
    local ok, err = step:finish()
    if not ok then return nil, err end
  end
  return true
end

--- Decode a whole body.
---@async
---@return string? bytes
---@return eddy.Error? err
function Decoder:all(bytes)
  local pieces, made = {}, 0
  for at = 1, #bytes, SLICE do
    local piece, err = self:feed(bytes, at, at + SLICE - 1)
    if not piece then return nil, err end
    pieces[#pieces + 1] = piece
    made = made + #piece
    if made >= YIELD then
      made = 0
      eddy.sleep(0)
    end
  end
  local ok, err = self:finish()
  if not ok then return nil, err end
  return table.concat(pieces)
end

return decode
