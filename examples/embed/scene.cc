// SPDX-License-Identifier: MIT
//
// A host in C++17: a runtime that closes itself, results in a std::future, and functions of the host's that
// throw. No exception crosses eddy or Lua, which are C: `guarded` turns one into an error of the script, and
// callbacks are noexcept.
#include <cstdio>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <lua.hpp>

#include "end.h"

namespace {

/// What a script's failure is for C++.
struct script_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A lua_CFunction around `function`, which may throw: the error is raised when no object of C++ lives.
template <int (*function)(lua_State *)> int guarded(lua_State *L) {
  bool failed = false;
  int n = 0;
  try {
    n = function(L);
  } catch (const std::exception &error) {
    lua_pushstring(L, error.what());
    failed = true;
  } catch (...) {
    lua_pushliteral(L, "unknown exception");
    failed = true;
  }
  return failed ? lua_error(L) : n;
}

class runtime {
public:
  runtime() {
    if (int status = eddy_new(&e_, nullptr, nullptr); status < 0) throw std::runtime_error(eddy_strerror(status));
  }
  ~runtime() {
    if (e_ != nullptr) end();
  }
  runtime(const runtime &) = delete;
  runtime &operator=(const runtime &) = delete;

  template <int (*function)(lua_State *)> void define(const char *name) {
    lua_register(eddy_lua(e_), name, guarded<function>);
  }

  /// The first result of `text` as a string; throws what the script raised from `get`.
  std::future<std::string> spawn(std::string_view text) {
    auto promise = std::make_unique<std::promise<std::string>>();
    std::future<std::string> answer = promise->get_future();
    eddy_id id = 0;
    int status = eddy_spawn_buffer(e_, text.data(), text.size(), "=script", nullptr, &id);
    if (status < 0) throw std::runtime_error(eddy_strerror(status));
    if (eddy_task_on_done(e_, id, on_done, promise.get()) == EDDY_OK) promise.release();
    return answer;
  }

  void run() { eddy_run(e_); }

  int end() { return end_runtime(std::exchange(e_, nullptr), 0); }

private:
  // Called once, also when the runtime is closed: here the promise ends.
  static void on_done(eddy *, eddy_id, int status, lua_State *L, int n, void *ud) noexcept {
    std::unique_ptr<std::promise<std::string>> promise(static_cast<std::promise<std::string> *>(ud));
    const char *text = n > 0 ? lua_tostring(L, -n) : nullptr;
    if (status == EDDY_OK) promise->set_value(text != nullptr ? text : "");
    else promise->set_exception(std::make_exception_ptr(script_error(text != nullptr ? text : eddy_strerror(status))));
  }

  eddy *e_ = nullptr;
};

/// find(name) --> string, or throws.
int find(lua_State *L) {
  std::size_t len = 0;
  const char *name = lua_tolstring(L, 1, &len);
  if (name == nullptr) throw std::invalid_argument("find: a name was expected");
  std::string key(name, len);
  if (key != "hero") throw std::out_of_range("nobody is called " + key);
  lua_pushstring(L, ("the " + key).c_str());
  return 1;
}

void show(std::future<std::string> &answer) {
  try {
    std::printf("%s\n", answer.get().c_str());
  } catch (const script_error &error) {
    std::printf("failed: %s\n", error.what());
  }
}

int play() {
  runtime scene;
  scene.define<find>("find");
  auto good = scene.spawn("local eddy = require 'eddy' eddy.sleep(0.01) return find 'hero'");
  auto caught = scene.spawn("local ok, err = pcall(find, 'ghost') return 'caught: ' .. err");
  auto failed = scene.spawn("require('eddy').sleep(0.005) return find {}");
  scene.run();
  show(good);
  show(caught);
  show(failed);
  auto cut = scene.spawn("require('eddy').sleep(math.huge)");
  {
    runtime other;                       // leaves the block with a task that waits: it is told, once
    auto never = other.spawn("require('eddy').sleep(math.huge)");
    static_cast<void>(never);
  }
  int status = scene.end();
  show(cut);
  return status;
}

} // namespace

int main() {
  try {
    return play();
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
