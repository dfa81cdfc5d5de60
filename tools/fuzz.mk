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
FUZZ_SERVED := answers names serve
FUZZ_REPLAY := $(patsubst test/fuzz/fuzz_%.c,$(BUILD)/fuzz/replay-%,$(filter-out $(FUZZ_SERVED:%=test/fuzz/fuzz_%.c),$(wildcard test/fuzz/fuzz_*.c)))

# Sources that the library is without. Of the server's they are many, so those targets are not in make check.
$(BUILD)/fuzz/replay-multipart $(BUILD)/libfuzzer/fuzz-multipart: src/serve/multipart.c
$(BUILD)/fuzz/replay-serve $(BUILD)/libfuzzer/fuzz-serve: $(filter-out src/serve/calls_% src/serve/feedback%,$(wildcard src/serve/*.c))
$(BUILD)/libfuzzer/fuzz-names: src/serve/aliases.c src/serve/keys.c
$(BUILD)/libfuzzer/fuzz-answers: $(filter-out src/serve/feedback%,$(wildcard src/serve/*.c))
$(BUILD)/libfuzzer/fuzz-answers: LDFLAGS += $(foreach f,$(addprefix http_later,_reply _begin _add _end _left) http_later http_query,-Wl,--wrap=$(f))

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
# Without a look at each comparison of numbers, which is half of a run's time; texts that are compared are seen without it.
FUZZ_FLAGS := -fno-sanitize-coverage=trace-cmp -DKUNGFU_FUZZ

$(LIBFUZZER)/libkungfu.a: force
	@command -v $(FUZZ_CLANG) >/dev/null || { echo "make fuzz needs clang (Debian: clang)" >&2; exit 1; }
	+@$(MAKE) --no-print-directory BUILD=$(LIBFUZZER) CC=$(FUZZ_CLANG) OPT=-O2 CFLAGS="$(SANITIZE) -fsanitize=fuzzer-no-link $(FUZZ_FLAGS)" $@

$(LIBFUZZER)/fuzz-%: test/fuzz/fuzz_%.c $(HELD_SRC) $(LIBFUZZER)/libkungfu.a
	$(FUZZ_CLANG) $(filter-out -O%,$(ALL_CFLAGS)) -O2 $(SANITIZE) -fsanitize=fuzzer $(FUZZ_FLAGS) $(LDFLAGS) $(HELD_LDFLAGS) -o $@ $(filter %.c,$^) $(filter %.a,$^) $(ALL_LDLIBS)

# Bytes of an input at most: small ones are tried thousands of times a second, and find what larger ones would.
FUZZ_LEN := 16384
$(foreach x,answers:2048 calls:1024 config:2048 exam:2048 forms:4096 gbnf:512 guard:256 multipart:2048 names:1024 regex:128 schema:1024 \
	serve:2048 task:2048,$(eval FUZZ_LEN_$(firstword $(subst :, ,$(x))) := $(lastword $(subst :, ,$(x)))))

fuzz: $(FUZZ_ONLY:%=fuzz-run-%)

fuzz-run-%: $(LIBFUZZER)/fuzz-%
	@mkdir -p $(LIBFUZZER)/corpus/$*
	@$(LIBFUZZER)/fuzz-$* -runs=$(FUZZ_RUNS) -max_len=$(or $(FUZZ_LEN_$*),$(FUZZ_LEN)) -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
		-artifact_prefix=$(abspath $(LIBFUZZER))/found-$*- $(abspath $(LIBFUZZER))/corpus/$* $(CURDIR)/test/fuzz/corpus/$* \
		> $(LIBFUZZER)/$*.log 2>&1 || { tail -n 60 $(LIBFUZZER)/$*.log; exit 1; }
	@echo "fuzz $*: $$(sed -n 's/^stat::number_of_executed_units: //p' $(LIBFUZZER)/$*.log) executions, nothing found"

.PHONY: fuzz
.PRECIOUS: $(LIBFUZZER)/fuzz-%
