/* test_init: a model from nothing: its numbers against how transformers' models of the same config begin, for every
 * architecture; that they depend on seed and name alone; what its config.json says; that it is written, read again and
 * is the same. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/folder.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/pool.h"
#include "model/export.h"
#include "model/init.h"
#include "model/mup.h"
#include "model/weights.h"
#include "token/tokenizer.h"

enum { MEAN, STD, ZEROS, MOST, CHANGES, ROW };

static json_t *load(struct test *t, const char *folder, const char *name)
{
	struct err e = ERR_INIT;
	char *dir = folder ? io_join(test_golden(), folder) : mem_strdup(test_golden()), *path = io_join(dir, name);
	json_t *j = jsonx_load_file(path, &e);

	CHECK_MSG(t, j, "%s", e.msg);
	mem_free(path);
	mem_free(dir);
	return j;
}

static bool begin(struct test *t, struct model *m, const json_t *config, const struct init_options *o, struct pool *p)
{
	struct err e = ERR_INIT;
	int status = model_new(m, config, NULL, o, p, &e);

	CHECK_MSG(t, status == 0, "%s", e.msg);
	return status == 0;
}

/* --- against transformers --- */

/* Within five standard errors of a normal's deviation, or of a deterministic one's rounding. */
static void check_weight(struct test *t, const struct model *m, int i, const json_t *row)
{
	const struct weight *w = &m->weights[i];
	size_t n = weight_numbers(w), zeros = 0;
	float *x = mem_array(n, sizeof(*x));
	double want[ROW], sum = 0, squares = 0, most = 0;

	for (size_t k = 0; k < ROW; k++)
		want[k] = json_number_value(json_array_get(row, k));
	model_weight_float(m, i, x);
	for (size_t k = 0; k < n; k++) {
		sum += (double)x[k];
		zeros += x[k] == 0;
		most = fmax(most, fabs((double)x[k]));
	}
	double mean = sum / (double)n;
	for (size_t k = 0; k < n; k++)
		squares += ((double)x[k] - mean) * ((double)x[k] - mean);
	double std = sqrt(squares / (double)n), slack = want[CHANGES] > 0 ? 5 / sqrt((double)n) : 1e-5;
	CHECK_MSG(t, fabs(mean - want[MEAN]) <= slack * want[STD] + 1e-5 * fabs(want[MEAN]),
	          "%s: mean %g, wanted %g", w->name, mean, want[MEAN]);
	CHECK_MSG(t, fabs(std - want[STD]) <= slack * want[STD] + 1e-9, "%s: std %g, wanted %g", w->name, std,
	          want[STD]);
	CHECK_MSG(t, fabs((double)zeros / (double)n - want[ZEROS]) < 1e-5, "%s: %zu of %zu are 0", w->name, zeros, n);
	CHECK_MSG(t, most <= 1.4 * want[MOST], "%s: |x| up to %g, wanted %g", w->name, most, want[MOST]);
	mem_free(x);
}

/* Experts that files have as one tensor begin as all else. */
static bool is_fused(const struct weight *w) { return w->spec->fused && w->spec->fused->written; }

static void check_model(struct test *t, const char *name, const json_t *rows, struct pool *p, size_t *of_arch)
{
	json_t *config = load(t, name, "config.json");
	struct init_options o = { .seed = 7, .parts = WEIGHT_OF_HEAD };
	struct model m;

	test_case(t, "%s begins as transformers' model of that config", name);
	if (!begin(t, &m, config, &o, p))
		return;
	for (size_t i = 0; arch_table[i]; i++)
		of_arch[i] += arch_table[i] == m.config.arch;
	size_t seen = 0;
	for (size_t i = 0; i < m.n_weights; i++) {
		const json_t *row = json_object_get(rows, m.weights[i].name);
		CHECK_MSG(t, row || is_fused(&m.weights[i]), "%s is no weight of transformers'", m.weights[i].name);
		if (row)
			check_weight(t, &m, (int)i, row);
		seen += row != NULL;
	}
	CHECK_MSG(t, seen > 0, "no weight was compared");
	model_close(&m);
	json_decref(config);
}

static void test_families(struct test *t, struct pool *p)
{
	json_t *all = load(t, NULL, "init_weights.json"), *rows;
	size_t of_arch[64] = { 0 };
	const char *name;

	json_object_foreach(all, name, rows)
		check_model(t, name, rows, p, of_arch);
	for (size_t i = 0; arch_table[i]; i++) {
		test_case(t, "%s begins somehow", arch_table[i]->name);
		CHECK(t, of_arch[i] > 0 || !arch_table[i]->hf_types[0]);
	}
	json_decref(all);
}

/* --- a function of seed and name --- */

static bool same_numbers(const struct model *a, const struct model *b, const char *name)
{
	int i = model_weight_by_name(a, name), k = model_weight_by_name(b, name);

	return a->weights[i].bytes == b->weights[k].bytes &&
	       !memcmp(a->weights[i].data, b->weights[k].data, a->weights[i].bytes);
}

static json_t *wide_llama(int layers, int width)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "model_type", "llama", "num_hidden_layers",
	                 layers, "hidden_size", width, "intermediate_size", 4 * width, "num_attention_heads",
	                 width / 32, "num_key_value_heads", width / 32, "vocab_size", 300, "max_position_embeddings",
	                 64, "tie_word_embeddings", 1);
}

static void test_function(struct test *t, struct pool *p)
{
	const char *up = "model.layers.1.mlp.up_proj.weight", *gate = "model.layers.1.mlp.gate_proj.weight";
	json_t *two = wide_llama(2, 160), *three = wide_llama(3, 160);
	struct init_options o = { .seed = 3 }, other = { .seed = 4 };
	struct pool *one = pool_new(1);
	struct model a, b, c, d;

	test_case(t, "numbers depend on the seed and the weight's name alone");
	if (!begin(t, &a, two, &o, p) || !begin(t, &b, two, &o, one) || !begin(t, &c, three, &o, p) ||
	    !begin(t, &d, two, &other, p))
		return;
	CHECK(t, a.weights[model_weight_by_name(&a, up)].bytes > 1 << 18); /* several pieces */
	CHECK(t, same_numbers(&a, &b, up) && same_numbers(&a, &c, up) && !same_numbers(&a, &d, up));
	CHECK(t, memcmp(a.weights[model_weight_by_name(&a, up)].data, a.weights[model_weight_by_name(&a, gate)].data,
	                1024) != 0);
	int i = model_weight_by_name(&a, up);
	float *again = mem_alloc(a.weights[i].bytes);
	model_begin_weight(&a, i, again);
	CHECK(t, !memcmp(again, a.weights[i].data, a.weights[i].bytes));
	CHECK(t, !strcmp(a.source.made_of, b.source.made_of) && strcmp(a.source.made_of, d.source.made_of) != 0);
	mem_free(again);
	pool_free(one);
	model_close(&a);
	model_close(&b);
	model_close(&c);
	model_close(&d);
	json_decref(two);
	json_decref(three);
}

/* --- written --- */

static void test_written(struct test *t, struct pool *p)
{
	struct err e = ERR_INIT;
	char *from = io_join(test_golden(), "llama"), *dir = io_join(test_tmp(), "new-llama");
	json_t *config = wide_llama(2, 64);
	struct init_options o = { .seed = 3 };
	struct model m, back;
	struct tokenizer *tokens = tokenizer_from_dir(from, &e);

	test_case(t, "a new model is written and read as any other");
	CHECK_MSG(t, tokens && model_new(&m, config, tokens, &o, p, &e) == 0, "%s", e.msg);
	struct export_weights w = { .get = export_own, .ctx = &m };
	CHECK_MSG(t, export_folder(&m, dir, DTYPE_F32, &w, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, model_open(&back, dir, &e) == 0 && model_tokenizer(&back, &e) == 0, "%s", e.msg);
	CHECK(t, back.n_weights == m.n_weights && back.config.tied && back.config.V == (int)tokenizer_size(tokens));
	for (size_t i = 0; i < m.n_weights; i++)
		CHECK_MSG(t, same_numbers(&m, &back, m.weights[i].name), "%s", m.weights[i].name);
	const json_t *j = back.source.config;
	CHECK(t, json_integer_value(json_object_get(j, "eos_token_id")) == tokenizer_eos(tokens));
	CHECK(t, !strcmp(json_string_value(json_array_get(json_object_get(j, "architectures"), 0)),
	                 "LlamaForCausalLM"));
	CHECK(t, json_integer_value(json_object_get(back.source.generation_config, "eos_token_id")) ==
	             tokenizer_eos(tokens));
	model_close(&back);
	model_close(&m);
	json_decref(config);
	mem_free(dir);
	mem_free(from);
}

static void test_refusals(struct test *t, struct pool *p)
{
	struct err e = ERR_INIT;
	json_t *config = wide_llama(2, 64);
	struct init_options o = { .seed = 3, .name = "my.json" };
	struct model m;

	test_case(t, "what cannot begin is refused");
	json_object_set_new(config, "model_type", json_string("no-such"));
	CHECK(t, model_new(&m, config, NULL, &o, p, &e) < 0 && strstr(e.msg, "my.json") && strstr(e.msg, "no-such"));
	json_object_set_new(config, "model_type", json_string("llama"));
	json_object_set_new(config, "initializer_range", json_real(-1));
	CHECK(t, model_new(&m, config, NULL, &o, p, &e) < 0 && strstr(e.msg, "initializer_range is -1"));
	json_decref(config);
}

void test_init(struct test *t);
void test_init(struct test *t)
{
	struct pool *p = pool_new(2);

	test_families(t, p);
	test_function(t, p);
	test_written(t, p);
	test_refusals(t, p);
	pool_free(p);
}
