/* SPDX-License-Identifier: MIT */
/*
** libuv handles with two owners. The close callback is libuv's last word about a handle; until
** then the block stays, whoever has lost interest.
*/
#include "core/handle.h"

void ed_handle_init (ed_handle *handle, ed_loop *loop, void (*closing)(ed_handle *),
  void (*drop)(ed_handle *)) {
  ed_list_init(&handle->link);
  handle->loop = loop;
  handle->closing = closing;
  handle->drop = drop;
  handle->describe = NULL;
  handle->has_box = true;
  handle->has_engine = handle->is_closing = handle->is_spare = false;
}

void ed_handle_opened (ed_handle *handle) {
  handle->has_engine = true;
  handle->uv.any.data = handle;
  ed_list_append(&handle->loop->handles, &handle->link);
  handle->loop->nhandles++;
}

static void drop_if_free (ed_handle *handle) {
  if (handle->has_engine) return;
  ed_list_remove(&handle->link);
  if (handle->has_box) ed_list_append(&handle->loop->closed, &handle->link);
  else handle->drop(handle);
}

static void on_closed (uv_handle_t *uv) {
  ed_handle *handle = uv->data;
  handle->has_engine = false;
  handle->loop->nhandles--;
  handle->loop->progress++;
  drop_if_free(handle);
}

void ed_handle_close (ed_handle *handle) {
  if (handle->is_closing) return;
  handle->is_closing = true;
  if (handle->closing != NULL) handle->closing(handle);
  if (handle->has_engine) uv_close(&handle->uv.any, on_closed);
  else if (handle->has_box) drop_if_free(handle); /* only to be found at the end */
}

void ed_handle_unbox (ed_handle *handle) {
  if (!handle->has_box) return;
  ed_handle_close(handle);
  handle->has_box = false;
  drop_if_free(handle);
}

void ed_handle_unbox_all (ed_loop *loop) {
  while (!ed_list_is_empty(&loop->closed))
    ed_handle_unbox(ED_OF(loop->closed.next, ed_handle, link));
}
