/* SPDX-License-Identifier: MIT */
/*
** Groups of the host: names for tasks that end together. A group owns nothing; its members are
** found by their records, and live in the runtime's own scope, so that one's failure is its own.
*/
#include <inttypes.h>
#include <stdlib.h>

#include "host/host.h"

static const eddy_id group_bit = (eddy_id)1 << 63;

static ed_host_group *find (const eddy *e, eddy_id id) {
  for (ed_link *at = e->groups.next; at != &e->groups; at = at->next) {
    ed_host_group *group = ED_OF(at, ed_host_group, link);
    if (group->id == id) return group;
  }
  return NULL;
}

bool ed_group_is_open (const eddy *e, eddy_id id) {
  ed_host_group *group = find(e, id);
  return group != NULL && !group->is_closing;
}

int eddy_group_new (eddy *e, eddy_id parent, eddy_id *id) {
  ed_host_group *group;
  if (e == NULL || id == NULL) return EDDY_EINVAL;
  *id = 0;
  if (e->loop == NULL || e->is_closing) return EDDY_ECLOSED;
  if (parent != 0 && !ed_group_is_open(e, parent)) return EDDY_ESTALE;
  if ((group = calloc(1, sizeof *group)) == NULL) return EDDY_ENOMEM;
  group->id = *id = group_bit | ++e->next_group;
  group->parent = parent;
  ed_list_append(&e->groups, &group->link);
  e->ngroups++;
  return EDDY_OK;
}

static void drop (eddy *e, ed_host_group *group) {
  ed_list_remove(&group->link);
  e->ngroups--;
  free(group);
}

/* Groups are in order of birth: parents come before children. */
static void mark (eddy *e, eddy_id id) {
  for (ed_link *at = e->groups.next; at != &e->groups; at = at->next) {
    ed_host_group *group = ED_OF(at, ed_host_group, link), *parent;
    parent = group->parent != 0 ? find(e, group->parent) : NULL;
    if (group->id == id || (parent != NULL && parent->is_closing))
      group->is_closing = true;
  }
}

static bool is_member (const eddy *e, const ed_record *r) {
  const ed_host_group *group = r->group != 0 ? find(e, r->group) : NULL;
  return group != NULL && group->is_closing && r->task != NULL
    && !ed_task_has_ended(r->task);
}

static ed_record *next_member (eddy *e, uint32_t *at) {
  ed_record *r;
  while ((r = ed_record_next(e, at)) != NULL && !is_member(e, r))
    ;
  return r;
}

static bool has_members (eddy *e) {
  uint32_t at = 0;
  return next_member(e, &at) != NULL;
}

static int kill_members (eddy *e) {
  uint32_t at = 0;
  int killed = 0;
  ed_record *r;
  e->is_stepping = true;
  while ((r = next_member(e, &at)) != NULL) {
    ed_task_kill(r->task);
    killed++;
  }
  ed_host_finish_step(e);
  return killed;
}

static void drop_marked (eddy *e) {
  for (ed_link *at = e->groups.next, *next; at != &e->groups; at = next) {
    next = at->next;
    if (ED_OF(at, ed_host_group, link)->is_closing)
      drop(e, ED_OF(at, ed_host_group, link));
  }
}

void ed_group_free_all (eddy *e) {
  ed_link *at;
  while ((at = e->groups.next) != &e->groups) drop(e, ED_OF(at, ed_host_group, link));
}

int eddy_group_close (eddy *e, eddy_id id, uint64_t grace_ns) {
  uint64_t now = uv_hrtime(),
           end = grace_ns > UINT64_MAX - now ? UINT64_MAX : now + grace_ns;
  uint32_t at = 0;
  ed_record *r;
  int killed;
  if (e == NULL) return EDDY_EINVAL;
  if (e->loop == NULL) return EDDY_ECLOSED;
  if (ed_host_must_not_step(e)) return EDDY_EREENTRANT;
  if (!ed_group_is_open(e, id)) return EDDY_ESTALE;
  if (!lua_checkstack(e->L, LUA_MINSTACK)) return EDDY_ENOMEM;
  ed_journal(e, "close group %" PRIu64, id & ~group_bit);
  mark(e, id);
  while ((r = next_member(e, &at)) != NULL) ed_task_cancel(r->task, ED_BY_END);
  while (!e->is_paused && has_members(e) && uv_hrtime() < end) ed_host_wait(e, end);
  killed = kill_members(e);
  drop_marked(e);
  return killed;
}
