/* feedback import: what people said elsewhere, into a file of feedback, which is made where it is not there. All of it
 * or nothing; the same label twice is one. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "data/forms/intake.h"

extern const struct command cmd_feedback_import;

struct import {
	struct common common;
	const char *data, *from, *rater;
};

static const struct opt import_opts[] = {
	OPT_STRING("data", struct import, data, NULL, "FILE", "rows: JSONL, a JSON array, .gz, or a folder"),
	OPT_CHOICE("from", struct import, from, "auto", "auto|plain|trl|hh|arena|argilla|label-studio",
	           "their form; auto: by their columns"),
	OPT_STRING("rater", struct import, rater, "anonymous", "NAME", "whose labels are whose row names nobody"),
	COMMON_OPTS(struct import, common),
	OPT_END
};

/* A file for rows like these. */
static int make(const char *path, const struct form *form, const struct rows *rows, struct err *e)
{
	struct tally t = { 0 };
	struct feedback_study s;
	int status = form_read(form, rows, tally_take, &t, e);

	tally_study(&t, &s);
	if (status == 0)
		status = feedback_create(path, &s, e);
	tally_release(&t);
	return status;
}

static int take_in(struct intake *in, const char *path, const struct form *form, const struct rows *rows, struct err *e)
{
	if (feedback_open(&in->f, path, true, e) < 0)
		return -1;
	if (feedback_begin(in->f, e) < 0)
		return -1;
	return feedback_end(in->f, form_read(form, rows, intake_take, in, e), e);
}

static void report(struct app *app, const char *path, const struct form *form, const struct intake *in)
{
	app_summary(app, json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I}", "feedback", jsonx_path(path), "form",
	                           form->name, "items", (json_int_t)in->items, "labels", (json_int_t)in->labels,
	                           "same_items", (json_int_t)in->same_items, "same_labels",
	                           (json_int_t)in->same_labels, "nameless", (json_int_t)in->nameless));
	if (!app->json)
		app_print("%s: %zu items and %zu labels added of %s; %zu labels were there\n", path, in->items,
		          in->labels, form->name, in->same_labels);
	if (in->nameless)
		log_say("%zu labels name nobody: they count as one rater's, %s (--rater), so they tell nothing of what "
		        "raters agree in", in->nameless, in->rater);
}

static int import(struct app *app, const struct import *o, const char *path, struct err *e)
{
	struct intake in = { .rater = o->rater };
	struct rows rows;
	bool there = io_exists(path);

	if (rows_load_objects(&rows, o->data, e) < 0)
		return -1;
	const struct form *form = strcmp(o->from, "auto") ? form_find(o->from) : form_of(&rows, e);
	int status = !form ? -1 : there ? 0 : make(path, form, &rows, e);
	bool made = status == 0 && !there;
	if (status == 0)
		status = take_in(&in, path, form, &rows, e);
	feedback_close(in.f);
	if (status < 0 && made)
		feedback_discard(path);
	if (status == 0) {
		metering_in("data", o->data, rows.hash);
		report(app, path, form, &in);
	}
	rows_release(&rows);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct import *o = options;

	if (!o->data)
		return app_usage(&cmd_feedback_import, "--data FILE was wanted");
	app_catch_signals();
	return import(app, o, p->positional[0], e);
}

const struct command cmd_feedback_import = {
	.name = "feedback import",
	.summary = "what people said elsewhere, into a file of feedback",
	.usage = "F.db --data FILE [--from FORM]",
	.example = "kungfu feedback import f.db --data labels.jsonl",
	.order = 53,
	.opts = import_opts,
	.options_size = sizeof(struct import),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
