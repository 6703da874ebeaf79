/* SPDX-License-Identifier: MIT */
/*
** Lua values as bytes, for another state of the same process: packed in one, unpacked in the
** other, possibly on another thread. The bytes are one malloc'ed block that knows no state.
**
** What travels: nil, booleans, numbers, strings, tables with their plain metatables, Lua
** functions with their upvalues; within one transfer, whatever was one thing stays one thing
** (tables, functions, long strings, variables that functions share), so cycles are no matter.
** By name travel the globals (as the globals of the other side), modules (values in
** package.loaded, required there), functions of C modules, and metatables that the registry
** knows by their '__name'. NULL as light userdata travels too, which some libraries use as null.
** Refused are other userdata, coroutines, unknown C functions, and tables that want to be told of
** their end ('__gc', '__close'): a copy would be told as well.
**
** Promises: no recursion, whatever the depth; a refusal names the path of the culprit and leaves
** nothing behind. Metamethods are not called.
*/
#ifndef ED_TRANSFER_H
#define ED_TRANSFER_H

#include <lua.h>
#include <stddef.h>

typedef struct ed_bytes {
  char *at; /* malloc'ed, or NULL */
  size_t size;
  size_t room;
} ed_bytes;

/*
** Pack 'n' values from index 'first' on and push a userdata that owns the result. 'what' names
** the values in a refusal: "argument" makes "cannot transfer argument 2.foo.bar: userdata".
** Raises that, or when memory is short.
*/
void ed_transfer_pack (lua_State *L, int first, int n, const char *what);

/* Take the block out of the userdata at 'index'. Never fails. */
ed_bytes ed_transfer_take (lua_State *L, int index);

/*
** Push the values of a block and return how many; no bytes are no values. Requires modules, so it may run Lua; raises
** when that fails or memory is short.
*/
int ed_transfer_unpack (lua_State *L, const char *bytes, size_t size);

/* The same of a function and its arguments: the function may be one that was unpacked before, if it
   has no variables of its own (io/transfer_code). */
int ed_transfer_unpack_job (lua_State *L, const char *bytes, size_t size);

#endif
