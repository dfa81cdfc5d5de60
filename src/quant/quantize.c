/* quantize: which function writes which type. Plain types and Q8_0 have no use for weights: their rows of dtype's table
 * write them. */
#include "quant/quantize.h"

#include <math.h>

#include "base/err.h"

static const quantize_fn writers[DTYPE_COUNT] = {
	[DTYPE_Q1_0] = quantize_q1_0,     [DTYPE_Q2_0] = quantize_q2_0,     [DTYPE_Q4_0] = quantize_q4_0,
	[DTYPE_Q4_1] = quantize_q4_1,     [DTYPE_Q5_0] = quantize_q5_0,     [DTYPE_Q5_1] = quantize_q5_1,
	[DTYPE_Q2_K] = quantize_q2_k,     [DTYPE_Q3_K] = quantize_q3_k,     [DTYPE_Q4_K] = quantize_q4_k,
	[DTYPE_Q5_K] = quantize_q5_k,     [DTYPE_Q6_K] = quantize_q6_k,     [DTYPE_IQ4_NL] = quantize_iq4_nl,
	[DTYPE_IQ4_XS] = quantize_iq4_xs, [DTYPE_TQ1_0] = quantize_tq1_0,   [DTYPE_TQ2_0] = quantize_tq2_0,
	[DTYPE_MXFP4] = quantize_mxfp4,   [DTYPE_NVFP4] = quantize_nvfp4,
};

bool quantize_writes(enum dtype t)
{
	return writers[t] || dtypes[t].from_float;
}

void quantize_row(enum dtype t, const float *x, size_t n, const float *weights, void *out)
{
	if (!quantize_writes(t) || n % dtypes[t].block)
		BUG("a row of %zu numbers as %s", n, dtypes[t].name);
	if (writers[t])
		writers[t](x, n, weights, out);
	else
		dtypes[t].from_float(x, out, n);
}

float quantize_squares(const float *x, size_t n)
{
	float sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	return sum;
}

void quantize_weigh(const float *x, size_t n, const float *weights, float more, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = weights[i] * sqrtf(more + x[i] * x[i]);
}
