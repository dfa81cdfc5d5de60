/* fit: the searches of fit.h. How a sum is written here is how it is rounded: the order is part of the file format that
 * others have made of it. Source: ggml-quants.c (make_qx_quants, make_q3_quants, make_qkx2_quants and make_qkx3_quants,
 * which agree, make_qp_quants). */
#include "quant/fit.h"

#include <math.h>
#include <string.h>

enum { MOST_NUMBERS = 256, ROUNDS = 5 };

#define NOTHING 1e-15f /* a group whose numbers are all below is zero */

/* Adding 1.5·2²³ leaves the integer in the low bits of the sum. */
int fit_nearest(float x)
{
	float sum = x + 12582912.0f;
	uint32_t bits;

	memcpy(&bits, &sum, sizeof(bits));
	return (int)(bits & 0x7fffff) - 0x400000;
}

int fit_clamp(int x, int least, int most)
{
	return x < least ? least : x > most ? most : x;
}

/* Σ w·x·q and Σ w·q·q, for the best scale of integers q and what it explains. */
struct sums {
	float xq, qq;
};

static void sums_add(struct sums *s, float w, float x, int q)
{
	s->xq += w * x * (float)q;
	s->qq += w * (float)q * (float)q;
}

/* The number of largest magnitude; 0 where all are nothing. */
static float extreme(int n, const float *x)
{
	float most = 0, at = 0;

	for (int i = 0; i < n; i++)
		if (fabsf(x[i]) > most) {
			most = fabsf(x[i]);
			at = x[i];
		}
	return most < NOTHING ? 0 : at;
}

static int signed_at(float inverse, float x, int most)
{
	return fit_clamp(fit_nearest(inverse * x), -most, most - 1);
}

static struct sums signed_sums(int n, int most, const float *x, const float *w, float inverse)
{
	struct sums s = { 0, 0 };

	for (int i = 0; i < n; i++)
		sums_add(&s, w[i], x[i], signed_at(inverse, x[i], most));
	return s;
}

float fit_signed(int n, int most, const float *x, const float *w, int8_t *q)
{
	float at = extreme(n, x), used, own[MOST_NUMBERS];

	for (int i = 0; i < n; i++)
		q[i] = 0;
	if (at == 0)
		return 0;
	for (int i = 0; !w && i < n; i++)
		own[i] = x[i] * x[i];
	w = w ? w : own;
	used = (float)-most / at;
	struct sums s = signed_sums(n, most, x, w, used);
	float scale = s.qq != 0 ? s.xq / s.qq : 0, best = scale * s.xq;
	for (int step = -9; step <= 9; step++) {
		float inverse = -((float)most + 0.1f * (float)step) / at;
		if (step == 0)
			continue;
		s = signed_sums(n, most, x, w, inverse);
		if (s.qq > 0 && s.xq * s.xq > best * s.qq) {
			used = inverse;
			scale = s.xq / s.qq;
			best = scale * s.xq;
		}
	}
	for (int i = 0; i < n; i++)
		q[i] = (int8_t)(most + signed_at(used, x[i], most));
	return scale;
}

/* Moves q to where it is best, the others as they are. */
static bool take_turn(float w, float x, int least, int most, struct sums *s, int *q)
{
	struct sums rest = { s->xq - w * x * (float)*q, s->qq - w * (float)*q * (float)*q };

	if (!(rest.xq > 0))
		return false;
	int better = fit_clamp(fit_nearest(x * rest.qq / rest.xq), least, most);
	if (better == *q)
		return false;
	sums_add(&rest, w, x, better);
	if (!(rest.qq > 0) || !(rest.xq * rest.xq * s->qq > s->xq * s->xq * rest.qq))
		return false;
	*q = better;
	*s = rest;
	return true;
}

float fit_signed_by_turns(int n, int most, const float *x, int8_t *q)
{
	float at = extreme(n, x);
	struct sums s = { 0, 0 };
	bool moved = true;
	int l[MOST_NUMBERS];

	for (int i = 0; i < n; i++)
		q[i] = 0;
	if (at == 0)
		return 0;
	for (int i = 0; i < n; i++) {
		l[i] = signed_at((float)-most / at, x[i], most);
		sums_add(&s, x[i] * x[i], x[i], l[i]);
	}
	for (int round = 0; moved && round < ROUNDS; round++) {
		moved = false;
		for (int i = 0; i < n; i++)
			moved |= take_turn(x[i] * x[i], x[i], -most, most - 1, &s, &l[i]);
	}
	for (int i = 0; i < n; i++)
		q[i] = (int8_t)(l[i] + most);
	return s.qq > 0 ? s.xq / s.qq : 0;
}

/* Σ w·(scale·q + min − x)², or of the magnitudes. */
static float affine_error(const struct fit_affine *how, int n, const float *x, const float *w, const uint8_t *q,
                          float scale, float min)
{
	float error = 0;

	for (int i = 0; i < n; i++) {
		float d = scale * (float)q[i] + min - x[i];
		error += w[i] * (how->absolute ? fabsf(d) : d * d);
	}
	return error;
}

static void affine_integers(int n, int most, const float *x, float inverse, float min, uint8_t *q)
{
	for (int i = 0; i < n; i++)
		q[i] = (uint8_t)fit_clamp(fit_nearest(inverse * (x[i] - min)), 0, most);
}

/* The weighted line through the integers; false: they are all the same. */
static bool affine_line(int n, const float *x, const float *w, const uint8_t *q, float sum_w, float sum_x,
                        float *scale, float *min)
{
	float sum_q = 0, sum_qq = 0, sum_xq = 0;

	for (int i = 0; i < n; i++) {
		float l = (float)q[i];
		sum_q += w[i] * l;
		sum_qq += w[i] * l * l;
		sum_xq += w[i] * l * x[i];
	}
	float det = sum_w * sum_qq - sum_q * sum_q;
	if (!(det > 0))
		return false;
	*scale = (sum_w * sum_xq - sum_x * sum_q) / det;
	*min = (sum_qq * sum_x - sum_q * sum_xq) / det;
	if (*min > 0) {
		*min = 0;
		*scale = sum_xq / sum_qq;
	}
	return true;
}

float fit_affine(const struct fit_affine *how, int n, const float *x, const float *w, uint8_t *q, float *minus)
{
	float least = x[0], largest = x[0], sum_w = w[0], sum_x = sum_w * x[0], scale, min, error;
	uint8_t other[MOST_NUMBERS];

	for (int i = 1; i < n; i++) {
		least = x[i] < least ? x[i] : least;
		largest = x[i] > largest ? x[i] : largest;
		sum_w += w[i];
		sum_x += w[i] * x[i];
	}
	least = least > 0 ? 0 : least;
	*minus = -least;
	for (int i = 0; i < n; i++)
		q[i] = 0;
	if (largest <= least)
		return 0;
	float inverse = (float)how->most / (largest - least), best_scale = 1 / inverse, best_min = least;
	affine_integers(n, how->most, x, inverse, least, q);
	float best = affine_error(how, n, x, w, q, best_scale, best_min);
	for (int step = 0; step <= how->steps; step++) {
		/* from the range as it was, and from the least that is best so far */
		inverse = (how->first + how->step * (float)step + (float)how->most) / (largest - best_min);
		affine_integers(n, how->most, x, inverse, best_min, other);
		if (!affine_line(n, x, w, other, sum_w, sum_x, &scale, &min))
			continue;
		error = affine_error(how, n, x, w, other, scale, min);
		if (error < best) {
			for (int i = 0; i < n; i++)
				q[i] = other[i];
			best = error;
			best_scale = scale;
			best_min = min;
		}
	}
	*minus = -best_min;
	return best_scale;
}

static float unsigned_error(int n, int most, const float *x, const float *w, float inverse)
{
	float scale = 1 / inverse, error = 0;

	for (int i = 0; i < n; i++) {
		int q = fit_nearest(inverse * x[i]);
		float d = x[i] - scale * (float)(q > most ? most : q);
		error += w[i] * d * d;
	}
	return error;
}

/* As take_turn, of numbers that are not negative. */
static bool take_unsigned_turn(float w, float x, int most, struct sums *s, uint8_t *q)
{
	struct sums rest = { s->xq - w * x * (float)*q, s->qq - w * (float)*q * (float)*q };

	if (!(rest.xq > 0) || !(rest.qq > 0))
		return false;
	int better = fit_nearest(x * rest.qq / rest.xq);
	better = better > most ? most : better;
	if (better == *q)
		return false;
	sums_add(&rest, w, x, better);
	if (!(rest.xq * rest.xq * s->qq > s->xq * s->xq * rest.qq))
		return false;
	*q = (uint8_t)better;
	*s = rest;
	return true;
}

float fit_unsigned(int n, int most, const float *x, const float *w, uint8_t *q)
{
	float largest = 0;
	struct sums s = { 0, 0 };
	bool moved = true;

	for (int i = 0; i < n; i++)
		largest = x[i] > largest ? x[i] : largest;
	for (int i = 0; i < n; i++)
		q[i] = 0;
	if (largest < NOTHING)
		return 0;
	float used = (float)most / largest, best = unsigned_error(n, most, x, w, used);
	for (int step = -4; step <= 4; step++) {
		float inverse = (0.1f * (float)step + (float)most) / largest;
		float error = step ? unsigned_error(n, most, x, w, inverse) : best;
		if (error < best) {
			best = error;
			used = inverse;
		}
	}
	for (int i = 0; i < n; i++) {
		int l = fit_nearest(used * x[i]);
		l = l > most ? most : l;
		q[i] = (uint8_t)l;
		sums_add(&s, w[i], x[i], l);
	}
	for (int round = 0; moved && round < ROUNDS; round++) {
		moved = false;
		for (int i = 0; i < n; i++)
			moved |= take_unsigned_turn(w[i], x[i], most, &s, &q[i]);
	}
	return s.qq > 0 ? s.xq / s.qq : 0;
}
