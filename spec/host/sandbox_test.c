/* SPDX-License-Identifier: MIT */
/*
** Scripts that are not trusted: what hostile.lua attempts, each in a runtime of its own that grants
** nothing; what capabilities grant, and what 'access' is asked; the limit of memory.
*/
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

enum { LIMIT = 24 << 20 };

static char *read_file (const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  char *text = malloc(1 << 17);
  if (file == NULL || text == NULL) abort();
  *len = fread(text, 1, 1 << 17, file);
  fclose(file);
  return text;
}

static int count_files (void) {
  DIR *folder = opendir("/proc/self/fd");
  int n = 0;
  if (folder == NULL) return 0;
  while (readdir(folder) != NULL) n++;
  closedir(folder);
  return n;
}

static eddy *open_config (const eddy_config *config) {
  eddy *e = NULL;
  if (!CHECK_EQ(eddy_new(&e, NULL, config), EDDY_OK)) abort();
  return e;
}

static eddy_config confined (witness *w, uint32_t caps) {
  eddy_config config = witnessed(w);
  config.flags = EDDY_SANDBOX;
  config.caps = caps;
  return config;
}

/* 'patience': of CPU time without a wait, in ns. */
static eddy *open_limited (witness *w, uint32_t caps, uint64_t patience) {
  eddy_config config = confined(w, caps);
  config.mem_limit = LIMIT;
  config.slice_ns = patience / 10;
  config.kill_after_ns = patience;
  return open_config(&config);
}

static eddy *open_sandbox (witness *w, uint32_t caps) { return open_limited(w, caps, 0); }

static int asked; /* how often 'access' was called */
static char last_target[300];
static int answer;

static int on_access (eddy *e, int kind, const char *target, void *ud) {
  (void)e, (void)kind, (void)ud;
  asked++;
  snprintf(last_target, sizeof last_target, "%s", target);
  return answer;
}

static eddy *open_asking (witness *w, uint32_t caps, int says) {
  eddy_config config = confined(w, caps);
  config.access = on_access;
  asked = 0;
  answer = says;
  *last_target = '\0';
  return open_config(&config);
}

/* ---- attempts ---- */

static const char *text_of (lua_State *L, const char *name) {
  lua_getglobal(L, name);
  return lua_tostring(L, -1);
}

static bool is_held (const witness *w) {
  return w->status != EDDY_OK || w->n == 0 || w->value == 0;
}

/* Does it work as before, with nothing of it left over? */
static void check_alive (eddy *e, const char *name, int files) {
  witness after;
  eddy_stats_t stats;
  memset(&after, 0, sizeof after);
  lua_gc(eddy_lua(e), LUA_GCCOLLECT);
  CHECK_EQ_FOR(name, count_files(), files);
  eddy_stats(e, &stats, sizeof stats);
  CHECK_EQ_FOR(name, stats.handles, 0);
  CHECK_EQ_FOR(name, stats.jobs, 0);
  CHECK_FOR(name, access("build/escaped", F_OK) != 0);
  CHECK_FOR(name, eddy_mem_used(e) <= LIMIT + (1 << 20));
}

static int tell_truth (lua_State *L) {
  lua_pushinteger(L, lua_toboolean(L, 1));
  return 1;
}

static void note_held (eddy *e, eddy_id id, int status, lua_State *L, int n, void *ud) {
  witness *w = ud;
  (void)e, (void)id;
  w->done++;
  w->status = status;
  w->n = n;
  w->value = n > 0 && lua_toboolean(L, -n);
  if (n > 0 && status == EDDY_OK) {
    w->value = lua_isinteger(L, -n) ? lua_tointeger(L, -n) : lua_toboolean(L, -n);
    keep_text(w, lua_tostring(L, -n));
  }
}

/* Returns how many there are, or whether the attempt was held. */
static long long run_attempt (const char *text, size_t len, int number) {
  witness w, done;
  int files, steps = 0;
  char name[100] = "?";
  eddy *e = open_limited(&w, 0, 50 * MS);
  lua_State *L = eddy_lua(e);
  eddy_id id = 0;
  eddy_step(e, 0); /* what it opens for itself */
  files = count_files();
  memset(&done, 0, sizeof done);
  lua_pushinteger(L, number);
  lua_setglobal(L, "NUMBER");
  CHECK_EQ(eddy_spawn_buffer(e, text, len, "=hostile", NULL, &id), EDDY_OK);
  eddy_task_on_done(e, id, note_held, &done);
  while (done.done == 0 && steps++ < 200) {
    if (eddy_step(e, 50 * (uint64_t)MS) != EDDY_WAITING) continue;
    usleep(1000); /* it sleeps, or waits for what never comes */
    if (steps > 50) eddy_task_kill(e, id);
  }
  lua_settop(L, 0);
  if (number > 0 && text_of(L, "NAME") != NULL)
    snprintf(name, sizeof name, "%s", text_of(L, "NAME"));
  lua_settop(L, 0);
  CHECK_EQ_FOR(name, done.done, 1);
  if (number > 0) {
    lua_getglobal(L, "BROKEN");
    CHECK_FOR(name, lua_type(L, -1) != LUA_TSTRING);
    lua_settop(L, 0);
    CHECK_FOR(name, is_held(&done));
    check_alive(e, name, files);
  }
  CHECK_FOR(name, eddy_close(e, 0) >= 0);
  eddy_release(e);
  return done.value;
}

static void test_attempts (void) {
  size_t len;
  char *text = read_file("spec/host/hostile.lua", &len);
  long long n = run_attempt(text, len, 0);
  CHECK(n >= 60);
  for (int i = 1; i <= n; i++) run_attempt(text, len, i);
  free(text);
}

/* ---- what is granted ---- */

/* Runs a chunk to its end; its first result, or its error, is in 'text'. */
static int run_in (eddy *e, const char *chunk, witness *done) {
  memset(done, 0, sizeof *done);
  spawn_watched(e, chunk, done);
  eddy_run(e);
  CHECK_EQ_FOR(chunk, done->done, 1);
  return done->status;
}

static void test_ordinary_scripts (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, 0);
  CHECK_EQ(
    run_in(e,
      "local q = eddy.queue() eddy.spawn(function() eddy.sleep(0.001) q:put(20) end) "
      "local t = setmetatable({}, {__index = function(_, k) return k * 2 end}) "
      "local s = ('k=v, x=y'):gsub('(%w+)=(%w+)', '%2=%1') assert(s == 'v=k, y=x') "
      "assert(load('return 1')() == 1 and os.time() > 0 and getmetatable(t).__index) "
      "assert(require 'string' == string and pcall(error) == false) "
      "local co = coroutine.wrap(function() eddy.sleep(0) coroutine.yield(2) end) "
      "return q:get() + t[10] + co()",
      &done),
    EDDY_OK);
  CHECK_EQ(done.value, 42);
  CHECK_EQ(
    run_in(e,
      "local n = 0 for _, name in ipairs{'eddy', 'eddy.http', 'eddy.json', 'eddy.net', "
      "'eddy.tls'} do n = n + (type(require(name)) == 'table' and 1 or 0) end return n",
      &done),
    EDDY_OK);
  CHECK_EQ(done.value, 5);
  close_runtime(e);
  CHECK_EQ(w.errors, 0);
}

/* What goes to C in pieces, or with a comparison of ours, does what it did. */
static void test_long_strings (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, 0);
  CHECK_EQ(
    run_in(e,
      "local x = ('x'):rep(5000) local t = {x .. 'b', 'y', x, x .. 'a', 'a'} "
      "table.sort(t) "
      "assert(table.concat(t, ',') == table.concat({'a', x, x .. 'a', x .. 'b', 'y'}, "
      "',')) "
      "assert(not pcall(table.sort, {x, 1}) and not pcall(table.sort)) "
      "assert(load('local n = 0 ' .. ('n = n + 1 '):rep(500) .. 'return n')() == 500) "
      "local _, err = load(('n = 1\\n'):rep(500) .. 'n n', '=it') "
      "assert(err == \"it:501: syntax error near 'n'\", err) "
      "_, err = load(('n = 1\\n'):rep(500) .. 'n n') "
      "assert(err:find('[string \"n = 1...\"]:501:', 1, true), err) "
      "return pcall(string.rep, 123456789, 1 << 24) and 1 or 2",
      &done),
    EDDY_OK);
  CHECK_EQ_FOR(done.text, done.value, 2);
  close_runtime(e);
}

static void test_error_objects (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, 0);
  CHECK_EQ(
    run_in(e,
      "local ok, err = pcall(require('eddy.net').connect, '127.0.0.1:1') "
      "return eddy.is(err, 'permission') and eddy.is(err, 'EPERM') and tostring(err)",
      &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "capability 'connect' not granted (EPERM)");
  close_runtime(e);
}

/* A port on which somebody listens, or 0. */
static int listening (int *fd) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t len = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  *fd = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(*fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(*fd, 5) < 0)
    return 0;
  getsockname(*fd, (struct sockaddr *)&address, &len);
  return ntohs(address.sin_port);
}

static void test_connecting (void) {
  static const char chunk[] =
    "local s, err = require('eddy.net').connect('localhost:%d') "
    "if s then s:close() return 'connected' end return err.kind .. ' ' .. err.code";
  char text[300];
  witness w, done;
  int fd, port = listening(&fd);
  snprintf(text, sizeof text, chunk, port);
  for (int says = 0; says <= 1; says++) {
    eddy *e = open_asking(&w, EDDY_CAP_CONNECT, says);
    CHECK_EQ(run_in(e, text, &done), EDDY_OK);
    CHECK_TEXT(done.text, strlen(done.text), says ? "connected" : "permission EACCES");
    CHECK_EQ(asked, 2); /* [::1] and 127.0.0.1 */
    CHECK(strncmp(last_target, "127.0.0.1:", 10) == 0);
    CHECK_EQ(run_in(e, "return require('eddy.net').connect('example.org:80')", &done),
      EDDY_ESCRIPT); /* a name needs another capability */
    CHECK_EQ(
      run_in(e, "return require('eddy.net').listen('127.0.0.1:0')", &done), EDDY_ESCRIPT);
    close_runtime(e);
  }
  close(fd);
}

static void test_names (void) {
  witness w, done;
  eddy *e = open_asking(&w, EDDY_CAP_CONNECT | EDDY_CAP_DNS, 0);
  CHECK_EQ(
    run_in(e,
      "local s, err = require('eddy.net').connect('example.org:80') return err.code",
      &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "EACCES");
  CHECK_TEXT(last_target, strlen(last_target), "example.org");
  close_runtime(e);
}

static void test_listening (void) {
  witness w, done;
  for (int says = 0; says <= 1; says++) {
    eddy *e = open_asking(&w, EDDY_CAP_LISTEN, says);
    CHECK_EQ(run_in(e,
               "local l, err = require('eddy.net').listen('127.0.0.1:0') "
               "if l then l:close() return 'bound' end return err.code",
               &done),
      EDDY_OK);
    CHECK_TEXT(done.text, strlen(done.text), says ? "bound" : "EACCES");
    CHECK_TEXT(last_target, strlen(last_target), "127.0.0.1:0");
    close_runtime(e);
  }
}

/* The host sees where a path leads, not what it is called. */
static void test_files (void) {
  char cwd[200], plain[300];
  witness w, done;
  if (getcwd(cwd, sizeof cwd) == NULL) abort();
  unlink("build/sandbox-link");
  if (symlink("../Makefile", "build/sandbox-link") < 0) abort();
  snprintf(plain, sizeof plain, "%s/Makefile", cwd);
  for (int says = 0; says <= 1; says++) {
    eddy *e = open_asking(&w, EDDY_CAP_READ, says);
    CHECK_EQ(run_in(e,
               "local f = io.open 'build/../build/sandbox-link' "
               "if f then local n = #f:read 'l' f:close() return n > 0 and 'read' end "
               "return 'no'",
               &done),
      EDDY_OK);
    CHECK_TEXT(done.text, strlen(done.text), says ? "read" : "no");
    CHECK_TEXT(last_target, strlen(last_target), plain);
    CHECK_EQ(run_in(e, "return io.open('build/sandbox-new', 'w')", &done), EDDY_ESCRIPT);
    CHECK_EQ(run_in(e, "return io.open('Makefile', 'r+')", &done),
      says ? EDDY_ESCRIPT : EDDY_OK);
    close_runtime(e);
  }
  unlink("build/sandbox-link");
}

static void test_writing (void) {
  char cwd[200], plain[300];
  witness w, done;
  eddy *e = open_asking(&w, EDDY_CAP_WRITE, 1);
  if (getcwd(cwd, sizeof cwd) == NULL) abort();
  snprintf(plain, sizeof plain, "%s/build/sandbox-new", cwd);
  CHECK_EQ(
    run_in(e,
      "local f = assert(io.open('build/./sandbox-new', 'w')) f:write 'x' f:close() "
      "return pcall(io.open, 'build/sandbox-new')",
      &done),
    EDDY_OK);
  CHECK_EQ(done.value, 0); /* written, and not to be read */
  CHECK_TEXT(last_target, strlen(last_target), plain);
  CHECK_EQ(
    run_in(e, "assert(os.rename('build/sandbox-new', 'build/sandbox-other'))", &done),
    EDDY_OK);
  CHECK_EQ(run_in(e, "assert(os.remove 'build/sandbox-other')", &done), EDDY_OK);
  CHECK(access("build/sandbox-other", F_OK) != 0);
  close_runtime(e);
}

static void test_environment (void) {
  witness w, done;
  eddy *e = open_asking(&w, EDDY_CAP_ENV, 1);
  setenv("EDDY_SANDBOX_TEST", "value", 1);
  CHECK_EQ(run_in(e, "return os.getenv 'EDDY_SANDBOX_TEST'", &done), EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "value");
  answer = 0;
  CHECK_EQ(run_in(e, "return os.getenv 'EDDY_SANDBOX_TEST' or 'none'", &done), EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "none");
  close_runtime(e);
}

static void test_tls_files (void) {
  witness w, done;
  eddy *e = open_asking(&w, EDDY_CAP_CONNECT, 1);
  CHECK_EQ(run_in(e, "return require('eddy.tls').context{ca = 'Makefile'}", &done),
    EDDY_ESCRIPT); /* it reads no file without EDDY_CAP_READ */
  close_runtime(e);
  e = open_asking(&w, EDDY_CAP_CONNECT | EDDY_CAP_READ, 0);
  CHECK_EQ(
    run_in(e,
      "local c, err = require('eddy.tls').context{ca = 'Makefile'} return err.code",
      &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "EACCES");
  close_runtime(e);
}

/* A worker is in the same sandbox, under the same limit. */
static void test_workers (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, EDDY_CAP_OFFLOAD);
  CHECK_EQ(
    run_in(e, "return eddy.offload(function(n) return n + 1 end, 41)", &done), EDDY_OK);
  CHECK_EQ(done.value, 42);
  CHECK_EQ(run_in(e,
             "return eddy.offload(function() return io.stdout == nil and debug == nil "
             "and not pcall(io.open, 'Makefile') and not pcall(os.execute, 'true') "
             "and not pcall(require, 'eddy.core') and not pcall(string.dump, load) "
             "and not pcall(require, 'debug') and 7 end)",
             &done),
    EDDY_OK);
  CHECK_EQ(done.value, 7);
  CHECK_EQ(run_in(e,
             "return eddy.offload(function() local eddy = require 'eddy' "
             "return eddy.run(function() "
             "return select(2, pcall(require('eddy.net').connect, '127.0.0.1:1')).code "
             "end) end)",
             &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "EPERM");
  CHECK_EQ(
    run_in(e,
      "local ok, err = pcall(eddy.offload, function() return ('x'):rep(1 << 20):rep(15)"
      " .. ('y'):rep(1 << 24) end) return err.code",
      &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "memory");
  close_runtime(e);
}

/* ---- limits ---- */

/* The runtime's own memory counts as well as Lua's; and it works on when there is room again. */
static void test_memory (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, 0);
  CHECK_EQ(run_in(e,
             "local ok, err = pcall(function() local t = {} "
             "for i = 1, math.huge do t[i] = ('x'):rep(10000) .. i end end) return err",
             &done),
    EDDY_OK);
  CHECK_TEXT(done.text, strlen(done.text), "not enough memory");
  CHECK_EQ(run_in(e, "collectgarbage() return #('x'):rep(1 << 23)", &done), EDDY_OK);
  CHECK_EQ(done.value, 1 << 23);
  close_runtime(e);
}

/* What a host registers is what scripts get. */
static void test_what_the_host_adds (void) {
  witness w, done;
  eddy *e = open_sandbox(&w, 0);
  lua_State *L = eddy_lua(e);
  lua_pushcfunction(L, tell_truth);
  lua_setglobal(L, "truth");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  if (luaL_loadstring(L, "return {name = ..., io = io.stdout == nil}") != LUA_OK) abort();
  lua_setfield(L, -2, "game");
  lua_pop(L, 1);
  CHECK_EQ(
    run_in(e,
      "return truth(require('game').io) + truth(eddy.require 'game' == require 'game')",
      &done),
    EDDY_OK);
  CHECK_EQ(done.value, 2);
  close_runtime(e);
}

static void test_bad_configs (void) {
  witness w;
  eddy_config config = witnessed(&w);
  lua_State *L = luaL_newstate();
  eddy *e;
  config.caps = EDDY_CAP_READ; /* without the flag it would grant everything */
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
  config.flags = EDDY_SANDBOX;
  CHECK_EQ(eddy_new(&e, L, &config), EDDY_EINVAL); /* whose state has a history */
  config.caps = EDDY_CAP_ALL + 1;
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
  config.caps = 0;
  config.mem_limit = 100000; /* too little to begin with */
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_ENOMEM);
  lua_close(L);
}

int main (void) {
  test_ordinary_scripts();
  test_long_strings();
  test_error_objects();
  test_connecting();
  test_names();
  test_listening();
  test_files();
  test_writing();
  test_environment();
  test_tls_files();
  test_workers();
  test_memory();
  test_what_the_host_adds();
  test_bad_configs();
  test_attempts();
  return test_report();
}
