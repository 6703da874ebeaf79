/* SPDX-License-Identifier: MIT */
/*
** Each coding is a row of three functions over its library's state; limits, stickiness of errors
** and progress are common. A step never reads or writes beyond what it was given.
*/
#include "proto/coding.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#ifdef ED_HAVE_BROTLI
#include <brotli/decode.h>
#endif
#ifdef ED_HAVE_ZSTD
#include <zstd.h>
#endif

/* What one step of a library works on. */
typedef struct step {
  const char *in;
  size_t len;
  char *out;
  size_t room;
} step;

typedef struct engine {
  bool (*open)(ed_decoder *decoder);
  int (*step)(ed_decoder *decoder, step *s); /* advances s; ED_CODING_OK or an error */
  void (*close)(ed_decoder *decoder);
} engine;

struct ed_decoder {
  const engine *engine;
  uint64_t max_out;
  uint64_t ratio; /* 0: none */
  uint64_t read, written;
  int error;      /* sticky */
  bool is_inside; /* of a member: the input may not end here */
  bool is_single; /* nothing may follow the end */
  bool has_ended; /* with is_single */
  bool is_chosen; /* deflate: zlib or raw is decided */
  uint8_t first;  /* deflate: the byte that waits for its second */
  z_stream z;
  void *state; /* of another library */
};

/* ---- zlib ---- */

static bool open_gzip (ed_decoder *d) { return inflateInit2(&d->z, 15 + 16) == Z_OK; }

static bool open_deflate (ed_decoder *d) {
  d->is_single = true;
  return inflateInit2(&d->z, 15) == Z_OK;
}

static void close_zlib (ed_decoder *d) { inflateEnd(&d->z); }

static uInt capped (size_t n) { return n < UINT_MAX ? (uInt)n : UINT_MAX; }

/* One call of inflate; advances 's'. */
static int inflate_some (ed_decoder *d, step *s) {
  uInt len = capped(s->len);
  uInt room = capped(s->room);
  int status;
  d->z.next_in = (Bytef *)(uintptr_t)s->in;
  d->z.avail_in = len;
  d->z.next_out = (Bytef *)s->out;
  d->z.avail_out = room;
  status = inflate(&d->z, Z_NO_FLUSH);
  s->in += len - d->z.avail_in;
  s->len -= len - d->z.avail_in;
  s->out += room - d->z.avail_out;
  s->room -= room - d->z.avail_out;
  return status;
}

static int step_zlib (ed_decoder *d, step *s) {
  int status;
  if (d->has_ended) return s->len > 0 ? ED_CODING_EDATA : ED_CODING_OK;
  if (s->len > 0) d->is_inside = true;
  status = inflate_some(d, s);
  if (status == Z_OK || status == Z_BUF_ERROR) return ED_CODING_OK;
  if (status == Z_MEM_ERROR) return ED_CODING_EMEMORY;
  if (status != Z_STREAM_END) return ED_CODING_EDATA;
  d->is_inside = false;
  d->has_ended = d->is_single;
  return inflateReset(&d->z) == Z_OK ? ED_CODING_OK : ED_CODING_EDATA;
}

/* RFC 1950's header is a multiple of 31 and names method 8; else it is RFC 1951 alone. */
static bool is_zlib_header (unsigned first, unsigned second) {
  return (first & 15) == 8 && first >> 4 <= 7 && (first << 8 | second) % 31 == 0;
}

/* Hand the first byte, which was kept back, to inflate, now that its second is known. */
static int choose_deflate (ed_decoder *d, step *s) {
  char first = (char)d->first;
  step one = {&first, 1, s->out, s->room};
  bool is_zlib = is_zlib_header(d->first, (unsigned char)*s->in);
  int status;
  if (inflateReset2(&d->z, is_zlib ? 15 : -15) != Z_OK) return ED_CODING_EDATA;
  d->is_chosen = true;
  status = step_zlib(d, &one);
  s->out = one.out;
  s->room = one.room;
  return status;
}

static int step_deflate (ed_decoder *d, step *s) {
  if (!d->is_chosen && !d->is_inside && s->len > 0) {
    d->first = (uint8_t)*s->in++;
    s->len--;
    d->is_inside = true;
  }
  if (!d->is_chosen) {
    int status = s->len > 0 ? choose_deflate(d, s) : ED_CODING_OK;
    if (!d->is_chosen || status != ED_CODING_OK) return status;
  }
  return step_zlib(d, s);
}

/* ---- brotli ---- */

#ifdef ED_HAVE_BROTLI
static bool open_br (ed_decoder *d) {
  d->is_single = true;
  d->state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
  return d->state != NULL;
}

static void close_br (ed_decoder *d) {
  if (d->state != NULL) BrotliDecoderDestroyInstance(d->state);
}

static int step_br (ed_decoder *d, step *s) {
  const uint8_t *in = (const uint8_t *)s->in;
  uint8_t *out = (uint8_t *)s->out;
  BrotliDecoderResult result;
  if (d->has_ended) return s->len > 0 ? ED_CODING_EDATA : ED_CODING_OK;
  if (s->len > 0) d->is_inside = true;
  result = BrotliDecoderDecompressStream(d->state, &s->len, &in, &s->room, &out, NULL);
  s->in = (const char *)in;
  s->out = (char *)out;
  if (result == BROTLI_DECODER_RESULT_ERROR) return ED_CODING_EDATA;
  if (result == BROTLI_DECODER_RESULT_SUCCESS) {
    d->is_inside = false;
    d->has_ended = true;
  }
  return ED_CODING_OK;
}

static const engine br_engine = {open_br, step_br, close_br};
#endif

/* ---- zstd ---- */

#ifdef ED_HAVE_ZSTD
enum {
  ZSTD_WINDOW_LOG = 23
}; /* RFC 9659: 8 MiB is all that a client must have room for */

static bool open_zstd (ed_decoder *d) {
  d->state = ZSTD_createDCtx();
  return d->state != NULL
    && !ZSTD_isError(
      ZSTD_DCtx_setParameter(d->state, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG));
}

static void close_zstd (ed_decoder *d) { ZSTD_freeDCtx(d->state); }

static int step_zstd (ed_decoder *d, step *s) {
  ZSTD_inBuffer in = {s->in, s->len, 0};
  ZSTD_outBuffer out = {s->out, s->room, 0};
  size_t status;
  if (s->len == 0 && !d->is_inside) return ED_CODING_OK;
  status = ZSTD_decompressStream(d->state, &out, &in);
  s->in += in.pos;
  s->len -= in.pos;
  s->out += out.pos;
  s->room -= out.pos;
  if (ZSTD_isError(status)) return ED_CODING_EDATA;
  d->is_inside = status != 0;
  return ED_CODING_OK;
}

static const engine zstd_engine = {open_zstd, step_zstd, close_zstd};
#endif

/* ---- Choice ---- */

static const engine gzip_engine = {open_gzip, step_zlib, close_zlib};
static const engine deflate_engine = {open_deflate, step_deflate, close_zlib};

static const struct {
  const char *name;
  ed_coding coding;
  const engine *engine;
} known[] = {
  {"gzip", ED_CODING_GZIP, &gzip_engine},
  {"x-gzip", ED_CODING_GZIP, &gzip_engine},
  {"deflate", ED_CODING_DEFLATE, &deflate_engine},
#ifdef ED_HAVE_BROTLI
  {"br", ED_CODING_BR, &br_engine},
#endif
#ifdef ED_HAVE_ZSTD
  {"zstd", ED_CODING_ZSTD, &zstd_engine},
#endif
};

enum { NKNOWN = sizeof known / sizeof *known };

const char ed_coding_names[] = "gzip, deflate"
#ifdef ED_HAVE_BROTLI
                               ", br"
#endif
#ifdef ED_HAVE_ZSTD
                               ", zstd"
#endif
  ;

ed_coding ed_coding_named (const char *name, size_t len) {
  for (int i = 0; i < NKNOWN; i++)
    if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0)
      return known[i].coding;
  return ED_CODING_NONE;
}

const char *ed_coding_error_text (int code) {
  switch (code) {
    case ED_CODING_EDATA: return "damaged or truncated content coding";
    case ED_CODING_ERATIO:
      return "decoded content out of proportion to what was received";
    case ED_CODING_ELIMIT: return "body above the limit";
    case ED_CODING_EMEMORY: return "not enough memory";
    default: return "no error";
  }
}

/* ---- Decoder ---- */

ed_decoder *ed_decoder_new (ed_coding coding, uint64_t max_out) {
  ed_decoder *d;
  int i = 0;
  while (i < NKNOWN && known[i].coding != coding) i++;
  d = i < NKNOWN ? calloc(1, sizeof *d) : NULL;
  if (d == NULL) return NULL;
  d->max_out = max_out;
  d->ratio = ED_CODING_RATIO;
  if (known[i].engine->open(d)) d->engine = known[i].engine;
  else {
    if (d->state != NULL) known[i].engine->close(d);
    free(d);
    return NULL;
  }
  return d;
}

void ed_decoder_set_ratio (ed_decoder *d, uint64_t ratio) { d->ratio = ratio; }

void ed_decoder_free (ed_decoder *d) {
  if (d == NULL) return;
  d->engine->close(d);
  free(d);
}

static int check_limits (const ed_decoder *d) {
  if (d->written > d->max_out) return ED_CODING_ELIMIT;
  if (d->ratio > 0 && d->written > ED_CODING_FREE && d->written / d->ratio > d->read)
    return ED_CODING_ERATIO;
  return ED_CODING_OK;
}

/* One step; false when it moved nothing, or failed. */
static bool advance (ed_decoder *d, step *s) {
  size_t len = s->len;
  size_t room = s->room;
  d->error = d->engine->step(d, s);
  d->read += len - s->len;
  d->written += room - s->room;
  if (d->error == ED_CODING_OK) d->error = check_limits(d);
  return d->error == ED_CODING_OK && (s->len < len || s->room < room);
}

int ed_decoder_feed (ed_decoder *d, const char *in, size_t len, size_t *used, char *out,
  size_t room, size_t *made) {
  step s = {in, len, out, room};
  if (d->error == ED_CODING_OK)
    while (s.room > 0 && advance(d, &s)) continue;
  *used = len - s.len;
  *made = room - s.room;
  return d->error;
}

int ed_decoder_end (ed_decoder *d) {
  if (d->error == ED_CODING_OK && d->is_inside) d->error = ED_CODING_EDATA;
  return d->error;
}

/* ---- Encoder ---- */

struct ed_encoder {
  z_stream z;
};

ed_encoder *ed_encoder_new (int level) {
  ed_encoder *e = calloc(1, sizeof *e);
  if (e == NULL) return NULL;
  if (level < 1 || level > 9) level = Z_DEFAULT_COMPRESSION;
  if (deflateInit2(&e->z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
    return e;
  free(e);
  return NULL;
}

void ed_encoder_free (ed_encoder *e) {
  if (e == NULL) return;
  deflateEnd(&e->z);
  free(e);
}

int ed_encoder_feed (ed_encoder *e, const char *in, size_t len, size_t *used, char *out,
  size_t room, size_t *made, ed_flush flush) {
  static const int modes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
  uInt take = capped(len);
  uInt give = capped(room);
  int status;
  e->z.next_in = (Bytef *)(uintptr_t)in;
  e->z.avail_in = take;
  e->z.next_out = (Bytef *)out;
  e->z.avail_out = give;
  status = deflate(&e->z, take < len ? Z_NO_FLUSH : modes[flush]);
  *used = take - e->z.avail_in;
  *made = give - e->z.avail_out;
  return status == Z_STREAM_ERROR ? ED_CODING_EDATA : ED_CODING_OK;
}
