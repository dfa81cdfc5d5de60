/* test_batch_ramp: the cursor of a run whose batch grows is that of walking its steps one by one. */
#include "../test.h"

#include "base/mem.h"
#include "train/batch_ramp.h"

static void walk(struct test *t, const char *text, uint64_t global)
{
	struct batch_ramp r = { .global = global };
	struct err e = ERR_INIT;
	uint64_t at = 0, micros = 0;

	CHECK_MSG(t, batch_ramp_parse(&r, text, &e) == 0, "%s", e.msg);
	for (uint64_t step = 0; step < 400; step++) {
		/* Megatron's rule, in the windows that were learnt so far */
		uint64_t n = text ? (global - r.start + r.increment - 1) / r.increment : 0,
		         size = text && at < r.samples ? r.start + at * n / r.samples * r.increment : global;
		size = MIN(size, global);
		CHECK_MSG(t, batch_ramp_before(&r, step) == at && batch_ramp_size(&r, step) == size &&
		                     batch_ramp_micros(&r, step, 3) == micros, "%s: step %d", text ? text : "none",
		          (int)step);
		CHECK(t, batch_ramp_steps(&r, at) == step && batch_ramp_steps(&r, at + size - 1) == step);
		at += size;
		micros += (size + 2) / 3;
	}
}

void test_batch_ramp(struct test *t)
{
	static const char *const wrong[] = { "4,4", "4,4,100,", "0,4,100", "4,0,100", "4,4,0", "-4,4,100", "16,4,100",
		                             "4,4,2000000000000", "a" };
	struct err e = ERR_INIT;

	test_case(t, "windows before a step, and of it, are those of a walk; each comes once");
	walk(t, NULL, 7);
	walk(t, "4,4,240", 16);
	walk(t, "1,1,1000", 64);
	walk(t, "2,5,97", 16);     /* the last increment is what is left */
	walk(t, "3,1,20", 100);    /* steps are larger than a share: increments are passed over */
	walk(t, "1,63,10", 64);
	walk(t, "4,100,33", 5);
	test_case(t, "what is no ramp is refused");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct batch_ramp r = { .global = 16 };
		CHECK_MSG(t, batch_ramp_parse(&r, wrong[i], &e) < 0, "%s", wrong[i]);
	}
}
