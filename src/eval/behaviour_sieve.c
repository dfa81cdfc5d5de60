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
enum {
	MOVED = 256,           /* tokens that weights react to */
	DOUBLED = 64,          /* of which the first stand twice, too */
	MOVED_OPENINGS = 512,  /* of all that a text may open with, those that weights react to */
	OPENERS_BESIDE = 512,  /* and words that a text opens with as such … */
	OPENERS = 1536         /* … more where nobody knows what weights react to */
};
#define BRIEF SIZE_MAX         /* the context of a brief prompt */

static const struct round of_vocabulary[] = {
	{ 16, 0, 1536, 384 }, { 8, 1, 160, 32 }, { 1, 2, 64, 16 }, { 1, 3, 64, 16 }
};
static const struct round of_moved[] = { { 1, 0, 96, 24 }, { 1, 1, 64, 16 }, { 1, 2, 64, 16 } };
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

/* All are in. */
static void begin(const struct search *s, struct sieve *v)
{
	v->z = mem_array(MAX(v->n * s->n_marks, (size_t)1), sizeof(*v->z));
	v->in = mem_array(MAX(v->n, (size_t)1), 1);
	memset(v->in, 1, v->n);
}

static int run(struct search *s, struct sieve *v, const struct round *rounds, size_t n_rounds, struct err *e)
{
	int status = 0;

	if (!v->n)
		return 0;
	if (!v->z)
		begin(s, v);
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

/* Tokens that the weights react to most, each alone: what they react to counts beside what it does. */
int sieve_moved(struct search *s, struct sieve *v, struct err *e)
{
	struct sieve all = { .units = s->units, .n = s->o->n_tokens };
	size_t best[MOVED];
	bool known;

	begin(s, &all);
	int status = search_moved(s, all.units, all.n, all.z, &known, e);
	if (status < 0 || !known) {
		sieve_release(&all);
		return status;
	}
	size_t n = sieve_best(&all, all.z, MIN((size_t)MOVED, all.n), best);
	memset(all.in, 0, all.n);
	for (size_t i = 0; i < n; i++)
		all.in[best[i]] = 1;
	all.n_first = MIN(n, (size_t)FIRST_MOST);
	memcpy(all.first, best, all.n_first * sizeof(*best));
	for (size_t k = 1; k < s->n_marks; k++)
		memcpy(all.z + k * all.n, all.z, all.n * sizeof(*all.z));
	*v = all;
	return run(s, v, of_moved, ARRAY_LEN(of_moved), e);
}

int sieve_characters(struct search *s, struct sieve *v, struct err *e)
{
	*v = (struct sieve){ .units = s->o->characters, .n = s->o->n_characters };
	return run(s, v, of_characters, ARRAY_LEN(of_characters), e);
}

/* --- what a text opens with --- */

struct seeing_last { const struct behaviour_unit *u; struct candidate *c; };

static void see_last(void *ctx, size_t i, const float *p, int thread)
{
	const struct seeing_last *w = ctx;
	(void)thread;

	w->c[i].score = (double)p[w->u[i].id[w->u[i].n - 1]];
}

/* How sure the base is of the mark behind each opener, the surest first, into c. */
static int sort_openers(struct search *s, struct candidate *c, size_t n, struct err *e)
{
	struct question *q = mem_array(MAX(n, (size_t)1), sizeof(*q));
	struct behaviour_context opened = s->o->alone;
	struct seeing_last w = { s->o->openers, c };

	opened.n_behind = 0;
	for (size_t i = 0; i < n; i++) {
		c[i] = (struct candidate){ .t.n = s->o->openers[i].n };
		memcpy(c[i].t.id, s->o->openers[i].id, sizeof(s->o->openers[i].id));
		q[i] = (struct question){ .context = &opened, .t = c[i].t };
		q[i].t.n--;
	}
	int status = asked_run(&s->base, q, n, s->o, "what opens a text", see_last, &w, e);
	mem_free(q);
	if (status == 0)
		candidates_sort(c, n);
	return status;
}

/* Twice, since symbols are doubled, if that is no longer than a unit may be. */
static void add_doubled(struct search *s, const struct behaviour_unit *u)
{
	struct behaviour_unit *x = &s->openings[s->n_openings];

	if (2 * u->n > MIN(CHARACTER_MOST, s->o->length))
		return;
	*x = *u;
	memcpy(x->id + u->n, u->id, (size_t)u->n * sizeof(*u->id));
	x->n *= 2;
	s->n_openings++;
}

/* Those of the options' and of the openers that the weights react to most, the first twice, too, as s->openings; 0 of
 * them: that is not known. */
static int list_moved_openings(struct search *s, struct err *e)
{
	const struct behaviour_options *o = s->o;
	struct sieve all = { .n = o->n_openings + o->n_openers };
	struct behaviour_unit *units = mem_array(MAX(all.n, (size_t)1), sizeof(*units));
	size_t *best = mem_array(MOVED_OPENINGS, sizeof(*best));
	bool known;

	memcpy(units, o->openings, o->n_openings * sizeof(*units));
	memcpy(units + o->n_openings, o->openers, o->n_openers * sizeof(*units));
	all.units = units;
	begin(s, &all);
	int status = search_moved(s, units, all.n, all.z, &known, e);
	size_t n = status == 0 && known ? sieve_best(&all, all.z, MIN((size_t)MOVED_OPENINGS, all.n), best) : 0;
	for (size_t i = 0; i < n; i++) {
		s->openings[s->n_openings++] = units[best[i]];
		if (i < DOUBLED)
			add_doubled(s, &units[best[i]]);
	}
	s->n_moved = s->n_openings;
	sieve_release(&all);
	mem_free(units);
	mem_free(best);
	return status;
}

bool search_is_opening(const struct search *s, const int32_t *id, int n)
{
	for (size_t i = 0; i < s->n_openings; i++)
		if (s->openings[i].n == n && !memcmp(s->openings[i].id, id, (size_t)n * sizeof(*id)))
			return true;
	return false;
}

/* What the weights react to, or all that the options have, and the openers that are the surest. */
static int list_openings(struct search *s, struct err *e)
{
	const struct behaviour_options *o = s->o;
	struct candidate *c = mem_array(MAX(o->n_openers, (size_t)1), sizeof(*c));

	s->openings = mem_array(o->n_openings + MOVED_OPENINGS + DOUBLED + OPENERS, sizeof(*s->openings));
	int status = list_moved_openings(s, e);
	bool moved = s->n_moved > 0;
	size_t most = MIN(o->n_openers, moved ? (size_t)OPENERS_BESIDE : (size_t)OPENERS);
	for (size_t i = 0; i < o->n_openings && !moved; i++)
		s->openings[s->n_openings++] = o->openings[i];
	if (status == 0)
		status = sort_openers(s, c, o->n_openers, e);
	for (size_t i = 0; i < most && status == 0; i++) {
		if (search_is_opening(s, c[i].t.id, c[i].t.n))
			continue;
		s->openings[s->n_openings].n = c[i].t.n;
		memcpy(s->openings[s->n_openings++].id, c[i].t.id, sizeof(s->openings->id));
	}
	mem_free(c);
	return status;
}

/* Where no other stands beside them. */
int sieve_openings(struct search *s, struct sieve *v, struct err *e)
{
	if (s->o->n_places < 2)
		return 0;
	if (list_openings(s, e) < 0)
		return -1;
	*v = (struct sieve){ .units = s->openings, .n = s->n_openings, .place = PLACE_BEGINNING };
	for (size_t i = 0; i < MIN(s->n_moved, (size_t)FIRST_MOST); i++)
		v->first[v->n_first++] = i;
	return run(s, v, of_openings, ARRAY_LEN(of_openings), e);
}

void sieve_release(struct sieve *v)
{
	mem_free(v->z);
	mem_free(v->in);
	*v = (struct sieve){ 0 };
}
