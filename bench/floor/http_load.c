/* SPDX-License-Identifier: MIT */
/*
** http_load.c CONNECTIONS SERVER…: starts the HTTP server, loads it with wrk over so many
** connections, once to warm up and once to measure, and prints requests a second and the
** server's CPU microseconds for each. Then it ends the server.
*/
#include "child.h"

/* Runs wrk; how many requests it made, and how many a second. */
static long load (int port, const char *connections, const char *duration, double *rate) {
  char line[256];
  long requests = 0;
  FILE *out;
  snprintf(line, sizeof line, "wrk -t1 -c%s -d%s http://127.0.0.1:%d/", connections,
    duration, port);
  if ((out = popen(line, "r")) == NULL) return 0;
  while (fgets(line, sizeof line, out) != NULL) {
    sscanf(line, " %ld requests in", &requests);
    sscanf(line, "Requests/sec: %lf", rate);
    if (strstr(line, "Non-2xx") != NULL || strstr(line, "Socket errors") != NULL)
      fprintf(stderr, "%s", line);
  }
  return pclose(out) == 0 ? requests : 0;
}

int main (int argc, char **argv) {
  int port;
  double cpu, rate = 0;
  long requests;
  pid_t server;
  if (argc < 3) return 2;
  alarm(CHILD_SECONDS);
  server = child_serve(argv + 2, &port);
  load(port, argv[1], "1s", &rate);
  cpu = child_cpu_seconds(server);
  requests = load(port, argv[1], "2s", &rate);
  cpu = child_cpu_seconds(server) - cpu;
  child_end(server);
  if (requests == 0) return 1;
  printf("%.0f %.3f\n", rate, cpu / (double)requests * 1e6);
  return 0;
}
