-- SPDX-License-Identifier: MIT
-- Just enough reading of C for the lints: text without comments, strings and directives, and where
-- each function begins and ends. It trusts that braces balance, which the compiler has checked.

local csource = {}

local function blank(text)
  return (text:gsub("[^\n]", " "))
end

--- Blank out comments, string and character literals, keeping every position and line break.
---@param text string
---@return string
function csource.strip(text)
  local out, at = {}, 1
  while true do
    local from = text:find("[/\"']", at)
    if not from then break end
    local to
    local two = text:sub(from, from + 1)
    if two == "/*" then
      to = select(2, text:find("*/", from + 2, true)) or #text
    elseif two == "//" then
      to = (text:find("\n", from, true) or #text + 1) - 1
    elseif text:sub(from, from) == "/" then
      to = nil
    else
      local quote = text:sub(from, from)
      to = from
      repeat to = text:find("[\\" .. quote .. "\n]", to + 1) or #text
        local escaped = text:sub(to, to) == "\\"
        if escaped then to = to + 1 end
      until not escaped
    end
    out[#out + 1] = text:sub(at, from - 1)
    out[#out + 1] = to and blank(text:sub(from, to)) or "/"
    at = (to or from) + 1
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

--- Blank out preprocessor directives with their continuation lines, in stripped text.
local function strip_directives(text)
  local out, continued = {}, false
  for line in (text .. "\n"):gmatch("(.-)\n") do
    local is_directive = continued or line:match("^%s*#")
    continued = is_directive and line:match("\\%s*$") ~= nil
    out[#out + 1] = is_directive and "" or line
  end
  return table.concat(out, "\n")
end

local function line_counter(text)
  local at, line = 1, 1
  return function(position)                     -- positions must not decrease
    for _ in text:sub(at, position - 1):gmatch("\n") do line = line + 1 end
    at = position
    return line
  end
end

---@class csource.Function
---@field name string
---@field first integer   line of its name
---@field last integer    line of its closing brace
---@field body string     stripped text between the braces
---@field body_line integer

--- The functions that a file defines, in order.
---@param text string   as read from the file
---@return csource.Function[]
function csource.functions(text)
  local code = strip_directives(csource.strip(text))
  local line_of = line_counter(code)
  local found, at = {}, 1
  while true do
    local open = code:find("{", at, true)
    if not open then return found end
    local _, close = code:find("%b{}", open)
    if not close then return found end
    local head = code:sub(at, open - 1)
    local name_at, name = head:match("()([%a_][%w_]*)%s*%b()%s*$")
    if name then
      local first = line_of(at + name_at - 1)
      local body_line = line_of(open)
      found[#found + 1] = { name = name, first = first, body_line = body_line, last = line_of(close),
        body = code:sub(open + 1, close - 1) }
    end
    at = close + 1
  end
end

--- The whole text of a file.
---@param path string
---@return string
function csource.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return (file:read("a"))
end

return csource
