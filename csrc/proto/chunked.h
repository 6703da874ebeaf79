/* SPDX-License-Identifier: MIT */
/*
** The chunked transfer coding, RFC 9112 section 7. The decoder is fed bytes as they come, in
** pieces of any size, and answers events that point into them; it stores nothing but where it
** is. The encoder is one function for the line before each chunk.
** Promise: the events do not depend on where the input was cut (pieces of data aside), and
** after an error nothing more is read. As strict as http1.h: CRLF only, no white space around
** sizes or in extensions, trailers are checked as fields.
*/
#ifndef ED_CHUNKED_H
#define ED_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

typedef struct ed_chunked_limits {
  uint32_t extension; /* bytes after each size, from its ";" */
  uint32_t trailers;  /* bytes of all lines with their CRLFs */
} ed_chunked_limits;

extern const ed_chunked_limits ed_chunked_client_limits; /* 4080 B, 16 KiB */
extern const ed_chunked_limits ed_chunked_server_limits; /* 256 B, 16 KiB */

typedef enum ed_chunk_event {
  ED_CHUNK_MORE,    /* all input is used: feed more */
  ED_CHUNK_DATA,    /* a piece of the body */
  ED_CHUNK_TRAILER, /* a piece of the trailers, see below */
  ED_CHUNK_END,     /* the body is complete; the rest is not ours */
  ED_CHUNK_ERROR    /* see "error" */
} ed_chunk_event;

typedef struct ed_chunked {
  uint64_t left;  /* of the current chunk; its size while that is read */
  uint32_t count; /* of digits, then of extension bytes; later of trailer bytes */
  uint8_t state;
  int8_t error; /* ED_HTTP1_EFRAMING, or ED_HTTP1_EHEADERS for a limit */
  ed_chunked_limits limits;
} ed_chunked;

void ed_chunked_init (ed_chunked *decoder, const ed_chunked_limits *limits);

/*
** Read on. 'used' tells how many bytes were taken, to be left out next time; for DATA and
** TRAILER 'data' and 'ndata' are a piece of 'in', never empty. All pieces of the trailers
** together are for 'ed_http1_parse_fields'. After END and ERROR each call answers the same
** and takes nothing; what 'used' is on the first ERROR means nothing.
*/
ed_chunk_event ed_chunked_feed (ed_chunked *decoder, const char *in, size_t len,
  size_t *used, const char **data, size_t *ndata);

/*
** Write the line before a chunk of 'size' bytes, "1f" CRLF. After each chunk comes CRLF, after
** the last of them ED_CHUNK_LAST. A size of 0 would end the body: write no empty chunks.
** Returns: its length.
*/
enum { ED_CHUNK_LINE = 18 };
size_t ed_chunked_line (char to[ED_CHUNK_LINE], uint64_t size);

#define ED_CHUNK_LAST "0\r\n\r\n"

#endif
