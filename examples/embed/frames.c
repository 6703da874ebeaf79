/* SPDX-License-Identifier: MIT */
/*
** A game's loop, without the graphics: sixty frames a second on a clock that the game moves, so
** that a replay is the same to the last bit. Behaviour is straight code that waits for frames.
*/
#include <stdio.h>
#include <string.h>

#include "end.h"

enum { UPDATE = 0, LATE = 1, FPS = 60 };

static const char patrol[] = "local eddy = require 'eddy'\n"
                             "local x = 0\n"
                             "while x < 1 do x = x + 2 * eddy.frame() end\n"
                             "print(('arrived at %.2f'):format(x))\n";

static const char door[] = "local eddy = require 'eddy'\n"
                           "print('the door opens')\n"
                           "eddy.sleep(0.25)\n"
                           "print('the door closes')\n";

static const char camera[] =
  "local eddy = require 'eddy'\n"
  "local n = 0\n"
  "while true do eddy.frame(1) n = n + 1 if n == 60 then print('a second') end end\n";

static void spawn (eddy *e, eddy_id level, const char *text, const char *name) {
  eddy_spawn_options options = {.size = sizeof options, .group = level, .name = name};
  eddy_spawn_buffer(e, text, strlen(text), name, &options, NULL);
}

int main (void) {
  eddy *e;
  eddy_id level;
  if (eddy_new(&e, NULL, NULL) < 0) return 1;
  eddy_clock_set(e, EDDY_CLOCK_MANUAL, 1);
  eddy_group_new(e, 0, &level);
  spawn(e, level, patrol, "patrol");
  spawn(e, level, door, "door");
  spawn(e, level, camera, "camera");
  eddy_step(e, UINT64_MAX);
  for (int frame = 0; frame < 90; frame++) {
    eddy_frame(e, UPDATE, 1000000000 / FPS);
    eddy_frame(e, LATE, 0);
    eddy_step(e, 2000000); /* at most two milliseconds for I/O and what else is ready */
  }
  printf("level closed, %d killed\n", eddy_group_close(e, level, 0));
  return end_runtime(e, 0);
}
