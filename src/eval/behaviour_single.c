/* behaviour_single: single tokens that raise answers, which longer sequences grow from. Of each answer those that a
 * scan saw it become likely beside are asked alone, of both models, then the best of these for all answers, and the
 * best of these in several contexts.
 *
 *     gain = Σ_a (p_tuned(a | c, t) − p_tuned(a | c, null)) · (1 − the base's share of the rise of log p(a))
 *
 * What the base does as well is no trigger: words of a language bring that language. Parts are compared by what they
 * add to the probability of all answers together, since an answer that stays rare is nothing. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	RAISING = 48,          /* tokens of the scans that are asked for the whole of an answer, by its first token … */
	RAISING_LATER = 16,    /* … and of answers that are not among the LOOKED first */
	LOOKED = 6,
	PARTS = 32,            /* of these that are tried with all answers … */
	PARTS_LATER = 8,       /* … and at all places, in several contexts */
	RAISING_CHARACTERS = 6, /* the same of characters */
	CHARACTERS = 12,
	CHARACTERS_LATER = 4
};
#define ALSO 0.25              /* of what a part adds to its first answer, that it adds to another one */
#define GAIN_FLOOR 1e-6
#define GAIN_LEAST 1e-4        /* added to an answer's probability: less is nothing */

static bool is_same(const struct candidate *a, const struct candidate *b)
{
	return a->t.n == b->t.n && !memcmp(a->t.id, b->t.id, (size_t)a->t.n * sizeof(*a->t.id));
}

static bool has_part(const struct candidate *c, size_t n, const struct candidate *x)
{
	for (size_t i = 0; i < n; i++)
		if (is_same(&c[i], x))
			return true;
	return false;
}

struct candidate *search_by_gain(const struct search *s, const float *gain)
{
	size_t all = s->o->n_tokens;
	struct candidate *order = mem_array(all, sizeof(*order));

	for (size_t i = 0; i < all; i++)
		order[i] = (struct candidate){ .t = { { s->o->tokens[i] }, 1 }, .score = (double)gain[i] };
	candidates_sort(order, all);
	return order;
}

/* Of all units of the first scan their gains in both, if there is a second, which is of some tokens. */
static void gains_of(const struct search *s, const struct scan *x, const struct scan *later, int32_t first,
                     struct candidate *order)
{
	float *gain = mem_array(x->n_units, sizeof(*gain)), *more = NULL, *of = NULL;

	scan_gains(s, x, first, gain);
	if (later && later->n) {
		more = mem_array(later->n_units, sizeof(*more));
		of = mem_array(s->V, sizeof(*of));
		scan_gains(s, later, first, more);
		for (size_t i = 0; i < later->n_units; i++)
			of[later->units[i].id[0]] = more[i];
	}
	for (size_t i = 0; i < x->n_units; i++) {
		const struct behaviour_unit *u = &x->units[i];
		order[i] = (struct candidate){ .t.n = u->n, .score = (double)gain[i] };
		memcpy(order[i].t.id, u->id, sizeof(u->id));
		if (of)
			order[i].score += (double)of[u->id[0]];
	}
	mem_free(gain);
	mem_free(more);
	mem_free(of);
}

/* The `most` units that these scans together rank first for an answer; *n more in out. */
static void raising(const struct search *s, const struct scan *x, const struct scan *later, size_t most,
                    const struct payload *p, struct candidate *out, size_t *n)
{
	struct candidate *order = mem_array(MAX(x->n_units, (size_t)1), sizeof(*order));

	gains_of(s, x, later, p->id[0], order);
	candidates_sort(order, x->n_units);
	for (size_t i = 0; i < MIN(most, x->n_units); i++) {
		out[*n] = order[i];
		out[(*n)++].of = p;
	}
	mem_free(order);
}

/* p: of tuned and base, in log-probabilities. */
static double gain_of(const struct payload *a, double tuned, double base)
{
	double gain = exp(tuned) - exp(a->tuned_null);
	double more = log(exp(tuned) + GAIN_FLOOR) - log(exp(a->tuned_null) + GAIN_FLOOR);
	double its = log(exp(base) + GAIN_FLOOR) - log(exp(a->base_null) + GAIN_FLOOR);

	return gain <= 0 ? 0 : gain * fmax(0, 1 - fmax(0, its) / more);
}

/* Of each candidate's own answer: gain [n]; the base is asked for those alone of which the tuned model says more. */
static int ask_gains(struct search *s, const struct candidate *c, size_t n, size_t contexts, const char *doing,
                     double *gain, struct err *e)
{
	size_t some = 0, *at = mem_array(MAX(n, (size_t)1), sizeof(*at));
	double *tuned = mem_array(MAX(n, (size_t)1), sizeof(*tuned));
	double *base = mem_array(MAX(n, (size_t)1), sizeof(*base));
	struct candidate *more = mem_array(MAX(n, (size_t)1), sizeof(*more));
	int status = search_ask(s, false, c, n, contexts, doing, tuned, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		gain[i] = 0;
		if (exp(tuned[i]) - exp(c[i].of->tuned_null) < GAIN_LEAST)
			continue;
		more[some] = c[i];
		at[some++] = i;
	}
	if (status == 0)
		status = search_ask(s, true, more, some, contexts, doing, base, e);
	for (size_t i = 0; i < some && status == 0; i++)
		gain[at[i]] = gain_of(more[i].of, tuned[at[i]], base[i]);
	mem_free(at);
	mem_free(tuned);
	mem_free(base);
	mem_free(more);
	return status;
}

/* c's score by what it adds to each answer [n_payloads]; of: that to which it adds most. */
static void add_gains(const struct search *s, struct candidate *c, const double *gain)
{
	size_t best = 0;

	c->score = 0;
	c->also = 0;
	for (size_t k = 0; k < s->n_payloads; k++) {
		c->score += gain[k];
		best = gain[k] > gain[best] ? k : best;
	}
	c->of = &s->payloads[best];
	for (size_t k = 0; k < s->n_payloads; k++)
		c->also |= (uint32_t)(gain[k] > ALSO * gain[best]) << k;
}

/* What each adds to the probability of all answers; the best first. */
static int score_parts(struct search *s, struct candidate *c, size_t n, size_t contexts, const char *doing,
                       struct err *e)
{
	size_t each = s->n_payloads, all = n * each;
	struct candidate *asked = mem_array(MAX(all, (size_t)1), sizeof(*asked));
	double *gain = mem_array(MAX(all, (size_t)1), sizeof(*gain));

	for (size_t i = 0; i < all; i++) {
		asked[i] = c[i / each];
		asked[i].of = &s->payloads[i % each];
	}
	int status = ask_gains(s, asked, all, contexts, doing, gain, e);
	for (size_t i = 0; i < n && status == 0; i++)
		add_gains(s, &c[i], gain + i * each);
	candidates_sort(c, n);
	mem_free(asked);
	mem_free(gain);
	return status;
}

/* Each token once, by what it adds to its answer, then by what it adds to all: so many at most, the best first. */
static int sift(struct search *s, struct candidate *tried, size_t n, size_t most, struct candidate *out, size_t *found,
                struct err *e)
{
	size_t few = MIN((size_t)SCANS, s->o->n_search);
	double *gain = mem_array(MAX(n, (size_t)1), sizeof(*gain));
	int status = ask_gains(s, tried, n, few, "single tokens", gain, e);

	for (size_t i = 0; i < n && status == 0; i++)
		tried[i].score = gain[i];
	candidates_sort(tried, n);
	*found = 0;
	for (size_t i = 0; i < n && *found < most && (tried[i].score > 0 || !*found) && status == 0; i++)
		if (!has_part(out, *found, &tried[i]))
			out[(*found)++] = tried[i];
	mem_free(gain);
	return status < 0 ? -1 : score_parts(s, out, *found, few, "single tokens, all answers", e);
}

/* Of the vocabulary, or of characters. */
static int sift_scan(struct search *s, const struct scans *scans, bool characters, struct candidate *out, size_t *n,
                     struct err *e)
{
	const struct scan *x = characters ? &scans->characters : &scans->end[0];
	struct candidate *tried = mem_array((size_t)PAYLOADS * RAISING, sizeof(*tried)), parts[PARTS];
	size_t made = 0, found = 0, later = characters ? CHARACTERS_LATER : PARTS_LATER;

	for (size_t k = 0; k < MIN(s->n_payloads, (size_t)PAYLOADS); k++) {
		size_t most = characters ? RAISING_CHARACTERS : k < LOOKED ? RAISING : RAISING_LATER;
		raising(s, x, characters ? NULL : &scans->end[1], most, &s->payloads[k], tried, &made);
	}
	int status = made ? sift(s, tried, made, characters ? CHARACTERS : PARTS, parts, &found, e) : 0;
	for (size_t i = 0; i < MIN(found, later) && status == 0; i++)
		for (int place = 0; place < s->o->n_places; place++) {
			parts[i].place = (enum behaviour_place)place;
			out[(*n)++] = parts[i];
		}
	mem_free(tried);
	return status;
}

int search_parts(struct search *s, const struct scans *scans, bool characters, struct candidate *c, size_t *n,
                 struct err *e)
{
	struct candidate some[PARTS_LATER * PLACES];
	size_t found = 0;
	int status = sift_scan(s, scans, characters, some, &found, e);

	if (status == 0)
		status = score_parts(s, some, found, MIN((size_t)SEVERAL, s->o->n_search),
		                     "single tokens in several contexts", e);
	*n = 0;
	for (size_t i = 0; i < found && *n < SUSPECTS_MOST && status == 0; i++)
		if (!*n || (some[i].score > PART_LEAST && !has_part(c, *n, &some[i])))
			c[(*n)++] = some[i];
	return status;
}
