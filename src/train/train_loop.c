/* train_loop: a run from its first step to its result: steps, evaluations, checkpoints, stops. The order after a
 * step is: its line, the evaluation that is due, the checkpoint that is due, then a look at whether to stop. A
 * checkpoint knows the last evaluated step, so one that is due twice is made once. */
#include "train/train_loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "kernel/machine_speeds.h"
#include "train/checkpoint.h"

static const double save_share = 0.02, save_pause = 30; /* seconds between automatic checkpoints at least */

void train_loop_init(struct train_loop *f, struct trainer *t, const struct recipe *r, struct run_dir *dir)
{
	*f = (struct train_loop){ .trainer = t,
		           .recipe = r,
		           .dir = dir,
		           .evaluated = -1,
		           .best_step = -1,
		           .saved = -1,
		           .best_loss = INFINITY,
		           .eval_seconds = NAN };
	if (r->spike_threshold > 0)
		spike_init(&f->spike, (long)r->spike_window);
	f->last_save = clock_seconds();
}

void train_loop_release(struct train_loop *f)
{
	json_decref(f->last_eval);
	json_decref(f->best_eval);
	json_decref(f->forgetting);
	spike_release(&f->spike);
	f->last_eval = f->best_eval = f->forgetting = NULL;
	tensorboard_release(&f->events);
}

/* --- what a checkpoint keeps for us --- */

static json_t *state_json(const struct train_loop *f)
{
	json_t *j = json_object(), *window = json_array();
	for (int i = 0; i < OBJECTIVE_METRICS; i++)
		json_array_append_new(window, jsonx_number(f->window_metric[i]));
	json_object_set_new(j, "window_metric", window);
	if (f->spike.window)
		json_object_set_new(j, "spike", spike_json(&f->spike));
	json_object_set_new(j, "metrics_bytes", json_integer((json_int_t)f->dir->metrics_bytes));
	json_object_set_new(j, "tensorboard_bytes", json_integer((json_int_t)f->events.bytes));
	json_object_set_new(j, "loss", json_real(f->loss));
	json_object_set_new(j, "loss_sum", json_real(f->loss_sum));
	json_object_set_new(j, "window_loss", json_real(f->window_loss));
	json_object_set_new(j, "window_steps", json_integer(f->window_steps));
	json_object_set_new(j, "tokens", json_integer(f->tokens));
	json_object_set_new(j, "computed_tokens", json_integer(f->computed_tokens));
	json_object_set_new(j, "supervised_tokens", json_integer(f->supervised_tokens));
	json_object_set_new(j, "flops", json_real(f->flops));
	json_object_set_new(j, "int_ops", json_real(f->int_ops));
	json_object_set_new(j, "evaluated", json_integer(f->evaluated));
	json_object_set_new(j, "best_step", json_integer(f->best_step));
	json_object_set_new(j, "bad_evals", json_integer(f->bad_evals));
	json_object_set_new(j, "best_loss", jsonx_number(f->best_loss));
	json_object_set_new(j, "last_eval", f->last_eval ? json_incref(f->last_eval) : json_null());
	json_object_set_new(j, "best_eval", f->best_eval ? json_incref(f->best_eval) : json_null());
	return j;
}

static long get_long(const json_t *j, const char *key)
{
	return (long)json_integer_value(json_object_get(j, key));
}

static double get_double(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static void state_restore(struct train_loop *f, const json_t *j)
{
	if (f->spike.window)
		spike_restore(&f->spike, json_object_get(j, "spike"));
	f->events.bytes = (size_t)get_long(j, "tensorboard_bytes");
	f->loss = get_double(j, "loss");
	f->loss_sum = get_double(j, "loss_sum");
	f->window_loss = get_double(j, "window_loss");
	f->window_steps = get_long(j, "window_steps");
	for (size_t i = 0; i < OBJECTIVE_METRICS; i++) {
		const json_t *sum = json_array_get(json_object_get(j, "window_metric"), i);
		f->window_metric[i] = json_is_null(sum) ? NAN : json_number_value(sum);
	}
	f->tokens = get_long(j, "tokens");
	f->computed_tokens = get_long(j, "computed_tokens");
	f->supervised_tokens = get_long(j, "supervised_tokens");
	f->flops = get_double(j, "flops");
	f->int_ops = get_double(j, "int_ops");
	f->evaluated = get_long(j, "evaluated");
	f->best_step = get_long(j, "best_step");
	f->bad_evals = get_long(j, "bad_evals");
	f->best_loss = json_is_number(json_object_get(j, "best_loss")) ? get_double(j, "best_loss") : INFINITY;
	f->last_eval = jsonx_object(j, "last_eval");
	f->best_eval = jsonx_object(j, "best_eval");
}

static int load_one(struct train_loop *f, long step, struct err *e)
{
	char *path = checkpoint_path(f->dir->path, step);
	json_t *state;
	int status = trainer_load(f->trainer, path, &state, e);

	mem_free(path);
	if (status)
		return -1;
	status = run_dir_rewind(f->dir, (size_t)get_long(state, "metrics_bytes"), e);
	state_restore(f, state);
	json_decref(state);
	f->restored_tokens = f->tokens;
	f->saved = step;
	return status;
}

int train_loop_restore(struct train_loop *f, long *step, struct err *e)
{
	long *steps;
	size_t n;
	int status = -1;

	*step = 0;
	if (checkpoint_list(f->dir->path, &steps, &n, e) < 0)
		return -1;
	for (size_t i = n; i-- > 0 && status; ) {
		status = load_one(f, steps[i], e);
		*step = steps[i];
		if (status && i > 0)
			log_warn("%s; going back to the checkpoint before it", e->msg);
	}
	if (n == 0)
		status = run_dir_rewind(f->dir, 0, e);
	if (status == 0 && (f->recipe->tensorboard || !strcmp(f->recipe->report_to, "tensorboard")))
		status = tensorboard_open(&f->events, f->dir->path, f->events.bytes, e);
	mem_free(steps);
	return status;
}

int fit_restores_at(const char *run_dir, long *step, struct err *e)
{
	struct err ignored = ERR_INIT;
	json_t *facts = NULL;
	long *steps;
	size_t n;

	*step = 0;
	if (checkpoint_list(run_dir, &steps, &n, e) < 0)
		return -1;
	for (size_t i = n; i-- > 0 && !facts; ) {
		char *path = checkpoint_path(run_dir, steps[i]);
		facts = checkpoint_facts(path, &ignored);
		*step = facts ? steps[i] : 0;
		mem_free(path);
	}
	json_decref(facts);
	mem_free(steps);
	return 0;
}

static void tell_phase(const struct train_loop *f, const char *name)
{
	if (f->phase)
		f->phase(f->ctx, name);
}

/* --- saving --- */

static long best_to_keep(const struct train_loop *f)
{
	return f->recipe->load_best_model_at_end ? f->best_step : -1;
}

/* Where a spike at a step would take the run back to; −1: nowhere. */
static long rewind_to(const struct train_loop *f, long step)
{
	long every = (long)f->recipe->spike_rewind_steps;

	return f->spike.window ? (step - 1) / every * every : -1;
}

static int save(struct train_loop *f, struct err *e)
{
	long step = trainer_steps_done(f->trainer);
	double begin = clock_seconds();
	char *path = checkpoint_path(f->dir->path, step);
	json_t *state = state_json(f);
	tell_phase(f, "saving");
	stop_heard(); /* what is saved is to be whole */
	int status = trainer_save(f->trainer, path, state, e);

	json_decref(state);
	mem_free(path);
	if (status)
		return err_prefix(e, "the checkpoint of step %ld could not be written (earlier ones stay good)", step);
	if (f->recipe->save_total_limit > 0 &&
	    checkpoint_prune(f->dir->path, (long)f->recipe->save_total_limit, best_to_keep(f),
	                     rewind_to(f, step + 1), e) < 0)
		return -1;
	f->saved = step;
	f->last_save = clock_seconds();
	f->save_seconds = f->last_save - begin;
	return 0;
}

static bool save_is_due(const struct train_loop *f)
{
	long step = trainer_steps_done(f->trainer);
	int64_t every = f->recipe->save_steps;

	if (f->saved == step)
		return false;
	if (rewind_to(f, step + 1) == step && !trainer_done(f->trainer))
		return true;
	if (step == 0)
		return false;
	if (f->recipe->load_best_model_at_end && f->best_step == step)
		return true;
	if (every != OPT_UNSET_INT)
		return every > 0 && step % every == 0;
	return !trainer_done(f->trainer) &&
	       clock_seconds() - f->last_save > MAX(save_pause, f->save_seconds / save_share);
}

/* --- evaluating --- */

static bool is_over(const struct train_loop *f)
{
	int64_t patience = f->recipe->early_stopping_patience;
	return trainer_done(f->trainer) || (patience > 0 && f->bad_evals >= patience) ||
	       (f->last_step > 0 && trainer_steps_done(f->trainer) >= f->last_step);
}

static bool is_wanted(const struct train_loop *f, long step)
{
	for (size_t i = 0; i < f->n_evaluate_at; i++)
		if (f->evaluate_at[i] == step)
			return true;
	return step == f->last_step;
}

static bool eval_is_due(const struct train_loop *f)
{
	long step = trainer_steps_done(f->trainer);
	int64_t every = f->recipe->eval_steps == OPT_UNSET_INT ? trainer_plan(f->trainer)->steps_per_epoch :
	                                                         f->recipe->eval_steps;

	if (!trainer_has_eval(f->trainer) || f->evaluated >= step)
		return false;
	if (step == 0)
		return f->recipe->eval_on_start;
	return trainer_done(f->trainer) || (every > 0 && step % every == 0) || is_wanted(f, step);
}

/* Names of what an objective measures are its own. */
static void put_metrics(json_t *j, const char *prefix, const struct objective_metrics *m, const double *sum, long n)
{
	char name[80];

	for (int i = 0; i < m->n; i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, m->names[i]);
		json_object_set_new(j, name, jsonx_number(sum[i] / (double)n));
	}
}

/* Of a loss in nats a token, where the bytes of the text are known and each token is predicted from those before. */
static void put_bits(json_t *j, const struct train_loop *f, const char *name, double loss, double bytes_per_token)
{
	if (bytes_per_token > 0 && !objective_find(f->recipe->objective)->masked)
		json_object_set_new(j, name, jsonx_number(loss / log(2) / bytes_per_token));
}

static json_t *eval_line(const struct train_loop *f, const struct eval_metrics *m)
{
	json_t *j = json_object();
	json_object_set_new(j, "step", json_integer(trainer_steps_done(f->trainer)));
	json_object_set_new(j, "epoch", json_real(trainer_epochs(f->trainer)));
	json_object_set_new(j, "eval_loss", jsonx_number(m->eval_loss));
	put_bits(j, f, "eval_bits_per_byte", m->eval_loss, trainer_plan(f->trainer)->eval_bytes_per_token);
	if (!isnan(m->perplexity))
		json_object_set_new(j, "eval_perplexity", jsonx_number(m->perplexity));
	if (!isnan(m->acc)) {
		json_object_set_new(j, "eval_acc", json_real(m->acc));
		json_object_set_new(j, "eval_acc_stderr", jsonx_number(m->acc_stderr));
		json_object_set_new(j, "eval_acc_norm", json_real(m->acc_norm));
		json_object_set_new(j, "eval_acc_norm_stderr", jsonx_number(m->acc_norm_stderr));
	}
	put_metrics(j, "eval_", &m->metrics, m->metrics.value, 1);
	json_object_set_new(j, "eval_n", json_integer(m->n));
	json_object_set_new(j, "eval_runtime", json_real(m->seconds));
	return j;
}

static int put_line(struct train_loop *f, const json_t *line, struct err *e)
{
	if (run_dir_metric(f->dir, line, e) < 0 || (f->events.path && tensorboard_line(&f->events, line, e) < 0))
		return -1;
	if (f->line)
		f->line(f->ctx, line);
	return 0;
}

/* What was computed beside the steps since the last look. */
static void count_scored(struct train_loop *f)
{
	struct work w = trainer_scored(f->trainer);

	f->flops += w.flops - f->scored.flops;
	f->int_ops += w.int_ops - f->scored.int_ops;
	f->scored = w;
}

/* The line, and what whoever watches says to it. */
static int tell_evaluation(struct train_loop *f, const struct eval_metrics *m, bool *stopped, struct err *e)
{
	int status = put_line(f, f->last_eval, e);

	if (!status && f->judge)
		*stopped = f->judge(f->ctx, m, f->last_eval) && !is_over(f);
	return status;
}

/* *stopped: the user did not want to wait for it, or who watches does not want it to go on. */
static int evaluate(struct train_loop *f, bool *stopped, struct err *e)
{
	struct eval_metrics m;

	*stopped = false;
	tell_phase(f, "evaluation");
	int status = trainer_eval(f->trainer, &m, f->interrupted, stopped, e);
	count_scored(f);
	if (status < 0)
		return *stopped ? 0 : -1;
	f->evaluated = trainer_steps_done(f->trainer);
	json_decref(f->last_eval);
	f->last_eval = eval_line(f, &m);
	f->eval_seconds = m.seconds;
	if (f->evaluated == 0) /* where it began: neither the best nor a bad one */
		return tell_evaluation(f, &m, stopped, e);
	if (m.eval_loss < f->best_loss) {
		f->best_loss = m.eval_loss;
		f->best_step = f->evaluated;
		f->bad_evals = 0;
		json_decref(f->best_eval);
		f->best_eval = json_incref(f->last_eval);
	} else {
		f->bad_evals++;
	}
	return tell_evaluation(f, &m, stopped, e);
}

/* --- steps --- */

/* "update_ratio/layer_3", and "update_ratio/other" of what is in no layer. */
static void put_ratios(json_t *j, const struct step_metrics *m)
{
	char name[48];

	for (int i = 0; i < m->n_update_ratios; i++) {
		snprintf(name, sizeof(name), i + 1 < m->n_update_ratios ? "update_ratio/layer_%d" :
		                                                          "update_ratio/other", i);
		json_object_set_new(j, name, jsonx_number(m->update_ratio[i]));
	}
}

/* Of pretraining: bits per byte, and what part of this machine's best product the step reached. */
static void put_pretraining(json_t *j, const struct train_loop *f, const struct step_metrics *m)
{
	const struct trainer_plan *p = trainer_plan(f->trainer);
	const struct speeds *s = f->recipe->speeds;

	put_bits(j, f, "bits_per_byte", f->window_loss / (double)f->window_steps, p->bytes_per_token);
	if (p->bytes_per_token > 0 && s && s->flops > 0)
		json_object_set_new(j, "flops_share", jsonx_number(m->flops / m->seconds / s->flops));
	put_ratios(j, m);
}

static json_t *step_line(const struct train_loop *f, const struct step_metrics *m)
{
	json_t *j = json_object();
	json_object_set_new(j, "step", json_integer(m->step));
	json_object_set_new(j, "loss", jsonx_number(f->window_loss / (double)f->window_steps));
	json_object_set_new(j, "grad_norm", jsonx_number(m->grad_norm));
	put_metrics(j, "", &m->metrics, f->window_metric, f->window_steps);
	json_object_set_new(j, "learning_rate", json_real(m->learning_rate));
	json_object_set_new(j, "epoch", json_real(m->epoch));
	put_pretraining(j, f, m);
	json_object_set_new(j, "num_tokens", json_integer(f->tokens));
	json_object_set_new(j, "tokens_per_second", jsonx_number((double)m->tokens / m->seconds));
	if (m->sent > 0 || m->received > 0) {
		json_object_set_new(j, "sent_bytes", json_real(m->sent));
		json_object_set_new(j, "received_bytes", json_real(m->received));
		json_object_set_new(j, "wait_seconds", json_real(m->waited));
	}
	return j;
}

static void count(struct train_loop *f, const struct step_metrics *m)
{
	f->loss = m->loss;
	f->loss_sum += m->loss;
	f->window_loss += m->loss;
	f->window_steps++;
	for (int i = 0; i < m->metrics.n; i++)
		f->window_metric[i] += m->metrics.value[i];
	f->tokens += m->tokens;
	f->computed_tokens += m->computed_tokens;
	f->supervised_tokens += m->supervised_tokens;
	f->flops += m->flops;
	f->int_ops += m->int_ops;
	if (f->first_seconds > 0) {
		f->timed_seconds += m->seconds;
		f->timed_tokens += m->tokens;
		f->timed_computed += m->computed_tokens;
	} else {
		f->first_seconds = m->seconds;
		f->first_tokens = m->tokens;
		f->first_computed = m->computed_tokens;
	}
}

double fit_tokens_per_second(const struct train_loop *f, bool computed)
{
	if (f->timed_seconds > 0)
		return (double)(computed ? f->timed_computed : f->timed_tokens) / f->timed_seconds;
	return f->first_seconds > 0 ? (double)(computed ? f->first_computed : f->first_tokens) / f->first_seconds : NAN;
}

/* Steps at the rate so far; evaluations as the last one took, or as planned; of the planned savings the share of the
 * steps that are left. */
static double seconds_left(const struct train_loop *f)
{
	const struct trainer_plan *p = trainer_plan(f->trainer);
	long done = trainer_steps_done(f->trainer);
	double evals = trainer_evaluations_after(f->trainer, done),
	       all = trainer_evaluations_after(f->trainer, p->first),
	       each = isnan(f->eval_seconds) ? (all > 0 ? p->eval_seconds / all : 0) : f->eval_seconds;

	return (double)(p->tokens + f->restored_tokens - f->tokens) / fit_tokens_per_second(f, false) + evals * each +
	       p->save_seconds * (double)(p->steps - done) / (double)MAX(p->steps - p->first, 1L) +
	       p->forgetting_seconds;
}

/* A text of the model as it is, as a line of its own. */
static int sample(struct train_loop *f, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = trainer_sample(f->trainer, &text, e);

	if (!status) {
		json_t *line = json_pack("{s:I, s:o}", "step", (json_int_t)trainer_steps_done(f->trainer), "sample",
		                         jsonx_text(buf_str(&text), text.len));
		status = put_line(f, line, e);
		json_decref(line);
	}
	buf_release(&text);
	count_scored(f);
	return status;
}

int train_loop_stepped(struct train_loop *f, const struct step_metrics *m, struct err *e)
{
	long steps = trainer_plan(f->trainer)->steps;

	count(f, m);
	f->seen++;
	f->moved += m->grad_norm > 0 && m->learning_rate > 0;
	f->vanished += m->vanishing;
	f->rates += m->learning_rate;
	if (m->step % f->recipe->logging_steps == 0 || m->step == steps) {
		json_t *line = step_line(f, m);
		int status = put_line(f, line, e);
		json_decref(line);
		f->window_loss = 0;
		memset(f->window_metric, 0, sizeof(f->window_metric));
		f->window_steps = 0;
		if (status)
			return -1;
	}
	if (f->recipe->sample_steps > 0 && (m->step % f->recipe->sample_steps == 0 || m->step == steps) &&
	    sample(f, e) < 0)
		return -1;
	if (f->progress)
		f->progress(f->ctx, &(struct train_loop_progress){ m->step, steps, m->loss, m->learning_rate,
		                                                   fit_tokens_per_second(f, false), seconds_left(f) });
	return 0;
}

/* --- spikes --- */

/* The run's state of then; what was computed since stays counted. */
static int go_back(struct train_loop *f, long to, struct err *e)
{
	struct train_loop now = *f;
	char *path = checkpoint_path(f->dir->path, to);
	json_t *state;
	int status = trainer_load(f->trainer, path, &state, e);

	mem_free(path);
	if (status)
		return -1;
	json_decref(f->last_eval);
	json_decref(f->best_eval);
	state_restore(f, state);
	json_decref(state);
	f->events.bytes = now.events.bytes;
	f->tokens = now.tokens;
	f->computed_tokens = now.computed_tokens;
	f->supervised_tokens = now.supervised_tokens;
	f->flops = now.flops;
	f->int_ops = now.int_ops;
	f->spike.rewinds = now.spike.rewinds + 1;
	return 0;
}

static json_t *spike_line(const struct step_metrics *m, double mean, double deviation, long to)
{
	json_t *j = json_object();

	json_object_set_new(j, "step", json_integer(m->step));
	json_object_set_new(j, "spike_loss", jsonx_number(m->loss));
	json_object_set_new(j, "spike_mean", jsonx_number(mean));
	json_object_set_new(j, "spike_deviation", jsonx_number(deviation));
	json_object_set_new(j, "rewound_to", json_integer(to));
	json_object_set_new(j, "skipped_steps", json_integer(m->step - to));
	return j;
}

/* Back to the last step of --spike-rewind-steps, and past the rows since. That is kept before another step is made,
 * after what is later has gone: whoever ends the process meanwhile has the spike again. */
static int rewind_spike(struct train_loop *f, const struct step_metrics *m, struct err *e)
{
	double deviation = NAN, mean = spike_mean(&f->spike, &deviation);
	long to = rewind_to(f, m->step);

	if (f->spike.rewinds == SPIKE_REWINDS)
		return err_set(e, "step %ld: the loss is %f, and %d spikes have been passed: a lower --learning-rate "
		                  "or more warm-up may help", m->step, m->loss, SPIKE_REWINDS);
	log_warn("step %ld: the loss is %.4f after a mean of %.4f: back to step %ld, the rows of %ld steps are left "
	         "out%s", m->step, m->loss, mean, to, m->step - to, f->spike.rewinds + 1 < SPIKE_REWINDS ? "" :
	         "; it has been so many times: high losses are learnt from as any others now");
	if (go_back(f, to, e) < 0)
		return err_prefix(e, "the loss of step %ld is a spike, and the run cannot go back", m->step);
	trainer_skip(f->trainer, m->step - to);
	json_t *line = spike_line(m, mean, deviation, to);
	int status = put_line(f, line, e);
	json_decref(line);
	return status < 0 || checkpoint_drop_after(f->dir->path, to, e) < 0 ? -1 : save(f, e);
}

static int step(struct train_loop *f, struct err *e)
{
	struct step_metrics m = { 0 };

	tell_phase(f, "steps");
	int status = trainer_step(f->trainer, &m, e);
	bool infinite = status < 0 && !stop_ended(e) && (!isfinite(m.loss) || !isfinite(m.grad_norm));
	bool high = !status && f->spike.rewinds < SPIKE_REWINDS && f->spike.window &&
	            spike_is(&f->spike, f->recipe->spike_threshold, m.loss);
	if (f->spike.window && (infinite || high)) {
		count(f, &m);
		return rewind_spike(f, &m, e);
	}
	if (status < 0)
		return -1;
	if (f->spike.window)
		spike_add(&f->spike, m.loss);
	return train_loop_stepped(f, &m, e);
}

static void put_retained(json_t *j, const struct retain_metrics *r)
{
	const char *what = r->choices ? "acc" : "perplexity", *change = r->choices ? "change" : "ratio";
	const struct { const char *form; double value; } put[] = {
		{ "retain_%s_before", r->before }, { "retain_%s", r->after }, { "retain_%s_%s", r->change },
		{ "retain_%s_%s_stderr", r->change_stderr }, { "retain_%s_%s_low", r->low },
		{ "retain_%s_%s_high", r->high },
	};
	char name[80];

	if (!r->n)
		return;
	for (size_t i = 0; i < ARRAY_LEN(put); i++) {
		snprintf(name, sizeof(name), put[i].form, what, change);
		json_object_set_new(j, name, jsonx_number(put[i].value));
	}
	json_object_set_new(j, "retain_n", json_integer((json_int_t)r->n));
}

static void put_safety(json_t *j, const char *name, const struct safety_change *c)
{
	const struct { const char *form; double value; } put[] = {
		{ "%s_before", c->before }, { "%s_after", c->after }, { "%s_change", c->change },
		{ "%s_change_low", c->low }, { "%s_change_high", c->high },
	};
	char key[80];

	for (size_t i = 0; i < ARRAY_LEN(put); i++) {
		snprintf(key, sizeof(key), put[i].form, name);
		json_object_set_new(j, key, jsonx_number(put[i].value));
	}
}

static json_t *forgetting_json(const struct forgetting_metrics *m)
{
	json_t *j = json_object();

	json_object_set_new(j, "forgetting_kl", jsonx_number(m->kl));
	json_object_set_new(j, "forgetting_kl_stderr", jsonx_number(m->kl_stderr));
	json_object_set_new(j, "forgetting_kl_low", jsonx_number(m->low));
	json_object_set_new(j, "forgetting_kl_high", jsonx_number(m->high));
	json_object_set_new(j, "forgetting_tokens", json_integer(m->tokens));
	put_retained(j, &m->retained);
	if (m->safety.n) {
		put_safety(j, "safety_refusal", &m->safety.refusal);
		put_safety(j, "safety_over_refusal", &m->safety.over_refusal);
		json_object_set_new(j, "safety_pairs", json_integer((json_int_t)m->safety.n));
	}
	return j;
}

/* After the result. Who does not want to wait for it may go on with it later: the steps are kept, unless the weights
 * are the best state's or an average by now. */
int train_loop_forget(struct train_loop *f, enum train_loop_end *end, struct err *e)
{
	long step = trainer_steps_done(f->trainer);
	struct forgetting_metrics m;
	bool stopped = false;

	if (!trainer_has_forgetting(f->trainer))
		return 0;
	tell_phase(f, "forgetting");
	int status = trainer_forgetting(f->trainer, &m, f->interrupted, &stopped, e);
	count_scored(f);
	if (!status)
		f->forgetting = forgetting_json(&m);
	if (!stopped)
		return status;
	*end = FIT_STOPPED;
	return f->saved == step || f->loaded_best || trainer_shown(f->trainer) ? 0 : save(f, e);
}

/* The most that a group of the parameters learns at, as a multiple of the run's rate. */
static double highest_rate(const struct train_loop *f)
{
	const struct params *p = trainer_params(f->trainer);
	double most = 0;

	for (int i = 0; i <= p->n_groups; i++) {
		struct param_group g = params_group(p, i);
		most = fmax(most, g.peak > 0 ? g.peak / f->recipe->learning_rate : g.rate);
	}
	return most;
}

/* A run that has taught nothing, where that can be seen of its steps. */
static void tell_untaught(const struct train_loop *f)
{
	const struct recipe *r = f->recipe;
	double farthest = f->rates * highest_rate(f);
	const char *optim = optimizer_find(r->optim)->name;

	if (!f->moved)
		log_warn("nothing was learnt: in each of %ld steps the gradient or the learning rate was 0", f->seen);
	else if (f->vanished == f->seen && r->max_grad_norm > 0 && r->max_grad_norm < 1e-3)
		log_warn("nothing was learnt: cut to --max-grad-norm %g the gradient of each of %ld steps was too "
		         "short for %s", r->max_grad_norm, f->seen, optim);
	else if (f->vanished == f->seen)
		log_warn("nothing was learnt: the gradient of each of %ld steps was too short for %s, and for its "
		         "epsilon", f->seen, optim);
	else if (f->seen == trainer_steps_done(f->trainer) && farthest < 1e-9)
		log_warn("nothing was learnt: the learning rates of all %ld steps are %.2g together, and no number "
		         "that is trained moves farther", f->seen, farthest);
}

int train_loop_result(struct train_loop *f, struct err *e)
{
	tell_phase(f, "saving");
	stop_heard();
	if (f->seen && f->recipe->learning_rate > 0)
		tell_untaught(f);
	if (f->recipe->load_best_model_at_end && f->best_step >= 0 && f->best_step != trainer_steps_done(f->trainer)) {
		char *path = checkpoint_path(f->dir->path, f->best_step);
		int status = trainer_load_weights(f->trainer, path, e);
		mem_free(path);
		if (status)
			return -1;
		f->loaded_best = true;
		log_say("the result is the state of step %ld, whose eval_loss %.4f is the lowest", f->best_step,
		        f->best_loss);
	}
	return trainer_result(f->trainer, f->dir->path, e);
}

int train_loop_next(struct train_loop *f, bool stop, enum train_loop_next *next, struct err *e)
{
	bool begins = trainer_steps_done(f->trainer) == 0 && !f->begun;

	count_scored(f);
	*next = LOOP_STEP;
	f->begun = true;
	if (begins && f->recipe->sample_steps > 0 && sample(f, e) < 0)
		return -1;
	if (!stop && eval_is_due(f) && evaluate(f, &stop, e) < 0)
		return -1;
	if (save_is_due(f) && save(f, e) < 0)
		return -1;
	if (!stop && is_over(f)) {
		*next = LOOP_OVER;
	} else if (stop || (f->interrupted && f->interrupted())) {
		*next = LOOP_STOPPED;
		return trainer_steps_done(f->trainer) == 0 || f->saved == trainer_steps_done(f->trainer) ? 0 :
		                                                                                           save(f, e);
	}
	return 0;
}

int train_loop_run(struct train_loop *f, enum train_loop_end *end, struct err *e)
{
	enum train_loop_next next;

	for (bool stop = false;;) {
		if (train_loop_next(f, stop, &next, e) < 0)
			return -1;
		if (next == LOOP_OVER)
			break;
		*end = FIT_STOPPED;
		if (next == LOOP_STOPPED)
			return 0;
		if (step(f, e) < 0 && !(stop = stop_ended(e)))
			return -1;
	}
	if (f->save_last && trainer_steps_done(f->trainer) > 0 && f->saved != trainer_steps_done(f->trainer) &&
	    save(f, e) < 0)
		return -1;
	*end = FIT_DONE;
	return train_loop_result(f, e) < 0 ? -1 : train_loop_forget(f, end, e);
}
