/* SPDX-License-Identifier: MIT */
/*
** Content codings: gzip, deflate (zlib or raw, told apart by the first two bytes), br and zstd, as
** far as their libraries were found when this was built. A decoder is fed bytes in pieces of any
** size and fills the room that it is given, so memory is bounded by the caller whatever comes.
**
** Promise: after an error nothing more is decoded. Output is at most 'max_out' bytes, and beyond
** the first ED_CODING_FREE of it at most ED_CODING_RATIO times (or what was set) what was read:
** small input cannot become much. Members of gzip and frames of zstd may follow one another; anything else behind
** the end is an error, and so is an end inside a member (ed_decoder_end).
*/
#ifndef ED_CODING_H
#define ED_CODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  ED_CODING_RATIO = 100,
  ED_CODING_FREE = 1 << 20 /* bytes of output for which no ratio counts */
};

typedef enum ed_coding {
  ED_CODING_NONE, /* a name that is not known, or not built in */
  ED_CODING_GZIP,
  ED_CODING_DEFLATE,
  ED_CODING_BR,
  ED_CODING_ZSTD
} ed_coding;

/* Answers of decoder and encoder. */
enum {
  ED_CODING_OK = 0,
  ED_CODING_EDATA = -1,  /* not in this coding, or truncated */
  ED_CODING_ERATIO = -2, /* output out of proportion */
  ED_CODING_ELIMIT = -3, /* output above 'max_out' */
  ED_CODING_EMEMORY = -4
};

/* Names that a decoder can be made for, most wanted first, for Accept-Encoding. */
extern const char ed_coding_names[];

/* The coding of this name (in any case, "x-gzip" too), if it can be decoded. */
ed_coding ed_coding_named (const char *name, size_t len);

/* A short sentence without a full stop. */
const char *ed_coding_error_text (int code);

typedef struct ed_decoder ed_decoder;

/* NULL when memory is short, or for ED_CODING_NONE. */
ed_decoder *ed_decoder_new (ed_coding coding, uint64_t max_out);

/* Another ratio from now on; 0: none. */
void ed_decoder_set_ratio (ed_decoder *decoder, uint64_t ratio);

/* NULL is fine. */
void ed_decoder_free (ed_decoder *decoder);

/*
** Decode: 'used' tells how much of 'in' was taken, 'made' how much of 'out' was filled. When
** 'made' is 'room' there may be more to come: call again, with 'len' 0 if all is used.
** Returns: ED_CODING_OK, or what went wrong, then and on each later call.
*/
int ed_decoder_feed (ed_decoder *decoder, const char *in, size_t len, size_t *used,
  char *out, size_t room, size_t *made);

/* The input has ended. Returns: ED_CODING_OK if that was between members. No input is fine. */
int ed_decoder_end (ed_decoder *decoder);

typedef struct ed_encoder ed_encoder;

/* A gzip encoder of level 1 to 9 (below 1: zlib's default); NULL when memory is short. */
ed_encoder *ed_encoder_new (int level);

/* NULL is fine. */
void ed_encoder_free (ed_encoder *encoder);

typedef enum ed_flush {
  ED_FLUSH_NONE, /* as it fits best */
  ED_FLUSH_SYNC, /* all that was fed can be decoded by now */
  ED_FLUSH_END   /* this was the last */
} ed_flush;

/*
** Encode all of 'in', in as many calls as 'out' needs: 'used' and 'made' as above. Done when all
** is used and 'made' is below 'room'.
*/
int ed_encoder_feed (ed_encoder *encoder, const char *in, size_t len, size_t *used,
  char *out, size_t room, size_t *made, ed_flush flush);

#endif
