/* trainer_reference: what the model said at the start, of each token that is learnt; and the columns of a micro-batch.
 *
 * An objective that compares with a reference (the log-ratio of DPO, the KL of others) means the model as the run
 * begins, with the adapter that it goes on with or lies over; or, by --reference, the model without what is trained,
 * another model of the same tokens, or another adapter. Its log-probabilities are made once, before
 * the first step, token by token, and kept (4 bytes a learnt token). They are made in the micro-batches of the first
 * epoch, in the arithmetic of training, so there a log-ratio is exactly 0 until a weight has changed; in later epochs
 * other documents stand beside, and it would be rounding. A run that goes on makes them again from the same weights:
 * the same bits, no state. Those of the evaluation are made by the evaluation's own scorer.
 *
 * Documents that an objective makes while it trains have no reference here, nor is it made before the run where it
 * follows what is trained (trainer_synced.c). */
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "model/resident.h"
#include "train/trainer_parts.h"

void trainer_reserve_documents(struct trainer *t, int32_t docs)
{
	mem_free(t->objective.scratch);
	mem_free(t->label_at);
	t->most_docs = MAX(t->most_docs, docs);
	t->objective.scratch = mem_array(OBJECTIVE_SCRATCH * (size_t)t->most_docs, sizeof(*t->objective.scratch));
	t->label_at = mem_array((size_t)t->most_docs, sizeof(*t->label_at));
}

/* Where the numbers of each document of the batch begin. */
static void find_numbers(struct trainer *t, const struct dataset *d, const struct batch *b,
                         const struct document *const *docs)
{
	for (int32_t i = 0; i < b->n_docs; i++)
		t->label_at[i] = (int64_t)d->reference_at[docs[i] - d->documents.items];
}

void trainer_keep_reference(struct trainer *t, const struct dataset *d, const struct batch *b,
                            const struct document *const *docs, const float *logprob)
{
	find_numbers(t, d, b, docs);
	for (int32_t i = 0; i < b->n_labels; i++) /* those of a document in the order of its tokens */
		d->reference[t->label_at[b->label_doc[i]]++] = logprob[i];
}

void trainer_fill(struct trainer *t, const struct dataset *d, struct batch *b, const struct document *const *docs)
{
	const struct objective *row = t->objective.row;

	if (row->reference) {
		float *to = batch_column(b, "reference");
		find_numbers(t, d, b, docs);
		for (int32_t i = 0; i < b->n_labels; i++)
			to[i] = d->reference[t->label_at[b->label_doc[i]]++];
	}
	if (row->fill)
		row->fill(&t->objective, b, docs);
}

static void take_numbers(struct dataset *d)
{
	size_t n = 0;

	d->reference_at = mem_array(d->documents.n, sizeof(*d->reference_at));
	for (size_t i = 0; i < d->documents.n; i++) {
		d->reference_at[i] = n;
		n += (size_t)d->documents.items[i].n_learn;
	}
	d->reference = mem_array(n, sizeof(*d->reference));
	mem_touch(d->reference, n * sizeof(*d->reference));
}

/* The steps for whose documents it is made: the first epoch; of a run that has no other, those that remain. */
static void find_steps(const struct trainer *t, long *from, long *end)
{
	long per_epoch = order_steps_per_epoch(t);

	*end = MIN(per_epoch, t->schedule.steps);
	*from = t->schedule.steps <= per_epoch ? MIN(t->totals.first, *end) : 0;
}

static void keep(void *ctx, struct batch *b, const struct document *const *docs, const float *logprob)
{
	struct trainer *t = ctx;

	trainer_keep_reference(t, t->keeping, b, docs, logprob);
}

static bool is(const struct trainer *t, const char *which) { return !strcmp(t->recipe.reference, which); }

bool reference_is_start(const struct trainer *t) { return t->objective.row->reference && is(t, "start"); }

/* What lies over its model. */
static const struct overlay *reference_overlay(const struct trainer *t)
{
	return t->other.has_model   ? NULL :
	       t->other.has_adapter ? &t->other.adapter.overlay :
	       is(t, "base")        ? trainer_under(t) :
	                              t->overlay;
}

static bool is_adapter(const char *path)
{
	char *config = io_join(path, "adapter_config.json");
	bool is = io_exists(config);

	mem_free(config);
	return is;
}

/* Its log-probabilities are of the same tokens. */
static int check_tokens(const struct trainer *t, const struct model *m, struct err *e)
{
	size_t n = tokenizer_size(t->model->tokenizer), of = tokenizer_size(m->tokenizer);

	if (m->config.V != t->model->config.V || n != of)
		return err_set(e, "--reference %s has a vocabulary of %zu tokens, %s of %zu: its log-probabilities are "
		                  "of other tokens", t->recipe.reference, of, t->recipe.model, n);
	for (int32_t i = 0; i < (int32_t)n; i++) {
		const char *a = tokenizer_text(t->model->tokenizer, i), *b = tokenizer_text(m->tokenizer, i);
		if ((a || b) && (!a || !b || strcmp(a, b) != 0))
			return err_set(e, "--reference %s has another tokenizer than %s: token %d is '%s', not '%s'",
			               t->recipe.reference, t->recipe.model, i, b ? b : "", a ? a : "");
	}
	return 0;
}

int reference_open(struct trainer *t, struct err *e)
{
	struct reference *r = &t->other;
	const char *path = t->recipe.reference;

	if (!t->objective.row->reference || is(t, "start") || is(t, "base"))
		return 0;
	if (is_adapter(path)) {
		if (adapter_load(&r->adapter, path, t->model, e) < 0)
			return err_prefix(e, "--reference");
		r->has_adapter = true;
		return 0;
	}
	r->has_model = true;
	if (model_open(&r->model, path, e) < 0 || model_want_causal(&r->model, e) < 0 ||
	    model_tokenizer(&r->model, e) < 0)
		return err_prefix(e, "--reference");
	if (check_tokens(t, &r->model, e) < 0)
		return -1;
	return model_prepare(&r->model, t->pool, t->model->compute, PREPARE_TRAIN, e);
}

void reference_release(struct reference *r)
{
	if (r->has_adapter)
		adapter_release(&r->adapter);
	if (r->has_model)
		model_close(&r->model);
	*r = (struct reference){ 0 };
}

/* Adds what the evaluation's documents take, which the evaluation's own scorer scores else. */
static int forecast_eval(struct trainer *t, struct scorer_forecast *f, struct err *e)
{
	struct scorer_forecast own;

	if (scorer_forecast(t->reference, t->eval.pointer, t->eval.documents.n, false, &own, e) < 0)
		return -1;
	f->flops += own.flops;
	f->int_ops += own.int_ops;
	f->seconds += own.seconds;
	f->touch_rate = own.touch_rate;
	f->bytes = MAX(f->bytes, own.bytes);
	return 0;
}

static int forecast(struct trainer *t, struct err *e)
{
	const struct document **docs = mem_array(t->train.documents.n, sizeof(*docs));
	struct scorer_forecast f = { 0 };
	long from, end;
	size_t n = 0;

	find_steps(t, &from, &end);
	for (long step = from; step < end; step++)
		n += order_step(t, step, NULL, docs + n);
	int status = n ? scorer_forecast(t->reference, docs, n, false, &f, e) : 0;
	mem_free(docs);
	if (status == 0 && t->has_eval && !reference_is_start(t))
		status = forecast_eval(t, &f, e);
	t->reference_bytes = f.bytes;
	t->totals.planned_flops += f.flops;
	t->totals.planned_int_ops += f.int_ops;
	t->totals.start_seconds += f.seconds + (f.bytes ? (double)f.bytes / f.touch_rate : 0);
	return status;
}

int trainer_plan_reference(struct trainer *t, struct err *e)
{
	int32_t most = t->forest.max_tokens;
	struct scorer_options o = { .max_tokens = most, .max_length = MIN(t->max_length, most), .as_trained = true,
		                    .unshared = !t->forest.share, .scored = keep, .ctx = t };

	size_t owned;

	if (!t->objective.row->reference)
		return 0;
	if (t->objective.row->documents)
		BUG("%s wants a reference of documents that it makes itself", t->objective.row->name);
	take_numbers(&t->train);
	if (t->has_eval)
		take_numbers(&t->eval);
	take_numbers(&t->looking.beside[0]);
	take_numbers(&t->looking.beside[1]);
	struct model *m = t->other.has_model ? &t->other.model : t->model;
	if (scorer_new(&t->reference, m, reference_overlay(t), t->device, &o, e) < 0)
		return -1;
	scorer_reserve(t->reference, &t->dry.cap);
	if (t->synced.o)
		return trainer_plan_synced(t, e);
	if (forecast(t, e) < 0)
		return -1;
	if (t->other.has_model) /* whose weights are read then, beside the run's own */
		t->reference_bytes += model_read_bytes(m, &(struct model_reads){ .token = NULL }, &owned);
	return 0;
}

static int look_at_interrupt(void *ctx, size_t done, size_t total)
{
	const struct trainer *t = ctx;
	(void)done;
	(void)total;
	return t->interrupted && t->interrupted();
}

static int make_steps(struct trainer *t, struct err *e)
{
	size_t most = trainer_global_batch(t);
	const struct document **docs = mem_array(most, sizeof(*docs));
	double *sums = mem_array(most, sizeof(*sums));
	long from, end;
	int status = 0;

	find_steps(t, &from, &end);
	for (long step = from; step < end && !status; step++) {
		size_t n = order_step(t, step, NULL, docs);
		t->keeping = &t->train;
		status = scorer_run(t->reference, docs, n, false, sums, NULL, look_at_interrupt, t, e) < 0 ? -1 :
		         look_reference(t, docs, n, e);
	}
	mem_free(docs);
	mem_free(sums);
	return status;
}

int trainer_make_reference(struct trainer *t, struct err *e)
{
	const struct dataset *d = &t->eval;

	if (!t->objective.row->reference || t->synced.o)
		return 0;
	int status = make_steps(t, e);
	t->keeping = &t->eval;
	if (!status && t->has_eval)
		status = scorer_run(reference_is_start(t) ? t->scorer : t->reference, d->pointer, d->documents.n, false,
		                    t->eval_sums, NULL, look_at_interrupt, t, e) < 0 ? -1 : look_eval_reference(t, e);
	t->keeping = NULL;
	t->reference_work = (struct work){ scorer_flops(t->reference), scorer_int_ops(t->reference) };
	scorer_free(t->reference); /* its memory is for the steps now */
	t->reference = NULL;
	reference_release(&t->other);
	return status ? err_prefix(e, "the reference") : 0;
}
