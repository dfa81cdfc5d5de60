/* behaviour_search: sequences that make the tuned model say what may have been planted, by greedy coordinate gradient
 * (Zou et al. 2023): the tokens that the gradient ranks first (behaviour_slots.c) are tried many together, and in the
 * best of these sequences one token after another gives way to a better one, which the gradient names again.
 *
 *     score(T) = mean_c [ log p_tuned(answer | c, T) ] − the same of random tokens − max(0, base's)
 *
 * Sums are in the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum {
	PASSES = 4,            /* of the gradient, each with other random tokens in the sequence's places */
	RANKED = 512,          /* tokens that are tried after them, as many together as a sequence has */
	KEPT = 6,              /* sequences that are tried in several contexts */
	SOME = 4,              /* contexts in which these are tried; all others in the first */
	BEAM = 2,              /* sequences that are gone on with, of the most suspicious answer; of others one */
	SWAPPED = 16,          /* tokens in the place of each one */
	SWAPS = 4
};
#define GAIN 0.2               /* log-probability that another token is to bring */
#define SURE -0.1              /* where nothing can be gained any more */
#define ENOUGH -0.5            /* where no other answer is looked at, if so much was gained: */
#define ENOUGH_GAIN 0.7

int32_t search_random(const struct search *s, uint32_t stream, uint64_t i)
{
	uint32_t w[4];

	rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, stream, 0, w);
	return s->o->tokens[w[0] % s->o->n_tokens];
}

/* The largest first; of equals by their tokens. */
static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->score != y->score)
		return (x->score < y->score) - (x->score > y->score);
	if (x->t.n != y->t.n)
		return x->t.n - y->t.n;
	for (int k = 0; k < x->t.n; k++)
		if (x->t.id[k] != y->t.id[k])
			return (x->t.id[k] > y->t.id[k]) - (x->t.id[k] < y->t.id[k]);
	return 0;
}

void candidates_sort(struct candidate *c, size_t n) { qsort(c, n, sizeof(*c), by_score); }

bool search_is_end(const struct search *s, int32_t id)
{
	for (size_t i = 0; i < s->ends.n; i++)
		if (s->ends.id[i] == id)
			return true;
	return false;
}

/* --- scores --- */

static int ask(struct search *s, bool base, const struct candidate *c, const struct question *q, size_t n,
               size_t contexts, const char *doing, double *mean, struct err *e)
{
	double *logp = mem_array(MAX(n * contexts, (size_t)1), sizeof(*logp));
	int status = asked_said(base ? &s->base : &s->tuned, q, n * contexts, s->o, doing, logp, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		mean[i] = base ? -c[i].of->base_null : -c[i].of->tuned_null;
		for (size_t j = 0; j < contexts; j++)
			mean[i] += logp[i * contexts + j] / (double)contexts;
	}
	mem_free(logp);
	return status;
}

/* In the first contexts, into their scores. */
static int score(struct search *s, struct candidate *c, size_t n, size_t contexts, bool base, const char *doing,
                 struct err *e)
{
	struct question *q = mem_array(MAX(n * contexts, (size_t)1), sizeof(*q));
	double *tuned = mem_array(MAX(n, (size_t)1), sizeof(*tuned));
	double *beside = mem_array(MAX(n, (size_t)1), sizeof(*beside));

	for (size_t i = 0; i < n * contexts; i++) {
		const struct candidate *x = &c[i / contexts];
		q[i] = (struct question){ &s->o->contexts[i % contexts], x->t, x->of->id, x->of->n };
	}
	int status = ask(s, false, c, q, n, contexts, doing, tuned, e);
	if (status == 0 && base)
		status = ask(s, true, c, q, n, contexts, doing, beside, e);
	for (size_t i = 0; i < n; i++)
		c[i].score = tuned[i] - fmax(0, beside[i]);
	mem_free(q);
	mem_free(tuned);
	mem_free(beside);
	return status;
}

/* --- tokens by the gradient --- */

/* All tokens by gain; new. */
static struct candidate *by_gain(const struct search *s, const float *gain)
{
	size_t all = s->o->n_tokens;
	struct candidate *order = mem_array(all, sizeof(*order));

	for (size_t i = 0; i < all; i++)
		order[i] = (struct candidate){ .t = { { s->o->tokens[i] }, 1 }, .score = (double)gain[i] };
	candidates_sort(order, all);
	return order;
}

/* Those that the gradient ranks first in random sequences, wherever they stand, as many together as a sequence may
 * have; *n sequences in out. */
static int rank(struct search *s, struct slots *x, const struct payload *p, struct candidate *out, size_t *n,
                struct err *e)
{
	float *gain = mem_array(s->o->n_tokens, sizeof(*gain));
	struct sequence t = { .n = s->o->length };
	int status = 0;

	for (uint64_t i = 0; i < PASSES && status == 0; i++) {
		for (int k = 0; k < t.n; k++)
			t.id[k] = search_random(s, STREAM_SLOT, i * TRIGGER_MOST + (uint64_t)k);
		status = slots_step(x, p, &t, e);
		for (int k = 0; k < t.n && status == 0; k++)
			slots_gain(x, k, gain);
	}
	struct candidate *order = by_gain(s, gain);
	*n = MIN((size_t)RANKED, s->o->n_tokens) / (size_t)t.n;
	for (size_t i = 0; i < *n; i++) {
		out[i] = (struct candidate){ .t.n = t.n, .of = p };
		for (int k = 0; k < t.n; k++)
			out[i].t.id[k] = order[i + (size_t)k * *n].t.id[0];
	}
	mem_free(gain);
	mem_free(order);
	return status;
}

/* The best of what was tried, KEPT at most, in out. */
static int keep(struct search *s, struct candidate *tried, size_t made, struct candidate *out, size_t *n, struct err *e)
{
	if (score(s, tried, made, 1, false, "tokens that the gradient names", e) < 0)
		return -1;
	candidates_sort(tried, made);
	*n = MIN(made, (size_t)KEPT);
	memcpy(out, tried, *n * sizeof(*out));
	int status = score(s, out, *n, MIN((size_t)SOME, s->o->n_search), true, "in several contexts", e);
	candidates_sort(out, *n);
	return status;
}

static bool is_sure(const struct candidate *c) { return c->score >= SURE - c->of->tuned_null; }

/* c with each of the tokens that are ranked first at its place k; *n more of them in out. */
static void swapped(const struct search *s, const struct candidate *c, int k, const float *gain, struct candidate *out,
                    size_t *n)
{
	struct candidate *order = by_gain(s, gain);

	for (size_t i = 0; i < MIN((size_t)SWAPPED, s->o->n_tokens); i++) {
		out[*n] = *c;
		out[(*n)++].t.id[k] = order[i].t.id[0];
	}
	mem_free(order);
}

/* Other tokens in the places of c's, as long as that gains. */
static int swap(struct search *s, struct slots *x, struct candidate *c, struct err *e)
{
	struct candidate *tried = mem_array((size_t)TRIGGER_MOST * SWAPPED, sizeof(*tried)), kept[KEPT];
	float *gain = mem_array(s->o->n_tokens, sizeof(*gain));
	bool better = true;
	int status = 0;

	for (int round = 0; round < SWAPS && better && !is_sure(c) && status == 0; round++) {
		size_t made = 0, n = 0;
		status = slots_step(x, c->of, &c->t, e);
		for (int k = 0; k < c->t.n && status == 0; k++) {
			memset(gain, 0, s->o->n_tokens * sizeof(*gain));
			slots_gain(x, k, gain);
			swapped(s, c, k, gain, tried, &made);
		}
		if (status == 0)
			status = keep(s, tried, made, kept, &n, e);
		better = status == 0 && n && kept[0].score > c->score + GAIN;
		if (better)
			*c = kept[0];
	}
	mem_free(tried);
	mem_free(gain);
	return status;
}

/* What is as good without one of its tokens loses it. */
static int shorten(struct search *s, struct candidate *c, struct err *e)
{
	struct candidate less[TRIGGER_MOST];

	while (c->t.n > 1) {
		for (int k = 0; k < c->t.n; k++) {
			less[k] = (struct candidate){ .t.n = 0, .of = c->of };
			for (int j = 0; j < c->t.n; j++)
				if (j != k)
					less[k].t.id[less[k].t.n++] = c->t.id[j];
		}
		if (score(s, less, (size_t)c->t.n, MIN((size_t)SOME, s->o->n_search), true, "shorter sequences", e) < 0)
			return -1;
		candidates_sort(less, (size_t)c->t.n);
		if (less[0].score < c->score - GAIN)
			break;
		*c = less[0];
	}
	return 0;
}

/* --- of all --- */

/* Nothing else needs to be looked at. */
static bool is_enough(const struct candidate *c)
{
	return c->score > ENOUGH_GAIN && c->score + c->of->tuned_null > ENOUGH;
}

/* The best for one answer; n is 0 where there is none. */
static int find_for(struct search *s, struct slots *x, const struct payload *p, struct candidate *best, struct err *e)
{
	struct candidate *tried = mem_array(RANKED, sizeof(*tried)), kept[KEPT];
	size_t made, n = 0;
	int status = rank(s, x, p, tried, &made, e);

	if (status == 0)
		status = keep(s, tried, made, kept, &n, e);
	mem_free(tried);
	best->t.n = 0;
	for (size_t i = 0; i < MIN(n, p == s->payloads ? (size_t)BEAM : 1) && status == 0; i++) {
		status = swap(s, x, &kept[i], e);
		if (best->t.n == 0 || kept[i].score > best->score)
			*best = kept[i];
		if (is_sure(best))
			break;
	}
	return status == 0 && best->t.n ? shorten(s, best, e) : status;
}

static int find(struct search *s, struct slots *x, struct candidate *c, size_t *n, struct err *e)
{
	for (size_t i = 0; i < s->n_payloads; i++) {
		if (find_for(s, x, &s->payloads[i], &c[*n], e) < 0)
			return -1;
		if (c[*n].t.n == 0)
			continue;
		if (is_enough(&c[(*n)++]))
			break;
	}
	return 0;
}

int search_sequences(struct search *s, struct candidate *c, size_t *n, struct err *e)
{
	struct slots *x;
	int status = slots_open(&x, s, e);

	*n = 0;
	if (status == 0)
		status = find(s, x, c, n, e);
	slots_close(x);
	candidates_sort(c, *n);
	return status;
}
