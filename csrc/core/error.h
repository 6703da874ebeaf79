/* SPDX-License-Identifier: MIT */
/*
** Error objects: tables with the metatable eddy.Error and the fields kind, code, op, target,
** message, cause, reason, suppressed, traceback. Any Lua value may be an error; these are the
** ones that eddy makes. The world's failures are returned as nil and such an object, misuse is
** a string raised with position, cancellation is raised and absorbed by its own scope.
*/
#ifndef ED_ERROR_H
#define ED_ERROR_H

#include <lua.h>

#include "core/loop.h"

/*
** Push a new error object. 'code' NULL: the same as 'kind'. 'op', 'target', 'message' may be
** NULL and are left out then.
*/
void ed_error_push (lua_State *L, const char *kind, const char *code, const char *op,
  const char *target, const char *message);

/* Push nil and an error object for a negative UV_E code; returns 2. */
int ed_error_uv (lua_State *L, int status, const char *op, const char *target);

/* Push nil and an error object; returns 2. */
int ed_error_fail (lua_State *L, const char *kind, const char *code, const char *op,
  const char *target, const char *message);

/* The kind that a UV_E code belongs to ("timeout", "closed", "permission", "io" ...). */
const char *ed_error_kind (int status);

/* Is the value at 'index' an object of eddy.Error (or ErrorGroup)? */
bool ed_error_is (lua_State *L, int index);

/*
** Push an ErrorGroup of the 'n' values on top of the stack (popped). The table at 'texts', an
** absolute index, has the traceback of each, where there is one; it becomes a field.
*/
void ed_error_group (lua_State *L, int n, int texts);

/* Create the metatables; push the module functions 'error', 'is', 'Error', 'ErrorGroup' into
   the table at the top. */
void ed_open_error (lua_State *L);

#endif
