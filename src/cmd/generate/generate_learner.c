/* generate_learner: one prompt answered by a learner (learn/learner.h), as `kungfu adapt` may leave it: the label that
 * it says, in the place of a text that is generated. Rows of prompts are for `kungfu classify`. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/generate/generate_parts.h"
#include "cmd/metering.h"
#include "cmd/probing.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "ladder/adapted.h"

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
		status = probing_rows(p, app, r, 1024, e);
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

/* The prompt as a row of the kind that was learnt from. */
static json_t *row_of(const char *model, const struct buf *text)
{
	json_t *word = jsonx_text(buf_str(text), text->len);
	char *asks = adapted_asks(model);
	json_t *row;

	if (!strcmp(asks, "query"))
		row = json_pack("{s:o, s:[s], s:i}", "query", word, "choices", "-", "gold", 0);
	else if (!strcmp(asks, "prompt"))
		row = json_pack("{s:o}", "prompt", word);
	else if (!strcmp(asks, "messages"))
		row = json_pack("{s:[{s:s, s:o}]}", "messages", "role", "user", "content", word);
	else if (!strcmp(asks, "instruction"))
		row = json_pack("{s:o, s:s, s:s}", "instruction", word, "input", "", "output", "-");
	else
		row = json_pack("{s:o}", "text", word);
	mem_free(asks);
	return row;
}

int generate_by_learner(struct app *app, const struct generate_command *o, const char *model, const char *dir,
                        double least, struct err *e)
{
	struct probing p;
	struct buf text = BUF_INIT;

	if (o->out || o->adapter.n || o->n > 1)
		return err_set(e, "%s says one label of one prompt; rows are for kungfu classify", dir);
	if (read_prompt(o, &text, e) < 0)
		return -1;
	json_t *json = row_of(model, &text);
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
