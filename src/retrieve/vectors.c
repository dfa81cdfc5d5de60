/* vectors: see vectors.h. */
#include "retrieve/vectors.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct scan {
	const uint8_t *data;
	size_t rows, width;
	const int8_t *query;
	float query_scale;
	float *score;
};

static size_t block_bytes(size_t width) { return VECTORS_BLOCK * (sizeof(float) + width); }

size_t vectors_bytes(size_t rows, size_t width)
{
	return (rows + VECTORS_BLOCK - 1) / VECTORS_BLOCK * block_bytes(width);
}

size_t vectors_scale_at(size_t row, size_t width)
{
	return row / VECTORS_BLOCK * block_bytes(width) + row % VECTORS_BLOCK * sizeof(float);
}

size_t vectors_row_at(size_t row, size_t width)
{
	return row / VECTORS_BLOCK * block_bytes(width) + VECTORS_BLOCK * sizeof(float) + row % VECTORS_BLOCK * width;
}

void vectors_quantize(const float *x, size_t width, int8_t *q, float *scale)
{
	float most = 0;

	for (size_t i = 0; i < width; i++)
		most = fmaxf(most, fabsf(x[i]));
	*scale = most / 127;
	for (size_t i = 0; i < width; i++)
		q[i] = most > 0 ? (int8_t)lrintf(x[i] * (127 / most)) : 0;
}

static int32_t dot(const int8_t *restrict a, const int8_t *restrict b, size_t n)
{
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int16_t)a[i] * (int16_t)b[i];
	return sum;
}

static void scan_block(void *ctx, size_t item, int thread)
{
	const struct scan *s = ctx;
	size_t from = item * VECTORS_BLOCK, to = MIN(s->rows, from + VECTORS_BLOCK);
	(void)thread;

	for (size_t i = from; i < to; i++) {
		float scale;
		memcpy(&scale, s->data + vectors_scale_at(i, s->width), sizeof(scale));
		s->score[i] = scale * s->query_scale *
		              (float)dot(s->query, (const int8_t *)s->data + vectors_row_at(i, s->width), s->width);
	}
}

void vectors_scan(const uint8_t *data, size_t rows, size_t width, const float *query, struct pool *pool, float *score)
{
	int8_t *q = mem_alloc(width);
	struct scan s = { .data = data, .rows = rows, .width = width, .query = q, .score = score };

	vectors_quantize(query, width, q, &s.query_scale);
	pool_run(pool, (rows + VECTORS_BLOCK - 1) / VECTORS_BLOCK, scan_block, &s);
	mem_free(q);
}

double vectors_likeness(const uint8_t *data, size_t width, size_t a, size_t b)
{
	float x, y;

	memcpy(&x, data + vectors_scale_at(a, width), sizeof(x));
	memcpy(&y, data + vectors_scale_at(b, width), sizeof(y));
	return (double)x * (double)y *
	       dot((const int8_t *)data + vectors_row_at(a, width), (const int8_t *)data + vectors_row_at(b, width),
	           width);
}
