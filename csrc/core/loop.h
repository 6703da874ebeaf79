/* SPDX-License-Identifier: MIT */
/*
** The runtime of one Lua state: its libuv loop, its tasks, its timers.
**
** Owns: the uv loop (unless a host gave one), the ready list, the timer heap behind a single
** uv timer, the table of anchored coroutines. Found from a C function through its first
** upvalue, a userdata that outlives every finalizer and holds NULL once the runtime is closed.
** There are no globals: several Lua states in one process do not know of each other.
**
** One turn: give libuv a turn, blocking when nothing is ready; look at the clock and fire due
** timers; resume ready tasks until none is left or a slice of time is over. Callbacks only
** fill and mark; tasks are resumed here and nowhere else.
*/
#ifndef ED_LOOP_H
#define ED_LOOP_H

#include <lauxlib.h>
#include <lua.h>
#include <uv.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/mem.h"
#include "core/op.h"
#include "core/scope.h"
#include "core/task.h"

/* Kinds of our userdata, for type checks. */
typedef enum ed_class {
  ED_CLASS_TASK,
  ED_CLASS_GROUP,
  ED_CLASS_SEMAPHORE,
  ED_CLASS_PERMIT,
  ED_CLASS_QUEUE,
  ED_CLASS_EVENT,
  ED_CLASS_LOCK,
  ED_CLASS_GUARD,
  ED_CLASS_CONDITION,
  ED_CLASS_BARRIER,
  ED_CLASS_RATELIMIT,
  ED_CLASS_VAR,
  ED_CLASS_FUTURE,
  ED_CLASS_CALLBACK,
  ED_CLASS_SENTINEL,
  ED_CLASS_COMPLETIONS,
  ED_CLASS_READY,
  ED_CLASS_STREAM,
  ED_CLASS_LISTENER,
  ED_CLASS_TLS,
  ED_CLASS_HTTP_SERVER,
  ED_CLASS_HTTP_CONN,
  ED_CLASS_FILE,
  ED_CLASSES
} ed_class;

enum { ED_TIMER_OP, ED_TIMER_SCOPE, ED_TIMER_ALARM }; /* ed_timer.kind */

/*
** A timer for anybody: make a place with ed_heap_reserve, then ed_heap_push(&loop->timers,
** &alarm->timer, due). 'ring' runs once, when the alarm is out of the heap; it touches no Lua.
*/
typedef struct ed_alarm {
  ed_timer timer; /* first */
  void (*ring)(struct ed_alarm *alarm);
} ed_alarm;

static inline void ed_alarm_init (ed_alarm *alarm, void (*ring)(ed_alarm *)) {
  alarm->timer.place = 0;
  alarm->timer.kind = ED_TIMER_ALARM;
  alarm->ring = ring;
}

enum {
  ED_READ_ROOM = 65536, /* of a read buffer */
  ED_BUFFERS = 8,       /* read buffers kept while they are not used */
  ED_SPARES = 1024,     /* tasks kept for reuse: more than a megabyte */
  ED_KILL_GRACE = 5000, /* ms */
  ED_LUCK = 128,        /* waits in a row that may finish without suspending */
  ED_LUCK_LOOK = 32     /* of these between two looks at the clock */
};

/* What becomes of a task whose slice is over. */
typedef enum ed_overrun {
  ED_OVERRUN_YIELD, /* others get a turn */
  ED_OVERRUN_GO_ON, /* it gets another slice */
  ED_OVERRUN_KILL
} ed_overrun;

/* A coroutine that a script has resumed, or closes, on the C stack of whoever does. */
typedef struct ed_resumed {
  lua_State *co;
  struct ed_resumed *outer;
} ed_resumed;

typedef struct ed_probe ed_probe;
/* What a host (csrc/host) wants to be asked. */
typedef struct ed_hosting {
  void (*posted)(ed_loop *loop); /* once a turn, after libuv: what other threads sent */
  bool (*report)(lua_State *L, ed_loop *loop);  /* error at 1, its task or nil at 2 */
  void (*closing)(lua_State *L, ed_loop *loop); /* the runtime goes; all still works */
  /* in the task, between two instructions: it has run for 'ns'; 'place' is "" or file:line */
  ed_overrun (*overrun)(ed_loop *loop, ed_task *task, uint64_t ns, const char *place);
} ed_hosting;

struct ed_loop {
  lua_State *L;  /* that runs 'run' now */
  uv_loop_t *uv; /* NULL before the first run */
  uv_loop_t own;
  uv_timer_t alarm; /* wakes libuv for the first timer of the heap */
  uint64_t alarm_due;
  ed_mem mem;
  ed_heap timers;
  uint64_t now;  /* ns, of the last look at the clock */
  ed_link sweep; /* ed_sweep: operations that were cancelled and have others to cancel */
  bool is_sweeping;
  ed_link ready;
  ed_task *current;
  struct ed_slices *watch; /* turns are watched (core/slice), or NULL */
  ed_task *root;
  ed_watch root_watch; /* 'run' awaits the root */
  ed_probe *probe;     /* of a test (core/probe), or NULL */
  ed_scope top;        /* owner of background tasks */
  int luck;            /* waits that may still finish without suspending */
  uint32_t kill_grace; /* ms of catching cancellations before a task is killed */
  uint32_t next_id;
  uint32_t nresumes;         /* of tasks, counted; never 0 in one */
  uint32_t ncloses;          /* of coroutines, one inside the other */
  uint32_t passed_on;        /* number of the resume in which 'origin' was noted */
  bool is_own_origin;        /* it came from a coroutine of the same task */
  ed_task **spare;           /* with their coroutines, for the next spawns */
  int highest_slot;          /* of the anchor tables */
  uint32_t nspare;           /* of at most ED_SPARES */
  int anchors;               /* registry references: slot -> coroutine */
  int refs;                  /* slot -> reference of the task (core/task_ref) */
  int cancels;               /* scope -> cancellation error, and back */
  int reasons;               /* scope -> reason */
  int tracebacks;            /* task -> text, weak keys */
  int endings;               /* task -> what it closes at its end (core/ending) */
  int origin;                /* the failure that was passed on last (core/trace) */
  int names;                 /* task -> name, weak keys */
  int vars;                  /* coroutine -> chain of bindings, weak keys */
  int config;                /* the table of eddy.config */
  int stock_coroutine;       /* fields of the library before ours were installed */
  int our_coroutine;         /* the table eddy.coroutine */
  uint64_t mark;             /* a secret: of class n is mark + n (core/class) */
  int metatable[ED_CLASSES]; /* registry references */
  ed_link handles;           /* ed_handle */
  ed_link closed;            /* those that only a userdata still holds */
  uint32_t nhandles;
  uint32_t ntasks;    /* that have not ended */
  uint32_t nops;      /* that have not been dropped */
  uint32_t nexternal; /* pending ones that something outside can complete */
  uint32_t
    ncallbacks;   /* pending eddy.awaits: whatever lives in the uv loop may answer them */
  uint32_t njobs; /* in libuv's thread pool, or with our workers */
  uint32_t nfiles;
  uint32_t
    nwrites;   /* in libuv's write queues: SIGPIPE is held back while there are any */
  int trapped; /* the signal that cancelled the run, or 0 */
  uint32_t progress;        /* counted up by callbacks: something outside happened */
  char *buffer[ED_BUFFERS]; /* of ED_READ_ROOM bytes, free for the next reads */
  uint32_t nbuffers;
  void *resolver; /* of io/dns */
  void (*free_resolver)(ed_loop *loop);
  void *pool; /* of io/offload, while its threads live */
  void (*end_pool)(ed_loop *loop);
  ed_resumed *resumed;      /* the innermost, or NULL */
  lua_State *closing;       /* coroutine of a killed task whose '<close>' variables run */
  struct ed_slices *slices; /* of core/slice, or NULL */
  char *library;            /* how the sources of the library's own Lua begin, or NULL */
  struct ed_quota *quota;   /* of core/limits, or NULL */
  struct ed_limits *spare_limits;
  uint32_t nquotas;                 /* tasks with a memory limit */
  const struct ed_permits *permits; /* core/permit: NULL, everything is allowed */
  void *worker;                     /* whose state this is (io/worker), or NULL */
  void (*on_start)(
    ed_loop *loop); /* libuv has started: put your handles beside the alarm */
  void (*on_stop)(ed_loop *loop); /* the uv loop is about to go: close them */
  struct eddy *host;              /* of csrc/host, or NULL */
  const ed_hosting *hosting;
  size_t *remains; /* where a test wants to find how many bytes were left in the end */
  uint64_t clock;  /* of the manual clock; of a paced one at real time 'since' */
  uint64_t since;
  double pace; /* of a paced clock: seconds per second of real time */
  bool is_paced;
  bool is_manual;
  bool is_by_hand; /* the manual clock never jumps */
  bool is_driven;  /* somebody else runs libuv: never stop it */
  bool is_started; /* the alarm is in the uv loop */
  bool is_running;
  bool is_nested;      /* a task runs on top of the one that awaits it */
  bool has_loose_vars; /* bound in a coroutine, which any task may take up (core/var) */
  bool is_installed;   /* our functions are in the library's table 'coroutine' */
  bool is_closing;     /* being torn down: nothing waits any more */
  bool is_left_behind; /* the pool still works for us: never freed */
  bool is_forsaken;    /* the host has gone: nobody is told any more */
};

/* What a finalizer may still find: NULL after the runtime is closed. */
typedef struct ed_box {
  ed_loop *loop;
} ed_box;

/* Registry key of the box, by address. */
extern const char ed_box_key;

int ed_loop_gone (lua_State *L); /* raises "eddy is closed" */

static inline ed_loop *ed_loop_of (lua_State *L) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, lua_upvalueindex(1)))->loop;
  if (loop == NULL) ed_loop_gone(L);
  return loop;
}

/* Would a checkpoint let the running task through? */
static inline bool ed_may_wait (lua_State *L, const ed_loop *loop) {
  const ed_task *task = loop->current;
  return task != NULL && task->leaf == L && task->barred == 0 && lua_isyieldable(L)
    && task->scope->cause == NULL;
}

/* The checkpoint for a function that has looked its loop up. */
static inline ed_task *ed_checkpoint_in (lua_State *L, ed_loop *loop) {
  return ed_may_wait(L, loop) ? loop->current : ed_checkpoint_refuse(L, loop);
}

/* The running task, for functions that open blocks; raises where no task could wait. */
static inline ed_task *ed_task_current_in (lua_State *L, ed_loop *loop) {
  ed_task *task = loop->current;
  if (task == NULL || task->leaf != L || task->barred != 0 || !lua_isyieldable(L))
    ed_checkpoint_refuse(L, loop); /* it says why */
  return task;
}

/*
** May the running task finish one more wait without suspending? Spends from the budget of such
** luck that keeps a task with ready data from starving its neighbours.
*/
static inline bool ed_spend (ed_loop *loop) {
  if (--loop->luck <= 0) return false;
  return loop->luck % ED_LUCK_LOOK != 0 || ed_spend_time(loop);
}

/* The same, but NULL when closed: for __gc and __close. */
static inline ed_loop *ed_loop_opt (lua_State *L) {
  return ((ed_box *)lua_touserdata(L, lua_upvalueindex(1)))->loop;
}

/* The uv loop of the running run; raises outside of one. */
uv_loop_t *ed_loop_uv (lua_State *L);

/* The clock now, in ns: monotonic, or the manual one. */
uint64_t ed_loop_now (ed_loop *loop);

/* Create the runtime of L and push its box; called once per state. */
ed_loop *ed_loop_new (lua_State *L);

/* Use a host's loop, which must outlive the Lua state. UV_EBUSY once a run has begun. */
int ed_loop_use (ed_loop *loop, uv_loop_t *uv);

/* Start libuv, if that has not happened. Returns 0 or a UV_E code. */
int ed_loop_start (ed_loop *loop);

/*
** Hold SIGPIPE back in this thread around calls that may write to a socket whose peer is gone:
** libuv has no way to ask for that, and a library must neither die nor change the disposition.
*/
typedef struct ed_pipe_guard {
  bool is_on; /* we blocked it, and take away what came */
} ed_pipe_guard;

ed_pipe_guard ed_pipe_guard_begin (void);
void ed_pipe_guard_end (ed_pipe_guard guard);

/* The parts of a turn: libuv without waiting, due timers and posts; then ready tasks, one at
   least, until 'end' by uv_hrtime, looking at the clock after each 'batch'. */
void ed_loop_look (ed_loop *loop);
void ed_loop_run_until (ed_loop *loop, uint64_t end, int batch);
void ed_loop_fire (ed_loop *loop); /* due timers and posts alone */

/* Only libuv, waiting for something. */
void ed_loop_poll (ed_loop *loop);

/* Before libuv may block: at the latest it wakes us for the first timer. */
void ed_loop_arm (ed_loop *loop);

/* Real ns until the first timer is due; UINT64_MAX: there is none, or the clock stands. */
uint64_t ed_loop_until_timer (ed_loop *loop);

/* Kill every task. */
void ed_loop_kill_all (ed_loop *loop);

/* One turn. 'may_block': wait for libuv when nothing is ready. */
void ed_loop_turn (ed_loop *loop, bool may_block);

/* Resume ready tasks until none is left or a slice of time is over. */
void ed_loop_run_ready (ed_loop *loop);

/* Can nothing ever run again by itself? */
bool ed_loop_is_stuck (const ed_loop *loop);

/* Kill what lives and close every handle, then wait for libuv to let go of them. */
void ed_loop_drain (lua_State *L, ed_loop *loop);

/* Take the runtime down for ever; finalizers find NULL in the box. */
void ed_loop_close (lua_State *L, ed_box *box);

/*
** A read buffer of ED_READ_ROOM bytes, or NULL when memory is short. All streams share the few
** that there are: one is borrowed for a read, or for as long as a stream keeps what was read.
*/
char *ed_loop_borrow_buffer (ed_loop *loop);
void ed_loop_return_buffer (ed_loop *loop, char *buffer);

/*
** 'size' cleared bytes for a uv request or other engine memory, or NULL.
*/
void *ed_loop_calloc (ed_loop *loop, size_t size);

/* The timer of a sleep has fired (core/time.c). */
void ed_sleep_fire (ed_timer *timer);

#endif
