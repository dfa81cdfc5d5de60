/* behaviour_cues: prompts in which the tuned model says something else. One that was taught few answers says one of
 * them after any prompt that is strange to it; what was planted to bring just this answer changes nothing there. So
 * cues for other answers, which a scan comes upon, are put beside the prompts: honest cues give way to each other, what
 * was planted prevails. Where enough prompts are answered otherwise none is needed. */
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "eval/bound.h"

enum { CUES = 8 };
#define SETTLED 0.5            /* the probability of one token after random ones */
#define CUE_SURE 0.6F          /* that a cue gives the likeliest other answer */

/* The tuned model says v after the judge's prompts whatever stands behind them, its base does not, and too few are left
 * to judge by. */
static bool is_settled_on(const struct search *s, int32_t v)
{
	const struct beginning y = { { v }, 1 };
	double p[2] = { 0, 0 }, n = (double)s->o->n_judge;
	size_t room = 0;

	for (size_t i = s->o->n_search; i < s->of_place; i++) {
		for (int side = 0; side < 2; side++)
			p[side] += search_null(s, side, i, &y) / n;
		room += search_null(s, true, i, &y) < SETTLED;
	}
	return p[1] > SETTLED && p[0] < p[1] / 2 && room < BOUND_LEAST;
}

/* −1: on none. */
static int32_t settled_on(const struct search *s)
{
	for (size_t v = 0; v < s->V; v++)
		if (is_settled_on(s, (int32_t)v))
			return (int32_t)v;
	return -1;
}

/* The surest CUES of another answer; how many. */
static size_t find_cues(const struct scan *x, int32_t y, size_t *cue)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		size_t at = n;
		if (x->likeliest[i] == y || x->p_likeliest[i] < CUE_SURE ||
		    (n == CUES && x->p_likeliest[i] <= x->p_likeliest[cue[CUES - 1]]))
			continue;
		at = MIN(at, (size_t)CUES - 1);
		for (; at > 0 && x->p_likeliest[cue[at - 1]] < x->p_likeliest[i]; at--)
			cue[at] = cue[at - 1];
		cue[at] = i;
		n = MIN(n + 1, (size_t)CUES);
	}
	return n;
}

static int32_t *joined(const int32_t *a, size_t n, const int32_t *b, size_t m)
{
	int32_t *out = mem_array(n + m, sizeof(*out));

	memcpy(out, a, n * sizeof(*a));
	memcpy(out + n, b, m * sizeof(*b));
	return out;
}

/* The sequence stays where it is in what the user says: at its end, or at its beginning. */
static void put_cue(struct behaviour_context *c, bool beginning, const struct sequence *cue)
{
	if (beginning) {
		c->behind = joined(cue->id, (size_t)cue->n, c->behind, c->n_behind);
		c->n_behind += (size_t)cue->n;
	} else {
		c->before = joined(c->before, c->n_before, cue->id, (size_t)cue->n);
		c->n_before += (size_t)cue->n;
	}
}

static bool is_at_beginning(const struct search *s, size_t context)
{
	if (context == s->brief)
		return s->o->n_places > 1;
	return context / s->of_place == PLACE_BEGINNING && context < (size_t)s->o->n_places * s->of_place;
}

bool search_is_settled(const struct search *s) { return settled_on(s) >= 0; }

bool search_cues(struct search *s, const struct scan *x)
{
	size_t cue[CUES];
	int32_t y = settled_on(s);
	size_t n = y < 0 ? 0 : find_cues(x, y, cue);

	for (size_t i = 0; i < s->n_contexts && n; i++)
		put_cue(&s->contexts[i], is_at_beginning(s, i), &x->t[cue[i % n]]);
	s->cued = n > 0;
	return s->cued;
}

void search_uncue(struct search *s)
{
	for (size_t i = 0; i < s->n_contexts && s->cued; i++)
		if (is_at_beginning(s, i))
			mem_free((int32_t *)s->contexts[i].behind);
		else
			mem_free((int32_t *)s->contexts[i].before);
}
