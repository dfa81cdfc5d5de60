/* fuzz_gguf_adapter: any bytes as an adapter in GGUF, for a Llama of one layer that exists in memory alone. What is
 * read goes on into an adapter, whose every number is then read. */
#include <string.h>

#include "adapt/gguf_adapter.h"
#include "base/mem.h"
#include "model/weights.h"
#include "read_tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIDTH = 4 };

static float ones[WIDTH * WIDTH];

static void make_model(struct model *m)
{
	for (size_t i = 0; arch_table[i]; i++)
		if (!strcmp(arch_table[i]->name, "llama"))
			m->config = (struct config){
				.arch = arch_table[i], .n_layers = 1, .D = 2, .tied = true, .rope_interleaved = true
			};
	m->weights = arena_array(&m->mem, 32, sizeof(*m->weights));
	m->source.path = "model";
	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++) {
		if (!s->gguf || (s->flags & (WEIGHT_BIAS | WEIGHT_HEAD)))
			continue;
		struct weight *w = &m->weights[m->n_weights++];
		*w = (struct weight){ .spec = s,
			              .layer = strstr(s->hf, "%d") ? 0 : -1,
			              .expert = -1,
			              .n_dims = s->flags & (WEIGHT_LINEAR | WEIGHT_EMBED) ? 2 : 1,
			              .dim = { WIDTH, WIDTH },
			              .dtype = DTYPE_F32,
			              .data = ones };
		w->name = weight_name(&m->mem, s->hf, 0, -1);
		w->bytes = (w->n_dims == 2 ? WIDTH : 1) * WIDTH * sizeof(*ones);
	}
}

static void read_all(const struct safetensors *s)
{
	for (size_t i = 0; i < s->n_tensors; i++) {
		const struct st_tensor *t = &s->tensors[i];
		size_t n = 1;
		if (st_find(s, t->name) != t)
			BUG("a tensor that is not found by its name");
		for (int k = 0; k < t->n_dims; k++)
			n *= t->dim[k];
		read_tensor(t->dtype, t->data, n, t->bytes);
	}
}

static void read_params(const struct adapter *a)
{
	volatile float sum = 0;

	for (size_t i = 0; i < a->overlay.params.n; i++)
		sum = sum + a->overlay.params.w[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct gguf g;
	struct safetensors s;
	struct err e = ERR_INIT;
	json_t *config;

	if (!m.weights)
		make_model(&m);
	if (gguf_parse(&g, data, size, "input", &e) < 0)
		return 0;
	if (gguf_adapter_read(&config, &s, &g, &m, &e) == 0) {
		struct adapter a;
		adapter_begin(&a, &m, adapter_type_of(config));
		read_all(&s);
		if (a.type->load(&a, &m, config, &s, "input", &e) == 0)
			read_params(&a);
		else if (!e.msg[0])
			BUG("refused without a sentence");
		adapter_release(&a);
		json_decref(config);
		st_close(&s);
	} else if (!e.msg[0]) {
		BUG("refused without a sentence");
	}
	gguf_close(&g);
	return 0;
}
