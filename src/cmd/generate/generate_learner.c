/* generate_learner: a prompt, or rows of them, answered by a learner (learn/learner.h), as `kungfu adapt` may leave it:
 * the label that it says, in the place of a text that is generated. A prompt that is a text is asked as rows asked that
 * were learnt from. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/generate/answer_file.h"
#include "cmd/generate/generate_parts.h"
#include "cmd/metering.h"
#include "cmd/probing.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"

enum { MICRO_BATCH = 1024 };

static int read_prompt(const struct generate_command *o, struct buf *text, struct err *e)
{
	const char *file = o->prompt_file ? o->prompt_file : o->prompt && !strcmp(o->prompt, "-") ? "-" : NULL;

	if (file)
		return io_read(text, file, e);
	buf_adds(text, o->prompt);
	return 0;
}

/* Nothing is said, and 1 returned, where it is less sure than that. */
static int report(const struct app *app, const struct labels *l, const float *z, double least)
{
	double *p = mem_array((size_t)l->n, sizeof(*p));
	int best = labels_largest(l, z);

	labels_probabilities(l, z, p);
	double sure = p[best];
	mem_free(p);
	if (sure < least)
		return 1;
	json_t *j = json_pack("{s:s, s:[], s:s, s:o}", "text", l->name[best], "ids", "finish_reason", "stop",
	                      "probability", jsonx_number(sure));
	app_summary(app, j);
	if (!app->json)
		app_print("%s\n", l->name[best]);
	return 0;
}

static int say(struct app *app, struct probing *p, const struct rows *r, double least, struct err *e)
{
	struct answers asked = { 0 };
	float *z = mem_array((size_t)p->learner.labels.n, sizeof(*z));
	int status = answers_ask(&asked, r, e);

	if (status == 0) {
		status = probing_rows(p, app, r, MICRO_BATCH, e);
		if (status == 0)
			status = probing_planned_use(p, app, "generate", 0, e);
		if (status == 0)
			status = probing_outputs(p, app, &asked.rows, z, e);
		if (status == 0)
			status = report(app, &p->learner.labels, z, least);
		answers_release(&asked);
	}
	mem_free(z);
	return status;
}

int generate_by_learner(struct app *app, const struct generate_command *o, const char *model, const char *dir,
                        double least, struct err *e)
{
	struct probing p;
	struct buf text = BUF_INIT;

	if (o->adapter.n || o->n > 1)
		return err_set(e, "%s says one label of a prompt: --adapter and --n are of a model that writes", dir);
	if (read_prompt(o, &text, e) < 0)
		return -1;
	json_t *json = adapted_row(model, buf_str(&text), text.len);
	struct row row = { json, "the prompt", 1 };
	struct rows rows = { .items = &row, .n = 1, .shape = shape_of(json) };
	int status = probing_open(&p, app, dir, o->compute, e);
	if (status == 0 && p.learner.labels.problem == PROBLEM_REGRESSION)
		status = err_set(e, "%s says numbers, not labels: kungfu classify has them", dir);
	if (status == 0)
		status = say(app, &p, &rows, least, e);
	probing_close(&p);
	json_decref(json);
	buf_release(&text);
	return status;
}

/* --- rows --- */

static json_t *row_like(const char *model, json_t *row)
{
	const json_t *prompt = json_object_get(row, "prompt");

	if (!json_is_string(prompt))
		return json_incref(row);
	return adapted_row(model, json_string_value(prompt), json_string_length(prompt));
}

/* The rows that nothing is said of yet, as the learner reads them; at[n]: which they are. */
static struct rows rows_left(const struct generate_command *o, const struct rows *rows, char *const *said, size_t *at)
{
	struct rows left = { .items = mem_array(rows->n + 1, sizeof(*left.items)) };

	for (size_t i = 0; i < rows->n; i++) {
		if (said[i])
			continue;
		left.items[left.n] = rows->items[i];
		left.items[left.n].json = row_like(o->model, rows->items[i].json);
		at[left.n++] = i;
	}
	left.shape = left.n ? shape_of(left.items[0].json) : NULL;
	return left;
}

static void rows_left_free(struct rows *left)
{
	for (size_t i = 0; i < left->n; i++)
		json_decref(left->items[i].json);
	mem_free(left->items);
}

static int say_left(struct app *app, struct probing *p, const struct rows *left, const size_t *at, double least,
                    char **said, struct err *e)
{
	const struct labels *l = &p->learner.labels;
	size_t k = (size_t)l->n;
	struct answers asked = { 0 };
	float *z = mem_array(left->n * k + 1, sizeof(*z));
	double *chance = mem_array(k, sizeof(*chance));
	int status = answers_ask(&asked, left, e);

	if (status == 0)
		status = probing_rows(p, app, left, MICRO_BATCH, e);
	if (status == 0)
		status = probing_planned_use(p, app, "generate", 0, e);
	if (status == 0)
		status = probing_outputs(p, app, &asked.rows, z, e);
	for (size_t i = 0; i < left->n && status == 0; i++) {
		int best = labels_largest(l, z + i * k);
		labels_probabilities(l, z + i * k, chance);
		if (chance[best] >= least)
			said[at[i]] = mem_strdup(l->name[best]);
	}
	answers_release(&asked);
	mem_free(chance);
	mem_free(z);
	return status;
}

static int check_labels(const struct probing *p, const char *dir, struct err *e)
{
	return p->learner.labels.problem != PROBLEM_REGRESSION ?
	               0 :
	               err_set(e, "%s says numbers, not labels: kungfu classify has them", dir);
}

int generate_say_rows(struct app *app, const struct generate_command *o, const char *dir, double least,
                      const struct rows *rows, char **said, struct err *e)
{
	size_t *at = mem_array(rows->n + 1, sizeof(*at));
	struct rows left = rows_left(o, rows, said, at);
	struct probing p;
	int status = probing_open(&p, app, dir, o->compute, e);

	if (status == 0)
		status = check_labels(&p, dir, e);
	if (status == 0 && left.n)
		status = say_left(app, &p, &left, at, least, said, e);
	probing_close(&p);
	rows_left_free(&left);
	mem_free(at);
	return status;
}

json_t *generate_learner_hash(const char *dir, struct err *e)
{
	char *file = io_join(dir, "learner.json"), hex[33];
	int status = io_hash(file, hex, e);

	mem_free(file);
	return status < 0 ? NULL : json_string(hex);
}

static int write_said(struct answer_file *f, const struct rows *rows, char *const *said, struct err *e)
{
	int status = 0;

	while (f->n < rows->n && status == 0) {
		struct generation g = { .finish = FINISH_STOP };
		buf_adds(&g.text, said[f->n]);
		status = answer_file_add(f, rows, &g, 1, e);
		buf_release(&g.text);
	}
	return status;
}

static int file_said(struct app *app, const struct generate_command *o, const char *dir, const struct rows *rows,
                     char *const *said, struct err *e)
{
	json_t *learner = generate_learner_hash(dir, e);
	json_t *asked = learner ? json_pack("{s:i, s:s, s:o, s:f}", "format", 1, "rows", rows->hash, "learner", learner,
	                                    "least", o->first ? o->first_least : 0.0) :
	                          NULL;
	struct answer_file f = { .lock = -1 };
	int status = asked ? answer_file_open(&f, o->out, false, asked, rows, e) : -1;
	size_t kept = f.n;

	json_decref(asked);
	if (status == 0)
		status = write_said(&f, rows, said, e);
	if (status == 0) {
		app_summary(app, json_pack("{s:o, s:I, s:I, s:I, s:b}", "out", jsonx_path(o->out), "rows",
		                           (json_int_t)rows->n, "answered", (json_int_t)f.n, "kept", (json_int_t)kept,
		                           "whole", true));
		log_say("%s: %zu rows, each with its label", o->out, rows->n);
	}
	answer_file_close(&f);
	return status;
}

int generate_rows_by_learner(struct app *app, struct generate_command *o, const char *dir, struct err *e)
{
	struct rows rows = { 0 };
	char **said;

	if (o->adapter.n || o->self_consistency > 1)
		return err_set(
			e, "%s says one label of a row: --adapter and --self-consistency are of a model that writes",
			dir);
	if (rows_load_objects(&rows, o->prompt_file, e) < 0)
		return -1;
	said = mem_array(rows.n + 1, sizeof(*said));
	metering_in("data", o->prompt_file, rows.hash);
	int status = o->first && !app->plans ? generate_say_rows(app, o, o->first, o->first_least, &rows, said, e) : 0;
	if (status == 0)
		status = generate_say_rows(app, o, dir, 0, &rows, said, e);
	if (status == 0)
		status = file_said(app, o, dir, &rows, said, e);
	for (size_t i = 0; i < rows.n; i++)
		mem_free(said[i]);
	mem_free(said);
	rows_release(&rows);
	return status;
}
