/* SPDX-License-Identifier: MIT */
/*
** What the files of the TLS engine share. Only proto/tls*.c include this.
*/
#ifndef ED_TLS_INSIDE_H
#define ED_TLS_INSIDE_H

#include <openssl/ssl.h>

#include "proto/tls.h"

#if OPENSSL_VERSION_NUMBER < 0x30000000L /* 1.1.1 has these under other names */
#define SSL_get1_peer_certificate(ssl) SSL_get_peer_certificate(ssl)
#define SSL_CTX_load_verify_dir(ctx, dir) SSL_CTX_load_verify_locations(ctx, NULL, dir)
#endif

typedef struct ed_tls_session {
  SSL_SESSION *session;
  char origin[ED_TLS_ORIGIN_MAX + 1];
} ed_tls_session;

typedef struct ed_tls_host {
  struct ed_tls_host *next;
  ed_tls_context *context;
  char name[ED_TLS_HOST_MAX + 1];
} ed_tls_host;

struct ed_tls_context {
  SSL_CTX *ssl;
  BIO_METHOD *bio; /* of the engines */
  unsigned char *alpn;
  size_t alpn_len;
  ed_tls_host *hosts;      /* server */
  ed_tls_session *session; /* client: ED_TLS_SESSIONS of them, oldest first, or NULL */
  int nsessions;
  int shares;
  bool is_server;
  bool verify;
};

struct ed_tls {
  SSL *ssl;
  ed_tls_context *context;
  ed_mem *mem;
  const char *input;
  size_t ninput;
  ed_buf out;
  ed_tls_state state;
  bool is_short; /* of memory, in the middle of something */
  ed_tls_error error;
  char host[ED_TLS_HOST_MAX + 1];     /* "" for none */
  char origin[ED_TLS_ORIGIN_MAX + 1]; /* "" for none: sessions are not kept */
};

/* Set 'why' once: what came first is the cause. */
void ed_tls_blame (ed_tls_error *why, ed_tls_code code, const char *format, ...)
  __attribute__((format(printf, 3, 4)));

/* The verify callback: notes why a certificate was refused. */
int ed_tls_note_verdict (int is_good, X509_STORE_CTX *store);

/* Keep a session for its origin (takes it over), and find the newest one (the caller's then). */
void ed_tls_keep_session (
  ed_tls_context *context, const char *origin, SSL_SESSION *session);
SSL_SESSION *ed_tls_take_session (ed_tls_context *context, const char *origin);

#endif
