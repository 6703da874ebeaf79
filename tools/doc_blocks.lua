-- SPDX-License-Identifier: MIT
-- Run the Lua blocks of the documentation.   lua tools/doc_blocks.lua FOLDER FILE.md...
--
-- Each fenced block marked `lua` runs in a process of its own, from a file written to FOLDER whose
-- line numbers are those of the page. `lua norun` only compiles. A following block marked
-- `text output`, or a `text` block under a line that says "output", is what it must print
-- (`...` stands for anything, see spec/support/expect.lua).
package.path = "./?.lua;" .. package.path
local process = require "spec.support.process"
local expect = require "spec.support.expect"

local FOLDER = assert(arg[1], "usage: doc_blocks.lua FOLDER FILE.md...")
local TIMEOUT = 30

local function lines_of(path)
  local list = {}
  for line in assert(io.lines(path)) do list[#list + 1] = line end
  return list
end

---@class Block
---@field info string      the words after the fence
---@field first integer    line after the opening fence
---@field last integer     line of the closing fence
---@field lines string[]

local function blocks_of(lines)
  local blocks, open = {}, nil
  for number, line in ipairs(lines) do
    local indent, fence, info = line:match("^(%s*)(```+)%s*(.-)%s*$")
    if open and fence and #fence >= #open.fence and info == "" then
      open.last = number
      open = nil
    elseif open then
      open.lines[#open.lines + 1] = (line:gsub("^" .. open.indent, "", 1))
    elseif fence then
      open = { indent = indent, fence = fence, info = info:lower(), first = number + 1, last = #lines, lines = {} }
      blocks[#blocks + 1] = open
    end
  end
  return blocks
end

--- What `block` must print: the text of the next block, if that is captioned as output.
local function output_of(lines, block, following)
  if not following or not following.info:match("^text%f[^%w]") then return nil end
  local captioned = following.info:match("%f[%w]output%f[^%w]") ~= nil
  for number = block.last + 1, following.first - 2 do
    if lines[number]:lower():match("%f[%w]outputs?%f[^%w]") or lines[number]:lower():match("%f[%w]prints%f[^%w]") then
      captioned = true
    elseif lines[number]:match("%S") then
      return nil   -- other prose between them
    end
  end
  return captioned and table.concat(following.lines, "\n") or nil
end

local function run_block(path, block, wanted)
  local name = ("%s:%d"):format(path, block.first)
  local source = ("\n"):rep(block.first - 1) .. table.concat(block.lines, "\n") .. "\n"
  local ok, problem = load(source, "@" .. path, "t")
  if not ok then return false, problem end
  if block.info:match("%f[%w]norun%f[^%w]") then return true end
  local file_name = ("%s/%s.%d.lua"):format(FOLDER, path:gsub("/", "_"), block.first)
  local file <close> = assert(io.open(file_name, "w"))
  file:write(source):flush()
  local result = process.eddy({ file_name }, { timeout = TIMEOUT })
  if not result.ok then
    return false, ("%s: exit status %d%s\n%s%s"):format(name, result.code, result.timed_out and " (time over)" or "",
      result.stdout, result.stderr)
  end
  if not wanted then return true end
  local same, difference = expect.output(wanted, result.stdout)
  return same, difference
end

local passed, failed = 0, 0
os.execute("mkdir -p " .. process.quote(FOLDER))
for i = 2, #arg do
  local lines = lines_of(arg[i])
  local blocks = blocks_of(lines)
  for k, block in ipairs(blocks) do
    if block.info:match("^lua%f[^%w]") then
      local ok, problem = run_block(arg[i], block, output_of(lines, block, blocks[k + 1]))
      if ok then
        passed = passed + 1
      else
        failed = failed + 1
        print(("%s:%d: this block fails:\n%s"):format(arg[i], block.first, problem))
      end
    end
  end
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
