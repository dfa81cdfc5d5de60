/* serve: a model, and its adapters by name, for OpenAI's clients: what is asked at the same time is answered in one
 * batch. Ends with a signal: what is being answered is finished first, --grace seconds at most. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/serve/serve_parts.h"

enum { BODY_MAX = 16 << 20, FORM_MAX = 64 << 20 };

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
	OPT_LIST("api-key", struct serve, keys, "KEY", "wanted of requests, this or another"),
	OPT_STRING("api-key-file", struct serve, key_file, NULL, "FILE",
	           "keys that may ask, one a line; .yaml: by name, with budgets"),
	OPT_FLOAT("grace", struct serve, grace, "30", 0, 86400,
	          "seconds that answers may still take when it is to end"),
	GUARD_OUTPUT_OPTS(struct serve, guard),
	GUARD_PERPLEXITY_OPTS("guard-", struct serve, guard.models),
	COMMON_OPTS(struct serve, common),
	OPT_END
};

/* --- who may ask --- */

static int open_keys(struct server *v, struct err *e)
{
	struct keys_options how = { .given = v->o->keys.items,
		                    .n_given = v->o->keys.n,
		                    .file = v->o->key_file,
		                    .convert = metering_knows_energy() ? metering_convert : NULL,
		                    .keep = metering_records() ? metering_served : NULL };

	return keys_new(&v->keys, &how, e) < 0 ? -1 : metering_each_served(keys_past, v->keys, e);
}

/* SIGHUP: a file that cannot be read changes nothing. */
static void read_again(struct server *v)
{
	struct err e = ERR_INIT;

	if (v->o->key_file && keys_read(v->keys, &e) < 0)
		log_warn("keys stay as they are: %s", e.msg);
	else if (v->o->key_file)
		log_say("keys are read: %zu", keys_count(v->keys));
	if (v->names)
		names_read(v);
}

/* --- what is served --- */

static int open_moderation(struct server *v, struct err *e)
{
	const char *path = v->o->moderation;

	if (!path)
		return 0;
	if (loaded_open_named(&v->moderation, path, e) < 0)
		return -1;
	v->moderation_name = serving_name(path);
	if (!v->moderation.model.labels)
		return err_set(e, "--moderation %s: a model without a head that classifies; kungfu tune --objective "
		                  "classification trains one", path);
	return loaded_text(&v->moderation, e);
}

/* What is kept beside answering; its models are known later. */
static void make_beside(struct server *v)
{
	const struct serve *o = v->o;
	int half = MAX(1, pool_threads(v->app->pool) / 2);

	if (o->files_dir)
		v->beside = beside_new(&(struct beside_options){ .dir = o->files_dir,
		                                                 .ledger = o->common.ledger,
		                                                 .tune_threads =
		                                                         o->tune_threads ? (int)o->tune_threads : half,
		                                                 .models = v->models });
}

static int open_one(struct server *v, const char *path, struct err *e)
{
	struct serving_options how = { .path = path,
		                       .of_model = { [ALIAS_DOCUMENTS] = v->o->documents.documents,
		                                     [ALIAS_ADAPTER_DIR] = v->o->adapter_dir,
		                                     [ALIAS_MODEL_DRAFT] = v->o->draft.model } };
	v->list[0] = serving_open(v, &how, e);
	v->n = v->list[0] != NULL;
	if (!v->n || server_share_memory(v, e) < 0 || serving_start(v->list[0], e) < 0)
		return -1;
	models_set(v->models, &v->list[0]->openai, 1);
	return 0;
}

static int open_models(struct server *v, const char *path, struct err *e)
{
	make_beside(v);
	if (open_moderation(v, e) < 0 || (v->names ? names_open(v, v->names, e) : open_one(v, path, e)) < 0)
		return -1;
	return v->beside ? beside_open(v->beside, e) : 0;
}

/* --- serving --- */

static int listen_to(struct server *v, struct err *e)
{
	const struct serve *o = v->o;

	return http_start(&v->http,
	                  &(struct http_options){ .address = o->host,
	                                          .port = (int)o->port,
	                                          .hosts = &o->allow_host,
	                                          .n_hosts = o->allow_host ? 1 : 0,
	                                          .body_max = BODY_MAX,
	                                          .apart = true,
	                                          .form_path = o->files_dir ? "/v1/files" : NULL,
	                                          .form_max = FORM_MAX,
	                                          .admit = models_admit,
	                                          .answer = models_answer,
	                                          .ctx = v->models },
	                  e);
}

/* All names, in order. */
static json_t *names_json(const struct server *v)
{
	json_t *all = json_array(), *list, *one;
	size_t k;

	for (size_t i = 0; i < v->n; i++) {
		const char *own[OWN_NAMES];
		size_t n = openai_own(v->list[i]->openai, own);
		for (size_t m = 0; m < n; m++)
			json_array_append_new(all, json_string(own[m]));
		list = v->list[i]->adapters ? adapters_list(v->list[i]->adapters) : json_array();
		json_array_foreach (list, k, one)
			if (json_is_true(json_object_get(one, "loaded")))
				json_array_append(all, json_object_get(one, "name"));
		json_decref(list);
	}
	return all;
}

static void tell(const struct server *v)
{
	char base[96];
	json_t *names = names_json(v), *one;
	int context = 0;
	size_t i;

	http_base(v->o->host, http_port(v->http), base);
	for (i = 0; i < v->n; i++)
		context = MAX(context, serving_context(v->list[i]));
	if (v->app->json) {
		json_t *said = json_pack("{s:o, s:O, s:i, s:i}", "address", json_sprintf("%s/v1", base), "models",
		                         names, "context", context, "parallel", (int)v->o->parallel);
		app_json(said);
		json_decref(said);
	} else {
		app_print("%s/v1 serves ", base);
		json_array_foreach (names, i, one)
			app_print("%s%s", i ? ", " : "", json_string_value(one));
		app_print(": %d answers of %d tokens at once. Ctrl C ends it.\n", (int)v->o->parallel, context);
	}
	json_decref(names);
	if (!http_is_loopback(v->o->host) && !keys_count(v->keys))
		log_warn("%s is reached from other machines, and anybody may ask: --api-key-file wants a key of them",
		         v->o->host);
	if (!http_is_loopback(v->o->host))
		log_warn("nothing is encrypted: put a proxy with TLS before it");
}

static void sweep(struct server *v, bool all)
{
	for (size_t i = 0; i < v->n; i++)
		openai_sweep(v->list[i]->openai, all);
	for (size_t i = 0; i < v->n_leaving; i++)
		openai_sweep(v->leaving[i]->openai, all);
}

/* Until a signal, then until what is asked is answered, or `until`. */
static int turn(struct server *v, double until, bool all, struct err *e)
{
	double looked = 0;
	int status = 0;

	while (status == 0 && (all ? engine_busy(v->engine) && clock_seconds() < until : !app_interrupted())) {
		status = engine_turn(v->engine, all ? 0 : 0.2, e);
		if (clock_seconds() - looked < 0.2)
			continue;
		looked = clock_seconds();
		http_tick(v->http);
		sweep(v, false);
		beside_tick(v->beside);
		metering_tick();
		keys_tick(v->keys, clock_seconds());
		names_tick(v);
		if (!all && app_hung_up())
			read_again(v);
	}
	return status;
}

static int serve(struct server *v, struct err *e)
{
	int status = turn(v, 0, false, e);

	for (size_t i = 0; i < v->n; i++)
		openai_close(v->list[i]->openai);
	beside_stop(v->beside, false);
	if (status == 0)
		status = turn(v, clock_seconds() + v->o->grace, true, e);
	bool cut = status == 0 && engine_busy(v->engine);
	if (cut)
		log_warn("answers that were not done in --grace %g seconds end where they are", v->o->grace);
	beside_stop(v->beside, true);
	sweep(v, true);
	if (status == 0)
		status = turn(v, INFINITY, true, e);
	return status;
}

/* What was being read when the rest had ended: its client was told so by http_stop. */
static int drain(struct server *v, struct err *e)
{
	int status = 0;

	while (status == 0 && engine_busy(v->engine)) {
		status = engine_turn(v->engine, 0, e);
		sweep(v, true);
	}
	return status;
}

/* What a model answered is the server's. */
static void count_model(struct server *v, const struct serving *s)
{
	struct openai_counts c = openai_counted(s->openai);

	openai_counts_add(&v->counts, &c);
}

static void summary(struct server *v)
{
	char gas[400], guesses[80];

	for (size_t i = 0; i < v->n; i++)
		count_model(v, v->list[i]);
	struct openai_counts c = v->counts;
	metering_count((int64_t)c.prompt_tokens, (int64_t)c.new_tokens, -1, NAN, NAN);
	metering_text(gas);
	if (!v->app->json)
		log_say("%llu calls, %llu of them refused; %llu answers: %llu tokens of prompts (%llu kept from "
		        "others), %llu "
		        "new ones%s%s%s",
		        (unsigned long long)c.requests, (unsigned long long)c.refused, (unsigned long long)c.answers,
		        (unsigned long long)c.prompt_tokens, (unsigned long long)c.cached_tokens,
		        (unsigned long long)c.new_tokens, drafting_text(c.guessed, c.accepted, guesses),
		        gas[0] ? "; it took " : "", gas);
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)c.requests, "refused",
	                      (json_int_t)c.refused, "answers", (json_int_t)c.answers, "prompt_tokens",
	                      (json_int_t)c.prompt_tokens, "cached_tokens", (json_int_t)c.cached_tokens, "new_tokens",
	                      (json_int_t)c.new_tokens);
	if (drafting_most(&v->o->draft) || c.guessed) {
		json_object_set_new(j, "drafted_tokens", json_integer((json_int_t)c.guessed));
		json_object_set_new(j, "accepted_tokens", json_integer((json_int_t)c.accepted));
	}
	json_t *guarded = guarding_json(&v->guarding);
	if (guarded)
		json_object_set_new(j, "guard", guarded);
	app_summary(v->app, j);
}

static void close_server(struct server *v)
{
	beside_stop(v->beside, true);
	for (size_t i = 0; i < v->n_leaving; i++)
		serving_close(v->leaving[i]);
	for (size_t i = 0; i < v->n; i++)
		serving_close(v->list[i]);
	mem_free(v->leaving);
	engine_free(v->engine);
	beside_free(v->beside);
	models_free(v->models);
	if (v->moderation_name)
		loaded_close(&v->moderation);
	mem_free(v->moderation_name);
	if (v->keys)
		keys_tick(v->keys, INFINITY);
	keys_free(v->keys);
	guarding_close(&v->guarding);
}

/* Options of one model, where names of a file stand for several: what the file has in their place; NULL: none is
 * given. */
static const char *of_one_alone(const struct serve *o, const char **option)
{
	*option = o->adapter.n ? "--adapter" : o->adapter_dir ? "--adapter-dir" : o->alias ? "--alias" :
	          o->draft.model ? "--model-draft" : "--documents";
	return o->adapter.n                  ? "NAME: {path: …, adapter: …}" :
	       o->adapter_dir                ? "`adapter-dir:` below a name of its" :
	       o->alias                      ? "any name" :
	       o->draft.model                ? "`model-draft:` below a name of its" :
	       sources_wanted(&o->documents) ? "`documents:` below a name of its" :
	                                       NULL;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct serve *o = options;
	const char *path = p->positional[0];
	struct server v = { .app = app, .o = o, .names = aliases_is(path) ? path : NULL };
	const char *option;

	if (!v.names && sources_contradiction(&o->documents))
		return app_usage(&cmd_serve, "%s", sources_contradiction(&o->documents));
	if (v.names && of_one_alone(o, &option))
		return app_usage(&cmd_serve, "%s is of one model, and %s names several: it has %s", option, path,
		                 of_one_alone(o, &option));
	app_catch_signals();
	app_catch_hangup();
	v.models = models_new();
	v.engine = engine_new(NULL, NULL, NULL);
	int status = open_keys(&v, e) < 0 || guarding_open_beside(&v.guarding, app, &o->guard, e) < 0 ? -1 :
	                                                                                    open_models(&v, path, e);
	if (status == 0)
		status = listen_to(&v, e);
	if (status == 0) {
		app_note_signals();
		tell(&v);
		status = serve(&v, e);
	}
	http_stop(v.http);
	if (status == 0)
		status = drain(&v, e);
	if (status == 0)
		summary(&v);
	close_server(&v);
	return status;
}

const struct command cmd_serve = {
	.name = "serve",
	.summary = "a model and its adapters, for OpenAI's clients",
	.usage = "MODEL|NAMES.yaml [--adapter NAME=PATH]… [--port 8080] [options]",
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
