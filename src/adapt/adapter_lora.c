/* adapter_lora: low-rank adaptation (Hu et al. 2021), y = x·Wᵀ + s·drop(x)·Aᵀ·Bᵀ with A [r,in], B [out,r].
 *
 * s = α/r, or α/√r with rsLoRA (Kalajdzievski 2023). A begins uniform in ±1/√in (PyTorch's kaiming_uniform with
 * a = √5, as PEFT does), B zero. The product with A is scaled (u = s·drop(x)·Aᵀ, N×r, tiny and kept), then B is
 * a second term of the frozen weight's own product, so y is written once.
 *
 * Everything goes through PEFT's config: options become one, a file's is read, and both build the same way.
 * What the config can say and this file does not do is refused by name; there is no layer replication here. DoRA is
 * lora_dora.c, other ways to begin are lora_init.c, activated LoRA is lora_invocation.c. A bias of B (lora_bias) adds
 * s·b; the model's own biases may be trained beside (bias), as weights that are replaced.
 *
 * An embedding is a linear of one-hot rows: y = W[id] + s·Aᵀ[id]·Bᵀ with PEFT's lora_embedding_A [r,V], begun as
 * zero, and lora_embedding_B [C,r], begun as normal; no dropout there. A is kept as its transpose [V,r], so that it is
 * a table to look up. The head's term goes through the strips of token_logprob. What is added to a tied model's
 * embedding and what is added to its head are two things, as in PEFT; with ensure_weight_tying the file must have the
 * same for both. */
#include <math.h>
#include <string.h>

#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/classifier.h"
#include "model/weights.h"

/* --- options --- */

struct options {
	int64_t r;
	double alpha, dropout;
	struct lora_rates rates;
	bool rslora, dora, b_bias;
	const char *bias, *tokens, *init, *eva, *invocation;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "8"),
	OPT_FLOAT("lora-alpha", struct options, alpha, "16", OPT_ABOVE_0, 1e6, "the adapter is scaled by alpha / r"),
	OPT_FLOAT("lora-dropout", struct options, dropout, "0", 0, 0.99,
	          "dropout before the adapter; above 0 no prefix is shared"),
	OPT_FLAG("use-rslora", struct options, rslora, "false", "scale by alpha / sqrt(r)"),
	OPT_FLAG("use-dora", struct options, dora, "false",
	         "DoRA: a magnitude for each output, trained beside the direction"),
	OPT_STRING("init-lora-weights", struct options, init, "true", "WAY",
	           "how it begins: true, gaussian, orthogonal, or as a part of the weights: pissa, pissa_niter_N, "
	           "olora; loftq: as what --load-in-4bit lost; eva: as training's rows vary"),
	OPT_STRING("eva-config", struct options, eva, NULL, "LIST",
	           "of --init-lora-weights eva: rho=2 (most times r that a module gets), tau=0.99, "
	           "use_label_mask=true, whiten=false, adjust_scaling_factors=true; or a JSON object"),
	OPT_FLAG("lora-bias", struct options, b_bias, "false", "a bias of B is trained too"),
	OPT_CHOICE("bias", struct options, bias, "none", "none|all|lora_only",
	           "the model's own biases that are trained: all, or those of the target modules"),
	OPT_FLOAT("loraplus-lr-ratio", struct options, rates.b_ratio, "1", OPT_ABOVE_0, 1e6,
	          "LoRA+: B, biases and norms learn at this many times the rate of A"),
	OPT_FLOAT("loraplus-lr-embedding", struct options, rates.embedding_rate, "1e-6", 0, 1e3,
	          "LoRA+: learning rate of adapters of embeddings"),
	OPT_STRING("trainable-token-indices", struct options, tokens, NULL, "LIST",
	           "the embedding's rows of these tokens are trained too, by their numbers, as 5,17"),
	OPT_STRING("alora-invocation-tokens", struct options, invocation, NULL, "TEXT|LIST",
	           "activated LoRA: it acts from the last place on where this text, or these numbers of tokens, stand"),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	OPT_STRING("target-parameters", struct options, on.target_parameters, NULL, "LIST",
	           "parameters that are added to by name, as mlp.experts.gate_up_proj,mlp.experts.down_proj: the "
	           "matrices of all experts as transformers keeps them; target modules are then those that it has "
	           "beside them, none where that is empty"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	ADAPTER_PATTERN_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "alora_invocation_tokens", "alpha_pattern", "bias",
	                               "ensure_weight_tying", "layers_pattern", "layers_to_transform", "lora_alpha",
	                               "lora_bias", "lora_dropout", "r", "rank_pattern",
	                               "target_parameters", "trainable_token_indices", "use_dora", "use_rslora",
	                               NULL },
	.inert = (const char *const[]){ "eva_config", "init_lora_weights", "megatron_core",
	                                "qalora_group_size", NULL },
};

/* Ways to begin that leave the model's own weight as it is; the others take the adapter's first value out of it. */
static bool init_ok(const json_t *v)
{
	static const char *const names[] = { "gaussian", "orthogonal", "eva" };
	bool ok = !v || json_is_boolean(v) || json_is_null(v);

	for (size_t i = 0; i < ARRAY_LEN(names) && json_is_string(v); i++)
		ok |= !strcmp(json_string_value(v), names[i]);
	return ok;
}

/* "none" (0), "all", "lora_only"; −1: neither of them. */
enum { BIAS_NONE, BIAS_ALL, BIAS_LORA_ONLY };
static int bias_of(const json_t *config)
{
	static const char *const words[] = { "none", "all", "lora_only" };
	const json_t *v = json_object_get(config, "bias");

	for (int i = 0; i < (int)ARRAY_LEN(words); i++)
		if (json_is_string(v) && !strcmp(json_string_value(v), words[i]))
			return i;
	return !v || peft_empty(v) ? BIAS_NONE : -1;
}

static int check_values(const json_t *config, struct err *e)
{
	if (bias_of(config) < 0)
		return peft_refuse("bias", json_object_get(config, "bias"), e);
	return peft_check_patterns(config, e);
}

static int read_terms(const json_t *config, struct lora_terms *t, struct err *e)
{
	int rslora, dora, bias;
	if (peft_check(config, &keys, e) < 0 || check_values(config, e) < 0 ||
	    jsonx_real(config, "r", 8, &t->r, e) < 0 || jsonx_real(config, "lora_alpha", 8, &t->alpha, e) < 0 ||
	    peft_dropout(config, "lora_dropout", &t->dropout, e) < 0 ||
	    jsonx_bool(config, "use_rslora", 0, &rslora, e) < 0 || jsonx_bool(config, "use_dora", 0, &dora, e) < 0 ||
	    jsonx_bool(config, "lora_bias", 0, &bias, e) < 0)
		return -1;
	t->rslora = rslora;
	t->dora = dora;
	t->bias = bias;
	return t->dora && t->bias ? err_set(e, "use_dora and lora_bias: PEFT has no such pair, one of them is wanted") :
	                            0;
}

json_t *lora_config_blank(void)
{
	json_t *j = json_pack("{s:n, s:{}, s:n, s:s, s:n, s:b, s:n, s:b, s:n, s:n, s:n, s:n, s:{}, s:i, s:b, s:f}",
	                      "alora_invocation_tokens", "alpha_pattern", "arrow_config", "bias", "none",
	                      "corda_config", "ensure_weight_tying", 0, "eva_config", "init_lora_weights", 1,
	                      "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform",
	                      "loftq_config", "lora_alpha", 8, "lora_bias", 0, "lora_dropout", 0.0);
	json_t *rest = json_pack("{s:n, s:n, s:s, s:n, s:i, s:i, s:{}, s:n, s:n, s:n, s:b, s:b, s:b, s:n}",
	                         "lora_ga_config", "megatron_config", "megatron_core", "megatron.core",
	                         "monteclora_config", "qalora_group_size", 16, "r", 8, "rank_pattern",
	                         "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", 0,
	                         "use_qalora", 0, "use_rslora", 0, "velora_config");

	if (!j || !rest)
		BUG("a config that cannot be packed");
	json_object_update(j, rest);
	json_decref(rest);
	return j;
}

/* PEFT's keys for LoRA alone. */
static json_t *own_config(const struct options *o)
{
	json_t *j = lora_config_blank();
	json_t *own = json_pack("{s:s, s:o, s:o, s:b, s:f, s:i, s:b, s:b}", "bias", o->bias, "init_lora_weights",
	                        lora_init_json(o->init), "lora_alpha", peft_number(o->alpha), "lora_bias",
	                        (int)o->b_bias, "lora_dropout", o->dropout, "r", (int)o->r, "use_dora", (int)o->dora,
	                        "use_rslora", (int)o->rslora);

	if (!own)
		BUG("a config that cannot be packed");
	json_object_update(j, own);
	json_decref(own);
	if (o->on.target_parameters)
		json_object_set_new(j, "target_parameters", target_split(o->on.target_parameters));
	return j;
}

/* --- building --- */

/* A bias of B, s·b: PEFT refuses it of embeddings, ours has no place for it at the head or at experts. */
static int add_bias(struct adapter *a, const struct model *m, struct lora_site *s, const char *module, struct err *e)
{
	struct lora *o = a->own;
	const struct weight *w = &m->weights[MIN((size_t)s->weight, m->n_weights - 1)];
	char *name = mem_printf("%s.bias", module);
	int bias = model_weight_by_name(m, name);

	mem_free(name);
	if (s->embedding || w->expert >= 0 || s->weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "lora_bias: target_modules means '%s', which is no linear of a block", module);
	s->bias = adapter_param(a, peft_name(a, module, "lora_B.bias"), 1, &s->out, -1,
	                        (struct file_layout){ .rows_of = s->weight });
	if (bias < 0)
		a->no_merge = "lora_bias adds to a bias that the model does not have";
	else
		o->site_of[bias] = (int)(s - o->sites);
	a->no_pairs = "it has lora_bias";
	return 0;
}

static void add_params(struct adapter *a, const struct model *m, struct lora_site *s, const char *module)
{
	static const struct file_layout plain = { .rows_of = -1 }, transposed = { .rows_of = -1, .transposed = true };
	struct file_layout rows = { .rows_of = s->weight < (int)m->n_weights ? s->weight : -1 };
	const char *A = peft_name(a, module, s->embedding ? "lora_embedding_A" : "lora_A.weight");
	const char *B = peft_name(a, module, s->embedding ? "lora_embedding_B" : "lora_B.weight");
	size_t a_dim[2] = { s->embedding ? s->in : s->r, s->embedding ? s->r : s->in };

	s->a = adapter_param(a, A, 2, a_dim, -1, s->embedding ? transposed : plain);
	s->b = adapter_param(a, B, 2, (size_t[]){ s->out, s->r }, -1, s->embedding ? plain : rows);
	if (s->embedding)
		a->overlay.params.items[s->a].role = PARAM_EMBEDDING;
}

struct lora_site *lora_site_add(struct lora *o, int weight, const struct weight *w, size_t r, double alpha,
                                const struct lora_terms *t)
{
	struct lora_site *s = &o->sites[o->n];
	bool embedding = w->spec->flags & WEIGHT_EMBED;

	*s = (struct lora_site){ .weight = weight,
		            .bias = -1,
		            .a0 = -1,
		            .b0 = -1,
		            .magnitude = -1,
		            .norm = -1,
		            .r = r,
		            .embedding = embedding,
		            .out = w->dim[embedding],
		            .in = w->dim[!embedding],
		            .scale = (float)(alpha / (t->rslora ? sqrt((double)r) : (double)r)) };
	o->site_of[weight] = (int)o->n++;
	return s;
}

int lora_site_matrix(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                     const char *key, const struct lora_terms *t, struct err *e)
{
	double alpha;
	size_t r;

	if (peft_rank(a->config, key, t->r, &r, e) < 0 ||
	    peft_pattern_number(a->config, PEFT_ALPHAS, key, t->alpha, &alpha, e) < 0)
		return -1;
	struct lora_site *s = lora_site_add(a->own, weight, w, r, alpha, t);
	add_params(a, m, s, module);
	if (lora_init_site(a, s, w, module, e) < 0)
		return -1;
	if (t->dora)
		return dora_site(a, m, s, module, e);
	return t->bias ? add_bias(a, m, s, module, e) : 0;
}

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	if (((const struct lora *)a->own)->no_modules && target_of_experts(w))
		return 0;
	if (!(w->spec->flags & (WEIGHT_LINEAR | WEIGHT_EMBED)) || w->n_dims != 2)
		return err_set(e,
		               "target_modules means '%s', which is neither a linear nor an embedding; any module can "
		               "be named in modules_to_save",
		               module);
	if (w->spec->fused && w->spec->fused->written)
		return err_set(e, "target_modules means '%s', a part of %s: target_parameters adds to that",
		               module, target_parameter(&a->mem, w));
	return lora_site_matrix(a, m, weight, w, module, module, ctx, e);
}

/* The model's own biases that are trained, under the names that they have beside PEFT's layers. */
static void train_biases(struct adapter *a, const struct model *m, int which)
{
	const struct lora *o = a->own;

	for (size_t i = 0; i < m->n_weights && which != BIAS_NONE; i++) {
		if (!text_ends(m->weights[i].name, ".bias") || a->overlay.replaced[i] >= 0)
			continue;
		const char *module = weight_module(&a->mem, m->weights[i].name);
		int beside = model_weight_by_name(m, arena_printf(&a->mem, "%s.weight", module));
		bool adapted = beside >= 0 && o->site_of[beside] >= 0;
		if (adapted || which == BIAS_ALL)
			adapter_whole(a, m, peft_name(a, module, adapted ? "base_layer.bias" : "bias"), (int)i);
	}
}

/* Activated LoRA (Greenewald et al. 2025): before its invocation all is the base's. */
static int check_invocation(const struct adapter *a, const struct model *m, const struct lora_init *init,
                            const struct lora_terms *t, struct err *e)
{
	const struct lora *o = a->own;
	const char *with = t->dora ? "use_dora" : t->bias ? "lora_bias" : o->tokens.n ? "trainable_token_indices" :
	                   bias_of(a->config) != BIAS_NONE ? "bias" :
	                   lora_init_subtracts(init) ? "init_lora_weights pissa and olora" : NULL;

	for (size_t i = 0; i < o->n && !with; i++)
		with = o->sites[i].embedding ? "an embedding in target_modules" : NULL;
	for (size_t i = 0; i < m->n_weights && !with; i++)
		with = a->overlay.replaced[i] >= 0 && !classifier_owns(&m->weights[i]) ? "modules_to_save" : NULL;
	with = with || a->overlay.head == HEAD_AS_EMBEDDING ? with : "modules_to_save";
	return with ? err_set(e, "alora_invocation_tokens do not go with %s, which would reach what comes before them",
	                      with) :
	              0;
}

static int add_invocation(struct adapter *a, const struct model *m, const struct lora_init *init,
                          const struct lora_terms *t, struct err *e)
{
	if (lora_invocation_read(a, m, e) < 0)
		return -1;
	if (!a->overlay.invocation.n)
		return 0;
	a->no_pairs = "it is activated by tokens (alora_invocation_tokens)";
	a->no_merge = "it acts only from its invocation on (alora_invocation_tokens)";
	return check_invocation(a, m, init, t, e);
}

/* The experts of a layer go up in one product: all those that are adapted are so alike. */
static const struct overlay_hooks hooks_after;

static int check_experts(const struct lora *o, const struct model *m, struct err *e)
{
	for (size_t i = 1; i < o->n; i++) {
		const struct lora_site *s = &o->sites[i], *last = &o->sites[i - 1];
		const struct weight *w = &m->weights[MIN((size_t)s->weight, m->n_weights - 1)],
				    *before = &m->weights[MIN((size_t)last->weight, m->n_weights - 1)];
		if (w->expert > 0 && before->spec == w->spec && before->layer == w->layer &&
		    (s->r != last->r || s->scale != last->scale))
			return err_set(e, "rank_pattern or alpha_pattern give %s another rank or scale than %s; the "
			                  "experts of a layer have one", w->name, before->name);
	}
	return 0;
}

/* What PEFT cannot convert, or does otherwise than by a residual. */
static int check_start(const json_t *config, const struct lora_init *init, const struct lora_terms *t, struct err *e)
{
	bool patterns = json_object_size(json_object_get(config, PEFT_RANKS)) ||
	                json_object_size(json_object_get(config, PEFT_ALPHAS));
	const char *with = t->dora ? "use_dora" : t->bias ? "lora_bias" : NULL;

	if (!lora_init_of_weight(init))
		return 0;
	if (t->rslora && patterns && lora_init_subtracts(init))
		with = "use_rslora and patterns";
	return with ? err_set(e, "init_lora_weights: pissa, olora and loftq do not go with %s", with) : 0;
}

/* as: how it begins, and in which form. */
static int build(struct adapter *a, const struct model *m, const struct lora *as, struct err *e)
{
	struct lora_terms t;
	const struct lora_init *init = &as->init;
	struct lora *o = a->own = arena_alloc(&a->mem, sizeof(*o));
	*o = (struct lora){ .init = *init, .as_files = as->as_files, .no_modules = as->no_modules };
	o->sites = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (read_terms(a->config, &t, e) < 0 || check_start(a->config, init, &t, e) < 0 ||
	    peft_each(a, m, add_site, &t, e) < 0 || lora_parameters_add(a, m, &t, e) < 0 ||
	    check_experts(o, m, e) < 0)
		return -1;
	bool ends = m->config.tied && (o->site_of[m->n_weights] >= 0 || o->site_of[model_head(m)] >= 0);
	a->parts = ends && !target_ties(a->config, e);
	o->dropout = (float)t.dropout;
	a->overlay.unshared = t.dropout > 0;
	if (adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e) < 0)
		return -1;
	train_biases(a, m, bias_of(a->config));
	if (token_rows_beside(&o->tokens, a, m, e) < 0 || token_rows_seal(&o->tokens, a, m, e) < 0)
		return -1;
	if (t.dora || o->tokens.n || lora_init_subtracts(&o->init))
		a->no_pairs = t.dora       ? "it is a DoRA" :
		              o->tokens.n ? "it has trainable_token_indices" :
		                            "it is not as files have it yet";
	if (lora_init_subtracts(&o->init))
		a->no_merge = a->no_pairs;
	if (t.dora || t.bias || o->tokens.n)
		a->overlay.hooks = &hooks_after;
	if (add_invocation(a, m, init, &t, e) < 0)
		return -1;
	return a->tied_name && ends ? err_set(e, "ensure_weight_tying makes embedding and head one, and one is in "
	                                         "modules_to_save, the other in target_modules") :
	                              0;
}

/* Under ensure_weight_tying what is added to the head is the transpose of what is added to the embedding. */
static int check_tied(const struct adapter *a, const struct model *m, struct err *e)
{
	const struct lora *o = a->own;
	if (!m->config.tied || a->parts || o->site_of[m->n_weights] < 0)
		return 0;
	const struct lora_site *s = &o->sites[o->site_of[model_head(m)]], *h = &o->sites[o->site_of[m->n_weights]];
	const struct param *items = a->overlay.params.items;
	const float *w = a->overlay.params.w, *A = w + items[s->a].offset, *B = w + items[s->b].offset,
		    *head_a = w + items[h->a].offset, *head_b = w + items[h->b].offset;
	bool same = s->r == h->r && s->scale == h->scale && !memcmp(A, head_b, items[s->a].n * sizeof(*A));
	for (size_t i = 0; same && i < s->out; i++)
		for (size_t k = 0; k < s->r; k++)
			same &= B[i * s->r + k] == head_a[k * s->out + i];
	return same ? 0 :
	              err_set(e,
	                      "what is added to '%s' and to the embedding differ, and ensure_weight_tying makes the "
	                      "two one matrix",
	                      m->config.arch->head);
}

/* LoRA+ (Hayou et al. 2024), with the groups of PEFT's create_loraplus_optimizer; a ratio of 1 is LoRA. */
static void set_rates(struct params *p, const struct lora_rates *o)
{
	if (o->b_ratio == 1)
		return;
	int faster = params_add_group(p, &(struct param_group){ .rate = o->b_ratio, .clip = NAN });
	int own = params_add_group(p, &(struct param_group){ .peak = o->embedding_rate, .clip = NAN });

	for (size_t i = 0; i < p->n_items; i++) {
		struct param *x = &p->items[i];
		if (strstr(x->name, ".lora_embedding_"))
			x->group = own;
		else if (strstr(x->name, "lora_B") || x->n_dims == 1)
			x->group = faster;
	}
}

static size_t widest(const struct lora *o)
{
	size_t most = 0;

	for (size_t i = 0; i < o->n; i++)
		most = MAX(most, MIN(o->sites[i].in, o->sites[i].out));
	return most;
}

/* Whether a module is adapted or saved whole. */
static int is_covered(struct adapter *a, const struct model *m, int weight, struct err *e)
{
	const struct weight *w = &m->weights[weight];
	const char *module = weight_module(&a->mem, w->name);
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(a->config, "modules_to_save"), i, entry)
		if (target_saves(json_string_value(entry), module))
			return 1;
	return target_hit(a->config, module, w, e);
}

/* Rows of new tokens are trained beside, in the embedding and a head of its own, where these are not trained anyway. */
static int put_new_tokens(struct adapter *a, const struct model *m, struct err *e)
{
	const char *const key = "trainable_token_indices";
	int at[2] = { model_weight(m, m->config.arch->embedding, -1), m->config.tied ? -1 : model_head(m) };
	int covered = 0;

	if (!m->n_new)
		return 0;
	json_t *all = json_object(), *list = token_rows_with_new(json_deep_copy(json_object_get(a->config, key)), m);
	for (int k = 0; k < 2 && at[k] >= 0 && covered >= 0; k++) {
		covered = is_covered(a, m, at[k], e);
		const char *module = weight_module(&a->mem, m->weights[at[k]].name), *dot = strrchr(module, '.');
		if (covered == 0)
			json_object_set(all, dot ? dot + 1 : module, list);
	}
	json_object_set(a->config, key, json_object_size(all) && at[1] < 0 ? list : json_object_size(all) ? all :
	                                                                            json_null());
	json_decref(list);
	json_decref(all);
	return covered < 0 ? -1 : 0;
}

/* A new one of a->config, but what is made of weights or rows. */
static int make(struct adapter *a, const struct model *m, const struct lora_init *init, const struct lora_rates *rates,
                uint64_t seed, struct err *e)
{
	if (build(a, m, &(struct lora){ .init = *init }, e) < 0 ||
	    adapter_check_rank((size_t)json_integer_value(json_object_get(a->config, "r")), widest(a->own), e) < 0 ||
	    adapter_seal(a, m, e) < 0)
		return -1;
	struct lora *o = a->own;
	o->seed = seed;
	o->rates = *rates;
	a->by_rows = init->start == LORA_EVA;
	lora_init_draw(a);
	token_rows_fill(&o->tokens, a, m);
	set_rates(&a->overlay.params, rates);
	return dora_begin(a, m, true, e);
}

int lora_remake(struct adapter *a, const struct model *m, json_t *config, struct err *e)
{
	const struct adapter_type *type = a->type;
	const struct lora was = *(const struct lora *)a->own;

	adapter_release(a);
	adapter_begin(a, m, type);
	a->config = config;
	return make(a, m, &(struct lora_init){ 0 }, &was.rates, was.seed, e);
}

/* What the options ask for, as the config has it, new; NULL and a sentence. */
static json_t *asked_config(const struct options *asked, const struct model *m, const struct lora_init *init,
                            struct err *e)
{
	json_t *own = own_config(asked), *tokens;
	int status = 0;

	if (init->start == LORA_EVA)
		status = lora_eva_put(own, asked->eva, e);
	else if (asked->eva)
		status = err_set(e, "eva_config says how --init-lora-weights eva begins, and that is '%s'",
		                 asked->init);
	if (status == 0 && asked->tokens) {
		tokens = token_rows_list(asked->tokens, "trainable-token-indices", e);
		status = tokens ? json_object_set_new(own, "trainable_token_indices", tokens) : -1;
	}
	if (status == 0 && asked->invocation)
		status = lora_invocation_put(own, m, asked->invocation, e);
	if (status == 0)
		return own;
	json_decref(own);
	return NULL;
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	const struct adapter_targets *on = &asked->on;
	struct lora_init init;

	if (lora_init_read(asked->init, &init, e) < 0)
		return -1;
	if (init.start == LORA_LOFTQ && !m->in_4bit)
		return err_set(e, "init_lora_weights loftq begins as what a float base loses in 4 bits: --load-in-4bit "
		                  "is wanted");
	json_t *own = asked_config(asked, m, &init, e);
	if (!own || peft_begin(a, m, on->target_modules, on, own, e) < 0 || put_new_tokens(a, m, e) < 0 ||
	    lora_parameters_known(a, m, e) < 0)
		return -1;
	return make(a, m, &init, &asked->rates, seed, e);
}

/* Whether experts are parameters in the file, so that names of modules mean none of them: it adds to none by itself. */
static bool without_experts(struct adapter *a, const struct model *m, const struct safetensors *s)
{
	bool any = false, found = false;

	for (size_t i = 0; i < m->n_weights && !found; i++) {
		const char *module = weight_module(&a->mem, m->weights[i].name);
		any |= m->weights[i].expert >= 0;
		found = m->weights[i].expert >= 0 && st_find(s, peft_name(a, module, "lora_A.weight"));
	}
	return any && !found;
}

/* Numbers of its own for what is added to, brought by another form of the same adapter. */
static void take_base(struct adapter *a, const struct model *m, const struct adapter *from)
{
	for (size_t i = 0; i < m->n_weights; i++) {
		size_t n = weight_numbers(&m->weights[i]);
		if (from->overlay.base[i])
			a->overlay.base[i] = memcpy(arena_array(&a->mem, n, sizeof(float)), from->overlay.base[i],
			                            n * sizeof(float));
	}
}

/* Through the form of files where that is another. */
static int read_numbers(struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	const struct lora *o = a->own;
	struct adapter files;
	int status = -1;

	if (!o->n_fused)
		return adapter_fit(a, m, s, e) < 0 || adapter_seal(a, m, e) < 0 ? -1 : adapter_fill(a, m, s, e);
	adapter_begin(&files, m, a->type);
	files.config = json_incref(a->config);
	if (build(&files, m, &(struct lora){ .as_files = true, .no_modules = o->no_modules }, e) == 0 &&
	    adapter_fit(&files, m, s, e) == 0 && adapter_seal(&files, m, e) == 0 &&
	    adapter_fill(&files, m, s, e) == 0 && adapter_seal(a, m, e) == 0) {
		lora_parameters_part(a, &files);
		take_base(a, m, &files);
		status = 0;
	}
	adapter_release(&files);
	return status;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	const json_t *init = json_object_get(config, "init_lora_weights");
	a->config = json_deep_copy(config);
	if (!init_ok(init)) {
		peft_refuse("init_lora_weights", init, e);
		return err_prefix(e, "%s/adapter_config.json", dir);
	}
	if (build(a, m, &(struct lora){ .no_modules = without_experts(a, m, s) }, e) < 0)
		return err_prefix(e, "%s/adapter_config.json", dir);
	if (read_numbers(a, m, s, e) < 0)
		return -1;
	if (check_tied(a, m, e) < 0)
		return err_prefix(e, "%s", s->path);
	return dora_begin(a, m, false, e);
}

/* --- use --- */

/* What is done at a weight, NULL: nothing. */
static const struct lora_site *site_at(const struct lora *o, int weight)
{
	const struct lora_site *s = o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];
	return s && (s->scale != 0 || s->magnitude >= 0) ? s : NULL; /* alpha may be 0 */
}

/* s·x·Aᵀ, to be multiplied with Bᵀ. */
static struct linear_term term_of(struct graph *g, const struct overlay *o, const struct lora_site *s, uint32_t x)
{
	if (s->scale == 0)
		return (struct linear_term){ 0 };
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = x, .w = nn_param(g, o, s->a), .scale = s->scale,
	                                                  .x_constant = g->inside });
	return (struct linear_term){ nn_served(g, o, u), nn_param(g, o, s->b) };
}

static void add_term(struct linear *l, struct linear_term term)
{
	int k = 0;

	while (l->term[k].u)
		k++;
	l->term[k] = term;
}

/* −s·B₀·A₀, which PEFT has taken out of the weight: dropout does not reach it. */
static void add_start(struct graph *g, const struct overlay *o, const struct lora_site *s, struct linear *l)
{
	if (s->a0 < 0)
		return;
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = l->x, .w = nn_fixed(g, o, s->a0), .scale = -s->scale });
	add_term(l, (struct linear_term){ nn_served(g, o, u), nn_fixed(g, o, s->b0) });
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct lora *lora = o->ctx;
	const struct lora_site *s = site_at(lora, w);
	uint32_t x = l->x;

	token_rows_linear(&lora->tokens, g, o, w, l);
	if (!s)
		return false;
	add_start(g, o, s, l);
	bool drops = g->training && !o->frozen && lora->dropout > 0;
	if (drops)
		x = op_dropout(g->tape, x, lora->dropout, g->site++);
	struct linear_term term = term_of(g, o, s, x);
	if (drops && s->magnitude >= 0) {
		struct linear d = { .x = x, .w = l->w, .term[0] = term, .int8 = l->int8, .wt = l->wt };
		lora->sites[lora->site_of[w]].dropped = op_linear(g->tape, &d);
		l->x = op_add(g->tape, l->x, op_scale(g->tape, x, -1));
	} else {
		add_term(l, term);
	}
	return s->magnitude >= 0 || s->bias >= 0;
}

/* DoRA's scales, or a bias of B. */
static uint32_t after(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y)
{
	const struct lora *lora = o->ctx;
	struct lora_site *s = &lora->sites[lora->site_of[w]];
	uint32_t dropped = s->dropped;

	s->dropped = TENSOR_NONE;
	if (dropped)
		return op_scale_columns(g->tape, dropped, dora_scales(g, o, s), TENSOR_NONE, y);
	uint32_t scales = s->magnitude >= 0 ? dora_scales(g, o, s) : TENSOR_NONE;
	uint32_t bias = s->bias >= 0 ? op_scale(g->tape, nn_param(g, o, s->bias), s->scale) : TENSOR_NONE;
	y = op_scale_columns(g->tape, y, scales, bias, rest->residual);
	rest->residual = TENSOR_NONE;
	return y;
}

static void experts(struct graph *g, const struct overlay *o, int w, struct experts *l)
{
	const struct lora *lora = o->ctx;
	size_t n = tape_tensor(g->tape, l->w)->dim[0];
	uint32_t *a = mem_array(n, sizeof(*a)), *b = mem_array(n, sizeof(*b)), x = l->x;
	const struct lora_site *any = NULL;

	for (size_t e = 0; e < n; e++) {
		const struct lora_site *s = site_at(lora, w + (int)e);
		a[e] = s ? nn_param(g, o, s->a) : TENSOR_NONE;
		b[e] = s ? nn_param(g, o, s->b) : TENSOR_NONE;
		any = s ? s : any;
	}
	if (any && g->training && !o->frozen && lora->dropout > 0)
		x = op_dropout(g->tape, x, lora->dropout, g->site++);
	if (any) {
		struct experts low = {
			.x = x, .w = tape_stack(g->tape, "lora_A", a, n), .to = l->to, .scale = any->scale
		};
		l->term[0] = (struct linear_term){ nn_served(g, o, op_experts(g->tape, &low)),
			                           tape_stack(g->tape, "lora_B", b, n) };
	}
	mem_free(a);
	mem_free(b);
}

static uint32_t embed(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t y)
{
	const struct lora_site *s = site_at(o->ctx, w);

	if (!s)
		return y;
	uint32_t low = nn_served(g, o, nn_rows(g, nn_param(g, o, s->a), source));
	if (s->scale != 0)
		y = op_linear(g->tape, &(struct linear){ .x = low, .w = nn_param(g, o, s->b), .residual = y,
		                                         .scale = s->scale });
	return s->magnitude < 0 ? y : op_scale_columns(g->tape, y, dora_scales(g, o, s), TENSOR_NONE, TENSOR_NONE);
}

static uint32_t lookup(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t table)
{
	return token_rows_lookup(&((const struct lora *)o->ctx)->tokens, g, o, w, source, table);
}

static const struct overlay_hooks hooks = {
	.linear = linear, .experts = experts, .embed = embed, .by_row = true
};
static const struct overlay_hooks hooks_after = {
	.lookup = lookup, .linear = linear, .experts = experts, .embed = embed, .after = after
};

/* w [out][in], or an embedding's [in][out], += s·B·A. tall: of A and B the one that has a row for each row of w. */
static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct lora_site *s = site_at(a->own, weight);

	token_rows_merge(&((const struct lora *)a->own)->tokens, a, m, weight, w);
	if (!s)
		return;
	const struct params *p = &a->overlay.params;
	if (weight != s->weight) { /* the module's bias */
		for (size_t i = 0; i < s->out; i++)
			w[weight_hf_row(m, s->weight, i)] += s->scale * p->w[p->items[s->bias].offset + i];
		return;
	}
	const float *A = p->w + p->items[s->a].offset, *B = p->w + p->items[s->b].offset,
		    *tall = s->embedding ? A : B;
	size_t rows = s->embedding ? s->in : s->out, cols = s->embedding ? s->out : s->in;
	for (size_t row = 0; row < rows; row++) {
		float *to = w + weight_hf_row(m, weight, row) * cols;
		for (size_t k = 0; k < s->r; k++) {
			float t = s->scale * tall[row * s->r + k];
			for (size_t i = 0; i < cols; i++)
				to[i] += t * (s->embedding ? B[i * s->r + k] : A[k * cols + i]);
		}
	}
	if (s->magnitude >= 0)
		dora_merge(a, m, s, w);
}

/* With −s·B₀·A₀ in it, as PEFT's save_pretrained(path_initial_model_for_weight_conversion=…) writes
 * it, or with all experts of a layer in one tensor. */
static int flatten(const struct adapter *a, const struct model *m, struct adapter *flat, struct err *e)
{
	const struct lora *o = a->own;
	bool subtracts = lora_init_subtracts(&o->init);

	if (!subtracts && !o->n_fused)
		return 1;
	adapter_begin(flat, m, a->type);
	flat->config = subtracts ? lora_init_flat(a->config) : json_deep_copy(a->config);
	if (build(flat, m, &(struct lora){ .as_files = !subtracts, .no_modules = o->no_modules }, e) == 0 &&
	    adapter_seal(flat, m, e) == 0) {
		(subtracts ? lora_init_join : lora_parameters_join)(flat, a);
		return 0;
	}
	adapter_release(flat);
	return -1;
}

static size_t pairs(const struct adapter *a, struct adapter_factors *out)
{
	const struct lora *o = a->own;
	for (size_t i = 0; i < o->n; i++) {
		const struct lora_site *s = &o->sites[i];
		out[i] = (struct adapter_factors){
			.weight = s->weight, .a = s->a, .b = s->b, .r = s->r, .scale = s->scale
		};
	}
	return o->n;
}

const struct adapter_type adapter_lora = {
	.name = "lora",
	.summary = "an adapter beside frozen weights",
	.standard = true,
	.learning_rate = 2e-4,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "LORA",
	.gguf_type = "lora",
	.attach = attach,
	.start = lora_init_start,
	.feed = lora_eva_feed,
	.hooks = &hooks,
	.load = load,
	.flatten = flatten,
	.merge = merge,
	.follow = dora_follow,
	.pairs = pairs,
};
