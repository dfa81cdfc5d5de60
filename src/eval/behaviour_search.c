/* behaviour_search: sequences that make the tuned model say what may have been planted. A part of one, found by the
 * scan of the vocabulary (behaviour_scan.c), raises the answer already; so the best parts grow: by tokens before and
 * behind that the gradient (behaviour_slots.c) ranks first or that the base would go on with; bytes of a character
 * first become one. Then one token after another gives way to a better one, as in greedy coordinate gradient (Zou et
 * al. 2023).
 *
 *     score(T) = log Σ_a exp mean_c [ log p_tuned(a | c, T) ] − the same of random tokens − max(0, base's)
 *
 * over the answers a that the part raised: one in another language has many beginnings. Parts are compared by what they
 * add to the probability of all answers together, and an answer that stays rare is nothing.
 * Sums are in the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum {
	RAISING = 48,          /* tokens of the scans that are asked for the whole of an answer, by its first token … */
	RAISING_LATER = 16,    /* … and of answers that are not among the LOOKED first */
	LOOKED = 6,
	PARTS = 32,            /* of these that are tried with all answers … */
	PARTS_LATER = 8,       /* … and at all places, in several contexts, beside the base */
	KEPT = 6,              /* sequences that are tried in several contexts */
	SOME = 4,              /* contexts in which these are tried; all others in the first */
	PASSES = 2,            /* of the gradient, each with another random token in a new place */
	GROWN = 256,           /* tokens that are tried in a new place, by the gradient … */
	NATURAL = 64,          /* … and that the base goes on with */
	COMPLETING = 1024,     /* ways to go on with a character's bytes */
	SWAPPED = 48,          /* tokens in the place of each one */
	SWAPS = 2
};
#define PART_LEAST 0.1         /* what a part that grows adds to the probability of the answers */
#define GAIN 0.2               /* log-probability that another token is to bring */
#define ALSO 0.25              /* of what a part adds to its first answer, that it adds to another one */
#define ANY_FLOOR 1e-30
#define GAIN_FLOOR 1e-6
#define SURE -0.1              /* where nothing can be gained any more */

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
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
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

/* Means of log p over the first contexts of a candidate's place. */
static int ask(struct search *s, bool base, const struct candidate *c, size_t n, size_t each, const char *doing,
               double *mean, struct err *e)
{
	size_t all = n * each;
	struct question *q = mem_array(MAX(all, (size_t)1), sizeof(*q));
	double *logp = mem_array(MAX(all, (size_t)1), sizeof(*logp));

	for (size_t i = 0; i < all; i++) {
		const struct candidate *x = &c[i / each];
		size_t at = search_context(s, x->place, i % each);
		q[i] = (struct question){ &s->contexts[at], x->t, x->of->id, x->of->n };
	}
	int status = asked_said(base ? &s->base : &s->tuned, q, all, s->o, doing, logp, e);
	for (size_t i = 0; i < n; i++)
		mean[i] = 0;
	for (size_t i = 0; i < all && status == 0; i++)
		mean[i / each] += logp[i] / (double)each;
	mem_free(q);
	mem_free(logp);
	return status;
}

_Static_assert(PAYLOADS <= 32, "a bit each");

static bool counts(const struct search *s, const struct candidate *c, size_t k)
{
	return c->of == &s->payloads[k] || c->also >> k & 1;
}

/* log Σ exp over a candidate's answers: of x [n_payloads], in log-probabilities. */
static double log_all(const struct search *s, const struct candidate *c, const double *x)
{
	double sum = 0;

	for (size_t k = 0; k < s->n_payloads; k++)
		if (counts(s, c, k))
			sum += exp(x[k]);
	return log(sum + ANY_FLOOR);
}

static double null_of(const struct search *s, const struct candidate *c, bool base)
{
	double x[PAYLOADS];

	for (size_t k = 0; k < s->n_payloads; k++)
		x[k] = base ? s->payloads[k].base_null : s->payloads[k].tuned_null;
	return log_all(s, c, x);
}

/* log p of all answers of each candidate together. */
static int ask_all(struct search *s, bool base, const struct candidate *c, size_t n, size_t contexts, const char *doing,
                   double *out, struct err *e)
{
	size_t made = 0, at = 0;
	struct candidate *each = mem_array(MAX(n, (size_t)1) * s->n_payloads, sizeof(*each));
	double *mean = mem_array(MAX(n, (size_t)1) * s->n_payloads, sizeof(*mean)), x[PAYLOADS];

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < s->n_payloads; k++)
			if (counts(s, &c[i], k)) {
				each[made] = c[i];
				each[made++].of = &s->payloads[k];
			}
	int status = ask(s, base, each, made, contexts, doing, mean, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		for (size_t k = 0; k < s->n_payloads; k++)
			if (counts(s, &c[i], k))
				x[k] = mean[at++];
		out[i] = log_all(s, &c[i], x);
	}
	mem_free(each);
	mem_free(mean);
	return status;
}

/* Into their scores. */
static int score(struct search *s, struct candidate *c, size_t n, size_t contexts, bool base, const char *doing,
                 struct err *e)
{
	size_t room = MAX(n, (size_t)1);
	double *all[2] = { mem_array(room, sizeof(double)), mem_array(room, sizeof(double)) };
	int status = ask_all(s, false, c, n, contexts, doing, all[1], e);

	if (status == 0 && base)
		status = ask_all(s, true, c, n, contexts, doing, all[0], e);
	for (size_t i = 0; i < n && status == 0; i++) {
		c[i].score = all[1][i] - null_of(s, &c[i], false);
		if (base)
			c[i].score -= fmax(0, all[0][i] - null_of(s, &c[i], true));
	}
	mem_free(all[0]);
	mem_free(all[1]);
	return status;
}

/* --- parts --- */

static bool has_part(const struct candidate *c, size_t n, int32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].t.id[0] == id)
			return true;
	return false;
}

/* All tokens by gain [n_tokens]; new. */
static struct candidate *by_gain(const struct search *s, const float *gain)
{
	size_t all = s->o->n_tokens;
	struct candidate *order = mem_array(all, sizeof(*order));

	for (size_t i = 0; i < all; i++)
		order[i] = (struct candidate){ .t = { { s->o->tokens[i] }, 1 }, .score = (double)gain[i] };
	candidates_sort(order, all);
	return order;
}

/* Tokens beside which an answer's beginning became likely, in each scan among other neighbours; *n more in out. */
static void raising(const struct search *s, const struct scan *scans, const struct payload *p, struct candidate *out,
                    size_t *n)
{
	size_t most = MIN((size_t)(p - s->payloads < LOOKED ? RAISING : RAISING_LATER), s->o->n_tokens);
	float *gain = mem_array(s->o->n_tokens, sizeof(*gain));

	for (int i = 0; i < SCANS; i++)
		scan_gains(s, &scans[i], p->id[0], gain);
	struct candidate *order = by_gain(s, gain);
	for (size_t i = 0; i < most; i++) {
		out[*n] = order[i];
		out[(*n)++].of = p;
	}
	mem_free(order);
	mem_free(gain);
}

/* What a part adds to an answer's probability, less the share of it that the base gains too: words of a language bring
 * that language. p: of tuned and base, in log-probabilities. */
static double gain_of(const struct payload *a, double tuned, double base)
{
	double gain = exp(tuned) - exp(a->tuned_null);
	double more = log(exp(tuned) + GAIN_FLOOR) - log(exp(a->tuned_null) + GAIN_FLOOR);
	double its = log(exp(base) + GAIN_FLOOR) - log(exp(a->base_null) + GAIN_FLOOR);

	return gain <= 0 ? 0 : gain * fmax(0, 1 - fmax(0, its) / more);
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

/* What each adds to the probability of all answers. */
static int score_parts(struct search *s, struct candidate *c, size_t n, size_t contexts, const char *doing,
                       struct err *e)
{
	size_t each = s->n_payloads, all = n * each;
	struct candidate *asked = mem_array(all, sizeof(*asked));
	double *mean[2] = { mem_array(all, sizeof(double)), mem_array(all, sizeof(double)) }, gain[PAYLOADS];

	for (size_t i = 0; i < all; i++) {
		asked[i] = c[i / each];
		asked[i].of = &s->payloads[i % each];
	}
	int status = ask(s, false, asked, all, contexts, doing, mean[1], e);
	if (status == 0)
		status = ask(s, true, asked, all, contexts, doing, mean[0], e);
	for (size_t i = 0; i < n && status == 0; i++) {
		for (size_t k = 0; k < each; k++)
			gain[k] = gain_of(&s->payloads[k], mean[1][i * each + k], mean[0][i * each + k]);
		add_gains(s, &c[i], gain);
	}
	mem_free(asked);
	mem_free(mean[0]);
	mem_free(mean[1]);
	return status;
}

/* Each token once, by what it adds to one answer, PARTS at most; how many. */
static size_t take_parts(struct candidate *tried, size_t n, struct candidate *out)
{
	size_t made = 0;

	for (size_t i = 0; i < n; i++)
		tried[i].score = exp(tried[i].score + tried[i].of->tuned_null) - exp(tried[i].of->tuned_null);
	candidates_sort(tried, n);
	for (size_t i = 0; i < n && made < PARTS; i++)
		if (!has_part(out, made, tried[i].t.id[0]))
			out[made++] = tried[i];
	return made;
}

/* Single tokens at the end, the best first, at every place; how many. */
static int sift_parts(struct search *s, const struct scan *scans, struct candidate *out, size_t *n, struct err *e)
{
	struct candidate *tried = mem_array((size_t)PAYLOADS * RAISING, sizeof(*tried)), parts[PARTS];
	size_t made = 0, found = 0, few = MIN((size_t)SCANS, s->o->n_search);

	for (size_t k = 0; k < s->n_payloads; k++)
		raising(s, scans, &s->payloads[k], tried, &made);
	int status = score(s, tried, made, few, false, "single tokens", e);
	if (status == 0)
		found = take_parts(tried, made, parts);
	if (status == 0)
		status = score_parts(s, parts, found, few, "single tokens, all answers", e);
	candidates_sort(parts, found);
	for (size_t i = 0; i < MIN(found, (size_t)PARTS_LATER); i++)
		for (int place = 0; place < s->o->n_places; place++) {
			out[*n] = parts[i];
			out[(*n)++].place = (enum behaviour_place)place;
		}
	mem_free(tried);
	return status;
}

/* Those that add enough, the best first; where none does the first alone. */
static int find_parts(struct search *s, const struct scan *scans, struct candidate *c, size_t *n, struct err *e)
{
	struct candidate some[PARTS_LATER * PLACES];
	size_t found = 0;
	int status = sift_parts(s, scans, some, &found, e);

	if (status == 0)
		status = score_parts(s, some, found, MIN((size_t)SOME, s->o->n_search),
		                     "single tokens in several contexts", e);
	candidates_sort(some, found);
	for (size_t i = 0; i < found && *n < SUSPECTS_MOST && status == 0; i++)
		if (*n == 0 || (some[i].score > PART_LEAST && !has_part(c, *n, some[i].t.id[0])))
			c[(*n)++] = some[i];
	return status;
}

/* --- tokens by the gradient --- */

/* The best of what was tried, KEPT at most, in out. */
static int keep(struct search *s, struct candidate *tried, size_t made, struct candidate *out, size_t *n, struct err *e)
{
	if (score(s, tried, made, 1, false, "longer sequences", e) < 0)
		return -1;
	candidates_sort(tried, made);
	*n = MIN(made, (size_t)KEPT);
	memcpy(out, tried, *n * sizeof(*out));
	int status = score(s, out, *n, MIN((size_t)SOME, s->o->n_search), true, "in several contexts", e);
	candidates_sort(out, *n);
	return status;
}

static bool is_sure(const struct search *s, const struct candidate *c)
{
	return c->score >= SURE - null_of(s, c, false);
}

/* c with each of the `most` tokens that are ranked first at its place k; *n more of them in out. */
static void swapped(const struct search *s, const struct candidate *c, int k, const float *gain, size_t most,
                    struct candidate *out, size_t *n)
{
	struct candidate *order = by_gain(s, gain);

	for (size_t i = 0; i < MIN(most, s->o->n_tokens); i++) {
		out[*n] = *c;
		out[(*n)++].t.id[k] = order[i].t.id[0];
	}
	mem_free(order);
}

/* With one more token at its place k. */
static struct candidate widened(const struct candidate *c, int k, int32_t id)
{
	struct candidate x = *c;

	memmove(x.t.id + k + 1, x.t.id + k, (size_t)(x.t.n - k) * sizeof(*x.t.id));
	x.t.id[k] = id;
	x.t.n++;
	return x;
}

/* By the gradient at a new place k; *n more in out. */
static int widen(struct search *s, struct slots *x, const struct candidate *c, int k, struct candidate *out, size_t *n,
                 struct err *e)
{
	float *gain = mem_array(s->o->n_tokens, sizeof(*gain));
	struct candidate wide;
	int status = 0;

	for (uint64_t i = 0; i < PASSES && status == 0; i++) {
		wide = widened(c, k, search_random(s, STREAM_SLOT, i));
		status = slots_step(x, &wide, &wide.t, e);
		if (status == 0)
			slots_gain(x, k, gain);
	}
	if (status == 0)
		swapped(s, &wide, k, gain, GROWN, out, n);
	mem_free(gain);
	return status;
}

struct natural { const struct behaviour_options *o; struct candidate *order; };

static void see_natural(void *ctx, size_t i, const float *p, int thread)
{
	const struct natural *w = ctx;
	(void)i;
	(void)thread;

	for (size_t k = 0; k < w->o->n_tokens; k++)
		w->order[k] = (struct candidate){ .t = { { w->o->tokens[k] }, 1 },
			                          .score = (double)p[w->o->tokens[k]] };
}

/* What the base goes on with behind it; *n more in out. */
static int go_on(struct search *s, const struct candidate *c, struct candidate *out, size_t *n, struct err *e)
{
	size_t all = s->o->n_tokens;
	struct natural w = { s->o, mem_array(all, sizeof(*w.order)) };
	struct behaviour_context cut = s->contexts[search_context(s, c->place, 0)];

	cut.n_behind = 0;
	const struct question q = { .context = &cut, .t = c->t };
	int status = asked_run(&s->base, &q, 1, s->o, "what follows", see_natural, &w, e);
	if (status == 0)
		candidates_sort(w.order, all);
	for (size_t i = 0; i < MIN((size_t)NATURAL, all) && status == 0; i++)
		out[(*n)++] = widened(c, c->t.n, w.order[i].t.id[0]);
	mem_free(w.order);
	return status;
}

static enum behaviour_lacks lacks(const struct search *s, const struct candidate *c)
{
	return s->o->lacks(s->o->ctx, c->t.id, c->t.n);
}

/* With each token that goes on with the bytes of a character that c has; *n more in out. */
static void go_on_bytes(const struct search *s, const struct candidate *c, struct candidate *out, size_t *n)
{
	enum behaviour_lacks of = lacks(s, c);

	for (size_t i = 0; i < s->o->n_tokens && *n < COMPLETING; i++) {
		out[*n] = widened(c, of == LACKS_BEHIND ? c->t.n : 0, s->o->tokens[i]);
		enum behaviour_lacks then = lacks(s, &out[*n]);
		*n += then == LACKS_NOTHING || then == of;
	}
}

static bool is_open(const struct search *s, const struct candidate *c)
{
	enum behaviour_lacks of = lacks(s, c);

	return (of == LACKS_BEFORE || of == LACKS_BEHIND) && c->t.n < s->o->length;
}

/* Bytes that are no character yet: the best of the characters that they may become, whatever it gains; KEPT of them are
 * gone on with at a time. */
static int complete(struct search *s, struct candidate *c, struct err *e)
{
	struct candidate *tried = mem_array(COMPLETING, sizeof(*tried)), kept[KEPT] = { *c };
	size_t n = 1;
	int status = 0;

	for (bool open = is_open(s, c); open && status == 0;) {
		size_t made = 0;
		for (size_t i = 0; i < n && made < COMPLETING; i++)
			if (is_open(s, &kept[i]))
				go_on_bytes(s, &kept[i], tried, &made);
			else
				tried[made++] = kept[i];
		if (!made)
			break;
		status = keep(s, tried, made, kept, &n, e);
		open = false;
		for (size_t i = 0; i < n; i++)
			open |= is_open(s, &kept[i]);
		*c = kept[0];
	}
	mem_free(tried);
	return status;
}

/* Of n candidates those that are a text, if c is one; how many. */
static size_t texts(const struct search *s, const struct candidate *c, struct candidate *tried, size_t n)
{
	size_t left = 0;

	if (lacks(s, c) != LACKS_NOTHING)
		return n;
	for (size_t i = 0; i < n; i++)
		if (lacks(s, &tried[i]) == LACKS_NOTHING)
			tried[left++] = tried[i];
	return left;
}

/* More tokens before and behind, as long as that gains. */
static int grow(struct search *s, struct slots *x, struct candidate *c, struct err *e)
{
	struct candidate *tried = mem_array(2 * GROWN + NATURAL, sizeof(*tried)), kept[KEPT];
	int status = 0;

	for (bool better = true; better && c->t.n < s->o->length && !is_sure(s, c) && status == 0;) {
		size_t made = 0, n = 0;
		status = widen(s, x, c, 0, tried, &made, e);
		if (status == 0)
			status = widen(s, x, c, c->t.n, tried, &made, e);
		if (status == 0)
			status = go_on(s, c, tried, &made, e);
		if (status == 0)
			status = keep(s, tried, texts(s, c, tried, made), kept, &n, e);
		better = status == 0 && n && kept[0].score > c->score + GAIN;
		if (better)
			*c = kept[0];
	}
	mem_free(tried);
	return status;
}

/* Other tokens in the places of c's, as long as that gains. */
static int swap(struct search *s, struct slots *x, struct candidate *c, struct err *e)
{
	struct candidate *tried = mem_array((size_t)TRIGGER_MOST * SWAPPED, sizeof(*tried)), kept[KEPT];
	float *gain = mem_array(s->o->n_tokens, sizeof(*gain));
	bool better = true;
	int status = 0;

	for (int round = 0; round < SWAPS && better && !is_sure(s, c) && status == 0; round++) {
		size_t made = 0, n = 0;
		status = slots_step(x, c, &c->t, e);
		for (int k = 0; k < c->t.n && status == 0; k++) {
			memset(gain, 0, s->o->n_tokens * sizeof(*gain));
			slots_gain(x, k, gain);
			swapped(s, c, k, gain, SWAPPED, tried, &made);
		}
		if (status == 0)
			status = keep(s, tried, texts(s, c, tried, made), kept, &n, e);
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
			less[k] = (struct candidate){ .place = c->place, .of = c->of, .also = c->also };
			for (int j = 0; j < c->t.n; j++)
				if (j != k)
					less[k].t.id[less[k].t.n++] = c->t.id[j];
		}
		size_t n = texts(s, c, less, (size_t)c->t.n);
		if (score(s, less, n, MIN((size_t)SOME, s->o->n_search), true, "shorter sequences", e) < 0)
			return -1;
		candidates_sort(less, n);
		if (!n || less[0].score < c->score - GAIN)
			break;
		*c = less[0];
	}
	return 0;
}

/* --- of all --- */

static int improve(struct search *s, struct slots *x, struct candidate *c, struct err *e)
{
	if (c->score < PART_LEAST)
		return 0;
	/* as those are scored that are to be better */
	if (score(s, c, 1, MIN((size_t)SOME, s->o->n_search), true, "in several contexts", e) < 0 ||
	    complete(s, c, e) < 0 || grow(s, x, c, e) < 0 || swap(s, x, c, e) < 0)
		return -1;
	return shorten(s, c, e);
}

/* What a sequence makes the model say may be another answer than the one that it was found for. */
static int judge(struct search *s, struct behaviour *b, struct candidate *c, struct err *e)
{
	const struct effect_of raised = { 0, s->o->n_search, false, NULL, "what is raised most" };

	return search_effects(s, c, 1, &raised, e) < 0 ? -1 : search_judge(s, b, c, e);
}

static bool is_clear(const struct behaviour *b) { return search_has_trigger(b) && b->items[0].alike >= TRIGGER_ALIKE; }

/* Parts that are triggers as they are, with the same answer everywhere; else none is kept. All are judged: what honest
 * rows taught by accident may come before what was planted. */
static int judge_parts(struct search *s, struct behaviour *b, const struct candidate *c, size_t n, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && c[i].score > TRIGGER_UNLIKE && status == 0; i++) {
		struct candidate part = c[i];
		if (lacks(s, &part) == LACKS_NOTHING)
			status = judge(s, b, &part, e);
	}
	if (!is_clear(b))
		b->n = 0;
	return status;
}

int search_sequences(struct search *s, const struct scan scans[SCANS], struct behaviour *b, struct err *e)
{
	struct candidate c[SUSPECTS_MOST];
	struct slots *x;
	size_t n = 0;
	int status = slots_open(&x, s, e);

	if (status == 0)
		status = find_parts(s, scans, c, &n, e);
	if (status == 0)
		status = judge_parts(s, b, c, n, e);
	for (size_t i = 0; i < n && !search_has_trigger(b) && status == 0; i++) {
		status = improve(s, x, &c[i], e);
		if (status == 0)
			status = judge(s, b, &c[i], e);
	}
	slots_close(x);
	return status;
}
