/* SPDX-License-Identifier: MIT */
/*
** The journal: what its lines say, and that the same seed and the same inputs give the same lines,
** three times over, and in another build, whatever the scripts do with time, chance, groups, failures
** and the host's answers.
**   journal_test [PROGRAM]     PROGRAM is this test in another build
**   journal_test hash          prints what they compare
*/
#include <ctype.h>

#include "host.h"

typedef struct book {
  char *text;
  size_t len;
  long lines;
} book;

static void note_line (eddy *e, const char *line, size_t len, void *ud) {
  book *b = ud;
  (void)e;
  CHECK_EQ((long long)strlen(line), (long long)len);
  if ((b->text = realloc(b->text, b->len + len + 2)) == NULL) abort();
  memcpy(b->text + b->len, line, len);
  b->len += len + 1;
  b->text[b->len - 1] = '\n';
  b->text[b->len] = '\0';
  b->lines++;
}

static void ignore_error (
  eddy *e, eddy_id id, int code, const char *message, const char *tb, void *ud) {
  (void)e, (void)id, (void)code, (void)message, (void)tb, (void)ud;
}

static eddy *open_noted (book *b, uint64_t seed) {
  eddy_config config;
  eddy *e = NULL;
  memset(b, 0, sizeof *b);
  eddy_config_init(&config, sizeof config);
  config.clock = EDDY_CLOCK_MANUAL;
  config.seed = seed;
  config.journal = note_line;
  config.on_error = ignore_error;
  config.userdata = b;
  if (!CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_OK)) abort();
  return e;
}

/* ---- what the lines say ---- */

static void test_lines (void) {
  book b;
  eddy *e = open_noted(&b, 1);
  eddy_id id;
  CHECK(eddy_now(e) == 0);
  id = spawn_text(e,
    "eddy.sleep(0.001) eddy.frame() eddy.sleep(0) for v in "
    "eddy.on('word') do eddy.sleep(1e6) end");
  eddy_step(e, UINT64_MAX);
  eddy_clock_advance(e, 2 * MS);
  eddy_step(e, UINT64_MAX);
  eddy_frame(e, 0, 16 * MS);
  eddy_post(e, "word", "x", 1);
  eddy_step(e, UINT64_MAX);
  eddy_pause(e, 1);
  eddy_pause(e, 0);
  eddy_task_cancel(e, id, NULL);
  eddy_step(e, UINT64_MAX);
  spawn_text(e, "error 'x'");
  spawn_text(e, "return 1");
  eddy_step(e, UINT64_MAX);
  eddy_close(e, 0);
  eddy_release(e);
  CHECK(b.text != NULL);
  if (b.text == NULL) return;
  CHECK(strcmp(b.text,
          "0 spawn 1 -\n"
          "0 run 1 start\n"
          "0 advance 2000000\n"
          "2000000 run 1 sleep\n"
          "2000000 frame 0 16000000\n"
          "18000000 run 1 frame\n"
          "18000000 run 1 turn\n"
          "18000000 emit word\n"
          "18000000 run 1 queue:get\n"
          "18000000 pause\n"
          "18000000 go on\n"
          "18000000 cancel 1\n"
          "18000000 run 1 turn\n"
          "18000000 end 1 cancelled\n"
          "18000000 spawn 2 -\n"
          "18000000 spawn 3 -\n"
          "18000000 run 2 start\n"
          "18000000 run 3 start\n"
          "18000000 end 2 failed\n"
          "18000000 end 3 done\n"
          "18000000 close\n")
    == 0);
  if (test_failed > 0) puts(b.text);
  free(b.text);
}

/* A name of any length: a line is cut, not broken. */
static void test_long_names (void) {
  book b;
  eddy *e = open_noted(&b, 0);
  char name[1000];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  CHECK_EQ(eddy_emit(e, name, NULL, NULL), EDDY_OK);
  CHECK_EQ(b.lines, 1);
  CHECK(b.len > 200 && b.len < sizeof name);
  eddy_close(e, 0);
  eddy_release(e);
  free(b.text);
}

static void test_bad_clock (void) {
  eddy_config config;
  eddy *e;
  eddy_config_init(&config, sizeof config);
  config.clock = EDDY_CLOCK_SCALED; /* of what? */
  CHECK_EQ(eddy_new(&e, NULL, &config), EDDY_EINVAL);
}

/* ---- the same three times ---- */

static const char *const cast[] = {
  "local x = 0 while true do x = x + eddy.frame() eddy.sleep(math.random() / 10) end",
  "for i = 1, 40 do eddy.race({function() eddy.sleep(math.random() / 20) end, function() "
  "eddy.frame(1) end}) end",
  "for word in eddy.on('word') do eddy.spawn(function() eddy.sleep(#word / 100) end) end",
  "while true do local ok, n = pcall(ask) if not ok then error(n) end eddy.sleep(n / "
  "1e3) end",
  "local q = eddy.queue(2) eddy.spawn(function() for v in q:iter() do eddy.sleep(0.007) "
  "end end) while true do q:put(eddy.now()) end",
  "local s = eddy.semaphore(2) eddy.map({1, 2, 3, 4, 5, 6, 7, 8}, function(i) local p "
  "<close> = s:acquire() eddy.sleep(i * math.random()) end)",
  "eddy.sleep(math.random()) error('by chance')",
  "eddy.group(function(g) for i = 1, 5 do g:spawn(function() eddy.timeout(0.3, "
  "eddy.sleep, i / 10) end) end end)",
  "for t in eddy.every(1 / 30) do if math.random(40) == 1 then break end end",
};

enum { CAST = sizeof cast / sizeof *cast, FRAMES = 120, ASKED = 4 };

static eddy_op *asked[ASKED];
static int nasked;

static int l_ask (lua_State *L) {
  static const eddy_op_class ask_class = {"ask", NULL, NULL, NULL};
  eddy_op *op;
  eddy_op_new(L, &ask_class, 1, &op);
  if (nasked < ASKED) asked[nasked++] = op;
  else eddy_op_complete(op, 1);
  return eddy_op_wait(L, op);
}

static void play (eddy *e, eddy_id *id, eddy_id group, int frame) {
  char text[32];
  snprintf(text, sizeof text, "%*d", frame % 7 + 1, frame);
  if (frame % 5 == 0) eddy_post(e, "word", text, strlen(text));
  if (frame % 3 == 0 && nasked > 0) eddy_op_complete(asked[--nasked], frame);
  if (frame % 31 == 30) eddy_pause(e, frame % 2);
  if (frame == 50) eddy_task_cancel(e, id[0], "enough");
  if (frame == 60) eddy_task_kill(e, id[1]);
  if (frame == 70) eddy_group_close(e, group, 0);
  eddy_frame(e, 0, 16666667);
  eddy_frame(e, 1, 0);
  eddy_step(e, UINT64_MAX);
}

static book perform (uint64_t seed) {
  book b;
  eddy *e = open_noted(&b, seed);
  eddy_id id[CAST], group;
  nasked = 0;
  lua_register(eddy_lua(e), "ask", l_ask);
  CHECK_EQ(eddy_group_new(e, 0, &group), EDDY_OK);
  for (int i = 0; i < CAST; i++) {
    char chunk[600];
    eddy_spawn_options options = {
      .size = sizeof options, .group = i % 2 == 0 ? group : 0};
    int n = snprintf(chunk, sizeof chunk, "local eddy = require 'eddy' %s", cast[i]);
    CHECK_EQ(eddy_spawn_buffer(e, chunk, (size_t)n, "=cast", &options, &id[i]), EDDY_OK);
  }
  for (int frame = 0; frame < FRAMES; frame++) play(e, id, group, frame);
  eddy_close(e, 0);
  while (nasked > 0) eddy_op_complete(asked[--nasked], 0);
  eddy_release(e);
  return b;
}

/* The first line in which they differ, for whoever has to find out why. */
static void show_parting (const book *a, const book *b) {
  size_t at = 0;
  while (at < a->len && at < b->len && a->text[at] == b->text[at]) at++;
  while (at > 0 && a->text[at - 1] != '\n') at--;
  printf("they part at byte %zu: %.60s\n", at, a->text + at);
}

static const char *other_build; /* or NULL */

/* FNV-1a */
static unsigned long long hash_of (const book *b) {
  unsigned long long hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < b->len; i++)
    hash = (hash ^ (unsigned char)b->text[i]) * 0x100000001b3u;
  return hash;
}

static void test_the_other_build (const book *b) {
  char command[1000];
  unsigned long long hash = 0;
  FILE *pipe;
  if (other_build == NULL) return;
  snprintf(command, sizeof command, "'%s' hash", other_build);
  if (!CHECK((pipe = popen(command, "r")) != NULL)) return;
  CHECK_EQ(fscanf(pipe, "%llu", &hash), 1);
  pclose(pipe);
  CHECK(hash == hash_of(b));
}

static void test_s179_the_same_three_times (void) {
  book first = perform(42), other;
  CHECK(first.lines > 500);
  for (int again = 0; again < 2; again++) {
    book b = perform(42);
    bool is_same = b.len == first.len && memcmp(b.text, first.text, b.len) == 0;
    if (!CHECK(is_same)) show_parting(&first, &b);
    free(b.text);
  }
  test_the_other_build(&first);
  other = perform(43);
  CHECK(other.len != first.len || memcmp(other.text, first.text, other.len) != 0);
  free(other.text);
  free(first.text);
}

static int print_hash (void) {
  book b = perform(42);
  printf("%llu\n", hash_of(&b));
  free(b.text);
  return 0;
}

int main (int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "hash") == 0) return print_hash();
  if (argc > 1) other_build = argv[1];
  test_lines();
  test_long_names();
  test_bad_clock();
  test_s179_the_same_three_times();
  return test_report();
}
