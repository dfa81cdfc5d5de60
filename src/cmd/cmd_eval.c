/* eval: how well a model does on rows. The scores are eval/evaluate's; here is what a person or a script sees of
 * them. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapted_options.h"
#include "cmd/eval_compare.h"
#include "cmd/eval_live.h"
#include "cmd/eval_tasks.h"
#include "cmd/eval_variants.h"
#include "cmd/adapt/adapt.h"
#include "cmd/index/citations.h"
#include "cmd/label_view.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/probing.h"
#include "cmd/reward_view.h"
#include "cmd/text_rows.h"
#include "data/label_words.h"
#include "eval/evaluate.h"
#include "ladder/adapted.h"
#include "op/timing.h"
#include "token/tokenizer.h"

extern const struct command cmd_eval;

enum {
	TEXT_WINDOW = 1024,
	ANSWER_TOKENS = 256,           /* of an answer that is more than what is wanted */
};

struct eval {
	struct common common;
	const char *adapter, *data, *details, *group_by;
	int64_t limit, max_length, stride, micro_batch_tokens;
	bool apply_chat_template;
	struct in_context_options context;
	struct sources_options documents;
	const char *fewshot_out, *calibrate, *query_template;
	struct opt_list label_words;
	int64_t variants, self_consistency, max_new_tokens, seed;
	double temperature;
	const char *extract, *compute;
	bool batch_given;              /* --micro-batch-tokens was */
	struct four_bit_options four_bit;
	struct eval_tasks_options tasks;
	struct eval_suite_options suite;
	bool compare;
	const char *cluster_by;
};

static const struct opt eval_opts[] = {
	OPT_GROUP("What to evaluate"),
	OPT_STRING("data", struct eval, data, NULL, "FILE",
	           "rows, as tune takes them; their shape says what is measured, of a model that classifies their "
	           "labels"),
	ADAPTER_OPT(struct eval, adapter),
	OPT_INT("limit", struct eval, limit, NULL, 1, 1e12, "only the first N rows"),
	OPT_FLAG("apply-chat-template", struct eval, apply_chat_template, "false",
	         "query,choices,gold rows: the query is the user's turn; examples are turns then"),
	OPT_STRING("group-by", struct eval, group_by, NULL, "COLUMN",
	           "a reward model: its accuracy by what the rows have there (default: subset, else category)"),
	OPT_STRING("details", struct eval, details, NULL, "FILE.jsonl", "what came of every row, a JSON line each"),
	IN_CONTEXT_OPTS(struct eval, context, "; may be repeated: each is judged"),
	OPT_STRING("fewshot-out", struct eval, fewshot_out, NULL, "FILE",
	           "keeps what stands before all rows, as bytes"),
	OPT_LIST("label-words", struct eval, label_words, "WORDS",
	         "how labels are said, label=words,label=words, or a JSON object (@FILE: from a file); may be "
	         "repeated: each is judged"),
	OPT_STRING("query-template", struct eval, query_template, NULL, "TEXT",
	           "how rows of text,label ask, with {text} (default: the text, and in the next line Label:)"),
	OPT_CHOICE("calibrate", struct eval, calibrate, "none", "none|contextual|batch",
	           "choices that all rows share: without what the prompt itself makes of them (Zhao 2021, Zhou 2023)"),
	OPT_INT("variants", struct eval, variants, NULL, 1, 10000,
	        "judges N wordings and orders of the examples, and tells their spread"),
	SOURCES_OPTS(struct eval, documents),
	CITATIONS_OPTS(struct eval, documents),
	OPT_GROUP("Answers"),
	OPT_STRING("extract", struct eval, extract, NULL, "RULE", EXTRACT_HELP),
	OPT_INT("max-new-tokens", struct eval, max_new_tokens, NULL, 1, 1 << 24,
	        "longest answer (default: 16 tokens more than the one that is wanted; with --extract or "
	        "--self-consistency 256)"),
	OPT_INT("self-consistency", struct eval, self_consistency, "1", 1, 1 << 20,
	        "draws N answers to each row; the one that the most come down to counts"),
	OPT_FLOAT("temperature", struct eval, temperature, "0.7", 0, 100, "of --self-consistency's draws"),
	OPT_INT("seed", struct eval, seed, "42", 0, 9007199254740991.0, "of --self-consistency's draws"),
	EVAL_TASKS_OPTS(struct eval, tasks),
	EVAL_SUITE_OPTS(struct eval, suite),
	OPT_FLAG("compare", struct eval, compare, "false",
	         "two models over --tasks or --data until it is decided; else two folders of --log-samples"),
	OPT_STRING("cluster-by", struct eval, cluster_by, NULL, "COLUMN",
	           "--compare: rows with the same there are kin, as questions to one passage"),
	OPT_GROUP("How"),
	OPT_INT("max-length", struct eval, max_length, NULL, 2, 1 << 20,
	        "longest document in tokens (default: the model's context); of text, the window (default: 1024, or the "
	        "context if less)"),
	OPT_INT("stride", struct eval, stride, NULL, 1, 1 << 20,
	        "text: a window begins every N tokens (default: half of the window)"),
	OPT_INT("micro-batch-tokens", struct eval, micro_batch_tokens, "1024", 2, 1 << 22,
	        "tokens computed at once; more where long examples stand before all rows and nothing is said"),
	COMPUTE_OPT(struct eval, compute, "f32"),
	FOUR_BIT_OPTS(struct eval, four_bit),
	COMMON_OPTS(struct eval, common),
	OPT_END
};

/* --- while it runs --- */

static int show_progress(void *ctx, const struct evaluate_progress *p)
{
	char left[32];
	double rate = (double)p->done / p->seconds;

	(void)ctx;
	metering_tick();
	if (p->seconds < 2 || app_interrupted())
		return app_interrupted();
	clock_human((double)(p->total - p->done) / rate, left);
	log_live("%s: %.0f %%  %.0f tokens/s  %s left  %s", p->doing, 100.0 * (double)p->done / (double)p->total, rate,
	         left, metering_live());
	return 0;
}

struct details {                   /* the file of --details, beside its name until all is well */
	struct io_writer file;
	bool failed;
	struct err e;              /* of the first line that could not be written */
	struct app *app;
	const struct loaded *loaded;
	const struct in_context *context;
	size_t variant, n_variants;
	/* of --documents, else NULL: */
	struct sources *sources;
	const struct sources_options *documents;
	const struct rows *rows, *sourced;
	json_t **found;                /* [rows->n] what each row's sources are */
	double *supported;             /* [rows->n] of --citations: 1 where an answer rests on a source */
	size_t n_cited;
	struct answer_gas gas;
};

/* --citations: what the answer that was just judged rests on, into its line. */
static int cite(struct details *d, json_t *line, struct err *e)
{
	const struct loaded *l = d->loaded;
	const json_t *answer = json_object_get(line, "answer");
	size_t row = d->n_cited++, n = sources_kept(d->sources, row);
	const struct citations_how how = { .shape = d->rows->shape };
	struct tokens *prompts = mem_array(n + 1, sizeof(*prompts)), said = { 0 };
	struct grounding g = { 0 };
	struct meter_span span;

	metering_open_span(&span);
	int status = citations_ask(l, &d->sourced->items[row], &how, &prompts[0], e);
	if (status == 0)
		status = citations_encode(d->sources, l, &d->rows->items[row], row, &how, prompts, n, e);
	if (status == 0)
		status = tokenizer_encode(l->model.tokenizer, json_string_value(answer), json_string_length(answer), 0,
		                          &said, e);
	if (status == 0)
		status = citations_measure(&g, (struct model *)(uintptr_t)&l->model, loaded_overlay(l), d->app->device,
		                           prompts, n, &said, e);
	if (status == 0)
		citations_put(&g, d->documents, d->found[row], line);
	d->supported[row] = json_is_true(json_object_get(line, "supported"));
	answer_gas_add(&d->gas, PART_CITATIONS, &span);
	for (size_t i = 0; i <= n; i++)
		tokens_release(&prompts[i]);
	mem_free(prompts);
	tokens_release(&said);
	citations_release(&g);
	return status;
}

static void write_line(void *ctx, json_t *line)
{
	struct details *d = ctx;

	if (d->n_variants > 1)
		json_object_set_new(line, "variant", json_integer((json_int_t)d->variant));
	if (d->sources && d->documents->citations && !d->failed)
		d->failed = cite(d, line, &d->e) < 0;
	if (!d->file.path)
		return;
	char *text = jsonx_line(line);
	d->failed = d->failed || io_writer_add(&d->file, text, strlen(text), &d->e) < 0 ||
	            io_writer_add(&d->file, "\n", 1, &d->e) < 0;
	mem_free(text);
}

static void next_variant(void *ctx, size_t variant, size_t n)
{
	struct details *d = ctx;

	d->variant = variant;
	d->n_variants = n;
}

/* --- what came of it --- */

static void put_calibration(json_t *j, const struct evaluation *v, const char *calibrate)
{
	json_t *prior = json_array();

	put_estimate(j, "acc_calibrated", &v->acc_calibrated);
	for (size_t i = 0; i < v->n_choices; i++)
		json_array_append_new(prior, jsonx_number(v->prior[i]));
	json_object_set_new(j, "calibrate", json_string(calibrate));
	json_object_set_new(j, "prior", prior);
}

static json_t *summarize(const struct eval *o, const struct evaluation *v, const struct labels *l,
                         const struct evaluate_options *eo)
{
	bool text = v->shape->judged == JUDGED_TEXTS && !l;
	json_t *j = json_pack("{s:s, s:I}", "shape", shape_name(v->shape), "n", (json_int_t)v->n);

	put_estimate(j, "acc", &v->acc);
	put_estimate(j, "acc_norm", &v->acc_norm);
	put_estimate(j, "exact_match", &v->exact_match);
	put_estimate(j, "f1", &v->f1);
	put_estimate(j, "perplexity", &v->perplexity);
	if (v->agreement.n) {
		put_estimate(j, "sample_match", &v->sample_match);
		put_estimate(j, "agreement", &v->agreement);
		json_object_set_new(j, "samples", json_integer(o->self_consistency));
	}
	if (v->prior)
		put_calibration(j, v, o->calibrate);
	if (v->rewards.rows)
		put_reward_scores(j, &v->rewards);
	else if (l)
		put_label_scores(j, v, l);
	json_object_set_new(j, "perplexity_n", json_integer((json_int_t)v->perplexity.n));
	json_object_set_new(j, "max_length", json_integer(eo->max_length));
	json_object_set_new(j, "window", text ? json_integer(eo->max_length) : json_null());
	json_object_set_new(j, "stride", text ? json_integer(eo->stride) : json_null());
	json_object_set_new(j, "apply_chat_template", json_boolean(o->apply_chat_template));
	json_object_set_new(j, "truncated", json_integer((json_int_t)v->n_truncated));
	json_object_set_new(j, "tokens", json_integer(v->tokens));
	json_object_set_new(j, "scored_tokens", json_integer(v->scored_tokens));
	json_object_set_new(j, "computed_tokens", json_integer(v->computed_tokens));
	json_object_set_new(j, "new_tokens", json_integer(v->new_tokens));
	json_object_set_new(j, "flops", jsonx_number(v->flops - v->int_ops));
	json_object_set_new(j, "int_ops", jsonx_number(v->int_ops));
	json_object_set_new(j, "seconds", json_real(v->seconds));
	json_object_set_new(j, "tokens_per_second", jsonx_number((double)(v->tokens + v->new_tokens) / v->seconds));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	return j;
}

static void show(const struct eval *o, const struct evaluation *v, const struct labels *l,
                 const struct evaluate_options *eo)
{
	bool text = v->shape->judged == JUDGED_TEXTS && !l;
	char time[32], gas[400];

	clock_human(v->seconds, time);
	app_print("%s: %zu rows of %s\n", o->data, v->n, shape_name(v->shape));
	show_estimate("acc", &v->acc, "rows");
	show_estimate("acc_norm", &v->acc_norm, "rows");
	show_estimate("acc_calibrated", &v->acc_calibrated, "rows");
	show_estimate("exact_match", &v->exact_match, "rows");
	show_estimate("f1", &v->f1, "rows");
	show_estimate("sample_match", &v->sample_match, "rows");
	show_estimate("agreement", &v->agreement, "rows");
	show_estimate("perplexity", &v->perplexity, text ? "windows" : "answers");
	if (v->rewards.rows)
		show_reward_scores(&v->rewards);
	else if (l)
		show_label_scores(v, l);
	if (text)
		app_print("  windows of %d tokens, one every %d\n", eo->max_length, eo->stride);
	app_print("  %lld tokens in %s, %.0f tokens/s\n", (long long)v->tokens + v->new_tokens, time,
	          (double)(v->tokens + v->new_tokens) / v->seconds);
	metering_text(gas);
	if (gas[0])
		app_print("  %s\n", gas);
}

/* --- the whole --- */

/* A length that is asked for counts an adapter's virtual tokens, as training's does. */
static int set_lengths(const struct eval *o, const struct loaded *l, bool texts, struct evaluate_options *eo,
                       struct err *e)
{
	int32_t all = l->model.config.n_ctx, virtual = overlays_virtual(loaded_overlay(l)), most = all - virtual;
	int32_t usual = texts ? MIN(most, TEXT_WINDOW) : most;

	eo->max_length = o->max_length == OPT_UNSET_INT ? usual : (int32_t)MIN(o->max_length, (int64_t)all) - virtual;
	if (eo->max_length < 2)
		return err_set(e, "--max-length %lld: %d virtual tokens leave no room for a document",
		               (long long)o->max_length, virtual);
	if (o->max_length > all)
		log_say("the model has %d positions: documents are at most that long, not %lld", all,
		        (long long)o->max_length);
	eo->stride = o->stride == OPT_UNSET_INT ? MAX(eo->max_length / 2, 1) : (int32_t)o->stride;
	if (eo->stride > eo->max_length)
		return err_set(
			e, "--stride %d is longer than the window of %d tokens: the tokens between would not be scored",
			eo->stride, eo->max_length);
	return 0;
}

static void count(const struct eval_variants *all)
{
	struct evaluation sum = { 0 };

	for (size_t i = 0; i < all->n; i++) {
		const struct evaluation *v = &all->items[i];
		sum.tokens += v->tokens;
		sum.new_tokens += v->new_tokens;
		sum.scored_tokens += v->scored_tokens;
		sum.flops += v->flops;
		sum.int_ops += v->int_ops;
	}
	metering_count(sum.tokens, sum.new_tokens, sum.scored_tokens, sum.flops, sum.int_ops);
}

/* The scores are the first variant's: the wording that was named first, the examples as they were selected. */
static void report(const struct app *app, const struct eval *o, const struct eval_variants *all,
                   const struct in_context *c, const struct eval_words *words, const struct labels *l,
                   const struct details *d, const struct evaluate_options *eo)
{
	const struct evaluation *v = &all->items[0];

	log_live_end();
	if (v->n_truncated)
		log_warn("%zu documents were cut at --max-length %d", v->n_truncated, eo->max_length);
	json_t *j = summarize(o, v, l, eo);
	eval_variants_put(all, c, words, j);
	if (sources_wanted(&o->documents)) {
		json_object_set_new(j, "documents", jsonx_path(o->documents.documents));
		json_object_set_new(j, "num_documents", json_integer(o->documents.num));
		answer_gas_put(&d->gas, (double)d->rows->n, j);
	}
	struct estimate supported = estimate_mean(d->supported, d->n_cited);
	if (o->documents.citations)
		put_estimate(j, "supported", &supported);
	count(all);
	app_summary(app, j);
	if (app->json)
		return;
	show(o, v, l, eo);
	if (o->documents.citations)
		show_estimate("supported", &supported, "answers");
	if (sources_wanted(&o->documents))
		answer_gas_show(&d->gas, (double)d->rows->n);
	eval_variants_show(all, c, words);
}

static int plan_judging(void *ctx, const struct evaluate_forecast *f, struct err *e)
{
	struct details *d = ctx;
	const struct loaded *l = d->loaded;
	uint8_t *token = mem_array((size_t)l->model.config.V, 1);
	struct model_reads reads = { .token = token };
	struct predicted p;

	for (size_t i = 0; i < f->n; i++)
		for (int32_t j = 0; j < f->items[i].n; j++)
			token[f->items[i].ids[j]] = 1;
	predict_begin(&p, "eval %s %s",
	              l->model.labels ? "labels" : f->answer_seconds > 0 ? "answers" : "scores",
	              compute_name(l->model.compute));
	double pages = loaded_predict(l, &p, &reads, f->bytes, 0, "activations, caches");
	mem_free(token);
	double times = (double)d->n_variants;
	predict_phase(&p, "start", pages + f->start_seconds * times);
	predict_phase(&p, "scoring", f->score_seconds * times);
	predict_phase(&p, "answering", f->answer_seconds * times);
	p.loose_seconds = (double)f->bytes / TIMING_SLOW_RATE;
	p.spare_seconds = f->spare_seconds * times;
	predict_operations(&p, f->flops * times, f->int_ops * times);
	in_context_predict(d->context, &p);
	return planned(d->app, &p, NULL, e);
}

static enum calibration calibration_of(const char *name)
{
	if (!strcmp(name, "contextual"))
		return CALIBRATE_CONTEXTUAL;
	return !strcmp(name, "batch") ? CALIBRATE_BATCH : CALIBRATE_NONE;
}

/* What the first wording's rows were read and written with; right answers were scored beside, which is no answer's. */
static void part_answers(struct details *d, const struct eval_variants *all, const struct meter_span *span,
                         const struct answer_gas *before)
{
	const struct evaluation *v = &all->items[0];
	double sum = 0, writes = v->reading_seconds + v->writing_seconds;
	struct gas used;

	for (size_t i = 0; i < all->n; i++)
		sum += all->items[i].seconds;
	metering_read_span(span, &used);
	if (writes > 0)
		answer_gas_share(&d->gas, &used, v->reading_seconds / sum, v->writing_seconds / sum);
	else
		answer_gas_share(&d->gas, &used, v->seconds / sum, 0);
	answer_gas_less(&d->gas, before);
}

static int judge_all(struct app *app, const struct eval *o, struct loaded *l, const struct rows *r, struct details *d,
                     struct in_context *c, const struct eval_words *words, const struct evaluate_options *eo,
                     struct err *e)
{
	struct eval_variants all;
	const struct eval_variants_options vo = { o->variants, o->fewshot_out, words, !o->batch_given,
		                                  next_variant, d };
	struct subject s = { &l->model, loaded_overlay(l), l->chat, app->device };
	metering_phase("evaluate");
	struct meter_span span;
	struct answer_gas before = d->gas;
	metering_open_span(&span);
	int status = eval_variants_run(&all, c, &vo, &s, r, eo, e);
	if (status == 0 && d->sources)
		part_answers(d, &all, &span, &before);
	if (status == 0 && d->failed)
		status = err_set(e, "%s", d->e.msg);
	if (status == 0 && o->details)
		status = io_writer_commit(&d->file, e);
	if (status == 0)
		report(app, o, &all, c, words, l->model.labels, d, eo);
	eval_variants_release(&all);
	return status;
}

/* How answers are drawn and compared. */
static int set_answers(const struct eval *o, const struct rows *r, struct evaluate_options *eo, struct extract **x,
                       struct err *e)
{
	bool several = o->self_consistency > 1, wanted = several || o->extract || o->max_new_tokens != OPT_UNSET_INT;

	if (!wanted)
		return 0;
	if (r->shape->judged != JUDGED_ANSWERS)
		return err_set(e, "%s: rows of %s have no answers that are generated: --extract, --max-new-tokens and "
		                  "--self-consistency are of those", o->data, shape_name(r->shape));
	eo->max_new_tokens = o->max_new_tokens == OPT_UNSET_INT ? ANSWER_TOKENS : (int32_t)o->max_new_tokens;
	eo->samples = (size_t)o->self_consistency;
	eo->temperature = o->temperature;
	eo->seed = (uint64_t)o->seed;
	if (several && !(o->temperature > 0))
		log_warn("nothing is drawn at --temperature 0: all %lld answers to a row are the same",
		         (long long)o->self_consistency);
	if (!several && !o->extract)
		return 0;
	int status = extract_new(x, o->extract ? o->extract : "whole", e);
	eo->extract = *x;
	return status;
}

/* Are labels said to a model that generates? */
static bool says_labels(const struct eval *o, const struct loaded *l)
{
	bool asked = in_context_wanted(&o->context) || calibration_of(o->calibrate) != CALIBRATE_NONE;

	return !l->model.labels && (asked || o->label_words.n || o->query_template);
}

static int judge(struct app *app, const struct eval *o, struct loaded *l, const struct rows *r, struct details *d,
                 struct err *e)
{
	bool context = in_context_wanted(&o->context), said = says_labels(o, l);
	const char *stop = o->context.delimiter ? o->context.delimiter : "\n\n";
	struct in_context c = { 0 };
	struct eval_words words = { 0 };
	struct extract *rule = NULL;
	d->context = &c;
	struct evaluate_options eo = {
		.micro_batch_tokens = (int32_t)o->micro_batch_tokens, .apply_chat_template = o->apply_chat_template,
		.progress = show_progress, .planned = plan_judging, .ctx = d,
		.detail = o->details || o->documents.citations ? write_line : NULL,
		.whole = context || sources_wanted(&o->documents), .prompts = context || sources_wanted(&o->documents),
			.calibrate = calibration_of(o->calibrate), .group_by = o->group_by,
		.stop = &stop, .n_stop = (o->context.num || o->context.prompt) && *stop && !o->apply_chat_template,
	};

	bool texts = r->shape->judged == JUDGED_TEXTS && !l->model.labels && !(said && label_words_wants(r));
	if (loaded_text(l, e) < 0 || set_lengths(o, l, texts, &eo, e) < 0 ||
	    (((o->apply_chat_template && (context || said)) || evaluate_wants_template(r, &eo)) &&
	     loaded_chat(l, e) < 0))
		return -1;
	int status = set_answers(o, r, &eo, &rule, e);
	if (status == 0 && context)
		status = in_context_open(&c, &o->context, app, l, o->apply_chat_template, false, e);
	if (status == 0)
		status = eval_words_open(&words, said, &o->label_words, o->query_template, r, &c.examples, e);
	if (status == 0)
		status = judge_all(app, o, l, r, d, context ? &c : NULL, &words, &eo, e);
	eval_words_close(&words);
	in_context_close(&c);
	extract_free(rule);
	return status;
}

/* The file of --details is opened first, so that a place where nothing can be written shows at once. */
static int judge_with_details(struct app *app, const struct eval *o, struct loaded *l, const struct rows *r,
                              const struct details *with, struct err *e)
{
	struct details d = *with;

	d.app = app;
	d.loaded = l;
	int status = o->details && !app->plans ? io_writer_open(&d.file, o->details, e) : 0;

	if (status == 0)
		status = judge(app, o, l, r, &d, e);
	io_writer_abort(&d.file); /* harmless after the commit, and where none was opened */
	return status;
}

/* Each row with its sources before what it asks. */
static int judge_with_sources(struct app *app, const struct eval *o, struct loaded *l, const struct rows *r,
                              struct err *e)
{
	struct sources s = { 0 };
	struct rows made = { 0 };
	struct details d = { .sources = &s, .documents = &o->documents, .rows = r, .sourced = &made };
	struct meter_span span;

	if (!sources_wanted(&o->documents))
		return judge_with_details(app, o, l, r, &(struct details){ 0 }, e);
	if (o->documents.citations && r->shape->judged != JUDGED_ANSWERS)
		return err_set(e, "%s: --citations are of answers, and rows of %s have none that are generated",
		               o->data, shape_name(r->shape));
	d.found = mem_array(r->n + 1, sizeof(json_t *));
	d.supported = mem_array(r->n + 1, sizeof(*d.supported));
	metering_open_span(&span);
	int status = l->model.labels ? err_set(e, "%s classifies: sources stand before a question that is answered",
	                                       l->model.source.path) :
	                               loaded_text(l, e);
	if (status == 0)
		status = sources_open(&s, &o->documents, app, l->model.tokenizer, false, e);
	metering_phase("retrieve");
	if (status == 0)
		status = sources_rows(&s, r, &made, d.found, e);
	answer_gas_add(&d.gas, PART_RETRIEVAL, &span);
	if (status == 0)
		status = judge_with_details(app, o, l, &made, &d, e);
	for (size_t i = 0; i < r->n; i++)
		json_decref(d.found[i]);
	mem_free(d.found);
	mem_free(d.supported);
	sources_close(&s);
	rows_release(&made);
	return status;
}

static int open_and_judge(struct app *app, const struct eval *o, const char *model, const struct rows *r, struct err *e)
{
	struct loaded l;

	if (r->n == 0)
		return err_set(e, "%s holds no rows", o->data);
	if (loaded_open_4bit(&l, app, &o->four_bit, model, o->adapter, e) < 0)
		return -1;
	metering_in("data", o->data, r->hash);
	if ((!l.model.labels && model_want_causal(&l.model, e) < 0) ||
	    model_compute(app, &l.model, o->compute, PREPARE_SCORE, e) < 0) {
		loaded_close(&l);
		return -1;
	}
	struct rows some = *r;
	if (o->limit != OPT_UNSET_INT)
		some.n = MIN(r->n, (size_t)o->limit);
	int status = judge_with_sources(app, o, &l, &some, e);
	loaded_close(&l);
	return status;
}

/* NULL, or what of the options does not go together. */
static const char *contradiction(const struct eval *o)
{
	if (o->fewshot_out && !in_context_wanted(&o->context))
		return "--fewshot-out keeps what stands before the rows: --instruction, or --num-fewshot and "
		       "--examples";
	if (o->variants > 1 && !in_context_wanted(&o->context) && o->label_words.n < 2)
		return "--variants are of wordings and orders of examples: --instruction, --label-words, or "
		       "--num-fewshot and --examples";
	if (sources_contradiction(&o->documents))
		return sources_contradiction(&o->documents);
	if (o->documents.citations && (o->self_consistency > 1 || in_context_wanted(&o->context)))
		return "--citations go without --self-consistency, examples and instructions";
	return in_context_contradiction(&o->context);
}

/* --- a folder of probe --- */

static int probe_details(struct app *app, const struct eval *o, struct probing *p, const struct rows *r,
                         struct details *d, struct err *e)
{
	struct evaluation v = { 0 };
	struct eval_variants one = { .items = &v, .n = 1, .n_instructions = 1, .n_words = 1,
		                     .added_tokens = NAN, .token_joules = NAN };
	const struct probing_eval pe = { (int32_t)o->micro_batch_tokens, r, o->details ? write_line : NULL, d };
	int status = probing_evaluate(p, app, &pe, &v, e);

	if (status == 0 && d->failed)
		status = err_set(e, "%s", d->e.msg);
	if (status == 0 && o->details)
		status = io_writer_commit(&d->file, e);
	if (status == 0)
		report(app, o, &one, NULL, NULL, &p->learner.labels, d,
		       &(struct evaluate_options){ .max_length = p->how.max_length });
	evaluation_release(&v);
	return status;
}

/* What is of a model that says tokens has no place where labels are all that is said. */
static int refuse_of_tokens(const struct opt_parse *p, const char *dir, struct err *e)
{
	static const char *const of_tokens[] = { "apply-chat-template", "label-words", "query-template", "calibrate",
		                                 "variants", "extract", "max-new-tokens", "self-consistency",
		                                 "temperature", "stride", "group-by", "load-in-4bit" };

	for (size_t i = 0; i < ARRAY_LEN(of_tokens); i++)
		if (opt_given(p, of_tokens[i]))
			return err_set(e, "%s says labels alone: --%s is of a model that says tokens", dir,
			               of_tokens[i]);
	return 0;
}

static int judge_probe(struct app *app, const struct eval *o, const char *dir, const struct rows *r, struct err *e)
{
	struct details d = { .app = app };
	struct probing p;
	struct rows some = *r;

	if (r->n == 0)
		return err_set(e, "%s holds no rows", o->data);
	if (o->adapter)
		return err_set(e, "--adapter: %s names its model and adapter itself", dir);
	if (in_context_wanted(&o->context) || sources_wanted(&o->documents))
		return err_set(e, "%s was learnt from rows as they are: nothing stands before them", dir);
	if (o->limit != OPT_UNSET_INT)
		some.n = MIN(r->n, (size_t)o->limit);
	metering_in("data", o->data, r->hash);
	int status = probing_open(&p, app, dir, o->compute, e);
	if (status == 0 && p.has_model)
		status = text_length(&p.l.model, o->max_length, &p.how.max_length, e);
	if (status == 0 && o->details && !app->plans)
		status = io_writer_open(&d.file, o->details, e);
	if (status == 0)
		status = probe_details(app, o, &p, &some, &d, e);
	io_writer_abort(&d.file); /* harmless after the commit, and where none was opened */
	probing_close(&p);
	return status;
}

/* --- two ways, one after the other --- */

static int judge_cascade(struct app *app, const struct eval *o, const char *path, const struct rows *r, struct err *e)
{
	struct rows some = *r;

	if (r->n == 0)
		return err_set(e, "%s holds no rows", o->data);
	if (o->adapter || o->details || o->variants > 1 || o->self_consistency > 1 || o->extract)
		return err_set(e, "%s answers in two ways: --adapter, --details, --variants, --self-consistency and "
		                  "--extract are of one", path);
	if (o->limit != OPT_UNSET_INT)
		some.n = MIN(r->n, (size_t)o->limit);
	metering_in("data", o->data, r->hash);
	const struct cascade_eval c = { path, &some, o->compute, (int32_t)o->micro_batch_tokens,
		                        o->apply_chat_template };
	return cascade_eval(app, &c, e);
}

/* --- lm-eval's tasks --- */

static struct eval_tasks tasks_of(const struct eval *o, const char *model, const struct opt_parse *p)
{
	return (struct eval_tasks){
		.o = &o->tasks, .suite = o->suite.suite ? &o->suite : NULL, .max_new_tokens = o->max_new_tokens,
		.compute = o->compute, .model = model, .adapter = o->adapter, .limit = o->limit,
		.max_length = o->max_length,
		.num_fewshot = opt_given(p, "num-fewshot") ? o->context.num : OPT_UNSET_INT,
		.seed = o->context.seed,
		.micro_batch_tokens = o->micro_batch_tokens, .apply_chat_template = o->apply_chat_template,
	};
}

/* A model that answers tasks; closed if that cannot be. */
static int open_tasked(struct loaded *l, struct app *app, const struct eval *o, const char *model, const char *adapter,
                       struct err *e)
{
	if (loaded_open_4bit(l, app, &o->four_bit, model, adapter, e) < 0)
		return -1;
	int status = model_want_causal(&l->model, e);
	if (status == 0)
		status = model_compute(app, &l->model, o->compute, PREPARE_SCORE, e);
	if (status == 0)
		status = loaded_text(l, e);
	if (status < 0)
		loaded_close(l);
	return status;
}

static int judge_tasks(struct app *app, const struct eval *o, const char *model, const struct opt_parse *p,
                       struct err *e)
{
	const struct eval_tasks t = tasks_of(o, model, p);
	struct loaded l;

	if (open_tasked(&l, app, o, model, o->adapter, e) < 0)
		return -1;
	int status = eval_tasks(app, &t, &l, e);
	loaded_close(&l);
	return status;
}

/* Two models, or one without and with an adapter, which is the second's. */
static int judge_two(struct app *app, const struct eval *o, const struct opt_parse *p, struct err *e)
{
	const char *a = p->positional[0], *b = p->positional[p->n_positional - 1];
	const struct eval_tasks t = tasks_of(o, a, p);
	struct loaded l[2];

	if (open_tasked(&l[0], app, o, a, NULL, e) < 0)
		return -1;
	int status = open_tasked(&l[1], app, o, b, o->adapter, e);
	if (status == 0) {
		const struct eval_live_side sides[2] = { { a, NULL, &l[0] }, { b, o->adapter, &l[1] } };
		status = eval_live(app, &t, sides, o->cluster_by, e);
		loaded_close(&l[1]);
	}
	loaded_close(&l[0]);
	return status;
}

/* How one of two models is asked the rows. */
static int set_row_options(const struct eval *o, struct loaded *l, const struct rows *r, struct evaluate_options *eo,
                           struct err *e)
{
	*eo = (struct evaluate_options){ .micro_batch_tokens = (int32_t)o->micro_batch_tokens,
		                         .apply_chat_template = o->apply_chat_template };
	if (o->max_new_tokens != OPT_UNSET_INT)
		eo->max_new_tokens = (int32_t)o->max_new_tokens;
	if (l->model.labels)
		return err_set(e, "%s classifies: --compare is of models that say tokens", l->model.source.path);
	if (set_lengths(o, l, r->shape->judged == JUDGED_TEXTS, eo, e) < 0)
		return -1;
	return evaluate_wants_template(r, eo) ? loaded_chat(l, e) : 0;
}

/* The same two over rows. */
static int judge_two_on_rows(struct app *app, const struct eval *o, const struct opt_parse *p, const struct rows *r,
                             struct err *e)
{
	const char *a = p->positional[0], *b = p->positional[p->n_positional - 1];
	struct rows some = *r;
	struct loaded l[2];

	if (r->n == 0)
		return err_set(e, "%s holds no rows", o->data);
	if (o->limit != OPT_UNSET_INT)
		some.n = MIN(r->n, (size_t)o->limit);
	if (open_tasked(&l[0], app, o, a, NULL, e) < 0)
		return -1;
	metering_in("data", o->data, r->hash);
	int status = open_tasked(&l[1], app, o, b, o->adapter, e);
	if (status == 0) {
		struct eval_live_rows rows = { .data = o->data, .rows = &some, .cluster_by = o->cluster_by,
			                       .side = { { a, NULL, &l[0] }, { b, o->adapter, &l[1] } } };
		for (int s = 0; s < 2 && status == 0; s++)
			status = set_row_options(o, &l[s], r, &rows.how[s], e);
		if (status == 0)
			status = eval_live_rows(app, &rows, e);
		loaded_close(&l[1]);
	}
	loaded_close(&l[0]);
	return status;
}

static int compare_rows_or_usage(struct app *app, const struct eval *o, struct opt_parse *p, struct err *e)
{
	static const char *const others[] = { "group-by", "details", "instruction", "examples", "num-fewshot",
		                              "fewshot-out", "label-words", "query-template", "calibrate", "variants",
		                              "extract", "self-consistency", "temperature", "documents",
		                              "fewshot-prompt", "output-path" };
	struct rows rows = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (opt_given(p, others[i]))
			return app_usage(&cmd_eval, "--compare of two models goes without --%s", others[i]);
	if (p->n_positional + (o->adapter != NULL) < 2)
		return app_usage(&cmd_eval, "--compare wants two models, or one and --adapter");
	if (app->plans)
		return err_set(e, "what two models take is not told beforehand: they end when it is decided");
	int status = rows_load(&rows, o->data, e);
	if (status == 0)
		status = judge_two_on_rows(app, o, p, &rows, e);
	rows_release(&rows);
	return status;
}

/* What of files is kept of --tasks and --suite, and how the one model is named. */
static int judge_exams(struct app *app, const struct eval *o, struct opt_parse *p, struct err *e)
{
	if (app->plans && o->suite.suite && (o->suite.judge || o->suite.toxicity))
		return err_set(e, "what --%s takes is not told beforehand: what it reads are the answers",
		               o->suite.judge ? "judge" : "toxicity");
	if (app->plans && o->compare)
		return err_set(e, "what two models take is not told beforehand: they end when it is decided");
	if (o->tasks.log_samples && !o->tasks.output_path)
		return app_usage(&cmd_eval, "--log-samples wants --output-path DIR");
	if (o->compare && o->tasks.output_path)
		return app_usage(&cmd_eval, "--output-path is of one model: two of --compare leave no files");
	if (o->compare && p->n_positional + (o->adapter != NULL) < 2)
		return app_usage(&cmd_eval, "--compare wants two models, or one and --adapter");
	if (o->compare)
		return judge_two(app, o, p, e);
	if (p->n_positional != 1)
		return app_usage(&cmd_eval, "%s", cmd_eval.wanted);
	return judge_tasks(app, o, p->positional[0], p, e);
}

static int suite_or_usage(struct app *app, const struct eval *o, struct opt_parse *p, struct err *e)
{
	static const char *const others[] = { "data", "tasks", "task-data", "group-by", "details", "instruction",
		                              "examples", "num-fewshot", "fewshot-select", "fewshot-order",
		                              "fewshot-out", "label-words", "query-template", "calibrate", "variants",
		                              "extract", "self-consistency", "temperature", "stride", "documents",
		                              "fewshot-prompt", "fewshot-delimiter", "target-delimiter",
		                              "gen-kwargs", "system-instruction", "fewshot-as-multiturn",
		                              "apply-chat-template" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (opt_given(p, others[i]))
			return app_usage(&cmd_eval, "--suite goes without --%s", others[i]);
	if (opt_given(p, "toxicity-label") && !o->suite.toxicity)
		return app_usage(&cmd_eval, "--toxicity-label is --toxicity's");
	return judge_exams(app, o, p, e);
}

/* NULL, or an option that is --suite's. */
static const char *suite_alone(const struct opt_parse *p)
{
	static const char *const own[] = { "suite-parts", "suite-data", "judge", "canaries", "training-data",
		                           "toxicity", "toxicity-label" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (opt_given(p, own[i]))
			return own[i];
	return NULL;
}

/* What is of rows that are given has no place beside tasks. */
static int tasks_or_usage(struct app *app, const struct eval *o, struct opt_parse *p, struct err *e)
{
	static const char *const others[] = { "data", "group-by", "details", "instruction", "examples",
		                              "fewshot-select", "fewshot-order", "fewshot-out", "label-words",
		                              "query-template", "calibrate", "variants", "extract",
		                              "max-new-tokens", "self-consistency",
		                              "temperature", "stride", "documents", "fewshot-prompt",
		                              "fewshot-delimiter", "target-delimiter" };

	if (!strcmp(o->tasks.tasks, "list")) {
		eval_tasks_list(app);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (opt_given(p, others[i]))
			return app_usage(&cmd_eval, "--tasks go without --%s: the tasks say it themselves", others[i]);
	return judge_exams(app, o, p, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct eval *o = options;
	struct rows rows = { 0 };

	app_catch_signals();
	if (o->compare && o->data && !o->tasks.tasks)
		return compare_rows_or_usage(app, o, p, e);
	if (o->compare && !o->tasks.tasks && p->n_positional != 2)
		return app_usage(&cmd_eval, "--compare wants two folders of --log-samples, or --tasks or --data");
	if (o->compare && !o->tasks.tasks)
		return eval_compare(app, p->positional[0], p->positional[1], o->cluster_by, e);
	if (o->cluster_by && !o->compare)
		return app_usage(&cmd_eval, "--cluster-by is --compare's");
	if (o->suite.suite)
		return suite_or_usage(app, o, p, e);
	if (suite_alone(p))
		return app_usage(&cmd_eval, "--%s is --suite's", suite_alone(p));
	if (o->tasks.tasks)
		return tasks_or_usage(app, o, p, e);
	if (p->n_positional != 1)
		return app_usage(&cmd_eval, "%s", cmd_eval.wanted);
	if (!o->data)
		return app_usage(&cmd_eval, "--data FILE was wanted, --tasks LIST or --suite safety");
	if (contradiction(o))
		return app_usage(&cmd_eval, "%s", contradiction(o));
	o->batch_given = opt_given(p, "micro-batch-tokens");
	char *learner = adapted_learner(p->positional[0]);
	struct sources_options unused = { 0 }; /* a cascade's answers look for its documents themselves */
	struct adapted_options left = { 0 };
	const struct adapted_places places = { &o->context,
		                               cascade_is(p->positional[0]) ? &unused : &o->documents, &o->calibrate };
	int status = rows_load(&rows, o->data, e);
	if (status == 0)
		status = adapted_options_take(&left, p->positional[0], &places, e);
	o->apply_chat_template |= left.turns && !opt_given(p, "apply-chat-template");
	if (status == 0 && learner)
		status = refuse_of_tokens(p, p->positional[0], e);
	if (status == 0 && cascade_is(p->positional[0]))
		status = judge_cascade(app, o, p->positional[0], &rows, e);
	else if (status == 0 && learner)
		status = judge_probe(app, o, learner, &rows, e);
	else if (status == 0)
		status = open_and_judge(app, o, p->positional[0], &rows, e);
	rows_release(&rows);
	adapted_options_release(&left);
	mem_free(learner);
	return status;
}

const struct command cmd_eval = {
	.name = "eval",
	.summary = "how well a model does on your rows, each score with its error",
	.usage = "MODEL --data FILE|--tasks LIST|--suite safety [--adapter DIR] [options]",
	.example = "kungfu eval model.gguf --data test.jsonl",
	.brief = "its score on your rows",
	.plans = true,
	.order = 40,
	.opts = eval_opts,
	.options_size = sizeof(struct eval),
	.least = 0, .most = 2, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
