/* fuzz_gguf: any bytes as a GGUF file; what is accepted is then walked as the loader does, every number of every
 * tensor is read, and what each tensor would become as q4_k_m is chosen. */
#include <string.h>

#include "base/err.h"
#include "format/quantize_gguf.h"
#include "read_tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch_tensors(const struct gguf *g)
{
	for (size_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = gguf_find_tensor(g, g->tensors[i].name);
		size_t n = 1;
		if (t != &g->tensors[i])
			BUG("a tensor that is not found by its name");
		for (int k = 0; k < t->n_dims; k++)
			n *= t->dim[k];
		read_tensor(t->dtype, g->data + t->offset, n, t->bytes);
	}
}

static void touch_values(const struct gguf *g)
{
	int64_t i;
	double x;
	bool b;
	const char *s;
	for (size_t k = 0; k < g->n_kv; k++) {
		const struct gguf_kv *kv = &g->kv[k];
		gguf_int(g, kv->key, true, 0, &i, NULL);
		gguf_real(g, kv->key, true, 0, &x, NULL);
		gguf_bool(g, kv->key, true, false, &b, NULL);
		gguf_str(g, kv->key, true, &s, NULL);
		if (kv->type != GGUF_ARRAY || kv->item_type != GGUF_STRING)
			continue;
		const struct gguf_string *item = kv->items;
		for (size_t n = 0; n < kv->n_items; n++)
			if (item[n].len && memchr(item[n].data, 0, item[n].len) == g)
				BUG("out of the file");
	}
}

static void choose(const struct gguf *g)
{
	struct quant_mix_wish wish = { .output = DTYPE_COUNT, .embedding = DTYPE_COUNT };
	struct quantize_how how = { .wish = &wish, .allow_requantize = true };
	struct quantize_list l;
	struct err e = ERR_INIT;
	wish.mixture = quant_mix_find("q4_k_m", &e);
	if (quantize_list_gguf(&l, g, &how, &e) == 0)
		quantize_list_release(&l);
	else if (!e.msg[0])
		BUG("refused without a sentence");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gguf g;
	struct err e = ERR_INIT;
	if (gguf_parse(&g, data, size, "input", &e) < 0) {
		if (!e.msg[0])
			BUG("refused without a sentence");
		return 0;
	}
	touch_values(&g);
	touch_tensors(&g);
	choose(&g);
	gguf_close(&g);
	return 0;
}
