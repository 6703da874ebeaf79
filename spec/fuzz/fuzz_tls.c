/* SPDX-License-Identifier: MIT */
/*
** Arbitrary bytes from a peer. The first byte says who gets them (bit 0: the server), when (bits
** 1-2: at once, or behind so many flights of a true handshake) and in pieces of how many bytes. The
** engine must stay within its input, end in some state, say why if it failed, and free everything.
*/
#include "proto/tls.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../c/tls_pair.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void check_engine (ed_tls *tls) {
  if (ed_tls_state_of(tls) == ED_TLS_FAILED) {
    pair_must(ed_tls_why(tls)->code != ED_TLS_FINE);
    pair_must(ed_tls_why(tls)->text[0] != '\0');
    pair_must(!ed_tls_write(tls, "x", 1));
  }
}

/* From a block of exactly that size. */
static void feed (ed_tls *tls, const char *bytes, size_t n) {
  char *piece = malloc(n + 1);
  char out[4096];
  pair_must(piece != NULL);
  memcpy(piece, bytes, n);
  ed_tls_feed(tls, piece, n);
  while (ed_tls_read(tls, out, sizeof out) > 0) {}
  ed_tls_feed(tls, NULL, 0);
  free(piece);
  check_engine(tls);
}

static void carry (tls_pair *p, ed_tls *from, ed_tls *to) {
  ed_buf *out = ed_tls_output(from);
  feed(to, out->size > 0 ? ed_buf_bytes(out) : "", out->size);
  ed_buf_consume(out, &p->mem, out->size);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  static tls_pair pair;
  ed_tls *victim;
  char text[8192];
  size_t step;
  if (size == 0) return 0;
  if (pair.client_context == NULL) pair_contexts(&pair, "good.test");
  pair_must(pair_begin(&pair, "good.test"));
  feed(pair.client, "", 0);
  for (int i = 0; i < (data[0] >> 1 & 3); i++) {
    carry(&pair, pair.client, pair.server);
    carry(&pair, pair.server, pair.client);
  }
  victim = data[0] & 1 ? pair.server : pair.client;
  step = 1 + (data[0] >> 3) * 8;
  for (size_t at = 1; at < size; at += step)
    feed(victim, (const char *)data + at, size - at < step ? size - at : step);
  ed_tls_describe_peer(victim, text, sizeof text);
  ed_tls_close(victim);
  ed_tls_cut(victim);
  check_engine(victim);
  pair_end(&pair);
  pair_must(pair.mem.bytes == 0);
  return 0;
}
