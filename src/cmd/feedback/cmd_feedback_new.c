/* feedback new: what people will be asked, in a new file: rows of prompt or messages with their answers, or with
 * answers that a model writes. What else a row has stays with it. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/feedback/feedback_new.h"

struct new {
	struct generate_command g;      /* how answers are written; begins with common */
	const char *prompts, *ask, *instructions, *labels;
	int64_t answers, scale, labels_per_item;
	double gold_share, repeat_share, wage;
};

static const struct opt new_opts[] = {
	OPT_GROUP("What is asked"),
	OPT_STRING("prompts", struct new, prompts, NULL, "FILE",
	           "rows: prompt or messages, and answers (a list of texts) where they are there; also models (who "
	           "wrote each), gold (the index of the right answer), id, lang"),
	OPT_CHOICE("ask", struct new, ask, "compare", "compare|rank|rate|correct|label",
	           "what people say of answers"),
	OPT_INT("answers", struct new, answers, "0", 0, FEEDBACK_ANSWERS,
	        "shown of an item; 0: two to compare or rank, else one"),
	OPT_STRING("instructions", struct new, instructions, NULL, "TEXT", "to those who judge"),
	OPT_STRING("labels", struct new, labels, NULL, "A,B,…", "classes, of --ask label"),
	OPT_INT("scale", struct new, scale, "5", 2, 10, "the best rating; 1 is the worst"),
	OPT_INT("labels-per-item", struct new, labels_per_item, "1", 1, 1000, "people who judge the same"),
	OPT_FLOAT("gold-share", struct new, gold_share, "0.05", 0, 1, "of what is shown, items whose answer is known"),
	OPT_FLOAT("repeat-share", struct new, repeat_share, "0.05", 0, 1, "of what is shown, own earlier items"),
	OPT_FLOAT("wage", struct new, wage, "0", 0, 1e6, "money an hour of a person"),
	OPT_GROUP("Answers"),
	OPT_STRING("model", struct new, g.model, NULL, "PATH",
	           "writes answers to rows without; may be what is being trained"),
	OPT_LIST("adapter", struct new, g.adapter, "PATH",
	         "an adapter on top of it; or several, each as NAME=PATH, which write in turn"),
	OPT_STRING("system", struct new, g.system, NULL, "TEXT", "the system's turn before a prompt"),
	OPT_FLAG("raw", struct new, g.raw, "false", "no chat template: the prompt is continued as it is"),
	OPT_INT("parallel", struct new, g.parallel, "16", 1, SESSION_ROWS - 1, "answers beside each other"),
	SAMPLING_OPTS(struct new, g.sampling),
	COMPUTE_OPT(struct new, g.compute, "auto"),
	FOUR_BIT_OPTS(struct new, g.four_bit),
	CACHE_OPTS(struct new, g.cache),
	COMMON_OPTS(struct new, g.common),
	OPT_END
};

/* --- rows --- */

static int wrong(const struct row *r, struct err *e, const char *what)
{
	return err_set(e, "%s:%zu: %s", r->file, r->line, what);
}

static json_t *prompt_of(const struct row *r)
{
	json_t *prompt = json_object_get(r->json, "prompt");

	return prompt ? prompt : json_object_get(r->json, "messages");
}

static int take_answers(struct draft *d, const json_t *list, struct err *e)
{
	const json_t *models = json_object_get(d->row->json, "models");
	size_t n = json_array_size(list);

	if (!json_is_array(list) || n > FEEDBACK_ANSWERS)
		return wrong(d->row, e, "answers are a list of 1 to 8 texts");
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		const char *model = json_string_value(json_array_get(models, i));

		if (!text || !*text)
			return wrong(d->row, e, text ? "an answer is empty" : "an answer is no text");
		for (int k = 0; k < d->n; k++)
			if (!strcmp(d->answers[k], text))
				return wrong(d->row, e, "two answers are equal: there is nothing to choose");
		d->models[d->n] = model ? mem_strdup(model) : NULL;
		d->answers[d->n++] = mem_strdup(text);
	}
	return 0;
}

static int take_row(struct draft *d, const struct row *r, struct err *e)
{
	const json_t *prompt = prompt_of(r), *list = json_object_get(r->json, "answers");

	d->row = r;
	if (!json_string_length(prompt) && !json_array_size(prompt))
		return wrong(r, e, "a prompt (a text or messages) was wanted");
	return list && !json_is_null(list) ? take_answers(d, list, e) : 0;
}

/* --- the file --- */

static const char *const own_keys[] = { "prompt", "messages", "answers", "models", "gold", "id", NULL };

static char *extra_of(const json_t *row)
{
	json_t *rest = json_copy((json_t *)row);

	for (const char *const *k = own_keys; *k; k++)
		json_object_del(rest, *k);
	char *line = json_object_size(rest) ? jsonx_line(rest) : NULL;
	json_decref(rest);
	return line;
}

static int add(struct feedback *f, const struct draft *d, struct err *e)
{
	const json_t *gold = json_object_get(d->row->json, "gold"), *id = json_object_get(d->row->json, "id");
	struct feedback_item it = { .key = json_string_value(id), .n = d->n, .gold = FEEDBACK_NONE };
	char *prompt = jsonx_line(prompt_of(d->row)), *extra = extra_of(d->row->json);
	int64_t number;
	int status = 0;

	for (int i = 0; i < d->n; i++) {
		it.answers[i] = d->answers[i];
		it.models[i] = d->models[i];
	}
	it.prompt = prompt;
	it.extra = extra;
	if (json_is_integer(gold))
		it.gold = (int)json_integer_value(gold);
	if (it.gold < FEEDBACK_NONE || it.gold >= it.n)
		status = wrong(d->row, e, "gold is the index of an answer");
	else if (feedback_add_item(f, &it, &number, e) < 0)
		status = err_prefix(e, "%s:%zu", d->row->file, d->row->line);
	mem_free(extra);
	mem_free(prompt);
	return status;
}

static void study_of(const struct new *o, struct feedback_study *s, int answers, const char **classes)
{
	*s = (struct feedback_study){
		.n_answers = answers, .instructions = o->instructions, .labels = o->labels ? classes : NULL,
		.scale = (int)o->scale, .gold_share = o->gold_share, .repeat_share = o->repeat_share,
		.labels_per_item = (int)o->labels_per_item, .wage = o->wage, .model = o->g.model,
	};
	for (int i = 0; i < ASK_KINDS; i++)
		if (!strcmp(feedback_ask_names[i], o->ask))
			s->ask = i;
}

static int write_items(const char *path, const struct draft *drafts, size_t n, int wanted, size_t *left_out,
                       struct err *e)
{
	struct feedback *f;

	*left_out = 0;
	if (feedback_open(&f, path, true, e) < 0)
		return -1;
	int status = feedback_begin(f, e);
	for (size_t i = 0; i < n && status == 0; i++)
		if (drafts[i].n < MIN(wanted, 2))
			++*left_out;
		else
			status = add(f, &drafts[i], e);
	status = feedback_end(f, status, e);
	feedback_close(f);
	return status;
}

static void report(struct app *app, const struct new *o, const char *path, size_t items, size_t left_out)
{
	if (left_out)
		log_warn("%zu rows are left out: the model writes the same again and again", left_out);
	app_summary(app, json_pack("{s:o, s:s, s:I, s:I}", "feedback", jsonx_path(path), "ask", o->ask, "items",
	                           (json_int_t)items, "left_out", (json_int_t)left_out));
	if (!app->json)
		app_print("%s: %zu items to %s\nkungfu feedback serve %s shows them to people\n", path, items, o->ask,
		          path);
}

/* --- all of it --- */

/* Words between commas, in place. */
static const char **split(char *text, size_t *n)
{
	const char **list = mem_array(strlen(text) / 2 + 3, sizeof(*list));
	char *rest = text;

	*n = 0;
	for (char *word; (word = strsep(&rest, ","));)
		if (*word)
			list[(*n)++] = word;
	return list;
}

static int make(struct app *app, struct new *o, const char *path, const struct rows *rows, struct draft *drafts,
                int wanted, struct err *e)
{
	char *text = mem_strdup(o->labels ? o->labels : "");
	size_t n, left_out = 0, missing = rows->n;
	const char **classes = split(text, &n);
	struct feedback_study study;
	int status = 0;

	study_of(o, &study, wanted, classes);
	if (study.ask == ASK_LABEL && n < 2)
		status = err_set(e, "--ask label wants --labels A,B: two classes or more");
	for (size_t i = 0; i < rows->n && status == 0; i++) {
		status = take_row(&drafts[i], &rows->items[i], e);
		if (drafts[i].n < wanted)
			missing = MIN(missing, i);
	}
	if (status == 0 && missing < rows->n && !o->g.model)
		status = err_set(e, "%s:%zu: the row has %d answers of %d; --model would write the others",
		                 rows->items[missing].file, rows->items[missing].line, drafts[missing].n, wanted);
	if (status == 0 && missing < rows->n)
		status = feedback_answers(app, &o->g, drafts, rows->n, wanted, e);
	if (status == 0)
		status = feedback_create(path, &study, e);
	if (status == 0 && (status = write_items(path, drafts, rows->n, wanted, &left_out, e)) < 0)
		feedback_discard(path);
	if (status == 0)
		report(app, o, path, rows->n - left_out, left_out);
	mem_free(classes);
	mem_free(text);
	return status;
}

static void drop(struct draft *drafts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < drafts[i].n; k++) {
			mem_free(drafts[i].answers[k]);
			mem_free(drafts[i].models[k]);
		}
	mem_free(drafts);
}

extern const struct command cmd_feedback_new;

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct new *o = options;
	bool pair = !strcmp(o->ask, "compare") || !strcmp(o->ask, "rank");
	int wanted = o->answers ? (int)o->answers : pair ? 2 : 1;
	struct rows rows;

	if (!o->prompts)
		return app_usage(&cmd_feedback_new, "--prompts FILE was wanted");
	if (pair && wanted < 2)
		return app_usage(&cmd_feedback_new, "--ask %s wants --answers 2 or more", o->ask);
	if (!opt_given(p, "temperature"))
		opt_put(p, "temperature", 1);
	app_catch_signals();
	if (access(p->positional[0], F_OK) == 0)
		return err_set(e, "%s is there already", p->positional[0]);
	if (rows_load_objects(&rows, o->prompts, e) < 0)
		return -1;
	struct draft *drafts = mem_array(rows.n, sizeof(*drafts));
	int status = rows.n ? make(app, o, p->positional[0], &rows, drafts, wanted, e) :
	                      err_set(e, "%s has no rows", o->prompts);
	if (status == 0)
		metering_in("data", o->prompts, rows.hash);
	drop(drafts, rows.n);
	rows_release(&rows);
	return status;
}

const struct command cmd_feedback_new = {
	.name = "feedback new",
	.summary = "a file of what people are asked: prompts with answers",
	.usage = "F.db --prompts FILE [--model MODEL] [options]",
	.example = "kungfu feedback new f.db --prompts p.jsonl",
	.brief = "what people are asked",
	.order = 52,
	.opts = new_opts,
	.options_size = sizeof(struct new),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
