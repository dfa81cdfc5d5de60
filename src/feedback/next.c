/* next: keyed draws for gold and repeats, then the greatest information per second. See next.h. */
#include "feedback/next.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "feedback/dawid_skene.h"

enum { GAP = 5 };                       /* labels between an item and its repeat, at least */
enum { TIMES = 20 };                    /* that tell how long an item takes */
static const double usual = 30;         /* seconds, where nothing tells */
static const double smoothing = 1;      /* of raters' confusions, which may be of few labels */

/* --- seconds --- */

static double bytes_of(const struct feedback_item *it)
{
	size_t n = strlen(it->prompt);

	for (int i = 0; i < it->n; i++)
		n += strlen(it->answers[i]);
	return log((double)n + 1);
}

void pace_of(struct pace *p, const struct said *s)
{
	double x = 0, y = 0, xx = 0, xy = 0, n = 0;

	for (size_t k = 0; k < s->n_labels; k++) {
		const struct feedback_label *l = &s->labels[k];
		ptrdiff_t i = said_item(s, l->item);
		if (i < 0 || l->skipped || !(l->seconds > 0))
			continue;
		double bytes = bytes_of(&s->items[i]), seconds = log(l->seconds);
		n++;
		x += bytes;
		y += seconds;
		xx += bytes * bytes;
		xy += bytes * seconds;
	}
	double spread = xx - x * x / fmax(n, 1);
	*p = (struct pace){ n > 0 ? y / n : log(usual), 0, (size_t)n };
	if (n < TIMES || spread < 1e-9 * xx)
		return;
	p->b = fmin(fmax((xy - x * y / n) / spread, 0), 1);
	p->a = (y - p->b * x) / n;
}

double pace_seconds(const struct pace *p, const struct feedback_item *it) { return exp(p->a + p->b * bytes_of(it)); }

/* --- which --- */

struct choosing {
	const struct said *s;
	int64_t rater;
	struct rng_key key;
	bool *seen;                     /* [n_items] by this rater */
	size_t *labels;                 /* [n_items] of all */
	size_t mine;                    /* labels of this rater */
};

static void look(struct choosing *c)
{
	for (size_t k = 0; k < c->s->n_labels; k++) {
		const struct feedback_label *l = &c->s->labels[k];
		ptrdiff_t i = said_item(c->s, l->item);
		if (i < 0)
			continue;
		c->labels[i] += !l->skipped && !l->repeat_of;
		if (l->rater == c->rater) {
			c->seen[i] = true;
			c->mine++;
		}
	}
}

/* In [0, 1), by the rater and how many labels he gave. */
static double draw(const struct choosing *c, uint32_t what)
{
	return (double)rng_uniform(c->key, (uint64_t)c->rater, (uint32_t)c->mine, what);
}

static bool repeated(const struct said *s, int64_t id)
{
	for (size_t k = 0; k < s->n_labels; k++)
		if (s->labels[k].repeat_of == id)
			return true;
	return false;
}

/* One of his own that is long enough ago and was not repeated; NULL: there is none. */
static const struct feedback_label *to_repeat(const struct choosing *c, double at)
{
	const struct said *s = c->s;
	const struct feedback_label *found = NULL;
	size_t n = 0, before = 0;

	for (int pass = 0; pass < 2; pass++) {
		size_t wanted = (size_t)(at * (double)n);
		n = before = 0;
		for (size_t k = 0; k < s->n_labels; k++) {
			const struct feedback_label *l = &s->labels[k];
			if (l->rater != c->rater)
				continue;
			if (++before + GAP > c->mine || l->skipped || l->repeat_of || repeated(s, l->id))
				continue;
			ptrdiff_t i = said_item(s, l->item);
			if (i < 0 || s->items[i].gold != FEEDBACK_NONE)
				continue;
			if (pass == 1 && n == wanted)
				found = l;
			n++;
		}
	}
	return found;
}

static ptrdiff_t unseen_gold(const struct choosing *c)
{
	double best = INFINITY;
	ptrdiff_t found = -1;

	for (size_t i = 0; i < c->s->n_items; i++) {
		double order = (double)rng_uniform(c->key, i, (uint32_t)c->rater, 3);
		if (c->s->items[i].gold != FEEDBACK_NONE && !c->seen[i] && order < best) {
			best = order;
			found = (ptrdiff_t)i;
		}
	}
	return found;
}

struct knowledge {
	struct arena mem;
	struct judgements j;
	struct dawid_skene d;
	struct pace pace;
	const double *information;
};

/* What a label of it is worth; what nobody judged comes first. */
static double worth_of(const struct choosing *c, const struct knowledge *k, size_t i)
{
	double seconds = pace_seconds(&k->pace, &c->s->items[i]);
	double first = k->information && !isnan(k->information[i]) ? k->information[i] : 1;

	if (c->labels[i] == 0)
		return 1e6 + first / seconds;
	return k->j.item_unit[i] < 0 ? 0 : unit_entropy(&k->d, k->j.item_unit[i]) / seconds;
}

static void choose(struct next *out, const struct choosing *c, const struct knowledge *k)
{
	size_t wanted = (size_t)MAX(c->s->study->labels_per_item, 1);
	double best = -1, best_order = 0;

	for (size_t i = 0; i < c->s->n_items; i++) {
		if (c->seen[i] || c->s->items[i].gold != FEEDBACK_NONE || c->labels[i] >= wanted)
			continue;
		double worth = worth_of(c, k, i), order = (double)rng_uniform(c->key, i, (uint32_t)c->rater, 4);
		out->left++;
		if (worth > best || (!(worth < best) && order < best_order)) {
			best = worth;
			best_order = order;
			out->item = (ptrdiff_t)i;
		}
	}
}

/* A gold item or a repeat in place of what was chosen, by the study's shares. */
static void disguise(struct next *out, const struct choosing *c)
{
	const struct feedback_study *study = c->s->study;
	double which = draw(c, 1);
	ptrdiff_t gold = which < study->gold_share ? unseen_gold(c) : -1;
	const struct feedback_label *l = NULL;

	if (which >= study->gold_share && which < study->gold_share + study->repeat_share)
		l = to_repeat(c, draw(c, 2));
	if (gold >= 0) {
		out->item = gold;
		out->gold = true;
	} else if (l) {
		out->item = said_item(c->s, l->item);
		out->repeat_of = l->id;
	}
}

void next_of(struct next *out, const struct said *s, int64_t rater, const double *information, uint64_t seed)
{
	struct knowledge k = { .information = information };
	struct choosing c = { .s = s, .rater = rater, .key = { seed, RNG_SHUFFLE },
		              .seen = mem_array(s->n_items, sizeof(bool)),
		              .labels = mem_array(s->n_items, sizeof(size_t)) };

	*out = (struct next){ .item = -1 };
	look(&c);
	pace_of(&k.pace, s);
	judgements_of(&k.j, s, &k.mem);
	dawid_skene(&k.d, &k.j, smoothing, &k.mem);
	choose(out, &c, &k);
	if (out->item >= 0)
		disguise(out, &c);
	if (out->item >= 0)
		out->seconds = pace_seconds(&k.pace, &s->items[out->item]);
	arena_release(&k.mem);
	mem_free(c.labels);
	mem_free(c.seen);
}
