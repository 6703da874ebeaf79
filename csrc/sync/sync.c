/* SPDX-License-Identifier: MIT */
/*
** The sync floor, opened in one go.
*/
#include "sync/sync.h"

void ed_open_sync (lua_State *L, ed_loop *loop, int box) {
  ed_open_event(L, loop, box);
  ed_open_lock(L, loop, box);
  ed_open_condition(L, loop, box);
  ed_open_barrier(L, loop, box);
  ed_open_ratelimit(L, loop, box);
  ed_open_semaphore(L, loop, box);
  ed_open_queue(L, loop, box);
  ed_open_select(L, box);
  ed_open_gather(L, box);
  ed_open_future(L, loop, box);
  ed_open_callback(L, loop, box);
  ed_open_completions(L, loop, box);
  ed_open_start(L, loop, box);
}
