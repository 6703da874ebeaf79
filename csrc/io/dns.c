/* SPDX-License-Identifier: MIT */
/*
** The resolver of a runtime: lookups that run, lookups that queue. A lookup's memory may be
** read by a thread of the pool, so it is plain malloc memory.
*/
#include "io/dns.h"

#include <stdlib.h>
#include <string.h>

typedef struct resolver {
  ed_link lookups; /* running ones first */
  unsigned running;
} resolver;

typedef struct lookup {
  uv_getaddrinfo_t req;
  ed_link link;
  ed_link waiters;
  ed_loop *loop;
  bool is_running;
  char host[];
} lookup;

static void start_queued (ed_loop *loop);

static void free_resolver (ed_loop *loop) {
  ed_mem_free(&loop->mem, loop->resolver, sizeof(resolver));
}

static resolver *resolver_of (ed_loop *loop) {
  resolver *all = loop->resolver;
  if (all != NULL || (all = ed_loop_calloc(loop, sizeof *all)) == NULL) return all;
  ed_list_init(&all->lookups);
  loop->resolver = all;
  loop->free_resolver = free_resolver;
  return all;
}

static void tell_waiters (lookup *l, int status, const struct addrinfo *found) {
  ed_link *link;
  while ((link = ed_list_shift(&l->waiters)) != NULL) {
    ed_resolving *who = ED_OF(link, ed_resolving, link);
    who->done(who, status, found);
  }
}

static void on_found (uv_getaddrinfo_t *req, int status, struct addrinfo *found) {
  lookup *l = req->data;
  ed_loop *loop = l->loop;
  resolver *all = loop->resolver;
  ed_list_remove(&l->link);
  all->running--;
  loop->njobs--;
  loop->progress++;
  tell_waiters(l, status, found);
  uv_freeaddrinfo(found);
  free(l);
  start_queued(loop);
}

static int run_lookup (resolver *all, lookup *l) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
  int status = uv_getaddrinfo(l->loop->uv, &l->req, on_found, l->host, NULL, &hints);
  if (status < 0) return status;
  l->is_running = true;
  all->running++;
  l->loop->njobs++;
  return 0;
}

static void start_queued (ed_loop *loop) {
  resolver *all = loop->resolver;
  ed_link *at = all->lookups.next;
  while (at != &all->lookups && all->running < ED_LOOKUPS) {
    lookup *l = ED_OF(at, lookup, link);
    int status;
    at = at->next;
    if (l->is_running || (status = run_lookup(all, l)) == 0) continue;
    ed_list_remove(&l->link);
    tell_waiters(l, status, NULL);
    free(l);
  }
}

static lookup *find_lookup (resolver *all, const char *host) {
  for (ed_link *at = all->lookups.next; at != &all->lookups; at = at->next)
    if (strcmp(ED_OF(at, lookup, link)->host, host) == 0) return ED_OF(at, lookup, link);
  return NULL;
}

static lookup *new_lookup (ed_loop *loop, const char *host) {
  size_t size = strlen(host) + 1;
  lookup *l = calloc(1, sizeof *l + size);
  if (l == NULL) return NULL;
  memcpy(l->host, host, size);
  l->loop = loop;
  l->req.data = l;
  ed_list_init(&l->waiters);
  return l;
}

int ed_dns_start (ed_loop *loop, const char *host, ed_resolving *who) {
  resolver *all = resolver_of(loop);
  lookup *l;
  int status;
  ed_list_init(&who->link);
  if (all == NULL) return UV_ENOMEM;
  if ((l = find_lookup(all, host)) == NULL) {
    if ((l = new_lookup(loop, host)) == NULL) return UV_ENOMEM;
    if (all->running < ED_LOOKUPS && (status = run_lookup(all, l)) < 0) {
      free(l);
      return status;
    }
    ed_list_append(&all->lookups, &l->link);
  }
  ed_list_append(&l->waiters, &who->link);
  return 0;
}

/* A lookup that nobody waits for any more still runs to its end, if a thread has begun it. */
void ed_dns_stop (ed_resolving *who) {
  ed_link *others = who->link.next;
  bool is_last = others != &who->link && others->next == &who->link;
  lookup *l;
  ed_list_remove(&who->link);
  if (!is_last) return;
  l = ED_OF(others, lookup, waiters);
  if (l->is_running) {
    /* Cancelled: nobody may join it any more. */
    if (uv_cancel((uv_req_t *)&l->req) == 0) ed_list_remove(&l->link);
    return;
  }
  ed_list_remove(&l->link);
  free(l);
}
