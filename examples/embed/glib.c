/* SPDX-License-Identifier: MIT */
/*
** Needs: glib-2.0
**
** An application around GLib's main loop, as those with GTK are: a GSource of thirty lines polls
** eddy's descriptor, knows the next timeout, and makes a step when there is something to do.
*/
#include <glib.h>
#include <string.h>

#include "end.h"

typedef struct eddy_source {
  GSource source; /* first */
  eddy *e;
  GMainLoop *loop;
  gpointer fd;
} eddy_source;

/* How long may GLib poll? Milliseconds, rounded up. */
static gboolean prepare (GSource *source, gint *timeout) {
  int64_t ns = eddy_next_timeout_ns(((eddy_source *)source)->e);
  *timeout = ns < 0 ? -1 : (gint)((ns + 999999) / 1000000);
  return ns == 0;
}

static gboolean check (GSource *source) {
  eddy_source *s = (eddy_source *)source;
  return g_source_query_unix_fd(source, s->fd) != 0 || eddy_next_timeout_ns(s->e) == 0;
}

/* At most two milliseconds of scripts, then it is GLib's turn again. */
static gboolean dispatch (GSource *source, GSourceFunc callback, gpointer ud) {
  eddy_source *s = (eddy_source *)source;
  (void)callback, (void)ud;
  if (eddy_step(s->e, 2000000) != EDDY_IDLE) return G_SOURCE_CONTINUE;
  g_main_loop_quit(s->loop);
  return G_SOURCE_REMOVE;
}

static GSourceFuncs functions = {prepare, check, dispatch, NULL, NULL, NULL};

static GSource *attach (eddy *e, GMainLoop *loop) {
  GSource *source = g_source_new(&functions, sizeof(eddy_source));
  eddy_source *s = (eddy_source *)source;
  s->e = e;
  s->loop = loop;
  s->fd = g_source_add_unix_fd(source, eddy_backend_fd(e), G_IO_IN);
  g_source_attach(source, NULL);
  return source;
}

static const char script[] =
  "local eddy = require 'eddy'\n"
  "eddy.gather(function()\n"
  "  for i, seconds in ipairs {0.001, 0.2, 0} do print('script', i) eddy.sleep(seconds) "
  "end\n"
  "end, function()\n"
  "  for name in eddy.on('pressed') do print('pressed', name) break end\n"
  "end)\n";

static gboolean press (gpointer e) {
  eddy_post(e, "pressed", "OK", 2);
  return G_SOURCE_REMOVE;
}

int main (void) {
  GMainLoop *loop = g_main_loop_new(NULL, FALSE);
  GSource *source;
  eddy *e;
  if (eddy_new(&e, NULL, NULL) < 0) return 1;
  source = attach(e, loop);
  eddy_spawn_buffer(e, script, strlen(script), "=script", NULL, NULL);
  g_timeout_add(100, press, e); /* the application's own */
  g_main_loop_run(loop);
  puts("GLib's loop has ended");
  g_source_unref(source);
  g_main_loop_unref(loop);
  return end_runtime(e, 0);
}
