/* SPDX-License-Identifier: MIT */
/*
** Addresses for Lua: take apart, join, escape. What 'parse' answers is ready to be used: the
** target is escaped, the authority is what a Host field wants, 'href' is without credentials
** and fragment. Touches no loop; every function is a plain one.
*/
#include <string.h>

#include "bind/url_lua.h"
#include "core/class.h"
#include "core/error.h"
#include "core/push.h"
#include "proto/url.h"

/* Without the text itself: it may hold a password, or bytes that no terminal should see. */
static int fail (lua_State *L, int code) {
  return ed_error_fail(L, "protocol", "EINVAL", "url", NULL, ed_url_error_text(code));
}

static void set_span (lua_State *L, const char *field, const char *text, ed_span span) {
  lua_pushlstring(L, text + span.at, span.len);
  lua_setfield(L, -2, field);
}

/* "host", "host:port" where the port is not the scheme's own, brackets around IPv6. */
static void push_authority (lua_State *L, const ed_url *url, const char *text) {
  int usual = url->secure ? 443 : 80;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  if (url->literal) luaL_addchar(&b, '[');
  luaL_addlstring(&b, text + url->host.at, url->host.len);
  if (url->literal) luaL_addchar(&b, ']');
  if (url->port != usual) {
    lua_pushfstring(L, ":%d", (int)url->port);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

static void push_target (lua_State *L, const ed_url *url, const char *text) {
  size_t room = 3 * ((size_t)url->path.len + url->query.len + 1) + 1;
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, room);
  luaL_pushresultsize(&b, ed_url_target(to, room, url, text));
}

static void push_parts (lua_State *L, const ed_url *url, const char *text) {
  const char *scheme = url->secure ? "https" : "http";
  lua_createtable(L, 0, 8);
  ed_push_lower(L, text + url->host.at, url->host.len);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, url->port);
  lua_setfield(L, -2, "port");
  lua_pushstring(L, scheme);
  lua_setfield(L, -2, "scheme");
  if (url->userinfo.at > 0) set_span(L, "userinfo", text, url->userinfo);
  push_authority(L, url, text);
  push_target(L, url, text);
  lua_pushfstring(L, "%s://%s%s", scheme, lua_tostring(L, -2), lua_tostring(L, -1));
  lua_setfield(L, -4, "href");
  lua_setfield(L, -3, "target");
  lua_setfield(L, -2, "authority");
}

/*
** url.parse(text) --> {scheme=, host=, port=, authority=, target=, href=, userinfo=} | nil, err
** The parts of an absolute http or https address. 'userinfo' is nil where there is none.
*/
static int l_parse (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  ed_url url;
  int code = ed_url_parse(&url, text, len);
  if (code != ED_URL_OK) return fail(L, code);
  push_parts(L, &url, text);
  return 1;
}

/*
** url.join(base, reference) --> text | nil, err
** Resolve a reference against an absolute base (RFC 3986), dots removed.
*/
static int l_join (lua_State *L) {
  size_t nbase;
  size_t nref;
  const char *base = luaL_checklstring(L, 1, &nbase);
  const char *ref = luaL_checklstring(L, 2, &nref);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, nbase + nref + 1);
  long len = ed_url_join(to, nbase + nref + 1, base, nbase, ref, nref);
  luaL_pushresultsize(&b, len < 0 ? 0 : (size_t)len);
  return len < 0 ? fail(L, (int)len) : 1;
}

/* url.escape(text) --> text: everything percent-encoded but letters, digits and "-._~". */
static int l_escape (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, 3 * len);
  luaL_pushresultsize(&b, ed_url_escape(to, 3 * len, text, len));
  return 1;
}

/* url.clean(text) --> text: percent-encoded only what may stand nowhere in an address. */
static int l_clean (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, 3 * len);
  luaL_pushresultsize(&b, ed_url_clean(to, 3 * len, text, len));
  return 1;
}

/* url.unescape(text) --> text | nil, err: percent-encoding undone; "+" stays. */
static int l_unescape (lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, len);
  long n = ed_url_unescape(to, text, len);
  luaL_pushresultsize(&b, n < 0 ? 0 : (size_t)n);
  return n < 0 ? fail(L, (int)n) : 1;
}

static const luaL_Reg functions[] = {
  {"parse", l_parse},
  {"join", l_join},
  {"escape", l_escape},
  {"clean", l_clean},
  {"unescape", l_unescape},
  {NULL, NULL},
};

void ed_open_url (lua_State *L, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
}
