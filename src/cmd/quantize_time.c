/* quantize_time: rows of any numbers, packed again and again for a moment: what they are does not change how long. */
#include "cmd/quantize_time.h"

#include "base/clock.h"
#include "base/mem.h"
#include "quant/gptq.h"
#include "quant/quantize_matrix.h"

enum { ROWS = 64 };

#define TRY_SECONDS 0.02

/* Seconds a number of rows like those of t. */
static int time_rows(const struct quant_mix_tensor *t, bool gptq, struct pool *p, double *each, struct err *e)
{
	enum dtype to = t->to;
	size_t cols = t->dim[0], rows = MIN(t->dim[1], (size_t)ROWS);
	double done = 0;
	float *x = mem_array(cols * rows, sizeof(*x)), *factors = gptq ? mem_array(cols * cols, sizeof(*x)) : NULL;
	uint8_t *out = mem_array(rows, cols / dtypes[to].block * dtypes[to].bytes + 1);

	for (size_t i = 0; i < cols * rows; i++)
		x[i] = (float)((int)(i * 2654435761u >> 16 & 0xffff) - 0x8000) * 1e-6f;
	for (size_t i = 0; i < cols && gptq; i++)
		factors[i * cols + i] = 1;
	struct quantize_matrix m = { .name = t->name, .from = DTYPE_F32, .to = to, .data = x, .rows = rows,
		                     .cols = cols, .out = out, .factors = factors };
	double begin = clock_seconds();
	int status;
	do {
		status = quantize_matrix(p, &m, e);
		done += (double)(cols * rows);
	} while (status == 0 && clock_seconds() - begin < TRY_SECONDS);
	*each = status == 0 ? (clock_seconds() - begin) / done : 0;
	mem_free(x);
	mem_free(factors);
	mem_free(out);
	return status;
}

/* Of all tensors that are like t: of its type, and, with factors, of its columns; of this one on. */
static double numbers_like(const struct quantize_list *l, size_t from, bool gptq, bool *counted)
{
	const struct quant_mix_tensor *of = &l->t[from];
	double numbers = 0;

	for (size_t i = from; i < l->n; i++) {
		const struct quant_mix_tensor *t = &l->t[i];
		if (counted[i] || t->to != of->to || t->to == t->dtype || (gptq && t->dim[0] != of->dim[0]))
			continue;
		counted[i] = true;
		numbers += (double)(t->dim[0] * t->dim[1] * t->dim[2]);
	}
	return numbers;
}

int quantize_seconds(const struct quantize_list *l, bool gptq, struct pool *p, double *seconds, struct err *e)
{
	bool *counted = mem_array(l->n + 1, sizeof(*counted));
	int status = 0;

	*seconds = 0;
	for (size_t i = 0; i < l->n && status == 0; i++) {
		bool with = gptq && gptq_writes(l->t[i].to);
		double each = 0, numbers = numbers_like(l, i, with, counted);
		if (numbers > 0)
			status = time_rows(&l->t[i], with, p, &each, e);
		*seconds += each * numbers;
	}
	mem_free(counted);
	return status;
}
