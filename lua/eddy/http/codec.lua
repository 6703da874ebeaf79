-- SPDX-License-Identifier: MIT
-- JSON as requests and answers use it: what cannot be decoded or encoded is a sentence.
local json = require "eddy.json"

local codec = {}

--- The value of a JSON text: value, nil, true, or nil and a sentence.
function codec.decode(text)
  local value, problem = json.decode(text)
  return value, problem, problem == nil
end

--- The JSON text of a value, or nil and a sentence.
---@return string?
---@return string?
function codec.encode(value)
  local ok, text = pcall(json.encode, value)
  if ok then return text end
  return nil, tostring(text)
end

return codec
