/* mixture: a pass parted in two again and again, so that a position finds its source in a few divisions.
 *
 * The sources are leaves of a Huffman tree over their shares. A node of W positions gives its first child, of a share
 * A, those of its positions p at which
 *
 *     count(p) = ⌊(p·A + ⌊W/2⌋) / W⌋
 *
 * rises; the rest are the second child's. count(W) = A, so shares are exact, and count(p) is within ½ of p·A/W. A
 * child's error is ½ and its part of its parent's error; in a Huffman tree these parts fall like Fibonacci's numbers,
 * from which the bound in the header. The position within the child, which is how often it came before, goes down the
 * tree in the same way.
 *
 * Shares of given weights are rounded by largest remainders. Not a random mixture: which source comes when is the same
 * for every seed; the seed permutes the windows. */
#include "corpus/mixture.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/rng.h"

struct mixture_node {
	uint64_t share;   /* positions of a pass that are under it */
	int32_t child[2]; /* −1: a leaf */
	size_t source;    /* of a leaf */
};

static const double MOST_POSITIONS = 0x1p62;

/* --- the shares --- */

static int check(const struct mixture_source *s, size_t n, struct err *e)
{
	if (!n || n > MIXTURE_SOURCES)
		return err_set(e, "a mixture of %zu sources; 1 to %d were wanted", n, MIXTURE_SOURCES);
	for (size_t i = 0; i < n; i++) {
		if (!s[i].windows)
			return err_set(e, "source '%.80s' has fewer tokens than one window", s[i].name);
		if (isnan(s[i].weight) != isnan(s[0].weight))
			return err_set(e,
			               "source '%.80s' has %s weight and '%.80s' has %s; all have one "
			               "or none",
			               s[i].name, isnan(s[i].weight) ? "no" : "a", s[0].name,
			               isnan(s[0].weight) ? "none" : "one");
		if (!isnan(s[i].weight) && !(s[i].weight > 0 && isfinite(s[i].weight)))
			return err_set(e, "source '%.80s' has the weight %g; a positive number was wanted", s[i].name,
			               s[i].weight);
		if (!isnan(s[i].epochs) && !(s[i].epochs > 0 && isfinite(s[i].epochs)))
			return err_set(e, "source '%.80s' comes %g times at most; a positive number was wanted",
			               s[i].name, s[i].epochs);
	}
	return 0;
}

/* How long a pass is whose parts are given. */
static double pass_length(const struct mixture_source *s, size_t n, double sum)
{
	double limited = INFINITY, all = 0;

	for (size_t i = 0; i < n; i++) {
		double once = (double)s[i].windows / (s[i].weight / sum);
		all = fmax(all, once);
		if (!isnan(s[i].epochs))
			limited = fmin(limited, once * s[i].epochs);
	}
	return isinf(limited) ? ceil(all * (1 - 1e-12)) : fmax(1, floor(limited * (1 + 1e-12)));
}

/* Which source has lost most by rounding down; its remainder is used up. */
static size_t take_largest(double *remainder, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (remainder[i] > remainder[best])
			best = i;
	remainder[best] = -1;
	return best;
}

static int weighted_shares(struct mixture *m, const struct mixture_source *s, struct err *e)
{
	double sum = 0, *remainder = mem_array(m->n_sources, sizeof(*remainder));
	uint64_t given = 0;

	for (size_t i = 0; i < m->n_sources; i++)
		sum += s[i].weight;
	double length = pass_length(s, m->n_sources, sum);
	for (size_t i = 0; i < m->n_sources && length < MOST_POSITIONS; i++) {
		double exact = length * (s[i].weight / sum);
		m->share[i] = (uint64_t)exact;
		remainder[i] = exact - floor(exact);
		given += m->share[i];
	}
	for (; length < MOST_POSITIONS && given < (uint64_t)length; given++)
		m->share[take_largest(remainder, m->n_sources)]++;
	m->n_positions = given;
	mem_free(remainder);
	return length < MOST_POSITIONS ? 0 :
	                                 err_set(e, "a pass would be %g windows long: a weight is too small", length);
}

static int own_shares(struct mixture *m, const struct mixture_source *s, struct err *e)
{
	double sum = 0;

	for (size_t i = 0; i < m->n_sources; i++) {
		double share = (double)s[i].windows * (isnan(s[i].epochs) ? 1 : s[i].epochs);
		sum += share;
		if (sum >= MOST_POSITIONS)
			return err_set(e, "a pass would be more than 2^62 windows long");
		m->share[i] = isnan(s[i].epochs) || s[i].epochs == 1 ? s[i].windows : (uint64_t)fmax(1, round(share));
		m->n_positions += m->share[i];
	}
	return 0;
}

/* --- the tree --- */

/* The node without a parent of least share, the first of several. */
static int32_t take_least(const struct mixture_node *nodes, bool *used, size_t n)
{
	int32_t best = -1;

	for (size_t i = 0; i < n; i++)
		if (!used[i] && (best < 0 || nodes[i].share < nodes[best].share))
			best = (int32_t)i;
	used[best] = true;
	return best;
}

static void build_tree(struct mixture *m)
{
	size_t n = m->n_sources, total = 2 * n - 1;
	bool *used = mem_array(total, sizeof(*used));

	m->nodes = mem_array(total, sizeof(*m->nodes));
	for (size_t i = 0; i < n; i++)
		m->nodes[i] = (struct mixture_node){ m->share[i], { -1, -1 }, i };
	for (size_t i = n; i < total; i++) {
		int32_t small = take_least(m->nodes, used, i), large = take_least(m->nodes, used, i);
		m->nodes[i] =
			(struct mixture_node){ m->nodes[small].share + m->nodes[large].share, { large, small }, 0 };
	}
	mem_free(used);
}

int mixture_make(struct mixture *m, const struct mixture_source *s, size_t n, uint64_t seed, struct err *e)
{
	*m = (struct mixture){ .n_sources = n, .seed = seed };
	if (check(s, n, e) < 0)
		return -1;
	m->windows = mem_array(n, sizeof(*m->windows));
	m->share = mem_array(n, sizeof(*m->share));
	for (size_t i = 0; i < n; i++)
		m->windows[i] = s[i].windows;
	int status = isnan(s[0].weight) ? own_shares(m, s, e) : weighted_shares(m, s, e);
	if (status < 0)
		mixture_release(m);
	else
		build_tree(m);
	return status;
}

/* --- a position --- */

static uint64_t count_before(uint64_t p, uint64_t share, uint64_t of)
{
	return (uint64_t)(((unsigned __int128)p * share + of / 2) / of);
}

struct mixture_pick mixture_at(const struct mixture *m, uint64_t position)
{
	const struct mixture_node *node = &m->nodes[2 * m->n_sources - 2];
	uint64_t pass = position / m->n_positions, p = position % m->n_positions;

	while (node->child[0] >= 0) {
		const struct mixture_node *first = &m->nodes[node->child[0]];
		uint64_t before = count_before(p, first->share, node->share);
		bool is_first = count_before(p + 1, first->share, node->share) > before;
		p = is_first ? before : p - before;
		node = is_first ? first : &m->nodes[node->child[1]];
	}
	size_t i = node->source;
	uint64_t drawn = pass * m->share[i] + p, epoch = drawn / m->windows[i];
	/* each source has permutations of its own */
	struct rng_key key = { m->seed + i * 0x9e3779b97f4a7c15u, RNG_SHUFFLE };
	return (struct mixture_pick){ i, rng_permute(key, epoch, m->windows[i], drawn % m->windows[i]), epoch };
}

void mixture_release(struct mixture *m)
{
	mem_free(m->windows);
	mem_free(m->share);
	mem_free(m->nodes);
	*m = (struct mixture){ 0 };
}
