/* SPDX-License-Identifier: MIT */
/*
** Any number of values, kept in the first user value of a userdata: what a future, an answered
** callback or a child that is ready holds until somebody asks for it. None and one cost nothing;
** several, nils among them, go into a table with 'n'.
*/
#ifndef ED_VALUES_H
#define ED_VALUES_H

#include <lua.h>
#include <stdint.h>

typedef enum ed_shape { ED_NO_VALUES, ED_ONE_VALUE, ED_MANY_VALUES } ed_shape;

/*
** Move the values from stack index 'first' up into the userdata at 'object' (below 'first').
** Raises when memory is short; then nothing has changed there.
*/
ed_shape ed_values_keep (lua_State *L, int object, int first);

/* Push them; returns how many. */
int ed_values_push (lua_State *L, int object, ed_shape shape);

#endif
