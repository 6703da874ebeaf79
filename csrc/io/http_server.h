/* SPDX-License-Identifier: MIT */
/*
** The HTTP/1.1 server. A connection is a C struct that its server owns: it reads heads and whole
** bodies, refuses what is wrong, sends answers and keeps its times, all in libuv's callbacks and
** without Lua. A task exists only while a handler runs.
**
** How a request gets its task: callbacks must not touch Lua, so a request that is whole goes into
** the server's queue, and one *dispatcher* task of the script waits for that queue
** (server:dispatch). Its continuation runs in a task and spawns one task per queued request, on
** recycled coroutines. So the core needs no "spawn from C between two turns", the owner of the
** handlers is an ordinary task that can be cancelled and joined, and a burst costs one wake-up.
**
** Times are kept by a sweep over all connections about once a second, on the runtime's clock:
** that is the granularity of every limit in seconds.
**
** Ownership: the server is a userdata; it frees its connections, which own their streams. A
** handler holds a *box* whose pointer is cleared when its connection ends or its answer is out. So
** the box must be there as long as its connection knows it, also when the handler's coroutine was
** closed and its task is about to tell: the dispatcher's stack holds the box of a handler that
** runs, and a slot of the server that of one that waits.
*/
#ifndef ED_HTTP_SERVER_H
#define ED_HTTP_SERVER_H

#include <time.h>

#include "io/http_message.h"
#include "io/listen.h"

typedef struct ed_http_limits {
  ed_http1_limits head;
  ed_chunked_limits chunked;
  uint64_t max_body;   /* bytes */
  uint64_t min_rate;   /* bytes/s of a body, behind body_grace */
  uint64_t idle;       /* ns without a request */
  uint64_t header;     /* ns for a head */
  uint64_t handshake;  /* ns for that of TLS */
  uint64_t body_grace; /* ns */
  uint64_t write;      /* ns in which the peer takes nothing of an answer */
  uint64_t handler;    /* ns until an answer begins */
  uint64_t linger;     /* ns to read why we close */
  uint32_t max_connections;
  bool is_streaming; /* handlers start behind the head */
} ed_http_limits;

typedef struct ed_http_counts {
  uint64_t accepted;
  uint64_t refused; /* connections above max_connections, or that could not be taken */
  uint64_t requests;
  uint64_t responses;
  uint64_t rejected;  /* requests that no handler saw: 4xx, 5xx of ours */
  uint64_t timed_out; /* of these and of handlers */
  uint64_t aborted;   /* peer gone while its handler ran */
} ed_http_counts;

enum { ED_HTTP_HEAD_ROOM = 256, ED_HTTP_TAIL_ROOM = 128 };

typedef struct ed_http_server {
  ed_sink sink; /* first */
  ed_loop *loop;
  ed_listener *listener; /* NULL once closed; its userdata is our user value */
  ed_link conns;
  ed_link queue;     /* requests without a task yet */
  unsigned nrefused; /* of these: */
  ed_link refused;   /* what the log is to be told */
  ed_op *dispatcher; /* waits for the queue, or NULL */
  ed_op *watcher;    /* waits for a first connection, or NULL */
  uint32_t nconns;
  uint32_t nbusy;
  ed_http_limits limits;
  ed_http_counts counts;
  uint32_t *spare; /* slots that no connection has; room for all */
  uint32_t nspare;
  uint32_t nslots; /* in all */
  uint32_t slots_room;
  time_t second; /* that 'date' shows */
  char date[40];
  char begun[ED_HTTP_HEAD_ROOM]; /* first lines of an answer with 'begun_status' */
  size_t begun_size;
  int begun_status; /* 0: none */
  bool is_stopping;
  bool is_closed;
  bool is_logging;
} ed_http_server;

typedef enum ed_http_state {
  ED_CONN_READING, /* idle, or a request on its way */
  ED_CONN_QUEUED,  /* a request waits for its task */
  ED_CONN_BUSY,    /* a handler runs */
  ED_CONN_SENDING, /* the last bytes of an answer go out */
  ED_CONN_LINGER,  /* all is said; the peer may read it */
  ED_CONN_DEAD
} ed_http_state;

typedef struct ed_http_conn ed_http_conn;

/* What a handler holds of its connection. */
typedef struct ed_http_conn_box {
  ed_http_conn *conn; /* NULL: ended, or answered */
  bool is_held;       /* the handler has more in mind than its answer */
} ed_http_conn_box;

struct ed_http_conn {
  ed_link link;   /* in server->conns */
  ed_link queued; /* in server->queue */
  ed_http_server *server;
  ed_stream *stream;
  ed_op watch; /* the standing read: what comes next is for us */
  ed_http_message message;
  struct sending *sending; /* the last bytes of an answer, or NULL */
  ed_op *piece;            /* a handler waits for a piece of the body, or NULL */
  ed_http_conn_box *box;   /* of the handler; held in 'slot' where that waits */
  uint32_t slot;           /* of the server, 0: none yet */
  ed_task *task;           /* of the handler, or NULL */
  ed_watch ended;          /* its end */
  ed_buf out;              /* begun answer: what goes before the next piece */
  uint64_t since;          /* ns: when this state began */
  uint64_t asked;          /* ns: since when 'piece' waits */
  uint64_t waited;         /* ns in which a handler waited for body, sums */
  uint64_t left;           /* announced bytes of a begun answer that are still to come */
  size_t unsent;           /* at the last sweep */
  uint64_t stuck;          /* ns: since when that has not changed */
  uint32_t served;         /* requests */
  uint8_t state;
  bool is_watching;
  bool has_begun;  /* an answer */
  bool is_chunked; /* the answer */
  bool is_counted; /* the answer has a length: 'left' */
  bool is_head;    /* the request was HEAD (or the answer has no body) */
  bool closes;     /* after this answer */
};

/* Complete the operation that waits at '*slot', if one does. */
static inline void ed_http_server_wake (ed_op **slot) {
  ed_op *op = *slot;
  *slot = NULL;
  if (op != NULL) ed_op_complete(op, 0);
}

/* ---- http_conn.c: engine ---- */

/* Take over an accepted stream; false when memory is short. */
bool ed_http_conn_open (ed_http_server *server, ed_stream *stream);

/* The end of a connection: cancels its handler, frees the struct. */
void ed_http_conn_close (ed_http_conn *conn);

/* The handler's answer is complete: these are its last bytes. 'conn' may be gone after. */
void ed_http_conn_finish (ed_http_conn *conn, uv_buf_t *piece, unsigned n);

/* Answer for ourselves, and close. */
void ed_http_conn_refuse (ed_http_conn *conn, int status);

/* The handler's task is there, with what ed_http_conn_push has pushed. */
void ed_http_conn_start (ed_http_conn *conn, ed_http_conn_box *box, ed_task *task);

/* The handler has begun, and waits: from now on the peer's end is news for it. */
void ed_http_conn_watch (ed_http_conn *conn);

/* The handler has no more to do with it. */
void ed_http_conn_detach (ed_http_conn *conn);

/* Do what the time asks for; 'conn' may be gone after. */
void ed_http_conn_sweep (ed_http_conn *conn, uint64_t now);

/* Nothing of a request has come, and none may be under way: a stop may close it. */
bool ed_http_conn_is_idle (ed_http_conn *conn);

/* Let the stream go, for another protocol; the caller owns the box's share of it. */
ed_stream *ed_http_conn_release (ed_http_conn *conn);

/* Send from a callback what no task waits for; returns 0 or a UV_E code. */
int ed_http_conn_send (ed_http_conn *conn, uv_buf_t *piece, unsigned n, bool is_last);

/* ---- http_refused.c: requests that no handler saw ---- */

/* A request is being refused with this status: keep what the log says of it. */
void ed_http_refused_note (const ed_http_conn *conn, int status);

/* Keep no more of them. */
void ed_http_refused_drop (ed_http_server *server);

/* Push status, bytes, seconds, line, host, port of the first (the last two may be nil), or nothing. */
int ed_http_refused_push (lua_State *L, ed_http_server *server);

/* ---- http_head.c: heads of answers ---- */

/* Status line and Date into 'text' of ED_HTTP_HEAD_ROOM; how long it is. */
size_t ed_http_head_begin (ed_http_server *server, char *text, int status);

/*
** Content-Length; then what tells the peer about the connection, and the empty line. Both go into
** ED_HTTP_TAIL_ROOM.
*/
size_t ed_http_head_length (char *text, uint64_t length);
size_t ed_http_head_end (ed_http_conn *conn, char *text);

/* "Not Found", or NULL. */
const char *ed_http_reason (int status);

/* ---- http_conn_lua.c ---- */

/* Push what a handler gets: the box, the head, the body; the message stays the connection's. */
ed_http_conn_box *ed_http_conn_push (lua_State *L, ed_http_conn *conn);

/* http.answer, http.split_head (http_answer.c) */
int ed_l_http_answer (lua_State *L);
int ed_l_http_split_head (lua_State *L);

/* Has an answer with this status no body? */
static inline bool ed_http_has_no_body (int status) {
  return status == 204 || status == 304;
}

void ed_open_http_conn (lua_State *L, int box);

#endif
