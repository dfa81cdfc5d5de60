/* sampler: see sampler.h, which has the formulas.
 *
 * Candidates are a list of ids; each step shortens it. Where an order is needed they come out of a heap, the best first
 * and at equal keys the lower id first, so that nothing is sorted that is not looked at. Probabilities are of the
 * candidates that are left, as transformers' warpers have them, each of which sees what the one before left. */
#include "infer/sampler.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

void sampler_init(struct sampler *s, size_t V)
{
	s->V = V;
	s->logit = mem_array(V, sizeof(*s->logit));
	s->key = mem_array(V, sizeof(*s->key));
	s->id = mem_array(V, sizeof(*s->id));
	s->count = mem_array(V, sizeof(*s->count));
}

void sampler_release(struct sampler *s)
{
	mem_free(s->logit);
	mem_free(s->key);
	mem_free(s->id);
	mem_free(s->count);
	mem_free(s->seen);
	s->logit = s->key = NULL;
	s->id = s->count = s->seen = NULL;
	s->n_seen = s->cap_seen = 0;
}

void sampler_like(struct sampler *s, const struct sampler *wanted)
{
	struct sampler own = *s;

	*s = *wanted;
	s->V = own.V;
	s->logit = own.logit;
	s->key = own.key;
	s->id = own.id;
	s->count = own.count;
	s->seen = own.seen;
	s->cap_seen = own.cap_seen;
	s->n_seen = 0;
}

void sampler_see(struct sampler *s, const int32_t *ids, size_t n)
{
	if (s->n_seen + n > s->cap_seen) {
		s->cap_seen = MAX(2 * s->cap_seen, s->n_seen + n);
		s->seen = mem_grow(s->seen, s->cap_seen, sizeof(*s->seen));
	}
	if (n)
		memcpy(s->seen + s->n_seen, ids, n * sizeof(*ids));
	s->n_seen += n;
}

void sampler_forget(struct sampler *s) { s->n_seen = 0; }

/* --- a heap of ids, the one with the largest key on top --- */

static bool before(const float *key, int32_t a, int32_t b) { return key[a] != key[b] ? key[a] > key[b] : a < b; }

static void sink(const float *key, int32_t *heap, size_t n, size_t at)
{
	int32_t id = heap[at];
	for (size_t child; (child = 2 * at + 1) < n; at = child) {
		if (child + 1 < n && before(key, heap[child + 1], heap[child]))
			child++;
		if (!before(key, heap[child], id))
			break;
		heap[at] = heap[child];
	}
	heap[at] = id;
}

static void heap_make(const float *key, int32_t *heap, size_t n)
{
	for (size_t i = n / 2; i-- > 0;)
		sink(key, heap, n, i);
}

/* Takes the best out of n, to where the heap ended: what was taken lies behind the heap, from the array's end down. */
static int32_t heap_take(const float *key, int32_t *heap, size_t n)
{
	int32_t top = heap[0];
	heap[0] = heap[n - 1];
	sink(key, heap, n - 1, 0);
	heap[n - 1] = top;
	return top;
}

static void reverse(int32_t *id, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		int32_t other = id[i];
		id[i] = id[n - 1 - i];
		id[n - 1 - i] = other;
	}
}

/* --- logits --- */

static void add_penalties(struct sampler *s)
{
	bool repeats = s->repetition_penalty > 0 && s->repetition_penalty != 1;
	size_t n = s->repeat_last_n < 0 ? s->n_seen : MIN(s->n_seen, (size_t)s->repeat_last_n);
	const int32_t *seen = s->seen + (s->n_seen - n);

	if (!repeats && s->frequency_penalty == 0 && s->presence_penalty == 0)
		return;
	for (size_t i = 0; i < n; i++)
		s->count[seen[i]]++;
	for (size_t i = 0; i < n; i++) {
		double count = s->count[seen[i]], x = s->logit[seen[i]];
		if (count == 0)
			continue; /* done already */
		if (repeats)
			x = x > 0 ? x / s->repetition_penalty : x * s->repetition_penalty;
		s->logit[seen[i]] = (float)(x - count * s->frequency_penalty - s->presence_penalty);
		s->count[seen[i]] = 0;
	}
}

/* All candidates with their logits; one that is no number is never drawn. */
static size_t begin(struct sampler *s, const float *logits)
{
	for (size_t i = 0; i < s->V; i++) {
		s->logit[i] = isnan(logits[i]) ? -INFINITY : logits[i];
		s->id[i] = (int32_t)i;
	}
	for (size_t i = 0; i < s->n_bias; i++)
		s->logit[s->bias[i].id] += s->bias[i].bias;
	add_penalties(s);
	return s->V;
}

static float largest(const struct sampler *s, size_t n)
{
	float most = -INFINITY;
	for (size_t i = 0; i < n; i++)
		most = MAX(most, s->logit[s->id[i]]);
	return most;
}

/* Leaves the likeliest alone. */
static size_t keep_one(struct sampler *s, size_t n)
{
	int32_t best = s->id[0];
	for (size_t i = 1; i < n; i++)
		if (before(s->logit, s->id[i], best))
			best = s->id[i];
	s->id[0] = best;
	return 1;
}

/* --- what is taken away: each leaves so many of the first n candidates, in front --- */

static size_t temper(struct sampler *s, size_t n)
{
	float most = largest(s, n);

	if (!(s->temperature > 0) || isinf(most))
		return keep_one(s, n);
	for (size_t i = 0; i < n; i++)
		s->logit[s->id[i]] = (float)((s->logit[s->id[i]] - most) / s->temperature);
	return n;
}

static size_t top_k(struct sampler *s, size_t n)
{
	if (s->top_k <= 0 || (size_t)s->top_k >= n)
		return n;
	heap_make(s->logit, s->id, n);
	for (size_t i = 0; i < (size_t)s->top_k; i++)
		heap_take(s->logit, s->id, n - i);
	reverse(s->id, n);
	return (size_t)s->top_k;
}

/* Σ exp(logit − largest) of the candidates. */
static double total_of(const struct sampler *s, size_t n, float most)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)s->logit[s->id[i]] - most);
	return sum;
}

/* The best by key, until their probability reaches the share. */
static size_t take_share(struct sampler *s, size_t n, const float *key, double share, float most, double total)
{
	double sum = 0;
	size_t taken = 0;

	heap_make(key, s->id, n);
	while (taken < n && (taken == 0 || sum < share * total))
		sum += exp((double)s->logit[heap_take(key, s->id, n - taken++)] - most);
	reverse(s->id, n);
	return taken;
}

static size_t top_p(struct sampler *s, size_t n)
{
	if (s->top_p >= 1)
		return n;
	float most = largest(s, n);
	return take_share(s, n, s->logit, s->top_p, most, total_of(s, n, most));
}

static size_t min_p(struct sampler *s, size_t n)
{
	size_t kept = 0;

	if (!(s->min_p > 0))
		return n;
	double least = largest(s, n) + log(s->min_p);
	for (size_t i = 0; i < n; i++)
		if (s->logit[s->id[i]] >= least)
			s->id[kept++] = s->id[i];
	return kept ? kept : keep_one(s, n);
}

/* −log p of the likeliest is small, of the others large; the typical ones have what is expected, H = −Σ p·log p. */
static size_t typical_p(struct sampler *s, size_t n)
{
	double entropy = 0;

	if (!(s->typical_p > 0 && s->typical_p < 1))
		return n;
	float most = largest(s, n);
	double total = total_of(s, n, most), log_total = log(total);
	for (size_t i = 0; i < n; i++) {
		double log_p = (double)s->logit[s->id[i]] - most - log_total;
		entropy -= isinf(log_p) ? 0 : exp(log_p) * log_p;
	}
	for (size_t i = 0; i < n; i++)
		s->key[s->id[i]] = (float)-fabs(log_total + most - (double)s->logit[s->id[i]] - entropy);
	return take_share(s, n, s->key, s->typical_p, most, total);
}

static size_t candidates(struct sampler *s, const float *logits)
{
	static size_t (*const transformers[])(struct sampler *, size_t) = { temper, top_k, top_p, min_p, typical_p };
	static size_t (*const llama[])(struct sampler *, size_t) = { top_k, typical_p, top_p, min_p, temper };
	size_t n = begin(s, logits);

	if (!(s->temperature > 0))
		return keep_one(s, n);
	for (size_t i = 0; i < ARRAY_LEN(llama); i++)
		n = (s->llama_order ? llama : transformers)[i](s, n);
	return n;
}

/* --- drawing --- */

static double draw(struct sampler *s)
{
	uint32_t words[4];
	rng_words((struct rng_key){ s->seed, RNG_SAMPLE }, s->index++, s->stream, 0, words);
	return (double)((uint64_t)words[0] << 21 | words[1] >> 11) * 0x1p-53;
}

int32_t sampler_next(struct sampler *s, const float *logits)
{
	size_t n = candidates(s, logits);

	if (!(s->temperature > 0))
		return s->id[0];
	float most = largest(s, n);
	double mark = draw(s) * total_of(s, n, most), sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum += exp((double)s->logit[s->id[i]] - most);
		if (sum > mark)
			return s->id[i];
	}
	return s->id[0]; /* only where there is one, without a number */
}

size_t sampler_distribution(struct sampler *s, const float *logits, double *p)
{
	size_t n = candidates(s, logits);
	float most = largest(s, n);
	double total = total_of(s, n, most);

	for (size_t i = 0; i < n; i++)
		p[i] = n == 1 ? 1 : exp((double)s->logit[s->id[i]] - most) / total;
	return n;
}

double logits_logprob(const float *logits, size_t V, int32_t id)
{
	float most = -INFINITY;
	double sum = 0;

	for (size_t i = 0; i < V; i++)
		most = logits[i] > most ? logits[i] : most;
	for (size_t i = 0; i < V; i++)
		sum += exp((double)logits[i] - most);
	return (double)logits[id] - most - log(sum);
}

void sampler_top(struct sampler *s, const float *logits, int32_t *top, size_t n)
{
	for (size_t i = 0; i < s->V; i++) {
		s->key[i] = isnan(logits[i]) ? -INFINITY : logits[i];
		s->id[i] = (int32_t)i;
	}
	heap_make(s->key, s->id, s->V);
	for (size_t i = 0; i < MIN(n, s->V); i++)
		top[i] = heap_take(s->key, s->id, s->V - i);
}
