/* What would break: uses in f32 averaged with those in int8, or of other threads and machines, without a word; an
 * interval of one run; a cost that is not known taken for nothing; what all compared things stand on counted for one of
 * them; a use that failed. By hand, over
 *
 *     base (declared) ── tune 10 J ──▶ lora ── merge 2 J ──▶ merged,  and five evals of lora, oldest first:
 *     elsewhere 16 s · one thread 20 s · f32 8 s, 40 J · f32 12 s, 60 J · int8 2 s, 10 J;  4 rows each, and one that
 * failed */
#include <math.h>
#include <string.h>

#include "../test.h"
#include "gas/evidence.h"

enum { BASE, TUNE, MERGE, ELSEWHERE, ONE_THREAD, FIRST, SECOND, INT8, FAILED, RUNS };

static struct artefact_use use(const char *role, bool out, const char *hash, const char *kind)
{
	return (struct artefact_use){ role,
		                      out,
		                      { .hash = hash, .kind = kind, .bytes = -1, .parameters = -1, .tokens = -1 } };
}

static void put(struct entry *x, const char *id, const char *command, double seconds, double joules,
                struct artefact_use *uses, size_t n)
{
	entry_init(x);
	x->id = id;
	x->command = command;
	x->status = "finished";
	x->machine = "here";
	x->kernels = "avx2";
	x->threads = 2;
	x->gas.seconds = seconds;
	x->gas.energy.joules = joules;
	x->gas.energy.low = joules / 2;
	x->gas.energy.high = joules * 2;
	x->uses = uses;
	x->n_uses = n;
}

static void put_eval(struct entry *x, const char *id, double seconds, double joules, const char *metrics)
{
	static struct artefact_use taken[3];

	taken[0] = use("model", false, "base-hash", "model");
	taken[1] = use("adapter", false, "lora-hash", "adapter");
	taken[2] = use("data", false, "rows-hash", "data");
	put(x, id, "eval", seconds, joules, taken, 3);
	x->metrics = metrics;
}

static void fill(struct entry runs[RUNS])
{
	static struct artefact_use base[1], tuned[2], merged[3];
	static const char f32[] = "{\"n\": 4, \"compute\": \"f32\"}", int8[] = "{\"n\": 4, \"compute\": \"int8\"}";

	base[0] = use("result", true, "base-hash", "model");
	tuned[0] = merged[0] = use("model", false, "base-hash", "model");
	tuned[1] = use("result", true, "lora-hash", "adapter");
	merged[1] = use("adapter", false, "lora-hash", "adapter");
	merged[2] = use("result", true, "merged-hash", "model");
	put(&runs[BASE], "id-base", "gas declare", 9000, 9000, base, 1);
	runs[BASE].status = "declared";
	put(&runs[TUNE], "id-tune", "tune", 5, 10, tuned, 2);
	put(&runs[MERGE], "id-merge", "merge", 1, 2, merged, 3);
	put_eval(&runs[ELSEWHERE], "id-elsewhere", 16, 80, f32);
	runs[ELSEWHERE].machine = "there";
	put_eval(&runs[ONE_THREAD], "id-one-thread", 20, 50, f32);
	runs[ONE_THREAD].threads = 1;
	put_eval(&runs[FIRST], "id-first", 8, 40, f32);
	put_eval(&runs[SECOND], "id-second", 12, 60, f32);
	put_eval(&runs[INT8], "id-int8", 2, 10, int8);
	put_eval(&runs[FAILED], "id-failed", 99, 99, f32);
	runs[FAILED].status = "failed";
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-3 * fabs(b); }

static void find(struct test *t, struct family *f, const char *what, const char *compute, struct evidence *v)
{
	struct err e = ERR_INIT;
	CHECK_MSG(t, evidence_find(v, f, NULL, what, compute, &e) == 0, "%s", e.msg);
}

static void check_ways(struct test *t, struct family *f)
{
	struct evidence v;
	struct err e = ERR_INIT;
	char way[80];

	test_case(t, "runs like the newest are pooled, those in another way are counted and left out");
	find(t, f, "lora-hash", NULL, &v);
	CHECK_MSG(t, v.n_runs == 1 && v.runs[0] == INT8 && v.n_others == 4 && v.rows == 4, "%zu, %zu others", v.n_runs,
	          v.n_others);
	find(t, f, "lora-hash", "f32", &v);
	CHECK_MSG(t, v.n_runs == 2 && v.runs[0] == FIRST && v.runs[1] == SECOND && v.n_others == 3, "%zu, %zu others",
	          v.n_runs, v.n_others);
	find(t, f, "id-one-thread", NULL, &v);
	CHECK(t, v.n_runs == 1 && v.runs[0] == ONE_THREAD && v.thing == family_find(f, "lora-hash"));
	find(t, f, "id-elsewhere", "f32", &v);
	CHECK(t, v.n_runs == 1 && v.runs[0] == ELSEWHERE);

	test_case(t, "a way in which nothing used it; a run that was not done so");
	find(t, f, "merged-hash", "f32", &v);
	CHECK(t, v.n_runs == 0);
	CHECK(t, evidence_find(&v, f, NULL, "id-first", "int8", &e) < 0 && strstr(e.msg, "int8"));

	test_case(t, "a way in words, and one of which nothing is known");
	evidence_way(&f->entries->items[ONE_THREAD], way);
	CHECK_MSG(t, !strcmp(way, ", f32, 1 thread"), "%s", way);
	evidence_way(&f->entries->items[BASE], way);
	CHECK_MSG(t, !strcmp(way, ", 2 threads"), "%s", way);
}

/* Student's t for one degree: 6.3138. Seconds 8, 12: mean 10, its error 2; joules 40, 60: mean 50, error 10, and each
 * between half and twice. */
static void check_per_use(struct test *t, struct family *f)
{
	struct evidence v;

	test_case(t, "of two runs: Student's interval, of energy joined with its bounds; never below nothing");
	find(t, f, "lora-hash", "f32", &v);
	struct span s = evidence_per_use(f, &v, COST_SECONDS), j = evidence_per_use(f, &v, COST_JOULES);
	CHECK_MSG(t, s.mid == 2.5 && s.low == 0 && near(s.high, (10 + 6.3138 * 2) / 4), "%g %g %g", s.mid, s.low,
	          s.high);
	CHECK_MSG(t, j.mid == 12.5 && j.low == 0 && near(j.high, (50 + hypot(63.138, 50)) / 4), "%g %g %g", j.mid,
	          j.low, j.high);

	/* 2 s ± 1.6449 · √1.25 · √((0.08 · 2)² + 0.02²) s, of 4 rows */
	test_case(t, "of one run: the interval that a plan has, of energy joined with its bounds");
	find(t, f, "lora-hash", "int8", &v);
	s = evidence_per_use(f, &v, COST_SECONDS);
	j = evidence_per_use(f, &v, COST_JOULES);
	CHECK_MSG(t, s.mid == 0.5 && near(s.low, 0.425867) && near(s.high, 0.574133), "%g %g %g", s.mid, s.low, s.high);
	CHECK_MSG(t, j.mid == 2.5 && near(j.low, 1.1962) && near(j.high, 5.02733), "%g %g %g", j.mid, j.low, j.high);
}

static void check_once(struct test *t, struct family *f)
{
	struct evidence all[2];
	struct cost c;

	test_case(t, "once: what not all stand on; a declared model was paid for elsewhere");
	find(t, f, "lora-hash", NULL, &all[0]);
	find(t, f, "merged-hash", NULL, &all[1]);
	evidence_once(f, all, 2, 0, &c);
	CHECK_MSG(t, c.joules == 10 && c.runs == 1, "%g of %zu", c.joules, c.runs);
	evidence_once(f, all, 2, 1, &c);
	CHECK_MSG(t, c.joules == 12 && c.seconds == 6, "%g J, %g s", c.joules, c.seconds);
	evidence_once(f, &all[1], 1, 0, &c);
	CHECK(t, c.joules == 2);
	find(t, f, "base-hash", NULL, &all[0]);
	evidence_once(f, all, 1, 0, &c);
	CHECK(t, c.runs == 0 && cost_span(&c, COST_JOULES).mid == 0);
}

static void check_edges(struct test *t)
{
	struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;
	struct evidence v;

	test_case(t, "identical runs have no width in time");
	fill(runs);
	runs[FIRST].gas.seconds = runs[SECOND].gas.seconds;
	family_build(&f, &all);
	find(t, &f, "lora-hash", "f32", &v);
	struct span s = evidence_per_use(&f, &v, COST_SECONDS);
	CHECK(t, s.mid == 3 && s.low == 3 && s.high == 3);
	family_release(&f);

	test_case(t, "energy that one of them does not know is not known of all");
	fill(runs);
	runs[FIRST].gas.energy.joules = runs[FIRST].gas.energy.low = runs[FIRST].gas.energy.high = NAN;
	family_build(&f, &all);
	find(t, &f, "lora-hash", "f32", &v);
	s = evidence_per_use(&f, &v, COST_JOULES);
	CHECK_MSG(t, isnan(s.mid) && isnan(s.low) && isnan(s.high), "%g %g %g", s.mid, s.low, s.high);
	family_release(&f);

	test_case(t, "rows of what is no use, or said nothing, are not known");
	entry_init(&runs[0]);
	CHECK(t, evidence_rows(&runs[0]) == 0 && !*evidence_compute(&runs[0]));
	runs[0].metrics = "{\"new_tokens\": 7, \"compute\": \"f64\"}";
	CHECK(t, evidence_rows(&runs[0]) == 1 && !*evidence_compute(&runs[0]));
	runs[0].metrics = "no JSON";
	CHECK(t, evidence_rows(&runs[0]) == 0 && !*evidence_compute(&runs[0]));
}

void test_evidence(struct test *t)
{
	struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;

	fill(runs);
	family_build(&f, &all);
	check_ways(t, &f);
	check_per_use(t, &f);
	check_once(t, &f);
	family_release(&f);
	check_edges(t);
}
