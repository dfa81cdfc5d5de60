# library.mk: what another program, a distribution and a shell want: the shared and the static library, pkg-config, man pages, completions, a Debian
# package; and the proof that they work (examples, the interface against its list, installing into a folder and out again).
#
#   make install     PREFIX (/usr/local), DESTDIR; LIBDIR, INCLUDEDIR, MANDIR, … may be set apart. `make uninstall` with the same ones
#   make deb         packages in $(BUILD)/deb, looked at by lintian where it is installed
#   make examples    doc/examples/ built against what would be installed; `make memory-check` runs them under valgrind and ASan

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d
# Where the program looks: beside itself, and here from there.
MODULEDIR = $(PREFIX)/lib/kungfu
INSTALL ?= install
OBJCOPY ?= objcopy

# Counts what needs a new compilation of who uses it; the name of the shared library carries it.
ABI := $(shell sed -n 's/^.define KF_ABI //p' include/kungfu.h)
SONAME := libkungfu.so.$(ABI)
OUT_LIB := $(BUILD)/lib
RELEASED := 2026-11-25

# --- the libraries: kf_ alone is visible in both ---
$(OUT_LIB)/$(SONAME): $(BUILD)/libkungfu.a tools/library.map
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,-soname,$(SONAME) -Wl,--version-script,tools/library.map -Wl,-z,defs -Wl,-z,relro -o $@ \
		-Wl,--whole-archive $< -Wl,--no-whole-archive $(ALL_LDLIBS)
	@ln -sf $(SONAME) $(OUT_LIB)/libkungfu.so

# One object whose own names are out of reach: who links it may have a function called generate too.
$(OUT_LIB)/libkungfu.a: $(BUILD)/libkungfu.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(LD) -r -o $(OUT_LIB)/kungfu.o --whole-archive $< && $(OBJCOPY) --strip-debug --localize-hidden $(OUT_LIB)/kungfu.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(OUT_LIB)/kungfu.o

$(OUT_LIB)/kungfu.pc: force
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: kungfu' \
		'Description: runs language models, adapts them to data, judges them' 'Version: $(VERSION)' \
		'Requires.private: $(LIBS)' 'Libs: -L$${libdir} -lkungfu' 'Libs.private: -lpthread -lm' 'Cflags: -I$${includedir}' > $@

# --- man pages and completions, from the tables of options ---
MANUAL_SRC := $(wildcard tools/manual/*.c)
$(BUILD)/manual: $(call obj,$(filter-out src/main.c,$(CMD_SRC)) $(MANUAL_SRC)) $(BUILD)/gen/commands.o $(PAGES) $(BUILD)/libkungfu.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS) $(shell pkg-config --libs $(PROGRAM_LIBS) 2>/dev/null)

$(BUILD)/man/kungfu.1: $(BUILD)/manual
	@rm -rf $(@D) && mkdir -p $(@D)
	$(Q)$(BUILD)/manual man $(@D) $(RELEASED)

$(BUILD)/completion/%: $(BUILD)/manual
	@mkdir -p $(@D)
	$(Q)$(BUILD)/manual $* > $@.new && mv $@.new $@

COMPLETIONS := $(addprefix $(BUILD)/completion/,bash zsh fish)
library: $(OUT_LIB)/$(SONAME) $(OUT_LIB)/libkungfu.a $(OUT_LIB)/kungfu.pc
manual: $(BUILD)/man/kungfu.1 $(COMPLETIONS)

# --- install ---
install: $(BUILD)/kungfu $(MPI_MODULE) library manual
	$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR) $(MANDIR)/man1 $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS))
	$(INSTALL) -m 755 $(BUILD)/kungfu $(DESTDIR)$(BINDIR)/kungfu
	$(if $(MPI_MODULE),$(INSTALL) -d $(DESTDIR)$(MODULEDIR) && $(INSTALL) -m 644 $(MPI_MODULE) $(DESTDIR)$(MODULEDIR))
	$(INSTALL) -m 644 $(OUT_LIB)/$(SONAME) $(OUT_LIB)/libkungfu.a $(DESTDIR)$(LIBDIR)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libkungfu.so
	$(INSTALL) -m 644 $(OUT_LIB)/kungfu.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(INSTALL) -m 644 include/kungfu.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(MANDIR)/man1
	$(INSTALL) -m 644 $(BUILD)/completion/bash $(DESTDIR)$(BASH_COMPLETIONS)/kungfu
	$(INSTALL) -m 644 $(BUILD)/completion/zsh $(DESTDIR)$(ZSH_COMPLETIONS)/_kungfu
	$(INSTALL) -m 644 $(BUILD)/completion/fish $(DESTDIR)$(FISH_COMPLETIONS)/kungfu.fish
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ! command -v ldconfig >/dev/null || ldconfig

uninstall:
	rm -f $(DESTDIR)$(MODULEDIR)/kungfu-mpi.so
	@rmdir $(DESTDIR)$(MODULEDIR) 2>/dev/null || true
	rm -f $(DESTDIR)$(BINDIR)/kungfu $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libkungfu.so $(DESTDIR)$(LIBDIR)/libkungfu.a
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/kungfu.pc $(DESTDIR)$(INCLUDEDIR)/kungfu.h
	rm -f $(DESTDIR)$(MANDIR)/man1/kungfu.1 $(DESTDIR)$(MANDIR)/man1/kungfu-*.1
	rm -f $(DESTDIR)$(BASH_COMPLETIONS)/kungfu $(DESTDIR)$(ZSH_COMPLETIONS)/_kungfu $(DESTDIR)$(FISH_COMPLETIONS)/kungfu.fish

# --- examples: seen by the compiler as a user's, which knows the header and the library alone ---
EXAMPLES := $(patsubst doc/examples/%.c,$(BUILD)/examples/%,$(wildcard doc/examples/*.c))
EXAMPLES_CXX := $(patsubst doc/examples/%.cpp,$(BUILD)/examples/%-cpp,$(wildcard doc/examples/*.cpp))
EXAMPLE_LIBS = -L$(OUT_LIB) -lkungfu -Wl,-rpath,'$$ORIGIN/../lib'

$(BUILD)/examples/%: doc/examples/%.c include/kungfu.h $(OUT_LIB)/$(SONAME)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) -std=gnu17 -O1 -Wall -Wextra -Werror $(CFLAGS) -Iinclude -o $@ $< $(EXAMPLE_LIBS) -lm

$(BUILD)/examples/%-cpp: doc/examples/%.cpp include/kungfu.h $(OUT_LIB)/$(SONAME)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CXX $@")
	$(Q)$(CXX) -std=c++17 -O1 -Wall -Wextra -Werror $(CFLAGS) -Iinclude -o $@ $< $(EXAMPLE_LIBS)

# The same with the library inside, which must do as well.
$(BUILD)/examples/%-static: doc/examples/%.c include/kungfu.h $(OUT_LIB)/libkungfu.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) -std=gnu17 -O1 -Wall -Wextra -Werror $(CFLAGS) -Iinclude -o $@ $< $(OUT_LIB)/libkungfu.a $(ALL_LDLIBS)

examples: $(EXAMPLES) $(EXAMPLES_CXX) $(BUILD)/examples/score-static
check-now: library manual examples

memory-check: examples
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan OPT=-O1 CFLAGS="$(SANITIZE)" \
		library examples
	test/check-library memory $(BUILD) $(BUILD)/asan

deb:
	tools/install-deps libopenmpi-dev debhelper dpkg-dev fakeroot $(PACKAGES)
	tools/make-deb $(BUILD)/deb $(VERSION)

.PHONY: library manual install uninstall examples memory-check deb
