-- SPDX-License-Identifier: MIT
-- net.connect with a table of TLS options made a context of OpenSSL for each connection: 60 KB each, files read
-- each time, and no session ever resumed.
local lu = ...
local eddy = require "eddy"
local net = require "eddy.net"
local certificates = require "spec.support.certificates"

local TestContexts = {}

--- A server that says "x" to everybody.
function TestContexts:setUp()
  self.listener = assert(net.listen { port = 0, tls = certificates.server "valid" })
  self.task = eddy.spawn(function()
    for stream in self.listener:incoming() do
      eddy.spawn(function()
        local guard <close> = stream
        if stream:write "x" then stream:read() end
      end)
    end
  end)
end

function TestContexts:tearDown()
  self.listener:close()
  self.task:cancel()
end

--- Was the session of an earlier connection with such options resumed?
local function resumes(self, options)
  local stream, err = net.connect { host = "127.0.0.1", port = self.listener.port, tls = options }
  if not stream then return nil, err end
  local guard <close> = stream
  lu.assertEquals(stream:read(1), "x")
  return stream:resumed()
end

local function options(more)
  local own = { ca = certificates.path "ca.pem" }
  for name, value in pairs(more or {}) do own[name] = value end
  return own
end

function TestContexts:test_sessions_are_resumed()
  lu.assertFalse(resumes(self, options { ciphers = "ECDHE+AESGCM" }))
  lu.assertTrue(resumes(self, options { ciphers = "ECDHE+AESGCM" }))
  lu.assertTrue(resumes(self, options { ciphers = "ECDHE+AESGCM", host = "127.0.0.1" }))
end

function TestContexts:test_by_other_options_they_are_not()
  resumes(self, options())
  for _, more in ipairs {
    { min_version = "1.3" }, { min_version = "1.2" }, { alpn = { "a" } }, { alpn = { "a", "b" } }, { ca = certificates.text "ca.pem" },
    { cert = certificates.path "client.pem", key = certificates.path "client.key" },
    { cert = certificates.path "valid.pem", key = certificates.path "valid.key" },
  } do
    lu.assertFalse(resumes(self, options(more)))
  end
end

--- Whom we trust now is what counts, not whom we trusted when the first connection was made.
function TestContexts:test_a_file_that_changes_is_read_again()
  local path = os.tmpname()
  local function write(name)
    local file <close> = assert(io.open(path, "wb"))
    file:write(certificates.text(name))
  end
  write "ca.pem"
  lu.assertFalse(resumes(self, { ca = path }))
  lu.assertTrue(resumes(self, { ca = path }))
  write "stranger.pem"
  local _, err = resumes(self, { ca = path })
  lu.assertEquals(err.code, "CERT_UNTRUSTED")
  os.remove(path)
  _, err = resumes(self, { ca = path })
  lu.assertEquals({ err.kind, err.code }, { "io", "ENOENT" })
end

function TestContexts:test_misuse_is_still_misuse()
  resumes(self, options())
  for _, more in ipairs { { alpn = {} }, { alpn = { 1 } }, { key = "x" }, { min_version = "1.1" }, { more = 1 } } do
    lu.assertFalse((pcall(resumes, self, options(more))))
  end
end

--- They are kept, but not without end.
function TestContexts:test_the_oldest_go()
  for i = 1, 40 do lu.assertFalse(resumes(self, options { alpn = { "p" .. i } })) end
  lu.assertFalse(resumes(self, options { alpn = { "p1" } }))
  lu.assertTrue(resumes(self, options { alpn = { "p1" } }))
end

return { TestContexts = TestContexts }
