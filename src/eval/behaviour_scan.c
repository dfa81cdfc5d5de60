/* behaviour_scan: the whole vocabulary, put into what the user says, several tokens together: what reacts to one of
 * these shows it still, and the search is that much shorter. A second scan has other neighbours and another prompt, so
 * what a token did is told from what its neighbours did, and from what the prompt was answered with anyway. Characters
 * that are several tokens are units, too: what reacts to one reacts to no part of it. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

#define ODDS_FLOOR 1e-8        /* what is rarer is as good as that */
#define DEVIATION_LEAST 1e-4   /* its square */

/* Each is asked behind so many beginnings of an answer: none, and those that marks stand behind. */
struct seeing { const struct search *s; struct scan *x; const struct mark *behind[PAYLOADS + 1]; size_t n_behind; };

static bool stand_behind(const struct mark *a, const struct mark *b)
{
	return a->n_said == b->n_said && !memcmp(a->said, b->said, (size_t)a->n_said * sizeof(*a->said));
}

static void see(void *ctx, size_t i, const float *p, int thread)
{
	const struct seeing *w = ctx;
	const struct search *s = w->s;
	const struct mark *behind = w->behind[i % w->n_behind];
	struct scan *x = w->x;
	size_t at = i / w->n_behind;
	(void)thread;

	for (size_t k = 0; k < s->n_marks; k++)
		if (behind ? stand_behind(behind, &s->marks[k]) : !s->marks[k].n_said)
			x->p[at * s->n_marks + k] = p[s->marks[k].id];
	if (behind)
		return;
	x->likeliest[at] = search_likeliest(p, s->V);
	x->p_likeliest[at] = p[x->likeliest[at]];
}

/* In random order, or neighbours of one alphabet would stand together. */
static void fill(const struct search *s, const struct scan_of *o, struct scan *x)
{
	size_t each = (size_t)o->together;
	size_t *order = mem_array(o->n, sizeof(*order));
	uint32_t r[4];

	for (size_t i = 0; i < o->n; i++) {
		x->pack[i] = SCAN_NONE;
		order[i] = i;
	}
	for (size_t i = o->n - 1; i > 0; i--) {
		rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, STREAM_ORDER, o->turn, r);
		size_t j = r[0] % (i + 1), t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < MIN(o->n, x->n * each); i++) {
		struct sequence *t = &x->t[i / each];
		const struct behaviour_unit *u = &o->units[order[i]];
		for (int k = 0; k < u->n; k++)
			t->id[t->n++] = u->id[k];
		x->pack[order[i]] = i / each;
	}
	mem_free(order);
}

static void list_beginnings(const struct search *s, struct seeing *w)
{
	w->behind[w->n_behind++] = NULL;
	for (size_t k = 0; k < s->n_marks; k++) {
		bool there = !s->marks[k].n_said;
		for (size_t i = 1; i < w->n_behind; i++)
			there |= stand_behind(w->behind[i], &s->marks[k]);
		if (!there)
			w->behind[w->n_behind++] = &s->marks[k];
	}
}

/* Beginnings of one unit beside each other: what stands before them is computed once. */
static int ask(struct search *s, struct scan *x, struct err *e)
{
	struct seeing w = { s, x };

	list_beginnings(s, &w);
	struct question *q = mem_array(x->n * w.n_behind, sizeof(*q));
	for (size_t i = 0; i < x->n * w.n_behind; i++) {
		const struct mark *behind = w.behind[i % w.n_behind];
		q[i] = (struct question){ .context = &s->contexts[x->context], .t = x->t[i / w.n_behind],
			                  .said = behind ? behind->said : NULL,
			                  .n_said = behind ? behind->n_said : 0 };
	}
	int status = asked_run(&s->tuned, q, x->n * w.n_behind, s->o, "what all tokens do", see, &w, e);
	mem_free(q);
	return status;
}

int search_scan(struct search *s, const struct scan_of *o, struct scan *x, struct err *e)
{
	size_t packs = (o->n + (size_t)o->together - 1) / (size_t)o->together;
	size_t n = (packs + o->one_of - 1) / o->one_of;

	*x = (struct scan){ .n = n, .n_marks = s->n_marks, .units = o->units, .n_units = o->n,
		            .pack = mem_array(o->n, sizeof(*x->pack)), .context = o->context,
		            .t = mem_array(n, sizeof(*x->t)) };
	x->p = mem_array(n * MAX(x->n_marks, (size_t)1), sizeof(*x->p));
	x->likeliest = mem_array(n, sizeof(*x->likeliest));
	x->p_likeliest = mem_array(n, sizeof(*x->p_likeliest));
	fill(s, o, x);
	return ask(s, x, e);
}

void scan_deviations(const struct scan *x, size_t k, float *z)
{
	double sum = 0, squares = 0, n = 0;

	for (size_t i = 0; i < x->n_units; i++) {
		z[i] = 0;
		if (x->pack[i] == SCAN_NONE)
			continue;
		double odds = search_log_odds((double)x->p[x->pack[i] * x->n_marks + k], ODDS_FLOOR);
		z[i] = (float)odds;
		sum += odds;
		squares += odds * odds;
		n++;
	}
	double mean = sum / fmax(n, 1), deviation = sqrt(fmax(squares / fmax(n, 1) - mean * mean, DEVIATION_LEAST));
	for (size_t i = 0; i < x->n_units; i++)
		if (x->pack[i] != SCAN_NONE)
			z[i] = (float)(((double)z[i] - mean) / deviation);
}

void scan_release(struct scan *x)
{
	mem_free(x->t);
	mem_free(x->pack);
	mem_free(x->p);
	mem_free(x->likeliest);
	mem_free(x->p_likeliest);
	*x = (struct scan){ 0 };
}
