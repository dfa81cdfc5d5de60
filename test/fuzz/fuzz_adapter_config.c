/* fuzz_adapter_config: any bytes as adapter_config.json, for a model of two layers that exists in memory alone. What is
 * accepted is an adapter whose parameters lie apart and that is described alike the second time. */
#include <string.h>

#include "adapt/adapter.h"
#include "base/jsonx.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIDTH = 2, MANY = 1 << 20 };

static float ones[WIDTH * WIDTH];

/* Those that adapters ask about: linears, a norm, the embedding that is the head too. */
static void make_model(struct model *m)
{
	static const char *const names[] = { "self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj", "mlp.down_proj",
		                             "input_layernorm" };
	static const struct weight_spec linear = { .hf = "x", .flags = WEIGHT_LINEAR },
					norm = { .hf = "x", .flags = WEIGHT_NORM };
	static const struct weight_spec embedding = { .hf = "model.embed_tokens.weight", .flags = WEIGHT_EMBED };
	for (size_t i = 0; arch_table[i]; i++)
		if (!strcmp(arch_table[i]->name, "llama"))
			m->config = (struct config){ .arch = arch_table[i], .n_layers = 2, .D = WIDTH, .tied = true };
	m->weights = arena_array(&m->mem, 2 * ARRAY_LEN(names) + 1, sizeof(*m->weights));
	m->source.path = "model";
	m->weights[m->n_weights++] = (struct weight){
		.spec = &embedding, .layer = -1, .name = arena_strdup(&m->mem, embedding.hf), .n_dims = 2
	};
	for (int layer = 0; layer < 2; layer++)
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			m->weights[m->n_weights++] =
				(struct weight){ .spec = i < 4 ? &linear : &norm,
				                 .layer = layer,
				                 .n_dims = i < 4 ? 2 : 1,
				                 .name = arena_printf(&m->mem, "model.layers.%d.%s.weight", layer,
				                                      names[i]) };
	for (size_t i = 0; i < m->n_weights; i++) {
		struct weight *w = &m->weights[i];
		w->dim[0] = w->dim[1] = WIDTH;
		w->dtype = DTYPE_F32;
		w->data = ones;
		w->bytes = (w->n_dims == 2 ? WIDTH * WIDTH : WIDTH) * sizeof(*ones);
	}
}

/* The type's own load without a folder, of the type that the config names or the first: the tensors are those of a file
 * that has none, so all that can be said of the config is said first. */
static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                struct err *e)
{
	const struct adapter_type *named = adapter_type_of(config);

	adapter_begin(a, m, named ? named : adapter_type_table[0]);
	return a->type->load(a, m, config, s, "dir", e);
}

static void check_params(const struct adapter *a)
{
	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		if (p->n == 0 || p->offset + p->n > a->overlay.params.n || (i && p->offset < p[-1].offset + p[-1].n))
			BUG("parameter %s lies in another", p->name);
	}
}

/* Tensors that fit what the refused one had asked for; none where it is too much to keep. */
static size_t make_tensors(struct st_tensor *t, const struct st_tensor **by_name, const struct adapter *a,
                           struct arena *mem)
{
	size_t n = a->overlay.params.n_items;
	if (a->overlay.params.n > MANY)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct param *p = &a->overlay.params.items[i];
		t[i] = (struct st_tensor){ .name = p->name,
			                   .dtype = DTYPE_F32,
			                   .n_dims = p->n_dims,
			                   .bytes = p->n * sizeof(float),
			                   .dtype_name = "F32",
			                   .data = arena_alloc(mem, p->n * sizeof(float)) };
		memcpy(t[i].dim, p->dim, sizeof(p->dim));
		if (a->place[i].transposed) { /* as files have it */
			t[i].dim[0] = p->dim[1];
			t[i].dim[1] = p->dim[0];
		}
		size_t at = i;
		for (; at > 0 && strcmp(by_name[at - 1]->name, p->name) > 0; at--)
			by_name[at] = by_name[at - 1];
		by_name[at] = &t[i];
	}
	return n;
}

static void load_again(const struct adapter *first, const struct model *m, const json_t *config)
{
	struct arena mem = ARENA_INIT;
	struct adapter a;
	struct err e = ERR_INIT;
	size_t n = first->overlay.params.n_items;
	struct safetensors s = { .path = "file",
		                 .tensors = arena_array(&mem, n + 1, sizeof(*s.tensors)),
		                 .by_name = arena_array(&mem, n + 1, sizeof(*s.by_name)) };
	s.n_tensors = make_tensors(s.tensors, s.by_name, first, &mem);
	if (s.n_tensors) {
		if (load(&a, m, config, &s, &e) < 0)
			BUG("refused with the tensors that it asked for: %s", e.msg);
		check_params(&a);
		adapter_release(&a);
	}
	arena_release(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	struct safetensors none = { .path = "file" };
	struct adapter a;
	struct err e = ERR_INIT;
	if (!m.weights)
		make_model(&m);
	json_t *config = jsonx_load((const char *)data, size, "input", &e);
	if (json_is_object(config)) {
		if (load(&a, &m, config, &none, &e) == 0 || !e.msg[0])
			BUG("accepted without a tensor, or refused without a sentence");
		check_params(&a);
		if (!strncmp(e.msg, "file: no tensor", 15)) /* the config itself was accepted */
			load_again(&a, &m, config);
		adapter_release(&a);
	}
	json_decref(config);
	return 0;
}
