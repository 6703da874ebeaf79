/* SPDX-License-Identifier: MIT */
/*
** TLS contexts as Lua has them: made of checked options (lua/eddy/tls.lua has the public form), and freed when
** neither Lua nor a connection holds them.
*/
#include "core/class.h"
#include "core/error.h"
#include "core/permit.h"
#include "eddy.h"
#include "io/tls.h"

typedef struct context_box {
  ed_tls_context *context;
} context_box;

ed_tls_context *ed_tls_opt_context (lua_State *L, int arg) {
  context_box *box;
  if (lua_isnoneornil(L, arg)) return NULL;
  box = ed_class_check(L, ed_loop_of(L), arg, ED_CLASS_TLS);
  luaL_argcheck(L, box->context != NULL, arg, "context was collected");
  return box->context;
}

ed_tls_context *ed_tls_check_context (lua_State *L, int arg) {
  ed_tls_context *context = ed_tls_opt_context(L, arg);
  luaL_argcheck(L, context != NULL, arg, "TLS context expected");
  return context;
}

/* A text of the options at 1, which stay where they are; NULL if there is none. */
static const char *option (lua_State *L, const char *name, size_t *len) {
  const char *text;
  lua_getfield(L, 1, name);
  text = lua_tolstring(L, -1, len); /* anchored by the table */
  lua_pop(L, 1);
  return text;
}

static bool flag (lua_State *L, const char *name) {
  bool is_set;
  lua_getfield(L, 1, name);
  is_set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is_set;
}

static int push_refusal (lua_State *L, const ed_tls_error *why) {
  if (why->code == ED_TLS_FILE)
    return ed_error_uv(L, uv_translate_sys_error(why->system), "tls", why->text);
  if (why->code == ED_TLS_NO_MEMORY) return ed_error_uv(L, UV_ENOMEM, "tls", NULL);
  return ed_error_fail(L, "tls", ed_tls_code_name(why->code), "tls", NULL, why->text);
}

/* In a sandbox: file names among the options become the paths that the host has judged. */
static int check_files (lua_State *L, const ed_loop *loop) {
  static const char *const names[] = {"ca", "cert", "key"};
  ed_permit_check(L, loop, flag(L, "server") ? EDDY_CAP_LISTEN : EDDY_CAP_CONNECT);
  if (loop->permits == NULL) return 0;
  for (int i = 0; i < 3; i++) {
    const char *text = option(L, names[i], NULL);
    if (text == NULL || ed_tls_is_pem(text)) continue;
    if (ed_permit_path(L, loop, EDDY_CAP_READ, "tls", text) > 1) return 2;
    lua_setfield(L, 1, names[i]);
  }
  return 0;
}

/*
** tls.context{server=, verify=, ca=, cert=, key=, ciphers=, alpn=, tls13=} --> context | nil, err
** Texts and flags only (lua/eddy/tls.lua has the public form). Reads files: blocks.
*/
static int l_context (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_tls_options o = {0};
  ed_tls_error why;
  context_box *box;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (check_files(L, loop) > 0) return 2;
  o.is_server = flag(L, "server");
  o.verify = flag(L, "verify");
  o.ca = option(L, "ca", NULL);
  o.cert = option(L, "cert", NULL);
  o.key = option(L, "key", NULL);
  o.ciphers = option(L, "ciphers", NULL);
  o.alpn = option(L, "alpn", &o.alpn_len);
  if (o.alpn == NULL) o.alpn_len = 0;
  o.min_version = flag(L, "tls13") ? ED_TLS_1_3 : ED_TLS_1_2;
  box = ed_class_push(L, loop, ED_CLASS_TLS, sizeof *box, 0);
  box->context = ed_tls_context_new(&o, &why);
  return box->context != NULL ? 1 : push_refusal(L, &why);
}

/*
** tls.stamp(options) --> text | nil
** What tells whether the files that 'ca', 'cert' and 'key' name are still the same: a context that was made of
** them is as good as a new one. Nil: one cannot be read, or a host has a say in it.
*/
static int l_stamp (lua_State *L) {
  static const char *const names[] = {"ca", "cert", "key"};
  char text[3 * ED_TLS_STAMP];
  size_t size = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (ed_loop_of(L)->permits != NULL) return 0;
  for (int i = 0; i < 3; i++) {
    const char *file = option(L, names[i], NULL);
    size_t n = 0;
    if (file == NULL || ed_tls_is_pem(file)) continue;
    if ((n = ed_tls_stamp(file, text + size)) == 0) return 0;
    size += n;
  }
  lua_pushlstring(L, text, size);
  return 1;
}

/* context:add_host(name, context): for clients that ask for this name. */
static int l_add_host (lua_State *L) {
  ed_tls_context *context = ed_tls_check_context(L, 1);
  const char *name = luaL_checkstring(L, 2);
  if (!ed_tls_context_add_host(context, name, ed_tls_check_context(L, 3)))
    return luaL_argerror(L, 2, "not a host name");
  return 0;
}

/* tls.is_context(value) --> boolean */
static int l_is_context (lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, ed_class_test(L, ed_loop_of(L), 1, ED_CLASS_TLS) != NULL);
  return 1;
}

/* context:is_server() --> boolean */
static int l_is_server (lua_State *L) {
  lua_pushboolean(L, ed_tls_context_is_server(ed_tls_check_context(L, 1)));
  return 1;
}

/* context:verifies() --> boolean */
static int l_verifies (lua_State *L) {
  lua_pushboolean(L, ed_tls_context_verifies(ed_tls_check_context(L, 1)));
  return 1;
}

/* Also when the runtime is gone: its memory is OpenSSL's. */
static int l_context_gc (lua_State *L) {
  context_box *box = lua_touserdata(L, 1);
  ed_tls_context_release(box->context);
  box->context = NULL;
  return 0;
}

static int l_context_tostring (lua_State *L) {
  lua_pushfstring(L, "eddy.tls.Context (%s)",
    ed_tls_context_is_server(ed_tls_check_context(L, 1)) ? "server" : "client");
  return 1;
}

static const luaL_Reg functions[] = {
  {"context", l_context},
  {"stamp", l_stamp},
  {"is_context", l_is_context},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"add_host", l_add_host},
  {"is_server", l_is_server},
  {"verifies", l_verifies},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__gc", l_context_gc},
  {"__tostring", l_context_tostring},
  {NULL, NULL},
};

void ed_open_tls_context (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  ed_class_new(L, loop, ED_CLASS_TLS, "eddy.tls.Context", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
