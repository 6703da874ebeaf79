/* SPDX-License-Identifier: MIT */
/*
** The thread of the watchdog. It holds the lock whenever it does not sleep, so that the thread
** to which it sends a signal cannot end meanwhile.
**
** A signal may find nothing to interrupt: the Lua is in a C function, or just going from one
** coroutine to another. So it is repeated as long as the turn does not end, at growing distances,
** because a signal also disturbs a C function that blocks in the system.
*/
#include "core/watchdog.h"

enum { IDLE_LOOKS = 50 /* before it sleeps until it is woken */ };

static const uint64_t shortest = 250000, longest = 2000000; /* ns between two looks */

static void release_handler (ed_watchdog *dog) {
  if (dog->has_handler) ed_interrupt_end();
  dog->has_handler = false;
}

static void see_turn (ed_watchdog *dog, unsigned turn, uint64_t now) {
  release_handler(dog);
  dog->seen = turn;
  dog->sent_after = 0;
  atomic_store_explicit(&dog->begun, now, memory_order_relaxed);
}

static bool is_due (const ed_watchdog *dog, uint64_t held, uint64_t budget) {
  if (held < budget) return false;
  if (dog->sent_after == 0 || budget != dog->sent_budget) return true;
  return held >= 2 * dog->sent_after;
}

static void call (ed_watchdog *dog, unsigned turn, uint64_t held, uint64_t budget) {
  if (!dog->has_handler) ed_interrupt_begin();
  dog->has_handler = true;
  dog->sent_after = held;
  dog->sent_budget = budget;
  atomic_store_explicit(&dog->called, turn, memory_order_release);
  ed_interrupt_send(dog->owner);
}

static void look (ed_watchdog *dog) {
  unsigned turn = dog->is_inside ? atomic_load_explicit(&dog->turn, memory_order_acquire)
                                 : 0;
  uint64_t now = uv_hrtime(), budget, held;
  dog->idle = turn == 0 ? dog->idle + 1 : 0;
  if (turn != dog->seen) see_turn(dog, turn, now);
  if (turn == 0) return;
  budget = atomic_load_explicit(&dog->budget, memory_order_relaxed);
  held = now - atomic_load_explicit(&dog->begun, memory_order_relaxed);
  if (is_due(dog, held, budget)) call(dog, turn, held, budget);
}

static void run_watchdog (void *data) {
  ed_watchdog *dog = data;
  uv_mutex_lock(&dog->lock);
  while (!dog->is_ending) {
    look(dog);
    dog->is_asleep = dog->idle > IDLE_LOOKS;
    if (dog->is_asleep) {
      uv_cond_wait(&dog->wake, &dog->lock);
      dog->idle = 0; /* or a loop with short turns would wake it at each of them */
    } else uv_cond_timedwait(&dog->wake, &dog->lock, dog->period);
  }
  release_handler(dog);
  uv_mutex_unlock(&dog->lock);
}

static void destroy (ed_watchdog *dog) {
  uv_cond_destroy(&dog->wake);
  uv_mutex_destroy(&dog->lock);
}

int ed_watchdog_start (ed_watchdog *dog) {
  int status;
  if (dog->is_started) return 0;
  if ((status = uv_mutex_init(&dog->lock)) < 0) return status;
  if ((status = uv_cond_init(&dog->wake)) < 0) {
    uv_mutex_destroy(&dog->lock);
    return status;
  }
  if (dog->period == 0) dog->period = longest;
  dog->is_ending = dog->is_inside = false;
  dog->idle = dog->seen = 0;
  status = uv_thread_create(&dog->thread, run_watchdog, dog);
  if (status < 0) destroy(dog);
  dog->is_started = status == 0;
  return status;
}

void ed_watchdog_stop (ed_watchdog *dog) {
  if (!dog->is_started) return;
  if (dog->is_entered) ed_watchdog_leave(dog); /* the state was closed inside a task */
  uv_mutex_lock(&dog->lock);
  dog->is_ending = true;
  uv_cond_signal(&dog->wake);
  uv_mutex_unlock(&dog->lock);
  uv_thread_join(&dog->thread);
  destroy(dog);
  dog->is_started = false;
  dog->period = 0;
}

void ed_watchdog_expect (ed_watchdog *dog, uint64_t ns) {
  uint64_t period = ns / 4;
  if (period < shortest) period = shortest;
  if (period > longest) period = longest;
  if (dog->is_started) uv_mutex_lock(&dog->lock);
  if (dog->period == 0 || period < dog->period) dog->period = period;
  if (dog->is_started) uv_mutex_unlock(&dog->lock);
}

void ed_watchdog_enter (ed_watchdog *dog) {
  dog->is_entered = true;
  ed_interrupt_accept(&dog->interruptible);
  uv_mutex_lock(&dog->lock);
  dog->owner = uv_thread_self();
  dog->is_inside = true;
  if (dog->is_asleep) uv_cond_signal(&dog->wake);
  uv_mutex_unlock(&dog->lock);
}

void ed_watchdog_leave (ed_watchdog *dog) {
  uv_mutex_lock(&dog->lock);
  dog->is_inside = false;
  uv_mutex_unlock(&dog->lock);
  ed_interrupt_ignore(&dog->interruptible);
  dog->is_entered = false;
}
