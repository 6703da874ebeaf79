/* SPDX-License-Identifier: MIT */
/*
** What once went wrong between a host and its runtime, a test for each.
*/
#include <stdio.h>
#include <unistd.h>

#include "host.h"

/* A limit that is as large as can be was one of 64 KiB: twice it had no room. */
static void test_largest_limits_are_none (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  eddy_spawn_options options = {.size = sizeof options,
    .slice_ns = UINT64_MAX,
    .cpu_ns = UINT64_MAX,
    .memory = SIZE_MAX};
  static const char text[] = "return #('x'):rep(1000000)";
  eddy_id id;
  config.slice_ns = config.kill_after_ns = config.warn_ns = UINT64_MAX;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  CHECK_EQ(eddy_spawn_buffer(e, text, sizeof text - 1, "=test", &options, &id), EDDY_OK);
  CHECK_EQ(eddy_task_on_done(e, id, note_done, &w), EDDY_OK);
  eddy_run(e);
  CHECK_EQ(w.status, EDDY_OK);
  CHECK_EQ(w.value, 1000000);
  close_runtime(e);
}

/* The clock went back. */
static void test_frame_beyond_the_clock (void) {
  witness w;
  eddy *e = open_runtime(&w);
  CHECK_EQ(eddy_clock_set(e, EDDY_CLOCK_MANUAL, 1), EDDY_OK);
  CHECK_EQ(eddy_frame(e, 0, 10), EDDY_IDLE);
  uint64_t now = eddy_now(e);
  CHECK_EQ(eddy_frame(e, 0, UINT64_MAX), EDDY_EINVAL);
  CHECK_EQ(eddy_clock_advance(e, UINT64_MAX), EDDY_EINVAL);
  CHECK(eddy_now(e) == now);
  close_runtime(e);
}

typedef struct pair {
  eddy_id id[2];
  int status[2];
  char text[2][40];
  int n;
} pair;

static void ask_about_other (
  eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  pair *p = ud;
  eddy_id other = p->id[id == p->id[0]];
  (void)status, (void)L, (void)n;
  p->status[p->n] = eddy_task_traceback(e, other, p->text[p->n], sizeof p->text[p->n]);
  p->n++;
}

/* Asked about another task that the close has killed too. */
static void test_traceback_while_closing (void) {
  witness w;
  pair p = {.n = 0};
  eddy *e = open_runtime(&w);
  for (int i = 0; i < 2; i++) {
    p.id[i] = spawn_text(e, "eddy.sleep(1e9)");
    CHECK_EQ(eddy_task_on_done(e, p.id[i], ask_about_other, &p), EDDY_OK);
  }
  eddy_step(e, UINT64_MAX);
  close_runtime(e);
  CHECK_EQ(p.n, 2);
  CHECK_EQ(p.status[0], EDDY_ESTALE);
  CHECK_EQ(p.status[1], EDDY_ESTALE);
}

typedef struct stingy {
  bool refuses;
} stingy;

static void *refusing (void *ud, void *block, size_t old, size_t size) {
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (((stingy *)ud)->refuses && (block == NULL || size > old)) return NULL;
  return realloc(block, size);
}

static void fill_stack (lua_State *L) {
  while (lua_checkstack(L, 1)) lua_pushnil(L);
}

/* Without room for the little that closing needs: a later close was refused, for ever. */
static void test_close_after_one_without_memory (void) {
  stingy s = {false};
  lua_State *L = lua_newstate(refusing, &s);
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  luaL_openlibs(L);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  spawn_watched(e, "eddy.sleep(1e9)", &w);
  eddy_step(e, UINT64_MAX);
  s.refuses = true;
  fill_stack(L);
  CHECK_EQ(eddy_close(e, 0), EDDY_ENOMEM);
  CHECK_EQ(w.done, 0);
  s.refuses = false;
  CHECK_EQ(eddy_close(e, 0), 1);
  CHECK_EQ(w.done, 1);
  CHECK_EQ(eddy_close(e, 0), 0);
  eddy_release(e);
  lua_close(L);
}

/* A script that has used up its memory. */
static void test_close_of_own_without_memory (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  config.mem_limit = 1 << 20;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  spawn_watched(e, "eddy.sleep(1e9)", &w);
  spawn_text(e,
    "T = {} for n = 16, 0, -1 do while pcall(function() T[#T + 1] = "
    "('x'):rep(2 ^ n) end) do end end");
  eddy_step(e, UINT64_MAX);
  fill_stack(eddy_lua(e));
  CHECK_EQ(eddy_close(e, 0), 1);
  CHECK_EQ(w.done, 1);
  CHECK(eddy_lua(e) == NULL);
  CHECK_EQ(eddy_close(e, 0), 0);
  eddy_release(e);
}

/* An event that found no room was lost, and nobody heard of it. */
static void test_lost_event_is_reported (void) {
  witness w;
  eddy_config config = witnessed(&w);
  static char large[4 << 20];
  eddy *e;
  config.mem_limit = 2 << 20;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  spawn_text(e, "for text in eddy.on('mail') do COUNT = (COUNT or 0) + #text end");
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(eddy_post(e, "mail", large, sizeof large), EDDY_OK);
  CHECK_EQ(eddy_post(e, "mail", "abc", 3), EDDY_OK);
  eddy_step(e, UINT64_MAX);
  CHECK_EQ(w.errors, 1);
  CHECK_EQ(w.status, EDDY_ENOMEM);
  CHECK_TEXT(w.text, strlen(w.text), "event 'mail' is lost: not enough memory");
  lua_getglobal(eddy_lua(e), "COUNT");
  CHECK_EQ(lua_tointeger(eddy_lua(e), -1), 3);
  close_runtime(e);
}

/* A limit for a state that is there had no effect, and nobody said so. */
static void test_limits_of_a_given_state (void) {
  lua_State *L = luaL_newstate();
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  config.mem_limit = 1 << 20;
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_EINVAL);
  config.mem_limit = 0;
  config.alloc = refusing;
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_EINVAL);
  lua_close(L);
}

/* Finalizers that run when the host has gone wrote to its standard error. */
static void test_nothing_is_printed_behind_the_end (void) {
  static const char text[] =
    "local eddy = require 'eddy' KEPT = eddy.defer(function() end)";
  FILE *printed = tmpfile();
  int before = dup(STDERR_FILENO);
  witness w;
  eddy *e = open_runtime(&w);
  CHECK(printed != NULL && before >= 0);
  CHECK_EQ(eddy_spawn_buffer(e, text, sizeof text - 1, "=test", NULL, NULL), EDDY_OK);
  eddy_run(e);
  dup2(fileno(printed), STDERR_FILENO);
  close_runtime(e);
  dup2(before, STDERR_FILENO);
  close(before);
  CHECK_EQ(lseek(fileno(printed), 0, SEEK_END), 0);
  fclose(printed);
}

int main (void) {
  test_nothing_is_printed_behind_the_end();
  test_limits_of_a_given_state();
  test_largest_limits_are_none();
  test_frame_beyond_the_clock();
  test_traceback_while_closing();
  test_close_after_one_without_memory();
  test_close_of_own_without_memory();
  test_lost_event_is_reported();
  return test_report();
}
