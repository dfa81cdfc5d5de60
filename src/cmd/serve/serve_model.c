/* serve_model: one of the models that are served: its files opened, a session over it, its calls. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/serve/serve_parts.h"

enum { CONTEXT = 4096 };
enum { SCORED = 128 };                 /* tokens of prompts whose costs a step may bring, for --guard-perplexity */
enum { SOFT = 8, SOFT_TOKENS = 256 };  /* adapters with virtual tokens that may come, and the tokens of one */

char *serving_name(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t from = n;
	while (from && path[from - 1] != '/')
		from--;
	if (n - from > 5 && !strncmp(path + n - 5, ".gguf", 5))
		n -= 5;
	return mem_strndup(path + from, n - from);
}

/* What is left of --memory for the cache is that of the adapters that are loaded now, and the other way round. */
static void share_memory(void *ctx, size_t bytes)
{
	struct serving *v = ctx;
	int full, ranges = v->session ? session_ranges_full(v->session) * (int)v->of->o->parallel : 0;
	size_t taken = v->fixed_bytes + bytes, memory = v->memory;

	if (!v->engine || !v->session)
		return;
	full = session_ranges_full(v->session);
	if (memory) {
		size_t left = taken < memory ? (memory - taken) / MAX(session_range_bytes(v->session), (size_t)1) : 0;
		ranges = (int)MIN(MAX(left, (size_t)full), (size_t)1 << 24);
	}
	batcher_limit(engine_batcher(v->engine), &(struct batcher_limits){ .parallel = (int)v->of->o->parallel,
	                                                                   .ranges = ranges,
	                                                                   .step_seconds = v->of->o->step_seconds,
	                                                                   .drafter = v->drafting.drafter,
	                                                                   .fair = true });
}

/* Of labels, or vectors alone: there is no session. */
static bool answers(const struct serving *v)
{
	return !v->adapted.labels_alone && !v->l.model.config.arch->encoder && !v->l.model.labels;
}

/* Adapters that requests name; one over all is the model's as it was opened. */
static int open_adapters(struct serving *v, struct err *e)
{
	const struct named_adapters *a = &v->named;
	struct adapters_options how = { .model = &v->l.model,
		                        .model_name = v->of->names ? "" : v->name,
		                        .names = (const char *const *)a->names,
		                        .paths = a->paths,
		                        .n = a->named ? a->n : 0,
		                        .dir = v->of_model[ALIAS_ADAPTER_DIR],
		                        .changed = share_memory,
		                        .ctx = v };

	for (size_t i = 0; i < how.n; i++)
		if (!strcmp(a->names[i], how.model_name))
			return err_set(e, "--adapter %s has the model's own name; --alias gives the model another",
			               a->names[i]);
	if (v->l.has_adapter && (how.n || how.dir))
		return err_set(e, "an adapter lies over the model already: no others can be beside it");
	if (!answers(v) && (how.n || how.dir))
		return err_set(e, "%s makes no text: no adapters are named over it", v->path);
	if (v->l.has_adapter || !answers(v))
		return 0;
	for (size_t i = 0; i < how.n; i++)
		metering_in("adapter", how.paths[i], NULL);
	return adapters_new(&v->adapters, &how, e);
}

static const struct overlay *overlay_of(const struct serving *v)
{
	return v->adapters ? adapters_overlay(v->adapters) : loaded_overlay(&v->l);
}

static int open_model(struct serving *v, struct err *e)
{
	struct named_adapters *a = &v->named;
	const struct serve *o = v->of->o;

	v->sources = o->documents;
	v->sources.documents = v->of_model[ALIAS_DOCUMENTS];
	if (serve_adapted_open(&v->adapted, v->path, &v->sources, v->of->app->device, e) < 0)
		return -1;
	const char *over = a->n && !a->named ? a->paths[0] : NULL;
	if (loaded_open_4bit(&v->l, v->of->app, &o->four_bit, v->adapted.model, over, e) < 0)
		return -1;
	v->loaded = true;
	if (open_adapters(v, e) < 0 || loaded_chat(&v->l, e) < 0 ||
	    serve_adapted_before(&v->adapted, v->l.chat != NULL, e) < 0)
		return -1;
	return v->adapted.labels_alone ? 0 :
	                                 model_compute(v->of->app, &v->l.model, o->compute, PREPARE_GENERATE, e);
}

int serving_context(const struct serving *v)
{
	int most = overlays_context(overlay_of(v), &v->l.model);

	return (int)MIN((int64_t)most, v->of->o->context == OPT_UNSET_INT ? CONTEXT : v->of->o->context);
}

size_t serving_least(struct serving *v)
{
	struct model_reads reads = { .own_head = overlays_own_head(overlay_of(v)) };
	size_t owned, cache, work = 0, mapped = model_read_bytes(&v->l.model, &reads, &owned);

	if (v->session)
		session_bytes(v->session, &work, &cache);
	v->fixed_bytes = mapped + owned + work + drafting_bytes(&v->drafting) + serve_documents_bytes(&v->documents);
	return v->fixed_bytes +
	       (v->session ? (size_t)session_ranges_full(v->session) * session_range_bytes(v->session) : 0);
}

static void bound(struct serving *v, size_t least, size_t memory)
{
	v->memory = memory;
	if (v->adapters)
		adapters_bound(v->adapters, MAX(memory - least, (size_t)1));
	if (v->engine && v->adapters)
		adapters_serve(v->adapters, v->session, engine_batcher(v->engine));
	else
		share_memory(v, 0);
}

/* What is left beside what each takes at least is shared evenly. */
int server_share_memory(struct server *v, struct err *e)
{
	char text[32], wanted[32];
	struct buf each = BUF_INIT;
	size_t least[MODELS_MOST], sum = 0, leaving = 0;

	if (!v->o->memory)
		return 0;
	for (size_t i = 0; i < v->n_leaving; i++)
		leaving += serving_least(v->leaving[i]);
	sum = leaving;
	for (size_t i = 0; i < v->n; i++) {
		sum += least[i] = serving_least(v->list[i]);
		buf_addf(&each, "%s%s %s", i ? ", " : "", v->list[i]->name, human_bytes(least[i], text));
	}
	bool fits = sum <= v->o->memory;
	for (size_t i = 0; i < v->n && fits; i++)
		bound(v->list[i], least[i], least[i] + (v->o->memory - sum) / v->n);
	human_bytes(v->o->memory, text);
	human_bytes(sum, wanted);
	if (!fits && v->n == 1 && !leaving)
		err_set(e, "--memory %s is too little: weights, work and one context of %d tokens take %s; --ctx-size "
		           "makes it smaller", text, serving_context(v->list[0]), wanted);
	else if (!fits)
		err_set(e, "--memory %s is too little: weights, work and one context each take %s (%.600s%s)", text,
		        wanted, buf_str(&each), leaving ? ", and those that still answer" : "");
	buf_release(&each);
	return fits ? 0 : -1;
}

static int open_session(struct serving *v, struct err *e)
{
	struct session_size size = { .n_ctx = serving_context(v),
		                     /* as many again keep beginnings */
		                     .n_sequences = MIN(2 * (int)v->of->o->parallel, SESSION_ROWS),
		                     .n_soft = v->adapters ? SOFT : 0,
		                     .soft_tokens = v->of->o->adapter_dir ? SOFT_TOKENS : 0,
		                     .n_logits = (int)v->of->o->parallel * (1 + drafting_most(&v->draft)) +
		                                 (v->of->o->guard.models.perplexity > 0 ? SCORED : 0),
		                     .cache = cache_types(&v->of->o->cache) };

	if (!answers(v)) /* beside others that do, options are theirs */
		return !v->of->names && (v->of->o->memory || drafting_most(&v->draft) ||
		                         v->of->o->guard.models.perplexity > 0 || sources_wanted(&v->sources)) ?
		               err_set(e, "%s answers nothing, it embeds or classifies: --memory, --documents, "
		                          "--draft-max, --model-draft and --guard-perplexity are of answers", v->path) :
		               0;
	if (v->of->o->context != OPT_UNSET_INT && v->of->o->context > size.n_ctx)
		log_warn("the model has %d positions%s: --ctx-size is that", size.n_ctx, loaded_virtual(&v->l));
	if (session_new(&v->session, &v->l.model, overlay_of(v), v->of->app->device, &size, e) < 0 ||
	    drafting_open(&v->drafting, v->of->app, &v->draft, &v->l.model, &size, e) < 0)
		return -1;
	if (sources_wanted(&v->sources) &&
	    serve_documents_open(&v->documents, &v->sources, v->of->app, v->l.model.tokenizer, e) < 0)
		return -1;
	v->documents.how.of_texts = v->adapted.open;
	return 0;
}

static void copy_names(struct serving *v, const char *const *names, const char *const *paths, size_t n)
{
	v->named = (struct named_adapters){ .names = mem_array(n, sizeof(char *)),
		                            .paths = mem_array(n, sizeof(char *)),
		                            .n = n,
		                            .named = true };
	for (size_t i = 0; i < n; i++) {
		v->named.names[i] = mem_strdup(names[i]);
		v->named.paths[i] = paths[i];
	}
}

struct serving *serving_open(struct server *of, const struct serving_options *o, struct err *e)
{
	struct serving *v = mem_alloc(sizeof(*v));
	int status = 0;

	*v = (struct serving){ .of = of, .path = mem_strdup(o->path), .draft = of->o->draft };
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++)
		v->of_model[i] = o->of_model[i] ? mem_strdup(o->of_model[i]) : NULL;
	v->draft.model = v->of_model[ALIAS_MODEL_DRAFT];
	v->name = of->o->alias && !of->names ? mem_strdup(of->o->alias) : serving_name(o->path);
	if (!of->names)
		status = generate_adapters(&v->named, &of->o->adapter, e);
	else if (o->n)
		copy_names(v, o->names, o->paths, o->n);
	if (status == 0 && open_model(v, e) == 0 && open_session(v, e) == 0)
		return v;
	serving_close(v);
	return NULL;
}

/* What answers take alone, and what a second of that takes. */
static int time_alone(struct serving *v, struct alone *a, struct gas *took, struct err *e)
{
	struct meter_span span;

	gas_none(took);
	if (!v->session || !strcmp(v->of->o->common.gas, "off"))
		return 0;
	metering_open_span(&span);
	int status = alone_measure(a, v->session, e);
	metering_read_span(&span, took);
	return status;
}

int serving_start(struct serving *v, struct err *e)
{
	const struct serve *o = v->of->o;
	struct gas timed;
	struct openai_options how = {
		.model = &v->l.model,
		.overlay = loaded_overlay(&v->l),
		.adapters = v->adapters,
		.moderation = v->of->moderation_name ? &v->of->moderation.model : NULL,
		.moderation_overlay = loaded_overlay(&v->of->moderation),
		.moderation_name = v->of->moderation_name,
		.device = v->of->app->device,
		.before = v->adapted.before,
		.raw = v->adapted.raw && (v->adapted.open || v->documents.open),
		.sayer = v->adapted.says ? &v->adapted.sayer : NULL,
		.labels_alone = v->adapted.labels_alone,
		.documents = v->documents.open ? &v->documents.how : NULL,
		.chat = v->l.chat,
		.name = v->name,
		.path = v->path,
		.keys = v->of->keys,
		.models = v->of->names ? v->of->models : NULL,
		.context = serving_context(v),
		.watermark = o->watermark,
		.parallel = (int)o->parallel,
		.queue = (int)o->queue,
		.timeout = o->timeout,
		.slot_save_path = o->slot_save_path,
		.beside = v->of->beside,
		.runs_dir = o->runs_dir,
		.created = (int64_t)time(NULL),
		.open_span = metering_open_span,
		.read_span = metering_read_span,
		.guard = v->of->guarding.guard,
		.guard_outputs = o->guard.outputs,
		.guard_more = v->of->guarding.models ? guarding_more : NULL,
		.guard_told = guarding_told,
		.guard_ctx = &v->of->guarding,
		.guard_perplexity = guard_models_perplexity(&o->guard.models),
	};

	if (time_alone(v, &how.alone, &timed, e) < 0)
		return -1;
	how.engine = v->engine = engine_beside(v->of->engine, v->session, v->l.model.tokenizer, v->of->app->pool);
	if (v->adapters)
		adapters_serve(v->adapters, v->session, engine_batcher(v->engine));
	else
		share_memory(v, 0);
	v->openai = openai_new(&how);
	openai_rate(v->openai, &timed);
	return 0;
}

void serving_close(struct serving *v)
{
	engine_free(v->engine);
	openai_free(v->openai);
	drafting_close(&v->drafting);
	serve_documents_close(&v->documents);
	session_free(v->session);
	adapters_free(v->adapters);
	if (v->loaded)
		loaded_close(&v->l);
	serve_adapted_close(&v->adapted);
	named_adapters_release(&v->named);
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++)
		mem_free(v->of_model[i]);
	json_decref(v->filed);
	mem_free(v->path);
	mem_free(v->name);
	mem_free(v);
}
