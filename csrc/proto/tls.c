/* SPDX-License-Identifier: MIT */
/*
** One TLS connection over a BIO of our own: it reads from the span that ed_tls_feed was given and
** writes to a growing buffer. So OpenSSL never waits for anything but more input, a write is whole
** once it returns, and nothing is copied that need not be.
*/
#include "proto/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "proto/tls_inside.h"

enum { ALERT_BASE = 1000 }; /* reasons from here on are alerts of the peer */

/* ---- life ---- */

/* An address as X509_VERIFY_PARAM has it: no brackets, no zone. */
static bool is_address (const char *host) {
  ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
  ASN1_OCTET_STRING_free(ip);
  return ip != NULL;
}

/* Without the dot at the end of a full name, or the zone of a local address. */
static bool keep_host (ed_tls *tls, const char *host) {
  size_t len = strcspn(host, "%");
  if (len > 0 && host[len] == '\0' && host[len - 1] == '.') len--;
  if (len > ED_TLS_HOST_MAX) return false;
  memcpy(tls->host, host, len);
  return true;
}

/* What is too long is not kept. */
static void keep_origin (ed_tls *tls, const char *origin) {
  size_t len = strlen(origin);
  if (len <= ED_TLS_ORIGIN_MAX) memcpy(tls->origin, origin, len);
}

static bool expect_host (ed_tls *tls) {
  SSL *ssl = tls->ssl;
  if (tls->host[0] == '\0') return true;
  SSL_set_hostflags(
    ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (is_address(tls->host))
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), tls->host);
  return SSL_set_tlsext_host_name(ssl, tls->host) && SSL_set1_host(ssl, tls->host);
}

static void take_up (ed_tls *tls) {
  SSL_SESSION *session = tls->origin[0] != '\0'
    ? ed_tls_take_session(tls->context, tls->origin)
    : NULL;
  if (session == NULL) return;
  SSL_set_session(tls->ssl, session);
  SSL_SESSION_free(session);
}

static bool set_up (ed_tls *tls, const char *host, const char *origin) {
  BIO *bio = BIO_new(tls->context->bio);
  if (bio == NULL) return false;
  BIO_set_data(bio, tls);
  BIO_set_init(bio, 1);
  if ((tls->ssl = SSL_new(tls->context->ssl)) == NULL) {
    BIO_free(bio);
    return false;
  }
  SSL_set_bio(tls->ssl, bio, bio);
  SSL_set_app_data(tls->ssl, tls);
  if (tls->context->is_server) {
    SSL_set_accept_state(tls->ssl);
    return true;
  }
  SSL_set_connect_state(tls->ssl);
  if (host != NULL && !(keep_host(tls, host) && expect_host(tls))) return false;
  keep_origin(tls, origin != NULL ? origin : tls->host);
  take_up(tls);
  return true;
}

ed_tls *ed_tls_new (
  ed_tls_context *context, ed_mem *mem, const char *host, const char *origin) {
  ed_tls *tls = ed_mem_new(mem, sizeof *tls);
  if (tls == NULL) return NULL;
  memset(tls, 0, sizeof *tls);
  tls->mem = mem;
  tls->context = ed_tls_context_keep(context);
  ERR_clear_error();
  if (!set_up(tls, host, origin)) {
    ed_tls_free(tls);
    tls = NULL;
  }
  ERR_clear_error();
  return tls;
}

void ed_tls_free (ed_tls *tls) {
  if (tls == NULL) return;
  SSL_free(tls->ssl);
  ed_buf_free(&tls->out, tls->mem);
  ed_tls_context_release(tls->context);
  ed_mem_free(tls->mem, tls, sizeof *tls);
}

ed_tls_state ed_tls_state_of (const ed_tls *tls) { return tls->state; }
const ed_tls_error *ed_tls_why (const ed_tls *tls) { return &tls->error; }
ed_buf *ed_tls_output (ed_tls *tls) { return &tls->out; }

/* ---- failures ---- */

static void blame_alert (ed_tls *tls, int reason, const char *text) {
  const char *name = strstr(text, "alert "); /* behind the version that invented it */
  if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
    ed_tls_blame(&tls->error, ED_TLS_VERSION, "the peer refused our versions of TLS");
  else
    ed_tls_blame(
      &tls->error, ED_TLS_PROTOCOL, "the peer refused: %s", name != NULL ? name : text);
}

static void blame_reason (ed_tls *tls, int reason, const char *text) {
  switch (reason) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_UNKNOWN_PROTOCOL:
      ed_tls_blame(
        &tls->error, ED_TLS_VERSION, "no version of TLS in common with the peer");
      return;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      ed_tls_blame(&tls->error, ED_TLS_PROTOCOL, "the peer does not speak TLS");
      return;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      ed_tls_blame(&tls->error, ED_TLS_INVALID, "the peer sent no certificate");
      return;
    default: ed_tls_blame(&tls->error, ED_TLS_PROTOCOL, "%s", text);
  }
}

/* The engine is done for; a refused certificate has been noted already. */
static void fail (ed_tls *tls) {
  unsigned long first = ERR_peek_error();
  int reason = ERR_GET_REASON(first);
  const char *text = ERR_reason_error_string(first);
  if (text == NULL) text = "broken by the peer";
  tls->state = ED_TLS_FAILED;
  tls->ninput = 0;
  if (tls->is_short || reason == ERR_R_MALLOC_FAILURE)
    ed_tls_blame(&tls->error, ED_TLS_NO_MEMORY, "not enough memory");
  else if (ERR_GET_LIB(first) == ERR_LIB_SSL && reason >= ALERT_BASE)
    blame_alert(tls, reason, text);
  else blame_reason(tls, reason, text);
  ERR_clear_error();
}

void ed_tls_cut (ed_tls *tls) {
  if (tls->state == ED_TLS_ENDED || tls->state == ED_TLS_FAILED) return;
  ed_tls_blame(&tls->error, ED_TLS_TRUNCATED, "%s",
    tls->state == ED_TLS_HANDSHAKE ? "the peer ended the connection in the handshake"
                                   : "the connection was cut off without close_notify");
  tls->state = ED_TLS_FAILED;
}

/* What a call that did not succeed means. */
static void judge (ed_tls *tls, int result) {
  switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ: ERR_clear_error(); return;
    case SSL_ERROR_ZERO_RETURN:
      ERR_clear_error();
      tls->state = ED_TLS_ENDED;
      tls->ninput = 0;
      return;
    default: fail(tls);
  }
}

/* ---- bytes ---- */

void ed_tls_feed (ed_tls *tls, const char *bytes, size_t n) {
  tls->input = bytes;
  tls->ninput = n;
}

static bool shake_hands (ed_tls *tls) {
  int result;
  ERR_clear_error();
  result = SSL_do_handshake(tls->ssl);
  if (result == 1) {
    tls->state = ED_TLS_OPEN;
    memset(&tls->error, 0, sizeof tls->error);
    ERR_clear_error();
    return true;
  }
  judge(tls, result);
  return false;
}

size_t ed_tls_read (ed_tls *tls, char *to, size_t room) {
  size_t n, got = 0;
  if (tls->state == ED_TLS_HANDSHAKE && !shake_hands(tls)) return 0;
  while (tls->state == ED_TLS_OPEN && got < room) {
    ERR_clear_error();
    if (!SSL_read_ex(tls->ssl, to + got, room - got, &n)) {
      judge(tls, 0);
      break;
    }
    got += n;
  }
  return got;
}

bool ed_tls_write (ed_tls *tls, const char *bytes, size_t n) {
  size_t written;
  if (tls->state == ED_TLS_HANDSHAKE || tls->state == ED_TLS_FAILED) return false;
  if (n == 0) return true;
  ERR_clear_error();
  if (SSL_write_ex(tls->ssl, bytes, n, &written) && !tls->is_short) return true;
  fail(tls);
  return false;
}

void ed_tls_close (ed_tls *tls) {
  if (tls->state != ED_TLS_OPEN && tls->state != ED_TLS_ENDED) return;
  if (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) return;
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

/* ---- what came of it ---- */

const char *ed_tls_version (const ed_tls *tls) { return SSL_get_version(tls->ssl); }
const char *ed_tls_cipher (const ed_tls *tls) { return SSL_get_cipher_name(tls->ssl); }
bool ed_tls_is_resumed (const ed_tls *tls) { return SSL_session_reused(tls->ssl); }

const char *ed_tls_alpn (const ed_tls *tls, size_t *len) {
  const unsigned char *name = NULL;
  unsigned n = 0;
  SSL_get0_alpn_selected(tls->ssl, &name, &n);
  *len = n;
  return (const char *)name;
}
