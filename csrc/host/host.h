/* SPDX-License-Identifier: MIT */
/*
** The C side of a runtime: what 'eddy' of eddy.h is.
**
** One block of plain memory, counted by references, that outlives the Lua state: other threads
** hold it. Everything that they touch is under 'lock': the references, the queue of posts, the
** table of tasks, and what is marked so in an operation. The rest belongs to the loop's thread.
**
** Whatever another thread wants is a *post*, a link that lies in the thing itself (an operation,
** a task's record) or in a message made for it: so completing and cancelling cannot fail for
** want of memory. Posts are run in order, once a turn, on the loop's thread.
**
** It is made by eddy_new, or, for C functions that wait in a program without a host, at the
** first eddy_op_new; 'is_attached' tells them apart.
*/
#ifndef ED_HOST_H
#define ED_HOST_H

#include "core/loop.h"
#include "core/permit.h"
#include "eddy.h"

typedef struct ed_post {
  ed_link link;
  void (*run)(eddy *e, struct ed_post *post); /* on the loop's thread, or at the end */
} ed_post;

/* A task that the host spawned. Frees itself after it has ended and the host was told. */
typedef struct ed_record {
  ed_watch watch;
  ed_post asked;    /* to cancel or kill it */
  ed_link finished; /* in e->finished */
  eddy *host;
  ed_task *task;
  eddy_id id, group;
  uint32_t number; /* of the task */
  eddy_done done;
  void *ud;
  char *reason;  /* lock: of the cancel that is asked for */
  bool is_asked; /* lock: 'asked' is in the queue */
  bool wants_kill;
  bool is_awaited; /* by a task too */
} ed_record;

typedef struct ed_slot {
  ed_record *record; /* NULL: free */
  uint32_t generation;
} ed_slot;

typedef struct ed_host_group {
  ed_link link; /* in e->groups */
  eddy_id id, parent;
  bool is_closing;
} ed_host_group;

enum { ED_DRIVERS = 4 }; /* handles of ours: async, prepare, check, idle */

struct eddy {
  uv_mutex_t lock;
  uint32_t refs;   /* lock */
  ed_link queue;   /* lock: ed_post */
  bool is_open;    /* lock: posts are taken, the async handle is good */
  bool wants_stop; /* lock */
  ed_slot *slot;   /* lock, for tables that grow */
  uint32_t nslots;
  uint32_t first_free;
  ed_loop *loop; /* NULL once closed */
  lua_State *L;
  eddy_config config;
  size_t used;        /* of mem_limit */
  ed_permits permits; /* of a sandbox */
  uv_async_t async;
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;
  ed_link finished; /* ed_record whose host is to be told */
  ed_link groups;
  eddy_id next_group;
  uint32_t ngroups;
  ed_link ops; /* eddy_op that are not destroyed */
  uint32_t nops;
  ed_link frame[EDDY_PHASES]; /* ed_waiter */
  double frame_seconds;
  uint64_t began; /* by the script clock: when the journal's time is 0 */
  double scale;   /* of the clock while it is not paused */
  bool is_paused;
  bool is_attached;
  bool owns_state;
  bool is_stepping;
  bool is_closing;  /* no spawns, no steps from outside */
  bool is_down;     /* what ends now has no results */
  bool has_drivers; /* prepare, check, idle */
};

/* host/runtime.c */
eddy *ed_host_new (void);
int ed_host_open (eddy *e, ed_loop *loop); /* its handles; a UV_E code */
eddy *ed_host_of (lua_State *L); /* of the running C function; made if need be; raises */
void ed_host_keep_alive (
  eddy *e); /* the uv loop lives while there is something to wait for */
void ed_host_wait (
  eddy *e, uint64_t end); /* one turn, blocking until something or 'end' */
extern const ed_hosting ed_host_hooks;
/*
** Copy what the caller has of a struct into one that was cleared. An older caller's is shorter: the
** rest stays cleared. A newer one's is longer: what we do not know must be 0, or it is refused.
*/
bool ed_host_read_struct (
  void *to, size_t room, const void *from, size_t size, size_t least);

/* host/sandbox.c */
void ed_sandbox_close (eddy *e, lua_State *L); /* shut the scripts in; raises */
/* Registry key of the environment that the library's own files have in a sandbox. */
extern const char ed_library_key;
#define ed_is_sandbox(e) (((e)->config.flags & EDDY_SANDBOX) != 0)

/* host/post.c */
bool ed_post_append (
  eddy *e, ed_post *post); /* under the lock, while open; was it the first? */
void ed_post_unlock (eddy *e, bool is_first); /* and tell the host, if so */
bool ed_post_is_waiting (eddy *e);
void ed_post_run_all (eddy *e);
void ed_post_close (eddy *e); /* no more; then runs what is there */

/* host/step.c */
int ed_host_protect (eddy *e, lua_State *L, lua_CFunction fn, void *arg, int nargs);
void ed_host_turn (
  eddy *e); /* timers, posts, ready tasks, what ended: after libuv has run */
void ed_host_finish_step (eddy *e);
bool ed_host_must_not_step (const eddy *e);

/* host/spawn.c */
void ed_record_tell_all (eddy *e); /* the host of what has ended */
void ed_record_free_all (eddy *e);
void ed_host_report (eddy *e, lua_State *L, eddy_id id, int error, const char *traceback);
eddy_id ed_record_id (const ed_task *task);        /* 0: not spawned by the host */
ed_record *ed_record_next (eddy *e, uint32_t *at); /* from slot *at on, or NULL */

/* host/groups.c */
bool ed_group_is_open (const eddy *e, eddy_id id);
void ed_group_free_all (eddy *e);

/* host/journal.c */
void ed_journal (eddy *e, const char *format, ...)
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
  ;
void ed_host_run_ready (eddy *e, uint64_t end, int batch); /* ed_loop_run_until, noted */

/* host/inspect.c */
bool ed_host_clock_reaches (
  const eddy *e, uint64_t ns); /* can a manual clock move so far and not go back? */

/* host/await.c */
extern const ed_optype ed_host_wait_type;
void ed_host_cancel_ops (eddy *e);
void ed_host_drop_ops (eddy *e);

/* Create the functions of scripts, in the table at the top. */
void ed_open_host (lua_State *L, int box);

#endif
