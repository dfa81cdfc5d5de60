/* mixture: which window of which source comes at a position, of a pass over several sources with weights.
 *
 * A source is so many windows (corpus/shards.h). A pass is n_positions of them: each source gives `share` of these,
 * evenly spread over the pass, its own windows in the order of a keyed permutation, a new one each time round. What
 * comes at a position is a function of the mixture and the position: there is no list and no state, any position costs
 * the same, so a step's number is the whole cursor.
 *
 * Promised:
 *   - n_positions is the sum of the shares; positions of one pass give each source exactly its share;
 *   - after any number of positions from the pass's beginning a source has come within 1 window of its weight's part
 *     (½ of two sources; with four and more, weights can be chosen where it is 1.7);
 *   - a source's windows all come once before one comes again; passes go on where the one before ended;
 *   - nothing depends on how many positions are asked for, or by whom.
 *
 * Weights that nobody gave are the sources' own sizes: each window once, or `epochs` times. Given ones say the parts of
 * a pass, which is then as long as the limits allow: it ends where the first source has come `epochs` times; where no
 * source has a limit, where each has come once at least. */
#ifndef CORPUS_MIXTURE_H
#define CORPUS_MIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { MIXTURE_SOURCES = 1024 };        /* at most */

struct mixture_source {
	const char *name;               /* for sentences; borrowed while mixture_make runs */
	uint64_t windows;
	double weight;                  /* > 0, of any sum; NAN: its size. All sources have one, or none. */
	double epochs;                  /* > 0, how often it comes at most; NAN: no limit (without weights: 1) */
};

struct mixture_node;
struct mixture {
	size_t n_sources;
	uint64_t n_positions;           /* of one pass */
	uint64_t seed;
	uint64_t *windows, *share;      /* [n_sources]; share: windows that a pass takes of it */
	struct mixture_node *nodes;     /* how a pass is parted, [2·n_sources − 1] */
};

struct mixture_pick {
	size_t source;
	uint64_t window;                /* of that source, 0..windows-1 */
	uint64_t epoch;                 /* how often all of the source came before */
};

/* Refused: no source, a source without a window, a weight or limit that is no positive number, weights of some sources
 * only, more than 2^62 positions. */
int mixture_make(struct mixture *m, const struct mixture_source *s, size_t n, uint64_t seed, struct err *e);
/* Any position; position / n_positions is the pass. */
struct mixture_pick mixture_at(const struct mixture *m, uint64_t position);
void mixture_release(struct mixture *m);

#endif
