/* trainer_look: what an objective must know of a whole step before its first micro-batch (objective.h: whole, looks),
 * and that a run with a reference begins where it says.
 *
 * A look runs documents forward in training's arithmetic, in micro-batches as the reference was made, with the weights
 * of this moment: the step's own documents, or others that stand beside the rows (KTO's mismatched answers). Those have
 * a reference of their own. At the first step a look therefore finds log-ratios of exactly 0.
 *
 * The look's memory is taken when planning and counted with the evaluation's. */
#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "train/trainer_parts.h"

static bool looks(const struct trainer *t)
{
	const struct objective_run *o = &t->objective;

	return o->row->looks && o->row->looks(o->options);
}

static double temperature(const struct trainer *t)
{
	const struct objective_run *o = &t->objective;

	return o->row->looks_at ? o->row->looks_at(o->options) : 1;
}

static bool has_beside(const struct trainer *t) { return t->looking.beside[0].documents.n > 0; }

/* --- what stands beside --- */

static int open_beside(struct trainer *t, bool eval, struct err *e)
{
	const struct objective_run *o = &t->objective;
	struct dataset *d = &t->looking.beside[eval];

	if (o->row->beside(o, eval ? &t->eval.documents : &t->train.documents, t->global, &d->documents, e) < 0)
		return -1;
	trainer_find_groups(d);
	return 0;
}

int look_open(struct trainer *t, struct err *e)
{
	if (!looks(t) || !t->objective.row->beside)
		return 0;
	return open_beside(t, false, e) < 0 ? -1 : t->has_eval ? open_beside(t, true, e) : 0;
}

/* In place, of documents that stand alone. */
static size_t to_beside(const struct trainer *t, const struct document **docs, size_t n)
{
	for (size_t i = 0; has_beside(t) && i < n; i++)
		docs[i] = &t->looking.beside[0].documents.items[docs[i] - t->train.documents.items];
	return n;
}

/* --- planning --- */

static void look(void *ctx, struct batch *b, const struct document *const *docs, const float *logprob)
{
	struct trainer *t = ctx;
	struct looking *l = &t->looking;
	struct dataset *d = has_beside(t) ? &l->beside[l->eval] : l->eval ? &t->eval : &t->train;

	if (t->keeping) {
		trainer_keep_reference(t, t->keeping, b, docs, logprob);
		return;
	}
	trainer_fill(t, d, b, docs);
	t->objective.row->look(&t->objective, b, docs, logprob);
}

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	return graph_logprob_at(g, hidden, temperature(ctx));
}

/* Of an epoch, which the others are like. */
static int forecast(struct trainer *t, struct err *e)
{
	struct looking *l = &t->looking;
	long steps = MIN(order_steps_per_epoch(t), t->schedule.steps);
	const struct document **docs = mem_array((size_t)steps * trainer_global_batch(t), sizeof(*docs));
	struct scorer_forecast f;
	size_t n = 0;

	for (long step = 0; step < steps; step++)
		n += to_beside(t, docs + n, order_step(t, step, NULL, docs + n));
	int status = scorer_forecast(l->scorer, docs, n, false, &f, e);
	double times = (double)(t->schedule.steps - t->totals.first) / (double)steps;
	mem_free(docs);
	if (status)
		return -1;
	if (has_beside(t) && t->synced.o)
		times *= 2;
	else if (has_beside(t))
		t->totals.start_seconds += f.seconds;
	l->seconds = times * f.seconds;
	l->planned = (struct work){ times * f.flops, times * f.int_ops };
	return 0;
}

int look_plan(struct trainer *t, struct err *e)
{
	struct looking *l = &t->looking;
	int32_t most = t->forest.max_tokens;
	struct scorer_options o = { .max_tokens = most, .max_length = MIN(t->max_length, most), .as_trained = true,
		                    .unshared = !t->forest.share, .columns = t->objective.row->columns,
		                    .scored = look, .ctx = t };
	const struct dataset *eval = temperature(t) != 1 ? &t->eval : &l->beside[1];
	struct dry_run dry = t->dry;
	size_t before = mem_rss();
	const struct objective_run *run = &t->objective;

	l->start = run->row->start ? run->row->start(run->options) : NAN;
	if (!looks(t))
		return 0;
	if (has_beside(t) && order_walk(t, &t->forest, to_beside, &dry, e) < 0)
		return -1;
	if (temperature(t) != 1) {
		o.record = record;
		o.next_tokens = true;
	}
	if (scorer_new(&l->scorer, t->model, t->overlay, t->device, &o, e) < 0)
		return -1;
	scorer_reserve(l->scorer, &dry.cap);
	if (scorer_prepare(l->scorer, eval->pointer, eval->documents.n, false, e) < 0)
		return -1;
	l->docs = mem_array(trainer_global_batch(t), sizeof(*l->docs));
	trainer_reserve_documents(t, scorer_cap(l->scorer)->docs);
	t->totals.eval_bytes += mem_rss() - MIN(before, mem_rss());
	return forecast(t, e);
}

/* --- looking --- */

static int run(struct trainer *t, const struct document *const *docs, size_t n, struct err *e)
{
	double *sums = mem_array(n, sizeof(*sums));
	int status = scorer_run(t->looking.scorer, docs, n, false, sums, NULL, NULL, NULL, e);

	mem_free(sums);
	return status;
}

int look_reference(struct trainer *t, const struct document *const *docs, size_t n, struct err *e)
{
	struct looking *l = &t->looking;
	const struct document **beside = mem_array(n, sizeof(*beside));
	int status = 0;

	for (size_t i = 0; i < n; i++)
		beside[i] = docs[i];
	to_beside(t, beside, n);
	t->keeping = &l->beside[0];
	if (has_beside(t))
		status = run(t, beside, n, e);
	mem_free(beside);
	return status;
}

int look_eval_reference(struct trainer *t, struct err *e)
{
	struct dataset *d = &t->looking.beside[1];

	t->keeping = d;
	return d->documents.n ? run(t, d->pointer, d->documents.n, e) : 0;
}

/* The evaluation's own documents are looked at by its own scorer, whose bits their reference has, unless that is at
 * another temperature. */
static int look_eval(struct trainer *t, struct err *e)
{
	const struct dataset *d = has_beside(t) ? &t->looking.beside[1] : &t->eval;

	t->looking.eval = true;
	int status = has_beside(t) || temperature(t) != 1 ? run(t, d->pointer, d->documents.n, e) :
	             scorer_run(t->scorer, d->pointer, d->documents.n, false, t->eval_sums, NULL, NULL, NULL, e);
	t->looking.eval = false;
	return status;
}

static int look_step(struct trainer *t, struct err *e)
{
	struct looking *l = &t->looking;
	size_t n = t->now.documents;

	for (size_t i = 0; i < n; i++)
		l->docs[i] = t->taken[i];
	to_beside(t, l->docs, n);
	return run(t, l->docs, n, e);
}

int look_whole(struct trainer *t, bool eval, struct err *e)
{
	const struct objective_run *o = &t->objective;

	if (o->row->whole && eval)
		o->row->whole(o, t->eval.pointer, t->eval.documents.n);
	else if (o->row->whole)
		o->row->whole(o, t->taken, t->now.documents);
	if (!looks(t))
		return 0;
	if ((eval ? look_eval(t, e) : look_step(t, e)) < 0)
		return -1;
	o->row->looked(o);
	return 0;
}

bool look_sees(struct trainer *t, struct batch *b, const struct document *const *docs, const float *logprob)
{
	if (t->looking.eval)
		look(t, b, docs, logprob);
	return t->looking.eval;
}

void look_release(struct looking *l)
{
	scorer_free(l->scorer);
	dataset_release(&l->beside[0]);
	dataset_release(&l->beside[1]);
	mem_free(l->docs);
}

/* --- the start --- */

static bool at_start(const struct trainer *t) { return t->step == 0 && reference_is_start(t); }

/* Of a reference that is another one. */
static void add_ratio(struct trainer *t, const struct batch *b, const float *logprob)
{
	const float *reference = batch_column(b, "reference");

	for (int32_t i = 0; i < b->n_labels; i++)
		t->now.ratio[b->doc_role[b->label_doc[i]] & 1] += (double)logprob[i] - (double)reference[i];
	for (int32_t i = 0; i < b->n_docs; i++)
		t->now.answers[b->doc_role[i] & 1]++;
}

void look_say(const struct trainer *t)
{
	const struct step *s = &t->now;
	const char *const *roles = t->objective.row->roles;

	if (s->answers[0] + s->answers[1] > 0)
		log_say("the reference is %s: the mean log-ratio of the first step's answers is %.4f (%s %.4f, "
		        "%s %.4f)", t->recipe.reference,
		        (s->ratio[0] + s->ratio[1]) / (s->answers[0] + s->answers[1]), roles[0],
		        s->ratio[0] / fmax(s->answers[0], 1), roles[1], s->ratio[1] / fmax(s->answers[1], 1));
}

void look_check(struct trainer *t, const struct batch *b, const float *logprob)
{
	const struct document *const *docs = t->taken + t->now.document;
	const float *reference = at_start(t) ? batch_column(b, "reference") : NULL;

	if (t->step == 0 && t->objective.row->reference && !reference_is_start(t))
		add_ratio(t, b, logprob);
	for (int32_t i = 0; reference && i < b->n_labels && !t->now.moved; i++)
		if (logprob[i] != reference[i]) {
			t->now.moved = docs[b->label_doc[i]];
			t->now.moved_by = (double)logprob[i] - (double)reference[i];
		}
}

int look_check_start(const struct trainer *t, struct err *e)
{
	double start = at_start(t) ? t->looking.start : NAN, loss = t->sums.loss / t->sums.weight;

	if (t->now.moved)
		return err_set(e, "%s:%zu: at the start a token's log-probability is %g off the reference's, which "
		                  "is the same model: %s", t->now.moved->file, t->now.moved->line, t->now.moved_by,
		               overlays_unshared(t->overlay) ?
		                       "dropout acts on what is trained from its start on, and has to be 0" :
		                       "the run would not learn what it says");
	if (!isnan(start) && fabs(loss - start) > 1e-9 * fmax(1, fabs(start)))
		return err_set(e, "the loss of the first step is %.12g, and %.12g where nothing has moved", loss,
		               start);
	return 0;
}
