/* SPDX-License-Identifier: MIT */
/*
** Needs: sdl2
**
** A game at sixty frames a second, in a window of SDL's, or without one: SDL_VIDEODRIVER=dummy. Three
** hundred creatures are scripts that wait for frames, seconds and the host's events. On the way one
** script is exchanged while the game runs, the game is paused and slowed down, and a script that
** never waits leaves the frames alone, because it gets slices, and is killed soon. At the end: how
** long the frames took.
**
** The script clock is the game's: eddy_frame moves it, so a pause or slow motion is what the game
** says, and what the creatures do is the same in each run: they never come near the end of a slice.
*/
#include <SDL.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "end.h"

enum { CREATURES = 300, FPS = 60, FRAMES = 150, WIDTH = 640, HEIGHT = 360 };
enum { UPDATE = 0, LATE = 1 }; /* phases of a frame */

static const uint64_t ms = 1000000;

typedef struct game {
  eddy *e;
  eddy_id level, guards;
  double x[CREATURES], y[CREATURES];
  int arrived, woken;  /* counted by scripts */
  double took[FRAMES]; /* ms */
} game;

/* ---- what scripts call ---- */

static game *game_of (lua_State *L) { return eddy_userdata(eddy_of(L)); }

/* place(number, x, y) */
static int l_place (lua_State *L) {
  game *g = game_of(L);
  lua_Integer i = luaL_checkinteger(L, 1);
  luaL_argcheck(L, i >= 1 && i <= CREATURES, 1, "no such creature");
  g->x[i - 1] = luaL_checknumber(L, 2);
  g->y[i - 1] = luaL_checknumber(L, 3);
  return 0;
}

/* count(what) */
static int l_count (lua_State *L) {
  static const char *const names[] = {"arrived", "woken", NULL};
  game *g = game_of(L);
  if (luaL_checkoption(L, 1, NULL, names) == 0) g->arrived++;
  else g->woken++;
  return 0;
}

/* say(text) */
static int l_say (lua_State *L) {
  printf("  %s\n", luaL_checkstring(L, 1));
  return 0;
}

/* ---- scripts ---- */

static const char creature[] =
  "local eddy, number = require 'eddy', ...\n"
  "local x, y = number % 20 * 32, number // 20 * 24\n"
  "place(number, x, y)\n"
  "eddy.sleep(number % 7 / 10)\n" /* seconds */
  "for frame = 1, 30 do\n"        /* frames */
  "  x = x + 20 * eddy.frame() place(number, x, y)\n"
  "end\n"
  "count 'arrived'\n"
  "for _ in eddy.on 'alarm' do count 'woken' end\n"; /* the host's events */

static const char guard_one[] =
  "local eddy = require 'eddy'\n"
  "local _ <close> = eddy.defer(function() say 'the old guard leaves' end)\n"
  "while true do eddy.sleep(0.5) say 'the old guard looks around' end\n";

static const char guard_two[] =
  "local eddy = require 'eddy'\n"
  "while true do eddy.sleep(0.5) say 'the new guard whistles' end\n";

static const char camera[] = "local eddy = require 'eddy'\n"
                             "while true do eddy.frame(1) end\n";

static const char runaway[] =
  "while true do pcall(function() while true do end end) end\n";

static void spawn (
  game *g, eddy_id group, const char *text, const char *name, int number) {
  eddy_spawn_options options = {.size = sizeof options, .group = group, .name = name};
  lua_State *L = eddy_lua(g->e);
  if (luaL_loadbuffer(L, text, strlen(text), name) != LUA_OK) abort();
  lua_pushinteger(L, number);
  if (eddy_spawn(g->e, L, 1, &options, NULL) < 0) abort();
}

static void on_error (
  eddy *e, eddy_id task, int code, const char *message, const char *traceback, void *ud) {
  (void)e, (void)task, (void)code, (void)traceback, (void)ud;
  printf("  stopped: %s\n", message);
}

/* ---- the plot: what happens in which frame ---- */

static void reload_guard (game *g) {
  eddy_group_close(g->e, g->guards, 50 * ms); /* clean-up may run; the rest is killed */
  eddy_group_new(g->e, g->level, &g->guards);
  spawn(g, g->guards, guard_two, "guard", 0);
}

static void follow_plot (game *g, int frame) {
  static double before;
  if (frame == 40) puts("reload"), reload_guard(g);
  if (frame == 80) puts("pause"), eddy_pause(g->e, 1), before = g->x[0];
  if (frame == 90)
    puts(g->x[0] == before ? "nobody moved" : "somebody moved"), eddy_pause(g->e, 0);
  if (frame == 95) puts("slow motion");
  if (frame == 97) puts("runaway"), spawn(g, g->level, runaway, "runaway", 0);
  if (frame == 115) puts("full speed");
  if (frame == 145) puts("alarm"), eddy_emit(g->e, "alarm", NULL, NULL);
}

static uint64_t length_of (int frame) {
  uint64_t dt = 1000 * ms / FPS;
  return frame >= 95 && frame < 115 ? dt / 4 : dt;
}

/* ---- the loop ---- */

static uint64_t now_ns (void) {
  return (uint64_t)((double)SDL_GetPerformanceCounter() * 1e9
    / (double)SDL_GetPerformanceFrequency());
}

static void draw (SDL_Renderer *renderer, const game *g) {
  SDL_SetRenderDrawColor(renderer, 16, 24, 32, 255);
  SDL_RenderClear(renderer);
  SDL_SetRenderDrawColor(renderer, 240, 200, 80, 255);
  for (int i = 0; i < CREATURES; i++) {
    SDL_Rect at = {(int)g->x[i], (int)g->y[i], 6, 6};
    SDL_RenderFillRect(renderer, &at);
  }
  SDL_RenderPresent(renderer);
}

/* At most four milliseconds of scripts in a step, and no script has more than its slice. */
static void run_scripts (game *g, int frame) {
  eddy_frame(g->e, UPDATE, length_of(frame));
  eddy_frame(g->e, LATE, 0);
  eddy_step(g->e, 4 * ms);
}

static bool wants_to_quit (void) {
  SDL_Event event;
  bool quits = false;
  while (SDL_PollEvent(&event)) quits |= event.type == SDL_QUIT;
  return quits;
}

static void play (game *g, SDL_Renderer *renderer) {
  for (int frame = 0; frame < FRAMES && !wants_to_quit(); frame++) {
    uint64_t begin = now_ns(), took;
    follow_plot(g, frame);
    run_scripts(g, frame);
    draw(renderer, g);
    took = now_ns() - begin;
    g->took[frame] = (double)took / 1e6;
    if (took < 1000 * ms / FPS) SDL_Delay((Uint32)((1000 * ms / FPS - took) / ms));
  }
}

static void show_histogram (const game *g) {
  static const double bounds[] = {1, 2, 4, 8, 17, 1e9};
  double from = 0;
  puts("frames by how long they took:");
  for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
    int n = 0;
    for (int frame = 0; frame < FRAMES; frame++)
      n += g->took[frame] >= from && g->took[frame] < bounds[i];
    printf("  from %2.0f ms %4d ", from, n);
    for (int star = 0; star < n; star += 5) putchar('*');
    putchar('\n');
    from = bounds[i];
  }
}

/* ---- life ---- */

static eddy *open_runtime (game *g) {
  eddy_config config;
  eddy *e = NULL;
  eddy_config_init(&config, sizeof config);
  config.clock = EDDY_CLOCK_MANUAL;
  config.slice_ns = 2 * ms;       /* of a frame, then the others get their turns */
  config.kill_after_ns = 20 * ms; /* of CPU time in which a script did not wait */
  config.on_error = on_error;
  config.userdata = g;
  if (eddy_new(&e, NULL, &config) < 0) exit(1);
  lua_register(eddy_lua(e), "place", l_place);
  lua_register(eddy_lua(e), "count", l_count);
  lua_register(eddy_lua(e), "say", l_say);
  return e;
}

static int run_game (game *g, SDL_Renderer *renderer) {
  int killed;
  g->e = open_runtime(g);
  eddy_group_new(g->e, 0, &g->level);
  eddy_group_new(g->e, g->level, &g->guards);
  for (int i = 1; i <= CREATURES; i++) spawn(g, g->level, creature, "creature", i);
  spawn(g, g->guards, guard_one, "guard", 0);
  spawn(g, g->level, camera, "camera", 0);
  play(g, renderer);
  killed = eddy_group_close(g->e, g->level, 50 * ms);
  printf("%d arrived, %d woken; the level is closed, %d killed\n", g->arrived, g->woken,
    killed);
  show_histogram(g);
  return end_runtime(g->e, 0);
}

int main (int argc, char **argv) {
  static game g;
  SDL_Window *window;
  SDL_Renderer *renderer;
  int status = 1;
  (void)argc, (void)argv;
  if (SDL_Init(SDL_INIT_VIDEO) != 0) return 1;
  window = SDL_CreateWindow(
    "eddy", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, WIDTH, HEIGHT, 0);
  renderer = SDL_CreateRenderer(window, -1, SDL_RENDERER_SOFTWARE);
  if (renderer != NULL) status = run_game(&g, renderer);
  else printf("no picture: %s\n", SDL_GetError());
  SDL_DestroyRenderer(renderer);
  SDL_DestroyWindow(window);
  SDL_Quit();
  return status;
}
