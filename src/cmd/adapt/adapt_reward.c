/* adapt_reward: what answers are worth, for goals of reward: by a model with one output (--reward-model), or by a
 * command of the person's own (--reward-command).
 *
 * The command is run once for all rows that were answered (train/reward_command.h). On its standard input there is a
 * line a row, {"prompt": …, "answer": …}, with "wanted" where the row has an answer; it writes a number a line. A
 * model reads them as train/reward_model.h says. */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"
#include "cmd/metering.h"
#include "data/chat.h"
#include "model/prepare.h"
#include "train/reward_command.h"
#include "train/reward_model.h"

static const char *or_nothing(const char *text) { return text ? text : ""; }

static void add_line(struct buf *text, const struct task_row *r, const char *answer)
{
	json_t *j = json_object();

	json_object_set_new(j, "prompt", jsonx_text(r->text, strlen(r->text)));
	json_object_set_new(j, "answer", jsonx_text(answer, strlen(answer)));
	if (r->answer)
		json_object_set_new(j, "wanted", jsonx_text(r->answer, strlen(r->answer)));
	char *line = jsonx_line(j);
	buf_adds(text, line);
	buf_addc(text, '\n');
	mem_free(line);
	json_decref(j);
}

static int by_command(struct adapt_reward *r, const struct task *t, const size_t *at, const char *const *answers,
                      size_t n, double *out, struct err *e)
{
	struct reward_command command = { .command = r->o->command };
	struct buf lines = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		add_line(&lines, &t->rows[at[i]], answers[i]);
	int status = reward_command_ask(&command, buf_str(&lines), lines.len, n, out, e);
	reward_command_end(&command);
	buf_release(&lines);
	return status;
}

static int tick(void *ctx, size_t done, size_t total)
{
	(void)ctx, (void)done, (void)total;
	metering_tick();
	return app_interrupted();
}

static int by_model(struct adapt_reward *r, const struct task *t, const size_t *at, const char *const *answers,
                    size_t n, double *out, struct err *e)
{
	struct reward_reader reader = { &r->l.model, loaded_overlay(&r->l), r->l.chat, r->app->device,
		                        r->o->template_ };
	const char **prompts = mem_array(n + 1, sizeof(*prompts));

	for (size_t i = 0; i < n; i++)
		prompts[i] = t->rows[at[i]].text;
	int status = reward_read(&reader, prompts, answers, n, tick, out, e);
	mem_free(prompts);
	return status < 0 ? err_prefix(e, "--reward-model %s", r->o->model) : 0;
}

static int open_model(struct adapt_reward *r, struct err *e)
{
	struct reward_reader reader = { .model = &r->l.model };
	char *base = reward_model_base(r->o->model);
	int status = loaded_open(&r->l, base ? base : r->o->model, base ? r->o->model : NULL, e);

	mem_free(base);
	if (status < 0)
		return -1;
	r->open = true;
	struct model *m = &r->l.model;
	if (reward_reader_check(&reader, r->o->model, e) < 0 ||
	    model_prepare(m, r->app->pool, compute_from_name("f32", r->app->kernels), PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(m, e) < 0)
		return -1;
	return chat_template(&r->l.chat, m->tokenizer, e);
}

/* --- both --- */

static int judge(void *ctx, const struct task *t, const size_t *at, const char *const *answers, size_t n, double *out,
                 struct err *e)
{
	struct adapt_reward *r = ctx;
	int status = n ? (r->open ? by_model : by_command)(r, t, at, answers, n, out, e) : 0;

	r->failed = status < 0;
	return status;
}

const char *adapt_reward_contradiction(const struct reward_options *o)
{
	if (o->model && o->command)
		return "--reward-model and --reward-command both say what an answer is worth: one of them was wanted";
	return reward_form_contradiction(o->model, o->template_);
}

/* It is asked once, so that one that cannot answer shows before anything is spent. */
int adapt_reward_open(struct adapt_reward *r, struct app *app, const struct reward_options *o, struct ladder *l,
                      struct err *e)
{
	const char *answer = or_nothing(l->task->rows[0].answer);
	size_t first = 0;
	double x;

	*r = (struct adapt_reward){ .o = o, .app = app };
	if (!o->model && !o->command)
		return 0;
	if (o->model && open_model(r, e) < 0)
		return err_prefix(e, "--reward-model");
	if (o->model)
		metering_in("reward", o->model, NULL);
	l->reward = judge;
	l->reward_ctx = r;
	return judge(r, l->task, &first, &answer, 1, &x, e);
}

void adapt_reward_close(struct adapt_reward *r)
{
	if (r->open)
		loaded_close(&r->l);
	r->open = false;
}
