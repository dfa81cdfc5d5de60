/* test_adapter: LoRA as PEFT writes and reads it, on the tiny models of test/golden: what an adapter is when it is new,
 * that PEFT's own are read and written again without a bit lost (through a GGUF's permuted rows too), what merging
 * adds, modules saved whole, and the sentences of what is refused. That logits are PEFT's is test_golden's. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/peft_folder.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/weights.h"

static bool open_golden(struct test *t, struct model *m, const char *name)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), name);
	int status = model_open(m, path, &e);
	CHECK_MSG(t, status == 0, "%s: %s", name, e.msg);
	mem_free(path);
	return status == 0;
}

static int load_golden(struct adapter *a, const char *name, const struct model *m, struct err *e)
{
	char *path = io_join(test_golden(), name);
	int status = adapter_load(a, path, m, e);
	mem_free(path);
	return status;
}

static bool open_tensors(struct test *t, struct safetensors *s, const char *dir)
{
	struct err e = ERR_INIT;
	json_t *config;
	int status = peft_folder_open(&config, s, dir, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	json_decref(config);
	return status == 0;
}

static json_t *read_config(const char *dir)
{
	char *path = io_join(dir, "adapter_config.json");
	json_t *j = jsonx_load_file(path, NULL);
	mem_free(path);
	return j;
}

/* --- PEFT's adapters --- */

static void same_tensors(struct test *t, const struct safetensors *a, const struct safetensors *b)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n_tensors; i++) {
		const struct st_tensor *x = &a->tensors[i], *y = st_find(b, x->name);
		/* the model's own numbers, which we do not write; a bottleneck's norm under its second name */
		if (strstr(x->name, ".base_layer.weight") || strstr(x->name, ".adapter_norm_before."))
			continue;
		n++;
		CHECK_MSG(t,
		          y && x->dtype == y->dtype && x->n_dims == y->n_dims &&
		                  !memcmp(x->dim, y->dim, sizeof(x->dim)) && x->bytes == y->bytes &&
		                  !memcmp(x->data, y->data, x->bytes),
		          "%s differs", x->name);
	}
	CHECK(t, n == b->n_tensors);
}

static bool same_numbers(const struct adapter *a, const struct adapter *b)
{
	const struct params *p = &a->overlay.params, *q = &b->overlay.params;

	return p->n == q->n && !memcmp(p->w, q->w, p->n * sizeof(float));
}

/* Loads, saves, and finds what it loaded. */
static void check_round_trip(struct test *t, const char *model, const char *adapter)
{
	struct model m;
	struct adapter a, b;
	struct err e = ERR_INIT;
	struct safetensors was = { 0 }, is = { 0 };
	char *from = io_join(test_golden(), adapter), *to = mem_printf("%s/%s-on-%s", test_tmp(), adapter, model);
	test_case(t, "%s on %s: read, written, read again", adapter, model);
	if (!open_golden(t, &m, model))
		goto out;
	int status = adapter_load(&a, from, &m, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status == 0) {
		CHECK_MSG(t, adapter_save(&a, &m, to, &e) == 0, "%s", e.msg);
		if (open_tensors(t, &was, from) && open_tensors(t, &is, to))
			same_tensors(t, &was, &is);
		json_t *j = read_config(from), *k = read_config(to);
		CHECK(t, j && k && json_equal(j, k));
		json_decref(j);
		json_decref(k);
		status = adapter_load(&b, to, &m, &e);
		CHECK_MSG(t, status == 0, "%s", e.msg);
		if (status == 0) {
			CHECK(t, same_numbers(&a, &b));
			adapter_release(&b);
		}
		adapter_release(&a);
	}
	st_close(&was);
	st_close(&is);
	model_close(&m);
out:
	mem_free(from);
	mem_free(to);
}

/* Of every adapter that values were made of. */
static void test_round_trips(struct test *t)
{
	char *folder = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0, cases = 0;

	CHECK_MSG(t, io_list(folder, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		const char *about[2] = { NULL }, *const keys[] = { "model", "adapter" };
		struct safetensors s;
		char *path = io_join(folder, names[i]);
		if (strstr(names[i], ".safetensors") && st_open(&s, path, &e) == 0) {
			for (size_t k = 0; k < s.n_meta; k++)
				for (int j = 0; j < 2; j++)
					if (!strcmp(s.meta[k].key, keys[j]))
						about[j] = s.meta[k].value;
			if (about[0] && about[1])
				check_round_trip(t, about[0], about[1]);
			cases += about[0] && about[1];
			st_close(&s);
		}
		mem_free(path);
	}
	CHECK(t, cases >= 13);
	io_list_free(names, n);
	mem_free(folder);
}

/* --- merging --- */

static const float *tensor_floats(const struct safetensors *s, const char *module, const char *which)
{
	char *name = mem_printf("base_model.model.%s.%s.weight", module, which);
	const struct st_tensor *x = st_find(s, name);
	mem_free(name);
	return x ? x->data : NULL;
}

/* Largest |merged − (W + s·B·A)|, from the file's own tensors, so in Hugging Face's order. */
static double merge_error(struct test *t, const struct model *m, const struct adapter *a, const struct safetensors *s,
                          const char *module, size_t r, double scale)
{
	char *name = mem_printf("%s.weight", module);
	int weight = model_weight_by_name(m, name);
	const float *A = tensor_floats(s, module, "lora_A"), *B = tensor_floats(s, module, "lora_B");
	double worst = 0;
	mem_free(name);
	CHECK_MSG(t, weight >= 0 && A && B, "%s", module);
	if (weight < 0 || !A || !B)
		return INFINITY;
	size_t out = m->weights[weight].dim[0], in = m->weights[weight].dim[1];
	float *own = mem_array(out * in, sizeof(*own)), *merged = mem_array(out * in, sizeof(*merged));
	model_weight_float(m, weight, own);
	adapter_merged(a, m, weight, merged);
	for (size_t o = 0; o < out; o++)
		for (size_t i = 0; i < in; i++) {
			double sum = (double)own[o * in + i];
			for (size_t k = 0; k < r; k++)
				sum += scale * (double)B[o * r + k] * (double)A[k * in + i];
			worst = fmax(worst, fabs(sum - (double)merged[o * in + i]));
		}
	mem_free(own);
	mem_free(merged);
	return worst;
}

static void check_merge(struct test *t, const char *model, const char *adapter, const char *module, double scale)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	struct safetensors s = { 0 };
	char *dir = io_join(test_golden(), adapter);
	test_case(t, "%s worked into %s: W + s·B·A for %s", adapter, model, module);
	if (open_golden(t, &m, model)) {
		int status = adapter_load(&a, dir, &m, &e);
		CHECK_MSG(t, status == 0, "%s", e.msg);
		if (status == 0 && open_tensors(t, &s, dir)) {
			double worst = merge_error(t, &m, &a, &s, module, 4, scale);
			CHECK_MSG(t, worst < 1e-6, "%g", worst);
		}
		if (status == 0)
			adapter_release(&a);
		st_close(&s);
		model_close(&m);
	}
	mem_free(dir);
}

/* The tied Llama's embedding and head from the file's own tensors: W + s·(B·A)ᵀ and W + s·B·A. */
static double ends_error(const struct model *m, const struct adapter *a, const struct safetensors *s, bool head,
                         double scale)
{
	size_t V = (size_t)m->config.V, C = (size_t)m->config.C, r = 4;
	float *own = mem_array(V * C, sizeof(*own)), *merged = mem_array(V * C, sizeof(*merged));
	const float *A = st_find(s, head ? "base_model.model.lm_head.lora_A.weight" :
	                                   "base_model.model.model.embed_tokens.lora_embedding_A")
	                         ->data;
	const float *B = st_find(s, head ? "base_model.model.lm_head.lora_B.weight" :
	                                   "base_model.model.model.embed_tokens.lora_embedding_B")
	                         ->data;
	double worst = 0;
	model_weight_float(m, model_head(m), own);
	if (head)
		adapter_merged_head(a, m, merged);
	else
		adapter_merged(a, m, model_head(m), merged);
	for (size_t v = 0; v < V; v++)
		for (size_t c = 0; c < C; c++) {
			double sum = own[v * C + c];
			for (size_t k = 0; k < r; k++)
				sum += scale * (head ? B[v * r + k] * A[k * C + c] : A[k * V + v] * B[c * r + k]);
			worst = fmax(worst, fabs(sum - merged[v * C + c]));
		}
	mem_free(own);
	mem_free(merged);
	return worst;
}

static void check_ends_merge(struct test *t, const char *adapter, bool parts)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	struct safetensors s = { 0 };
	char *dir = io_join(test_golden(), adapter);
	test_case(t, "%s: embedding and head of the tied Llama, merged, are %s", adapter, parts ? "two" : "one");
	if (open_golden(t, &m, "llama") && open_tensors(t, &s, dir)) {
		CHECK_MSG(t, adapter_load(&a, dir, &m, &e) == 0, "%s", e.msg);
		CHECK(t, adapter_unties(&a) == parts);
		CHECK(t, ends_error(&m, &a, &s, false, 2) < 1e-6 && ends_error(&m, &a, &s, true, 2) < 1e-6);
		adapter_release(&a);
	}
	st_close(&s);
	model_close(&m);
	mem_free(dir);
}

/* File row r is Hugging Face's row weight_hf_row(r): the even rows of a head are its first half. */
static void test_rows(struct test *t)
{
	enum { ROWS = 16, COLS = 3, D = 8 };
	const struct row_order rotated = { ROWS_ROTATED, .D = D };
	float w[ROWS * COLS], first[ROWS * COLS];
	test_case(t, "a GGUF's rows of q and k, there and back");
	for (size_t i = 0; i < ROWS * COLS; i++)
		first[i] = w[i] = (float)i;
	weight_permute_rows(w, ROWS, COLS, rotated, true);
	CHECK(t, w[0] == 0 && w[1 * COLS] == 2 * COLS && w[4 * COLS] == 1 * COLS && w[7 * COLS + 2] == 7 * COLS + 2 &&
	                 w[9 * COLS] == 10 * COLS);
	weight_permute_rows(w, ROWS, COLS, rotated, false);
	CHECK(t, !memcmp(w, first, sizeof(w)));
}

/* Names of the file's tensors, LoRA's or the others, in order. */
static void tensor_names(struct test *t, const char *dir, bool lora, char *out, size_t size)
{
	struct safetensors s = { 0 };
	out[0] = 0;
	if (open_tensors(t, &s, dir))
		for (size_t i = 0; i < s.n_tensors; i++)
			if (lora == (strstr(s.by_name[i]->name, "lora_") != NULL))
				snprintf(out + strlen(out), size - strlen(out), "%s ",
				         s.by_name[i]->name + strlen("base_model.model."));
	st_close(&s);
}

/* --- new adapters --- */

/* A LoRA of rank 4 and alpha 8 on these modules (NULL: all linears). */
static int new_lora(struct adapter *a, const struct model *m, const char *targets, const char *saved, uint64_t seed,
                    struct err *e)
{
	const char *options[9] = { "lora-r", "4", "lora-alpha", "8" };
	size_t n = 4;
	if (targets) {
		options[n++] = "target-modules";
		options[n++] = targets;
	}
	if (saved) {
		options[n++] = "modules-to-save";
		options[n++] = saved;
	}
	return adapter_new_named(a, "lora", m, options, seed, e);
}

/* A method as --method has it, with these options: what PEFT wrote for the same. */
struct made { const char *model, *golden, *type, *options[16]; };

static void check_new_config(struct test *t, const struct made *x)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	struct safetensors s = { 0 };
	const char *key;
	json_t *value, *wanted;
	test_case(t, "a new %s of %s has the config and the tensors that PEFT writes", x->type, x->model);
	if (!open_golden(t, &m, x->model))
		return;
	char *dir = io_join(test_golden(), x->golden);
	wanted = read_config(dir);
	int status = adapter_new_named(&a, x->type, &m, x->options, 42, &e);
	CHECK_MSG(t, status == 0 && wanted, "%s", e.msg);
	if (status == 0 && wanted) {
		CHECK(t, json_object_size(a.config) == json_object_size(wanted));
		json_object_foreach(wanted, key, value)
			CHECK_MSG(t,
			          !strcmp(key, "base_model_name_or_path") ||
			                  !strcmp(key, "total_step") || /* a run says it */
			                  (!strcmp(key, "target_modules") && json_array_size(value) == 8) ||
			                  /* PEFT lists fewer than 20 modules in full */
			                  json_equal(value, json_object_get(a.config, key)),
			          "%s", key);
		if (open_tensors(t, &s, dir))
			CHECK_MSG(t, adapter_fit(&a, &m, &s, &e) == 0, "%s", e.msg);
		st_close(&s);
		adapter_release(&a);
	}
	json_decref(wanted);
	mem_free(dir);
	model_close(&m);
}

static void test_new_configs(struct test *t)
{
	static const struct made cases[] = {
		{ "llama", "llama-lora", "lora", { "lora-r", "4", "lora-alpha", "8" } },
		{ "gpt2", "gpt2-lora", "lora", { "lora-r", "4", "lora-alpha", "8" } },
		{ "llama", "llama-loha", "loha", { "r", "4", "alpha", "8" } },
		{ "llama", "llama-hira", "hira", { "r", "4" } },
		{ "llama", "llama-miss", "miss", { "r", "4" } },
		{ "llama", "llama-adalora", "adalora", { "init-r", "6", "target-r", "3", "tinit", "2", "tfinal", "2",
		                                         "deltaT", "3", "orth-reg-weight", "0.3", "lora-alpha", "9" } },
		{ "llama", "llama-lokr", "lokr", { "r", "2", "alpha", "4" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_new_config(t, &cases[i]);
}

static void check_begin(struct test *t, const struct adapter *a, const struct adapter *other)
{
	bool differs = false;
	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		const float *w = a->overlay.params.w + p->offset, *v = other->overlay.params.w + p->offset;
		float bound = strstr(p->name, "lora_A") ? 1 / sqrtf((float)p->dim[1]) : 0, most = 0;
		for (size_t k = 0; k < p->n; k++) {
			most = fmaxf(most, fabsf(w[k]));
			differs |= w[k] != v[k];
		}
		CHECK_MSG(t, most <= bound && most >= 0.8F * bound, "%s: largest %g, bound %g", p->name, (double)most,
		          (double)bound);
	}
	CHECK(t, differs);
}

static void test_new(struct test *t)
{
	struct model m;
	struct adapter a, b, c;
	struct err e = ERR_INIT;
	test_case(t, "A begins uniform in ±1/√in by the seed, B zero");
	if (!open_golden(t, &m, "llama"))
		return;
	CHECK(t, new_lora(&a, &m, NULL, NULL, 42, &e) == 0 && new_lora(&b, &m, NULL, NULL, 42, &e) == 0 &&
	                 new_lora(&c, &m, NULL, NULL, 43, &e) == 0);
	CHECK_MSG(t,
	          a.overlay.params.n_items == 3 * 7 * 2 &&
	                  params_count(&a.overlay.params) == 3 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64)),
	          "%zu in %zu", params_count(&a.overlay.params), a.overlay.params.n_items);
	CHECK(t, same_numbers(&a, &b));
	check_begin(t, &a, &c);
	adapter_release(&a);
	adapter_release(&b);
	adapter_release(&c);
	test_case(t, "a path that is no UTF-8 is left out of the config");
	m.source.path = "dir\xff";
	CHECK_MSG(t,
	          new_lora(&a, &m, NULL, NULL, 42, &e) == 0 &&
	                  json_is_null(json_object_get(a.config, "base_model_name_or_path")),
	          "%s", e.msg);
	adapter_release(&a);
	model_close(&m);
}

/* Embedding: A zero, B normal; a tied head's own pair; what is not asked for is not there. */
static void test_new_ends(struct test *t)
{
	static const struct { const char *model, *targets, *names;
	} cases[] = {
		/* PEFT's */
		{ "llama", "lm_head", "lm_head.lora_A.weight lm_head.lora_B.weight " },
		{ "llama", "model.embed_tokens",
		  "model.embed_tokens.lora_embedding_A model.embed_tokens.lora_embedding_B " },
		{ "llama-untied", "embed_tokens,lm_head",
		  "lm_head.lora_A.weight lm_head.lora_B.weight model.embed_tokens.lora_embedding_A "
		  "model.embed_tokens.lora_embedding_B " },
		{ "gpt2", "wpe,wte",
		  "transformer.wpe.lora_embedding_A transformer.wpe.lora_embedding_B transformer.wte.lora_embedding_A "
		  "transformer.wte.lora_embedding_B " },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct model m;
		struct adapter a;
		struct err e = ERR_INIT;
		char *dir = mem_printf("%s/ends%zu", test_tmp(), i), names[1024];
		test_case(t, "target_modules %s of %s", cases[i].targets, cases[i].model);
		if (!open_golden(t, &m, cases[i].model))
			continue;
		CHECK_MSG(t,
		          new_lora(&a, &m, cases[i].targets, NULL, 42, &e) == 0 && adapter_save(&a, &m, dir, &e) == 0,
		          "%s", e.msg);
		tensor_names(t, dir, true, names, sizeof(names));
		CHECK_MSG(t, !strcmp(names, cases[i].names), "%s", names);
		CHECK(t, adapter_unties(&a) == m.config.tied);
		for (size_t p = 0; p < a.overlay.params.n_items; p++) {
			const struct param *x = &a.overlay.params.items[p];
			double square = 0;
			for (size_t k = 0; k < x->n; k++)
				square += (double)a.overlay.params.w[x->offset + k] * a.overlay.params.w[x->offset + k];
			if (strstr(x->name, "embedding_A"))
				CHECK(t, square == 0);
			if (strstr(x->name, "embedding_B"))
				CHECK_MSG(t, fabs(square / (double)x->n - 1) < 0.35, "%s: variance %g", x->name,
				          square / (double)x->n);
		}
		adapter_release(&a);
		model_close(&m);
		mem_free(dir);
	}
}

static void test_options(struct test *t)
{
	static const struct { const char *target, *saved, *words;
	} wrong[] = {
		{ "q_proj,zzz_proj", NULL,
		  "no module 'zzz_proj' in this model; its linears are down_proj, gate_proj, k_proj, o_proj, q_proj, "
		  "up_proj, v_proj" },
		{ "Q_PROJ", NULL, "no module 'Q_PROJ'" },
		{ "q_proj,\xff", NULL, "not UTF-8" },

		{ "norm", NULL, "'model.norm', which is neither a linear nor an embedding" },
		{ NULL, "zzz",
		  "modules_to_save: there is no module 'zzz' in this model; it has model.embed_tokens, lm_head and the "
		  "linears down_proj" },
		{ ",", NULL, "target_modules names nothing" },
	};
	struct model m;
	struct adapter a;
	test_case(t, "modules that do not exist are refused with those that do");
	if (!open_golden(t, &m, "llama"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = ERR_INIT;
		int status = new_lora(&a, &m, wrong[i].target, wrong[i].saved, 42, &e);
		CHECK_MSG(t, status == -1 && strstr(e.msg, wrong[i].words), "wanted '%s', got %d '%s'", wrong[i].words,
		          status, e.msg);
		if (status == 0)
			adapter_release(&a);
	}
	struct err e = ERR_INIT;
	CHECK(t, adapter_new_named(&a, "zzz", &m, (const char *[]){ NULL }, 42, &e) == -1 && strstr(e.msg, "'zzz'"));
	e = (struct err)ERR_INIT;
	CHECK_MSG(t,
	          adapter_new_named(&a, "lora", &m, (const char *[]){ "lora-q", "4", NULL }, 42, &e) == -1 &&
	                  strstr(e.msg, "lora-q"),
	          "%s", e.msg);
	model_close(&m);
}

/* --- modules saved whole --- */

struct saved_case { const char *modules; bool tying; const char *names; };

static int new_saved(struct adapter *a, const struct model *m, const struct saved_case *x, struct err *e)
{
	if (!x->tying)
		return new_lora(a, m, "q_proj", x->modules, 42, e);
	/* no option says so: through the files of one that is saved */
	char *dir = mem_printf("%s/tying", test_tmp()), *path = io_join(dir, "adapter_config.json");
	int status = new_lora(a, m, "q_proj", x->modules, 42, e);
	if (status == 0) {
		json_object_set_new(a->config, "ensure_weight_tying", json_true());
		a->overlay.head = HEAD_AS_EMBEDDING;
		a->tied_name = "base_model.model.lm_head.weight";
		a->tied = a->overlay.replaced[model_head(m)];
		status = adapter_save(a, m, dir, e);
		adapter_release(a);
	}
	if (status == 0)
		status = adapter_load(a, dir, m, e);
	mem_free(path);
	mem_free(dir);
	return status;
}

static void test_saved(struct test *t)
{
	static const struct saved_case cases[] = {
		/* the names are those that PEFT writes for the same config */
		{ "lm_head", false, "lm_head.weight " },
		{ "embed_tokens", false, "model.embed_tokens.weight " },
		{ "embed_tokens,lm_head", false, "lm_head.weight model.embed_tokens.weight " },
		{ "model.embed_tokens", true, "lm_head.weight model.embed_tokens.weight " },
		{ "model.norm", false, "model.norm.weight " },
		{ "layers.0.mlp", false,
		  "model.layers.0.mlp.down_proj.weight model.layers.0.mlp.gate_proj.weight "
		  "model.layers.0.mlp.up_proj.weight " },
		{ "norm", false,
		  "model.layers.0.input_layernorm.weight model.layers.0.post_attention_layernorm.weight "
		  "model.layers.1.input_layernorm.weight "
		  "model.layers.1.post_attention_layernorm.weight model.layers.2.input_layernorm.weight "
		  "model.layers.2.post_attention_layernorm.weight "
		  "model.norm.weight " },
	};
	struct model m;
	if (!open_golden(t, &m, "llama"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct adapter a;
		struct err e = ERR_INIT;
		char names[1024];
		char *dir = mem_printf("%s/saved%zu", test_tmp(), i);
		test_case(t, "modules_to_save %s%s", cases[i].modules, cases[i].tying ? ", tied" : "");
		int status = new_saved(&a, &m, &cases[i], &e);
		CHECK_MSG(t, status == 0, "%s", e.msg);
		if (status == 0) {
			CHECK(t, adapter_save(&a, &m, dir, &e) == 0);
			tensor_names(t, dir, false, names, sizeof(names));
			CHECK_MSG(t, !strcmp(names, cases[i].names), "%s", names);
			adapter_release(&a);
			CHECK_MSG(t, adapter_load(&a, dir, &m, &e) == 0, "%s", e.msg);
			adapter_release(&a);
		}
		mem_free(dir);
	}
	model_close(&m);
}

/* They begin as the model's own, and part a tied head from its embedding only where that was said. */
static void test_saved_values(struct test *t)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	test_case(t, "modules saved whole begin as the model's own");
	if (!open_golden(t, &m, "llama.gguf"))
		return;
	CHECK_MSG(t, new_lora(&a, &m, "o_proj", "embed_tokens,q_proj,norm", 42, &e) == 0, "%s", e.msg);
	CHECK(t, a.overlay.head == HEAD_OF_MODEL && adapter_unties(&a));
	for (size_t i = 0; i < m.n_weights; i++) {
		size_t n = m.weights[i].dim[0] * (m.weights[i].n_dims == 2 ? m.weights[i].dim[1] : 1);
		float *own = mem_array(n, sizeof(*own)), *merged = mem_array(n, sizeof(*merged));
		model_weight_float(&m, (int)i, own);
		adapter_merged(&a, &m, (int)i, merged);
		CHECK_MSG(t, !memcmp(own, merged, n * sizeof(*own)), "%s", m.weights[i].name);
		CHECK(t, overlays_read(&a.overlay, &m, (int)i) ==
		                 (a.overlay.replaced[i] < 0 || (int)i == model_head(&m)));
		mem_free(own);
		mem_free(merged);
	}
	adapter_release(&a);
	model_close(&m);
}

/* --- refusals --- */

/* A copy of an adapter whose config says something else. */
static char *changed_config(const char *adapter, const char *key, const char *value)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/changed", test_tmp()), *config = io_join(dir, "adapter_config.json"),
	     *weights = io_join(dir, "adapter_model.safetensors");
	char *from = io_join(test_golden(), adapter), *tensors = io_join(from, "adapter_model.safetensors");
	json_t *j = read_config(from);
	json_object_set_new(j, key, json_loads(value, JSON_DECODE_ANY, NULL));
	if (io_mkdirs(dir, &e) || jsonx_write_file(config, j, &e) || io_read(&b, tensors, &e) ||
	    io_write(weights, b.data, b.len, &e))
		BUG("%s", e.msg);
	json_decref(j);
	buf_release(&b);
	mem_free(config);
	mem_free(weights);
	mem_free(from);
	mem_free(tensors);
	return dir;
}

static void check_config(struct test *t, const struct model *m, const char *adapter, const char *key, const char *value,
                         const char *words)
{
	struct adapter a;
	struct err e = ERR_INIT;
	char *dir = changed_config(adapter, key, value);
	int status = adapter_load(&a, dir, m, &e);
	if (words)
		CHECK_MSG(t, status == -1 && strstr(e.msg, words) && strstr(e.msg, dir),
		          "%s %s: wanted '%s', got %d '%s'", key, value, words, status, e.msg);
	else
		CHECK_MSG(t, status == 0, "%s %s: %s", key, value, e.msg);
	if (status == 0)
		adapter_release(&a);
	mem_free(dir);
}

static void test_config_refusals(struct test *t)
{
	static const struct { const char *key, *value, *words;
	} cases[] = {
		{ "something_new", "{\"a\": 1}", "\"something_new\" is {\"a\": 1}, which this program does not do" },
		{ "something_new", "0.5", "\"something_new\"" },
		{ "something_new", "true", "\"something_new\"" },
		{ "something_new", "null", NULL },
		{ "something_new", "false", NULL },
		{ "something_new", "[]", NULL },
		{ "something_new", "{}", NULL },
		{ "something_new", "\"\"", NULL },
		{ "use_dora", "true", "lora_magnitude_vector'; this model with this config wants it, as 32" },
		{ "use_dora", "\"x\"", "use_dora" },
		{ "lora_bias", "true", "lora_B.bias'; this model with this config wants it, as 32" },
		{ "bias", "\"all\"", NULL },
		{ "bias", "\"zzz\"", "\"bias\"" },
		{ "alora_invocation_tokens", "[5, 6]", NULL },
		{ "alora_invocation_tokens", "[5, -6]", "its entry 1 is no token of this model" },
		{ "alora_invocation_tokens", "true", "\"alora_invocation_tokens\" is true" },
		{ "layer_replication", "[[0, 1]]", "\"layer_replication\"" },
		{ "trainable_token_indices", "[1]", "trainable_tokens_delta'; this model with this config wants it" },
		{ "init_lora_weights", "\"pissa\"", "\"init_lora_weights\"" },
		{ "init_lora_weights", "\"gaussian\"", NULL },
		{ "base_model_name_or_path", "\"another/model\"", NULL },
		{ "inference_mode", "false", NULL },
		{ "task_type", "null", NULL },
		{ "peft_type", "\"ZZZ\"", "peft_type is ZZZ" },
		{ "peft_type", "null", "peft_type is not there" },
		{ "r", "8", "is 4×32, this model with this config wants 8×32" },
		{ "r", "0", "r is 0" },
		{ "r", "2.5", "r is 2.5" },
		{ "r", "1e300", "r is 1e+300" },
		{ "r", "\"4\"", "r" },
		{ "lora_alpha", "0", NULL },
		{ "lora_alpha", "0.25", NULL },
		{ "lora_alpha", "\"8\"", "lora_alpha" },
		{ "lora_dropout", "1", "lora_dropout is 1" },
		{ "target_modules", "[\"q_proj\"]", "is for no module that this model has and this config names" },
		{ "target_modules", "[\"zzz\"]",
		  "target_modules means no module of this model; its linears are down_proj" },
		{ "target_modules", "\"(\"", "cannot be read" },
		{ "target_modules", "[1]", "\"target_modules\"" },
		{ "target_modules", "null", "target_modules names nothing" },
		{ "target_modules", "\"ALL-LINEAR\"", NULL },
		{ "target_modules", "\".*_proj\"", NULL },
		{ "modules_to_save", "[\"lm_head\"]", "no tensor 'base_model.model.lm_head.weight'" },
		{ "modules_to_save", "[\"classifier\"]", "no module 'classifier'" },
		{ "modules_to_save", "\"norm\"", "\"modules_to_save\"" },
		{ "rank_pattern", "{\"q_proj\": 2}", "wants 2×32" },
		{ "rank_pattern", "{\"q_proj\": \"x\"}", "\"rank_pattern\"" },
		{ "rank_pattern", "{\"zzz\": 2}", NULL },
		{ "alpha_pattern", "{\"layers\\\\.1\\\\..*\": 3.5}", NULL },
		{ "layers_to_transform", "[0, 1, 2]", NULL },
		{ "layers_to_transform", "[0]", "is for no module" },
		{ "layers_to_transform", "[0.5]", "\"layers_to_transform\"" },
	};
	struct model m;
	test_case(t, "what a config may say");
	if (!open_golden(t, &m, "llama"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check_config(t, &m, "llama-lora", cases[i].key, cases[i].value, cases[i].words);
	model_close(&m);
}

static void test_ends_refusals(struct test *t)
{
	struct model m;
	test_case(t, "what a config may say of embedding and head");
	if (!open_golden(t, &m, "llama"))
		return;
	check_config(t, &m, "llama-ends", "target_modules", "[\"embed_tokens\"]",
	             "is for no module that this model has and this config names");
	check_config(t, &m, "llama-ends", "ensure_weight_tying", "true",
	             "differ, and ensure_weight_tying makes the two one matrix");
	check_config(t, &m, "llama-tied-ends", "ensure_weight_tying", "false", "is for no module");
	check_config(t, &m, "llama-tied-ends", "target_modules", "\"(.*q_proj|lm_head)\"", NULL);
	check_config(t, &m, "llama-tied-ends", "modules_to_save", "[\"lm_head\"]",
	             "one is in modules_to_save, the other in target_modules");
	check_config(t, &m, "llama-tied-ends", "rank_pattern", "{\"lm_head\": 2}", "wants 2×32");
	model_close(&m);
}

/* A copy of llama-ends in which one number of the embedding's own, and of its shape, is another. */
static char *changed_base(bool shape)
{
	static const char name[] = "base_model.model.model.embed_tokens.base_layer.weight",
			  other[] = "base_model.model.lm_head.base_layer.weight";
	struct err e = ERR_INIT;
	struct safetensors s;
	struct st_tensor tensor[16];
	struct arena mem = ARENA_INIT;
	char *dir = changed_config("llama-ends", "inference_mode", "true"),
	     *from = io_join(test_golden(), "llama-ends/adapter_model.safetensors");
	char *to = io_join(dir, "adapter_model.safetensors");
	if (st_open(&s, from, &e) < 0)
		BUG("%s", e.msg);
	for (size_t i = 0; i < s.n_tensors; i++) {
		tensor[i] = s.tensors[i];
		if (strcmp(tensor[i].name, name) != 0 && strcmp(tensor[i].name, other) != 0)
			continue;
		float *w = arena_alloc(&mem, tensor[i].bytes);
		memcpy(w, tensor[i].data, tensor[i].bytes);
		w[5] += 1;
		tensor[i].data = w;
		tensor[i].dim[0] /= shape ? 7 : 1;
		tensor[i].bytes /= shape ? 7 : 1;
	}
	if (st_write(to, tensor, s.n_tensors, NULL, 0, NULL, NULL, &e) < 0)
		BUG("%s", e.msg);
	st_close(&s);
	arena_release(&mem);
	mem_free(from);
	mem_free(to);
	return dir;
}

/* PEFT saves the matrix that is added to, and reads it back over the model's. */
static void test_base(struct test *t)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	test_case(t, "an embedding that the file brings");
	if (!open_golden(t, &m, "llama"))
		return;
	int embedding = model_head(&m);
	CHECK_MSG(t, load_golden(&a, "llama-ends", &m, &e) == 0 && !a.overlay.base[embedding],
	          "the same numbers are not kept");
	adapter_release(&a);
	char *dir = changed_base(false);
	CHECK_MSG(t, adapter_load(&a, dir, &m, &e) == 0 && a.overlay.base[embedding], "%s", e.msg);
	const float *base = a.overlay.base[embedding];
	CHECK(t, base && base[5] == ((const float *)m.weights[embedding].data)[5] + 1);
	adapter_release(&a);
	mem_free(dir);
	dir = changed_base(true);
	CHECK_MSG(t,
	          adapter_load(&a, dir, &m, &e) == -1 &&
	                  strstr(e.msg, "is 43×32, this model with this config wants 301×32"),
	          "%s", e.msg);
	mem_free(dir);
	model_close(&m);
}

static void test_other_models(struct test *t)
{
	static const struct { const char *model, *adapter, *words;
	} cases[] = {
		{ "gpt2", "llama-lora",
		  "target_modules means no module of this model; its linears are c_attn, c_fc, c_proj" },
		{ "llama", "gpt2-lora", "target_modules means no module of this model; its linears are" },
		{ "llama", "llama", "no adapter: a folder with adapter_config.json" },
		{ "llama", "nowhere", "no adapter: a folder with adapter_config.json" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct model m;
		struct adapter a;
		struct err e = ERR_INIT;
		test_case(t, "%s on %s is refused", cases[i].adapter, cases[i].model);
		if (!open_golden(t, &m, cases[i].model))
			continue;
		int status = load_golden(&a, cases[i].adapter, &m, &e);
		CHECK_MSG(t, status == -1 && strstr(e.msg, cases[i].words) && strstr(e.msg, cases[i].adapter),
		          "%d '%s'", status, e.msg);
		if (status == 0)
			adapter_release(&a);
		model_close(&m);
	}
}

/* Fit is judged by shapes, not by names of models: the tied Llama's adapter fits the untied one, whose blocks are the
 * same. */
static void test_fit(struct test *t)
{
	struct model m;
	struct adapter a;
	struct err e = ERR_INIT;
	test_case(t, "an adapter fits where names and shapes do");
	if (!open_golden(t, &m, "llama-untied"))
		return;
	CHECK_MSG(t, load_golden(&a, "llama-lora", &m, &e) == 0, "%s", e.msg);
	adapter_release(&a);
	model_close(&m);
}

void test_adapter(struct test *t);
void test_adapter(struct test *t)
{
	test_round_trips(t);
	check_ends_merge(t, "llama-ends", true);
	check_ends_merge(t, "llama-tied-ends", false);
	check_merge(t, "llama", "llama-lora", "model.layers.1.mlp.up_proj", 2);
	check_merge(t, "llama", "llama-rslora", "model.layers.2.self_attn.q_proj", 4);
	check_merge(t, "llama.gguf", "llama-lora", "model.layers.0.self_attn.q_proj", 2);
	check_merge(t, "llama.gguf", "llama-lora", "model.layers.2.self_attn.k_proj", 2);
	check_merge(t, "gpt2", "gpt2-lora", "transformer.h.1.attn.c_attn", 2);
	test_rows(t);
	test_new_configs(t);
	test_new(t);
	test_new_ends(t);
	test_options(t);
	test_saved(t);
	test_saved_values(t);
	test_config_refusals(t);
	test_ends_refusals(t);
	test_base(t);
	test_other_models(t);
	test_fit(t);
}
