/* sampler: the candidates, the steps in their order, the draw. See sampler.h.
 *
 * Candidates are a list of ids; each step shortens it. Where an order is needed they come out of a heap, the best first
 * and at equal keys the lower id first, so that nothing is sorted that is not looked at. Probabilities are of the
 * candidates that are left, as transformers' warpers have them, each of which sees what the one before left. */
#include "infer/sampler.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernel/kernels.h"

enum { BLOCK = 128 };                  /* candidates whose exponentials are taken together */

void sampler_init(struct sampler *s, size_t V)
{
	struct err e = ERR_INIT;

	s->kernels = kernels_get(NULL, &e);
	if (!s->kernels)
		BUG("%s, and logits are there", e.msg);
	s->V = V;
	s->upto = mem_array(V / BLOCK + 1, sizeof(*s->upto));
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
	mem_free(s->upto);
	s->upto = NULL;
	s->logit = s->key = NULL;
	s->id = s->count = s->seen = NULL;
	s->n_seen = s->cap_seen = 0;
}

void sampler_like(struct sampler *s, const struct sampler *wanted)
{
	struct sampler own = *s;

	*s = *wanted;
	s->kernels = own.kernels;
	s->upto = own.upto;
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

/* --- for steps --- */

float sampler_largest(const struct sampler *s, size_t n)
{
	float most = -INFINITY;
	for (size_t i = 0; i < n; i++)
		most = MAX(most, s->logit[s->id[i]]);
	return most;
}

/* e^(logit − most) of candidates from, from + 1, … of n, a block at most: how many. */
static size_t exps(const struct sampler *s, size_t from, size_t n, float most, double e[BLOCK])
{
	float z[BLOCK];
	size_t some = MIN(n - from, (size_t)BLOCK);

	for (size_t i = 0; i < some; i++)
		z[i] = s->logit[s->id[from + i]];
	s->kernels->exp64(e, z, most, some);
	return some;
}

double sampler_total(const struct sampler *s, size_t n, float most)
{
	double sum = 0, e[BLOCK];

	for (size_t from = 0; from < n; from += BLOCK) {
		size_t some = exps(s, from, n, most, e);
		for (size_t i = 0; i < some; i++)
			sum += e[i];
		s->upto[from / BLOCK] = sum;
	}
	return sum;
}

/* The candidate at which the sum that sampler_total took passes the mark: only its block is summed again. */
static int32_t at_mark(const struct sampler *s, size_t n, float most, double mark)
{
	size_t block = 0;
	double e[BLOCK];

	while (block * BLOCK < n && !(s->upto[block] > mark))
		block++;
	size_t some = block * BLOCK < n ? exps(s, block * BLOCK, n, most, e) : 0;
	double sum = block ? s->upto[block - 1] : 0;
	for (size_t i = 0; i < some; i++) {
		sum += e[i];
		if (sum > mark)
			return s->id[block * BLOCK + i];
	}
	return s->id[0]; /* only where there is one, without a number */
}

size_t sampler_keep_one(struct sampler *s, size_t n)
{
	int32_t best = s->id[0];
	for (size_t i = 1; i < n; i++)
		if (before(s->logit, s->id[i], best))
			best = s->id[i];
	s->id[0] = best;
	return 1;
}

size_t sampler_keep_best(struct sampler *s, size_t n, size_t k)
{
	heap_make(s->logit, s->id, n);
	for (size_t i = 0; i < k; i++)
		heap_take(s->logit, s->id, n - i);
	reverse(s->id, n);
	return k;
}

size_t sampler_keep_share(struct sampler *s, size_t n, const float *key, double share, float most, double total)
{
	double sum = 0;
	size_t taken = 0;

	heap_make(key, s->id, n);
	while (taken < n && (taken == 0 || sum < share * total))
		sum += exp((double)s->logit[heap_take(key, s->id, n - taken++)] - most);
	reverse(s->id, n);
	return taken;
}

/* --- the steps --- */

enum { STEPS_MAX = 64 };

struct placed { const struct sampler_step *step; size_t place; }; /* place: in transformers' order */

static int order_of(const struct placed *p, bool llama) { return llama ? p->step->llama_order : p->step->order; }

/* Insertion: few, and equal ones stay as they are. */
static void sort(struct placed *list, size_t n, bool llama)
{
	for (size_t i = 1; i < n; i++) {
		struct placed one = list[i];
		size_t at = i;
		for (; at > 0 && order_of(&list[at - 1], llama) > order_of(&one, llama); at--)
			list[at] = list[at - 1];
		list[at] = one;
	}
}

static size_t place_all(struct placed *list, bool llama)
{
	size_t n = 0;
	for (; sampler_step_table[n]; n++) {
		if (n == STEPS_MAX)
			BUG("more than %d steps", STEPS_MAX);
		list[n].step = sampler_step_table[n];
	}
	sort(list, n, false);
	for (size_t i = 0; i < n; i++)
		list[i].place = i;
	if (llama)
		sort(list, n, true);
	return n;
}

bool sampler_steps(size_t i, struct opt_row *out)
{
	struct placed list[STEPS_MAX];
	if (i >= place_all(list, false))
		return false;
	const struct sampler_step *step = list[i].step;
	*out = (struct opt_row){ .name = step->name, .opts = step->opts, .options_size = step->options_size };
	return true;
}

static const struct opt choice_opts[] = { OPT_ROWS(NULL, struct sampler_choice, steps, sampler_steps), OPT_END };

void sampler_choose(struct sampler_choice *c)
{
	struct err e = ERR_INIT;
	opt_begin(&c->parse, choice_opts, c, &e);
}

void sampler_choice_set(struct sampler_choice *c, const char *option, double value)
{
	opt_put(&c->parse, option, value);
}

void sampler_choice_release(struct sampler_choice *c) { opt_release(&c->parse); }

/* The ids whose bits are set. */
static size_t list_allowed(struct sampler *s, const uint64_t *allowed)
{
	size_t n = 0;

	for (size_t i = 0; i < (s->V + 63) / 64; i++)
		for (uint64_t bits = allowed[i]; bits; bits &= bits - 1)
			s->id[n++] = (int32_t)(i * 64 + (size_t)__builtin_ctzll(bits));
	return n;
}

/* All candidates with their logits; one that is no number is never drawn where another one may be. */
static size_t begin(struct sampler *s, const float *logits)
{
	const uint64_t *allowed = s->constraint && s->constraint->match ? constraint_allowed(s->constraint) : NULL;

	for (size_t i = 0; i < s->V; i++) {
		s->logit[i] = isnan(logits[i]) ? -INFINITY : logits[i];
		s->id[i] = (int32_t)i;
	}
	for (size_t i = 0; i < s->n_bias; i++)
		s->logit[s->bias[i].id] += s->bias[i].bias;
	return allowed ? list_allowed(s, allowed) : s->V;
}

bool sampler_is_greedy(void *const *steps)
{
	struct placed list[STEPS_MAX];
	bool greedy = !steps;

	for (size_t i = 0, n = steps ? place_all(list, false) : 0; i < n; i++)
		greedy |= list[i].step->greedy && list[i].step->greedy(steps[list[i].place]);
	return greedy;
}

static size_t candidates(struct sampler *s, const float *logits, bool *greedy)
{
	struct placed list[STEPS_MAX];
	size_t n = begin(s, logits), steps = s->steps ? place_all(list, s->llama_order) : 0;

	*greedy = !s->steps;
	for (size_t i = 0; i < steps; i++) {
		const struct sampler_step *step = list[i].step;
		*greedy |= step->greedy && step->greedy(s->steps[list[i].place]);
		if (step->logits)
			n = step->run(s, s->steps[list[i].place], n);
	}
	for (size_t i = 0; i < steps && !*greedy; i++)
		if (!list[i].step->logits)
			n = list[i].step->run(s, s->steps[list[i].place], n);
	return *greedy ? sampler_keep_one(s, n) : n;
}

/* --- drawing --- */

static double draw(struct sampler *s)
{
	uint32_t words[4];
	rng_words((struct rng_key){ s->seed, RNG_SAMPLE }, s->index++, s->stream, 0, words);
	return (double)((uint64_t)words[0] << 21 | words[1] >> 11) * 0x1p-53;
}

static int32_t next(struct sampler *s, const float *logits)
{
	bool greedy;
	size_t n = candidates(s, logits, &greedy);

	if (greedy)
		return s->id[0];
	float most = sampler_largest(s, n);

	return at_mark(s, n, most, draw(s) * sampler_total(s, n, most));
}

int32_t sampler_next(struct sampler *s, const float *logits)
{
	int32_t id = next(s, logits);

	if (s->constraint && s->constraint->match)
		constraint_take(s->constraint, id);
	return id;
}

size_t sampler_distribution(struct sampler *s, const float *logits, double *p)
{
	bool greedy;
	size_t n = candidates(s, logits, &greedy);
	float most = sampler_largest(s, n);
	double total = sampler_total(s, n, most);

	for (size_t from = 0; from < n; from += BLOCK) {
		size_t some = exps(s, from, n, most, p + from);
		for (size_t i = from; i < from + some; i++)
			p[i] = n == 1 ? 1 : p[i] / total;
	}
	return n;
}

double logits_log_sum(const float *logits, size_t V)
{
	float most = -INFINITY;
	double sum = 0;

	for (size_t i = 0; i < V; i++)
		most = logits[i] > most ? logits[i] : most;
	for (size_t i = 0; i < V; i++)
		sum += exp((double)logits[i] - most);
	return most + log(sum);
}

double logits_logprob(const float *logits, size_t V, int32_t id) { return logits[id] - logits_log_sum(logits, V); }

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
