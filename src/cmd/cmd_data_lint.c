/* data lint: what the model would see of rows, which tokens are learnt, and what is wrong with them. What is looked at
 * and what is refused is data/lint.h's; tune does the same before it trains. Nothing is trained here and no weight is
 * read. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/utf8.h"
#include "cmd/guarding.h"
#include "cmd/lint_page.h"
#include "cmd/model_common.h"
#include "data/lint.h"
#include "data/shape.h"
#include "token/tokenizer.h"

extern const struct command cmd_data_lint;

enum { MICRO_BATCH = 1024, BAR = 40, PAGE_DOCUMENTS = 200, TRIED_ROWS = 200, TOLD = 10 };

struct options {
	struct common common;
	const char *data, *eval_data, *html;
	int64_t show, max_length;
	bool packing, apply_chat_template;
	struct guarding_options guard;
};

static const struct opt lint_opts[] = {
	{ OPT_TYPE_STRING, "data", "train-data", offsetof(struct options, data), NULL, 0, 0, NULL, "FILE",
	  "training rows: JSONL, a JSON array, .csv, .tsv; a .txt is one document; .gz, or a folder" },
	OPT_STRING("eval-data", struct options, eval_data, NULL, "FILE",
	           "rows to evaluate on: looked at too, and for what both have"),
	OPT_INT("show", struct options, show, "0", 0, 1e6,
	        "print N documents, what is trained on in them coloured (in a terminal) or in «»"),
	OPT_STRING("html", struct options, html, NULL, "FILE.html",
	           "write a page for a browser: totals, lengths, and the first 200 documents (or --show N), what is "
	           "trained on coloured"),
	{ OPT_TYPE_INT, "max-length", "max-seq-length", offsetof(struct options, max_length), "1024", 2, 1 << 20, NULL,
	  "N", "longest document in tokens; longer text is cut into several" },
	OPT_FLAG("packing", struct options, packing, "false", "join documents into rows of exactly max-length tokens"),
	OPT_FLAG("apply-chat-template", struct options, apply_chat_template, "false",
	         "query,choices,gold rows: the query is the user's turn"),
	OPT_GROUP("Guard"),
	GUARD_OPTS(struct options, guard),
	COMMON_OPTS(struct options, common),
	OPT_END
};

struct side {                          /* the training rows, or those to evaluate on */
	const char *path;
	struct rows rows;
	struct documents documents;
	struct lint lint;
	struct findings refused;       /* broken rows, those that give no documents, and what the lint refuses */
	int64_t computed;              /* tokens, shared prefixes once; −1: not counted */
};

struct linting {
	const struct app *app;
	const struct options *o;
	const char *model;
	struct text_codec codec;
	int32_t max_length, vocabulary;
	struct side train, eval;
	struct guarding guarding;
};

/* --- looking --- */

static struct lint_options options_of(const struct linting *x, const struct side *s, struct findings *bad)
{
	return (struct lint_options){
		.document = { .max_length = x->max_length,
		              .apply_chat_template = x->o->apply_chat_template,
		              .packing = x->o->packing && s == &x->train,
		              .eval_choices = s == &x->eval,
		              .bad = bad },
		.vocabulary = x->vocabulary,
	};
}

static int load(struct side *s, const char *path, struct err *e)
{
	s->path = path;
	s->computed = -1;
	if (path && rows_load_good(&s->rows, path, &s->refused, e) < 0)
		return -1;
	return path && !s->rows.n && !s->refused.n ? err_set(e, "%s holds no rows", path) : 0;
}

/* What looking at the rows takes, by looking at the first of them. */
static int try_side(const struct linting *x, const struct side *s, double *seconds, double *bytes, struct err *e)
{
	struct rows some = s->rows;
	struct lint lint = { 0 };
	struct documents documents = { 0 };
	struct findings bad = { 0 };
	struct lint_options o = options_of(x, s, &bad);
	double began = clock_seconds(), before = (double)mem_rss();

	some.n = MIN(some.n, (size_t)TRIED_ROWS);
	if (!some.n)
		return 0;
	int status = lint_documents(&lint, &documents, &some, &x->codec, &o, e);
	*seconds += (clock_seconds() - began) * (double)s->rows.n / (double)some.n;
	*bytes += ((double)mem_rss() - before) * (double)s->rows.n / (double)some.n;
	lint_release(&lint);
	documents_release(&documents);
	findings_release(&bad);
	return status;
}

static int plan_lint(struct app *app, const struct linting *x, struct err *e)
{
	struct predicted p;
	double seconds = 0, bytes = 0, base = (double)mem_rss();

	if (try_side(x, &x->train, &seconds, &bytes, e) < 0 || try_side(x, &x->eval, &seconds, &bytes, e) < 0)
		return -1;
	predict_begin(&p, "data lint");
	predict_phase(&p, "documents", seconds);
	predict_part(&p, "documents", bytes, "tokens of the rows");
	predict_part(&p, "base", fmax(base, (double)mem_rss_peak() - bytes),
	             "program, libraries, tokenizer, rows as read");
	p.loose_seconds = seconds;
	return planned(app, &p, NULL, e);
}

static int look(const struct linting *x, struct side *s, struct err *e)
{
	struct lint_options o = options_of(x, s, &s->refused);

	if (!s->path)
		return 0;
	if (lint_documents(&s->lint, &s->documents, &s->rows, &x->codec, &o, e) < 0)
		return -1;
	findings_join(&s->refused, &s->lint.refused);
	if (!s->refused.n && s->documents.n)
		s->computed = lint_computed(&s->documents, MAX(MICRO_BATCH, x->max_length));
	return 0;
}

static void side_release(struct side *s)
{
	findings_release(&s->refused);
	lint_release(&s->lint);
	documents_release(&s->documents);
	rows_release(&s->rows);
}

/* --- examples --- */

/* As a terminal can show it: no control characters, which could be commands to it. */
static void add_visible(struct buf *out, const struct buf *bytes)
{
	size_t from = out->len;

	utf8_repair(out, buf_str(bytes), bytes->len);
	for (size_t i = from; i < out->len; i++) {
		unsigned char c = (unsigned char)out->data[i];
		if ((c < ' ' && c != '\n' && c != '\t') || c == 127)
			out->data[i] = '?';
	}
}

/* The next stretch of tokens that are all learnt or all not, from *i on. */
static bool next_stretch(const struct tokenizer *t, const struct document *d, int32_t *i, bool *learnt,
                         struct buf *bytes)
{
	int32_t from = *i;

	buf_clear(bytes);
	if (from >= d->n)
		return false;
	*learnt = d->learn[from];
	while (*i < d->n && d->learn[*i] == d->learn[from])
		++*i;
	tokenizer_decode(t, d->ids + from, (size_t)(*i - from), false, bytes);
	return true;
}

/* role: of the document in its row, or NULL. */
static void show_text(const struct tokenizer *t, const struct document *d, const char *role, bool color)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	int32_t i = 0;
	bool learnt;

	while (next_stretch(t, d, &i, &learnt, &bytes)) {
		buf_adds(&text, color ? learnt ? "\033[1;32m" : "\033[2m" : learnt ? "«" : "");
		add_visible(&text, &bytes);
		buf_adds(&text, color ? "\033[0m" : learnt ? "»" : "");
	}
	app_print("\n%s:%zu: %s%s%d tokens, %d trained on%s\n%s\n", d->file, d->line,
	          role ? role : "", role ? ", " : "",
	          d->n, d->n_learn, d->n_cut ? ", cut" : "", buf_str(&text));
	buf_release(&bytes);
	buf_release(&text);
}

static json_t *place(const char *file, size_t line)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", jsonx_path(file));
	json_object_set_new(j, "line", json_integer((json_int_t)line));
	return j;
}

static void show_json(const struct tokenizer *t, const struct document *d, const char *role)
{
	struct buf bytes = BUF_INIT;
	json_t *j = place(d->file, d->line), *parts = json_array();
	int32_t i = 0;
	bool learnt;

	for (int32_t from = 0; next_stretch(t, d, &i, &learnt, &bytes); from = i) {
		json_t *ids = json_array();
		for (int32_t k = from; k < i; k++)
			json_array_append_new(ids, json_integer(d->ids[k]));
		json_array_append_new(parts,
		                      json_pack("{s:o, s:b, s:o}", "text", jsonx_text(buf_str(&bytes), bytes.len),
		                                "supervised", learnt, "ids", ids));
	}
	if (role)
		json_object_set_new(j, "role", json_string(role));
	json_object_set_new(j, "tokens", json_integer(d->n));
	json_object_set_new(j, "supervised_tokens", json_integer(d->n_learn));
	json_object_set_new(j, "parts", parts);
	app_json(j);
	json_decref(j);
	buf_release(&bytes);
}

static void show_examples(const struct linting *x)
{
	bool color = term_color(STDOUT_FILENO);

	for (size_t i = 0; i < x->train.documents.n && i < (size_t)x->o->show; i++) {
		const struct document *d = &x->train.documents.items[i];
		const char *role = shape_role(x->train.rows.shape, d->role);
		if (x->app->json)
			show_json(x->codec.tokenizer, d, role);
		else
			show_text(x->codec.tokenizer, d, role, color);
	}
}

/* --- what there is --- */

static void say_histogram(const struct lint *l)
{
	static const char bar[] = "########################################";
	size_t most = 1;

	for (size_t i = 0; i < LINT_BUCKETS; i++)
		most = MAX(most, l->histogram[i]);
	for (size_t i = 0; i < LINT_BUCKETS; i++)
		if (l->histogram[i])
			app_print("  %7lld … %-7lld %8zu  %.*s\n", 1LL << i, (2LL << i) - 1, l->histogram[i],
			          (int)((l->histogram[i] * BAR + most - 1) / most), bar);
}

static void say_losses(const struct side *s)
{
	const struct lint *l = &s->lint;

	if (l->n_truncated)
		app_print("  truncated    %zu documents lost their end\n", l->n_truncated);
	if (l->n_split)
		app_print("  split        into %zu documents more\n", l->n_split);
	if (l->n_rewritten)
		app_print(
			"  not trained  %zu assistant turns that the template writes differently once others follow\n",
			l->n_rewritten);
	for (size_t i = 0; i < s->documents.columns.n; i++) {
		char line[400];
		if (!column_unread(&s->documents.columns.items[i]))
			continue;
		column_say(&s->documents.columns.items[i], line, sizeof(line));
		app_print("  not read     %s\n", line);
	}
	if (l->n_untemplated)
		app_print("  no template  %zu rows train without the model's chat template, which chat and generate "
		          "apply\n",
		          l->n_untemplated);
	if (l->empty.n)
		app_print("  empty        %zu answers; the first: %s:%zu\n", l->empty.n, l->empty.first->file,
		          l->empty.first->line);
	if (l->duplicates.n)
		app_print("  duplicates   %zu; the first: %s:%zu repeats %s\n", l->duplicates.n,
		          l->duplicates.first->file, l->duplicates.first->line, l->duplicates.first->text);
}

static void say_side(const struct linting *x, const struct side *s)
{
	const struct lint *l = &s->lint;
	const struct documents *d = &s->documents;

	app_print("%s: %zu rows of %s\n", s->path, s->rows.n, shape_name(s->rows.shape));
	app_print("  documents    %zu, %zu tokens, %zu trained on; an end is trained on in %zu\n", l->n, l->tokens,
	          l->learnt, l->n_ended);
	if (l->n)
		app_print("  lengths      min %d, median %d, p95 %d, max %d\n", l->min, l->median, l->p95, l->max);
	say_histogram(l);
	say_losses(s);
	if (s == &x->train && x->o->packing)
		app_print("  packed       %zu rows of %d tokens\n", d->n, x->max_length);
	if (s->computed > 0)
		app_print("  prefixes     %lld of %zu tokens are computed: %.2f times fewer, as shared prefixes are "
		          "computed once\n",
		          (long long)s->computed, d->tokens, (double)d->tokens / (double)s->computed);
}

static json_t *lengths_of(const struct lint *l)
{
	json_t *histogram = json_array();

	for (size_t i = 0; i < LINT_BUCKETS; i++)
		if (l->histogram[i])
			json_array_append_new(histogram, json_pack("{s:I, s:I, s:I}", "from", (json_int_t)1 << i, "to",
			                                           ((json_int_t)2 << i) - 1, "documents",
			                                           (json_int_t)l->histogram[i]));
	return json_pack("{s:i, s:i, s:i, s:i, s:o}", "min", l->min, "median", l->median, "p95", l->p95, "max", l->max,
	                 "histogram", histogram);
}

static json_t *unread_json(const struct columns *c)
{
	json_t *all = json_array();

	for (size_t i = 0; i < c->n; i++) {
		if (!column_unread(&c->items[i]))
			continue;
		json_t *j = place(c->items[i].file, c->items[i].line);
		json_object_set_new(j, "column", json_string(c->items[i].name));
		json_object_set_new(j, "rows", json_integer((json_int_t)c->items[i].rows));
		json_array_append_new(all, j);
	}
	return all;
}

static json_t *side_json(const struct side *s)
{
	const struct lint *l = &s->lint;
	json_t *j = json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I}", "shape", shape_name(s->rows.shape), "rows",
	                      (json_int_t)s->rows.n, "hash", s->rows.hash, "documents", (json_int_t)l->n, "tokens",
	                      (json_int_t)l->tokens, "supervised_tokens", (json_int_t)l->learnt, "ends_supervised",
	                      (json_int_t)l->n_ended);

	json_object_set_new(j, "truncated", json_integer((json_int_t)l->n_truncated));
	json_object_set_new(j, "split", json_integer((json_int_t)l->n_split));
	json_object_set_new(j, "rewritten_turns", json_integer((json_int_t)l->n_rewritten));
	json_object_set_new(j, "not_read", unread_json(&s->documents.columns));
	json_object_set_new(j, "duplicates", json_integer((json_int_t)l->duplicates.n));
	json_object_set_new(j, "empty_answers", json_integer((json_int_t)l->empty.n));
	json_object_set_new(j, "untemplated_rows", json_integer((json_int_t)l->n_untemplated));
	json_object_set_new(j, "lengths", lengths_of(l));
	json_object_set_new(j, "trained_rows", json_integer((json_int_t)s->documents.n));
	json_object_set_new(j, "trained_tokens", json_integer((json_int_t)s->documents.tokens));
	json_object_set_new(j, "computed_tokens",
	                    s->computed < 0 ? json_null() : json_integer((json_int_t)s->computed));
	json_object_set_new(j, "refused", json_integer((json_int_t)s->refused.n));
	return j;
}

/* A line each, as many as are kept and at most that many, and how many more there are. */
static void tell_findings(const struct linting *x, const struct findings *all, const char *what, size_t most)
{
	size_t n = MIN(findings_kept(all), most);

	for (size_t i = 0; i < n; i++) {
		const struct finding *f = &all->first[i];
		if (x->app->json) {
			json_t *j = place(f->file, f->line);
			json_object_set_new(j, what, json_string(f->text));
			app_json(j);
			json_decref(j);
		} else {
			app_print("%s:%zu: %s: %s\n", f->file, f->line, what, f->text);
		}
	}
	if (all->n > n && !x->app->json)
		app_print("… and %zu rows more: %s\n", all->n - n, what);
}

static void tell_side(const struct linting *x, const struct side *s)
{
	size_t told = x->app->json ? FINDINGS_KEPT : TOLD;

	tell_findings(x, &s->refused, "refused", FINDINGS_KEPT);
	if (s->lint.empty.n > 1 || x->app->json)
		tell_findings(x, &s->lint.empty, "empty", told);
	if (s->lint.duplicates.n > 1 || x->app->json)
		tell_findings(x, &s->lint.duplicates, "repeats", told);
}

static void report(const struct linting *x)
{
	struct lint_overlap both = lint_compare(&x->train.lint, &x->eval.lint);

	json_t *j = side_json(&x->train);
	json_object_set_new(j, "eval", x->o->eval_data ? side_json(&x->eval) : json_null());
	json_object_set_new(j, "overlap",
	                    !x->o->eval_data ? json_null() :
	                                       json_pack("{s:I, s:I}", "documents", (json_int_t)both.documents,
	                                                 "prompts", (json_int_t)both.prompts));
	json_t *guarded = guarding_json(&x->guarding);
	if (guarded)
		json_object_set_new(j, "guard", guarded);
	app_summary(x->app, j);
	if (x->app->json)
		return;
	say_side(x, &x->train);
	if (!x->o->eval_data)
		return;
	say_side(x, &x->eval);
	app_print("overlap: %zu documents of %s are in %s too, and %zu prompts\n", both.documents, x->eval.path,
	          x->train.path, both.prompts);
}

/* Written when rows are refused, too: it is where they are seen. */
static int write_page(const struct linting *x, struct err *e)
{
	const struct side *all[] = { &x->train, &x->eval };
	struct lint_page_side sides[2];
	struct lint_page page = { .model = io_basename(x->model),
		                  .tokenizer = x->codec.tokenizer,
		                  .max_length = x->max_length,
		                  .sides = sides,
		                  .n_sides = x->o->eval_data ? 2 : 1,
		                  .limit = x->o->show ? (size_t)x->o->show : PAGE_DOCUMENTS };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < page.n_sides; i++)
		sides[i] = (struct lint_page_side){ all[i]->path, &all[i]->rows, &all[i]->documents, &all[i]->lint,
			                            &all[i]->refused, all[i]->computed };
	lint_page_write(&text, &page);
	int status = text.overflow ? err_set(e, "%s: the page would be larger than 1 GB; --show N makes it smaller",
	                                     x->o->html) :
	                             io_write(x->o->html, text.data, text.len, e);
	if (!status)
		log_say("%s: a page of %zu bytes", x->o->html, text.len);
	buf_release(&text);
	return status;
}

/* What it would have redacted is told and stays: nothing is written here. */
static int guard_side(struct linting *x, struct side *s, struct err *e)
{
	return s->path ? guarding_rows(&x->guarding, &s->rows, &s->refused, e) : 0;
}

static int lint_data(struct app *app, struct linting *x, struct err *e)
{
	if (load(&x->train, x->o->data, e) < 0 || load(&x->eval, x->o->eval_data, e) < 0 || plan_lint(app, x, e) < 0)
		return -1;
	if (guard_side(x, &x->train, e) < 0 || guard_side(x, &x->eval, e) < 0)
		return -1;
	if (look(x, &x->train, e) < 0 || look(x, &x->eval, e) < 0)
		return -1;
	if (!x->app->json)
		report(x);
	if (x->o->html && write_page(x, e) < 0)
		return -1;
	if (!x->o->html)
		show_examples(x);
	tell_side(x, &x->train);
	tell_side(x, &x->eval);
	if (x->app->json)
		report(x);
	return findings_refuse(&x->train.refused, e) < 0 || findings_refuse(&x->eval.refused, e) < 0 ? -1 : 0;
}

static int lint_with(struct app *app, const struct options *o, const char *model, struct err *e)
{
	struct loaded l;
	struct linting x = { .app = app, .o = o, .model = model };

	if (guarding_open(&x.guarding, app, &o->guard, e) < 0)
		return -1;
	if (loaded_open_facts(&l, model, e) < 0) {
		guarding_close(&x.guarding);
		return -1;
	}
	int status = loaded_chat(&l, e);
	if (status == 0) {
		x.codec = (struct text_codec){ l.model.tokenizer, l.chat };
		x.max_length = (int32_t)MIN(o->max_length, (int64_t)l.model.config.n_ctx);
		if (x.max_length < o->max_length)
			log_say("the model has %d positions: documents are at most that long, not %lld", x.max_length,
			        (long long)o->max_length);
		x.vocabulary = l.model.config.V;
		status = lint_data(app, &x, e);
	}
	side_release(&x.train);
	side_release(&x.eval);
	guarding_close(&x.guarding);
	loaded_close(&l);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct options *o = options;

	if (!o->data)
		return app_usage(&cmd_data_lint, "--data FILE was wanted");
	return lint_with(app, o, p->positional[0], e);
}

const struct command cmd_data_lint = {
	.name = "data lint",
	.summary = "what the model sees of your rows, is trained on, and what is wrong",
	.usage = "MODEL --data FILE [--eval-data FILE] [--show N] [options]",
	.example = "kungfu data lint model.gguf --data train.jsonl",
	.brief = "what your rows teach",
	.plans = true,
	.order = 42,
	.opts = lint_opts,
	.options_size = sizeof(struct options),
	.least = 1, .most = 1, .wanted = "a model was wanted",
	.run = run,
};
