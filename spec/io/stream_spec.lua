-- SPDX-License-Identifier: MIT
-- What streams do with bytes: reading in all ways, writing, ends and failures, back-pressure.
local lu = ...
local eddy = require "eddy"
local pair = require "spec.io.pair"
local process = require "spec.support.process"

local BIG = pair.BIG

-- ---- Reading -----------------------------------------------------------------------------------

local TestRead = {}

function TestRead:test_takes_what_is_there()
  local env <close> = pair.open()
  env.far:write("ab", 1, 2.5, "c")
  lu.assertEquals(env.near:read(), "ab12.5c")
  env.far:write "12345"
  lu.assertEquals(env.near:read(2), "12")
  lu.assertEquals(env.near:read(100), "345")
end

function TestRead:test_end()
  local env <close> = pair.open()
  env.far:write "last"
  env.far:shutdown()
  lu.assertEquals(env.near:read(), "last")
  lu.assertEquals(table.pack(env.near:read()), { nil, n = 1 })
  lu.assertEquals(table.pack(env.near:read()), { nil, n = 1 })
  lu.assertTrue(env.near:write "the other way is open")
  lu.assertEquals(env.far:read(), "the other way is open")
end

function TestRead:test_exactly()
  local env <close> = pair.open()
  eddy.spawn(function()
    for i = 1, 6 do
      env.far:write(i)
      eddy.sleep(0.001)
    end
    env.far:shutdown()
  end)
  lu.assertEquals(env.near:read_exactly(4), "1234")
  lu.assertEquals(env.near:read_exactly(0), "")
  local bytes, err = env.near:read_exactly(3)
  lu.assertNil(bytes)
  lu.assertEquals({ err.kind, err.code, err.op, err.partial }, { "io", "EOF", "read_exactly", "56" })
  lu.assertStrContains(tostring(err), "EOF")
end

function TestRead:test_until()
  local env <close> = pair.open()
  eddy.spawn(function()
    for char in ("one--two-three---four"):gmatch "." do
      env.far:write(char)
      eddy.sleep(0)
    end
    env.far:shutdown()
  end)
  lu.assertEquals(env.near:read_until "--", "one--")
  lu.assertEquals(env.near:read_until "--", "two-three--")
  local rest, err = env.near:read_until "--"
  lu.assertNil(rest)
  lu.assertEquals({ err.code, err.op, err.partial }, { "EOF", "read_until", "-four" })
  lu.assertEquals(table.pack(env.near:read_until "--"), { nil, n = 1 })
end

function TestRead:test_until_has_a_limit()
  local env <close> = pair.open()
  env.far:write(("x"):rep(10), ";y")
  local chunk, err = env.near:read_until(";", 10)
  lu.assertNil(chunk)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EMSGSIZE", "read_until" })
  lu.assertEquals(env.near:read_until(";", 11), ("x"):rep(10) .. ";")   -- nothing was taken
  lu.assertEquals(env.near:read(), "y")
  env.far:write(("z"):rep(65537), ";")
  lu.assertEquals(select(2, env.near:read_until ";").code, "EMSGSIZE")
  lu.assertEquals(#env.near:read_until(";", 100000), 65538)
end

function TestRead:test_until_above_the_high_water_mark()
  local env <close> = pair.open()
  local writer = eddy.spawn(env.far.write, env.far, ("x"):rep(300000), "!")
  lu.assertEquals(#env.near:read_until("!", 400000), 300001)
  lu.assertTrue(writer:await())
end

function TestRead:test_lines()
  local env <close> = pair.open()
  env.far:write "one\r\ntwo\n\nfo\rur\r\r\n\r\nlast"
  env.far:shutdown()
  local lines = {}
  for line in env.near:lines() do lines[#lines + 1] = line end
  lu.assertEquals(lines, { "one", "two", "", "fo\rur\r", "", "last" })
end

function TestRead:test_long_line()
  local env <close> = pair.open()
  local writer = eddy.spawn(env.far.write, env.far, ("x"):rep(1048575), "\n", ("y"):rep(1048576), "\n")
  local lines = env.near:lines()
  lu.assertEquals(#lines(), 1048575)
  local ok, err = eddy.pcall(lines)
  lu.assertFalse(ok)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EMSGSIZE", "lines" })
  writer:cancel()
end

function TestRead:test_all()
  local env <close> = pair.open()
  eddy.spawn(function()
    env.far:write(BIG)
    env.far:shutdown()
  end)
  lu.assertTrue(env.near:read_all() == BIG)
  lu.assertEquals(env.near:read_all(), "")
end

function TestRead:test_all_has_a_limit()
  local env <close> = pair.open()
  env.far:write "12345"
  lu.assertEquals(select(2, env.near:read_all(4)).code, "EMSGSIZE")
  env.far:shutdown()
  lu.assertEquals(env.near:read_all(5), "12345")
end

function TestRead:test_reset()
  local env <close> = pair.open()
  pair.reset(env)
  local bytes, err = env.near:read()
  lu.assertNil(bytes)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "ECONNRESET", "read" })
  lu.assertStrContains(err.target, "127.0.0.1:")
  for _, name in ipairs { "read_line", "read_all" } do
    lu.assertEquals(select(2, env.near[name](env.near)).code, "ECONNRESET")
  end
  lu.assertEquals(select(2, env.near:read_until "x").code, "ECONNRESET")
  lu.assertError(function() for _ in env.near:lines() do end end)   -- luacheck: ignore 542
end

-- The task that was woken gets the bytes, also when another one runs first.
function TestRead:test_woken_reader_keeps_its_bytes()
  local env <close> = pair.open()
  local got, other
  eddy.spawn(function() got = env.near:read() end)
  local thief = eddy.spawn(function()
    repeat
      other = table.pack(env.near:read())
      if not other[1] then eddy.sleep(0) end
    until other[1] or got
  end)
  pair.settle()
  env.far:write "for the first"
  eddy.sleep(0.01)
  lu.assertEquals(got, "for the first")
  lu.assertEquals(other[2] and other[2].code, "EBUSY")
  thief:cancel()
end

function TestRead:test_misuse()
  local env <close> = pair.open()
  local near = env.near
  lu.assertErrorMsgContains("must be above 0", near.read, near, 0)
  lu.assertErrorMsgContains("must not be negative", near.read_exactly, near, -1)
  lu.assertErrorMsgContains("integer", near.read_exactly, near, 1.5)
  lu.assertErrorMsgContains("not empty", near.read_until, near, "")
  lu.assertErrorMsgContains("not empty", near.read_until, near, 1)
  lu.assertErrorMsgContains("string expected", near.write, near, "a", {})
  lu.assertErrorMsgContains("eddy.Stream expected", near.read, io.stdout)
  lu.assertErrorMsgContains("eddy.Stream expected", near.close, nil)
  lu.assertErrorMsgContains("cannot await inside", table.sort, { 1, 2 }, function() near:write "x" end)
  env.far:write "nothing was sent above\n"
  lu.assertEquals(near:read_line(), "nothing was sent above")
end

-- ---- Writing -----------------------------------------------------------------------------------

local TestWrite = {}

function TestWrite:test_nothing()
  local env <close> = pair.open()
  lu.assertTrue(env.near:write())
  lu.assertTrue(env.near:write "")
  lu.assertTrue(env.near:write("", "x", ""))
  lu.assertEquals(env.far:read(), "x")
end

function TestWrite:test_small_writes_do_not_suspend()
  local env <close> = pair.open()
  local others = 0
  local task = eddy.spawn(function()
    while true do
      others = others + 1
      eddy.sleep(0)
    end
  end)
  eddy.sleep(0)
  local before = others
  for _ = 1, 20 do env.near:write "x" end
  lu.assertEquals(others, before)
  for _ = 1, 1000 do env.near:write "x" end
  lu.assertTrue(others > before)   -- but they do not starve the others either
  task:cancel()
end

for _, kind in ipairs { "tcp", "unix" } do
  TestWrite["test_big_both_ways_at_once_" .. kind] = function()
    local env <close> = pair.open(kind == "unix")
    local function send(stream)
      assert(stream:write(BIG))
      return assert(stream:shutdown())
    end
    local far, near = eddy.gather(
      function() return env.near:read_all() end, function() return env.far:read_all() end,
      function() return send(env.near) end, function() return send(env.far) end)
    lu.assertTrue(far == BIG)
    lu.assertTrue(near == BIG)
  end
end

function TestWrite:test_waits_until_the_peer_reads()
  local env <close> = pair.open()
  local done = false
  eddy.spawn(function()
    env.near:write(BIG)
    done = true
  end)
  eddy.sleep(0.05)
  lu.assertFalse(done)
  lu.assertTrue(pair.drain(env.far, #BIG) == BIG)
  pair.settle()
  lu.assertTrue(done)
end

-- Back-pressure on the reading side: what nobody takes stays with the system.
function TestWrite:test_a_slow_reader_buffers_little()
  local env <close> = pair.open()
  local writer = eddy.spawn(env.far.write, env.far, BIG)
  env.near:read(1)
  local before = eddy.stats().bytes
  eddy.sleep(0.05)
  lu.assertEquals(writer:status(), "waiting")
  lu.assertTrue(eddy.stats().bytes - before < 300000)
  lu.assertEquals(#pair.drain(env.near, #BIG - 1), #BIG - 1)
  lu.assertTrue(writer:await())
end

function TestWrite:test_order_after_a_cancelled_write()
  local env <close> = pair.open()
  lu.assertFalse(eddy.within(0.01, env.near.write, env.near, BIG))
  local last = eddy.spawn(env.near.write, env.near, "last")
  eddy.sleep(0)
  lu.assertEquals(select(2, env.near:write "x").code, "EBUSY")
  lu.assertTrue(pair.drain(env.far, #BIG + 4) == BIG .. "last")
  lu.assertTrue(last:await())
end

function TestWrite:test_after_shutdown()
  local env <close> = pair.open()
  lu.assertTrue(env.near:shutdown())
  lu.assertTrue(env.near:shutdown())
  local ok, err = env.near:write "x"
  lu.assertNil(ok)
  lu.assertEquals({ err.kind, err.code, err.op }, { "io", "EPIPE", "write" })
  env.far:write "still read"
  lu.assertEquals(env.near:read(), "still read")
end

function TestWrite:test_to_a_peer_that_is_gone()
  local env <close> = pair.open()
  pair.reset(env)
  local ok, err
  for _ = 1, 10 do
    ok, err = env.near:write "x"
    if not ok then break end
    eddy.sleep(0.001)
  end
  lu.assertNil(ok)
  lu.assertEquals(err.kind, "io")
  lu.assertTrue(err.code == "EPIPE" or err.code == "ECONNRESET", err.code)
end

-- A host that left SIGPIPE as it is does not die, whichever way the bytes go.
function TestWrite:test_outside_no_sigpipe()
  for _, kind in ipairs { "false", "true" } do
    for _, size in ipairs { 1, 1 << 24 } do
      local result = process.eddy { "-e", ([[
        local eddy, pair = require "eddy", require "spec.io.pair"
        local env <close> = pair.open(%s)
        local writer = eddy.spawn(env.near.write, env.near, ("x"):rep(%d))
        eddy.sleep(0.01)
        env.far:close()
        eddy.sleep(0.01)
        for _ = 1, 5 do
          env.near:write "y"
          eddy.sleep(0)
        end
        writer:join()
        print(select(2, env.near:write "z").kind)
      ]]):format(kind, size) }
      lu.assertEquals({ result.signal, result.stdout, result.stderr }, { nil, "io\n", "" })
    end
  end
end

-- ---- Life --------------------------------------------------------------------------------------

local TestLife = {}

function TestLife:test_close()
  local env <close> = pair.open()
  env.far:write "never read"
  pair.settle()
  env.near:close()
  env.near:close()
  lu.assertTrue(env.near:is_closed())
  lu.assertFalse(env.near:is_idle())
  lu.assertStrContains(tostring(env.near), "(closed)")
  for _, name in ipairs { "read", "read_line", "read_all", "write", "shutdown", "peername", "sockname" } do
    local result, err = env.near[name](env.near)
    lu.assertNil(result)
    lu.assertEquals({ err.kind, err.code, err.op }, { "closed", "ECLOSED", name == "read_line" and "lines" or name })
  end
end

function TestLife:test_close_variable()
  local env <close> = pair.open()
  local near = env.near
  do
    local guard <close> = near
    lu.assertFalse(near:is_closed())
  end
  lu.assertTrue(near:is_closed())
  lu.assertNil((env.far:read()))
end

function TestLife:test_collected()
  local env <close> = pair.open()
  env.near = { close = function() end }
  collectgarbage()
  collectgarbage()
  lu.assertNil((env.far:read()))
end

-- One that is left to the collector while others still read from it is not collected.
function TestLife:test_held_by_its_reader()
  local env <close> = pair.open()
  local task
  do
    local near = env.near
    env.near = { close = function() end }
    task = eddy.spawn(function()
      local stream <close> = near
      return stream:read()
    end)
  end
  pair.settle()
  collectgarbage()
  collectgarbage()
  env.far:write "x"
  lu.assertEquals(task:await(), "x")
end

function TestLife:test_is_idle()
  local env <close> = pair.open()
  lu.assertTrue(env.near:is_idle())
  env.far:write "x"
  pair.settle()
  eddy.sleep(0.005)
  lu.assertFalse(env.near:is_idle())
  env.near:read()
  lu.assertTrue(env.near:is_idle())
  local reader = eddy.spawn(env.near.read, env.near)
  pair.settle()
  lu.assertFalse(env.near:is_idle())
  reader:cancel()
  reader:join()
  lu.assertTrue(env.near:is_idle())
  env.far:close()
  eddy.sleep(0.01)
  lu.assertFalse(env.near:is_idle())   -- the end was seen although nobody reads
end

-- Also after so much had come that reading stopped.
function TestLife:test_end_is_seen_after_a_stop()
  local env <close> = pair.open()
  local writer = eddy.spawn(env.far.write, env.far, ("x"):rep(1000000))
  env.near:read(1)
  eddy.sleep(0.02)
  lu.assertEquals(#pair.drain(env.near, 999999), 999999)
  writer:await()
  env.far:close()
  eddy.sleep(0.01)
  lu.assertFalse(env.near:is_idle())
end

function TestLife:test_names()
  local env <close> = pair.open()
  local host, port = env.near:peername()
  lu.assertEquals({ host, port }, { env.far:sockname() })
  lu.assertEquals({ env.near:sockname() }, { env.far:peername() })
  lu.assertEquals(host, "127.0.0.1")
  lu.assertStrContains(tostring(env.near), "127.0.0.1:" .. port)
  local unix <close> = pair.open(true)
  lu.assertEquals(unix.far:peername(), unix.near:sockname())
  lu.assertEquals(unix.near:peername(), "")
end

function TestLife:test_many_at_once()
  local count = 0
  eddy.group(function(group)
    for i = 1, 100 do
      group:spawn(function()
        local env <close> = pair.open(i % 2 == 0)
        env.far:write(i, "\n")
        local n = tonumber(env.near:read_line())
        count = count + n
      end)
    end
  end)
  lu.assertEquals(count, 5050)
end

-- Finalizers of a state that closes find streams that still answer.
function TestLife:test_outside_used_in_finalizers()
  local result = process.eddy { "-e", [[
    local eddy, pair = require "eddy", require "spec.io.pair"
    local env = pair.open()
    for _, stream in ipairs { env.near, env.far } do
      setmetatable({}, { __gc = function()
        for _, name in ipairs { "is_closed", "is_idle", "peername", "read", "write" } do pcall(stream[name], stream) end
        pcall(tostring, stream)
        stream:close()
      end })
    end
    KEEP = env   -- luacheck: ignore
  ]] }
  lu.assertEquals({ result.code, result.stderr }, { 0, "" })
end

return { TestRead = TestRead, TestWrite = TestWrite, TestLife = TestLife }
