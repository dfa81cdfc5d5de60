/* activation: the nonlinearities of feed-forward layers, one name each. A kernel table has four functions of each
 * (kernels.h), which ref.c and lanes.h make from its value and its slope; what else is known of it (its name, what it
 * costs) is a row of op/op_act.c's table. Adding one is adding a name here, its formulas there and that row.
 *
 *     silu        x·σ(x)                                    (Elfwing et al. 2017); gated: SwiGLU (Shazeer 2020)
 *     gelu        x·Φ(x), Φ the normal distribution         (Hendrycks & Gimpel 2016)
 *     gelu_tanh   ½x(1 + tanh(√(2/π)(x + 0.044715x³)))      GPT-2's gelu_new; gated: GeGLU
 *     relu        max(x, 0)
 *     relu2       max(x, 0)²                                (So et al. 2021)
 *     tanh, sigmoid                                         a BERT's pooler; gates: σ(x) = 1/(1 + exp(−x)) */
#ifndef KERNEL_ACTIVATION_H
#define KERNEL_ACTIVATION_H

#include <stddef.h>

#define ACTIVATIONS(X) X(SILU, silu) X(GELU, gelu) X(GELU_TANH, gelu_tanh) X(RELU, relu) X(RELU2, relu2) \
	X(TANH, tanh_act) X(SIGMOID, sigmoid)

enum activation {
#define X(NAME, name) ACT_##NAME,
	ACTIVATIONS(X)
#undef X
	ACTIVATION_COUNT
};

struct activation_kernels {
	void (*f)(float *y, const float *x, size_t n);                                /* y = f(x) (in place) */
	void (*back)(float *dx, const float *dy, const float *x, size_t n);           /* dx = dy·f'(x) (in place) */
	void (*gated)(float *y, const float *gate, const float *up, size_t n);        /* y = f(gate)·up (in place) */
	/* dgate = dy·up·f'(gate), dup = dy·f(gate)      (dgate in gate or dy, dup in up: in place) */
	void (*gated_back)(float *dgate, float *dup, const float *dy, const float *gate, const float *up, size_t n);
};

#endif
