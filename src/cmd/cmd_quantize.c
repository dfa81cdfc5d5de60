/* quantize: a model as a GGUF file of fewer bits, and what that did to it: the file is opened again and, with --data,
 * compared with its source token by token. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/model_writing.h"
#include "cmd/output_check.h"
#include "cmd/quantize_time.h"
#include "eval/agreement.h"
#include "infer/embed_settings.h"
#include "model/quantize_model.h"
#include "quant/quantize.h"
#include "quant/quantize_matrix.h"

extern const struct command cmd_quantize;

#define COMPARE_SECONDS 0.05           /* of trying how long a document takes */
#define WRITE_RATE 1e9                 /* bytes/s onto a disk: a plan writes nothing; past runs say better */

struct quantize {
	struct common common;
	const char *to, *out, *imatrix, *data, *output_type, *embedding_type;
	struct opt_list rules;
	bool pure, leave_output, allow_requantize;
	int64_t limit;
};

static const struct opt quantize_opts[] = {
	OPT_GROUP("What to write"),
	{ OPT_TYPE_STRING, "to", "type", offsetof(struct quantize, to), NULL, 0, 0, NULL, "TYPE",
	  "llama-quantize's name of the mixture, as q4_k_m, q8_0, iq4_xs, mxfp4_moe, f16" },
	OPT_STRING("out", struct quantize, out, NULL, "FILE.gguf", "the file to write"),
	OPT_STRING("imatrix", struct quantize, imatrix, NULL, "FILE",
	           "which columns matter, from kungfu imatrix or llama-imatrix (GGUF or .dat)"),
	OPT_FLAG("pure", struct quantize, pure, "false", "all matrices in the one type, none better"),
	OPT_FLAG("leave-output-tensor", struct quantize, leave_output, "false", "output.weight stays as it is"),
	OPT_STRING("output-tensor-type", struct quantize, output_type, NULL, "TYPE", "of output.weight"),
	OPT_STRING("token-embedding-type", struct quantize, embedding_type, NULL, "TYPE", "of token_embd.weight"),
	OPT_LIST("tensor-type", struct quantize, rules, "PATTERN=TYPE",
	         "of tensors whose name an expression is found in, as 'ffn_down=q6_k'; the first that fits counts"),
	OPT_FLAG("allow-requantize", struct quantize, allow_requantize, "false",
	         "also from a file that is quantized already"),
	OPT_GROUP("What it is compared on"),
	OPT_STRING("data", struct quantize, data, NULL, "FILE",
	           "rows or text, as eval takes them: how far the written model is from its source"),
	OPT_INT("limit", struct quantize, limit, NULL, 1, 1e12, "only the first N rows"),
	COMMON_OPTS(struct quantize, common),
	OPT_END
};

struct quantizing {
	struct app *app;
	const struct quantize *o;
	struct loaded source, written;
	struct quant_mix_wish wish;
	struct imatrix imatrix;
	struct quantize_how how;
	struct quantize_list of_gguf;       /* of a file */
	struct quantize_model of_folder;
	const struct quantize_list *list;   /* either's */
	bool exports;
	struct rows rows;
	struct documents documents;
	struct agreement agreement;
	double began;
};

/* --- what is wanted --- */

static int type_named(const char *option, const char *name, enum dtype *out, struct err *e)
{
	int d = name ? dtype_from_name(name) : DTYPE_COUNT;

	if (d < 0 || (name && dtypes[d].gguf < 0))
		return err_set(e, "--%s: '%.40s' is no type of GGUF, as q4_k, q6_k, q8_0, iq4_nl, f16 are", option,
		               name);
	if (name && !quantize_writes((enum dtype)d))
		return err_set(e, "--%s: %s is only read, not written", option, dtypes[d].name);
	*out = (enum dtype)d;
	return 0;
}

/* PATTERN=TYPE; patterns in small letters, as llama-quantize takes them. */
static int read_rule(const char *text, struct arena *mem, struct quant_mix_rule *rule, struct err *e)
{
	const char *at = strrchr(text, '=');

	if (!at || at == text)
		return err_set(e, "--tensor-type %.80s: PATTERN=TYPE was wanted, as ffn_down=q6_k", text);
	char *pattern = arena_strndup(mem, text, (size_t)(at - text));
	for (char *c = pattern; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	rule->pattern = pattern;
	return type_named("tensor-type", at + 1, &rule->dtype, e);
}

static int read_wish(struct quantizing *q, struct arena *mem, struct err *e)
{
	const struct quantize *o = q->o;
	struct quant_mix_rule *rules = arena_array(mem, o->rules.n, sizeof(*rules));

	q->wish = (struct quant_mix_wish){ .mixture = quant_mix_find(o->to, e), .pure = o->pure,
		                         .leave_output = o->leave_output, .rules = rules, .n_rules = o->rules.n,
		                         .importance = o->imatrix != NULL };
	if (!q->wish.mixture || type_named("output-tensor-type", o->output_type, &q->wish.output, e) < 0 ||
	    type_named("token-embedding-type", o->embedding_type, &q->wish.embedding, e) < 0)
		return -1;
	for (size_t i = 0; i < o->rules.n; i++)
		if (read_rule(o->rules.items[i], mem, &rules[i], e) < 0)
			return -1;
	if (o->imatrix && imatrix_open(&q->imatrix, o->imatrix, e) < 0)
		return -1;
	q->how = (struct quantize_how){ .wish = &q->wish, .imatrix = o->imatrix ? &q->imatrix : NULL,
		                        .imatrix_path = o->imatrix, .allow_requantize = o->allow_requantize, .ctx = q };
	if (o->imatrix)
		metering_in("imatrix", o->imatrix, NULL);
	return 0;
}

/* A folder's tensors as the file will have them. */
static int list_folder(struct quantizing *q, struct err *e)
{
	static const struct export_weights own = { .get = export_own };
	const struct model *m = &q->source.model;
	struct export_weights *weights = arena_array(&q->source.model.source.mem, 1, sizeof(*weights));

	*weights = own;
	weights->ctx = (void *)m;
	if (loaded_text(&q->source, e) < 0 || quantize_model_list(&q->of_folder, m, weights, false, &q->how, e) < 0)
		return -1;
	q->exports = true;
	q->list = &q->of_folder.list;
	return 0;
}

static int list_file(struct quantizing *q, struct err *e)
{
	q->list = &q->of_gguf;
	return quantize_list_gguf(&q->of_gguf, &q->source.model.source.gguf, &q->how, e);
}

static void warn_unused_rules(const struct quantizing *q)
{
	for (size_t i = 0; i < q->wish.n_rules; i++) {
		bool used = false;
		for (size_t k = 0; k < q->list->n; k++)
			used |= q->list->t[k].rule == &q->wish.rules[i];
		if (!used)
			log_warn("--tensor-type %s decides no tensor's type", q->o->rules.items[i]);
	}
}

static int make_list(struct quantizing *q, struct err *e)
{
	int status = q->source.model.source.is_gguf ? list_file(q, e) : list_folder(q, e);

	if (status == 0)
		warn_unused_rules(q);
	return status;
}

static int read_data(struct quantizing *q, struct err *e)
{
	const struct quantize *o = q->o;

	if (!o->data)
		return 0;
	if (rows_load(&q->rows, o->data, e) < 0)
		return -1;
	metering_in("data", o->data, q->rows.hash);
	if (q->rows.n == 0)
		return err_set(e, "%s holds no rows", o->data);
	if (o->limit != OPT_UNSET_INT)
		rows_cut(&q->rows, (size_t)o->limit);
	if (loaded_text(&q->source, e) < 0 || loaded_chat(&q->source, e) < 0)
		return -1;
	struct text_codec codec = { q->source.model.tokenizer, q->source.chat };
	struct document_options d = { .max_length = agreement_length(&q->source.model) };
	if (documents_make(&q->documents, &q->rows, &codec, &d, e) < 0)
		return -1;
	columns_warn(&q->documents.columns);
	return q->documents.learnt ? 0 : err_set(e, "%s: no row predicts a token", o->data);
}

/* --- the plan --- */

/* Bytes of the tensor that takes most while it is written: of a file as it is and as it is written; of a folder, expert
 * by expert, as f32 beside either, as what was read is given back before the other is made. */
static size_t largest_tensor(const struct quantizing *q)
{
	size_t most = 0;

	for (size_t i = 0; i < q->list->n; i++) {
		const struct quant_mix_tensor *t = &q->list->t[i];
		size_t n = t->dim[0] * t->dim[1] * (q->exports ? 1 : t->dim[2]);
		size_t from = n / dtypes[t->dtype].block * dtypes[t->dtype].bytes;
		size_t to = n / dtypes[t->to].block * dtypes[t->to].bytes;
		most = MAX(most, q->exports ? n * sizeof(float) + MAX(from, to) : from + to);
	}
	return most;
}

static int plan_comparing(struct quantizing *q, struct predicted *p, size_t *work, struct err *e)
{
	struct agreement_models both = { &q->source.model, &q->source.model, q->app->device, q->app->pool };
	struct agreement_forecast f;

	if (agreement_forecast(&f, &both, q->documents.items, q->documents.n, e) < 0)
		return -1;
	*work = f.bytes;
	predict_phase(p, "compare", f.seconds);
	predict_operations(p, f.work.flops, f.work.int_ops);
	return 0;
}

static int plan(struct quantizing *q, struct err *e)
{
	double writing = (double)q->list->bytes_to / WRITE_RATE, seconds = 0;
	size_t work = 0;
	struct predicted p;

	if (quantize_seconds(q->list, false, q->app->pool, &seconds, e) < 0)
		return -1;
	predict_begin(&p, "quantize %s", q->wish.mixture->name);
	predict_operations(&p, 0, 0);
	if (q->o->data && plan_comparing(q, &p, &work, e) < 0)
		return -1;
	double one = (double)largest_tensor(q);
	if (q->o->data) {
		loaded_predict(&q->source, &p, &(struct model_reads){ .token = NULL }, work, 0, "of comparing");
		predict_part(&p, "written", (double)q->list->bytes_to, "the file, opened again");
	} else {
		model_forget(&q->source.model);
		predict_part(&p, "tensor", one, "one while it is written");
		predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, tokenizer");
	}
	predict_phase(&p, "quantize", seconds);
	predict_phase(&p, "writing", writing);
	p.loose_seconds = writing;
	return planned(q->app, &p,
	               &(struct planned_options){
			       .facts = json_pack("{s:I}", "disk_bytes", (json_int_t)q->list->bytes_to) },
	               e);
}

/* --- writing --- */

static int show_progress(void *ctx, const struct quant_mix_tensor *t, size_t done, size_t total)
{
	struct quantizing *q = ctx;
	double seconds = clock_seconds() - q->began;
	char left[32];

	model_forget(&q->source.model); /* what is written already is not wanted again */
	metering_tick();
	if (seconds < 2 || done == 0 || app_interrupted() || metering_over())
		return app_interrupted() || metering_over();
	clock_human(seconds * (double)(total - done) / (double)done, left);
	log_live("%s: %s  %.0f %%  %s left  %s", t->name, dtypes[t->to].name, 100 * (double)done / (double)total, left,
	         metering_live());
	return 0;
}

static int before_matrix(void *ctx, const struct export_tensor *t, struct err *e)
{
	struct quantizing *q = ctx;

	if (app_interrupted() || metering_over())
		return err_set(e, "interrupted before '%.80s' was written", t->name);
	model_forget(&q->source.model);
	metering_tick();
	return 0;
}

static void put_keys(void *ctx, struct gguf_meta *meta)
{
	struct quantizing *q = ctx;

	embed_settings_put_gguf(&q->source.model, meta);
}

static int write_file(struct quantizing *q, struct err *e)
{
	metering_phase("write");
	q->how.progress = show_progress;
	if (!q->exports)
		return quantize_gguf(q->o->out, &q->source.model.source.gguf, q->list, &q->how, q->app->pool, e);
	q->of_folder.before = before_matrix;
	q->of_folder.keys = put_keys;
	q->of_folder.ctx = q;
	return quantize_model_write(&q->of_folder, q->o->out, q->app->pool, e);
}

/* --- what came of it --- */

static int show_comparing(void *ctx, size_t done, size_t total)
{
	(void)ctx;
	metering_tick();
	log_live("comparing: %zu of %zu windows  %s", done, total, metering_live());
	return app_interrupted() || metering_over();
}

static int compare(struct quantizing *q, struct err *e)
{
	struct model *first = &q->source.model, *second = &q->written.model;
	struct agreement_models both = { first, second, q->app->device, q->app->pool };

	if (first->config.V != second->config.V)
		return err_set(e, "%s: the written model has %d tokens, its source %d", q->o->out, second->config.V,
		               first->config.V);
	if (!q->o->data)
		return 0;
	metering_phase("compare");
	return agreement_run(&q->agreement, &both, q->documents.items, q->documents.n, show_comparing, q, e);
}

static double bits_of(const struct quantizing *q, size_t bytes)
{
	double numbers = 0;

	for (size_t i = 0; i < q->list->n; i++)
		numbers += (double)(q->list->t[i].dim[0] * q->list->t[i].dim[1] * q->list->t[i].dim[2]);
	return 8 * (double)bytes / numbers;
}

static json_t *types_json(const struct quantizing *q)
{
	json_t *j = json_object();

	for (int d = 0; d < DTYPE_COUNT; d++) {
		json_int_t n = 0;
		for (size_t i = 0; i < q->list->n; i++)
			n += q->list->t[i].to == (enum dtype)d;
		if (n)
			json_object_set_new(j, dtypes[d].name, json_integer(n));
	}
	return j;
}

static json_t *summarize(const struct quantizing *q)
{
	const struct agreement *a = &q->agreement;
	json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:f, s:o, s:I, s:I}", "out", jsonx_path(q->o->out), "type",
	                      q->wish.mixture->name, "bytes_before", (json_int_t)q->list->bytes_from, "bytes",
	                      (json_int_t)q->list->bytes_to, "bits_per_weight", bits_of(q, q->list->bytes_to),
	                      "tensors", types_json(q), "fell_back", (json_int_t)q->list->n_fell_back,
	                      "compared_tokens",
	                      (json_int_t)a->tokens);

	if (!q->o->data)
		return j;
	put_estimate(j, "kl_divergence", &a->kl);
	json_object_set_new(j, "kl_divergence_max", jsonx_number(a->kl_most));
	put_estimate(j, "same_top", &a->same_top);
	put_estimate(j, "perplexity_before", &a->first);
	put_estimate(j, "perplexity", &a->second);
	put_estimate(j, "perplexity_ratio", &a->change);
	return j;
}

/* ", low to high", or nothing where one window cannot tell. */
static const char *span(const struct estimate *x, double by, const char *format, char out[64])
{
	char low[24], high[24];

	out[0] = 0;
	if (!isfinite(x->low) || !isfinite(x->high))
		return out;
	snprintf(low, sizeof(low), format, by * x->low);
	snprintf(high, sizeof(high), format, by * x->high);
	snprintf(out, 64, ", %s to %s", low, high);
	return out;
}

static void show_agreement(const struct quantizing *q)
{
	const struct agreement *a = &q->agreement;
	char s[64];

	app_print("  compared with its source on %zu tokens of %s, in windows of at most %d\n", a->tokens, q->o->data,
	          agreement_length(&q->source.model));
	app_print("  KL divergence    %.5f nats a token%s; the largest %.3f\n", a->kl.mean, span(&a->kl, 1, "%.5f", s),
	          a->kl_most);
	app_print("  same next token  %.2f %%%s\n", 100 * a->same_top.mean, span(&a->same_top, 100, "%.2f", s));
	app_print("  perplexity       %.3f, before %.3f: times %.4f%s\n", a->second.mean, a->first.mean,
	          a->change.mean, span(&a->change, 1, "%.4f", s));
}

static void show(const struct quantizing *q)
{
	char before[32], after[32], time[32], gas[400];

	clock_human(clock_seconds() - q->began, time);
	app_print("%s: %s, %s of weights, before %s: %.2f bits a weight, before %.2f\n", q->o->out,
	          q->wish.mixture->name, human_bytes(q->list->bytes_to, after),
	          human_bytes(q->list->bytes_from, before),
	          bits_of(q, q->list->bytes_to), bits_of(q, q->list->bytes_from));
	if (q->list->n_fell_back)
		app_print("  %zu of %zu tensors have rows that the type's blocks do not divide, and another type\n",
		          q->list->n_fell_back, q->list->n);
	if (q->o->data)
		show_agreement(q);
	else
		app_print("  opened again; nothing was compared: --data FILE says how far it is from its source\n");
	metering_text(gas);
	app_print("  in %s%s%s\n", time, gas[0] ? "  " : "", gas);
}

static void report(const struct quantizing *q)
{
	log_live_end();
	metering_out("result", q->o->out);
	if (q->o->imatrix && q->list->n_unweighted)
		log_warn("tensors that have no entry in %s and were quantized without one: %zu", q->o->imatrix,
		         q->list->n_unweighted);
	json_t *j = summarize(q);
	metering_count(q->o->data ? (int64_t)q->documents.tokens * 2 : 0, 0, (int64_t)q->agreement.tokens,
	               q->agreement.flops, q->agreement.int_ops);
	app_summary(q->app, j);
	if (!q->app->json && (q->o->data || !q->app->quiet))
		show(q);
}

/* --- the whole --- */

static int quantize(struct quantizing *q, const char *model, struct arena *mem, struct err *e)
{
	if (read_wish(q, mem, e) < 0 || loaded_open_alone(&q->source, model, e) < 0)
		return -1;
	int status = make_list(q, e);
	if (status == 0)
		status = read_data(q, e);
	if (status == 0)
		status = plan(q, e);
	q->began = clock_seconds();
	if (status == 0)
		status = write_file(q, e);
	if (status == 0) {
		model_forget(&q->source.model);
		status = loaded_open(&q->written, q->o->out, NULL, e);
	}
	if (status == 0) {
		status = compare(q, e);
		if (status == 0)
			report(q);
		else
			err_prefix(e, "%s is written and whole; comparing it", q->o->out);
		loaded_close(&q->written);
	}
	if (q->exports)
		quantize_model_release(&q->of_folder);
	quantize_list_release(&q->of_gguf);
	documents_release(&q->documents);
	rows_release(&q->rows);
	loaded_close(&q->source);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct quantize *o = options;
	struct quantizing q = { .app = app, .o = o, .began = clock_seconds() };
	struct arena mem = ARENA_INIT;

	app_catch_signals();
	if (!o->to || !o->out)
		return app_usage(&cmd_quantize, "--to TYPE and --out FILE.gguf were wanted");
	if (!o->data && o->limit != OPT_UNSET_INT)
		return app_usage(&cmd_quantize, "--limit is of --data, which was not given");
	if (output_is_special(o->out))
		return app_usage(&cmd_quantize,
		                 "--out %s: what is written is read again: the name of a file was wanted", o->out);
	if (!names_gguf(o->out))
		return app_usage(&cmd_quantize, "--out %s: a name that ends in .gguf was wanted", o->out);
	int status = quantize(&q, p->positional[0], &mem, e);
	imatrix_close(&q.imatrix);
	arena_release(&mem);
	return status;
}

const struct command cmd_quantize = {
	.name = "quantize",
	.summary = "a model as a GGUF file of fewer bits, compared with its source",
	.usage = "MODEL --to TYPE --out FILE.gguf [--imatrix FILE] [--data FILE]",
	.example = "kungfu quantize model --to q4_k_m --out m.gguf",
	.brief = "fewer bits, and the loss",
	.plans = true,
	.order = 63,
	.opts = quantize_opts,
	.options_size = sizeof(struct quantize),
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
