/* SPDX-License-Identifier: MIT */
/*
** System: Linux
**
** An application around epoll: eddy's descriptor is one among its own. Another thread brings news,
** which eddy_post carries in and the descriptor tells of.
*/
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "end.h"

static const char script[] = "local eddy = require 'eddy'\n"
                             "for news in eddy.on('news') do\n"
                             "  if news == 'end' then break end\n"
                             "  eddy.sleep(0.002)\n"
                             "  print('script', news)\n"
                             "end\n";

static void *bring_news (void *ud) {
  static const char *const news[] = {"one", "two", "three", "end"};
  eddy *e = ud;
  for (int i = 0; i < 4; i++) {
    usleep(5000);
    eddy_post(e, "news", news[i], strlen(news[i]));
  }
  eddy_release(e);
  return NULL;
}

/* Milliseconds for epoll_wait: round up, or it would return early and spin. */
static int timeout_of (eddy *e) {
  int64_t ns = eddy_next_timeout_ns(e);
  return ns < 0 ? -1 : (int)((ns + 999999) / 1000000);
}

static void watch (int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* The application's own work: a clock that ticks. Returns the ticks so far. */
static int tick (int timer) {
  static int ticks;
  uint64_t n = 0;
  if (read(timer, &n, sizeof n) == sizeof n) ticks += (int)n;
  return ticks;
}

/* Turn until the script is done. Returns the ticks of the application meanwhile. */
static int turn (eddy *e, int epoll, int timer) {
  int ticks = 0, status;
  do {
    struct epoll_event events[4];
    int n = epoll_wait(epoll, events, 4, timeout_of(e));
    for (int i = 0; i < n; i++)
      if (events[i].data.fd == timer) ticks = tick(timer);
    status = eddy_step(e, 1000000);
  } while (status == EDDY_WAITING || status == EDDY_BUSY);
  return ticks;
}

int main (void) {
  struct itimerspec every = {{0, 3000000}, {0, 3000000}};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  pthread_t thread;
  eddy *e;
  if (epoll < 0 || timer < 0 || eddy_new(&e, NULL, NULL) < 0) return 1;
  timerfd_settime(timer, 0, &every, NULL);
  watch(epoll, timer);
  watch(epoll, eddy_backend_fd(e));
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  eddy_step(e, UINT64_MAX); /* it listens before the first news */
  eddy_retain(e);           /* the thread's reference */
  if (pthread_create(&thread, NULL, bring_news, e) != 0) return 1;
  printf("the application went on: %s\n", turn(e, epoll, timer) > 0 ? "yes" : "no");
  pthread_join(thread, NULL);
  close(timer);
  close(epoll);
  return end_runtime(e, 0);
}
