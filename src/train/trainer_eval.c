/* trainer_eval: how well the weights of this moment do on --eval-data, by the forward-only tape: the objective's loss
 * and what it measures, over all groups, or its own evaluation of the documents' log-probabilities. The scorer is made
 * when planning, so its memory is part of the plan. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "train/trainer_parts.h"

/* Which of what an objective measures says whether a row was right; −1: none. */
static int hit_metric(const struct objective *row)
{
	for (int i = 0; row->metrics && row->metrics[i]; i++)
		if (strstr(row->metrics[i], "accurac"))
			return i;
	return -1;
}

static void set_weight(struct batch *b, int32_t group, float weight)
{
	b->group_weight[group] = weight;
	for (int32_t i = 0; i < b->n_labels; i++)
		if (b->doc_group[b->label_doc[i]] == group)
			b->label_weight[i] = weight;
}

/* The loss of each group by itself: all the others weigh nothing then. */
static void score_groups(struct trainer *t, struct batch *b, const struct document *const *docs, const float *x)
{
	const struct objective *row = t->objective.row;
	int hit = hit_metric(row);

	for (int32_t g = 0; g < b->n_groups; g++)
		set_weight(b, g, 0);
	for (int32_t g = 0; g < b->n_groups; g++) {
		struct objective_sums s = { 0 };
		size_t place = (size_t)(docs[b->group_doc[g]] - t->eval.documents.items);
		set_weight(b, g, 1);
		row->loss(&t->objective, b, x, NULL, &s);
		set_weight(b, g, 0);
		t->eval_rows[t->eval_row[place]] = (struct eval_row){ s.loss, s.weight, hit < 0 ? NAN :
			s.metric[hit] / s.metric_weight[hit] };
	}
}

static void scored(void *ctx, struct batch *b, const struct document *const *docs, const float *logprob)
{
	struct trainer *t = ctx;
	const struct objective *row = t->objective.row;

	if (t->keeping) {
		trainer_keep_reference(t, t->keeping, b, docs, logprob);
	} else if (!look_sees(t, b, docs, logprob) && !row->eval) {
		trainer_fill(t, &t->eval, b, docs);
		row->loss(&t->objective, b, logprob, NULL, &t->sums);
		score_groups(t, b, docs, logprob);
	}
}

static uint32_t forward(void *ctx, struct graph *g, uint32_t hidden)
{
	struct trainer *t = ctx;

	return t->objective.row->forward(&t->objective, g, hidden);
}

/* The number of the group that begins with a document. */
static void number_groups(struct trainer *t)
{
	t->eval_row = mem_array(t->eval.documents.n, sizeof(*t->eval_row));
	for (size_t g = 0; g < t->eval.n_groups; g++)
		t->eval_row[t->eval.group[g]] = g;
}

/* What is hidden in the rows of the evaluation, once. */
static int hide(struct trainer *t, struct err *e)
{
	struct documents *d = &t->eval.documents;
	const struct document **made = mem_array(d->n, sizeof(*made));
	size_t n;
	int status = t->objective.row->documents(&t->objective, -1, t->eval.pointer, d->n, made, &n, e);

	for (size_t i = 0; !status && i < d->n; i++) {
		struct document *to = &d->items[i];
		size_t tokens = (size_t)to->n;
		int32_t *predicted = arena_array(&d->mem, tokens, sizeof(*predicted));
		memcpy(predicted, made[i]->predicted, tokens * sizeof(*predicted));
		memcpy(to->ids, made[i]->ids, tokens * sizeof(*to->ids));
		memcpy(to->learn, made[i]->learn, tokens);
		to->predicted = predicted;
		d->learnt -= (size_t)(to->n_learn - made[i]->n_learn);
		to->n_learn = made[i]->n_learn;
	}
	mem_free(made);
	return status;
}

int trainer_make_scorer(struct trainer *t, struct err *e)
{
	struct scorer_options o = { .max_tokens = (int32_t)t->recipe.micro_batch_tokens, .max_length = t->max_length,
		                    .columns = t->objective.row->columns, .scored = scored, .ctx = t,
		                    .memory = t->memory };
	size_t before = mem_rss();

	t->eval_rows = mem_array(t->eval.documents.n, sizeof(*t->eval_rows));
	if (t->objective.row->evaluate)
		return 0;
	if (t->objective.row->masked && hide(t, e) < 0)
		return -1;
	o.own_tokens = t->objective.row->masked != NULL;
	o.record = t->objective.row->forward ? forward : NULL;

	if (scorer_new(&t->scorer, t->model, t->overlay, t->device, &o, e) < 0 ||
	    scorer_prepare(t->scorer, t->eval.pointer, t->eval.documents.n, false, e) < 0)
		return -1;
	t->eval_sums = mem_array(t->eval.documents.n, sizeof(*t->eval_sums));
	number_groups(t);
	trainer_reserve_documents(t, scorer_cap(t->scorer)->docs);
	t->totals.eval_bytes = mem_rss() - MIN(before, mem_rss());
	return 0;
}

int trainer_plan_making(struct trainer *t, struct err *e)
{
	struct objective_plan *p = &t->making;
	size_t before = mem_rss();
	double steps = (double)(t->totals.steps - t->totals.first),
	       evals = t->has_eval ? trainer_evaluations_after(t, t->totals.first) : 0;

	if (!t->objective.row->plan)
		return 0;
	t->objective.cap = &t->dry.cap;
	t->objective.live = t->dry.live;
	t->objective.micro_batches = (double)t->dry.micro_batches;
	t->objective.steps = steps;
	if (t->objective.row->plan(&t->objective, p, e) < 0)
		return -1;
	t->making_resident = mem_rss() - MIN(before, mem_rss());
	t->totals.made_bytes = MAX(p->bytes, t->making_resident);
	t->totals.planned_flops += steps * p->step.flops + evals * p->eval.flops;
	t->totals.planned_int_ops += steps * p->step.int_ops + evals * p->eval.int_ops;
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

/* By the objective itself. */
static int evaluate(struct trainer *t, struct eval_metrics *m, bool *stopped, struct err *e)
{
	struct objective_run *o = &t->objective;
	double begin = clock_seconds();

	*m = (struct eval_metrics){ .n = (int64_t)t->eval.n_groups, .rows = t->eval_rows };
	m->perplexity = m->acc = m->acc_norm = m->acc_stderr = m->acc_norm_stderr = NAN;
	o->computed = &t->evaluated;
	int status = o->row->evaluate(o, t->eval.pointer, t->eval.documents.n, m, e);
	*stopped = status < 0 && stop_asked();
	m->seconds = clock_seconds() - begin;
	return status;
}

static int eval_shown(struct trainer *t, struct eval_metrics *m, bool (*interrupted)(void), bool *stopped,
                      struct err *e)
{
	const struct dataset *d = &t->eval;
	struct watch watch = { .interrupted = interrupted };
	double begin = clock_seconds();

	if (t->objective.row->evaluate)
		return evaluate(t, m, stopped, e);
	if (synced_refer_eval(t, e) < 0 || look_whole(t, true, e) < 0) {
		*stopped = stop_asked();
		return -1;
	}
	t->sums = (struct objective_sums){ 0 };
	if (scorer_run(t->scorer, d->pointer, d->documents.n, false, t->eval_sums, NULL, watch_progress, &watch, e) <
	    0) {
		*stopped = watch.stopped || stop_asked();
		return -1;
	}
	*m = (struct eval_metrics){ .n = (int64_t)d->n_groups, .tokens = (int64_t)d->documents.learnt,
		                    .rows = t->eval_rows };
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

int trainer_eval(struct trainer *t, struct eval_metrics *m, bool (*interrupted)(void), bool *stopped, struct err *e)
{
	if (!t->has_eval)
		BUG("an evaluation without rows");
	bool shown;
	int status = trainer_show(t, &shown, e);

	if (!status)
		status = eval_shown(t, m, interrupted, stopped, e);
	trainer_hide(t, shown);
	return status;
}

struct work trainer_scored(const struct trainer *t)
{
	const struct work all[] = { t->sampled, t->reference_work, t->forgetting.work, t->safety.work, t->fed,
		                    t->evaluated };
	struct work w = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		w.flops += all[i].flops;
		w.int_ops += all[i].int_ops;
	}
	const struct scorer *both[] = { t->scorer, t->looking.scorer };

	for (int i = 0; i < 2; i++)
		if (both[i]) {
			w.flops += scorer_flops(both[i]);
			w.int_ops += scorer_int_ops(both[i]);
		}
	return w;
}

bool trainer_has_eval(const struct trainer *t)
{
	return t->has_eval;
}
