-- SPDX-License-Identifier: MIT
-- Header fields: those that came, taken apart when somebody asks for them, and those to be sent,
-- checked before a byte leaves.
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"

local fields, is_token, is_value = core.http.fields, core.http.is_token, core.http.is_value

local headers = {}

-- ---- Received ----------------------------------------------------------------------------------

--- Fields of a head: `h[name]` is the first value of that name in whatever case, or nil;
--- `pairs(h)` gives names in lower case and values, in order.
---@class eddy.http.Headers
---@field [string] string?
local Headers = {}

--- All values of a name, in order.
---@param name string
---@return string[]
function Headers:all(name)
  local list = {}
  name = name:lower()
  for i = 1, #self, 2 do
    if self[i] == name then list[#list + 1] = self[i + 1] end
  end
  return list
end

local function first_value(self, name)
  if Headers[name] then return Headers[name] end
  if type(name) ~= "string" then return nil end
  name = name:lower()
  for i = 1, #self, 2 do
    if self[i] == name then return self[i + 1] end
  end
end

local function iterate(self)
  local i = -1
  return function()
    i = i + 2
    return rawget(self, i), rawget(self, i + 1)
  end
end

-- The object is the list {name1, value1, name2, ...} itself.
local headers_meta = { __name = "eddy.http.Headers", __index = first_value, __pairs = iterate }

-- What describes a coded body, and not the one that was made of it.
local OF_CODING = { ["content-encoding"] = true, ["content-length"] = true }

--- The fields of a raw head.
---@param head string
---@param is_decoded boolean?        leave out what is not true of the body any more
---@return eddy.http.Headers
function headers.parse(head, is_decoded)
  local list = fields(head)
  if not is_decoded then return setmetatable(list, headers_meta) end
  local kept = {}
  for i = 1, #list, 2 do
    if not OF_CODING[list[i]] then kept[#kept + 1], kept[#kept + 2] = list[i], list[i + 1] end
  end
  return setmetatable(kept, headers_meta)
end

-- ---- To be sent --------------------------------------------------------------------------------

-- What decides about framing and the connection is ours alone.
local FORBIDDEN = { ["transfer-encoding"] = true, ["connection"] = true }

---@alias eddy.http.Value string|number|false|(string|number)[]

--- The text of one value, or `nil, err`.
local function text_of(name, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then
    misuse.raise("header %s: string, number or list expected, got %s", name, kind)
  end
  value = tostring(value)
  if not is_value(value) then return misuse.invalid("invalid byte in the value of header " .. name) end
  return value
end

--- The texts of a field's value, which may be a list, or `nil, err`.
local function texts_of(name, value)
  if type(value) ~= "table" then
    local text, err = text_of(name, value)
    return text and { text }, err
  end
  local texts = {}
  for i, item in ipairs(value) do
    local text, err = text_of(name, item)
    if not text then return nil, err end
    texts[i] = text
  end
  return texts
end

--- Lay `own` over `base` (a table as this function makes them, or nil): lower-case name to
--- `{name as given, text1, text2, ...}`; false takes a name away.
---@param base table?
---@param own table<string, eddy.http.Value>
---@return table? merged
---@return eddy.Error? err
function headers.merge(base, own)
  local merged = {}
  for name, entry in pairs(base or {}) do merged[name] = entry end
  for name, value in pairs(own) do
    if type(name) ~= "string" then misuse.raise("headers: names are strings, got %s", type(name)) end
    local lower = name:lower()
    if FORBIDDEN[lower] then misuse.raise("header %s cannot be set", name) end
    if not is_token(name) then return misuse.invalid("invalid header name", name) end
    if value == false then
      merged[lower] = nil
    else
      local texts, err = texts_of(name, value)
      if not texts then return nil, err end
      table.insert(texts, 1, name)
      merged[lower] = texts
    end
  end
  return merged
end

--- Append "Name: value" lines for a merged table, sorted by name.
---@param lines string[]
---@param merged table
function headers.append(lines, merged)
  local names = {}
  for name in pairs(merged) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local entry = merged[name]
    for i = 2, #entry do lines[#lines + 1] = entry[1] .. ": " .. entry[i] end
  end
end

return headers
