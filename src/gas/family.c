/* family: the tree of what a ledger's runs took in and made, and what each thing cost with its ancestors. The tree
 * is small beside a run: plain loops over members and entries. */
#include "gas/family.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

/* --- sums --- */

void cost_none(struct cost *c)
{
	*c = (struct cost){ .seconds = NAN,
		            .human_seconds = NAN,
		            .flops = NAN,
		            .int_ops = NAN,
		            .money_all = ~0u,
		            .joules = NAN,
		            .joules_low = NAN,
		            .joules_high = NAN,
		            .money = NAN,
		            .money_low = NAN,
		            .money_high = NAN,
		            .money_opex = NAN,
		            .money_capex = NAN,
		            .grams_co2 = NAN };
}

static void sum(double *to, double x)
{
	if (!isnan(x))
		*to = isnan(*to) ? x : *to + x;
}

static void add_money(struct cost *c, const struct cost *more)
{
	if (isnan(more->money))
		return;
	if (c->currency[0] && strcmp(c->currency, more->currency)) {
		c->foreign++;
		return;
	}
	memcpy(c->currency, more->currency, sizeof(c->currency));
	sum(&c->money, more->money);
	sum(&c->money_low, more->money_low);
	sum(&c->money_high, more->money_high);
	sum(&c->money_opex, more->money_opex);
	sum(&c->money_capex, more->money_capex);
	c->money_any |= more->money_any;
	c->money_all &= more->money_all;
}

static void add_run_money(struct cost *c, const struct money *m)
{
	struct cost one;

	cost_none(&one);
	memcpy(one.currency, m->currency, sizeof(one.currency));
	one.money = m->total;
	one.money_low = m->low;
	one.money_high = m->high;
	one.money_capex = m->capex;
	one.money_any = one.money_all = money_parts(m);
	sum(&one.money_opex, m->electricity);
	sum(&one.money_opex, m->rent);
	sum(&one.money_opex, m->people);
	add_money(c, &one);
}

void cost_add_run(struct cost *c, const struct entry *x)
{
	const struct gas *g = &x->gas;

	c->runs++;
	c->without_energy += isnan(g->energy.joules);
	sum(&c->seconds, g->seconds);
	sum(&c->human_seconds, g->human_seconds);
	sum(&c->flops, g->flops);
	sum(&c->int_ops, g->int_ops);
	sum(&c->joules, g->energy.joules);
	sum(&c->joules_low, g->energy.low);
	sum(&c->joules_high, g->energy.high);
	sum(&c->grams_co2, g->grams_co2);
	add_run_money(c, &g->money);
}

void cost_add(struct cost *c, const struct cost *more)
{
	c->runs += more->runs;
	c->without_energy += more->without_energy;
	c->foreign += more->foreign;
	sum(&c->seconds, more->seconds);
	sum(&c->human_seconds, more->human_seconds);
	sum(&c->flops, more->flops);
	sum(&c->int_ops, more->int_ops);
	sum(&c->joules, more->joules);
	sum(&c->joules_low, more->joules_low);
	sum(&c->joules_high, more->joules_high);
	sum(&c->grams_co2, more->grams_co2);
	add_money(c, more);
}

json_t *cost_json(const struct cost *c)
{
	const struct { const char *name; double value; } all[] = {
		{ "seconds", c->seconds }, { "human_seconds", c->human_seconds },
		{ "flops", c->flops }, { "int_ops", c->int_ops },
		{ "joules", c->joules }, { "joules_low", c->joules_low },
		{ "joules_high", c->joules_high }, { "money", c->money },
		{ "money_low", c->money_low }, { "money_high", c->money_high },
		{ "money_opex", c->money_opex }, { "money_capex", c->money_capex },
		{ "grams_co2", c->grams_co2 },
	};
	json_t *j = json_pack("{s:I, s:I, s:I}", "runs", (json_int_t)c->runs, "runs_without_energy",
	                      (json_int_t)c->without_energy, "in_other_currencies", (json_int_t)c->foreign);
	char is[120];

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		json_object_set_new(j, all[i].name, jsonx_number(all[i].value));
	money_parts_text(c->money_any, c->money_all, is);
	json_object_set_new(j, "money_is", c->money_any ? json_string(is) : json_null());
	json_object_set_new(j, "currency", c->currency[0] ? json_string(c->currency) : json_null());
	return j;
}

/* --- the tree --- */

static int member_of(struct family *f, const char *hash)
{
	const json_t *number = json_object_get(f->index, hash);
	return number ? (int)json_integer_value(number) : -1;
}

static void add_member(struct family *f, const struct artefact *a)
{
	if (member_of(f, a->hash) >= 0)
		return;
	json_object_set_new(f->index, a->hash, json_integer((json_int_t)f->n));
	f->members = mem_grow(f->members, f->n + 1, sizeof(*f->members));
	struct family_member *m = &f->members[f->n++];
	*m = (struct family_member){ .artefact = *a, .maker = -1 };
	cost_none(&m->own);
	cost_none(&m->uses);
}

/* A piece of the same run: in its directory, before it, and nothing began there anew in between. */
static bool is_piece(const struct entry *maker, const struct entry *x)
{
	return maker->directory && x->directory && !strcmp(maker->directory, x->directory) && maker->machine &&
	       x->machine && !strcmp(maker->machine, x->machine) &&
	       (!strcmp(x->status, "stopped") || !strcmp(x->status, "killed") || !strcmp(x->status, "failed"));
}

/* The piece before i of what maker resumed; −1: i began it. */
static int64_t piece_before(const struct family *f, int64_t maker, int64_t i)
{
	const struct entry *all = f->entries->items;

	if (strcmp(all[i].command, "resume") != 0)
		return -1;
	for (i--; i >= 0 && !is_piece(&all[maker], &all[i]); i--)
		;
	return i;
}

int64_t family_began(const struct family *f, int64_t maker)
{
	int64_t before, i = maker;
	while ((before = piece_before(f, maker, i)) >= 0)
		i = before;
	return i;
}

static void add_pieces(struct family *f, struct family_member *m, int64_t maker)
{
	for (int64_t i = maker; i >= 0; i = piece_before(f, maker, i))
		cost_add_run(&m->own, &f->entries->items[i]);
}

static void add_parents(struct family *f, struct family_member *m, const struct entry *maker)
{
	m->parents = arena_array(&f->mem, maker->n_uses, sizeof(*m->parents));
	for (size_t i = 0; i < maker->n_uses; i++) {
		int parent = maker->uses[i].out ? -1 : member_of(f, maker->uses[i].artefact.hash);
		if (parent >= 0 && &f->members[parent] != m)
			m->parents[m->n_parents++] = parent;
	}
}

static void see_use(struct family *f, size_t run, const struct artefact_use *u)
{
	struct family_member *m = &f->members[member_of(f, u->artefact.hash)];

	if (!u->out) {
		if (!entry_is_use(&f->entries->items[run]))
			return;
		m->n_uses++;
		cost_add_run(&m->uses, &f->entries->items[run]);
		return;
	}
	m->made++;
	if (m->maker >= 0)
		return;
	m->maker = (int64_t)run;
	add_pieces(f, m, (int64_t)run);
	add_parents(f, m, &f->entries->items[run]);
}

void family_build(struct family *f, const struct entries *entries)
{
	*f = (struct family){ .entries = entries, .index = json_object() };
	for (size_t i = 0; i < entries->n; i++)
		for (size_t j = 0; j < entries->items[i].n_uses; j++)
			add_member(f, &entries->items[i].uses[j].artefact);
	for (size_t i = 0; i < entries->n; i++)
		for (size_t j = 0; j < entries->items[i].n_uses; j++)
			see_use(f, i, &entries->items[i].uses[j]);
}

void family_release(struct family *f)
{
	mem_free(f->members);
	json_decref(f->index);
	arena_release(&f->mem);
	*f = (struct family){ 0 };
}

static bool is_called(const struct family *f, const struct family_member *m, const char *what)
{
	const struct artefact *a = &m->artefact;
	size_t n = strlen(what);
	const struct entry *maker = m->maker < 0 ? NULL : &f->entries->items[m->maker];

	return (n >= 4 && !strncmp(a->hash, what, n)) || (a->path && !strcmp(a->path, what)) ||
	       (a->name && !strcmp(a->name, what)) ||
	       (maker &&
	        ((n >= 4 && !strncmp(maker->id, what, n)) || (maker->directory && !strcmp(maker->directory, what))));
}

int family_find(const struct family *f, const char *what)
{
	int found = -1;
	for (size_t i = 0; i < f->n; i++) {
		if (!strcmp(f->members[i].artefact.hash, what))
			return (int)i;
		if (is_called(f, &f->members[i], what))
			found = found == -1 ? (int)i : -2;
	}
	return found;
}

static void visit(struct family *f, int member, bool *seen, int *list, size_t *n)
{
	const struct family_member *m = &f->members[member];
	for (size_t i = 0; i < m->n_parents; i++) {
		int parent = m->parents[i];
		if (seen[parent])
			continue;
		seen[parent] = true;
		visit(f, parent, seen, list, n);
		list[(*n)++] = parent;
	}
}

int *family_ancestors(struct family *f, int member, size_t *n)
{
	bool *seen = arena_array(&f->mem, f->n, sizeof(*seen));
	int *list = arena_array(&f->mem, f->n, sizeof(*list));

	*n = 0;
	seen[member] = true;
	visit(f, member, seen, list, n);
	return list;
}

void family_sunk(struct family *f, int member, struct cost *out)
{
	size_t n;
	int *list = family_ancestors(f, member, &n);

	cost_none(out);
	for (size_t i = 0; i < n; i++)
		cost_add(out, &f->members[list[i]].own);
}

static bool contains(const int *list, size_t n, int what)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == what)
			return true;
	return false;
}

int *family_sharers(struct family *f, int member, size_t *n)
{
	size_t n_mine, n_theirs;
	int *mine = family_ancestors(f, member, &n_mine), *list = arena_array(&f->mem, f->n, sizeof(*list));

	*n = 0;
	for (int i = 0; i < (int)f->n; i++) {
		bool shares = false;
		if (i == member || contains(mine, n_mine, i))
			continue;
		int *theirs = family_ancestors(f, i, &n_theirs);
		for (size_t k = 0; k < n_theirs; k++)
			shares |= contains(mine, n_mine, theirs[k]);
		if (shares)
			list[(*n)++] = i;
	}
	return list;
}
