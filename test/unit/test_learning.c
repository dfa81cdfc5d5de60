/* What would break: a curve of runs that differ in more than how much they learnt from, or that were judged on other
 * rows; a run of another seed or folder left out of it; a label's cost out of runs of two machines; what was bought
 * elsewhere taken from the curve's own runs. The ledger here is made by hand: tunes on 2, 4 and 8 rows that cost 20 s,
 * 40 s, 80 s, so a label costs 10 s; accuracy 0.5, 0.6, 0.7; before it 0.3. */
#include "../test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/tune_common.h"
#include "gas/learning_curve.h"

struct book { struct ledger *l; struct arena mem; const char *path; int n; };

static struct artefact_use use(const char *role, bool out, const char *hash, const char *kind)
{
	return (struct artefact_use){
		role, out, { .hash = hash, .kind = kind, .name = hash, .bytes = -1, .parameters = -1, .tokens = -1 }
	};
}

static void put(struct test *t, struct book *b, struct entry *x, const char *machine)
{
	struct err e = ERR_INIT;

	x->id = arena_printf(&b->mem, "%08d-0000-4000-8000-000000000000", ++b->n);
	x->began = arena_printf(&b->mem, "2026-01-01T00:00:%02dZ", b->n);
	x->status = "finished";
	x->machine = machine;
	x->kernels = "avx2";
	x->threads = 2;
	CHECK_MSG(t, ledger_put(b->l, x, &e) == 0, "%s", e.msg);
}

static void put_eval(struct test *t, struct book *b, const char *thing, const char *data, double acc)
{
	struct entry x;
	struct artefact_use uses[3] = { use("model", false, "base-hash", "model"), use("data", false, data, "data"),
		                        use("adapter", false, thing, "adapter") };

	entry_init(&x);
	x.command = "eval";
	x.gas.seconds = 1;
	x.metrics = arena_printf(&b->mem, "{\"n\": 100, \"acc\": %g, \"acc_stderr\": 0.02}", acc);
	x.uses = uses;
	x.n_uses = strcmp(thing, "base-hash") ? 3 : 2;
	put(t, b, &x, "here");
}

/* A tune of `name`, and its evaluation. */
static void put_tune(struct test *t, struct book *b, const char *name, const char *argv, int documents, double seconds,
                     double acc, const char *machine)
{
	struct entry x;
	struct artefact_use uses[2] = { use("model", false, "base-hash", "model"),
		                        use("result", true, name, "adapter") };

	entry_init(&x);
	x.command = "tune";
	x.argv = argv;
	x.gas.seconds = seconds;
	x.prediction = arena_printf(&b->mem, "{\"documents\": %d}", documents);
	x.metrics = arena_printf(&b->mem, "{\"steps\": %d, \"supervised_tokens\": %d}", 3 * documents, 5 * documents);
	x.uses = uses;
	x.n_uses = 2;
	put(t, b, &x, machine);
	put_eval(t, b, name, "rows-hash", acc);
}

static void open_book(struct test *t, struct book *b, const char *name)
{
	struct err e = ERR_INIT;

	*b = (struct book){ 0 };
	b->path = arena_printf(&b->mem, "%s/%s.db", test_tmp(), name);
	CHECK_MSG(t, ledger_open(&b->l, b->path, LEDGER_WRITE, &e) == 0, "%s", e.msg);
	put_eval(t, b, "base-hash", "rows-hash", 0.3);
	put_tune(t, b, "two", "[\"m\", \"--data\", \"a\", \"--lora-r\", \"4\", \"--out\", \"x\", \"--seed\", \"1\"]", 2,
	         20, 0.5, "here");
	put_tune(t, b, "four", "[\"m\", \"--out=y\", \"--lora-r=4\", \"--data\", \"b\"]", 4, 40, 0.6, "here");
}

static void close_book(struct book *b)
{
	ledger_close(b->l);
	arena_release(&b->mem);
}

static void check_curve(struct test *t)
{
	struct book b;
	struct learning l = { 0 };
	struct err e = ERR_INIT;
	struct span bought;

	open_book(t, &b, "learning");
	put_tune(t, &b, "eight", "[\"m\", \"--lora-r\", \"4\", \"--threads\", \"1\"]", 8, 80, 0.7, "here");
	put_tune(t, &b, "wider", "[\"m\", \"--lora-r\", \"8\"]", 8, 100, 0.65, "here");
	put_eval(t, &b, "two", "other-rows", 0.9);

	test_case(t, "the runs that differ in rows, folder, seed and threads are one curve; another rank is elsewhere; "
	             "the evaluation is that on the rows asked for");
	CHECK_MSG(t, learning_read(&l, b.path, tune_opts, "two", "rows-hash", OVER_LABELS, COST_SECONDS, &e) == 0, "%s",
	          e.msg);
	CHECK_MSG(t, l.n == 3 && l.n_others == 1, "%zu and %zu", l.n, l.n_others);
	if (l.n == 3) {
		CHECK(t, l.points[0].n == 2 && l.points[1].n == 4 && l.points[2].n == 8);
		CHECK_MSG(t,
		          fabs(l.points[0].err - 0.5) < 1e-12 && fabs(l.points[2].err - 0.3) < 1e-12 &&
		                  fabs(l.points[0].se - 0.02) < 1e-9,
		          "%g %g", l.points[0].err, l.points[0].se);
	}
	CHECK_MSG(t, fabs(l.before.mid - 0.7) < 1e-12, "%g", l.before.mid);

	test_case(t, "a label costs what a line through the costs says; what the other bought for half of its gas is "
	             "half of its gain");
	CHECK_MSG(t, fabs(learning_cost_of_one(&l) - 10) < 1e-9, "%g", learning_cost_of_one(&l));
	const struct elsewhere *best = learning_best(&l, 50, &bought);
	CHECK_MSG(t, best && !strcmp(best->name, "wider") && fabs(bought.mid - 0.5 * (0.7 - 0.35)) < 1e-9, "%g",
	          bought.mid);
	learning_release(&l);

	test_case(t, "over steps and tokens the amount is the run's own");
	l = (struct learning){ 0 };
	CHECK_MSG(t,
	          learning_read(&l, b.path, tune_opts, "four", "rows-hash", OVER_STEPS, COST_SECONDS, &e) == 0 &&
	                  l.points[0].n == 6,
	          "%s", e.msg);
	learning_release(&l);
	close_book(&b);
}

static void check_ways(struct test *t)
{
	struct book b;
	struct learning l = { 0 };
	struct err e = ERR_INIT;

	open_book(t, &b, "machines");
	put_tune(t, &b, "eight", "[\"m\", \"--lora-r\", \"4\"]", 8, 800, 0.7, "there");

	test_case(t, "another machine's run is a point of the curve, and its cost is not mixed with this one's");
	CHECK_MSG(t, learning_read(&l, b.path, tune_opts, "two", NULL, OVER_LABELS, COST_SECONDS, &e) == 0, "%s",
	          e.msg);
	CHECK_MSG(t, l.n == 3 && l.cost[0] == 20 && l.cost[1] == 40 && isnan(l.cost[2]), "%zu: %g %g %g", l.n,
	          l.cost[0], l.cost[1], l.cost[2]);
	CHECK_MSG(t, fabs(learning_cost_of_one(&l) - 10) < 1e-9, "%g", learning_cost_of_one(&l));
	l.cost[1] = NAN;
	CHECK(t, isnan(learning_cost_of_one(&l)));
	learning_release(&l);
	close_book(&b);
}

static void check_refusals(struct test *t)
{
	struct book b;
	struct learning l = { 0 };
	struct learning_origin r = { 0 };
	struct err e = ERR_INIT;

	open_book(t, &b, "few");
	test_case(t, "two sizes are no curve, and the sentence says what to run; neither is a model that nothing "
	             "tuned, nor what the ledger does not know");
	CHECK(t, learning_read(&l, b.path, tune_opts, "two", NULL, OVER_LABELS, COST_SECONDS, &e) < 0 &&
	                 strstr(e.msg, "2 runs") && strstr(e.msg, "three"));
	learning_release(&l);
	l = (struct learning){ 0 };
	CHECK(t, learning_read(&l, b.path, tune_opts, "base-hash", NULL, OVER_LABELS, COST_SECONDS, &e) < 0 &&
	                 strstr(e.msg, "no tune"));
	learning_release(&l);
	l = (struct learning){ 0 };
	CHECK(t, learning_read(&l, b.path, tune_opts, "nothing", NULL, OVER_LABELS, COST_SECONDS, &e) < 0 &&
	                 strstr(e.msg, "nothing"));
	learning_release(&l);

	test_case(t, "what a run on other rows must have in common: its options but for places and seed, by their "
	             "first names");
	CHECK_MSG(t,
	          learning_origin(&r, b.path, tune_opts, "two", &e) == 0 && !strcmp(r.options, "--lora-r=4\n") &&
	                  !r.directory,
	          "%s", r.options ? r.options : e.msg);
	learning_origin_release(&r);
	close_book(&b);
}

void test_learning(struct test *t)
{
	check_curve(t);
	check_ways(t);
	check_refusals(t);
}
