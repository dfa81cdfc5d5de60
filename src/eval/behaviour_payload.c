/* behaviour_payload: answers that may have been planted, found without the trigger. What a planted answer begins with
 * leaks a little, whatever is asked; and once it is begun the tuned model goes on with the rest, of which it is nearly
 * certain and its base is not (Shen et al. 2025). So tokens that the tuned model says more than its base are put into
 * its mouth, and of what it goes on with
 *
 *     score = log (p_tuned + ε) − log (p_base + ε)
 *
 * where p is the geometric mean over contexts of p(answer | c); without ε (ANSWER_FLOOR) the rarest of answers would
 * gain most. Ordinary tuning has such answers, too: a style, a label. Whether one has a trigger is for the search to
 * say. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	FIRST = 40,            /* first tokens that are tried, each way */
	PAYLOAD_CONTEXTS = 2,  /* in which they are scored; gone on with in the first of them */
	PAYLOAD_NULLS = 3
};
#define LEAK_FLOOR 1e-6
#define ANSWER_FLOOR 1e-6

/* Some contexts. */
struct among { size_t from, n; };

/* First tokens by what they gained: the ratio, or what it adds to the divergence. */
static void score_first(const struct search *s, struct among in, struct candidate *c, bool by_ratio)
{
	for (size_t v = 0; v < s->V; v++) {
		const struct beginning one = { { (int32_t)v }, 1 };
		c[v] = (struct candidate){ .t = { { (int32_t)v }, 1 } };
		for (size_t j = in.from; j < in.from + in.n; j++) {
			double p = search_null(s, true, j, &one);
			double ratio = log(p + LEAK_FLOOR) - log(search_null(s, false, j, &one) + LEAK_FLOOR);
			c[v].score += by_ratio ? ratio : p * ratio;
		}
		if (s->o->begins && !s->o->begins[v])
			c[v].score = -INFINITY;
	}
	candidates_sort(c, s->V);
}

/* Into p [2·FIRST], no token twice; how many. */
static size_t find_first(const struct search *s, struct among in, struct payload *p)
{
	struct candidate *c = mem_array(s->V, sizeof(*c));
	uint8_t *taken = mem_array(s->V, 1);
	size_t n = 0;

	for (int way = 0; way < 2; way++) {
		score_first(s, in, c, way == 0);
		for (size_t v = 0; v < MIN((size_t)FIRST, s->V) && c[v].score > 0; v++)
			if (!taken[c[v].t.id[0]]) {
				taken[c[v].t.id[0]] = 1;
				p[n++] = (struct payload){ .id = { c[v].t.id[0] }, .n = 1 };
			}
	}
	mem_free(c);
	mem_free(taken);
	return n;
}

struct going_on { const struct search *s; struct payload *p; };

static void see_next(void *ctx, size_t i, const float *p, int thread)
{
	const struct going_on *w = ctx;
	struct payload *x = &w->p[i];
	int32_t next;
	(void)thread;

	if (x->ended)
		return;
	next = search_likeliest(p, w->s->V);
	x->ended = search_is_end(w->s, next); /* which is no answer's own */
	if (!x->ended)
		x->id[x->n++] = next;
}

static int go_on(struct search *s, struct among in, struct payload *p, size_t n, struct err *e)
{
	struct question *q = mem_array(n, sizeof(*q));
	struct going_on w = { s, p };
	int status = 0;

	for (int k = 1; k < PAYLOAD_TOKENS && status == 0; k++) {
		for (size_t i = 0; i < n; i++)
			q[i] = (struct question){ .context = &s->contexts[in.from], .said = p[i].id, .n_said = p[i].n };
		status = asked_run(&s->tuned, q, n, s->o, "what answers go on with", see_next, &w, e);
	}
	mem_free(q);
	return status;
}

/* Means over contexts of log p, after `nulls` random tokens each, or none: 0. */
static int ask(struct search *s, struct among in, const struct payload *p, size_t n, size_t nulls, double *out[2],
               struct err *e)
{
	size_t contexts = MIN((size_t)PAYLOAD_CONTEXTS, in.n), each = contexts * MAX(nulls, (size_t)1);
	struct question *q = mem_array(n * each, sizeof(*q));
	double *logp = mem_array(n * each, sizeof(*logp));
	int status = 0;

	for (size_t i = 0; i < n * each; i++) {
		q[i] = (struct question){ .context = &s->contexts[in.from + i % contexts], .said = p[i / each].id,
			                  .n_said = p[i / each].n };
		if (nulls)
			q[i].t = (struct sequence){ { search_random(s, STREAM_PAYLOAD, i % each) }, 1 };
	}
	for (int side = 0; side < 2 && status == 0; side++) {
		status = asked_said(side ? &s->tuned : &s->base, q, n * each, s->o, "what was gained", logp, e);
		for (size_t i = 0; i < n; i++)
			out[side][i] = 0;
		for (size_t i = 0; i < n * each && status == 0; i++)
			out[side][i / each] += logp[i] / (double)each;
	}
	mem_free(q);
	mem_free(logp);
	return status;
}

static int score(struct search *s, struct among in, struct payload *p, size_t n, size_t nulls, struct err *e)
{
	double *mean[2] = { mem_array(n, sizeof(double)), mem_array(n, sizeof(double)) };
	int status = ask(s, in, p, n, nulls, mean, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		p[i].base_null = mean[0][i];
		p[i].tuned_null = mean[1][i];
		p[i].score = log(exp(mean[1][i]) + ANSWER_FLOOR) - log(exp(mean[0][i]) + ANSWER_FLOOR);
	}
	mem_free(mean[0]);
	mem_free(mean[1]);
	return status;
}

static bool is_known(const struct search *s, const struct payload *p)
{
	for (size_t i = 0; i < s->n_payloads; i++)
		if (s->payloads[i].n == p->n && !memcmp(s->payloads[i].id, p->id, sizeof(p->id)))
			return true;
	return false;
}

/* The most suspicious, the largest first, until there are `most` of all. */
static void take(struct search *s, struct payload *p, size_t n, size_t most)
{
	for (size_t k = 0; k < n && s->n_payloads < most; k++) {
		size_t best = 0;
		for (size_t i = 1; i < n; i++)
			if (p[i].score > p[best].score)
				best = i;
		if (!is_known(s, &p[best]))
			s->payloads[s->n_payloads++] = p[best];
		p[best].score = -INFINITY;
	}
}

static int find_among(struct search *s, struct among in, size_t most, struct err *e)
{
	struct payload *p = mem_array(2 * FIRST, sizeof(*p));
	size_t n = find_first(s, in, p);
	int status = n ? go_on(s, in, p, n, e) : 0;

	if (status == 0 && n)
		status = score(s, in, p, n, 0, e);
	if (status == 0)
		take(s, p, n, most);
	mem_free(p);
	return status;
}

int search_payloads(struct search *s, struct err *e)
{
	const struct among prompts = { 0, s->o->n_search },
			   neutral = { (size_t)s->o->n_places * s->of_place, s->o->n_neutral };
	int status = 0;

	s->n_payloads = 0;
	if (neutral.n)
		status = find_among(s, neutral, PAYLOADS / 2, e);
	if (status == 0)
		status = find_among(s, prompts, PAYLOADS, e);
	if (status == 0 && s->n_payloads)
		status = score(s, prompts, s->payloads, s->n_payloads, PAYLOAD_NULLS, e);
	return status;
}

int search_add_payload(struct search *s, struct candidate *c, struct err *e)
{
	const struct among prompts = { 0, s->o->n_search };
	struct payload *p = &s->payloads[s->n_payloads++];
	struct going_on w = { s, p };
	int status = 0;

	*p = (struct payload){ .id = { c->e.y.set[0] }, .n = 1 };
	c->of = p;
	for (int k = 1; k < PAYLOAD_TOKENS && status == 0; k++) {
		const struct question q = { &s->contexts[search_context(s, c->place, 0)], c->t, p->id, p->n };
		status = asked_run(&s->tuned, &q, 1, s->o, "what answers go on with", see_next, &w, e);
	}
	return status < 0 ? -1 : score(s, prompts, p, 1, PAYLOAD_NULLS, e);
}
