/* SPDX-License-Identifier: MIT */
/*
** eddy: structured concurrency for Lua. The only header that is installed.
**
** A runtime is one Lua state and one libuv loop, used by one thread at a time; a process and a
** thread may have any number of them, and there are no globals. The host drives it in one of
** four ways: eddy_run blocks; eddy_step does a bounded piece of work, in each frame or when the
** backend descriptor says so; with EDDY_DRIVEN the host's own uv_run drives it; or a script
** calls eddy.run and the host does nothing.
**
** Functions return 0 or more when all is well and a negative EDDY_E code when not. None lets a
** Lua error or a C++ exception pass through a frame of the host, but for those whose comment
** says "in a C function called from Lua"; and a callback must not let one out either.
** "Any thread" stands where a function may be called from any thread; all others belong to the
** thread that uses the runtime.
*/
#ifndef EDDY_H
#define EDDY_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#define EDDY_VERSION "0.1.0"
#define EDDY_ABI 1

#if defined(_WIN32)
#define EDDY_API __declspec(dllexport)
#else
#define EDDY_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

typedef struct eddy eddy;
typedef struct eddy_op eddy_op;
typedef uint64_t eddy_id; /* of a task or a group: never used twice; 0 is none */

enum {
  EDDY_OK = 0,
  EDDY_EINVAL = -1,  /* an argument makes no sense */
  EDDY_ENOMEM = -2,  /* memory is short, or its limit is reached */
  EDDY_ECLOSED = -3, /* the runtime is closed or closing */
  EDDY_ESTALE = -4,  /* no such task or group (any more); the operation has its answer */
  EDDY_ELIMIT = -5,  /* a limit of the config is reached */
  EDDY_EPERM = -6,   /* kept: scripts see it as an error of kind "permission" */
  EDDY_ESCRIPT = -7, /* a script failed, or does not compile */
  EDDY_ECANCELED = -8,  /* the task was cancelled or killed */
  EDDY_ETHREAD = -9,    /* kept: nothing returns it yet */
  EDDY_EREENTRANT = -10 /* not while the runtime is stepping: from a callback or a task */
};

/* What eddy_step answers. */
enum {
  EDDY_IDLE = 0,    /* no task lives */
  EDDY_WAITING = 1, /* all tasks wait */
  EDDY_BUSY = 2     /* the budget is spent and there is more to do */
};

/* What a task is doing. */
enum { EDDY_TASK_READY = 0, EDDY_TASK_RUNNING = 1, EDDY_TASK_WAITING = 2 };

/* Flags of a config. */
enum {
  EDDY_DRIVEN =
    1, /* config.loop is turned by the host's own uv_run: nobody calls eddy_step */
  EDDY_SANDBOX = 2 /* the scripts are not trusted: they get what config.caps grants */
};

/* Capabilities of scripts in a sandbox, in config.caps; and the 'kind' of config.access. */
enum {
  EDDY_CAP_READ = 1,     /* read files; target: the path, without links and dots */
  EDDY_CAP_WRITE = 2,    /* write, rename, remove files; the same */
  EDDY_CAP_CONNECT = 4,  /* "address:port" as digits, each that is tried; "unix:path" */
  EDDY_CAP_LISTEN = 8,   /* the same */
  EDDY_CAP_DNS = 16,     /* look names up; the name */
  EDDY_CAP_PROCESS = 32, /* start programs */
  EDDY_CAP_ENV = 64,     /* read the environment; the variable's name */
  EDDY_CAP_SIGNAL = 128, /* trap signals; "INT" */
  EDDY_CAP_OFFLOAD =
    256, /* Lua in worker threads, with the same capabilities and limit; not asked */
  EDDY_CAP_ALL = 511
};

/* Flags of a spawn. */
enum {
  EDDY_SPAWN_NOW = 1, /* run it to its first wait before eddy_spawn returns */
  EDDY_SPAWN_BINARY =
    2 /* eddy_spawn_buffer takes precompiled code too: it must be trusted */
};

/* Modes of the script clock. */
enum {
  EDDY_CLOCK_REAL = 0,
  EDDY_CLOCK_SCALED = 1, /* real time multiplied by 'scale' */
  EDDY_CLOCK_MANUAL = 2  /* moves by eddy_clock_advance and eddy_frame alone */
};

enum { EDDY_PHASES = 16 }; /* phases of eddy_frame: 0 to 15 */

/* What is to become of a task whose slice is over: answers of on_overrun. */
enum {
  EDDY_OVERRUN_YIELD = 0, /* others get a turn; it goes on in the next step */
  EDDY_OVERRUN_GO_ON = 1, /* it gets another slice */
  EDDY_OVERRUN_KILL = 2   /* it ends with an error of kind "limit", code "cpu" */
};

/* ---- life ---------------------------------------------------------------------------------- */

/*
** Structs with a 'size' grow at the end only, from one version to the next. A caller that was
** compiled with an older header passes a smaller size: the rest is as if it were 0. One with a
** newer header passes a larger size: what this library does not know must be 0, or the call is
** refused with EDDY_EINVAL.
*/
typedef struct eddy_config {
  size_t size;        /* of the struct the caller was compiled with */
  uint32_t flags;     /* EDDY_DRIVEN */
  uint32_t max_tasks; /* that eddy_spawn lets live at a time; 0: no limit */
  struct uv_loop_s
    *loop;         /* the host's; it must outlive the runtime. NULL: one of our own */
  lua_Alloc alloc; /* of a state that eddy_new makes; NULL: malloc */
  void *alloc_ud;
  size_t
    mem_limit;    /* bytes of a state that eddy_new makes, Lua's and ours; 0: no limit */
  void *userdata; /* for eddy_userdata, and 'ud' of the callbacks below */
  /*
  ** A task failed and nobody awaits it, or a chunk does not compile (task is 0 then, as for tasks
  ** that the host did not spawn). Once each, 'code' is EDDY_ESCRIPT; or an event of eddy_post is
  ** lost, and 'code' says why. The texts, 'traceback' may be NULL, are valid during the call.
  ** Everything but eddy_close, eddy_step and eddy_run may be called.
  ** NULL: the script's eddy.config{on_error=} or stderr.
  */
  void (*on_error)(eddy *e, eddy_id task, int code, const char *message,
    const char *traceback, void *ud);
  /*
  ** There is something to do for eddy_step now. Called from any thread, for hosts that cannot poll
  ** a descriptor; it must only tell the loop's thread.
  */
  void (*on_wakeup)(eddy *e, void *ud);
  /*
  ** EDDY_CLOCK_MANUAL: the script clock is manual from the beginning and starts at 0, so that no
  ** time of the real world gets in; or EDDY_CLOCK_REAL. eddy_clock_set changes it later.
  */
  int clock;
  uint64_t seed; /* of the scripts' math.random; 0: random */
  /*
  ** One line, without a newline, for each thing that decides what happens next: "NS WHAT ...". NS is
  ** the script clock since the beginning. WHAT is what the host asked for (spawn, frame, advance, emit,
  ** answer, call, cancel, kill, pause ...), "run NUMBER REASON" for a task that is resumed, "end
  ** NUMBER HOW" for one that the host spawned. With a manual clock from the beginning, a seed, steps
  ** without a budget and the same inputs, the lines are the same each time; scripts must not ask the
  ** real world (os.time, I/O), nor for the order of pairs over keys that are not numbers.
  ** Only for looking: nothing of eddy may be called.
  */
  void (*journal)(eddy *e, const char *line, size_t len, void *ud);
  /*
  ** Scripts that compute for long; 0 is none of these, and no thread is started then. Otherwise one
  ** watches the loop's thread and interrupts it with SIGURG, which that must not block. A task is
  ** interrupted between two instructions of its Lua, not inside a C function; see the guide.
  */
  uint64_t slice_ns;      /* of Lua without a wait before others get a turn */
  uint64_t kill_after_ns; /* of CPU time without a wait before the task is killed */
  uint64_t warn_ns; /* without a wait before on_error hears of it, once that is over */
  /*
  ** A task has run for 'ns', which is a slice or more, and is at 'place' ("file:line" or ""). Called
  ** in the middle of it: only functions for any thread may be called. 'task' is 0 for one that the
  ** host did not spawn. NULL: EDDY_OVERRUN_YIELD.
  */
  int (*on_overrun)(eddy *e, eddy_id task, uint64_t ns, const char *place, void *ud);
  uint32_t caps; /* EDDY_CAP_*, with EDDY_SANDBOX; 0: none */
  /*
  ** A script in a sandbox is about to use 'target': 0 refuses it (the script gets an error of
  ** kind "permission", code "EACCES"). Called in the middle of things: it must not call eddy. With
  ** EDDY_CAP_OFFLOAD it is called from workers' threads too. NULL: every target is allowed.
  */
  int (*access)(eddy *e, int kind, const char *target, void *ud);
} eddy_config;

/* Fill in the defaults for a struct of the caller's size, sizeof(eddy_config). */
EDDY_API int eddy_config_init (eddy_config *config, size_t size);

/*
** Attach a runtime to L, or to a new state with the standard libraries when L is NULL. 'config'
** may be NULL. Scripts can then require "eddy" without any file. While it is attached eddy.run
** raises "already running", and tasks are what eddy_spawn makes.
** EDDY_EINVAL: L has a host already, or runs eddy.run, or the config asks for what only a state of
** our own can have (an allocator, a limit, a sandbox). On failure nothing is left behind.
*/
EDDY_API int eddy_new (eddy **e, lua_State *L, const eddy_config *config);

/*
** Take the runtime down: no spawn any more, every task is cancelled, steps are made for up to
** 'grace_ns', what then still lives is killed ('<close>' variables run and cannot wait), handles
** are closed, posted calls are run. A state that eddy_new made is closed as well; another one
** stays usable, without eddy. Returns how many tasks were killed; 0 when it was closed before.
** lua_close of the state does the same with grace 0, but finalizers of what tasks hold may then
** run before the tasks end: call this first. EDDY_EREENTRANT inside a step; EDDY_ENOMEM when
** there was no memory even to begin, and nothing was closed: then it is to be called again.
*/
EDDY_API int eddy_close (eddy *e, uint64_t grace_ns);

/*
** The block behind 'e' lives until its last reference is given back. eddy_new hands out one: give
** it back after eddy_close. Another thread that calls in takes its own before. Any thread.
*/
EDDY_API void eddy_retain (eddy *e);
EDDY_API void eddy_release (eddy *e);

EDDY_API eddy *eddy_of (lua_State *L);  /* the runtime of L, or NULL; no new reference */
EDDY_API lua_State *eddy_lua (eddy *e); /* its main thread; NULL once closed */
EDDY_API struct uv_loop_s *eddy_loop (eddy *e); /* NULL once closed */
EDDY_API void *eddy_userdata (eddy *e);

EDDY_API const char *eddy_version (void);
EDDY_API int eddy_abi (void);
EDDY_API const char *eddy_strerror (int code);

/* ---- driving it ---------------------------------------------------------------------------- */

/*
** One bounded piece of work: I/O without blocking, due timers, what was posted, then ready tasks
** in order until 'budget_ns' is spent, but at least one; it may be overrun by one task's turn, or
** by its slice. A task whose slice was over goes on in the next step, and ends this one.
** UINT64_MAX: until no other task is ready. Returns EDDY_IDLE, EDDY_WAITING or EDDY_BUSY.
*/
EDDY_API int eddy_step (eddy *e, uint64_t budget_ns);

/* Work until no task lives, or eddy_stop: EDDY_IDLE, or EDDY_WAITING after a stop. Blocks. */
EDDY_API int eddy_run (eddy *e);

/* Make eddy_run return soon, or the next one at once. Any thread. */
EDDY_API int eddy_stop (eddy *e);

/* Make a poll of the backend descriptor return, and call on_wakeup. Any thread. */
EDDY_API int eddy_wakeup (eddy *e);

/*
** For a foreign loop: poll this descriptor for reading, for at most eddy_next_timeout_ns, then
** call eddy_step. -1 when there is none (Windows). The timeout is 0 when there is work now, and
** -1 when only the descriptor can bring some.
*/
EDDY_API int eddy_backend_fd (eddy *e);
EDDY_API int64_t eddy_next_timeout_ns (eddy *e);

/*
** A phase of a frame: wake who waits in eddy.frame(phase), once (who waits again waits for the next
** frame), and run the tasks that are ready now; a manual clock moves by 'dt_ns' before. Scripts get
** 'dt_ns' in seconds. Answers as eddy_step does. No I/O: call eddy_step once a frame as well.
*/
EDDY_API int eddy_frame (eddy *e, int phase, uint64_t dt_ns);

/* ---- tasks --------------------------------------------------------------------------------- */

typedef struct eddy_spawn_options {
  size_t size;
  uint32_t flags;    /* EDDY_SPAWN_NOW, EDDY_SPAWN_BINARY */
  eddy_id group;     /* 0: none */
  const char *name;  /* for dumps and errors; NULL: made from its number */
  uint64_t slice_ns; /* as in the config, for this task; 0: that of the config */
  uint64_t cpu_ns;   /* of CPU time in all, then it is killed; 0: no limit */
  size_t
    memory; /* bytes of Lua's memory in its own turns, then it is killed; 0: no limit */
} eddy_spawn_options;

/*
** A new task that calls the function below the 'nargs' values at the top of L, which is any thread
** of the state; all are popped in any case. It starts in the next step. 'options' and 'id' may be
** NULL. Errors: EDDY_EINVAL, EDDY_ENOMEM, EDDY_ECLOSED, EDDY_ELIMIT, EDDY_ESTALE (group).
*/
EDDY_API int eddy_spawn (
  eddy *e, lua_State *L, int nargs, const eddy_spawn_options *options, eddy_id *id);

/* The same for a chunk of text. EDDY_ESCRIPT when it does not compile: on_error gets why. */
EDDY_API int eddy_spawn_buffer (eddy *e, const char *text, size_t len, const char *name,
  const eddy_spawn_options *options, eddy_id *id);

/* Ask a task to end, from the next step on. 'reason' may be NULL. Any thread. */
EDDY_API int eddy_task_cancel (eddy *e, eddy_id id, const char *reason);

/* End a task, and what it owns, now; inside a step: as soon as the tasks of the step have run. */
EDDY_API int eddy_task_kill (eddy *e, eddy_id id);

/* EDDY_TASK_READY, _RUNNING, _WAITING; EDDY_ESTALE when it has ended. */
EDDY_API int eddy_task_status (eddy *e, eddy_id id);

/*
** 'done' is called exactly once when the task has ended, also by a kill or by eddy_close, in the
** step in which it ends. 'status' is EDDY_OK with the 'n' results at the top of L; EDDY_ESCRIPT
** with its error; EDDY_ECANCELED; or EDDY_ENOMEM when the results found no room. A task with this
** is awaited: its failure does not go to on_error. To be set before it ends, again to replace.
*/
typedef void (*eddy_done)(eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud);
EDDY_API int eddy_task_on_done (eddy *e, eddy_id id, eddy_done done, void *ud);

/* Where a task is, as text that fits and ends with '\0'. Returns the length of the whole. */
EDDY_API int eddy_task_traceback (eddy *e, eddy_id id, char *text, size_t room);

/*
** A group is a name for tasks that end together: those of a level, an entity, a script to be
** reloaded. A member's failure is its own. 'parent' 0: none; closing a group closes those in it.
*/
EDDY_API int eddy_group_new (eddy *e, eddy_id parent, eddy_id *id);

/* Cancel the members, step for up to 'grace_ns', kill the rest. Returns how many were killed. */
EDDY_API int eddy_group_close (eddy *e, eddy_id id, uint64_t grace_ns);

/* ---- C functions that wait ----------------------------------------------------------------- */

/*
** In a C function called from Lua:
**
**   check the arguments;                             may raise
**   eddy_op_new(L, &mine_class, sizeof(mine), &op);   may raise
**   mine *m = eddy_op_data(op);
**   start it; whoever does it calls eddy_op_complete(op, status) once, from any thread;
**   return eddy_op_wait(L, op);
**
** Nothing may raise between eddy_op_new and eddy_op_wait. If it cannot be started, complete it
** with the error there and then. The class must outlive the runtime; any member may be NULL.
*/
typedef struct eddy_op_class {
  const char *name; /* in dumps and errors */
  /* In the woken task: push the results, return their number; may raise. NULL: 'status', or nil
     and an error object made from a negative one, which is a code of libuv's (UV_E...). */
  int (*push)(lua_State *L, void *data, int status);
  /* The wait was given up: the loop's thread asks, once. Hurry to complete; do not block. */
  void (*cancel)(void *data);
  /* Exactly once, on the loop's thread: after the results were pushed, or after the completion of
     a wait that was given up, or when the runtime closes without one. No Lua. */
  void (*destroy)(void *data);
} eddy_op_class;

/*
** A new operation with 'size' cleared bytes of data. Raises, before anything was done, where no
** task could wait, when the task is cancelled, or memory is short. The caller has one reference.
*/
EDDY_API int eddy_op_new (
  lua_State *L, const eddy_op_class *type, size_t size, eddy_op **op);

EDDY_API void *eddy_op_data (
  eddy_op *op); /* as long as one holds a reference; any thread */

/* Suspends the task, unless the answer is there. To be called as 'return eddy_op_wait(L, op)'. */
EDDY_API int eddy_op_wait (lua_State *L, eddy_op *op);

/*
** The answer, from any thread, and one reference given back: after it 'op' may be gone. The first
** call counts, later ones get EDDY_ESTALE. When the wait was given up, EDDY_ECANCELED; when the
** runtime has closed, EDDY_ECLOSED: nobody sees the answer then, which is no mistake.
*/
EDDY_API int eddy_op_complete (eddy_op *op, int status);

/* One more reference, for one more call of eddy_op_complete. Any thread that has one. */
EDDY_API void eddy_op_retain (eddy_op *op);

/* Has nobody an interest in the answer any more? Any thread. */
EDDY_API int eddy_op_cancelled (eddy_op *op);

/*
** In place of eddy_op_wait: 'work' is run on a thread of libuv's pool, and what it returns is the
** status. It must touch neither Lua nor the runtime. Cancelling takes it back while it is queued
** (it is completed with UV_ECANCELED) and otherwise lets it end unseen.
*/
EDDY_API int eddy_offload (lua_State *L, eddy_op *op, int (*work)(void *data));

/* ---- messages ------------------------------------------------------------------------------ */

/*
** Run fn(e, ud) on the loop's thread in the next step. In order for one sender; each accepted call is
** run exactly once, by eddy_close at the latest. Any thread.
*/
EDDY_API int eddy_call_soon (eddy *e, void (*fn)(eddy *e, void *ud), void *ud);

/*
** Give who iterates over eddy.on(name) a string; the bytes are copied. Any thread. One that finds no
** room in the state later, under its limit of memory, is lost, and on_error hears of it.
*/
EDDY_API int eddy_post (eddy *e, const char *name, const char *bytes, size_t len);

/* The same at once with the values that push(L, ud) pushes; it returns their number, may raise. */
EDDY_API int eddy_emit (
  eddy *e, const char *name, int (*push)(lua_State *L, void *ud), void *ud);

/* ---- the script clock ---------------------------------------------------------------------- */

/* What sleep, timeout and every go by; it never jumps when its mode changes. */
EDDY_API uint64_t eddy_now (eddy *e);
EDDY_API int eddy_clock_set (eddy *e, int mode, double scale);
EDDY_API int eddy_clock_advance (eddy *e, uint64_t ns); /* EDDY_EINVAL unless manual */

/* While paused the script clock stands and no task is resumed. I/O goes on; cancelling and closing
   work (closing ends the pause). */
EDDY_API int eddy_pause (eddy *e, int on);

/* ---- looking inside ------------------------------------------------------------------------ */

typedef struct eddy_stats_t {
  uint64_t tasks;      /* that live */
  uint64_t operations; /* of eddy_op_new that are not destroyed */
  uint64_t handles;    /* of libuv, opened by scripts */
  uint64_t timers;
  uint64_t jobs; /* in libuv's pool */
  uint64_t groups;
  uint64_t posted; /* and not yet looked at */
  uint64_t memory; /* as eddy_mem_used */
} eddy_stats_t;

/* 'size' is that of the caller's struct; what this library does not know is 0. */
EDDY_API int eddy_stats (eddy *e, eddy_stats_t *stats, size_t size);

/* Bytes of the Lua state and of ours. */
EDDY_API size_t eddy_mem_used (eddy *e);

/* Collect garbage for about so long. 1 when a cycle was finished. */
EDDY_API int eddy_gc_step (eddy *e, uint64_t budget_ns);

/* The tree of live tasks and what each waits for. */
EDDY_API int eddy_dump (
  eddy *e, void (*write)(void *ud, const char *text, size_t len), void *ud);

/* ---- the module by itself ------------------------------------------------------------------ */

/* The C half of the library, module "eddy.core". For package.preload or luaL_requiref. */
EDDY_API int luaopen_eddy_core (lua_State *L);

/*
** Modules with the Lua half inside, for a state whose 'require' finds no files: luaL_requiref(L,
** "eddy", luaopen_eddy, 0). Only in the static library and in the module that holds everything.
*/
EDDY_API int luaopen_eddy (lua_State *L);
EDDY_API int luaopen_eddy_http (lua_State *L);
EDDY_API int luaopen_eddy_json (lua_State *L);
EDDY_API int luaopen_eddy_net (lua_State *L);
EDDY_API int luaopen_eddy_testing (lua_State *L);
EDDY_API int luaopen_eddy_tls (lua_State *L);

/*
** For hosts that let a script call eddy.run: the loop that it turns. On the thread of L, after
** "eddy.core" was opened and before the first run; the loop must outlive L. lua_close takes our
** handles out and leaves it otherwise alone.
** Returns 0, or a libuv error code: UV_EINVAL without a runtime in L, UV_EBUSY after a run.
*/
EDDY_API int eddy_use_loop (lua_State *L, struct uv_loop_s *loop);

/*
** Put eddy and its modules into package.preload of L, from the sources inside the archive, so
** that require "eddy" needs no file. Runs nothing. Only in the static library, as eddy_new is.
*/
EDDY_API void eddy_preload (lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
