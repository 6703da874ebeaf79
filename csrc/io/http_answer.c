/* SPDX-License-Identifier: MIT */
/*
** The short way of a request through the server: what most handlers return is one call and one
** write. Whatever is unusual about an answer is left to the long way in Lua, untouched, which also
** has the words for what is wrong with it. And the first line of a request, for those who ask.
*/
#include <string.h>

#include "core/class.h"
#include "io/http_server.h"
#include "proto/url.h"

enum {
  LINES = 16,  /* fields of an answer on the short way */
  ROOM = 8192, /* of its head, and of its body if that fits too */
  BODY_MAX = 4096
};

typedef struct text {
  const char *bytes;
  size_t len;
} text;

typedef struct line {
  text name;
  text value;
} line;

static text text_at (lua_State *L, int index) {
  text t = {NULL, 0};
  t.bytes = lua_tolstring(L, index, &t.len);
  return t;
}

static bool is_name (text name, const char *lower) {
  ed_span all = {0, (uint32_t)name.len};
  return ed_http1_is(name.bytes, all, lower);
}

/* Ours alone: what a handler gives is dropped. */
static bool is_ours (text name) {
  return (name.len == 4 && is_name(name, "date"))
    || (name.len == 14 && is_name(name, "content-length"));
}

static bool is_forbidden (text name) {
  return (name.len == 10 && is_name(name, "connection"))
    || (name.len == 17 && is_name(name, "transfer-encoding"));
}

static int lower (char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; }

/* Below, equal or above 0, without regard to case. */
static int compare (text a, text b) {
  size_t n = a.len < b.len ? a.len : b.len;
  for (size_t i = 0; i < n; i++)
    if (lower(a.bytes[i]) != lower(b.bytes[i]))
      return lower(a.bytes[i]) - lower(b.bytes[i]);
  return (a.len > b.len) - (a.len < b.len);
}

/* Put a line where its name belongs. False: it cannot be sent, or not so. */
static bool insert (line *lines, int *n, text name, text value) {
  int at = *n;
  if (*n == LINES || is_forbidden(name) || !ed_http1_is_token(name.bytes, name.len)
    || !ed_http1_is_value(value.bytes, value.len))
    return false;
  while (at > 0 && compare(lines[at - 1].name, name) > 0) at--;
  if (at > 0 && compare(lines[at - 1].name, name) == 0) return false;
  memmove(lines + at + 1, lines + at, (size_t)(*n - at) * sizeof *lines);
  lines[at] = (line){name, value};
  ++*n;
  return true;
}

/* The fields at 'index', sorted: strings alone. How many; -1: not for the short way. */
static int collect (lua_State *L, int index, line *lines) {
  int n = 0, top = lua_gettop(L);
  if (lua_isnil(L, index)) return 0;
  if (lua_type(L, index) != LUA_TTABLE
    || luaL_getmetafield(L, index, "__pairs") != LUA_TNIL)
    n = -1;
  else lua_pushnil(L);
  while (n >= 0 && lua_next(L, index) != 0) {
    bool is_text = lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING;
    text name = is_text ? text_at(L, -2) : (text){NULL, 0};
    if (!is_text || (!is_ours(name) && !insert(lines, &n, name, text_at(L, -1)))) n = -1;
    else lua_pop(L, 1);
  }
  lua_settop(L, top);
  return n;
}

static size_t add (char *to, size_t size, text t) {
  memcpy(to + size, t.bytes, t.len);
  return size + t.len;
}

/* The lines into 'to'; 0: there is no room. */
static size_t add_lines (char *to, size_t size, const line *lines, int n) {
  static const text colon = {": ", 2}, end = {"\r\n", 2};
  for (int i = 0; i < n; i++) {
    if (lines[i].name.len + lines[i].value.len + 4 > ROOM - BODY_MAX - size) return 0;
    size = add(to, size, lines[i].name);
    size = add(to, size, colon);
    size = add(to, size, lines[i].value);
    size = add(to, size, end);
  }
  return size;
}

/* Send it; false: the head does not fit. 'conn' may be gone after. */
static bool send_answer (
  ed_http_conn *conn, int status, const line *lines, int n, text body) {
  char head[ROOM];
  uv_buf_t piece[2];
  bool has_body = !conn->is_head && !ed_http_has_no_body(status) && body.len > 0;
  size_t size = ed_http_head_begin(conn->server, head, status);
  if ((size = add_lines(head, size, lines, n)) == 0) return false;
  if (!ed_http_has_no_body(status)) size += ed_http_head_length(head + size, body.len);
  size += ed_http_head_end(conn, head + size);
  piece[1] = uv_buf_init((char *)body.bytes, 0);
  piece[1].len = body.len;
  if (has_body && body.len <= BODY_MAX - ED_HTTP_TAIL_ROOM) {
    size = add(head, size, body);
    has_body = false;
  }
  piece[0] = uv_buf_init(head, (unsigned)size);
  ed_http_conn_finish(conn, piece, has_body ? 2 : 1);
  return true;
}

/* A handler that returns a text, and nothing else. */
static bool answer_text (lua_State *L, ed_http_conn *conn) {
  static const line kind = {{"Content-Type", 12}, {"text/plain; charset=utf-8", 25}};
  return send_answer(conn, 200, &kind, 1, text_at(L, 2));
}

static bool answer (lua_State *L, ed_http_conn *conn) {
  line lines[LINES];
  bool is_text = lua_type(L, 2) == LUA_TSTRING;
  lua_Integer status;
  int n;
  if (!lua_isnil(L, 5) && lua_rawlen(L, is_text ? 2 : 4) > (size_t)lua_tointeger(L, 5))
    return false;
  if (is_text) return answer_text(L, conn);
  if (!lua_isinteger(L, 2) || (!lua_isnil(L, 4) && lua_type(L, 4) != LUA_TSTRING))
    return false;
  status = lua_tointeger(L, 2);
  if (status < 200 || status > 999) return false;
  n = collect(L, 3, lines);
  return n >= 0 && send_answer(conn, (int)status, lines, n, text_at(L, 4));
}

/*
** http.answer(exchange, status | text, fields, body [, most]) --> boolean
** Answer with what a handler has returned, if it is of the usual form: a status, a table of
** texts or nil, a body of at most so many bytes or nil; or such a text alone. False: it is not, or
** there is more to do than that; nothing has happened. Does not wait; the exchange has ended after
** true.
*/
int ed_l_http_answer (lua_State *L) {
  ed_http_conn_box *box = ed_class_check(L, ed_loop_of(L), 1, ED_CLASS_HTTP_CONN);
  ed_http_conn *conn = box->conn;
  lua_settop(L, 5);
  lua_pushboolean(
    L, conn != NULL && !conn->has_begun && !box->is_held && answer(L, conn));
  return 1;
}

/* ---- The first line of a request ---- */

/* Push path and query of a target that begins with a slash; the query may be nil. */
static void push_split (lua_State *L, const char *bytes, size_t len) {
  const char *mark = memchr(bytes, '?', len);
  size_t path = mark != NULL ? (size_t)(mark - bytes) : len;
  lua_pushlstring(L, bytes, path);
  if (mark == NULL) lua_pushnil(L);
  else lua_pushlstring(L, mark + 1, len - path - 1);
}

/* The same of a whole address; what is none is its own path. */
static void push_path (lua_State *L, const char *bytes, size_t len) {
  ed_url url;
  if (len == 0 || *bytes == '/' || ed_url_parse(&url, bytes, len) != ED_URL_OK) {
    push_split(L, bytes, len);
    return;
  }
  if (url.path.len == 0) lua_pushliteral(L, "/");
  else lua_pushlstring(L, bytes + url.path.at, url.path.len);
  if (url.query.at == 0) lua_pushnil(L);
  else lua_pushlstring(L, bytes + url.query.at, url.query.len);
}

/*
** http.split_head(head) --> method, target, path, query | nil, minor
** The first line of a head that server:dispatch has given.
*/
int ed_l_http_split_head (lua_State *L) {
  size_t len;
  const char *head = luaL_checklstring(L, 1, &len), *end = head + len, *target, *behind;
  while (end - head > 2 && (*head == '\r' || *head == '\n')) head++;
  target = memchr(head, ' ', (size_t)(end - head));
  behind = target != NULL ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
  if (behind == NULL || end - behind < 9)
    return luaL_argerror(L, 1, "not a request's head");
  lua_pushlstring(L, head, (size_t)(target - head));
  target++;
  lua_pushlstring(L, target, (size_t)(behind - target));
  if (memcmp(head, "CONNECT ", 8) == 0) push_split(L, target, (size_t)(behind - target));
  else push_path(L, target, (size_t)(behind - target));
  lua_pushinteger(L, behind[8] - '0');
  return 5;
}
