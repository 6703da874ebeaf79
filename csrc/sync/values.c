/* SPDX-License-Identifier: MIT */
/*
** Keeping and pushing any number of values. See values.h.
*/
#include "sync/values.h"

#include "core/push.h"

#include <lauxlib.h>

ed_shape ed_values_keep (lua_State *L, int object, int first) {
  int n = lua_gettop(L) - first + 1;
  object = lua_absindex(L, object);
  if (n <= 0) return ED_NO_VALUES;
  if (n == 1) {
    lua_setiuservalue(L, object, 1);
    return ED_ONE_VALUE;
  }
  lua_createtable(L, n, 1);
  lua_insert(L, first);
  for (int i = n; i > 0; i--) lua_rawseti(L, first, i);
  lua_pushinteger(L, n);
  lua_setfield(L, first, "n");
  lua_setiuservalue(L, object, 1);
  return ED_MANY_VALUES;
}

int ed_values_push (lua_State *L, int object, ed_shape shape) {
  if (shape == ED_NO_VALUES) return 0;
  lua_getiuservalue(L, object, 1);
  if (shape == ED_ONE_VALUE) return 1;
  return ed_push_unpacked(L);
}
