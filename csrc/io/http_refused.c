/* SPDX-License-Identifier: MIT */
/*
** Requests that no handler saw, for a server's log: what was refused in a callback is noted, and told to the task
** of the server, which the note wakes. Only from the first server:refused() on, and until the server is closed.
** Whoever sends nonsense while a log waits costs KEPT_MAX notes at the most; what comes then is not logged.
*/
#include <string.h>

#include "io/addr.h"
#include "io/http_server.h"

enum {
  LINE_ROOM = 1024, /* of a first line that is kept */
  KEPT_MAX = 1000
};

typedef struct refusal {
  ed_link link;  /* in server->refused */
  uint64_t took; /* ns */
  size_t room;   /* bytes of this struct */
  size_t len;    /* of 'line' */
  int status;
  struct sockaddr_storage peer; /* AF_UNSPEC: of a Unix socket, or gone */
  char line[];
} refusal;

/* What there is of the first line. */
static size_t first_line (const ed_stream *stream, const char **line) {
  const char *at = ed_buf_bytes(&stream->in), *end = at + stream->in.size;
  size_t n = 0;
  while (at < end && (*at == '\r' || *at == '\n')) at++;
  while (n < LINE_ROOM && at + n < end && at[n] != '\r' && at[n] != '\n') n++;
  *line = at;
  return n;
}

static void note_peer (refusal *r, const ed_stream *stream) {
  int len = sizeof r->peer;
  bool is_known = stream->handle.uv.any.type == UV_TCP
    && uv_tcp_getpeername(&stream->handle.uv.tcp, (struct sockaddr *)&r->peer, &len) == 0;
  if (!is_known) r->peer.ss_family = AF_UNSPEC;
}

void ed_http_refused_note (const ed_http_conn *conn, int status) {
  ed_http_server *server = conn->server;
  uint64_t began = conn->message.began, now = ed_loop_now(server->loop);
  const char *line;
  size_t len;
  refusal *r;
  if (!server->is_logging || server->nrefused >= KEPT_MAX) return;
  len = first_line(conn->stream, &line);
  if ((r = ed_mem_new(&server->loop->mem, sizeof *r + len)) == NULL) return;
  memset(r, 0, sizeof *r);
  r->room = sizeof *r + len;
  r->len = len;
  r->status = status;
  r->took = began > 0 && now > began ? now - began : 0;
  memcpy(r->line, line, len);
  note_peer(r, conn->stream);
  ed_list_append(&server->refused, &r->link);
  server->nrefused++;
  ed_http_server_wake(&server->dispatcher);
}

static void drop_first (ed_http_server *server) {
  refusal *r = ED_OF(server->refused.next, refusal, link);
  ed_list_remove(&r->link);
  server->nrefused--;
  ed_mem_free(&server->loop->mem, r, r->room);
}

void ed_http_refused_drop (ed_http_server *server) {
  server->is_logging = false;
  while (!ed_list_is_empty(&server->refused)) drop_first(server);
}

int ed_http_refused_push (lua_State *L, ed_http_server *server) {
  const refusal *r;
  server->is_logging = !server->is_closed;
  if (ed_list_is_empty(&server->refused)) return 0;
  r = ED_OF(server->refused.next, refusal, link);
  lua_pushinteger(L, r->status);
  lua_pushinteger(L, (lua_Integer)strlen(ed_http_reason(r->status)) + 1);
  lua_pushnumber(L, (lua_Number)r->took / 1e9);
  lua_pushlstring(L, r->line, r->len);
  if (r->peer.ss_family != AF_UNSPEC) ed_addr_push(L, &r->peer);
  else lua_settop(L, lua_gettop(L) + 2);
  drop_first(server);
  return 6;
}
