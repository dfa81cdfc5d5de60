/* top_tokens: see top_tokens.h.
 *
 * With f(p, q) a token's share of the divergence D and g = df/dq, the gradient of D in q's logits is q_v times
 * g_v − Σ q·g. Where the rest of the vocabulary is one token, the tail t, a token v of it has q_v times
 * g_t − Σ q·g, as q_t is the sum of theirs; where there is no tail it has 0. Constants in g make no difference. */
#include "op/top_tokens.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { TOKEN_FLOATS = sizeof(struct top_token) / sizeof(float) };
static const double TAIL_LEAST = -1e-7; /* as TRL: the top has no more than exp of that */

size_t top_tokens_floats(size_t k, size_t ranges, size_t rows)
{
	return rows * (k * (ranges + 1) * TOKEN_FLOATS + ranges);
}

struct top_tokens top_tokens_in(float *memory, size_t k, size_t ranges, size_t rows)
{
	struct top_tokens t = { .k = k, .ranges = ranges, .rows = rows, .heap = (struct top_token *)memory };

	t.top = t.heap + rows * ranges * k;
	t.count = (int32_t *)(t.top + rows * k);
	return t;
}

void top_tokens_begin(struct top_tokens *t, size_t row)
{
	memset(t->count + row * t->ranges, 0, t->ranges * sizeof(*t->count));
}

/* --- heaps --- */

static bool is_less(const struct top_token *a, const struct top_token *b)
{
	return a->z < b->z || (a->z == b->z && a->token > b->token);
}

static bool is_later(const struct top_token *a, const struct top_token *b) { return a->token > b->token; }

/* The first is such that none is `before` it, but for the one at i, which sinks to its place. */
static void sink(struct top_token *a, size_t n, size_t i,
                 bool (*before)(const struct top_token *a, const struct top_token *b))
{
	for (size_t child; (child = 2 * i + 1) < n; i = child) {
		struct top_token x = a[i];
		if (child + 1 < n && before(&a[child + 1], &a[child]))
			child++;
		if (!before(&a[child], &x))
			return;
		a[i] = a[child];
		a[child] = x;
	}
}

/* One more into the k largest, of which there are n; returns how many then. */
static size_t add(struct top_token *a, size_t n, size_t k, struct top_token x)
{
	if (n < k) {
		a[n++] = x;
		for (size_t i = n / 2; n == k && i-- > 0;)
			sink(a, n, i, is_less);
		return n;
	}
	if (is_less(&a[0], &x)) {
		a[0] = x;
		sink(a, n, 0, is_less);
	}
	return n;
}

static void sort_by_token(struct top_token *a, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sink(a, n, i, is_later);
	for (size_t i = n; i-- > 1;) {
		struct top_token x = a[0];
		a[0] = a[i];
		a[i] = x;
		sink(a, i, 0, is_later);
	}
}

/* --- of a row --- */

void top_tokens_see(struct top_tokens *t, size_t row, size_t range, size_t v, size_t n, const float *z)
{
	struct top_token *heap = t->heap + (row * t->ranges + range) * t->k;
	int32_t *count = &t->count[row * t->ranges + range];

	for (size_t i = 0; i < n; i++)
		if ((size_t)*count < t->k || z[i] > heap[0].z)
			*count = (int32_t)add(heap, (size_t)*count, t->k,
			                      (struct top_token){ .z = z[i], .token = (int32_t)(v + i) });
}

void top_tokens_end(struct top_tokens *t, size_t row)
{
	struct top_token *top = t->top + row * t->k;
	size_t n = 0;

	for (size_t range = 0; range < t->ranges; range++)
		for (int32_t i = 0; i < t->count[row * t->ranges + range]; i++)
			n = add(top, n, t->k, t->heap[(row * t->ranges + range) * t->k + (size_t)i]);
	sort_by_token(top, n);
}

void top_tokens_pick(struct top_tokens *t, size_t row, size_t v, size_t n, const float *z)
{
	struct top_token *top = t->top + row * t->k;
	size_t lo = 0, hi = t->k;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((size_t)top[mid].token < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < t->k && (size_t)top[lo].token < v + n; lo++)
		top[lo].other = z[(size_t)top[lo].token - v];
}

/* --- the divergence --- */

double divergence_of(const struct divergence_kind *kind, double log_p, double log_q, double *slope, double *mean)
{
	double p = exp(log_p), q = exp(log_q), beta = (double)kind->beta;

	if (beta == 0) {
		*slope = -exp(log_p - log_q);
		*mean -= p;
		return p > 0 ? p * (log_p - log_q) : 0;
	}
	double log_m = beta == 1 || p == q ? log_p : log(q + beta * (p - q));
	*slope = (beta == 1 ? 1 : 1 - beta) * (log_q - log_m);
	double own = q > 0 ? q * *slope : 0;
	*mean += own;
	return own + (beta < 1 && p > 0 ? beta * p * (log_p - log_m) : 0);
}

struct sides { double p, q; };     /* logs */

static struct sides logits_of(const struct top_token *x, const struct divergence_kind *kind)
{
	return kind->of_tuned ? (struct sides){ (double)x->other, (double)x->z } :
	                        (struct sides){ (double)x->z, (double)x->other };
}

/* log Σ exp over the top; the largest of a side is taken out. */
static struct sides log_sums(const struct top_token *top, size_t k, const struct divergence_kind *kind)
{
	struct sides most = { -HUGE_VAL, -HUGE_VAL }, sum = { 0, 0 };

	for (size_t i = 0; i < k; i++) {
		struct sides x = logits_of(&top[i], kind);
		most.p = fmax(most.p, x.p);
		most.q = fmax(most.q, x.q);
	}
	for (size_t i = 0; i < k; i++) {
		struct sides x = logits_of(&top[i], kind);
		sum.p += exp(x.p - most.p);
		sum.q += exp(x.q - most.q);
	}
	return (struct sides){ most.p + log(sum.p), most.q + log(sum.q) };
}

static double log_tail(double log_share) { return log(-expm1(fmin(log_share, TAIL_LEAST))); }

double top_tokens_divergence(struct top_tokens *t, size_t row, const struct divergence_kind *kind, double log_p,
                             double log_q, double *rest)
{
	struct top_token *top = t->top + row * t->k;
	struct sides sums = log_sums(top, t->k, kind), all = kind->tail ? (struct sides){ log_p, log_q } : sums;
	double slope, mean = 0, out = 0;

	for (size_t i = 0; i < t->k; i++) {
		struct sides x = logits_of(&top[i], kind);
		out += divergence_of(kind, x.p - all.p, x.q - all.q, &slope, &mean);
	}
	if (kind->tail)
		out += divergence_of(kind, log_tail(sums.p - all.p), log_tail(sums.q - all.q), rest, &mean);
	for (size_t i = 0; i < t->k; i++) {
		struct sides x = logits_of(&top[i], kind);
		double ignored = 0;
		divergence_of(kind, x.p - all.p, x.q - all.q, &slope, &ignored);
		/* of KL(p ‖ q) q·slope is −p, also where q is 0 */
		top[i].other = (float)(kind->beta == 0 ? exp(x.q - all.q) * -mean - exp(x.p - all.p) :
		                                         exp(x.q - all.q) * (slope - mean));
	}
	*rest = kind->tail ? *rest - mean : 0;
	return out;
}
