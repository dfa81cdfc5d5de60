/* weights: see weights.h. Row r of a permuted head of D is row r/2 of Hugging Face's, or D/2 further when r is odd. */
#include "model/weights.h"

#include <string.h>

#include "base/mem.h"

char *weight_name(struct arena *mem, const char *pattern, int layer)
{
	const char *mark = strstr(pattern, "%d");

	return mark ? arena_printf(mem, "%.*s%d%s", (int)(mark - pattern), pattern, layer, mark + 2) :
	              arena_strdup(mem, pattern);
}

const char *weight_gguf_name(struct arena *mem, const struct weight *w)
{
	return w->spec->gguf ? weight_name(mem, w->spec->gguf, w->layer) : NULL;
}

const char *weight_module(struct arena *mem, const char *name)
{
	const char *dot = strrchr(name, '.');

	return arena_strndup(mem, name, dot ? (size_t)(dot - name) : strlen(name));
}

static size_t hf_row(size_t row, size_t D)
{
	size_t i = row % D;

	return row - i + i / 2 + i % 2 * (D / 2);
}

bool weight_is_permuted(const struct model *m, int i)
{
	return m->config.rope_interleaved && i >= 0 && (size_t)i < m->n_weights &&
	       (m->weights[i].spec->flags & WEIGHT_ROPE);
}

size_t weight_hf_row(const struct model *m, int i, size_t row)
{
	return weight_is_permuted(m, i) ? hf_row(row, (size_t)m->config.D) : row;
}

void weight_permute_rows(float *w, size_t rows, size_t cols, size_t D, bool to_hf)
{
	float *head = mem_array(D * cols, sizeof(*head));

	if (rows % D)
		BUG("%zu rows are no heads of %zu", rows, D);
	for (size_t first = 0; first < rows; first += D) {
		float *block = w + first * cols;
		memcpy(head, block, D * cols * sizeof(*head));
		for (size_t r = 0; r < D; r++) {
			size_t hf = hf_row(r, D), from = to_hf ? r : hf, to = to_hf ? hf : r;
			memcpy(block + to * cols, head + from * cols, cols * sizeof(*head));
		}
	}
	mem_free(head);
}
