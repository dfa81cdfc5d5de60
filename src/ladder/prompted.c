/* prompted: examples are drawn once for all rows, of rows to learn from: of classes one after the other in turn, as
 * many as there are classes, of 4 to 16; else 4. More of them is rarely worth their tokens in each answer. See
 * prompted.h. */
#include "ladder/prompted.h"

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/fewshot.h"

enum { EXAMPLES_LEAST = 4, EXAMPLES_MOST = 16 };

int prompted_fits(struct ladder *l, struct err *e)
{
	const struct task *t = l->task;

	if (t->kind != TASK_CHOICES && t->kind != TASK_ANSWERS)
		return err_set(e, "examples stand before rows with answers or choices alone");
	if (t->asks_only)
		return err_set(e, "rows without answers are no examples");
	if (t->side_n[SIDE_TRAIN] < EXAMPLES_LEAST)
		return err_set(e, "%zu rows to learn from are too few for %d examples", t->side_n[SIDE_TRAIN],
		               EXAMPLES_LEAST);
	return 0;
}

static size_t n_examples(const struct ladder *l)
{
	const struct task *t = l->task;
	const json_t *noted = json_object_get(l->on->notes, "examples");
	size_t n = (size_t)MIN(MAX(t->n_classes, EXAMPLES_LEAST), EXAMPLES_MOST);

	return noted ? (size_t)json_integer_value(noted) : MIN(n, t->side_n[SIDE_TRAIN]);
}

/* What stands before the rows: new; NULL and a sentence. */
static json_t *make_prompt(struct ladder *l, struct err *e)
{
	const struct task *t = l->task;
	size_t n, *at = task_side(t, SIDE_TRAIN, &n);
	struct rows rows = { .items = mem_array(n, sizeof(*rows.items)), .n = n, .shape = t->shape };
	struct fewshot_options o = { .num = n_examples(l),
		                     .select = t->n_classes ? FEWSHOT_BALANCED : FEWSHOT_RANDOM,
		                     .seed = l->seed,
		                     .chat = l->apply_chat_template,
		                     .template_ = l->chat != NULL };
	struct fewshot *f = NULL;
	json_t *prompt = NULL;

	for (size_t i = 0; i < n; i++)
		rows.items[i] = t->rows[at[i]].row;
	if (fewshot_new(&f, &rows, &o, e) == 0)
		prompt = fewshot_save(f, e);
	fewshot_free(f);
	mem_free(rows.items);
	mem_free(at);
	return prompt;
}

static int forecast(struct ladder *l, bool calibrated, struct rung_price *p, struct err *e)
{
	json_t *prompt = make_prompt(l, e);
	struct model_way way = { .prompt = prompt, .calibrated = calibrated };
	int status = prompt ? ladder_forecast(l, &way, p, e) : -1;

	json_decref(prompt);
	return status;
}

/* Half as many examples where the context does not hold them, noted for all that make the prompt. */
int prompted_price(struct ladder *l, bool calibrated, struct rung_price *p, struct err *e)
{
	int status = -1;

	if (ladder_open_model(l, e) < 0)
		return -1;
	for (size_t n = n_examples(l); n > 0 && status < 0; n /= 2) {
		e->msg[0] = 0;
		json_object_set_new(l->on->notes, "examples", json_integer((json_int_t)n));
		status = forecast(l, calibrated, p, e);
	}
	if (status == 0)
		p->make = (struct span){ 1e-2, 1e-3, 0.1 };
	return status;
}

int prompted_make(struct ladder *l, const char *dir, struct err *e)
{
	char *path = io_join(dir, PROMPT_FILE);
	json_t *prompt = ladder_open_model(l, e) < 0 ? NULL : make_prompt(l, e);
	int status = prompt ? jsonx_write_file(path, prompt, e) : -1;

	json_decref(prompt);
	mem_free(path);
	return status;
}

int prompted_answer(struct ladder *l, const char *dir, bool calibrated, const size_t *at, size_t n, struct outcome *out,
                    struct err *e)
{
	char *path = io_join(dir, PROMPT_FILE);
	json_t *prompt = jsonx_load_file(path, e);
	int status = prompt ? ladder_answer(l, &(struct model_way){ .prompt = prompt, .calibrated = calibrated }, at, n,
	                                    out, e) :
	                      -1;

	json_decref(prompt);
	mem_free(path);
	return status;
}
