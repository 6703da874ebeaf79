/* SPDX-License-Identifier: MIT */
/*
** Userdata with a metatable, and reading arguments. Behind every object of ours lies a mark: a
** number that nobody else knows, one for each class of each runtime. A type check reads it there,
** which costs a third of comparing metatables. Every C function of ours has the runtime's box as
** its first upvalue; ed_class_new and ed_setfuncs see to that.
*/
#ifndef ED_CLASS_H
#define ED_CLASS_H

#include <string.h>

#include "core/loop.h"

/* Register functions in the table at the top, each with the box at 'box' as upvalue 1. */
void ed_setfuncs (lua_State *L, const luaL_Reg *reg, int box);

/*
** Make the metatable of a class: '__name', 'methods' in a separate '__index' table (unless
** 'meta' has an '__index' of its own), 'meta' entries (__close, __gc, __tostring ...).
** 'box' is the index of the runtime's box.
*/
void ed_class_new (lua_State *L, ed_loop *loop, ed_class id, const char *name,
  const luaL_Reg *methods, const luaL_Reg *meta, int box);

/* A new userdata of 'size' cleared bytes with 'nuv' user values, pushed. */
void *ed_class_push (lua_State *L, ed_loop *loop, ed_class id, size_t size, int nuv);

/* The same, not cleared. */
void *ed_class_push_raw (lua_State *L, ed_loop *loop, ed_class id, size_t size, int nuv);

/* The userdata of class 'id' at 'arg', or NULL. */
static inline void *ed_class_test (lua_State *L, ed_loop *loop, int arg, ed_class id) {
  const char *object = lua_touserdata(L, arg);
  size_t size = object != NULL ? lua_rawlen(L, arg) : 0; /* 0 of a light one */
  uint64_t mark;
  if (size < sizeof mark) return NULL;
  memcpy(&mark, object + size - sizeof mark, sizeof mark);
  return mark == loop->mark + id ? (void *)object : NULL;
}

/* Raise the argument error of what is not one. */
int ed_class_refuse (lua_State *L, ed_loop *loop, int arg, ed_class id);

/* The userdata of class 'id' at 'arg', or an argument error. */
static inline void *ed_class_check (lua_State *L, ed_loop *loop, int arg, ed_class id) {
  void *object = ed_class_test(L, loop, arg, id);
  if (object == NULL) ed_class_refuse(L, loop, arg, id);
  return object;
}

/* Seconds at 'arg' as ns: below 0 is 0, infinite is UINT64_MAX, NaN and non-numbers raise. */
uint64_t ed_check_seconds (lua_State *L, int arg);

/* The same; nil or none is 'otherwise'. */
uint64_t ed_opt_seconds (lua_State *L, int arg, uint64_t otherwise);

/* 'from' plus 'ns', saturating at UINT64_MAX. */
static inline uint64_t ed_after (uint64_t from, uint64_t ns) {
  return ns > UINT64_MAX - from ? UINT64_MAX : from + ns;
}

/* Anything that can be called; raises the usual argument error otherwise. */
void ed_check_object_callable (lua_State *L, int arg);

static inline void ed_check_callable (lua_State *L, int arg) {
  if (!lua_isfunction(L, arg)) ed_check_object_callable(L, arg);
}

#endif
