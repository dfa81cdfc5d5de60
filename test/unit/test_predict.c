/* What would break: parts that do not add up to the whole, an interval that forgets what was learnt or what may not
 * come, a comparison that says inside of what lies outside; a ledger that mixes runs of another kind, machine or number
 * of threads into what is learnt, or forgets their order. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gas/ledger.h"
#include "gas/predict.h"

static void test_adds_up(struct test *t)
{
	struct predicted p;
	struct predicted_spans s;

	predict_begin(&p, "eval %s", "f32");
	CHECK(t, !strcmp(p.kind, "eval f32") && isnan(p.flops));
	predict_phase(&p, "score", 2);
	predict_part(&p, "weights", 3e6, "");
	predict_part(&p, "program", 9e6, "");
	predict_open(&p, 0.5);
	predict_open(&p, 0.25);
	CHECK(t, p.seconds == 2.25 && p.bytes == 12e6);
	predict_spans(&p, NULL, &s);
	CHECK(t, s.seconds.low < 2.25 && s.seconds.high > 2.25 && s.bytes.low < 12e6 && s.bytes.high > 12e6 &&
	                 s.past == 0);
	json_t *j = json_object();
	predict_json(j, &p, &s);
	CHECK(t, json_number_value(json_object_get(json_object_get(j, "seconds_parts"), "open")) == 0.25);
	CHECK(t, json_integer_value(json_object_get(json_object_get(j, "parts"), "program_bytes")) == 9000000);
	json_decref(j);
}

static void test_what_may_not_come(struct test *t)
{
	struct predicted p;
	struct predicted_spans s, whole;

	predict_begin(&p, "generate");
	predict_phase(&p, "answer", 10);
	predict_spans(&p, NULL, &whole);
	p.spare_seconds = 9;
	predict_spans(&p, NULL, &s);
	CHECK(t, s.seconds.low < 1 && s.seconds.high == whole.seconds.high && whole.seconds.low > 8);
}

/* 2 W by the planned second, always: the middle is that, and the width the prior's alone. One run of 3 W among two of
 * 2: the median is 2. */
static void test_learns_energy(struct test *t)
{
	struct predicted p;
	struct predicted_spans s;
	struct predict_past past = { .joules = { { 10, 20, 1 }, { 20, 40, 2 }, { 40, 80, 4 } }, .n_joules = 3 };
	struct span j, wide;

	predict_begin(&p, "eval");
	predict_phase(&p, "score", 30);
	predict_spans(&p, NULL, &s);
	CHECK(t, predict_joules(&p, &s, &past, &j));
	CHECK_MSG(t, fabs(j.mid - 60) < 1e-9 && j.low > 35 && j.low < 55 && j.high > 65 && j.high < 85,
	          "%g to %g to %g", j.low, j.mid, j.high);
	past.joules[2].actual = 120;
	CHECK(t, predict_joules(&p, &s, &past, &wide));
	CHECK_MSG(t, wide.mid == 60 && wide.high - wide.low > j.high - j.low, "%g to %g to %g", wide.low, wide.mid,
	          wide.high);
	past.n_joules = 1;
	CHECK(t, predict_joules(&p, &s, &past, &j) && fabs(j.mid - 60) < 1e-9);
	past.n_joules = 0;
	CHECK(t, !predict_joules(&p, &s, &past, &j));
}

static void test_compares(struct test *t)
{
	struct predicted_spans s = { { 10, 9, 11 }, { 1e6, 9e5, 1.1e6 }, { 2, 1, 3 }, 0 };
	char text[400];
	json_t *j = json_object();

	predict_compare(&s, 11.5, 1e6, 3.5, text, j);
	const json_t *p = json_object_get(j, "prediction");
	CHECK(t,
	      json_is_false(json_object_get(p, "seconds_inside")) && json_is_true(json_object_get(p, "bytes_inside")));
	CHECK_MSG(t, strstr(text, "outside; memory") && strstr(text, "inside; energy 1 J to 3 J, 3.5 J: outside"), "%s",
	          text);
	CHECK(t, json_is_false(json_object_get(p, "joules_inside")));
	s.joules = span_exact(NAN);
	predict_compare(&s, 10, 1e6, 3.5, text, j);
	p = json_object_get(j, "prediction");
	CHECK(t, !strstr(text, "energy") && json_is_null(json_object_get(p, "joules_inside")));
	json_decref(j);
}

static void put(struct test *t, struct ledger *l, struct arena *a, const char *kind, const char *status,
                int64_t threads, double seconds)
{
	struct entry x;
	struct err e = ERR_INIT;

	entry_init(&x);
	entry_identify(&x, a);
	x.command = "eval";
	x.status = status;
	x.threads = threads;
	x.kernels = "ref";
	x.gas.seconds = seconds;
	x.gas.peak_rss_bytes = 1000;
	x.gas.energy.joules = 2 * seconds;
	x.gas.energy.method = seconds == 4 ? ENERGY_MEASURED : ENERGY_ESTIMATED;
	snprintf(x.gas.energy.source, sizeof(x.gas.energy.source), "rapl x");
	x.prediction = arena_printf(a, "{\"kind\": \"%s\", \"planned_seconds\": %g, \"planned_bytes\": 900}", kind,
	                            seconds / 2);
	CHECK_MSG(t, ledger_put(l, &x, &e) == 0, "%s", e.msg);
}

static void test_past_of_the_ledger(struct test *t)
{
	struct err e = ERR_INIT;
	struct ledger *l;
	struct arena a = { 0 };
	struct ledger_past past[4];
	struct entry like;

	char *path = mem_printf("%s/past.db", test_tmp());
	CHECK_MSG(t, ledger_open(&l, path, LEDGER_WRITE, &e) == 0, "%s", e.msg);
	put(t, l, &a, "eval f32", "finished", 2, 4);
	put(t, l, &a, "eval int8", "finished", 2, 6);
	put(t, l, &a, "eval f32", "failed", 2, 1);
	put(t, l, &a, "eval f32", "finished", 1, 1);
	put(t, l, &a, "eval f32", "running", 2, 1);
	entry_init(&like);
	entry_identify(&like, &a);
	like.threads = 2;
	like.kernels = "ref";
	CHECK(t, ledger_past(l, &like, "eval", &a, past, 4) == 3);
	CHECK(t, !strcmp(past[1].kind, "eval int8") && past[1].seconds == 6 && past[1].planned_seconds == 3 &&
	                 past[1].bytes == 1000 && past[1].planned_bytes == 900);
	CHECK(t, past[0].threads == 1 && past[1].threads == 2 && past[2].seconds == 4);
	CHECK(t, ledger_past(l, &like, "eval", &a, past, 1) == 1 && past[0].seconds == 1);
	CHECK(t, isnan(past[0].joules) && isnan(past[1].joules) && past[2].joules == 8 &&
	                 !strcmp(past[2].energy_method, "measured") && !strcmp(past[2].energy_source, "rapl x"));
	like.kernels = "avx2";
	CHECK(t, ledger_past(l, &like, "eval", &a, past, 4) == 0);
	like.kernels = "ref";
	CHECK(t, ledger_past(l, &like, "tune", &a, past, 4) == 0);
	ledger_close(l);
	mem_free(path);
	arena_release(&a);
}

void test_predict(struct test *t)
{
	test_case(t, "parts add up");
	test_adds_up(t);
	test_case(t, "what may not come lowers the lower end");
	test_what_may_not_come(t);
	test_case(t, "energy is learnt from counted joules alone, as time is");
	test_learns_energy(t);
	test_case(t, "inside and outside are told apart");
	test_compares(t);
	test_case(t, "past runs are those that finished, of the command, the machine and its kernels");
	test_past_of_the_ledger(t);
}
