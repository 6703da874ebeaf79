/* SPDX-License-Identifier: MIT */
/*
** Tasks that the host spawned: their records behind ids of generation and slot, and telling the
** host, once, how each has ended.
**
** A task's end only puts its record into a list, because it may come in the middle of anything;
** the host is told at the end of the step. The task is held until then, so that its results are
** there. A record leaves the table before the host is told: its id is stale from then on.
*/
#include "host/host.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "compat.h"
#include "core/class.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/report.h"
#include "core/trace.h"

enum { FIRST_SLOTS = 16 };

/* ---- the table of records ---- */

static bool grow (eddy *e) {
  uint32_t room = e->nslots > 0 ? 2 * e->nslots : FIRST_SLOTS;
  ed_slot *slot = realloc(e->slot, room * sizeof *slot);
  if (slot == NULL) return false;
  memset(slot + e->nslots, 0, (room - e->nslots) * sizeof *slot);
  e->slot = slot;
  e->first_free = e->nslots;
  e->nslots = room;
  return true;
}

static uint32_t find_free (const eddy *e) {
  uint32_t at = e->first_free;
  while (at < e->nslots && e->slot[at].record != NULL) at++;
  return at;
}

static bool enter (eddy *e, ed_record *r) {
  bool ok;
  uint32_t at;
  uv_mutex_lock(&e->lock);
  at = find_free(e);
  if ((ok = at < e->nslots || grow(e))) {
    e->slot[at].record = r;
    e->first_free = at + 1;
    r->id = (eddy_id)++e->slot[at].generation << 32 | (at + 1);
    r->id &= ~((eddy_id)1 << 63); /* that is of groups */
  }
  uv_mutex_unlock(&e->lock);
  return ok;
}

/* Under the lock, or on the loop's thread. */
static ed_record *find (const eddy *e, eddy_id id) {
  uint32_t at = (uint32_t)id - 1;
  ed_record *r = at < e->nslots ? e->slot[at].record : NULL;
  return r != NULL && r->id == id ? r : NULL;
}

ed_record *ed_record_next (eddy *e, uint32_t *at) {
  while (*at < e->nslots) {
    ed_record *r = e->slot[(*at)++].record;
    if (r != NULL) return r;
  }
  return NULL;
}

/* Out of the table, and what was asked of it out of the queue. */
static void take_out (eddy *e, ed_record *r) {
  uint32_t at = (uint32_t)r->id - 1;
  uv_mutex_lock(&e->lock);
  if (at < e->nslots && e->slot[at].record == r) {
    e->slot[at].record = NULL;
    if (at < e->first_free) e->first_free = at;
  }
  ed_list_remove(&r->asked.link);
  r->is_asked = false;
  uv_mutex_unlock(&e->lock);
}

static void free_record (ed_record *r) {
  free(r->reason);
  free(r);
}

void ed_record_free_all (eddy *e) {
  uint32_t at = 0;
  ed_record *r;
  while ((r = ed_record_next(e, &at)) != NULL) {
    ed_list_remove(&r->watch.link);
    take_out(e, r);
    free_record(r);
  }
}

/* ---- telling the host ---- */

/* A field of an error object that is a string, pushed; or "". */
static const char *push_field (lua_State *L, int error, const char *name) {
  lua_pushstring(L, name);
  lua_rawget(L, error);
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
}

/* The text of an error without running anything: a script's '__tostring' may never come back. */
static const char *push_plain_text (lua_State *L, int error) {
  int type = lua_type(L, error);
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    lua_pushvalue(L, error);
    return lua_tostring(L, -1);
  }
  if (!ed_error_is(L, error))
    return lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, error));
  const char *message = push_field(L, error, "message");
  const char *target = push_field(L, error, "target");
  const char *code = push_field(L, error, "code");
  return lua_pushfstring(
    L, "%s%s%s (%s)", target, *target != '\0' ? ": " : "", message, code);
}

/* The error at index 'error' to the host; in protected mode. */
void ed_host_report (
  eddy *e, lua_State *L, eddy_id id, int error, const char *traceback) {
  int top = lua_gettop(L);
  const char *message;
  luaL_checkstack(L, 8, "error");
  error = lua_absindex(L, error);
  message = ed_is_sandbox(e) ? push_plain_text(L, error) : luaL_tolstring(L, error, NULL);
  if (e->config.on_error != NULL)
    e->config.on_error(e, id, EDDY_ESCRIPT, message, traceback, e->config.userdata);
  else lua_writestringerror("eddy: %s\n", message);
  lua_settop(L, top);
}

static void ended (ed_watch *watch, ed_task *task) {
  ed_record *r = ED_OF(watch, ed_record, watch);
  r->is_awaited = !ed_list_is_empty(&task->watchers);
  ed_list_append(&r->host->finished, &r->finished);
  if (r->host->is_down) r->task = NULL; /* killed with the runtime, and not held */
}

eddy_id ed_record_id (const ed_task *task) {
  for (const ed_link *at = task->watchers.next; at != &task->watchers; at = at->next) {
    const ed_watch *watch = ED_OF(at, ed_watch, link);
    if (watch->ended == ended) return ED_OF(watch, ed_record, watch)->id;
  }
  return 0;
}

static int status_of (const ed_record *r) {
  if (r->task == NULL || r->task->state == ED_TASK_CANCELLED) return EDDY_ECANCELED;
  return r->task->state == ED_TASK_DONE ? EDDY_OK : EDDY_ESCRIPT;
}

/* (record): results to 'done'. */
static int l_tell_done (lua_State *L) {
  ed_record *r = lua_touserdata(L, 1);
  eddy_done done = r->done;
  int n = 0;
  if (r->task != NULL) {
    n = ed_task_push_results(L, r->task);
    luaL_checkstack(L, LUA_MINSTACK, "results");
  }
  r->done = NULL; /* from here on it is told */
  done(r->host, r->id, status_of(r), L, n, r->ud);
  return 0;
}

/* No room for the results. */
static int l_tell_failure (lua_State *L) {
  ed_record *r = lua_touserdata(L, 1);
  eddy_done done = r->done;
  r->done = NULL;
  lua_settop(L, 0);
  done(r->host, r->id, EDDY_ENOMEM, L, 0, r->ud);
  return 0;
}

/* (record): a failure that nobody awaits. */
static int l_tell_error (lua_State *L) {
  ed_record *r = lua_touserdata(L, 1);
  const char *traceback;
  ed_task_find(L, r->task);
  ed_task_push_first(L, r->task);
  ed_trace_push(L, r->task->loop, 2);
  traceback = lua_tostring(L, -1);
  ed_host_report(r->host, L, r->id, 3, traceback);
  return 0;
}

static void note_end (eddy *e, const ed_record *r) {
  int status = status_of(r);
  ed_journal(e, "end %" PRIu32 " %s", r->number,
    status == EDDY_OK            ? "done"
      : status == EDDY_ECANCELED ? "cancelled"
                                 : "failed");
}

static void tell (eddy *e, ed_record *r) {
  lua_State *L = e->loop->L;
  note_end(e, r);
  if (r->done != NULL) {
    int status = ed_host_protect(e, L, l_tell_done, r, 0);
    if (status < 0 && r->done != NULL) ed_host_protect(e, L, l_tell_failure, r, 0);
  } else if (status_of(r) == EDDY_ESCRIPT && !r->is_awaited) {
    if (e->config.on_error != NULL || ed_is_sandbox(e))
      ed_host_protect(e, L, l_tell_error, r, 0);
    else ed_report_failure(r->task);
  }
}

void ed_record_tell_all (eddy *e) {
  ed_link *at;
  while ((at = ed_list_shift(&e->finished)) != NULL) {
    ed_record *r = ED_OF(at, ed_record, finished);
    take_out(e, r);
    tell(e, r);
    if (r->task != NULL) ed_task_release(r->task);
    free_record(r);
  }
}

/* ---- spawning ---- */

typedef struct spawning {
  eddy *host;
  ed_record *record;
  const eddy_spawn_options *options;
} spawning;

/* What the task may use; false: anything. */
static bool read_limits (ed_limits *limits, const eddy_spawn_options *options) {
  memset(limits, 0, sizeof *limits);
  limits->slice = options->slice_ns;
  limits->cpu = options->cpu_ns;
  limits->memory = options->memory;
  return limits->slice != 0 || limits->cpu != 0 || limits->memory != 0;
}

/* (spawning, fn, ...) */
static int l_spawn (lua_State *L) {
  spawning *s = lua_touserdata(L, 1);
  ed_loop *loop = s->host->loop;
  const char *name = s->options->name;
  ed_limits limits;
  bool has_limits = read_limits(&limits, s->options);
  ed_task *task;
  ed_check_callable(L, 2);
  lua_pushstring(L, name != NULL ? name : "");
  lua_replace(L, 1);
  if (has_limits) ed_limits_prepare(L, loop, &limits);
  task = ed_task_spawn(L, loop, &loop->top, lua_gettop(L) - 2, true);
  if (has_limits) ed_limits_set(task, &limits);
  task->is_held = true;
  s->record->task = task;
  s->record->number = task->id;
  ed_list_append(&task->watchers, &s->record->watch.link);
  if (name != NULL) ed_task_set_name(L, loop, 2, 1);
  return 0;
}

static ed_record *new_record (eddy *e, eddy_id group) {
  ed_record *r = calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->host = e;
  r->group = group;
  r->watch.ended = ended;
  ed_list_init(&r->watch.link);
  ed_list_init(&r->asked.link);
  ed_list_init(&r->finished);
  if (enter(e, r)) return r;
  free_record(r);
  return NULL;
}

static bool read_options (eddy_spawn_options *to, const eddy_spawn_options *from) {
  memset(to, 0, sizeof *to);
  if (from == NULL) return true;
  if (!ed_host_read_struct(
        to, sizeof *to, from, from->size, offsetof(eddy_spawn_options, group)))
    return false;
  return (to->flags & ~(uint32_t)(EDDY_SPAWN_NOW | EDDY_SPAWN_BINARY)) == 0;
}

/* May something be spawned now? */
static int check_spawn (const eddy *e, const eddy_spawn_options *options) {
  if (e->loop == NULL || e->is_closing || e->loop->is_closing) return EDDY_ECLOSED;
  if (!e->is_attached) return EDDY_EINVAL;
  if (options->group != 0 && !ed_group_is_open(e, options->group)) return EDDY_ESTALE;
  if (e->config.max_tasks > 0 && e->loop->ntasks >= e->config.max_tasks)
    return EDDY_ELIMIT;
  return EDDY_OK;
}

static void start_now (eddy *e, ed_task *task) {
  if (ed_host_must_not_step(e) || e->is_paused) return;
  e->is_stepping = true;
  ed_list_remove(&task->ready);
  e->loop->luck = ED_LUCK;
  ed_task_resume(e->loop, task);
  ed_host_finish_step(e);
}

/* The function and its arguments are popped. */
static int spawn (
  eddy *e, lua_State *L, int nargs, const eddy_spawn_options *options, eddy_id *id) {
  spawning s = {e, NULL, options};
  int status = check_spawn(e, options);
  if (status == EDDY_OK && (s.record = new_record(e, options->group)) == NULL)
    status = EDDY_ENOMEM;
  if (status < 0) {
    lua_pop(L, nargs + 1);
    return status;
  }
  status = ed_host_protect(e, L, l_spawn, &s, nargs + 1);
  if (status < 0 && s.record->task == NULL) { /* else only the name found no room */
    take_out(e, s.record);
    free_record(s.record);
    return status == EDDY_ESCRIPT ? EDDY_EINVAL : status;
  }
  if (id != NULL) *id = s.record->id;
  ed_host_keep_alive(e);
  ed_journal(
    e, "spawn %" PRIu32 " %s", s.record->task->id, options->name ? options->name : "-");
  if (options->flags & EDDY_SPAWN_NOW) start_now(e, s.record->task);
  return EDDY_OK;
}

int eddy_spawn (
  eddy *e, lua_State *L, int nargs, const eddy_spawn_options *given, eddy_id *id) {
  eddy_spawn_options options;
  if (id != NULL) *id = 0;
  if (L == NULL || nargs < 0) return EDDY_EINVAL;
  if (e == NULL || !read_options(&options, given)) {
    lua_pop(L, nargs + 1);
    return EDDY_EINVAL;
  }
  return spawn(e, L, nargs, &options, id);
}

/* ---- chunks ---- */

typedef struct chunk {
  eddy *host;
  const char *text;
  size_t len;
  const char *name, *mode;
  int status;
} chunk;

/* (chunk) --> function | nothing, reported */
static int l_load (lua_State *L) {
  chunk *c = lua_touserdata(L, 1);
  c->status = luaL_loadbufferx(L, c->text, c->len, c->name, c->mode);
  if (c->status == LUA_OK) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, c);
    return 0;
  }
  if (c->status != LUA_ERRMEM
    && (c->host->config.on_error != NULL || ed_is_sandbox(c->host)))
    ed_host_report(c->host, L, 0, lua_gettop(L), NULL);
  return 0;
}

int eddy_spawn_buffer (eddy *e, const char *text, size_t len, const char *name,
  const eddy_spawn_options *given, eddy_id *id) {
  eddy_spawn_options options;
  chunk c = {e, text, len, name != NULL ? name : "=host", "t", LUA_OK};
  int status;
  if (id != NULL) *id = 0;
  if (e == NULL || (text == NULL && len > 0) || !read_options(&options, given))
    return EDDY_EINVAL;
  if ((status = check_spawn(e, &options)) < 0) return status;
  if (options.flags & EDDY_SPAWN_BINARY) c.mode = "bt";
  status = ed_host_protect(e, e->L, l_load, &c, 0);
  if (status < 0) return status;
  if (c.status != LUA_OK) return c.status == LUA_ERRMEM ? EDDY_ENOMEM : EDDY_ESCRIPT;
  lua_rawgetp(e->L, LUA_REGISTRYINDEX, &c);
  lua_pushnil(e->L);
  lua_rawsetp(e->L, LUA_REGISTRYINDEX, &c); /* an existing key: allocates nothing */
  return spawn(e, e->L, 0, &options, id);
}

/* ---- asking and telling ---- */

static ed_record *record_of (eddy *e, eddy_id id, int *status) {
  ed_record *r = NULL;
  *status = EDDY_EINVAL;
  if (e == NULL) return NULL;
  *status = EDDY_ECLOSED;
  if (e->loop == NULL) return NULL;
  r = find(e, id);
  *status = r != NULL ? EDDY_OK : EDDY_ESTALE;
  return r;
}

int eddy_task_status (eddy *e, eddy_id id) {
  int status;
  ed_record *r = record_of(e, id, &status);
  if (r == NULL) return status;
  return r->task == NULL || ed_task_has_ended(r->task) ? EDDY_ESTALE : r->task->state;
}

int eddy_task_on_done (eddy *e, eddy_id id, eddy_done done, void *ud) {
  int status;
  ed_record *r = record_of(e, id, &status);
  if (r == NULL) return status;
  r->done = done;
  r->ud = ud;
  return EDDY_OK;
}

typedef struct asking {
  ed_record *record;
  char *text;
  size_t room;
  size_t len;
} asking;

static int l_traceback (lua_State *L) {
  asking *a = lua_touserdata(L, 1);
  const char *text;
  ed_trace_push_live(L, a->record->task);
  text = luaL_tolstring(L, -1, &a->len);
  if (a->room == 0) return 0;
  memcpy(a->text, text, a->len < a->room ? a->len : a->room - 1);
  a->text[a->len < a->room ? a->len : a->room - 1] = '\0';
  return 0;
}

int eddy_task_traceback (eddy *e, eddy_id id, char *text, size_t room) {
  int status;
  asking a = {record_of(e, id, &status), text, text != NULL ? room : 0, 0};
  if (a.record == NULL) return status;
  if (a.record->task == NULL || ed_task_has_ended(a.record->task)) return EDDY_ESTALE;
  status = ed_host_protect(e, e->L, l_traceback, &a, 0);
  return status < 0 ? status : (int)a.len;
}

/* ---- cancel, kill ---- */

/* (record): with the reason that was given. */
static int l_cancel (lua_State *L) {
  ed_record *r = lua_touserdata(L, 1);
  if (r->task->root.why != ED_NOT_CANCELLED) return 0;
  lua_pushstring(L, r->reason);
  ed_cancel_reason(L, r->host->loop, &r->task->root);
  return 0;
}

static void run_asked (eddy *e, ed_post *post) {
  ed_record *r = ED_OF(post, ed_record, asked);
  bool wants_kill;
  char *reason;
  uv_mutex_lock(&e->lock);
  r->is_asked = false;
  wants_kill = r->wants_kill;
  reason = r->reason;
  uv_mutex_unlock(&e->lock);
  if (r->task == NULL || ed_task_has_ended(r->task) || e->loop == NULL) return;
  ed_journal(e, "%s %" PRIu32, wants_kill ? "kill" : "cancel", r->task->id);
  if (reason != NULL) ed_host_protect(e, e->loop->L, l_cancel, r, 0);
  if (wants_kill) ed_task_kill(r->task);
  else ed_task_cancel(r->task, ED_BY_USER);
}

/* Any thread. */
static int ask (eddy *e, eddy_id id, char *reason, bool kill) {
  ed_record *r;
  bool is_first = false, is_open;
  uv_mutex_lock(&e->lock);
  is_open = e->is_open;
  r = is_open ? find(e, id) : NULL;
  if (r != NULL) {
    r->wants_kill |= kill;
    if (r->reason == NULL) r->reason = reason, reason = NULL;
    r->asked.run = run_asked;
    if (!r->is_asked) is_first = ed_post_append(e, &r->asked);
    r->is_asked = true;
  }
  ed_post_unlock(e, is_first);
  free(reason);
  if (!is_open) return EDDY_ECLOSED;
  return r != NULL ? EDDY_OK : EDDY_ESTALE;
}

int eddy_task_cancel (eddy *e, eddy_id id, const char *reason) {
  char *copy = NULL;
  if (e == NULL) return EDDY_EINVAL;
  if (reason != NULL && (copy = malloc(strlen(reason) + 1)) == NULL) return EDDY_ENOMEM;
  if (copy != NULL) memcpy(copy, reason, strlen(reason) + 1);
  return ask(e, id, copy, false);
}

int eddy_task_kill (eddy *e, eddy_id id) {
  int status;
  ed_record *r = record_of(e, id, &status);
  if (r == NULL) return status;
  if (ed_host_must_not_step(e)) return ask(e, id, NULL, true);
  if (!lua_checkstack(e->L, LUA_MINSTACK)) return EDDY_ENOMEM;
  ed_journal(e, "kill %" PRIu32, r->task->id);
  e->is_stepping = true;
  ed_task_kill(r->task);
  ed_host_finish_step(e);
  return EDDY_OK;
}
