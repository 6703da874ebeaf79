/* SPDX-License-Identifier: MIT */
/*
** TLS inside a stream: everything that works on streams works over TLS unchanged. Contexts are
** made from Lua (core.tls.context); here is what connect and listen need.
*/
#ifndef ED_IO_TLS_H
#define ED_IO_TLS_H

#include "io/stream.h"
#include "proto/tls.h"

#ifdef EDDY_NO_TLS

/* Listeners without TLS. */
static inline ed_tls_context *ed_tls_opt_context (lua_State *L, int arg) {
  luaL_argcheck(
    L, lua_isnoneornil(L, arg), arg, "TLS was left out of this build of eddy");
  return NULL;
}
static inline ed_tls_context *ed_tls_context_keep_opt (ed_tls_context *context) {
  return context;
}
static inline void ed_tls_context_release_opt (ed_tls_context *context) { (void)context; }
static inline int ed_tls_attach (
  ed_stream *stream, ed_tls_context *context, const char *host, const char *origin) {
  (void)stream, (void)context, (void)host, (void)origin;
  return UV_ENOTSUP;
}
static inline bool ed_tls_is_shaking (const ed_stream *stream) {
  (void)stream;
  return false;
}

#else

static inline ed_tls_context *ed_tls_context_keep_opt (ed_tls_context *context) {
  return context != NULL ? ed_tls_context_keep(context) : NULL;
}
static inline void ed_tls_context_release_opt (ed_tls_context *context) {
  ed_tls_context_release(context);
}

/* The context at 'arg', or NULL for nil and none; anything else is an argument error. */
ed_tls_context *ed_tls_opt_context (lua_State *L, int arg);

/* The context at 'arg'; anything else is an argument error. */
ed_tls_context *ed_tls_check_context (lua_State *L, int arg);

/*
** Put TLS between an open stream and its socket; bytes that have come already are the peer's
** first ones. A client says hello at once; a server, and whoever reads or writes, shakes hands when
** the stream is used. 'host' and 'origin' as in ed_tls_new. Returns 0 or a UV_E code (then: close the stream).
*/
int ed_tls_attach (
  ed_stream *stream, ed_tls_context *context, const char *host, const char *origin);

/* Does the stream speak TLS, and is its handshake not over? */
bool ed_tls_is_shaking (const ed_stream *stream);

void ed_open_tls (lua_State *L, int box);

/* Its part of that: adds to the table on top. */
void ed_open_tls_context (lua_State *L, int box);

#endif

#endif
