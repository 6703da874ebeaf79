# Build, test and install eddy. `make help` lists what can be asked for.
#
# One file, no recursion but one: when something this build needs is missing, the first pass only
# runs tools/setup.sh and then enters make again (see "Set-up"). Sources are found by wildcard and
# everything generated lives under build/. Written for GNU make 3.81 and later.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
B      := build
PREFIX ?= /usr/local

empty  :=
space  := $(empty) $(empty)
UNAME  := $(shell uname -s)
Q      := $(if $(V),,@)
say     = @printf '  %-8s %s\n' '$(1)' '$(2)'

# What can be left out: make TLS=0 needs no OpenSSL, make HTTP=0 no zlib.
TLS    ?= 1
HTTP   ?= 1

# ---- What the system offers ------------------------------------------------------------------

# LIBUV_DIR, OPENSSL_DIR and ZLIB_DIR come from luarocks or from the caller. $(shell) does not see
# exported variables before make 4.4, so the search path stands on each command itself.
PC_DIRS := $(subst $(space),,$(foreach d,LIBUV OPENSSL ZLIB,$(if $(strip $($(d)_DIR)),$($(d)_DIR)/lib/pkgconfig:)))
ifeq ($(UNAME),Darwin)
BREW    := $(shell brew --prefix 2>/dev/null)
PC_DIRS := $(PC_DIRS)$(BREW)/opt/openssl@3/lib/pkgconfig:$(BREW)/opt/lua@5.4/lib/pkgconfig:$(BREW)/opt/zlib/lib/pkgconfig:
endif
PKGC   := PKG_CONFIG_PATH="$(PC_DIRS)$$PKG_CONFIG_PATH" $(if $(PKG_CONFIG),$(PKG_CONFIG),pkg-config)

# Plain `lua` is often another version, so it is asked last. Say LUA_PC=lua5.5 LUA=lua5.5 to choose.
LUA_PC ?= $(firstword $(shell for p in lua5.4 lua-5.4 lua54 lua5.5 lua-5.5 lua55 lua; do \
	$(PKGC) --exists "$$p >= 5.4.4" 2>/dev/null && echo $$p && break; done))
LUA    ?= $(firstword $(shell for l in lua5.4 lua-5.4 lua54 lua5.5 lua-5.5 lua55 lua; do \
	$$l -e 'assert(_VERSION > "Lua 5.3")' >/dev/null 2>&1 && echo $$l && break; done) lua5.4)
LUAROCKS ?= $(firstword $(shell command -v luarocks-5.4 || command -v luarocks5.4) luarocks-5.4)
LUA_PC := $(LUA_PC)
LUA    := $(LUA)
LUAROCKS := $(LUAROCKS)
LUA_V  := $(if $(filter %5.5 %55,$(LUA_PC)),5.5,5.4)

# ---- Set-up ----------------------------------------------------------------------------------

# Each goal needs some of the sets that tools/setup.sh knows. The rock never installs packages.
GOALS  := $(if $(MAKECMDGOALS),$(MAKECMDGOALS),all)
BARE   := clean help uninstall
NEEDS  := $(if $(filter-out $(BARE),$(GOALS)),build) $(if $(filter test sanitize valgrind stress tsan,$(GOALS)),test) \
	$(if $(filter valgrind,$(GOALS)),valgrind) \
	$(if $(filter check check-% lint format,$(GOALS)),check) $(if $(filter fuzz,$(GOALS)),fuzz) $(if $(filter bench,$(GOALS)),bench)
IS_ROCK := $(filter rock rock-install,$(GOALS))
PROBE  := TLS=$(TLS) HTTP=$(HTTP) PKG_CONFIG_PATH="$(PC_DIRS)$$PKG_CONFIG_PATH" CC="$(CC)" LUA="$(LUA)" LUA_PC="$(LUA_PC)" \
	LUA_INCDIR="$(LUA_INCDIR)" LUA_LIBS="$(LUA_LIBS)" LUAROCKS="$(LUAROCKS)" $(if $(PKG_CONFIG),PKG_CONFIG="$(PKG_CONFIG)") sh tools/setup.sh
MISSING := $(if $(strip $(NEEDS)),$(strip $(shell $(PROBE) missing $(if $(IS_ROCK),rock,$(NEEDS)))))

ifneq ($(MISSING),)
ifneq ($(IS_ROCK),)
$(error eddy needs $(MISSING); install it with your package manager (a rock does not do that for you))
endif
ifdef EDDY_AFTER_SETUP
$(error set-up ran but this is still missing: $(MISSING))
endif

.PHONY: $(filter-out clean help,$(GOALS)) setup
$(filter-out clean help,$(GOALS)): setup
	@:
setup:
	@$(PROBE) install $(NEEDS)
	@$(MAKE) --no-print-directory EDDY_AFTER_SETUP=1 $(GOALS)

else

# ---- Flags -----------------------------------------------------------------------------------

CFLAGS  ?= -O2 -g
CLANG   ?= clang
CLANG_FORMAT ?= clang-format
# -nodelete: lua_close unloads C modules, and a pool thread may still be running our code then.
ifeq ($(UNAME),Darwin)
LIBFLAG ?= -bundle -undefined dynamic_lookup
SO_LD   :=
EXE_LD  :=
WHOLE   := -Wl,-all_load
NOT_WHOLE :=
else
LIBFLAG ?= -shared
SO_LD   := -Wl,-z,nodelete -Wl,-z,relro -Wl,-z,now
EXE_LD  := -Wl,-E -Wl,-z,relro -Wl,-z,now
WHOLE   := -Wl,--whole-archive
NOT_WHOLE := -Wl,--no-whole-archive
endif

WARN    := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-align -Wwrite-strings -Wundef -Wvla \
	-Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition -Wredundant-decls $(if $(WERROR),-Werror)
LUA_CFLAGS := $(if $(strip $(LUA_INCDIR)),-I$(LUA_INCDIR),$(if $(LUA_PC),$(shell $(PKGC) --cflags $(LUA_PC))))
LUA_LIBS ?= $(if $(LUA_PC),$(shell $(PKGC) --libs $(LUA_PC) 2>/dev/null)) -lm
LUA_LIBS := $(LUA_LIBS)
# Taken when they are there: body codings (brotli, zstd) and the list of public suffixes (libpsl).
EXTRA   := $(foreach p,$(if $(filter 0,$(HTTP)),,libbrotlidec libzstd libpsl),$(shell $(PKGC) --exists $(p) 2>/dev/null && echo $(p)))
EXTRA   := $(EXTRA)
EXTRA_D := $(if $(filter libbrotlidec,$(EXTRA)),-DED_HAVE_BROTLI) $(if $(filter libzstd,$(EXTRA)),-DED_HAVE_ZSTD) \
	$(if $(filter libpsl,$(EXTRA)),-DED_HAVE_PSL) \
	$(if $(filter 0,$(TLS)),-DEDDY_NO_TLS) $(if $(filter 0,$(HTTP)),-DEDDY_NO_HTTP)
SYSTEM  := libuv $(if $(filter 0,$(TLS)),,openssl) $(if $(filter 0,$(HTTP)),,zlib) $(EXTRA)
SYSTEM  := $(strip $(SYSTEM))
LIBS    := $(shell $(PKGC) --libs $(SYSTEM))
# gnu11, not c11: uv.h wants the POSIX types that a strict mode hides.
COMMON  := -std=gnu11 -fPIC -fvisibility=hidden -pthread $(WARN) -Icsrc $(CPPFLAGS) \
	$(EXTRA_D) $(LUA_CFLAGS) $(shell $(PKGC) --cflags $(SYSTEM))
HARDEN  := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TSAN    := -fsanitize=thread -fno-omit-frame-pointer

# A task switch crosses half a dozen of our files and a dozen functions of Lua: letting the linker
# inline the first and calling the others without a stub makes it about a seventh cheaper. Objects
# in the archive are "fat", so that a host may link it without knowing of this.
FAST    := $(shell for f in -fno-plt '-flto=auto -ffat-lto-objects'; do \
	echo 'int x;' | $(CC) -Werror $$f -xc -c -o /dev/null - >/dev/null 2>&1 && echo "$$f"; done)

CC_plain     := $(CC)
CFLAGS_plain := $(COMMON) $(HARDEN) $(FAST) $(CFLAGS)
LD_plain     := $(FAST)
CC_asan      := $(CC)
# Blocks that eddy keeps for reuse would hide a use after free.
CFLAGS_asan  := $(COMMON) -O1 -g -DED_DEBUG=1 -DED_MEM_KEEP=0 $(SANITIZE)
LD_asan      := $(SANITIZE)
CC_tsan      := $(CC)
CFLAGS_tsan  := $(COMMON) -O1 -g -DED_DEBUG=1 $(TSAN)
LD_tsan      := $(TSAN)
CC_memcheck     := $(CC)
CFLAGS_memcheck := $(COMMON) -O1 -g -DED_DEBUG=1 -DED_MEM_KEEP=0
LD_memcheck     :=
CXX_COMMON    := -std=c++17 -Wall -Wextra $(if $(WERROR),-Werror) -pthread -Icsrc $(CPPFLAGS) $(LUA_CFLAGS)
CXXFLAGS_plain := $(CFLAGS)
CXXFLAGS_asan  := -O1 -g $(SANITIZE)
CXXFLAGS_tsan  := -O1 -g $(TSAN)
CC_fuzz      := $(CLANG)
CFLAGS_fuzz  := $(COMMON) -O1 -g -DED_DEBUG=1 -fsanitize=fuzzer-no-link $(SANITIZE)
LD_fuzz      := -fsanitize=fuzzer $(SANITIZE)

# ---- Sources ---------------------------------------------------------------------------------

LUA_FILES := $(sort $(wildcard lua/*/*.lua lua/*/*/*.lua lua/*/*/*/*.lua))
NOT_TLS   := $(if $(filter 0,$(TLS)),csrc/proto/tls%.c csrc/io/tls%.c)
NOT_HTTP  := $(if $(filter 0,$(HTTP)),csrc/io/http_%.c csrc/io/file.c csrc/proto/http1.c csrc/proto/chunked.c csrc/proto/coding.c \
	csrc/bind/coding_lua.c csrc/bind/psl_lua.c)
EVERY_C   := $(sort $(filter-out csrc/main.c,$(wildcard csrc/*.c csrc/*/*.c)))
LIB_C     := $(filter-out $(NOT_TLS) $(NOT_HTTP),$(EVERY_C))
MODULE_C  := $(filter-out csrc/preload.c csrc/host/attach.c csrc/host/sandbox.c,$(LIB_C))
PURE_C    := $(filter csrc/base/%.c csrc/proto/%.c,$(LIB_C))
OUR_C     := $(sort $(wildcard csrc/*.[ch] csrc/*/*.[ch]))
ALL_C     := $(OUR_C) $(sort $(wildcard examples/embed/*.[ch] spec/c/*.[ch] spec/host/*.[ch] spec/fuzz/*.[ch] spec/support/*.[ch] spec/sweep/*.[ch] bench/*.[ch] bench/*/*.[ch]))
ALL_LUA   := $(LUA_FILES) $(sort $(wildcard tools/*.lua spec/*.lua spec/*/*.lua spec/*/*/*.lua bench/*.lua bench/*/*.lua examples/*.lua examples/*/*.lua))
PAGES     := $(sort $(wildcard README.md docs/*.md docs/*/*.md docs/*/*/*.md))
EXAMPLES  := $(sort $(wildcard examples/*.lua))
C_TESTS   := $(sort $(basename $(wildcard spec/c/*_test.c spec/host/*_test.c)))
# Hosts say in their first lines what they need ("** Needs: sdl2") and where they work ("** System:").
ALL_HOSTS := $(sort $(wildcard examples/embed/*.c examples/embed/*.cc))
host_needs = sed -n 's,^\*\* Needs: ,,p'
HOSTS     := $(basename $(shell for f in $(ALL_HOSTS); do need=$$($(host_needs) $$f); on=$$(sed -n 's,^\*\* System: ,,p' $$f); \
	[ "$${on:-$(UNAME)}" = $(UNAME) ] || continue; [ -z "$$need" ] || $(PKGC) --exists $$need || continue; \
	case $$f in (*.cc) command -v $(firstword $(CXX)) >/dev/null || continue ;; esac; echo $$f; done))
# llhttp's sources, where a package of the system brings them (Debian: node-llhttp): only to compare with.
LLHTTP    ?= $(patsubst %/,%,$(dir $(firstword $(wildcard /usr/share/llhttp/llhttp.c /usr/local/share/llhttp/llhttp.c))))
LLHTTP_C  := $(if $(LLHTTP),$(wildcard $(LLHTTP)/*.c))
LLHTTP_I   = $(if $(findstring fuzz_llhttp,$@),-w -DLLHTTP_STRICT_MODE=1 -I$(LLHTTP)/../include/llhttp)
FUZZERS   := $(filter-out $(if $(LLHTTP),,spec/fuzz/fuzz_llhttp),$(sort $(basename $(wildcard spec/fuzz/fuzz_*.c))))
BENCH_C   := $(sort $(basename $(wildcard bench/*.c)))

# ---- Building --------------------------------------------------------------------------------

# Two memories: objects depend on their flags, archives and links on the list of files. They are
# written only when they change, so that a changed flag or a removed file rebuilds what it must.
remember = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' > $@
$(B)/files.txt: FORCE
	$(call remember,$(LIB_C) $(LUA_FILES))

# The same rules once for each way of compiling: (1) folder, (2) suffix of CFLAGS_ and LD_.
define variant
$(1)/obj/%.o: csrc/%.c $(1)/flags.txt
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -MMD -MP -c $$< -o $$@

$(1)/obj/bundle.o: $(B)/bundle.c $(1)/flags.txt
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -MMD -MP -c $$< -o $$@

$(1)/lib/libeddy.a: $(LIB_C:csrc/%.c=$(1)/obj/%.o) $(1)/obj/bundle.o $(B)/files.txt
	$$(call say,AR,$$@)
	$(Q)mkdir -p $$(@D) && rm -f $$@ && $(AR) rcs $$@ $$(filter %.o,$$^)

$(1)/lib/libpure.a: $(PURE_C:csrc/%.c=$(1)/obj/%.o) $(B)/files.txt
	$$(call say,AR,$$@)
	$(Q)mkdir -p $$(@D) && rm -f $$@ && $(AR) rcs $$@ $$(filter %.o,$$^)

$(1)/eddy/core.so: $(MODULE_C:csrc/%.c=$(1)/obj/%.o) $(B)/files.txt
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $(LIBFLAG) -o $$@ $$(filter %.o,$$^) $$(LD_$(2)) $(SO_LD) $(LDFLAGS) $(LIBS)

$(1)/all/eddy.so: $(1)/lib/libeddy.a
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $(LIBFLAG) -o $$@ $(WHOLE) $$< $(NOT_WHOLE) $$(LD_$(2)) $(SO_LD) $(LDFLAGS) $(LIBS)

$(1)/bin/eddy: $(1)/obj/main.o $(1)/lib/libeddy.a
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) -o $$@ $$^ $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

$(1)/bin/lua: spec/support/lua.c $(1)/lib/libeddy.a
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -o $$@ $$^ $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

$(1)/bin/sweep: spec/sweep/driver.c $(1)/lib/libeddy.a
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -MMD -MP -o $$@ $$(filter %.c %.a,$$^) $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

$(1)/spec/c/%_test: spec/c/%_test.c $(1)/lib/libpure.a
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -Ispec/c -MMD -MP $$< $(1)/lib/libpure.a -o $$@ $$(LD_$(2)) $(LDFLAGS) $(LIBS) -lm

$(1)/spec/host/%_test: spec/host/%_test.c $(1)/lib/libeddy.a
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -Ispec/c -MMD -MP $$< $(1)/lib/libeddy.a -o $$@ $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

$(1)/examples/embed/%: examples/embed/%.c $(1)/lib/libeddy.a
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)need=$$$$($(host_needs) $$<) && $$(CC_$(2)) $$(CFLAGS_$(2)) $$$$([ -z "$$$$need" ] || $(PKGC) --cflags $$$$need | sed 's,-I,-isystem ,g') \
		-MMD -MP $$< $(1)/lib/libeddy.a -o $$@ $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $$$$([ -z "$$$$need" ] || $(PKGC) --libs $$$$need) $(LIBS) $(LUA_LIBS)

$(1)/examples/embed/%: examples/embed/%.cc $(1)/lib/libeddy.a
	$$(call say,CXX,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$(CXX) $(CXX_COMMON) $$(CXXFLAGS_$(2)) -MMD -MP $$< $(1)/lib/libeddy.a -o $$@ $$(LD_$(2)) $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

$(1)/spec/fuzz/fuzz_%: spec/fuzz/fuzz_%.c spec/fuzz/replay.c $(1)/lib/libpure.a
	$$(call say,CC,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$$(CC_$(2)) $$(CFLAGS_$(2)) -Ispec/fuzz $$(LLHTTP_I) $$(filter %.c,$$^) $(1)/lib/libpure.a -o $$@ $$(LD_$(2)) $(LDFLAGS) $(LIBS) -lm

$(1)/flags.txt: FORCE
	$$(call remember,$$(CC_$(2)) $$(CFLAGS_$(2)) $$(LD_$(2)) $$(LIBFLAG) $$(LDFLAGS) $$(LIBS) $$(LUA_LIBS))
endef

$(B)/spec/fuzz/fuzz_llhttp $(B)/asan/spec/fuzz/fuzz_llhttp $(B)/fuzz/bin/fuzz_llhttp: $(LLHTTP_C)
$(eval $(call variant,$(B),plain))
$(eval $(call variant,$(B)/asan,asan))
$(eval $(call variant,$(B)/tsan,tsan))
$(eval $(call variant,$(B)/memcheck,memcheck))
$(eval $(call variant,$(B)/rock,plain))
$(eval $(call variant,$(B)/fuzz,fuzz))
.SECONDARY:
-include $(shell find $(B) -name '*.d' -not -path '$(B)/install/*' 2>/dev/null)

# What only an editor reads is not carried along.
BUNDLED := $(filter-out lua/eddy/types/%,$(LUA_FILES))
$(B)/bundle.c: tools/embed.lua $(BUNDLED) $(B)/files.txt
	$(call say,EMBED,$@)
	$(Q)$(LUA) tools/embed.lua lua $(BUNDLED) > $@

.PHONY: FORCE all module program single amalgamation
all: module program ## build the module, the archive and the program (the default)
module: $(B)/eddy/core.so ## just build/eddy/core.so
single: $(B)/all/eddy.so ## build/all/eddy.so: one module with the Lua files inside
amalgamation: $(B)/amalgamation/eddy.c ## build/amalgamation: the library as eddy.c and eddy.h
$(B)/amalgamation/eddy.c: tools/amalgamate.lua tools/csource.lua $(B)/bundle.c $(OUR_C)
	$(call say,JOIN,$@)
	$(Q)mkdir -p $(@D) && cp csrc/eddy.h $(@D)/eddy.h
	$(Q)$(LUA) tools/amalgamate.lua $(B)/bundle.c $(EVERY_C) > $@
program: $(B)/bin/eddy $(B)/lib/libeddy.a ## just build/bin/eddy and build/lib/libeddy.a

# ---- Trying ----------------------------------------------------------------------------------

SAN_ENV   = EDDY_PROGRAM=$(abspath $(B))/asan/bin/eddy ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=print_stacktrace=1
ENV      := LUA_PATH="$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;" LUA_CPATH="$(abspath $(B))/?.so;;" \
	EDDY_PROGRAM="$(abspath $(B))/bin/eddy"
# With SPEC=word only the specs, and the C tests, whose names hold it.
PICKED   := $(foreach t,$(C_TESTS) $(FUZZERS),$(if $(SPEC),$(if $(findstring $(SPEC),$(t)),$(t)),$(t)))
PICKED_C := $(filter spec/c/% spec/host/%,$(PICKED))
PICKED_F := $(filter spec/fuzz/%,$(PICKED))
corpus    = $(wildcard spec/fuzz/corpus/$(1:spec/fuzz/fuzz_%=%)/*)

# It compares its own events with those of the plain build.
JOURNAL  := spec/host/journal_test

# Parts for tools/suite.lua. (1) is the folder of the built programs, or the Lua that runs the specs.
native_parts = $(foreach t,$(PICKED_C),'$(t)=$(1)/$(t)$(if $(filter $(JOURNAL),$(t)), $(B)/$(t))') $(foreach t,$(PICKED_F),'$(t)=$(1)/$(t) $(call corpus,$(t))')
spec_part    = 'spec=$(1) spec/run.lua $(SPEC)'
# Every scenario under every driver, at some points; `make stress` does all.
sweep_part   = $(if $(SPEC),$(if $(findstring sweep,$(SPEC)),'sweep=$(1)/bin/sweep spec/sweep/run.lua'),'sweep=$(1)/bin/sweep spec/sweep/run.lua')
PAGE_PARTS   = $(if $(PAGES),'pages=$(LUA) tools/doc_blocks.lua $(B)/pages $(PAGES)')
JOIN_PART    = 'amalgamation=CC="$(CC)" sh tools/try_amalgamation.sh $(B) $(LUA_PC)'
HEADER_PART  = 'header=CC="$(CC)" CXX="$(CXX)" sh tools/try_header.sh $(B) "$(LUA_CFLAGS)" docs/guide/embedding.md'
host_part    = 'hosts=$(LUA) tools/hosts.lua $(1) $(ALL_HOSTS)'
EXAMPLE_PART = $(if $(EXAMPLES),'examples=$(LUA) tools/examples.lua $(EXAMPLES)')
USER_PARTS   = 'install=sh tools/try_install.sh $(MAKE) $(LUA) $(abspath $(B))' 'rock=sh tools/try_rock.sh $(LUAROCKS) $(LUA) $(abspath $(B))'

.PHONY: demo test sanitize valgrind stress tsan fuzz bench examples
demo: program ## run the demonstration: examples/crawl.lua, with ARGS="..." if you like
	$(Q)$(B)/bin/eddy examples/crawl.lua $(ARGS)

test: all $(B)/bin/sweep $(PICKED:%=$(B)/%) $(if $(SPEC),,$(HOSTS:%=$(B)/%) amalgamation single) ## run every test; SPEC=io/stream for some
	$(Q)$(ENV) $(LUA) tools/suite.lua $(if $(SPEC),--some) $(call native_parts,$(B)) $(call spec_part,$(LUA)) $(call sweep_part,$(B)) \
		$(if $(SPEC),,$(PAGE_PARTS) $(HEADER_PART) $(JOIN_PART) $(call host_part,$(B)) $(EXAMPLE_PART) $(USER_PARTS))

sanitize: $(B)/asan/bin/lua $(B)/asan/bin/eddy $(B)/asan/bin/sweep $(PICKED:%=$(B)/asan/%) $(filter $(JOURNAL:%=$(B)/%),$(PICKED:%=$(B)/%)) $(if $(SPEC),,$(HOSTS:%=$(B)/asan/%)) ## tests under ASan and UBSan, leaks included
	$(Q)$(ENV) $(SAN_ENV) $(LUA) tools/suite.lua $(if $(SPEC),--some) \
		$(call native_parts,$(B)/asan) $(call spec_part,$(B)/asan/bin/lua) $(call sweep_part,$(B)/asan) $(if $(SPEC),,$(call host_part,$(B)/asan))

# What ASan cannot see: values that nobody has set. Programs that the tests start run without it. It is some
# 20 times slower, so without SPEC it is these, and the C tests, but for the two about time that is computed away.
MEMCHECK ?= core/ sync/ conformance/ regress/ io/ http/client host/
VALGRIND ?= valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
	--errors-for-leak-kinds=definite --num-callers=30 $(VALGRIND_OPTIONS)
CHECKED_C := $(filter-out spec/host/overrun_test spec/host/sandbox_test,$(PICKED_C))
valgrind: $(B)/memcheck/bin/lua $(B)/memcheck/bin/eddy $(CHECKED_C:%=$(B)/memcheck/%) ## kernel, streams and the C tests under valgrind; SPEC=... for others
	$(Q)$(ENV) EDDY_PROGRAM=$(abspath $(B))/memcheck/bin/eddy EDDY_PART_TIMEOUT=$(PART_TIME) $(LUA) tools/suite.lua --some \
		$(foreach t,$(CHECKED_C),'$(t)=$(VALGRIND) $(B)/memcheck/$(t)') \
		'spec=$(VALGRIND) $(B)/memcheck/bin/lua spec/run.lua --patience=20 $(or $(SPEC),$(MEMCHECK))'

# SEEDS random models of STEPS steps, REQUESTS random requests over one pool, and the sweeps at every point: a
# quarter of an hour, several times that with SAN=1. SEEDS=2 REQUESTS=20000 halves it. A part that takes longer
# than PART_TIME seconds is stopped and has failed, so that the whole takes seven times that at most.
PART_TIME ?= 7200
STEPS ?= 200
SEEDS ?= 20
REQUESTS ?= 1000000
STRESS_B := $(B)$(if $(SAN),/asan)
stress: $(STRESS_B)/bin/lua $(STRESS_B)/bin/eddy $(STRESS_B)/bin/sweep $(STRESS_B)/spec/host/race_test ## sweep every scenario at every point, and random models; SAN=1 under ASan and UBSan
	$(Q)$(ENV) $(if $(SAN),$(SAN_ENV)) EDDY_PART_TIMEOUT=$(PART_TIME) $(LUA) tools/suite.lua \
		'models=$(STRESS_B)/bin/lua spec/stress/kernel_stress.lua $(SEEDS) $(STEPS)' \
		'http=$(STRESS_B)/bin/lua spec/stress/http_stress.lua $(REQUESTS)' \
		'sweep=$(STRESS_B)/bin/sweep spec/sweep/run.lua --all $(SWEEP)' \
		'race=EDDY_COMPLETIONS=1000000 $(STRESS_B)/spec/host/race_test' \
		$(foreach d,cancel kill abandon,'specs-$d=$(STRESS_B)/bin/lua spec/run.lua --$d=3 core/ sync/ io/')

# Fixed addresses: older runtimes of the sanitizer do not know the newer layouts of Linux.
FIXED := $(shell setarch -R true 2>/dev/null && echo setarch -R)
# RACES processes of 20 000 operations: the sanitizer keeps about 20 KB of each until its process ends.
RACES ?= 1
RACE_TEST := spec/host/race_test
tsan: $(B)/tsan/bin/lua $(B)/tsan/bin/eddy $(B)/tsan/$(RACE_TEST) ## the races of threads under TSan; EDDY_ROUNDS=1000 RACES=50 for long
	$(Q)$(ENV) EDDY_PROGRAM=$(abspath $(B))/tsan/bin/eddy TSAN_OPTIONS="halt_on_error=0 exitcode=66 $(TSAN_OPTIONS)" \
		$(LUA) tools/suite.lua --some 'spec=$(FIXED) $(B)/tsan/bin/lua spec/run.lua $(if $(SPEC),$(SPEC),offload/races watchdog/races)' \
		$(if $(SPEC),,'race=for i in $$(seq $(RACES)); do EDDY_COMPLETIONS=20000 $(FIXED) $(B)/tsan/$(RACE_TEST) || exit 1; done')

FUZZTIME ?= 60
fuzz: module $(FUZZERS:spec/fuzz/%=$(B)/fuzz/bin/%) ## each fuzz target, in C and in Lua, for FUZZTIME=60 seconds
	$(Q)$(ENV) $(LUA) spec/fuzz/lua/run.lua $(FUZZTIME)
	$(Q)for t in $(FUZZERS:spec/fuzz/fuzz_%=%); do \
		mkdir -p $(B)/fuzz/corpus/$$t spec/fuzz/corpus/$$t; \
		$(B)/fuzz/bin/fuzz_$$t -max_total_time=$(FUZZTIME) -print_final_stats=1 -artifact_prefix=$(B)/fuzz/$$t- \
			$(B)/fuzz/corpus/$$t spec/fuzz/corpus/$$t || exit 1; \
	done
$(B)/fuzz/bin/fuzz_%: spec/fuzz/fuzz_%.c $(B)/fuzz/lib/libpure.a
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC_fuzz) $(CFLAGS_fuzz) -Ispec/fuzz $(LLHTTP_I) $^ -o $@ $(LD_fuzz) $(LDFLAGS) $(LIBS) -lm

bench: all $(BENCH_C:%=$(B)/%) ## compare with libuv in C and with other libraries; ARGS="..." for some
	$(Q)$(ENV) $(LUA) bench/run.lua $(ARGS)
$(B)/bench/%: bench/%.c $(B)/lib/libeddy.a
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_plain) $^ -o $@ $(EXE_LD) $(LDFLAGS) $(LIBS) $(LUA_LIBS)

.PHONY: interop
interop: program ## our client and server with nginx, curl, wrk, h2load, Python and a browser (installs what it can)
	$(Q)sh tools/interop.sh $(abspath $(B))/bin/eddy

# What the hosts need beyond eddy is asked for here only, and they are left out where it is not to be had.
.PHONY: run-examples
examples: ## run the examples, in Lua and in C, and compare their output (installs SDL2 and GLib)
	$(Q)$(PROBE) try examples
	$(Q)$(MAKE) --no-print-directory run-examples
run-examples: program $(HOSTS:%=$(B)/%)
	$(Q)$(ENV) $(LUA) tools/suite.lua $(EXAMPLE_PART) $(call host_part,$(B))

# ---- Looking ---------------------------------------------------------------------------------

FORMATTED := $(OUR_C) $(filter spec/% examples/%,$(ALL_C))

CHECKS    := check-format check-luacheck check-floors check-colours check-sizes check-rockspec check-stubs check-reference check-conformance check-man

.PHONY: check lint format reference $(CHECKS)
check: $(CHECKS) ## formatting, luacheck and the house's own lints (-k: all of them)

check-format:
	$(call say,CHECK,formatting)
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)
check-luacheck:
	$(call say,CHECK,luacheck)
	$(Q)luacheck -q --no-color $(ALL_LUA)
check-floors:
	$(call say,CHECK,floors)
	$(Q)$(LUA) tools/floors.lua $(OUR_C) $(LUA_FILES)
check-colours:
	$(call say,CHECK,colours)
	$(Q)$(LUA) tools/colours.lua $(OUR_C)
check-sizes:
	$(call say,CHECK,sizes)
	$(Q)$(LUA) tools/sizes.lua $(ALL_C) $(ALL_LUA)
check-stubs: module
	$(call say,CHECK,stubs)
	$(Q)$(ENV) $(LUA) tools/stubs.lua $(LUA_FILES)
check-reference:
	$(call say,CHECK,reference)
	$(Q)$(LUA) tools/reference.lua --check
check-man:
	$(call say,CHECK,manual page)
	$(Q)$(LUA) tools/manpage.lua docs/man/eddy.1 lua/eddy/cli.lua
check-conformance:
	$(call say,CHECK,conformance)
	$(Q)$(LUA) tools/conformance.lua $(wildcard spec/conformance/*_spec.lua spec/host/conformance_*_test.c spec/host/journal_test.c)
check-rockspec:
	$(call say,CHECK,rockspec)
	$(Q)$(LUA) tools/rockspec.lua rockspec/eddy-scm-1.rockspec $(LUA_FILES)
	$(Q)$(LUAROCKS) lint rockspec/eddy-scm-1.rockspec

lint: ## slower opinions: clang-tidy and cppcheck, where they are installed
	$(Q)if command -v clang-tidy >/dev/null; then clang-tidy --quiet $(LIB_C) -- $(COMMON); \
		else echo "  clang-tidy is not installed: skipped"; fi
	$(Q)if command -v cppcheck >/dev/null; then cppcheck --quiet --std=c11 --enable=warning,portability \
		--inline-suppr --error-exitcode=1 -Icsrc csrc; else echo "  cppcheck is not installed: skipped"; fi

reference: ## make docs/reference from the annotations
	$(Q)mkdir -p docs/reference
	$(Q)$(LUA) tools/reference.lua

format: ## lay out the C files as .clang-format says
	$(Q)$(CLANG_FORMAT) -i $(FORMATTED)

# ---- Installing ------------------------------------------------------------------------------

LUA_DIR := $(PREFIX)/share/lua/$(LUA_V)
MOD_DIR := $(PREFIX)/lib/lua/$(LUA_V)/eddy
VERSION := $(firstword $(shell sed -n 's/^.define EDDY_VERSION "\(.*\)"/\1/p' csrc/eddy.h 2>/dev/null) 0)
PUT     := sh -c 'mkdir -p "$$(dirname "$$3")" && cp "$$2" "$$3" && chmod "$$1" "$$3"' put

$(B)/eddy.pc: $(B)/flags.txt Makefile $(wildcard csrc/eddy.h) FORCE
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$${prefix}/include' 'libdir=$${prefix}/lib' '' 'Name: eddy' \
		'Description: Async scripting on Lua coroutines' 'Version: $(VERSION)' \
		'Requires: $(LUA_PC) $(SYSTEM)' 'Libs: -L$${libdir} -leddy' 'Cflags: -I$${includedir}' > $@

# Files with @NAME@ in them.
$(B)/share/%: $(B)/flags.txt Makefile $(wildcard csrc/eddy.h) FORCE
	$(Q)mkdir -p $(@D)
	$(Q)sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SYSTEM@|$(SYSTEM)|g' -e 's|@LUA_PC@|$(LUA_PC)|g' $(firstword $(wildcard tools/$*.in docs/man/$*)) > $@
CMAKE_FILES := eddyConfig.cmake eddyConfigVersion.cmake

.PHONY: install uninstall rock rock-install
install: all $(B)/eddy.pc $(B)/share/eddy.1 $(CMAKE_FILES:%=$(B)/share/%) ## install below PREFIX=/usr/local, for packagers below DESTDIR
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)for f in $(LUA_FILES:lua/%=%); do $(PUT) 644 lua/$$f "$(DESTDIR)$(LUA_DIR)/$$f" || exit 1; done
	$(Q)$(PUT) 755 $(B)/eddy/core.so "$(DESTDIR)$(MOD_DIR)/core.so"
	$(Q)$(PUT) 755 $(B)/bin/eddy "$(DESTDIR)$(PREFIX)/bin/eddy"
	$(Q)$(PUT) 644 csrc/eddy.h "$(DESTDIR)$(PREFIX)/include/eddy.h"
	$(Q)$(PUT) 644 $(B)/lib/libeddy.a "$(DESTDIR)$(PREFIX)/lib/libeddy.a"
	$(Q)$(PUT) 644 $(B)/eddy.pc "$(DESTDIR)$(PREFIX)/lib/pkgconfig/eddy.pc"
	$(Q)$(PUT) 644 $(B)/share/eddy.1 "$(DESTDIR)$(PREFIX)/share/man/man1/eddy.1"
	$(Q)for f in $(CMAKE_FILES); do $(PUT) 644 $(B)/share/$$f "$(DESTDIR)$(PREFIX)/lib/cmake/eddy/$$f" || exit 1; done

uninstall: ## remove what install put there
	$(Q)cd "$(DESTDIR)$(PREFIX)" && rm -f bin/eddy include/eddy.h lib/libeddy.a lib/pkgconfig/eddy.pc \
		share/man/man1/eddy.1
	$(Q)rm -rf "$(DESTDIR)$(PREFIX)/lib/cmake/eddy"
	$(Q)rm -rf "$(DESTDIR)$(LUA_DIR)/eddy" "$(DESTDIR)$(MOD_DIR)"

rock: $(B)/rock/eddy/core.so ## for luarocks: the module (say `luarocks-5.4 make`)

rock-install: rock ## for luarocks: copy into the folders that it names
	$(Q)for f in $(LUA_FILES:lua/%=%); do $(PUT) 644 lua/$$f "$(INST_LUADIR)/$$f" || exit 1; done
	$(Q)$(PUT) 755 $(B)/rock/eddy/core.so "$(INST_LIBDIR)/eddy/core.so"
	$(Q)$(PUT) 755 tools/eddy-launcher.lua "$(INST_BINDIR)/eddy"

endif

# ---- Housekeeping ----------------------------------------------------------------------------

.PHONY: clean help
clean: ## remove everything that was built
	$(Q)rm -rf $(B)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-13s %s\n", $$1, $$2 }'
