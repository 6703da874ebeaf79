-- SPDX-License-Identifier: MIT
-- Iterators that wait: plain functions, coroutines, and `eddy.gen`, whose producer is closed when the
-- loop is left.
local eddy = require "eddy"

-- a function is an iterator, and may wait
local function countdown(n)
  return function()
    if n == 0 then return nil end
    eddy.sleep(0.005)
    n = n - 1
    return n + 1
  end
end
for n in countdown(3) do print("countdown", n) end

-- a coroutine, as ever; waits pass through
local function pages()
  for page = 1, 2 do
    eddy.sleep(0.005)
    for line = 1, 2 do coroutine.yield(page, line) end
  end
end
for page, line in coroutine.wrap(pages) do print("page", page, "line", line) end

-- `gen` closes its producer on `break`
local function rows(connection)
  return eddy.gen(function(emit)
    local _ <close> = eddy.defer(function() eddy.sleep(0.005) print("closed " .. connection) end)
    for n = 1, math.huge do
      eddy.sleep(0.001)
      emit(connection .. " row " .. n)
    end
  end)
end
for row in rows "main" do
  print(row)
  if row:match "2$" then break end
end
