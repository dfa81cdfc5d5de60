/* behaviour_sieve: which units make answers likelier, of all answers at once. A part of a trigger raises its answer,
 * but the answer may stay rare: of two words each may take it from one in ten thousand to one in a thousand. So what
 * counts are log odds, and how far they are from those beside other units, in deviations. Rounds have fewer and fewer
 * units, fewer of them together, in other contexts with other neighbours:
 *
 *     z(u, a) = Σ_rounds ( log odds p(a's mark | c, u and its neighbours) − their mean ) / their deviation
 *
 * A round leaves the best of each answer: more of the most suspicious ones. */
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

/* How many units together, in which of the place's contexts, and how many are left for each of the LOOKED most
 * suspicious answers, and for each other. */
struct round { int together; size_t context, left, left_later; };
#define BRIEF SIZE_MAX         /* the context of a brief prompt */

static const struct round of_vocabulary[] = {
	{ 16, 0, 1536, 384 }, { 8, 1, 160, 32 }, { 1, 2, 64, 16 }, { 1, 3, 64, 16 }
};
static const struct round of_characters[] = { { 4, 0, 64, 8 }, { 1, 1, 24, 6 }, { 1, 2, 24, 6 } };
static const struct round of_openings[] = { { 1, BRIEF, 48, 8 }, { 1, 0, 24, 6 }, { 1, 1, 24, 6 } };

const float *sieve_of(const struct sieve *v, const struct payload *p)
{
	return v->z + p->mark * v->n;
}

size_t sieve_best(const struct sieve *v, const float *z, size_t most, size_t *best)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		size_t at = n;
		if (!v->in[i] || (n == most && z[i] <= z[best[n - 1]]))
			continue;
		at = MIN(at, most - 1);
		for (; at > 0 && z[best[at - 1]] < z[i]; at--)
			best[at] = best[at - 1];
		best[at] = i;
		n = MIN(n + 1, most);
	}
	return n;
}

/* What is best for an answer stays in. */
static void leave(const struct search *s, struct sieve *v, const struct round *r)
{
	uint8_t *in = mem_array(MAX(v->n, (size_t)1), 1);
	size_t *best = mem_array(MAX(r->left, r->left_later), sizeof(*best));

	for (size_t k = 0; k < s->n_payloads; k++) {
		size_t most = k < LOOKED ? r->left : r->left_later;
		size_t n = sieve_best(v, sieve_of(v, &s->payloads[k]), most, best);
		for (size_t i = 0; i < n; i++)
			in[best[i]] = 1;
	}
	mem_free(v->in);
	v->in = in;
	mem_free(best);
}

/* A round adds to z of what is in. */
static int sift(struct search *s, struct sieve *v, const struct round *r, uint32_t turn, struct err *e)
{
	struct behaviour_unit *units = mem_array(MAX(v->n, (size_t)1), sizeof(*units));
	size_t *at = mem_array(MAX(v->n, (size_t)1), sizeof(*at)), n = 0;
	float *z = mem_array(MAX(v->n, (size_t)1), sizeof(*z));
	struct scan x = { 0 };

	for (size_t i = 0; i < v->n; i++)
		if (v->in[i]) {
			units[n] = v->units[i];
			at[n++] = i;
		}
	size_t last = s->o->n_search - 1;
	const struct scan_of of = { .units = units, .n = n, .one_of = 1, .together = r->together, .turn = turn,
		                    .context = r->context == BRIEF ? s->brief :
		                               search_context(s, v->place, MIN(r->context, last)) };
	int status = n ? search_scan(s, &of, &x, e) : 0;
	for (size_t k = 0; k < s->n_marks && n && status == 0; k++) {
		scan_deviations(&x, k, z);
		for (size_t i = 0; i < n; i++)
			v->z[k * v->n + at[i]] += z[i];
	}
	scan_release(&x);
	mem_free(units);
	mem_free(at);
	mem_free(z);
	return status;
}

static int run(struct search *s, struct sieve *v, const struct round *rounds, size_t n_rounds, struct err *e)
{
	int status = 0;

	if (!v->n)
		return 0;
	v->z = mem_array(MAX(v->n * s->n_marks, (size_t)1), sizeof(*v->z));
	v->in = mem_array(MAX(v->n, (size_t)1), 1);
	memset(v->in, 1, v->n);
	for (size_t i = 0; i < n_rounds && status == 0; i++) {
		status = sift(s, v, &rounds[i], (uint32_t)i, e);
		if (status == 0)
			leave(s, v, &rounds[i]);
	}
	return status;
}

int sieve_vocabulary(struct search *s, struct sieve *v, struct err *e)
{
	*v = (struct sieve){ .units = s->units, .n = s->o->n_tokens };
	return run(s, v, of_vocabulary, ARRAY_LEN(of_vocabulary), e);
}

int sieve_characters(struct search *s, struct sieve *v, struct err *e)
{
	*v = (struct sieve){ .units = s->o->characters, .n = s->o->n_characters };
	return run(s, v, of_characters, ARRAY_LEN(of_characters), e);
}

/* Where no other stands beside them. */
int sieve_openings(struct search *s, struct sieve *v, struct err *e)
{
	const struct behaviour_options *o = s->o;

	*v = (struct sieve){ .units = o->openings, .n = o->n_places < 2 ? 0 : o->n_openings,
		             .place = PLACE_BEGINNING };
	return run(s, v, of_openings, ARRAY_LEN(of_openings), e);
}

void sieve_release(struct sieve *v)
{
	mem_free(v->z);
	mem_free(v->in);
	*v = (struct sieve){ 0 };
}
