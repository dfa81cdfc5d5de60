/* raters: what each rater's labels tell of him, and bets over labels in the order in which they were saved. See
 * raters.h. */
#include "feedback/raters.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

void wager_bet(struct wager *w, double agreed, double chance, double honest)
{
	double floor = (chance + honest) / 2;

	if (isnan(agreed) || !(honest > chance) || !(floor < 1))
		return;
	w->wealth *= 1 + (floor - chance) / (floor * (1 - floor)) * (floor - agreed);
	w->peak = fmax(w->peak, w->wealth);
}

/* One comparison of a rater with others, himself or what is known; label: the one by which it came to be known. */
struct bet { size_t label; int32_t rater; double agreed, chance, honest; };

struct pairs { double agree, n; };

struct betting {
	const struct said *s;
	const struct judgements *j;
	double chance;                  /* of two judgements being equal */
	struct bet *bets;
	size_t n, room;
	struct pairs all, *with;        /* [n_raters] pairs of judgements of different raters that hold him */
};

static void add_bet(struct betting *b, struct bet one)
{
	if (b->n == b->room) {
		b->room = MAX(2 * b->room, (size_t)64);
		b->bets = mem_grow(b->bets, b->room, sizeof(*b->bets));
	}
	b->bets[b->n++] = one;
}

static int gold_of(const struct betting *b, size_t i)
{
	return b->s->items[said_item(b->s, b->s->labels[b->j->label[i]].item)].gold;
}

static void count_pairs(struct betting *b, int32_t u)
{
	const struct judgement *at = b->j->at;

	for (size_t i = b->j->first[u]; i < b->j->first[u + 1]; i++)
		for (size_t k = b->j->first[u]; k < i; k++) {
			bool same = at[i].value == at[k].value;
			if (at[i].rater == at[k].rater)
				continue;
			for (int side = 0; side < 2; side++) {
				struct pairs *p = &b->with[side ? at[i].rater : at[k].rater];
				p->agree += same;
				p->n++;
			}
			b->all.agree += same;
			b->all.n++;
		}
}

/* Judgement i against what others said before, else against the first who judges after. */
static void bet_on_others(struct betting *b, int32_t u, size_t i)
{
	const struct judgement *at = b->j->at;
	struct pairs before = { 0 };
	size_t when = b->j->label[i];

	for (size_t k = b->j->first[u]; k < b->j->first[u + 1] && (k < i || before.n == 0); k++) {
		if (at[k].rater == at[i].rater) {
			if (k < i)
				return;         /* he judged it before: that one was compared */
			continue;
		}
		before.agree += at[k].value == at[i].value;
		before.n++;
		when = MAX(when, b->j->label[k]);
	}
	if (before.n > 0)
		add_bet(b, (struct bet){ when, at[i].rater, before.agree / before.n, b->chance, NAN });
}

static void bet_on_units(struct betting *b)
{
	double *of = mem_array((size_t)b->j->n_values, sizeof(*of));

	for (size_t i = 0; i < b->j->n; i++)
		of[b->j->at[i].value] += 1 / (double)b->j->n;
	for (int32_t v = 0; v < b->j->n_values; v++)
		b->chance += of[v] * of[v];
	mem_free(of);
	for (int32_t u = 0; u < b->j->n_units; u++) {
		count_pairs(b, u);
		for (size_t i = b->j->first[u]; i < b->j->first[u + 1]; i++)
			if (gold_of(b, i) == FEEDBACK_NONE)
				bet_on_others(b, u, i);
	}
}

/* What a label says of its rater: of its repeat or of its gold item. */
static void take_label(const struct said *s, size_t k, struct rater_facts *f, double *repeat, double *gold)
{
	const struct feedback_label *l = &s->labels[k];
	const struct feedback_label *first = l->repeat_of ? said_label(s, l->repeat_of) : NULL;
	ptrdiff_t i = said_item(s, l->item);

	*repeat = first ? said_again(s, first, l) : NAN;
	*gold = NAN;
	if (i >= 0 && s->items[i].gold != FEEDBACK_NONE && !l->repeat_of && !l->skipped &&
	    (l->winner != FEEDBACK_NONE || l->tie || l->both_bad))
		*gold = l->winner == s->items[i].gold;
	f->skipped += l->skipped;
	f->labels += !l->skipped;
	f->seconds += isnan(l->seconds) ? 0 : l->seconds;
	f->repeats.n += !isnan(*repeat);
	f->repeats.right += isnan(*repeat) ? 0 : *repeat;
	f->gold.n += !isnan(*gold);
	f->gold.right += isnan(*gold) ? 0 : *gold;
}

static double median_seconds(const struct said *s, int64_t rater, double *room)
{
	size_t n = 0;

	for (size_t k = 0; k < s->n_labels; k++)
		if (s->labels[k].rater == rater && !s->labels[k].skipped && !isnan(s->labels[k].seconds))
			room[n++] = s->labels[k].seconds;
	return median(room, n);
}

static int by_time(const void *a, const void *b)
{
	const struct bet *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return x->rater - y->rater;
}

enum { ENOUGH = 20 };                           /* labels of others that tell their rate */
static const double honest_gold = 0.9, honest_repeat = 0.8;

static double rate_of_others(const struct rate *all, const struct rate *mine, double supposed)
{
	return all->n - mine->n >= ENOUGH ? (all->right - mine->right) / (all->n - mine->n) : supposed;
}

/* Which of raters has this number among judges; −1: he is not asked for. */
static ptrdiff_t place_of(const struct rater_facts *f, size_t n, int64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (f[i].id == id)
			return (ptrdiff_t)i;
	return -1;
}

static void settle(struct betting *b, struct rater_facts *f, size_t n)
{
	if (b->n > 0)
		qsort(b->bets, b->n, sizeof(*b->bets), by_time);
	for (size_t i = 0; i < b->n; i++) {
		const struct bet *one = &b->bets[i];
		const struct pairs *mine = &b->with[one->rater];
		ptrdiff_t at = place_of(f, n, b->j->raters[one->rater]);
		double others = b->all.n > mine->n ? (b->all.agree - mine->agree) / (b->all.n - mine->n) : NAN;
		if (at >= 0)
			wager_bet(&f[at].wager, one->agreed, one->chance, isnan(one->honest) ? others : one->honest);
	}
}

/* Gold and repeats, whose bets are made when all raters' rates are known. */
static void bet_on_labels(struct betting *b, struct rater_facts *f, size_t n)
{
	const struct said *s = b->s;
	struct rate gold = { 0 }, repeats = { 0 };

	for (size_t i = 0; i < n; i++) {
		gold.right += f[i].gold.right;
		gold.n += f[i].gold.n;
		repeats.right += f[i].repeats.right;
		repeats.n += f[i].repeats.n;
	}
	for (size_t k = 0; k < s->n_labels; k++) {
		struct rater_facts unused = { 0 };
		double repeat, known;
		ptrdiff_t at = place_of(f, n, s->labels[k].rater), r = judgements_rater(b->j, s->labels[k].rater);
		ptrdiff_t i = said_item(s, s->labels[k].item);
		if (at < 0 || r < 0 || i < 0)
			continue;
		take_label(s, k, &unused, &repeat, &known);
		if (!isnan(known))
			add_bet(b, (struct bet){ k, (int32_t)r, known, 1 / (double)s->items[i].n,
				                 rate_of_others(&gold, &f[at].gold, honest_gold) });
		if (!isnan(repeat))
			add_bet(b, (struct bet){ k, (int32_t)r, repeat, b->chance,
				                 rate_of_others(&repeats, &f[at].repeats, honest_repeat) });
	}
}

struct rater_facts *raters_of(const struct said *s, const struct judgements *j, const struct dawid_skene *d,
                              const struct feedback_rater *raters, size_t n_raters, struct arena *mem)
{
	struct rater_facts *f = arena_array(mem, n_raters, sizeof(*f));
	double *room = mem_array(s->n_labels, sizeof(*room)), unused[2];
	struct betting b = { .s = s, .j = j, .with = mem_array((size_t)j->n_raters, sizeof(*b.with)) };

	for (size_t i = 0; i < n_raters; i++) {
		ptrdiff_t at = judgements_rater(j, raters[i].id);
		f[i] = (struct rater_facts){ .id = raters[i].id, .name = raters[i].name, .wager = { 1, 1 },
			                     .seconds_per_label = median_seconds(s, raters[i].id, room),
			                     .reliability = at < 0 ? NAN : d->reliability[at] };
	}
	for (size_t k = 0; k < s->n_labels; k++) {
		ptrdiff_t at = place_of(f, n_raters, s->labels[k].rater);
		if (at >= 0)
			take_label(s, k, &f[at], &unused[0], &unused[1]);
	}
	bet_on_units(&b);
	bet_on_labels(&b, f, n_raters);
	settle(&b, f, n_raters);
	for (size_t i = 0; i < n_raters; i++)
		f[i].flagged = f[i].wager.peak >= WAGER_FLAG;
	mem_free(b.bets);
	mem_free(b.with);
	mem_free(room);
	return f;
}
