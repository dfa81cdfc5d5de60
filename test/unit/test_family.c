/* What would break: a cost counted twice along two ways to one ancestor, a piece of a stopped run lost or another's
 * taken, sums over currencies, a use counted as a cost of its own, an artefact found under a name that fits several.
 * The tree here is written by hand:
 *
 *     base (declared 1000 J) ── tune stopped 10 J, resume 5 J ──▶ lora ──┐
 *      │                                                                 ├─ merge 2 J ──▶ merged ── eval 1 J, eval 3 J
 *      └─────────────────────────────────────────────────────────────────┘
 *      └── tune 7 J ──▶ other */
#include <math.h>
#include <string.h>

#include "../test.h"
#include "base/mem.h"
#include "gas/family.h"

enum { BASE, STOPPED, RESUMED, MERGE, EVAL_1, EVAL_2, OTHER, RUNS };

static struct artefact_use use(const char *role, bool out, const char *hash, const char *kind, const char *name)
{
	return (struct artefact_use){
		role, out, { .hash = hash, .kind = kind, .name = name, .bytes = -1, .parameters = -1, .tokens = -1 }
	};
}

static void put(struct entry *x, const char *id, const char *command, const char *status, const char *directory,
                double joules, struct artefact_use *uses, size_t n)
{
	entry_init(x);
	x->id = id;
	x->command = command;
	x->status = status;
	x->directory = directory;
	x->machine = "here";
	x->gas.energy.joules = joules;
	x->gas.energy.low = joules / 2;
	x->gas.energy.high = joules * 2;
	x->gas.seconds = joules / 10;
	x->uses = uses;
	x->n_uses = n;
}

/* All runs, oldest first, as the ledger gives them. */
static void tree(struct entry runs[RUNS])
{
	static struct artefact_use base[1], tuned[2], stopped[1], merged[3], evaluated[1], other[2];

	base[0] = use("result", true, "base-hash", "model", "base.gguf");
	stopped[0] = use("model", false, "base-hash", "model", "base.gguf");
	tuned[0] = stopped[0];
	tuned[1] = use("result", true, "lora-hash", "adapter", "run");
	merged[0] = stopped[0];
	merged[1] = use("adapter", false, "lora-hash", "adapter", "run");
	merged[2] = use("result", true, "merged-hash", "model", "merged");
	evaluated[0] = use("model", false, "merged-hash", "model", "merged");
	other[0] = stopped[0];
	other[1] = use("result", true, "other-hash", "adapter", "run");
	put(&runs[BASE], "id-base", "gas declare", "declared", NULL, 1000, base, 1);
	put(&runs[STOPPED], "id-stopped", "tune", "stopped", "/r", 10, stopped, 1);
	put(&runs[RESUMED], "id-resumed", "resume", "finished", "/r", 5, tuned, 2);
	put(&runs[MERGE], "id-merge", "merge", "finished", NULL, 2, merged, 3);
	put(&runs[EVAL_1], "id-eval-1", "eval", "finished", NULL, 1, evaluated, 1);
	put(&runs[EVAL_2], "id-eval-2", "eval", "finished", NULL, 3, evaluated, 1);
	put(&runs[OTHER], "id-other", "tune", "finished", "/o", 7, other, 2);
}

static void check_costs(struct test *t)
{
	struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;
	struct cost sunk;
	size_t n;

	tree(runs);
	family_build(&f, &all);
	int base = family_find(&f, "base-hash"), lora = family_find(&f, "lora-hash"),
	    merged = family_find(&f, "merged-hash"), other = family_find(&f, "other-hash");

	test_case(t, "own: the run that made it and its stopped piece, no other's");
	CHECK(t, f.n == 4 && base >= 0 && lora >= 0 && merged >= 0 && other >= 0);
	CHECK_MSG(t, f.members[lora].own.joules == 15 && f.members[lora].own.runs == 2, "%g J of %zu",
	          f.members[lora].own.joules, f.members[lora].own.runs);
	CHECK(t, f.members[lora].own.joules_low == 7.5 && f.members[lora].own.joules_high == 30 &&
	                 f.members[lora].own.seconds == 1.5);
	CHECK(t, f.members[other].own.joules == 7 && f.members[base].own.joules == 1000 &&
	                 f.members[merged].own.joules == 2);

	test_case(t, "sunk: each ancestor once, by however many ways; a declared one among them");
	family_sunk(&f, merged, &sunk);
	CHECK_MSG(t, sunk.joules == 1015 && sunk.runs == 3, "%g J of %zu runs", sunk.joules, sunk.runs);
	family_sunk(&f, base, &sunk);
	CHECK(t, isnan(sunk.joules) && sunk.runs == 0);
	int *list = family_ancestors(&f, merged, &n);
	CHECK(t, n == 2 && list[0] == base && list[1] == lora);

	test_case(t, "uses are counted and summed, and are nobody's own cost");
	CHECK(t, f.members[merged].n_uses == 2 && f.members[merged].uses.joules == 4 && f.members[base].n_uses == 4);
	CHECK(t, f.members[merged].made == 1 && f.members[merged].maker == MERGE && f.members[base].maker == BASE);

	test_case(t, "who shares ancestors: not the ancestors themselves");
	list = family_sharers(&f, lora, &n);
	CHECK_MSG(t, n == 2 && (list[0] == merged || list[1] == merged) && (list[0] == other || list[1] == other),
	          "%zu share", n);
	list = family_sharers(&f, base, &n);
	CHECK(t, n == 0);
	family_release(&f);

	test_case(t, "a part of another run has a cost of its own, and is no use beside that run's");
	runs[OTHER].parent = "id-search";
	family_build(&f, &all);
	CHECK(t, f.members[base].n_uses == 3 && f.members[other].own.joules == 7);
	family_release(&f);
}

static void check_pieces(struct test *t)
{
	struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;

	test_case(t, "a stopped run in that directory on another machine, or before a new tune there, is no piece");
	tree(runs);
	runs[STOPPED].machine = "there";
	family_build(&f, &all);
	CHECK(t, f.members[family_find(&f, "lora-hash")].own.joules == 5);
	family_release(&f);
	tree(runs);
	runs[RESUMED].command = "tune"; /* begun anew: --overwrite */
	family_build(&f, &all);
	CHECK(t, f.members[family_find(&f, "lora-hash")].own.joules == 5);
	family_release(&f);

	test_case(t, "a run that was killed before its resume is a piece too; one that cost nobody knows what is told");
	tree(runs);
	runs[STOPPED].status = "killed";
	runs[STOPPED].gas.energy.joules = NAN;
	family_build(&f, &all);
	const struct cost *own = &f.members[family_find(&f, "lora-hash")].own;
	CHECK_MSG(t, own->joules == 5 && own->runs == 2 && own->without_energy == 1, "%g J, %zu without", own->joules,
	          own->without_energy);
	family_release(&f);
}

static void check_names(struct test *t)
{
	struct entry runs[RUNS];
	struct entries all = { .items = runs, .n = RUNS };
	struct family f;

	test_case(t,
	          "found by hash, its beginning, name, run, directory; two of one name are told apart by hash alone");
	tree(runs);
	family_build(&f, &all);
	int lora = family_find(&f, "lora-hash");
	CHECK(t, family_find(&f, "lora") == lora && family_find(&f, "id-resumed") == lora &&
	                 family_find(&f, "/r") == lora);
	CHECK(t, family_find(&f, "base.gguf") == family_find(&f, "base-hash"));
	CHECK(t, family_find(&f, "run") == -2);
	CHECK(t, family_find(&f, "nobody") == -1 && family_find(&f, "lor") == -1);
	family_release(&f);

	test_case(t, "an empty ledger has no family");
	all.n = 0;
	family_build(&f, &all);
	CHECK(t, f.n == 0 && family_find(&f, "base-hash") == -1);
	family_release(&f);
}

static void check_money(struct test *t)
{
	struct cost c;
	struct entry x;

	test_case(t, "sums of another currency are counted, not added; what is unknown is no zero");
	cost_none(&c);
	CHECK(t, isnan(c.money) && isnan(c.joules));
	put(&x, "a", "tune", "finished", NULL, NAN, NULL, 0);
	x.gas.money = (struct money){ .total = 2, .low = 1, .high = 3, .currency = "EUR" };
	cost_add_run(&c, &x);
	memcpy(x.gas.money.currency, "USD", 4);
	cost_add_run(&c, &x);
	struct cost twice;
	cost_none(&twice);
	cost_add(&twice, &c);
	cost_add(&twice, &c);
	CHECK_MSG(t,
	          twice.money == 4 && twice.money_low == 2 && twice.money_high == 6 && !strcmp(twice.currency, "EUR"),
	          "%g %s", twice.money, twice.currency);
	CHECK(t, twice.foreign == 2 && twice.runs == 4 && twice.without_energy == 4 && isnan(twice.joules));
	json_t *j = cost_json(&twice);
	CHECK(t, json_is_null(json_object_get(j, "joules")) && json_number_value(json_object_get(j, "money")) == 4);
	json_decref(j);
}

void test_family(struct test *t)
{
	check_costs(t);
	check_pieces(t);
	check_names(t);
	check_money(t);
}
