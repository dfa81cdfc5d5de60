/* trainer_time: how long the job will take, by running a little of it on this machine, now.
 *
 *     seconds = open + start + steps · (forward, backward, gradients' sum, update) + evaluations · evaluation +
 * checkpoints + result
 *
 * of the steps that remain, where a checkpoint has the others; start is then with reading it. open is what opening took
 * just now, which the run will do again. A pass forward and backward is timed on one micro-batch of this very data by
 * its kinds of nodes (op/timing.h), the evaluation on a micro-batch of its own (infer/scorer.h), memory by touching
 * some, which on virtual machines varies most (train/memory_bandwidth.h). How fast the disk takes a checkpoint is not
 * tried, because a plan writes nothing: a figure stands for it. How far such forecasts were off before is known to
 * gas/forecast.h, not here. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "infer/typical.h"
#include "train/memory_bandwidth.h"
#include "train/trainer_parts.h"
#include "model/resident.h"

/* bytes/s onto a disk, synced, and of each file's making */
static const double write_rate = 500e6, write_seconds = 0.02;
/* bytes/s of a checkpoint that is read, hashed and copied; from the page cache */
static const double read_rate = 1e9;
static const double save_pause = 30;          /* seconds between automatic checkpoints: train/train_loop.c */
static const double double_rate = 1e9;        /* operations/s of a thread, in doubles, while an adapter begins */
enum { STEPS_LOOKED_AT = 4 };

/* Documents as an objective may make them, as many as fill a micro-batch: the longest there may be, no two alike. */
struct made { struct document *docs; const struct document **list; int32_t *ids; uint8_t *learn; size_t n; };

static void made_init(struct made *made, const struct trainer *t)
{
	const struct objective_maxima *m = &t->maxima;
	size_t n = (size_t)t->global * (size_t)m->documents, 
	       fit = (size_t)((t->forest.max_tokens - t->forest.virtual_tokens) / m->tokens);
	size_t length = (size_t)m->tokens, V = (size_t)t->model->config.V;

	made->n = MIN(n, MAX(fit / (size_t)m->documents, (size_t)1) * (size_t)m->documents);
	made->docs = mem_array(made->n, sizeof(*made->docs));
	made->list = mem_array(made->n, sizeof(*made->list));
	made->ids = mem_array(made->n * length, sizeof(*made->ids));
	made->learn = mem_array(made->n * length, 1);
	for (size_t i = 0; i < made->n; i++) {
		struct document *d = &made->docs[i];
		*d = (struct document){ .ids = made->ids + i * length, .learn = made->learn + i * length,
			                .n = m->tokens, .n_learn = m->labels, .choice = -1, .adapter = -1,
			                .joined = i % (size_t)m->documents != 0 };
		for (size_t k = 0; k < length; k++)
			d->ids[k] = (int32_t)((i + k * k) % V);
		memset(d->learn + length - (size_t)m->labels, 1, (size_t)m->labels);
		made->list[i] = d;
	}
}

static void made_release(struct made *made)
{
	mem_free(made->docs);
	mem_free(made->list);
	mem_free(made->ids);
	mem_free(made->learn);
}

static void look(struct trainer *t, struct typical *typical, size_t most)
{
	const struct document **docs = mem_array(most, sizeof(*docs));
	/* of windows one step at a time is there, and each is as any other; of growing batches the last is largest */
	long from = t->ramp.samples ? MAX(t->totals.first, t->totals.steps - 1) : t->totals.first,
	     end = MIN(t->totals.steps, from + (trainer_is_windows(t) ? 1 : STEPS_LOOKED_AT));

	for (long step = from; step < end; step++)
		typical_look(typical, docs, order_step(t, step, NULL, docs), &t->forest);
	mem_free(docs);
}

static int time_pass(struct trainer *t, const struct live *mean, struct timing *out, struct err *e)
{
	size_t most = trainer_global_batch(t);
	struct made made = { 0 };
	struct typical typical;

	typical_init(&typical, most, mean->rows);
	if (t->maxima.documents) {
		made_init(&made, t);
		typical_look(&typical, made.list, made.n, &t->forest);
	} else {
		look(t, &typical, most);
	}
	int status = typical_time(&typical, &t->net, &t->forest, mean, 0, out, e);
	typical_release(&typical);
	made_release(&made);
	return status;
}

/* --- the parts --- */

static double remaining(const struct trainer *t) { return (double)(t->totals.steps - t->totals.first); }

/* Of what the steps do beside their passes; each sum of two gradients moves three buffers. */
static int update_seconds(const struct trainer *t, double copy_rate, double *seconds, struct err *e)
{
	double steps = remaining(t), sums = (double)t->totals.micro_batches - steps, step, qat;

	if (optim_seconds(&t->optim, copy_rate, &step, e) < 0 || qat_seconds(t, &qat, e) < 0)
		return -1;
	*seconds = steps * (step + qat + penalty_cost(t).bytes / copy_rate) +
	           3.0 * sums * (double)t->params->n * sizeof(float) / copy_rate;
	return 0;
}

/* Full tuning takes every weight to f32 first; one thread does it. */
static double copy_seconds(const struct trainer *t)
{
	const struct weight *w = &t->model->weights[0];
	const struct dtype_info *d = &dtypes[w->dtype];
	size_t n = MIN(w->bytes / d->bytes * d->block, (size_t)1 << 20);
	double begin;

	if (t->has_adapter || t->model->init) /* those of a model from nothing are drawn about as fast */
		return 0;
	float *to = mem_array(n, sizeof(*to));
	for (int i = 0; i < 2; i++) { /* the first brings the pages in */
		begin = clock_seconds();
		d->to_float(w->data, to, n);
	}
	double seconds = (clock_seconds() - begin) * (double)params_count(t->params) / (double)n;
	mem_free(to);
	return seconds;
}

static double start_seconds(const struct trainer *t, double bytes, double seconds)
{
	const struct trainer_plan *p = &t->totals;
	double restore = p->first ? (double)p->checkpoint_bytes / read_rate : 0;
	double taken = memory_touch_seconds((double)(p->state_bytes + p->arena_bytes + p->scratch_bytes), bytes,
	                                     seconds, NULL);
	double begin = t->has_adapter ? t->adapter.start.flops / double_rate / pool_threads(t->pool) : 0;
	return taken + begin + (double)p->weights_bytes / TIMING_PAGE_RATE + copy_seconds(t) + restore;
}

/* How many multiples of `every` the steps after `step` reach. */
static double multiples(const struct trainer *t, int64_t every, long step)
{
	return floor((double)t->totals.steps / (double)every) - floor((double)step / (double)every);
}

double trainer_evaluations_after(const struct trainer *t, long step)
{
	const struct trainer_plan *p = &t->totals;
	int64_t every = t->recipe.eval_steps == OPT_UNSET_INT ? p->steps_per_epoch : t->recipe.eval_steps;

	if (!t->has_eval || step >= p->steps)
		return 0;
	return (every > 0 ? multiples(t, every, step) + (p->steps % every != 0) : 1) +
	       (step == 0 && t->recipe.eval_on_start);
}

static int time_evaluation(struct trainer *t, struct err *e)
{
	struct scorer_forecast f;

	if (!t->has_eval)
		return 0;
	if (t->objective.row->evaluate) {
		t->totals.eval_seconds = trainer_evaluations_after(t, t->totals.first) * t->making.eval_seconds;
		return 0;
	}
	if (scorer_forecast(t->scorer, t->eval.pointer, t->eval.documents.n, false, &f, e) < 0)
		return -1;
	bool referred = t->objective.row->reference;
	double reference = referred && !t->synced.o; /* once more, at the start; of one that follows each time */
	double times = trainer_evaluations_after(t, t->totals.first) * (referred && t->synced.o ? 2 : 1);
	t->totals.eval_seconds = times * f.seconds;
	t->totals.start_seconds += reference * f.seconds;
	t->totals.planned_flops += (times + reference) * f.flops;
	t->totals.planned_int_ops += (times + reference) * f.int_ops;
	return 0;
}

static double saves(const struct trainer *t, double seconds)
{
	const struct recipe *r = &t->recipe;
	if (r->save_steps == 0)
		return 0;
	if (r->save_steps > 0)
		return multiples(t, r->save_steps, t->totals.first);
	return floor(seconds / save_pause);
}

static double writing_seconds(const struct trainer *t, double seconds)
{
	const struct trainer_plan *p = &t->totals;
	double result = (double)(t->has_adapter ? p->trainable : p->parameters) * sizeof(float);
	double each = (double)p->checkpoint_bytes / write_rate + 2 * write_seconds;
	double backs = t->recipe.spike_threshold > 0 ? multiples(t, t->recipe.spike_rewind_steps, p->first) + 1 : 0;
	return (saves(t, seconds) + backs) * each + result / write_rate + write_seconds;
}

int trainer_measure_time(struct trainer *t, struct err *e)
{
	struct trainer_plan *p = &t->totals;
	struct live mean = dry_run_mean(&t->dry);
	struct timing pass = { 0 };
	struct machine_memory memory;
	double update, kl;

	if ((remaining(t) > 0 && time_pass(t, &mean, &pass, e) < 0) || time_evaluation(t, e) < 0 ||
	    memory_measure(&memory, t->kernels, t->pool, p->arena_bytes, e) < 0 ||
	    update_seconds(t, memory.copy_rate, &update, e) < 0)
		return -1;
	if (kl_seconds(t, &kl, e) < 0)
		return -1;
	p->step_seconds = (double)p->micro_batches * pass.seconds + kl + t->looking.seconds + t->synced_seconds +
	                  update + remaining(t) * t->making.step_seconds;
	if (t->fisher_rows > 0) /* each as long as its rows, of a micro-batch's */
		p->start_seconds += pass.seconds * t->fisher_rows / MAX(mean.rows, 1.0);
	p->start_seconds +=
		start_seconds(t, pass.touched_bytes + memory.touched_bytes, pass.touch_seconds + memory.touch_seconds);
	p->save_seconds = writing_seconds(t, p->step_seconds + p->eval_seconds);
	model_forget(t->model);
	p->open_seconds = clock_seconds() - t->opened;
	p->planned_seconds = p->open_seconds + p->start_seconds + p->step_seconds + p->eval_seconds + p->save_seconds +
	                     p->forgetting_seconds;
	return 0;
}
