/* SPDX-License-Identifier: MIT */
/*
** The script clock, memory, and what is alive: the host's knobs and gauges.
**
** The clock never jumps when its mode changes: it goes on from where it was. A real clock that was
** never touched is the system's own and costs no arithmetic.
*/
#include <inttypes.h>
#include <string.h>

#include "core/run.h"
#include "host/host.h"

/* ---- the clock ---- */

static void set_pace (eddy *e) {
  ed_loop *loop = e->loop;
  loop->clock = ed_loop_now(loop);
  loop->since = uv_hrtime();
  loop->pace = e->is_paused ? 0 : e->scale;
  loop->is_paced = true;
}

static bool has_runtime (const eddy *e) {
  return e != NULL && e->loop != NULL && e->is_attached;
}

uint64_t eddy_now (eddy *e) {
  return e != NULL && e->loop != NULL ? ed_loop_now(e->loop) : 0;
}

int eddy_clock_set (eddy *e, int mode, double scale) {
  if (!has_runtime(e)) return e == NULL ? EDDY_EINVAL : EDDY_ECLOSED;
  if (mode < EDDY_CLOCK_REAL || mode > EDDY_CLOCK_MANUAL) return EDDY_EINVAL;
  if (mode == EDDY_CLOCK_SCALED && !(scale >= 0 && scale <= 1e6)) return EDDY_EINVAL;
  ed_journal(e, "clock %d %g", mode, scale);
  e->scale = mode == EDDY_CLOCK_SCALED ? scale : 1;
  set_pace(e);
  e->loop->is_manual = e->loop->is_by_hand = mode == EDDY_CLOCK_MANUAL;
  return EDDY_OK;
}

bool ed_host_clock_reaches (const eddy *e, uint64_t ns) {
  uint64_t end = UINT64_MAX / 2, now = e->loop->clock;
  return now <= end && ns <= end - now;
}

int eddy_clock_advance (eddy *e, uint64_t ns) {
  if (!has_runtime(e)) return e == NULL ? EDDY_EINVAL : EDDY_ECLOSED;
  if (!e->loop->is_manual || !ed_host_clock_reaches(e, ns)) return EDDY_EINVAL;
  ed_journal(e, "advance %" PRIu64, ns);
  if (!e->is_paused) e->loop->clock += ns;
  return EDDY_OK;
}

int eddy_pause (eddy *e, int on) {
  if (!has_runtime(e)) return e == NULL ? EDDY_EINVAL : EDDY_ECLOSED;
  if (e->is_paused == (on != 0)) return EDDY_OK;
  ed_journal(e, on ? "pause" : "go on");
  e->is_paused = on != 0;
  if (!e->loop->is_manual) set_pace(e);
  return EDDY_OK;
}

/* ---- memory ---- */

size_t eddy_mem_used (eddy *e) {
  lua_State *L = eddy_lua(e);
  if (L == NULL) return 0;
  return (size_t)lua_gc(L, LUA_GCCOUNT) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB)
    + e->loop->mem.bytes;
}

int eddy_gc_step (eddy *e, uint64_t budget_ns) {
  lua_State *L = eddy_lua(e);
  uint64_t begin = uv_hrtime();
  if (e == NULL) return EDDY_EINVAL;
  if (L == NULL) return EDDY_ECLOSED;
  do {
    if (lua_gc(L, LUA_GCSTEP, 0)) return 1;
  } while (uv_hrtime() - begin < budget_ns);
  return 0;
}

/* ---- what is alive ---- */

static uint64_t count_posts (eddy *e) {
  uint64_t n = 0;
  uv_mutex_lock(&e->lock);
  for (ed_link *at = e->queue.next; at != &e->queue; at = at->next) n++;
  uv_mutex_unlock(&e->lock);
  return n;
}

int eddy_stats (eddy *e, eddy_stats_t *stats, size_t size) {
  eddy_stats_t all;
  if (e == NULL || stats == NULL) return EDDY_EINVAL;
  memset(&all, 0, sizeof all);
  all.operations = e->nops;
  if (e->loop != NULL) {
    all.tasks = e->loop->ntasks;
    all.handles = e->loop->nhandles;
    all.timers = e->loop->timers.count;
    all.jobs = e->loop->njobs;
    all.groups = e->ngroups;
    all.posted = count_posts(e);
    all.memory = eddy_mem_used(e);
  }
  memset(stats, 0, size); /* a newer caller knows more */
  memcpy(stats, &all, size < sizeof all ? size : sizeof all);
  return EDDY_OK;
}

typedef struct dumping {
  eddy *host;
  void (*write)(void *ud, const char *text, size_t len);
  void *ud;
} dumping;

static int l_dump (lua_State *L) {
  dumping *d = lua_touserdata(L, 1);
  const char *text;
  size_t len;
  ed_dump_push(L, d->host->loop);
  text = lua_tolstring(L, -1, &len);
  d->write(d->ud, text, len);
  return 0;
}

int eddy_dump (eddy *e, void (*write)(void *ud, const char *text, size_t len), void *ud) {
  dumping d = {e, write, ud};
  if (e == NULL || write == NULL) return EDDY_EINVAL;
  if (e->loop == NULL) return EDDY_ECLOSED;
  return ed_host_protect(e, e->L, l_dump, &d, 0);
}
