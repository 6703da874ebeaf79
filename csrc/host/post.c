/* SPDX-License-Identifier: MIT */
/*
** What other threads send to the loop's thread: a queue under a lock, and libuv's one call that
** is allowed from anywhere. The signal is sent under the lock, so that it never meets a handle
** that is being closed; the host's on_wakeup is called outside of it.
*/
#include "host/host.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static void wake (eddy *e, bool is_first) {
  if (is_first && e->config.on_wakeup != NULL) e->config.on_wakeup(e, e->config.userdata);
}

bool ed_post_append (eddy *e, ed_post *post) {
  bool is_first = ed_list_is_empty(&e->queue);
  ed_list_append(&e->queue, &post->link);
  if (is_first) uv_async_send(&e->async);
  return is_first;
}

void ed_post_unlock (eddy *e, bool is_first) {
  uv_mutex_unlock(&e->lock);
  wake(e, is_first);
}

static bool send_post (eddy *e, ed_post *post) {
  bool is_open;
  uv_mutex_lock(&e->lock);
  is_open = e->is_open;
  ed_post_unlock(e, is_open && ed_post_append(e, post));
  return is_open;
}

bool ed_post_is_waiting (eddy *e) {
  bool is_waiting;
  uv_mutex_lock(&e->lock);
  is_waiting = !ed_list_is_empty(&e->queue);
  uv_mutex_unlock(&e->lock);
  return is_waiting;
}

/* The whole queue into 'list'. What is posted from now on is of the next turn. */
static void take_all (eddy *e, ed_link *list) {
  ed_link *first;
  ed_list_init(list);
  uv_mutex_lock(&e->lock);
  while ((first = ed_list_shift(&e->queue)) != NULL) ed_list_append(list, first);
  uv_mutex_unlock(&e->lock);
}

void ed_post_run_all (eddy *e) {
  ed_link list, *at;
  take_all(e, &list);
  while ((at = ed_list_shift(&list)) != NULL) {
    ed_post *post = ED_OF(at, ed_post, link);
    post->run(e, post);
  }
}

void ed_post_close (eddy *e) {
  uv_mutex_lock(&e->lock);
  e->is_open = false;
  uv_mutex_unlock(&e->lock);
  ed_post_run_all(e);
}

int eddy_wakeup (eddy *e) {
  bool is_open;
  if (e == NULL) return EDDY_EINVAL;
  uv_mutex_lock(&e->lock);
  is_open = e->is_open;
  if (is_open) uv_async_send(&e->async);
  uv_mutex_unlock(&e->lock);
  wake(e, is_open);
  return is_open ? EDDY_OK : EDDY_ECLOSED;
}

int eddy_stop (eddy *e) {
  if (e == NULL) return EDDY_EINVAL;
  uv_mutex_lock(&e->lock);
  e->wants_stop = true;
  uv_mutex_unlock(&e->lock);
  return eddy_wakeup(e);
}

/* ---- calls ---- */

typedef struct call {
  ed_post post;
  void (*fn)(eddy *e, void *ud);
  void *ud;
} call;

static void run_call (eddy *e, ed_post *post) {
  call *c = (call *)post;
  ed_journal(e, "call");
  c->fn(e, c->ud);
  free(c);
}

int eddy_call_soon (eddy *e, void (*fn)(eddy *e, void *ud), void *ud) {
  call *c;
  if (e == NULL || fn == NULL) return EDDY_EINVAL;
  if ((c = malloc(sizeof *c)) == NULL) return EDDY_ENOMEM;
  c->post.run = run_call;
  c->fn = fn;
  c->ud = ud;
  if (send_post(e, &c->post)) return EDDY_OK;
  free(c);
  return EDDY_ECLOSED;
}

/* ---- strings for eddy.on ---- */

typedef struct letter {
  ed_post post;
  size_t len;
  char *name; /* behind the bytes */
  char bytes[];
} letter;

static int push_letter (lua_State *L, void *ud) {
  letter *l = ud;
  lua_pushlstring(L, l->bytes, l->len);
  return 1;
}

/* Without Lua: it is memory that was short. */
static void report_lost (eddy *e, const letter *l, int code) {
  char text[160];
  snprintf(text, sizeof text, "event '%.80s' is lost: %s", l->name, eddy_strerror(code));
  if (e->config.on_error != NULL)
    e->config.on_error(e, 0, code, text, NULL, e->config.userdata);
  else lua_writestringerror("eddy: %s\n", text);
}

static void run_letter (eddy *e, ed_post *post) {
  letter *l = (letter *)post;
  int status = eddy_emit(e, l->name, push_letter, l);
  if (status < 0 && status != EDDY_ECLOSED) report_lost(e, l, status);
  free(l);
}

int eddy_post (eddy *e, const char *name, const char *bytes, size_t len) {
  size_t name_size;
  letter *l;
  if (e == NULL || name == NULL || (bytes == NULL && len > 0)) return EDDY_EINVAL;
  name_size = strlen(name) + 1;
  if (len > SIZE_MAX - sizeof *l - name_size) return EDDY_ENOMEM;
  if ((l = malloc(sizeof *l + len + name_size)) == NULL) return EDDY_ENOMEM;
  l->post.run = run_letter;
  l->len = len;
  l->name = l->bytes + len;
  if (len > 0) memcpy(l->bytes, bytes, len);
  memcpy(l->name, name, name_size);
  if (send_post(e, &l->post)) return EDDY_OK;
  free(l);
  return EDDY_ECLOSED;
}
