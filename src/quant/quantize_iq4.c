/* quantize_iq4: IQ4_NL and IQ4_XS. Of each 32 numbers the scale is searched among those that put the number of largest
 * magnitude near the lowest value, each followed by the least squares for the values that are nearest then. */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "quant/bytes.h"
#include "quant/fit.h"
#include "quant/quant.h"

enum { RUN = 32, XS = 256, XS_RUNS = 8, TRIES = 7 };

#define NOTHING 1e-15f

/* The value that is nearest to x; of two the higher. */
static int nearest_value(float x)
{
	int above = 1;

	if (x <= (float)iq4_values[0])
		return 0;
	if (x >= (float)iq4_values[15])
		return 15;
	while (above < 15 && !(x < (float)iq4_values[above]))
		above++;
	return x - (float)iq4_values[above - 1] < (float)iq4_values[above] - x ? above - 1 : above;
}

static void values_sums(const float *x, const float *w, float inverse, float *xq, float *qq)
{
	*xq = *qq = 0;
	for (int i = 0; i < RUN; i++) {
		float q = (float)iq4_values[nearest_value(inverse * x[i])];
		*xq += w[i] * q * x[i];
		*qq += w[i] * q * q;
	}
}

static float run_scale(const float *x, const float *w)
{
	float most = 0, at = 0, xq, qq;

	for (int i = 0; i < RUN; i++)
		if (fabsf(x[i]) > most) {
			most = fabsf(x[i]);
			at = x[i];
		}
	if (most < NOTHING)
		return 0;
	values_sums(x, w, 1 / (-at / (float)iq4_values[0]), &xq, &qq);
	float d = qq > 0 ? xq / qq : 0, best = d * xq;
	for (int i = -TRIES; i <= TRIES; i++) {
		values_sums(x, w, (float)(i + iq4_values[0]) / at, &xq, &qq);
		if (qq > 0 && xq * xq > best * qq) {
			d = xq / qq;
			best = d * xq;
		}
	}
	return d;
}

/* more: twice the block's mean square. */
static void run_weights(const float *x, const float *weights, float more, float *w)
{
	if (weights)
		quantize_weigh(x, RUN, weights, more, w);
	for (int i = 0; !weights && i < RUN; i++)
		w[i] = x[i] * x[i];
}

static void put_values(const float *x, float inverse, uint8_t *out)
{
	for (int i = 0; i < RUN / 2; i++)
		out[i] = (uint8_t)(nearest_value(inverse * x[i]) | nearest_value(inverse * x[i + RUN / 2]) << 4);
}

void quantize_iq4_nl(const float *x, size_t n, const float *weights, uint8_t *out)
{
	float w[RUN];

	for (size_t i = 0; i < n; i += RUN, out += dtypes[DTYPE_IQ4_NL].bytes) {
		run_weights(x + i, weights ? weights + i : NULL, quantize_squares(x + i, RUN) * (2.0f / RUN), w);
		float d = run_scale(x + i, w);
		write_f16(out, d);
		put_values(x + i, d != 0 ? 1 / d : 0, out + 2);
	}
}

static void block_iq4_xs(const float *x, const float *weights, uint8_t *out)
{
	float more = quantize_squares(x, XS) * (2.0f / XS), scale[XS_RUNS], w[RUN], largest = 0, at = 0;
	unsigned high = 0;

	for (int j = 0; j < XS_RUNS; j++) {
		run_weights(x + RUN * j, weights ? weights + RUN * j : NULL, more, w);
		scale[j] = run_scale(x + RUN * j, w);
		if (fabsf(scale[j]) > largest) {
			largest = fabsf(scale[j]);
			at = scale[j];
		}
	}
	float d = -at / 32, inverse = d != 0 ? 1 / d : 0;
	write_f16(out, d);
	memset(out + 4, 0, 4);
	for (int j = 0; j < XS_RUNS; j++) {
		int l = fit_clamp(fit_nearest(inverse * scale[j]), -32, 31);
		float by = d * (float)l;
		put_values(x + RUN * j, by != 0 ? 1 / by : 0, out + 8 + RUN / 2 * j);
		out[4 + j / 2] = (uint8_t)(out[4 + j / 2] | ((l + 32) & 15) << j % 2 * 4);
		high |= (unsigned)(l + 32) >> 4 << 2 * j;
	}
	out[2] = (uint8_t)high;
	out[3] = (uint8_t)(high >> 8);
}

void quantize_iq4_xs(const float *x, size_t n, const float *weights, uint8_t *out)
{
	for (size_t i = 0; i < n; i += XS, out += dtypes[DTYPE_IQ4_XS].bytes)
		block_iq4_xs(x + i, weights ? weights + i : NULL, out);
}
