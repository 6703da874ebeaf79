/* SPDX-License-Identifier: MIT */
/*
** A duplex byte stream over a libuv stream (TCP or Unix socket), demand driven.
**
** Reading: bytes that arrive go to the stream's own buffer; reading from the kernel stops when
** the buffer holds ED_STREAM_HIGH bytes that nobody wants, and starts again when they are
** taken (back-pressure). A reader states what it wants as a 'want' function, which is asked in
** the read callback, so that its task is woken once, when the want is met. Writing: tried at
** once; only what the socket did not take is copied, and the writer waits until that is sent.
**
** One reader and one writer at a time; a second one gets EBUSY. A writer that was cancelled is
** none any more: what it left is sent first, and the next writer begins when it is, so that a
** loop of writes which are given up does not fill the memory. Close wakes both with ECLOSED.
*/
#ifndef ED_STREAM_H
#define ED_STREAM_H

#include "base/buf.h"
#include "core/handle.h"

typedef struct ed_stream ed_stream;

enum { ED_STREAM_HIGH = 65536 };

/*
** What the read callback asks of a pending read: is it satisfied by what is buffered (or by
** the stream's end: stream->ended != 0)? Runs outside Lua. May set op->status.
*/
typedef bool (*ed_want)(ed_stream *stream, ed_op *op);

/*
** What stands between a stream and its socket (io/tls): what comes is handed to 'feed', what is
** written goes through 'write', and both use the ed_stream_*raw* verbs below for the other side.
** All of them run without Lua, but for 'push_error'.
*/
typedef struct ed_filter {
  void (*feed)(ed_stream *stream, const char *bytes, ssize_t n); /* or a UV_E code */
  int (*write)(ed_stream *stream, ed_op *op, uv_buf_t *piece, unsigned n);
  int (*shutdown)(ed_stream *stream, ed_op *op);
  void (*closing)(ed_stream *stream);
  void (*drop)(ed_stream *stream);
  int (*push_error)(lua_State *L, ed_stream *stream, const char *op); /* of ED_EFILTER */
} ed_filter;

/* The status of whatever a filter has refused: its 'push_error' knows more. */
enum { ED_EFILTER = -20000 };

struct ed_stream {
  ed_handle handle;        /* first */
  const ed_filter *filter; /* or NULL */
  void *filtering;         /* its own */
  ed_buf in;               /* received, not taken yet */
  int ended;       /* 0; UV_EOF after the peer's end; another UV_E code after a failure */
  bool is_reading; /* uv_read_start is in force */
  bool is_shut;    /* we have shut down our side */
  ed_op *reader;   /* pending read, or NULL */
  ed_want want;    /* of the pending read */
  ed_op *taker;    /* a read whose task has not come for its bytes yet, or NULL */
  ed_op *writer;   /* last write that libuv still works at, or NULL */
  ed_op *next_writer; /* begins when that one, which nobody waits for, is done; or NULL */
  uv_buf_t next;      /* what it will send: memory of its waiter */
  struct shutting *shutting; /* a shutdown that libuv still works at, or NULL */
  size_t high;  /* of the pending read: how much may be buffered (0: ED_STREAM_HIGH) */
  char *target; /* "127.0.0.1:80" for errors; malloc'd through loop->mem or NULL */
};

/* The stream at 'arg', or an argument error; closed streams too (see ed_stream_is_closed). */
ed_stream *ed_stream_check (lua_State *L, int arg);

bool ed_stream_is_closed (const ed_stream *stream);

/*
** Start a read that 'op' (from ed_op_new) will complete when 'want' says so; at once if it says
** so now. Returns what ed_await wants: 0, or UV_EBUSY, UV_ECANCELED for a closed stream ...
*/
int ed_stream_start_read (ed_stream *stream, ed_op *op, ed_want want, size_t high);

/*
** Bytes were taken from stream->in: read on, if reading had stopped for them. So the end of an
** idle connection is seen, and a busy one flows.
*/
void ed_stream_resume (ed_stream *stream);

/* Open, nothing buffered, not ended, nobody reads or writes: fit for another exchange. */
bool ed_stream_is_idle (ed_stream *stream);

/* Bytes that were written but are not with the kernel yet. */
size_t ed_stream_unsent (const ed_stream *stream);

/* The verdict of a read that is given up: bytes stay buffered. Always ED_STOPPED. */
ed_verdict ed_stream_stop_read (ed_stream *stream, ed_op *op);

/* Drop 'n' bytes at the front of stream->in. */
void ed_stream_consume (ed_stream *stream, size_t n);

/*
** Send 'n' pieces: tries at once, copies the rest. 'op' completes when all is with the kernel
** (it may be complete when this returns). The copy is sent even if the waiter leaves, and what
** is written after it goes behind it.
*/
int ed_stream_start_write (ed_stream *stream, ed_op *op, uv_buf_t *piece, unsigned n);

/*
** Send the pieces if the socket takes all of them at once, with nobody waiting: true. False: go on
** with ed_stream_start_write, the pieces are what is left to be sent; refusals show there too.
*/
bool ed_stream_write_now (ed_stream *stream, uv_buf_t *piece, unsigned n);

/*
** The same for one piece that stays where it is as long as 'op' waits: behind the rest of a
** cancelled write it is not copied but waits to begin.
*/
int ed_stream_start_next_write (ed_stream *stream, ed_op *op, uv_buf_t piece);

/* The verdict of a write or shutdown that is given up: what was begun goes on. */
ed_verdict ed_stream_stop_write (ed_stream *stream, ed_op *op);

/* Tell the peer, behind everything written, that no more will come. */
int ed_stream_start_shutdown (ed_stream *stream, ed_op *op);

/*
** A new stream without a libuv handle yet, for connect and accept to fill; NULL when memory is
** short. Whoever made it owns the box's share: ed_stream_box hands that to a userdata,
** ed_handle_unbox gives it up.
*/
ed_stream *ed_stream_new (ed_loop *loop);

/* Push the userdata of a stream; if that raises, the stream is still the caller's. */
void ed_stream_box (lua_State *L, ed_stream *stream);

/* Name the other side, for errors. */
void ed_stream_set_target (ed_stream *stream, const char *target);

/* Push nil and the error of a negative status; returns 2. */
int ed_stream_push_error (lua_State *L, ed_stream *stream, int status, const char *op);

/* ---- for filters ---- */

/* 'n' bytes for the reader, in a borrowed read buffer, which is taken over. */
void ed_stream_take_bytes (ed_stream *stream, char *buffer, size_t n);

/* Read from the socket, reader or not. */
int ed_stream_read_raw (ed_stream *stream);

/* How much the socket takes now: bytes, 0 when it is full, or a UV_E code. */
ssize_t ed_stream_send_raw (ed_stream *stream, uv_buf_t *piece, unsigned n);

/* Send the bytes of 'data', taken over, when the socket is ready; 'op' may be NULL. */
int ed_stream_queue_raw (ed_stream *stream, ed_op *op, ed_buf *data);

/* Shut the socket down behind everything that was sent. */
int ed_stream_shut_raw (ed_stream *stream, ed_op *op);

/* A filter has answered the stream's writer: the next one may begin. */
void ed_stream_begin_next (ed_stream *stream);

/* The class and its methods; pushes nothing. */
void ed_open_stream (lua_State *L, ed_loop *loop, int box);

#endif
