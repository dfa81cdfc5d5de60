/* test_mup: muP's factors of each kind of weight, and that sizes and movements of states and logits do not depend on
 * the width then, tied or not, while without it they grow. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "kernel/kernels.h"
#include "model/init.h"
#include "model/mup.h"
#include "model/overlay.h"
#include "model/sizes.h"
#include "train/coordinates.h"

static json_t *narrow(const char *type, bool tied)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "model_type", type, "num_hidden_layers", 2,
	                 "hidden_size", 32, "intermediate_size", 64, "num_attention_heads", 2, "num_key_value_heads", 1,
	                 "vocab_size", 64, "max_position_embeddings", 32, "tie_word_embeddings", tied);
}

static void check_factor(struct test *t, const struct model *m, const char *name, double size, double rate)
{
	int i = model_weight_by_name(m, name);

	CHECK_MSG(t, i >= 0 && fabs(mup_size(m, i) - size) < 1e-12 && fabs(mup_rate(m, i) - rate) < 1e-12,
	          "%s: %g and %g", name, i < 0 ? NAN : mup_size(m, i), i < 0 ? NAN : mup_rate(m, i));
}

static void test_factors(struct test *t)
{
	struct err e = ERR_INIT;
	struct init_options o = { .seed = 1, .base_width = 8, .parts = WEIGHT_OF_HEAD };
	json_t *plain = narrow("llama", false), *tied = narrow("llama", true), *mixture = narrow("mixtral", false);
	json_t *bert = size_config("bert-nano", 64, &e);
	struct model m;

	test_case(t, "factors by the kind of weight");
	CHECK_MSG(t, model_new_facts(&m, plain, &o, &e) == 0, "%s", e.msg);
	check_factor(t, &m, "model.embed_tokens.weight", 1, 1);
	check_factor(t, &m, "model.layers.1.mlp.down_proj.weight", 0.5, 0.25);
	check_factor(t, &m, "lm_head.weight", 0.25, 0.25);
	check_factor(t, &m, "model.norm.weight", 1, 1);
	struct overlay full;
	overlay_init(&full, &m);
	overlay_replace_all(&full, &m);
	mup_groups(&full.params, &m);
	int down = full.replaced[model_weight_by_name(&m, "model.layers.1.mlp.down_proj.weight")];
	CHECK(t, full.params.n_groups == 1 &&
	         params_group(&full.params, full.params.items[down].group).rate == 0.25);
	overlay_release(&full);
	model_close(&m);
	CHECK_MSG(t, model_new_facts(&m, tied, &o, &e) == 0, "%s", e.msg);
	check_factor(t, &m, "model.embed_tokens.weight", 1, 1);
	check_factor(t, &m, "model.norm.weight", 0.25, 0.25);
	check_factor(t, &m, "model.layers.0.input_layernorm.weight", 1, 1);
	model_close(&m);
	CHECK_MSG(t, model_new_facts(&m, mixture, &o, &e) == 0, "%s", e.msg);
	check_factor(t, &m, "model.layers.0.block_sparse_moe.gate.weight", 0.25, 0.25);
	check_factor(t, &m, "model.layers.0.block_sparse_moe.experts.1.w1.weight", 0.5, 0.25);
	model_close(&m);
	json_object_set_new(bert, "vocab_size", json_integer(64));
	o.base_width = 32;
	CHECK_MSG(t, model_new_facts(&m, bert, &o, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < m.n_weights; i++)
		if (strstr(m.weights[i].name, "transform.LayerNorm"))
			CHECK_MSG(t, mup_size(&m, (int)i) == 0.25, "%s", m.weights[i].name);
	model_close(&m);
	json_decref(plain);
	json_decref(tied);
	json_decref(mixture);
	json_decref(bert);
}

static void check(struct test *t, const char *type, bool tied, bool mup, struct device *d)
{
	struct coordinate_options o = { .times = { 1, 2, 4 }, .steps = 3, .rate = 0.01, .mup = mup, .documents = 4,
		                        .length = 16, .seed = 5 };
	struct coordinates *c = mem_alloc(sizeof(*c));
	struct err e = ERR_INIT;
	struct buf table = BUF_INIT;
	json_t *config = narrow(type, tied);

	test_case(t, "%s%s: sizes %s with the width", type, tied ? ", tied" : "",
	          mup ? "by muP do not grow" : "without muP grow");
	CHECK_MSG(t, coordinate_check(c, config, &o, d, &e) == 0, "%s", e.msg);
	coordinate_table(c, &o, &table);
	CHECK_MSG(t, coordinate_passes(c) == mup, "%s", buf_str(&table));
	buf_release(&table);
	json_decref(config);
	mem_free(c);
}

void test_mup(struct test *t);
void test_mup(struct test *t)
{
	struct err e = ERR_INIT;
	struct pool *p = pool_new(2);
	struct device d = device_cpu(kernels_get(NULL, &e), p);

	test_factors(t);
	for (int tied = 0; tied < 2; tied++)
		for (int mup = 0; mup < 2; mup++)
			check(t, "llama", tied, mup, &d);
	check(t, "qwen3", true, true, &d);
	pool_free(p);
}
