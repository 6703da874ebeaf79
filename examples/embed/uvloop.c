/* SPDX-License-Identifier: MIT */
/*
** An application that owns a uv_loop_t and calls uv_run itself: scripts run in between, from a
** handle of eddy's, and nobody calls eddy_step.
*/
#include <stdio.h>
#include <string.h>

#include <uv.h>

#include "end.h"

static const char script[] = "local eddy = require 'eddy'\n"
                             "for i, seconds in ipairs {0.001, 0.2, 0} do\n"
                             "  print('script', i) eddy.sleep(seconds)\n"
                             "end\n";

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
  eddy_config_init(&config, sizeof config);
  config.loop = &loop;
  config.flags = EDDY_DRIVEN;
  if (eddy_new(&e, NULL, &config) < 0) return 1;
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  setvbuf(stdout, NULL, _IOLBF, 0);
  uv_timer_start(&tick, on_tick, 100, 0);
  uv_run(&loop, UV_RUN_DEFAULT); /* until the timer and the script are done */
  if (end_runtime(e, 0) != 0) return 1;
  return uv_loop_close(&loop) == 0 ? 0 : 1; /* our handles and eddy's have gone */
}
