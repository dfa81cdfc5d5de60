/* guard: what rules find in the texts of a file: injections, role marks, secrets, what identifies people, texts that
 * are hidden in encodings (guard/guard.h).
 *
 * A text is a line, the whole of the file (--whole), or what rows (.jsonl, .json, .csv, .tsv, a folder of them) have in
 * --column, by default every text in a row. --out writes them again with what is to be redacted replaced. Exit status
 * 0: nothing is as grave as --fail-on; 1 and a sentence with how many: something is. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/guard_models.h"
#include "cmd/text_rows.h"
#include "guard/guard.h"

extern const struct command cmd_guard;

enum { SHOWN = 3 };

struct guard_command {
	struct common common;
	const char *rules, *column, *out, *fail_on;
	bool whole, texts, all;
	int64_t limit;
	struct guard_models_options models;
	const char *model, *adapter;
};

static const struct opt guard_opts[] = {
	OPT_GROUP("What"),
	OPT_STRING("rules", struct guard_command, rules, NULL, "FILE", "your rules.yaml, over the built-in one"),
	OPT_STRING("column", struct guard_command, column, NULL, "NAME",
	           "of rows: only this column (default: every text in a row)"),
	OPT_FLAG("whole", struct guard_command, whole, "false", "the file is one text, not one a line"),
	OPT_INT("limit", struct guard_command, limit, NULL, 1, 1e12, "only the first N texts or rows"),
	OPT_GROUP("Models"),
	GUARD_CLASSIFIER_OPTS("", struct guard_command, models),
	OPT_STRING("model", struct guard_command, model, NULL, "MODEL", "whose perplexity --perplexity is"),
	ADAPTER_OPT(struct guard_command, adapter),
	GUARD_PERPLEXITY_OPTS("", struct guard_command, models),
	OPT_GROUP("What is told"),
	OPT_FLAG("all", struct guard_command, all, "false", "texts in which nothing is found are told too"),
	OPT_FLAG("texts", struct guard_command, texts, "false", "--json has what was found, not its hash"),
	OPT_STRING("out", struct guard_command, out, NULL, "FILE",
	           "the lines or rows again, what is to be redacted replaced; none that are refused"),
	OPT_CHOICE("fail-on", struct guard_command, fail_on, "refuse", "flag|redact|refuse|never",
	           "exit status 1 where a verdict is this or graver"),
	COMMON_OPTS(struct guard_command, common),
	OPT_END
};

struct job {
	struct app *app;
	const struct guard_command *o;
	struct guard *guard;
	struct guard_scratch *scratch;
	struct guard_models *models;   /* or NULL */
	struct loaded causal;
	bool has_causal;
	struct err e;                  /* the first that models could not say */
	bool failed;
	struct text_rows texts;
	bool is_rows;                  /* else lines */
	struct io_writer file;
	size_t bytes, n, of[GUARD_VERDICTS];
};

/* --- telling --- */

static void show(const struct row *row, const char *at, const struct guard_result *r)
{
	app_print("%s:%zu%s%s: %s:", row->file, row->line, at[0] ? " " : "", at, guard_verdict_names[r->verdict]);
	for (size_t i = 0; i < r->n && i < SHOWN; i++) {
		const struct guard_finding *f = &r->findings[i];
		app_print("%s %s %zu-%zu", i ? "," : "", f->rule, f->begin, f->end);
		if (f->path[0] && strncmp(f->rule, "encoding.", 9) != 0)
			app_print(" in %s", f->path);
	}
	if (r->n + r->more > SHOWN)
		app_print(" and %zu more", r->n + r->more - SHOWN);
	if (r->capped)
		app_print(" (not all of it was looked at: %s)", r->capped);
	app_print("\n");
}

static void tell(const struct job *j, const struct row *row, const char *at, const struct guard_result *r,
                 const char *s)
{
	if (r->verdict == GUARD_ALLOW && !r->capped && !j->o->all)
		return;
	if (!j->app->json) {
		show(row, at, r);
		return;
	}
	json_t *line = guard_json(r, s, j->o->texts);
	json_object_set_new(line, "file", jsonx_path(row->file));
	json_object_set_new(line, "line", json_integer((json_int_t)row->line));
	if (at[0])
		json_object_set_new(line, "column", json_string(at));
	app_json(line);
	json_decref(line);
}

/* --- looking --- */

/* A text of a row; *verdict becomes the gravest. Returns what stands for it, new, or NULL: it stays. */
static json_t *look(struct job *j, const struct row *row, const char *at, const json_t *text, enum guard_verdict *v)
{
	struct guard_result r;
	struct buf other = BUF_INIT;
	json_t *instead = NULL;

	guard_look(j->scratch, json_string_value(text), json_string_length(text), &r);
	if (!j->failed && guard_models_look(j->models, json_string_value(text), json_string_length(text), &r, &j->e))
		j->failed = true;
	j->bytes += json_string_length(text);
	*v = MAX(*v, r.verdict);
	tell(j, row, at, &r, json_string_value(text));
	if (r.verdict == GUARD_REDACT) {
		guard_redact(&r, json_string_value(text), json_string_length(text), &other);
		instead = jsonx_text(buf_str(&other), other.len);
	}
	buf_release(&other);
	guard_result_release(&r);
	return instead;
}

static json_t *look_in(struct job *j, const struct row *row, const char *at, json_t *value, enum guard_verdict *v,
                       int depth)
{
	const char *key;
	json_t *item, *other;
	size_t i;
	void *next;

	if (json_is_string(value))
		return look(j, row, at, value, v);
	if (depth > 20)
		return NULL;
	json_array_foreach(value, i, item)
		if ((other = look_in(j, row, at, item, v, depth + 1)))
			json_array_set_new(value, i, other);
	json_object_foreach_safe(value, next, key, item) {
		char *path = at[0] ? mem_printf("%s.%s", at, key) : mem_strdup(key);
		bool wanted = depth || !j->o->column || !strcmp(key, j->o->column);
		if (wanted && (other = look_in(j, row, j->is_rows ? path : "", item, v, depth + 1)))
			json_object_set_new(value, key, other);
		mem_free(path);
	}
	return NULL;
}

static int put(struct job *j, const struct row *row, struct err *e)
{
	const json_t *text = json_object_get(row->json, "text");
	char *line = j->is_rows ? jsonx_line(row->json) : NULL;
	int status = line ? io_writer_add(&j->file, line, strlen(line), e) :
	                    io_writer_add(&j->file, json_string_value(text), json_string_length(text), e);

	if (status == 0 && !j->o->whole)
		status = io_writer_add(&j->file, "\n", 1, e);
	mem_free(line);
	return status;
}

static int look_row(struct job *j, struct row *row, struct err *e)
{
	enum guard_verdict v = GUARD_ALLOW;

	if (j->o->column && !json_object_get(row->json, j->o->column))
		return err_set(e, "%s:%zu: no column `%s`", row->file, row->line, j->o->column);
	look_in(j, row, "", row->json, &v, 0);
	if (j->failed)
		return err_set(e, "%s:%zu: %s", row->file, row->line, j->e.msg);
	j->n++;
	j->of[v]++;
	return v == GUARD_REFUSE || !j->o->out ? 0 : put(j, row, e);
}

/* --- the file --- */

static int read_whole(struct job *j, const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	struct rows *r = &j->texts.rows;
	int status = io_read_gz(&b, path, e);

	if (status == 0) {
		r->items = mem_array(1, sizeof(*r->items));
		r->n = r->cap = 1;
		r->items[0] = (struct row){ json_pack("{s:o}", "text", jsonx_text(buf_str(&b), b.len)), path, 1 };
	}
	buf_release(&b);
	return status;
}

static int look_all(struct job *j, const char *path, struct err *e)
{
	int status = j->o->whole ? read_whole(j, path, e) : text_rows_read(&j->texts, path, j->o->limit, e);

	j->is_rows = !j->o->whole && text_rows_are_rows(path);
	if (status == 0 && j->o->column && !j->is_rows)
		status = err_set(e, "%s has lines, not rows: --column goes with .jsonl, .json, .csv or .tsv", path);
	if (status == 0 && j->o->out)
		status = io_writer_open(&j->file, j->o->out, e);
	for (size_t i = 0; i < j->texts.rows.n && status == 0; i++)
		status = app_interrupted() ? err_set(e, "interrupted at text %zu", i + 1) :
		                             look_row(j, &j->texts.rows.items[i], e);
	if (j->o->out && status == 0)
		status = io_writer_commit(&j->file, e);
	return status;
}

static int finish(const struct job *j, struct err *e)
{
	enum guard_verdict least = GUARD_FLAG;
	size_t found = 0;

	while (strcmp(guard_verdict_names[least], j->o->fail_on) != 0 && least < GUARD_REFUSE)
		least++;
	for (int v = (int)least; v < GUARD_VERDICTS && strcmp(j->o->fail_on, "never") != 0; v++)
		found += j->of[v];
	if (!j->app->json)
		log_say("%zu texts, %zu bytes, %zu rules: %zu refused, %zu redacted, %zu flagged", j->n, j->bytes,
		        guard_rules(j->guard), j->of[GUARD_REFUSE], j->of[GUARD_REDACT], j->of[GUARD_FLAG]);
	app_summary(j->app, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "texts", (json_int_t)j->n, "bytes",
	                              (json_int_t)j->bytes, "rules", (json_int_t)guard_rules(j->guard), "refused",
	                              (json_int_t)j->of[GUARD_REFUSE], "redacted", (json_int_t)j->of[GUARD_REDACT],
	                              "flagged", (json_int_t)j->of[GUARD_FLAG]));
	return found ? err_set(e, "%zu of %zu texts are to %s%s", found, j->n, j->o->fail_on,
	                       least < GUARD_REFUSE ? ", or graver" : "") :
	               0;
}

/* Models that look too. */
static int open_models(struct job *j, struct err *e)
{
	const struct guard_command *o = j->o;

	if (o->model && loaded_open(&j->causal, o->model, o->adapter, e) < 0)
		return -1;
	j->has_causal = o->model != NULL;
	if (o->model && (model_want_causal(&j->causal.model, e) < 0 ||
	                 model_compute(j->app, &j->causal.model, "f32", PREPARE_SCORE, e) < 0))
		return -1;
	if (guard_models_open(&j->models, j->app, &o->models, NULL, e) < 0)
		return -1;
	if (o->model)
		guard_models_causal(j->models, &j->causal);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct guard_command *o = options;
	struct job j = { .app = app, .o = o };

	if (!o->model != !(o->models.perplexity > 0))
		return app_usage(&cmd_guard, "--perplexity X and --model MODEL go together");
	if (o->adapter && !o->model)
		return app_usage(&cmd_guard, "--adapter lies over --model");
	app_catch_signals();
	int status = guard_open(&j.guard, o->rules, e);
	if (status == 0)
		status = open_models(&j, e);
	if (status == 0) {
		j.scratch = guard_scratch_new(j.guard);
		status = look_all(&j, p->positional[0], e);
		if (status == 0)
			status = finish(&j, e);
		else
			io_writer_abort(&j.file);
	}
	text_rows_release(&j.texts);
	guard_models_close(j.models);
	if (j.has_causal)
		loaded_close(&j.causal);
	guard_scratch_free(j.scratch);
	guard_close(j.guard);
	return status;
}

const struct command cmd_guard = {
	.name = "guard",
	.summary = "injections, secrets, personal data and hidden texts in a file",
	.usage = "FILE|- [--rules FILE] [--column NAME] [--out FILE]",
	.example = "kungfu guard prompts.jsonl --column prompt",
	.brief = "what not to let through",
	.order = 43,
	.opts = guard_opts,
	.options_size = sizeof(struct guard_command),
	.least = 1, .most = 1, .wanted = "a file (or - for standard input) was wanted",
	.run = run,
};
