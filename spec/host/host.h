/* SPDX-License-Identifier: MIT */
/*
** What the tests of eddy.h share: a runtime whose errors are counted, and chunks of text.
*/
#ifndef ED_SPEC_HOST_H
#define ED_SPEC_HOST_H

#include <lauxlib.h>
#include <lualib.h>
#include <uv.h>

#include "eddy.h"
#include "test.h"

enum { MS = 1000000 };

typedef struct witness {
  int errors;
  int done;
  int status; /* of the last 'done' */
  int n;
  eddy_id id;
  long long value; /* the first result as an integer */
  char text[200];  /* the last error, or the first result as text */
} witness;

static inline void keep_text (witness *w, const char *text) {
  snprintf(w->text, sizeof w->text, "%s", text != NULL ? text : "");
}

static inline void note_error (
  eddy *e, eddy_id id, int code, const char *message, const char *tb, void *ud) {
  witness *w = ud;
  (void)e, (void)tb;
  w->errors++;
  w->id = id;
  w->status = code;
  keep_text(w, message);
}

static inline void note_done (
  eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  witness *w = ud;
  (void)e;
  w->done++;
  w->status = status;
  w->n = n;
  w->id = id;
  w->value = n > 0 ? (long long)lua_tointeger(L, -n) : 0;
  if (n > 0) keep_text(w, luaL_tolstring(L, -n, NULL));
}

static inline eddy_config witnessed (witness *w) {
  eddy_config config;
  memset(w, 0, sizeof *w);
  CHECK_EQ(eddy_config_init(&config, sizeof config), EDDY_OK);
  config.on_error = note_error;
  config.userdata = w;
  return config;
}

/* An allocator that counts what is asked of it. */
typedef struct counter {
  long requests;
} counter;

static inline void *counted (void *ud, void *block, size_t old, size_t size) {
  (void)old;
  if (size == 0) {
    free(block);
    return NULL;
  }
  ((counter *)ud)->requests++;
  return realloc(block, size);
}

/* A runtime with a state of its own. */
static inline eddy *open_runtime (witness *w) {
  eddy_config config = witnessed(w);
  eddy *e = NULL;
  if (!CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK)) abort();
  return e;
}

/* A task that runs 'text', in which 'eddy' is there. */
static inline eddy_id spawn_text (eddy *e, const char *text) {
  char chunk[2000];
  eddy_id id = 0;
  int len = snprintf(chunk, sizeof chunk, "local eddy = require 'eddy' %s", text);
  CHECK_EQ_FOR(
    text, eddy_spawn_buffer(e, chunk, (size_t)len, "=test", NULL, &id), EDDY_OK);
  return id;
}

static inline eddy_id spawn_watched (eddy *e, const char *text, witness *w) {
  eddy_id id = spawn_text(e, text);
  CHECK_EQ(eddy_task_on_done(e, id, note_done, w), EDDY_OK);
  return id;
}

static inline void close_runtime (eddy *e) {
  CHECK(eddy_close(e, 0) >= 0);
  eddy_release(e);
}

#endif
