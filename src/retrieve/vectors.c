/* vectors: see vectors.h. */
#include "retrieve/vectors.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/dtype.h"

const char *const vectors_names[VECTORS_KINDS] = { [VECTORS_INT8] = "int8", [VECTORS_F16] = "f16" };

/* --- where they are --- */

size_t vectors_row_bytes(const struct vectors_form *f)
{
	return f->width * (f->kind == VECTORS_F16 ? sizeof(uint16_t) : 1);
}

static size_t head_bytes(const struct vectors_form *f)
{
	return f->kind == VECTORS_F16 ? 0 : VECTORS_BLOCK * sizeof(float);
}

static size_t block_bytes(const struct vectors_form *f)
{
	return head_bytes(f) + VECTORS_BLOCK * vectors_row_bytes(f);
}

size_t vectors_bytes(const struct vectors_form *f, size_t rows)
{
	return (rows + VECTORS_BLOCK - 1) / VECTORS_BLOCK * block_bytes(f);
}

size_t vectors_scale_at(const struct vectors_form *f, size_t row)
{
	return row / VECTORS_BLOCK * block_bytes(f) + row % VECTORS_BLOCK * sizeof(float);
}

size_t vectors_row_at(const struct vectors_form *f, size_t row)
{
	return row / VECTORS_BLOCK * block_bytes(f) + head_bytes(f) + row % VECTORS_BLOCK * vectors_row_bytes(f);
}

static float scale_of(const struct vectors_form *f, const uint8_t *data, size_t row)
{
	float scale = 1;

	if (f->kind == VECTORS_INT8)
		memcpy(&scale, data + vectors_scale_at(f, row), sizeof(scale));
	return scale;
}

/* --- rows --- */

static float quantize(const float *x, size_t n, int8_t *q)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	for (size_t i = 0; i < n; i++)
		q[i] = most > 0 ? (int8_t)lrintf(x[i] * (127 / most)) : 0;
	return most / 127;
}

void vectors_put(const struct vectors_form *f, const float *x, void *row, float *scale)
{
	uint16_t *half = row;

	*scale = f->kind == VECTORS_INT8 ? quantize(x, f->width, row) : 1;
	for (size_t i = 0; f->kind == VECTORS_F16 && i < f->width; i++)
		half[i] = f16_from_float(x[i]);
}

void vectors_get(const struct vectors_form *f, const uint8_t *data, size_t row, float *out)
{
	const void *from = data + vectors_row_at(f, row);
	const int8_t *q = from;
	const uint16_t *half = from;
	float scale = scale_of(f, data, row);

	for (size_t i = 0; i < f->width; i++)
		out[i] = f->kind == VECTORS_INT8 ? scale * (float)q[i] : f16_to_float(half[i]);
}

/* --- likeness --- */

void vectors_ask(const struct vectors_form *f, const float *x, struct vectors_query *q)
{
	*q = (struct vectors_query){ .x = x };
	if (f->kind != VECTORS_INT8)
		return;
	q->q = mem_alloc(f->width);
	q->scale = quantize(x, f->width, q->q);
}

float vectors_score(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t row,
                    const struct vectors_query *q)
{
	const void *r = data + vectors_row_at(f, row);

	return f->kind == VECTORS_F16 ? k->dot_f16(q->x, r, f->width) :
	                                scale_of(f, data, row) * q->scale * (float)k->dot_s8(q->q, r, f->width);
}

struct scan {
	const struct vectors_form *f;
	const struct kernels *kernels;
	const uint8_t *data;
	size_t first, rows;
	const uint32_t *row;           /* [rows] those that are looked at, NULL: all from the first on */
	struct vectors_query q;
	float *score;
};

static void scan_block(void *ctx, size_t item, int thread)
{
	const struct scan *s = ctx;
	size_t from = s->first + item * VECTORS_BLOCK, to = MIN(s->rows, from + VECTORS_BLOCK);
	(void)thread;

	for (size_t i = from; i < to; i++) {
		size_t row = s->row ? s->row[i] : i;
		s->score[row] = vectors_score(s->f, s->kernels, s->data, row, &s->q);
	}
}

static void scan_all(struct scan *s, const float *query, struct pool *pool)
{
	vectors_ask(s->f, query, &s->q);
	pool_run(pool, (s->rows - s->first + VECTORS_BLOCK - 1) / VECTORS_BLOCK, scan_block, s);
	mem_free(s->q.q);
}

void vectors_scan(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t first, size_t rows,
                  const float *query, struct pool *pool, float *score)
{
	struct scan s = { .f = f, .kernels = k, .data = data, .first = first, .rows = rows, .score = score };

	scan_all(&s, query, pool);
}

void vectors_scan_rows(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, const uint32_t *row,
                       size_t n, const float *query, struct pool *pool, float *score)
{
	struct scan s = { .f = f, .kernels = k, .data = data, .rows = n, .row = row, .score = score };

	scan_all(&s, query, pool);
}

double vectors_likeness(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t a, size_t b)
{
	const void *y = data + vectors_row_at(f, b);
	double sum;

	if (f->kind == VECTORS_INT8) {
		int32_t whole = k->dot_s8((const int8_t *)data + vectors_row_at(f, a), y, f->width);
		return (double)scale_of(f, data, a) * (double)scale_of(f, data, b) * whole;
	}
	float *x = mem_array(f->width, sizeof(*x));
	vectors_get(f, data, a, x);
	sum = (double)k->dot_f16(x, y, f->width);
	mem_free(x);
	return sum;
}
