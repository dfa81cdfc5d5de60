/* trainer_eval: how well the weights of this moment do on --eval-data, by the forward-only tape: the objective's loss
 * and what it measures, over all groups, or its own evaluation of the documents' log-probabilities. The scorer is made
 * when planning, so its memory is part of the plan. */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "train/trainer_parts.h"

static void scored(void *ctx, struct batch *b, const struct document *const *docs, const float *logprob)
{
	struct trainer *t = ctx;
	const struct objective *row = t->objective.row;

	if (t->keeping) {
		trainer_keep_reference(t, &t->eval, b, docs, logprob);
	} else if (!row->eval) {
		trainer_fill(t, &t->eval, b, docs);
		row->loss(&t->objective, b, logprob, NULL, &t->sums);
	}
}

static uint32_t forward(void *ctx, struct graph *g, uint32_t hidden)
{
	struct trainer *t = ctx;

	return t->objective.row->forward(&t->objective, g, hidden);
}

int trainer_make_scorer(struct trainer *t, struct err *e)
{
	struct scorer_options o = { .max_tokens = (int32_t)t->recipe.micro_batch_tokens, .max_length = t->max_length,
		                    .columns = t->objective.row->columns, .scored = scored, .ctx = t };
	size_t before = mem_rss();

	o.record = t->objective.row->forward ? forward : NULL;

	if (scorer_new(&t->scorer, t->model, t->overlay, t->device, &o, e) < 0 ||
	    scorer_prepare(t->scorer, t->eval.pointer, t->eval.documents.n, false, e) < 0)
		return -1;
	t->eval_sums = mem_array(t->eval.documents.n, sizeof(*t->eval_sums));
	trainer_reserve_documents(t, scorer_cap(t->scorer)->docs);
	t->totals.eval_bytes = mem_rss() - MIN(before, mem_rss());
	return 0;
}

struct watch { bool (*interrupted)(void); bool stopped; };

static int watch_progress(void *ctx, size_t done, size_t total)
{
	struct watch *w = ctx;
	(void)done;
	(void)total;
	w->stopped |= w->interrupted && w->interrupted();
	return w->stopped ? -1 : 0;
}

int trainer_eval(struct trainer *t, struct eval_metrics *m, bool (*interrupted)(void), bool *stopped, struct err *e)
{
	const struct dataset *d = &t->eval;
	struct watch watch = { .interrupted = interrupted };
	double begin = clock_seconds();

	if (!t->has_eval)
		BUG("an evaluation without rows");
	t->sums = (struct objective_sums){ 0 };
	if (scorer_run(t->scorer, d->pointer, d->documents.n, false, t->eval_sums, NULL, watch_progress, &watch, e) <
	    0) {
		*stopped = watch.stopped || stop_asked();
		return -1;
	}
	*m = (struct eval_metrics){ .n = (int64_t)d->n_groups, .tokens = (int64_t)d->documents.learnt };
	m->perplexity = m->acc = m->acc_norm = m->acc_stderr = m->acc_norm_stderr = NAN;
	if (t->objective.row->eval) {
		t->objective.row->eval(&t->objective, &d->documents, t->eval_sums, m);
	} else {
		m->eval_loss = t->sums.loss / t->sums.weight;
		m->metrics = objective_mean(t->objective.row, &t->sums);
	}
	m->seconds = clock_seconds() - begin;
	return 0;
}

struct work trainer_scored(const struct trainer *t)
{
	struct work w = { t->reference_work.flops + t->forgetting.work.flops,
		          t->reference_work.int_ops + t->forgetting.work.int_ops };

	if (t->scorer) {
		w.flops += scorer_flops(t->scorer);
		w.int_ops += scorer_int_ops(t->scorer);
	}
	return w;
}

bool trainer_has_eval(const struct trainer *t)
{
	return t->has_eval;
}
