/* SPDX-License-Identifier: MIT */
/*
** Scopes: who owns whom, and what is cancelled.
**
** Every block (group, timeout, within, shield) and every task's own body is a scope. A task's
** scopes form a stack; a child task's root scope hangs below the scope that owns the child. The
** whole is one tree. Cancelling is a level, not an edge: 'cause' of a scope is the outermost
** cancelled scope that it is under, up to the first shield, and while it is set every
** checkpoint in the scope raises that scope's cancellation.
**
** Promises: pushing and popping are O(1); cancelling walks the descendants once, without
** recursion and without memory. Nothing here touches Lua except ed_cancel_raise and friends.
*/
#ifndef ED_SCOPE_H
#define ED_SCOPE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "core/op.h"

/* Why a scope was cancelled; the reason a script sees unless it gave one itself. */
typedef enum ed_why {
  ED_NOT_CANCELLED,
  ED_BY_USER,     /* task:cancel, group:cancel */
  ED_BY_FAILURE,  /* a member failed */
  ED_BY_TIMEOUT,  /* the block's deadline passed */
  ED_BY_SIGNAL,   /* the program was interrupted */
  ED_BY_DEADLOCK, /* nothing could ever run again */
  ED_BY_END       /* the owner has ended, or the runtime closes */
} ed_why;

typedef enum ed_scope_kind {
  ED_SCOPE_TASK,   /* a task's own body */
  ED_SCOPE_BLOCK,  /* a block in function form */
  ED_SCOPE_GROUP,  /* a group held in a <close> variable: its cancel spares the body */
  ED_SCOPE_SHIELD, /* a block that outer cancellation does not enter */
  ED_SCOPE_TOP     /* of the runtime: background tasks */
} ed_scope_kind;

typedef struct ed_scope {
  struct ed_scope *cause;  /* whose cancellation applies here; NULL when not cancelled */
  struct ed_scope *parent; /* the scope around; of a task: the one that owns it */
  struct ed_scope *inner;  /* the next scope inward on the same task, or NULL */
  ed_task *host;           /* the task whose body this is or whose block this is */
  ed_link children; /* live tasks owned here, then failed ones in order of failing */
  uint32_t live;    /* children that have not ended */
  uint8_t kind;     /* ed_scope_kind */
  uint8_t why;      /* ed_why: this scope itself was cancelled */
  bool has_error;   /* a cancellation error object of this scope exists */
  bool is_closed;   /* ended: spawning into it raises */
} ed_scope;

/* Put 'scope' inside 'parent' as a block of 'host'; it inherits the cancellation there. */
void ed_scope_push (ed_scope *scope, ed_scope *parent, ed_task *host, ed_scope_kind kind);

/*
** An operation that is cancelled and has tasks to cancel in turn, which may wait in such
** operations as well, in a chain as long as memory. Whoever cancels first works off the others,
** instead of each calling the next. To be taken out (ed_list_remove) when the operation goes.
*/
typedef struct ed_sweep {
  ed_link link;
  void (*run)(struct ed_sweep *sweep);
} ed_sweep;

/* Run 'sweep', behind what is being cancelled now. */
void ed_scope_sweep (ed_loop *loop, ed_sweep *sweep);

/* Take the innermost scope of its host off. */
void ed_scope_pop (ed_scope *scope);

/* Cancel for 'why'. False if it had been cancelled before. */
bool ed_scope_cancel (ed_scope *scope, ed_why why);

/*
** The next scope of a walk over the tree below 'top', parents first; NULL at the end. 'depth'
** counts the tasks from 'top' down to it.
*/
ed_scope *ed_scope_after (ed_scope *at, ed_scope *top, int *depth);

/* Open a shield: what is cancelled around it applies inside from now on. */
void ed_scope_expose (ed_scope *shield);

/* Is this shield under a cancelled scope that it keeps out? */
bool ed_scope_is_besieged (const ed_scope *shield);

/* Keep the value at the top of the stack (popped) as the reason of 'scope's cancellation. */
void ed_cancel_reason (lua_State *L, ed_loop *loop, ed_scope *scope);

/* Keep the line of the script that cancels 'scope' with the C function that runs. May raise. */
void ed_cancel_site (lua_State *L, ed_loop *loop, ed_scope *scope);

/* Push the cancellation error of 'scope', the same object each time. */
void ed_cancel_push (lua_State *L, ed_loop *loop, ed_scope *scope);

/* Push an error for 'task', which is killed where 'scope' is cancelled: with that reason, its own object. */
void ed_cancel_push_kill (lua_State *L, ed_task *task, ed_scope *scope);

/* Raise the cancellation that applies to the running task. */
int ed_cancel_raise (lua_State *L, ed_task *task);

/* Has the running task, which is cancelled, gone on for longer than config.kill_grace? */
bool ed_cancel_is_overdue (ed_task *task);

/*
** Which scope, from 'from' outward, made the cancellation error at 'index'? NULL if none did:
** then it is an ordinary error.
*/
ed_scope *ed_cancel_owner (lua_State *L, ed_loop *loop, ed_scope *from, int index);

/* Forget the error object of a scope that ends. Never fails. */
void ed_cancel_forget_all (lua_State *L, ed_loop *loop, ed_scope *scope);

static inline void ed_cancel_forget (lua_State *L, ed_loop *loop, ed_scope *scope) {
  if (scope->why != ED_NOT_CANCELLED || scope->has_error)
    ed_cancel_forget_all(L, loop, scope);
}

#endif
