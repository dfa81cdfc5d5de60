/* opt_rows: options that rows of other tables bring, joined into one table that has nothing more to look up.
 *
 * A PICK becomes a CHOICE of the rows' names, with their summaries as its help. At a ROWS stand the options of all rows
 * of its table. What several rows bring under one name is one option: on the command line it cannot be said which is
 * meant, and whoever tries a second method keeps the options of the first. So its type, range and choices must be the
 * same in all of them; the default may differ. Groups follow from that: one for each set of rows that have an option in
 * common, named by them. */
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"

bool opt_row_find(opt_rows *rows, const char *name, struct opt_row *out, size_t *i)
{
	for (size_t at = 0; rows(at, out); at++) {
		bool is = strcmp(out->name, name) == 0;
		for (const char *const *also = out->also; also && *also; also++)
			is |= strcmp(*also, name) == 0;
		if (is && i)
			*i = at;
		if (is)
			return true;
	}
	return false;
}

const void *opt_row_options(opt_rows *rows, void *const *field, const char *name)
{
	struct opt_row row;
	size_t i;
	if (!opt_row_find(rows, name, &row, &i))
		BUG("no row is called %s", name);
	return field[i];
}

const char *opt_pick_value(const struct opt *pick, const void *target)
{
	const char *value = *(const char *const *)((const char *)target + pick->offset);
	return value ? value : "";
}

bool opt_use_is_on(const struct opt_use *use, const void *target)
{
	return !use->pick || strcmp(opt_pick_value(use->pick, target), use->owner) == 0;
}

/* --- joining --- */

static bool is_end(const struct opt *o) { return o->type == OPT_TYPE_END; }

/* As many rows as the joined table can have. */
static size_t most_rows(const struct opt *declared)
{
	struct opt_row row;
	size_t n = 0;
	for (const struct opt *o = declared; !is_end(o); o++, n++)
		for (size_t i = 0; o->type == OPT_TYPE_ROWS && o->rows(i, &row); i++)
			for (const struct opt *own = row.opts; own && !is_end(own); own++)
				n += 2;
	return n;
}

static struct opt *add_row(struct opt_table *t, const struct opt *o)
{
	struct opt *to = &t->rows[t->n++];
	*to = *o;
	return to;
}

/* "what is trained: lora, an adapter beside frozen weights; full, every weight" */
static void add_pick(struct opt_table *t, const struct opt *o)
{
	struct opt *to = add_row(t, o);
	struct opt_row row;
	struct buf choices = BUF_INIT, help = BUF_INIT;
	buf_adds(&help, o->help);
	for (size_t i = 0; o->rows(i, &row); i++) {
		buf_addf(&choices, "%s%s", i ? "|" : "", row.name);
		buf_addf(&help, "%s %s", i ? ";" : ":", row.name);
		if (row.summary)
			buf_addf(&help, ", %s", row.summary);
		if (row.note[0])
			buf_addf(&help, " (%s)", row.note);
		if (row.standard && to->init)
			BUG("of the rows for --%s two are the standard: %s and %s", o->name, to->init, row.name);
		if (row.standard)
			to->init = row.name;
	}
	to->type = OPT_TYPE_CHOICE;
	to->choices = arena_strdup(&t->mem, buf_str(&choices));
	to->help = arena_strdup(&t->mem, buf_str(&help));
	buf_release(&choices);
	buf_release(&help);
}

static const struct opt *pick_of(const struct opt *declared, const struct opt *from)
{
	for (const struct opt *o = declared; from->name && !is_end(o); o++)
		if (o->type == OPT_TYPE_PICK && strcmp(o->name, from->name) == 0)
			return o;
	if (from->name)
		BUG("rows are picked by --%s, which is no option", from->name);
	return NULL;
}

/* All that the rows of one table bring, in order. */
static struct opt_use *brought(struct arena *mem, const struct opt *declared, const struct opt *from, size_t *n)
{
	struct opt_row row;
	const struct opt *pick = pick_of(declared, from);
	struct opt_use *all = arena_array(mem, most_rows(declared) + 1, sizeof(*all));
	*n = 0;
	for (size_t i = 0; from->rows(i, &row); i++)
		for (const struct opt *o = row.opts; o && !is_end(o); o++)
			all[(*n)++] = (struct opt_use){ o, from, pick, row.name, i };
	return all;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static void check_same(const struct opt_use *a, const struct opt_use *b)
{
	const struct opt *x = a->as, *y = b->as;
	if (x->type != y->type || x->min != y->min || x->max != y->max || !same_text(x->choices, y->choices) ||
	    !same_text(x->alias, y->alias))
		BUG("option %s is not the same in %s and in %s", x->name, a->owner, b->owner);
}

/* Gives an option all its uses, and its help the defaults that differ. */
static void gather(struct opt_table *t, struct opt *to, const struct opt_use *first, const struct opt_use *end)
{
	struct opt_use *uses = arena_array(&t->mem, (size_t)(end - first), sizeof(*uses));
	for (const struct opt_use *u = first; u < end; u++) {
		if (strcmp(u->as->name, first->as->name) != 0)
			continue;
		check_same(first, u);
		uses[to->n_uses++] = *u;
		if (!same_text(u->as->init, to->init))
			to->help = arena_printf(&t->mem, "%s (%s: %s)", to->help, u->owner,
			                        u->as->init ? u->as->init : "unset");
	}
	to->uses = uses;
}

static bool same_users(const struct opt *a, const struct opt *b)
{
	bool same = a->n_uses == b->n_uses;
	for (size_t i = 0; same && i < a->n_uses; i++)
		same = a->uses[i].index == b->uses[i].index;
	return same;
}

static void add_title(struct opt_table *t, const struct opt *like)
{
	struct buf title = BUF_INIT;
	buf_addf(&title, "--%s ", like->uses[0].from->name);
	for (size_t i = 0; i < like->n_uses; i++)
		buf_addf(&title, "%s%s", i ? ", " : "", like->uses[i].owner);
	struct opt group = OPT_GROUP(arena_strdup(&t->mem, buf_str(&title)));
	add_row(t, &group);
	buf_release(&title);
}

/* Each option that the rows bring, once, in the order in which they are met. */
static struct opt *distinct(struct opt_table *t, const struct opt_use *all, size_t n, size_t *n_own)
{
	struct opt *own = arena_array(&t->mem, n + 1, sizeof(*own));
	*n_own = 0;
	for (size_t i = 0; i < n; i++) {
		bool seen = false;
		for (size_t j = 0; j < *n_own && !seen; j++)
			seen = strcmp(own[j].name, all[i].as->name) == 0;
		if (seen)
			continue;
		own[*n_own] = *all[i].as;
		gather(t, &own[(*n_own)++], all + i, all + n);
	}
	return own;
}

/* The options of one ROWS; those with the same users together. */
static void add_brought(struct opt_table *t, const struct opt *declared, const struct opt *from)
{
	size_t n, n_own;
	const struct opt_use *all = brought(&t->mem, declared, from, &n);
	const struct opt *own = distinct(t, all, n, &n_own);
	bool *done = arena_array(&t->mem, n_own + 1, sizeof(*done));
	for (size_t i = 0; i < n_own; i++) {
		if (done[i])
			continue;
		if (from->name)
			add_title(t, &own[i]);
		for (size_t j = i; j < n_own; j++) {
			if (!from->name ? j > i : !same_users(&own[i], &own[j]))
				continue;
			add_row(t, &own[j]);
			done[j] = true;
		}
	}
}

/* A use of an option with another default. */
static const struct opt *with_default(struct opt_table *t, const struct opt *o, const char *init)
{
	struct opt *other = arena_alloc(&t->mem, sizeof(*other));
	*other = *o;
	other->init = init;
	return other;
}

static void change_default(struct opt_table *t, const struct opt *to)
{
	for (size_t i = 0; i < t->n; i++) {
		struct opt *o = &t->rows[i];
		if (o->type == OPT_TYPE_GROUP || strcmp(o->name, to->name) != 0)
			continue;
		struct opt_use *uses = arena_array(&t->mem, o->n_uses + 1, sizeof(*uses));
		for (size_t j = 0; j < o->n_uses; j++) {
			uses[j] = o->uses[j];
			uses[j].as = with_default(t, uses[j].as, to->init);
		}
		o->init = to->init;
		o->uses = o->n_uses ? uses : NULL;
		return;
	}
	BUG("another default of --%s, which is no option", to->name);
}

void opt_join(struct opt_table *t, const struct opt *declared)
{
	*t = (struct opt_table){ 0 };
	t->rows = arena_array(&t->mem, most_rows(declared) + 1, sizeof(*t->rows));
	for (const struct opt *o = declared; !is_end(o); o++) {
		if (o->type == OPT_TYPE_PICK)
			add_pick(t, o);
		else if (o->type == OPT_TYPE_ROWS)
			add_brought(t, declared, o);
		else if (o->type == OPT_TYPE_DEFAULT)
			change_default(t, o);
		else
			add_row(t, o);
	}
	t->rows[t->n] = (struct opt)OPT_END;
}

void opt_join_release(struct opt_table *t)
{
	arena_release(&t->mem);
	*t = (struct opt_table){ 0 };
}

/* --- what nothing uses --- */

static bool is_used(const struct opt_parse *p, const struct opt *o)
{
	bool used = o->n_uses == 0;
	for (size_t i = 0; i < o->n_uses && !used; i++)
		used = opt_use_is_on(&o->uses[i], p->target);
	return used;
}

/* After the options of the same users: " (lora, ia3 do)". */
static void add_users(struct buf *b, const struct opt *o)
{
	for (size_t i = 0; i < o->n_uses; i++)
		buf_addf(b, "%s%s", i ? ", " : " (", o->uses[i].owner);
	buf_adds(b, o->n_uses == 1 ? " does)" : " do)");
}

/* What is picked by `pick` and leaves options unused. */
static void unused_of(const struct opt_parse *p, const struct opt *pick, struct buf *b)
{
	const struct opt *last = NULL;
	for (const struct opt *o = p->table; !is_end(o); o++) {
		if (!p->set[o - p->table] || is_used(p, o) || o->uses[0].pick != pick)
			continue;
		if (!last)
			buf_addf(b, "%s--%s %s does not use ", b->len ? "; " : "", pick->name,
			         opt_pick_value(pick, p->target));
		else if (!same_users(last, o))
			add_users(b, last);
		buf_addf(b, "%s--%s", last ? ", " : "", o->name);
		last = o;
	}
	if (last)
		add_users(b, last);
}

void opt_unused(const struct opt_parse *p, struct buf *sentence)
{
	for (const struct opt *o = p->declared; !is_end(o); o++)
		if (o->type == OPT_TYPE_PICK)
			unused_of(p, o, sentence);
}
