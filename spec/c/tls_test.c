/* SPDX-License-Identifier: MIT */
/*
** The TLS engine alone: two of them talk in memory, in pieces of every kind, and are cut off, lied
** to, and left without memory.
*/
#include "proto/tls.h"

#include "test.h"
#include "tls_pair.h"

enum { ROOM = 70000 };

static char got[ROOM]; /* plaintext that arrived last */
static size_t ngot;

static void take_all (ed_tls *tls) {
  size_t n;
  do {
    n = ed_tls_read(tls, got + ngot, ROOM - ngot);
    ngot += n;
  } while (n > 0 && ngot < ROOM);
}

/* Hand what one engine has to send to the other, 'step' bytes at a time; false: nothing. */
static bool carry (tls_pair *p, ed_tls *from, ed_tls *to, size_t step) {
  ed_buf *out = ed_tls_output(from);
  size_t n = out->size < step ? out->size : step;
  char *piece;
  if (n == 0) return false;
  piece = test_copy(ed_buf_bytes(out), n);
  ed_buf_consume(out, &p->mem, n);
  ed_tls_feed(to, piece, n);
  take_all(to);
  ed_tls_feed(to, NULL, 0);
  free(piece);
  return true;
}

static void talk (tls_pair *p, size_t step) {
  bool goes_on = true;
  ngot = 0;
  take_all(p->client); /* says hello */
  while (goes_on) {
    goes_on = carry(p, p->client, p->server, step);
    goes_on = carry(p, p->server, p->client, step) || goes_on;
  }
}

static void check_pieces (tls_pair *p, size_t step) {
  CHECK(pair_begin(p, "good.test"));
  talk(p, step);
  CHECK_EQ(ed_tls_state_of(p->client), ED_TLS_OPEN);
  CHECK_EQ(ed_tls_state_of(p->server), ED_TLS_OPEN);
  CHECK(ed_tls_write(p->client, "question", 8));
  talk(p, step);
  CHECK_TEXT(got, ngot, "question");
  CHECK(ed_tls_write(p->server, "answer", 6));
  ed_tls_close(p->server);
  ed_tls_close(p->server);
  talk(p, step);
  CHECK_TEXT(got, ngot, "answer");
  CHECK_EQ(ed_tls_state_of(p->client), ED_TLS_ENDED);
  CHECK(ed_tls_write(p->client, "later", 5));
  talk(p, step);
  CHECK_TEXT(got, ngot, "later");
  ed_tls_cut(p->client);
  CHECK_EQ(ed_tls_state_of(p->client), ED_TLS_ENDED);
  pair_end(p);
  CHECK_EQ(p->mem.bytes, 0);
}

static void check_large (tls_pair *p) {
  char *bytes = malloc(ROOM - 1);
  pair_must(bytes != NULL);
  for (int i = 0; i < ROOM - 1; i++) bytes[i] = (char)(i * 31);
  CHECK(pair_begin(p, "good.test"));
  talk(p, 4096);
  CHECK(ed_tls_write(p->client, bytes, ROOM - 1));
  talk(p, 1000);
  CHECK(ngot == ROOM - 1 && memcmp(got, bytes, ngot) == 0);
  pair_end(p);
  free(bytes);
}

static void check_cut (tls_pair *p) {
  CHECK(pair_begin(p, "good.test"));
  talk(p, 4096);
  ed_tls_cut(p->server);
  CHECK_EQ(ed_tls_state_of(p->server), ED_TLS_FAILED);
  CHECK_EQ(ed_tls_why(p->server)->code, ED_TLS_TRUNCATED);
  CHECK(!ed_tls_write(p->server, "x", 1));
  CHECK_EQ(ed_tls_read(p->server, got, ROOM), 0);
  pair_end(p);
}

static void check_refusal (tls_pair *p, const char *host, ed_tls_code code) {
  CHECK(pair_begin(p, host));
  talk(p, 100);
  CHECK_EQ(ed_tls_state_of(p->client), ED_TLS_FAILED);
  CHECK_EQ_FOR(host, ed_tls_why(p->client)->code, code);
  CHECK_EQ(ed_tls_state_of(p->server), ED_TLS_FAILED); /* the alert has arrived */
  pair_end(p);
}

static void check_nonsense (tls_pair *p) {
  const char *text = "HTTP/1.1 400 Bad Request\r\n\r\n";
  CHECK(pair_begin(p, "good.test"));
  ed_tls_feed(p->client, text, strlen(text));
  take_all(p->client);
  CHECK_EQ(ed_tls_state_of(p->client), ED_TLS_FAILED);
  CHECK_EQ(ed_tls_why(p->client)->code, ED_TLS_PROTOCOL);
  pair_end(p);
}

static void check_resumption (tls_pair *p) {
  for (int i = 0; i < 3; i++) {
    CHECK(pair_begin(p, i < 2 ? "good.test" : NULL));
    talk(p, 4096);
    CHECK_EQ(ed_tls_is_resumed(p->client), i == 1);
    ed_tls_close(p->client);
    pair_end(p);
  }
}

/* More tickets than there is room for: the oldest go. Every other connection ends badly. */
static void check_many_sessions (tls_pair *p) {
  for (int i = 0; i < 2 * ED_TLS_SESSIONS; i++) {
    CHECK(pair_begin(p, "good.test"));
    talk(p, 4096);
    if (i % 2 == 1) ed_tls_close(p->client);
    pair_end(p);
  }
  CHECK(pair_begin(p, "good.test"));
  talk(p, 4096);
  CHECK(ed_tls_is_resumed(p->client));
  pair_end(p);
}

static void check_hosts (tls_pair *p) {
  char longest[300];
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  CHECK(ed_tls_new(p->client_context, &p->mem, longest, NULL) == NULL);
  CHECK(!ed_tls_context_add_host(p->server_context, "", p->server_context));
  CHECK_EQ(p->mem.bytes, 0);
}

/* The n-th request for memory of ours fails: nothing hangs, nothing is left, nobody lies. */
static void check_short_memory (tls_pair *p) {
  for (size_t n = 1; n < 12; n++) {
    bool is_complete;
    p->mem.fail_in = n;
    is_complete = pair_begin(p, "good.test");
    if (is_complete) {
      talk(p, 4096);
      if (ed_tls_state_of(p->client) == ED_TLS_FAILED && p->client != NULL)
        CHECK(ed_tls_why(p->client)->code != ED_TLS_FINE);
    }
    p->mem.fail_in = 0;
    pair_end(p);
    CHECK_EQ(p->mem.bytes, 0);
  }
}

int main (void) {
  static const size_t steps[] = {1, 2, 7, 100, 4096, 1000000};
  tls_pair pair;
  pair_contexts(&pair, "good.test");
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) check_pieces(&pair, steps[i]);
  check_large(&pair);
  check_cut(&pair);
  check_refusal(&pair, "other.test", ED_TLS_HOSTNAME);
  check_refusal(&pair, "127.0.0.1", ED_TLS_HOSTNAME);
  check_nonsense(&pair);
  check_many_sessions(&pair);
  check_hosts(&pair);
  check_short_memory(&pair);
  pair_free(&pair);
  pair_contexts(&pair, "good.test");
  check_resumption(&pair);
  pair_free(&pair);
  return test_report();
}
