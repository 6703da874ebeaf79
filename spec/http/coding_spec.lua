-- SPDX-License-Identifier: MIT
-- Body codings: what was made by other programs is decoded, in pieces of any size; what is damaged,
-- cut off, or out of proportion is refused; the encoder's output can be decoded.
local lu = ...
local coding = require "eddy.core".coding

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- Made by zlib, brotli and zstd themselves.
local SAMPLES = {
  { "deflate", unhex "789ccb48cdc9c957a8cac94c0200159503e6", "hello zlib" },
  { "deflate", unhex "cb48cdc9c957284a2c0700", "hello raw" },
  { "br", unhex "8b038068656c6c6f20627203", "hello br" },
  { "zstd", unhex "28b52ffd045851000068656c6c6f207a737464cfdb609c", "hello zstd" },
}

local function gzip(text)
  local encoder <close> = coding.gzip()
  return encoder:feed(text) .. encoder:finish()
end

SAMPLES[#SAMPLES + 1] = { "gzip", gzip "hello gzip", "hello gzip" }
SAMPLES[#SAMPLES + 1] = { "x-GZIP", gzip "two " .. gzip "members", "two members" }

--- What `bytes` decode to when they come in pieces of `step`; or nil and the error's code.
local function decode(name, bytes, step, max)
  local decoder <close> = coding.decoder(name, max)
  local pieces = {}
  for at = 1, #bytes, step do
    local piece, err = decoder:feed(bytes, at, at + step - 1)
    if not piece then return nil, err.code end
    pieces[#pieces + 1] = piece
  end
  local ok, err = decoder:finish()
  if not ok then return nil, err.code end
  return table.concat(pieces)
end

local function is_there(name)
  return name == "x-GZIP" or (", " .. coding.names .. ","):find(", " .. name .. ",", 1, true)
end

local TestCoding = {}

function TestCoding:test_samples_in_any_pieces()
  for _, sample in ipairs(SAMPLES) do
    if is_there(sample[1]) then
      for _, step in ipairs { 1, 2, 3, 7, 1000 } do
        lu.assertEquals(decode(sample[1], sample[2], step), sample[3])
      end
    end
  end
end

function TestCoding:test_each_truncation_is_an_error()
  for _, sample in ipairs(SAMPLES) do
    if is_there(sample[1]) and sample[1] ~= "x-GZIP" then
      for cut = 1, #sample[2] - 1 do
        local text, code = decode(sample[1], sample[2]:sub(1, cut), 5)
        lu.assertNil(text, sample[1] .. cut)
        lu.assertEquals(code, "EBADENCODING")
      end
    end
  end
end

function TestCoding:test_what_follows_the_end_is_an_error()
  for _, sample in ipairs(SAMPLES) do
    if is_there(sample[1]) then
      lu.assertEquals({ decode(sample[1], sample[2] .. "junk", 4) }, { nil, "EBADENCODING" })
    end
  end
end

function TestCoding:test_nothing_is_nothing()
  lu.assertEquals(decode("gzip", "", 1), "")
end

function TestCoding:test_out_of_proportion()
  local bomb = gzip(("\0"):rep(8 << 20))
  for _, step in ipairs { 100, 1 << 20 } do
    lu.assertEquals({ decode("gzip", bomb, step) }, { nil, "ERATIO" })
  end
  lu.assertEquals(#decode("gzip", gzip(("\0"):rep(1 << 20)), 100), 1 << 20)
end

function TestCoding:test_limit()
  lu.assertEquals({ decode("gzip", gzip "123456", 3, 5) }, { nil, "EBODY" })
  lu.assertEquals(decode("gzip", gzip "123456", 3, 6), "123456")
end

function TestCoding:test_an_error_stays()
  local decoder <close> = coding.decoder "gzip"
  lu.assertNil((decoder:feed "not gzip at all"))
  lu.assertNil((decoder:feed(gzip "x")))
  lu.assertNil((decoder:finish()))
end

function TestCoding:test_flush_makes_all_readable()
  local encoder <close> = coding.gzip(1)
  local decoder <close> = coding.decoder "gzip"
  for _, text in ipairs { "one", "two", ("x"):rep(100000) } do
    lu.assertEquals(decoder:feed(encoder:feed(text) .. encoder:flush()), text)
  end
  lu.assertEquals(decoder:feed(encoder:finish()), "")
  lu.assertTrue(decoder:finish())
end

function TestCoding:test_misuse()
  lu.assertNil(coding.decoder "identity")
  lu.assertErrorMsgContains("not a level", coding.gzip, 10)
  local decoder = coding.decoder "gzip"
  decoder:close()
  decoder:close()
  lu.assertErrorMsgContains("closed decoder", decoder.feed, decoder, "x")
end

return { TestCoding = TestCoding }
