/* SPDX-License-Identifier: MIT */
/*
** The numbers of turns, the hook, and what it decides.
**
** Which coroutine runs, the kernel knows: task->leaf. A signal may come while that changes; then
** the hook lies on one that is not running, finds out when it is called at last, and goes away.
** The hook that a script has set itself is kept aside and put back before ours does anything.
*/
#include "core/slice.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "compat.h"
#include "core/coroutine.h"
#include "core/limits.h"
#include "core/place.h"
#include "core/report.h"
#include "core/watchdog.h"

enum {
  KEPT = 16,     /* hooks of scripts that are kept aside at a time */
  STEP = 8,      /* instructions between two looks whether the library is left */
  GRACE = 10000, /* instructions between two errors that drive a task out */
  PATIENCE = 50, /* such errors; after that there are less and less, down to every one */
  LAST_GRACE = 64,
  MEMORY_GRACE = 200 /* in the place of GRACE; each request may be a full collection */
};

static const uint64_t moment = 1000000; /* ns before the next try, at least */
static const uint64_t close_time =
  100000000; /* ns for clean-up of killed tasks, a round */

/* A hook of the script's, on a coroutine that has ours now. */
typedef struct kept_hook {
  lua_State *co;
  lua_Hook hook;
  int mask, count;
} kept_hook;

struct ed_slices {
  ed_watchdog dog;
  ed_loop *loop;
  ed_policy policy;
  volatile unsigned turn; /* the number of the one that is on; the handler looks at it */
  unsigned counter;
  volatile bool is_closing; /* the turn is the clean-up of a killed task */
  unsigned raises;          /* of errors that drive it out, in this turn */
  unsigned nsignals;        /* in this turn */
  uint64_t closed_for;      /* ns of clean-up in this round */
  unsigned npreempted;
  unsigned round;    /* modulo 8 */
  unsigned nlimited; /* tasks with limits */
  int every;         /* for tests: instructions between two preemptions, or 0 */
  bool is_everywhere;
  kept_hook kept[KEPT];
  unsigned next_kept;
  char place[ED_PLACE_ROOM]; /* where the turn was when it was noticed, or "" */
};

typedef struct ed_slices slices;

/* What is saved of a turn while another one runs on top of it. */
typedef struct ed_turn {
  unsigned number;
  uint64_t budget;
  bool is_closing;
} ed_turn;

static void overrun_hook (lua_State *L, lua_Debug *at);

/* ---- life ---- */

static bool act (ed_interruptible *who);

static slices *need (ed_loop *loop) {
  slices *s = loop->slices;
  if (s != NULL) return s;
  s = ed_loop_calloc(loop, sizeof *s);
  if (s == NULL) return NULL;
  s->loop = loop;
  s->dog.interruptible.act = act;
  loop->slices = s;
  return s;
}

static bool wants_watchdog (const slices *s) {
  return s->policy.slice != 0 || s->policy.warn != 0 || s->policy.kill_after != 0;
}

/* Is there anything to look after? */
static void refresh (slices *s) {
  bool is_on = wants_watchdog(s) || s->nlimited > 0 || s->every > 0;
  s->loop->watch = is_on ? s : NULL;
}

uint64_t ed_slice_ns (lua_Number seconds) {
  if (!(seconds < 9e9)) return UINT64_MAX;
  return seconds > 1e-9 ? (uint64_t)(seconds * 1e9) : 1;
}

bool ed_slice_set (ed_loop *loop, const ed_policy *policy) {
  bool is_any = policy->slice != 0 || policy->warn != 0 || policy->kill_after != 0;
  slices *s = is_any ? need(loop) : loop->slices;
  if (s == NULL) return !is_any;
  s->policy = *policy;
  refresh(s);
  return true;
}

ed_policy ed_slice_policy (const ed_loop *loop) {
  static const ed_policy none = {0, 0, 0};
  return loop->slices != NULL ? loop->slices->policy : none;
}

static void expect (slices *s, uint64_t ns) {
  if (ns != 0 && ns != UINT64_MAX) ed_watchdog_expect(&s->dog, ns);
}

int ed_slice_start (ed_loop *loop) {
  slices *s = loop->slices;
  if (s == NULL || !wants_watchdog(s)) return 0;
  expect(s, s->policy.slice);
  expect(s, s->policy.warn);
  expect(s, s->policy.kill_after);
  return ed_watchdog_start(&s->dog);
}

void ed_slice_stop (ed_loop *loop) {
  if (loop->slices != NULL) ed_watchdog_stop(&loop->slices->dog);
}

void ed_slice_free (ed_loop *loop) {
  if (loop->slices != NULL) ed_watchdog_stop(&loop->slices->dog);
  ed_mem_free(&loop->mem, loop->slices, sizeof *loop->slices);
  loop->slices = loop->watch = NULL;
  if (loop->library != NULL)
    ed_mem_free(&loop->mem, loop->library, strlen(loop->library) + 1);
  loop->library = NULL;
}

int ed_slice_prepare (ed_loop *loop, const ed_limits *limits) {
  slices *s = need(loop);
  if (s == NULL) return UV_ENOMEM;
  if (limits->slice == 0 && limits->cpu == 0) return 0;
  expect(s, limits->slice);
  expect(s, limits->cpu);
  return ed_watchdog_start(&s->dog);
}

void ed_slice_count (ed_loop *loop, int change) {
  slices *s = loop->slices;
  s->nlimited += (unsigned)change;
  refresh(s);
}

/* ---- hooks ---- */

static kept_hook *find_kept (slices *s, lua_State *co) {
  for (int i = 0; i < KEPT; i++)
    if (s->kept[i].co == co) return &s->kept[i];
  return NULL;
}

static void keep_hook (slices *s, lua_State *co, lua_Hook hook) {
  kept_hook *kept = find_kept(s, co);
  if (kept == NULL) kept = &s->kept[s->next_kept++ % KEPT];
  kept->co = co;
  kept->hook = hook;
  kept->mask = lua_gethookmask(co);
  kept->count = lua_gethookcount(co);
}

/* Also in the handler of a signal, where lua_sethook is what may be called. */
static void arm (slices *s, lua_State *co, int count) {
  lua_Hook hook = lua_gethook(co);
  if (hook != NULL && hook != overrun_hook) keep_hook(s, co, hook);
  lua_sethook(co, overrun_hook, LUA_MASKCOUNT | LUA_MASKRET, count);
}

/* The script's own hook is back, or none. */
static void disarm (slices *s, lua_State *co) {
  kept_hook *kept = find_kept(s, co);
  if (kept == NULL) {
    lua_sethook(co, NULL, 0, 0);
    return;
  }
  kept->co = NULL;
  lua_sethook(co, kept->hook, kept->mask, kept->count);
}

/* Whatever was resumed, or is being closed. Also in the handler. */
static void arm_resumed (slices *s, int count) {
  for (const ed_resumed *at = s->loop->resumed; at != NULL; at = at->outer)
    arm(s, at->co, count);
}

static bool is_resumed (const slices *s, const lua_State *co) {
  const ed_resumed *at = s->loop->resumed;
  while (at != NULL && at->co != co) at = at->outer;
  return at != NULL;
}

/* Functions that a clean-up calls are in no nest: whatever was resumed may be what runs. */
static void arm_clean_up (slices *s, int count) {
  if (s->loop->closing != NULL) arm(s, s->loop->closing, count);
  arm_resumed(s, count);
}

/* Is this the turn for which the watchdog sent its last signal? */
static bool is_called (const slices *s) {
  return s->turn != 0
    && atomic_load_explicit(&s->dog.called, memory_order_acquire) == s->turn;
}

/*
** In the handler of the signal. Should one not be enough, the leaf may be one that only falls through
** an error, or that closes another coroutine: then all that may run next.
*/
static bool act (ed_interruptible *who) {
  slices *s = ED_OF(who, slices, dog.interruptible);
  ed_task *task = s->loop->current;
  if (task == NULL || !is_called(s)) return false;
  if (s->is_closing) arm_clean_up(s, 1);
  else arm(s, task->leaf, 1);
  if (s->is_closing || ++s->nsignals == 1) return true;
  arm(s, task->co, 1);
  arm_resumed(s, 1);
  return true;
}

/* All coroutines of the running task, for what one leaves by an error the next one goes on with. */
static void arm_all (slices *s, ed_task *task, int count) {
  for (lua_State *co = task->leaf; co != NULL; co = ed_nest_outer(task, co))
    arm(s, co, count);
}

void ed_slice_interrupt (ed_loop *loop) {
  if (loop->slices != NULL && loop->current != NULL && !loop->slices->is_closing)
    arm_all(loop->slices, loop->current, 1);
}

/* ---- budgets ---- */

static uint64_t slice_of (const slices *s, const ed_limits *limits) {
  uint64_t slice = limits != NULL && limits->slice != 0 ? limits->slice : s->policy.slice;
  return slice != 0 ? slice : UINT64_MAX;
}

static uint64_t lesser (uint64_t a, uint64_t b) { return a < b ? a : b; }

/* 'ns' after 'held', or never: a host may give the largest number for no limit. */
static uint64_t later (uint64_t held, uint64_t ns) {
  return ns < UINT64_MAX - held ? held + ns : UINT64_MAX;
}

/* What is left of 'limit', not less than a moment. */
static uint64_t rest (uint64_t limit, uint64_t used) {
  return used + moment < limit ? limit - used : moment;
}

/* How long a turn may go on that has lasted for 'held' ns. */
static uint64_t next_budget (const slices *s, const ed_limits *limits, uint64_t held) {
  uint64_t slice = slice_of(s, limits), budget = UINT64_MAX;
  if (slice != UINT64_MAX)
    budget = held < slice ? slice : later(held, slice > moment ? slice : moment);
  if (s->policy.warn > held) budget = lesser(budget, s->policy.warn);
  if (limits != NULL && limits->cpu != 0)
    budget = lesser(budget, later(held, rest(limits->cpu, ed_limits_used(limits))));
  if (s->policy.kill_after != 0)
    budget = lesser(budget,
      later(
        held, rest(s->policy.kill_after, limits != NULL ? ed_limits_alone(limits) : 0)));
  return budget;
}

/* Its first half is taken for granted; from then on it has limits, and is measured. */
static uint64_t first_budget (const slices *s, const ed_limits *limits) {
  uint64_t budget = next_budget(s, limits, 0);
  if (limits == NULL && s->policy.kill_after != 0)
    budget = lesser(budget, s->policy.kill_after / 2);
  return budget;
}

/* How long the turn has lasted, as far as the watchdog has seen; 0 if it saw nothing special. */
static uint64_t held_so_far (const slices *s) {
  uint64_t begun = atomic_load_explicit(&s->dog.begun, memory_order_relaxed);
  uint64_t now = uv_hrtime();
  return is_called(s) && now > begun ? now - begun : 0;
}

/* ---- what the hook does ---- */

static bool can_suspend (lua_State *L, const ed_task *task) {
  return task->leaf == L && task->barred == 0 && lua_isyieldable(L);
}

static void suspend (slices *s, ed_task *task, lua_State *L) {
  task->state = ED_TASK_READY;
  task->is_preempted = true;
  task->round = s->round & 7;
  ed_list_append(&task->loop->ready, &task->ready);
  s->npreempted++;
  lua_yield(L, 0);
}

/* Instructions until the next error: enough for a clean-up; and for one without memory, some. In
   the end it is each one: what catches it has no time to catch it again. */
static int grace_of (slices *s, const ed_task *task) {
  if (++s->raises >= PATIENCE + LAST_GRACE) return 1;
  if (s->raises >= PATIENCE) return PATIENCE + LAST_GRACE - (int)s->raises;
  return ed_limits_has_excess(task) && task->limits->excess == ED_OVER_MEMORY
    ? MEMORY_GRACE
    : GRACE;
}

/* Raise, and again soon, until the task is where it can be killed. */
static void drive_out (slices *s, ed_task *task, lua_State *L) {
  int grace = grace_of(s, task);
  lua_sethook(L, overrun_hook, LUA_MASKCOUNT, grace); /* it may be a stock coroutine */
  if (s->is_closing) arm_clean_up(s, grace);
  else arm_all(s, task, grace), arm_resumed(s, grace);
  if (ed_limits_has_excess(task)) ed_limits_push(L, task);
  else lua_pushliteral(L, "the clean-up of a killed task takes too long");
  lua_error(L);
}

/* The scheduler kills a task that says so when it yields. */
static void kill_it (slices *s, ed_task *task, lua_State *L) {
  if (!can_suspend(L, task)) drive_out(s, task, L);
  disarm(s, L);
  if (ed_limits_has_excess(task)) ed_limits_convict(L, task, ED_WITHIN_LIMITS, true);
  task->is_killed = true;
  lua_yield(L, 0);
}

static bool is_over_cpu (const slices *s, const ed_limits *limits) {
  if (limits == NULL) return false;
  if (limits->cpu != 0 && ed_limits_used(limits) >= limits->cpu) return true;
  return s->policy.kill_after != 0 && ed_limits_alone(limits) >= s->policy.kill_after;
}

/* The slice is over: what now? A host may say. */
static void end_slice (slices *s, ed_task *task, lua_State *L, uint64_t held) {
  const ed_hosting *host = s->loop->hosting;
  ed_overrun answer = ED_OVERRUN_YIELD;
  if (host != NULL && host->overrun != NULL)
    answer = host->overrun(s->loop, task, held, s->place);
  if (answer == ED_OVERRUN_KILL && ed_limits_of(task, 0) != NULL) {
    ed_limits_convict(L, task, ED_OVER_PATIENCE, false);
    kill_it(s, task, L);
    return;
  }
  disarm(s, L);
  if (answer == ED_OVERRUN_YIELD && can_suspend(L, task)) {
    if (task->scope->cause == NULL || !ed_cancel_is_overdue(task)) suspend(s, task, L);
    else kill_it(s, task, L);
  } else ed_watchdog_grant(&s->dog, next_budget(s, ed_limits_get(task), held));
}

/* In a turn that was noticed, on the coroutine that runs, between two of its instructions. */
static void decide (slices *s, ed_task *task, lua_State *L) {
  uint64_t held = held_so_far(s);
  ed_limits *limits = ed_limits_get(task);
  if (limits == NULL && s->policy.kill_after != 0)
    limits = ed_limits_of(task, lesser(held, first_budget(s, NULL)));
  if (limits != NULL) ed_limits_weigh(L, task);
  if (!ed_limits_has_excess(task) && is_over_cpu(s, limits)) {
    ed_limits_end(limits); /* for what it says */
    ed_limits_convict(L, task, ED_OVER_CPU, false);
  }
  if (ed_limits_has_excess(task)) kill_it(s, task, L);
  else if (held >= slice_of(s, limits)) end_slice(s, task, L, held);
  else {
    disarm(s, L);
    ed_watchdog_grant(&s->dog, next_budget(s, limits, held));
  }
}

/* Is this turn to be looked at, or was the hook left over from another one? */
static bool is_expected (const slices *s, const ed_task *task, lua_State *L) {
  const ed_limits *limits = task != NULL ? ed_limits_get(task) : NULL;
  if (task == NULL || s->turn == 0) return false;
  if (s->is_closing) return is_called(s);
  if (limits != NULL && (limits->is_noticed || limits->excess != ED_WITHIN_LIMITS))
    return true;
  return is_called(s) && (task->leaf == L || is_resumed(s, L));
}

static slices *slices_of (lua_State *L) {
  ed_box *box = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &ed_box_key) == LUA_TUSERDATA)
    box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box != NULL && box->loop != NULL ? box->loop->slices : NULL;
}

/* A return tells the line of a C function's call, which the next instruction may not be on. */
static void overrun_hook (lua_State *L, lua_Debug *at) {
  slices *s = slices_of(L);
  ed_task *task = s != NULL ? s->loop->current : NULL;
  if (s == NULL) lua_sethook(L, NULL, 0, 0);
  else if (!is_expected(s, task, L)) disarm(s, L);
  else {
    if (*s->place == '\0') ed_place_find(L, s->loop, s->place);
    if (at->event != LUA_HOOKCOUNT) return;
    if (s->is_closing) drive_out(s, task, L);
    else if (ed_place_is_library(L, s->loop))
      lua_sethook(L, overrun_hook, LUA_MASKCOUNT, STEP);
    else decide(s, task, L);
  }
}

/* ---- turns ---- */

static ed_turn begin_turn (slices *s, uint64_t budget) {
  ed_turn outer = {
    s->turn, atomic_load_explicit(&s->dog.budget, memory_order_relaxed), s->is_closing};
  if (++s->counter == 0) s->counter = 1;
  s->turn = s->counter;
  s->is_closing = false;
  s->raises = s->nsignals = 0;
  *s->place = '\0';
  ed_watchdog_turn(&s->dog, s->turn, budget);
  return outer;
}

/* For how long has the turn that ends been noticed? 0: it was not. */
static uint64_t end_turn (slices *s, ed_turn outer) {
  uint64_t held = held_so_far(s);
  s->turn = outer.number;
  s->is_closing = outer.is_closing;
  ed_watchdog_turn(&s->dog, outer.number, outer.budget);
  return held;
}

/* True if that was for us to do. */
static bool enter (slices *s) {
  if (!s->dog.is_started || s->dog.is_entered) return false;
  ed_watchdog_enter(&s->dog);
  return true;
}

/* Tell that the task held the loop, and where. */
static void report (slices *s, ed_task *task, uint64_t held) {
  char name[100], text[400];
  const char *how = "at ";
  if (*s->place == '\0') {
    if (ed_task_has_ended(task)) how = "and then ended";
    else if (ed_place_find(task->leaf, s->loop, s->place)) how = "and then waited at ";
  }
  ed_task_quote(s->loop->L, task, name, sizeof name);
  snprintf(text, sizeof text, "%s held the loop for %.0f ms %s%s", name,
    (double)held / 1e6, how, s->place);
  ed_report_warning(s->loop->L, task, "limit", "blocking", text);
}

/* One whose base frame has just returned; what that has returned stays where it is. */
static void report_ended (slices *s, ed_task *task, uint64_t held) {
  task->state = ED_TASK_DONE;
  report(s, task, held);
}

/* What the task has used is known now; one that went too far and lives is killed. */
static void settle (slices *s, ed_task *task, int status) {
  ed_limits *limits = ed_limits_get(task);
  if (limits == NULL) return;
  ed_limits_end(limits);
  if (status != LUA_YIELD || task->is_killed) return;
  s->loop->current = task; /* what is collected now counts for it */
  ed_limits_weigh(s->loop->L, task);
  s->loop->current = NULL;
  if (!ed_limits_has_excess(task) && (limits->cpu == 0 || limits->used < limits->cpu))
    return;
  ed_limits_convict(s->loop->L, task, ED_OVER_CPU, true);
  task->is_killed = true;
}

static void every_hook (lua_State *L, lua_Debug *at) {
  slices *s = slices_of(L);
  ed_task *task = s != NULL ? s->loop->current : NULL;
  (void)at;
  if (s == NULL || s->every == 0) lua_sethook(L, NULL, 0, 0);
  else if (task != NULL && can_suspend(L, task)
    && (s->is_everywhere || !ed_place_is_library(L, s->loop)))
    suspend(s, task, L);
}

int ed_slice_every (ed_loop *loop, int count, bool everywhere) {
  slices *s = count > 0 ? need(loop) : loop->slices;
  if (s == NULL) return count > 0 ? -1 : 0;
  s->every = count;
  s->is_everywhere = everywhere;
  refresh(s);
  return (int)(s->npreempted & INT_MAX);
}

int ed_slice_resume (ed_loop *loop, ed_task *task, int nargs, int *nres) {
  slices *s = loop->watch;
  bool enters = enter(s);
  uint64_t held;
  ed_turn outer;
  int status;
  if (task->has_limits) ed_limits_begin(task->limits, task->is_preempted);
  task->is_preempted = false;
  outer = begin_turn(s, first_budget(s, ed_limits_get(task)));
  if (s->every > 0 && lua_gethook(task->leaf) == NULL)
    lua_sethook(task->leaf, every_hook, LUA_MASKCOUNT, s->every);
  status = lua_resume(task->co, loop->L, nargs, nres);
  held = end_turn(s, outer);
  loop->current = NULL;
  settle(s, task, status);
  if (s->policy.warn != 0 && held >= s->policy.warn) {
    if (status == LUA_OK) report_ended(s, task, held);
    else report(s, task, held);
  }
  if (enters) ed_watchdog_leave(&s->dog);
  return status;
}

/* Many may be killed at once: when their time is over each has a moment, and no time to catch errors. */
void ed_slice_close (ed_loop *loop, ed_task *task, void (*close)(ed_task *task)) {
  slices *s = loop->watch;
  bool enters = enter(s);
  uint64_t begun = uv_hrtime(), budget = rest(close_time, s->closed_for);
  ed_turn outer;
  if (task->has_limits) ed_limits_begin(task->limits, true);
  outer = begin_turn(s, budget);
  s->is_closing = true;
  if (budget == moment) s->raises = PATIENCE + LAST_GRACE;
  close(task);
  end_turn(s, outer);
  s->closed_for += uv_hrtime() - begun;
  if (task->has_limits) ed_limits_end(task->limits);
  if (enters) ed_watchdog_leave(&s->dog);
}

void ed_slice_closes_next (ed_loop *loop) {
  slices *s = loop->watch;
  if (s != NULL && s->is_closing && is_called(s)) arm(s, loop->closing, 1);
}

void ed_slice_begin_round (ed_loop *loop) {
  if (loop->slices == NULL) return;
  loop->slices->round = (loop->slices->round + 1) & 7;
  loop->slices->closed_for = 0;
}

/* One that did not get its turn in eight rounds is taken for one of this: it waits for one more. */
bool ed_slice_ends_round (const ed_loop *loop) {
  const ed_task *task = ED_OF(loop->ready.next, ed_task, ready);
  return loop->slices != NULL && !ed_list_is_empty(&loop->ready) && task->is_preempted
    && task->round == loop->slices->round;
}

/* One at a time, so that a preempted task is seen before it runs again. */
static void run_some (slices *s, uint64_t end, int batch) {
  ed_loop *loop = s->loop;
  bool is_real = !loop->is_manual && !loop->is_paced;
  unsigned before = s->npreempted;
  ed_slice_begin_round(loop);
  for (int n = 1; !ed_list_is_empty(&loop->ready); n++) {
    ed_task_run_ready(loop, 1);
    if (ed_slice_ends_round(loop)) break;
    if (n % batch != 0 && s->npreempted == before) continue;
    loop->now = ed_loop_now(loop);
    if ((is_real ? loop->now : uv_hrtime()) >= end) break;
  }
}

void ed_slice_run_until (ed_loop *loop, uint64_t end, int batch) {
  slices *s = loop->watch;
  bool enters = enter(s);
  run_some(s, end, batch);
  if (enters) ed_watchdog_leave(&s->dog);
}
