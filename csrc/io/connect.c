/* SPDX-License-Identifier: MIT */
/*
** Connecting, as one operation: look the name up, then race its addresses (RFC 8305: families
** take turns; the next attempt starts 250 ms after the last one, or at once when one fails;
** the first to connect wins). Whatever was begun and did not win is closed.
**
** An attempt and the stagger timer are blocks of their own, because libuv holds them; when the
** race is over or given up they lose their owner and find nobody.
*/
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/class.h"
#include "core/error.h"
#include "core/permit.h"
#include "eddy.h"
#include "io/addr.h"
#include "io/dns.h"
#include "io/net.h"
#include "io/stream.h"

enum {
  MAX_ADDRESSES = 16,
  STAGGER_MS = 250,
  RETRY_MS = 10,
  MAX_TARGET = 280,
  SCHEME = 5
};

static const char progress_name[] = "eddy.net.progress";

typedef struct connecting connecting;

typedef struct attempt {
  ed_link link; /* in the race */
  uv_connect_t req;
  connecting *race; /* NULL once it is over for us */
  ed_stream *stream;
  unsigned address; /* index */
} attempt;

/* An attempt that failed. */
typedef struct failure {
  int status;
  unsigned address; /* index */
} failure;

typedef struct stagger {
  ed_handle handle; /* first */
  connecting *race;
} stagger;

struct connecting {
  ed_op op; /* first */
  ed_resolving resolving;
  ed_link attempts;
  stagger *timer;
  ed_stream *winner;    /* not taken yet */
  unsigned count, next; /* addresses: known, begun */
  unsigned nfailed;
  int port;
  uint64_t *resolved; /* memory of the waiter: when addresses were known; or NULL */
  bool is_unix;       /* one path, no addresses */
  bool is_over;
  char target[MAX_TARGET];
  struct sockaddr_storage address[MAX_ADDRESSES];
  failure failed[MAX_ADDRESSES]; /* in order of failing */
};

static void start_next (connecting *c);
static void start_path (connecting *c);

/* ---- the stagger timer ---- */

static void drop_stagger (ed_handle *handle) {
  ed_mem_free(&handle->loop->mem, handle, sizeof(stagger));
}

static void on_stagger (uv_timer_t *uv) {
  connecting *c = ((stagger *)uv->data)->race;
  if (c == NULL) return;
  if (c->is_unix) start_path(c);
  else if (c->next < c->count) start_next(c);
}

static stagger *new_stagger (ed_loop *loop, connecting *c) {
  stagger *timer = ed_loop_calloc(loop, sizeof *timer);
  if (timer == NULL) return NULL;
  ed_handle_init(&timer->handle, loop, NULL, drop_stagger);
  uv_timer_init(loop->uv, &timer->handle.uv.timer);
  ed_handle_opened(&timer->handle);
  timer->race = c;
  return timer;
}

static bool set_timer (connecting *c, uint64_t ms) {
  if (c->timer == NULL) c->timer = new_stagger(c->op.loop, c);
  if (c->timer == NULL) return false;
  uv_update_time(c->op.loop->uv);
  return uv_timer_start(&c->timer->handle.uv.timer, on_stagger, ms, 0) == 0;
}

/* Without memory for a timer the attempts still follow each other's failures. */
static void arm_stagger (connecting *c) {
  if (c->next < c->count) set_timer(c, STAGGER_MS);
}

/* A full backlog makes TCP wait; a Unix socket says EAGAIN, and so we wait here. */
static bool is_retried (connecting *c, int status) {
  return status == UV_EAGAIN && c->is_unix && set_timer(c, RETRY_MS);
}

/* ---- the race ---- */

static void leave_attempt (attempt *a) {
  ed_list_remove(&a->link);
  a->race = NULL;
}

/* Close whatever still runs. */
static void end_race (connecting *c) {
  c->is_over = true;
  ed_dns_stop(&c->resolving);
  while (!ed_list_is_empty(&c->attempts)) {
    attempt *a = ED_OF(c->attempts.next, attempt, link);
    leave_attempt(a);
    ed_handle_unbox(&a->stream->handle);
  }
  if (c->timer == NULL) return;
  c->timer->race = NULL;
  ed_handle_unbox(&c->timer->handle);
  c->timer = NULL;
}

static void finish_race (connecting *c, int status) {
  end_race(c);
  ed_op_complete(&c->op, status);
}

/* Without a winner 'finish' makes the error out of the failures. */
static void lose (connecting *c, unsigned address, int status) {
  c->failed[c->nfailed++] = (failure){status, address};
  if (c->next < c->count) start_next(c);
  else if (ed_list_is_empty(&c->attempts)) finish_race(c, 0);
}

static void on_connect (uv_connect_t *req, int status) {
  attempt *a = req->data;
  connecting *c = a->race;
  ed_stream *stream = a->stream;
  unsigned address = a->address;
  if (c != NULL) leave_attempt(a);
  ed_mem_free(&stream->handle.loop->mem, a, sizeof *a);
  if (c == NULL) return; /* closed already */
  if (status < 0) {
    ed_handle_unbox(&stream->handle);
    if (!is_retried(c, status)) lose(c, address, status);
    return;
  }
  c->winner = stream;
  finish_race(c, 0);
}

static attempt *new_attempt (connecting *c) {
  ed_loop *loop = c->op.loop;
  attempt *a = ed_loop_calloc(loop, sizeof *a);
  if (a == NULL) return NULL;
  if ((a->stream = ed_stream_new(loop)) == NULL) {
    ed_mem_free(&loop->mem, a, sizeof *a);
    return NULL;
  }
  a->req.data = a;
  a->address = c->next;
  a->race = c;
  ed_list_append(&c->attempts, &a->link);
  return a;
}

static int connect_tcp (ed_loop *loop, attempt *a, const struct sockaddr_storage *to) {
  ed_handle *handle = &a->stream->handle;
  char text[ED_ADDR_TEXT];
  int status;
  ed_addr_text(to, text);
  if (!ed_permit_asks(loop, EDDY_CAP_CONNECT, text)) return UV_EACCES;
  status = uv_tcp_init(loop->uv, &handle->uv.tcp);
  if (status < 0) return status;
  ed_handle_opened(handle);
  uv_tcp_nodelay(&handle->uv.tcp, 1);
  return uv_tcp_connect(
    &a->req, &handle->uv.tcp, (const struct sockaddr *)to, on_connect);
}

/* One attempt; a failure at once counts as one that came back. */
static void start_next (connecting *c) {
  ed_loop *loop = c->op.loop;
  attempt *a = new_attempt(c);
  int status = a != NULL ? connect_tcp(loop, a, &c->address[c->next]) : UV_ENOMEM;
  c->next++;
  if (status == 0) {
    arm_stagger(c);
    return;
  }
  if (a != NULL) {
    leave_attempt(a);
    ed_handle_unbox(&a->stream->handle);
    ed_mem_free(&loop->mem, a, sizeof *a);
  }
  lose(c, c->next - 1, status);
}

static void start_path (connecting *c) {
  attempt *a = new_attempt(c);
  ed_handle *handle;
  if (a == NULL) {
    lose(c, 0, UV_ENOMEM);
    return;
  }
  handle = &a->stream->handle;
  uv_pipe_init(c->op.loop->uv, &handle->uv.pipe, 0);
  ed_handle_opened(handle);
  uv_pipe_connect(&a->req, &handle->uv.pipe, c->target + SCHEME, on_connect);
}

/* ---- addresses ---- */

static const struct addrinfo *skip_to (const struct addrinfo *at, int family) {
  while (at != NULL && at->ai_family != family) at = at->ai_next;
  return at;
}

static void add_address (connecting *c, const struct addrinfo *from) {
  struct sockaddr_storage *to = &c->address[c->count++];
  memset(to, 0, sizeof *to);
  memcpy(to, from->ai_addr, from->ai_addrlen);
  ed_addr_set_port(to, c->port);
}

/* Families take turns, beginning with the one that the system put first. */
static void interleave (connecting *c, const struct addrinfo *found) {
  int first = found != NULL && found->ai_family == AF_INET ? AF_INET : AF_INET6;
  const struct addrinfo *a = skip_to(found, first);
  const struct addrinfo *b = skip_to(found, first == AF_INET ? AF_INET6 : AF_INET);
  while ((a != NULL || b != NULL) && c->count < MAX_ADDRESSES) {
    const struct addrinfo *swap;
    if (a != NULL) {
      int family = a->ai_family;
      add_address(c, a);
      a = skip_to(a->ai_next, family);
    }
    swap = a, a = b, b = swap;
  }
}

static const ed_optype resolve_type;

/* "localhost" means this machine: no name server is asked for it (RFC 6761, 6.3). */
static bool is_localhost (const char *host) { return strcasecmp(host, "localhost") == 0; }

static void use_loopback (connecting *c) {
  ed_addr_parse("::1", c->port, &c->address[0]);
  ed_addr_parse("127.0.0.1", c->port, &c->address[1]);
  c->count = 2;
}

static void on_resolved (ed_resolving *who, int status, const struct addrinfo *found) {
  connecting *c = ED_OF(who, connecting, resolving);
  if (status == 0) interleave(c, found);
  if (c->count > 0) {
    if (c->resolved != NULL) *c->resolved = ed_loop_now(c->op.loop);
    start_next(c);
    return;
  }
  c->op.type = &resolve_type;
  finish_race(c, status < 0 ? status : UV_EAI_NODATA);
}

/* ---- the operation ---- */

static ed_verdict cancel_connect (ed_op *op) {
  end_race((connecting *)op);
  ed_op_release(op);
  return ED_STOPPED;
}

static void drop_connect (ed_op *op) {
  connecting *c = (connecting *)op;
  if (!c->is_over) end_race(c);
  if (c->winner != NULL) ed_handle_unbox(&c->winner->handle);
  ed_mem_free(&op->loop->mem, c, sizeof *c);
}

static void describe_connect (const ed_op *op, char *text, size_t room) {
  snprintf(text, room, "%s", ((const connecting *)op)->target);
}

static void push_suppressed (lua_State *L, const connecting *c) {
  char target[ED_ADDR_TEXT];
  lua_createtable(L, (int)c->nfailed - 1, 0);
  for (unsigned i = 0; i + 1 < c->nfailed; i++) {
    ed_addr_text(&c->address[c->failed[i].address], target);
    ed_error_uv(L, c->failed[i].status, "connect", target);
    lua_rawseti(L, -3, (int)i + 1);
    lua_pop(L, 1);
  }
}

/* The last failure; those before it are suppressed, each with its address. */
static int push_failures (lua_State *L, const connecting *c) {
  ed_error_uv(L, c->failed[c->nfailed - 1].status, "connect", c->target);
  if (c->nfailed > 1) {
    push_suppressed(L, c);
    lua_setfield(L, -2, "suppressed");
  }
  return 2;
}

static int finish_connect (lua_State *L, ed_op *op) {
  connecting *c = (connecting *)op;
  if (c->winner == NULL) return push_failures(L, c);
  ed_stream_box(L, c->winner);
  ed_stream_set_target(c->winner, c->target);
  c->winner = NULL; /* taken */
  return 1;
}

static const ed_optype connect_type = {
  .name = "connect",
  .finish = finish_connect,
  .cancel = cancel_connect,
  .drop = drop_connect,
  .describe = describe_connect,
};

static const ed_optype resolve_type = {
  .name = "resolve",
  .finish = finish_connect,
  .cancel = cancel_connect,
  .drop = drop_connect,
  .describe = describe_connect,
};

/* Larger than what ed_op_new keeps: a block of its own. */
static connecting *new_connecting (lua_State *L) {
  ed_task *task = ed_checkpoint(L);
  connecting *c = ed_loop_calloc(task->loop, sizeof *c);
  if (c == NULL) luaL_error(L, "not enough memory");
  ed_list_init(&c->attempts);
  ed_list_init(&c->resolving.link);
  c->resolving.done = on_resolved;
  ed_op_adopt(task->loop, task, &connect_type, &c->op);
  return c;
}

/*
** net.progress() --> Progress: what net.connect tells while it runs
*/
int ed_l_progress (lua_State *L) {
  uint64_t *resolved = lua_newuserdatauv(L, sizeof *resolved, 0);
  *resolved = 0;
  if (luaL_newmetatable(L, progress_name)) {
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
  return 1;
}

/* net.resolved(progress) --> time | nil: when the addresses were known, as eddy.now. */
int ed_l_resolved (lua_State *L) {
  const uint64_t *resolved = luaL_checkudata(L, 1, progress_name);
  if (*resolved == 0) return 0;
  lua_pushnumber(L, (lua_Number)*resolved / 1e9);
  return 1;
}

static bool needs_lookup (const char *host) {
  struct sockaddr_storage address;
  return !ed_addr_parse(host, 1, &address) && !is_localhost(host);
}

/* May this be tried? Raises, or pushes nil and an error and returns 2. */
static int check_permit (lua_State *L, const char *host) {
  const ed_loop *loop = ed_loop_of(L);
  if (loop->permits == NULL) return 0;
  ed_permit_check(L, loop, EDDY_CAP_CONNECT);
  if (!needs_lookup(host)) return 0;
  ed_permit_check(L, loop, EDDY_CAP_DNS);
  ed_checkpoint(L);
  return ed_permit_refused(L, loop, EDDY_CAP_DNS, "resolve", host);
}

/*
** net.connect(host, port [, progress]) --> Stream | nil, err
** Awaits lookup and connection. Cancelling closes whatever was begun.
*/
int ed_l_connect (lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_checkinteger(L, 2);
  uint64_t *resolved = lua_isnoneornil(L, 3) ? NULL
                                             : luaL_checkudata(L, 3, progress_name);
  connecting *c;
  int status = 0;
  luaL_argcheck(L, port > 0 && port < 65536, 2, "not a port");
  luaL_argcheck(
    L, strlen(host) == lua_rawlen(L, 1) && *host != '\0', 1, "not a host name");
  if (check_permit(L, host) > 0) return 2;
  c = new_connecting(L);
  c->port = (int)port;
  c->resolved = resolved;
  snprintf(
    c->target, sizeof c->target, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, c->port);
  if (ed_addr_parse(host, c->port, &c->address[0])) c->count = 1;
  else if (is_localhost(host)) use_loopback(c);
  if (c->count > 0) {
    if (resolved != NULL) *resolved = ed_loop_now(c->op.loop);
    start_next(c);
  } else {
    c->op.type = &resolve_type;
    status = strlen(host) > 255 ? UV_EAI_NONAME
                                : ed_dns_start(c->op.loop, host, &c->resolving);
    if (status == 0) c->op.type = &connect_type;
  }
  return ed_await(L, &c->op, status);
}

/*
** net.connect_unix(path) --> Stream | nil, err
** Awaits, also while the listener's backlog is full. Cancelling closes what was begun.
*/
int ed_l_connect_unix (lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  connecting *c;
  if (ed_permit_unix(L, EDDY_CAP_CONNECT, "connect", path) > 0) return 2;
  c = new_connecting(L);
  c->is_unix = true;
  snprintf(c->target, sizeof c->target, "unix:%s", path);
  if (strlen(path) != len) return ed_await(L, &c->op, UV_EINVAL);
  if (len > ED_UNIX_MAX) return ed_await(L, &c->op, UV_ENAMETOOLONG);
  start_path(c);
  return ed_await(L, &c->op, 0);
}
