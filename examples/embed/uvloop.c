/* SPDX-License-Identifier: MIT */
/*
** An application that owns a uv_loop_t and calls uv_run itself: scripts run in between, from a
** handle of eddy's, and nobody calls eddy_step.
*/
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "eddy.h"

static const char script[] = "local eddy = require 'eddy'\n"
                             "for i = 1, 3 do print('script', i) eddy.sleep(0.02) end\n";

static void on_tick (uv_timer_t *timer) {
  puts("application");
  uv_close((uv_handle_t *)timer, NULL);
}

int main (void) {
  uv_loop_t loop;
  uv_timer_t tick;
  eddy_config config;
  eddy *e;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &tick);
  uv_timer_start(&tick, on_tick, 30, 0);
  eddy_config_init(&config, sizeof config);
  config.loop = &loop;
  config.flags = EDDY_DRIVEN;
  if (eddy_new(&e, NULL, &config) < 0) return 1;
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  uv_run(&loop, UV_RUN_DEFAULT); /* until the timer and the script are done */
  eddy_close(e, 0);
  eddy_release(e);
  return uv_loop_close(&loop) == 0 ? 0 : 1;
}
