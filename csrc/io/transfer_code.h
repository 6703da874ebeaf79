/* SPDX-License-Identifier: MIT */
/*
** Code that travels again and again: mostly it is the same function that is offloaded, and dumping and
** loading it is a third of what a small job costs.
**
** The sender keeps the dump of the function that it has sent twice in a row, as long as that lives. The
** receiver keeps a few functions, until the next collection, with the bytes they were loaded from,
** and runs them again for the same bytes. It does that only for a job's own function, and only if that
** has no variable but the globals: then a function is nothing but its code.
*/
#ifndef ED_TRANSFER_CODE_H
#define ED_TRANSFER_CODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Push the dump of the function at the top, a string, if it is kept. */
bool ed_code_find (lua_State *L);

/* The function at the top was dumped: is that the second time? Then the dump is kept. May raise. */
void ed_code_note (lua_State *L, const char *code, size_t size);

/* Has the function at the top no variables, or the globals (at 'globals') alone? */
bool ed_code_is_alone (lua_State *L, int globals);

/* Push the function that these bytes are; raises when they cannot be loaded. */
void ed_code_load (lua_State *L, const char *code, size_t size);

/* The same, or one that was loaded from such bytes before. */
void ed_code_load_again (lua_State *L, const char *code, size_t size);

#endif
