-- SPDX-License-Identifier: MIT
-- Reads the annotations (LuaLS) of a Lua file: its classes and its functions, each with the text above
-- it. Used by tools/stubs.lua and tools/reference.lua.

local annotations = {}

-- Where a script finds what a module of ours defines under another name.
annotations.aliases = {
  ["iterate.every"] = "eddy.every", ["iterate.as_completed"] = "eddy.as_completed", ["iterate.map"] = "eddy.map",
  ["iterate.each"] = "eddy.each", ["gen.new"] = "eddy.gen", ["defer.new"] = "eddy.defer", ["offload.offload_map"] = "eddy.offload_map",
  ["host.on"] = "eddy.on",
  ["loader.require"] = "eddy.require",
  ["client.new"] = "eddy.http.client", ["server.serve"] = "eddy.http.serve",
  ["file.file"] = "eddy.http.file", ["file.files"] = "eddy.http.files",
  ["cookies.jar"] = "eddy.http.cookies",
}

---@class Parameter
---@field name string
---@field optional boolean
---@field type string
---@field text string

---@class Documented
---@field owner string       the table or class that it stands in, as the file names it
---@field name string
---@field is_method boolean
---@field arguments string   as written
---@field text string
---@field parameters Parameter[]
---@field returns {type: string, name: string, text: string}[]
---@field is_async boolean
---@field path string
---@field line integer

---@class DocumentedClass
---@field name string
---@field text string
---@field fields Parameter[]
---@field path string

--- A type ends at the first blank that is not inside brackets, and not behind `|`, `,` or `:`.
local function split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local char = text:sub(at, at)
    if char:match "[%(<{%[]" then depth = depth + 1 end
    if char:match "[%)>}%]]" then depth = depth - 1 end
    if char:match "%s" and depth == 0 and not text:sub(1, at - 1):match "[|,:]%s*$" then break end
    at = at + 1
  end
  return text:sub(1, at - 1), (text:sub(at):gsub("^%s+", ""))
end

local function named(text)
  local name, rest = text:match "^(%S+)%s+(.*)$"
  if not name then name, rest = text, "" end
  local kind, description = split_type(rest)
  return { name = name:gsub("%?$", ""), optional = name:sub(-1) == "?", type = kind, text = description }
end

local function returned(text)
  local kind, rest = split_type(text)
  local name, description = rest:match "^([%a_][%w_]*%??)%s*(.*)$"
  if rest:match "^%.%.%." then name, description = "...", rest:match "^%.%.%.%s*(.*)$" end
  return { type = kind, name = name or "", text = description or rest }
end

local function new_block() return { lines = {}, parameters = {}, fields = {}, returns = {} } end

local handlers = {
  param = function(block, rest) block.parameters[#block.parameters + 1] = named(rest) end,
  field = function(block, rest)
    if rest:match "^private%s" or rest:match "^package%s" then return end
    block.fields[#block.fields + 1] = named(rest)
  end,
  ["return"] = function(block, rest) block.returns[#block.returns + 1] = returned(rest) end,
  async = function(block) block.is_async = true end,
  class = function(block, rest) block.class = rest:match "^[%w_.]+" end,
}

local function take_line(block, line)
  local tag, rest = line:match "^%-%-%-@(%w+)%s*(.*)$"
  if not tag then
    block.lines[#block.lines + 1] = (line:gsub("^%-%-%-%s?", ""))
  elseif handlers[tag] then
    handlers[tag](block, rest)
  end
end

local function function_of(line)
  local target, arguments = line:match "^%s*function%s+([%w_.:]+)%s*%((.-)%)"
  if not target then return nil end
  local owner, separator, name = target:match "^(.-)([.:])([%w_]+)$"
  return owner, name, separator == ":", arguments
end

local function add_class(found, block, line, path)
  local variable = line:match "^local%s+([%w_]+)%s*=" or line:match "^([%w_.]+)%s*="
  found.classes[#found.classes + 1] =
    { name = block.class, text = table.concat(block.lines, "\n"), fields = block.fields, path = path }
  if variable then found.names[variable] = block.class end
end

local function is_described(block)
  return #block.lines > 0 or #block.parameters > 0 or #block.returns > 0
end

local function add_function(found, block, line, path, number)
  local owner, name, is_method, arguments = function_of(line)
  if not owner or not is_described(block) then return end
  local alias = annotations.aliases[owner .. "." .. name]
  if alias then owner, name = alias:match "^(.-)%.([%w_]+)$" end
  found.functions[#found.functions + 1] = {
    owner = owner, name = name, is_method = is_method, arguments = arguments, path = path, line = number,
    text = table.concat(block.lines, "\n"), parameters = block.parameters, returns = block.returns,
    is_async = block.is_async or false,
  }
end

--- Read the annotations of a file.
---@param path string
---@return {functions: Documented[], classes: DocumentedClass[], names: table<string, string>}
function annotations.read(path)
  local found = { functions = {}, classes = {}, names = {} }
  local block, number = new_block(), 0
  for line in io.lines(path) do
    number = number + 1
    if line:match "^%s*%-%-%-" and not line:match "^%s*%-%-%-%-" then
      take_line(block, (line:gsub("^%s+", "")))
    else
      if block.class then add_class(found, block, line, path) end
      add_function(found, block, line, path, number)
      block = new_block()
    end
  end
  if block.class then add_class(found, block, "", path) end
  return found
end

return annotations
