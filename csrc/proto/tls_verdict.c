/* SPDX-License-Identifier: MIT */
/*
** What is wrong with a certificate, in words, and what one says. All text in a certificate comes
** from the peer: bytes that are no printable ASCII are shown as question marks.
*/
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/tls_inside.h"

enum { NAME_TEXT = 256 };

const char *ed_tls_code_name (ed_tls_code code) {
  static const char *const names[] = {"", "CERT_EXPIRED", "CERT_NOT_YET_VALID",
    "CERT_HOSTNAME", "CERT_SELF_SIGNED", "CERT_UNTRUSTED", "CERT_INVALID", "TLS_VERSION",
    "TLS_TRUNCATED", "TLS_PROTOCOL"};
  return code <= ED_TLS_PROTOCOL ? names[code] : "TLS_PROTOCOL";
}

void ed_tls_blame (ed_tls_error *why, ed_tls_code code, const char *format, ...) {
  va_list args;
  if (why->code != ED_TLS_FINE) return;
  why->code = code;
  va_start(args, format);
  vsnprintf(why->text, sizeof why->text, format, args);
  va_end(args);
}

/* ---- texts ---- */

static void make_printable (char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (text[i] < ' ' || text[i] > '~') text[i] = '?';
}

static void date_text (const ASN1_TIME *time, char *text, size_t room, bool is_exact) {
  struct tm tm = {0};
  if (!ASN1_TIME_to_tm(time, &tm)) snprintf(text, room, "?");
  else if (is_exact)
    snprintf(text, room, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
      tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
  else
    snprintf(text, room, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void name_text (X509_NAME *name, char *text, int room) {
  int len = X509_NAME_get_text_by_NID(name, NID_commonName, text, room);
  if (len < 0) X509_NAME_oneline(name, text, room);
  make_printable(text, strlen(text));
}

/* One alternative name; false for kinds that name no host. */
static bool alternative_text (const GENERAL_NAME *name, char *text, size_t room) {
  const ASN1_STRING *value;
  const unsigned char *bytes;
  int len;
  if (name->type != GEN_DNS && name->type != GEN_IPADD) return false;
  value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
  bytes = ASN1_STRING_get0_data(value);
  len = ASN1_STRING_length(value);
  if (name->type == GEN_IPADD) {
    if (len != 4 && len != 16) return false;
    return inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, (socklen_t)room) != NULL;
  }
  snprintf(text, room, "%.*s", len, (const char *)bytes);
  make_printable(text, strlen(text));
  return true;
}

/*
** All alternative names, each between 'before' and 'after', as far as they fit; how much was
** written.
*/
static size_t list_names (
  X509 *cert, char *to, size_t room, const char *before, const char *after) {
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  int n = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
  size_t at = 0;
  for (int i = 0; i < n; i++) {
    char text[NAME_TEXT];
    if (!alternative_text(sk_GENERAL_NAME_value(names, i), text, sizeof text)) continue;
    if (at + strlen(before) + strlen(text) + strlen(after) >= room) break;
    at += (size_t)snprintf(to + at, room - at, "%s%s%s", before, text, after);
  }
  GENERAL_NAMES_free(names);
  return at;
}

/* ---- why it was refused ---- */

/* Whose certificate: the peer's own, or one above it. */
static void owner_text (X509_STORE_CTX *store, X509 *cert, char *text, size_t room) {
  char name[NAME_TEXT];
  text[0] = '\0';
  if (X509_STORE_CTX_get_error_depth(store) == 0) return;
  name_text(X509_get_subject_name(cert), name, sizeof name);
  snprintf(text, room, " of the issuer \"%.80s\"", name);
}

static void blame_date (ed_tls_error *why, X509_STORE_CTX *store, X509 *cert) {
  bool is_early = X509_STORE_CTX_get_error(store) == X509_V_ERR_CERT_NOT_YET_VALID;
  char date[32], owner[128];
  date_text(is_early ? X509_get0_notBefore(cert) : X509_get0_notAfter(cert), date,
    sizeof date, false);
  owner_text(store, cert, owner, sizeof owner);
  ed_tls_blame(why, is_early ? ED_TLS_NOT_YET_VALID : ED_TLS_EXPIRED,
    is_early ? "certificate%s is not valid before %s" : "certificate%s expired on %s",
    owner, date);
}

static void blame_host (ed_tls_error *why, X509 *cert) {
  char names[160];
  size_t n = list_names(cert, names, sizeof names, "", ", ");
  names[n > 2 ? n - 2 : 0] = '\0';
  ed_tls_blame(why, ED_TLS_HOSTNAME, "host name mismatch: certificate is for %s",
    n > 2 ? names : "no host (it has no alternative names)");
}

static void blame_issuer (ed_tls_error *why, X509 *cert) {
  char name[NAME_TEXT];
  name_text(X509_get_issuer_name(cert), name, sizeof name);
  ed_tls_blame(why, ED_TLS_UNTRUSTED,
    "certificate is not trusted: issuer \"%.80s\" is unknown "
    "(or the peer left out an intermediate certificate)",
    name);
}

static void blame_certificate (ed_tls_error *why, X509_STORE_CTX *store, X509 *cert) {
  char name[NAME_TEXT];
  int error = X509_STORE_CTX_get_error(store);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: blame_date(why, store, cert); return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: blame_host(why, cert); return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      ed_tls_blame(why, ED_TLS_SELF_SIGNED, "certificate is self-signed");
      return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      name_text(X509_get_subject_name(cert), name, sizeof name);
      ed_tls_blame(why, ED_TLS_UNTRUSTED,
        "certificate is not trusted: its root \"%.80s\" is unknown", name);
      return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: blame_issuer(why, cert); return;
    default:
      ed_tls_blame(why, ED_TLS_INVALID, "certificate is not valid: %s",
        X509_verify_cert_error_string(error));
  }
}

int ed_tls_note_verdict (int is_good, X509_STORE_CTX *store) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  X509 *cert = X509_STORE_CTX_get_current_cert(store);
  ed_tls *tls = SSL_get_app_data(ssl);
  if (is_good || tls == NULL) return is_good;
  if (cert == NULL) cert = X509_STORE_CTX_get0_cert(store);
  blame_certificate(&tls->error, store, cert);
  return 0;
}

/* ---- what it says ---- */

/* A line "key\tvalue\n" at 'at', if it fits; where the next one goes. */
static size_t add_line (
  char *to, size_t room, size_t at, const char *key, const char *value) {
  size_t need = strlen(key) + strlen(value) + 2;
  if (at + need >= room) return at;
  snprintf(to + at, room - at, "%s\t%s\n", key, value);
  return at + need;
}

static void hex_text (const unsigned char *bytes, size_t n, char *text, size_t room) {
  text[0] = '\0';
  for (size_t i = 0; i < n && 2 * i + 2 < room; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static size_t describe_numbers (X509 *cert, char *to, size_t room, size_t at) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  char text[2 * EVP_MAX_MD_SIZE + 2];
  const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
  hex_text(
    ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), text, sizeof text);
  at = add_line(to, room, at, "serial", text);
  if (!X509_digest(cert, EVP_sha256(), digest, &len)) len = 0;
  hex_text(digest, len, text, sizeof text);
  return add_line(to, room, at, "sha256", text);
}

size_t ed_tls_describe_peer (const ed_tls *tls, char *to, size_t room) {
  X509 *cert = SSL_get1_peer_certificate(tls->ssl);
  char text[NAME_TEXT];
  size_t at = 0;
  if (cert == NULL) return 0;
  name_text(X509_get_subject_name(cert), text, sizeof text);
  at = add_line(to, room, at, "subject", text);
  name_text(X509_get_issuer_name(cert), text, sizeof text);
  at = add_line(to, room, at, "issuer", text);
  date_text(X509_get0_notBefore(cert), text, sizeof text, true);
  at = add_line(to, room, at, "not_before", text);
  date_text(X509_get0_notAfter(cert), text, sizeof text, true);
  at = add_line(to, room, at, "not_after", text);
  at = describe_numbers(cert, to, room, at);
  at += list_names(cert, to + at, room - at, "name\t", "\n");
  X509_free(cert);
  return at;
}
