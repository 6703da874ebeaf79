/* SPDX-License-Identifier: MIT */
/*
** One signal, one handler. A thread knows who it is through a variable of its own, because a
** handler is told nothing else: a list, changed so that the handler, which may come in between,
** finds one or the other.
*/
#include "core/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static _Thread_local ed_interruptible *self; /* the innermost, or NULL */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;          /* under 'guard' */
static struct sigaction before; /* what stood there when the first user came */

void ed_interrupt_accept (ed_interruptible *who) {
  who->outer = self;
  atomic_signal_fence(memory_order_release);
  self = who;
}

void ed_interrupt_ignore (ed_interruptible *who) {
  ed_interruptible **at = &self;
  while (*at != NULL && *at != who) at = &(*at)->outer;
  if (*at != NULL) *at = who->outer;
  atomic_signal_fence(memory_order_release);
}

static void handle_signal (int number, siginfo_t *info, void *context);

/* A signal that is not for us goes where it would have gone. */
static void pass_on (int number, siginfo_t *info, void *context) {
  if (before.sa_sigaction == handle_signal)
    return; /* somebody put back what was not his */
  if (before.sa_flags & SA_SIGINFO) before.sa_sigaction(number, info, context);
  else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
    before.sa_handler(number);
}

static void handle_signal (int number, siginfo_t *info, void *context) {
  int error = errno;
  bool is_ours = false;
  for (ed_interruptible *at = self; at != NULL; at = at->outer) is_ours |= at->act(at);
  if (!is_ours) pass_on(number, info, context);
  errno = error;
}

void ed_interrupt_begin (void) {
  struct sigaction ours = {
    .sa_sigaction = handle_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigemptyset(&ours.sa_mask);
  pthread_mutex_lock(&guard);
  if (users++ == 0) {
    sigaction(SIGURG, NULL, &before); /* first, since a handler may run at once */
    sigaction(SIGURG, &ours, NULL);
  }
  pthread_mutex_unlock(&guard);
}

void ed_interrupt_end (void) {
  pthread_mutex_lock(&guard);
  if (--users == 0) sigaction(SIGURG, &before, NULL);
  pthread_mutex_unlock(&guard);
}

void ed_interrupt_send (uv_thread_t thread) { pthread_kill(thread, SIGURG); }
