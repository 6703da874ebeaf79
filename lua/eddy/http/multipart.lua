-- SPDX-License-Identifier: MIT
-- Bodies of type multipart/form-data (RFC 7578). Parts whose bodies are strings make a string;
-- where one is an iterator, the whole is one.
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"

local multipart = {}

--- From the system's source of randomness, so that nobody can write a part that holds it.
local function new_boundary()
  local digits = core.net.random(16):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  return "eddy-" .. digits
end

-- As browsers write names into quotes.
local function quoted(text)
  return '"' .. text:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

local FIELDS = { name = "string", filename = "string", content_type = "string" }

local function check_part(part)
  for key, value in pairs(part) do
    if key ~= "body" then
      if not FIELDS[key] then misuse.raise("multipart: unknown field '%s'", tostring(key)) end
      misuse.check_type("multipart " .. key, value, FIELDS[key])
    end
  end
  local kind = type(part.body)
  if kind ~= "string" and kind ~= "number" and kind ~= "function" then
    misuse.raise("multipart %s: body: string or iterator expected, got %s", tostring(part.name), kind)
  end
  if type(part.name) ~= "string" then misuse.raise "multipart: a part without a name" end
end

--- Parts as a list, each checked: from a map, sorted by name, or from a list.
local function list_of(parts)
  local list, names = {}, {}
  for name in pairs(parts) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local part = parts[name]
    if type(part) ~= "table" then part = { body = part } end
    list[#list + 1] = { name = name, filename = part.filename, content_type = part.content_type, body = part.body }
  end
  for i, part in ipairs(parts) do
    misuse.check_type("multipart part " .. i, part, "table")
    list[#list + 1] = part
  end
  for _, part in ipairs(list) do check_part(part) end
  return list
end

local function head_of(part)
  local kind = part.content_type or (part.filename and "application/octet-stream")
  return "Content-Disposition: form-data; name=" .. quoted(part.name)
    .. (part.filename and "; filename=" .. quoted(part.filename) or "")
    .. (kind and "\r\nContent-Type: " .. kind or "") .. "\r\n\r\n"
end

--- A boundary that none of the strings holds.
local function boundary_for(list)
  while true do
    local boundary, is_held = new_boundary(), false
    for _, part in ipairs(list) do
      is_held = is_held or type(part.body) == "string" and part.body:find(boundary, 1, true)
    end
    if not is_held then return boundary end
  end
end

--- The pieces of the whole body, strings and iterators.
local function pieces_of(list, boundary)
  local pieces, is_text = {}, true
  for _, part in ipairs(list) do
    pieces[#pieces + 1] = "--" .. boundary .. "\r\n" .. head_of(part)
    pieces[#pieces + 1] = type(part.body) == "number" and tostring(part.body) or part.body
    pieces[#pieces + 1] = "\r\n"
    is_text = is_text and type(part.body) ~= "function"
  end
  pieces[#pieces + 1] = "--" .. boundary .. "--\r\n"
  return pieces, is_text
end

local function iterate(pieces)
  local at = 1
  return function()
    while at <= #pieces do
      local piece = pieces[at]
      if type(piece) == "function" then piece = piece() else at = at + 1 end
      if piece ~= nil then return piece end
      at = at + 1
    end
  end
end

--- The body and its type, or `nil, nil, err`.
---@param parts table
---@return string|function|nil body
---@return string? content_type
---@return eddy.Error? err
function multipart.encode(parts)
  local list = list_of(parts)
  for _, part in ipairs(list) do
    if part.content_type and part.content_type:find("%c") then
      return nil, nil, select(2, misuse.invalid "invalid byte in a content type")
    end
  end
  local boundary = boundary_for(list)
  local pieces, is_text = pieces_of(list, boundary)
  return is_text and table.concat(pieces) or iterate(pieces), "multipart/form-data; boundary=" .. boundary
end

return multipart
