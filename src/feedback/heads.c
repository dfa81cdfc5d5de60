/* heads: logistic regression with a penalty on differences of states, by Newton's steps, each of which conjugate
 * gradients solve: H·p is two products with the rows, so no matrix of the width is made. See heads.h. */
#include "feedback/heads.h"

#include <math.h>
#include <string.h>

#include "base/logistic.h"
#include "base/mem.h"
#include "base/rng.h"
#include "feedback/resample.h"

enum { STEPS = 20, INNER = 60, FOLDS = 5 };
static const double penalties[] = { 30, 10, 3, 1, 0.3, 0.1, 0.03 };
static const double usual = 3;          /* penalty, where too few labels tell */
static const double length_share = 0.5; /* of a whole difference */

struct problem {
	size_t n, width;                /* rows, columns */
	const float *rows;              /* [n][width] */
	const double *won, *weight;     /* [n] */
	double penalty;
};

/* --- rows --- */

static double log_bytes(const struct feedback_item *it, int a) { return log((double)strlen(it->answers[a]) + 1); }

static double length_apart(const struct said *s, size_t item, int a, int b)
{
	return log_bytes(&s->items[item], a) - log_bytes(&s->items[item], b);
}

static const float *state_of(const struct said *s, size_t item, int a)
{
	return s->states.of[item] + (size_t)a * s->states.width;
}

/* Mean squares of all pairs of answers, judged or not. */
static void find_scale(struct heads *h, const struct said *s)
{
	double states = 0, lengths = 0, n = 0;

	for (size_t i = 0; i < s->n_items; i++)
		for (int a = 0; s->states.of[i] && a < s->items[i].n; a++)
			for (int b = a + 1; b < s->items[i].n; b++, n++) {
				const float *p = state_of(s, i, a), *q = state_of(s, i, b);
				double length = length_apart(s, i, a, b);
				for (size_t k = 0; k < s->states.width; k++)
					states += (double)(p[k] - q[k]) * (double)(p[k] - q[k]);
				lengths += length * length;
			}
	h->scale = states > 0 ? sqrt(states / n) : 1;
	h->length_scale = lengths > 0 ? sqrt(lengths / n) / length_share : 1;
}

static void take_row(const struct heads *h, const struct said *s, size_t item, int a, int b,
                     float *row)
{
	const float *p = state_of(s, item, a), *q = state_of(s, item, b);

	for (size_t k = 0; k < s->states.width; k++)
		row[k] = (float)((double)(p[k] - q[k]) / h->scale);
	row[s->states.width] = (float)(length_apart(s, item, a, b) / h->length_scale);
}

static double dot(const float *row, const double *w, size_t n)
{
	double part[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			part[k] += (double)row[i + k] * w[i + k];
	for (; i < n; i++)
		part[0] += (double)row[i] * w[i];
	return part[0] + part[1] + (part[2] + part[3]);
}

/* --- one head --- */


/* out = X'·(factor ∘ X·p) + penalty·p */
static void curve_times(const struct problem *q, const double *factor, const double *p, double *out)
{
	for (size_t k = 0; k < q->width; k++)
		out[k] = q->penalty * p[k];
	for (size_t i = 0; i < q->n; i++) {
		const float *row = q->rows + i * q->width;
		double z = factor[i] > 0 ? factor[i] * dot(row, p, q->width) : 0;
		for (size_t k = 0; z != 0 && k < q->width; k++)
			out[k] += z * (double)row[k];
	}
}

static double product(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t k = 0; k < n; k++)
		sum += a[k] * b[k];
	return sum;
}

/* step = H⁻¹·g; room: [3][width]. */
static void conjugate(const struct problem *q, const double *factor, const double *g, double *step, double *room)
{
	size_t n = q->width;
	double *rest = room, *p = room + n, *hp = room + 2 * n, left = product(g, g, n), start = left;

	memset(step, 0, n * sizeof(*step));
	memcpy(rest, g, n * sizeof(*g));
	memcpy(p, g, n * sizeof(*g));
	for (int i = 0; i < INNER && left > 1e-12 * start && left > 0; i++) {
		curve_times(q, factor, p, hp);
		double part = left / product(p, hp, n), before = left;
		for (size_t k = 0; k < n; k++) {
			step[k] += part * p[k];
			rest[k] -= part * hp[k];
		}
		left = product(rest, rest, n);
		for (size_t k = 0; k < n; k++)
			p[k] = rest[k] + left / before * p[k];
	}
}

/* Minus the logarithm of the likelihood, with the prior; g: minus its gradient, factor: p(1 − p) of the rows. */
static double loss_of(const struct problem *q, const double *w, double *g, double *factor)
{
	double loss = q->penalty / 2 * product(w, w, q->width);

	for (size_t k = 0; k < q->width; k++)
		g[k] = -q->penalty * w[k];
	for (size_t i = 0; i < q->n; i++) {
		const float *row = q->rows + i * q->width;
		if (q->weight[i] <= 0) {
			factor[i] = 0;
			continue;
		}
		double z = dot(row, w, q->width), p = sigmoid(z), off = q->weight[i] * (q->won[i] - p);
		loss += q->weight[i] * (q->won[i] * softplus(-z) + (1 - q->won[i]) * softplus(z));
		factor[i] = q->weight[i] * p * (1 - p);
		for (size_t k = 0; k < q->width; k++)
			g[k] += off * (double)row[k];
	}
	return loss;
}

/* w: where it begins, and the fit. */
static void fit(const struct problem *q, double *w)
{
	size_t n = q->width;
	double *all = mem_array(6 * n + q->n, sizeof(*all)), *g = all, *step = g + n, *at = step + n, *room = at + n;
	double *factor = room + 3 * n, loss = loss_of(q, w, g, factor);

	for (int i = 0; i < STEPS; i++) {
		conjugate(q, factor, g, step, room);
		double gain = product(g, step, n), part = 1, next;
		if (gain < 1e-9)
			break;
		memcpy(at, w, n * sizeof(*w));
		do {
			for (size_t k = 0; k < n; k++)
				w[k] = at[k] + part * step[k];
			next = loss_of(q, w, g, factor);
			part /= 2;
		} while (next > loss && part > 1e-6);
		loss = next;
	}
	mem_free(all);
}

/* --- the penalty --- */

static double held_out_loss(const struct problem *q, const double *w, const double *held)
{
	double loss = 0;

	for (size_t i = 0; i < q->n; i++) {
		double z = held[i] > 0 ? dot(q->rows + i * q->width, w, q->width) : 0;
		loss += held[i] * (q->won[i] * softplus(-z) + (1 - q->won[i]) * softplus(z));
	}
	return loss;
}

/* fold[n]: the part of each row's prompt. */
static double choose_penalty(const struct problem *of, const int *fold, double *w)
{
	double *weight = mem_array(2 * of->n, sizeof(*weight)), *held = weight + of->n;
	double loss[ARRAY_LEN(penalties)] = { 0 };
	size_t best = 0;
	struct problem q = *of;

	q.weight = weight;
	for (int f = 0; f < FOLDS; f++) {
		for (size_t i = 0; i < q.n; i++) {
			weight[i] = fold[i] == f ? 0 : of->weight[i];
			held[i] = of->weight[i] - weight[i];
		}
		memset(w, 0, q.width * sizeof(*w));
		for (size_t p = 0; p < ARRAY_LEN(penalties); p++) { /* each from where the one before ended */
			q.penalty = penalties[p];
			fit(&q, w);
			loss[p] += held_out_loss(&q, w, held);
		}
	}
	for (size_t p = 1; p < ARRAY_LEN(penalties); p++)
		best = loss[p] < loss[best] ? p : best;
	mem_free(weight);
	memset(w, 0, of->width * sizeof(*w));
	return penalties[best];
}

/* --- all heads --- */

struct table { float *rows; double *won, *one, *weight; size_t *prompt; int *fold; size_t n, n_prompts; };

/* Prompts that were judged are numbered as they come. */
static void take_rows(struct table *t, const struct heads *h, const struct said *s,
                      const struct comparison *c, size_t n, uint64_t seed)
{
	struct rng_key key = { seed, RNG_SHUFFLE };
	size_t width = s->states.width + 1, *number = mem_array(2 * s->n_items, sizeof(*number));
	size_t *prompt = number + s->n_items;

	*t = (struct table){ mem_array(n * width, sizeof(float)), mem_array(n, sizeof(double)),
		             mem_array(n, sizeof(double)), mem_array(n, sizeof(double)),
		             mem_array(n, sizeof(size_t)), mem_array(n, sizeof(int)), 0, 0 };
	said_prompts(s, prompt);
	for (size_t i = 0; i < n; i++) {
		size_t at = prompt[c[i].item];
		if (!s->states.of[c[i].item])
			continue;
		if (number[at] == 0)
			number[at] = ++t->n_prompts;
		take_row(h, s, c[i].item, c[i].a, c[i].b, t->rows + t->n * width);
		t->won[t->n] = c[i].won;
		t->one[t->n] = 1;
		t->prompt[t->n++] = number[at] - 1;
	}
	for (size_t i = 0; i < t->n; i++)
		t->fold[i] = (int)(rng_permute(key, 0, t->n_prompts, t->prompt[i]) % FOLDS);
	mem_free(number);
}

static void release(struct table *t)
{
	mem_free(t->rows);
	mem_free(t->won);
	mem_free(t->one);
	mem_free(t->weight);
	mem_free(t->prompt);
	mem_free(t->fold);
}

void heads_fit(struct heads *h, const struct said *s, const struct comparison *c, size_t n,
               size_t n_heads, double penalty, uint64_t seed, struct arena *mem)
{
	struct table t;

	*h = (struct heads){ .n = n_heads + 1, .width = s->states.width, .penalty = penalty > 0 ? penalty : usual };
	h->w = arena_array(mem, h->n * (h->width + 1), sizeof(*h->w));
	find_scale(h, s);
	take_rows(&t, h, s, c, n, seed);
	struct problem q = { t.n, h->width + 1, t.rows, t.won, t.one, usual };
	uint32_t *times = mem_array(t.n_prompts, sizeof(*times));
	if (!(penalty > 0) && t.n_prompts >= 2 * FOLDS)
		h->penalty = choose_penalty(&q, t.fold, h->w);
	q.penalty = h->penalty;
	for (size_t k = 0; k < h->n && t.n >= 2; k++) {
		double *w = h->w + k * q.width;
		if (k > 0)
			resample_times(times, t.n_prompts, seed, (int)k);
		for (size_t i = 0; i < t.n; i++)
			t.weight[i] = k > 0 ? times[t.prompt[i]] : 1;
		q.weight = t.weight;
		memcpy(w, h->w, k > 0 ? q.width * sizeof(*w) : 0);      /* from head 0 on */
		fit(&q, w);
	}
	mem_free(times);
	release(&t);
}

double heads_margin(const struct heads *h, size_t head, const struct said *s, size_t item, int a,
                    int b)
{
	const double *w = h->w + head * (h->width + 1);
	const float *p = state_of(s, item, a), *q = state_of(s, item, b);

	return (dot(p, w, h->width) - dot(q, w, h->width)) / h->scale +
	       w[h->width] * length_apart(s, item, a, b) / h->length_scale;
}

double heads_accuracy(const struct heads *h, const struct said *s, const struct comparison *c,
                      size_t n)
{
	double right = 0, decided = 0;

	for (size_t i = 0; i < n; i++) {
		if (!s->states.of[c[i].item] || !islessgreater(c[i].won, 0.5))
			continue;
		double m = heads_margin(h, 0, s, c[i].item, c[i].a, c[i].b);
		right += islessgreater(m, 0) ? (m > 0) == (c[i].won > 0.5) : 0.5;
		decided++;
	}
	return decided > 0 ? right / decided : NAN;
}

static double entropy(double p) { return p > 0 && p < 1 ? -p * log(p) - (1 - p) * log(1 - p) : 0; }

static double pair_information(const struct heads *h, const struct said *s, size_t item,
                               int a, int b, bool margin)
{
	double mean = 0, own = 0, n = (double)(h->n - 1);

	if (margin || h->n < 2)
		return entropy(sigmoid(heads_margin(h, 0, s, item, a, b)));
	for (size_t k = 1; k < h->n; k++) {
		double p = sigmoid(heads_margin(h, k, s, item, a, b));
		mean += p / n;
		own += entropy(p) / n;
	}
	return fmax(entropy(mean) - own, 0);
}

void heads_information(const struct heads *h, const struct said *s, bool margin,
                       double *information)
{
	for (size_t i = 0; i < s->n_items; i++) {
		information[i] = s->states.of[i] ? 0 : NAN;
		for (int a = 0; s->states.of[i] && a < s->items[i].n; a++)
			for (int b = a + 1; b < s->items[i].n; b++)
				information[i] += pair_information(h, s, i, a, b, margin);
	}
}
