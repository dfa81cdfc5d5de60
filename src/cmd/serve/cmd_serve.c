/* serve: a model, and its adapters by name, for OpenAI's clients: what is asked at the same time is answered in one
 * batch. Ends with a signal: what is being answered is finished first, --grace seconds at most. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/generate/generate_parts.h"
#include "cmd/guarding.h"
#include "cmd/serve/serve_adapted.h"
#include "cmd/serve/serve_documents.h"
#include "serve/beside.h"
#include "serve/openai.h"

enum { CONTEXT = 4096, BODY_MAX = 16 << 20, FORM_MAX = 64 << 20 };

struct serve {
	struct common common;
	int64_t port, context, parallel, queue;
	size_t memory;
	double grace, timeout, step_seconds;
	const char *adapter_dir, *slot_save_path, *files_dir, *runs_dir;
	int64_t tune_threads;
	const char *host, *allow_host, *alias, *key_file, *compute, *moderation;
	struct opt_list adapter, keys;
	struct four_bit_options four_bit;
	struct cache_options cache;
	struct draft_options draft;
	struct watermark watermark;
	struct guarding_options guard;
	struct sources_options documents;
};

extern const struct command cmd_serve;

static const struct opt serve_opts[] = {
	OPT_GROUP("What is served"),
	OPT_LIST("adapter", struct serve, adapter, "NAME=PATH",
	         "an adapter, which requests name as their model; or one PATH for all"),
	OPT_STRING("adapter-dir", struct serve, adapter_dir, NULL, "DIR",
	           "adapters that requests may name too: DIR/NAME, loaded when asked"),
	OPT_STRING("alias", struct serve, alias, NULL, "NAME", "the model's name in requests (default: its file's)"),
	OPT_STRING("moderation", struct serve, moderation, NULL, "PATH",
	           "a model that classifies, for /v1/moderations (default: MODEL, if it does)"),
	OPT_INT("ctx-size", struct serve, context, NULL, 16, 1 << 24,
	        "tokens of a prompt and its answer (default: the model's, 4096 at most)"),
	OPT_INT("parallel", struct serve, parallel, "16", 1, SESSION_ROWS - 1,
	        "answers beside each other; others wait"),
	OPT_GROUP("How much at once"),
	OPT_INT("queue", struct serve, queue, "512", 0, 1 << 20, "answers that may wait beside those; one more is 503"),
	OPT_FLOAT("timeout", struct serve, timeout, "600", 0, 1e9,
	          "seconds of a request at most; 0: as long as it takes"),
	OPT_FLOAT("step-seconds", struct serve, step_seconds, "0.25", 0, 3600,
	          "prompts of others delay a next token by so much; 0: no bound"),
	OPT_BYTES("memory", struct serve, memory, NULL,
	          "of all: weights, adapters, answers, beginnings that are kept"),
	OPT_STRING("slot-save-path", struct serve, slot_save_path, NULL, "DIR",
	           "where POST /slots/ID?action=save keeps sequences"),
	DRAFT_OPTS(struct serve, draft),
	SOURCES_OPTS(struct serve, documents),
	OPT_GROUP("Watermark"),
	WATERMARK_OPTS(struct serve, watermark),
	OPT_GROUP("Arithmetic"),
	COMPUTE_OPT(struct serve, compute, "auto"),
	FOUR_BIT_OPTS(struct serve, four_bit),
	CACHE_OPTS(struct serve, cache),
	OPT_GROUP("Beside answering"),
	OPT_STRING("files-dir", struct serve, files_dir, NULL, "DIR",
	           "keeps files, tuning jobs and batches, which are served then"),
	OPT_INT("tune-threads", struct serve, tune_threads, "0", 0, 1024, "of a tuning job; 0: half of --threads"),
	OPT_STRING("runs", struct serve, runs_dir, NULL, "DIR", "whose runs the page shows, with their curves"),
	OPT_GROUP("To whom"),
	OPT_STRING("host", struct serve, host, "127.0.0.1", "ADDRESS",
	           "of this machine that it listens on; 0.0.0.0: all"),
	OPT_INT("port", struct serve, port, "8080", 0, 65535, "where it listens; 0: any that is free"),
	OPT_STRING("allow-host", struct serve, allow_host, NULL, "NAME", "that clients may know this machine by"),
	OPT_LIST("api-key", struct serve, keys, "KEY", "wanted of requests, this or another; may be repeated"),
	OPT_STRING("api-key-file", struct serve, key_file, NULL, "FILE",
	           "keys that may ask, one a line; .yaml: by name, with budgets"),
	OPT_FLOAT("grace", struct serve, grace, "30", 0, 86400,
	          "seconds that answers may still take when it is to end"),
	GUARD_OUTPUT_OPTS(struct serve, guard),
	COMMON_OPTS(struct serve, common),
	OPT_END
};

struct serving {
	struct app *app;
	const struct serve *o;
	const char *path;
	char *name;
	struct named_adapters named;
	struct adapters *adapters;     /* NULL: one over all, or an encoder */
	struct drafting drafting;
	size_t fixed_bytes;            /* of weights and work, where --memory bounds all */
	struct loaded l, moderation;
	char *moderation_name;
	struct session *session;
	struct engine *engine;
	struct openai *openai;
	struct http *http;
	struct keys *keys;
	struct guarding guarding;
	struct serve_adapted adapted;
	struct sources_options sources; /* the options', or adapt's */
	struct serve_documents documents;
};

/* --- what is served --- */

/* The file's name without .gguf, or the folder's. */
static char *name_of(const char *path)
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

static int open_keys(struct serving *v, struct err *e)
{
	struct keys_options how = { .given = v->o->keys.items,
		                    .n_given = v->o->keys.n,
		                    .file = v->o->key_file,
		                    .convert = metering_knows_energy() ? metering_convert : NULL,
		                    .keep = metering_records() ? metering_served : NULL };

	return keys_new(&v->keys, &how, e) < 0 ? -1 : metering_each_served(keys_past, v->keys, e);
}

/* SIGHUP: a file that cannot be read changes nothing. */
static void read_again(struct serving *v)
{
	struct err e = ERR_INIT;

	if (keys_read(v->keys, &e) < 0)
		log_warn("keys stay as they are: %s", e.msg);
	else
		log_say("keys are read: %zu", keys_count(v->keys));
}

/* What is left of --memory for the cache is that of the adapters that are loaded now, and the other way round. */
static void share_memory(void *ctx, size_t bytes)
{
	struct serving *v = ctx;
	int full, ranges = v->session ? session_ranges_full(v->session) * (int)v->o->parallel : 0;
	size_t taken = v->fixed_bytes + bytes, memory = v->o->memory;

	if (!v->engine || !v->session)
		return;
	full = session_ranges_full(v->session);
	if (v->o->memory) {
		size_t left = taken < memory ? (memory - taken) / MAX(session_range_bytes(v->session), (size_t)1) : 0;
		ranges = (int)MIN(MAX(left, (size_t)full), (size_t)1 << 24);
	}
	batcher_limit(engine_batcher(v->engine), &(struct batcher_limits){ .parallel = (int)v->o->parallel,
	                                                                   .ranges = ranges,
	                                                                   .step_seconds = v->o->step_seconds,
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
		                        .model_name = v->name,
		                        .names = (const char *const *)a->names,
		                        .paths = a->paths,
		                        .n = a->named ? a->n : 0,
		                        .dir = v->o->adapter_dir,
		                        .changed = share_memory,
		                        .ctx = v };

	for (size_t i = 0; i < how.n; i++)
		if (!strcmp(a->names[i], v->name))
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
	const struct serve *o = v->o;

	v->sources = o->documents;
	if (serve_adapted_open(&v->adapted, v->path, &v->sources, v->app->device, e) < 0 ||
	    generate_adapters(a, &o->adapter, e) < 0)
		return -1;
	const char *over = a->n && !a->named ? a->paths[0] : NULL;
	if (loaded_open_4bit(&v->l, v->app, &o->four_bit, v->adapted.model, over, e) < 0)
		return -1;
	if (open_adapters(v, e) < 0 || loaded_chat(&v->l, e) < 0 ||
	    serve_adapted_before(&v->adapted, v->l.chat != NULL, e) < 0 ||
	    (!v->adapted.labels_alone &&
	     model_compute(v->app, &v->l.model, o->compute, PREPARE_GENERATE, e) < 0)) {
		adapters_free(v->adapters);
		loaded_close(&v->l);
		return -1;
	}
	return 0;
}

static int open_moderation(struct serving *v, struct err *e)
{
	const char *path = v->o->moderation;

	if (!path)
		return 0;
	if (loaded_open(&v->moderation, path, NULL, e) < 0)
		return -1;
	v->moderation_name = name_of(path);
	if (!v->moderation.model.labels)
		return err_set(e, "--moderation %s: a model without a head that classifies; kungfu tune --objective "
		                  "classification trains one", path);
	return loaded_text(&v->moderation, e);
}

static int context_of(const struct serving *v)
{
	int most = overlays_context(overlay_of(v), &v->l.model);

	return (int)MIN((int64_t)most, v->o->context == OPT_UNSET_INT ? CONTEXT : v->o->context);
}

/* One answer must have room beside weights and work. */
static int check_memory(struct serving *v, struct err *e)
{
	struct model_reads reads = { .own_head = overlays_own_head(overlay_of(v)) };
	size_t owned, cache, work, mapped = model_read_bytes(&v->l.model, &reads, &owned);
	char text[32], wanted[32];

	session_bytes(v->session, &work, &cache);
	v->fixed_bytes = mapped + owned + work + drafting_bytes(&v->drafting) + serve_documents_bytes(&v->documents);
	size_t least = v->fixed_bytes + (size_t)session_ranges_full(v->session) * session_range_bytes(v->session);
	if (v->adapters && least < v->o->memory)
		adapters_bound(v->adapters, v->o->memory - least);
	if (least <= v->o->memory)
		return 0;
	human_bytes(v->o->memory, text);
	human_bytes(least, wanted);
	return err_set(e, "--memory %s is too little: weights, work and one context of %d tokens take %s; --ctx-size "
	                  "makes it smaller", text, context_of(v), wanted);
}

static int open_session(struct serving *v, struct err *e)
{
	struct session_size size = { .n_ctx = context_of(v),
		                     /* as many again keep beginnings */
		                     .n_sequences = MIN(2 * (int)v->o->parallel, SESSION_ROWS),
		                     .n_logits = (int)v->o->parallel * (1 + drafting_most(&v->o->draft)),
		                     .cache = cache_types(&v->o->cache) };

	if (!answers(v))
		return v->o->memory || drafting_most(&v->o->draft) || sources_wanted(&v->sources) ?
		               err_set(e, "%s answers nothing, it embeds or classifies: --memory, --documents, "
		                          "--draft-max and --model-draft are of answers", v->path) :
		               0;
	if (v->o->context != OPT_UNSET_INT && v->o->context > size.n_ctx)
		log_warn("the model has %d positions%s: --ctx-size is that", size.n_ctx, loaded_virtual(&v->l));
	if (session_new(&v->session, &v->l.model, overlay_of(v), v->app->device, &size, e) < 0 ||
	    drafting_open(&v->drafting, v->app, &v->o->draft, &v->l.model, &size, e) < 0)
		return -1;
	if (sources_wanted(&v->sources) &&
	    serve_documents_open(&v->documents, &v->sources, v->app, v->l.model.tokenizer, e) < 0)
		return -1;
	return v->o->memory ? check_memory(v, e) : 0;
}

/* --- serving --- */

/* What answers take alone, and what a second of that takes. */
static int time_alone(struct serving *v, struct alone *a, struct gas *took, struct err *e)
{
	struct meter_span span;

	gas_none(took);
	if (!v->session || !strcmp(v->o->common.gas, "off"))
		return 0;
	metering_open_span(&span);
	int status = alone_measure(a, v->session, e);
	metering_read_span(&span, took);
	return status;
}

static int start(struct serving *v, struct err *e)
{
	const struct serve *o = v->o;
	struct gas timed;
	struct openai_options how = {
		.model = &v->l.model,
		.overlay = loaded_overlay(&v->l),
		.adapters = v->adapters,
		.moderation = v->moderation_name ? &v->moderation.model : NULL,
		.moderation_name = v->moderation_name,
		.device = v->app->device,
		.before = v->adapted.before,
		.raw = v->adapted.raw && (v->adapted.open || v->documents.open),
		.sayer = v->adapted.says ? &v->adapted.sayer : NULL,
		.labels_alone = v->adapted.labels_alone,
		.documents = v->documents.open ? &v->documents.how : NULL,
		.chat = v->l.chat,
		.name = v->name,
		.path = v->path,
		.keys = v->keys,
		.context = context_of(v),
		.watermark = o->watermark,
		.parallel = (int)o->parallel,
		.queue = (int)o->queue,
		.timeout = o->timeout,
		.slot_save_path = o->slot_save_path,
		.files_dir = o->files_dir,
		.runs_dir = o->runs_dir,
		.tune_threads = (int)(o->tune_threads ? o->tune_threads : MAX(1, pool_threads(v->app->pool) / 2)),
		.ledger = o->common.ledger,
		.created = (int64_t)time(NULL),
		.open_span = metering_open_span,
		.read_span = metering_read_span,
		.guard = v->guarding.guard,
		.guard_outputs = o->guard.outputs,
		.guard_told = guarding_told,
		.guard_ctx = &v->guarding,
	};

	if (time_alone(v, &how.alone, &timed, e) < 0)
		return -1;
	how.engine = v->engine = engine_new(v->session, v->l.model.tokenizer, v->app->pool);
	if (v->adapters)
		adapters_serve(v->adapters, v->session, engine_batcher(v->engine));
	else
		share_memory(v, 0);
	v->openai = openai_new(&how);
	openai_rate(v->openai, &timed);
	if (beside_open(v->openai, e) < 0)
		return -1;
	return http_start(&v->http,
	                  &(struct http_options){ .address = o->host,
	                                          .port = (int)o->port,
	                                          .hosts = &o->allow_host,
	                                          .n_hosts = o->allow_host ? 1 : 0,
	                                          .body_max = BODY_MAX,
	                                          .form_path = o->files_dir ? "/v1/files" : NULL,
	                                          .form_max = FORM_MAX,
	                                          .admit = openai_admit,
	                                          .answer = openai_answer,
	                                          .ctx = v->openai },
	                  e);
}

static void tell(const struct serving *v)
{
	char base[96];

	http_base(v->o->host, http_port(v->http), base);
	if (v->app->json) {
		json_t *models = json_pack("[s]", v->name);
		for (size_t i = 0; v->named.named && i < v->named.n; i++)
			json_array_append_new(models, json_string(v->named.names[i]));
		app_json(json_pack("{s:o, s:o, s:i, s:i}", "address", json_sprintf("%s/v1", base), "models", models,
		                   "context", context_of(v), "parallel", (int)v->o->parallel));
	} else {
		app_print("%s/v1 serves %s", base, v->name);
		for (size_t i = 0; v->named.named && i < v->named.n; i++)
			app_print(", %s", v->named.names[i]);
		app_print(": %d answers of %d tokens at once. Ctrl C ends it.\n", (int)v->o->parallel, context_of(v));
	}
	if (!http_is_loopback(v->o->host) && !keys_count(v->keys))
		log_warn("%s is reached from other machines, and anybody may ask: --api-key-file wants a key of them",
		         v->o->host);
	if (!http_is_loopback(v->o->host))
		log_warn("nothing is encrypted: put a proxy with TLS before it");
}

/* Until a signal, then until what is asked is answered, or `until`. */
static int turn(struct serving *v, double until, bool all, struct err *e)
{
	double looked = 0;
	int status = 0;

	while (status == 0 && (all ? engine_busy(v->engine) && clock_seconds() < until : !app_interrupted())) {
		status = engine_turn(v->engine, all ? 0 : 0.2, e);
		if (clock_seconds() - looked < 0.2)
			continue;
		looked = clock_seconds();
		http_tick(v->http);
		openai_sweep(v->openai, false);
		beside_tick(v->openai);
		metering_tick();
		keys_tick(v->keys, clock_seconds());
		if (app_hung_up())
			read_again(v);
	}
	return status;
}

static int serve(struct serving *v, struct err *e)
{
	int status = turn(v, 0, false, e);

	openai_close(v->openai);
	beside_stop(v->openai, false);
	if (status == 0)
		status = turn(v, clock_seconds() + v->o->grace, true, e);
	bool cut = status == 0 && engine_busy(v->engine);
	if (cut)
		log_warn("answers that were not done in --grace %g seconds end where they are", v->o->grace);
	beside_stop(v->openai, true);
	openai_sweep(v->openai, true);
	if (status == 0)
		status = turn(v, INFINITY, true, e);
	return status;
}

static void summary(const struct serving *v)
{
	struct openai_counts c = openai_counted(v->openai);
	size_t guessed = 0, right = 0;
	char gas[400], guesses[80];

	metering_count((int64_t)c.prompt_tokens, (int64_t)c.new_tokens, -1, NAN, NAN);
	metering_text(gas);
	if (v->drafting.drafter)
		drafter_counts(v->drafting.drafter, &guessed, &right);
	if (!v->app->json)
		log_say("%llu calls, %llu of them refused; %llu answers: %llu tokens of prompts (%llu kept from "
		        "others), %llu "
		        "new ones%s%s%s",
		        (unsigned long long)c.requests, (unsigned long long)c.refused, (unsigned long long)c.answers,
		        (unsigned long long)c.prompt_tokens, (unsigned long long)c.cached_tokens,
		        (unsigned long long)c.new_tokens, drafting_text(guessed, right, guesses),
		        gas[0] ? "; it took " : "", gas);
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)c.requests, "refused",
	                      (json_int_t)c.refused, "answers", (json_int_t)c.answers, "prompt_tokens",
	                      (json_int_t)c.prompt_tokens, "cached_tokens", (json_int_t)c.cached_tokens, "new_tokens",
	                      (json_int_t)c.new_tokens);
	if (v->drafting.drafter) {
		json_object_set_new(j, "drafted_tokens", json_integer((json_int_t)guessed));
		json_object_set_new(j, "accepted_tokens", json_integer((json_int_t)right));
	}
	json_t *guarded = guarding_json(&v->guarding);
	if (guarded)
		json_object_set_new(j, "guard", guarded);
	app_summary(v->app, j);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct serve *o = options;
	struct serving v = { .app = app, .o = o, .path = p->positional[0] };

	if (sources_contradiction(&o->documents))
		return app_usage(&cmd_serve, "%s", sources_contradiction(&o->documents));
	app_catch_signals();
	app_catch_hangup();
	v.name = o->alias ? mem_strdup(o->alias) : name_of(v.path);
	int status = open_keys(&v, e) < 0 || guarding_open(&v.guarding, &o->guard, e) < 0 ? -1 : open_model(&v, e);
	if (status == 0) {
		status = open_session(&v, e) < 0 || open_moderation(&v, e) < 0 ? -1 : start(&v, e);
		if (status == 0) {
			app_note_signals();
			tell(&v);
			status = serve(&v, e);
		}
		http_stop(v.http);
		engine_free(v.engine);
		if (status == 0)
			summary(&v);
		beside_close(v.openai);
		openai_free(v.openai);
		drafting_close(&v.drafting);
		serve_documents_close(&v.documents);
		session_free(v.session);
		adapters_free(v.adapters);
		if (v.moderation_name)
			loaded_close(&v.moderation);
		mem_free(v.moderation_name);
		loaded_close(&v.l);
	}
	serve_adapted_close(&v.adapted);
	named_adapters_release(&v.named);
	if (v.keys)
		keys_tick(v.keys, INFINITY);
	keys_free(v.keys);
	mem_free(v.name);
	guarding_close(&v.guarding);
	return status;
}

const struct command cmd_serve = {
	.name = "serve",
	.summary = "a model and its adapters, for OpenAI's clients",
	.usage = "MODEL [--adapter NAME=PATH]… [--port 8080] [options]",
	.example = "kungfu serve model.gguf --port 8080",
	.brief = "answer OpenAI's clients",
	.order = 28,
	.opts = serve_opts,
	.options_size = sizeof(struct serve),
	.least = 1,
	.most = 1,
	.wanted = "one model was wanted",
	.run = run,
};
