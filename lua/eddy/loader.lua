-- SPDX-License-Identifier: MIT
--
-- eddy.require: `require` for modules that await while they load. Owns the table of what is being
-- loaded now. Uses package.loaded and package.searchers as `require` does, so that the two agree on what
-- is loaded; but the loader is called from Lua, where it can wait. Promises: of several tasks that ask
-- for a module one loads it, the others wait; when it fails they all get that error and the next call
-- tries again; when it is cancelled or killed one of those who wait takes over.

local core = require "eddy.core"
local misuse = require "eddy.misuse"

local loader = {}

---@class eddy.loading     a module on its way; closed when its loader is left
---@field name string
---@field task eddy.Task   who loads it
---@field outer? eddy.loading  what the same task was loading when it came to this one
---@field future eddy.Future  true and the loader data, or what the loader failed with
local Loading = { __name = "eddy.Loading" }

local loading = {}                                       -- name -> Loading
local innermost = setmetatable({}, { __mode = "k" })     -- Task -> Loading
local waits_for = setmetatable({}, { __mode = "k" })     -- Task -> Loading

--- `err` is what leaves the loader: a cancellation, or nil in a task that is killed, says nothing about
--- the module; those who wait look again.
function Loading:__close(err)
  loading[self.name] = nil
  innermost[self.task] = self.outer
  if self.future:is_set() then return end
  if err == nil or core.cancels(err) then self.future:set(false) else self.future:fail(err) end
end

--- What the running task loads inside `entry`, which it loads too, the innermost last.
local function add_inner(names, entry)
  local at, place = innermost[entry.task], #names + 1
  while at and at ~= entry do
    table.insert(names, place, at.name)
    at = at.outer
  end
end

--- "a -> b -> a" if waiting for `entry` would wait for the running task itself.
local function circle(entry)
  local names, at, task = { entry.name }, entry, core.current()
  while at and at.task ~= task do
    at = waits_for[at.task]
    names[#names + 1] = at and at.name
  end
  if not at then return nil end
  add_inner(names, at)
  return table.concat(names, " -> ") .. " -> " .. entry.name
end

--- True and the loader data if it was loaded; false if nobody loads it any more.
local function wait_for(entry)
  local names = circle(entry)
  if names then error("circular require: " .. names, 3) end
  local task = core.current()
  waits_for[task] = entry
  local _ <close> = setmetatable({}, { __close = function() waits_for[task] = nil end })
  return entry.future:await()
end

--- A searcher's error as `require` raises it: pcall between us and the searcher keeps our position out of it.
local function search(searcher, name)
  local ok, found, data = pcall(searcher, name)
  if not ok then error(found, 0) end
  return found, data
end

local function find(name)
  local searchers, tried = package.searchers, {}
  if type(searchers) ~= "table" then error("'package.searchers' must be a table", 3) end
  for _, searcher in ipairs(searchers) do
    local found, data = search(searcher, name)
    if type(found) == "function" then return found, data end
    if type(found) == "string" then tried[#tried + 1] = found:gsub("^\n\t", "") end
  end
  error(("module '%s' not found:\n\t%s"):format(name, table.concat(tried, "\n\t")), 3)
end

local function load_module(name)
  local task = core.current()
  local entry <close> = setmetatable(
    { name = name, task = task, outer = innermost[task], future = core.future() }, Loading)
  loading[name], innermost[task] = entry, entry
  local load, data = find(name)
  local value = load(name, data)
  if value ~= nil then package.loaded[name] = value end
  if package.loaded[name] == nil then package.loaded[name] = true end
  entry.future:set(true, data)
  return package.loaded[name], data
end

--- Load a module as `require` does; its main chunk may await. Several tasks that ask for one module at a
--- time load it once; a failing loader raises in all of them, and a later call tries again. Modules that
--- require each other in a circle raise. Cancelling a task that waits leaves the loading alone; when the
--- loading task is cancelled, one that waits takes over.
---@async
---@param name string
---@return any module
---@return any data     what the searcher passed to the loader (a file name, mostly); only from a call
---  that found the module not yet loaded, as with `require`
function loader.require(name)
  misuse.check_string("require", 1, name)
  misuse.check_awaitable()
  core.checkpoint()
  while not package.loaded[name] do
    local entry = loading[name]
    if not entry then return load_module(name) end
    local is_loaded, data = wait_for(entry)
    if is_loaded then return package.loaded[name], data end
  end
  return package.loaded[name]
end

return loader
