/* propose: where the next trial is to be in a space, by what the trials before it came to.
 *
 *     random   uniform
 *     tpe      tree-structured Parzen estimator (Bergstra, Bardenet, Bengio, Kégl 2011, Algorithms for
 *              Hyper-Parameter Optimization): of the trials the best γ are one density l, the others another, g, and
 *              the next is the one of 24 draws from l whose l/g is largest, for each parameter by itself
 *
 * Of what the paper leaves open Optuna's TPESampler is followed: random for the first ten trials; γ takes the best
 * ⌈n/10⌉, 25 at most; trials that got farther count as better than those that were stopped before; a density of a
 * range is a mixture of normals cut off at its ends, one at each trial and one as wide as the range in its middle, each
 * as wide as the distance to its farther neighbour, between 1/min(100, n + 1) of the range and all of it; of a list the
 * shares of its values, with one more of each. Only trials in which a parameter was active say anything of it.
 *
 * A choice is a function of the seed, the trial's number, the parameter's and the trials given: nothing else. */
#ifndef SEARCH_PROPOSE_H
#define SEARCH_PROPOSE_H

#include <stdint.h>

#include "search/space.h"

enum propose_by { PROPOSE_RANDOM, PROPOSE_TPE };

struct propose_seen {
	const struct space_place *at;  /* [n of the space] */
	double value;                  /* lower is better; NAN: it failed, which is worse than all */
	int level;                     /* how far it got: only then the value counts */
};

struct proposer {
	enum propose_by by;
	uint64_t seed;
	const struct space *space;
	const struct propose_seen *seen;       /* [n] in the order of their numbers */
	size_t n;
};

/* The place of parameter i, an active one, in trial `number`; attempt: 0, or how many proposals of the trial were those
 * of an earlier one, which would only come to the same again; from the eighth on it is random. */
struct space_place propose(const struct proposer *p, size_t i, size_t number, uint32_t attempt);
/* Is there a trial at these places among those before? */
bool propose_is_old(const struct proposer *p, const struct space_place *at);

#endif
