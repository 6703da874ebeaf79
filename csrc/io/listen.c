/* SPDX-License-Identifier: MIT */
/*
** Listeners: accepting is a wait like any other. A connection that nobody waits for stays in
** the kernel's backlog, because libuv stops accepting until the one it holds is taken; so a
** busy server pushes back by itself.
*/
#include <stdio.h>
#include <string.h>

#include "core/class.h"
#include "core/error.h"
#include "core/handle.h"
#include "io/addr.h"
#include "io/net.h"
#include "io/stream.h"

typedef struct ed_listener {
  ed_handle handle; /* first */
  ed_link waiters;  /* accepting.link */
  bool has_pending; /* libuv holds an accepted connection */
  bool is_unix;
  int port;
  char target[128];
} ed_listener;

typedef struct listener_box {
  ed_listener *listener;
} listener_box;

typedef struct accepting {
  ed_op op; /* first */
  ed_link link;
  ed_listener *listener;
  ed_stream *got; /* not taken yet */
} accepting;

enum { BACKLOG = 511 };

/* ---- engine half ---- */

static void drop_listener (ed_handle *handle) {
  ed_mem_free(&handle->loop->mem, handle, sizeof(ed_listener));
}

static accepting *first_waiter (ed_listener *l) {
  return ed_list_is_empty(&l->waiters) ? NULL : ED_OF(l->waiters.next, accepting, link);
}

static void close_listener (ed_handle *handle) {
  ed_listener *l = (ed_listener *)handle;
  accepting *a;
  while ((a = first_waiter(l)) != NULL) {
    ed_list_remove(&a->link);
    ed_op_complete(&a->op, UV_ECANCELED);
  }
}

static int init_stream (ed_listener *l, ed_stream *stream) {
  ed_handle *handle = &stream->handle;
  int status = l->is_unix ? uv_pipe_init(handle->loop->uv, &handle->uv.pipe, 0)
                          : uv_tcp_init(handle->loop->uv, &handle->uv.tcp);
  if (status == 0) ed_handle_opened(handle);
  return status;
}

/* Take the connection that libuv holds; sets '*got' or returns a UV_E code. */
static int take_connection (ed_listener *l, ed_stream **got) {
  ed_stream *stream = ed_stream_new(l->handle.loop);
  int status;
  if (stream == NULL) return UV_ENOMEM;
  status = init_stream(l, stream);
  if (status == 0) status = uv_accept(&l->handle.uv.stream, &stream->handle.uv.stream);
  if (status < 0) {
    ed_handle_unbox(&stream->handle);
    return status;
  }
  l->has_pending = false;
  if (!l->is_unix) uv_tcp_nodelay(&stream->handle.uv.tcp, 1);
  *got = stream;
  return 0;
}

static void on_connection (uv_stream_t *uv, int status) {
  ed_listener *l = uv->data;
  accepting *a = first_waiter(l);
  l->handle.loop->progress++;
  if (status == 0) l->has_pending = true;
  if (a == NULL) return;
  ed_list_remove(&a->link);
  if (status == 0) status = take_connection(l, &a->got);
  ed_op_complete(&a->op, status);
}

static ed_verdict cancel_accept (ed_op *op) {
  ed_list_remove(&((accepting *)op)->link);
  ed_op_release(op);
  return ED_STOPPED;
}

static void drop_accept (ed_op *op) {
  accepting *a = (accepting *)op;
  if (a->got != NULL) ed_handle_unbox(&a->got->handle);
  ed_op_free(op);
}

static void describe_accept (const ed_op *op, char *text, size_t room) {
  snprintf(text, room, "%s", ((const accepting *)op)->listener->target);
}

/* ---- Lua half ---- */

static void name_peer (ed_stream *stream) {
  struct sockaddr_storage addr;
  char host[INET6_ADDRSTRLEN] = "", target[80];
  int len = sizeof addr;
  if (stream->handle.uv.any.type != UV_TCP) return;
  if (uv_tcp_getpeername(&stream->handle.uv.tcp, (struct sockaddr *)&addr, &len) < 0) return;
  uv_inet_ntop(addr.ss_family,
               addr.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&addr)->sin6_addr
                                          : (void *)&((struct sockaddr_in *)&addr)->sin_addr,
               host, sizeof host);
  snprintf(target, sizeof target, addr.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d", host,
           ed_addr_port(&addr));
  ed_stream_set_target(stream, target);
}

static int finish_accept (lua_State *L, ed_op *op) {
  accepting *a = (accepting *)op;
  ed_stream_box(L, a->got);
  name_peer(a->got);
  a->got = NULL; /* taken */
  return 1;
}

static const ed_optype accept_type = {
  .name = "accept", .finish = finish_accept, .cancel = cancel_accept, .drop = drop_accept,
  .describe = describe_accept,
};

static ed_listener *check_listener (lua_State *L) {
  return ((listener_box *)ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_LISTENER))->listener;
}

/*
** listener:accept() --> Stream | nil, err
** Awaits a connection. Cancelling leaves it to the next one who accepts.
*/
static int l_listener_accept (lua_State *L) {
  ed_listener *l = check_listener(L);
  accepting *a = ed_op_new(L, &accept_type, sizeof *a);
  int status = 0;
  a->listener = l;
  ed_list_init(&a->link);
  if (l->handle.is_closing) return ed_await(L, &a->op, UV_ECANCELED);
  if (l->has_pending && ed_list_is_empty(&l->waiters)) {
    status = take_connection(l, &a->got);
    if (status == 0) ed_op_done(&a->op, 0);
  }
  else
    ed_list_append(&l->waiters, &a->link);
  return ed_await(L, &a->op, status);
}

/*
** listener:close()
** Never waits; wakes who accepts with code ECLOSED. Idempotent.
*/
static int l_listener_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  listener_box *box = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_LISTENER) : NULL;
  if (box != NULL && box->listener != NULL) ed_handle_close(&box->listener->handle);
  return 0;
}

static int l_listener_gc (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  listener_box *box = loop != NULL ? ed_class_test(L, loop, 1, ED_CLASS_LISTENER) : NULL;
  if (box == NULL || box->listener == NULL) return 0;
  ed_handle_unbox(&box->listener->handle);
  box->listener = NULL;
  return 0;
}

/* listener.port, and the methods (upvalue 2) */
static int l_listener_index (lua_State *L) {
  ed_listener *l = check_listener(L);
  const char *key = lua_tostring(L, 2);
  if (key != NULL && strcmp(key, "port") == 0) {
    if (l->is_unix)
      lua_pushnil(L);
    else
      lua_pushinteger(L, l->port);
    return 1;
  }
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

static int l_listener_is_closed (lua_State *L) {
  lua_pushboolean(L, check_listener(L)->handle.is_closing);
  return 1;
}

static int l_listener_tostring (lua_State *L) {
  ed_listener *l = check_listener(L);
  lua_pushfstring(L, "eddy.Listener %s%s", l->target, l->handle.is_closing ? " (closed)" : "");
  return 1;
}

static ed_listener *push_listener (lua_State *L) {
  ed_loop *loop = ed_loop_of(L);
  listener_box *box = ed_class_push(L, loop, ED_CLASS_LISTENER, sizeof *box, 0);
  ed_listener *l = ed_loop_calloc(loop, sizeof *l);
  if (l == NULL) luaL_error(L, "not enough memory");
  ed_list_init(&l->waiters);
  ed_handle_init(&l->handle, loop, close_listener, drop_listener);
  box->listener = l;
  return l;
}

static int refuse (lua_State *L, ed_listener *l, int status) {
  char target[128];
  snprintf(target, sizeof target, "%s", l->target);
  ed_handle_close(&l->handle);
  return ed_error_uv(L, status, "listen", target);
}

static void learn_port (ed_listener *l) {
  struct sockaddr_storage addr;
  int len = sizeof addr;
  if (uv_tcp_getsockname(&l->handle.uv.tcp, (struct sockaddr *)&addr, &len) == 0)
    l->port = ed_addr_port(&addr);
}

/*
** net.listen(address, port [, backlog]) --> Listener | nil, err
** 'address' is written as digits; port 0 lets the system choose: listener.port.
*/
int ed_l_listen (lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  int port = (int)luaL_checkinteger(L, 2);
  int backlog = (int)luaL_optinteger(L, 3, BACKLOG);
  uv_loop_t *uv = ed_loop_uv(L);
  struct sockaddr_storage addr;
  ed_listener *l = push_listener(L);
  int status;
  snprintf(l->target, sizeof l->target, "%.80s:%d", host, port);
  if (!ed_addr_parse(host, port, &addr)) return refuse(L, l, UV_EINVAL);
  if ((status = uv_tcp_init(uv, &l->handle.uv.tcp)) < 0) return refuse(L, l, status);
  ed_handle_opened(&l->handle);
  status = uv_tcp_bind(&l->handle.uv.tcp, (struct sockaddr *)&addr, 0);
  if (status == 0) status = uv_listen(&l->handle.uv.stream, backlog, on_connection);
  if (status < 0) return refuse(L, l, status);
  learn_port(l);
  snprintf(l->target, sizeof l->target, "%.80s:%d", host, l->port);
  return 1;
}

/*
** net.listen_unix(path [, backlog]) --> Listener | nil, err
** The path is unlinked when the listener closes.
*/
int ed_l_listen_unix (lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int backlog = (int)luaL_optinteger(L, 2, BACKLOG);
  uv_loop_t *uv = ed_loop_uv(L);
  ed_listener *l = push_listener(L);
  int status;
  snprintf(l->target, sizeof l->target, "unix:%.120s", path);
  l->is_unix = true;
  if (strlen(path) > 107) return refuse(L, l, UV_ENAMETOOLONG);
  if ((status = uv_pipe_init(uv, &l->handle.uv.pipe, 0)) < 0) return refuse(L, l, status);
  ed_handle_opened(&l->handle);
  status = uv_pipe_bind(&l->handle.uv.pipe, path);
  if (status == 0) status = uv_listen(&l->handle.uv.stream, backlog, on_connection);
  return status < 0 ? refuse(L, l, status) : 1;
}

static const luaL_Reg methods[] = {
  {"accept", l_listener_accept},
  {"close", l_listener_close},
  {"is_closed", l_listener_is_closed},
  {NULL, NULL},
};

static const luaL_Reg meta[] = {
  {"__close", l_listener_close},
  {"__gc", l_listener_gc},
  {"__tostring", l_listener_tostring},
  {NULL, NULL},
};

/* '__index' is a function here, with the table of methods behind it. */
void ed_open_listener (lua_State *L, int box) {
  ed_loop *loop = ((ed_box *)lua_touserdata(L, box))->loop;
  box = lua_absindex(L, box);
  ed_class_new(L, loop, ED_CLASS_LISTENER, "eddy.Listener", NULL, meta, box);
  lua_rawgeti(L, LUA_REGISTRYINDEX, loop->metatable[ED_CLASS_LISTENER]);
  lua_pushvalue(L, box);
  lua_newtable(L);
  ed_setfuncs(L, methods, box);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "__methods");
  lua_pushcclosure(L, l_listener_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
