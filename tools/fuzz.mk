# fuzz.mk: every test/fuzz/fuzz_NAME.c (it exports LLVMFuzzerTestOneInput) becomes two programs.
#
#   make fuzz               with clang: a search by libFuzzer, FUZZ_RUNS executions each, under ASan and UBSan. What it
#                           finds worth keeping stays in $(BUILD)/libfuzzer/corpus; FUZZ_ONLY=NAME runs one
#   make check (and asan)   with $(CC): replay-NAME, the corpus of test/fuzz/corpus/NAME and mutations of it
#
# The library is built a second time for each, with the sanitizers inside. A target may hold the clock (test/held/held.h), so that what the
# library measures of a machine takes no time.

FUZZ_RUNS ?= 1000000
FUZZ_ONLY ?= $(patsubst fuzz_%,%,$(basename $(notdir $(wildcard test/fuzz/fuzz_*.c))))
FUZZ_REPLAY := $(patsubst test/fuzz/fuzz_%.c,$(BUILD)/fuzz/replay-%,$(filter-out test/fuzz/fuzz_serve.c,$(wildcard test/fuzz/fuzz_*.c)))

# Sources that the library is without. Of the server's they are many, so that target is not in make check.
$(BUILD)/fuzz/replay-multipart $(BUILD)/libfuzzer/fuzz-multipart: src/serve/multipart.c
$(BUILD)/fuzz/replay-serve $(BUILD)/libfuzzer/fuzz-serve: $(filter-out src/serve/calls_% src/serve/feedback%,$(wildcard src/serve/*.c))

# --- replay ---
check-now: $(FUZZ_REPLAY)

$(BUILD)/fuzz/libkungfu.a: $(KERNEL_OBJ) force
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz KERNELS=$(BUILD) OPT=-O1 CFLAGS="$(SANITIZE)" $@

$(BUILD)/fuzz/replay-%: test/fuzz/fuzz_%.c test/fuzz/driver.c $(HELD_SRC) $(BUILD)/fuzz/libkungfu.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(filter-out -O%,$(ALL_CFLAGS)) -O1 $(SANITIZE) $(LDFLAGS) $(HELD_LDFLAGS) -o $@ $(filter %.c,$^) $(filter %.a,$^) $(ALL_LDLIBS)

# --- libFuzzer ---
FUZZ_CLANG ?= clang
LIBFUZZER := $(BUILD)/libfuzzer

$(LIBFUZZER)/libkungfu.a: force
	@command -v $(FUZZ_CLANG) >/dev/null || { echo "make fuzz needs clang (Debian: clang)" >&2; exit 1; }
	+@$(MAKE) --no-print-directory BUILD=$(LIBFUZZER) CC=$(FUZZ_CLANG) OPT=-O1 CFLAGS="$(SANITIZE) -fsanitize=fuzzer-no-link" $@

$(LIBFUZZER)/fuzz-%: test/fuzz/fuzz_%.c $(HELD_SRC) $(LIBFUZZER)/libkungfu.a
	$(FUZZ_CLANG) $(filter-out -O%,$(ALL_CFLAGS)) -O1 $(SANITIZE) -fsanitize=fuzzer $(LDFLAGS) $(HELD_LDFLAGS) -o $@ $(filter %.c,$^) $(filter %.a,$^) $(ALL_LDLIBS)

fuzz: $(FUZZ_ONLY:%=fuzz-run-%)

fuzz-run-%: $(LIBFUZZER)/fuzz-%
	@mkdir -p $(LIBFUZZER)/corpus/$*
	@$(LIBFUZZER)/fuzz-$* -runs=$(FUZZ_RUNS) -max_len=65536 -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
		-artifact_prefix=$(abspath $(LIBFUZZER))/found-$*- $(abspath $(LIBFUZZER))/corpus/$* $(CURDIR)/test/fuzz/corpus/$* \
		> $(LIBFUZZER)/$*.log 2>&1 || { tail -n 60 $(LIBFUZZER)/$*.log; exit 1; }
	@echo "fuzz $*: $$(sed -n 's/^stat::number_of_executed_units: //p' $(LIBFUZZER)/$*.log) executions, nothing found"

.PHONY: fuzz
.PRECIOUS: $(LIBFUZZER)/fuzz-%
