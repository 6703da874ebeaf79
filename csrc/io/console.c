/* SPDX-License-Identifier: MIT */
/*
** What a prompt needs: to wait for input while the loop runs, and an interrupt that ends the
** running line and not the program.
**
** Input is waited for by a thread of libuv's pool in poll(2), since libuv's own way would make the
** terminal non-blocking for everybody who shares it. A pipe of its own wakes that thread.
**
** The interrupt (SIGINT) does two things: it tells the loop, which cancels the line's task; and
** where Lua runs just then it sets a hook, as lua.c does, that raises the cancellation in a line
** that never waits. A second one that comes while the first was not heeded, or while the line is
** still on its way out, acts as if there were no handler. Handlers are the process's: there is
** one console in it, and with its end the handler that was there before is back.
*/
#include "io/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/class.h"
#include "core/handle.h"
#include "core/task_ref.h"

typedef struct reader reader;

typedef struct console {
  ed_handle handle;  /* first; an async */
  ed_task_ref *line; /* that an interrupt cancels, anchored in the registry; or NULL */
  reader *reader;    /* that an interrupt ends, or NULL */
  pthread_t thread;  /* of the loop */
  struct sigaction before;
  volatile sig_atomic_t has_signal; /* that nobody has acted on */
  bool is_line_cut;                 /* by an interrupt */
  bool is_noted;                    /* one came while there was neither line nor reader */
} console;

struct reader {
  ed_op op; /* first */
  uv_work_t req;
  console *console;
  int fd;
  int wake[2]; /* a pipe */
  bool is_interrupted;
};

static console *volatile only; /* of the process; a handler is told nothing else */
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; /* of who becomes it */
static const char line_key = 0;                           /* registry: the line's task */

/* ---- the interrupt ---- */

static void die (void) {
  signal(SIGINT, SIG_DFL);
  raise(SIGINT);
}

static void wake (const reader *r) {
  ssize_t n;
  do { n = write(r->wake[1], "", 1); } while (n < 0 && errno == EINTR);
}

/* On the loop's thread: between two turns, or in a hook. */
static void act (console *c) {
  if (!c->has_signal) return;
  c->has_signal = 0;
  if (c->line != NULL && !ed_ref_has_ended(c->line)) {
    if (c->is_line_cut) die();
    c->is_line_cut = true;
    ed_task_cancel(ed_ref_task(c->line), ED_BY_SIGNAL);
  } else if (c->reader != NULL) {
    c->reader->is_interrupted = true;
    wake(c->reader);
  } else c->is_noted = true;
}

static void on_told (uv_async_t *async) {
  console *c = async->data;
  c->handle.loop->progress++;
  act(c);
}

/* The coroutine may have begun others, which have the hook as well. */
static void stop_line (lua_State *L, lua_Debug *at) {
  console *c = only;
  ed_task *task;
  (void)at;
  lua_sethook(L, NULL, 0, 0);
  if (c == NULL || !c->has_signal) return;
  act(c);
  task = c->handle.loop->current;
  if (task != NULL && c->line != NULL && ed_ref_task(c->line) != NULL
    && task->scope->cause == &ed_ref_task(c->line)->root)
    ed_cancel_raise(L, task);
}

static void handle_interrupt (int number) {
  console *c = only;
  int error = errno;
  const ed_task *task;
  if (c == NULL) return;
  if (!pthread_equal(pthread_self(), c->thread)) pthread_kill(c->thread, number);
  else if (c->has_signal) die();
  else {
    c->has_signal = 1;
    uv_async_send(&c->handle.uv.async);
    task = c->handle.loop->current;
    if (task != NULL && task->leaf != NULL)
      lua_sethook(task->leaf, stop_line, LUA_MASKCOUNT, 1);
  }
  errno = error;
}

/* ---- life ---- */

/* Who waits for input must not look for the console any more. */
static void leave_reader (console *c) {
  if (c->reader == NULL) return;
  c->reader->is_interrupted = true;
  c->reader->console = NULL;
  wake(c->reader);
  c->reader = NULL;
}

static void closing (ed_handle *handle) {
  console *c = (console *)handle;
  leave_reader(c);
  sigaction(SIGINT, &c->before, NULL);
  pthread_mutex_lock(&guard);
  only = NULL;
  pthread_mutex_unlock(&guard);
  handle->loop->nexternal--;
}

static void drop (ed_handle *handle) {
  ed_mem_free(&handle->loop->mem, handle, sizeof(console));
}

static bool become_only (console *c) {
  bool is_free;
  pthread_mutex_lock(&guard);
  if ((is_free = only == NULL)) only = c;
  pthread_mutex_unlock(&guard);
  return is_free;
}

static int start (ed_loop *loop, console *c) {
  struct sigaction ours = {.sa_handler = handle_interrupt, .sa_flags = SA_RESTART};
  int status;
  c->thread = pthread_self();
  ed_handle_init(&c->handle, loop, closing, drop);
  if ((status = uv_async_init(loop->uv, &c->handle.uv.async, on_told)) < 0) return status;
  ed_handle_opened(&c->handle);
  c->handle.has_box = false;
  c->handle.is_spare = true;
  uv_unref(&c->handle.uv.any);
  loop->nexternal++; /* who waits for ever can be interrupted: that is no deadlock */
  sigemptyset(&ours.sa_mask);
  sigaction(SIGINT, &ours, &c->before);
  return 0;
}

/*
** console.open()
** Takes SIGINT, for the rest of this run or until console.close. Raises where another state of
** the process has it.
*/
static int l_open (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  console *c;
  int status;
  ed_loop_uv(L);
  if ((c = ed_loop_calloc(loop, sizeof *c)) == NULL)
    return luaL_error(L, "not enough memory");
  status = become_only(c) ? start(loop, c) : UV_EBUSY;
  if (status == 0) return 0;
  if (only == c) only = NULL;
  ed_mem_free(&loop->mem, c, sizeof *c);
  return luaL_error(L, "cannot open the console: %s", uv_strerror(status));
}

static console *check_open (lua_State *L) {
  const ed_loop *loop = ed_loop_of(L);
  if (only == NULL || only->handle.loop != loop) luaL_error(L, "the console is not open");
  return only;
}

/*
** console.close()
** An interrupt does from now on what it did before console.open. Who waits for input gets false.
*/
static int l_close (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  if (only != NULL && only->handle.loop == loop) ed_handle_close(&only->handle);
  return 0;
}

/*
** console.line(task | nil) --> boolean
** Interrupts cancel 'task' from now on. Was the task before it interrupted?
*/
static int l_line (lua_State *L) {
  console *c = check_open(L);
  bool was_cut = c->is_line_cut;
  ed_task_ref *line = lua_isnoneornil(L, 1) ? NULL : ed_ref_check(L, 1);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &line_key);
  c->line = line;
  c->is_line_cut = false;
  lua_pushboolean(L, was_cut);
  return 1;
}

/* ---- input ---- */

static void work_read (uv_work_t *req) {
  const reader *r = req->data;
  struct pollfd fds[2] = {{r->fd, POLLIN, 0}, {r->wake[0], POLLIN, 0}};
  int n;
  do { n = poll(fds, 2, -1); } while (n < 0 && errno == EINTR);
}

static void on_ready (uv_work_t *req, int status) {
  reader *r = req->data;
  r->op.loop->njobs--;
  if (r->console != NULL) r->console->reader = NULL;
  r->console = NULL;
  ed_op_complete(&r->op, status);
}

/* The thread comes back at once: it is woken, or was not there yet. */
static ed_verdict cancel_read (ed_op *op) {
  reader *r = (reader *)op;
  if (r->console != NULL) r->console->reader = NULL;
  r->console = NULL;
  uv_cancel((uv_req_t *)&r->req);
  wake(r);
  return ED_DETACHED;
}

static void drop_read (ed_op *op) {
  reader *r = (reader *)op;
  close(r->wake[0]);
  close(r->wake[1]);
  free(r);
}

static int finish_read (lua_State *L, ed_op *op) {
  lua_pushboolean(L, !((reader *)op)->is_interrupted);
  return 1;
}

static const ed_optype read_type = {
  .name = "input",
  .finish = finish_read,
  .cancel = cancel_read,
  .drop = drop_read,
};

static bool has_input (int fd) {
  struct pollfd at = {fd, POLLIN, 0};
  return poll(&at, 1, 0) != 0;
}

/* malloc'd, as the pool may outlive the run. */
static int new_reader (reader **made, int fd) {
  reader *r = calloc(1, sizeof *r);
  int status = r != NULL ? uv_pipe(r->wake, 0, UV_NONBLOCK_PIPE) : UV_ENOMEM;
  if (status < 0) {
    free(r);
    return status;
  }
  r->fd = fd;
  r->req.data = r;
  *made = r;
  return 0;
}

static int start_read (ed_loop *loop, console *c, reader *r) {
  int status = uv_queue_work(loop->uv, &r->req, work_read, on_ready);
  if (status < 0) return status;
  loop->njobs++;
  r->console = c;
  c->reader = r;
  return 0;
}

/*
** console.readable(fd) --> boolean
** Awaits until reading from 'fd' would not block. False: an interrupt came instead, or
** console.close. Cancelling leaves no trace.
*/
static int l_readable (lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  console *c = check_open(L);
  ed_task *task = ed_checkpoint(L);
  reader *r;
  int status;
  if (c->reader != NULL) return luaL_error(L, "somebody else waits for input");
  if (c->is_noted || has_input(fd)) {
    lua_pushboolean(L, !c->is_noted);
    c->is_noted = false;
    return ed_spend(task->loop) ? 1 : ed_yield_with(L, task, 1);
  }
  if ((status = new_reader(&r, fd)) < 0)
    return luaL_error(L, "cannot wait for input: %s", uv_strerror(status));
  ed_op_adopt(task->loop, task, &read_type, &r->op);
  return ed_await(L, &r->op, start_read(task->loop, c, r));
}

static const luaL_Reg functions[] = {
  {"open", l_open},
  {"close", l_close},
  {"line", l_line},
  {"readable", l_readable},
  {NULL, NULL},
};

void ed_open_console (lua_State *L, int box) {
  box = lua_absindex(L, box);
  lua_newtable(L);
  ed_setfuncs(L, functions, box);
}
