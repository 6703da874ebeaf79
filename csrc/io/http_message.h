/* SPDX-License-Identifier: MIT */
/*
** Reading one HTTP/1.1 message off a stream, request or response: the part that the client's
** and the server's exchange have in common. It works on what the stream has buffered, in its
** read callback, and touches no Lua.
**
** A whole message is assembled at the front of the stream's buffer: the head as it came, then
** the body, from which the chunked coding is taken out in place, then the trailers. So a body is
** copied once, into its Lua string. A message that is read in pieces leaves only its undelivered
** bytes there, and its trailers.
**
** Invariant: a message that ended any other way than whole never says 'keep_alive'.
*/
#ifndef ED_HTTP_MESSAGE_H
#define ED_HTTP_MESSAGE_H

#include "io/stream.h"
#include "proto/chunked.h"
#include "proto/http1.h"

/* Refusals beside those of http1.h. */
enum {
  ED_HTTP_EBODY = -20,    /* the body is above its limit */
  ED_HTTP_EINTERIM = -21, /* too many interim answers */
  ED_HTTP_ESWITCH = -22,  /* a 101 that nobody asked for */
  ED_HTTP_EEXPECT = -23   /* an expectation that we do not know */
};

typedef enum ed_http_phase {
  ED_HTTP_IDLE,  /* nothing was started */
  ED_HTTP_WRITE, /* given up while the request was being sent */
  ED_HTTP_HEAD,
  ED_HTTP_BODY,
  ED_HTTP_DONE
} ed_http_phase;

typedef struct ed_http_message {
  ed_http1_scan scan;
  ed_chunked chunked;
  const ed_http1_limits *limits;         /* of the head; NULL: the usual ones */
  const ed_chunked_limits *chunk_limits; /* the same of the chunked coding */
  uint64_t max_body;
  uint64_t length;  /* ED_HTTP1_LENGTH: of the body; in pieces: what is still to come */
  uint64_t began;   /* ns: first byte of the head, 0 before */
  uint64_t first;   /* ns: the head was whole */
  uint64_t started; /* ns */
  uint64_t heard;   /* ns: the last sign of life of the peer */
  size_t unsent;    /* bytes of our own writes at that time */
  size_t head_len;  /* at the front of the stream's buffer; 0: not whole, or taken */
  size_t body_len;  /* behind it, decoded; in pieces: delivered so far */
  size_t
    trailers_len;  /* behind the body; in pieces: at the front of the stream's buffer */
  size_t ready;    /* in pieces: bytes of the body at the front of the stream's buffer */
  ed_span method;  /* request */
  ed_span target;  /* request */
  int refused;     /* ED_HTTP1_E... or one of the above; 0 */
  int failed;      /* UV_E code of the stream; 0 */
  uint16_t status; /* response */
  uint8_t minor;
  uint8_t form;     /* request: ed_http1_form */
  uint8_t framing;  /* ed_http1_framing */
  uint8_t phase;    /* ed_http_phase */
  uint8_t asked;    /* response: ed_http1_asked */
  uint8_t interims; /* response: so many were skipped */
  uint8_t mentions; /* ED_HTTP1_HAS_... */
  bool is_request;
  bool head_only; /* stop behind the head: the body is read in pieces */
  bool upgrade;   /* request: asks for another protocol */
  bool expects;   /* request: wants to hear 100 before it sends its body */
  bool keep_alive;
} ed_http_message;

/* Begin with the next message of a connection. */
void ed_http_start (
  ed_http_message *message, ed_loop *loop, bool is_request, uint64_t max_body);

/*
** Go on with what is buffered. True: the message is whole (or its head, with 'head_only', or
** a request that 'expects'), or it was refused or failed.
*/
bool ed_http_read_on (ed_http_message *message, ed_stream *stream);

/*
** In pieces, behind the head: is there something to take? True: 'ready' bytes are, or the
** message is whole, refused or failed.
*/
bool ed_http_read_piece (ed_http_message *message, ed_stream *stream);

/* 'n' of the 'ready' bytes are taken. */
void ed_http_take (ed_http_message *message, ed_stream *stream, size_t n);

/* Take a message off the stream that ed_http_read_on has assembled (or its head). */
void ed_http_take_whole (ed_http_message *message, ed_stream *stream);

/* Take the trailers of a message that was read in pieces. */
void ed_http_take_trailers (ed_http_message *message, ed_stream *stream);

/* Push nil and the error of a message that was refused or failed; returns 2. */
int ed_http_push_error (lua_State *L, const ed_http_message *message, ed_stream *stream);

/* The message at 'arg', or an argument error. */
ed_http_message *ed_http_check (lua_State *L, int arg);

/* Put the functions of the server's side into the table at the top; 'box' as ed_setfuncs. */
void ed_open_http_server (lua_State *L, int box);

/* Push the table of core.http. */
void ed_open_http (lua_State *L, int box);

#endif
