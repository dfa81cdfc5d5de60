/* api_trainer: kf_trainer: the pull loop of learn/trainer.h, with a look at the order of calls before each. The recipe
 * is kungfu tune's, by the same table of options; what that table says about logging and saving belongs to the loop
 * around the steps, which here is the caller's. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "api/handles.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "train/trainer.h"

enum state { OPENED, STARTED, ENDED /* the result was asked for */, BROKEN /* start failed */ };

struct kf_trainer {
	struct handle handle;
	struct recipe recipe;
	struct opt_parse options;     /* the recipe's strings */
	struct pool *pool;
	struct device device;
	struct trainer *trainer;
	const struct document **next; /* [documents of a step] */
	enum state state;
};

/* --- opening --- */

/* A program cannot be warned. */
static int refuse_unused(const struct kf_trainer *t, struct err *e)
{
	struct buf sentence = BUF_INIT;
	int status;

	recipe_unused(&t->recipe, &t->options, &sentence);
	status = sentence.len ? err_set(e, "%s", buf_str(&sentence)) : 0;
	buf_release(&sentence);
	return status;
}

static int read_options(struct kf_trainer *t, const struct kf_option *options, struct err *e)
{
	if (opt_begin(&t->options, recipe_opts, &t->recipe, e) < 0)
		return -1;
	for (; options->name; options++) {
		if (!options->value)
			return err_set(e, "the option %s has no value", options->name);
		if (opt_assign(&t->options, options->name, options->value, e) < 0)
			return -1;
	}
	if (!t->recipe.out)
		t->recipe.out = ".";
	t->recipe.forgetting = false; /* the program's: who has a loop of his own knows when his run is over */
	const char *const rows[] = { t->recipe.data, t->recipe.eval_data, t->recipe.retain, t->recipe.replay };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i] && !is_path(rows[i]))
			return err_set(e, "rows are read from files alone, not from standard input");
	return recipe_resolve(&t->recipe, e) < 0 ? -1 : refuse_unused(t, e);
}

static int open_trainer(struct kf_trainer *t, struct err *e)
{
	const struct kernels *k = kernels_get(NULL, e);

	if (!k)
		return -1;
	t->pool = handle_pool(&t->handle);
	t->device = device_cpu(k, t->pool);
	if (trainer_open(&t->trainer, &t->recipe, &t->device, e) < 0)
		return -1;
	t->next = mem_array(trainer_global_batch(t->trainer), sizeof(*t->next));
	return 0;
}

int kf_trainer_open(struct kf_trainer **out, const struct kf_option *options, const struct kf_settings *settings,
                    struct kf_error *error)
{
	struct call c;

	if (out)
		*out = NULL;
	if (call_open(&c, settings, error) < 0)
		return KF_MISUSE;
	if (!out || !options)
		return call_misuse(&c, "%s is NULL", out ? "options" : "trainer");
	struct kf_trainer *t = mem_alloc(sizeof(*t));
	handle_init(&t->handle, KIND_TRAINER, &c);
	bool good = read_options(t, options, &c.err) == 0;
	if (!good || open_trainer(t, &c.err) < 0) {
		kf_trainer_free(t);
		return good ? call_end(&c, -1) : call_misuse(&c, "%s", c.err.msg);
	}
	*out = t;
	return call_end(&c, 0);
}

void kf_trainer_free(struct kf_trainer *t)
{
	if (!handle_is(t, KIND_TRAINER) || handle_defer(t))
		return;
	t->handle.kind = KIND_NONE;
	trainer_close(t->trainer);
	pool_free(t->pool);
	opt_release(&t->options);
	mem_free(t->next);
	mem_free(t);
}

int kf_trainer_plan(const struct kf_trainer *t, struct kf_plan *plan, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (!plan)
		return call_misuse(&c, "plan is NULL");
	const struct trainer_plan *p = trainer_plan(t->trainer);
	*plan = (struct kf_plan){
		.memory_bytes = p->planned_bytes,
		.checkpoint_bytes = p->checkpoint_bytes,
		.disk_bytes = p->disk_bytes,
		.flops = p->planned_flops,
		.seconds = p->planned_seconds,
		.steps = p->steps,
		.steps_per_epoch = p->steps_per_epoch,
		.micro_batches = p->micro_batches,
		.documents = p->documents,
		.tokens = p->tokens,
		.computed_tokens = p->computed_tokens,
		.supervised_tokens = p->supervised_tokens,
		.trainable = p->trainable,
		.parameters = p->parameters,
	};
	return call_end(&c, 0);
}

/* --- the order of calls --- */

/* call_begin, and a run that is under way. */
static int begin_started(struct call *c, const struct kf_trainer *t, struct kf_error *error)
{
	if (call_begin(c, t, KIND_TRAINER, error) < 0)
		return -1;
	if (t->state == STARTED)
		return 0;
	call_misuse(c, "%s",
	            t->state == OPENED ? "the run has not begun: kf_trainer_start was wanted first" :
	            t->state == ENDED  ? "the run is over: its result was asked for" :
	                                 "the run could not begin: only kf_trainer_free is left");
	return -1;
}

int kf_trainer_start(struct kf_trainer *t, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (t->state != OPENED)
		return call_misuse(&c, "a run begins once");
	int status = trainer_start(t->trainer, &c.err);
	t->state = status == 0 ? STARTED : BROKEN;
	return call_end(&c, status);
}

int kf_trainer_step(struct kf_trainer *t, struct kf_step *step, struct kf_error *error)
{
	struct call c;
	struct step_metrics m;

	if (step)
		*step = (struct kf_step){ 0 };
	if (begin_started(&c, t, error) < 0)
		return KF_MISUSE;
	if (trainer_done(t->trainer))
		return call_end(&c, KF_DONE);
	if (trainer_step(t->trainer, &m, &c.err) < 0)
		return call_end(&c, -1);
	if (step)
		*step = (struct kf_step){
			.step = m.step,
			.loss = m.loss,
			.grad_norm = m.grad_norm,
			.learning_rate = m.learning_rate,
			.epoch = m.epoch,
			.seconds = m.seconds,
			.flops = m.flops,
			.tokens = m.tokens,
			.computed_tokens = m.computed_tokens,
			.supervised_tokens = m.supervised_tokens,
		};
	return call_end(&c, 0);
}

int64_t kf_trainer_steps_done(const struct kf_trainer *t)
{
	return handle_is(t, KIND_TRAINER) ? trainer_steps_done(t->trainer) : 0;
}

/* --- steering --- */

int kf_trainer_set_learning_rate(struct kf_trainer *t, double rate, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (!(rate >= 0) || isinf(rate))
		return call_misuse(&c, "a learning rate of %g: a finite number from 0 was wanted", rate);
	trainer_set_learning_rate(t->trainer, rate);
	return call_end(&c, 0);
}

size_t kf_trainer_count(const struct kf_trainer *t)
{
	return handle_is(t, KIND_TRAINER) ? trainer_documents(t->trainer) : 0;
}

int kf_trainer_document(const struct kf_trainer *t, size_t i, struct kf_document *document, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (!document)
		return call_misuse(&c, "document is NULL");
	if (i >= trainer_documents(t->trainer))
		return call_misuse(&c, "document %zu of %zu", i, trainer_documents(t->trainer));
	*document = document_shown(trainer_document(t->trainer, i));
	return call_end(&c, 0);
}

int kf_trainer_set_weight(struct kf_trainer *t, size_t document, double weight, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (document >= trainer_documents(t->trainer))
		return call_misuse(&c, "document %zu of %zu", document, trainer_documents(t->trainer));
	if (!(weight >= 0 && weight <= FLT_MAX))
		return call_misuse(&c, "a weight of %g: a finite number from 0 was wanted", weight);
	trainer_set_weight(t->trainer, document, (float)weight);
	return call_end(&c, 0);
}

int kf_trainer_next(struct kf_trainer *t, size_t *documents, size_t room, size_t *n, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (!n || (room && !documents))
		return call_misuse(&c, "%s is NULL", n ? "documents" : "n");
	*n = trainer_next(t->trainer, t->next);
	for (size_t i = 0; i < MIN(*n, room); i++)
		documents[i] = (size_t)(t->next[i] - trainer_document(t->trainer, 0));
	return call_end(&c, 0);
}

/* --- evaluating, saving --- */

int kf_trainer_evaluate(struct kf_trainer *t, struct kf_scores *scores, struct kf_error *error)
{
	struct call c;
	struct eval_metrics m;
	bool stopped = false;

	if (begin_started(&c, t, error) < 0)
		return KF_MISUSE;
	if (!scores || !trainer_has_eval(t->trainer))
		return call_misuse(&c, "%s", scores ? "the run has no eval-data" : "scores is NULL");
	if (trainer_eval(t->trainer, &m, NULL, &stopped, &c.err) < 0)
		return call_end(&c, -1);
	*scores = (struct kf_scores){
		.loss = m.eval_loss,
		.perplexity = m.perplexity,
		.acc = m.acc,
		.acc_norm = m.acc_norm,
		.acc_error = m.acc_stderr,
		.acc_norm_error = m.acc_norm_stderr,
		.seconds = m.seconds,
		.rows = m.n,
		.tokens = m.tokens,
	};
	return call_end(&c, 0);
}

int kf_trainer_save(struct kf_trainer *t, const char *folder, const char *note, struct kf_error *error)
{
	struct call c;

	if (begin_started(&c, t, error) < 0)
		return KF_MISUSE;
	if (!is_path(folder))
		return call_misuse(&c, "a folder for the checkpoint was wanted, found %s", folder ? folder : "NULL");
	json_t *caller = note ? json_string(note) : json_null();
	if (!caller)
		return call_misuse(&c, "the note is not UTF-8");
	int status = trainer_save(t->trainer, folder, caller, &c.err);
	json_decref(caller);
	return call_end(&c, status);
}

/* What kungfu tune keeps in a checkpoint comes back as JSON. */
static char *note_of(const json_t *caller)
{
	if (json_is_string(caller))
		return mem_strdup(json_string_value(caller));
	return caller && !json_is_null(caller) ? jsonx_line(caller) : NULL;
}

int kf_trainer_load(struct kf_trainer *t, const char *folder, char **note, struct kf_error *error)
{
	struct call c;
	json_t *caller = NULL;

	if (note)
		*note = NULL;
	if (begin_started(&c, t, error) < 0)
		return KF_MISUSE;
	if (!is_path(folder))
		return call_misuse(&c, "a checkpoint's folder was wanted, found %s", folder ? folder : "NULL");
	int status = trainer_load(t->trainer, folder, &caller, &c.err);
	if (status == 0 && note)
		*note = note_of(caller);
	json_decref(caller);
	return call_end(&c, status);
}

int kf_trainer_result(struct kf_trainer *t, const char *folder, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, t, KIND_TRAINER, error) < 0)
		return KF_MISUSE;
	if (t->state != STARTED && t->state != ENDED)
		return call_misuse(&c, "the run has not begun: kf_trainer_start was wanted first");
	if (!is_path(folder))
		return call_misuse(&c, "a folder for the result was wanted, found %s", folder ? folder : "NULL");
	t->state = ENDED;
	return call_end(&c, trainer_result(t->trainer, folder, &c.err));
}
