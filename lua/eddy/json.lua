-- SPDX-License-Identifier: MIT
-- Module "eddy.json": JSON texts and Lua values. Decoding is lua-cjson's work, or dkjson's where
-- only that is installed; encoding is done here, because neither of them tells an empty array from
-- an empty object in all its versions. Nothing here waits.
--
--     local json = require "eddy.json"
--     json.encode { name = "Ada", tags = json.array {}, boss = json.null }
---@class eddy.json
---@field null any                  what JSON's null becomes, and what is encoded as it
local json = {}

local MAX_DEPTH = 200   -- of tables in tables, when encoding

-- ---- Libraries ---------------------------------------------------------------------------------

local NONE = "JSON cannot be decoded: install the Lua module lua-cjson or dkjson"

local function with_cjson(cjson)
  local own = cjson.new()   -- its settings are ours alone
  if own.decode_invalid_numbers then own.decode_invalid_numbers(false) end
  return function(text)
    local ok, value = pcall(own.decode, text)
    if not ok then return nil, tostring(value) end
    return value
  end, cjson.null
end

local function with_dkjson(dkjson)
  return function(text)
    local value, at, problem = dkjson.decode(text, 1, dkjson.null)
    if problem then return nil, problem end
    local rest = text:find("%S", at)
    if rest then return nil, ("unexpected text at character %d"):format(rest) end
    return value
  end, dkjson.null
end

local function find_library()
  local ok, found = pcall(require, "cjson")
  if ok and type(found) == "table" and found.new then return with_cjson(found) end
  ok, found = pcall(require, "dkjson")
  if ok and type(found) == "table" then return with_dkjson(found) end
  return function() return nil, NONE end, setmetatable({}, { __name = "eddy.json.null" })
end

local decode, null = find_library()

--- What JSON's null becomes, and what is encoded as it.
json.null = null

-- ---- Encoding ----------------------------------------------------------------------------------

local array_meta = { __name = "eddy.json.array" }

--- Say that a table is an array, also when it is empty. Returns the table.
---@param t table?
---@return table t
function json.array(t)
  return setmetatable(t or {}, array_meta)
end

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n",
  ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(char)
  return ESCAPES[char] or ("\\u%04x"):format(char:byte())
end

local function text_of(value)
  if not utf8.len(value) then error("a string is not UTF-8", 0) end
  return '"' .. value:gsub('[%c"\\\127]', escape) .. '"'
end

local function number_text(value)
  if math.type(value) == "integer" then return ("%d"):format(value) end
  if value ~= value or value == math.huge or value == -math.huge then error("a number is not finite", 0) end
  local short = ("%.14g"):format(value)
  return (tonumber(short) == value and short or ("%.17g"):format(value)):gsub(",", ".")
end

local add   -- recursive

local function add_array(out, t, depth)
  out[#out + 1] = "["
  for i = 1, #t do
    if i > 1 then out[#out + 1] = "," end
    add(out, t[i], depth)
  end
  out[#out + 1] = "]"
end

local function sorted_keys(t)
  local names, keys = {}, {}
  for key in pairs(t) do
    local kind = type(key)
    if kind ~= "string" and kind ~= "number" then error("a key is a " .. kind, 0) end
    local name = kind == "string" and key or tostring(key)
    if keys[name] ~= nil then error("two keys with the text " .. name, 0) end
    names[#names + 1], keys[name] = name, key
  end
  table.sort(names)
  return names, keys
end

local function add_object(out, t, depth)
  local names, keys = sorted_keys(t)
  out[#out + 1] = "{"
  for i, name in ipairs(names) do
    if i > 1 then out[#out + 1] = "," end
    out[#out + 1] = text_of(name) .. ":"
    add(out, t[keys[name]], depth)
  end
  out[#out + 1] = "}"
end

--- An array has the keys 1 to n and no other; {} is an object.
local function is_array(t)
  local n = #t
  if n == 0 then return false end
  local count = 0
  for _ in pairs(t) do count = count + 1 end
  return count == n
end

local function add_table(out, t, depth)
  if depth > MAX_DEPTH then error("tables too deep, or in a cycle", 0) end
  if getmetatable(t) == array_meta or is_array(t) then add_array(out, t, depth + 1)
  else add_object(out, t, depth + 1) end
end

function add(out, value, depth)
  local kind = type(value)
  if value == null then out[#out + 1] = "null"
  elseif kind == "string" then out[#out + 1] = text_of(value)
  elseif kind == "number" then out[#out + 1] = number_text(value)
  elseif kind == "boolean" then out[#out + 1] = tostring(value)
  elseif kind == "table" then add_table(out, value, depth)
  else error("a " .. kind .. " has no JSON", 0) end
end

--- The JSON text of a value; keys sorted. Raises for what has none.
---@param value any
---@return string text
function json.encode(value)
  local out = {}
  local ok, problem = pcall(add, out, value, 1)
  if not ok then error("cannot encode as JSON: " .. tostring(problem), 2) end
  return table.concat(out)
end

--- The value of a JSON text.
---@param text string
---@return any value                 `json.null` for null
---@return string? problem           what is wrong with it
function json.decode(text)
  if type(text) ~= "string" then error("string expected, got " .. type(text), 2) end
  return decode(text)
end

return json
