/* SPDX-License-Identifier: MIT */
/*
** child.h: starts a server as a child, reads the port that it prints first, asks the
** system how much CPU it has used, and ends it. Whatever goes wrong, a child ends after
** CHILD_SECONDS, and on Linux with its parent.
*/
#ifndef CHILD_H
#define CHILD_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define CHILD_SECONDS 60

/* Becomes the program `argv`; called after fork. */
static inline void child_become (char **argv) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  alarm(CHILD_SECONDS);
  execvp(argv[0], argv);
  perror(argv[0]);
  _exit(127);
}

static inline void child_end (pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

/* Until somebody listens there, for up to five seconds: some print their port too early. */
static inline void child_await_port (int port) {
  struct sockaddr_in address = {
    .sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  int status = -1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 100 && status != 0; i++) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    status = connect(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    if (status != 0) usleep(50000);
  }
  if (status != 0) fprintf(stderr, "nobody listens at port %d\n", port);
}

/* Starts a server; `*port` is what its first line says. Exits where there is none. */
static inline pid_t child_serve (char **argv, int *port) {
  int ends[2];
  pid_t pid;
  FILE *out;
  if (pipe(ends) != 0 || (pid = fork()) < 0) exit(1);
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    child_become(argv);
  }
  close(ends[1]);
  out = fdopen(ends[0], "r");
  if (out == NULL || fscanf(out, "%d", port) != 1) {
    fprintf(stderr, "%s: no port\n", argv[0]);
    child_end(pid);
    exit(1);
  }
  child_await_port(*port);
  return pid; /* the pipe stays open: the server must not die of a late print */
}

/* CPU seconds that another process has used so far, precisely; -1 where not told. */
static inline double child_cpu_seconds (pid_t pid) {
#ifdef __linux__
  clockid_t clock;
  struct timespec t;
  if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0)
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
#endif
  (void)pid;
  return -1;
}

#endif
