/* feedback export: what people said, in the form that others read. What the form has no place for is said once. */
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "data/forms/form.h"
#include "feedback/said.h"

extern const struct command cmd_feedback_export;

struct export {
	struct common common;
	const char *to, *out, *rows;
	double margin;
	bool raters;
};

static const struct opt export_opts[] = {
	OPT_CHOICE("to", struct export, to, NULL, "trl|hh|arena|argilla|label-studio|plain", "the form"),
	OPT_STRING("out", struct export, out, "-", "FILE", "where to; -: to standard output"),
	OPT_CHOICE("rows", struct export, rows, "auto", "auto|ranked|preference|unpaired|completion",
	           "trl: rankings, pairs, single answers that are good or bad, corrections; auto: pairs where there "
	           "are any"),
	OPT_FLOAT("margin", struct export, margin, "0", 0, 1e9,
	          "ratings: by how much the better of two answers is above the other, at least"),
	OPT_FLAG("raters", struct export, raters, "false", "trl, hh: a column with the rater's name too"),
	COMMON_OPTS(struct export, common),
	OPT_END
};

/* array: one JSON array, else lines */
struct sheet { const struct form *form; bool array; struct buf text; size_t rows; };

static int emit(void *ctx, json_t *row, struct err *e)
{
	struct sheet *s = ctx;
	char *line = jsonx_line(row);

	if (s->array)
		buf_adds(&s->text, s->rows ? ",\n" : "[\n");
	buf_adds(&s->text, line);
	buf_adds(&s->text, s->array ? "" : "\n");
	s->rows++;
	mem_free(line);
	json_decref(row);
	return s->text.overflow ? err_set(e, "more than 16 GB of rows: they are not written") : 0;
}

static bool names_raters(const struct export *o)
{
	return o->raters || (strcmp(o->to, "trl") != 0 && strcmp(o->to, "hh") != 0);
}

/* A name that promises lines gets them. */
static bool wants_lines(const char *out)
{
	size_t n = strlen(out);

	return n > 6 && !strcmp(out + n - 6, ".jsonl");
}

static int rows_of(const char *name)
{
	int kind = 0;

	while (kind < ROWS_KINDS && strcmp(name, feedback_rows_names[kind]) != 0)
		kind++;
	return kind;
}

static int write_out(const struct export *o, struct sheet *s, struct err *e)
{
	if (s->array)
		buf_adds(&s->text, s->rows ? "\n]\n" : "[]\n");
	if (!strcmp(o->out, "-")) {
		app_text(buf_str(&s->text), s->text.len);
		return 0;
	}
	return io_write(o->out, buf_str(&s->text), s->text.len, e);
}

static json_t *lost_json(const struct buf *lost) { return lost->len ? json_string(buf_str(lost)) : json_null(); }

static void report(struct app *app, const struct export *o, const struct form_writer *w, const char *path)
{
	struct buf lost = BUF_INIT;

	form_lost(w, &lost);
	if (lost.len)
		log_say("%s has no place for %s", o->to, buf_str(&lost));
	if (!w->names)
		log_say("raters' names are left out; --raters keeps them");
	if (strcmp(o->out, "-") != 0) {
		metering_out("data", o->out);
		app_summary(app, json_pack("{s:o, s:s, s:I, s:o}", "feedback", jsonx_path(path), "form", o->to, "rows",
		                           (json_int_t)w->written, "lost", lost_json(&lost)));
		if (!app->json)
			app_print("%s: %zu rows of %s\n", o->out, w->written, o->to);
	}
	buf_release(&lost);
}

static int export(struct app *app, const struct export *o, const char *path, struct err *e)
{
	struct feedback *f;
	struct arena mem = ARENA_INIT;
	struct said said;
	struct sheet s = { .form = form_find(o->to), .text = { .max = (size_t)16 << 30 } };
	struct form_writer w = { .said = &said, .rows = rows_of(o->rows), .rule = { o->margin, NAN, NAN }, .emit = emit,
		                 .ctx = &s };
	size_t n;

	s.array = s.form->array && !wants_lines(o->out);
	if (feedback_open(&f, path, false, e) < 0)
		return -1;
	int status = said_load(&said, f, &mem, e);
	if (status == 0 && names_raters(o))
		status = said_names(f, &mem, &w.names, &n, e);
	if (status == 0)
		status = form_write(s.form, &w, e);
	if (status == 0)
		status = write_out(o, &s, e);
	if (status == 0)
		report(app, o, &w, path);
	feedback_close(f);
	buf_release(&s.text);
	arena_release(&mem);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct export *o = options;

	if (!o->to)
		return app_usage(&cmd_feedback_export, "--to FORM was wanted");
	app_catch_signals();
	return export(app, o, p->positional[0], e);
}

const struct command cmd_feedback_export = {
	.name = "feedback export",
	.summary = "what people said, as rows that others read",
	.usage = "F.db --to FORM [--out FILE]",
	.example = "kungfu feedback export f.db --to trl --out p.jsonl",
	.order = 54,
	.opts = export_opts,
	.options_size = sizeof(struct export),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
