/* SPDX-License-Identifier: MIT */
/*
** Unpacking: first all objects empty, then what goes into them. The bytes were made by the same
** program, so a disagreement is a bug of ours; it is found all the same before it does harm.
*/
#include "io/transfer.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "io/transfer_code.h"
#include "io/transfer_names.h"
#include "io/transfer_tags.h"

typedef struct reader {
  const char *at, *end;
  uint64_t n;  /* objects */
  int objects; /* stack index: number -> object; of one alone: the object */
  bool is_job; /* the first value is the function to be run */
} reader;

/* ---- bytes ---- */

static int fail_damaged (lua_State *L) { return luaL_error(L, "damaged transfer"); }

static const char *take_bytes (lua_State *L, reader *r, uint64_t n) {
  const char *at = r->at;
  if (n > (uint64_t)(r->end - at)) fail_damaged(L);
  r->at += n;
  return at;
}

static tag take_tag (lua_State *L, reader *r) { return (tag)*take_bytes(L, r, 1); }

static uint64_t take_count (lua_State *L, reader *r) {
  uint64_t n = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    unsigned char byte = (unsigned char)*take_bytes(L, r, 1);
    n |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return n;
  }
  return (uint64_t)fail_damaged(L);
}

static void push_text (lua_State *L, reader *r) {
  uint64_t size = take_count(L, r);
  lua_pushlstring(L, take_bytes(L, r, size), (size_t)size);
}

/* ---- values ---- */

static void push_integer (lua_State *L, reader *r) {
  uint64_t n = take_count(L, r);
  lua_pushinteger(L, (lua_Integer)(n >> 1 ^ (n & 1 ? ~(uint64_t)0 : 0)));
}

static void push_float (lua_State *L, reader *r) {
  lua_Number n;
  memcpy(&n, take_bytes(L, r, sizeof n), sizeof n);
  lua_pushnumber(L, n);
}

static void push_object (lua_State *L, reader *r, uint64_t number) {
  if (number == 0 || number > r->n) fail_damaged(L);
  if (r->n == 1) lua_pushvalue(L, r->objects);
  else lua_rawgeti(L, r->objects, (lua_Integer)number);
}

/* The value that 't' begins. */
static void push_value (lua_State *L, reader *r, tag t) {
  switch (t) {
    case TAG_NIL: lua_pushnil(L); break;
    case TAG_FALSE: lua_pushboolean(L, 0); break;
    case TAG_TRUE: lua_pushboolean(L, 1); break;
    case TAG_INTEGER: push_integer(L, r); break;
    case TAG_FLOAT: push_float(L, r); break;
    case TAG_STRING: push_text(L, r); break;
    case TAG_NULL: lua_pushlightuserdata(L, NULL); break;
    case TAG_GLOBALS: lua_pushglobaltable(L); break;
    case TAG_OBJECT: push_object(L, r, take_count(L, r)); break;
    default: fail_damaged(L);
  }
}

/* ---- make ---- */

static int clamp (uint32_t n) { return n > INT_MAX ? INT_MAX : (int)n; }

static void make_table (lua_State *L, reader *r) {
  uint32_t count[2];
  memcpy(count, take_bytes(L, r, sizeof count), sizeof count);
  lua_createtable(L, clamp(count[0]), clamp(count[1]));
}

static void make_function (lua_State *L, reader *r, bool may_be_old) {
  uint64_t size;
  const char *code;
  memcpy(&size, take_bytes(L, r, sizeof size), sizeof size);
  code = take_bytes(L, r, size);
  if (may_be_old) ed_code_load_again(L, code, (size_t)size);
  else ed_code_load(L, code, (size_t)size);
}

static void make_member (lua_State *L, reader *r) {
  push_text(L, r);
  lua_pushvalue(L, -1);
  ed_names_require(L);
  push_text(L, r);
  lua_pushvalue(L, -1);
  if (!lua_istable(L, -3) || lua_rawget(L, -3) == LUA_TNIL)
    luaL_error(L, "there is no function '%s' in module '%s' here", lua_tostring(L, -2),
      lua_tostring(L, -4));
}

static void make_metatable (lua_State *L, reader *r) {
  push_text(L, r);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, LUA_REGISTRYINDEX) != LUA_TTABLE)
    luaL_error(L, "there is no metatable '%s' here", lua_tostring(L, -2));
}

/* Two functions of one transfer are two, and of those only the first is the job's own. */
static void make_object (lua_State *L, reader *r, bool is_first) {
  switch (take_tag(L, r)) {
    case TAG_LONG: push_text(L, r); break;
    case TAG_TABLE: make_table(L, r); break;
    case TAG_FUNCTION: make_function(L, r, false); break;
    case TAG_CODE: make_function(L, r, is_first && r->is_job); break;
    case TAG_MODULE: push_text(L, r), ed_names_require(L); break;
    case TAG_MEMBER: make_member(L, r); break;
    case TAG_METATABLE: make_metatable(L, r); break;
    default: fail_damaged(L);
  }
}

/* Make them, and set 'objects'. */
static void make_objects (lua_State *L, reader *r) {
  if (r->n > 1) lua_createtable(L, r->n > INT_MAX ? INT_MAX : (int)r->n, 0);
  else lua_pushnil(L);
  r->objects = lua_gettop(L);
  for (uint64_t i = 1; i <= r->n; i++) {
    make_object(L, r, i == 1);
    if (r->n > 1) lua_rawseti(L, r->objects, (lua_Integer)i);
    else lua_replace(L, r->objects);
    lua_settop(L, r->objects);
  }
}

/* ---- fill ---- */

static void fill_table (lua_State *L, reader *r) {
  int table = lua_gettop(L);
  lua_Integer n = 0;
  tag t;
  while ((t = take_tag(L, r)) != TAG_END && t != TAG_KEYS) {
    push_value(L, r, t);
    lua_rawseti(L, table, ++n);
  }
  while (t != TAG_END && (t = take_tag(L, r)) != TAG_END) {
    push_value(L, r, t);
    push_value(L, r, take_tag(L, r));
    lua_rawset(L, table);
  }
  if ((t = take_tag(L, r)) == TAG_NIL) return;
  push_value(L, r, t);
  if (!lua_istable(L, -1)) fail_damaged(L);
  lua_setmetatable(L, table);
}

static void join_upvalue (lua_State *L, reader *r, int i) {
  push_object(L, r, take_count(L, r));
  lua_upvaluejoin(L, -2, i, -1, (int)take_count(L, r));
  lua_pop(L, 1);
}

/*
** A new closure's first upvalue holds the globals, whatever it is. Variables that come later may
** be joined to ours, so each is given its value before the next.
*/
static void fill_function (lua_State *L, reader *r) {
  int function = lua_gettop(L);
  tag t;
  for (int i = 1; (t = take_tag(L, r)) != TAG_END; i++) {
    if (t == TAG_SHARED) {
      join_upvalue(L, r, i);
      continue;
    }
    push_value(L, r, t);
    if (lua_setupvalue(L, function, i) == NULL) fail_damaged(L);
  }
}

static void fill_objects (lua_State *L, reader *r) {
  int top = lua_gettop(L);
  while (r->at < r->end) {
    tag t = take_tag(L, r);
    push_object(L, r, take_count(L, r));
    if (t == TAG_TABLE && lua_istable(L, -1)) fill_table(L, r);
    else if (t == TAG_FUNCTION && lua_isfunction(L, -1)) fill_function(L, r);
    else fail_damaged(L);
    lua_settop(L, top);
  }
}

static int push_roots (lua_State *L, reader *r) {
  uint64_t n = take_count(L, r);
  if (n > INT_MAX) fail_damaged(L);
  luaL_checkstack(L, (int)n + 8, "no memory for so many values");
  for (uint64_t i = 0; i < n; i++) push_value(L, r, take_tag(L, r));
  return (int)n;
}

static int unpack (lua_State *L, const char *bytes, size_t size, bool is_job) {
  uint64_t header[2];
  reader r = {bytes, bytes + size, 0, 0, is_job};
  int n;
  if (size == 0) return 0;
  luaL_checkstack(L, 12, "no memory for a transfer");
  memcpy(header, take_bytes(L, &r, HEADER), HEADER);
  r.n = header[0];
  make_objects(L, &r);
  n = push_roots(L, &r);
  fill_objects(L, &r);
  lua_remove(L, r.objects);
  return n;
}

int ed_transfer_unpack (lua_State *L, const char *bytes, size_t size) {
  return unpack(L, bytes, size, false);
}

int ed_transfer_unpack_job (lua_State *L, const char *bytes, size_t size) {
  return unpack(L, bytes, size, true);
}
