/* generate: an answer to a prompt, shown while it grows. The prompt is a user's turn in the model's own chat template; with --raw, or where the
 * model has no template, its text is continued as it is (a BOS before it where the tokenizer adds one). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/model_common.h"
#include "data/document.h"
#include "infer/generate.h"
#include "token/tokenizer.h"

extern const struct command cmd_generate;

struct options {
	struct common common;
	const char *adapter, *prompt, *prompt_file, *system;
	bool raw;
	int64_t max_new_tokens, top_k, seed;
	double temperature, top_p;
	struct opt_list stop;
	const char *compute;
};

static const struct opt generate_opts[] = {
	OPT_GROUP("Prompt"),
	{ OPT_TYPE_STRING, "prompt", "p", offsetof(struct options, prompt), NULL, 0, 0, NULL, "TEXT", "what is asked; - reads standard input" },
	OPT_STRING("prompt-file", struct options, prompt_file, NULL, "FILE", "the same, from a file, its bytes as they are"),
	OPT_STRING("system", struct options, system, NULL, "TEXT", "the system's turn before it"),
	OPT_FLAG("raw", struct options, raw, "false", "no chat template: the text is continued as it is"),
	ADAPTER_OPT(struct options, adapter),
	OPT_GROUP("Answer"),
	OPT_INT("max-new-tokens", struct options, max_new_tokens, "256", 1, 1 << 24, "longest answer"),
	OPT_FLOAT("temperature", struct options, temperature, "0", 0, 100, "0: always the likeliest token; 1: as the model says"),
	OPT_INT("top-k", struct options, top_k, "0", 0, 1 << 24, "only the K likeliest tokens; 0: all"),
	OPT_FLOAT("top-p", struct options, top_p, "1", 0, 1, "only the likeliest tokens that together reach this share"),
	OPT_INT("seed", struct options, seed, "42", 0, 9007199254740991.0, "of the draws"),
	OPT_LIST("stop", struct options, stop, "TEXT", "ends the answer, is not part of it; may be repeated"),
	OPT_CHOICE("compute", struct options, compute, "f32", "f32", "arithmetic"),
	COMMON_OPTS(struct options, common),
	OPT_END
};

/* --- the prompt --- */

static int read_prompt(const struct options *o, struct buf *text, struct err *e)
{
	bool is_input = o->prompt && !strcmp(o->prompt, "-");
	const char *path = is_input ? "-" : o->prompt_file;
	size_t bad;

	if (path && io_read(text, path, e) < 0)
		return -1;
	if (!path)
		buf_adds(text, o->prompt);
	if (!utf8_valid(buf_str(text), text->len, &bad))
		return err_set(e, "%s: not UTF-8: the byte at offset %zu", is_input ? "standard input" : path ? path : "--prompt", bad);
	if (o->system && !utf8_valid(o->system, strlen(o->system), &bad))
		return err_set(e, "--system: not UTF-8: the byte at offset %zu", bad);
	return 0;
}

static int encode_raw(const struct tokenizer *t, const struct buf *text, struct tokens *ids, struct err *e)
{
	if (tokenizer_add_bos(t) && tokenizer_bos(t) >= 0)
		tokens_add(ids, tokenizer_bos(t));
	if (tokenizer_encode(t, buf_str(text), text->len, TOKENIZE_SPECIAL, ids, e) < 0)
		return err_prefix(e, "the prompt");
	return 0;
}

static int encode_chat(const struct loaded *l, const char *system, const struct buf *text, struct tokens *ids, struct err *e)
{
	struct text_codec codec = { l->model.tokenizer, l->chat };
	struct buf rendered = BUF_INIT;
	json_t *messages = json_array();

	if (system)
		json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
	json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "user", "content", json_stringn(buf_str(text), text->len)));
	int status = chat_prompt(&codec, messages, ids, &rendered, e);
	json_decref(messages);
	buf_release(&rendered);
	return status;
}

static int make_prompt(const struct options *o, struct loaded *l, struct tokens *ids, struct err *e)
{
	struct buf text = BUF_INIT;
	bool raw = o->raw;
	int status = read_prompt(o, &text, e);

	if (status == 0 && !raw)
		status = loaded_chat(l, e);
	if (status == 0 && !raw && !l->chat) {
		log_say("%s has no chat template: the prompt is continued as it is", l->model.source.path);
		raw = true;
	}
	if (status == 0 && raw && o->system)
		status = err_set(e, "--system wants a chat template, %s", o->raw ? "which --raw turns off" : "which this model does not have");
	if (status == 0)
		status = raw ? encode_raw(l->model.tokenizer, &text, ids, e) : encode_chat(l, o->system, &text, ids, e);
	if (status == 0 && ids->n == 0)
		status = err_set(e, "the prompt is empty, and this model has no token to begin with");
	buf_release(&text);
	return status;
}

/* --- the answer --- */

static int show_text(void *ctx, const char *text, size_t n)
{
	(void)ctx;
	app_print("%.*s", (int)n, text);
	return 0;
}

static void show_end(const struct generation *g, size_t n_prompt)
{
	char prompt[32], all[32];

	if (g->text.len == 0 || g->text.data[g->text.len - 1] != '\n')
		app_print("\n");
	clock_human(g->prompt_seconds, prompt);
	clock_human(g->prompt_seconds + g->seconds, all);
	log_say("%zu tokens of prompt in %s; %zu new ones, %.1f tokens/s; %s in all; %s", n_prompt, prompt, g->ids.n, generation_rate(g), all,
	        g->finish == FINISH_STOP ? "ended by itself" : g->context_full ? "the context is full" : "cut at --max-new-tokens");
}

static void put_result(const struct generation *g, const struct tokens *prompt, int limit)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < g->ids.n; i++)
		json_array_append_new(ids, json_integer(g->ids.id[i]));
	json_t *j = json_pack("{s:o, s:o, s:s, s:I, s:I}", "text", json_stringn(buf_str(&g->text), g->text.len), "ids", ids, "finish_reason",
	                      finish_name(g->finish), "prompt_tokens", (json_int_t)prompt->n, "new_tokens", (json_int_t)g->ids.n);
	json_object_set_new(j, "context", json_integer(limit));
	json_object_set_new(j, "seconds", json_real(g->prompt_seconds + g->seconds));
	json_object_set_new(j, "prompt_seconds", json_real(g->prompt_seconds));
	json_object_set_new(j, "prompt_tokens_per_second", jsonx_number((double)prompt->n / g->prompt_seconds));
	json_object_set_new(j, "tokens_per_second", jsonx_number(generation_rate(g)));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	app_json(j);
	json_decref(j);
}

static int answer(struct app *app, const struct options *o, struct loaded *l, struct session *s, const struct tokens *prompt, struct err *e)
{
	struct sampler sampler = { .temperature = o->temperature, .top_k = (int)o->top_k, .top_p = o->top_p, .seed = (uint64_t)o->seed };
	struct generate_options g = {
		.stop = o->stop.items, .n_stop = o->stop.n, .max_new_tokens = (size_t)o->max_new_tokens, .sampler = &sampler,
		.emit = app->json ? NULL : show_text,
	};
	struct generation result;

	sampler_init(&sampler, (size_t)l->model.config.V);
	generate_ends(&l->model, &g.end);
	int status = generate(s, l->model.tokenizer, prompt->id, prompt->n, &g, &result, e);
	if (status == 0 && app->json)
		put_result(&result, prompt, session_limit(s));
	else if (status == 0)
		show_end(&result, prompt->n);
	if (result.context_full)
		log_warn("the answer was cut: the context of %d tokens is full, %zu of the prompt and %zu of the answer", session_limit(s), prompt->n, result.ids.n);
	generation_release(&result);
	tokens_release(&g.end);
	sampler_release(&sampler);
	return status;
}

static int converse(struct app *app, const struct options *o, struct loaded *l, struct err *e)
{
	struct tokens prompt = { 0 };
	struct session *s = NULL;
	int status = make_prompt(o, l, &prompt, e);
	size_t limit = (size_t)l->model.config.n_ctx;

	if (status == 0 && prompt.n >= limit)
		status = err_set(e, "the prompt has %zu tokens, the model's context holds %zu: there is no room for an answer", prompt.n, limit);
	if (status == 0)
		status = session_new(&s, &l->model, loaded_adapter(l), app->pool, app->kernels, (int)MIN(limit, prompt.n + (size_t)o->max_new_tokens), e);
	if (status == 0)
		status = answer(app, o, l, s, &prompt, e);
	session_free(s);
	tokens_release(&prompt);
	return status;
}

static int run(struct app *app)
{
	struct options o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	struct loaded l;
	int status = model_begin(app, &cmd_generate, &o, &p, 1, "one model");

	if (status)
		return status - 1;
	if (!o.prompt == !o.prompt_file) {
		status = app_usage(&cmd_generate, "one prompt was wanted: -p TEXT, -p - (standard input) or --prompt-file FILE");
	} else if (loaded_open(&l, p.positional[0], o.adapter, &e) < 0) {
		status = app_fail(&e);
	} else {
		status = converse(app, &o, &l, &e) < 0 ? app_fail(&e) : EXIT_DONE;
		loaded_close(&l);
	}
	opt_release(&p);
	return status;
}

const struct command cmd_generate = {
	.name = "generate",
	.summary = "the model's answer to a prompt",
	.usage = "MODEL -p TEXT [--adapter DIR] [options]",
	.example = "kungfu generate model.gguf -p \"What is a kernel?\"",
	.order = 20,
	.opts = generate_opts,
	.run = run,
};
