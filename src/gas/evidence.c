/* evidence: finds the thing that a word names (a run, a folder, a hash, a name), the runs that used it, and among
 * those the ones that are alike. Plain walks over the family and the entries, as a command asks once. */
#include "gas/evidence.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "gas/forecast.h"

/* --- finding --- */

int evidence_artefact(const struct family *f, struct ledger *l, const char *what, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct artefact a;
	struct err ignored = ERR_INIT;
	int at = io_exists(what) && artefact_from_path(&a, l, what, NULL, &mem, &ignored) == 0 ?
	                 family_find(f, a.hash) :
	                 -1;
	char whole[PATH_MAX];

	arena_release(&mem);
	if (at < 0)
		at = family_find(f, realpath(what, whole) ? whole : what);
	if (at == -2)
		return err_set(e, "%s: several artefacts are called so; a longer hash was wanted", what);
	return at >= 0 ? at : err_set(e, "%s: the ledger knows no such artefact or run", what);
}

static int member_by_role(const struct family *f, const struct entry *run, const char *role)
{
	for (size_t i = 0; i < run->n_uses; i++)
		if (!run->uses[i].out && !strcmp(run->uses[i].role, role))
			return family_find(f, run->uses[i].artefact.hash);
	return -1;
}

int evidence_thing(const struct family *f, const struct entry *run)
{
	int adapter = member_by_role(f, run, "adapter");
	return adapter >= 0 ? adapter : member_by_role(f, run, "model");
}

int64_t evidence_rows(const struct entry *run)
{
	static const char *const names[] = { "n", "answered" };
	struct err ignored = ERR_INIT;
	json_t *j = run->metrics ? jsonx_load(run->metrics, strlen(run->metrics), "metrics", &ignored) : NULL;
	int64_t rows = j && json_object_get(j, "new_tokens") && !json_object_get(j, "n") ? 1 : 0; /* one prompt */

	for (size_t i = 0; i < ARRAY_LEN(names) && rows == 0; i++)
		rows = json_integer_value(json_object_get(j, names[i]));
	json_decref(j);
	return rows;
}

const char *evidence_compute(const struct entry *run)
{
	static const char *const names[] = { "f32", "int8" };
	struct err ignored = ERR_INIT;
	json_t *j = run->metrics ? jsonx_load(run->metrics, strlen(run->metrics), "metrics", &ignored) : NULL;
	const char *said = json_string_value(json_object_get(j, "compute")), *found = "";

	for (size_t i = 0; i < ARRAY_LEN(names) && said; i++)
		found = !strcmp(said, names[i]) ? names[i] : found;
	json_decref(j);
	return found;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool evidence_same_way(const struct entry *a, const struct entry *b)
{
	return a->threads == b->threads && same_text(a->kernels, b->kernels) && same_text(a->machine, b->machine) &&
	       !strcmp(evidence_compute(a), evidence_compute(b));
}

void evidence_way(const struct entry *run, char out[80])
{
	const char *compute = evidence_compute(run);
	int n = snprintf(out, 80, "%s%s", *compute ? ", " : "", compute);

	if (run->threads > 0)
		sentence_format(out + n, 80 - (size_t)n, ", %lld threads", (long long)run->threads);
}

static size_t adapters(const struct entry *x)
{
	size_t n = 0;
	for (size_t i = 0; i < x->n_uses; i++)
		n += !x->uses[i].out && !strcmp(x->uses[i].role, "adapter");
	return n;
}

bool evidence_is_use(const struct entry *x)
{
	return adapters(x) <= 1 && !strcmp(x->status, "finished") &&
	       (!strcmp(x->command, "eval") || !strcmp(x->command, "generate")) &&
	       evidence_rows(x) > 0;
}

static size_t inputs(const struct entry *x)
{
	size_t n = 0;
	for (size_t i = 0; i < x->n_uses; i++)
		n += !x->uses[i].out;
	return n;
}

bool evidence_same_length(const struct entry *a, const struct entry *b, bool one_model)
{
	bool answers = !strcmp(a->command, "generate");
	int64_t read[] = { a->gas.tokens_in, b->gas.tokens_in }, wrote[] = { a->gas.tokens_out, b->gas.tokens_out };

	if ((answers || one_model) && read[0] >= 0 && read[1] >= 0 && read[0] != read[1])
		return false;
	return !answers || wrote[0] < 0 || wrote[1] < 0 ||
	       (double)MAX(wrote[0], wrote[1]) <= 1.1 * (double)MIN(wrote[0], wrote[1]);
}

/* The same command on the same content, as long. */
static bool is_same_work(const struct entry *a, const struct entry *b)
{
	if (!evidence_is_use(b) || strcmp(a->command, b->command) || inputs(a) != inputs(b) ||
	    evidence_rows(a) != evidence_rows(b) || !evidence_same_length(a, b, true))
		return false;
	for (size_t i = 0; i < a->n_uses; i++) {
		bool there = a->uses[i].out;
		for (size_t j = 0; j < b->n_uses && !there; j++)
			there = !b->uses[j].out && !strcmp(a->uses[i].role, b->uses[j].role) &&
			        !strcmp(a->uses[i].artefact.hash, b->uses[j].artefact.hash);
		if (!there)
			return false;
	}
	return true;
}

void evidence_take(struct evidence *v, struct family *f, int64_t newest)
{
	const struct entries *all = f->entries;

	v->rows = evidence_rows(&all->items[newest]);
	v->n_runs = v->n_others = 0;
	v->runs = arena_array(&f->mem, all->n, sizeof(*v->runs));
	for (size_t i = 0; i < all->n; i++) {
		if (!is_same_work(&all->items[newest], &all->items[i]))
			continue;
		if (evidence_same_way(&all->items[newest], &all->items[i]))
			v->runs[v->n_runs++] = (int64_t)i;
		else
			v->n_others++;
	}
}

/* A run that uses something, by its id or the beginning; −1: none, −2: several. */
static int64_t find_use(const struct entries *all, const char *what)
{
	int64_t found = -1;
	size_t n = strlen(what);

	for (size_t i = 0; i < all->n && n >= 4; i++)
		if (!strncmp(all->items[i].id, what, n) && evidence_is_use(&all->items[i]))
			found = found == -1 ? (int64_t)i : -2;
	return found;
}

static bool is_in(const struct entry *x, const char *compute)
{
	return !compute || !strcmp(evidence_compute(x), compute);
}

/* The newest use of a thing in this arithmetic; −1: none. */
static int64_t newest_use(const struct family *f, int thing, const char *compute)
{
	const struct entry *all = f->entries->items;

	for (size_t i = f->entries->n; i-- > 0;)
		if (evidence_is_use(&all[i]) && evidence_thing(f, &all[i]) == thing && is_in(&all[i], compute))
			return (int64_t)i;
	return -1;
}

int evidence_find(struct evidence *v, struct family *f, struct ledger *l, const char *what, const char *compute,
                  struct err *e)
{
	int64_t run = find_use(f->entries, what);

	*v = (struct evidence){ .thing = -1 };
	if (run == -2)
		return err_set(e, "%s: several runs begin so; more of the id was wanted", what);
	if (run >= 0 && !is_in(&f->entries->items[run], compute))
		return err_set(e, "%s: this run was not done in %s", what, compute);
	if (run >= 0) {
		v->thing = evidence_thing(f, &f->entries->items[run]);
		v->named = true;
	} else {
		v->thing = evidence_artefact(f, l, what, e);
		run = v->thing >= 0 ? newest_use(f, v->thing, compute) : -1;
	}
	if (v->thing >= 0 && run >= 0)
		evidence_take(v, f, run);
	return v->thing >= 0 ? 0 : e->msg[0] ? -1 : err_set(e, "%s: the ledger does not know what it used", what);
}

/* --- costs --- */

static bool contains(const int *list, size_t n, int what)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == what)
			return true;
	return false;
}

static bool is_common(struct family *f, const struct evidence *all, size_t n, int member)
{
	for (size_t i = 0; i < n; i++) {
		size_t count;
		const int *list = family_ancestors(f, all[i].thing, &count);
		if (!contains(list, count, member))
			return false;
	}
	return true;
}

/* Somebody else's: a model whose cost was declared. */
static bool is_foreign(const struct family *f, const struct family_member *m)
{
	return m->maker >= 0 && !strcmp(f->entries->items[m->maker].status, "declared") &&
	       !strcmp(m->artefact.kind, "model");
}

void evidence_once(struct family *f, const struct evidence *all, size_t n, size_t which, struct cost *out)
{
	size_t count;
	const int *list = family_ancestors(f, all[which].thing, &count);

	cost_none(out);
	if (!is_foreign(f, &f->members[all[which].thing]))
		cost_add(out, &f->members[all[which].thing].own);
	for (size_t i = 0; i < count && n > 1; i++)
		if (!is_common(f, all, n, list[i]) && !is_foreign(f, &f->members[list[i]]))
			cost_add(out, &f->members[list[i]].own);
}

double cost_of(const struct cost *c, enum cost_unit unit)
{
	return unit == COST_SECONDS ? c->seconds : unit == COST_JOULES ? c->joules : c->money;
}

struct span cost_span(const struct cost *c, enum cost_unit unit)
{
	double mid = cost_of(c, unit);

	if (c->runs == 0)
		return span_exact(0);
	if (unit == COST_JOULES && c->without_energy)
		return span_exact(NAN);
	if (unit == COST_SECONDS || isnan(mid))
		return span_exact(mid);
	double low = unit == COST_JOULES ? c->joules_low : c->money_low,
	       high = unit == COST_JOULES ? c->joules_high : c->money_high;
	return (struct span){ mid, isnan(low) ? mid : low, isnan(high) ? mid : high };
}

void evidence_use(const struct family *f, const struct evidence *v, struct cost *out)
{
	cost_none(out);
	for (size_t i = 0; i < v->n_runs; i++)
		cost_add_run(out, &f->entries->items[v->runs[i]]);
}

/* What was measured once may be as far off as a plan's time. */
static struct span of_one_run(double x, double seconds)
{
	struct span t = forecast(seconds, forecast_sigma(forecast_time, seconds), forecast_time, NULL, 0);

	return isnan(seconds) ? (struct span){ x, NAN, NAN } :
	                        (struct span){ x, x * t.low / seconds, x * t.high / seconds };
}

struct span evidence_per_use(const struct family *f, const struct evidence *v, enum cost_unit unit)
{
	double *x = mem_array(v->n_runs, sizeof(*x));
	struct cost sum;

	for (size_t i = 0; i < v->n_runs; i++) {
		struct cost one;
		cost_none(&one);
		cost_add_run(&one, &f->entries->items[v->runs[i]]);
		x[i] = cost_of(&one, unit);
	}
	evidence_use(f, v, &sum);
	struct span mean = v->n_runs > 1 ? span_mean(x, v->n_runs) : of_one_run(x[0], sum.seconds);
	struct span bound = span_scale(cost_span(&sum, unit), 1 / (double)v->n_runs);
	mem_free(x);
	struct span both = { mean.mid, mean.mid - hypot(mean.mid - mean.low, bound.mid - bound.low),
		             mean.mid + hypot(mean.high - mean.mid, bound.high - bound.mid) };
	both.low = isnan(both.low) ? NAN : fmax(0, both.low);
	return span_scale(both, 1 / (double)v->rows);
}
