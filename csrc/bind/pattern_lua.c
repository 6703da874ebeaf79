/* SPDX-License-Identifier: MIT */
/*
** The four functions of the string library that match patterns, for scripts in a sandbox: the same
** arguments and results as in the manual of Lua 5.4, over base/pattern. A call may take STEPS steps and
** PER_BYTE more for each byte of the subject, about a tenth of a second, then it raises.
*/
#include "bind/pattern_lua.h"

#include <lauxlib.h>
#include <string.h>

#include "base/pattern.h"

enum { STEPS = 1 << 24, PER_BYTE = 16 };

static void begin (ed_match *m, const ed_pattern *pattern, const char *text, size_t len) {
  memset(m, 0, sizeof *m);
  m->pattern = pattern;
  m->text = text;
  m->end = text + len;
  m->steps = STEPS + (uint64_t)len * PER_BYTE;
}

/* Push the compiled pattern at 'arg'; raises when it is malformed. */
static const ed_pattern *push_pattern (lua_State *L, int arg, bool may_anchor) {
  size_t len, size;
  const char *text = luaL_checklstring(L, arg, &len);
  ed_pattern *pattern;
  if ((size = ed_pattern_size(len)) == 0) luaL_error(L, "pattern too long");
  pattern = lua_newuserdatauv(L, size, 0);
  if (!ed_pattern_compile(pattern, text, len, may_anchor))
    luaL_error(L, "%s", pattern->problem);
  return pattern;
}

/* A match at 'at', or NULL; raises when its steps are used up. */
static const char *try_at (lua_State *L, ed_match *m, const char *at) {
  const char *end = ed_pattern_match(m, at);
  if (m->problem != NULL) luaL_error(L, "%s", m->problem);
  return end;
}

/* The next match from *at on, which is moved to its beginning. */
static const char *search (lua_State *L, ed_match *m, const char **at) {
  for (; *at <= m->end; ++*at) {
    const char *end = try_at(L, m, *at);
    if (end != NULL || m->pattern->is_anchored) return end;
  }
  return NULL;
}

static void push_capture (lua_State *L, const ed_match *m, int n) {
  if (m->to[n] == NULL) lua_pushinteger(L, m->from[n] - m->text + 1);
  else lua_pushlstring(L, m->from[n], (size_t)(m->to[n] - m->from[n]));
}

/* The captures; without any, the whole match if there is 'from'. */
static int push_captures (
  lua_State *L, const ed_match *m, const char *from, const char *end) {
  int n = m->pattern->ncaptures;
  luaL_checkstack(L, n + 1, "too many captures");
  if (n == 0 && from != NULL) {
    lua_pushlstring(L, from, (size_t)(end - from));
    return 1;
  }
  for (int i = 0; i < n; i++) push_capture(L, m, i);
  return n;
}

/* Where 'init' (argument 3) says to begin, or NULL behind the end. */
static const char *start_of (lua_State *L, const char *text, size_t len) {
  lua_Integer init = luaL_optinteger(L, 3, 1);
  if (init > 0) return (lua_Unsigned)init - 1 > len ? NULL : text + (init - 1);
  if (init == 0 || init < -(lua_Integer)len) return text;
  return text + len + init;
}

static int push_place (
  lua_State *L, const char *text, const char *from, const char *end) {
  lua_pushinteger(L, from - text + 1);
  lua_pushinteger(L, end - text);
  return 2;
}

static int find_plain (lua_State *L, ed_match *m, const char *at) {
  size_t len;
  const char *part = lua_tolstring(L, 2, &len);
  const char *found = ed_pattern_plain(m, at, part, len);
  if (m->problem != NULL) return luaL_error(L, "%s", m->problem);
  if (found != NULL) return push_place(L, m->text, found, found + len);
  lua_pushnil(L);
  return 1;
}

static int find (lua_State *L, bool is_find) {
  size_t len, pattern_len;
  const char *text = luaL_checklstring(L, 1, &len);
  const char *source = luaL_checklstring(L, 2, &pattern_len);
  const char *at = start_of(L, text, len), *end;
  ed_match m;
  if (at == NULL) {
    lua_pushnil(L);
    return 1;
  }
  begin(&m, NULL, text, len);
  if (is_find && (lua_toboolean(L, 4) || !ed_pattern_is_special(source, pattern_len)))
    return find_plain(L, &m, at);
  m.pattern = push_pattern(L, 2, true);
  if ((end = search(L, &m, &at)) == NULL) {
    lua_pushnil(L);
    return 1;
  }
  if (!is_find) return push_captures(L, &m, at, end);
  push_place(L, text, at, end);
  return 2 + push_captures(L, &m, NULL, NULL);
}

/*
** find(s, pattern [, init [, plain]]) --> first, last, captures | nil
*/
static int l_find (lua_State *L) { return find(L, true); }

/*
** match(s, pattern [, init]) --> captures | nil
*/
static int l_match (lua_State *L) { return find(L, false); }

/* ---- gmatch ---- */

/* Upvalues: subject, pattern, this. */
typedef struct matches {
  const char *at;   /* the next is looked for here */
  const char *last; /* end of the one before: an empty match may not begin there */
} matches;

static int l_next_match (lua_State *L) {
  size_t len;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &len), *end;
  matches *all = lua_touserdata(L, lua_upvalueindex(3));
  ed_match m;
  begin(&m, lua_touserdata(L, lua_upvalueindex(2)), text, len);
  for (const char *at = all->at; at <= m.end; at++) {
    if ((end = search(L, &m, &at)) == NULL) break;
    if (end == all->last) continue;
    all->at = all->last = end;
    return push_captures(L, &m, at, end);
  }
  all->at = m.end + 1; /* there is no other */
  return 0;
}

/*
** gmatch(s, pattern [, init]) --> iterator over captures
*/
static int l_gmatch (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *at = start_of(L, text, len);
  matches *all;
  luaL_checkstring(L, 2);
  lua_settop(L, 3);
  lua_pushvalue(L, 1);
  push_pattern(L, 2, false);
  all = lua_newuserdatauv(L, sizeof *all, 0);
  all->at = at != NULL ? at : text + len + 1;
  all->last = NULL;
  lua_pushcclosure(L, l_next_match, 3);
  return 1;
}

/* ---- gsub ---- */

/* The replacement at 3 is a text: '%0' to '%9' in it stand for captures. */
static void add_text (
  lua_State *L, luaL_Buffer *b, const ed_match *m, const char *from, const char *end) {
  size_t len;
  const char *text = lua_tolstring(L, 3, &len), *stop = text + len, *mark;
  int n = m->pattern->ncaptures;
  for (; (mark = memchr(text, '%', (size_t)(stop - text))) != NULL; text = mark + 2) {
    int c = mark + 1 < stop ? (unsigned char)mark[1] : 0;
    luaL_addlstring(b, text, (size_t)(mark - text));
    if (c == '%' && mark + 1 < stop) luaL_addchar(b, '%');
    else if (c == '0' || (c == '1' && n == 0))
      luaL_addlstring(b, from, (size_t)(end - from));
    else if (c < '1' || c > '9')
      luaL_error(L, "invalid use of '%%' in replacement string");
    else if (c - '0' > n)
      luaL_error(L, "invalid capture index %%%d in replacement string", c - '0');
    else {
      push_capture(L, m, c - '1');
      luaL_tolstring(L, -1, NULL);
      lua_remove(L, -2);
      luaL_addvalue(b);
    }
  }
  luaL_addlstring(b, text, (size_t)(stop - text));
}

static void push_first (
  lua_State *L, const ed_match *m, const char *from, const char *end) {
  if (m->pattern->ncaptures > 0) push_capture(L, m, 0);
  else lua_pushlstring(L, from, (size_t)(end - from));
}

/* What a function or a table says; true when it replaces the match. */
static bool push_value (
  lua_State *L, const ed_match *m, const char *from, const char *end) {
  if (lua_type(L, 3) == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(L, m, from, end), 1);
  } else {
    push_first(L, m, from, end);
    lua_gettable(L, 3);
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    return false;
  }
  if (!lua_isstring(L, -1))
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  return true;
}

static void add_replacement (
  lua_State *L, luaL_Buffer *b, const ed_match *m, const char *from, const char *end) {
  int kind = lua_type(L, 3);
  if (kind == LUA_TSTRING || kind == LUA_TNUMBER) add_text(L, b, m, from, end);
  else if (push_value(L, m, from, end)) luaL_addvalue(b);
  else luaL_addlstring(b, from, (size_t)(end - from));
}

/*
** gsub(s, pattern, replacement [, n]) --> s, count
** The replacement is a string, a table or a function, which cannot await.
*/
static int l_gsub (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *at = text, *last = NULL;
  int kind = lua_type(L, 3);
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
  luaL_Buffer b;
  ed_match m;
  luaL_checkstring(L, 2);
  luaL_argexpected(L,
    kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION
      || kind == LUA_TTABLE,
    3, "string/function/table");
  begin(&m, push_pattern(L, 2, true), text, len);
  luaL_buffinit(L, &b);
  while (n < most) {
    const char *end = try_at(L, &m, at);
    if (end != NULL && end != last) {
      n++;
      add_replacement(L, &b, &m, at, end);
      at = last = end;
    } else if (at < m.end) luaL_addchar(&b, *at++);
    else break;
    if (m.pattern->is_anchored) break;
  }
  luaL_addlstring(&b, at, (size_t)(m.end - at));
  luaL_pushresult(&b);
  lua_pushinteger(L, n);
  return 2;
}

static const luaL_Reg functions[] = {
  {"find", l_find},
  {"match", l_match},
  {"gmatch", l_gmatch},
  {"gsub", l_gsub},
  {NULL, NULL},
};

void ed_open_pattern (lua_State *L) { luaL_newlib(L, functions); }
