/* SPDX-License-Identifier: MIT */
/*
** TLS as a pure engine: ciphertext in, plaintext out, and back. It does no I/O and knows neither
** Lua nor libuv; OpenSSL is used in proto/tls*.c and nowhere else.
**
** A *context* holds what connections have in common: role, trust, certificate, versions, and on
** the client's side the sessions to resume. An *engine* is one connection. Every call takes all
** input it was given and leaves what must be sent in ed_tls_output, which the caller empties after
** every call (alerts and answers to the peer come up at any time).
**
** Promises: TLS 1.2 at least, no renegotiation, no compression; a peer's certificate is verified
** unless the context says otherwise; nothing of the process is changed; the error queue of
** OpenSSL is empty before and after each call.
*/
#ifndef ED_PROTO_TLS_H
#define ED_PROTO_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

typedef struct ed_tls ed_tls;
typedef struct ed_tls_context ed_tls_context;

typedef enum ed_tls_code {
  ED_TLS_FINE,
  ED_TLS_EXPIRED,
  ED_TLS_NOT_YET_VALID,
  ED_TLS_HOSTNAME,
  ED_TLS_SELF_SIGNED,
  ED_TLS_UNTRUSTED,
  ED_TLS_INVALID,
  ED_TLS_VERSION,
  ED_TLS_TRUNCATED,
  ED_TLS_PROTOCOL,
  ED_TLS_FILE, /* of a context: 'system' has the errno, 'text' the path */
  ED_TLS_NO_MEMORY
} ed_tls_code;

typedef struct ed_tls_error {
  ed_tls_code code;
  int system;
  char text[240];
} ed_tls_error;

/* "CERT_EXPIRED" ... for the codes up to ED_TLS_PROTOCOL. */
const char *ed_tls_code_name (ed_tls_code code);

/* ---- contexts ---- */

enum {
  ED_TLS_1_2 = 0x0303,
  ED_TLS_1_3 = 0x0304,
  ED_TLS_SESSIONS = 64,   /* kept by a client's context */
  ED_TLS_HOST_MAX = 253,  /* of a host name */
  ED_TLS_ORIGIN_MAX = 279 /* of what sessions are kept for */
};

/* All texts may be NULL; certificates and keys are PEM text, or else a path. */
typedef struct ed_tls_options {
  bool is_server;
  bool verify;         /* the peer must have a certificate that holds */
  const char *ca;      /* instead of the system's; also a folder in OpenSSL's form */
  const char *cert;    /* with its chain, leaf first */
  const char *key;     /* NULL: in 'cert' */
  const char *ciphers; /* of TLS 1.2, in OpenSSL's words */
  const char *alpn;    /* as on the wire: length bytes in front of names */
  size_t alpn_len;
  int min_version;
} ed_tls_options;

/* Is this option a text, and not the name of a file? */
bool ed_tls_is_pem (const char *text);

/*
** What changes when a file does, as text into 'to' of ED_TLS_STAMP bytes; how long it is, or 0 where there is
** no such file.
*/
enum { ED_TLS_STAMP = 96 };
size_t ed_tls_stamp (const char *file, char *to);

/* NULL: see 'why'. The first share is the caller's. */
ed_tls_context *ed_tls_context_new (const ed_tls_options *options, ed_tls_error *why);
ed_tls_context *ed_tls_context_keep (ed_tls_context *context); /* one share more */
void ed_tls_context_release (ed_tls_context *context);

bool ed_tls_context_is_server (const ed_tls_context *context);
bool ed_tls_context_verifies (const ed_tls_context *context);

/* A client that asks for 'name' ("*.x" is one label and x) gets the certificate of 'other'. */
bool ed_tls_context_add_host (
  ed_tls_context *context, const char *name, ed_tls_context *other);

/* ---- one connection ---- */

typedef enum ed_tls_state {
  ED_TLS_HANDSHAKE,
  ED_TLS_OPEN,
  ED_TLS_ENDED, /* the peer has said so; writing still works */
  ED_TLS_FAILED /* see ed_tls_why */
} ed_tls_state;

/*
** 'host' (client): sent as SNI unless it is an address, and what the certificate must be for; may
** be NULL where the context does not verify. Sessions are kept and taken up for 'origin', NULL for
** 'host'. NULL when memory is short or 'host' is too long.
*/
ed_tls *ed_tls_new (
  ed_tls_context *context, ed_mem *mem, const char *host, const char *origin);
void ed_tls_free (ed_tls *tls);

ed_tls_state ed_tls_state_of (const ed_tls *tls);
const ed_tls_error *ed_tls_why (const ed_tls *tls);

/*
** Ciphertext has come; the bytes must stay until ed_tls_read has answered 0. A client begins with
** no input.
*/
void ed_tls_feed (ed_tls *tls, const char *bytes, size_t n);

/*
** Shake hands, then take plaintext: how many bytes were written to 'to'; 0 when all input is used
** up, or the state is neither handshake nor open.
*/
size_t ed_tls_read (ed_tls *tls, char *to, size_t room);

/* Plaintext to send, when the handshake is over. False: the engine has failed. */
bool ed_tls_write (ed_tls *tls, const char *bytes, size_t n);

/* Say that no more will come; once, and only behind the handshake. */
void ed_tls_close (ed_tls *tls);

/* The connection has ended without a word: what that means goes into ed_tls_why. */
void ed_tls_cut (ed_tls *tls);

/* What must be sent; the caller takes it out. */
ed_buf *ed_tls_output (ed_tls *tls);

/* ---- what came of the handshake ---- */

const char *ed_tls_version (const ed_tls *tls); /* "TLSv1.3" */
const char *ed_tls_cipher (const ed_tls *tls);
const char *ed_tls_alpn (const ed_tls *tls, size_t *len); /* NULL: none */
bool ed_tls_is_resumed (const ed_tls *tls);

/*
** The peer's certificate as lines "key\tvalue\n" (subject, issuer, not_before, not_after, serial,
** sha256, and a 'name' for each alternative name); its length, 0 for none. Names that do not fit
** are left out.
*/
size_t ed_tls_describe_peer (const ed_tls *tls, char *to, size_t room);

#endif
