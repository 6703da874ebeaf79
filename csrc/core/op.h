/* SPDX-License-Identifier: MIT */
/*
** The awaitable operation: the one idiom by which a task waits for anything.
**
** An operation is a struct whose first member is an 'ed_op'. It has two owners. The *waiter*
** is the task: it lets go when it has its answer, or when a scope takes it away. The *engine*
** is whoever will answer: libuv, a wait queue, the timer heap. Each lets go once, and the last
** one out runs 'drop', which is therefore run exactly once on every path.
**
** Life of a wait, in a C function called from Lua:
**
**   all argument checks;                     -- may raise, nothing exists yet
**   op = ed_op_new(L, &type, sizeof *op);    -- the checkpoint; may raise, or not come back
**   start the engine;                        -- nothing here may raise
**   return ed_await(L, &op->op, started);    -- parks; results come from type->finish
**
** Callbacks fill, the loop resumes, continuations push: a callback calls ed_op_complete and
** never sees a lua_State; the task is resumed between two turns of libuv; 'finish' runs in the
** task and pushes the results there.
**
** Invariants: a task has at most one operation, in task->op, and op->task points back or is
** NULL. After ed_op_complete or ed_op_release the engine does not touch the operation. If
** 'finish' raises, the operation stays on its task and is let go by the next wait or the end.
*/
#ifndef ED_OP_H
#define ED_OP_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ed_loop ed_loop;
typedef struct ed_task ed_task;
typedef struct ed_op ed_op;

/* What an operation answers when its wait is given up. */
typedef enum ed_verdict {
  ED_STOPPED,  /* undone; the engine has let go already: wake the task */
  ED_DETACHED, /* goes on without us, the answer will be dropped: wake the task */
  ED_FINISHING /* must be seen through: the task sleeps on until the answer is there */
} ed_verdict;

enum { ED_WAITER = 1, ED_ENGINE = 2 };

/* What an operation is: one constant row per kind. */
typedef struct ed_optype {
  const char *name;                       /* for errors and the task tree */
  int (*finish)(lua_State *L, ed_op *op); /* in the woken task: push results; may raise */
  ed_verdict (*cancel)(ed_op *op);        /* asked at most once, never when done */
  void (*drop)(ed_op *op); /* both owners are gone: free; never touches Lua */
  bool
    is_internal; /* only another task can complete it: such waits alone are a deadlock */
  void (*describe)(
    const ed_op *op, char *text, size_t room); /* what it waits on, or NULL */
  void (*give_back)(
    lua_State *co, ed_op *op); /* its task is killed with the answer in hand */
  void (*withdraw)(
    ed_op *op); /* killed while FINISHING: let go now; NULL: the engine goes on alone */
  int (*fail)(
    lua_State *L, ed_op *op); /* push nil and the error of op->status, or NULL */
} ed_optype;

struct ed_op {
  const ed_optype *type;
  ed_task *task; /* who waits; NULL once detached or finished */
  ed_loop *loop;
  int status;     /* 0, or a negative UV_E code; valid when done */
  uint8_t owners; /* ED_WAITER | ED_ENGINE */
  bool done;      /* the engine has answered (it may not have let go yet) */
  bool asked;     /* 'cancel' has been asked */
  uint8_t size;   /* in steps of ED_MEM_STEP; 0: not from ed_op_new, 'drop' frees */
};

/*
** The checkpoint by itself, for functions that can often finish at once: the running task, if
** it can wait here and is not cancelled.
** Raises where waiting is impossible; does not return in a cancelled scope (the task goes
** through the scheduler once, then the cancellation is raised).
*/
ed_task *ed_checkpoint (lua_State *L);

/*
** What is behind the inline ed_checkpoint_in and ed_spend (core/loop.h): raise or pass through the
** scheduler; has the running task had its slice of time?
*/
ed_task *ed_checkpoint_refuse (lua_State *L, ed_loop *loop);
bool ed_spend_time (ed_loop *loop);

/*
** For C functions of others, which do not have our box as an upvalue: raise what ed_checkpoint
** would (it refuses: no task can wait here, or it is cancelled).
*/
int ed_op_refuse (lua_State *L, ed_loop *loop);

/* Let every ready task run, then come back with 'n' results from the top of the stack. */
int ed_yield_with (lua_State *L, ed_task *task, int n);

/*
** The same with nothing in hand: there is no result that a cancel of that time could lose, so it is
** raised here and not at the next checkpoint; but for one that a sibling's failure or end has made in
** the same turn, which came no sooner than what this task does next.
*/
int ed_yield (lua_State *L, ed_task *task);

/*
** Checkpoint, then a new operation of 'size' bytes (cleared) hung on the running task.
** Raises as ed_checkpoint does, or when memory is short.
*/
void *ed_op_new (lua_State *L, const ed_optype *type, size_t size);

/* The same behind an ed_checkpoint that was just passed. */
void *ed_op_new_for (lua_State *L, ed_task *task, const ed_optype *type, size_t size);

/*
** Hang an operation that lives elsewhere (in its stream, say) on the running task. 'op' must
** be idle; its 'drop' leaves the memory alone. Call behind ed_checkpoint.
*/
void ed_op_adopt (ed_loop *loop, ed_task *task, const ed_optype *type, ed_op *op);

/*
** An operation that nobody waits for, in memory of its own ('op' is cleared): the engine holds
** it alone, and its answer runs 'drop', in a callback. For servers, which act without a task.
*/
void ed_op_launch (ed_loop *loop, const ed_optype *type, ed_op *op);

/*
** Wait for 'op'. 'started' is what the engine said: negative is a UV_E code, and nothing is
** pending then. Returns the number of results: those of 'finish', or nil and an error object.
*/
int ed_await (lua_State *L, ed_op *op, int started);

/*
** Would 'next' run before anybody else anyway, and is it fresh? Then a task that waits for its end may
** run it at once, on top of itself, which saves two switches; once deep.
*/
bool ed_op_may_run (const ed_task *waiter, const ed_task *next);

typedef enum ed_ran {
  ED_RAN_ENDED,    /* the waiter goes on at once */
  ED_RAN_QUEUED,   /* ended, but others are ready before the waiter: yield */
  ED_RAN_WAITS,    /* for something itself: the waiter needs an operation that lasts */
  ED_RAN_CANCELLED /* the waiter was: return ed_op_raise_cancelled */
} ed_ran;

/*
** Run it. The running task waits for 'op' meanwhile, which the end of 'next' completes; it
** is adopted, lies on the C stack, and is nobody's when this returns.
*/
ed_ran ed_op_run (ed_op *op, ed_task *next);

/* The task that goes on in L, for a continuation behind a yield of ours; raises if it is none. */
ed_task *ed_op_resumed (lua_State *L, ed_loop *loop);

/* What a task does that was woken because its operation was taken away. */
int ed_op_raise_cancelled (lua_State *L, ed_loop *loop);

/* The answer is in; the engine still holds its share. Wakes the waiter. */
void ed_op_done (ed_op *op, int status);

/* The engine lets go. After: 'op' may be gone. */
void ed_op_release (ed_op *op);

/* Both. After: 'op' may be gone. */
void ed_op_complete (ed_op *op, int status);

/* Instead of ed_await: what was started goes on by itself, nobody waits for it. */
void ed_op_detach (ed_op *op);

/* Free an operation that came from ed_op_new; the usual last line of a 'drop'. */
void ed_op_free (ed_op *op);

/* A 'drop' that only frees, and a 'finish' that returns true. */
void ed_drop_plain (ed_op *op);
int ed_finish_true (lua_State *L, ed_op *op);

/* The waiter lets go of its operation, if it has one (end of a task, kill). */
void ed_op_abandon (ed_task *task);

/* Name the C function on the stack of 'co' that cannot be suspended, in an error of L. */
int ed_raise_blocked (lua_State *L, ed_loop *loop, lua_State *co);

/* A scope wants 'task' back: ask its operation, once. Never touches Lua. */
void ed_task_interrupt (ed_task *task);

#endif
