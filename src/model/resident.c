/* resident: how many bytes of a mapped model its work brings into memory. The kernel maps a file's pages in
 * stretches of FAULT_AROUND bytes, so a row that is read brings in its neighbours. */
#include "model/resident.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/prepare.h"

enum { FAULT_AROUND = 1 << 16 };

/* Only rows that are named are read. Of n random ones, a stretch of B is met with 1 − (1 − 1/B)ⁿ. */
static size_t rows_bytes(const struct weight *w, const struct model_reads *r)
{
	size_t n_blocks = w->bytes / FAULT_AROUND + 1, row = w->bytes / w->dim[0], touched = 0;
	bool *block = mem_array(n_blocks, sizeof(*block));

	for (size_t i = 0; i < w->dim[0]; i++)
		if (r->token[i])
			block[i * row / FAULT_AROUND] = block[((i + 1) * row - 1) / FAULT_AROUND] = true;
	for (size_t i = 0; i < n_blocks; i++)
		touched += block[i];
	mem_free(block);
	double others = (double)(n_blocks - touched) * (1 - pow(1 - 1 / (double)n_blocks, r->more_tokens));
	return MIN((touched + (size_t)others) * FAULT_AROUND, w->bytes);
}

static bool is_embedding(const struct model *m, const struct weight *w)
{
	return (w->spec->flags & WEIGHT_EMBED) && !strcmp(w->spec->hf, m->config.arch->embedding);
}

size_t model_read_bytes(const struct model *m, const struct model_reads *r, size_t *owned)
{
	size_t sum = 0;

	*owned = model_prepared_bytes(m);
	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		bool is_head = model_head(m) == (int)i, embedding = is_embedding(m, w);
		bool head = is_head && !r->own_head && !r->no_head && !w->panels;
		if (is_head && r->no_head && !embedding && !w->owned)
			continue;
		if (w->owned)
			*owned += w->bytes; /* beside its panels, if it has them */
		else if (w->panels && (!embedding || w->transposed))
			/* counted with what is prepared; its file's pages were given back, and who trains reads no row
			 * of them */
			continue;
		else if (!r->skips || !r->skips(r->ctx, (int)i))
			sum += embedding && !head && r->token ? rows_bytes(w, r) : w->bytes;
	}
	return sum;
}

void model_forget(const struct model *m)
{
	for (size_t i = 0; i < m->n_weights; i++)
		source_forget(&m->source, m->weights[i].data, m->weights[i].bytes);
}
