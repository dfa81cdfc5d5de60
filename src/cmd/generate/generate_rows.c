/* generate_rows: --prompt-file rows.jsonl --out answers.jsonl. Rows are answered beside each other and written in their
 * order; each has its row's number as its stream of random numbers, so the answers do not depend on what was beside
 * them, nor on where the command was killed. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "cmd/generate/answer_file.h"
#include "cmd/metering.h"
#include "cmd/generate/generate_parts.h"

struct answering {
	struct app *app;
	struct generate_command *o;
	struct rows rows;
	struct rows sourced;           /* the same with their sources */
	char sources_hash[33];         /* of which they are */
	struct sources sources;
	struct loaded *l;
	struct citations_how how;
	struct answer_gas gas;         /* of all rows that are answered now */
	double reading, writing;       /* seconds of answers, beside each other */
	struct rows made;              /* and with what stands before them */
	struct tokens *ids;            /* [rows.n] */
	int *adapter;                  /* [rows.n] see batcher_request */
	struct answer_file file;
	size_t first;                  /* rows that were answered before */
	char **said;                   /* [rows.n] what a cascade's learner said of it; NULL: the model answers */
	size_t *todo, n_todo;          /* rows that the model answers, from first on */
	size_t samples;                /* answers a row, of which the most count */
	struct extract *extract;       /* of several, or NULL */
	struct generation *waiting;    /* [rows.n][samples] answers of rows that others are waited for */
	size_t *n_taken;               /* [rows.n] answers that came */
	double agreement;              /* sum over the rows that were answered now */
	struct metering_request **requests; /* [rows.n][samples] */
	double operations, int_ops;
	size_t done, tokens, prompt_tokens, kept;
	double began;
};

/* --- what was asked for --- */

/* Options that say how, not what: how many at once, where to. The common ones, which come last, do too. */
static bool decides(const struct opt *o)
{
	static const char *const how[] = { "prompt",        "prompt-file",  "out",   "parallel",         "adapter", "n",
		                           "show-logprobs", "top-logprobs", "color", "self-consistency", "extract" };
	for (size_t i = 0; i < ARRAY_LEN(how); i++)
		if (!strcmp(how[i], o->name))
			return false;
	return true;
}

/* context: something stands before the rows; documents: sources do; else the options of that say nothing. */
static json_t *deciding_options(const struct opt_parse *p, bool context, bool documents)
{
	json_t *all = opt_record(p), *some = json_object();
	const char *group = "";

	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		group = o->type == OPT_TYPE_GROUP ? o->name : group;
		if (!strcmp(group, "Common"))
			break;
		if (o->type == OPT_TYPE_GROUP || !decides(o) || (!context && !strcmp(group, IN_CONTEXT_GROUP)) ||
		    (!documents && !strcmp(group, SOURCES_GROUP)))
			continue;
		char *key = mem_strdup(o->name);
		for (char *at = key; *at; at++)
			*at = *at == '-' ? '_' : *at;
		json_object_set(some, key, json_object_get(all, key));
		mem_free(key);
	}
	json_decref(all);
	return some;
}

/* Of named ones: of all their names and hashes. */
static int adapters_hash(const struct named_adapters *a, char hex[33], struct err *e)
{
	struct buf all = BUF_INIT;
	int status = 0;

	if (!a->named)
		return a->n ? adapter_hash(a->paths[0], hex, e) : 0;
	for (size_t i = 0; i < a->n && status == 0; i++) {
		status = adapter_hash(a->paths[i], hex, e);
		buf_addf(&all, "%s=%s\n", a->names[i], hex);
	}
	if (status == 0)
		hash_hex(all.data, all.len, hex);
	buf_release(&all);
	return status;
}

static json_t *describe(const struct answering *w, const struct opt_parse *p, const struct loaded *l, struct err *e)
{
	char model[33] = "", adapter[33] = "";
	bool context = in_context_wanted(&w->o->context);

	if (source_hash(&l->model.source, model, e) < 0 || adapters_hash(&w->o->adapters, adapter, e) < 0)
		return NULL;
	json_t *asked = json_pack("{s:i, s:s, s:s, s:s, s:o}", "format", 1, "rows", w->rows.hash, "model", model,
	                          "adapter", adapter, "options",
	                          deciding_options(p, context, sources_wanted(&w->o->documents)));
	if (w->o->first)
		json_object_set_new(asked, "cascade", json_pack("[o, f]", generate_learner_hash(w->o->first, e),
		                                                w->o->first_least));
	if (w->samples > 1)
		json_object_set_new(asked, "votes", json_pack("{s:I, s:s}", "self_consistency", w->o->self_consistency,
		                                              "extract", w->o->extract ? w->o->extract : "whole"));
	if (w->sources_hash[0])
		json_object_set_new(asked, "sources", json_string(w->sources_hash));
	if (w->o->context.num)
		json_object_set_new(asked, "examples", json_string(w->o->placed.context.examples.hash));
	if (w->o->context.prompt)
		json_object_set(asked, "fewshot_prompt", w->o->placed.context.saved);
	return asked;
}

enum { PRICED_ROWS = 100 };

/* The rows with what stands before them; of the first ones, what they are without. */
static int place_context(struct answering *w, const struct rows *rows, const struct text_codec *codec,
                         const struct prompt_options *how, struct err *e)
{
	struct columns seen = { 0 };
	size_t n = MIN(rows->n, (size_t)PRICED_ROWS);
	int status = fewshot_apply(w->o->placed.fewshot, rows, &w->made, e);

	generate_context_stop(w->o, how->raw);
	w->o->placed.added_tokens = 0;
	for (size_t i = 0; i < n && status == 0; i++) {
		struct tokens alone = { 0 }, with = { 0 };
		status = prompt_encode_row(codec, &rows->items[i], how, &alone, &seen, e);
		if (status == 0)
			status = prompt_encode_row(codec, &w->made.items[i], how, &with, &seen, e);
		w->o->placed.added_tokens += ((double)with.n - (double)alone.n) / (double)n;
		tokens_release(&alone);
		tokens_release(&with);
	}
	columns_release(&seen);
	return status;
}

/* The rows with their sources, which are told in each answered row as `sources`. */
static int place_sources(struct answering *w, struct loaded *l, struct err *e)
{
	json_t **found = mem_array(w->rows.n + 1, sizeof(json_t *));
	struct meter_span span;

	metering_open_span(&span);
	int status = sources_open(&w->sources, &w->o->documents, w->app, l->model.tokenizer, false, e);
	metering_phase("retrieve");
	if (status == 0)
		status = sources_rows(&w->sources, &w->rows, &w->sourced, found, e);
	answer_gas_add(&w->gas, PART_RETRIEVAL, &span);
	struct hash_stream *h = hash_begin();
	for (size_t i = 0; i < w->rows.n; i++)
		if (found[i]) {
			char *line = jsonx_line(found[i]);
			hash_add(h, line, strlen(line) + 1);
			mem_free(line);
			json_object_set_new(w->rows.items[i].json, "sources", found[i]);
		}
	hash_end(h, w->sources_hash);
	mem_free(found);
	return status;
}

static int encode_rows(struct answering *w, struct loaded *l, struct err *e)
{
	bool turns = w->o->raw_unless_turns && w->rows.n && json_object_get(w->rows.items[0].json, "messages");
	struct prompt_options how = { .system = w->o->system, .raw = w->o->raw && !turns };
	size_t limit = (size_t)overlays_context(loaded_overlay(l), &l->model);

	if (loaded_prompts(l, &how, e) < 0 || generate_context_open(&w->o->placed, w->app, w->o, l, &how, e) < 0)
		return -1;
	struct text_codec codec = { l->model.tokenizer, l->chat };
	struct columns seen = { 0 };
	w->how = (struct citations_how){ .prompt = how };
	bool documents = sources_wanted(&w->o->documents);
	int status = documents ? place_sources(w, l, e) : 0;
	if (w->o->documents.citations && w->o->adapters.named)
		status = err_set(e, "--citations: of rows that name their adapters there are none");
	const struct rows *asked = documents ? &w->sourced : &w->rows;
	if (status == 0 && w->o->placed.fewshot) {
		status = place_context(w, asked, &codec, &how, e);
		asked = &w->made;
	}
	for (size_t i = 0; i < w->rows.n && status == 0; i++) {
		const struct row *r = &asked->items[i];
		if ((status = stop_look(e, "prompts were read")) < 0)
			break;
		status = prompt_encode_row(&codec, r, &how, &w->ids[i], &seen, e);
		if (status < 0)
			err_prefix(e, "%s:%zu", r->file, r->line);
		else if ((status = generate_row_adapter(&w->o->adapters, &w->rows.items[i], &w->adapter[i], e)) == 0 &&
		         w->ids[i].n >= limit)
			status = err_set(e,
			                 "%s:%zu: the prompt has %zu tokens, the model's context holds %zu%s: there "
			                 "is no room for an answer",
			                 r->file, r->line, w->ids[i].n, limit, loaded_virtual(l));
	}
	if (status == 0)
		columns_warn(&seen);
	columns_release(&seen);
	return status;
}

/* --- answering --- */

/* Of the i-th answer that is asked for, among those of all rows. */
static size_t place_of(const struct answering *w, int64_t i)
{
	return w->todo[(size_t)i / w->samples] * w->samples + (size_t)i % w->samples;
}

static void begun(void *ctx, int64_t i)
{
	struct answering *w = ctx;
	w->requests[place_of(w, i)] = metering_request_open();
}

/* Which of a row's answers counts, and the share that says the same. */
static const struct generation *choose(struct answering *w, size_t row, double *agreement)
{
	const struct generation *all = w->waiting + row * w->samples;
	char **said = mem_array(w->samples, sizeof(*said));
	struct buf text = BUF_INIT;

	*agreement = 1;
	for (size_t i = 0; i < w->samples && w->extract; i++) {
		buf_clear(&text);
		if (extract_answer(w->extract, buf_str(&all[i].text), all[i].text.len, &text))
			said[i] = mem_strndup(buf_str(&text), text.len);
	}
	struct vote best = vote(said, w->samples);
	if (w->extract)
		*agreement = (double)best.votes / (double)w->samples;
	for (size_t i = 0; i < w->samples; i++)
		mem_free(said[i]);
	mem_free(said);
	buf_release(&text);
	return &all[best.first];
}

/* --citations: the row gets them, and `supported`. */
static int cite(struct answering *w, size_t row, const struct generation *g, struct err *e)
{
	size_t n = sources_kept(&w->sources, row);
	struct tokens *prompts = mem_array(n + 1, sizeof(*prompts));
	json_t *json = w->rows.items[row].json;
	struct grounding grounding = { 0 };
	struct meter_span span;

	metering_open_span(&span);
	int status = citations_encode(&w->sources, w->l, &w->rows.items[row], row, &w->how, prompts, n, e);
	prompts[0] = w->ids[row];
	if (status == 0)
		status = citations_measure(&grounding, &w->l->model, loaded_overlay(w->l), w->app->device, prompts, n,
		                           &g->ids, e);
	if (status == 0)
		citations_put(&grounding, &w->o->documents, json_object_get(json, "sources"), json);
	w->operations += grounding.flops + grounding.int_ops;
	w->int_ops += grounding.int_ops;
	answer_gas_add(&w->gas, PART_CITATIONS, &span);
	for (size_t i = 1; i <= n; i++)
		tokens_release(&prompts[i]);
	citations_release(&grounding);
	mem_free(prompts);
	return status;
}

/* The next rows whose answers are all there. */
static int write_rows(struct answering *w, struct err *e)
{
	int status = 0;

	while (status == 0 && w->file.n < w->rows.n && w->n_taken[w->file.n] == w->samples) {
		size_t row = w->file.n;
		double agreement;
		const struct generation *g = choose(w, row, &agreement);
		if (w->o->documents.citations && !w->said[row])
			status = cite(w, row, g, e);
		if (status == 0)
			status = answer_file_add(&w->file, &w->rows, g, agreement, e);
		w->agreement += agreement;
		w->n_taken[row] = 0;
		for (size_t i = 0; i < w->samples; i++)
			generation_release(&w->waiting[row * w->samples + i]);
	}
	return status;
}

static int guard_answer(struct answering *w, size_t row, struct generation *g, struct err *e)
{
	const struct row *r = &w->rows.items[row];
	char *where = mem_printf("the answer to %s:%zu", r->file, r->line);
	int status = guarding_answer(&w->o->guarding, where, g, e);

	mem_free(where);
	return status;
}

/* An answer came: its row and those that waited for it are written where it was the last. */
static int take(void *ctx, int64_t answered, struct generation *g, struct err *e)
{
	struct answering *w = ctx;
	size_t at = place_of(w, answered), row = at / w->samples;

	w->operations += g->flops + g->int_ops;
	w->int_ops += g->int_ops;
	w->kept += g->kept;
	w->reading += g->prompt_seconds;
	w->writing += g->seconds;
	metering_request_close(w->requests[at],
	                       &(struct request_counts){ (int64_t)row, (int64_t)w->ids[row].n, (int64_t)g->ids.n,
	                                                 g->flops, g->int_ops, g->share },
	                       NULL);
	w->requests[at] = NULL;
	if (guard_answer(w, row, g, e) < 0)
		return -1;
	w->waiting[at] = *g;
	*g = (struct generation){ 0 };
	if (++w->n_taken[row] == w->samples)
		w->done++;
	return write_rows(w, e);
}

static int tell(void *ctx, size_t tokens)
{
	struct answering *w = ctx;
	double seconds = clock_seconds() - w->began;
	char left[32] = "?";

	w->tokens = tokens;
	if (w->done)
		clock_human(seconds / (double)w->done * (double)(w->n_todo - w->done), left);
	if (seconds > 1)
		log_live("%zu of %zu rows, %.1f tokens/s, %s left  %s", w->rows.n - w->n_todo + w->done, w->rows.n,
		         (double)tokens / seconds, left, metering_live());
	metering_tick();
	return app_interrupted();
}

static void put_summary(const struct answering *w, bool whole)
{
	double seconds = clock_seconds() - w->began;
	json_t *j = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:f}", "out", jsonx_path(w->o->out), "rows",
	                      (json_int_t)w->rows.n, "answered", (json_int_t)w->file.n, "kept", (json_int_t)w->first,
	                      "prompt_tokens", (json_int_t)w->prompt_tokens, "new_tokens", (json_int_t)w->tokens,
	                      "seconds", seconds);

	json_object_set_new(j, "computed_tokens", json_integer((json_int_t)(w->prompt_tokens - w->kept + w->tokens)));
	if (w->samples > 1)
		json_object_set_new(j, "agreement", jsonx_number(w->agreement / (double)(w->file.n - w->first)));
	json_object_set_new(j, "whole", json_boolean(whole));
	if (sources_wanted(&w->o->documents) && w->file.n > w->first)
		answer_gas_put(&w->gas, (double)(w->file.n - w->first), j);
	json_object_set_new(j, "tokens_per_second", jsonx_number((double)w->tokens / seconds));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	generate_context_tell(&w->o->placed, w->app, (double)(w->prompt_tokens - w->kept), (double)w->tokens, j);
	metering_count((int64_t)w->prompt_tokens, (int64_t)w->tokens, -1, w->operations, w->int_ops);
	app_summary(w->app, j);
}

static int finish(const struct answering *w, int status)
{
	char time[32];

	log_live_end();
	clock_human(clock_seconds() - w->began, time);
	put_summary(w, status == 0);
	if (status)
		log_say("stopped after %zu of %zu rows; the same command goes on", w->file.n, w->rows.n);
	else if (w->first == w->rows.n)
		log_say("%s: all %zu rows were answered before", w->o->out, w->rows.n);
	else
		log_say("%s: %zu rows%s, %zu new tokens in %s; %s", w->o->out, w->rows.n,
		        w->first ? " with those that were there" : "", w->tokens, time, w->app->compute);
	if (sources_wanted(&w->o->documents) && w->file.n > w->first)
		answer_gas_show(&w->gas, (double)(w->file.n - w->first));
	return status ? EXIT_STOPPED : EXIT_DONE;
}

/* Of the rows from `first` on that the model answers, as often as each is. */
static struct generate_prompt *make_prompts(struct answering *w, size_t first)
{
	w->n_todo = 0;
	for (size_t i = first; i < w->rows.n; i++)
		if (!w->said[i])
			w->todo[w->n_todo++] = i;
	struct generate_prompt *prompts = mem_array(w->n_todo * w->samples + 1, sizeof(*prompts));
	for (size_t i = 0; i < w->n_todo * w->samples; i++) {
		size_t at = place_of(w, (int64_t)i), row = at / w->samples;
		prompts[i] = (struct generate_prompt){ w->ids[row].id, w->ids[row].n, (uint32_t)at, w->adapter[row] };
	}
	return prompts;
}

/* What is said already waits for its turn to be written. */
static void put_said(struct answering *w)
{
	for (size_t row = w->first; row < w->rows.n; row++) {
		for (size_t k = 0; w->said[row] && k < w->samples; k++) {
			struct generation *g = &w->waiting[row * w->samples + k];
			g->finish = FINISH_STOP;
			buf_adds(&g->text, w->said[row]);
			w->n_taken[row]++;
		}
	}
}

/* Rows from w->first on. 0 all, 1 interrupted, −1. */
static int answer_rows(struct answering *w, struct loaded *l, struct sampler *pattern, struct err *e)
{
	struct generate_listener listener = { begun, take, tell, w };
	struct generate_prompt *prompts = make_prompts(w, w->first);
	size_t n = w->n_todo * w->samples;

	for (size_t i = 0; i < n; i++)
		w->prompt_tokens += prompts[i].n;
	put_said(w);
	int status = write_rows(w, e);
	if (status == 0 && (n || w->first == w->rows.n))
		status = generate_batch(w->app, w->o, l, prompts, n, pattern, &listener, e);
	mem_free(prompts);
	return status < 0 && stop_ended(e) ? 1 : status;
}

/* Answers that an earlier run has left: whole lines. answer_file_open looks whether they are right. */
static size_t count_answered(const char *path)
{
	struct buf text = { .max = (size_t)16 << 30 };
	struct err ignored = ERR_INIT;
	size_t n = 0;

	if (!answer_file_streams(path) && io_exists(path) && io_read(&text, path, &ignored) == 0)
		for (const char *at = buf_str(&text); (at = memchr(at, '\n', text.len - (size_t)(at - buf_str(&text))));
		     at++)
			n++;
	buf_release(&text);
	return n;
}

/* One row's with the most sources, as those of all that are to be answered and have some. */
static int plan_citations(struct answering *w, struct err *e)
{
	struct generate_sources *g = &w->o->sources;
	size_t row = w->todo[0], kept;

	for (size_t i = 0; i < w->n_todo; i++) {
		kept = sources_kept(&w->sources, w->todo[i]);
		g->answers += kept > 0;
		row = kept > sources_kept(&w->sources, row) ? w->todo[i] : row;
	}
	kept = sources_kept(&w->sources, row);
	g->prompts = mem_array(kept + 1, sizeof(*g->prompts));
	g->texts = mem_array(kept + 1, sizeof(*g->texts));
	g->n = kept + 1;
	if (citations_encode(&w->sources, w->l, &w->rows.items[row], row, &w->how, g->prompts, kept, e) < 0)
		return -1;
	g->prompts[0] = (struct tokens){ 0 };
	for (size_t i = 0; i < w->ids[row].n; i++)
		tokens_add(&g->prompts[0], w->ids[row].id[i]);
	return 0;
}

static int plan_rows(struct answering *w, struct loaded *l, struct err *e)
{
	struct generate_prompt *prompts = make_prompts(w, MIN(count_answered(w->o->out), w->rows.n));
	struct sampler sampler;

	if (w->n_todo == 0 || sampling_begin(&w->o->sampling, (size_t)l->model.config.V, &sampler, e) < 0) {
		mem_free(prompts);
		return w->n_todo ? -1 : 0;
	}
	int status = w->o->documents.citations ? plan_citations(w, e) : 0;
	if (status == 0)
		status = generate_planned(w->app, w->o, l, &sampler, prompts, w->n_todo * w->samples, e);
	generate_sources_close(&w->o->sources);
	mem_free(prompts);
	sampling_release(&sampler);
	return status;
}

static int answer_file(struct answering *w, const struct opt_parse *p, struct loaded *l, struct err *e)
{
	struct sampler pattern;
	if (!w->rows.n)
		return err_set(e, "%s holds no rows", w->o->prompt_file);
	json_t *asked = describe(w, p, l, e);
	int status = asked ? answer_file_open(&w->file, w->o->out, w->samples > 1, asked, &w->rows, e) : -1;

	json_decref(asked);
	if (status < 0)
		return -1;
	w->first = w->file.n;
	if (w->first)
		log_say("%s: going on after %zu of %zu rows", w->o->out, w->first, w->rows.n);
	status = sampling_begin(&w->o->sampling, (size_t)l->model.config.V, &pattern, e);
	if (status == 0) {
		w->began = clock_seconds();
		generate_context_begin(&w->o->placed);
		metering_phase("generate");
		struct meter_span span;
		struct answer_gas before = w->gas;
		metering_open_span(&span);
		status = answer_rows(w, l, &pattern, e);
		answer_gas_answer(&w->gas, &span, w->reading, w->writing);
		answer_gas_less(&w->gas, &before);
		sampling_release(&pattern);
	}
	if (status >= 0)
		status = finish(w, status);
	answer_file_close(&w->file);
	return status;
}

int generate_rows(struct app *app, struct generate_command *o, const struct opt_parse *p, struct loaded *l,
                  struct err *e)
{
	struct answering w = { .app = app, .o = o, .l = l, .samples = (size_t)o->self_consistency };

	app_catch_signals();
	if (rows_load_objects(&w.rows, o->prompt_file, e) < 0 ||
	    guarding_rows(&o->guarding, &w.rows, NULL, e) < 0) {
		rows_release(&w.rows);
		return -1;
	}
	w.said = mem_array(w.rows.n + 1, sizeof(*w.said));
	w.todo = mem_array(w.rows.n + 1, sizeof(*w.todo));
	w.ids = mem_array(w.rows.n, sizeof(*w.ids));
	w.adapter = mem_array(w.rows.n, sizeof(*w.adapter));
	w.waiting = mem_array(w.rows.n * w.samples, sizeof(*w.waiting));
	w.n_taken = mem_array(w.rows.n, sizeof(*w.n_taken));
	w.requests = mem_array(w.rows.n * w.samples, sizeof(*w.requests));
	int status = w.samples > 1 ? extract_new(&w.extract, o->extract ? o->extract : "whole", e) : 0;
	if (status == 0 && o->first && !app->plans)
		status = generate_say_rows(app, o, o->first, o->first_least, &w.rows, w.said, e);
	if (status == 0)
		status = encode_rows(&w, l, e);
	if (status == 0)
		status = plan_rows(&w, l, e);
	if (status == 0)
		status = answer_file(&w, p, l, e);
	for (size_t i = 0; i < w.rows.n; i++) {
		tokens_release(&w.ids[i]);
		mem_free(w.said[i]);
	}
	mem_free(w.said);
	mem_free(w.todo);
	for (size_t i = 0; i < w.rows.n * w.samples; i++) {
		generation_release(&w.waiting[i]);
		mem_free(w.requests[i]);
	}
	mem_free(w.ids);
	mem_free(w.adapter);
	mem_free(w.waiting);
	mem_free(w.n_taken);
	extract_free(w.extract);
	mem_free(w.requests);
	rows_release(&w.made);
	sources_close(&w.sources);
	rows_release(&w.sourced);
	rows_release(&w.rows);
	return status;
}
