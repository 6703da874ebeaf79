/* SPDX-License-Identifier: MIT */
/*
** Name lookup for tests, to be preloaded: a host that ends in "!" is made of parts with commas
** between them: addresses, "slow" (0.2 s), "stuck" (1 s), "silent" (60 s), "again" and "none" (failures). Each
** lookup is told on standard output, with the number of those that run.
*/
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int lookup (
  const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int running;

static struct addrinfo *new_address (const char *text) {
  struct addrinfo *a = calloc(1, sizeof *a + sizeof(struct sockaddr_in6));
  int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
  if (a == NULL) abort();
  a->ai_family = family;
  a->ai_socktype = SOCK_STREAM;
  a->ai_addr = (struct sockaddr *)(a + 1);
  a->ai_addr->sa_family = (sa_family_t)family;
  a->ai_addrlen = family == AF_INET ? sizeof(struct sockaddr_in)
                                    : sizeof(struct sockaddr_in6);
  if (family == AF_INET)
    inet_pton(family, text, &((struct sockaddr_in *)a->ai_addr)->sin_addr);
  else inet_pton(family, text, &((struct sockaddr_in6 *)a->ai_addr)->sin6_addr);
  return a;
}

static int make (char *parts, struct addrinfo **found) {
  struct addrinfo **last = found;
  char *state = NULL;
  *found = NULL;
  for (char *part = strtok_r(parts, ",!", &state); part != NULL;
       part = strtok_r(NULL, ",!", &state)) {
    if (strcmp(part, "slow") == 0) usleep(200000);
    else if (strcmp(part, "stuck") == 0) sleep(1);
    else if (strcmp(part, "silent") == 0) sleep(60);
    else if (strcmp(part, "again") == 0) return EAI_AGAIN;
    else if (strcmp(part, "none") == 0) return EAI_NONAME;
    else if (strchr("0123456789:", *part) != NULL) {
      *last = new_address(part);
      last = &(*last)->ai_next;
    }
  }
  return *found != NULL ? 0 : EAI_NONAME;
}

int getaddrinfo (const char *host, const char *service, const struct addrinfo *hints,
  struct addrinfo **found) {
  char parts[256];
  int status;
  if (host == NULL || strchr(host, '!') == NULL)
    return ((lookup *)dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, found);
  snprintf(parts, sizeof parts, "%s", host);
  printf("lookup %s, %d running\n", host, __sync_add_and_fetch(&running, 1));
  fflush(stdout);
  status = make(parts, found);
  __sync_sub_and_fetch(&running, 1);
  return status;
}

/* The system's own results are one block each as well, but only the system may say so. */
void freeaddrinfo (struct addrinfo *found) {
  if (found != NULL && found->ai_addr != (struct sockaddr *)(found + 1)) {
    ((void (*)(struct addrinfo *))dlsym(RTLD_NEXT, "freeaddrinfo"))(found);
    return;
  }
  while (found != NULL) {
    struct addrinfo *next = found->ai_next;
    free(found);
    found = next;
  }
}
