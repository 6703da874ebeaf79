-- SPDX-License-Identifier: MIT
-- TLS over streams: which certificates are taken, what goes over the wire, how it ends, what is
-- agreed on, and what bad options say. The waits have their questions in tls_waits_spec.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local tls = require "eddy.tls"
local certificates = require "spec.support.certificates"
local pair = require "spec.io.pair"

local client, server = certificates.client, certificates.server

--- Connect to a server with these options; the server's end waits until `talk` is done with ours.
local function meet(server_options, client_options, talk)
  local listener <close> = assert(net.listen { port = 0, tls = server_options })
  local far = eddy.spawn(function()
    local stream <close> = assert(listener:accept())
    local ok, err = stream:handshake()
    if ok then
      ok, err = stream:read_line()
      if ok then stream:write("heard ", ok, "\n") end
    end
    return ok, err
  end)
  local stream, err = net.connect { host = "127.0.0.1", port = listener.port, tls = client_options }
  local results = { n = 0 }
  if stream then
    local _ <close> = stream
    if talk then results = table.pack(talk(stream, far)) else stream:write "hello\n" end
  end
  local heard, far_err = far:await()
  return stream, err, heard, far_err, table.unpack(results, 1, results.n)
end

-- ---- Certificates ------------------------------------------------------------------------------

local TestVerify = {}

local REFUSED = {
  { "expired", "good.test", "CERT_EXPIRED", "certificate expired on 2024-01-02" },
  { "early", "good.test", "CERT_NOT_YET_VALID", "certificate is not valid before 2099-01-01" },
  { "other", "good.test", "CERT_HOSTNAME", "host name mismatch: certificate is for other.test, www.other.test" },
  { "self", "good.test", "CERT_SELF_SIGNED", "self-signed" },
  { "untrusted", "good.test", "CERT_UNTRUSTED", "eddy test stranger" },
  { "missing", "good.test", "CERT_UNTRUSTED", "left out an intermediate" },
  { "address", "good.test", "CERT_HOSTNAME", "certificate is for 127.0.0.1, ::1" },
  { "valid", "127.0.0.2", "CERT_HOSTNAME", "certificate is for localhost" },
  { "valid", "a.b.wild.test", "CERT_HOSTNAME", "*.wild.test" },
  { "valid", "wild.test", "CERT_HOSTNAME", "*.wild.test" },
  { "top_wild", "good.test", "CERT_HOSTNAME", "*.test" },
  { "partial_wild", "gx.good.test", "CERT_HOSTNAME", "g*.good.test" },
  { "cn_only", "good.test", "CERT_HOSTNAME", "no alternative names" },
  { "wrong_use", "good.test", "CERT_INVALID", "purpose" },
  { "outside", "good.test", "CERT_INVALID", "subtree" },
  { "weak", "good.test", "CERT_INVALID", "too weak", { ciphers = "DEFAULT:@SECLEVEL=0" } },   -- SHA-1
}

function TestVerify:test_refused()
  for _, case in ipairs(REFUSED) do
    local name, host, code, text, more = table.unpack(case)
    local stream, err, heard, far_err = meet(server(name, more), client(host))
    lu.assertNil(stream, name)
    lu.assertEquals({ name, err.kind, err.code, err.op }, { name, "tls", code, "tls" })
    lu.assertStrContains(err.message, text)
    lu.assertStrMatches(err.target, "127%.0%.0%.1:%d+")
    lu.assertNil(heard)
    lu.assertEquals({ far_err.kind, far_err.code }, { "tls", "TLS_PROTOCOL" })   -- it was told so
    lu.assertStrContains(far_err.message, "alert")
  end
end

local ACCEPTED = {
  { "valid", "good.test" }, { "valid", "GOOD.test" }, { "valid", "good.test." }, { "valid", "a.wild.test" },
  { "valid", "127.0.0.1" }, { "valid" }, { "address" }, { "address", "::1" }, { "chained", "good.test" },
}

function TestVerify:test_accepted()
  for _, case in ipairs(ACCEPTED) do
    local stream, err, heard = meet(server(case[1]), client(case[2]))
    lu.assertNil(err)
    lu.assertEquals({ case[1], heard, stream:is_closed() }, { case[1], "hello", true })
  end
end

function TestVerify:test_ca_as_text_and_as_what_it_is()
  local text = certificates.text "ca.pem"
  lu.assertEquals(select(3, meet(server "valid", { ca = text, host = "good.test" })), "hello")
  -- Naming a certificate that is no root trusts it, too.
  lu.assertEquals(select(3, meet(server "missing", { ca = certificates.path "inter.pem", host = "good.test" })), "hello")
  lu.assertEquals(select(3, meet(server "self", { ca = certificates.path "self.pem", host = "good.test" })), "hello")
  local _, err = meet(server "valid", { ca = certificates.path "stranger.pem", host = "good.test" })
  lu.assertEquals(err.code, "CERT_UNTRUSTED")
end

function TestVerify:test_the_system_store_does_not_know_us()
  local _, err = meet(server "valid", true)
  lu.assertEquals({ err.kind, err.code }, { "tls", "CERT_UNTRUSTED" })
end

function TestVerify:test_cert_and_key_as_text()
  local options = { cert = certificates.text "valid.pem" .. certificates.text "valid.key" }
  lu.assertEquals(select(3, meet(options, client())), "hello")
end

local TestUnverified = {}

function TestUnverified:test_outside_is_reported_once()
  local seen = {}
  eddy.config { on_error = function(err) seen[#seen + 1] = err end }
  eddy.run(function()
    local listener <close> = assert(net.listen { port = 0, tls = server "expired" })
    for _ = 1, 2 do
      local far = eddy.spawn(function()
        local stream <close> = assert(listener:accept())
        return stream:handshake()
      end)
      local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port, tls = { verify = false } })
      lu.assertTrue(far:await())
      lu.assertEquals(stream:peer_certificate().not_after, "2024-01-02T00:00:00Z")
    end
    lu.assertEquals({ #seen, seen[1].kind, seen[1].code, seen[1].target },
      { 1, "tls", "UNVERIFIED", "127.0.0.1:" .. listener.port })
  end)
  eddy.config { on_error = false }
end

-- ---- What is agreed on -------------------------------------------------------------------------

local TestAgreement = {}

function TestAgreement:test_what_a_stream_tells()
  meet(server("valid", { alpn = { "h2", "http/1.1" } }), client(nil, { alpn = { "spdy", "http/1.1", "h2" } }), function(stream)
    lu.assertEquals(stream:alpn(), "h2")   -- the server's preference
    local version, cipher = stream:tls_version()
    lu.assertEquals({ version, type(cipher) }, { "TLSv1.3", "string" })
    lu.assertFalse(stream:resumed())
    local peer = stream:peer_certificate()
    lu.assertEquals({ peer.subject, peer.issuer, peer.not_after }, { "eddy test valid", "eddy test ca", "2090-01-01T00:00:00Z" })
    lu.assertEquals(peer.names, { "localhost", "good.test", "*.wild.test", "127.0.0.1" })
    lu.assertStrMatches(peer.sha256, ("%x"):rep(64))
    stream:write "x\n"
    stream:close()
    lu.assertNil(stream:tls_version() or stream:alpn() or stream:peer_certificate())
  end)
end

function TestAgreement:test_a_plain_stream_has_nothing_to_tell()
  local env <close> = pair.open()
  for _, name in ipairs { "tls_version", "alpn", "peer_certificate" } do lu.assertNil(env.near[name](env.near)) end
  lu.assertFalse(env.near:resumed())
  lu.assertTrue(env.near:handshake())
end

function TestAgreement:test_no_protocol_in_common()
  local _, err, _, far_err = meet(server("valid", { alpn = { "h2" } }), client(nil, { alpn = { "smtp" } }))
  lu.assertEquals({ err.kind, err.code, far_err.code }, { "tls", "TLS_PROTOCOL", "TLS_PROTOCOL" })
  lu.assertStrContains(err.message, "protocol")
end

function TestAgreement:test_versions()
  local old = { ciphers = "ECDHE+AESGCM" }
  meet(server("valid", { min_version = "1.3" }), client(nil, old), function(stream)
    lu.assertEquals((stream:tls_version()), "TLSv1.3")
    stream:write "x\n"
  end)
end

function TestAgreement:test_client_certificates()
  local demanding = server("valid", { ca = certificates.path "ca.pem" })
  local function with(name) return client(nil, server(name)) end   -- `cert` and `key`
  local stream, err, heard = meet(demanding, with "client")
  lu.assertEquals({ err, heard, stream ~= nil }, { nil, "hello", true })
  local _, _, none, none_err = meet(demanding, client())
  lu.assertEquals({ none, none_err.kind, none_err.code }, { nil, "tls", "CERT_INVALID" })
  lu.assertStrContains(none_err.message, "sent no certificate")
  local _, _, _, far_err = meet(demanding, with "untrusted")
  lu.assertEquals({ far_err.kind, far_err.code }, { "tls", "CERT_UNTRUSTED" })
  -- With TLS 1.3 the client learns of it when it reads.
  meet(demanding, client(), function(refused)
    local text, refused_err = refused:read()
    lu.assertEquals({ text, refused_err.kind, refused_err.code }, { nil, "tls", "TLS_PROTOCOL" })
    lu.assertStrContains(refused_err.message, "certificate required")
  end)
end

function TestAgreement:test_names_that_clients_ask_for()
  local options = server("valid", { hosts = { ["second.test"] = server "second", ["*.good.test"] = server "other" } })
  local listener <close> = assert(net.listen { port = 0, tls = options })
  local subjects = {}
  for _, host in ipairs { "second.test", "good.test", "x.good.test" } do
    local far = eddy.spawn(function()
      local stream <close> = assert(listener:accept())
      return stream:handshake()
    end)
    local stream, err = net.connect { host = "127.0.0.1", port = listener.port, tls = client(host) }
    subjects[#subjects + 1] = stream and stream:peer_certificate().subject or err.code
    if stream then stream:close() end
    far:join()
  end
  lu.assertEquals(subjects, { "eddy test second", "eddy test valid", "CERT_HOSTNAME" })
end

function TestAgreement:test_sessions_are_resumed()
  local listening = assert(tls.context(server("valid", { server = true })))
  local context = assert(tls.context(client()))
  local resumed = {}
  for i = 1, 3 do
    meet(listening, { context = context, host = i < 3 and "good.test" or "localhost" }, function(stream)
      stream:write "x\n"
      stream:read_line()   -- the tickets come with it
      resumed[i] = stream:resumed()
      lu.assertEquals(stream:peer_certificate().subject, "eddy test valid")
    end)
  end
  lu.assertEquals(resumed, { false, true, false })
end

-- ---- Bytes -------------------------------------------------------------------------------------

--- Two streams that speak TLS over a pair; `how` changes what is between them.
local function open_pair()
  local env = pair.open()
  local near = eddy.spawn(tls.wrap, env.near, server("valid", { server = true }))
  assert(tls.wrap(env.far, client "good.test"))
  assert(near:await())
  return env
end

local TestBytes = {}

function TestBytes:test_much_in_both_ways_at_once()
  local env <close> = open_pair()
  local big = pair.BIG
  local results = eddy.gather {
    function() return env.near:write(big) end,
    function() return env.far:write(big) end,
    function() return pair.drain(env.near, #big) == big end,
    function() return pair.drain(env.far, #big) == big end,
  }
  lu.assertEquals({ table.unpack(results, 1, 4) }, { true, true, true, true })
end

function TestBytes:test_all_ways_of_reading()
  local env <close> = open_pair()
  env.far:write("one\r\n", "two;", 3, "four", ("x"):rep(100000), "!")
  lu.assertEquals(env.near:read_line(), "one")
  lu.assertEquals(env.near:read_until ";", "two;")
  lu.assertEquals(env.near:read_exactly(5), "3four")
  lu.assertEquals(#env.near:read_until("!", 200000), 100001)
  lu.assertTrue(env.far:write "")
  env.far:write "rest"
  lu.assertTrue(env.far:shutdown())
  lu.assertEquals(env.near:read_all(), "rest")
  lu.assertEquals(table.pack(env.near:read()), { nil, n = 1 })
  lu.assertTrue(env.near:write "the other way is open")
  lu.assertEquals(env.far:read(), "the other way is open")
  lu.assertEquals(select(2, env.far:write "x").code, "EPIPE")
end

function TestBytes:test_cancelled_writes_stay_whole()
  local env <close> = open_pair()
  for i = 1, 3 do
    local task = eddy.spawn(env.far.write, env.far, pair.BIG, tostring(i))
    pair.settle()
    lu.assertEquals(task:status(), "waiting")
    task:cancel()
    task:join()
    local reader = eddy.spawn(pair.drain, env.near, #pair.BIG + 1)
    lu.assertTrue(reader:await() == pair.BIG .. i)
  end
end

function TestBytes:test_handshake_in_pieces_of_one_byte()
  local a <close> = pair.open()
  local b <close> = pair.open()
  eddy.group(function(group)
    group:spawn(pair.relay, a.near, b.near, 1)
    group:spawn(pair.relay, b.near, a.near, 1)
    local far = group:spawn(tls.wrap, b.far, server("chained", { server = true }))
    lu.assertTrue(assert(tls.wrap(a.far, client "good.test")) == a.far)
    assert(far:await())
    a.far:write "small"
    lu.assertEquals(b.far:read_exactly(5), "small")
    b.far:write "steps"
    lu.assertEquals(a.far:read_exactly(5), "steps")
    group:cancel()
  end)
end

function TestBytes:test_what_came_before_tls_began_belongs_to_it()
  local env <close> = pair.open()
  local far = eddy.spawn(tls.wrap, env.far, client "good.test")
  lu.assertTrue(env.near:is_idle())   -- it reads from now on
  repeat eddy.sleep(0.001) until not env.near:is_idle()
  assert(tls.wrap(env.near, server("valid", { server = true })))
  lu.assertTrue(far:await() == env.far)
end

-- ---- Ends --------------------------------------------------------------------------------------

local TestEnds = {}

function TestEnds:test_close_is_a_clean_end()
  local env <close> = open_pair()
  env.far:write "last"
  env.far:close()
  lu.assertEquals(env.near:read_all(), "last")
  lu.assertEquals(table.pack(env.near:read()), { nil, n = 1 })
end

--- A TLS connection through a relay that can be cut: what `cut` does to the relay's far end.
local function cut_pair(cut)
  local a, b = pair.open(), pair.open()
  local relays = { eddy.spawn(pair.relay, a.near, b.near, 65536), eddy.spawn(pair.relay, b.near, a.near, 65536) }
  local far = eddy.spawn(tls.wrap, b.far, server("valid", { server = true }))
  assert(tls.wrap(a.far, client "good.test"))
  assert(far:await())
  assert(a.far:write "partial")
  lu.assertEquals(b.far:read(2), "pa")
  for _, task in ipairs(relays) do task:cancel() end
  for _, task in ipairs(relays) do task:join() end
  cut(b.near)
  return setmetatable({ near = b.far }, { __close = function()
    for _, env in ipairs { a, b } do
      env.near:close()
      env.far:close()
    end
  end })
end

function TestEnds:test_cut_off_without_close_notify()
  local env <close> = cut_pair(function(stream) stream:shutdown() end)
  local text, err = env.near:read_all()
  lu.assertNil(text)
  lu.assertEquals({ err.kind, err.code, err.op, err.partial }, { "tls", "TLS_TRUNCATED", "read_all", "rtial" })
  lu.assertEquals(select(2, env.near:read()).code, "TLS_TRUNCATED")
  lu.assertEquals(select(2, env.near:write "x").kind, "tls")
end

function TestEnds:test_cut_off_inside_a_record()
  local env <close> = cut_pair(function(stream)
    stream:write "\x17\x03\x03\x01\x00half a record"
    stream:shutdown()
  end)
  lu.assertEquals(env.near:read_exactly(5), "rtial")
  lu.assertEquals(select(2, env.near:read()).code, "TLS_TRUNCATED")
end

function TestEnds:test_forged_record()
  local env <close> = cut_pair(function(stream) stream:write("\x17\x03\x03\x00\x20" .. ("x"):rep(32)) end)
  lu.assertEquals(env.near:read_exactly(5), "rtial")
  local text, err = env.near:read()
  lu.assertEquals({ text, err.kind, err.code }, { nil, "tls", "TLS_PROTOCOL" })
end

function TestEnds:test_peer_ends_in_the_handshake()
  local env <close> = pair.open()
  local task = eddy.spawn(tls.wrap, env.far, client "good.test")
  env.near:read()
  env.near:close()
  local stream, err = task:await()
  lu.assertNil(stream)
  lu.assertEquals({ err.kind, err.op, err.code }, { "io", "tls", "EOF" })
  lu.assertTrue(env.far:is_closed())
end

function TestEnds:test_server_without_tls()
  local env <close> = pair.open()
  local task = eddy.spawn(tls.wrap, env.far, client "good.test")
  env.near:write "220 hello, I speak SMTP\r\n"
  local _, err = task:await()
  lu.assertEquals({ err.kind, err.code }, { "tls", "TLS_PROTOCOL" })
  lu.assertStrContains(err.message, "does not speak TLS")
end

function TestEnds:test_client_without_tls()
  local listener <close> = assert(net.listen { port = 0, tls = server "valid" })
  local stream <close> = assert(net.connect("127.0.0.1:" .. listener.port))
  local near <close> = assert(listener:accept())
  stream:write "GET / HTTP/1.1\r\n\r\n"
  local text, err = near:read()
  lu.assertEquals({ text, err.kind, err.code }, { nil, "tls", "TLS_PROTOCOL" })
  lu.assertStrContains(err.message, "does not speak TLS")
end

function TestEnds:test_old_versions_are_refused()
  local env <close> = pair.open()
  local task = eddy.spawn(tls.wrap, env.near, server("valid", { server = true }))
  -- A hello of TLS 1.1: version 3.2, 32 bytes at random, no session, one cipher, no compression.
  local hello = "\x03\x02" .. ("r"):rep(32) .. "\0" .. "\0\x02\xc0\x13" .. "\x01\0"
  local message = "\x01" .. string.pack(">I3", #hello) .. hello
  env.far:write("\x16\x03\x01" .. string.pack(">s2", message))
  local _, err = task:await()
  lu.assertEquals({ err.kind, err.code }, { "tls", "TLS_VERSION" })
end

function TestEnds:test_a_slow_client_delays_nobody()
  local listener <close> = assert(net.listen { port = 0, tls = server "valid" })
  local silent <close> = assert(net.connect("127.0.0.1:" .. listener.port))
  local first <close> = assert(listener:accept())
  local far = eddy.spawn(function()
    local stream <close> = assert(listener:accept())
    return stream:read_line()
  end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port, tls = client() })
  stream:write "quick\n"
  lu.assertEquals(far:await(), "quick")
  lu.assertFalse(first:is_closed() or silent:is_closed())
end

function TestEnds:test_writing_first_shakes_hands()
  local listener <close> = assert(net.listen { port = 0, tls = server "valid" })
  local far = eddy.spawn(function()
    local stream <close> = assert(listener:accept())
    return stream:write "welcome\n", stream:shutdown()
  end)
  local stream <close> = assert(net.connect { host = "127.0.0.1", port = listener.port, tls = client() })
  lu.assertEquals(stream:read_all(), "welcome\n")
  lu.assertEquals({ far:await() }, { true, true })
end

-- ---- Misuse and bad files ----------------------------------------------------------------------

local TestMisuse = {}

local function raises(text, options, fn)
  local ok, err = pcall(fn or tls.context, options)
  lu.assertFalse(ok, text)
  lu.assertStrContains(err, text)
  lu.assertStrContains(err, "tls_spec.lua:")
end

function TestMisuse:test_options()
  raises("unknown option 'verfy'", { verfy = false })
  raises("option 'verify': boolean expected, got string", { verify = "no" })
  raises("option 'ca' contains a zero byte", { ca = "a\0b" })
  raises("option 'alpn' is empty", { alpn = {} })
  raises("option 'alpn': item 2 is no name", { alpn = { "h2", "" } })
  raises("option 'min_version'", { min_version = "1.1" })
  raises("option 'key' without 'cert'", { key = "x" })
  raises("a server needs options 'cert' and 'key'", { server = true })
  raises("option 'hosts' is for servers", { hosts = {} })
  raises("a server verifies its clients by option 'ca'", { server = true, cert = "x", verify = true })
  raises("options: table expected, got number", 5)
  raises("no 'host'", { host = "x" })
end

function TestMisuse:test_targets()
  local function connect(target) return net.connect(target) end
  raises("option 'host' is needed", { path = "/x", tls = true }, connect)
  raises("unknown option 'sni'", { host = "x", port = 1, tls = { sni = "y" } }, connect)
  raises("not a host name", { host = "x", port = 1, tls = { host = "a b" } }, connect)
  raises("not a host name", { host = "x", port = 1, tls = { host = ("a"):rep(254) } }, connect)
  raises("is no TLS context", { host = "x", port = 1, tls = { context = io.stdout } }, connect)
  raises("belongs into the context", { host = "x", port = 1, tls = { context = tls.context {}, verify = false } }, connect)
  raises("a server's context cannot connect",
    { host = "x", port = 1, tls = tls.context(server("valid", { server = true })) }, connect)
  raises("a server needs options 'cert'", { port = 0, tls = true }, net.listen)
  raises("server=true", { port = 0, tls = tls.context {} }, net.listen)
end

local function refused(kind, code, text, options)
  local context, err = tls.context(options)
  lu.assertNil(context)
  lu.assertEquals({ err.kind, err.code, err.op }, { kind, code, "tls" })
  lu.assertStrContains(tostring(err), text)
end

function TestMisuse:test_files()
  local path = certificates.path
  refused("io", "ENOENT", "/nowhere.pem", { ca = "/nowhere.pem" })
  refused("io", "ENOENT", "/nowhere.pem", { server = true, cert = "/nowhere.pem" })
  refused("io", "ENOENT", "/nowhere.key", { cert = path "valid.pem", key = "/nowhere.key" })
  refused("tls", "CERT_INVALID", "'ca' holds no certificate", { ca = path "valid.key" })
  refused("tls", "CERT_INVALID", "'cert' holds no usable certificate", { cert = path "broken.pem" })
  refused("tls", "CERT_INVALID", "'key' holds no usable private key", { cert = path "valid.pem" })
  refused("tls", "CERT_INVALID", "with a pass phrase?", { cert = path "valid.pem", key = path "locked.key" })
  refused("tls", "CERT_INVALID", "not that of the certificate", { cert = path "valid.pem", key = path "other.key" })
  refused("tls", "CERT_INVALID", "'ciphers' names none", { ciphers = "NOTHING" })
  local listener, err = net.listen { port = 0, tls = { cert = "/nowhere.pem" } }
  lu.assertEquals({ listener, err.code }, { nil, "ENOENT" })
end

function TestMisuse:test_wrapping()
  local env <close> = open_pair()
  raises("speaks TLS already", client "x", function(options) return tls.wrap(env.near, options) end)
  lu.assertFalse(env.near:is_closed())
  local other <close> = pair.open()
  local reader = eddy.spawn(other.near.read, other.near)
  pair.settle()
  local _, err = tls.wrap(other.near, client "x")
  lu.assertEquals({ err.code, other.near:is_closed() }, { "EBUSY", true })
  reader:join()
  other.far:close()
  local closed, closed_err = tls.wrap(other.far, client "x")
  lu.assertEquals({ closed, closed_err.kind }, { nil, "closed" })
end

return {
  TestVerify = TestVerify, TestUnverified = TestUnverified, TestAgreement = TestAgreement, TestBytes = TestBytes,
  TestEnds = TestEnds, TestMisuse = TestMisuse,
}
