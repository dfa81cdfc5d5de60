/* What would break: uses of other work set side by side; a failed use taken for one; a comparable pair that is not
 * found because a newer use is of something else; a quality of other rows, of a run that failed, or of the base; what
 * was merged judged anew although the adapter was. By hand, over
 *
 *     base ── tune ──▶ lora ── merge ──▶ merged,   base ── tune (evaluates on rows) ──▶ full
 *     evals on rows: base, lora, lora again;  on others: base;  full has none;  a generate of each of base and lora */
#include <math.h>
#include <string.h>

#include "../test.h"
#include "gas/comparable.h"

enum { TUNE, FULL, MERGE, BASE_ROWS, LORA_ROWS, BASE_OTHERS, FAILED, BASE_SAYS, LORA_SAYS, LORA_NEWEST, RUNS };

static struct artefact_use taken[RUNS][4];

static struct artefact_use use(const char *role, bool out, const char *hash, const char *kind)
{
	return (struct artefact_use){ role,
		                      out,
		                      { .hash = hash,
		                        .name = hash,
		                        .kind = kind,
		                        .bytes = -1,
		                        .parameters = -1,
		                        .tokens = -1 } };
}

static void put(struct entry runs[RUNS], int i, const char *id, const char *command, const char *metrics, size_t n)
{
	struct entry *x = &runs[i];

	entry_init(x);
	x->id = id;
	x->command = command;
	x->status = "finished";
	x->machine = "here";
	x->kernels = "avx2";
	x->threads = 2;
	x->gas.seconds = 1;
	x->gas.tokens_in = 100;
	x->gas.tokens_out = 40;
	x->metrics = metrics;
	x->uses = taken[i];
	x->n_uses = n;
}

/* data: NULL: of none. adapter: NULL: the model itself. */
static void put_use(struct entry runs[RUNS], int i, const char *id, const char *command, const char *adapter,
                    const char *data, const char *metrics)
{
	size_t n = 0;

	taken[i][n++] = use("model", false, "base", "model");
	if (adapter)
		taken[i][n++] = use("adapter", false, adapter, "adapter");
	if (data)
		taken[i][n++] = use("data", false, data, "data");
	put(runs, i, id, command, metrics, n);
}

static void fill(struct entry runs[RUNS])
{
	static const char half[] = "{\"n\": 8, \"compute\": \"f32\", \"acc\": 0.5, \"acc_low\": 0.2, "
				   "\"acc_high\": 0.8}",
			  three[] = "{\"n\": 8, \"compute\": \"f32\", \"acc\": 0.75, \"acc_low\": 0.4, "
				    "\"acc_high\": 0.9}",
			  says[] = "{\"n\": 2, \"compute\": \"f32\"}";

	taken[TUNE][0] = taken[FULL][0] = taken[MERGE][0] = use("model", false, "base", "model");
	taken[TUNE][1] = use("result", true, "lora", "adapter");
	taken[FULL][1] = use("eval_data", false, "rows", "data");
	taken[FULL][2] = use("result", true, "full", "model");
	taken[MERGE][1] = use("adapter", false, "lora", "adapter");
	taken[MERGE][2] = use("result", true, "merged", "model");
	put(runs, TUNE, "id-tune", "tune", NULL, 2);
	put(runs, FULL, "id-full", "tune", three, 3);
	put(runs, MERGE, "id-merge", "merge", NULL, 3);
	put_use(runs, BASE_ROWS, "id-base-rows", "eval", NULL, "rows", half);
	put_use(runs, LORA_ROWS, "id-lora-rows", "eval", "lora", "rows", three);
	put_use(runs, BASE_OTHERS, "id-base-others", "eval", NULL, "others", half);
	put_use(runs, FAILED, "id-failed", "eval", "lora", "others", three);
	runs[FAILED].status = "failed";
	put_use(runs, BASE_SAYS, "id-base-says", "generate", NULL, NULL, says);
	put_use(runs, LORA_SAYS, "id-lora-says", "generate", "lora", NULL, says);
	put_use(runs, LORA_NEWEST, "id-lora-newest", "eval", "lora", "rows", three);
}

static void check_pairs(struct test *t, struct entry *runs)
{
	struct entry other = runs[LORA_SAYS];

	test_case(t, "the same work: command, data, rows and length");
	CHECK(t, comparable(&runs[BASE_ROWS], &runs[LORA_ROWS]));
	CHECK(t, !comparable(&runs[BASE_OTHERS], &runs[LORA_ROWS]));
	CHECK(t, !comparable(&runs[BASE_ROWS], &runs[LORA_SAYS]));
	CHECK(t, comparable(&runs[BASE_SAYS], &runs[LORA_SAYS]));
	other.gas.tokens_out = 3;
	CHECK(t, !comparable(&runs[BASE_SAYS], &other));
	other.gas.tokens_out = 41;
	CHECK(t, comparable(&runs[BASE_SAYS], &other));
	other.gas.tokens_in = 7;
	CHECK(t, !comparable(&runs[BASE_SAYS], &other));
}

static void find(struct test *t, struct family *f, const char *what, struct evidence *v)
{
	struct err e = ERR_INIT;
	CHECK_MSG(t, evidence_find(v, f, NULL, what, NULL, &e) == 0, "%s", e.msg);
}

static void check_choice(struct test *t, struct family *f)
{
	static const char *const names[] = { "base", "lora" }, *const unused[] = { "base", "merged" };
	struct evidence base, lora, merged, *both[] = { &base, &lora }, *others[] = { &base, &merged };
	struct err e = ERR_INIT;
	bool differs;

	test_case(t, "chosen is the newest evaluation that all have one like, whatever is newer");
	find(t, f, "base", &base);
	find(t, f, "lora", &lora);
	CHECK_MSG(t, comparable_choose(both, names, 2, f, NULL, &differs, &e) == 0, "%s", e.msg);
	CHECK(t, base.runs[base.n_runs - 1] == BASE_ROWS && lora.runs[lora.n_runs - 1] == LORA_NEWEST && !differs);
	CHECK(t, lora.n_runs == 2 && base.n_runs == 1);

	test_case(t, "in a way in which it was not used: the command that would");
	find(t, f, "base", &base);
	find(t, f, "lora", &lora);
	CHECK(t, comparable_choose(both, names, 2, f, "int8", &differs, &e) < 0 && strstr(e.msg, "kungfu eval base"));
	CHECK_MSG(t, strstr(e.msg, "--compute int8"), "%s", e.msg);

	test_case(t, "what nothing used is refused, with the command that evaluates it");
	e = (struct err)ERR_INIT;
	find(t, f, "base", &base);
	find(t, f, "merged", &merged);
	CHECK(t, comparable_choose(others, unused, 2, f, NULL, &differs, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "merged: no eval") && strstr(e.msg, "kungfu eval merged --data rows"), "%s", e.msg);

	test_case(t, "other threads are told");
	find(t, f, "base", &base);
	find(t, f, "lora", &lora);
	f->entries->items[BASE_ROWS].threads = 1;
	CHECK(t, comparable_choose(both, names, 2, f, NULL, &differs, &e) == 0 && differs);
	f->entries->items[BASE_ROWS].threads = 2;
}

static void check_refusal(struct test *t, struct family *f)
{
	static const char *const names[] = { "base", "lora" };
	struct evidence base, lora, *both[] = { &base, &lora };
	struct err e = ERR_INIT;
	bool differs;

	test_case(t, "used for other work only: each is told, and what would make them comparable");
	for (int i = LORA_ROWS; i < RUNS; i++)
		f->entries->items[i].status = i == BASE_OTHERS || i == LORA_NEWEST ? "finished" : "failed";
	f->entries->items[BASE_ROWS].status = "failed";
	find(t, f, "base", &base);
	find(t, f, "lora", &lora);
	CHECK(t, comparable_choose(both, names, 2, f, NULL, &differs, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "base: eval of 8 rows of others") && strstr(e.msg, "lora: eval of 8 rows of rows") &&
	                     strstr(e.msg, "kungfu eval base"),
	          "%s", e.msg);
	for (int i = BASE_ROWS; i < RUNS; i++)
		f->entries->items[i].status = i == FAILED ? "failed" : "finished";
}

static void check_quality(struct test *t, struct family *f)
{
	const struct entry *from = NULL;
	struct span q = { 0 };

	test_case(t, "a quality is of these rows, of a run that finished, of the thing or its other form");
	CHECK(t, comparable_quality(f, family_find(f, "base"), "rows", &q, &from) && q.mid == 0.5 &&
	                 from == &f->entries->items[BASE_ROWS]);
	CHECK(t, comparable_quality(f, family_find(f, "lora"), "rows", &q, &from) && q.mid == 0.75 &&
	                 from == &f->entries->items[LORA_NEWEST]);
	CHECK(t, !comparable_quality(f, family_find(f, "lora"), "others", &q, &from));
	CHECK(t, comparable_quality(f, family_find(f, "merged"), "rows", &q, &from) && q.mid == 0.75);
	CHECK(t, comparable_quality(f, family_find(f, "full"), "rows", &q, &from) && from == &f->entries->items[FULL]);
	CHECK(t, !comparable_quality(f, family_find(f, "base"), NULL, &q, &from));
}

void test_comparable(struct test *t)
{
	static struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;

	fill(runs);
	check_pairs(t, runs);
	family_build(&f, &all);
	check_choice(t, &f);
	check_refusal(t, &f);
	check_quality(t, &f);
	family_release(&f);
}
