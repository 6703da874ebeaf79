-- SPDX-License-Identifier: MIT
-- Texts out of texts: what a corpus and a dictionary lead to. The same seed makes the same ones.
local mutate = {}

local MAX = 4096

--- Numbers from 1 to n, from a generator of its own (xorshift): the runtime's is left alone.
function mutate.random(seed)
  local state = seed * 2654435761 % 4294967296 | 1
  return function(n)
    state = (state ~ state << 13) & 0xffffffff
    state = state ~ state >> 17
    state = (state ~ state << 5) & 0xffffffff
    return state % n + 1
  end
end

local function splice(text, at, length, piece)
  return text:sub(1, at - 1) .. piece .. text:sub(at + length)
end

local ACTS = {
  function(text, random) return splice(text, random(#text + 1), 0, string.char(random(256) - 1)) end,
  function(text, random) return splice(text, random(#text + 1), 1, string.char(random(256) - 1)) end,
  function(text, random) return splice(text, random(#text + 1), random(8), "") end,
  function(text, random, words) return splice(text, random(#text + 1), 0, words[random(#words)]) end,
  function(text, random, words) return splice(text, random(#text + 1), random(4), words[random(#words)]) end,
  function(text, random)   -- a part once more
    local at = random(#text + 1)
    return splice(text, random(#text + 1), 0, text:sub(at, at + random(32)))
  end,
  function(text, random, _, corpus)   -- the head of one, the tail of another
    local other = corpus[random(#corpus)]
    return text:sub(1, random(#text + 1) - 1) .. other:sub(random(#other + 1))
  end,
  function(text, random)   -- much of the same
    local at = random(#text + 1)
    return splice(text, at, 1, text:sub(at, at):rep(random(300)))
  end,
}

--- A text that some changes of one of the corpus make.
function mutate.make(random, corpus, words)
  local text = corpus[random(#corpus)]
  for _ = 1, random(5) do text = ACTS[random(#ACTS)](text, random, words, corpus) end
  return text:sub(1, MAX)
end

return mutate
