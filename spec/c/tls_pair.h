/* SPDX-License-Identifier: MIT */
/*
** A key and a certificate made on the spot, two contexts, and two engines that talk to each other
** in memory: for the test and the fuzz target of the TLS engine.
*/
#ifndef ED_TLS_PAIR_H
#define ED_TLS_PAIR_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tls.h"

typedef struct tls_pair {
  ed_mem mem;
  ed_tls_context *client_context;
  ed_tls_context *server_context;
  ed_tls *client;
  ed_tls *server;
} tls_pair;

static inline void pair_must (bool ok) {
  if (!ok) abort();
}

static inline void pair_sign (X509 *cert, EVP_PKEY *key, const char *host) {
  X509_NAME *name = X509_get_subject_name(cert);
  char san[300];
  X509_EXTENSION *extension;
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_NAME_add_entry_by_txt(
    name, "CN", MBSTRING_ASC, (const unsigned char *)"pair", -1, -1, 0);
  X509_set_issuer_name(cert, name);
  X509_set_pubkey(cert, key);
  snprintf(san, sizeof san, "DNS:%s", host);
  extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
  pair_must(X509_sign(cert, key, EVP_sha256()) > 0);
}

static inline EVP_PKEY *pair_key (void) {
  EVP_PKEY *key = NULL;
  EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
  pair_must(maker != NULL && EVP_PKEY_keygen_init(maker) > 0);
  pair_must(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(maker, NID_X9_62_prime256v1) > 0);
  pair_must(EVP_PKEY_keygen(maker, &key) > 0);
  EVP_PKEY_CTX_free(maker);
  return key;
}

/* Certificate and key as one PEM text, for the caller to free. */
static inline char *pair_identity (const char *host) {
  EVP_PKEY *key = pair_key();
  X509 *cert = X509_new();
  BIO *bio = BIO_new(BIO_s_mem());
  char *bytes, *text;
  long len;
  pair_must(cert != NULL && bio != NULL);
  pair_sign(cert, key, host);
  pair_must(PEM_write_bio_X509(bio, cert)
    && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
  len = BIO_get_mem_data(bio, &bytes);
  text = malloc((size_t)len + 1);
  pair_must(text != NULL);
  memcpy(text, bytes, (size_t)len);
  text[len] = '\0';
  BIO_free(bio);
  X509_free(cert);
  EVP_PKEY_free(key);
  return text;
}

static inline void pair_contexts (tls_pair *p, const char *host) {
  char *identity = pair_identity(host);
  ed_tls_options server = {
    .is_server = true, .cert = identity, .min_version = ED_TLS_1_2};
  ed_tls_options client = {.verify = true, .ca = identity, .min_version = ED_TLS_1_2};
  ed_tls_error why;
  memset(p, 0, sizeof *p);
  p->server_context = ed_tls_context_new(&server, &why);
  p->client_context = ed_tls_context_new(&client, &why);
  pair_must(p->server_context != NULL && p->client_context != NULL);
  free(identity);
}

/* New engines; false when memory was short. */
static inline bool pair_begin (tls_pair *p, const char *host) {
  p->client = ed_tls_new(p->client_context, &p->mem, host, NULL);
  p->server = ed_tls_new(p->server_context, &p->mem, NULL, NULL);
  return p->client != NULL && p->server != NULL;
}

static inline void pair_end (tls_pair *p) {
  ed_tls_free(p->client);
  ed_tls_free(p->server);
  p->client = p->server = NULL;
}

static inline void pair_free (tls_pair *p) {
  pair_end(p);
  ed_tls_context_release(p->client_context);
  ed_tls_context_release(p->server_context);
  ed_mem_trim(&p->mem);
}

#endif
