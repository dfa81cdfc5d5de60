/* generate: an answer to a prompt, shown while it grows. The prompt is a user's turn in the model's own chat template;
 * with --raw, or where the model has no template, its text is continued as it is (a BOS before it where the tokenizer
 * adds one). */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/utf8.h"
#include "cmd/metering.h"
#include "cmd/generate/generate_parts.h"
#include "cmd/token_view.h"
#include "token/tokenizer.h"
#include "ladder/adapted.h"

extern const struct command cmd_generate;

static const struct opt generate_opts[] = {
	OPT_GROUP("Prompt"),
	{ OPT_TYPE_STRING, "prompt", "p", offsetof(struct generate_command, prompt), NULL, 0, 0, NULL, "TEXT",
	  "what is asked; - reads standard input" },
	OPT_STRING("prompt-file", struct generate_command, prompt_file, NULL, "FILE",
	           "the same, from a file, its bytes as they are; with --out rows"),
	OPT_STRING("system", struct generate_command, system, NULL, "TEXT", "the system's turn before it"),
	OPT_FLAG("raw", struct generate_command, raw, "false", "no chat template: the text is continued as it is"),
	OPT_LIST("adapter", struct generate_command, adapter, "PATH",
	         "an adapter on top of the model: a folder of PEFT's form, a run, or a GGUF file; or several, each as "
	         "NAME=PATH: a row's \"adapter\" names its own"),
	IN_CONTEXT_OPTS(struct generate_command, context, ""),
	SOURCES_OPTS(struct generate_command, documents),
	CITATIONS_OPTS(struct generate_command, documents),
	OPT_GROUP("Many"),
	OPT_STRING("out", struct generate_command, out, NULL, "FILE.jsonl",
	           "answers each row of --prompt-file (JSONL with prompt or messages): the row with completion and "
	           "finish_reason; goes on where it was stopped"),
	OPT_INT("n", struct generate_command, n, "1", 1, 1 << 20, "answers to the prompt, which is computed once"),
	OPT_INT("self-consistency", struct generate_command, self_consistency, "1", 1, 1 << 20,
	        "draws N answers, of temperature 0.7 where none is given, and says which the most come down to"),
	OPT_STRING("extract", struct generate_command, extract, NULL, "RULE", EXTRACT_HELP),
	OPT_INT("parallel", struct generate_command, parallel, "16", 1, SESSION_ROWS - 1,
	        "answers beside each other; memory grows with it, results do not change"),
	SAMPLING_OPTS(struct generate_command, sampling),
	CONSTRAINING_OPTS(struct generate_command, constraint),
	DRAFT_OPTS(struct generate_command, draft),
	OPT_GROUP("Arithmetic"),
	COMPUTE_OPT(struct generate_command, compute, "auto"),
	FOUR_BIT_OPTS(struct generate_command, four_bit),
	CACHE_OPTS(struct generate_command, cache),
	OPT_GROUP("Probabilities"),
	OPT_FLAG("show-logprobs", struct generate_command, show_logprobs, "false",
	         "the probability of each token: as its colour in a terminal, else in columns"),
	OPT_INT("top-logprobs", struct generate_command, top_logprobs, "0", 0, 1000,
	        "beside each token the N likeliest"),
	OPT_CHOICE("color", struct generate_command, color, "auto", "auto|always|never",
	           "colours; auto: in a terminal"),
	GUARD_OUTPUT_OPTS(struct generate_command, guard),
	GUARD_PERPLEXITY_OPTS("guard-", struct generate_command, guard.models),
	OPT_GROUP("Speed"),
	PROFILE_OPTS(struct generate_command, profiling, "the current folder"),
	COMMON_OPTS(struct generate_command, common),
	OPT_END
};

/* --- the prompt --- */

static int guard_prompt(struct generate_command *o, struct buf *text, struct err *e)
{
	struct buf other = BUF_INIT;
	int status = guarding_text(&o->guarding, "the prompt", buf_str(text), text->len, &other, e);

	if (other.len) {
		buf_release(text);
		*text = other;
	}
	return status;
}

static int read_prompt(struct generate_command *o, struct buf *text, struct err *e)
{
	bool is_input = o->prompt && !strcmp(o->prompt, "-");
	const char *path = is_input ? "-" : o->prompt_file;
	size_t bad;

	if (path && io_read(text, path, e) < 0)
		return -1;
	if (!path)
		buf_adds(text, o->prompt);
	if (!utf8_valid(buf_str(text), text->len, &bad))
		return err_set(e, "%s: not UTF-8: the byte at offset %zu",
		               is_input ? "standard input" :
		               path     ? path :
		                          "--prompt",
		               bad);
	return guard_prompt(o, text, e);
}

static int encode_text(struct generate_command *o, const struct text_codec *codec, const struct prompt_options *how,
                       const struct buf *text, struct tokens *ids, struct err *e)
{
	if (o->placed.fewshot)
		return generate_context_text(&o->placed, codec, buf_str(text), text->len, how, ids, e);
	return prompt_encode_text(codec, buf_str(text), text->len, how, ids, e);
}

static int make_prompt(struct app *app, struct generate_command *o, struct loaded *l, struct tokens *ids,
                       struct err *e)
{
	struct buf text = BUF_INIT;
	struct prompt_options how = { .system = o->system, .raw = o->raw };
	int status = read_prompt(o, &text, e);

	if (status == 0 && sources_wanted(&o->documents))
		status = generate_sources_open(&o->sources, app, o, l, &text, e);
	if (status == 0)
		status = loaded_prompts(l, &how, e);
	const struct text_codec codec = { l->model.tokenizer, l->chat };
	if (status == 0)
		status = generate_context_open(&o->placed, app, o, l, &how, e);
	if (status == 0)
		generate_context_stop(o, how.raw);
	for (size_t i = 0; i < o->sources.n && status == 0; i++)
		status = encode_text(o, &codec, &how, &o->sources.texts[i], &o->sources.prompts[i], e);
	if (status == 0)
		status = encode_text(o, &codec, &how, o->sources.n ? &o->sources.texts[0] : &text, ids, e);
	buf_release(&text);
	return status;
}

/* --- the answer --- */

struct generate_options generate_options_of(const struct generate_command *o, const struct model *m, struct sampler *s)
{
	struct generate_options g = { .stop = o->stops ? o->stops : o->sampling.stop.items,
		                      .n_stop = o->sampling.stop.n + (o->stops ? 1 : 0),
		                      .max_new_tokens = (size_t)o->sampling.max_new_tokens,
		                      .grammar = o->constraining.grammar,
		                      .sampler = s };

	generate_ends(m, &g.end);
	return g;
}

json_t *generation_json(const struct generation *g)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < g->ids.n; i++)
		json_array_append_new(ids, json_integer(g->ids.id[i]));
	return json_pack("{s:o, s:o, s:s}", "text", json_stringn(buf_str(&g->text), g->text.len), "ids", ids,
	                 "finish_reason", finish_name(g->finish));
}

static int show_text(void *ctx, const char *text, size_t n)
{
	(void)ctx;
	app_text(text, n);
	return metering_over();
}

static void show_token(void *ctx, int32_t id, const float *logits) { token_view_add(ctx, id, logits); }

/* An answer that was not shown as it grew. */
static int show_guarded(const struct app *app, struct generate_command *o, struct generation *g, struct err *e)
{
	if (guarding_answer(&o->guarding, "the answer", g, e) < 0)
		return -1;
	if (!app->json)
		app_text(buf_str(&g->text), g->text.len);
	return 0;
}

static int go_on(void *ctx, const char *text, size_t n)
{
	(void)ctx;
	(void)text;
	(void)n;
	return metering_over();
}

static void show_end(const struct generation *g, size_t n_prompt, const char *compute, bool newline)
{
	char prompt[32], all[32], gas[400], rate[40] = "", guesses[80];

	if (newline && (g->text.len == 0 || g->text.data[g->text.len - 1] != '\n'))
		app_print("\n");
	clock_human(g->prompt_seconds, prompt);
	clock_human(g->prompt_seconds + g->seconds, all);
	if (isfinite(generation_rate(g))) /* the first token comes with the prompt */
		snprintf(rate, sizeof(rate), ", %.1f tokens/s", generation_rate(g));
	log_say("%zu tokens of prompt in %s; %zu new one%s%s%s; %s in all; %s; %s", n_prompt, prompt, g->ids.n,
	        g->ids.n == 1 ? "" : "s", rate, drafting_text(g->guessed, g->right, guesses), all, compute,
	        g->finish == FINISH_STOP ? "ended by itself" :
	        g->finish == FINISH_FILTER ? "refused by the guard" :
	        g->context_full          ? "the context is full" :
	        g->stuck                 ? "no token goes on as the grammar wants" :
	                                   "cut at --max-new-tokens");
	metering_text(gas);
	if (gas[0])
		log_say("it took %s", gas);
}

static void put_result(const struct app *app, struct generate_command *o, const struct generation *g,
                       const struct tokens *prompt, int limit, json_t *logprobs)
{
	json_t *j = generation_json(g);

	json_object_set_new(j, "prompt_tokens", json_integer((json_int_t)prompt->n));
	json_object_set_new(j, "new_tokens", json_integer((json_int_t)g->ids.n));
	json_object_set_new(j, "context", json_integer(limit));
	json_object_set_new(j, "compute", json_string(app->compute));
	json_object_set_new(j, "seconds", json_real(g->prompt_seconds + g->seconds));
	json_object_set_new(j, "prompt_seconds", json_real(g->prompt_seconds));
	json_object_set_new(j, "prompt_tokens_per_second", jsonx_number((double)prompt->n / g->prompt_seconds));
	json_object_set_new(j, "tokens_per_second", jsonx_number(generation_rate(g)));
	if (drafting_most(&o->draft)) {
		json_object_set_new(j, "drafted_tokens", json_integer((json_int_t)g->guessed));
		json_object_set_new(j, "accepted_tokens", json_integer((json_int_t)g->right));
	}
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	if (logprobs)
		json_object_set(j, "logprobs", logprobs);
	generate_sources_put(&o->sources, o, j);
	json_t *guarded = guarding_json(&o->guarding);
	if (guarded)
		json_object_set_new(j, "guard", guarded);
	generate_context_tell(&o->placed, app, (double)prompt->n, (double)g->ids.n, j);
	app_summary(app, j);
}

static bool is_colored(const struct generate_command *o)
{
	return !strcmp(o->color, "auto") ? term_color(STDOUT_FILENO) : !strcmp(o->color, "always");
}

static int plan_answer(struct app *app, struct generate_command *o, struct loaded *l, const struct tokens *prompt,
                       struct err *e)
{
	struct generate_prompt one = { prompt->id, prompt->n, 0, 0 };
	struct sampler sampler;

	if (sampling_begin(&o->sampling, (size_t)l->model.config.V, &sampler, e) < 0)
		return -1;
	int status = generate_planned(app, o, l, &sampler, &one, 1, e);
	sampling_release(&sampler);
	return status;
}

static int answer(struct app *app, struct generate_command *o, struct loaded *l, struct session *s,
                  struct drafter *drafter, const struct tokens *prompt, struct err *e)
{
	struct sampler sampler;
	struct token_view view = { .tokenizer = l->model.tokenizer,
		                   .V = (size_t)l->model.config.V,
		                   .top = o->top_logprobs,
		                   .color = is_colored(o),
		                   .json = app->json };
	struct generation result;

	if (sampling_begin(&o->sampling, (size_t)l->model.config.V, &sampler, e) < 0)
		return -1;
	struct generate_options g = generate_options_of(o, &l->model, &sampler);
	if (o->show_logprobs) {
		token_view_begin(&view);
		g.token = show_token;
		g.ctx = &view;
	}
	g.emit = o->show_logprobs || app->json || o->guard.outputs ? go_on : show_text;
	g.drafter = drafter;
	metering_phase("generate");
	generate_context_begin(&o->placed);
	struct meter_span span;
	metering_open_span(&span);
	struct metering_request *request = metering_request_open();
	int status = generate(s, l->model.tokenizer, prompt->id, prompt->n, &g, &result, e);
	answer_gas_answer(&o->sources.gas, &span, result.prompt_seconds, result.seconds);
	metering_count((int64_t)prompt->n, (int64_t)result.ids.n, -1, result.flops + result.int_ops, result.int_ops);
	metering_request_close(request,
	                       &(struct request_counts){ 0, (int64_t)prompt->n, (int64_t)result.ids.n, result.flops,
	                                                 result.int_ops, 1 },
	                       NULL);
	if (status == 0 && o->guard.outputs)
		status = show_guarded(app, o, &result, e);
	if (status == 0 && !app->json)
		show_end(&result, prompt->n, app->compute, !o->show_logprobs || view.color);
	if (status == 0)
		status = generate_sources_ground(&o->sources, l, app, &result.ids, e);
	if (status == 0 && !app->json)
		generate_sources_show(&o->sources, o);
	if (status == 0)
		status = profiling_end(&o->profiling, app, ".", e);
	if (status == 0)
		put_result(app, o, &result, prompt, session_limit(s), view.list);
	if (result.context_full)
		log_warn("the answer was cut after %zu tokens: with the prompt's %zu they fill the context of %d, "
		         "where an answer's last token takes no place", result.ids.n, prompt->n, session_limit(s));
	if (o->show_logprobs)
		token_view_end(&view);
	generation_release(&result);
	tokens_release(&g.end);
	sampling_release(&sampler);
	return status;
}

static int answer_prompt(struct app *app, struct generate_command *o, struct loaded *l, struct err *e)
{
	struct tokens prompt = { 0 };
	struct session *s = NULL;
	struct drafting drafting = { 0 };
	int status = make_prompt(app, o, l, &prompt, e);
	size_t limit = (size_t)overlays_context(loaded_overlay(l), &l->model);
	struct session_size size = { .n_ctx = (int)MIN(limit, prompt.n + (size_t)o->sampling.max_new_tokens),
		                     .n_logits = 1 + drafting_most(&o->draft),
		                     .cache = cache_types(&o->cache) };

	if (status == 0 && prompt.n >= limit)
		status = err_set(
			e, "the prompt has %zu tokens, the model's context holds %zu%s: there is no room for an answer",
			prompt.n, limit, loaded_virtual(l));
	if (status == 0 && o->n > 1) {
		status = generate_several(app, o, l, &prompt, e);
	} else if (status == 0) {
		status = plan_answer(app, o, l, &prompt, e);
		if (status == 0)
			status = session_new(&s, &l->model, loaded_overlay(l), app->device, &size, e);
		if (status == 0)
			status = drafting_open(&drafting, app, &o->draft, &l->model, &size, e);
		if (status == 0)
			status = profiling_begin(&o->profiling, app, e);
		if (status == 0) {
			session_trace(s, profiling_trace(&o->profiling));
			status = answer(app, o, l, s, drafting.drafter, &prompt, e);
		}
		profiling_release(&o->profiling);
	}
	drafting_close(&drafting);
	session_free(s);
	tokens_release(&prompt);
	return status;
}

/* NULL, or what of the options does not go together. */
static const char *contradiction(const struct generate_command *o)
{
	size_t n = o->prompt_file ? strlen(o->prompt_file) : 0;

	if (!o->prompt == !o->prompt_file)
		return "one prompt was wanted: -p TEXT, -p - (standard input) or --prompt-file FILE";
	if (o->out && !o->prompt_file)
		return "--out goes with --prompt-file, a file of rows";
	if (!o->out && n > 6 && !strcmp(o->prompt_file + n - 6, ".jsonl"))
		return "--prompt-file of rows goes with --out FILE, where their answers go; a text is read from "
		       "standard input with -p -";
	if (o->n > 1 && o->out)
		return "--n is for one prompt, --out for rows of them";
	if (o->adapter.n > 1 && !o->out)
		return "several --adapter go with rows that name theirs: --prompt-file rows.jsonl --out FILE";
	if (o->show_logprobs && (o->out || o->n > 1))
		return "--show-logprobs shows one answer";
	if (o->show_logprobs && o->guard.outputs)
		return "--show-logprobs shows an answer as it grows, --guard-outputs looks at it before";
	if (o->profiling.on && (o->out || o->n > 1))
		return "--profile times one answer";
	if (o->top_logprobs && !o->show_logprobs)
		return "--top-logprobs goes with --show-logprobs";
	if (o->self_consistency > 1 && o->n > 1)
		return "--self-consistency and --n say both how many answers there are";
	if (o->extract && o->self_consistency < 2)
		return "--extract says what the answers of --self-consistency come down to";
	if (o->documents.citations && o->guard.outputs)
		return "--citations compares answers as they were made, --guard-outputs changes them";
	if (o->documents.citations && o->n > 1)
		return "--citations are of one answer, or of rows of prompts";
	if (o->documents.citations && o->out && in_context_wanted(&o->context))
		return "--citations of rows go without examples and instructions";
	if (o->context.instruction.n > 1)
		return "one --instruction stands before a prompt; eval compares several";
	return in_context_contradiction(&o->context);
}

/* Where rows name theirs they are opened as several, else the one as it is. */
static int open_model(struct app *app, struct generate_command *o, struct loaded *l, const char *path, struct err *e)
{
	struct named_adapters *a = &o->adapters;
	bool several = a->named && o->out;

	if (loaded_open_4bit(l, app, &o->four_bit, path, a->n && !several ? a->paths[0] : NULL, e) < 0)
		return -1;
	if (!several || loaded_several(l, (const char *const *)a->names, a->paths, a->n, e) == 0)
		return 0;
	loaded_close(l);
	return -1;
}

/* A way that was measured on texts is asked so, where nobody says otherwise. */
static void ask_as_measured(struct generate_command *o, const struct opt_parse *p)
{
	if (!o->left.texts || o->system || opt_given(p, "raw"))
		return;
	o->raw = o->raw_unless_turns = true;
	log_say("%s is asked as it was measured: a text, without a chat template (--no-raw: with it)",
	        p->positional[0]);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct generate_command *o = options;
	struct loaded l;
	size_t bad;

	if (sources_contradiction(&o->documents))
		return app_usage(&cmd_generate, "%s", sources_contradiction(&o->documents));
	const struct adapted_places places = { &o->context, &o->documents, NULL };
	if (adapted_options_take(&o->left, p->positional[0], &places, e) < 0) {
		adapted_options_release(&o->left);
		return -1;
	}
	ask_as_measured(o, p);
	if (contradiction(o)) {
		adapted_options_release(&o->left);
		return app_usage(&cmd_generate, "%s", contradiction(o));
	}
	if (o->system && !utf8_valid(o->system, strlen(o->system), &bad))
		return err_set(e, "--system: not UTF-8: the byte at offset %zu", bad);
	if (o->self_consistency > 1) {
		o->n = o->out ? 1 : o->self_consistency;
		if (!opt_given(p, "temperature"))
			opt_put(p, "temperature", VOTE_TEMPERATURE);
	}
	if (guarding_open(&o->guarding, app, &o->guard, e) < 0) {
		adapted_options_release(&o->left);
		return -1;
	}
	char *learner = adapted_learner(p->positional[0]), *first = NULL, *rest = NULL;
	double least = 0;
	int status = generate_adapters(&o->adapters, &o->adapter, e);
	if (status == 0 && (first = adapted_first(p->positional[0], &least, &rest)) && !o->out)
		status = generate_by_learner(app, o, p->positional[0], first, least, e);
	bool said = first && !o->out && status == 0;
	if (first && status == 1) /* it was not sure */
		status = 0;
	o->model = p->positional[0];
	o->first = first;
	o->first_least = least;
	if (status == 0 && !said && (learner || rest)) {
		const char *dir = learner ? learner : rest;
		status = o->out ? generate_rows_by_learner(app, o, dir, e) :
		                  generate_by_learner(app, o, p->positional[0], dir, 0, e);
	} else if (status == 0 && !said && (status = open_model(app, o, &l, p->positional[0], e)) == 0) {
		guard_models_causal(o->guarding.models, &l);
		status = sampling_tell(&o->sampling, MAX(o->n, o->self_consistency), &l.model, p, e);
		if (status == 0)
			status = model_compute(app, &l.model, o->compute, PREPARE_GENERATE, e);
		if (status == 0)
			status = constraining_open(&o->constraining, &o->constraint, &l.model, e);
		if (status == 0)
			status = o->out ? generate_rows(app, o, p, &l, e) : answer_prompt(app, o, &l, e);
		loaded_close(&l);
	}
	generate_context_close(&o->placed);
	generate_sources_close(&o->sources);
	constraining_close(&o->constraining);
	adapted_options_release(&o->left);
	mem_free(o->stops);
	mem_free(learner);
	mem_free(first);
	mem_free(rest);
	named_adapters_release(&o->adapters);
	guarding_close(&o->guarding);
	return status;
}

const struct command cmd_generate = {
	.name = "generate",
	.summary = "answers to a prompt, or to a file of prompts",
	.usage = "MODEL -p TEXT [--adapter DIR] [options]",
	.example = "kungfu generate model.gguf -p \"What is a kernel?\"",
	.brief = "the answer to a prompt",
	.plans = true,
	.order = 20,
	.opts = generate_opts,
	.options_size = sizeof(struct generate_command),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a folder (a prompt is given by -p TEXT)",
	.run = run,
};
