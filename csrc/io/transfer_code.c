/* SPDX-License-Identifier: MIT */
/*
** Two tables in the registry, by address, with weak values: what was sent, and what was loaded.
*/
#include "io/transfer_code.h"

#include <lauxlib.h>
#include <string.h>

#include "core/push.h"

static const char sent_key = 0, loaded_key = 0;

enum {
  LAST = 1, /* in 'sent': the function that was sent last */
  DUMP = 2, /* its dump, once it was sent twice; else nil */
  PLACES = 4,
  MOST = 4096 /* bytes: larger ones are not kept */
};

/* ---- sending ---- */

/* Is the function below the table at the top the one that was sent last? */
static bool is_last (lua_State *L) {
  bool is_same;
  lua_rawgeti(L, -1, LAST);
  is_same = lua_rawequal(L, -1, -3);
  lua_pop(L, 1);
  return is_same;
}

bool ed_code_find (lua_State *L) {
  ed_push_weak(L, &sent_key, "v");
  if (is_last(L)) lua_rawgeti(L, -1, DUMP);
  else lua_pushnil(L);
  lua_remove(L, -2);
  if (!lua_isnil(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

void ed_code_note (lua_State *L, const char *code, size_t size) {
  ed_push_weak(L, &sent_key, "v");
  if (is_last(L) && size <= MOST) lua_pushlstring(L, code, size);
  else {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, LAST);
    lua_pushnil(L);
  }
  lua_rawseti(L, -2, DUMP);
  lua_pop(L, 1);
}

bool ed_code_is_alone (lua_State *L, int globals) {
  bool is_alone;
  if (lua_getupvalue(L, -1, 1) == NULL) return true;
  is_alone = lua_rawequal(L, -1, globals);
  lua_pop(L, 1);
  if (!is_alone || lua_getupvalue(L, -1, 2) == NULL) return is_alone;
  lua_pop(L, 1);
  return false;
}

/* ---- loading ---- */

/* Where code of such a size is kept: the function there, its bytes behind. */
static int place_of (const char *code, size_t size) {
  return 2 * (int)((size ^ (unsigned char)code[size / 2]) % PLACES) + 1;
}

/* Push what is kept there, if it is these bytes and not collected yet; the table is at the top. */
static bool push_kept (lua_State *L, int place, const char *code, size_t size) {
  bool is_same = lua_rawgeti(L, -1, place + 1) == LUA_TSTRING && lua_rawlen(L, -1) == size
    && memcmp(lua_tostring(L, -1), code, size) == 0;
  lua_pop(L, 1);
  if (!is_same) return false;
  if (lua_rawgeti(L, -1, place) == LUA_TFUNCTION) return true;
  lua_pop(L, 1);
  return false;
}

/* Keep the function at the top in the table below it. */
static void keep (lua_State *L, int place, const char *code, size_t size) {
  lua_pushlstring(L, code, size);
  lua_rawseti(L, -3, place + 1);
  lua_pushvalue(L, -1);
  lua_rawseti(L, -3, place);
}

void ed_code_load (lua_State *L, const char *code, size_t size) {
  if (luaL_loadbufferx(L, code, size, "=transfer", "b") != LUA_OK) lua_error(L);
}

void ed_code_load_again (lua_State *L, const char *code, size_t size) {
  int place;
  if (size == 0 || size > MOST) {
    ed_code_load(L, code, size);
    return;
  }
  place = place_of(code, size);
  ed_push_weak(L, &loaded_key, "v");
  if (!push_kept(L, place, code, size)) {
    ed_code_load(L, code, size);
    keep(L, place, code, size);
  }
  lua_remove(L, -2);
}
