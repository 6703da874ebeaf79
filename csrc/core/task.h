/* SPDX-License-Identifier: MIT */
/*
** A task: a coroutine with an owner.
**
** The task is memory of the runtime's, in one piece with its coroutine, which is anchored in a table:
** both serve one task after the other, so that a spawn makes nothing but what the script holds
** (core/task_ref), and a member of a gather nothing at all. The body runs under a C base frame that calls
** it with lua_pcallk *inside* the coroutine, because Lua runs the to-be-closed variables of a
** coroutine that dies by an error only if something in it catches the error; there they may
** still wait, and the message handler sees the live stack.
**
** Promises: spawn, finish and wake are O(1). A task that has ended is let go as soon as nobody is
** to collect its result (is_held, or a failure that its owner has not seen); from then on nothing may
** point to it. Its result stays in the reference, if there is one, and can be read any number of times.
*/
#ifndef ED_TASK_H
#define ED_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/op.h"
#include "core/scope.h"

typedef enum ed_task_state {
  ED_TASK_READY,
  ED_TASK_RUNNING,
  ED_TASK_WAITING,
  ED_TASK_DONE, /* this and the following: ended */
  ED_TASK_FAILED,
  ED_TASK_CANCELLED
} ed_task_state;

/* Somebody who wants to know when a task ends. */
typedef struct ed_watch {
  ed_link link;
  void (*ended)(struct ed_watch *watch, ed_task *task); /* unlinked before; no Lua */
  bool is_silent; /* nobody awaits the task by this: it is about what the task holds */
} ed_watch;

typedef struct ed_task_ref ed_task_ref;

/* Indices in the base frame: the function that spawned the task or nil; the task, or its reference. */
enum { ED_FRAME_SPAWNER = 1, ED_FRAME_TASK = 3 };

/* What each switch looks at comes first: of ten thousand tasks none is in the cache when its turn comes. */
struct ed_task {
  ed_link ready;   /* in the loop's ready list */
  ed_op *op;       /* what the task waits for; NULL: nothing, or taken away by a scope */
  lua_State *co;   /* its own, for good */
  lua_State *leaf; /* the coroutine inside it that runs or waits; co itself, mostly */
  ed_scope *scope; /* innermost block */
  uint16_t barred; /* how many reasons there are why it cannot wait just now */
  uint8_t state;
  uint8_t atomic; /* how many eddy.atomic it is in: it must not wait */
  bool has_started : 1;
  bool is_spare : 1;  /* nobody's: it has ended and was let go, or never began */
  bool is_ending : 1; /* those who want to know are being told: it is let go after that */
  bool has_place : 1; /* in the table of references, for good */
  bool is_in_frame : 1; /* its reference is an argument of its base frame only */
  bool has_vars : 1;    /* task-local variables are bound (core/var) */
  bool has_ending : 1;  /* there is something to be closed (core/ending) */
  bool is_joining : 1;  /* waits for the children of its innermost scope */
  bool is_on_stack : 1; /* the result lies on its coroutine, which it keeps */
  bool is_killed : 1;
  /* let others run first: core/probe keeps to that, and takes it back */
  bool has_yielded : 1;
  bool is_held : 1;    /* keep the slot when it ends: somebody will collect the result */
  bool has_failed : 1; /* the body ended by an error or a cancellation */
  bool has_limits : 1; /* they lie in the nest's place */
  bool is_preempted : 1; /* ready, because its slice was over (core/slice) */
  uint16_t swallowed; /* cancellations delivered to this scope without its being left */
  ed_loop *loop;
  ed_scope root;    /* the body */
  ed_link sibling;  /* in the owner's children */
  ed_link watchers; /* ed_watch, in order of arrival */
  union {
    struct ed_nest *nest; /* coroutines between co and leaf (core/coroutine), or NULL */
    struct ed_limits
      *limits; /* has_limits: what it may use (core/limits); the nest is there */
  };
  ed_task_ref *ref; /* what scripts hold, or NULL */
  int slot;  /* of its coroutine, and of its reference if that is not in the frame */
  int nargs; /* of the first resume; later: failures of children before the body's */
  uint32_t id;
  uint32_t filed; /* number of the resume in which its failure was filed (core/trace) */
  uint32_t since; /* ms: of the first reason of 'barred', or 0 */
  uint32_t line : 24; /* that spawned it (core/site), or 0 */
  uint32_t
    shape : 2; /* of the result: 0 none, 1 one value, 2 several in a table with n */
  uint32_t outcome : 3; /* ed_task_state to be, decided by the base frame */
  uint32_t round : 3;   /* of the loop, in which it was preempted */
};

static inline bool ed_task_has_ended (const ed_task *task) {
  return task->state >= ED_TASK_DONE;
}

/* Whose stack holds the arguments, and takes the results, of the C function that waits. */
static inline lua_State *ed_task_leaf (const ed_task *task) { return task->leaf; }

/*
** A new task owned by 'owner', ready to run: the function and its 'nargs' arguments are taken
** from the top of the stack. Raises when memory is short or the owner is closed; then nothing
** is left behind. 'has_ref': a script will hold the task, whose reference is pushed.
*/
ed_task *ed_task_spawn (
  lua_State *L, ed_loop *loop, ed_scope *owner, int nargs, bool has_ref);

/* Push the reference of a task that was not let go; it is made if there is none. May raise. */
void ed_task_push (lua_State *L, ed_task *task);

/* Push it if there is one, or nil and return false. Allocates nothing. */
bool ed_task_find (lua_State *L, ed_task *task);

/* The function at the bottom of every task's own coroutine. */
int ed_task_base (lua_State *L);

/* Make a waiting task ready. Does nothing to a task that is ready, runs or has ended. */
void ed_task_wake (ed_task *task);

/* Run a ready task until it waits or ends. */
void ed_task_resume (ed_loop *loop, ed_task *task);

/* Run the first 'n' of the ready tasks, or as many as there are. */
void ed_task_run_ready (ed_loop *loop, int n);

/* The coroutine of 'task' is at rest and the result in place: tell those who want to know. */
void ed_task_end (ed_task *task, ed_task_state outcome);

/* Close the coroutine of a task that is killed, and those inside. */
void ed_task_close (ed_task *task);

/*
** End a task now, whatever it does: its coroutine is closed ('<close>' variables run once and
** cannot wait), what it waits for is let go, its children are killed too.
*/
void ed_task_kill (ed_task *task);

/* Push the results (any number) of an ended task that was not let go, or its error (one value). */
int ed_task_push_results (lua_State *L, ed_task *task);

/* Push the first result of such a task, or its error. */
void ed_task_push_first (lua_State *L, ed_task *task);

/* Push the first result of a task that succeeded, and forget it, where that is quick. */
bool ed_task_take_first (lua_State *L, ed_task *task);

/*
** Wait for the children of 'scope', the innermost of the running task, as the continuation
** 'k' with context 'ctx'. To be called as 'return'; 'k' finds live == 0.
*/
int ed_task_join_children (
  lua_State *L, ed_scope *scope, lua_KContext ctx, lua_KFunction k);

/*
** Decide how a scope ends whose children have ended: if any failed, push what is to be raised
** (one error as itself, several as an ErrorGroup in order of completion) and return true. The
** body's own failure is at 'body' (0: none) and came after 'order' failures of children.
** Failed children are let go.
*/
bool ed_scope_push_failure (lua_State *L, ed_scope *scope, int body, uint32_t order);

/* How many children of 'scope' have failed so far. */
uint32_t ed_scope_failures (const ed_scope *scope);

/* Let go of the failed children of 'scope', of which none lives: nobody will be told. */
void ed_scope_release_children (ed_scope *scope);

/* Let go of an ended task that was kept (a failed child, a held member of a gather). */
void ed_task_release (ed_task *task);

/* spawn_with in 'owner': the options are at 'index', then the function and its arguments. */
int ed_task_spawn_with (lua_State *L, ed_loop *loop, ed_scope *owner, int index);

/*
** The name of a live task into 'text': given by the script or made from its number. Needs a few
** places on the stack of L, allocates nothing and never raises.
*/
void ed_task_name (lua_State *L, ed_task *task, char *text, size_t room);

/* The same for who is waited for, who may have ended just now. */
void ed_task_describe (const ed_task_ref *ref, char *text, size_t room);

/* As part of a sentence: task 7, or task 'x'. */
void ed_task_quote (lua_State *L, ed_task *task, char *text, size_t room);

/* Was it given a name by a script? */
bool ed_task_is_named (lua_State *L, ed_task *task);

/* Name the task whose reference is at 'task' by the string at 'name', both absolute. */
void ed_task_set_name (lua_State *L, ed_loop *loop, int task, int name);

/* Cancel a task for 'why'; true if this was the first request. */
bool ed_task_cancel (ed_task *task, ed_why why);

/* The running task will not be resumed: it is killed when it is back in the scheduler. */
int ed_task_give_up (lua_State *L, ed_task *task);

/* Push one line about a task: name, state, what it waits for. */
void ed_task_push_line (lua_State *L, ed_task *task);

/* "ready", "waiting" ... */
const char *ed_task_status (const ed_task *task);

/* Throw away all spare tasks beyond 'keep'. */
void ed_task_trim (ed_loop *loop, uint32_t keep);

/* The same for all of them when the tables of the Lua state are of no interest any more. */
void ed_task_free_spares (ed_loop *loop);

/* No task lives: give back the tables of a run that had very many at once. May raise. */
void ed_task_shrink (lua_State *L, ed_loop *loop);

void ed_open_task (lua_State *L, ed_loop *loop, int box);

#endif
