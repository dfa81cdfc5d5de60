/* score: the log-probability of every token of a text.
 *
 * The text is a file's bytes as they are; text of special tokens counts as those, as transformers reads it. A BOS goes
 * before it only where the model's tokenizer adds one; it is no line of the result. With --ids the file has the tokens'
 * numbers instead, nothing is added, and no tokenizer is needed. What is longer than the window is scored in windows
 * (eval/window.h). An instruction and examples may stand before the text, in the same window; nothing of them is a
 * line of the result. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/adapted_options.h"
#include "cmd/in_context.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/scoring.h"
#include "cmd/token_view.h"
#include "eval/window.h"
#include "token/tokenizer.h"

extern const struct command cmd_score;

#define WANTED "a model and a file (or - for standard input), or --ids FILE, were wanted"
#define LINE_SECONDS 2.5e-6             /* of writing a token's line; past runs say better */

struct score {
	struct common common;
	const char *adapter, *ids;
	int64_t window, stride, micro_batch_tokens;
	struct in_context_options context;
	const char *compute;
	struct four_bit_options four_bit;
};

static const struct opt score_opts[] = {
	ADAPTER_OPT(struct score, adapter),
	OPT_STRING("ids", struct score, ids, NULL, "FILE",
	           "score token ids instead of a text: numbers apart by white space (-: standard input); nothing is "
	           "added"),
	IN_CONTEXT_OPTS(struct score, context, ""),
	OPT_GROUP("How"),
	OPT_INT("window", struct score, window, NULL, 2, 1 << 20,
	        "a longer text is scored in windows of N tokens (default: the model's context)"),
	OPT_INT("stride", struct score, stride, NULL, 1, 1 << 20,
	        "a window begins every N tokens and scores what none before it did (default: half of the window)"),
	OPT_INT("micro-batch-tokens", struct score, micro_batch_tokens, "1024", 2, 1 << 22, "tokens computed at once"),
	COMPUTE_OPT(struct score, compute, "f32"),
	FOUR_BIT_OPTS(struct score, four_bit),
	COMMON_OPTS(struct score, common),
	OPT_END
};

struct scored {
	struct tokens ids;
	size_t n_bos;              /* tokens before the text: a BOS as a rule, and what stands before it */
	double added_tokens;       /* of these, what stands before it; NAN: nothing does */
	float *logprob;            /* [ids.n], NAN where nothing was scored */
	int32_t window, stride;
	size_t n_windows, n_scored;
	double sum, seconds, operations, int_ops, joules;
};

/* --- scoring --- */

static const char *name_of(const char *path) { return path[0] == '-' && !path[1] ? "standard input" : path; }

/* What stands before the text. */
static int read_context(struct app *app, const struct score *o, struct loaded *l, const struct buf *text,
                        struct buf *before, struct err *e)
{
	struct in_context c;
	struct fewshot *f = NULL;
	json_t *prompt = json_pack("{s:o}", "prompt", jsonx_text(buf_str(text), text->len));
	const struct row row = { prompt, "the text", 1 };
	int status = in_context_open(&c, &o->context, app, l, false, true, e);

	if (status == 0)
		status = in_context_make(&c, 0, 0, NULL, &f, e);
	if (status == 0)
		status = fewshot_text(f, &row, before, e);
	fewshot_free(f);
	in_context_close(&c);
	json_decref(prompt);
	return status;
}

/* Tokens of what stands before and of the text after it: those of both together, unless that makes others of the
 * first. */
static int encode_after(const struct tokenizer *t, const struct buf *before, const struct buf *text, struct scored *s,
                        struct err *e)
{
	struct buf both = BUF_INIT;
	struct tokens alone = { 0 }, whole = { 0 };

	buf_add(&both, buf_str(before), before->len);
	buf_add(&both, buf_str(text), text->len);
	int status = tokenizer_encode(t, buf_str(before), before->len, TOKENIZE_SPECIAL, &alone, e);
	if (status == 0)
		status = tokenizer_encode(t, buf_str(&both), both.len, TOKENIZE_SPECIAL, &whole, e);
	bool joined = status == 0 && whole.n >= alone.n &&
	              (!alone.n || !memcmp(whole.id, alone.id, alone.n * sizeof(*alone.id)));
	const struct tokens *put = joined ? &whole : &alone;
	for (size_t i = 0; i < put->n && status == 0; i++)
		tokens_add(&s->ids, put->id[i]);
	s->added_tokens = (double)alone.n;
	if (status == 0 && !joined)
		status = tokenizer_encode(t, buf_str(text), text->len, TOKENIZE_SPECIAL, &s->ids, e);
	s->n_bos += alone.n;
	tokens_release(&alone);
	tokens_release(&whole);
	buf_release(&both);
	return status;
}

static int read_text(struct app *app, const struct score *o, struct loaded *l, const char *path, struct scored *s,
                     struct err *e)
{
	struct buf text = BUF_INIT, before = BUF_INIT;
	const struct tokenizer *t = l->model.tokenizer;
	const char *name = name_of(path);
	bool context = in_context_wanted(&o->context);
	int status = io_read(&text, path, e);

	if (status == 0)
		tokenizer_begin(t, &s->ids);
	s->n_bos = s->ids.n;
	if (status == 0 && context)
		status = read_context(app, o, l, &text, &before, e);
	if (status == 0 && context && encode_after(t, &before, &text, s, e) < 0)
		status = err_prefix(e, "%s", name);
	if (status == 0 && !context && tokenizer_encode(t, buf_str(&text), text.len, TOKENIZE_SPECIAL, &s->ids, e) < 0)
		status = err_prefix(e, "%s", name);
	if (status == 0 && s->ids.n == s->n_bos)
		status = err_set(e, "%s is empty: there is nothing to score", name);
	if (status == 0 && context && s->ids.n > (size_t)s->window)
		status = err_set(e, "%s has %zu tokens with what stands before it, the window holds %d", name, s->ids.n,
		                 s->window);
	buf_release(&text);
	buf_release(&before);
	return status;
}

/* Nothing of what stands before the text is scored. */
static void leave_context(struct windows *w, const struct scored *s)
{
	for (size_t i = 1; !isnan(s->added_tokens) && i < s->n_bos; i++) {
		w->items[0].n_learn -= w->items[0].learn[i];
		w->scored -= w->items[0].learn[i];
		w->items[0].learn[i] = 0;
	}
}

/* The word of n bytes at `at` as an id below V, −1: it is none. */
static int32_t id_of(const char *at, size_t n, int V)
{
	int64_t id = 0;

	for (size_t i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9' || id >= V)
			return -1;
		id = 10 * id + (at[i] - '0');
	}
	return id < V ? (int32_t)id : -1;
}

static int parse_ids(const struct buf *text, int V, const char *name, struct tokens *ids, struct err *e)
{
	const char *at = buf_str(text), *end = at + text->len;
	size_t line = 1;

	for (;;) {
		for (; at < end && isspace((unsigned char)*at); at++)
			line += *at == '\n';
		if (at == end)
			return ids->n ? 0 : err_set(e, "%s holds no ids: there is nothing to score", name);
		size_t n = 0;
		while (at + n < end && !isspace((unsigned char)at[n]))
			n++;
		int32_t id = id_of(at, n, V);
		if (id < 0) {
			json_t *word = jsonx_text(at, MIN(n, (size_t)40));
			err_set(e, "%s: id %zu, in line %zu, is \"%s\"; the model's are 0 to %d", name, ids->n + 1,
			        line, json_string_value(word), V - 1);
			json_decref(word);
			return -1;
		}
		tokens_add(ids, id);
		at += n;
	}
}

/* Text stands beside the ids where the model has a tokenizer. */
static int read_ids(struct loaded *l, const char *path, struct scored *s, struct err *e)
{
	struct buf text = BUF_INIT;
	struct err why = ERR_INIT;
	int status = io_read(&text, path, e);

	if (status == 0)
		status = parse_ids(&text, l->model.config.V, name_of(path), &s->ids, e);
	if (status == 0 && loaded_has_text(l) && loaded_text(l, &why) < 0)
		log_warn("ids without their text: %s", why.msg);
	buf_release(&text);
	return status;
}

static int score_windows(struct app *app, const struct loaded *l, struct scorer *scorer, const struct windows *w,
                         struct scored *s, struct err *e)
{
	const struct document **docs = mem_array(w->n, sizeof(*docs));
	float **each = mem_array(w->n, sizeof(*each));
	double *sum = mem_array(w->n, sizeof(*sum));
	struct scoring scoring = { .docs = docs, .n = w->n, .unit = "window" };
	struct meter_span span;
	struct gas gas;
	const struct scoring_plan plan = { .command = "score", .phase = "scoring", .what = "activations",
		                           .writing = (double)s->ids.n * LINE_SECONDS };

	for (size_t i = 0; i < w->n; i++) {
		docs[i] = &w->items[i];
		each[i] = s->logprob + w->begin[i];
	}
	int status = scoring_planned(&scoring, app, l, scorer, &plan, e);
	metering_phase("score");
	scoring_begin(&scoring);
	metering_open_span(&span);
	if (status == 0)
		status = scorer_run(scorer, docs, w->n, false, sum, each, scoring_progress, &scoring, e);
	metering_read_span(&span, &gas);
	s->joules = gas.energy.joules;
	for (size_t i = 0; i < w->n; i++)
		s->sum += sum[i];
	mem_free(docs);
	mem_free(each);
	mem_free(sum);
	return status;
}

static int set_windows(const struct score *o, const struct loaded *l, struct scored *s, struct err *e)
{
	int32_t most = overlays_context(loaded_overlay(l), &l->model);

	if (o->window != OPT_UNSET_INT && o->window > most)
		return err_set(e, "--window %lld: the model has %d positions%s", (long long)o->window, most,
		               loaded_virtual(l));
	s->window = o->window == OPT_UNSET_INT ? most : (int32_t)o->window;
	s->stride = o->stride == OPT_UNSET_INT ? MAX(s->window / 2, 1) : (int32_t)MIN(o->stride, (int64_t)INT32_MAX);
	if (s->stride > s->window)
		return err_set(
			e, "--stride %d is longer than the window of %d tokens: the tokens between would not be scored",
			s->stride, s->window);
	return 0;
}

static int score_text(struct app *app, const struct score *o, struct loaded *l, struct scored *s, struct err *e)
{
	struct windows w = { 0 };
	struct scorer *scorer;
	int32_t longest = (int32_t)MIN(s->ids.n, (size_t)s->window);
	struct scorer_options so = { .max_tokens = (int32_t)o->micro_batch_tokens, .max_length = longest };
	double began = clock_seconds();

	s->logprob = mem_array(s->ids.n, sizeof(*s->logprob));
	for (size_t i = 0; i < s->ids.n; i++)
		s->logprob[i] = NAN;
	windows_add(&w, s->ids.id, s->ids.n, s->window, s->stride, "the text", 1);
	leave_context(&w, s);
	s->n_windows = w.n;
	s->n_scored = w.scored;
	int status = w.scored ? scorer_new(&scorer, &l->model, loaded_overlay(l), app->device, &so, e) :
	                        err_set(e, "the text is one token, and nothing is predicted: nothing stands before it");
	if (status == 0) {
		status = score_windows(app, l, scorer, &w, s, e);
		s->operations = scorer_flops(scorer);
		s->int_ops = scorer_int_ops(scorer);
		scorer_free(scorer);
	}
	windows_release(&w);
	s->seconds = clock_seconds() - began;
	return status;
}

/* --- showing --- */

static void show_token(const struct app *app, const struct tokenizer *t, size_t at, int32_t id, float logprob)
{
	json_t *text = t ? token_string(t, id) : json_null();
	if (app->json) {
		json_t *line = json_pack("{s:i, s:O, s:o}", "id", id, "token", text, "logprob", jsonx_number(logprob));
		app_json(line);
		json_decref(line);
	} else {
		char *quoted = t ? jsonx_line(text) : mem_printf("-"); /* line ends and the like made visible */
		if (isnan(logprob))
			app_print("%7zu %7d         -  %s\n", at, id, quoted);
		else
			app_print("%7zu %7d %9.4f  %s\n", at, id, logprob, quoted);
		mem_free(quoted);
	}
	json_decref(text);
}

static void summarize(const struct app *app, const struct scored *s)
{
	size_t n = s->ids.n - s->n_bos;
	double perplexity = s->n_scored ? exp(-s->sum / (double)s->n_scored) : NAN;
	char time[32];

	metering_count((int64_t)n, 0, (int64_t)s->n_scored, s->operations, s->int_ops);
	json_t *j =
		json_pack("{s:I, s:I, s:o, s:o, s:i, s:i, s:I, s:f, s:f}", "tokens", (json_int_t)n, "scored_tokens",
	                  (json_int_t)s->n_scored, "logprob_sum", jsonx_number(s->sum), "perplexity",
	                  jsonx_number(perplexity), "window", s->window, "stride", s->stride, "windows",
	                  (json_int_t)s->n_windows, "seconds", s->seconds, "tokens_per_second", (double)n / s->seconds);
	double joules = s->joules * s->added_tokens / (double)s->ids.n;
	if (!isnan(s->added_tokens)) {
		json_object_set_new(j, "added_tokens", jsonx_number(s->added_tokens));
		json_object_set_new(j, "added_joules", jsonx_number(joules));
	}
	app_summary(app, j);
	if (app->json)
		return;
	clock_human(s->seconds, time);
	if (!isnan(s->added_tokens))
		app_print("what stands before the text adds %.0f tokens to it, %.3g J\n", s->added_tokens, joules);
	app_print("%zu tokens, %zu scored, log-probability %.4f, perplexity %.4f, %s, %.0f tokens/s\n", n, s->n_scored,
	          s->sum, perplexity, time, (double)n / s->seconds);
	if (s->n_windows > 1)
		app_print("%zu windows of %d tokens, one every %d\n", s->n_windows, s->window, s->stride);
}

/* path: of a text, NULL with --ids. */
static int score_file(struct app *app, const struct score *o, const char *model, const char *path, struct scored *s,
                      struct err *e)
{
	struct loaded l;

	if (loaded_open_4bit(&l, app, &o->four_bit, model, o->adapter, e) < 0)
		return -1;
	int status = model_want_causal(&l.model, e);
	if (status == 0)
		status = model_compute(app, &l.model, o->compute, PREPARE_SCORE, e);
	if (status == 0)
		status = set_windows(o, &l, s, e);
	if (status == 0 && path)
		status = loaded_text(&l, e) < 0 ? -1 : read_text(app, o, &l, path, s, e);
	else if (status == 0)
		status = read_ids(&l, o->ids, s, e);
	if (status == 0)
		status = score_text(app, o, &l, s, e);
	if (status == 0) {
		log_live_end();
		if (!app->json)
			app_print("  token      id   log p  text\n");
		for (size_t i = s->n_bos; i < s->ids.n; i++)
			show_token(app, l.model.tokenizer, i - s->n_bos, s->ids.id[i], s->logprob[i]);
		summarize(app, s);
	}
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct score *o = options;
	struct scored s = { .added_tokens = NAN };
	struct adapted_options left = { 0 };
	const struct adapted_places places = { o->ids ? NULL : &o->context, NULL, NULL };

	if (o->ids && in_context_wanted(&o->context))
		return app_usage(&cmd_score, "an instruction and examples stand before a text, --ids has none");
	if (o->context.instruction.n > 1)
		return app_usage(&cmd_score, "one --instruction stands before a text; eval compares several");
	if (in_context_contradiction(&o->context))
		return app_usage(&cmd_score, "%s", in_context_contradiction(&o->context));
	if (!o->ids == (p->n_positional < 2))
		return app_usage(&cmd_score, "%s", o->ids ? "--ids FILE stands instead of a file of text" : WANTED);
	app_catch_signals();
	int status = adapted_options_take(&left, p->positional[0], &places, e);
	if (status == 0)
		status = score_file(app, o, p->positional[0], o->ids ? NULL : p->positional[1], &s, e);

	adapted_options_release(&left);
	tokens_release(&s.ids);
	mem_free(s.logprob);
	return status;
}

const struct command cmd_score = {
	.name = "score",
	.summary = "the log-probability of every token of a text",
	.usage = "MODEL FILE|- [--adapter DIR] [options], or MODEL --ids FILE",
	.example = "kungfu score model.gguf text.txt",
	.brief = "how likely each token is",
	.plans = true,
	.order = 30,
	.opts = score_opts,
	.options_size = sizeof(struct score),
	.least = 1, .most = 2, .wanted = WANTED,
	.run = run,
};
