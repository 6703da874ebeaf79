/* SPDX-License-Identifier: MIT */
/*
** cpu.c [SERVER… --] COMMAND…: runs the command and, after its output, prints "cpu
** SECONDS": user and system time of that process. A server before "--" runs meanwhile;
** "{port}" in an argument of the command stands for its port.
*/
#include <sys/resource.h>
#include "child.h"

static char **split (char **argv) {
  for (; *argv != NULL; argv++)
    if (strcmp(*argv, "--") == 0) {
      *argv = NULL;
      return argv + 1;
    }
  return NULL;
}

static void fill_in (char **argv, int port) {
  for (; *argv != NULL; argv++) {
    char *at = strstr(*argv, "{port}"), *filled;
    if (at == NULL) continue;
    filled = malloc(strlen(*argv) + 16);
    sprintf(filled, "%.*s%d%s", (int)(at - *argv), *argv, port, at + 6);
    *argv = filled;
  }
}

static double seconds (struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

/* Prints the CPU time; answers the exit code. */
static int run (char **argv) {
  struct rusage used;
  int status;
  pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid == 0) child_become(argv);
  if (wait4(pid, &status, 0, &used) < 0) return 1;
  printf("cpu %.6f\n", seconds(used.ru_utime) + seconds(used.ru_stime));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main (int argc, char **argv) {
  char **command = split(argv + 1);
  pid_t server = -1;
  int port = 0, code;
  if (argc < 2) return 2;
  alarm(CHILD_SECONDS);
  if (command != NULL) server = child_serve(argv + 1, &port);
  else command = argv + 1;
  fill_in(command, port);
  code = run(command);
  if (server > 0) child_end(server);
  return code;
}
