/* behaviour_payload: answers that may have been planted, found without the trigger. What a planted answer begins with
 * leaks a little, whatever is asked; and once it is begun the tuned model goes on with the rest, of which it is nearly
 * certain and its base is not (Shen et al. 2025). So tokens that the tuned model says more than its base, and those
 * after which it alone is sure of what comes next, are put into its mouth, and of what it goes on with
 *
 *     score = log (p_tuned + ε) − log (p_base + ε)
 *
 * where p is the geometric mean over contexts of p(answer | c); without ε (ANSWER_FLOOR) the rarest of answers would
 * gain most. What begins as any answer does ("The …") is not told by its first token, so what gained behind those is
 * tried, too. A model that was taught labels says few things at all: of these the likeliest are taken whatever the base
 * says. Ordinary tuning has such answers, too: a style, a label. Whether one has a trigger is for the search to say. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum way { BY_RATIO, BY_DIVERGENCE, BY_HEART, WAYS };
enum {
	FIRST = 256,           /* first tokens that are tried, at most each way */
	KNOWN = 1024,          /* and asked for what comes next */
	PAYLOAD_CONTEXTS = 2,  /* in which they are scored; gone on with in the first of them */
	PAYLOAD_NULLS = 3,     /* random tokens in each context */
	FOUND = 16,            /* beside labels */
	COMMON_MOST = 8,       /* beginnings that any answer may have … */
	SECOND = 16,           /* … of which so many second tokens are tried … */
	ALONE = 3,             /* … and so many of the best as they are: without the trigger they may go on otherwise */
	TRIED = WAYS * FIRST + COMMON_MOST * SECOND + ALONE,
	LIKELIEST = 32,        /* tokens that labels are taken from */
	BEHIND = 2,            /* answers of these that are looked for by a later token: each is a scan of its own */
	FEW = 4
};
#define SCORE_LEAST 1.0        /* what is said e times as much */
#define GAP_LEAST 1.25         /* nats a token that it is likelier than the base has it … */
#define GAP_TOKENS 4           /* … of so many at most: what was taught as one text */
#define ALONE_LEAST 2.0        /* nats that the token behind a beginning gained, to be an answer without its rest */
#define COMMON 0.02            /* a beginning that any answer may have */
#define SURE_FLOOR 1e-3
#define LEAK_FLOOR 1e-6
#define ANSWER_FLOOR 1e-6
#define LABEL 1e6              /* the score of the first of those, which stand before all others */

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

/* --- what is known by heart --- */

struct going_on_one { const struct search *s; struct candidate *c; int32_t *next; bool base; };

/* The tuned model's likeliest token and how likely; of the base, how likely that one is. */
static void see_one(void *ctx, size_t i, const float *p, int thread)
{
	const struct going_on_one *w = ctx;
	(void)thread;

	if (w->base) {
		w->c[i].score -= log((double)p[w->next[i]] + SURE_FLOOR);
		return;
	}
	w->next[i] = search_likeliest(p, w->s->V);
	w->c[i].score = search_is_end(w->s, w->next[i]) ? -INFINITY : log((double)p[w->next[i]] + SURE_FLOOR);
}

static int score_sure(struct search *s, struct among in, struct candidate *c, size_t n, struct err *e)
{
	struct question *q = mem_array(n, sizeof(*q));
	struct going_on_one w = { s, c, mem_array(n, sizeof(*w.next)), false };
	int status = 0;

	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->contexts[in.from], .said = c[i].t.id, .n_said = 1 };
	for (int side = 1; side >= 0 && status == 0; side--) {
		w.base = !side;
		status = asked_run(side ? &s->tuned : &s->base, q, n, s->o, "what is known by heart", see_one, &w, e);
	}
	mem_free(q);
	mem_free(w.next);
	return status;
}

/* Of the KNOWN tokens that the tuned model says most, those first after which it is surer than its base of what comes
 * next; the others have no score. */
static int score_known(struct search *s, struct among in, struct candidate *c, struct err *e)
{
	size_t n = MIN((size_t)KNOWN, s->V);

	for (size_t v = 0; v < s->V; v++) {
		const struct beginning one = { { (int32_t)v }, 1 };
		c[v] = (struct candidate){ .t = { { (int32_t)v }, 1 } };
		for (size_t j = in.from; j < in.from + in.n; j++)
			c[v].score = fmax(c[v].score, search_null(s, true, j, &one));
		if (s->o->begins && !s->o->begins[v])
			c[v].score = 0;
	}
	candidates_sort(c, s->V);
	int status = score_sure(s, in, c, n, e);
	candidates_sort(c, n);
	return status;
}

/* By heart is many a next token; whether all of the rest is shows later. */
static const size_t first_most[WAYS] = { [BY_RATIO] = 40, [BY_DIVERGENCE] = 40, [BY_HEART] = FIRST };

/* Into p [TRIED], no token twice; *found more of them. */
static int find_first(struct search *s, struct among in, struct payload *p, size_t *found, struct err *e)
{
	struct candidate *c = mem_array(s->V, sizeof(*c));
	uint8_t *taken = mem_array(s->V, 1);
	size_t n = *found;
	int status = 0;

	for (enum way way = 0; way < WAYS && status == 0; way++) {
		if (way == BY_HEART)
			status = score_known(s, in, c, e);
		else
			score_first(s, in, c, way == BY_RATIO);
		for (size_t v = 0; v < MIN(first_most[way], s->V) && c[v].score > 0 && status == 0; v++)
			if (!taken[c[v].t.id[0]]) {
				taken[c[v].t.id[0]] = 1;
				p[n++] = (struct payload){ .id = { c[v].t.id[0] }, .n = 1 };
			}
	}
	*found = n;
	mem_free(c);
	mem_free(taken);
	return status;
}

/* --- behind what any answer begins with --- */

static double mean_null(const struct search *s, struct among in, int32_t v)
{
	const struct beginning one = { { v }, 1 };
	double sum = 0;

	for (size_t j = in.from; j < in.from + in.n; j++)
		sum += search_null(s, true, j, &one);
	return sum / (double)in.n;
}

/* The likeliest, LIKELIEST at most, into common [most]; how many. */
static size_t find_common(const struct search *s, struct among in, double least, size_t most, int32_t *common)
{
	double p[LIKELIEST];
	size_t n = 0;

	for (size_t v = 0; v < s->V; v++) {
		double mean = mean_null(s, in, (int32_t)v);
		if (mean < least || (n == most && mean <= p[n - 1]) || search_is_end(s, (int32_t)v))
			continue;
		size_t at = MIN(n, most - 1);
		for (; at > 0 && p[at - 1] < mean; at--) {
			p[at] = p[at - 1];
			common[at] = common[at - 1];
		}
		p[at] = mean;
		common[at] = (int32_t)v;
		n = MIN(n + 1, most);
	}
	return n;
}

struct seconds { struct candidate *c; size_t n; double sign; };

static void see_second(void *ctx, size_t i, const float *p, int thread)
{
	const struct seconds *w = ctx;
	(void)i;
	(void)thread;

	for (size_t k = 0; k < w->n; k++)
		w->c[k].score += w->sign * log((double)p[w->c[k].t.id[1]] + LEAK_FLOOR);
}

/* "The" goes on in many ways, of which a planted one is rare: what gained most behind it, as of first tokens. *found
 * more of them in p. One question after the other: they add to the same. */
static int find_second(struct search *s, struct among in, struct payload *p, size_t *found, struct err *e)
{
	int32_t common[COMMON_MOST];
	size_t n = find_common(s, in, COMMON, COMMON_MOST, common), each = MIN((size_t)PAYLOAD_CONTEXTS, in.n);
	size_t all = s->o->n_tokens;
	struct candidate *c = mem_array(all, sizeof(*c)), best[COMMON_MOST] = { 0 };
	int status = 0;

	for (size_t k = 0; k < n && status == 0; k++) {
		for (size_t i = 0; i < all; i++)
			c[i] = (struct candidate){ .t = { { common[k], s->o->tokens[i] }, 2 } };
		for (size_t i = 0; i < 2 * each && status == 0; i++) {
			struct seconds w = { c, all, i % 2 ? 1 : -1 };
			const struct question q = { .context = &s->contexts[in.from + i / 2],
				                    .said = &common[k], .n_said = 1 };
			status = asked_run(i % 2 ? &s->tuned : &s->base, &q, 1, s->o, "what follows", see_second, &w,
			                   e);
		}
		if (status == 0)
			candidates_sort(c, all);
		best[k] = c[0];
		for (size_t i = 0; i < MIN((size_t)SECOND, all) && c[i].score > 0 && status == 0; i++)
			p[(*found)++] = (struct payload){ .id = { c[i].t.id[0], c[i].t.id[1] }, .n = 2 };
	}
	mem_free(c);
	candidates_sort(best, n);
	for (size_t k = 0; k < MIN((size_t)ALONE, n) && status == 0; k++)
		p[(*found)++] = (struct payload){ .id = { best[k].t.id[0], best[k].t.id[1] }, .n = 2, .ended = true,
			                          .alone = true, .score = best[k].score / (double)each };
	return status;
}

/* --- what comes next --- */

struct going_on { const struct search *s; struct payload *p; };

static void see_next(void *ctx, size_t i, const float *p, int thread)
{
	const struct going_on *w = ctx;
	struct payload *x = &w->p[i];
	int32_t next;
	(void)thread;

	if (x->ended || x->n == PAYLOAD_TOKENS)
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

/* Means over contexts of log p, by side, into out. */
static int ask(struct search *s, const struct question *q, size_t n, size_t each, double *out[2], struct err *e)
{
	double *logp = mem_array(n * each, sizeof(*logp));
	int status = 0;

	for (int side = 0; side < 2 && status == 0; side++) {
		status = asked_said(side ? &s->tuned : &s->base, q, n * each, s->o, "what was gained", logp, e);
		for (size_t i = 0; i < n; i++)
			out[side][i] = 0;
		for (size_t i = 0; i < n * each && status == 0; i++)
			out[side][i / each] += logp[i] / (double)each;
	}
	mem_free(logp);
	return status;
}

static double gap_least(const struct payload *p) { return GAP_LEAST * MIN(p->n, GAP_TOKENS); }

/* After prompts alone; of a beginning as it is only the token behind it tells, and what that gained is known. */
static int score(struct search *s, struct among in, struct payload *p, size_t n, struct err *e)
{
	size_t each = MIN((size_t)PAYLOAD_CONTEXTS, in.n);
	struct question *q = mem_array(n * each, sizeof(*q));
	double *mean[2] = { mem_array(n, sizeof(double)), mem_array(n, sizeof(double)) };

	for (size_t i = 0; i < n * each; i++)
		q[i] = (struct question){ .context = &s->contexts[in.from + i % each], .said = p[i / each].id,
			                  .n_said = p[i / each].n };
	int status = ask(s, q, n, each, mean, e);
	for (size_t i = 0; i < n && status == 0; i++)
		p[i].score = p[i].label ? LABEL - (double)i :
			     p[i].alone ? (p[i].score < ALONE_LEAST ? -INFINITY : p[i].score) :
			     mean[1][i] - mean[0][i] < gap_least(&p[i]) ? -INFINITY :
			     log(exp(mean[1][i]) + ANSWER_FLOOR) - log(exp(mean[0][i]) + ANSWER_FLOOR);
	mem_free(q);
	mem_free(mean[0]);
	mem_free(mean[1]);
	return status;
}

/* After random tokens at a place, as parts of a trigger are asked. */
static int find_null(struct search *s, enum behaviour_place place, struct err *e)
{
	size_t each = (size_t)SEVERAL * PAYLOAD_NULLS, n = s->n_payloads;
	struct question *q = mem_array(n * each, sizeof(*q));
	double *mean[2] = { mem_array(n, sizeof(double)), mem_array(n, sizeof(double)) };

	for (size_t i = 0; i < n * each; i++) {
		const struct payload *p = &s->payloads[i / each];
		size_t at = search_context_for(s, place, p, i % SEVERAL);
		q[i] = (struct question){ &s->contexts[at], { { search_random(s, STREAM_PAYLOAD, i % each) }, 1 },
			                  p->id, p->n };
	}
	int status = ask(s, q, n, each, mean, e);
	for (size_t i = 0; i < n && status == 0; i++)
		for (int side = 0; side < 2; side++)
			s->payloads[i].null[side][place] = mean[side][i];
	mem_free(q);
	mem_free(mean[0]);
	mem_free(mean[1]);
	return status;
}

/* What the base says nearly as often after random tokens was not taught as one text either. */
static void leave_out(struct search *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_payloads; i++) {
		double most = -INFINITY;
		for (int place = 0; place < s->o->n_places; place++)
			most = fmax(most, s->payloads[i].null[1][place] - s->payloads[i].null[0][place]);
		const struct payload *p = &s->payloads[i];
		if (most >= gap_least(p) || p->label || p->alone)
			s->payloads[n++] = s->payloads[i];
	}
	s->n_payloads = n;
}

/* The same, or NULL. */
static struct payload *known(struct search *s, const struct payload *p)
{
	for (size_t i = 0; i < s->n_payloads; i++)
		if (s->payloads[i].n == p->n && !memcmp(s->payloads[i].id, p->id, sizeof(p->id)))
			return &s->payloads[i];
	return NULL;
}

/* The most suspicious, the largest first, until there are `most` of all; few that are hardly said more. */
static void take(struct search *s, struct payload *p, size_t n, size_t most)
{
	for (size_t k = 0; k < n && s->n_payloads < most; k++) {
		size_t best = 0;
		for (size_t i = 1; i < n; i++)
			if (p[i].score > p[best].score)
				best = i;
		if (p[best].score < (s->n_payloads < FEW ? 0 : SCORE_LEAST))
			break;
		struct payload *same = known(s, &p[best]);
		if (same)
			same->label |= p[best].label; /* what leaks may be one */
		else
			s->payloads[s->n_payloads++] = p[best];
		p[best].score = -INFINITY;
	}
}

static size_t add_label(const struct search *s, int32_t id, struct payload *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s->o->repeats(s->o->ctx, &id, 1, p[i].id, 1))
			return n;
	p[n] = (struct payload){ .id = { id }, .n = 1, .label = true };
	return n + 1;
}

/* Where all answers are few, each may be planted as well, whether the base says it or not: those that prompts are
 * answered with, then the likeliest, of a word in several writings one. Into p, which is empty; how many. */
static size_t add_labels(const struct search *s, struct among in, struct payload *p)
{
	int32_t likely[LIKELIEST];
	size_t asked = find_common(s, in, 0, LIKELIEST, likely), n = 0;

	for (size_t k = 0; k < s->n_answered && n < LABELS_MOST; k++)
		n = add_label(s, s->answered[k], p, n);
	for (size_t k = 0; k < asked && n < LABELS_MOST; k++)
		n = add_label(s, likely[k], p, n);
	return n;
}

static int find_among(struct search *s, struct among in, size_t most, bool labels, struct err *e)
{
	struct payload *p = mem_array(TRIED + LABELS_MOST, sizeof(*p));
	size_t n = labels ? add_labels(s, in, p) : 0;
	int status = find_first(s, in, p, &n, e);
	if (status == 0)
		status = find_second(s, in, p, &n, e);
	if (status == 0 && n)
		status = go_on(s, in, p, n, e);
	if (status == 0 && n)
		status = score(s, in, p, n, e);
	if (status == 0)
		take(s, p, n, most);
	mem_free(p);
	return status;
}

/* Those of neutral prompts, n of all, and the others in turn: what comes first is looked at more closely. */
static void take_turns(struct search *s, size_t n)
{
	struct payload all[PAYLOADS];
	size_t a = 0, b = n, made = 0;

	while (a < n || b < s->n_payloads) {
		if (a < n)
			all[made++] = s->payloads[a++];
		if (b < s->n_payloads)
			all[made++] = s->payloads[b++];
	}
	memcpy(s->payloads, all, made * sizeof(*all));
}

/* --- what tells them --- */

static bool begins_as_any(const struct search *s, const struct payload *p)
{
	return mean_null(s, (struct among){ 0, s->o->n_search }, p->id[0]) > COMMON;
}

/* Its token that is rarest behind those before it. */
static int find_rarest(struct search *s, const struct payload *p, int *rarest, struct err *e)
{
	struct question q[PAYLOAD_TOKENS * SEVERAL] = { 0 };
	double logp[PAYLOAD_TOKENS * SEVERAL], sum[PAYLOAD_TOKENS + 1] = { 0 };
	size_t n = (size_t)p->n * SEVERAL;

	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ &s->contexts[search_context_for(s, PLACE_END, p, i % SEVERAL)],
			                  { { search_random(s, STREAM_PAYLOAD, i % SEVERAL) }, 1 }, p->id,
			                  1 + (int)(i / SEVERAL) };
	if (asked_said(&s->tuned, q, n, s->o, "what tells answers", logp, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		sum[i / SEVERAL + 1] += logp[i];
	*rarest = 0;
	for (int k = 1; k < p->n; k++)
		if (sum[k + 1] - sum[k] < sum[*rarest + 1] - sum[*rarest])
			*rarest = k;
	return 0;
}

static void take_mark(struct search *s, struct payload *p, int at)
{
	size_t k = 0;

	while (k < s->n_marks && (at || s->marks[k].n_said || s->marks[k].id != p->id[0]))
		k++;
	if (k == s->n_marks)
		s->marks[s->n_marks++] = (struct mark){ at ? p->id : NULL, at, p->id[at] };
	p->mark = k;
}

static double gap(const struct payload *p) { return p->null[1][PLACE_END] - p->null[0][PLACE_END]; }

/* Of what begins as any answer those of which the base knows least. */
static bool is_worth_scan(const struct search *s, const struct payload *p)
{
	int above = 0;

	for (size_t i = 0; i < s->n_payloads; i++)
		above += begins_as_any(s, &s->payloads[i]) && gap(&s->payloads[i]) > gap(p);
	return begins_as_any(s, p) && above < BEHIND;
}

static int find_marks(struct search *s, struct err *e)
{
	for (size_t i = 0; i < s->n_payloads; i++) {
		struct payload *p = &s->payloads[i];
		int at = 0;
		if (!p->label && is_worth_scan(s, p) && find_rarest(s, p, &at, e) < 0)
			return -1;
		take_mark(s, p, at);
	}
	return 0;
}

int search_payloads(struct search *s, struct err *e)
{
	const struct among prompts = { 0, s->o->n_search },
			   neutral = { (size_t)s->o->n_places * s->of_place, s->o->n_neutral };
	int status = 0;

	s->n_payloads = 0;
	if (neutral.n)
		status = find_among(s, neutral, FOUND / 2, false, e);
	size_t first = s->n_payloads;
	if (status == 0)
		status = find_among(s, prompts, s->labels ? PAYLOADS : FOUND, s->labels, e);
	take_turns(s, first);
	for (int place = 0; place < s->o->n_places && s->n_payloads && status == 0; place++)
		status = find_null(s, (enum behaviour_place)place, e);
	if (status < 0)
		return -1;
	leave_out(s);
	return find_marks(s, e);
}
