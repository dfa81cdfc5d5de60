/* trainer_kl: what is trained is held to what the model said of its prompts (--kl-to-base X).
 *
 *     loss = the objective's + X · mean over the prompt tokens of the step's rows of KL(base ‖ tuned)
 *     KL(base ‖ tuned) = Σ_v p_v·(log p_v − log q_v)        exact over the vocabulary (op/op_divergence.c)
 *
 * p: what the model without anything trained says there, q: what it says now; the direction of forgetting_kl, and of
 * knowledge distillation with the base as its teacher (Hinton et al. 2015), whose gradient in the logits is q − p. A
 * prompt token is one that is not learnt and stands before one that is; of a row that has none (a text, a packed row)
 * all tokens are meant. A token counts as often as rows have it, whatever they weigh. The mean is of the global
 * batch, so no split of it shows.
 *
 * After a step's own micro-batches its prompts go through the model again, in micro-batches of their own: without
 * what is trained, which leaves the rows before the head, then with it, forward and backward into leaves of the
 * gradients' tree. So every objective that predicts tokens and every method has it as it is: virtual tokens stand
 * before the tuned side alone, of full tuning the base is the file, which is read once more. Nothing is kept from
 * step to step, and a run that goes on has the same bits. It enters before the clip; the loss that is told has it, an
 * evaluation has not. */
#include <string.h>

#include "base/mem.h"
#include "infer/typical.h"
#include "train/trainer_parts.h"

bool kl_wanted(const struct trainer *t) { return t->recipe.kl_to_base > 0; }

/* --- prompts --- */

static int32_t last_learnt(const struct document *d)
{
	int32_t i = d->n - 1;

	while (i > 0 && !d->learn[i])
		i--;
	return i;
}

/* The prompt of d, with its tokens as those that are meant. */
static struct document prompt_of(const struct document *d, uint8_t *learn, bool whole)
{
	struct document out = { .ids = d->ids, .learn = learn, .file = d->file, .line = d->line, .choice = -1,
		                .adapter = d->adapter };
	int32_t end = last_learnt(d);

	for (int32_t i = 1; i < end && !whole; i++)
		if (!d->learn[i]) {
			learn[i] = 1;
			out.n = i + 1;
			out.n_learn++;
		}
	if (out.n_learn || d->n < 2)
		return out;
	memset(learn + 1, 1, (size_t)d->n - 1);
	out.n = d->n;
	out.n_learn = d->n - 1;
	return out;
}

static void make_prompts(const struct trainer *t, const struct dataset *d, struct kl_prompts *out)
{
	size_t numbers = 0;

	for (size_t i = 0; i < d->documents.n; i++)
		numbers += (size_t)d->documents.items[i].n;
	out->of = mem_array(d->documents.n, sizeof(*out->of));
	out->learn = mem_array(numbers, 1);
	numbers = 0;
	for (size_t i = 0; i < d->documents.n; i++) {
		out->of[i] = prompt_of(&d->documents.items[i], out->learn + numbers, t->recipe.packing);
		numbers += (size_t)d->documents.items[i].n;
	}
}

static const struct document *find_prompt(const struct trainer *t, const struct document *d)
{
	const struct documents *train = &t->train.documents;

	return d >= train->items && d < train->items + train->n ? &t->kl.train.of[d - train->items] :
	                                                          &t->kl.replay.of[d - t->replay.documents.items];
}

/* Documents become their prompts, those without a token to mean go. */
static size_t to_prompts(const struct trainer *t, const struct document **docs, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct document *p = find_prompt(t, docs[i]);
		if (p->n_learn)
			docs[kept++] = p;
	}
	return kept;
}

/* --- the plan --- */

static int record(struct trainer *t, struct err *e)
{
	struct kl *k = &t->kl;
	const struct batch_cap *cap = &k->dry.cap;

	model_pass_begin(&k->base, t->device, cap, t->model, trainer_under(t), false);
	k->base.graph.as_trained = true;
	k->base.result = graph_head_rows(&k->base.graph, graph_hidden(&k->base.graph));
	if (pass_plan(&k->base.pass, NULL, e) < 0)
		return -1;
	k->width = tape_tensor(&k->base.pass.tape, k->base.result)->dim[1];
	model_pass_begin(&k->net, t->device, cap, t->model, t->overlay, true);
	k->base_rows = tape_state(&k->net.pass.tape, "base_rows", AXIS_TARGETS, 2,
	                          (size_t[]){ (size_t)cap->targets, k->width });
	k->net.result = graph_divergence(&k->net.graph, graph_hidden(&k->net.graph), k->base_rows);
	return tape_backward(&k->net.pass.tape, e);
}

static size_t rows_bytes(const struct kl *k) { return (size_t)k->dry.cap.targets * k->width * sizeof(float); }

int kl_plan(struct trainer *t, struct err *e)
{
	struct kl *k = &t->kl;
	/* All is recomputed where memory is short: the plan of the steps is then made around it. */
	struct plan_options o = trainer_plan_options(t);

	if (!kl_wanted(t))
		return 0;
	o.recompute_all |= t->recipe.memory && !o.in_8bit;
	if (t->maxima.documents)
		return err_set(e, "--kl-to-base is of the rows' own prompts, --objective %s makes its documents itself",
		               t->objective.row->name);
	make_prompts(t, &t->train, &k->train);
	make_prompts(t, &t->replay, &k->replay);
	k->forest = k->base_forest = t->forest;
	k->forest.past = k->base_forest.past = 0;
	k->base_forest.virtual_tokens = 0;
	if (order_walk(t, &k->forest, to_prompts, &k->dry, e) < 0)
		return -1;
	if (!k->dry.most_micro)
		return err_set(e, "--kl-to-base: no row has a token whose prediction could be compared");
	if (record(t, e) < 0 || pass_plan(&k->net.pass, &o, e) < 0)
		return -1;
	t->totals.kl_bytes = pass_bytes(&k->base.pass) + pass_bytes(&k->net.pass) + rows_bytes(k);
	t->totals.kl_tokens = (int64_t)k->dry.live.labels;
	return 0;
}

/* Of so many micro-batches. */
static struct work work_of(const struct kl *k, const struct live *sum, double micros)
{
	struct work base = pass_work_of(&k->base.pass, sum, micros), tuned = pass_work_of(&k->net.pass, sum, micros);

	return (struct work){ base.flops + tuned.flops, base.int_ops + tuned.int_ops };
}

struct work kl_planned(const struct trainer *t)
{
	const struct dry_run *d = &t->kl.dry;

	return kl_wanted(t) ? work_of(&t->kl, &d->live, (double)d->micro_batches) : (struct work){ 0 };
}

int kl_seconds(struct trainer *t, double *seconds, struct err *e)
{
	struct kl *k = &t->kl;
	struct live mean = dry_run_mean(&k->dry);
	size_t most = trainer_global_batch(t);
	const struct document **docs = mem_array(most, sizeof(*docs));
	struct timing base = { 0 }, tuned = { 0 };
	struct typical typical;
	int status = 0;

	*seconds = 0;
	typical_init(&typical, most, mean.rows);
	for (long step = t->totals.first; kl_wanted(t) && step < MIN(t->totals.steps, t->totals.first + 4); step++)
		typical_look(&typical, docs, to_prompts(t, docs, order_step(t, step, NULL, docs)), &k->forest);
	if (typical.n)
		status = typical_time(&typical, &k->base, &k->base_forest, &mean, 0, &base, e) < 0 ||
		         typical_time(&typical, &k->net, &k->forest, &mean, 0, &tuned, e) < 0 ? -1 : 0;
	*seconds = (double)k->dry.micro_batches * (base.seconds + tuned.seconds);
	typical_release(&typical);
	mem_free(docs);
	return status;
}

/* --- the start --- */

int kl_start(struct trainer *t, struct err *e)
{
	struct kl *k = &t->kl;
	void *rows;

	if (!kl_wanted(t))
		return 0;
	if (mem_map(&rows, rows_bytes(k), "what the base says of prompts", e) < 0)
		return -1;
	k->rows = rows;
	mem_touch(rows, rows_bytes(k));
	if (model_pass_start(&k->base, NULL, e) < 0 || pass_start(&k->net.pass, e) < 0)
		return -1;
	run_bind_host(&k->net.pass.run, k->base_rows, k->rows);
	model_pass_bind(&k->net, grad_tree_leaf(&t->gradients));
	if (run_ready(&k->net.pass.run, e) < 0)
		return -1;
	k->taken = mem_array(trainer_global_batch(t), sizeof(*k->taken));
	k->cut_room = k->dry.cap.docs + 1;
	k->cut_work = mem_array((size_t)k->cut_room, BATCH_WORK_DOC * sizeof(*k->cut_work));
	return 0;
}

void kl_stop(struct trainer *t)
{
	struct kl *k = &t->kl;

	pass_stop(&k->base.pass);
	pass_stop(&k->net.pass);
	if (k->rows)
		mem_unmap(k->rows, rows_bytes(k));
	k->rows = NULL;
}

void kl_release(struct trainer *t)
{
	struct kl *k = &t->kl;

	if (k->rows)
		kl_stop(t);
	model_pass_release(&k->base);
	model_pass_release(&k->net);
	mem_free(k->train.of);
	mem_free(k->train.learn);
	mem_free(k->replay.of);
	mem_free(k->replay.learn);
	mem_free(k->taken);
	mem_free(k->cut_work);
}

/* --- a step --- */

/* What the base says of these prompts, into k->rows. */
static int run_base(struct trainer *t, const struct document *const *docs, size_t n)
{
	struct kl *k = &t->kl;
	struct batch *b = &k->base.pass.batch;

	forest_fill(b, docs, n, &k->base_forest);
	if (pass_step(&k->base.pass) < 0)
		return -1;
	if (b->n_targets != k->net.pass.batch.n_targets)
		BUG("%d rows of the base beside %d of the same prompts", b->n_targets, k->net.pass.batch.n_targets);
	memcpy(k->rows, model_pass_result(&k->base), (size_t)b->n_targets * k->width * sizeof(float));
	return 0;
}

/* weight: of each token in the gradient. */
static int run_micro(struct trainer *t, const struct document *const *docs, size_t n, uint32_t micro, double weight,
                     struct live *live)
{
	struct kl *k = &t->kl;
	struct batch *b = &k->net.pass.batch;

	forest_fill(b, docs, n, &k->forest);
	for (int32_t i = 0; i < b->n_labels; i++)
		b->label_weight[i] = (float)weight;
	b->seed = (uint64_t)t->recipe.seed;
	b->step = (uint32_t)t->step;
	b->micro = micro;
	if (run_base(t, docs, n) < 0)
		return -1;
	model_pass_bind(&k->net, grad_tree_leaf(&t->gradients));
	if (t->objective.row->params) /* which are nowhere in what is recorded here */
		memset(grad_tree_leaf(&t->gradients), 0, t->params->n * sizeof(float));
	if (pass_step(&k->net.pass) < 0)
		return -1;
	grad_tree_add(&t->gradients);
	struct live now = batch_live(b);
	live_add(live, &now, 1);
	const float *x = model_pass_result(&k->net);
	for (int32_t i = 0; i < b->n_labels; i++)
		k->sum -= (double)x[i];
	return 0;
}

int kl_step(struct trainer *t, size_t n, uint32_t micro, struct work *work)
{
	struct kl *k = &t->kl;
	struct live live = { 0 };
	double micros = 0;

	*work = (struct work){ 0 };
	k->sum = k->tokens = 0;
	if (!kl_wanted(t))
		return 0;
	memcpy(k->taken, t->taken, n * sizeof(*k->taken));
	n = to_prompts(t, k->taken, n);
	for (size_t i = 0; i < n; i++)
		k->tokens += k->taken[i]->n_learn;
	for (size_t at = 0, some; at < n; at += some) {
		some = forest_count(k->taken + at, n - at, &k->forest, k->cut_work, k->cut_room);
		if (run_micro(t, k->taken + at, some, micro++, t->recipe.kl_to_base * t->sums.weight / k->tokens,
		              &live) < 0)
			return -1;
		micros++;
	}
	if (micros > 0)
		*work = work_of(k, &live, micros);
	return 0;
}

double kl_mean(const struct trainer *t) { return t->kl.tokens > 0 ? t->kl.sum / t->kl.tokens : 0; }
