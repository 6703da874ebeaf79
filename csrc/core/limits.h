/* SPDX-License-Identifier: MIT */
/*
** What one task may use, what it has used, and the end of a task that used too much.
**
** CPU time is what the thread spends in the task's turns. Memory is what Lua's allocator gives out
** in the task's turns, less what it gets back in them. When that goes beyond the limit the task is
** looked at before its next instruction: garbage is collected, and if it is still too much, the
** task is *convicted*. In between, in one C function, it may have twice the limit; beyond that a
** request is refused, which is a lack of memory to Lua, and convicts a body that fails of it.
**
** A convicted task is killed at the next instruction where it can be suspended; elsewhere errors
** drive it there. It ends as "failed" with an error of kind "limit".
**
** The allocator of the state is replaced only while a task with a memory limit lives.
*/
#ifndef ED_LIMITS_H
#define ED_LIMITS_H

#include "core/loop.h"

typedef enum ed_excess {
  ED_WITHIN_LIMITS,
  ED_OVER_CPU,     /* its CPU time, or what a host allows between two waits */
  ED_OVER_MEMORY,  /* its bytes */
  ED_OVER_PATIENCE /* of the host, who was asked */
} ed_excess;

typedef struct ed_limits {
  struct ed_nest *nest; /* of its coroutines: see task.h */
  uint64_t slice;       /* ns, or 0: that of the runtime */
  uint64_t cpu;         /* ns, or 0: no limit */
  size_t memory;        /* bytes, or 0: no limit */
  uint64_t used;        /* CPU ns in turns that are over */
  uint64_t alone;       /* of these, since it last waited */
  uint64_t mark;        /* the thread's clock when the turn began */
  size_t bytes;
  uint8_t excess;    /* ed_excess: it is convicted */
  bool is_noticed;   /* it has more than its bytes: look at it soon */
  bool is_refused;   /* its latest request for memory */
  bool is_suspended; /* the limit: we ask for memory ourselves */
} ed_limits;

/*
** The options slice, cpu and memory of the table at 'index' of the stack; raises for bad values.
** False: there are none.
*/
bool ed_limits_check (lua_State *L, int index, ed_limits *limits);

/* Before a task is spawned that gets these limits: whatever can fail. Raises. */
void ed_limits_prepare (lua_State *L, ed_loop *loop, const ed_limits *limits);

/* Give the task, which was spawned just now, what was prepared. */
void ed_limits_set (ed_task *task, const ed_limits *limits);

/* Those of the running task, made if need be; NULL when memory is short. 'used' ns are over. */
ed_limits *ed_limits_of (ed_task *task, uint64_t used);

static inline ed_limits *ed_limits_get (const ed_task *task) {
  return task->has_limits ? task->limits : NULL;
}

/* Is it convicted? */
static inline bool ed_limits_has_excess (const ed_task *task) {
  return task->has_limits && task->limits->excess != ED_WITHIN_LIMITS;
}

/* It was noticed: convict the running task if it is not just garbage. May run finalizers. */
void ed_limits_weigh (lua_State *L, ed_task *task);

/* The task ends. */
void ed_limits_free (ed_task *task);

/* A turn begins; 'goes_on': the task has not waited since the last one. And ends, or is added up. */
void ed_limits_begin (ed_limits *limits, bool goes_on);
void ed_limits_end (ed_limits *limits);

/* CPU ns that the running task has used so far; and since it last waited. */
uint64_t ed_limits_used (const ed_limits *limits);
uint64_t ed_limits_alone (const ed_limits *limits);

/*
** Convict a task that has limits and lives. 'has_stack': it is killed where it stands, so its
** error tells its stack as it is now (as far as there is memory), if nothing does yet. 'L' is the
** coroutine that runs, or that of the scheduler.
*/
void ed_limits_convict (lua_State *L, ed_task *task, ed_excess excess, bool has_stack);

/* Push the error of a convicted task. May raise. */
void ed_limits_push (lua_State *L, ed_task *task);

/* A task was killed. If it is convicted its error becomes its result. */
bool ed_limits_fail (ed_task *task);

/* The body has failed with the value at the top: that of a convicted task is replaced. Never
   raises. */
void ed_limits_replace (lua_State *L, ed_task *task);

/* The runtime goes: take the allocator out. */
void ed_limits_close (lua_State *L, ed_loop *loop);

#endif
