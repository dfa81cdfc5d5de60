/* gemm_parts: terms of a product by parts (kernel/parts.h), for an item of gemm.c.
 *
 *     for slice of K: parts of A[item, slice]; for panel: parts of B[slice, panel]; for strip: tile
 *
 * The parts of A's slice stay in the second cache, those of a panel in the first. To cut a number costs what thirty
 * products with it do, so items are larger than others'. A panel of numbers in f32 is read where it lies, any other is
 * packed as for gemm_tile and cut then. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "kernel/gemm_block.h"
#include "kernel/parts.h"

enum { STRIP = 2 * PARTS_ROWS, NARROW = 64 };

/* A panel's numbers as they lie. */
struct source {
	const float *at;
	size_t step, next;
};

size_t gemm_parts_room(void)
{
	return (size_t)PARTED_ROWS / PARTS_ROWS * (PARTED_SLICE / PARTS_K) * PARTS_A * sizeof(uint16_t) /
	       sizeof(float);
}

/* As floats, then as parts. */
size_t gemm_parts_panel_room(void)
{
	return (size_t)PARTED_SLICE * PARTS_COLUMNS +
	       (size_t)PARTED_SLICE / PARTS_K * PARTS_B * sizeof(uint16_t) / sizeof(float);
}

bool gemm_by_parts(const struct kernels *k, const struct gemm_term *t, size_t n)
{
	return k->parts && !t->parted && t->k > NARROW && n > NARROW;
}

static size_t blocks_of(size_t some)
{
	return (some + PARTS_K - 1) / PARTS_K;
}

/* So many hold all bits of what a type stores. */
static int parts_of(const struct gemm_term *t)
{
	if (t->scale != 1)
		return PARTS_MOST;
	return t->b.dtype == DTYPE_BF16 ? 1 : t->b.dtype == DTYPE_F16 ? 2 : PARTS_MOST;
}

/* Rows in whatever way they lie, by way of `copy`. */
static void copied_rows(const struct kernels *k, const struct gemm_term *t, size_t i, size_t m, size_t k0, size_t some,
                        float *copy, uint16_t *out)
{
	for (size_t r = 0; r < m; r++)
		for (size_t q = 0; q < some; q++)
			copy[r * some + q] = *gemm_a_at(t, i + r, k0 + q);
	k->parts->rows(m, some, copy, some, out);
}

static void rows_cut(const struct kernels *k, const struct gemm_term *t, size_t i, size_t m, size_t k0, size_t some,
                     float *copy, uint16_t *out)
{
	if (!t->a_rows && !t->a_ks && t->a_col == 1)
		k->parts->rows(m, some, t->a + i * t->a_row + k0, t->a_row, out);
	else if (!t->a_rows && t->a_row == 1)
		k->parts->across(m, some, t->a + i + (t->a_ks ? 0 : k0 * t->a_col), t->a_col,
		                 t->a_ks ? t->a_ks + k0 : NULL, out);
	else if (!t->a_ks && t->a_col == 1)
		for (size_t r = 0; r < m; r++)
			k->parts->rows(1, some, gemm_a_at(t, i + r, k0), 0, out + r * PARTS_K);
	else
		copied_rows(k, t, i, m, k0, some, copy, out);
}

static struct source source_of(const struct kernels *k, const struct gemm_term *t, size_t j, size_t n, size_t k0,
                               size_t some, float *panel)
{
	const struct matrix *b = &t->b;
	size_t ld = b->row_bytes / sizeof(float);

	if (gemm_ready(t))
		return (struct source){ (const float *)((const char *)b->data + j / PANEL_ROWS * b->panel_bytes) +
			                        k0 * PANEL_ROWS,
			                PANEL_ROWS, b->panel_bytes / sizeof(float) };
	if (!t->transposed && !b->panel_bytes && b->dtype == DTYPE_F32 && t->scale == 1 && !t->b_ks &&
	    n % PANEL_ROWS == 0)
		return (struct source){ (const float *)b->data + k0 * ld + j, ld, PANEL_ROWS };
	gemm_pack(k, t, j, n, k0, some, panel);
	return (struct source){ panel, (size_t)k->nr, PANEL_ROWS };
}

/* All strips over a panel. */
static void strips_run(const struct kernels *k, int parts, const struct block *b, size_t j, size_t n, size_t some,
                       const uint16_t *panel)
{
	size_t next = blocks_of(some) * PARTS_A;
	const uint16_t *a = (const uint16_t *)b->packed;

	for (size_t i = 0; i < b->m; i += STRIP, a += 2 * next)
		k->parts->tile(parts, MIN(b->m - i, (size_t)STRIP), n, some, a, next, panel, b->sum + i * b->ld + j,
		               b->ld, b->started);
}

static void rows_all_cut(const struct kernels *k, const struct gemm_term *t, const struct block *b, size_t k0,
                         size_t some)
{
	for (size_t i = 0; i < b->m; i += PARTS_ROWS)
		rows_cut(k, t, b->i0 + i, MIN(b->m - i, (size_t)PARTS_ROWS), k0, some, b->panel,
		         (uint16_t *)b->packed + i / PARTS_ROWS * blocks_of(some) * PARTS_A);
}

static void slice_run(const struct kernels *k, const struct gemm_term *const *terms, struct block *b, const bool *in,
                      int n, size_t k0, size_t some)
{
	int lead = 0;

	while (!in[lead])
		lead++;
	float *panel = b[lead].panel;
	uint16_t *cut = (uint16_t *)(panel + (size_t)PARTED_SLICE * PARTS_COLUMNS);
	int parts = parts_of(terms[lead]);
	for (int x = lead; x < n; x++)
		if (in[x])
			rows_all_cut(k, terms[x], &b[x], k0, some);
	for (size_t j = 0; j < b[lead].n; j += PARTS_COLUMNS) {
		size_t columns = MIN(b[lead].n - j, (size_t)PARTS_COLUMNS);
		struct source s = source_of(k, terms[lead], b[lead].j0 + j, columns, k0, some, panel);
		k->parts->columns(parts, columns, some, s.at, s.step, s.next, cut);
		for (int x = lead; x < n; x++)
			if (in[x])
				strips_run(k, parts, &b[x], j, columns, some, cut);
	}
	for (int x = lead; x < n; x++)
		b[x].started |= in[x];
}

void gemm_parts_run(const struct kernels *k, const struct gemm_term *const *terms, struct block *b, const bool *in,
                    int n)
{
	int lead = 0;

	while (!in[lead])
		lead++;
	size_t depth = terms[lead]->k, slices = (depth + PARTED_SLICE - 1) / PARTED_SLICE;
	size_t slice = ROUND_UP((depth + slices - 1) / slices, (size_t)PARTS_K);
	k->parts->begin();
	for (size_t k0 = 0; k0 < depth; k0 += slice)
		slice_run(k, terms, b, in, n, k0, MIN(slice, depth - k0));
	k->parts->end();
}
