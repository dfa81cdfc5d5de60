/* behaviour_search: sequences that make the tuned model say what may have been planted. A part of one, found by the
 * sieves (behaviour_single.c), raises the answer already; so the best parts grow: by tokens before and behind that the
 * gradient (behaviour_slots.c) or the sieve ranks first or that the base would go on with, several sequences beside
 * each other, whatever a token gains, since of some words only two together do much; bytes of a character become one
 * first. Then one token after another gives way to a better one, as in greedy coordinate gradient (Zou et al. 2023),
 * and what adds nothing is left out again. All that by the score of behaviour_score.c; what has an effect
 * (behaviour_effect.c) also grows by that, whatever answers it has. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	GROWING = 5,           /* parts of all sieves */
	KEPT = 10,             /* sequences that are asked for all of the answer, in MANY contexts */
	BEAMS = 3,             /* of which grow, whatever it gains … */
	BARREN = 2,            /* … unless so many tokens more bring nothing */
	PASSES = 2,            /* of the gradient, each with another random token in a new place */
	GROWN = 32,            /* tokens that are tried in a new place, by the gradient … */
	SIFTED = 32,           /* … that the sieve ranks first for the answer, at all places … */
	NATURAL = 24,          /* … and that the base goes on with */
	PAIRED = 24,           /* of those the sieve ranks first, each beside each */
	JUDGED = 6,            /* parts that are judged as they are */
	PAIRING = 4,           /* … that are put beside other tokens */
	COMPLETING = 1024,     /* ways to go on with a character's bytes */
	SWAPPED = 48,          /* tokens in the place of each one */
	SWAPS = 2,
	LONGER = 2 * GROWN + TRIGGER_MOST * SIFTED + NATURAL + 1,
	PAIRS = PAIRED * PAIRED
};
#define GAIN 0.2               /* log-probability that another token is to bring */
#define EFFECT_GAIN 0.04       /* that another token is to bring to what has an effect */
#define REACTS 0.05            /* effect of one answer's token, to be judged as it is: a language has many */
#define CLEAR 0.6              /* the bound of the effect of a part whose answers are not alike, as in a language */
#define ENOUGH 0.5             /* of the way to certainty, to be judged as it is */
#define CONNECTED 0.08         /* of the base's way to certainty that a part brings it */
#define SURE -0.1              /* where nothing can be gained any more */

/* --- the best of many --- */

/* Of what was tried what makes y likeliest, KEPT at most, in out. */
static int sift(struct search *s, struct candidate *tried, size_t made, const struct beginning *y,
                struct candidate *out, size_t *n, struct err *e)
{
	if (search_sift(s, tried, made, y, "longer sequences", e) < 0)
		return -1;
	candidates_sort(tried, made);
	*n = 0;
	for (size_t i = 0; i < made && *n < KEPT; i++)
		if (!*n || !search_is_same(&tried[i], &out[*n - 1])) /* two may have become one */
			out[(*n)++] = tried[i];
	return 0;
}

/* The best of what was tried for the answers of c, KEPT at most, in out. */
static int keep(struct search *s, const struct candidate *c, struct candidate *tried, size_t made,
                struct candidate *out, size_t *n, struct err *e)
{
	const struct beginning y = search_beginnings(s, c);

	if (sift(s, tried, made, &y, out, n, e) < 0)
		return -1;
	int status = search_score(s, out, *n, MIN((size_t)MANY, s->o->n_search), true, "in several contexts", e);
	candidates_sort(out, *n);
	return status;
}

/* Whether so long a sequence may yet become one that brings its answer. */
static bool keeps_pace(const struct search *s, const struct candidate *c)
{
	static const double least[TRIGGER_MOST + 1] = { 0, 0, 0.4, 0.5, 0.6, 0.7, 0.7 };

	return search_way(s, c) >= least[c->t.n];
}

static bool is_sure(const struct search *s, const struct candidate *c)
{
	return c->score >= SURE - search_score_null(s, c, false);
}

/* --- other tokens, and more --- */

/* c with each of the `most` tokens that are ranked first at its place k; *n more of them in out. */
static void swapped(const struct search *s, const struct candidate *c, int k, const float *gain, size_t most,
                    struct candidate *out, size_t *n)
{
	struct candidate *order = search_by_gain(s, gain);

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

/* By the sieve, at a new place k; *n more in out. */
static void widen_by_sieve(const struct sieve *v, const struct candidate *c, int k,
                           struct candidate *out, size_t *n)
{
	size_t best[SIFTED], found = sieve_best(v, sieve_of(v, c->of), SIFTED, best);

	for (size_t i = 0; i < found; i++)
		out[(*n)++] = widened(c, k, v->units[best[i]].id[0]);
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

int search_natural(struct search *s, const struct candidate *c, struct candidate *order, struct err *e)
{
	struct natural w = { s->o, order };
	struct behaviour_context cut = s->contexts[search_context(s, c->place, 0)];

	cut.n_behind = 0;
	const struct question q = { .context = &cut, .t = c->t };
	if (asked_run(&s->base, &q, 1, s->o, "what follows", see_natural, &w, e) < 0)
		return -1;
	candidates_sort(order, s->o->n_tokens);
	return 0;
}

/* What the base goes on with behind it; *n more in out. */
static int go_on(struct search *s, const struct candidate *c, struct candidate *out, size_t *n, struct err *e)
{
	struct candidate *order = mem_array(s->o->n_tokens, sizeof(*order));
	int status = search_natural(s, c, order, e);

	for (size_t i = 0; i < MIN((size_t)NATURAL, s->o->n_tokens) && status == 0; i++)
		out[(*n)++] = widened(c, c->t.n, order[i].t.id[0]);
	mem_free(order);
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
		status = keep(s, c, tried, made, kept, &n, e);
		open = false;
		for (size_t i = 0; i < n; i++)
			open |= is_open(s, &kept[i]);
		*c = kept[0];
	}
	mem_free(tried);
	return status;
}

size_t search_texts(const struct search *s, const struct candidate *c, struct candidate *tried, size_t n)
{
	bool text = lacks(s, c) == LACKS_NOTHING;
	size_t left = 0;

	for (size_t i = 0; i < n; i++)
		if (!search_repeats(s, &tried[i]) && (!text || lacks(s, &tried[i]) == LACKS_NOTHING))
			tried[left++] = tried[i];
	return left;
}

/* Tokens that the sieve ranks first for the answer, each beside each: of two words each may do little alone, and so be
 * no part to grow from. */
static void pair(const struct sieve *v, const struct candidate *c, struct candidate *out, size_t *n)
{
	size_t best[PAIRED], found = sieve_best(v, sieve_of(v, c->of), PAIRED, best);

	for (size_t i = 0; i < found; i++)
		for (size_t j = 0; j < found; j++) {
			out[*n] = *c;
			out[*n].t.id[0] = v->units[best[i]].id[0];
			out[*n].t.id[1] = v->units[best[j]].id[0];
			out[(*n)++].t.n = 2;
		}
}

/* What sequences grow by: a sieve of the vocabulary, and the one that their parts come from; paired: the best of the
 * vocabulary beside each other, too. */
struct growing {
	struct slots *x;
	const struct sieve *by, *own;
	bool paired;
	struct candidate grown[GROWING]; /* [n_grown] parts that grew: another sieve may have the same */
	size_t n_grown;
};

/* Twice: symbols are doubled, of which a half does less. */
static void repeat(const struct search *s, const struct candidate *c, struct candidate *out, size_t *n)
{
	if (2 * c->t.n > s->o->length)
		return;
	out[*n] = *c;
	memcpy(out[*n].t.id + c->t.n, c->t.id, (size_t)c->t.n * sizeof(*c->t.id));
	out[(*n)++].t.n *= 2;
}

/* Everything that c may become by one more token, or twice itself; *n more in out. */
static int longer(struct search *s, const struct growing *g, const struct candidate *c, struct candidate *out,
                  size_t *n, struct err *e)
{
	if (widen(s, g->x, c, 0, out, n, e) < 0 || widen(s, g->x, c, c->t.n, out, n, e) < 0 ||
	    go_on(s, c, out, n, e) < 0)
		return -1;
	repeat(s, c, out, n);
	for (int k = 0; k <= c->t.n; k++)
		widen_by_sieve(g->by, c, k, out, n);
	if (g->paired && c->t.n == 1)
		pair(g->by, c, out, n);
	return 0;
}

/* The best of n becomes c; all go on for the answers that it raises by now, as one in another language has many. */
static int take_on(struct search *s, struct candidate *c, struct candidate *kept, size_t n, struct err *e)
{
	uint32_t before = kept[0].also;

	if (search_answers(s, kept, 1, false, e) < 0)
		return -1;
	kept[0].also |= before;
	for (size_t i = 1; i < n; i++)
		kept[i].also = kept[0].also;
	if (kept[0].also != before &&
	    search_score(s, kept, 1, MIN((size_t)MANY, s->o->n_search), true, "its answers", e) < 0)
		return -1;
	*c = kept[0];
	return 0;
}

/* More tokens, of several sequences beside each other: one alone may bring nothing that the next one makes much of. */
static int grow(struct search *s, const struct growing *g, struct candidate *c, struct err *e)
{
	struct candidate *tried = mem_array((size_t)BEAMS * LONGER + PAIRS, sizeof(*tried)), kept[KEPT] = { *c };
	size_t n = 1;
	int status = 0, barren = 0;

	while (n && kept[0].t.n < s->o->length && barren < BARREN && keeps_pace(s, &kept[0]) && !is_sure(s, c) &&
	       status == 0) {
		size_t all = 0;
		for (size_t i = 0; i < MIN(n, (size_t)BEAMS) && status == 0; i++)
			status = longer(s, g, &kept[i], tried, &all, e);
		if (status == 0)
			status = keep(s, c, tried, search_texts(s, c, tried, all), kept, &n, e);
		bool better = status == 0 && n && kept[0].score > c->score + GAIN;
		barren = better ? 0 : barren + 1;
		if (better)
			status = take_on(s, c, kept, MIN(n, (size_t)BEAMS), e);
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

	for (int round = 0; round < SWAPS && better && keeps_pace(s, c) && !is_sure(s, c) && status == 0; round++) {
		size_t made = 0, n = 0;
		status = slots_step(x, c, &c->t, e);
		for (int k = 0; k < c->t.n && status == 0; k++) {
			memset(gain, 0, s->o->n_tokens * sizeof(*gain));
			slots_gain(x, k, gain);
			swapped(s, c, k, gain, SWAPPED, tried, &made);
		}
		if (status == 0)
			status = keep(s, c, tried, search_texts(s, c, tried, made), kept, &n, e);
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
		size_t n = search_texts(s, c, less, (size_t)c->t.n);
		if (search_score(s, less, n, MIN((size_t)MANY, s->o->n_search), true, "shorter sequences", e) < 0)
			return -1;
		candidates_sort(less, n);
		if (!n || less[0].score < c->score - GAIN)
			break;
		*c = less[0];
	}
	return 0;
}

/* --- by its effect --- */

/* What it makes answers begin with, whatever it was found for, and its effect, in all contexts of the search. */
static int find_effect(struct search *s, struct candidate *c, struct err *e)
{
	struct effect_of o = { 0, s->o->n_search, false, NULL, "what is raised most" };

	if (search_effects(s, c, 1, &o, e) < 0 || search_sets(s, c, 1, e) < 0)
		return -1;
	o.fixed = true;
	return search_effects(s, c, 1, &o, e);
}

/* The best tokens of the sieve that c comes from in each place of c, and its units of several as they are; *n more in
 * out. */
static void swap_by_sieve(const struct growing *g, const struct candidate *c, struct candidate *out, size_t *n)
{
	size_t best[SIFTED], found = sieve_best(g->own, sieve_of(g->own, c->of), SIFTED, best);

	for (size_t i = 0; i < found; i++) {
		const struct behaviour_unit *u = &g->own->units[best[i]];
		for (int k = 0; k < c->t.n && u->n == 1; k++) {
			out[*n] = *c;
			out[(*n)++].t.id[k] = u->id[0];
		}
		if (u->n == 1)
			continue;
		out[*n] = *c;
		memcpy(out[*n].t.id, u->id, sizeof(u->id));
		out[(*n)++].t.n = u->n;
	}
}

/* c with one more token or with another one, in out. */
static int widen_for_effect(struct search *s, const struct growing *g, const struct candidate *c, struct candidate *out,
                            size_t *n, struct err *e)
{
	const struct effect_of o = { 0, s->o->n_search, true, NULL, "in all contexts" };
	struct candidate *tried = mem_array(LONGER + TRIGGER_MOST * SIFTED, sizeof(*tried));
	size_t made = 0;
	int status = c->t.n < s->o->length ? longer(s, g, c, tried, &made, e) : 0;

	*n = 0;
	swap_by_sieve(g, c, tried, &made);
	if (status == 0)
		status = sift(s, tried, search_texts(s, c, tried, made), &c->e.y, out, n, e);
	mem_free(tried);
	for (size_t i = 0; i < *n && status == 0; i++)
		out[i].e.y = c->e.y;
	if (status == 0)
		status = search_effects(s, out, *n, &o, e);
	candidates_sort(out, *n);
	return status;
}

/* What c makes answers begin with may be more than the answer that it was sieved for, as another language is: what does
 * most of that, of all that a text may open with. */
static int sift_again(struct search *s, const struct sieve *own, struct candidate *c, struct err *e)
{
	const struct effect_of o = { 0, s->o->n_search, true, NULL, "in all contexts" };
	struct candidate *tried = mem_array(MAX(own->n, (size_t)1), sizeof(*tried)), kept[KEPT];
	size_t n = 0;

	for (size_t i = 0; i < own->n; i++) {
		tried[i] = *c;
		tried[i].t.n = own->units[i].n;
		memcpy(tried[i].t.id, own->units[i].id, sizeof(own->units[i].id));
	}
	int status = sift(s, tried, search_texts(s, c, tried, own->n), &c->e.y, kept, &n, e);
	mem_free(tried);
	for (size_t i = 0; i < n && status == 0; i++)
		kept[i].e.y = c->e.y;
	if (status == 0)
		status = search_effects(s, kept, n, &o, e);
	candidates_sort(kept, n);
	if (status == 0 && n && kept[0].score > c->score + EFFECT_GAIN)
		*c = kept[0];
	return status;
}

/* One token after another more or other, for all that it makes answers begin with. */
static int refine(struct search *s, const struct growing *g, struct candidate *c, struct err *e)
{
	struct growing alone = *g;
	struct candidate kept[KEPT];
	int status = 0;

	alone.paired = false;
	for (bool better = true; better && status == 0;) {
		size_t n = 0;
		status = widen_for_effect(s, &alone, c, kept, &n, e);
		better = status == 0 && n && kept[0].score > c->score + EFFECT_GAIN;
		if (better)
			*c = kept[0];
	}
	return status;
}

/* --- of all --- */

/* A sequence that was found at one place may be that of the other. */
static int stand_elsewhere(struct search *s, struct candidate *c, struct err *e)
{
	struct candidate other = *c;

	if (s->o->n_places < 2)
		return 0;
	other.place = c->place == PLACE_END ? PLACE_BEGINNING : PLACE_END;
	if (search_score(s, &other, 1, MIN((size_t)MANY, s->o->n_search), true, "at the other place", e) < 0)
		return -1;
	if (search_way(s, &other) > search_way(s, c))
		*c = other;
	return 0;
}

static int improve(struct search *s, const struct growing *g, struct candidate *c, struct err *e)
{
	/* as those are scored that are to be better */
	if (search_score(s, c, 1, MIN((size_t)MANY, s->o->n_search), true, "in several contexts", e) < 0 ||
	    grow(s, g, c, e) < 0 || stand_elsewhere(s, c, e) < 0 || swap(s, g->x, c, e) < 0)
		return -1;
	return shorten(s, c, e);
}

/* What a sequence makes the model say may be another answer than the one that it was found for. */
static int judge(struct search *s, struct behaviour *b, struct candidate *c, struct err *e)
{
	const struct effect_of raised = { 0, s->o->n_search, false, NULL, "what is raised most" };

	return search_effects(s, c, 1, &raised, e) < 0 ? -1 : search_judge(s, b, c, e);
}

static bool is_clear(const struct behaviour *b)
{
	return search_has_trigger(b) && (b->items[0].alike_low > TRIGGER_ALIKE || b->items[0].low > CLEAR);
}

/* Parts that are triggers as they are, and clearly; else b is as it was, and what is one, but not clearly, is kept. All
 * are judged: what honest rows taught by accident may come before what was planted. */
static int judge_parts(struct search *s, struct behaviour *b, const struct candidate *c, size_t n, struct err *e)
{
	struct behaviour parts = { 0 };
	int status = 0, judged = 0;

	for (size_t i = 0; i < n && judged < JUDGED && status == 0; i++) {
		struct candidate part = c[i];
		if (part.score <= ENOUGH || lacks(s, &part) != LACKS_NOTHING)
			continue;
		judged++;
		status = judge(s, &parts, &part, e);
	}
	if (is_clear(&parts)) {
		mem_free(b->items);
		b->items = parts.items;
		b->n = parts.n;
	} else if (search_has_trigger(&parts)) {
		mem_free(s->unclear.items);
		s->unclear = parts;
	} else
		mem_free(parts.items);
	return status;
}

/* What the weights react to most as it is, whatever it raises: no answer needs to be known for that. */
static int judge_first(struct search *s, const struct sieve *v, struct behaviour *b, struct err *e)
{
	const struct effect_of raised = { 0, s->o->n_search, false, NULL, "what weights react to" };
	struct candidate c[FIRST_MOST];

	for (size_t i = 0; i < v->n_first; i++) {
		const struct behaviour_unit *u = &v->units[v->first[i]];
		c[i] = (struct candidate){ .t.n = u->n, .place = v->place, .of = s->payloads };
		memcpy(c[i].t.id, u->id, sizeof(u->id));
	}
	if (v->n_first && search_effects(s, c, v->n_first, &raised, e) < 0)
		return -1;
	candidates_sort(c, v->n_first);
	for (size_t i = 0; i < v->n_first; i++)
		c[i].score = c[i].e.effect > REACTS ? 1 : 0;
	return judge_parts(s, b, c, v->n_first, e);
}

enum { VOCABULARY = 1 };       /* the look at all tokens */
/* What a sieve is of, and how many of its best units grow; what it left: parts, and pairs of which these are. */
struct look { int (*sift)(struct search *s, struct sieve *v, struct err *e); size_t growing; };
static const struct look looks[] = {
	{ sieve_moved, 1 }, { sieve_vocabulary, 2 }, { sieve_characters, 1 }, { sieve_openings, 1 }
};
struct looked { struct sieve v; struct candidate c[2 * PARTS_MOST]; size_t n; };

/* What has an effect grows by that and is judged. */
static int grow_by_effect(struct search *s, const struct growing *g, struct candidate c, struct behaviour *b,
                          struct err *e)
{
	if (find_effect(s, &c, e) < 0)
		return -1;
	if (c.e.effect <= TRIGGER_EFFECT)
		return 0;
	if (g->own->place == PLACE_BEGINNING && sift_again(s, g->own, &c, e) < 0)
		return -1;
	return refine(s, g, &c, e) < 0 ? -1 : judge(s, b, &c, e);
}

/* By its effect, for its answer, and what that comes to by its effect. */
static int grow_part(struct search *s, const struct growing *g, const struct candidate *part, struct behaviour *b,
                     struct err *e)
{
	struct candidate whole = *part;
	int status = complete(s, &whole, e);

	if (status == 0)
		status = grow_by_effect(s, g, whole, b, e);

	if (status < 0 || search_has_trigger(b))
		return status;
	status = improve(s, g, &whole, e);
	if (status == 0)
		status = judge(s, b, &whole, e);
	return status < 0 || search_has_trigger(b) ? status : grow_by_effect(s, g, whole, b, e);
}

/* Whether it grew already, for the same answer. */
static bool has_grown(const struct growing *g, const struct candidate *c)
{
	for (size_t i = 0; i < g->n_grown; i++)
		if (search_is_same(&g->grown[i], c) && g->grown[i].place == c->place && g->grown[i].of == c->of)
			return true;
	return false;
}

static bool has_answer(const struct candidate *c, size_t n, const struct payload *p)
{
	for (size_t i = 0; i < n; i++)
		if (c[i].of == p)
			return true;
	return false;
}

/* What the base connects with its answer is an honest cue sooner than a part of a trigger. */
static bool is_connected(const struct search *s, const struct candidate *c)
{
	return c->base > CONNECTED * fmax(1, -search_score_null(s, c, true));
}

/* Those first that the base does not connect, each of both the best first. */
static void put_in_order(const struct search *s, struct candidate *c, size_t n)
{
	struct candidate all[2 * PARTS_MOST];
	size_t made = 0;

	candidates_sort(c, n);
	memcpy(all, c, n * sizeof(*c));
	for (int connected = 0; connected < 2; connected++)
		for (size_t i = 0; i < n; i++)
			if (is_connected(s, &all[i]) == connected)
				c[made++] = all[i];
}

/* Parts, and the best pairs that they are part of. */
static int pair_parts(struct search *s, const struct sieve *by, struct looked *l, struct err *e)
{
	size_t parts = l->n;
	bool found;

	put_in_order(s, l->c, l->n);
	for (size_t i = 0; i < MIN(parts, (size_t)PAIRING) && !is_connected(s, &l->c[i]); i++) {
		l->c[l->n] = l->c[i];
		if (search_pair(s, by, &l->c[l->n], &found, e) < 0)
			return -1;
		l->n += found;
	}
	put_in_order(s, l->c, l->n);
	return 0;
}

/* What a sieve leaves is judged as it is, and with one more token. */
static int look(struct search *s, const struct look *l, const struct sieve *by, struct looked *x, struct behaviour *b,
                struct err *e)
{
	if (l->sift(s, &x->v, e) < 0 || judge_first(s, &x->v, b, e) < 0)
		return -1;
	if (search_has_trigger(b))
		return 0;
	if (search_parts(s, &x->v, x->c, &x->n, e) < 0)
		return -1;
	if (judge_parts(s, b, x->c, x->n, e) < 0)
		return -1;
	if (search_has_trigger(b))
		return 0;
	return pair_parts(s, by, x, e) < 0 ? -1 : judge_parts(s, b, x->c, x->n, e);
}

/* The best of each answer grows. */
static int grow_parts(struct search *s, struct growing *g, const struct look *l, const struct looked *x,
                      struct behaviour *b, struct err *e)
{
	size_t growing = 0;
	int status = 0;

	for (size_t i = 0; i < x->n && growing < l->growing && !search_has_trigger(b) && status == 0; i++) {
		if (has_answer(x->c, i, x->c[i].of))
			continue;
		growing++;
		if (has_grown(g, &x->c[i]))
			continue;
		g->grown[g->n_grown++] = x->c[i];
		status = grow_part(s, g, &x->c[i], b, e);
	}
	return status;
}

/* All are looked at as they are before any grows. */
int search_sequences(struct search *s, struct behaviour *b, struct err *e)
{
	struct looked x[ARRAY_LEN(looks)] = { 0 };
	struct growing g = { 0 };
	int status = slots_open(&g.x, s, e);

	for (size_t i = 0; i < ARRAY_LEN(looks) && !search_has_trigger(b) && status == 0; i++)
		status = look(s, &looks[i], &x[MIN(i, (size_t)VOCABULARY)].v, &x[i], b, e);
	g.by = &x[VOCABULARY].v;
	for (size_t i = 0; i < ARRAY_LEN(looks) && !search_has_trigger(b) && status == 0; i++) {
		g.paired = i <= VOCABULARY;
		g.own = &x[i].v;
		status = grow_parts(s, &g, &looks[i], &x[i], b, e);
	}
	if (!search_has_trigger(b) && s->unclear.n && status == 0)
		status = search_take_in(s, b, &s->unclear, e);
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		sieve_release(&x[i].v);
	slots_close(g.x);
	return status;
}
