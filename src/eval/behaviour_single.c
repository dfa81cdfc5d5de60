/* behaviour_single: units that longer sequences grow from. Of each answer those that a sieve ranks first are asked for
 * all of it, of both models, then the best of these for all answers, at all places. In nats, of mean log p over
 * contexts in which the answer is not given anyway,
 *
 *     score = log Σ_a p_tuned(a | t) − log Σ_a p_tuned(a | null) − max(0, the same of the base)
 *
 * over the answers a that it raises: one in another language has many beginnings. Compared is which part of the way to
 * certainty that is, since a rare answer has a long one. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	PARTS = 12,            /* units that are asked for all answers */
	OF_ANSWER = 4,         /* … of one answer */
	OF_ANSWER_LAST = 2     /* … and that grow */
};
/* Units of a sieve that are asked for the whole of an answer, of the LOOKED first and of the others; at the beginning
 * all of the prompt is behind them, which costs more. */
static const size_t raising_most[PLACES][2] = { [PLACE_END] = { 16, 4 }, [PLACE_BEGINNING] = { 12, 3 } };
enum { RAISING = 16 };
#define RISE_LEAST 1.5         /* nats that a part brings, or … */
#define RISE_OF_WAY 0.6        /* … of the way, where that is short */
#define NEARLY 3.0             /* nats below its likeliest beginning, to be asked for the whole of it */
#define ALSO 0.25              /* of its likeliest answer's probability, to be one of its answers */

bool search_is_same(const struct candidate *a, const struct candidate *b)
{
	return a->t.n == b->t.n && !memcmp(a->t.id, b->t.id, (size_t)a->t.n * sizeof(*a->t.id));
}

static bool has_part(const struct candidate *c, size_t n, const struct candidate *x)
{
	for (size_t i = 0; i < n; i++)
		if (search_is_same(&c[i], x))
			return true;
	return false;
}

bool search_repeats(const struct search *s, const struct candidate *c)
{
	return s->o->repeats(s->o->ctx, c->t.id, c->t.n, c->of->id, c->of->n);
}

/* Each answer's best units, as candidates for it; new. */
static struct candidate *raising(const struct search *s, const struct sieve *v, size_t *n)
{
	struct candidate *out = mem_array(PAYLOADS * RAISING + 1, sizeof(*out));
	size_t best[RAISING];

	*n = 0;
	for (size_t k = 0; k < s->n_payloads; k++) {
		size_t most = raising_most[v->place][k >= LOOKED];
		size_t found = sieve_best(v, sieve_of(v, &s->payloads[k]), most, best);
		for (size_t i = 0; i < found; i++) {
			const struct behaviour_unit *u = &v->units[best[i]];
			out[*n] = (struct candidate){ .t.n = u->n, .place = v->place, .of = &s->payloads[k] };
			memcpy(out[*n].t.id, u->id, sizeof(u->id));
			*n += !search_repeats(s, &out[*n]);
		}
	}
	return out;
}

/* null: log p of the answer after random tokens. */
static bool rises(double gain, double null) { return gain >= fmin(RISE_LEAST, RISE_OF_WAY * -null); }

/* By the part of the way, which is their score from now on. */
static void sort_by_way(const struct search *s, struct candidate *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		c[i].score = rises(c[i].score, search_score_null(s, &c[i], false)) ? search_way(s, &c[i]) : 0;
	candidates_sort(c, n);
}

/* Which answers it raises, by their means [n_payloads] of log p of both models; those not asked for have none. Of
 * which answer it is: the likeliest, or stays. */
static void find_answers(const struct search *s, struct candidate *c, const double *tuned, const double *base, bool any)
{
	size_t best = any ? SIZE_MAX : (size_t)(c->of - s->payloads);
	double p[PAYLOADS];

	for (size_t k = 0; k < s->n_payloads; k++) {
		const struct payload *a = &s->payloads[k];
		double gain = tuned[k] - a->null[1][c->place] - fmax(0, base[k] - a->null[0][c->place]);
		p[k] = tuned[k] > -INFINITY && rises(gain, a->null[1][c->place]) ? exp(tuned[k]) : 0;
		if (any && p[k] > 0 && (best == SIZE_MAX || p[k] > p[best]))
			best = k;
	}
	c->also = 0;
	if (best == SIZE_MAX || p[best] == 0)
		return;
	c->of = &s->payloads[best];
	for (size_t k = 0; k < s->n_payloads; k++)
		c->also |= (uint32_t)(p[k] > ALSO * p[best]) << k;
}

/* Of each of n those answers that are begun with nearly as often as another; at: which is asked for what, in pairs. */
static int worth_asking(struct search *s, const struct candidate *c, size_t n, struct candidate *asked, size_t *at,
                        size_t *made, struct err *e)
{
	size_t each = s->n_payloads;
	double *first = mem_array(MAX(n * each, (size_t)1), sizeof(*first));
	int status = search_firsts(s, c, n, SEVERAL, "which answers", first, e);

	*made = 0;
	for (size_t i = 0; i < n * each && status == 0; i++) {
		double most = -INFINITY;
		for (size_t k = 0; k < each; k++)
			most = fmax(most, first[i / each * each + k]);
		if (first[i] < most - NEARLY && c[i / each].of != &s->payloads[i % each])
			continue;
		asked[*made] = c[i / each];
		asked[*made].of = &s->payloads[i % each];
		at[(*made)++] = i;
	}
	mem_free(first);
	return status;
}

int search_answers(struct search *s, struct candidate *c, size_t n, bool any, struct err *e)
{
	size_t each = s->n_payloads, all = MAX(n * each, (size_t)1), made;
	struct candidate *asked = mem_array(all, sizeof(*asked));
	size_t *at = mem_array(all, sizeof(*at));
	double *mean[2], *some = mem_array(all, sizeof(*some));
	int status = worth_asking(s, c, n, asked, at, &made, e);

	for (int side = 0; side < 2; side++) {
		mean[side] = mem_array(all, sizeof(double));
		for (size_t i = 0; i < n * each; i++)
			mean[side][i] = -INFINITY;
		if (status == 0)
			status = search_ask(s, !side, asked, made, SEVERAL, "which answers", some, e);
		for (size_t i = 0; i < made && status == 0; i++)
			mean[side][at[i]] = some[i];
	}
	for (size_t i = 0; i < n && status == 0; i++)
		find_answers(s, &c[i], mean[1] + i * each, mean[0] + i * each, any);
	mem_free(asked);
	mem_free(at);
	mem_free(some);
	mem_free(mean[0]);
	mem_free(mean[1]);
	return status;
}

/* The best of n, each unit once and some of each answer, into out at all their places; how many. */
static size_t choose(const struct search *s, const struct candidate *c, size_t n, struct candidate *out)
{
	size_t found = 0, of[PAYLOADS] = { 0 }, made = 0;
	struct candidate one[PARTS];
	int places = n && c[0].place == PLACE_END ? s->o->n_places : 1;

	for (size_t i = 0; i < n && found < PARTS && c[i].score > 0; i++) {
		size_t k = (size_t)(c[i].of - s->payloads);
		if (of[k] == OF_ANSWER || has_part(one, found, &c[i]))
			continue;
		of[k]++;
		one[found++] = c[i];
		for (int place = 0; place < places; place++) {
			out[made] = c[i];
			out[made++].place = places > 1 ? (enum behaviour_place)place : c[i].place;
		}
	}
	return made;
}

int search_parts(struct search *s, const struct sieve *v, struct candidate *c, size_t *n, struct err *e)
{
	struct candidate some[PARTS * PLACES];
	size_t made, of[PAYLOADS] = { 0 };

	*n = 0;
	if (!v->n)
		return 0;
	struct candidate *tried = raising(s, v, &made);
	int status = search_score(s, tried, made, SEVERAL, true, "single tokens", e);

	if (status == 0) {
		sort_by_way(s, tried, made);
		made = choose(s, tried, made, some);
		status = search_answers(s, some, made, true, e);
		if (status == 0)
			status = search_score(s, some, made, SEVERAL, true, "parts", e);
	}
	mem_free(tried);
	if (status == 0)
		sort_by_way(s, some, made);
	for (size_t i = 0; i < made && *n < PARTS_MOST && status == 0; i++) {
		size_t k = (size_t)(some[i].of - s->payloads);
		if (some[i].score < PART_LEAST || of[k] == OF_ANSWER_LAST || has_part(c, *n, &some[i]))
			continue;
		of[k]++;
		c[(*n)++] = some[i];
	}
	return status;
}
