/* lora_dora: weight-decomposed low-rank adaptation (Liu et al. 2024), as PEFT computes it:
 *
 *     y = c∘(x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ) + bias      c = m / ‖W + s·B·A‖, a number an output, m trained
 *
 * The norm, over the inputs of an output (of an embedding over its rows, for each column), is no part of the gradient
 * (the paper's 4.3): the gradient in m is that of c over the norm, those in A and B are LoRA's through c. So the
 * norms are numbers that follow the parameters: they are made anew when these have changed, once a step, and stand in
 * the overlay's fixed numbers; what is only used never makes them again. A row of W + s·B·A is in a processor's cache
 * while its norm is taken; the matrix never is in memory.
 *
 * m begins as the norm, where the model is what it was. With dropout PEFT multiplies the dropped input with W too:
 *
 *     y = (x − d)·Wᵀ + c∘(d·Wᵀ + s·d·Aᵀ·Bᵀ) + bias      d = drop(x)
 *
 * W are the model's own numbers (those that the adapter's file brings): a DoRA over another adapter would take its
 * norms without that one. An output whose norm is 0 stays 0. The head and experts have no place for it. */
#include <math.h>
#include <string.h>

#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "base/mem.h"
#include "model/weights.h"
#include "quant/panels.h"

enum { ROW_MAX = 1 << 16, ROWS_EACH = 32, PARTS = 64 };

int dora_site(struct adapter *a, const struct model *m, struct lora_site *s, const char *module, struct err *e)
{
	const struct weight *w = &m->weights[MIN((size_t)s->weight, m->n_weights - 1)];
	struct file_layout rows = { .rows_of = s->embedding ? -1 : s->weight };

	if (s->weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "use_dora: target_modules means the head '%s', which has no DoRA here", module);
	if (w->expert >= 0)
		return err_set(e, "use_dora: target_modules means '%s', an expert's matrix, which has no DoRA here",
		               module);
	if (w->dim[1] > ROW_MAX)
		return err_set(e, "use_dora: a row of '%s' has %zu numbers, at most %d were wanted", module, w->dim[1],
		               ROW_MAX);
	if (s->embedding)
		s->squares = arena_array(&a->mem, PARTS * s->out, sizeof(*s->squares));
	s->magnitude = adapter_param(a, peft_name(a, module, "lora_magnitude_vector"), 1, &s->out, -1, rows);
	s->norm = params_add(&a->overlay.fixed, peft_name(a, module, "norm"), 1, &s->out, -1);
	a->overlay.fixed_changes = true;
	return 0;
}

/* --- the norms --- */

struct norm_work {
	const struct adapter *a;
	const struct model *m;
	const struct lora_site *s;
	const struct kernels *k;
	const float *A, *B;
	float *inverse;
};

/* Row `row` of W, as the model keeps it. */
static void weight_row(const struct norm_work *w, size_t row, size_t cols, float *out)
{
	const struct weight *x = &w->m->weights[w->s->weight];
	const float *base = w->a->overlay.base[w->s->weight];

	if (base)
		memcpy(out, base + row * cols, cols * sizeof(*out));
	else if (x->panels)
		panels_row(x->dtype, x->panels, row, cols, out);
	else
		dtypes[x->dtype].to_float((const char *)x->data + row * dtype_row_bytes(x->dtype, cols), out, cols);
}

static float inverse_of(double squares) { return squares > 0 ? (float)(1 / sqrt(squares)) : 0; }

static void norm_rows(void *ctx, size_t item, int thread)
{
	const struct norm_work *w = ctx;
	const struct lora_site *s = w->s;
	float row[ROW_MAX];
	(void)thread;

	for (size_t i = item * ROWS_EACH; i < MIN((item + 1) * ROWS_EACH, s->out); i++) {
		weight_row(w, i, s->in, row);
		for (size_t q = 0; q < s->r; q++)
			w->k->axpy(row, s->scale * w->B[i * s->r + q], w->A + q * s->in, s->in);
		w->inverse[i] = inverse_of(w->k->sum_squares(row, s->in));
	}
}

/* Of an embedding: squares of W [V,C] + s·A·Bᵀ, A [V,r], B [C,r], summed for each column over a part of the
 * rows. */
static void norm_part(void *ctx, size_t item, int thread)
{
	const struct norm_work *w = ctx;
	const struct lora_site *s = w->s;
	size_t each = (s->in + PARTS - 1) / PARTS;
	double *squares = s->squares + item * s->out;
	float row[ROW_MAX];
	(void)thread;

	memset(squares, 0, s->out * sizeof(*squares));
	for (size_t v = item * each; v < MIN((item + 1) * each, s->in); v++) {
		const float *a = w->A + v * s->r;
		weight_row(w, v, s->out, row);
		for (size_t j = 0; j < s->out; j++) {
			float sum = 0;
			for (size_t q = 0; q < s->r; q++)
				sum += a[q] * w->B[j * s->r + q];
			double x = (double)row[j] + (double)s->scale * sum;
			squares[j] += x * x;
		}
	}
}

static void norm_columns(const struct norm_work *w, struct pool *p)
{
	const struct lora_site *s = w->s;

	pool_run(p, PARTS, norm_part, (void *)(uintptr_t)w);
	for (size_t j = 0; j < s->out; j++) {
		double sum = 0;
		for (size_t i = 0; i < PARTS; i++)
			sum += s->squares[i * s->out + j];
		w->inverse[j] = inverse_of(sum);
	}
}

void dora_follow(struct adapter *a, const struct model *m, const struct kernels *k, struct pool *p)
{
	const struct lora *o = a->own;
	const struct params *x = &a->overlay.params, *fixed = &a->overlay.fixed;

	for (size_t i = 0; i < o->n; i++) {
		const struct lora_site *s = &o->sites[i];
		if (s->norm < 0)
			continue;
		struct norm_work w = { a, m, s, k, x->w + x->items[s->a].offset, x->w + x->items[s->b].offset,
			               fixed->w + fixed->items[s->norm].offset };
		if (s->embedding)
			norm_columns(&w, p);
		else
			pool_run(p, (s->out + ROWS_EACH - 1) / ROWS_EACH, norm_rows, &w);
	}
}

int dora_begin(struct adapter *a, const struct model *m, bool is_new, struct err *e)
{
	const struct lora *o = a->own;
	const struct kernels *k = kernels_get(NULL, e);
	const struct params *x = &a->overlay.params, *fixed = &a->overlay.fixed;

	if (!a->overlay.fixed_changes)
		return 0;
	if (!k)
		return -1;
	struct pool *p = pool_new(0);
	dora_follow(a, m, k, p);
	pool_free(p);
	for (size_t i = 0; i < o->n && is_new; i++) {
		const float *inverse = fixed->w + fixed->items[o->sites[i].norm].offset;
		float *magnitude = x->w + x->items[o->sites[i].magnitude].offset;
		for (size_t j = 0; j < o->sites[i].out; j++)
			magnitude[j] = inverse[j] > 0 ? 1 / inverse[j] : 0;
	}
	return 0;
}

/* --- use --- */

uint32_t dora_scales(struct graph *g, const struct overlay *o, const struct lora_site *s)
{
	return op_scale_columns(g->tape, nn_param(g, o, s->magnitude), nn_fixed(g, o, s->norm), TENSOR_NONE,
	                        TENSOR_NONE);
}

static void merge_rows(const struct model *m, const struct lora_site *s, const float *magnitude, float *w)
{
	for (size_t i = 0; i < s->out; i++) {
		float *row = w + weight_hf_row(m, s->weight, i) * s->in;
		double squares = 0;
		for (size_t j = 0; j < s->in; j++)
			squares += (double)row[j] * row[j];
		float c = magnitude[i] * inverse_of(squares);
		for (size_t j = 0; j < s->in; j++)
			row[j] *= c;
	}
}

static void merge_columns(const struct lora_site *s, const float *magnitude, float *w)
{
	for (size_t j = 0; j < s->out; j++) {
		double squares = 0;
		for (size_t v = 0; v < s->in; v++)
			squares += (double)w[v * s->out + j] * w[v * s->out + j];
		float c = magnitude[j] * inverse_of(squares);
		for (size_t v = 0; v < s->in; v++)
			w[v * s->out + j] *= c;
	}
}

void dora_merge(const struct adapter *a, const struct model *m, const struct lora_site *s, float *w)
{
	const struct params *p = &a->overlay.params;
	const float *magnitude = p->w + p->items[s->magnitude].offset;

	if (s->embedding)
		merge_columns(s, magnitude, w);
	else
		merge_rows(m, s, magnitude, w);
}
