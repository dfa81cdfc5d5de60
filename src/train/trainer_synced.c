/* trainer_synced: the reference of --sync-ref-model (train/synced.h) beside the steps.
 *
 * What it says cannot be made once before the run: of each step's documents it is asked before the step, in the step's
 * own micro-batches and training's arithmetic, so a log-ratio is exactly 0 until a weight has moved; of the
 * evaluation's before each evaluation, by the evaluation's own scorer. Objectives that draw answers ask it of them by
 * themselves. Its scorer's memory is taken when planning and counted with the evaluation's, its numbers with the
 * state. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "train/trainer_parts.h"

static void changed(void *ctx)
{
	struct trainer *t = ctx;

	if (t->has_adapter)
		adapter_follow(&t->adapter, t->model, t->kernels, t->pool);
}

int trainer_open_synced(struct trainer *t, struct err *e)
{
	const struct objective *row = t->objective.row;
	const struct synced_options *o = row->synced ? row->synced(t->objective.options) : NULL;
	struct synced *s = &t->synced;

	if (!o || !o->sync)
		return 0;
	if (strcmp(t->recipe.reference, "start") != 0)
		return err_set(e, "--sync-ref-model begins with the run's own start: --reference %s stays what it is",
		               t->recipe.reference);
	if (t->recipe.qat)
		return err_set(e, "--sync-ref-model mixes numbers as they are trained, --qat computes with others");
	*s = (struct synced){ .o = o, .w = t->params->w, .n = t->params->n, .pool = t->pool, .changed = changed,
		              .ctx = t };
	t->objective.synced = s;
	if (synced_every(s) > t->schedule.steps)
		log_warn("the reference is synced after every %ld steps, and the run has %ld: it stays where it begins "
		         "(--ref-model-sync-steps)", synced_every(s), t->schedule.steps);
	return 0;
}

/* Of an epoch, which the others are like. */
static int forecast(struct trainer *t, struct err *e)
{
	long steps = MIN(order_steps_per_epoch(t), t->schedule.steps);
	const struct document **docs = mem_array((size_t)steps * trainer_global_batch(t), sizeof(*docs));
	struct scorer_forecast f;
	size_t n = 0;

	for (long step = 0; step < steps; step++)
		n += order_step(t, step, NULL, docs + n);
	int status = scorer_forecast(t->reference, docs, n, false, &f, e);
	double times = (double)(t->schedule.steps - t->totals.first) / (double)steps;
	mem_free(docs);
	if (status)
		return -1;
	t->synced_seconds = times * f.seconds;
	t->totals.planned_flops += times * f.flops;
	t->totals.planned_int_ops += times * f.int_ops;
	return 0;
}

int trainer_plan_synced(struct trainer *t, struct err *e)
{
	size_t before = mem_rss();

	if (scorer_prepare(t->reference, NULL, 0, false, e) < 0)
		return -1;
	t->totals.eval_bytes += mem_rss() - MIN(before, mem_rss());
	return forecast(t, e);
}

static int score(struct trainer *t, struct scorer *s, struct dataset *d, const struct document *const *docs, size_t n,
                 struct err *e)
{
	double *sums = mem_array(n, sizeof(*sums));

	t->keeping = d;
	int status = scorer_run(s, docs, n, false, sums, NULL, NULL, NULL, e);
	mem_free(sums);
	return status;
}

int synced_refer(struct trainer *t, struct err *e)
{
	double flops, int_ops;
	int status;

	if (!t->synced.o || !t->objective.row->reference)
		return 0;
	flops = scorer_flops(t->reference);
	int_ops = scorer_int_ops(t->reference);
	synced_swap(&t->synced);
	status = score(t, t->reference, &t->train, t->taken, t->now.documents, e) < 0 ? -1 :
	         look_reference(t, t->taken, t->now.documents, e);
	synced_swap(&t->synced);
	t->keeping = NULL;
	t->now.work.flops += scorer_flops(t->reference) - flops;
	t->now.work.int_ops += scorer_int_ops(t->reference) - int_ops;
	return status ? err_prefix(e, "the reference") : 0;
}

int synced_refer_eval(struct trainer *t, struct err *e)
{
	int status;

	if (!t->synced.o || !t->objective.row->reference)
		return 0;
	synced_swap(&t->synced);
	status = score(t, t->scorer, &t->eval, t->eval.pointer, t->eval.documents.n, e) < 0 ? -1 :
	         look_eval_reference(t, e);
	synced_swap(&t->synced);
	t->keeping = NULL;
	return status ? err_prefix(e, "the reference") : 0;
}
