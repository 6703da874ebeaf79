/* SPDX-License-Identifier: MIT */
/*
** C functions of the host that wait.
**
** Two objects. The *wait* is an ordinary operation of core/op.h, there while a task is parked.
** What the host holds, 'eddy_op', is plain memory with its own count of references, because
** another thread may answer long after the wait, the task and the state are gone.
**
** 'refs', 'is_answered', 'is_unwanted' and 'status' are under the lock of the runtime; the rest
** belongs to the loop's thread. The runtime's own reference ends when the payload is destroyed:
** when the answer has come *and* the wait is over, or when the runtime closes.
*/
#include <stdlib.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "host/host.h"

typedef struct waiting {
  ed_op op;
  eddy_op *shared;
} waiting;

struct eddy_op {
  ed_post post; /* the answer, in the queue */
  uint32_t refs;
  int status;
  bool is_answered; /* a status is there */
  bool is_own;      /* it came from the thread that began */
  bool is_unwanted; /* the wait was given up */
  /* from here on the loop's thread alone; a word apart, as compilers read flags by the word */
  ed_link link;       /* in host->ops */
  uv_thread_t thread; /* that began; never changed */
  eddy *host;         /* counted */
  const eddy_op_class *type;
  waiting *wait; /* NULL: nobody waits */
  uv_work_t work;
  ed_loop *loop; /* of the work; it stays for as long as a thread of the pool is busy */
  int (*run)(void *data);
  bool is_known;     /* the loop's thread has seen the answer */
  bool is_on_pool;   /* a thread of the pool may be in 'run' */
  bool is_cancelled; /* the host was asked */
  _Alignas(max_align_t) char data[];
};

/* ---- the two ends of an operation's life ---- */

static void release (eddy_op *op) {
  eddy *e = op->host;
  bool is_last;
  uv_mutex_lock(&e->lock);
  is_last = --op->refs == 0;
  uv_mutex_unlock(&e->lock);
  if (!is_last) return;
  free(op);
  eddy_release(e);
}

static void destroy (eddy_op *op) {
  if (op->type->destroy != NULL) op->type->destroy(op->data);
  ed_list_remove(&op->link);
  op->host->nops--;
  release(op);
}

static void ask_to_cancel (eddy_op *op) {
  if (op->is_cancelled || op->is_known) return;
  op->is_cancelled = true;
  uv_mutex_lock(&op->host->lock);
  op->is_unwanted = true;
  uv_mutex_unlock(&op->host->lock);
  if (op->is_on_pool) uv_cancel((uv_req_t *)&op->work);
  if (op->type->cancel != NULL) op->type->cancel(op->data);
}

/* ---- the wait ---- */

static ed_verdict cancel_wait (ed_op *op) {
  ask_to_cancel(((waiting *)op)->shared);
  ed_op_release(op);
  return ED_STOPPED;
}

/* The task has its results, or has gone. */
static void drop_wait (ed_op *op) {
  eddy_op *shared = ((waiting *)op)->shared;
  ed_op_free(op);
  if (shared == NULL) return;
  shared->wait = NULL;
  if (shared->is_known) destroy(shared);
  else ask_to_cancel(shared);
}

static int finish_wait (lua_State *L, ed_op *op) {
  const eddy_op *shared = ((waiting *)op)->shared;
  if (shared->type->push != NULL)
    return shared->type->push(L, (void *)shared->data, shared->status);
  if (shared->status < 0) return ed_error_uv(L, shared->status, shared->type->name, NULL);
  lua_pushinteger(L, shared->status);
  return 1;
}

static void describe_wait (const ed_op *op, char *text, size_t room) {
  const char *name = ((const waiting *)op)->shared->type->name;
  if (name == NULL || room == 0) return;
  strncpy(text, name, room - 1);
  text[room - 1] = '\0';
}

const ed_optype ed_host_wait_type = {
  .name = "host",
  .finish = finish_wait,
  .cancel = cancel_wait,
  .drop = drop_wait,
  .describe = describe_wait,
};

/* ---- the answer ---- */

static void run_answer (eddy *e, ed_post *post) {
  eddy_op *op = (eddy_op *)post;
  ed_journal(
    e, "answer %s %d", op->type->name != NULL ? op->type->name : "-", op->status);
  op->is_known = true;
  if (op->wait != NULL) ed_op_complete(&op->wait->op, 0);
  else destroy(op);
}

int eddy_op_complete (eddy_op *op, int status) {
  uv_thread_t self = uv_thread_self();
  bool is_first = false;
  eddy *e;
  int answer = EDDY_OK;
  if (op == NULL) return EDDY_EINVAL;
  e = op->host;
  uv_mutex_lock(&e->lock);
  if (!e->is_open) answer = EDDY_ECLOSED;
  else if (op->is_answered) answer = EDDY_ESTALE;
  else {
    if (op->is_unwanted) answer = EDDY_ECANCELED;
    op->is_answered = true;
    op->status = status;
    op->is_own = uv_thread_equal(&op->thread, &self);
    is_first = ed_post_append(e, &op->post);
  }
  ed_post_unlock(e, is_first);
  release(op);
  return answer;
}

void eddy_op_retain (eddy_op *op) {
  if (op == NULL) return;
  uv_mutex_lock(&op->host->lock);
  op->refs++;
  uv_mutex_unlock(&op->host->lock);
}

int eddy_op_cancelled (eddy_op *op) {
  bool is_unwanted;
  if (op == NULL) return 1;
  uv_mutex_lock(&op->host->lock);
  is_unwanted = op->is_unwanted || !op->host->is_open;
  uv_mutex_unlock(&op->host->lock);
  return is_unwanted;
}

void *eddy_op_data (eddy_op *op) { return op != NULL ? op->data : NULL; }

/* ---- beginning and waiting ---- */

/* Call ed_checkpoint for a function that does not have our box as its upvalue. */
static ed_task *checkpoint (lua_State *L, const eddy *e) {
  ed_task *task = e->loop->current;
  if (task == NULL || task->leaf != L || task->barred != 0 || !lua_isyieldable(L)
    || task->scope->cause != NULL)
    ed_op_refuse(L, e->loop);
  return task;
}

static eddy_op *new_op (eddy *e, const eddy_op_class *type, size_t size) {
  eddy_op *op;
  if (size > SIZE_MAX - sizeof *op) return NULL;
  if ((op = calloc(1, sizeof *op + size)) == NULL) return NULL;
  op->host = e;
  op->type = type;
  op->post.run = run_answer;
  op->thread = uv_thread_self();
  op->refs = 2; /* the host's and the runtime's */
  ed_list_init(&op->post.link);
  ed_list_append(&e->ops, &op->link);
  e->nops++;
  eddy_retain(e);
  return op;
}

int eddy_op_new (lua_State *L, const eddy_op_class *type, size_t size, eddy_op **op) {
  static const eddy_op_class plain = {NULL, NULL, NULL, NULL};
  eddy *e = ed_host_of(L);
  ed_task *task = checkpoint(L, e);
  waiting *w = ed_op_new_for(L, task, &ed_host_wait_type, sizeof *w);
  if ((*op = new_op(e, type != NULL ? type : &plain, size)) == NULL) {
    ed_op_abandon(task);
    return luaL_error(L, "not enough memory");
  }
  w->shared = *op;
  (*op)->wait = w;
  return EDDY_OK;
}

/*
** Did the function that waits, or what it called, answer itself? Then that need not go through the
** queue, where it would only overtake what other threads have sent.
*/
static bool take_answer (eddy_op *op) {
  uv_mutex_lock(&op->host->lock);
  if (op->is_answered && op->is_own) {
    op->is_known = true;
    ed_list_remove(&op->post.link);
  }
  uv_mutex_unlock(&op->host->lock);
  return op->is_known;
}

int eddy_op_wait (lua_State *L, eddy_op *op) {
  if (take_answer(op)) ed_op_complete(&op->wait->op, 0);
  return ed_await(L, &op->wait->op, 0);
}

/* ---- the pool ---- */

static void work_for_op (uv_work_t *work) {
  eddy_op *op = work->data;
  op->status = op->run(op->data);
}

static void on_worked (uv_work_t *work, int status) {
  eddy_op *op = work->data;
  op->is_on_pool = false;
  op->is_known = true;
  if (status < 0) op->status = status;
  op->loop->njobs--;
  op->loop->progress++;
  if (op->loop->host != NULL)
    ed_journal(op->host, "answer %s %d", op->type->name != NULL ? op->type->name : "-",
      op->status);
  if (op->wait != NULL) ed_op_complete(&op->wait->op, 0);
  else destroy(op);
}

int eddy_offload (lua_State *L, eddy_op *op, int (*work)(void *data)) {
  ed_loop *loop = op->host->loop;
  int status;
  op->run = work;
  op->loop = loop;
  op->work.data = op;
  status = uv_queue_work(loop->uv, &op->work, work_for_op, on_worked);
  if (status < 0) {
    eddy_op_complete(op, status);
    return eddy_op_wait(L, op);
  }
  op->is_on_pool = true;
  op->refs--; /* nobody else can know it yet: the pool's is the runtime's */
  loop->njobs++;
  return eddy_op_wait(L, op);
}

/* ---- the end of the runtime ---- */

void ed_host_cancel_ops (eddy *e) {
  for (ed_link *at = e->ops.next; at != &e->ops; at = at->next)
    ask_to_cancel(ED_OF(at, eddy_op, link));
}

/* Those on a thread of the pool are libuv's: it ends them, or keeps them for ever. */
void ed_host_drop_ops (eddy *e) {
  ed_link *at = e->ops.next;
  while (at != &e->ops) {
    eddy_op *op = ED_OF(at, eddy_op, link);
    at = at->next;
    if (!op->is_on_pool) destroy(op);
  }
}
