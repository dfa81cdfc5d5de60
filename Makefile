# kungfu's Makefile. `make demo` and `make check` are all that a stranger needs; `make help` lists the rest.
#
# The file name is the registry: op_*.c, fuse_*.c, arch_*.c, adapter_*.c, objective_*.c, optimizer_*.c, shape_*.c, rung_*.c, model_*.c (src/token), sampler_*.c, function_*.c, cmd_*.c and test_*.c are found here and
# written into build/gen/. Adding one thing is adding one file.

CC ?= cc
# V=1 shows whole command lines.
Q := $(if $(V),,@)
BUILD ?= build
VERSION := 0.1.0
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)

PACKAGES := gcc libc6-dev pkg-config libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev libxxhash-dev zlib1g-dev libedit-dev libsqlite3-dev libmicrohttpd-dev
# Runs on several machines: a shared object of its own, which is opened under mpirun alone. MPI=0 leaves it out.
MPI ?= 1
ifneq ($(MPI),0)
PACKAGES += libopenmpi-dev openmpi-bin
MPI_MODULE := $(if $(shell pkg-config --exists ompi-c 2>/dev/null && echo 1),$(BUILD)/kungfu-mpi.so)
endif
LIBS := jansson yaml-0.1 libpcre2-8 libutf8proc libxxhash zlib sqlite3
# What the tests need beside: examples in C++ and Python, and what fetches models.
CHECK_PACKAGES := g++ python3 libcurl4
# The program's alone: the library edits no lines.
PROGRAM_LIBS := libedit
# Opened when it is asked for: only its header is wanted here.
OPENED := libmicrohttpd

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wno-missing-field-initializers
OPT ?= -O3
CFLAGS ?= -g
# -fPIC: the shared library is made of the same objects.
ALL_CFLAGS = -std=gnu17 $(OPT) -fPIC -ffp-contract=off -fno-math-errno -fvisibility=hidden $(WARN) $(CFLAGS) $(EXTRA_CFLAGS) -Isrc -Iinclude -I$(BUILD) \
	-D_GNU_SOURCE -DKUNGFU_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(LIBS) $(PROGRAM_LIBS) 2>/dev/null)
ALL_LDLIBS = $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lpthread -lm $(LDLIBS)

LIB_DIRS ?= base tensor quant kernel chart template gas search op model adapt format token corpus grammar retrieve feedback data train infer eval exam learn guard call ladder api
LIB_SRC := $(filter-out src/kernel/x86_% src/kernel/arm_%,$(foreach d,$(LIB_DIRS),$(wildcard src/$(d)/*.c src/$(d)/*/*.c)))
# Kernels of this machine's instruction sets take as long to compile as all others together. A library with sanitizers beside the program takes them from
# the program's folder, KERNELS.
KERNELS ?= $(BUILD)
ifneq ($(and $(filter kernel,$(LIB_DIRS)),$(filter x86_64%,$(MACHINE))),)
KERNEL_SRC := $(wildcard src/kernel/x86_*.c)
endif
ifneq ($(and $(filter kernel,$(LIB_DIRS)),$(filter aarch64%,$(MACHINE))),)
KERNEL_SRC := $(wildcard src/kernel/arm_*.c)
endif
KERNEL_OBJ := $(KERNEL_SRC:%.c=$(KERNELS)/%.o)
# The server is the program's alone, as the commands are; its pages are texts in it.
CMD_SRC := $(wildcard src/cmd/*.c src/cmd/*/*.c src/serve/*.c) src/main.c
PAGES := $(patsubst src/serve/%.html,$(BUILD)/gen/page_%.o,$(wildcard src/serve/*.html))
# ONLY=x builds the test program with test/unit/test_x.c alone.
ONLY ?= *
TEST_SRC := $(wildcard test/unit/test_$(ONLY).c) test/runner.c test/guard.c test/faults.c
# A clock that tests hold: see test/held/held.h.
HELD_SRC := test/held/held.c
HELD_LDFLAGS := $(foreach f,clock_seconds clock_cpu_seconds clock_suspended_seconds mem_available device_cpu,-Wl,--wrap=$(f))
FIXTURE_SRC := $(wildcard test/unit/fixture_*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
names = $(sort $(patsubst $(2)%,%,$(basename $(notdir $(wildcard $(1)/$(2)*.c $(1)/*/$(2)*.c)))))

all: $(BUILD)/kungfu $(MPI_MODULE)

$(BUILD)/kungfu: $(call obj,$(CMD_SRC)) $(BUILD)/gen/commands.o $(PAGES) $(BUILD)/libkungfu.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LDLIBS) $(shell pkg-config --libs $(PROGRAM_LIBS) 2>/dev/null)

$(BUILD)/libkungfu.a: $(KERNEL_OBJ) $(call obj,$(LIB_SRC)) $(BUILD)/gen/tables.o $(BUILD)/gen/prices_yaml.o $(BUILD)/gen/priors_yaml.o $(BUILD)/gen/guard_yaml.o $(BUILD)/gen/tasks_yaml.o $(BUILD)/gen/safety_yaml.o
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# An archive, so that a test linked alone needs only the fixtures that it names.
$(BUILD)/libfixture.a: $(call obj,$(FIXTURE_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/src/mpi/%.o: EXTRA_CFLAGS += $(shell pkg-config --cflags ompi-c 2>/dev/null)
$(BUILD)/kungfu-mpi.so: $(call obj,$(wildcard src/mpi/*.c)) $(BUILD)/libkungfu.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,--exclude-libs,libkungfu.a -o $@ $^ $(shell pkg-config --libs ompi-c 2>/dev/null) $(ALL_LDLIBS)

# The program with its clock held, for test/run-cases; it is not installed.
$(BUILD)/kungfu-held: $(call obj,$(CMD_SRC) $(HELD_SRC) test/held/program.c) $(BUILD)/gen/commands.o $(PAGES) $(BUILD)/libkungfu.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LDFLAGS) $(HELD_LDFLAGS) -Wl,--wrap=energy_sample -Wl,--wrap=pool_new -o $@ $^ $(ALL_LDLIBS) \
		$(shell pkg-config --libs $(PROGRAM_LIBS) 2>/dev/null)

$(BUILD)/kungfu-test: $(call obj,$(TEST_SRC) $(HELD_SRC)) $(call obj,$(filter-out src/main.c,$(CMD_SRC))) $(BUILD)/gen/commands.o $(PAGES) $(BUILD)/libfixture.a \
		$(BUILD)/libkungfu.a | $(BUILD)/kungfu-held
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS) $(EXTRA_CFLAGS) $(LDFLAGS) $(HELD_LDFLAGS) -o $@ $^ $(ALL_LDLIBS) $(shell pkg-config --libs $(PROGRAM_LIBS) 2>/dev/null)

$(BUILD)/%.o: %.c $(BUILD)/.deps-found
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/.deps-found
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# -g1: gcc gives up to track the variables of unrolled loops, and says so, after a long while. clang takes a quarter of an hour to put sanitizers
# into them: gcc's must do there. No kernel reads bytes from outside, so make fuzz has none.
KERNEL_BARE := $(if $(findstring clang,$(CC))$(filter libfuzzer,$(notdir $(BUILD))),-fno-sanitize=all)
$(BUILD)/src/kernel/x86_%.o $(BUILD)/src/kernel/arm_%.o: EXTRA_CFLAGS += $(KERNEL_BARE)
$(BUILD)/src/kernel/x86_%.o: EXTRA_CFLAGS += -g1
$(BUILD)/src/kernel/x86_avx2.o $(BUILD)/src/kernel/x86_avx2_int8.o: EXTRA_CFLAGS += -mavx2 -mfma -mf16c
$(BUILD)/src/kernel/x86_avxvnni.o: EXTRA_CFLAGS += -mavx2 -mfma -mf16c -mavxvnni
$(BUILD)/src/kernel/x86_avx512.o: EXTRA_CFLAGS += -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512
$(BUILD)/src/kernel/x86_avx512vnni.o: EXTRA_CFLAGS += -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512
# A compiler that does not know tiles makes a file without them.
AMX := -mamx-tile -mamx-bf16 -mamx-int8
AMX := $(shell $(CC) $(AMX) -x c -fsyntax-only /dev/null 2>/dev/null && echo $(AMX))
$(BUILD)/src/kernel/x86_avx512amx.o $(BUILD)/src/kernel/x86_avx512amxint8.o: EXTRA_CFLAGS += -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512 $(AMX)

comma := ,
# --- registries, rewritten only when they change, so that a new file is found and nothing else rebuilt ---
table = printf '%s\n' $(patsubst %,'extern const struct $(1) $(2)%;',$(3)); \
	printf 'const struct $(1) *const $(1)_table[] = {\n'; printf '\t%s\n' $(patsubst %,'&$(2)%$(comma)',$(3)) NULL; printf '};\n\n'

$(BUILD)/gen/tables.c: force
	@mkdir -p $(@D); { printf '/* made by the Makefile from file names */\n#include "adapt/adapter.h"\n#include "train/objective.h"\n#include "train/optimizer.h"\n#include "token/token_model.h"\n#include "token/train.h"\n#include "infer/sampler.h"\n#include "op/fuse.h"\n#include "op/table.h"\n#include "data/shape.h"\n#include "ladder/ladder.h"\n#include "exam/function.h"\n#include "exam/suite_parts.h"\n#include "guard/encoding.h"\n#include "call/form.h"\n\n'; \
	$(call table,op,op_row_,$(call names,src/op,op_)); \
	$(call table,fusion,fuse_,$(call names,src/op,fuse_)); \
	$(call table,sampler_step,sampler_,$(call names,src/infer,sampler_)); \
	$(call table,token_model,token_model_,$(call names,src/token,model_)); \
	$(call table,token_trainer,token_trainer_,$(call names,src/token,train_)); \
	$(call table,arch,arch_,$(call names,src/model,arch_)); \
	$(call table,adapter_type,adapter_,$(call names,src/adapt,adapter_)); \
	$(call table,objective,objective_,$(call names,src/train,objective_)); \
	$(call table,optimizer,optimizer_,$(call names,src/train,optimizer_)); \
	$(call table,shape,shape_,$(call names,src/data,shape_)); \
	$(call table,rung,rung_,$(call names,src/ladder,rung_)); \
	$(call table,call_form,form_,$(call names,src/call,form_)); \
	$(call table,encoding,encoding_,$(call names,src/guard,encoding_)); \
	$(call table,suite_part,suite_,$(call names,src/exam,suite_)); \
	$(call table,exam_functions,functions_,$(call names,src/exam,function_)); } > $@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/gen/commands.c: force
	@mkdir -p $(@D); { printf '/* made by the Makefile from file names */\n#include "cmd/command.h"\n#include "serve/openai_parts.h"\n\n'; \
	$(call table,calls,calls_,$(call names,src/serve,calls_)); \
	$(call table,command,cmd_,$(call names,src/cmd,cmd_)); } > $@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# The prices that come with the program, as a text in it.
$(BUILD)/gen/prices_yaml.c: src/gas/prices.yaml
	@mkdir -p $(@D); { printf '/* made by the Makefile from prices.yaml */\nextern const char prices_builtin[];\nconst char prices_builtin[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

# The same of what is known of ways to adapt.
$(BUILD)/gen/priors_yaml.c: share/priors.yaml
	@mkdir -p $(@D); { printf '/* made by the Makefile from priors.yaml */\nextern const char priors_builtin[];\nconst char priors_builtin[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

# And of what a guard looks for.
$(BUILD)/gen/guard_yaml.c: share/guard.yaml
	@mkdir -p $(@D); { printf '/* made by the Makefile from guard.yaml */\nextern const char guard_builtin[];\nconst char guard_builtin[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

# And of tasks that evaluate.
$(BUILD)/gen/tasks_yaml.c: share/tasks.yaml
	@mkdir -p $(@D); { printf '/* made by the Makefile from tasks.yaml */\nextern const char tasks_yaml_builtin[];\nconst char tasks_yaml_builtin[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

# And of what a suite of safety asks.
$(BUILD)/gen/safety_yaml.c: share/safety.yaml
	@mkdir -p $(@D); { printf '/* made by the Makefile from safety.yaml */\nextern const char safety_yaml_builtin[];\nconst char safety_yaml_builtin[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

# page_x: src/serve/x.html. Kept: make would remove it as its last word, after the tests' sum.
.SECONDARY: $(PAGES:.o=.c)
$(BUILD)/gen/page_%.c: src/serve/%.html
	@mkdir -p $(@D); { printf '/* made by the Makefile from $*.html */\nextern const char page_$*[];\nconst char page_$*[] =\n'; \
	sed 's/[\\"]/\\&/g; s/.*/\t"&\\n"/' $<; printf ';\n'; } > $@

$(BUILD)/gen/test_list.h: force
	@mkdir -p $(@D); printf 'X(%s)\n' $(patsubst test_%,%,$(basename $(notdir $(wildcard test/unit/test_$(ONLY).c)))) > $@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@
$(BUILD)/test/runner.o: $(BUILD)/gen/test_list.h

# --- what must be there ---
$(BUILD)/.deps-found: Makefile
	@mkdir -p $(BUILD)
	@missing=""; command -v pkg-config >/dev/null || missing="pkg-config"; \
	for l in $(LIBS) $(PROGRAM_LIBS) $(OPENED); do pkg-config --exists $$l 2>/dev/null || missing="$$missing $$l"; done; \
	if [ -n "$$missing" ]; then echo "kungfu: missing:$$missing. Install with: make deps   (Debian: $(PACKAGES))" >&2; exit 1; fi
	@touch $@

# As many jobs as processors, where the caller did not say.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

deps:
	tools/install-deps $(PACKAGES)

demo: deps
	+$(MAKE) $(JOBS) all
	tools/demo $(BUILD)/kungfu

demo-pretrain: deps
	+$(MAKE) $(JOBS) all
	tools/demo-pretrain $(BUILD)/kungfu

check:
	tools/install-deps $(PACKAGES) $(CHECK_PACKAGES)
	+$(MAKE) --no-print-directory $(JOBS) check-now

check-now: $(BUILD)/kungfu $(BUILD)/kungfu-held $(BUILD)/kungfu-test $(MPI_MODULE)
	test/check $(BUILD)

# With clang too where it is there: its UBSan sees arithmetic on NULL. Kernels are built for every instruction set that this machine has, AVX-512 too.
SANITIZE := -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DKUNGFU_SANITIZE
asan: asan-gcc
	+@! command -v clang >/dev/null || $(MAKE) --no-print-directory asan-clang

asan-gcc:
	+$(MAKE) BUILD=$(BUILD)/asan OPT=-O1 CFLAGS="$(SANITIZE)" check-now

asan-clang:
	+$(MAKE) BUILD=$(BUILD)/asan-clang CC=clang OPT=-O1 CFLAGS="$(SANITIZE)" check-now

# Groups in which threads meet. The pool's and everything that runs on it, handles of the library, the meter.
TSAN_GROUPS ?= base_pool stop api session batcher batcher_limits engine adapters_served generate trainer trainers ranks rollouts evaluate gemm int8 attention optimizers meter ledger http http_later feedback_api
tsan:
	+$(MAKE) BUILD=$(BUILD)/tsan OPT=-O1 CFLAGS="-g -fsanitize=thread -fno-omit-frame-pointer -DKUNGFU_SANITIZE" $(BUILD)/tsan/kungfu-test
	$(BUILD)/tsan/kungfu-test $(TSAN_GROUPS)

lint:
	tools/lint

bench: all
	tools/fetch-model model/SmolLM2-135M-Instruct.Q4_1.gguf
	bench/run $(BUILD)/kungfu $(ROWS) $(QUICK)

clean:
	rm -rf $(BUILD)

help:
	@echo "make demo    everything from nothing: tunes a real model on real data (10 minutes)"
	@echo "make demo-pretrain    a model from nothing, on what this machine has to read (10 minutes)"
	@echo "make check   sets up what it needs and passes every test"
	@echo "make         the program, build/kungfu     make deps    the Debian packages it needs"
	@echo "make asan    the tests under ASan, UBSan   make fuzz    the parsers under libFuzzer"
	@echo "make tsan    tests of threads under TSan"
	@echo "make install  (PREFIX, DESTDIR) program, library, man pages, completions; make uninstall"
	@echo "make deb     Debian packages          make memory-check  the examples under valgrind, ASan"
	@echo "make lint    layers, sizes, clang-tidy     make bench   speed beside the peers"

include tools/library.mk
-include tools/fuzz.mk
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

force:
.PHONY: all deps demo demo-pretrain check check-now asan asan-gcc asan-clang tsan lint bench clean help force
