/* SPDX-License-Identifier: MIT */
/*
** Error objects and their two metatables, kept in the registry under their names. The text of
** an error is one line: what was tried, on what, what went wrong, and the code.
*/
#include "core/error.h"

#include <string.h>

#include "core/class.h"

static const char error_name[] = "eddy.Error";
static const char group_name[] = "eddy.ErrorGroup";

enum {
  LINE_SHOWN =
    4096,          /* bytes of a group's line before the rest of the members is counted */
  GROUPS_SHOWN = 8 /* one inside the other */
};

static void set_text (lua_State *L, const char *field, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

void ed_error_push (lua_State *L, const char *kind, const char *code, const char *op,
  const char *target, const char *message) {
  luaL_checkstack(L, 4, "error object");
  lua_createtable(L, 0, 6);
  set_text(L, "kind", kind);
  set_text(L, "code", code != NULL ? code : kind);
  set_text(L, "op", op);
  set_text(L, "target", target);
  set_text(L, "message", message);
  luaL_setmetatable(L, error_name);
}

int ed_error_fail (lua_State *L, const char *kind, const char *code, const char *op,
  const char *target, const char *message) {
  lua_pushnil(L);
  ed_error_push(L, kind, code, op, target, message);
  return 2;
}

/* What libuv's codes mean in the contract, where that is not "io" and the code's own name. */
static const struct code_row {
  int status;
  const char *kind, *code, *message;
} code_rows[] = {
  {UV_ECANCELED, "closed", "ECLOSED", "closed while it was being used"},
  {UV_EOF, "io", "EOF", "the peer ended the connection"},
  {UV_ETIMEDOUT, "timeout", "ETIMEDOUT", NULL},
  {UV_EACCES, "permission", NULL, NULL},
  {UV_EPERM, "permission", NULL, NULL},
  {UV_EAI_NONAME, "io", "ENOTFOUND", "unknown host"},
  {UV_EAI_NODATA, "io", "ENOTFOUND", "the host has no address"},
  {UV_EAI_ADDRFAMILY, "io", "ENOTFOUND", "the host has no such address"},
  {UV_EAI_AGAIN, "io", "EAGAIN", "the name service did not answer"},
  {UV_EAI_FAIL, "io", "EAGAIN", "the name service failed"},
  {UV_EAI_CANCELED, "closed", "ECLOSED", "name lookup given up"},
  {UV_EAI_MEMORY, "io", "ENOMEM", NULL},
  {0, NULL, NULL, NULL},
};

static const struct code_row *find_row (int status) {
  const struct code_row *row = code_rows;
  while (row->kind != NULL && row->status != status) row++;
  return row;
}

const char *ed_error_kind (int status) {
  const struct code_row *row = find_row(status);
  return row->kind != NULL ? row->kind : "io";
}

int ed_error_uv (lua_State *L, int status, const char *op, const char *target) {
  const struct code_row *row = find_row(status);
  char code[32], message[128];
  uv_err_name_r(status, code, sizeof code);
  uv_strerror_r(status, message, sizeof message);
  return ed_error_fail(L, row->kind != NULL ? row->kind : "io",
    row->code != NULL ? row->code : code, op, target,
    row->message != NULL ? row->message : message);
}

static bool has_metatable (lua_State *L, int index, const char *name) {
  bool same;
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, name);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

bool ed_error_is (lua_State *L, int index) {
  index = lua_absindex(L, index);
  return has_metatable(L, index, error_name) || has_metatable(L, index, group_name);
}

void ed_error_group (lua_State *L, int n, int texts) {
  lua_createtable(L, n, 0);
  lua_insert(L, -n - 1);
  for (int i = n; i > 0; i--) lua_rawseti(L, -i - 1, i);
  ed_error_push(L, "group", NULL, NULL, NULL, NULL);
  lua_pushfstring(L, n == 1 ? "%d task failed" : "%d tasks failed", n);
  lua_setfield(L, -2, "message");
  lua_insert(L, -2);
  lua_setfield(L, -2, "errors");
  lua_pushvalue(L, texts);
  lua_setfield(L, -2, "tracebacks");
  luaL_setmetatable(L, group_name);
}

/* ---- Lua ---- */

static bool add_field (
  lua_State *L, luaL_Buffer *b, const char *field, const char *before) {
  if (lua_getfield(L, 1, field) == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  luaL_tolstring(L, -1, NULL);
  lua_remove(L, -2);
  lua_pushstring(L, before);
  lua_insert(L, -2);
  lua_concat(L, 2);
  luaL_addvalue(b);
  return true;
}

/*
** tostring(err) --> "connect 127.0.0.1:1: connection refused (ECONNREFUSED)"
*/
static int l_error_tostring (lua_State *L) {
  luaL_Buffer b;
  bool has_op, has_target;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_buffinit(L, &b);
  has_op = add_field(L, &b, "op", "");
  has_target = add_field(L, &b, "target", has_op ? " " : "");
  if (!add_field(L, &b, "message", has_op || has_target ? ": " : ""))
    add_field(L, &b, "kind", has_op || has_target ? ": " : "");
  if (add_field(L, &b, "code", " (")) luaL_addchar(&b, ')');
  luaL_pushresult(&b);
  return 1;
}

static void push_group_text (lua_State *L, int group, int depth);

/* A group in a group in a group ... is written by hand, since Lua nests few calls of C functions. */
static void push_member_text (lua_State *L, int depth) {
  int member = lua_gettop(L);
  if (!has_metatable(L, member, group_name)) luaL_tolstring(L, member, NULL);
  else if (depth < GROUPS_SHOWN) push_group_text(L, member, depth + 1);
  else lua_getfield(L, member, "message"), luaL_tolstring(L, -1, NULL);
  lua_replace(L, member);
  lua_settop(L, member);
}

/* One line that names the members, as many as a line can hold. */
static void push_group_text (lua_State *L, int group, int depth) {
  luaL_Buffer b;
  lua_Integer n;
  int errors;
  luaL_checkstack(L, 12, "error group");
  lua_getfield(L, group, "errors");
  errors = lua_gettop(L);
  n = luaL_len(L, errors);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, n == 1 ? "one task failed:" : "several tasks failed:");
  for (lua_Integer i = 1; i <= n; i++) {
    luaL_addstring(&b, i == 1 ? " " : "; ");
    if (luaL_bufflen(&b) > LINE_SHOWN) {
      lua_pushfstring(L, "and %I more", (LUAI_UACINT)(n - i + 1));
      luaL_addvalue(&b);
      break;
    }
    lua_geti(L, errors, i);
    push_member_text(L, depth);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_replace(L, errors);
}

/*
** tostring(group) --> "several tasks failed: ...; ..."
*/
static int l_group_tostring (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  push_group_text(L, 1, 1);
  return 1;
}

/*
** eddy.error{kind=, code=, message=, ...} --> error object
** The table itself becomes the object; 'kind' defaults to "error", 'code' to the kind.
*/
static int l_error (lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "kind") == LUA_TNIL) {
    lua_pushliteral(L, "error");
    lua_setfield(L, 1, "kind");
  }
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "code") == LUA_TNIL) {
    lua_getfield(L, 1, "kind");
    lua_setfield(L, 1, "code");
  }
  lua_settop(L, 1);
  luaL_setmetatable(L, error_name);
  return 1;
}

static bool field_equals (lua_State *L, const char *field) {
  bool same;
  lua_getfield(L, 1, field);
  same = lua_rawequal(L, -1, 2);
  lua_pop(L, 1);
  return same;
}

/*
** eddy.is(err, what) --> boolean
** True for an error object whose kind or code is 'what'. Causes are not looked into.
*/
static int l_is (lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checkstring(L, 2);
  lua_pushboolean(
    L, ed_error_is(L, 1) && (field_equals(L, "kind") || field_equals(L, "code")));
  return 1;
}

static const luaL_Reg functions[] = {
  {"error", l_error},
  {"is", l_is},
  {NULL, NULL},
};

static void new_metatable (lua_State *L, const char *name, lua_CFunction tostring) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, tostring);
  lua_setfield(L, -2, "__tostring");
}

void ed_open_error (lua_State *L) {
  luaL_setfuncs(L, functions, 0);
  new_metatable(L, error_name, l_error_tostring);
  lua_setfield(L, -2, "Error");
  new_metatable(L, group_name, l_group_tostring);
  lua_setfield(L, -2, "ErrorGroup");
}
