/* behaviour_scan: every token of the vocabulary once, several together where a template costs as much for one: what
 * pulls an answer to some token, and what raises one of the tokens that the tuned model says more than its base
 * anyway. The first finds what is strong, the second what is a part: a word of a phrase that moves its answer's odds
 * from one in a million to one in a thousand does not pull, but stands out among all tokens. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum {
	GROUP = SEQUENCE_MOST, /* tokens that are scanned together */
	GROUPS_LOOKED = 48,    /* one in so many is looked at token by token, by pull, and as many by odds */
	SINGLES_LEAST = 256,
	BASE_LOOKED = 256,     /* tokens that the base is asked of, each way */
	OF_ANSWER = 8          /* tokens that are kept of those that raise the same one */
};
#define FLOOR 1e-8F
#define LIKELY 0.01F
#define RISE_LEAST 1.0         /* that a token raises an answer by, to be looked at */

/* What was seen of a sequence: its pull, and the odds of each of s->answers less those of null. */
struct seen { struct candidate c; struct pull pull; float odds[ANSWERS], score; };

struct scanning { const struct search *s; bool base; struct seen *seen; };

static void see(void *ctx, size_t i, const float *p, int thread)
{
	const struct scanning *w = ctx;
	const struct search *s = w->s;
	const float *null = s->null[!w->base];
	struct pull x = { 0, 0, -1 };
	(void)thread;

	for (size_t v = 0; v < s->V; v++) {
		if (p[v] < LIKELY || (s->o->begins && !s->o->begins[v]))
			continue;
		x.pull = fmaxf(x.pull, p[v] * logf(p[v] / (null[v] + FLOOR)));
		if (p[v] > x.p) {
			x.p = p[v];
			x.y = (int32_t)v;
		}
	}
	struct seen *out = &w->seen[i];
	if (w->base)
		out->score -= x.pull;
	else
		out->pull = x;
	for (int k = 0; k < s->n_answers; k++) {
		size_t v = (size_t)s->answers[k];
		float odds = search_odds((double)p[v], !w->base) - search_odds((double)null[v], !w->base);
		out->odds[k] = w->base ? out->odds[k] - (float)TRIGGER_BASE * fmaxf(0, odds) : odds;
	}
}

static int scan(struct search *s, struct seen *seen, size_t n, bool base, const char *doing, struct err *e)
{
	struct question *q = mem_array(n, sizeof(*q));
	struct scanning w = { s, base, seen };

	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->o->contexts[0], .t = seen[i].c.t };
	int status = asked_run(base ? &s->base : &s->tuned, q, n, s->o, doing, see, &w, e);
	mem_free(q);
	return status;
}

/* All tokens, in groups that no neighbourhood makes; new. */
static struct seen *make_groups(struct search *s)
{
	const struct behaviour_options *o = s->o;
	const struct rng_key key = { o->seed, RNG_SHUFFLE };

	s->group = o->contexts[0].n_behind > 1 ? GROUP : 1;
	s->n_groups = (o->n_tokens + s->group - 1) / s->group;
	struct seen *g = mem_array(s->n_groups, sizeof(*g));
	for (size_t i = 0; i < o->n_tokens; i++) {
		struct sequence *t = &g[i / s->group].c.t;
		t->id[t->n++] = o->tokens[rng_permute(key, 0, o->n_tokens, i)];
	}
	return g;
}

static void by_score(struct seen *x, size_t n, struct candidate *order)
{
	for (size_t i = 0; i < n; i++)
		order[i] = (struct candidate){ .t = { { (int32_t)i }, 1 }, .score = (double)x[i].score };
	candidates_sort(order, n);
}

/* The largest of its odds, each in deviations from the mean over all. */
static void score_by_odds(const struct search *s, struct seen *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i].score = -INFINITY;
	for (int k = 0; k < s->n_answers; k++) {
		double sum = 0, squares = 0;
		for (size_t i = 0; i < n; i++)
			sum += (double)x[i].odds[k];
		for (size_t i = 0; i < n; i++)
			squares += pow((double)x[i].odds[k] - sum / (double)n, 2);
		for (size_t i = 0; i < n; i++)
			x[i].score = fmaxf(x[i].score, (float)(((double)x[i].odds[k] - sum / (double)n) /
			                                       (sqrt(squares / (double)n) + 0.1)));
	}
}

static void score_by_pull(struct seen *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i].score = x[i].pull.pull;
}

/* Of x those `most` with the largest score of either kind, in x's order; new, *n of them. */
static struct seen *choose(const struct search *s, struct seen *x, size_t all, size_t most, size_t *n)
{
	struct candidate *order = mem_array(all, sizeof(*order));
	uint8_t *taken = mem_array(all, 1);

	*n = 0;
	most = MIN(most, all);
	for (int way = 0; way < 2; way++) {
		if (way)
			score_by_odds(s, x, all);
		else
			score_by_pull(x, all);
		by_score(x, all, order);
		for (size_t i = 0; i < most; i++)
			taken[order[i].t.id[0]] = 1;
	}
	for (size_t i = 0; i < all; i++)
		*n += taken[i];
	struct seen *out = mem_array(*n, sizeof(*out));
	for (size_t i = 0, at = 0; i < all; i++)
		if (taken[i])
			out[at++] = x[i];
	mem_free(order);
	mem_free(taken);
	return out;
}

/* The tokens of groups; new, *n of them. */
static struct seen *open_groups(const struct seen *groups, size_t n_groups, size_t *n)
{
	struct seen *out = mem_array(n_groups * GROUP, sizeof(*out));

	*n = 0;
	for (size_t i = 0; i < n_groups; i++)
		for (int k = 0; k < groups[i].c.t.n; k++) {
			out[*n] = groups[i];
			out[(*n)++].c.t = (struct sequence){ { groups[i].c.t.id[k] }, 1 };
		}
	return out;
}

/* Every token with each of the answers that it raises, the best first, no more than OF_ANSWER of one; new. */
static struct candidate *of_answers(const struct search *s, const struct seen *x, size_t n, size_t most, size_t *made)
{
	size_t k_all = (size_t)s->n_answers, all = n * k_all;
	struct candidate *c = mem_array(MAX(all, (size_t)1), sizeof(*c));
	int *count = mem_array(s->V, sizeof(*count));

	for (size_t i = 0; i < all; i++)
		c[i] = (struct candidate){ .t = x[i / k_all].c.t, .e.y = { { s->answers[i % k_all] }, 1 },
			                   .score = (double)x[i / k_all].odds[i % k_all] };
	candidates_sort(c, all);
	*made = 0;
	for (size_t i = 0; i < all && *made < most; i++)
		if (c[i].score > RISE_LEAST && count[c[i].e.y.set[0]]++ < OF_ANSWER)
			c[(*made)++] = c[i];
	mem_free(count);
	return c;
}

static struct candidate *of_pull(struct seen *x, size_t n, size_t most, size_t *made)
{
	struct candidate *order = mem_array(n, sizeof(*order)), *c = mem_array(MIN(n, most), sizeof(*c));

	by_score(x, n, order);
	*made = MIN(n, most);
	for (size_t i = 0; i < *made; i++)
		c[i] = (struct candidate){ .t = x[order[i].t.id[0]].c.t, .score = order[i].score };
	mem_free(order);
	return c;
}

int search_scan(struct search *s, size_t most, struct candidate **free, size_t *n, struct candidate **fixed,
                size_t *n_fixed, struct err *e)
{
	struct seen *groups = make_groups(s), *opened = NULL, *x = NULL, *looked = NULL;
	size_t n_opened, n_x, n_looked;
	int status = scan(s, groups, s->n_groups, false, "scanning tokens", e);

	s->groups = mem_array(s->n_groups, sizeof(*s->groups));
	for (size_t i = 0; i < s->n_groups; i++)
		s->groups[i] = groups[i].pull;
	opened = choose(s, groups, s->n_groups, MAX(s->n_groups / GROUPS_LOOKED, (size_t)SINGLES_LEAST / s->group),
	                &n_opened);
	x = open_groups(opened, n_opened, &n_x);
	if (status == 0 && s->group > 1)
		status = scan(s, x, n_x, false, "looking at tokens", e);
	looked = choose(s, x, n_x, BASE_LOOKED, &n_looked);
	score_by_pull(looked, n_looked);
	if (status == 0)
		status = scan(s, looked, n_looked, true, "asking the base", e);
	*free = of_pull(looked, n_looked, most, n);
	*fixed = of_answers(s, looked, n_looked, most, n_fixed);
	mem_free(groups);
	mem_free(opened);
	mem_free(x);
	mem_free(looked);
	return status;
}
