/* peft_config: the keys of PEFT's PeftConfig and those of every tuner that replaces modules (tuners_utils.py), read
 * from a file and written for a new adapter. Which modules are meant is target_modules.c. */
#include "adapt/peft_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "adapt/peft_asked.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/classifier.h"
#include "model/weights.h"

enum { RANK_MAX = 65536 };

/* Whose keys are written. */
static const char VERSION[] = "0.21.2";

static const char *const read_of_all[] = { "exclude_modules", "modules_to_save", "target_modules", NULL };
static const char *const inert_of_all[] = {
	"auto_mapping", "base_model_name_or_path", "fan_in_fan_out", "inference_mode", "peft_type",
	"peft_version", "revision",                "runtime_config", "task_type",      NULL,
};

static const char *const of_prompts[] = { "num_attention_heads", "num_layers",  "num_transformer_submodules",
	                                  "num_virtual_tokens",  "token_dim",   NULL };

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

bool peft_empty(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) || (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

int peft_refuse(const char *key, const json_t *v, struct err *e)
{
	char *text = jsonx_line(v);
	int status = err_set(e, "\"%s\" is %.80s, which this program does not do", key, text);

	mem_free(text);
	return status;
}

bool peft_names(const json_t *v)
{
	bool ok = !v || json_is_null(v) || json_is_array(v) || json_is_string(v);

	for (size_t i = 0; i < json_array_size(v); i++)
		ok &= json_string_length(json_array_get(v, i)) > 0;
	return ok;
}

json_t *peft_number(double x)
{
	return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

/* Of types that read the key; of others it is refused. */
static bool has_parameters(const json_t *config)
{
	return json_array_size(json_object_get(config, "target_parameters")) > 0;
}

/* The types of the keys whose values are looked at by name later. */
static int check_types(const json_t *config, bool all, struct err *e)
{
	for (size_t i = 0; read_of_all[i]; i++) {
		const json_t *v = json_object_get(config, read_of_all[i]);
		bool list = !strcmp(read_of_all[i], "modules_to_save");
		if (!peft_names(v) || (list && json_is_string(v)))
			return peft_refuse(read_of_all[i], v, e);
	}
	const json_t *targets = json_object_get(config, "target_modules");
	return !all && (!targets || peft_empty(targets)) && !has_parameters(config) ?
	               err_set(e, "target_modules names nothing") :
	               0;
}

int peft_check(const json_t *config, const struct peft_keys *keys, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)config, key, value)
		if (!is_one_of(key, inert_of_all) && !is_one_of(key, read_of_all) && !is_one_of(key, keys->inert) &&
		    !is_one_of(key, keys->read) && !peft_empty(value))
			return peft_refuse(key, value, e);
	return check_types(config, keys->all, e);
}

int peft_check_patterns(const json_t *config, struct err *e)
{
	static const char *const patterns[] = { PEFT_RANKS, PEFT_ALPHAS };
	const json_t *names = json_object_get(config, "layers_pattern");
	const json_t *layers = json_object_get(config, "layers_to_transform");
	bool ok = !layers || json_is_null(layers) || json_is_integer(layers) || json_is_array(layers);

	if (!peft_names(names))
		return peft_refuse("layers_pattern", names, e);
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		const json_t *v = json_object_get(config, patterns[i]);
		if (v && !json_is_null(v) && !json_is_object(v))
			return peft_refuse(patterns[i], v, e);
	}
	for (size_t i = 0; i < json_array_size(layers); i++)
		ok &= json_is_integer(json_array_get(layers, i));
	return ok ? 0 : peft_refuse("layers_to_transform", layers, e);
}

int peft_pattern_number(const json_t *config, const char *key, const char *module, double init, double *out,
                        struct err *e)
{
	const json_t *value;

	*out = init;
	if (target_pattern(json_object_get(config, key), module, &value, e) < 0)
		return -1;
	if (value && !json_is_number(value))
		return peft_refuse(key, value, e);
	if (value)
		*out = json_number_value(value);
	return isfinite(*out) ? 0 : err_set(e, "%s gives '%s' %g, a number was wanted", key, module, *out);
}

int peft_dropout(const json_t *config, const char *key, double *out, struct err *e)
{
	if (jsonx_real(config, key, 0, out, e) < 0)
		return -1;
	return *out >= 0 && *out < 1 ? 0 : err_set(e, "%s is %g, 0 to below 1 was wanted", key, *out);
}

int peft_no_bias(const json_t *config, struct err *e)
{
	const json_t *bias = json_object_get(config, "bias");

	if (!bias || peft_empty(bias) || (json_is_string(bias) && !strcmp(json_string_value(bias), "none")))
		return 0;
	return peft_refuse("bias", bias, e);
}

int peft_rank(const json_t *config, const char *module, double init, size_t *r, struct err *e)
{
	double x = init;

	if (module && peft_pattern_number(config, "rank_pattern", module, init, &x, e) < 0)
		return -1;
	if (!(x >= 1 && x <= RANK_MAX) || x != floor(x))
		return err_set(e, "r is %g%s%s%s, a whole number from 1 to %d was wanted", x, module ? " for '" : "",
		               module ? module : "", module ? "'" : "", RANK_MAX);
	*r = (size_t)x;
	return 0;
}

int peft_want_linear(const struct weight *w, const char *module, struct err *e)
{
	if (!(w->spec->flags & WEIGHT_LINEAR) || w->n_dims != 2)
		return err_set(e, "target_modules means '%s', which is no linear; any module can be named in "
		                  "modules_to_save", module);
	if (w->expert >= 0 || (w->spec->fused && w->spec->fused->written))
		return err_set(e, "target_modules means '%s', %s: only LoRA adds to those here", module,
		               w->expert >= 0 ? "an expert's matrix" : "which files have as a part of another matrix");
	return 0;
}

/* Both names that a head has, or one of them, as often as PEFT writes them. */
static bool saves_head(const struct model *m, const char *key, const json_t *value)
{
	bool ok = m->labels && !strcmp(key, "modules_to_save") && json_is_array(value);

	for (size_t i = 0; ok && i < json_array_size(value); i++) {
		const char *name = json_string_value(json_array_get(value, i));
		ok = name && (!strcmp(name, "score") || !strcmp(name, "classifier"));
	}
	return ok;
}

int peft_check_prompt(const json_t *config, const struct peft_keys *keys, const struct model *m, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)config, key, value)
		if (!is_one_of(key, inert_of_all) && !is_one_of(key, of_prompts) && !is_one_of(key, keys->inert) &&
		    !is_one_of(key, keys->read) && !peft_empty(value) && !saves_head(m, key, value))
			return peft_refuse(key, value, e);
	return 0;
}

/* --- a new one --- */

static int key_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same with its keys in order; takes j. */
static json_t *sorted(json_t *j)
{
	const char **keys = mem_array(json_object_size(j), sizeof(*keys)), *key;
	json_t *out = json_object(), *value;
	size_t n = 0;

	json_object_foreach(j, key, value)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), key_order);
	for (size_t i = 0; i < n; i++)
		json_object_set(out, keys[i], json_object_get(j, keys[i]));
	mem_free(keys);
	json_decref(j);
	return out;
}

static bool has_transposed(const struct model *m)
{
	for (size_t i = 0; i < m->n_weights; i++)
		if (m->weights[i].spec->flags & WEIGHT_TRANSPOSED)
			return true;
	return false;
}

/* ORG/NAME of an address https://HOST/ORG/NAME, or the text itself where it is such a name; NULL: neither. In mem. */
static const char *hub_name(struct arena *mem, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *host = strstr(text, "://"), *at = host ? strchr(host + 3, '/') : NULL;
	const char *name = host ? at ? at + 1 : "" : text;
	size_t org = strspn(name, letters), rest = name[org] == '/' ? strspn(name + org + 1, letters) : 0;
	const char *end = name + org + 1 + rest;

	if (!org || !rest || name[0] == '.' || (*end && (!host || strcmp(end, "/"))))
		return NULL;
	return arena_printf(mem, "%.*s", (int)(end - name), name);
}

/* A folder of the hub's own cache: …/models--ORG--NAME/snapshots/REVISION. */
static const char *cached_name(struct arena *mem, const char *path)
{
	static const char mark[] = "models--";
	const char *at = strstr(path, mark), *org = at ? at + strlen(mark) : NULL;
	const char *name = org ? strstr(org, "--") : NULL;
	const char *end = name ? strstr(name, "/snapshots/") : NULL;

	if (!end || memchr(org, '/', (size_t)(end - org)))
		return NULL;
	return arena_printf(mem, "%.*s/%.*s", (int)(name - org), org, (int)(end - name - 2), name + 2);
}

/* llama.cpp's keys: where the file's weights are from, before what these were trained from. */
static const char *gguf_name(struct arena *mem, const struct gguf *g)
{
	static const char *const keys[] = { "general.source.huggingface.repository", "general.source.repo_url",
		                            "general.repo_url", "general.base_model.0.repo_url" };
	const char *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(keys) && !found; i++) {
		const struct gguf_kv *kv = gguf_find(g, keys[i]);
		json_t *v = kv ? gguf_json(kv) : NULL;
		found = json_is_string(v) ? hub_name(mem, json_string_value(v)) : NULL;
		json_decref(v);
	}
	return found;
}

const char *peft_base(struct arena *mem, const struct model *m)
{
	const struct source *s = &m->source;
	const char *says = json_string_value(json_object_get(s->config, "_name_or_path"));
	const char *name = s->is_gguf ? gguf_name(mem, &s->gguf) : cached_name(mem, s->path);

	if (!name && says)
		name = hub_name(mem, says);
	if (name)
		return name;
	return utf8_valid(s->path, strlen(s->path), NULL) ? s->path : NULL;
}

static json_t *base_of(struct adapter *a, const struct model *m, const char *given)
{
	const char *base = given ? given : peft_base(&a->mem, m);

	return base ? json_string(base) : json_null();
}

/* Of a model that classifies its head is saved whole too, under PEFT's names. */
static void add_head(json_t *whole, const struct model *m)
{
	struct arena mem = ARENA_INIT;
	size_t k;
	json_t *entry;

	for (size_t i = 0; i < m->n_weights && m->labels; i++) {
		const struct weight *w = &m->weights[i];
		bool there = false, only = (w->spec->flags & WEIGHT_PARTS) == WEIGHT_OF_CLASSIFIER;
		if (!classifier_owns(w))
			continue;
		const char *module = weight_module(&mem, w->name);
		json_t *name = json_stringn(module, only ? strcspn(module, ".") : strlen(module));
		json_array_foreach(whole, k, entry)
			there |= json_equal(entry, name);
		if (!there)
			json_array_append(whole, name);
		json_decref(name);
	}
	arena_release(&mem);
}

json_t *peft_head_modules(const struct model *m)
{
	json_t *list = json_array();

	add_head(list, m);
	return list;
}

/* PEFT's name of what the model is for; it has none of a head of masked tokens: NULL. */
static const char *peft_task(const struct model *m)
{
	return m->labels ? "SEQ_CLS" : m->config.arch->encoder ? NULL : "CAUSAL_LM";
}

static json_t *keys_of_all(struct adapter *a, const struct model *m, const char *targets,
                           const struct adapter_targets *with)
{
	const char *saved = with->modules_to_save;
	bool all = !targets || !strcasecmp(targets, "all-linear") || (!*targets && !with->target_parameters);
	json_t *on = all ? target_all_linear(m, !with->target_parameters) : target_words(targets);
	json_t *whole = target_split(saved ? saved : "");
	json_t *not = with->exclude_modules ? target_words(with->exclude_modules) : json_null();
	add_head(whole, m);
	json_t *j = json_pack("{s:n, s:o, s:o, s:b, s:b, s:o, s:s, s:s, s:n, s:o, s:s?}", "auto_mapping",
	                      "base_model_name_or_path", base_of(a, m, with->base), "exclude_modules", not,
	                      "fan_in_fan_out", (int)has_transposed(m), "inference_mode", 1, "modules_to_save",
	                      json_array_size(whole) ? json_incref(whole) : json_null(), "peft_type",
	                      a->type->peft_type, "peft_version", VERSION, "revision", "target_modules", on,
	                      "task_type", peft_task(m));

	json_decref(whole);
	if (!j)
		BUG("a config that cannot be packed");
	return j;
}

static int check_texts(const char *targets, const struct adapter_targets *on, struct err *e)
{
	const struct { const char *what, *text; } all[] = {
		{ "target_modules", targets },
		{ "target_parameters", on->target_parameters },
		{ "exclude_modules", on->exclude_modules },
		{ "modules_to_save", on->modules_to_save },
		{ "base_model_name_or_path", on->base },
		{ "layers_pattern", on->layers_pattern },
		{ "rank_pattern", on->rank_pattern },
		{ "alpha_pattern", on->alpha_pattern },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].text && !utf8_valid(all[i].text, strlen(all[i].text), NULL))
			return err_set(e, "%s: the names are not UTF-8", all[i].what);
	return 0;
}

static int check_unused(struct adapter *a, const struct model *m, struct err *e)
{
	static const char *const keys[] = { "target_modules", "exclude_modules" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *unused = target_unused(a->config, keys[i], m);
		if (unused)
			return err_set(e, "%s: there is no module '%.80s' in this model; its linears are %s", keys[i],
			               unused, target_names(&a->mem, m));
	}
	return 0;
}

int peft_begin(struct adapter *a, const struct model *m, const char *targets, const struct adapter_targets *on,
               json_t *own, struct err *e)
{
	if (!own)
		BUG("a config that cannot be packed");
	if (check_texts(targets, on, e) < 0) {
		json_decref(own);
		return -1;
	}
	json_t *all = keys_of_all(a, m, targets, on);
	json_object_update(own, all);
	json_decref(all);
	a->config = sorted(own);
	return check_unused(a, m, e) < 0 ? -1 : peft_put_asked(a->config, m, on, e);
}

int peft_new(struct adapter *a, const struct model *m, const struct adapter_targets *on, json_t *own, peft_build *build,
             struct err *e)
{
	return peft_begin(a, m, on->target_modules, on, own, e) < 0 || build(a, m, e) < 0 ? -1 : adapter_seal(a, m, e);
}

int peft_load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
              const char *dir, peft_build *build, struct err *e)
{
	a->config = json_deep_copy(config);
	if (build(a, m, e) < 0)
		return err_prefix(e, "%s/adapter_config.json", dir);
	return adapter_fit(a, m, s, e) < 0 || adapter_seal(a, m, e) < 0 ? -1 : adapter_fill(a, m, s, e);
}

void peft_begin_prompt(struct adapter *a, const struct model *m, const char *base, json_t *own)
{
	json_t *head = m->labels ? json_pack("[s, s]", "classifier", "score") : json_null();
	json_t *all = json_pack("{s:n, s:o, s:b, s:o, s:s, s:s, s:n, s:s}", "auto_mapping", "base_model_name_or_path",
	                        base_of(a, m, base), "inference_mode", 1, "modules_to_save", head, "peft_type",
	                        a->type->peft_type, "peft_version", VERSION, "revision", "task_type", peft_task(m));

	if (!own || !all)
		BUG("a config that cannot be packed");
	json_object_update(own, all);
	json_decref(all);
	a->config = sorted(own);
}

/* --- modules --- */

static int try_weight(struct adapter *a, const struct model *m, int i, const struct weight *w, int ties,
                      peft_site *site, void *ctx, struct err *e)
{
	const char *module = weight_module(&a->mem, w->name);
	bool end = m->config.tied && (i == (int)m->n_weights || i == model_head(m));
	int hit = ties && end ? 1 : target_hit(a->config, module, w, e);

	return hit > 0 && site(a, m, i, w, module, ctx, e) < 0 ? -1 : hit;
}

int peft_each(struct adapter *a, const struct model *m, peft_site *site, void *ctx, struct err *e)
{
	/* a tied model's embedding and head are meant, whatever the names say */
	int ties = m->config.tied ? target_ties(a->config, e) : 0, n = 0;
	struct weight head = m->config.tied ? model_tied_head(m) : (struct weight){ 0 };

	if (ties < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights + m->config.tied; i++) {
		const struct weight *w = i < m->n_weights ? &m->weights[i] : &head;
		int hit = try_weight(a, m, (int)i, w, ties, site, ctx, e);
		if (hit < 0)
			return -1;
		n += hit;
	}
	if (n || has_parameters(a->config))
		return n;
	return err_set(e, "target_modules means no module of this model; its linears are %s",
	               target_names(&a->mem, m));
}

const char *peft_name(struct adapter *a, const char *module, const char *end)
{
	return arena_printf(&a->mem, PEFT_PREFIX "%s.%s", module, end);
}
