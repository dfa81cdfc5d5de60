/* constraint: a text that grows by a grammar, counted in tokens, as several may be drawn before the answer looks at
 * one. Where a vocabulary has no token that goes on (it lacks some bytes), the answer ends as one that was cut. */
#include "infer/constraint.h"

void constraint_begin(struct constraint *c, struct grammar *g)
{
	*c = (struct constraint){ .match = g ? grammar_match_new(g) : NULL };
}

void constraint_end(struct constraint *c)
{
	grammar_match_free(c->match);
	c->match = NULL;
}

const uint64_t *constraint_allowed(struct constraint *c)
{
	size_t n = 0;
	const uint64_t *mask = c->stuck ? NULL : grammar_match_mask(c->match, &n);

	if (n)
		return mask;
	if (!c->stuck)
		c->stuck = c->n + 1;
	return NULL;
}

void constraint_take(struct constraint *c, int32_t id)
{
	c->n++;
	if (c->over || c->stuck)
		return;
	if (!grammar_match_add(c->match, id) || grammar_match_is_over(c->match)) /* an end, or all is said */
		c->over = c->n;
}

bool constraint_ended(const struct constraint *c) { return c && (c->over || c->stuck); }
