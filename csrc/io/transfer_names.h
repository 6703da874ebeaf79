/* SPDX-License-Identifier: MIT */
/*
** Things that two states have under the same name: modules, functions in them, metatables of
** the registry. A transfer sends their names instead of them.
*/
#ifndef ED_TRANSFER_NAMES_H
#define ED_TRANSFER_NAMES_H

#include <lua.h>
#include <stdbool.h>

/* Push a table: what package.loaded holds -> its name. Tables and userdata only. */
void ed_names_push_modules (lua_State *L);

/* Push the names of the module that has the C function at 'index' and of the function there. */
bool ed_names_push_member (lua_State *L, int index);

/* Push the name under which the registry has the metatable at 'index'. */
bool ed_names_push_metatable (lua_State *L, int index);

/* Replace a name at the top by the module, which is loaded if it is not. */
void ed_names_require (lua_State *L);

#endif
