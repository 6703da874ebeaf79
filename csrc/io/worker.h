/* SPDX-License-Identifier: MIT */
/*
** The Lua state of a worker: made when the first job comes, used for one job after the other by
** one thread, thrown away when it was stopped in the middle of something or ran out of memory.
**
** Promises: whatever a job does, an answer comes back, unless it stays in a C function for ever.
** A job leaves nothing behind in the state but what it puts into globals and modules. Everything
** runs protected: nothing reaches the panic function.
*/
#ifndef ED_WORKER_H
#define ED_WORKER_H

#include <lua.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/interrupt.h"
#include "core/loop.h"
#include "core/permit.h"
#include "io/transfer.h"

/* A C function of package.preload, which works in every state. */
typedef struct ed_preload {
  char *name;
  lua_CFunction open;
  void *data; /* its upvalue, light userdata */
  bool has_data;
} ed_preload;

/* How states are made; the same for all workers of a pool, and never changed. */
typedef struct ed_worker_setup {
  ed_bytes values; /* worker_init or nil, package.path, package.cpath */
  size_t memory;   /* bytes that a state may have, or 0 */
  ed_preload *preload;
  size_t npreload;
  ed_permits permits; /* of a sandbox */
  bool is_confined;
} ed_worker_setup;

typedef enum ed_outcome {
  ED_JOB_DONE,   /* results */
  ED_JOB_FAILED, /* error, traceback */
  ED_JOB_MEMORY, /* no memory, or more than allowed */
  ED_JOB_STOPPED /* on request */
} ed_outcome;

typedef struct ed_answer {
  ed_bytes values;
  ed_outcome outcome;
} ed_answer;

/* All but 'is_stopping' belongs to the worker's thread. */
typedef struct ed_worker {
  ed_interruptible interruptible; /* first */
  atomic_int is_stopping;         /* the job is to end; set by anybody */
  volatile sig_atomic_t is_in_lua;
  volatile sig_atomic_t has_wake;
  uv_async_t wake; /* of an eddy.run in this state, while it has a loop */
  const ed_worker_setup *setup;
  lua_State *L; /* NULL: not made yet, or thrown away */
  ed_loop *loop;
  size_t bytes;
  int raises; /* how often this job was told to stop */
  ed_answer *answer;
} ed_worker;

/* Fill a cleared worker. */
void ed_worker_init (ed_worker *worker, const ed_worker_setup *setup);

/* Run what was packed: a function and its arguments. */
void ed_worker_run (ed_worker *worker, const ed_bytes *job, ed_answer *answer);

/* Throw the state away, if there is one. */
void ed_worker_close (ed_worker *worker);

/* Make the setup for workers of L, with the function at 'init' (or nil); raises. */
ed_worker_setup *ed_worker_setup_new (lua_State *L, int init, size_t memory);
/* The workers of a sandbox are in it too. */
void ed_worker_setup_confine (ed_worker_setup *setup, const ed_permits *permits);
void ed_worker_setup_free (ed_worker_setup *setup);

#endif
