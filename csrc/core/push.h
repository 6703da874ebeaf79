/* SPDX-License-Identifier: MIT */
/*
** Values that are pushed in more than one place: small helpers over Lua's C API that know neither
** loop nor task.
*/
#ifndef ED_PUSH_H
#define ED_PUSH_H

#include <lua.h>
#include <stddef.h>

/* Push the registry's table at the address 'key', which is weak as 'mode' says ("k", "v"); it is made
   when missing. */
void ed_push_weak (lua_State *L, const void *key, const char *mode);

/* Replace the table at the top, as table.pack makes it, by its values; returns how many. */
int ed_push_unpacked (lua_State *L);

/* Push the text in lower case (ASCII). */
void ed_push_lower (lua_State *L, const char *text, size_t len);

#endif
