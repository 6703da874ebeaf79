/* SPDX-License-Identifier: MIT */
/*
** Closing at every step: a scenario with all kinds of waits is stopped after 0, 1, 2 ... single
** steps, by eddy_close with and without grace, by lua_close, or by a kill of each task. Every task
** is told of once, each '<close>' variable has run once, no memory and no operation is left.
*/
#include "life.h"

static const char *const scripts[] = {
  "local g <close> = guard() for i = 1, 3 do eddy.sleep(0) end eddy.sleep(1e9)",
  "local g <close> = guard() while true do eddy.frame() end",
  "local g <close> = guard() for _ in eddy.on('tick') do eddy.sleep(0) end",
  "local g <close> = guard() pend() pend()",
  "local g <close> = guard() pooled() pooled() eddy.future():await()",
  "local g <close> = guard() eddy.group(function(h) for _ = 1, 3 do h:spawn(function() "
  "local g2 <close> = guard() "
  "eddy.sleep(0) pend() end) end end)",
  "local g <close> = guard() local q = eddy.queue(1) eddy.spawn(function() local g2 "
  "<close> = guard() for i = 1, 9 do "
  "q:put(i) end end) q:get() eddy.timeout(1e9, function() q:join() end)",
  "local g <close> = guard() pcall(eddy.sleep, 1e9) eddy.shield(1, function() "
  "eddy.sleep(0) end)",
  "local g <close> = guard() eddy.gather(function() eddy.sleep(1e9) end, function() "
  "eddy.frame(1) end)",
  "local g <close> = guard() coroutine.wrap(function() local g2 <close> = guard() "
  "eddy.sleep(1e9) end)()",
};

enum { SCRIPTS = sizeof scripts / sizeof *scripts, STEPS = 60 };

static int work_nothing (void *data) {
  (void)data;
  return 0;
}

static int l_pooled (lua_State *L) {
  eddy_op *op;
  eddy_op_new(L, &life_class, 8, &op);
  begun++;
  return eddy_offload(L, op, work_nothing);
}

static void step (eddy *e, int i) {
  if (i % 5 == 1) eddy_post(e, "tick", "t", 1);
  if (i % 7 == 3 && npending > 0) eddy_op_complete(pending[--npending], i);
  if (i % 4 == 2) eddy_frame(e, 0, 1);
  else eddy_step(e, 0);
}

typedef enum way { CLOSE, GRACE, STATE, KILL, WAYS } way;

static int end (eddy *e, lua_State *L, way how, const eddy_id *id) {
  int killed = 0;
  if (how == KILL)
    for (int i = 0; i < SCRIPTS; i++) eddy_task_kill(e, id[i]);
  if (how == STATE) lua_close(L);
  killed = eddy_close(e, how == GRACE ? 20 * (uint64_t)MS : 0);
  CHECK(killed >= 0);
  CHECK_EQ(eddy_close(e, 0), 0);
  if (how != STATE) lua_close(L);
  return killed;
}

static void sweep (way how, int steps) {
  witness w, done;
  eddy_config config = witnessed(&w);
  lua_State *L = luaL_newstate();
  eddy_stats_t stats;
  eddy_id id[SCRIPTS];
  eddy *e;
  memset(&done, 0, sizeof done);
  count_from_zero();
  luaL_openlibs(L);
  lua_register(L, "guard", l_guard);
  lua_register(L, "pend", l_pend);
  lua_register(L, "pooled", l_pooled);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  for (int i = 0; i < SCRIPTS; i++) id[i] = spawn_watched(e, scripts[i], &done);
  for (int i = 0; i < steps; i++) step(e, i);
  end(e, L, how, id);
  CHECK_EQ(done.done, SCRIPTS);
  CHECK_EQ(closed, opened);
  CHECK_EQ(destroyed, begun);
  CHECK_EQ(w.errors, 0);
  if (w.errors > 0) puts(w.text);
  while (npending > 0) CHECK_EQ(eddy_op_complete(pending[--npending], 0), EDDY_ECLOSED);
  CHECK_EQ(eddy_stats(e, &stats, sizeof stats), EDDY_OK);
  CHECK_EQ(stats.operations, 0);
  eddy_release(e);
}

int main (void) {
  for (int how = CLOSE; how < WAYS; how++)
    for (int steps = 0; steps < STEPS; steps += how == GRACE ? 7 : 1)
      sweep((way)how, steps);
  return test_report();
}
