/* info: what a model is, read from its files, and what it needs. Opening it checks what every command checks, so a file
 * whose tensors do not all lie inside it, or that is another model than it says, is refused here too. */
#include <string.h>

#include "base/jsonx.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/adapt/adapt.h"
#include "cmd/info_graph.h"
#include "cmd/token_view.h"
#include "infer/embed_settings.h"
#include "ladder/adapted.h"
#include "model/labels.h"
#include "token/tokenizer.h"
#include "train/model_memory.h"

extern const struct command cmd_info;

#define TOKEN_SECONDS 2e-8             /* a look at whether it is a special one */
enum { TEMPLATE_LINES = 3, LINE_WIDTH = 76, SPECIALS_SHOWN = 6, LABELS_TOLD = 1 };

struct info {
	struct common common;
	const char *adapter;
	struct info_graph graph;
};

static const struct opt info_opts[] = {
	ADAPTER_OPT(struct info, adapter),
	INFO_GRAPH_OPTS(struct info, graph),
	COMMON_OPTS(struct info, common),
	OPT_END
};

/* --- weights as the file has them --- */

struct stored { size_t tensors, parameters, bytes; };

static void count_stored(const struct source *s, struct stored by[DTYPE_COUNT])
{
	for (size_t i = 0; i < source_count(s); i++) {
		struct source_tensor t;
		size_t n = 1;
		source_tensor(s, i, &t);
		if (t.dtype == DTYPE_COUNT) /* never computed with: an ignored buffer */
			continue;
		for (int d = 0; d < t.n_dims; d++)
			n *= t.dim[d];
		by[t.dtype].tensors++;
		by[t.dtype].parameters += n;
		by[t.dtype].bytes += t.bytes;
	}
}

static json_t *stored_json(const struct source *s)
{
	struct stored by[DTYPE_COUNT] = { 0 };
	json_t *list = json_array();

	count_stored(s, by);
	for (int t = 0; t < DTYPE_COUNT; t++)
		if (by[t].tensors)
			json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "dtype", dtypes[t].name,
			                                      "tensors", (json_int_t)by[t].tensors, "parameters",
			                                      (json_int_t)by[t].parameters, "bytes",
			                                      (json_int_t)by[t].bytes));
	return list;
}

static void show_stored(const struct source *s)
{
	struct stored by[DTYPE_COUNT] = { 0 };
	char n[32], bytes[32];

	count_stored(s, by);
	for (int t = 0; t < DTYPE_COUNT; t++)
		if (by[t].tensors)
			app_print("  stored as      %-6s %4zu tensors, %s numbers, %s\n", dtypes[t].name, by[t].tensors,
			          human_count((double)by[t].parameters, n), human_bytes(by[t].bytes, bytes));
}

/* --- tokens --- */

static json_t *token_json(const struct tokenizer *t, int32_t id)
{
	return id < 0 ? json_null() : json_pack("{s:i, s:o}", "id", id, "token", token_string(t, id));
}

static json_t *specials_json(const struct tokenizer *t)
{
	json_t *list = json_array();
	for (size_t id = 0; id < tokenizer_size(t); id++)
		if (tokenizer_is_special(t, (int32_t)id))
			json_array_append_new(list, token_json(t, (int32_t)id));
	return list;
}

static json_t *tokenizer_json(const struct tokenizer *t)
{
	if (!t)
		return json_null();
	json_t *j = json_pack("{s:I, s:b}", "size", (json_int_t)tokenizer_size(t), "add_bos_token",
	                      (int)(tokenizer_front(t) >= 0));
	json_object_set_new(j, "bos", token_json(t, tokenizer_bos(t)));
	json_object_set_new(j, "eos", token_json(t, tokenizer_eos(t)));
	json_object_set_new(j, "pad", token_json(t, tokenizer_pad(t)));
	json_object_set_new(j, "special_tokens", specials_json(t));
	json_object_set_new(j, "chat_template",
	                    tokenizer_template(t) ? json_string(tokenizer_template(t)) : json_null());
	return j;
}

static void show_token(const char *name, const json_t *token)
{
	if (json_is_object(token))
		app_print("  %-14s %s (%lld)\n", name, json_string_value(json_object_get(token, "token")),
		          json_integer_value(json_object_get(token, "id")));
	else
		app_print("  %-14s none\n", name);
}

static void show_specials(const json_t *list)
{
	size_t n = json_array_size(list);

	app_print("  %-14s %zu:", "special tokens", n);
	for (size_t i = 0; i < MIN(n, (size_t)SPECIALS_SHOWN); i++)
		app_print(" %s", json_string_value(json_object_get(json_array_get(list, i), "token")));
	app_print("%s\n", n > SPECIALS_SHOWN ? " …" : "");
}

static void show_template(const char *source)
{
	const char *at = source;

	if (!source) {
		app_print("  %-14s none\n", "chat template");
		return;
	}
	app_print("  %-14s %zu bytes, begins:\n", "chat template", strlen(source));
	for (int i = 0; i < TEMPLATE_LINES && *at; i++) {
		size_t n = strcspn(at, "\n"), shown = n > LINE_WIDTH ? utf8_complete(at, LINE_WIDTH) : n;
		app_print("    %.*s%s\n", (int)shown, at, shown < n ? "…" : "");
		at += n + (at[n] == '\n');
	}
}

static void show_tokenizer(const struct tokenizer *t)
{
	json_t *j = tokenizer_json(t);

	show_token("begin", json_object_get(j, "bos"));
	show_token("end", json_object_get(j, "eos"));
	show_token("padding", json_object_get(j, "pad"));
	app_print("  %-14s %s\n", "text gets",
	          tokenizer_front(t) >= 0 ? "the begin token before it" : "no token before it");
	show_specials(json_object_get(j, "special_tokens"));
	show_template(tokenizer_template(t));
	json_decref(j);
}

/* --- embeddings --- */

/* How an encoder's texts become vectors; null of other models, or where its files want what is not computed. */
static json_t *embeddings_json(const struct model *m)
{
	struct err why = ERR_INIT;
	struct embed_settings s;

	if (!m->config.arch->encoder)
		return json_null();
	if (embed_settings_read(&s, m, &why) < 0) {
		log_warn("no embeddings: %s", why.msg);
		return json_null();
	}
	json_t *j = json_pack("{s:s, s:b, s:i}", "pooling", pooling_names[s.pooling], "normalize", (int)s.normalize,
	                      "max_length", s.max_length);
	embed_settings_release(&s);
	return j;
}

static void show_labels(const struct labels *l)
{
	struct arena mem = ARENA_INIT;

	if (l)
		app_print("  %-14s %d, %s: %s\n", "labels", l->n, problem_name(l->problem), labels_list(&mem, l));
	arena_release(&mem);
}

static void show_embeddings(const struct model *m)
{
	json_t *j = embeddings_json(m);

	if (json_is_object(j))
		app_print("  %-14s pooling %s%s, texts of up to %lld tokens\n", "embeddings",
		          json_string_value(json_object_get(j, "pooling")),
		          json_is_true(json_object_get(j, "normalize")) ? ", normalized" : "",
		          json_integer_value(json_object_get(j, "max_length")));
	json_decref(j);
}

/* --- the whole --- */

static char *format_name(const struct source *s)
{
	if (s->is_gguf)
		return mem_printf("GGUF version %u", s->gguf.version);
	return mem_printf("Hugging Face folder, %zu safetensors file%s", s->n_shards, s->n_shards == 1 ? "" : "s");
}

static json_t *config_json(const struct config *c)
{
	json_t *j = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "architecture", c->arch->name,
	                      "layers", c->n_layers, "width", c->C, "heads", c->H, "kv_heads", c->G, "head_size", c->D,
	                      "mlp_width", c->F, "vocabulary", c->V, "context", c->n_ctx, "tied", (int)c->tied);
	json_object_set_new(j, "norm_epsilon", json_real(c->norm_eps));
	json_object_set_new(j, "rope_theta", c->rope_theta > 0 ? json_real(c->rope_theta) : json_null());
	return j;
}

/* The default of the number that the adapter grows with, as text. */
static const char *adapter_size(const struct adapter_type *type)
{
	return type->size_option ? opt_find(type->opts, type->size_option)->init : "";
}

static json_t *memory_json(const struct model_memory *x)
{
	const struct adapter_type *type = adapter_standard();
	char *bytes = mem_printf("tune_%s_bytes", type->name),
	     *size = mem_printf("tune_%s", type->size_option ? type->size_option : "size");
	for (char *c = size; *c; c++)
		*c = *c == '-' ? '_' : *c;
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i}", "weights_bytes", (json_int_t)x->weights,
	                      "run_bytes", (json_int_t)x->run, "cache_bytes_per_token", (json_int_t)x->cache_token,
	                      "cache_bytes_full_context", (json_int_t)x->cache, bytes, (json_int_t)x->adapter,
	                      "tune_full_bytes", (json_int_t)x->full, "tune_micro_batch_tokens", MODEL_MEMORY_TOKENS,
	                      size, atoi(adapter_size(type)));
	mem_free(bytes);
	mem_free(size);
	return j;
}

static void put_info(const struct app *app, const struct loaded *l, const struct model_memory *x, const json_t *left)
{
	const struct model *m = &l->model;
	char *format = format_name(&m->source);
	json_t *j = config_json(&m->config);

	json_object_set_new(j, "model", jsonx_path(m->source.path));
	json_object_set_new(j, "format", json_string(format));
	json_object_set_new(j, "parameters", json_integer((json_int_t)model_count(m)));
	json_object_set_new(j, "active_parameters", json_integer((json_int_t)model_count_active(m)));
	json_object_set_new(j, "file_bytes", json_integer((json_int_t)source_bytes(&m->source)));
	json_object_set_new(j, "dtypes", stored_json(&m->source));
	if (m->config.arch->encoder)
		json_object_set_new(j, "embeddings", embeddings_json(m));
	json_object_set_new(j, "labels", m->labels ? labels_json(m->labels) : json_null());
	json_object_set_new(j, "tokenizer", tokenizer_json(m->tokenizer));
	json_object_set_new(j, "memory", memory_json(x));
	double flops = 0;
	if (l->has_adapter && adapter_products(&l->adapter, &flops))
		json_object_set_new(j, "adapter_flops_per_token", json_real(flops));
	if (l->has_adapter)
		json_object_set_new(j, "adapter",
		                    json_pack("{s:s, s:I, s:i, s:i}", "type", l->adapter.type->name, "parameters",
		                              (json_int_t)params_count(&l->adapter.overlay.params), "virtual_tokens",
		                              overlays_virtual(loaded_overlay(l)), "context",
		                              overlays_context(loaded_overlay(l), m)));
	if (left)
		json_object_set(j, "adapt", (json_t *)left);
	app_summary(app, j);
	mem_free(format);
}

/* The width of an expert is that of its first matrix. */
static void show_mlp(const struct model *m)
{
	int of, k = model_experts(m, &of), width = m->config.F;

	for (size_t i = m->n_weights; i-- > 0 && k;)
		width = m->weights[i].expert == 0 ? (int)m->weights[i].dim[0] : width;
	if (k)
		app_print("  %-14s %d of %d experts a token, %d wide\n", "MLP", k, of, width);
	else
		app_print("  %-14s %d wide\n", "MLP", width);
}

static void show_config(const struct model *m)
{
	const struct config *c = &m->config;
	char n[32], active[32], bytes[32], *format = format_name(&m->source);

	app_print("%s: %s, %s\n", m->source.path, format, human_bytes(source_bytes(&m->source), bytes));
	bool some = model_count_active(m) != model_count(m);
	app_print("  %-14s %s, %s parameters%s%s%s, %d layers of width %d\n", "architecture", c->arch->name,
	          human_count((double)model_count(m), n), some ? " (" : "",
	          some ? human_count((double)model_count_active(m), active) : "", some ? " at work on a token)" : "",
	          c->n_layers, c->C);
	if (c->arch->state)
		app_print("  %-14s %s\n", "attention", c->arch->state);
	else
		app_print("  %-14s %d heads of %d on %d of keys and values; %s\n", "attention", c->H, c->D, c->G,
		          c->rope_theta > 0 ? "rotary positions" : "learned positions");
	show_mlp(m);
	app_print("  %-14s %d tokens\n", "context", c->n_ctx);
	app_print("  %-14s %d rows, ", "vocabulary", c->V);
	if (m->tokenizer)
		app_print("%zu tokens; ", tokenizer_size(m->tokenizer));
	app_print("%s\n", m->labels ? "a head that classifies" : !model_predicts(m) ? "no head" :
	                  c->tied           ? "head and embedding are one" :
	                                      "a head of its own");
	mem_free(format);
}

static void show_memory(const struct model_memory *x, bool states)
{
	const struct adapter_type *type = adapter_standard();
	char a[32], b[32];

	app_print("Memory, as the engine plans it\n");
	if (!x->cache) { /* an encoder, or what classifies */
		app_print("  %-14s %s (micro-batches of %d tokens)\n", "to run", human_bytes(x->run, a),
		          MODEL_MEMORY_TOKENS);
		return;
	}
	app_print("  %-14s %s, and %s %s\n", "to run", human_bytes(x->run, a),
	          human_bytes(states ? x->cache : x->cache_token, b),
	          states ? "of states for a sequence" : "a token of context");
	app_print("  %-14s %s (%s, %s %s, micro-batches of %d tokens)\n", "to tune", human_bytes(x->adapter, a),
	          type->name, type->size_option ? type->size_option : "", adapter_size(type), MODEL_MEMORY_TOKENS);
	app_print("  %-14s %s (all weights)\n", "", human_bytes(x->full, a));
}

static void show(const struct loaded *l, const struct model_memory *x)
{
	int virtual = overlays_virtual(loaded_overlay(l));
	char n[32];

	show_config(&l->model);
	show_labels(l->model.labels);
	show_embeddings(&l->model);
	show_stored(&l->model.source);
	app_print("Tokens\n");
	if (l->model.tokenizer)
		show_tokenizer(l->model.tokenizer);
	else
		app_print("  %-14s none\n", "tokenizer");
	show_memory(x, l->model.config.arch->state);
	if (l->has_adapter)
		app_print("Adapter\n  %-14s %s, %s parameters\n", "type", l->adapter.type->name,
		          human_count((double)params_count(&l->adapter.overlay.params), n));
	double flops = 0, own = 2 * (double)model_count_active(&l->model);
	size_t products = l->has_adapter ? adapter_products(&l->adapter, &flops) : 0;
	if (products)
		app_print("  %-14s %zu products of each token beside the model's: %s operations more (%.2g %%)\n",
		          "costs", products, human_count(flops, n), 100 * flops / own);
	if (virtual)
		app_print("  %-14s %d before every text: %d of %d places are left, a first token waits for %d more;\n"
		          "  %-14s their keys and values take %s, once for all sequences\n", "virtual tokens", virtual,
		          overlays_context(loaded_overlay(l), &l->model), l->model.config.n_ctx, virtual, "",
		          human_bytes(x->cache_token * (size_t)virtual, n));
}

/* All that takes time is a plan itself; what is left is to print it. */
static int plan_info(struct app *app, const struct loaded *l, struct err *e)
{
	struct predicted p;

	predict_begin(&p, "info");
	predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, the model's tables and tokenizer");
	predict_phase(&p, "printing",
	              l->model.tokenizer ? (double)tokenizer_size(l->model.tokenizer) * TOKEN_SECONDS : 0);
	return planned(app, &p, NULL, e);
}

/* left: what the model is in, where that is what `kungfu adapt` left; or NULL. */
static int run_info(struct app *app, struct loaded *l, const json_t *left, struct err *e)
{
	struct model_memory memory;

	if (model_memory(&memory, &l->model, adapter_standard(), app->device, e) < 0 || plan_info(app, l, e) < 0)
		return -1;
	if (!app->json && left)
		adapt_facts_show(left);
	if (!app->json)
		show(l, &memory);
	put_info(app, l, &memory, left);
	return 0;
}

/* Of what answers by a label alone, all that there is: LABELS_TOLD; 0: a model answers. */
static int info_of_labels(struct app *app, const char *path, const json_t *left, struct err *e)
{
	struct adapted a;

	if (adapted_open(&a, path, e) < 0)
		return -1;
	bool labels = !a.model;
	adapted_close(&a);
	if (!labels)
		return 0;
	if (!app->json)
		adapt_facts_show(left);
	json_t *j = json_object();
	json_object_set(j, "adapt", (json_t *)left);
	app_summary(app, j);
	return LABELS_TOLD;
}

static int run_graph(struct app *app, struct loaded *l, const struct info *o, struct err *e)
{
	if (info_graph_compute(app, &l->model, &o->graph, e) < 0 || plan_info(app, l, e) < 0)
		return -1;
	return info_graph(app, &l->model, loaded_overlay(l), &o->graph, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	static const char *const for_graph[] = { "train", "micro-batch-tokens", "memory", "gradient-checkpointing",
		                                 "activations", "compute" };
	struct info *o = options;
	struct buf unused = BUF_INIT;
	struct loaded l;

	for (size_t i = 0; i < ARRAY_LEN(for_graph) && !o->graph.graph; i++)
		if (opt_given(p, for_graph[i]))
			return app_usage(&cmd_info, "--%s is for --graph", for_graph[i]);
	opt_unused(p, &unused);
	if (unused.len)
		log_warn("%s", buf_str(&unused));
	buf_release(&unused);
	const char *path = p->positional[0];
	json_t *left = NULL;
	if (adapt_is(path) && !adapted_is(path))
		return err_set(e, "%s has a run of kungfu adapt that is not at its end: kungfu resume %s goes on", path,
		               path);
	if (adapted_is(path) && !(left = adapt_facts(path, e)))
		return -1;
	int status = left && !o->graph.graph && !o->adapter ? info_of_labels(app, path, left, e) : 0;
	if (status == 0 && loaded_open(&l, path, o->adapter, e) == 0) {
		status = !o->graph.graph && loaded_has_text(&l) ? loaded_text(&l, e) : 0;
		if (status == 0)
			status = o->graph.graph ? run_graph(app, &l, o, e) : run_info(app, &l, left, e);
		loaded_close(&l);
	} else if (status == 0) {
		status = -1;
	}
	json_decref(left);
	return status == LABELS_TOLD ? 0 : status;
}

const struct command cmd_info = {
	.name = "info",
	.summary = "what a model is: shapes, dtypes, tokens, template, memory",
	.usage = "MODEL [--adapter DIR] [--graph [--train METHOD]]",
	.example = "kungfu info model.gguf --graph --train lora",
	.brief = "what a model is",
	.plans = true,
	.order = 10,
	.opts = info_opts,
	.options_size = sizeof(struct info),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
