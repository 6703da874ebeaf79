-- SPDX-License-Identifier: MIT
-- JSON through whichever library is there: eddy.json, lua-cjson or dkjson. Looked for at first use.
local codec = {}

local library

local function find()
  if library == nil then
    library = false
    for _, name in ipairs { "eddy.json", "cjson", "dkjson" } do
      local ok, found = pcall(require, name)
      if ok and type(found) == "table" and found.decode then
        library = found
        break
      end
    end
  end
  return library
end

local NONE = "JSON needs one of the modules eddy.json, cjson or dkjson, and none is installed"

--- Run `fn(value)` of the library: its value, or nil and a sentence.
local function try(name, value)
  local found = find()
  if not found then return nil, NONE end
  local ok, result, second, third = pcall(found[name], value)
  if not ok then return nil, tostring(result) end
  if result == nil and (second ~= nil or third ~= nil) then return nil, tostring(third or second) end
  return result, nil, true
end

--- The value of a JSON text: value, nil, true, or nil and a sentence.
function codec.decode(text)
  return try("decode", text)
end

--- The JSON text of a value, or nil and a sentence.
---@return string?
---@return string?
function codec.encode(value)
  return try("encode", value)
end

return codec
