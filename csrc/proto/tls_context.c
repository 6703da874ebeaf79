/* SPDX-License-Identifier: MIT */
/*
** TLS contexts: trust, certificates, ALPN, server names, and the sessions that a client can resume.
** They outlive the runtime of a Lua state if a finalizer wants that, so their memory is
** OpenSSL's. Reading certificates blocks: make contexts early.
*/
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "proto/tls_inside.h"

/* ---- the BIO of engines ---- */

static int read_input (BIO *bio, char *to, int room) {
  ed_tls *tls = BIO_get_data(bio);
  size_t n = tls->ninput < (size_t)room ? tls->ninput : (size_t)room;
  BIO_clear_retry_flags(bio);
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  memcpy(to, tls->input, n);
  tls->input += n;
  tls->ninput -= n;
  return (int)n;
}

static int write_output (BIO *bio, const char *from, int n) {
  ed_tls *tls = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (n <= 0) return 0;
  if (ed_buf_append(&tls->out, tls->mem, from, (size_t)n)) return n;
  tls->is_short = true;
  return -1;
}

static long control (BIO *bio, int command, long number, void *pointer) {
  ed_tls *tls = BIO_get_data(bio);
  (void)number, (void)pointer;
  if (command == BIO_CTRL_PENDING) return (long)tls->ninput;
  return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *new_method (void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "eddy");
  if (method == NULL) return NULL;
  BIO_meth_set_read(method, read_input);
  BIO_meth_set_write(method, write_output);
  BIO_meth_set_ctrl(method, control);
  return method;
}

/* ---- certificates and keys ---- */

bool ed_tls_is_pem (const char *text) { return strstr(text, "-----BEGIN ") != NULL; }

/* Who replaces a file makes another one of it, or writes it now: ctime cannot be set. */
size_t ed_tls_stamp (const char *file, char *to) {
  struct stat info;
  struct timespec changed;
  if (stat(file, &info) != 0) return 0;
#ifdef __APPLE__
  changed = info.st_ctimespec;
#else
  changed = info.st_ctim;
#endif
  return (size_t)snprintf(to, ED_TLS_STAMP, "%llx.%llx.%llx.%llx.%lx ",
    (unsigned long long)info.st_dev, (unsigned long long)info.st_ino,
    (unsigned long long)info.st_size, (unsigned long long)changed.tv_sec,
    (unsigned long)changed.tv_nsec);
}

/* A PEM text or a file of it; NULL with 'why'. */
static BIO *open_pem (const char *text, ed_tls_error *why) {
  struct stat info;
  BIO *bio;
  if (ed_tls_is_pem(text)) return BIO_new_mem_buf(text, -1);
  bio = stat(text, &info) == 0 ? BIO_new_file(text, "r") : NULL;
  if (bio == NULL) {
    why->system = errno != 0 ? errno : EIO;
    ed_tls_blame(why, ED_TLS_FILE, "%s", text);
  }
  return bio;
}

/* A key with a pass phrase is refused; OpenSSL would ask for it on the terminal. */
static int refuse_password (char *to, int room, int is_writing, void *data) {
  (void)to, (void)room, (void)is_writing, (void)data;
  return -1;
}

static X509 *read_certificate (BIO *bio) {
  return PEM_read_bio_X509(bio, NULL, refuse_password, NULL);
}

static bool use_chain (SSL_CTX *ssl, BIO *bio) {
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, refuse_password, NULL);
  bool is_fine = cert != NULL && SSL_CTX_use_certificate(ssl, cert) == 1;
  X509_free(cert);
  while (is_fine && (cert = read_certificate(bio)) != NULL)
    if (SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
      X509_free(cert);
      is_fine = false;
    }
  return is_fine;
}

static const char *reason_text (void) {
  const char *text = ERR_reason_error_string(ERR_peek_error());
  return text != NULL ? text : "no reason given";
}

static bool load_cert (SSL_CTX *ssl, const char *text, ed_tls_error *why) {
  BIO *bio = open_pem(text, why);
  bool is_fine = bio != NULL && use_chain(ssl, bio);
  BIO_free(bio);
  if (!is_fine)
    ed_tls_blame(why, ED_TLS_INVALID, "option 'cert' holds no usable certificate: %s",
      reason_text());
  return is_fine;
}

static bool load_key (SSL_CTX *ssl, const char *text, ed_tls_error *why) {
  BIO *bio = open_pem(text, why);
  EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, refuse_password, NULL)
                              : NULL;
  bool is_fine = key != NULL && SSL_CTX_use_PrivateKey(ssl, key) == 1;
  BIO_free(bio);
  if (key == NULL)
    ed_tls_blame(why, ED_TLS_INVALID,
      "option 'key' holds no usable private key (with a pass phrase?): %s",
      reason_text());
  EVP_PKEY_free(key);
  if (!is_fine || SSL_CTX_check_private_key(ssl) != 1)
    ed_tls_blame(why, ED_TLS_INVALID, "the private key is not that of the certificate");
  return why->code == ED_TLS_FINE;
}

/* ---- trust ---- */

static bool trust_all_of (SSL_CTX *ssl, BIO *bio) {
  X509_STORE *store = SSL_CTX_get_cert_store(ssl);
  int n = 0;
  X509 *cert;
  while ((cert = read_certificate(bio)) != NULL) {
    if (X509_STORE_add_cert(store, cert) == 1) n++;
    X509_free(cert);
  }
  return n > 0;
}

static bool is_folder (const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool trust (SSL_CTX *ssl, const char *ca, ed_tls_error *why) {
  BIO *bio;
  bool is_fine;
  if (ca == NULL) return SSL_CTX_set_default_verify_paths(ssl) == 1;
  /* What the caller names is trusted, root or not. */
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
  if (!ed_tls_is_pem(ca) && is_folder(ca)) return SSL_CTX_load_verify_dir(ssl, ca) == 1;
  bio = open_pem(ca, why);
  is_fine = bio != NULL && trust_all_of(ssl, bio);
  BIO_free(bio);
  if (!is_fine) ed_tls_blame(why, ED_TLS_INVALID, "option 'ca' holds no certificate");
  return is_fine;
}

/* The names of the authorities, for clients that choose a certificate by them. */
static void announce_authorities (SSL_CTX *ssl) {
  STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ssl));
  for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
    X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
    if (cert != NULL) SSL_CTX_add_client_CA(ssl, cert);
  }
}

static bool set_trust (
  ed_tls_context *context, const ed_tls_options *o, ed_tls_error *why) {
  int mode = SSL_VERIFY_PEER | (o->is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  if (!o->verify) {
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_NONE, NULL);
    return true;
  }
  SSL_CTX_set_verify(context->ssl, mode, ed_tls_note_verdict);
  if (!trust(context->ssl, o->ca, why)) return false;
  if (o->is_server) announce_authorities(context->ssl);
  return true;
}

/* ---- sessions ---- */

static void drop_session (ed_tls_context *context, int index) {
  ed_tls_session *all = context->session;
  context->nsessions--;
  memmove(
    all + index, all + index + 1, (size_t)(context->nsessions - index) * sizeof *all);
}

void ed_tls_keep_session (
  ed_tls_context *context, const char *origin, SSL_SESSION *session) {
  ed_tls_session *slot;
  if (context->session == NULL)
    context->session = OPENSSL_zalloc(ED_TLS_SESSIONS * sizeof *context->session);
  if (context->session == NULL) {
    SSL_SESSION_free(session);
    return;
  }
  if (context->nsessions == ED_TLS_SESSIONS) {
    SSL_SESSION_free(context->session[0].session);
    drop_session(context, 0);
  }
  slot = &context->session[context->nsessions++];
  slot->session = session;
  memcpy(slot->origin, origin, strlen(origin) + 1);
}

/*
** Those of TLS 1.3 are used once, so that connections cannot be told to belong together. OpenSSL
** marks the one of a connection that did not end well.
*/
SSL_SESSION *ed_tls_take_session (ed_tls_context *context, const char *origin) {
  for (int i = context->nsessions - 1; i >= 0; i--) {
    SSL_SESSION *session = context->session[i].session;
    if (strcasecmp(context->session[i].origin, origin) != 0) continue;
    if (!SSL_SESSION_is_resumable(session)) {
      SSL_SESSION_free(session);
      drop_session(context, i);
      continue;
    }
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
      drop_session(context, i);
    else SSL_SESSION_up_ref(session);
    return session;
  }
  return NULL;
}

/* The peer has sent a ticket; 1: we keep it. */
static int on_session (SSL *ssl, SSL_SESSION *session) {
  ed_tls *tls = SSL_get_app_data(ssl);
  if (tls == NULL || tls->origin[0] == '\0' || !SSL_SESSION_is_resumable(session))
    return 0;
  ed_tls_keep_session(tls->context, tls->origin, session);
  return 1;
}

/* ---- ALPN and server names ---- */

static int choose_protocol (SSL *ssl, const unsigned char **out, unsigned char *len,
  const unsigned char *in, unsigned nin, void *data) {
  const ed_tls_context *context = data;
  unsigned char *chosen;
  int answer = SSL_select_next_proto(
    &chosen, len, context->alpn, (unsigned)context->alpn_len, in, nin);
  (void)ssl;
  if (answer != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

static bool set_alpn (ed_tls_context *context, const ed_tls_options *o) {
  if (o->alpn_len == 0) return true;
  context->alpn = OPENSSL_memdup(o->alpn, o->alpn_len);
  context->alpn_len = o->alpn_len;
  if (context->alpn == NULL) return false;
  if (o->is_server) SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
  else
    return SSL_CTX_set_alpn_protos(context->ssl, context->alpn, (unsigned)o->alpn_len)
      == 0;
  return true;
}

static bool names_host (const char *pattern, const char *host) {
  const char *rest = strchr(host, '.');
  if (strcasecmp(pattern, host) == 0) return true;
  return pattern[0] == '*' && rest != NULL && strcasecmp(pattern + 1, rest) == 0;
}

/* Exact names go before patterns; a name that is not there gets the context's own. */
static int on_server_name (SSL *ssl, int *alert, void *data) {
  const ed_tls_context *context = data;
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const ed_tls_host *found = NULL;
  (void)alert;
  if (name == NULL || context->hosts == NULL) return SSL_TLSEXT_ERR_NOACK;
  for (const ed_tls_host *h = context->hosts; h != NULL; h = h->next) {
    if (!names_host(h->name, name)) continue;
    if (found == NULL || h->name[0] != '*') found = h;
  }
  if (found != NULL) SSL_set_SSL_CTX(ssl, found->context->ssl);
  return SSL_TLSEXT_ERR_OK;
}

bool ed_tls_context_add_host (
  ed_tls_context *context, const char *name, ed_tls_context *other) {
  ed_tls_host *host;
  size_t len = strlen(name);
  if (len == 0 || len > ED_TLS_HOST_MAX) return false;
  if ((host = OPENSSL_zalloc(sizeof *host)) == NULL) return false;
  memcpy(host->name, name, len);
  host->context = ed_tls_context_keep(other);
  host->next = context->hosts;
  context->hosts = host;
  return true;
}

/* ---- life ---- */

static bool make (ed_tls_context *context, bool is_server) {
  SSL_CTX *ssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  context->ssl = ssl;
  context->bio = new_method();
  if (ssl == NULL || context->bio == NULL) return false;
  SSL_CTX_set_options(ssl,
    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(ssl, refuse_password);
  if (is_server) {
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets need no memory */
    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"eddy", 4);
    SSL_CTX_set_tlsext_servername_callback(ssl, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ssl, context);
  } else {
    SSL_CTX_set_session_cache_mode(
      ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, on_session);
  }
  return true;
}

static bool configure (
  ed_tls_context *context, const ed_tls_options *o, ed_tls_error *why) {
  SSL_CTX *ssl = context->ssl;
  if (SSL_CTX_set_min_proto_version(ssl, o->min_version) != 1) return false;
  if (o->ciphers != NULL && SSL_CTX_set_cipher_list(ssl, o->ciphers) != 1) {
    ed_tls_blame(why, ED_TLS_INVALID, "option 'ciphers' names none: %.100s", o->ciphers);
    return false;
  }
  if (!set_trust(context, o, why) || !set_alpn(context, o)) return false;
  if (o->cert == NULL) return true;
  return load_cert(ssl, o->cert, why)
    && load_key(ssl, o->key != NULL ? o->key : o->cert, why);
}

ed_tls_context *ed_tls_context_new (const ed_tls_options *options, ed_tls_error *why) {
  ed_tls_context *context = OPENSSL_zalloc(sizeof *context);
  memset(why, 0, sizeof *why);
  if (context != NULL) {
    ERR_clear_error();
    context->shares = 1;
    context->is_server = options->is_server;
    context->verify = options->verify;
    if (!make(context, options->is_server) || !configure(context, options, why)) {
      ed_tls_context_release(context);
      context = NULL;
    }
    ERR_clear_error();
  }
  if (context == NULL) ed_tls_blame(why, ED_TLS_NO_MEMORY, "not enough memory");
  return context;
}

ed_tls_context *ed_tls_context_keep (ed_tls_context *context) {
  context->shares++;
  return context;
}

void ed_tls_context_release (ed_tls_context *context) {
  if (context == NULL || --context->shares > 0) return;
  SSL_CTX_free(context->ssl);
  BIO_meth_free(context->bio);
  OPENSSL_free(context->alpn);
  for (int i = 0; i < context->nsessions; i++)
    SSL_SESSION_free(context->session[i].session);
  OPENSSL_free(context->session);
  while (context->hosts != NULL) {
    ed_tls_host *host = context->hosts;
    context->hosts = host->next;
    ed_tls_context_release(host->context);
    OPENSSL_free(host);
  }
  OPENSSL_free(context);
}

bool ed_tls_context_is_server (const ed_tls_context *context) {
  return context->is_server;
}
bool ed_tls_context_verifies (const ed_tls_context *context) { return context->verify; }
