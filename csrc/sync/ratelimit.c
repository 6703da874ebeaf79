/* SPDX-License-Identifier: MIT */
/*
** Rate limits: a bucket of 'burst' tokens, full at the start, into which n tokens flow every so
** many seconds. Who finds none waits in line.
**
** No drift: the bucket does not count tokens up. It knows when it was last full and how many have
** been taken since; token number k after that is there at full_at + (k - burst) * seconds / n,
** computed afresh each time. A token is taken when it is granted, so a cancelled waiter owes
** nothing, and one that is killed with a token in hand puts it back.
*/
#include <stdio.h>

#include "core/class.h"
#include "sync/sync.h"
#include "sync/waitq.h"

typedef struct ed_ratelimit {
  ed_link waiters;
  ed_alarm alarm; /* in the heap while somebody waits: for the first one's token */
  ed_loop *loop;
  uint64_t full_at; /* ns */
  uint64_t taken;   /* since then */
  lua_Integer burst;
  lua_Integer n;
  long double ns; /* in which n tokens flow in */
} ed_ratelimit;

typedef struct acquiring {
  ed_waiter waiter; /* first */
  ed_ratelimit *limit;
  bool is_granted; /* and not delivered yet */
} acquiring;

/* ---- engine half ---- */

/* When the k-th token since full_at is there. */
static uint64_t due_of (const ed_ratelimit *r, uint64_t k) {
  long double after;
  if (k <= (uint64_t)r->burst) return r->full_at;
  after = (long double)(k - (uint64_t)r->burst) * r->ns / (long double)r->n;
  if (after > 9e18L) return UINT64_MAX;
  return ed_after(r->full_at, (uint64_t)after + ((long double)(uint64_t)after < after));
}

/* Time has passed: while the bucket is full nothing flows in. */
static void look (ed_ratelimit *r, uint64_t now) {
  if (r->taken != 0 && due_of(r, r->taken + (uint64_t)r->burst) > now) return;
  r->full_at = now;
  r->taken = 0;
}

static bool has_token (const ed_ratelimit *r, uint64_t now) {
  return due_of(r, r->taken + 1) <= now;
}

/* Wait for the first one's token, if anybody waits; the place in the heap was reserved by it. */
static void set_alarm (ed_ratelimit *r) {
  ed_heap *timers = &r->loop->timers;
  ed_heap_remove(timers, &r->alarm.timer);
  if (ed_waitq_first(&r->waiters) == NULL) return;
  ed_heap_push(timers, &r->alarm.timer, due_of(r, r->taken + 1));
}

/* Who waits has a token at its time, also when we look late: nothing is lost or counted anew. */
static void serve (ed_ratelimit *r) {
  uint64_t now = ed_loop_now(r->loop);
  ed_waiter *first;
  while ((first = ed_waitq_first(&r->waiters)) != NULL && has_token(r, now)) {
    r->taken++;
    ((acquiring *)first)->is_granted = true;
    ed_waitq_wake(first, 0);
  }
  set_alarm(r);
}

static void ring_ratelimit (ed_alarm *alarm) { serve(ED_OF(alarm, ed_ratelimit, alarm)); }

static ed_verdict cancel_acquire (ed_op *op) {
  ed_verdict verdict = ed_waitq_cancel(op);
  set_alarm(((acquiring *)op)->limit);
  return verdict;
}

static void drop_acquire (ed_op *op) {
  acquiring *a = (acquiring *)op;
  if (a->is_granted) {
    if (a->limit->taken > 0) a->limit->taken--;
    serve(a->limit);
  }
  ed_op_free(op);
}

static void describe_acquire (const ed_op *op, char *text, size_t room) {
  const ed_ratelimit *r = ((const acquiring *)op)->limit;
  snprintf(
    text, room, "a limit of %lld in %g s", (long long)r->n, (double)(r->ns / 1e9L));
}

/* ---- Lua half ---- */

static int finish_acquire (lua_State *L, ed_op *op) {
  ((acquiring *)op)->is_granted = false; /* taken */
  return ed_finish_true(L, op);
}

static const ed_optype acquire_type = {
  .name = "ratelimit:acquire",
  .finish = finish_acquire,
  .cancel = cancel_acquire,
  .drop = drop_acquire,
  .is_internal = true,
  .describe = describe_acquire,
};

/*
** eddy.ratelimit(n, seconds [, burst]) --> RateLimit
** 'n' acquisitions in each 'seconds', up to 'burst' (default n) at once.
*/
static int l_ratelimit (lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  lua_Number seconds = luaL_checknumber(L, 2);
  lua_Integer burst = luaL_optinteger(L, 3, n);
  ed_loop *loop = ed_loop_of(L);
  ed_ratelimit *r;
  luaL_argcheck(L, n > 0, 1, "must be above 0");
  luaL_argcheck(L, seconds > 0 && seconds < 1e9, 2, "must be above 0 and finite");
  luaL_argcheck(L, burst > 0, 3, "must be above 0");
  r = ed_class_push(L, loop, ED_CLASS_RATELIMIT, sizeof *r, 0);
  ed_list_init(&r->waiters);
  ed_alarm_init(&r->alarm, ring_ratelimit);
  r->loop = loop;
  r->burst = burst;
  r->n = n;
  r->ns = (long double)seconds * 1e9L;
  return 1;
}

/*
** ratelimit:acquire() --> true
** Awaits a token, in order of arrival. Cancelled in line: leaves it, and owes nothing.
*/
static int l_ratelimit_acquire (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  ed_ratelimit *r = ed_class_check(L, loop, 1, ED_CLASS_RATELIMIT);
  ed_task *task = ed_checkpoint(L);
  bool is_first = ed_waitq_first(&r->waiters) == NULL;
  uint64_t now = ed_loop_now(loop);
  acquiring *a;
  if (is_first) look(r, now);
  if (is_first && has_token(r, now) && ed_spend(loop)) {
    r->taken++;
    return ed_finish_true(L, NULL);
  }
  if (!ed_heap_reserve(&loop->timers, &loop->mem))
    return luaL_error(L, "not enough memory");
  a = ed_op_new_for(L, task, &acquire_type, sizeof *a);
  a->limit = r;
  ed_waitq_join(&r->waiters, &a->waiter);
  serve(r); /* grants, when others have waited long enough, or sets the alarm */
  return ed_await(L, &a->waiter.op, 0);
}

static const luaL_Reg functions[] = {
  {"ratelimit", l_ratelimit},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"acquire", l_ratelimit_acquire},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {NULL, NULL},
};

void ed_open_ratelimit (lua_State *L, ed_loop *loop, int box) {
  ed_class_new(L, loop, ED_CLASS_RATELIMIT, "eddy.RateLimit", methods, meta, box);
  ed_setfuncs(L, functions, box);
}
