/* test_weights: what a table of weights can say that no model of the golden ones needs: sums, experts, weights that are
 * there or not, 1 + w, several names; and that a file which fits the table almost is refused with the tensor's name.
 *
 * The model is made here, once as a Hugging Face folder and once as GGUF, from one set of numbers. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "fixture_gguf.h"
#include "format/safetensors.h"
#include "model/config.h"
#include "model/export.h"
#include "model/weights.h"

/* --- the architecture --- */

struct mixed {
	int experts;
	bool bias;
};

static const struct config_field fields[] = {
	CONFIG_INT('L', "num_hidden_layers", NULL, "block_count", NULL, struct config, n_layers),
	CONFIG_INT('C', "hidden_size", NULL, "embedding_length", NULL, struct config, C),
	CONFIG_INT('H', "num_attention_heads", "2", "attention.head_count", "2", struct config, H),
	CONFIG_INT('G', NULL, "1", NULL, "1", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('F', "intermediate_size", "3C", "feed_forward_length", "3C", struct config, F),
	CONFIG_INT('V', "vocab_size", NULL, NULL, NULL, struct config, V),
	CONFIG_INT('P', NULL, "16", NULL, "16", struct config, n_ctx),
	CONFIG_INT('E', "num_experts", NULL, "expert_count", NULL, struct mixed, experts),
	CONFIG_FLAG('b', "with_bias", "false", "blk.0.o.bias", NULL, struct mixed, bias),
	CONFIG_FLAG(0, "tie_word_embeddings", "false", NULL, NULL, struct config, tied),
	{ 0 },
};

#define BLOCK "model.layers.%d."

static const struct weight_spec specs[] = {
	{ "model.embed.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ BLOCK "norm.weight", "blk.%d.norm.weight", "C", WEIGHT_NORM | WEIGHT_PLUS_ONE },
	{ BLOCK "qkv.weight", "blk.%d.qkv.weight", "HD+2GD,C", WEIGHT_LINEAR },
	{ BLOCK "qkv.bias", "blk.%d.qkv.bias", "HD+2GD", WEIGHT_BIAS | WEIGHT_OPTIONAL },
	{ BLOCK "o.bias", "blk.%d.o.bias", "bC", WEIGHT_BIAS },
	{ BLOCK "experts.%d.up.weight", "blk.%d.up_exps.weight blk.%d.up.%d.weight", "E,F,C", WEIGHT_LINEAR },
	{ BLOCK "gates", "blk.%d.gates", "E,F,12", 0 },
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

static const struct arch mixed = {
	.name = "mixed", .hf_types = (const char *const[]){ "mixed", NULL }, .gguf = "mixed",
	.fields = (const struct config_field *const[]){ fields, NULL }, .own_bytes = sizeof(struct mixed),
	.weights = specs, .prefix = "model.", .head = "lm_head.weight", .embedding = "model.embed.weight",
};

enum { LAYERS = 2, C = 4, F = 3 * C, V = 5, E = 3, QKV = 2 * C };

/* --- files of it --- */

struct made {
	bool qkv_bias, qkv_bias_once, o_bias, flag, apart; /* apart: a GGUF tensor for each expert */
	int experts;                                      /* of the tensors; the facts say E */
	const char *more;                                 /* a tensor that is too much */
};

struct numbers {
	const char *hf, *gguf;
	int n_dims;
	size_t dim[3];
	float *x, *gguf_x; /* GGUF has 1 + x of a norm */
};

struct list {
	struct arena mem;
	struct numbers t[64];
	size_t n;
};

static float *count_up(struct list *l, size_t n, float first)
{
	float *x = arena_array(&l->mem, n, sizeof(*x));

	for (size_t i = 0; i < n; i++)
		x[i] = first + 0.1F * (float)(i + 1);
	return x;
}

static void add(struct list *l, const char *hf, const char *gguf, int n_dims, size_t d0, size_t d1, size_t d2)
{
	struct numbers *t = &l->t[l->n];

	*t = (struct numbers){ .hf = hf, .gguf = gguf, .n_dims = n_dims, .dim = { d0, d1, d2 } };
	t->x = t->gguf_x = count_up(l, d0 * MAX(d1, 1) * MAX(d2, 1), (float)l->n);
	l->n++;
}

static void add_layer(struct list *l, const struct made *m, int i)
{
#define NAME(name) arena_printf(&l->mem, name, i)
	add(l, NAME("model.layers.%d.norm.weight"), NAME("blk.%d.norm.weight"), 1, C, 0, 0);
	float *sum = l->t[l->n - 1].gguf_x = count_up(l, C, 0);
	for (int k = 0; k < C; k++)
		sum[k] = 1 + l->t[l->n - 1].x[k];
	add(l, NAME("model.layers.%d.qkv.weight"), NAME("blk.%d.qkv.weight"), 2, QKV, C, 0);
	if (m->qkv_bias || (m->qkv_bias_once && i == 1))
		add(l, NAME("model.layers.%d.qkv.bias"), NAME("blk.%d.qkv.bias"), 1, QKV, 0, 0);
	if (m->o_bias)
		add(l, NAME("model.layers.%d.o.bias"), NAME("blk.%d.o.bias"), 1, C, 0, 0);
	add(l, NAME("model.layers.%d.gates"), NAME("blk.%d.gates"), 3, E, F, 12);
#undef NAME
	for (int k = 0; k < m->experts; k++)
		add(l, arena_printf(&l->mem, "model.layers.%d.experts.%d.up.weight", i, k),
		    arena_printf(&l->mem, "blk.%d.up.%d.weight", i, k), 2, F, C, 0);
}

static void make_list(struct list *l, const struct made *m)
{
	*l = (struct list){ 0 };
	add(l, "model.embed.weight", "token_embd.weight", 2, V, C, 0);
	for (int i = 0; i < LAYERS; i++)
		add_layer(l, m, i);
	add(l, "lm_head.weight", "output.weight", 2, V, C, 0);
	if (m->more)
		add(l, m->more, m->more, 1, C, 0, 0);
}

static char *write_folder(struct list *l, const struct made *m)
{
	char *dir = io_join(test_tmp(), "mixed"), *config = io_join(dir, "config.json"),
	     *weights = io_join(dir, "model.safetensors");
	struct st_tensor t[64];
	char *json = mem_printf("{\"num_hidden_layers\": %d, \"hidden_size\": %d, \"vocab_size\": %d, "
	                        "\"num_experts\": %d, \"with_bias\": %s}",
	                        LAYERS, C, V, E, m->flag ? "true" : "false");

	for (size_t i = 0; i < l->n; i++) {
		const struct numbers *x = &l->t[i];
		size_t n = x->dim[0] * MAX(x->dim[1], 1) * MAX(x->dim[2], 1);
		t[i] = (struct st_tensor){ .name = x->hf, .dtype = DTYPE_F32, .n_dims = x->n_dims, .data = x->x,
			                   .bytes = n * sizeof(float) };
		memcpy(t[i].dim, x->dim, sizeof(x->dim));
	}
	io_mkdirs(dir, NULL);
	io_write(config, json, strlen(json), NULL);
	st_write(weights, t, l->n, NULL, 0, NULL, NULL, NULL);
	mem_free(json);
	mem_free(config);
	mem_free(weights);
	return dir;
}

/* Experts of a layer follow each other in the list, their numbers too once they are copied. */
static size_t add_experts(struct gguf_fixture *f, const struct list *l, size_t first, int experts)
{
	float *all = mem_array((size_t)experts * F * C, sizeof(*all));
	char *name = mem_printf("blk.%c.up_exps.weight", l->t[first].gguf[4]);

	for (int k = 0; k < experts; k++)
		memcpy(all + k * F * C, l->t[first + (size_t)k].x, F * C * sizeof(*all));
	fixture_floats(f, name, 3, (uint64_t[]){ C, F, (uint64_t)experts }, DTYPE_F32, all);
	mem_free(name);
	mem_free(all);
	return (size_t)experts;
}

static char *write_gguf(const struct list *l, const struct made *m)
{
	char *path = io_join(test_tmp(), "mixed.gguf");
	struct gguf_fixture f = { 0 };
	struct buf out = BUF_INIT;

	fixture_str(&f, "general.architecture", "mixed");
	fixture_u32(&f, "mixed.block_count", LAYERS);
	fixture_u32(&f, "mixed.embedding_length", C);
	fixture_u32(&f, "mixed.expert_count", E);
	for (size_t i = 0; i < l->n; i++) {
		const struct numbers *t = &l->t[i];
		uint64_t dim[3];
		if (!m->apart && strstr(t->gguf, ".up.")) {
			i += add_experts(&f, l, i, m->experts) - 1;
			continue;
		}
		for (int k = 0; k < t->n_dims; k++)
			dim[k] = t->dim[t->n_dims - 1 - k];
		fixture_floats(&f, t->gguf, t->n_dims, dim, DTYPE_F32, t->gguf_x);
	}
	fixture_finish(&f, &out);
	io_write(path, out.data, out.len, NULL);
	buf_release(&out);
	return path;
}

static int load(struct model *m, const char *path, struct err *e)
{
	*m = (struct model){ .config.arch = &mixed };
	if (source_open(&m->source, path, e) < 0)
		return -1;
	m->config.own = arena_alloc(&m->mem, mixed.own_bytes);
	struct config_source s = { m->source.config, m->source.is_gguf ? &m->source.gguf : NULL, path };
	return config_read(&m->config, &s, e) < 0 ? -1 : weights_load(m, e);
}

/* --- what is loaded --- */

static void check_loaded(struct test *t, struct list *l, struct model *m, bool gguf)
{
	float x[E * F * 12];
	size_t count = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct numbers *want = &l->t[i];
		size_t n = want->dim[0] * MAX(want->dim[1], 1) * MAX(want->dim[2], 1);
		int w = model_weight_by_name(m, want->hf);
		count += n;
		CHECK_MSG(t, w >= 0 && weight_numbers(&m->weights[w]) == n, "%s", want->hf);
		if (w < 0)
			continue;
		CHECK_MSG(t, !memcmp(m->weights[w].data, want->gguf_x, n * sizeof(*x)), "%s is another", want->hf);
		model_weight_float(m, w, x);
		/* from a GGUF 1 + w − 1, which is w again but for its last bit */
		for (size_t k = 0; k < n; k++)
			CHECK_MSG(t, gguf ? x[k] - want->x[k] < 1e-6F && want->x[k] - x[k] < 1e-6F : x[k] == want->x[k],
			          "%s as files have it", want->hf);
	}
	CHECK(t, m->n_weights == l->n && model_count(m) == count);
}

static void check_kind(struct test *t, const struct made *made, const char *what)
{
	struct list l;
	struct err e = ERR_INIT;

	make_list(&l, made);
	for (int gguf = 0; gguf < 2; gguf++) {
		struct model m;
		char *path = gguf ? write_gguf(&l, made) : write_folder(&l, made);
		test_case(t, "%s, %s", what, gguf ? "GGUF" : "a folder");
		int status = load(&m, path, &e);
		CHECK_MSG(t, status == 0, "%s", e.msg);
		if (status == 0) {
			check_loaded(t, &l, &m, gguf);
			int w = model_weight(&m, BLOCK "qkv.weight", 1);
			CHECK(t, w >= 0 && m.weights[w].dim[0] == QKV && m.weights[w].dim[1] == C);
			w = model_weight_by_name(&m, "model.layers.1.experts.2.up.weight");
			CHECK(t, w >= 0 && m.weights[w].expert == 2 && m.weights[w].layer == 1 &&
			                 m.weights[w].n_dims == 2);
			w = model_weight(&m, BLOCK "gates", 0);
			CHECK(t, w >= 0 && m.weights[w].n_dims == 3 && m.weights[w].dim[2] == 12);
			w = model_weight(&m, BLOCK "qkv.bias", 0);
			CHECK(t, (w >= 0) == made->qkv_bias);
		}
		model_close(&m);
		mem_free(path);
	}
	arena_release(&l.mem);
}

/* --- what is refused --- */

static void check_refused(struct test *t, const struct made *made, bool gguf, const char *words)
{
	struct list l;
	struct model m;
	struct err e = ERR_INIT;

	make_list(&l, made);
	char *path = gguf ? write_gguf(&l, made) : write_folder(&l, made);
	int status = load(&m, path, &e);
	CHECK_MSG(t, status < 0 && strstr(e.msg, words), "'%s' was wanted, '%s' was said", words, e.msg);
	model_close(&m);
	arena_release(&l.mem);
	mem_free(path);
}

static void test_refusals(struct test *t)
{
	test_case(t, "what is there in one layer alone, what the facts leave out, and names that are none");
	check_refused(t, &(struct made){ .experts = E, .qkv_bias_once = true }, false, "layers.0.qkv.bias is missing");
	check_refused(t, &(struct made){ .experts = E, .qkv_bias_once = true }, true, "blk.0.qkv.bias is missing");
	check_refused(t, &(struct made){ .experts = E, .o_bias = true }, false, "layers.0.o.bias has no place");
	check_refused(t, &(struct made){ .experts = E, .flag = true }, false, "layers.0.o.bias is missing");
	check_refused(t, &(struct made){ .experts = E - 1 }, false, "experts.2.up.weight is missing");
	check_refused(t, &(struct made){ .experts = E + 1 }, false, "experts.3.up.weight has no place");
	check_refused(t, &(struct made){ .experts = E - 1 }, true,
	              "blk.0.up_exps.weight is 2 x 12 (3 dimensions), wanted 12 x 4");
	check_refused(t, &(struct made){ .experts = E, .more = "model.layers.2.norm.weight" }, false,
	              "layers.2.norm.weight has no place");
	check_refused(t, &(struct made){ .experts = E, .more = "model.layers.01.norm.weight" }, false,
	              "layers.01.norm.weight has no place");
	check_refused(t, &(struct made){ .experts = E, .apart = true, .more = "blk.0.up.3.weight" }, true,
	              "blk.0.up.3.weight has no place");
}

void test_weights(struct test *t);
void test_weights(struct test *t)
{
	check_kind(t, &(struct made){ .experts = E }, "sums, experts, 1 + w");
	check_kind(t, &(struct made){ .experts = E, .qkv_bias = true }, "with an optional bias");
	check_kind(t, &(struct made){ .experts = E, .o_bias = true, .flag = true }, "with a bias that the facts name");
	check_kind(t, &(struct made){ .experts = E, .apart = true }, "a tensor for each expert");
	test_refusals(t);
}
