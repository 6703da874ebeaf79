-- SPDX-License-Identifier: MIT
-- Certificates for the specs, made by the `openssl` program once per run in a folder that goes away
-- with the process. `certificates.path(name)` is a file below it; which there are: see LEAVES.
local process = require "spec.support.process"

local certificates = {}

local folder

local CONFIG = [[
[req]
distinguished_name = dn
prompt = no
[dn]
CN = placeholder
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[narrow]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
nameConstraints = critical, permitted;DNS:inside.test
]]

-- name -> subject, issuer, days of validity, extensions. "inter" is signed by "ca".
local LEAVES = {
  valid = { san = "DNS:localhost,DNS:good.test,DNS:*.wild.test,IP:127.0.0.1" },
  chained = { issuer = "inter", san = "DNS:good.test" },
  expired = { san = "DNS:good.test", from = "20230101000000Z", to = "20240102000000Z" },
  early = { san = "DNS:good.test", from = "20990101000000Z", to = "21000101000000Z" },
  other = { san = "DNS:other.test,DNS:www.other.test" },
  untrusted = { issuer = "stranger", san = "DNS:good.test" },
  address = { san = "IP:127.0.0.1,IP:::1" },
  top_wild = { san = "DNS:*.test" },
  partial_wild = { san = "DNS:g*.good.test" },
  cn_only = { subject = "good.test" },
  wrong_use = { san = "DNS:good.test", use = "clientAuth" },
  outside = { issuer = "narrow", san = "DNS:good.test" },
  client = { san = "DNS:client.test", use = "clientAuth" },
  weak = { san = "DNS:good.test", digest = "sha1" },
  second = { san = "DNS:second.test" },
}

local function run(format, ...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = process.quote(word) end
  local result = process.run(format:format(table.unpack(words)), { cwd = folder })
  if not result.ok then error("openssl failed: " .. format .. "\n" .. result.stderr) end
end

local function write(name, text)
  local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
  assert(file:write(text))
end

local function read(name)
  local file <close> = assert(io.open(folder .. "/" .. name, "rb"))
  return file:read "a"
end

local function new_key(name)
  run("openssl ecparam -name prime256v1 -genkey -noout -out %s", name .. ".key")
end

local function new_root(name)
  new_key(name)
  run("openssl req -x509 -new -sha256 -days 3650 -config c.cnf -extensions root -subj %s -key %s -out %s",
    "/CN=eddy test " .. name, name .. ".key", name .. ".pem")
end

-- `openssl ca` is the one command that takes dates; it wants a small database.
local CA = [[
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = any
rand_serial = yes
unique_subject = no
copy_extensions = none
email_in_dn = no
[any]
commonName = supplied
]]

local function sign(name, leaf, section)
  local issuer = leaf.issuer or "ca"
  new_key(name)
  run("openssl req -new -sha256 -config c.cnf -subj %s -key %s -out %s", "/CN=" .. (leaf.subject or "eddy test " .. name),
    name .. ".key", name .. ".csr")
  run("openssl ca -batch -notext -config ca.cnf -extfile %s -extensions %s -cert %s -keyfile %s "
    .. "-md %s -startdate %s -enddate %s -in %s -out %s",
    section and "c.cnf" or name .. ".ext", section or "leaf", issuer .. ".pem", issuer .. ".key",
    leaf.digest or "sha256", leaf.from or "20200101000000Z", leaf.to or "20900101000000Z", name .. ".csr", name .. ".pem")
end

local function extensions(leaf)
  local lines = { "[leaf]", "basicConstraints = CA:FALSE", "extendedKeyUsage = " .. (leaf.use or "serverAuth") }
  if leaf.san then lines[#lines + 1] = "subjectAltName = " .. leaf.san end
  return table.concat(lines, "\n") .. "\n"
end

local function make_all()
  write("c.cnf", CONFIG)
  write("ca.cnf", CA)
  write("index.txt", "")
  new_root "ca"
  new_root "stranger"
  sign("inter", {}, "root")
  sign("narrow", {}, "narrow")
  for name, leaf in pairs(LEAVES) do
    write(name .. ".ext", extensions(leaf))
    sign(name, leaf)
  end
  write("missing.pem", read "chained.pem")
  write("chained.pem", read "chained.pem" .. read "inter.pem")
  write("outside.pem", read "outside.pem" .. read "narrow.pem")
  write("missing.key", read "chained.key")
  new_key "self"
  run("openssl req -x509 -new -sha256 -days 3650 -config c.cnf -subj /CN=good.test -addext %s -key self.key -out self.pem",
    "subjectAltName=DNS:good.test")
  run "openssl ec -aes128 -passout pass:secret -in valid.key -out locked.key"
  write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
end

local function make()
  folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 " .. process.quote(folder)))
  certificates.keeper = setmetatable({}, { __gc = function() os.execute("rm -rf " .. process.quote(folder)) end })
  make_all()
end

--- The path of a file, or of the folder.
---@param name string?
---@return string
function certificates.path(name)
  if not folder then make() end
  return name and folder .. "/" .. name or folder
end

--- The PEM text of a file.
---@param name string
---@return string
function certificates.text(name)
  certificates.path()
  return read(name)
end

--- Options of a server with this certificate.
---@param name string
---@param more table?
---@return table
function certificates.server(name, more)
  local options = { cert = certificates.path(name .. ".pem"), key = certificates.path(name .. ".key") }
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

--- Options of a client that trusts our root and expects `host`.
---@param host string?
---@param more table?
---@return table
function certificates.client(host, more)
  local options = { ca = certificates.path "ca.pem", host = host }
  for key, value in pairs(more or {}) do options[key] = value end
  return options
end

return certificates
