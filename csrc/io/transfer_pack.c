/* SPDX-License-Identifier: MIT */
/*
** Packing. Objects get numbers as they are met and are worked off in that order, so a list of
** them takes the place of recursion. For each the number of the object in which it was met first
** is kept: from that a refusal finds its path.
*/
#include "io/transfer.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/transfer_code.h"
#include "io/transfer_names.h"
#include "io/transfer_tags.h"

enum {
  FIRST_ROOM = 512,
  MAX_STEPS = 24 /* of a path that are shown, the last ones */
};

#define ROOT 0x80000000u /* in 'parent': the rest is the number of a root value */

typedef struct packer {
  ed_bytes make, fill;
  uint32_t *parent; /* of object i at i - 1 */
  uint32_t room;    /* of 'parent' */
  uint32_t n;       /* objects */
  uint32_t at;      /* what is being written: an object, or ROOT | number */
  int first;        /* stack index: object 1, which often is the only one */
  int seen;         /* stack index: object -> number; id of an upvalue -> where it was */
  int list;         /* stack index: number -> object; both are nil until there are two */
  int globals;      /* stack index */
  int modules; /* stack index: what package.loaded holds -> name; nil: not made yet */
  const char *what;
} packer;

/* ---- bytes ---- */

static void free_packer (packer *p) {
  free(p->make.at), free(p->fill.at), free(p->parent);
  p->make.at = p->fill.at = NULL;
  p->parent = NULL;
}

static bool grow (ed_bytes *b, size_t n) {
  size_t room = b->room > 0 ? b->room : FIRST_ROOM;
  char *at;
  if (n > SIZE_MAX / 4 - b->size) return false;
  while (room - b->size < n) room *= 2;
  if ((at = realloc(b->at, room)) == NULL) return false;
  b->at = at;
  b->room = room;
  return true;
}

static inline bool reserve (ed_bytes *b, size_t n) {
  return n <= b->room - b->size || grow(b, n);
}

static int fail_memory (lua_State *L, packer *p) {
  free_packer(p);
  return luaL_error(L, "not enough memory");
}

static void put_bytes (lua_State *L, packer *p, ed_bytes *b, const void *from, size_t n) {
  if (!reserve(b, n)) fail_memory(L, p);
  if (n > 0) memcpy(b->at + b->size, from, n);
  b->size += n;
}

static void put_byte (lua_State *L, packer *p, ed_bytes *b, char byte) {
  if (b->size < b->room) b->at[b->size++] = byte;
  else put_bytes(L, p, b, &byte, 1);
}

static void put_tag (lua_State *L, packer *p, ed_bytes *b, tag t) {
  put_byte(L, p, b, (char)t);
}

static void put_count (lua_State *L, packer *p, ed_bytes *b, uint64_t n) {
  for (; n >= 128; n >>= 7) put_byte(L, p, b, (char)(n | 128));
  put_byte(L, p, b, (char)n);
}

static void put_text (lua_State *L, packer *p, ed_bytes *b, int index) {
  size_t size;
  const char *text = lua_tolstring(L, index, &size);
  put_count(L, p, b, size);
  put_bytes(L, p, b, text, size);
}

/* ---- refusing ---- */

static bool is_identifier (const char *text) {
  if (!isalpha((unsigned char)*text) && *text != '_') return false;
  while (isalnum((unsigned char)*text) || *text == '_') text++;
  return *text == '\0';
}

/* Push the object of that number. */
static void push_object (lua_State *L, const packer *p, uint32_t number) {
  if (number == 1) lua_pushvalue(L, p->first);
  else lua_rawgeti(L, p->list, number);
}

/* Replace the key at the top by ".key" or "[key]". */
static void push_key_text (lua_State *L) {
  int type = lua_type(L, -1);
  if (type == LUA_TSTRING)
    lua_pushfstring(
      L, is_identifier(lua_tostring(L, -1)) ? ".%s" : "[\"%s\"]", lua_tostring(L, -1));
  else if (type == LUA_TNUMBER || type == LUA_TBOOLEAN) {
    luaL_tolstring(L, -1, NULL);
    lua_pushfstring(L, "[%s]", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else lua_pushfstring(L, "[a %s]", luaL_typename(L, -1));
  lua_remove(L, -2);
}

/* Push how the table at 'holder' holds the value at 'value'. */
static void push_step_in_table (lua_State *L, int holder, int value) {
  for (lua_pushnil(L); lua_next(L, holder); lua_pop(L, 1)) {
    if (lua_rawequal(L, -1, value)) {
      lua_pop(L, 1);
      push_key_text(L);
      return;
    }
    if (lua_rawequal(L, -2, value)) {
      lua_pop(L, 2);
      lua_pushliteral(L, " (a key)");
      return;
    }
  }
  lua_pushliteral(L, " (its metatable)");
}

static void push_step_in_function (lua_State *L, int holder, int value) {
  const char *name;
  for (int i = 1; (name = lua_getupvalue(L, holder, i)) != NULL; i++) {
    bool is_it = lua_rawequal(L, -1, value);
    lua_pop(L, 1);
    if (!is_it) continue;
    lua_pushfstring(L, " (upvalue %s)", *name != '\0' ? name : "?");
    return;
  }
  lua_pushliteral(L, " (an upvalue)");
}

/* Push the path to the value at 'culprit', which was met in p->at. */
static void push_path (lua_State *L, packer *p, int culprit) {
  uint32_t step[MAX_STEPS], at = p->at;
  int depth = 0, holder;
  for (; !(at & ROOT); at = p->parent[at - 1], depth++)
    if (depth < MAX_STEPS) step[depth] = at;
  lua_pushfstring(
    L, "%s %d%s", p->what, (int)(at & ~ROOT), depth > MAX_STEPS ? "..." : "");
  for (int i = depth < MAX_STEPS ? depth : MAX_STEPS; i-- > 0;) {
    push_object(L, p, step[i]);
    holder = lua_gettop(L);
    if (i > 0) push_object(L, p, step[i - 1]);
    else lua_pushvalue(L, culprit);
    if (lua_istable(L, holder)) push_step_in_table(L, holder, holder + 1);
    else push_step_in_function(L, holder, holder + 1);
    lua_replace(L, holder);
    lua_settop(L, holder);
    lua_concat(L, 2);
  }
}

static void push_kind (lua_State *L, int index, const char *kind) {
  if (kind != NULL) lua_pushstring(L, kind);
  else if (lua_type(L, index) == LUA_TUSERDATA
    && luaL_getmetafield(L, index, "__name") == LUA_TSTRING) {
    lua_pushfstring(L, "userdata (%s)", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else lua_pushstring(L, luaL_typename(L, index));
}

/* The value at the top cannot travel; 'kind' says what it is when its type does not. */
static int refuse (lua_State *L, packer *p, const char *kind) {
  int culprit = lua_gettop(L);
  luaL_checkstack(L, 12, "no memory for a transfer");
  push_path(L, p, culprit);
  push_kind(L, culprit, kind);
  free_packer(p);
  return luaL_error(
    L, "cannot transfer %s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
}

/* ---- values ---- */

static bool remember_parent (packer *p) {
  if (p->n >= p->room) {
    uint32_t room = p->room > 0 ? p->room * 2 : 64;
    uint32_t *parent = realloc(p->parent, room * sizeof *parent);
    if (parent == NULL) return false;
    p->parent = parent;
    p->room = room;
  }
  p->parent[p->n++] = p->at;
  return true;
}

static void make_tables (lua_State *L, packer *p) {
  if (!lua_isnil(L, p->seen)) return;
  lua_newtable(L);
  lua_replace(L, p->seen);
  lua_newtable(L);
  lua_replace(L, p->list);
}

/* Give the object at the top (popped) the next number, and queue it. */
static uint32_t add_object (lua_State *L, packer *p) {
  if (p->n >= ROOT - 1 || !remember_parent(p)) fail_memory(L, p);
  if (p->n == 1) {
    lua_replace(L, p->first);
    return 1;
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, p->list, p->n);
  lua_pushinteger(L, p->n);
  lua_rawset(L, p->seen);
  return p->n;
}

/* The number of the object at the top (popped). */
static uint32_t number_of (lua_State *L, packer *p) {
  uint32_t number;
  if (p->n == 0) return add_object(L, p);
  if (lua_rawequal(L, -1, p->first)) {
    lua_pop(L, 1);
    return 1;
  }
  make_tables(L, p);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, p->seen) != LUA_TNUMBER) {
    lua_pop(L, 1);
    return add_object(L, p);
  }
  number = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  return number;
}

/* The object at the top is popped. */
static void put_object (lua_State *L, packer *p) {
  put_tag(L, p, &p->fill, TAG_OBJECT);
  put_count(L, p, &p->fill, number_of(L, p));
}

static void put_number (lua_State *L, packer *p) {
  if (lua_isinteger(L, -1)) {
    lua_Integer i = lua_tointeger(L, -1);
    put_tag(L, p, &p->fill, TAG_INTEGER);
    put_count(L, p, &p->fill, (uint64_t)i << 1 ^ (i < 0 ? ~(uint64_t)0 : 0));
  } else {
    lua_Number n = lua_tonumber(L, -1);
    put_tag(L, p, &p->fill, TAG_FLOAT);
    put_bytes(L, p, &p->fill, &n, sizeof n);
  }
}

static bool put_short_string (lua_State *L, packer *p) {
  if (lua_rawlen(L, -1) > SHORT_STRING) return false;
  put_tag(L, p, &p->fill, TAG_STRING);
  put_text(L, p, &p->fill, -1);
  return true;
}

/* Write the value at the top (popped). */
static void put_value (lua_State *L, packer *p) {
  switch (lua_type(L, -1)) {
    case LUA_TNIL: put_tag(L, p, &p->fill, TAG_NIL); break;
    case LUA_TBOOLEAN:
      put_tag(L, p, &p->fill, lua_toboolean(L, -1) ? TAG_TRUE : TAG_FALSE);
      break;
    case LUA_TNUMBER: put_number(L, p); break;
    case LUA_TSTRING:
      if (put_short_string(L, p)) break;
      put_object(L, p);
      return;
    case LUA_TTABLE:
      if (!lua_rawequal(L, -1, p->globals)) {
        put_object(L, p);
        return;
      }
      put_tag(L, p, &p->fill, TAG_GLOBALS);
      break;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, -1) != NULL) refuse(L, p, "light userdata");
      put_tag(L, p, &p->fill, TAG_NULL);
      break;
    case LUA_TFUNCTION:
    case LUA_TUSERDATA: put_object(L, p); return;
    default: refuse(L, p, NULL);
  }
  lua_pop(L, 1);
}

/* ---- objects: the one to be written is at the top, and stays ---- */

/* Is it what package.loaded has under a name? */
static bool put_module (lua_State *L, packer *p) {
  bool is_module;
  if (lua_isnil(L, p->modules)) {
    ed_names_push_modules(L);
    lua_replace(L, p->modules);
  }
  lua_pushvalue(L, -1);
  is_module = lua_rawget(L, p->modules) == LUA_TSTRING;
  if (is_module) {
    put_tag(L, p, &p->make, TAG_MODULE);
    put_text(L, p, &p->make, -1);
  }
  lua_pop(L, 1);
  return is_module;
}

static bool put_metatable_name (lua_State *L, packer *p) {
  if (!ed_names_push_metatable(L, -1)) return false;
  put_tag(L, p, &p->make, TAG_METATABLE);
  put_text(L, p, &p->make, -1);
  lua_pop(L, 1);
  return true;
}

/* The object at the top, met where its parent is, cannot travel. */
static int refuse_object (lua_State *L, packer *p, const char *kind) {
  p->at = p->parent[p->at - 1];
  return refuse(L, p, kind);
}

static void check_metamethod (lua_State *L, packer *p, const char *name) {
  lua_pushstring(L, name);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushfstring(L, "table with %s", name);
  lua_insert(L, -4); /* below the table, metatable and metamethod */
  lua_pop(L, 2);
  refuse_object(L, p, lua_tostring(L, -2));
}

static void put_metatable (lua_State *L, packer *p) {
  if (!lua_getmetatable(L, -1)) {
    put_tag(L, p, &p->fill, TAG_NIL);
    return;
  }
  check_metamethod(L, p, "__gc");
  check_metamethod(L, p, "__close");
  put_value(L, p);
}

/* What lua_next says of the table at the top, with the values of 1, 2 ... as long as they come. */
static void put_contents (lua_State *L, packer *p, uint32_t *values, uint32_t *pairs) {
  int table = lua_gettop(L);
  *values = *pairs = 0;
  for (lua_pushnil(L); lua_next(L, table);) {
    if (*pairs == 0 && lua_isinteger(L, -2) && lua_tointeger(L, -2) == *values + 1)
      ++*values;
    else {
      if ((*pairs)++ == 0) put_tag(L, p, &p->fill, TAG_KEYS);
      lua_pushvalue(L, -2);
      put_value(L, p);
    }
    put_value(L, p);
  }
  put_tag(L, p, &p->fill, TAG_END);
}

static void put_table (lua_State *L, packer *p) {
  uint32_t count[2] = {0, 0};
  size_t at;
  if (put_module(L, p) || put_metatable_name(L, p)) return;
  put_tag(L, p, &p->make, TAG_TABLE);
  at = p->make.size;
  put_bytes(L, p, &p->make, count, sizeof count);
  put_tag(L, p, &p->fill, TAG_TABLE);
  put_count(L, p, &p->fill, p->at);
  put_contents(L, p, &count[0], &count[1]);
  memcpy(p->make.at + at, count, sizeof count);
  put_metatable(L, p);
}

static int write_dump (lua_State *L, const void *bytes, size_t size, void *packed) {
  packer *p = packed;
  (void)L;
  if (!reserve(&p->make, size)) return 1;
  if (size > 0) memcpy(p->make.at + p->make.size, bytes, size);
  p->make.size += size;
  return 0;
}

static void put_dump (lua_State *L, packer *p) {
  uint64_t size = 0;
  size_t at = p->make.size, start = at + sizeof size;
  put_bytes(L, p, &p->make, &size, sizeof size);
  if (lua_dump(L, write_dump, p, 0) != 0) fail_memory(L, p);
  size = p->make.size - start;
  memcpy(p->make.at + at, &size, sizeof size);
  if (p->at == 1) ed_code_note(L, p->make.at + start, (size_t)size);
}

static void put_kept_dump (lua_State *L, packer *p) {
  uint64_t size = lua_rawlen(L, -1);
  put_bytes(L, p, &p->make, &size, sizeof size);
  put_bytes(L, p, &p->make, lua_tostring(L, -1), (size_t)size);
  lua_pop(L, 1);
}

/* The first is what is offloaded, mostly. */
static void put_code (lua_State *L, packer *p) {
  put_tag(L, p, &p->make, ed_code_is_alone(L, p->globals) ? TAG_CODE : TAG_FUNCTION);
  if (p->at == 1 && ed_code_find(L)) put_kept_dump(L, p);
  else put_dump(L, p);
}

/*
** Upvalue 'i' of the function at the top, its value above it (popped). A variable that holds the
** globals (_ENV) is not shared with others: nobody assigns to it, and all functions have it.
*/
static void put_upvalue (lua_State *L, packer *p, int i) {
  void *id = lua_upvalueid(L, -2, i);
  lua_Integer where;
  if (lua_rawequal(L, -1, p->globals)) {
    put_value(L, p);
    return;
  }
  make_tables(L, p);
  if (lua_rawgetp(L, p->seen, id) == LUA_TNUMBER) {
    where = lua_tointeger(L, -1);
    put_tag(L, p, &p->fill, TAG_SHARED);
    put_count(L, p, &p->fill, (uint64_t)where >> 8);
    put_count(L, p, &p->fill, (uint64_t)where & 255);
    lua_pop(L, 2);
    return;
  }
  lua_pushinteger(L, (lua_Integer)p->at << 8 | i);
  lua_rawsetp(L, p->seen, id);
  lua_pop(L, 1);
  put_value(L, p);
}

static void put_function (lua_State *L, packer *p) {
  if (lua_iscfunction(L, -1)) {
    if (!ed_names_push_member(L, -1)) refuse_object(L, p, "C function");
    put_tag(L, p, &p->make, TAG_MEMBER);
    put_text(L, p, &p->make, -2);
    put_text(L, p, &p->make, -1);
    return;
  }
  put_code(L, p);
  put_tag(L, p, &p->fill, TAG_FUNCTION);
  put_count(L, p, &p->fill, p->at);
  for (int i = 1; lua_getupvalue(L, -1, i) != NULL; i++) put_upvalue(L, p, i);
  put_tag(L, p, &p->fill, TAG_END);
}

static void put_content_of (lua_State *L, packer *p) {
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: put_table(L, p); break;
    case LUA_TFUNCTION: put_function(L, p); break;
    case LUA_TSTRING:
      put_tag(L, p, &p->make, TAG_LONG);
      put_text(L, p, &p->make, -1);
      break;
    default:
      if (!put_module(L, p)) refuse_object(L, p, NULL);
  }
}

/* ---- the whole ---- */

static const char metatable_key = 0; /* in the registry, by address */

static int l_packed_gc (lua_State *L) {
  free_packer(lua_touserdata(L, 1));
  return 0;
}

static void push_metatable (lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_packed_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

static packer *push_packer (lua_State *L, const char *what) {
  packer *p = lua_newuserdatauv(L, sizeof *p, 0);
  memset(p, 0, sizeof *p);
  p->what = what;
  push_metatable(L);
  lua_setmetatable(L, -2);
  p->first = lua_gettop(L) + 1;
  p->seen = p->first + 1;
  p->list = p->first + 2;
  p->globals = p->first + 3;
  p->modules = p->first + 4;
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushglobaltable(L);
  lua_pushnil(L);
  return p;
}

/* 'fill' goes behind 'make', which begins with a header. */
static void join_parts (lua_State *L, packer *p) {
  uint64_t header[2] = {p->n, p->make.size - HEADER};
  memcpy(p->make.at, header, HEADER);
  put_bytes(L, p, &p->make, p->fill.at, p->fill.size);
}

void ed_transfer_pack (lua_State *L, int first, int n, const char *what) {
  char header[HEADER] = "";
  packer *p;
  int top;
  first = lua_absindex(L, first);
  luaL_checkstack(L, 24, "no memory for a transfer");
  p = push_packer(L, what);
  top = lua_gettop(L);
  put_bytes(L, p, &p->make, header, HEADER);
  put_count(L, p, &p->fill, (uint64_t)n);
  for (int i = 0; i < n; i++) {
    p->at = ROOT | (uint32_t)(i + 1);
    lua_pushvalue(L, first + i);
    put_value(L, p);
  }
  for (p->at = 1; p->at <= p->n; p->at++) {
    push_object(L, p, p->at);
    put_content_of(L, p);
    lua_settop(L, top);
  }
  join_parts(L, p);
  lua_settop(L, p->first - 1);
}

ed_bytes ed_transfer_take (lua_State *L, int index) {
  packer *p = lua_touserdata(L, index);
  ed_bytes taken = p->make;
  memset(&p->make, 0, sizeof p->make);
  free_packer(p);
  return taken;
}
