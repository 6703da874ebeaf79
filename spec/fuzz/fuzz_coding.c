/* SPDX-License-Identifier: MIT */
/*
** Content codings: the first byte chooses the coding, the second where input and room are cut. At
** once and in pieces the same must come out, within the limits; what is encoded decodes to itself.
*/
#include "proto/coding.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_OUT = 3 << 20 };

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

typedef struct outcome {
  int error;
  size_t made;
  char *out;
} outcome;

static void must (bool ok) {
  if (!ok) abort();
}

static char *reserve (size_t size) {
  char *block = malloc(size + 1);
  must(block != NULL);
  return block;
}

/* Feed one piece from a block of exactly that size. */
static int feed (ed_decoder *d, outcome *o, const char *text, size_t len, size_t room) {
  char *in = reserve(len);
  size_t at = 0;
  size_t used;
  size_t made;
  int code;
  memcpy(in, text, len);
  do {
    char *out = reserve(room);
    code = ed_decoder_feed(d, in + at, len - at, &used, out, room, &made);
    must(used <= len - at && made <= room);
    if (o->made + made <= MAX_OUT) memcpy(o->out + o->made, out, made);
    o->made += made;
    at += used;
    free(out);
  } while (code == ED_CODING_OK && made == room);
  must(code != ED_CODING_OK || at == len);
  free(in);
  return code;
}

static void decode (
  outcome *o, ed_coding coding, const char *text, size_t len, size_t step, size_t room) {
  ed_decoder *d = ed_decoder_new(coding, MAX_OUT);
  must(d != NULL);
  o->made = 0;
  o->error = ED_CODING_OK;
  o->out = reserve(MAX_OUT);
  for (size_t at = 0; at < len && o->error == ED_CODING_OK; at += step)
    o->error = feed(d, o, text + at, len - at < step ? len - at : step, room);
  if (o->error == ED_CODING_OK) o->error = ed_decoder_end(d);
  must(o->error == ed_decoder_end(d));
  must(o->error != ED_CODING_OK || o->made <= MAX_OUT);
  ed_decoder_free(d);
}

static void check_same (const outcome *a, const outcome *b) {
  must((a->error == ED_CODING_OK) == (b->error == ED_CODING_OK));
  if (a->error != ED_CODING_OK) return;
  must(a->made == b->made && memcmp(a->out, b->out, a->made) == 0);
}

static size_t encode (char *to, size_t room, const char *text, size_t len) {
  ed_encoder *e = ed_encoder_new(1);
  size_t used;
  size_t made;
  must(e != NULL);
  must(ed_encoder_feed(e, text, len, &used, to, room, &made, ED_FLUSH_END) == 0);
  must(used == len && made < room);
  ed_encoder_free(e);
  return made;
}

static void check_anew (const char *text, size_t len, size_t step) {
  size_t room = 2 * len + 200;
  char *packed = reserve(room);
  outcome o;
  decode(&o, ED_CODING_GZIP, packed, encode(packed, room, text, len), step, 1000);
  must(o.error == ED_CODING_OK && o.made == len && memcmp(o.out, text, len) == 0);
  free(o.out);
  free(packed);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  static const char *const name[] = {"gzip", "deflate", "br", "zstd"};
  const char *text = (const char *)data + 2;
  const char *chosen;
  ed_coding coding;
  outcome once;
  outcome pieces;
  if (size < 2) return 0;
  chosen = name[data[0] % 4];
  coding = ed_coding_named(chosen, strlen(chosen));
  size -= 2;
  if (size < 65536) check_anew(text, size, 1 + data[1] % 31U);
  if (coding == ED_CODING_NONE) return 0;
  decode(&once, coding, text, size, size, 65536);
  decode(&pieces, coding, text, size, 1 + data[1] % 31U, 1 + data[1] / 8U * 64);
  check_same(&once, &pieces);
  free(once.out);
  free(pieces.out);
  return 0;
}
