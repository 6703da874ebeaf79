/* SPDX-License-Identifier: MIT */
/*
** References to tasks: where they are while the task lives, and what they know afterwards.
*/
#include "core/task_ref.h"

#include "core/class.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/push.h"

ed_task_ref *ed_ref_check (lua_State *L, int arg) {
  return ed_class_check(L, ed_loop_of(L), arg, ED_CLASS_TASK);
}

ed_task_ref *ed_ref_push_new (lua_State *L, ed_loop *loop) {
  return ed_class_push_raw(L, loop, ED_CLASS_TASK, sizeof(ed_task_ref), 1);
}

enum { STATE_AT = 1, SHAPE_AT = 4, ID_AT = 32 }; /* bits of the word of one on its own */

static void set_free (ed_task_ref *ref, const ed_task *task, ed_task_state state) {
  ref->word = (uint64_t)task->id << ID_AT | (uint64_t)task->shape << SHAPE_AT
    | (uint64_t)state << STATE_AT | 1;
}

uint32_t ed_ref_id (const ed_task_ref *ref) {
  const ed_task *task = ed_ref_task(ref);
  return task != NULL ? task->id : (uint32_t)(ref->word >> ID_AT);
}

static int shape_of (const ed_task_ref *ref) {
  const ed_task *task = ed_ref_task(ref);
  return task != NULL ? task->shape : (int)(ref->word >> SHAPE_AT & 3);
}

/* ---- where they are ---- */

void ed_ref_make_place (lua_State *L, ed_task *task) {
  if (task->has_place) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->refs);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, task->slot);
  lua_pop(L, 1);
  task->has_place = true;
}

void ed_ref_store (lua_State *L, const ed_task *task) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->refs);
  lua_insert(L, -2);
  lua_rawseti(L, -2, task->slot);
  lua_pop(L, 1);
}

/* The level of the frame at the bottom of 'co', found in steps that grow and shrink by two. */
static int bottom_level (lua_State *co) {
  lua_Debug at;
  int level = 0, step = 1;
  while (lua_getstack(co, level + step, &at)) level += step, step *= 2;
  for (; step > 0; step /= 2)
    if (lua_getstack(co, level + step, &at)) level += step;
  return level;
}

/* Of one that has not begun, or for whose frame there was no memory, all lies behind the function. */
static bool has_frame (const ed_task *task) {
  lua_Debug at;
  return task->has_started && lua_getstack(task->co, 0, &at);
}

bool ed_frame_push (lua_State *L, ed_task *task, int slot) {
  lua_State *co = task->co;
  lua_Debug at;
  if (!lua_checkstack(co, 1)) return false;
  if (!has_frame(task)) {
    if (lua_gettop(co) <= slot) return false; /* a script has closed the coroutine */
    lua_pushvalue(co, 1 + slot);
  } else if (!lua_getstack(co, bottom_level(co), &at) || !lua_getlocal(co, &at, slot))
    return false;
  lua_xmove(co, L, 1);
  return true;
}

/* Push the reference that lies in the task's base frame, or is what has become of that. */
static bool push_from_frame (lua_State *L, ed_task *task) {
  if (!ed_task_has_ended(task)) return ed_frame_push(L, task, ED_FRAME_TASK);
  lua_pushvalue(task->co, 1);
  lua_xmove(task->co, L, 1);
  return true;
}

/* (task) */
static int l_make_place (lua_State *L) {
  ed_ref_make_place(L, lua_touserdata(L, 1));
  return 0;
}

static bool has_made_place (lua_State *L, ed_task *task) {
  if (task->has_place) return true;
  lua_pushcfunction(L, l_make_place);
  lua_pushlightuserdata(L, task);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return true;
  lua_pop(L, 1);
  return false;
}

void ed_ref_secure (lua_State *L, ed_task *task) {
  if (!task->is_in_frame) return;
  ed_ref_make_place(L, task);
  ed_ref_rescue(task);
}

void ed_ref_rescue (ed_task *task) {
  lua_State *L = task->loop->L;
  if (!task->is_in_frame) return;
  if (has_made_place(L, task) && push_from_frame(L, task)) ed_ref_store(L, task);
  else {
    set_free(task->ref, task, ED_TASK_CANCELLED);
    task->ref = NULL;
  }
  task->is_in_frame = false;
}

bool ed_task_find (lua_State *L, ed_task *task) {
  if (task->ref == NULL) {
    lua_pushnil(L);
    return false;
  }
  if (task->is_in_frame) {
    if (!push_from_frame(L, task)) lua_pushnil(L);
    return true;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, task->loop->refs);
  lua_rawgeti(L, -1, task->slot);
  lua_remove(L, -2);
  return true;
}

/* The reference at the top becomes the task's, and takes over its result. */
static void adopt (lua_State *L, ed_task *task, ed_task_ref *ref) {
  ed_ref_set(ref, task);
  lua_pushvalue(L, -1);
  ed_ref_store(L, task);
  if (!task->is_on_stack || task->shape == 0) return;
  lua_xmove(task->co, L, 1);
  lua_setiuservalue(L, -2, 1);
  task->is_on_stack = false;
}

/* A finalizer that runs while memory is taken may have asked for the same. */
void ed_task_push (lua_State *L, ed_task *task) {
  if (task->ref == NULL) {
    ed_task_ref *ref;
    ed_ref_make_place(L, task);
    ref = ed_ref_push_new(L, task->loop);
    if (task->ref == NULL) {
      adopt(L, task, ref);
      return;
    }
    lua_pop(L, 1);
  }
  ed_task_find(L, task);
  if (lua_isnil(L, -1)) luaL_error(L, "not enough memory"); /* to get at it */
}

void ed_ref_leave (ed_task *task) {
  ed_task_ref *ref = task->ref;
  if (ref == NULL) return;
  set_free(ref, task, task->state);
  task->ref = NULL;
  if (task->is_in_frame) return;
  lua_pushboolean(task->loop->L, 0); /* the place stays */
  ed_ref_store(task->loop->L, task);
}

/* ---- results ---- */

/* The same for all that could not say how they ended: they were killed or never ran. */
static void push_missing (lua_State *L, ed_task_state state) {
  if (state == ED_TASK_DONE) lua_pushnil(L);
  else if (state == ED_TASK_FAILED) lua_pushliteral(L, "not enough memory");
  else ed_error_push(L, "cancelled", NULL, NULL, NULL, "task cancelled");
}

/* The value at the top, of such a shape: all that it stands for, or the first of that. */
static int unpack (lua_State *L, int shape) {
  return shape == 2 ? ed_push_unpacked(L) : 1;
}

static void keep_first (lua_State *L, int shape) {
  if (shape != 2) return;
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
}

int ed_ref_push_results (lua_State *L, const ed_task_ref *ref, int index) {
  ed_task_state state = ed_ref_state(ref);
  int shape = shape_of(ref);
  if (shape == 0 && state == ED_TASK_DONE) return 0;
  if (shape == 0) push_missing(L, state);
  else lua_getiuservalue(L, index, 1);
  return unpack(L, shape);
}

void ed_ref_push_first (lua_State *L, const ed_task_ref *ref, int index) {
  int shape = shape_of(ref);
  if (shape == 0) push_missing(L, ed_ref_state(ref));
  else lua_getiuservalue(L, index, 1);
  keep_first(L, shape);
}

static void push_value (lua_State *L, ed_task *task) {
  if (task->shape == 0) push_missing(L, task->state);
  else if (task->is_on_stack) {
    lua_pushvalue(task->co, -1);
    lua_xmove(task->co, L, 1);
  } else {
    ed_task_find(L, task);
    lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
  }
}

int ed_task_push_results (lua_State *L, ed_task *task) {
  if (task->shape == 0 && task->state == ED_TASK_DONE) return 0;
  push_value(L, task);
  return unpack(L, task->shape);
}

void ed_task_push_first (lua_State *L, ed_task *task) {
  push_value(L, task);
  keep_first(L, task->shape);
}

bool ed_task_take_first (lua_State *L, ed_task *task) {
  if (task->state != ED_TASK_DONE || task->shape > 1) return false;
  if (task->shape == 0) {
    lua_pushnil(L);
    return true;
  }
  if (!task->is_on_stack) return false;
  lua_xmove(task->co, L, 1);
  task->shape = 0;
  return true;
}
