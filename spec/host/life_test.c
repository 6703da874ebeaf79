/* SPDX-License-Identifier: MIT */
/*
** The life of a runtime that a host attaches: birth, driving it, every order of closing, the
** failures of birth.
*/
#include "host.h"

static lua_State *new_state (void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) abort();
  luaL_openlibs(L);
  return L;
}

/* ---- birth and death ---- */

static void test_attach_and_lookups (void) {
  witness w;
  eddy_config config = witnessed(&w);
  lua_State *L = new_state();
  eddy *e, *other;
  CHECK(eddy_of(L) == NULL);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  CHECK_EQ(lua_gettop(L), 0);
  CHECK(eddy_of(L) == e && eddy_lua(e) == L && eddy_userdata(e) == &w);
  CHECK(eddy_loop(e) != NULL && eddy_backend_fd(e) >= 0);
  CHECK_EQ(eddy_new(&other, L, &config), EDDY_EINVAL);
  CHECK(other == NULL);
  CHECK_EQ(eddy_step(e, 0), EDDY_IDLE);
  CHECK_EQ(eddy_close(e, 0), 0);
  CHECK_EQ(eddy_close(e, 0), 0);
  CHECK(eddy_of(L) == NULL && eddy_lua(e) == NULL && eddy_loop(e) == NULL);
  CHECK_EQ(luaL_dostring(L, "return 1 + 1"), LUA_OK);
  CHECK_EQ(
    eddy_new(&other, L, &config), EDDY_ESCRIPT); /* eddy has gone from this state */
  lua_close(L);
  CHECK_EQ(eddy_step(e, 0), EDDY_ECLOSED);
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, NULL, NULL), EDDY_ECLOSED);
  eddy_release(e);
}

static void test_state_closed_first (void) {
  witness w, done;
  eddy_config config = witnessed(&w);
  lua_State *L = new_state();
  eddy *e;
  memset(&done, 0, sizeof done);
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
  spawn_watched(e,
    "local c <close> = setmetatable({}, {__close = function() CLOSED = 1 end}) "
    "eddy.sleep(1e9)",
    &done);
  CHECK_EQ(eddy_step(e, 0), EDDY_WAITING);
  lua_close(L);
  CHECK_EQ(done.done, 1);
  CHECK_EQ(done.status, EDDY_ECANCELED);
  CHECK(eddy_lua(e) == NULL);
  CHECK_EQ(eddy_close(e, 5 * (uint64_t)MS), 0);
  CHECK_EQ(eddy_wakeup(e), EDDY_ECLOSED);
  CHECK_EQ(eddy_stop(e), EDDY_ECLOSED);
  eddy_release(e);
}

static void test_grace (void) {
  witness w, polite, stubborn;
  eddy *e = open_runtime(&w);
  memset(&polite, 0, sizeof polite), memset(&stubborn, 0, sizeof stubborn);
  spawn_watched(e,
    "pcall(eddy.sleep, 1e9) eddy.shield(1, function() eddy.sleep(0.002) end) OK = true "
    "return 5",
    &polite);
  spawn_watched(e, "eddy.shield(1e9, function() eddy.sleep(1e9) end)", &stubborn);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  CHECK_EQ(eddy_close(e, 200 * (uint64_t)MS), 1);
  CHECK_EQ(polite.done, 1);
  CHECK_EQ(stubborn.done, 1);
  CHECK_EQ(polite.status, EDDY_OK);
  CHECK_EQ(polite.value, 5);
  CHECK_EQ(stubborn.status, EDDY_ECANCELED);
  CHECK_EQ(w.errors, 0);
  eddy_release(e);
}

/* ---- config ---- */

static void test_old_and_bad_configs (void) {
  eddy_config config;
  eddy *e;
  CHECK_EQ(eddy_config_init(&config, 4), EDDY_EINVAL);
  CHECK_EQ(eddy_config_init(NULL, sizeof config), EDDY_EINVAL);
  memset(
    &config, 0xff, sizeof config); /* what an old caller does not have is not looked at */
  CHECK_EQ(eddy_config_init(&config, offsetof(eddy_config, alloc)), EDDY_OK);
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  close_runtime(e);
  eddy_config_init(&config, sizeof config);
  config.size = 3;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
  config.size = sizeof config;
  config.flags = 1u << 20;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
  config.flags = EDDY_DRIVEN; /* without a loop */
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
  CHECK_EQ(eddy_new(NULL, NULL, NULL), EDDY_EINVAL);
  CHECK_EQ(eddy_new(&e, NULL, NULL), EDDY_OK);
  close_runtime(e);
}

/* A caller whose header knows two fields more. */
typedef struct newer_config {
  eddy_config known;
  uint64_t unknown[2];
} newer_config;

static void test_newer_configs (void) {
  newer_config config;
  eddy *e;
  memset(&config, 0xff, sizeof config);
  CHECK_EQ(eddy_config_init(&config.known, sizeof config), EDDY_OK);
  CHECK(config.known.size == sizeof config && config.unknown[1] == 0);
  CHECK_EQ(eddy_new(&e, NULL, &config.known), EDDY_OK);
  close_runtime(e);
  config.unknown[1] = 1; /* asks for something that we do not have */
  CHECK_EQ(eddy_new(&e, NULL, &config.known), EDDY_EINVAL);
  CHECK(e == NULL);
}

/* Each size that a struct had, and one that it will have. */
static void test_other_sizes (void) {
  struct {
    eddy_spawn_options known;
    uint64_t unknown;
  } options;
  struct {
    eddy_stats_t known;
    uint64_t unknown;
  } stats;
  witness w;
  eddy *e = open_runtime(&w);
  memset(&options, 0, sizeof options);
  for (size_t size = offsetof(eddy_spawn_options, group); size <= sizeof options;
       size += 4) {
    options.known.size = size;
    CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options.known, NULL), EDDY_OK);
  }
  options.unknown = 1;
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options.known, NULL), EDDY_EINVAL);
  options.known.size = 3;
  CHECK_EQ(eddy_spawn_buffer(e, "", 0, NULL, &options.known, NULL), EDDY_EINVAL);
  memset(&stats, 0xff, sizeof stats);
  CHECK_EQ(eddy_stats(e, &stats.known, sizeof stats), EDDY_OK);
  CHECK(stats.known.tasks > 0 && stats.unknown == 0);
  memset(&stats, 0xff, sizeof stats);
  CHECK_EQ(eddy_stats(e, &stats.known, sizeof(uint64_t)), EDDY_OK);
  CHECK(stats.known.tasks > 0 && stats.known.operations == UINT64_MAX);
  eddy_run(e);
  close_runtime(e);
}

/* Handles that scripts hold when the runtime goes, open and closed: found by the sanitizer. */
static void test_close_with_handles (void) {
  for (int own = 0; own <= 1; own++) {
    witness w;
    eddy_config config = witnessed(&w);
    lua_State *L = own ? NULL : new_state();
    eddy *e;
    CHECK_EQ(eddy_new(&e, L, &config), EDDY_OK);
    spawn_text(e,
      "local net = require 'eddy.net' open = net.listen '127.0.0.1:0' "
      "closed = net.listen '127.0.0.1:0' refused = net.listen '192.0.2.1:1' "
      "client = net.connect('127.0.0.1:' .. open.port) closed:close() server = "
      "open:accept() "
      "server:close() q = eddy.queue() q:put(1) t = eddy.background(eddy.sleep, 9) READY "
      "= 1");
    for (int i = 0; i < 200 && eddy_step(e, UINT64_MAX) == EDDY_WAITING; i++) {
      lua_getglobal(eddy_lua(e), "READY");
      if (lua_toboolean(eddy_lua(e), -1)) break;
      uv_sleep(1);
    }
    CHECK(lua_toboolean(eddy_lua(e), -1));
    CHECK_EQ(eddy_close(e, 0), 1);
    eddy_release(e);
    if (!own) lua_close(L);
  }
}

/* ---- memory ---- */

typedef struct meter {
  long left; /* requests until all fail; < 0: none does */
  long live; /* bytes */
} meter;

static void *metered (void *ud, void *block, size_t old, size_t size) {
  meter *m = ud;
  void *moved;
  if (block == NULL) old = 0;
  if (size == 0) {
    m->live -= (long)old;
    free(block);
    return NULL;
  }
  if (size > old && m->left >= 0 && m->left-- == 0) {
    m->left = 0;
    return NULL;
  }
  if ((moved = realloc(block, size)) != NULL) m->live += (long)size - (long)old;
  return moved;
}

static void test_birth_without_memory (void) {
  int status = EDDY_ENOMEM;
  long n = 0;
  for (; status == EDDY_ENOMEM; n += 7) {
    meter m = {n, 0};
    eddy_config config;
    eddy *e;
    eddy_config_init(&config, sizeof config);
    config.alloc = metered;
    config.alloc_ud = &m;
    status = eddy_new(&e, NULL, &config);
    if (status == EDDY_OK) {
      m.left = -1;
      close_runtime(e);
    } else CHECK(e == NULL);
    CHECK_EQ(m.live, 0);
  }
  CHECK_EQ(status, EDDY_OK);
  CHECK(n > 100);
}

static void test_birth_in_a_state_without_memory (void) {
  int status = EDDY_ENOMEM;
  for (long n = 0; status == EDDY_ENOMEM; n += 3) {
    meter m = {-1, 0};
    eddy *e;
    lua_State *L = lua_newstate(metered, &m);
    luaL_openlibs(L);
    m.left = n;
    status = eddy_new(&e, L, NULL);
    m.left = -1;
    CHECK_EQ(lua_gettop(L), 0);
    if (status == EDDY_OK) close_runtime(e);
    else CHECK_EQ(luaL_dostring(L, "return 1"), LUA_OK);
    lua_close(L);
    CHECK_EQ(m.live, 0);
  }
  CHECK_EQ(status, EDDY_OK);
}

static void test_memory_limit (void) {
  witness w;
  eddy_config config = witnessed(&w);
  eddy *e;
  size_t before;
  config.mem_limit = 1 << 20;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK);
  before = eddy_mem_used(e);
  CHECK(before > 10000 && before < (1 << 20));
  spawn_text(e, "local t = {} for i = 1, 1e7 do t[i] = ('x'):rep(1000) .. i end");
  spawn_text(e, "eddy.sleep(0) FINE = true");
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(w.errors, 1);
  CHECK(strstr(w.text, "not enough memory") != NULL);
  lua_getglobal(eddy_lua(e), "FINE");
  CHECK(lua_toboolean(eddy_lua(e), -1));
  CHECK(eddy_mem_used(e) < (3 << 19));
  CHECK(eddy_gc_step(e, 1000 * (uint64_t)MS) == 1);
  close_runtime(e);
}

/* ---- driving ---- */

static void test_budget (void) {
  witness w;
  eddy *e = open_runtime(&w);
  for (int i = 0; i < 10; i++) spawn_text(e, "N = (N or 0) + 1");
  for (int i = 1; i <= 10; i++) {
    CHECK_EQ(eddy_step(e, 0), i < 10 ? EDDY_BUSY : EDDY_IDLE);
    lua_getglobal(eddy_lua(e), "N"); /* one task a step, in order */
    CHECK_EQ(lua_tointeger(eddy_lua(e), -1), i);
    lua_pop(eddy_lua(e), 1);
  }
  close_runtime(e);
}

static void test_timeout_and_run (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  int64_t ns;
  memset(&done, 0, sizeof done);
  CHECK_EQ(eddy_next_timeout_ns(e), 0); /* libuv has not registered our handle yet */
  eddy_step(e, 0);
  CHECK_EQ(eddy_next_timeout_ns(e), -1);
  spawn_watched(e, "eddy.sleep(0.03) return eddy.now()", &done);
  CHECK_EQ(eddy_next_timeout_ns(e), 0);
  CHECK_EQ(eddy_step(e, UINT64_MAX), EDDY_WAITING);
  ns = eddy_next_timeout_ns(e);
  CHECK(ns > 0 && ns <= 31 * (int64_t)MS);
  CHECK_EQ(eddy_run(e), EDDY_IDLE);
  CHECK_EQ(done.done, 1);
  close_runtime(e);
}

static void test_stop (void) {
  witness w;
  eddy *e = open_runtime(&w);
  spawn_text(e, "eddy.sleep(1e9)");
  CHECK_EQ(eddy_stop(e), EDDY_OK);
  CHECK_EQ(eddy_run(e), EDDY_WAITING);
  close_runtime(e);
}

static int reentrant[4];

static int l_reenter (lua_State *L) {
  eddy *e = eddy_of(L);
  reentrant[0] = eddy_step(e, 0);
  reentrant[1] = eddy_run(e);
  reentrant[2] = eddy_close(e, 0);
  reentrant[3] = eddy_frame(e, 0, 0);
  return 0;
}

static void test_reentrance (void) {
  witness w;
  eddy *e = open_runtime(&w);
  lua_register(eddy_lua(e), "reenter", l_reenter);
  spawn_text(e, "reenter()");
  CHECK_EQ(eddy_step(e, 0), EDDY_IDLE);
  for (int i = 0; i < 4; i++) CHECK_EQ(reentrant[i], EDDY_EREENTRANT);
  close_runtime(e);
}

static void test_scripts_run_is_taken (void) {
  witness w, done;
  eddy *e = open_runtime(&w);
  memset(&done, 0, sizeof done);
  spawn_watched(
    e, "local ok, err = pcall(eddy.run, print) assert(not ok) return err", &done);
  eddy_step(e, 0);
  CHECK(strstr(done.text, "already running") != NULL);
  CHECK_EQ(luaL_dostring(eddy_lua(e), "require'eddy'.run(print)"), 1);
  CHECK_EQ(luaL_dostring(eddy_lua(e), "require'eddy'.config{kill_grace = 1}"), LUA_OK);
  close_runtime(e);
}

static void test_many_runtimes_in_a_thread (void) {
  enum { MANY = 20 };
  witness w[MANY];
  eddy *e[MANY];
  for (int i = 0; i < MANY; i++) {
    e[i] = open_runtime(&w[i]);
    lua_pushinteger(eddy_lua(e[i]), i);
    lua_setglobal(eddy_lua(e[i]), "ME");
    spawn_text(e[i], "eddy.sleep(0.001) error('runtime ' .. ME, 0)");
  }
  for (int i = MANY - 1; i >= 0; i--) {
    char text[40];
    CHECK_EQ(eddy_run(e[i]), EDDY_IDLE);
    snprintf(text, sizeof text, "runtime %d", i);
    CHECK_TEXT(w[i].text, strlen(w[i].text), text);
    CHECK_EQ(w[i].errors, 1);
  }
  for (int i = 0; i < MANY; i++) close_runtime(e[i]);
}

static void test_constants (void) {
  CHECK_TEXT(eddy_version(), strlen(eddy_version()), EDDY_VERSION);
  CHECK_EQ(eddy_abi(), EDDY_ABI);
  for (int code = 0; code >= EDDY_EREENTRANT; code--)
    CHECK(strcmp(eddy_strerror(code), "unknown code") != 0);
  CHECK(strcmp(eddy_strerror(-11), "unknown code") == 0);
  CHECK(strcmp(eddy_strerror(1), "unknown code") == 0);
  CHECK_EQ(eddy_close(NULL, 0), EDDY_EINVAL);
  CHECK_EQ(eddy_step(NULL, 0), EDDY_EINVAL);
  eddy_release(NULL);
}

int main (void) {
  test_attach_and_lookups();
  test_state_closed_first();
  test_grace();
  test_old_and_bad_configs();
  test_close_with_handles();
  test_newer_configs();
  test_other_sizes();
  test_birth_without_memory();
  test_birth_in_a_state_without_memory();
  test_memory_limit();
  test_budget();
  test_timeout_and_run();
  test_stop();
  test_reentrance();
  test_scripts_run_is_taken();
  test_many_runtimes_in_a_thread();
  test_constants();
  return test_report();
}
