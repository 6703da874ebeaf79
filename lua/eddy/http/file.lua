-- SPDX-License-Identifier: MIT
-- Files as answers: validators, conditions and ranges by RFC 9110, and a handler for a static tree.
-- Files are opened and read in the thread pool, in pieces of 64 KiB.
--
-- Ranges: one range is a 206 with Content-Range, several (at most 16, and together no more than the
-- file) are multipart/byteranges; other units, bad syntax and anything above that are ignored (200), as
-- RFC 9110 allows; ranges that lie wholly behind the end are 416.
local core = require "eddy.core"
local compress = require "eddy.http.compress"
local headers = require "eddy.http.headers"
local misuse = require "eddy.http.misuse"
local mime = require "eddy.http.mime"
local response = require "eddy.http.server_response"

local open = core.file.open

local file = {}

local PIECE, MAX_RANGES = 65536, 16
local BOUNDARY = "eddy-byteranges-%x-%x"

-- ---- Conditions --------------------------------------------------------------------------------

--- A strong validator: another content has another time, size or file.
local function etag_of(stat)
  return ('"%x-%x-%x-%x"'):format(stat.ino, stat.size, stat.mtime, stat.mtime_ns)
end

--- Is `etag` in the list of a field? Weak ones count where `is_weak`.
function file.lists(field, etag, is_weak)
  if field:match "^%s*%*%s*$" then return true end
  for weak, tag in field:gmatch '(W?/?)("[^"]*")' do
    if tag == etag and (is_weak or weak == "") then return true end
  end
  return false
end

--- Not older than the date of a field? nil where that is no date.
local function is_unchanged_since(field, mtime)
  local date = mime.parse_date(field)
  return date and mtime <= date
end

--- The status that the conditions of a request lead to, or nil (RFC 9110, 13.2.2).
local function condition(req, etag, mtime)
  local h = req.headers
  local is_read = req.method == "GET" or req.method == "HEAD"
  if h["if-match"] then
    if not file.lists(h["if-match"], etag, false) then return 412 end
  elseif h["if-unmodified-since"] and is_unchanged_since(h["if-unmodified-since"], mtime) == false then return 412 end
  if h["if-none-match"] then
    if file.lists(h["if-none-match"], etag, true) then return is_read and 304 or 412 end
  elseif is_read and h["if-modified-since"] and is_unchanged_since(h["if-modified-since"], mtime) then return 304 end
end

--- Does If-Range allow a part?
local function allows_part(req, etag, mtime)
  local field = req.headers["if-range"]
  if not field then return true end
  if field:find '"' then return field == etag end
  return mime.parse_date(field) == mtime
end

-- ---- Ranges ------------------------------------------------------------------------------------

--- First and last byte of one "a-b", "a-", "-n"; nil where it is no range; false where it cannot be met.
local function one_range(text, size)
  local from, to = text:match "^%s*(%d*)%-(%d*)%s*$"
  if not from or from == "" and to == "" or #from > 15 or #to > 15 then return nil end
  if from == "" then
    local n = tonumber(to)
    if n == 0 or size == 0 then return false end
    return size - math.min(n, size), size - 1
  end
  from, to = tonumber(from), to ~= "" and tonumber(to) or math.huge
  if to < from then return nil end
  if from >= size then return false end
  return from, math.min(to, size - 1) // 1
end

--- The ranges {from, to} of a field; nil: ignore it; empty: none can be met.
function file.ranges(field, size)
  local list = field:match "^[Bb][Yy][Tt][Ee][Ss]%s*=(.+)$"
  if not list then return nil end
  local ranges, count, sum = {}, 0, 0
  for text in (list .. ","):gmatch "([^,]*)," do
    local from, to = one_range(text, size)
    if from == nil then return nil end
    count = count + 1
    if from then
      ranges[#ranges + 1] = { from, math.tointeger(to) }
      sum = sum + to - from + 1
    end
  end
  if count > MAX_RANGES or #ranges > 1 and sum > size then return nil end
  return ranges
end

local function ranges_of(req, etag, stat)
  local field = req.headers.range
  if not field or req.method ~= "GET" or not allows_part(req, etag, stat.mtime) then return nil end
  return file.ranges(field, stat.size)
end

-- ---- Sending -----------------------------------------------------------------------------------

--- Bytes `from` to `to` of a file, by `write(res, bytes)`; raises when it became shorter or cannot be read.
local function send_part(res, handle, from, to, write)
  while from <= to do
    local bytes, err = handle:read_at(from, math.min(PIECE, to - from + 1))
    if not bytes then error(err, 0) end
    if bytes == "" then error("the file became shorter while it was sent", 0) end
    if not write(res, bytes) then return false end
    from = from + #bytes
  end
  return true
end

local function write_plain(res, bytes) return res:write(bytes) end
local function write_coded(res, bytes) return res:write_coded_(bytes) end

---@class eddy.http.FileJob           what is to be sent
---@field req eddy.http.Request
---@field handle table
---@field stat table
---@field merged table               headers
---@field is_coded boolean

local function send_coded(job, status)
  local res <close> = response.start(job.req, status, job.merged, nil, true)
  if job.req.method == "HEAD" or send_part(res, job.handle, 0, job.stat.size - 1, write_coded) then res:close() end
end

local function send_whole(job, status)
  local req, size = job.req, job.stat.size
  if job.is_coded then return send_coded(job, status) end
  if req.method == "HEAD" then
    req.status_ = status
    return req.exchange_:respond(status, response.text(job.merged), size)
  end
  local res = response.start(req, status, job.merged, size)
  if send_part(res, job.handle, 0, size - 1, write_plain) then res:close() end
end

local function send_one(job, range)
  local bytes = ("bytes %d-%d/%d"):format(range[1], range[2], job.stat.size)
  job.merged["content-range"] = { "Content-Range", bytes }
  local res = response.start(job.req, 206, job.merged, range[2] - range[1] + 1)
  if send_part(res, job.handle, range[1], range[2], write_plain) then res:close() end
end

local function send_several(job, ranges)
  local merged, stat = job.merged, job.stat
  local boundary = BOUNDARY:format(stat.ino, stat.mtime_ns)
  local kind, heads, last = merged["content-type"][2], {}, ("\r\n--%s--\r\n"):format(boundary)
  local length = #last
  for i, range in ipairs(ranges) do
    heads[i] = ("\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"):format(
      boundary, kind, range[1], range[2], stat.size)
    length = length + #heads[i] + range[2] - range[1] + 1
  end
  merged["content-type"] = { "Content-Type", "multipart/byteranges; boundary=" .. boundary }
  local res = response.start(job.req, 206, merged, length)
  for i, range in ipairs(ranges) do
    if not res:write(heads[i]) or not send_part(res, job.handle, range[1], range[2], write_plain) then return end
  end
  if res:write(last) then res:close() end
end

--- Without a body: a condition was met, or a range cannot be.
local function answer(job, status)
  job.req.status_ = status
  if job.is_coded then compress.mark(job.merged) end
  job.merged["content-encoding"], job.merged["content-type"] = nil, nil
  return job.req.exchange_:respond(status, response.text(job.merged))
end

--- The headers of the file, and whether it is to be coded: never for who asks for a part of it.
local function new_job(req, handle, stat, path, options)
  local merged = response.merge({
    ETag = options.etag or etag_of(stat), ["Last-Modified"] = mime.format_date(stat.mtime), ["Accept-Ranges"] = "bytes",
  })
  local own, err = headers.merge(merged, options.headers or {})
  if not own then error(err, 0) end
  merged = own
  local kind = options.content_type or mime.type_of(path)
  merged["content-length"], merged.date = nil, nil
  merged["content-type"] = merged["content-type"] or { "Content-Type", kind }
  local is_due = options.compress ~= false and compress.is_due(req, options.status or 200, merged, stat.size)
  return { req = req, handle = handle, stat = stat, merged = merged, is_coded = is_due and not req.headers.range }
end

local function send_open(req, handle, stat, path, options)
  local job = new_job(req, handle, stat, path, options)
  if options.status then return send_whole(job, options.status) end
  local etag = options.etag or etag_of(stat)
  local status = condition(req, etag, stat.mtime)
  if status then return answer(job, status) end
  local ranges = ranges_of(req, etag, stat)
  if not ranges then return send_whole(job, 200) end
  if #ranges == 0 then
    job.merged["content-range"] = { "Content-Range", "bytes */" .. stat.size }
    return answer(job, 416)
  end
  if #ranges == 1 then return send_one(job, ranges[1]) end
  return send_several(job, ranges)
end

local STATUS = {
  ENOENT = 404, ENOTDIR = 404, ELOOP = 404, ENAMETOOLONG = 404, EMLINK = 404, EACCES = 403, EPERM = 403,
  EMFILE = 503, ENFILE = 503,
}

local function refuse(req, status)
  req.status_ = status
  return req.exchange_:respond(status, "Content-Type: text/plain\r\n", core.http.reason(status) .. "\n")
end

--- Answer with a file. Called by the server for what `http.file` returned and for `{file=}`.
---@async
function file.send(req, path, options)
  misuse.check_type("file", path, "string")
  if path == "" or path:find("\0", 1, true) then return refuse(req, 404) end
  local handle <close>, stat = open(path, options.root)
  if not handle then
    local status = STATUS[stat.code]
    if not status then error(stat, 0) end
    return refuse(req, status)
  end
  if stat.kind == "directory" and options.on_directory then return options.on_directory(req) end
  if stat.kind ~= "file" then return refuse(req, 404) end
  return send_open(req, handle, stat, path, options)
end

-- ---- Public ------------------------------------------------------------------------------------

local Answer = {}
Answer.__index = Answer
Answer.__name = "eddy.http.FileAnswer"

function Answer:send_(req) return file.send(req, self.path, self.options) end

local OPTIONS = { status = "number", headers = "table", content_type = "string", etag = "string", root = "string",
  compress = "boolean" }

local function check_options(options)
  for name, value in pairs(options) do
    if not OPTIONS[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    misuse.check_type(name, value, OPTIONS[name])
  end
end

---@class eddy.http.FileOptions
---@field headers table<string, eddy.http.Value>?
---@field content_type string?       default: by the name's extension
---@field status integer?            then neither conditions nor ranges apply
---@field etag string?               default: made from inode, size and time
---@field compress boolean?          false: never coded
---@field root string?               the path lies below: no "..", no symbolic links on the way

--- What a handler returns to answer with a file. Missing ones are 404, unreadable ones 403.
---@param path string
---@param options eddy.http.FileOptions?
function file.file(path, options)
  misuse.check_type("path", path, "string")
  options = options or {}
  misuse.check_type("options", options, "table")
  check_options(options)
  return setmetatable({ path = path, options = options }, Answer)
end

--- The path of a request below a root: decoded once; nil for what no file may be called.
---@param text string                still escaped, from "/" on
---@return string?
function file.decode_path(text)
  if text:sub(1, 1) ~= "/" or text:find "%%[^%x]" or text:find "%%%x[^%x]" or text:find "%%%x?$" then return nil end
  local path = text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  if path:find "[%z\\]" then return nil end
  for part in path:gmatch "[^/]+" do
    if part == ".." or part == "." then return nil end
  end
  return (path:gsub("^/+", ""))
end

local function redirect(req)
  req.status_ = 301
  -- never "//host": that would lead elsewhere
  local to = req.path:gsub("^/+", "/") .. "/" .. (req.query and "?" .. req.query or "")
  return req.exchange_:respond(301, response.lines { Location = to })
end

---@class eddy.http.FilesOptions
---@field index string?              of directories; default "index.html"
---@field prefix string?             of the paths, taken away; e.g. "/static"
---@field headers table?             of every answer with a file
---@field compress boolean?          false: never coded
---@field hidden boolean?            serve names that begin with "."; default false

local FILES = { index = "string", prefix = "string", headers = "table", hidden = "boolean", compress = "boolean" }

local function local_path(req, options)
  local path, prefix = req.path, options.prefix or ""
  if path:sub(1, #prefix) ~= prefix then return nil end
  path = file.decode_path(path:sub(#prefix + 1))
  if not path or not options.hidden and ("/" .. path):find("/.", 1, true) then return nil end
  if path == "" or path:sub(-1) == "/" then path = path .. (options.index or "index.html") end
  return path
end

--- A handler for the tree below `root`: GET and HEAD; no listing of directories. Paths are decoded once;
--- "..", zero bytes, backslashes, symbolic links and (by default) hidden names are 404.
---@param root string
---@param options eddy.http.FilesOptions?
---@return fun(req: eddy.http.Request): ...
function file.files(root, options)
  misuse.check_type("root", root, "string")
  options = options or {}
  for name, value in pairs(options) do
    if not FILES[name] then misuse.raise("unknown option '%s'", tostring(name)) end
    misuse.check_type(name, value, FILES[name])
  end
  local settings = { root = root, headers = options.headers, compress = options.compress, on_directory = redirect }
  return function(req)
    if req.method ~= "GET" and req.method ~= "HEAD" then return 405, { Allow = "GET, HEAD" } end
    local path = local_path(req, options)
    if not path then return 404, { ["Content-Type"] = "text/plain" }, "Not Found\n" end
    return setmetatable({ path = path, options = settings }, Answer)
  end
end

return file
