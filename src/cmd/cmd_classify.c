/* classify: what a model with a head that classifies says of each text of a file: its label, and how likely each is;
 * or what a folder of `probe` says.
 *
 * The file has a text a line, or rows (cmd/text_rows.h) with a column `text` or `sentence`, or with two texts of
 * a pair (data/enclosed.h); of a model with one output also with a prompt and its answer in any shape of
 * data/shape.h, which then are read as training reads them (train/objective_reward.c). --out F.jsonl has each
 * row with `predicted` added (the label's name; of a regression the number; of several labels a list) and
 * `probabilities` (an object of names, or none of a regression); without --out they are told, a line a text. The
 * file appears when it is whole. How often the labels of rows are right is `eval`'s. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/metering.h"
#include "cmd/adapt/adapt.h"
#include "cmd/model_common.h"
#include "cmd/probing.h"
#include "cmd/scoring.h"
#include "cmd/text_rows.h"
#include "data/chat.h"
#include "data/enclosed.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"

extern const struct command cmd_classify;

#define LINE_SECONDS 4e-6               /* of writing a text's line; past runs say better */
enum { SHOWN_BYTES = 60 };              /* of a text that is told */

struct classify {
	struct common common;
	const char *out, *adapter, *compute;
	int64_t max_length, limit, micro_batch_tokens;
};

static const struct opt classify_opts[] = {
	OPT_GROUP("What"),
	OPT_STRING("out", struct classify, out, NULL, "FILE.jsonl",
	           "the rows with `predicted` and `probabilities` added (default: told, a line a text)"),
	ADAPTER_OPT(struct classify, adapter),
	OPT_INT("limit", struct classify, limit, NULL, 1, 1e12, "only the first N texts"),
	OPT_GROUP("How"),
	OPT_INT("max-length", struct classify, max_length, NULL, 1, 1 << 20,
	        "most tokens of a text, those around it included (default: the model's context)"),
	OPT_INT("micro-batch-tokens", struct classify, micro_batch_tokens, "2048", 2, 1 << 22,
	        "tokens computed at once"),
	COMPUTE_OPT(struct classify, compute, "f32"),
	COMMON_OPTS(struct classify, common),
	OPT_END
};

struct job {
	struct app *app;
	const struct classify *o;
	struct loaded l;
	struct text_rows texts;
	struct scoring scoring;
	struct labeller *labeller;
	struct probing probing;         /* instead of l and labeller */
	struct answers asked;
	bool is_probe;
	const struct labels *labels;
	struct template *chat;          /* or NULL */
	float *z;                       /* [rows.n][labels] */
	struct io_writer file;
	int32_t max_length;
	double seconds;
};

/* --- reading --- */

static int no_text(struct err *e)
{
	struct buf names = BUF_INIT;

	for (const struct pair_columns *p = pair_columns; p->first; p++)
		buf_addf(&names, "%s%s and %s", p == pair_columns ? "" : ", ", p->first, p->second);
	err_set(e, "no column `text` or `sentence` that is a text, nor two of a pair (%s)", buf_str(&names));
	buf_release(&names);
	return -1;
}

/* The text that a row is of, of a pair the first; NULL: none. */
static const json_t *text_of(const json_t *row, const struct pair_columns *pair)
{
	const json_t *text = json_object_get(row, pair ? pair->first : "text");

	return text ? text : json_object_get(row, "sentence");
}

/* A prompt and its answer, of a model with one output; NULL: the row is none. */
static const struct shape *answer_shape(const struct job *j, const json_t *row)
{
	const struct shape *s = j->l.model.labels && j->l.model.labels->n == 1 ? shape_of(row) : NULL;

	return s && s->judged == JUDGED_ANSWERS ? s : NULL;
}

static int encode_answer(const struct job *j, const struct row *r, const struct shape *s, struct document *d,
                         struct arena *mem, size_t *cut, struct err *e)
{
	const struct model *m = &j->l.model;
	const struct text_codec codec = { m->tokenizer, j->chat };
	const struct document_options o = { .max_length = j->max_length, .labelled = true,
		                            .label_first = m->config.arch->encoder, .types = model_types(m) };
	const struct row row = *r;
	const struct rows one = { .items = (struct row *)(uintptr_t)&row, .n = 1, .shape = s };
	struct documents made;

	if (documents_make(&made, &one, &codec, &o, e) < 0)
		return -1;
	const struct document *x = &made.items[made.n - 1];
	d->n = x->n;
	d->n_learn = x->n_learn;
	d->second = x->second;
	d->ids = arena_array(mem, (size_t)x->n, sizeof(*d->ids));
	d->learn = arena_array(mem, (size_t)x->n, 1);
	memcpy(d->ids, x->ids, (size_t)x->n * sizeof(*d->ids));
	memcpy(d->learn, x->learn, (size_t)x->n);
	*cut = (size_t)x->n_cut;
	documents_release(&made);
	return 0;
}

static int encode(void *ctx, const struct row *r, struct document *d, struct arena *mem, size_t *cut, struct err *e)
{
	const struct job *j = ctx;
	const struct model *m = &j->l.model;
	const struct pair_columns *p = pair_columns_of(r->json);
	const json_t *text = text_of(r->json, p), *pair = p ? json_object_get(r->json, p->second) : NULL;

	if (!json_is_string(text) && answer_shape(j, r->json))
		return encode_answer(j, r, answer_shape(j, r->json), d, mem, cut, e);
	if (!json_is_string(text))
		return no_text(e);
	struct enclosed x = { .text = json_string_value(text), .n = json_string_length(text),
		              .pair = json_string_value(pair), .n_pair = json_string_length(pair) };
	int status = enclose(&x, m->tokenizer, (size_t)j->max_length, e);
	if (status == 0)
		enclosed_document(d, mem, &x, m->config.arch->encoder);
	d->second = model_types(m) > 1 ? x.second : 0;
	*cut = x.cut;
	tokens_release(&x.ids);
	return status;
}

static int settle(struct job *j, struct err *e)
{
	const struct classify *o = j->o;
	const struct model *m = &j->l.model;

	if (!m->labels)
		return err_set(e, "%s: a model without a head that classifies; kungfu tune --objective classification "
		                  "trains one", m->source.path);
	j->max_length = m->config.n_ctx;
	return text_length(m, o->max_length, &j->max_length, e);
}

/* --- the work --- */

static int compute(struct job *j, struct err *e)
{
	const struct model *m = &j->l.model;
	const struct text_rows *t = &j->texts;
	const struct scoring_plan plan = { .command = "classify", .phase = "scoring", .what = "activations",
		                           .writing = (double)t->rows.n * LINE_SECONDS };

	j->scoring = (struct scoring){ .docs = t->pointers, .n = t->rows.n, .unit = "text" };
	if (labeller_new(&j->labeller, &j->l.model, loaded_overlay(&j->l), j->app->device,
	                 (int32_t)j->o->micro_batch_tokens, t->longest, e) < 0 ||
	    scoring_planned(&j->scoring, j->app, &j->l, labeller_scorer(j->labeller), &plan, e) < 0)
		return -1;
	metering_phase("classify");
	j->labels = m->labels;
	j->z = mem_array(t->rows.n * (size_t)m->labels->n, sizeof(*j->z));
	scoring_begin(&j->scoring);
	int status = labeller_run(j->labeller, t->pointers, t->rows.n, j->z, scoring_progress, &j->scoring, e);
	j->seconds = clock_seconds() - j->scoring.began;
	return status;
}

/* --- writing --- */

static json_t *row_said(const struct job *j, size_t i)
{
	const struct labels *l = j->labels;
	const float *z = j->z + i * (size_t)l->n;
	json_t *row = json_copy(j->texts.rows.items[i].json), *chances = labels_chances(l, z);

	json_object_set_new(row, "predicted", labels_said(l, z));
	json_object_del(row, "probabilities");
	if (chances)
		json_object_set_new(row, "probabilities", chances);
	return row;
}

/* What a row asks, new. */
static json_t *text_shown(const struct job *j, size_t i)
{
	const json_t *row = j->texts.rows.items[i].json;

	const json_t *text = j->is_probe ? NULL : text_of(row, pair_columns_of(row));

	if (!j->is_probe && !text) {
		json_t *answer = shape_answer(shape_of(row), row);
		return answer ? answer : json_incref((json_t *)(uintptr_t)row); /* a conversation */
	}
	if (!j->is_probe)
		return json_incref((json_t *)(uintptr_t)text);
	return jsonx_text(j->asked.rows.text[i].s, j->asked.rows.text[i].n);
}

/* As much of a text as is told, for eyes. */
static void add_beginning(struct buf *out, const json_t *text, size_t most)
{
	char *line = jsonx_line(text);
	size_t n = strlen(line);

	while (n > most && ((unsigned char)line[n - 1] >= 0x80 || n > most + 4))
		n--;
	buf_add(out, line, n);
	buf_adds(out, n < strlen(line) ? "…" : "");
	mem_free(line);
}

/* The label and how likely it is, or the number, then the text's beginning, of a pair both. */
static void show_row(const struct job *j, size_t i)
{
	const struct labels *l = j->labels;
	const float *z = j->z + i * (size_t)l->n;
	double *p = mem_array((size_t)l->n, sizeof(*p));
	json_t *said = labels_said(l, z), *first = text_shown(j, i);
	const json_t *row = j->texts.rows.items[i].json;
	const struct pair_columns *pair = j->is_probe ? NULL : pair_columns_of(row);
	char *word = jsonx_line(said);
	struct buf text = BUF_INIT;

	labels_probabilities(l, z, p);
	add_beginning(&text, first, pair ? SHOWN_BYTES / 2 : SHOWN_BYTES);
	if (pair) {
		buf_adds(&text, " | ");
		add_beginning(&text, json_object_get(row, pair->second), SHOWN_BYTES / 2);
	}
	if (l->problem == PROBLEM_SINGLE_LABEL)
		app_print("%-20s %.4f  %s\n", json_string_value(said), p[labels_largest(l, z)], buf_str(&text));
	else
		app_print("%-20s  %s\n", word, buf_str(&text));
	json_decref(said);
	json_decref(first);
	buf_release(&text);
	mem_free(word);
	mem_free(p);
}

static int write_row(struct job *j, size_t i, struct err *e)
{
	json_t *row = row_said(j, i);
	char *line = j->o->out ? jsonx_line(row) : NULL;
	int status = 0;

	if (line && (io_writer_add(&j->file, line, strlen(line), e) < 0 || io_writer_add(&j->file, "\n", 1, e) < 0))
		status = -1;
	else if (!line && j->app->json)
		app_json(row);
	else if (!line)
		show_row(j, i);
	mem_free(line);
	json_decref(row);
	return status;
}

static int write_all(struct job *j, struct err *e)
{
	int status = 0;

	log_live_end();
	metering_phase("write");
	for (size_t i = 0; i < j->texts.rows.n && status == 0; i++)
		status = metering_over() ? err_set(e, "interrupted while labels were written") : write_row(j, i, e);
	return status < 0 || !j->o->out ? status : io_writer_commit(&j->file, e);
}

static void report(struct job *j)
{
	struct scorer *s = j->labeller         ? labeller_scorer(j->labeller) :
	                   j->probing.has_model ? features_scorer(j->probing.frozen.features) : NULL;
	const struct labels *l = j->labels;
	const struct text_rows *t = &j->texts;
	char time[32];

	if (t->n_cut)
		log_warn("%zu of %zu texts are longer than %d tokens and cut there", t->n_cut, t->rows.n,
		         j->max_length);
	if (j->o->out)
		metering_out("result", j->o->out);
	metering_count(t->tokens, 0, -1, s ? scorer_flops(s) : NAN, s ? scorer_int_ops(s) : NAN);
	json_t *out = json_pack("{s:o, s:I, s:i, s:s, s:i, s:I, s:I, s:I, s:f, s:f}", "out",
	                        j->o->out ? jsonx_path(j->o->out) : json_null(), "texts", (json_int_t)t->rows.n,
	                        "num_labels", l->n, "problem_type", problem_name(l->problem), "max_length",
	                        j->max_length, "truncated", (json_int_t)t->n_cut, "tokens", (json_int_t)t->tokens,
	                        "computed_tokens", (json_int_t)(s ? scorer_computed_tokens(s) : 0), "seconds",
	                        j->seconds,
	                        "tokens_per_second", (double)t->tokens / j->seconds);
	app_summary(j->app, out);
	if (j->app->json)
		return;
	clock_human(j->seconds, time);
	log_say("%s%s%zu texts, %lld tokens in %s, %.0f tokens/s", j->o->out ? j->o->out : "", j->o->out ? ": " : "",
	        t->rows.n, (long long)t->tokens, time, (double)t->tokens / j->seconds);
}

/* --- by a folder of probe --- */

static int classify_by_probe(struct job *j, const char *dir, const char *path, struct err *e)
{
	struct text_rows *t = &j->texts;
	struct probing *p = &j->probing;

	if (j->o->adapter)
		return err_set(e, "--adapter: %s names its model and adapter itself", dir);
	if (probing_open(p, j->app, dir, j->o->compute, e) < 0 || text_rows_read(t, path, j->o->limit, e) < 0)
		return -1;
	metering_in("data", path, t->rows.hash[0] ? t->rows.hash : NULL);
	if (p->has_model && text_length(&p->l.model, j->o->max_length, &p->how.max_length, e) < 0)
		return -1;
	if (answers_ask(&j->asked, &t->rows, e) < 0 ||
	    probing_rows(p, j->app, &t->rows, (int32_t)j->o->micro_batch_tokens, e) < 0 ||
	    (j->o->out && !j->app->plans && io_writer_open(&j->file, j->o->out, e) < 0) ||
	    probing_planned_use(p, j->app, "classify", (double)t->rows.n * LINE_SECONDS, e) < 0)
		return -1;
	j->labels = &p->learner.labels;
	j->max_length = p->how.max_length;
	t->tokens = p->frozen.tokens;
	j->z = mem_array(t->rows.n * (size_t)j->labels->n, sizeof(*j->z));
	metering_phase("classify");
	double began = clock_seconds();
	if (probing_outputs(p, j->app, &j->asked.rows, j->z, e) < 0)
		return -1;
	j->seconds = clock_seconds() - began;
	if (write_all(j, e) < 0)
		return -1;
	report(j);
	return 0;
}

/* --- the whole --- */

static int classify(struct job *j, const char *path, struct err *e)
{
	if (settle(j, e) < 0 || model_compute(j->app, &j->l.model, j->o->compute, PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(&j->l.model, e) < 0 || chat_template(&j->chat, j->l.model.tokenizer, e) < 0 ||
	    text_rows_read(&j->texts, path, j->o->limit, e) < 0)
		return -1;
	metering_in("data", path, j->texts.rows.hash[0] ? j->texts.rows.hash : NULL);
	if (text_rows_encode(&j->texts, encode, j, e) < 0 ||
	    (j->o->out && !j->app->plans && io_writer_open(&j->file, j->o->out, e) < 0) || compute(j, e) < 0 ||
	    write_all(j, e) < 0)
		return -1;
	report(j);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct classify *o = options;
	struct job j = { .app = app, .o = o };

	app_catch_signals();
	if (o->out && !text_stem(o->out, ".jsonl"))
		return app_usage(&cmd_classify, "--out FILE.jsonl was wanted");
	char *learner = adapted_learner(p->positional[0]);
	j.is_probe = learner != NULL;
	if (cascade_is(p->positional[0]))
		return err_set(e, "%s answers in two ways, one after the other: kungfu generate and eval take it",
		               p->positional[0]);
	if (!j.is_probe && loaded_open(&j.l, p->positional[0], o->adapter, e) < 0)
		return -1;
	int status = j.is_probe ? classify_by_probe(&j, learner, p->positional[1], e) :
	                          classify(&j, p->positional[1], e);
	mem_free(learner);
	io_writer_abort(&j.file); /* harmless after the commit, and where none was opened */
	labeller_free(j.labeller);
	template_free(j.chat);
	mem_free(j.z);
	answers_release(&j.asked);
	text_rows_release(&j.texts);
	if (j.is_probe)
		probing_close(&j.probing);
	else
		loaded_close(&j.l);
	return status;
}

const struct command cmd_classify = {
	.name = "classify",
	.summary = "the label of each text of a file, by a model with a head that classifies",
	.usage = "MODEL FILE|- [--adapter DIR] [--out F.jsonl]",
	.example = "kungfu classify model texts.txt --adapter run",
	.brief = "labels of texts",
	.plans = true,
	.order = 36,
	.opts = classify_opts,
	.options_size = sizeof(struct classify),
	.least = 2, .most = 2, .wanted = "a model and a file (or - for standard input) were wanted",
	.run = run,
};
