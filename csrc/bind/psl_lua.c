/* SPDX-License-Identifier: MIT */
/*
** Public suffixes, the names below which anybody can register ("com", "co.uk"): from libpsl's list
** where that was found when eddy was built. The list is the library's constant data.
*/
#include "bind/psl_lua.h"

#include <lauxlib.h>

#ifdef ED_HAVE_PSL
#include <libpsl.h>
#endif

/*
** is_public_suffix(domain) --> boolean | nil
** 'domain' in lower case. nil: there is no list. Does not wait.
*/
static int l_is_public_suffix (lua_State *L) {
  const char *domain = luaL_checkstring(L, 1);
#ifdef ED_HAVE_PSL
  const psl_ctx_t *list = psl_builtin();
  if (list == NULL) return 0;
  lua_pushboolean(L, psl_is_public_suffix(list, domain));
  return 1;
#else
  (void)domain;
  return 0;
#endif
}

void ed_open_psl (lua_State *L) { lua_pushcfunction(L, l_is_public_suffix); }
