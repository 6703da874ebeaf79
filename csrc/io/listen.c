/* SPDX-License-Identifier: MIT */
/*
** Listeners: accepting is a wait like any other. A connection that nobody waits for stays in
** the kernel's backlog, because libuv stops accepting until the one it holds is taken; so a
** busy server pushes back by itself. When the process has no descriptor left, libuv gives up a
** spare one to take and close what waits in the backlog: peers see an end, nothing spins.
**
** The socket of a Unix listener is bound here and not by libuv, which would remove the path at
** close even if somebody else has put another file there meanwhile.
*/
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/class.h"
#include "core/error.h"
#include "core/permit.h"
#include "eddy.h"
#include "core/handle.h"
#include "io/addr.h"
#include "io/listen.h"
#include "io/net.h"
#include "io/stream.h"
#include "io/tls.h"

struct ed_listener {
  ed_handle handle; /* first */
  ed_link waiters;  /* accepting.link */
  ed_sink *sink;    /* who gets every connection, or NULL */
  bool has_pending; /* libuv holds an accepted connection */
  bool is_unix;
  ed_tls_context *tls; /* accepted streams speak TLS, or NULL */
  int port;
  dev_t dev; /* of the path, 0 for none */
  ino_t ino;
  char host[INET6_ADDRSTRLEN]; /* as bound; "" for a Unix socket */
  char target[128];            /* "127.0.0.1:80", "unix:/path" */
};

typedef struct listener_box {
  ed_listener *listener;
} listener_box;

typedef struct accepting {
  ed_op op; /* first */
  ed_link link;
  ed_listener *listener;
  ed_stream *got; /* not taken yet */
} accepting;

enum { BACKLOG = 511, SCHEME = 5 /* of "unix:" */ };

/* ---- engine half ---- */

static void drop_listener (ed_handle *handle) {
  ed_tls_context_release_opt(((ed_listener *)handle)->tls);
  ed_mem_free(&handle->loop->mem, handle, sizeof(ed_listener));
}

static accepting *first_waiter (ed_listener *l) {
  return ed_list_is_empty(&l->waiters) ? NULL : ED_OF(l->waiters.next, accepting, link);
}

/*
** Remove the path if it still is our socket. Called before the socket is closed: until then the
** system gives its inode number to no other file.
*/
static void remove_path (const ed_listener *l) {
  struct stat now;
  if (l->ino == 0 || lstat(l->target + SCHEME, &now) < 0) return;
  if (now.st_ino == l->ino && now.st_dev == l->dev) unlink(l->target + SCHEME);
}

static void answer_all (ed_listener *l, int status) {
  accepting *a;
  while ((a = first_waiter(l)) != NULL) {
    ed_list_remove(&a->link);
    ed_op_complete(&a->op, status);
  }
}

static void close_listener (ed_handle *handle) {
  ed_listener *l = (ed_listener *)handle;
  remove_path(l);
  answer_all(l, UV_ECANCELED);
  if (l->sink != NULL) l->sink->ended(l->sink);
  l->sink = NULL;
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
  if (status == 0) {
    status = uv_accept(&l->handle.uv.stream, &stream->handle.uv.stream);
    l->has_pending = false; /* a connection that cannot be taken is closed */
  }
  if (status < 0) {
    ed_handle_unbox(&stream->handle);
    return status;
  }
  if (!l->is_unix) uv_tcp_nodelay(&stream->handle.uv.tcp, 1);
  *got = stream;
  return 0;
}

static void describe_listener (const ed_handle *handle, char *text, size_t room) {
  snprintf(text, room, "listener %s", ((const ed_listener *)handle)->target);
}

/* A connection goes to the sink at once. */
static void sink_connection (ed_listener *l, int status) {
  ed_stream *got = NULL;
  if (status == 0) status = take_connection(l, &got);
  if (status == 0 && l->tls != NULL) {
    status = ed_tls_attach(got, l->tls, NULL, NULL);
    if (status < 0) ed_handle_unbox(&got->handle);
  }
  if (status < 0) l->sink->refused(l->sink, status);
  else l->sink->accepted(l->sink, got);
}

void ed_listener_serve (ed_listener *l, ed_sink *sink) {
  l->sink = sink;
  if (sink != NULL && l->has_pending) sink_connection(l, 0);
}

void ed_listener_close (ed_listener *l) { ed_handle_close(&l->handle); }

static void on_connection (uv_stream_t *uv, int status) {
  ed_listener *l = uv->data;
  accepting *a = first_waiter(l);
  l->handle.loop->progress++;
  if (status == 0) l->has_pending = true;
  if (l->sink != NULL) {
    sink_connection(l, status);
    return;
  }
  if (a == NULL) return;
  ed_list_remove(&a->link);
  if (status == 0) status = take_connection(l, &a->got);
  ed_op_complete(&a->op, status);
  if (l->has_pending) answer_all(l, status); /* short of memory: the next accept tries */
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

/* Who is at the other end, for errors. */
static void name_peer (const ed_listener *l, ed_stream *stream) {
  struct sockaddr_storage addr;
  char text[ED_ADDR_TEXT];
  int len = sizeof addr;
  if (l->is_unix) ed_stream_set_target(stream, l->target);
  else if (uv_tcp_getpeername(&stream->handle.uv.tcp, (struct sockaddr *)&addr, &len)
    == 0) {
    ed_addr_text(&addr, text);
    ed_stream_set_target(stream, text);
  }
}

static int finish_accept (lua_State *L, ed_op *op) {
  accepting *a = (accepting *)op;
  ed_stream *stream = a->got;
  int status = 0;
  ed_stream_box(L, stream);
  name_peer(a->listener, stream);
  a->got = NULL; /* taken */
  if (a->listener->tls != NULL)
    status = ed_tls_attach(stream, a->listener->tls, NULL, NULL);
  if (status == 0) return 1;
  ed_handle_close(&stream->handle);
  return ed_error_uv(L, status, "accept", stream->target);
}

static const ed_optype accept_type = {
  .name = "accept",
  .finish = finish_accept,
  .cancel = cancel_accept,
  .drop = drop_accept,
  .describe = describe_accept,
};

ed_listener *ed_listener_check (lua_State *L, int arg) {
  listener_box *box = ed_class_check(L, ed_loop_of(L), arg, ED_CLASS_LISTENER);
  luaL_argcheck(L, box->listener != NULL, arg, "listener was collected");
  return box->listener;
}

static ed_listener *check_listener (lua_State *L) { return ed_listener_check(L, 1); }

/*
** listener:accept() --> Stream | nil, err
** Awaits a connection; one that is to speak TLS shakes hands when it is used, not here. Cancelling leaves it to the next one who accepts.
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
  } else ed_list_append(&l->waiters, &a->link);
  return ed_await(L, &a->op, status);
}

/*
** listener:close()
** Never waits; wakes who accepts with code ECLOSED. Idempotent.
*/
static int l_listener_close (lua_State *L) {
  ed_loop *loop = ed_loop_opt(L);
  listener_box *box;
  if (loop == NULL) return 0; /* the runtime has closed it */
  box = ed_class_check(L, loop, 1, ED_CLASS_LISTENER);
  if (box->listener != NULL) ed_handle_close(&box->listener->handle);
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

static int push_field (lua_State *L, const ed_listener *l, const char *key) {
  if (strcmp(key, "port") == 0 && !l->is_unix) lua_pushinteger(L, l->port);
  else if (strcmp(key, "host") == 0 && !l->is_unix) lua_pushstring(L, l->host);
  else if (strcmp(key, "path") == 0 && l->is_unix) lua_pushstring(L, l->target + SCHEME);
  else return 0;
  return 1;
}

/*
** listener.port, .host, .path, and the methods (upvalue 2)
*/
static int l_listener_index (lua_State *L) {
  ed_listener *l = check_listener(L);
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && push_field(L, l, lua_tostring(L, 2))) return 1;
  lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

static int l_listener_is_closed (lua_State *L) {
  lua_pushboolean(L, check_listener(L)->handle.is_closing);
  return 1;
}

static int l_listener_tostring (lua_State *L) {
  ed_listener *l = check_listener(L);
  lua_pushfstring(
    L, "eddy.Listener %s%s", l->target, l->handle.is_closing ? " (closed)" : "");
  return 1;
}

static int check_backlog (lua_State *L, int arg) {
  lua_Integer n = luaL_optinteger(L, arg, BACKLOG);
  luaL_argcheck(L, n > 0 && n <= 65535, arg, "not a backlog");
  return (int)n;
}

static ed_listener *push_listener (lua_State *L, ed_tls_context *tls) {
  ed_loop *loop = ed_loop_of(L);
  listener_box *box = ed_class_push(L, loop, ED_CLASS_LISTENER, sizeof *box, 0);
  ed_listener *l = ed_loop_calloc(loop, sizeof *l);
  if (l == NULL) luaL_error(L, "not enough memory");
  ed_list_init(&l->waiters);
  ed_handle_init(&l->handle, loop, close_listener, drop_listener);
  l->handle.describe = describe_listener;
  l->tls = ed_tls_context_keep_opt(tls);
  box->listener = l;
  return l;
}

static int refuse (lua_State *L, ed_listener *l, int status) {
  ed_handle_close(&l->handle);
  return ed_error_uv(L, status, "listen", l->target);
}

static void name_listener (ed_listener *l, const struct sockaddr_storage *addr) {
  char text[ED_ADDR_TEXT];
  ed_addr_text(addr, text);
  snprintf(l->target, sizeof l->target, "%s", text);
  l->port = ed_addr_port(addr);
}

static int listen_tcp (ed_listener *l, const struct sockaddr_storage *addr, int backlog) {
  uv_tcp_t *tcp = &l->handle.uv.tcp;
  struct sockaddr_storage bound;
  int len = sizeof bound;
  int status = uv_tcp_init(l->handle.loop->uv, tcp);
  if (status < 0) return status;
  ed_handle_opened(&l->handle);
  status = uv_tcp_bind(tcp, (const struct sockaddr *)addr, 0);
  if (status == 0) status = uv_listen(&l->handle.uv.stream, backlog, on_connection);
  if (status == 0) status = uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &len);
  if (status == 0) name_listener(l, &bound);
  return status;
}

/* The host is asked for what is bound: port 0 is any port. */
static int check_permit (lua_State *L, const char *host, int port) {
  const ed_loop *loop = ed_loop_of(L);
  struct sockaddr_storage addr;
  char text[ED_ADDR_TEXT];
  ed_permit_check(L, loop, EDDY_CAP_LISTEN);
  if (loop->permits == NULL || !ed_addr_parse(host, port, &addr)) return 0;
  ed_addr_text(&addr, text);
  return ed_permit_refused(L, loop, EDDY_CAP_LISTEN, "listen", text);
}

/*
** net.listen(address, port [, backlog [, context]]) --> Listener | nil, err
** 'address' is written as digits; port 0 lets the system choose: listener.port.
*/
int ed_l_listen (lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_checkinteger(L, 2);
  int backlog = check_backlog(L, 3);
  ed_tls_context *tls = ed_tls_opt_context(L, 4);
  struct sockaddr_storage addr;
  ed_listener *l;
  int status = UV_EINVAL;
  luaL_argcheck(L, strlen(host) == lua_rawlen(L, 1), 1, "not an address");
  luaL_argcheck(L, port >= 0 && port < 65536, 2, "not a port");
  ed_loop_uv(L);
  if (check_permit(L, host, (int)port) > 0) return 2;
  l = push_listener(L, tls);
  snprintf(l->host, sizeof l->host, "%s", host);
  snprintf(l->target, sizeof l->target, "%.80s:%d", host, (int)port);
  if (ed_addr_parse(host, (int)port, &addr)) status = listen_tcp(l, &addr, backlog);
  return status < 0 ? refuse(L, l, status) : 1;
}

/* A socket that does not block, is not inherited and is bound to 'path'; or a UV_E code. */
static int bind_path (const char *path) {
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  int status, fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0) return fd;
  status = uv_translate_sys_error(errno);
  close(fd);
  return status;
}

static int listen_unix (ed_listener *l, const char *path, int backlog) {
  struct stat bound;
  int status = uv_pipe_init(l->handle.loop->uv, &l->handle.uv.pipe, 0);
  int fd;
  if (status < 0) return status;
  ed_handle_opened(&l->handle);
  if ((fd = bind_path(path)) < 0) return fd;
  if (lstat(path, &bound) == 0) {
    l->dev = bound.st_dev;
    l->ino = bound.st_ino;
  }
  if ((status = uv_pipe_open(&l->handle.uv.pipe, fd)) < 0) {
    close(fd);
    return status;
  }
  return uv_listen(&l->handle.uv.stream, backlog, on_connection);
}

/*
** net.listen_unix(path [, backlog [, context]]) --> Listener | nil, err
** The path is removed when the listener closes, if it still is ours.
*/
int ed_l_listen_unix (lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  int backlog = check_backlog(L, 2);
  ed_tls_context *tls = ed_tls_opt_context(L, 3);
  ed_listener *l;
  int status;
  ed_loop_uv(L);
  if (ed_permit_unix(L, EDDY_CAP_LISTEN, "listen", path) > 0) return 2;
  l = push_listener(L, tls);
  l->is_unix = true;
  snprintf(l->target, sizeof l->target, "unix:%s", path);
  if (len > ED_UNIX_MAX) status = UV_ENAMETOOLONG;
  else if (len == 0 || strlen(path) != len) status = UV_EINVAL;
  else status = listen_unix(l, path, backlog);
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
