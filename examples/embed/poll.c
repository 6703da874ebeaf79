/* SPDX-License-Identifier: MIT */
/*
** A foreign loop: poll() over the application's own descriptor and eddy's. What the application
** reads from its pipe becomes an event for the script.
*/
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "end.h"

static const char script[] = "local eddy = require 'eddy'\n"
                             "for line in eddy.on('line') do\n"
                             "  if line == 'quit' then break end\n"
                             "  eddy.sleep(0.001)\n"
                             "  print('heard', line)\n"
                             "end\n";

/* poll() takes milliseconds: round up, or it would return early and spin. */
static int to_ms (int64_t ns) { return ns < 0 ? -1 : (int)((ns + 999999) / 1000000); }

static void read_line (eddy *e, int fd) {
  char text[64];
  ssize_t n = read(fd, text, sizeof text);
  if (n > 0) eddy_post(e, "line", text, (size_t)n);
}

int main (void) {
  static const char *const lines[] = {"one", "two", "quit"};
  struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
  int pipes[2];
  eddy *e;
  if (pipe(pipes) != 0 || eddy_new(&e, NULL, NULL) < 0) return 1;
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  fds[0].fd = pipes[0];
  fds[1].fd = eddy_backend_fd(e);
  for (int turn = 0, status = EDDY_WAITING; status != EDDY_IDLE; turn++) {
    if (turn < 3 && write(pipes[1], lines[turn], strlen(lines[turn])) < 0) return 1;
    poll(fds, 2, to_ms(eddy_next_timeout_ns(e)));
    status = eddy_step(e, 1000000); /* listens before the first line is posted */
    if (fds[0].revents & POLLIN) read_line(e, pipes[0]);
    if (status == EDDY_IDLE) puts("the script is done");
  }
  close(pipes[0]);
  close(pipes[1]);
  return end_runtime(e, 0);
}
