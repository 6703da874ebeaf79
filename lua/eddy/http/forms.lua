-- SPDX-License-Identifier: MIT
-- Names with values as text: queries, forms, base64 for credentials.
local core = require "eddy.core"
local misuse = require "eddy.http.misuse"

local url = core.url

local forms = {}

local function pair_text(key, value, escape)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    misuse.raise("%s: string, number or boolean expected, got %s", tostring(key), kind)
  end
  return escape(tostring(key)) .. "=" .. escape(tostring(value))
end

local function add_pairs(list, key, value, escape)
  if type(value) ~= "table" then
    list[#list + 1] = pair_text(key, value, escape)
    return
  end
  for _, item in ipairs(value) do list[#list + 1] = pair_text(key, item, escape) end
end

--- "a=1&b=2": a map, with sorted keys, whose lists repeat the key; or an array of pairs, in order.
local function encode_pairs(values, escape)
  local list, keys = {}, {}
  for i, pair in ipairs(values) do
    if type(pair) ~= "table" then misuse.raise("pair %d: table expected, got %s", i, type(pair)) end
    add_pairs(list, pair[1], pair[2], escape)
  end
  for key in pairs(values) do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do add_pairs(list, key, values[key], escape) end
  return table.concat(list, "&")
end

local function escape_form(text)
  return (url.escape(text):gsub("%%20", "+"))
end

--- The body of a form.
---@param values table
---@return string
function forms.form(values) return encode_pairs(values, escape_form) end

--- An address with a query added to it.
---@param text string
---@param query table
---@return string
function forms.with_query(text, query)
  local encoded = encode_pairs(query, url.escape)
  if encoded == "" then return text end
  local fragment = text:find("#", 1, true)
  if fragment then text = text:sub(1, fragment - 1) end
  return text .. (text:find("?", 1, true) and "&" or "?") .. encoded
end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- RFC 4648, section 4.
---@param bytes string
---@return string
function forms.base64(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for place = 0, 3 do
      local digit = n >> (18 - 6 * place) & 63
      local is_there = place < 2 or place == 2 and b or place == 3 and c
      out[#out + 1] = is_there and DIGITS:sub(digit + 1, digit + 1) or "="
    end
  end
  return table.concat(out)
end

return forms
