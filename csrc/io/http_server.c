/* SPDX-License-Identifier: MIT */
/*
** The server object: limits, the queue of requests and who waits for it, the sweep, stopping.
** See http_server.h for the design; lua/eddy/http/server.lua for the policy.
*/
#include "io/http_server.h"

#include <string.h>

#include "core/class.h"
#include "core/error.h"

enum { BATCH = 32 }; /* requests that are begun in a row */

/* A wait for something of the server, in one of its slots. */
typedef struct waiting {
  ed_op op; /* first */
  ed_op **slot;
  ed_http_server *server;
} waiting;

/* ---- Engine half ---- */

static void on_accepted (ed_sink *sink, ed_stream *stream) {
  ed_http_server *server = (ed_http_server *)sink;
  bool has_room = server->nconns < server->limits.max_connections;
  if (has_room && ed_http_conn_open(server, stream)) server->counts.accepted++;
  else {
    server->counts.refused++;
    ed_handle_unbox(&stream->handle);
  }
}

static void on_refused (ed_sink *sink, int status) {
  (void)status;
  ((ed_http_server *)sink)->counts.refused++;
}

/* Stopped, and nobody is left. */
static bool is_over (const ed_http_server *server) {
  return server->is_stopping && server->nconns == 0;
}

/* The listener was closed, by us or by the end of the run. */
static void on_listener_ended (ed_sink *sink) {
  ed_http_server *server = (ed_http_server *)sink;
  server->listener = NULL;
  server->is_stopping = true;
  if (server->nconns == 0) ed_http_server_wake(&server->dispatcher);
}

static void close_all (ed_http_server *server) {
  while (!ed_list_is_empty(&server->conns))
    ed_http_conn_close(ED_OF(server->conns.next, ed_http_conn, link));
}

/* No more connections; those that wait for nothing go. */
static void stop (ed_http_server *server) {
  server->is_stopping = true;
  if (server->listener != NULL) ed_listener_close(server->listener);
  for (ed_link *at = server->conns.next, *next; at != &server->conns; at = next) {
    ed_http_conn *conn = ED_OF(at, ed_http_conn, link);
    next = at->next;
    if (ed_http_conn_is_idle(conn)) ed_http_conn_close(conn);
  }
}

static ed_verdict cancel_waiting (ed_op *op) {
  *((waiting *)op)->slot = NULL;
  ed_op_release(op);
  return ED_STOPPED;
}

/* ---- Lua half ---- */

static ed_http_server *check_server (lua_State *L) {
  return ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_SERVER);
}

static int await_slot (lua_State *L, const ed_optype *type, ed_http_server *server,
  ed_op **slot, bool is_done) {
  waiting *w = ed_op_new(L, type, sizeof *w);
  w->slot = slot;
  w->server = server;
  if (is_done) ed_op_done(&w->op, 0);
  else if (*slot != NULL) return ed_await(L, &w->op, UV_EBUSY);
  else *slot = &w->op;
  return ed_await(L, &w->op, 0);
}

/*
** A handler runs at once, on top of the dispatcher, so that one that does not wait is over, and its
** coroutine and memory are there for the next, still warm. That is but one task deep.
*/
static void run_now (ed_loop *loop, ed_task *task) {
  ed_task *self = loop->current;
  if (loop->is_nested || self->has_limits)
    return; /* it would use up what is the other's */
  ed_list_remove(&task->ready);
  loop->is_nested = true;
  loop->luck = ED_LUCK;
  ed_task_resume(loop, task);
  loop->is_nested = false;
  loop->current = self;
}

/* ---- Slots: a table of the server holds the boxes of handlers that wait ---- */

enum { LISTENER = 1, HELD, SPARE }; /* user values of a server */

/* Room for one slot more to be given back: an array that Lua owns. */
static void reserve_spare (lua_State *L, ed_http_server *server) {
  uint32_t room = server->slots_room > 0 ? 2 * server->slots_room : 16;
  uint32_t *spare;
  if (server->nslots < server->slots_room) return;
  spare = lua_newuserdatauv(L, room * sizeof *spare, 0);
  if (server->nspare > 0) memcpy(spare, server->spare, server->nspare * sizeof *spare);
  lua_setiuservalue(L, 1, SPARE);
  server->spare = spare;
  server->slots_room = room;
}

/* A slot of the server at 1; may raise. To put something into it needs no memory then. */
static uint32_t take_slot (lua_State *L, ed_http_server *server) {
  if (server->nspare > 0) return server->spare[--server->nspare];
  reserve_spare(L, server);
  lua_getiuservalue(L, 1, HELD);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, (lua_Integer)server->nslots + 1);
  lua_pop(L, 1);
  return ++server->nslots;
}

/* Hold the box at 'index' until the next handler of its connection waits. */
static void hold (lua_State *L, const ed_http_conn *conn, int index) {
  lua_getiuservalue(L, 1, HELD);
  lua_pushvalue(L, index);
  lua_rawseti(L, -2, conn->slot);
  lua_pop(L, 1);
}

/* A task for the first queued request; the handler's runner is argument 2. */
static void serve_first (lua_State *L, ed_http_server *server, ed_scope *owner) {
  ed_http_conn *conn = ED_OF(server->queue.next, ed_http_conn, queued);
  ed_http_conn_box *box;
  ed_task *task;
  int top = lua_gettop(L);
  if (conn->slot == 0) conn->slot = take_slot(L, server);
  lua_pushnil(L);
  lua_pushvalue(L, 2);
  box = ed_http_conn_push(L, conn);
  lua_pushvalue(L, top + 3);
  lua_replace(L, top + 1); /* the box stays, also when its task is over at once */
  task = ed_task_spawn(L, server->loop, owner, 3, false);
  ed_http_conn_start(conn, box, task);
  run_now(server->loop, task);
  if (box->conn != NULL) {
    hold(L, conn, top + 1);
    ed_http_conn_watch(conn);
  }
  lua_settop(L, top);
}

/* Some of the queue: what is left waits until the others had a turn. */
static int finish_dispatch (lua_State *L, ed_op *op) {
  ed_http_server *server = ((waiting *)op)->server;
  ed_scope *owner = server->loop->current->scope;
  int n = 0;
  luaL_checkstack(L, 16, "requests");
  for (; n < BATCH && !ed_list_is_empty(&server->queue); n++)
    serve_first(L, server, owner);
  if (n == 0 && is_over(server)) lua_pushnil(L);
  else lua_pushinteger(L, n);
  return 1;
}

static const ed_optype dispatch_type = {
  .name = "http requests",
  .finish = finish_dispatch,
  .cancel = cancel_waiting,
  .drop = ed_drop_plain,
};

/*
** server:dispatch(run) --> integer | nil when the server has stopped
** Awaits requests and runs run(exchange, head, body) for some, each in a task of its own that is a
** child of the calling one; also comes back, perhaps with 0, when server:refused has news. Cancelling
** leaves the requests in the queue.
*/
static int l_dispatch (lua_State *L) {
  ed_http_server *server = check_server(L);
  ed_check_callable(L, 2);
  lua_settop(L, 2);
  return await_slot(L, &dispatch_type, server, &server->dispatcher,
    !ed_list_is_empty(&server->queue) || !ed_list_is_empty(&server->refused)
      || is_over(server));
}

/*
** server:refused() --> status, bytes, seconds, line, host, port | nothing
** The next request that was refused without a handler, and its first line as far as it came. They are kept from
** the first call on.
*/
static int l_refused (lua_State *L) { return ed_http_refused_push(L, check_server(L)); }

static const ed_optype watch_type = {
  .name = "http connections",
  .finish = ed_finish_true,
  .cancel = cancel_waiting,
  .drop = ed_drop_plain,
};

/*
** server:await_connections() --> true
** Awaits until there is a connection. Cancelling changes nothing.
*/
static int l_await_connections (lua_State *L) {
  ed_http_server *server = check_server(L);
  return await_slot(L, &watch_type, server, &server->watcher, server->nconns > 0);
}

/* server:sweep(): close and answer what the time is over for. */
static int l_sweep (lua_State *L) {
  ed_http_server *server = check_server(L);
  uint64_t now = ed_loop_now(server->loop);
  for (ed_link *at = server->conns.next, *next; at != &server->conns; at = next) {
    ed_http_conn *conn = ED_OF(at, ed_http_conn, link);
    next = at->next;
    if (server->is_stopping && ed_http_conn_is_idle(conn)) ed_http_conn_close(conn);
    else ed_http_conn_sweep(conn, now);
  }
  return 0;
}

/* server:stop(): accept no more, close what is idle, close the rest behind their answers. */
static int l_stop (lua_State *L) {
  stop(check_server(L));
  return 0;
}

/* server:close(): at once; handlers are cancelled. Idempotent. */
static int l_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_http_server *server;
  if (loop == NULL) return 0; /* the runtime has closed all */
  server = ed_class_check(L, loop, 1, ED_CLASS_HTTP_SERVER);
  server->is_closed = true;
  ed_http_refused_drop(server);
  stop(server);
  close_all(server);
  return 0;
}

static int l_gc (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  ed_http_server *server = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_HTTP_SERVER)
                                        : NULL;
  if (server == NULL || server->loop == NULL) return 0;
  if (server->listener != NULL) ed_listener_serve(server->listener, NULL);
  close_all(server);
  return 0;
}

static void set_count (lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

/* server:stats() --> table of counts */
static int l_stats (lua_State *L) {
  const ed_http_server *server = check_server(L);
  const ed_http_counts *counts = &server->counts;
  lua_createtable(L, 0, 9);
  set_count(L, "connections", server->nconns);
  set_count(L, "busy", server->nbusy);
  set_count(L, "accepted", counts->accepted);
  set_count(L, "refused", counts->refused);
  set_count(L, "requests", counts->requests);
  set_count(L, "responses", counts->responses);
  set_count(L, "rejected", counts->rejected);
  set_count(L, "timed_out", counts->timed_out);
  set_count(L, "aborted", counts->aborted);
  return 1;
}

/* ---- Making one ---- */

static uint64_t limit_count (lua_State *L, const char *name, uint64_t top) {
  lua_Number n;
  lua_getfield(L, 2, name);
  n = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  if (!(n >= 0)) luaL_error(L, "%s: must not be negative", name);
  return n >= (lua_Number)top ? top : (uint64_t)n;
}

static uint64_t limit_time (lua_State *L, const char *name) {
  uint64_t ns;
  lua_getfield(L, 2, name);
  ns = ed_check_seconds(L, -1);
  lua_pop(L, 1);
  return ns;
}

static void read_limits (lua_State *L, ed_http_limits *limits) {
  limits->head.line = (uint32_t)limit_count(L, "max_line", 1 << 24);
  limits->head.head = (uint32_t)limit_count(L, "max_head", 1 << 24);
  limits->head.fields = (uint32_t)limit_count(L, "max_fields", 1000);
  limits->chunked.extension = (uint32_t)limit_count(L, "max_extension", 1 << 24);
  limits->chunked.trailers = (uint32_t)limit_count(L, "max_trailers", 1 << 24);
  limits->max_body = limit_count(L, "max_body", INT64_MAX);
  limits->min_rate = limit_count(L, "min_rate", 1000000000);
  limits->max_connections = (uint32_t)limit_count(L, "max_connections", 1 << 30);
  limits->idle = limit_time(L, "idle_timeout");
  limits->header = limit_time(L, "header_timeout");
  limits->handshake = limit_time(L, "handshake_timeout");
  limits->body_grace = limit_time(L, "body_timeout");
  limits->write = limit_time(L, "write_timeout");
  limits->handler = limit_time(L, "timeout");
  limits->linger = limit_time(L, "linger");
  lua_getfield(L, 2, "stream");
  limits->is_streaming = lua_toboolean(L, -1);
  lua_pop(L, 1);
}

/*
** http.server(listener, limits) --> Server
** Accepts at once; requests wait for dispatch. 'limits': see server.lua, all must be there.
*/
static int l_server (lua_State *L) {
  ed_listener *listener = ed_listener_check(L, 1);
  ed_http_limits limits;
  ed_http_server *server;
  ed_loop *loop = ed_loop_of(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  memset(&limits, 0, sizeof limits);
  read_limits(L, &limits);
  server = ed_class_push(L, loop, ED_CLASS_HTTP_SERVER, sizeof *server, SPARE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, LISTENER);
  lua_newtable(L);
  lua_setiuservalue(L, -2, HELD);
  server->loop = loop;
  server->limits = limits;
  server->listener = listener;
  ed_list_init(&server->conns);
  ed_list_init(&server->queue);
  ed_list_init(&server->refused);
  server->sink = (ed_sink){on_accepted, on_refused, on_listener_ended};
  ed_listener_serve(listener, &server->sink);
  return 1;
}

/* http.reason(status) --> text | nil */
static int l_reason (lua_State *L) {
  lua_pushstring(L, ed_http_reason((int)luaL_checkinteger(L, 1)));
  return 1;
}

static const luaL_Reg functions[] = {
  {"server", l_server},
  {"reason", l_reason},
  {"answer", ed_l_http_answer},
  {"split_head", ed_l_http_split_head},
  {NULL, NULL},
};

static const luaL_Reg methods[] = {
  {"dispatch", l_dispatch},
  {"refused", l_refused},
  {"await_connections", l_await_connections},
  {"sweep", l_sweep},
  {"stop", l_stop},
  {"close", l_close},
  {"stats", l_stats},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__close", l_close},
  {"__gc", l_gc},
  {NULL, NULL},
};

void ed_open_http_server (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  ed_class_new(
    L, loop, ED_CLASS_HTTP_SERVER, "eddy.http.core.Server", methods, meta, box);
  ed_open_http_conn(L, box);
  ed_setfuncs(L, functions, box);
}
