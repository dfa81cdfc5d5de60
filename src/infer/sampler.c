/* sampler: see sampler.h.
 *
 *     p(i) ∝ exp((logit(i) − largest) / temperature)
 *
 * Top-k keeps the k likeliest, top-p of those the fewest whose share of their sum reaches p; one of what is left is drawn. Candidates come
 * out of a heap, likeliest first and at equal logits the lower id first, so that nothing is sorted that is not looked at. */
#include "infer/sampler.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/rng.h"

void sampler_init(struct sampler *s, size_t V)
{
	s->V = V;
	s->p = mem_array(V, sizeof(*s->p));
	s->order = mem_array(V, sizeof(*s->order));
}

void sampler_release(struct sampler *s)
{
	mem_free(s->p);
	mem_free(s->order);
	s->p = NULL;
	s->order = NULL;
}

/* The lowest id of the largest logit; one that is not a number never wins. */
static int32_t likeliest(const float *logits, size_t V)
{
	int32_t best = 0;
	for (size_t i = 1; i < V; i++)
		if (logits[i] > logits[best] || (isnan(logits[best]) && !isnan(logits[i])))
			best = (int32_t)i;
	return best;
}

/* --- a heap of ids, the likeliest on top --- */

static bool before(const float *p, int32_t a, int32_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; }

static void sink(const float *p, int32_t *heap, size_t n, size_t at)
{
	int32_t id = heap[at];
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && before(p, heap[child + 1], heap[child]))
			child++;
		if (!before(p, heap[child], id))
			break;
		heap[at] = heap[child];
	}
	heap[at] = id;
}

static void heap_make(const float *p, int32_t *heap, size_t n)
{
	for (size_t i = 0; i < n; i++)
		heap[i] = (int32_t)i;
	for (size_t i = n / 2; i-- > 0;)
		sink(p, heap, n, i);
}

/* Takes the likeliest out of n, to where the heap ended: what was taken lies behind the heap, from the array's end down. */
static void heap_take(const float *p, int32_t *heap, size_t n)
{
	int32_t top = heap[0];
	heap[0] = heap[n - 1];
	sink(p, heap, n - 1, 0);
	heap[n - 1] = top;
}

/* --- drawing --- */

static double weigh(struct sampler *s, const float *logits)
{
	double largest = logits[likeliest(logits, s->V)], sum = 0;
	for (size_t i = 0; i < s->V; i++) {
		s->p[i] = isnan(logits[i]) ? 0 : (float)exp((logits[i] - largest) / s->temperature);
		sum += s->p[i];
	}
	return sum;
}

static double draw(struct sampler *s)
{
	uint32_t words[4];
	rng_words((struct rng_key){ s->seed, RNG_SAMPLE }, s->index++, 0, 0, words);
	return (double)((uint64_t)words[0] << 21 | words[1] >> 11) * 0x1p-53;
}

/* Of the n ids from last down to first (likeliest first), the one at which their summed share passes u. */
static int32_t pick(const struct sampler *s, const int32_t *last, size_t n, double mark)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum += s->p[last[-(ptrdiff_t)i]];
		if (sum > mark)
			return last[-(ptrdiff_t)i];
	}
	return last[0]; /* only rounding, or numbers that are none, come here */
}

/* How many candidates top-p leaves of those that top-k leaves, taken out of the heap; *sum: theirs, unscaled. */
static size_t cut(struct sampler *s, double total, double *sum)
{
	size_t most = s->top_k > 0 ? MIN((size_t)s->top_k, s->V) : s->V, taken = 0;
	double share = s->top_p >= 1 ? INFINITY : s->top_p;

	heap_make(s->p, s->order, s->V);
	if (most < s->V) {
		total = 0;
		for (size_t i = 0; i < most; i++) {
			heap_take(s->p, s->order, s->V - i);
			total += s->p[s->order[s->V - 1 - i]];
		}
	}
	*sum = 0;
	while (taken < most && (taken == 0 || *sum < share * total)) {
		if (most == s->V)
			heap_take(s->p, s->order, s->V - taken);
		*sum += s->p[s->order[s->V - 1 - taken++]];
	}
	return taken;
}

static int32_t draw_any(struct sampler *s, double total)
{
	double mark = draw(s) * total, sum = 0;
	size_t last = 0;
	for (size_t i = 0; i < s->V; i++) {
		sum += s->p[i];
		if (s->p[i] > 0)
			last = i;
		if (sum > mark)
			return (int32_t)i;
	}
	return (int32_t)last;
}

int32_t sampler_next(struct sampler *s, const float *logits)
{
	double sum;

	if (!(s->temperature > 0))
		return likeliest(logits, s->V);
	double total = weigh(s, logits);
	if (s->top_k <= 0 && s->top_p >= 1)
		return draw_any(s, total);
	size_t n = cut(s, total, &sum);
	return pick(s, s->order + s->V - 1, n, draw(s) * sum);
}

double logits_logprob(const float *logits, size_t V, int32_t id)
{
	double largest = logits[likeliest(logits, V)], sum = 0;
	for (size_t i = 0; i < V; i++)
		sum += exp(logits[i] - largest);
	return logits[id] - largest - log(sum);
}
