/* trainer_order: which documents a step learns from, and what all steps together need.
 *
 * Epoch e has its own keyed permutation of the n groups of documents (most rows are one document, and that a group), or
 * they stay in the order of the file (--train-sampling-strategy sequential); a
 * step takes the next `global` of them, the last step of an epoch what is left. So the cursor of the data is the
 * number of the step, and a resumed run needs no other state. A step's documents are cut into micro-batches in that
 * order (data/forest.h), which depends on their ids and --micro-batch-tokens alone. */
#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/trainer_parts.h"

enum { STEPS_A_PIECE = 16 };

/* General rows (--replay) are so many more groups of every epoch that they are --replay-ratio of it, permuted among the
 * others. They come from a permutation of their own, which goes on from epoch to epoch and begins anew, another one,
 * when all have been there. */
static size_t replayed(const struct trainer *t)
{
	double x = t->recipe.replay_ratio;

	return t->replay.n_groups ? (size_t)fmax(round((double)t->train.n_groups * x / (1 - x)), 1) : 0;
}

size_t order_groups(const struct trainer *t)
{
	const struct windows *w = t->train.windows;

	return w ? (size_t)w->mixture.n_positions : t->train.n_groups + replayed(t);
}

size_t order_most_group(const struct trainer *t)
{
	return MAX(MAX(t->train.most_group, t->replay.most_group), (size_t)t->maxima.documents);
}

/* Which take rows that none before has taken. Windows go on over the end of an epoch, whose last step is not
 * smaller. */
static long fresh_steps_per_epoch(const struct trainer *t)
{
	if (trainer_is_windows(t))
		return (long)MAX(batch_ramp_steps(&t->ramp, order_groups(t)), (uint64_t)1);
	return (long)((order_groups(t) + t->global - 1) / t->global);
}

long order_steps_per_epoch(const struct trainer *t) { return fresh_steps_per_epoch(t) * t->repeats; }

double order_epochs(const struct trainer *t, long from, long to)
{
	if (!t->ramp.samples)
		return (double)(to - from) / (double)order_steps_per_epoch(t);
	return (double)(batch_ramp_before(&t->ramp, (uint64_t)to) - batch_ramp_before(&t->ramp, (uint64_t)from)) /
	       (double)order_groups(t);
}

double order_steps(const struct trainer *t, double epochs)
{
	double windows = epochs * (double)order_groups(t);

	if (!t->ramp.samples || !(windows < 1e18))
		return ceil(epochs * (double)order_steps_per_epoch(t));
	return (double)MAX(batch_ramp_steps(&t->ramp, (uint64_t)windows), (uint64_t)1);
}

/* The group that is number k of all that are replayed in the run. */
static size_t replay_group(const struct trainer *t, uint64_t k)
{
	struct rng_key key = { ~(uint64_t)t->recipe.seed, RNG_SHUFFLE }; /* no other order's */
	size_t n = t->replay.n_groups;

	return rng_permute(key, k / n, n, k % n);
}

/* Documents of group g of d, behind docs[0..n); how many there are then. */
static size_t add_group(const struct dataset *d, size_t g, const struct document **docs, size_t n)
{
	for (size_t k = d->group[g]; k < d->group[g + 1]; k++)
		docs[n++] = &d->documents.items[k];
	return n;
}

static int window_step(const struct trainer *t, long step, size_t *groups, const struct document **docs, size_t *n,
                       struct err *e)
{
	uint64_t before = instruction_before(t, step), at = batch_ramp_before(&t->ramp, (uint64_t)step);
	size_t n_windows = (size_t)batch_ramp_size(&t->ramp, (uint64_t)step);
	size_t rows = (size_t)(instruction_before(t, step + 1) - before);

	for (size_t i = 0; groups && i < n_windows; i++)
		groups[i] = i;
	if (windows_take(t->train.windows, at - before, n_windows - rows, docs, n, e) < 0)
		return -1;
	for (size_t i = 0; i < rows; i++)
		*n = add_group(&t->replay, replay_group(t, before + i), docs, *n);
	return 0;
}

size_t order_step(const struct trainer *t, long step, size_t *groups, const struct document **docs)
{
	struct err ignored = ERR_INIT; /* what cannot be read now is told when it is to be learnt */
	const struct dataset *d = &t->train;
	struct rng_key key = { (uint64_t)t->recipe.seed, RNG_SHUFFLE };
	long per_epoch = fresh_steps_per_epoch(t), fresh = step / t->repeats;
	uint64_t epoch = (uint64_t)(fresh / per_epoch);
	size_t n = order_groups(t), first = (size_t)(fresh % per_epoch) * t->global, count = MIN(t->global, n - first),
	       n_docs = 0;

	if (trainer_is_windows(t))
		return window_step(t, step, groups, docs, &n_docs, &ignored) < 0 ? 0 : n_docs;
	for (size_t i = 0; i < count; i++) {
		size_t g = t->sequential ? first + i : rng_permute(key, epoch, n, first + i);
		if (g >= d->n_groups) {
			g = replay_group(t, epoch * (n - d->n_groups) + (g - d->n_groups));
			n_docs = add_group(&t->replay, g, docs, n_docs);
			g += d->n_groups;
		} else {
			n_docs = add_group(d, g, docs, n_docs);
		}
		if (groups)
			groups[i] = g;
	}
	return n_docs;
}

bool trainer_makes(const struct trainer *t) { return objective_rewrites(&t->objective) || t->maxima.documents > 0; }

/* What the objective has made keeps to what it said. */
static void check_made(const struct trainer *t, size_t n_groups, size_t n)
{
	const struct objective_maxima *m = &t->maxima;
	size_t groups = 0;
	int32_t size = 0;

	if (m->apart && n != n_groups * (size_t)m->documents)
		BUG("%s makes %zu documents of %zu rows; it said %d of each", t->objective.row->name, n, n_groups,
		    m->documents);
	for (size_t i = 0; i < n; i++) {
		const struct document *d = t->taken[i];
		size = d->joined && i ? size + 1 : 1;
		groups += size == 1;
		if (size > m->documents || d->n > m->tokens || d->n_learn > m->labels)
			BUG("%s makes document %d of a row with %d tokens, %d learnt; it said %d of %d, %d",
			    t->objective.row->name, size, d->n, d->n_learn, m->documents, m->tokens, m->labels);
	}
	if (groups != (m->apart ? n : n_groups))
		BUG("%s makes %zu groups of %zu", t->objective.row->name, groups, n_groups);
}

/* They were planned as the data has them; whole words that are hidden may be fewer tokens. */
static void check_rewritten(const struct trainer *t, size_t n, size_t made)
{
	if (made != n)
		BUG("%s makes %zu documents of %zu", t->objective.row->name, made, n);
	for (size_t i = 0; i < n; i++)
		if (t->taken[i]->n != t->asked[i]->n || t->taken[i]->n_learn > t->asked[i]->n_learn)
			BUG("%s makes a document of %d tokens, %d learnt, of one of %d, %d", t->objective.row->name,
			    t->taken[i]->n, t->taken[i]->n_learn, t->asked[i]->n, t->asked[i]->n_learn);
}

/* Documents that stand alone weigh as the rows that they are of. */
static void part_groups(struct trainer *t, size_t n)
{
	size_t each = (size_t)t->maxima.documents;

	for (size_t i = n; t->maxima.apart && i-- > 0;)
		t->taken_group[i] = t->taken_group[i / each];
}

int order_take(struct trainer *t, size_t *n, struct err *e)
{
	const struct objective_run *o = &t->objective;

	const struct document **as = trainer_makes(t) ? t->asked : t->taken;
	size_t asked, groups = 0;

	if (!trainer_is_windows(t))
		asked = order_step(t, t->step + t->skipped, t->taken_group, as);
	else if (window_step(t, t->step + t->skipped, t->taken_group, as, &asked, e) < 0)
		return -1;
	*n = asked;
	if (!trainer_makes(t))
		return 0;
	for (size_t i = 0; i < asked; i++)
		groups += i == 0 || !t->asked[i]->joined;
	if (o->row->documents(o, t->step, t->asked, asked, t->taken, n, e) < 0)
		return err_prefix(e, "step %ld", t->step + 1);
	if (objective_rewrites(o))
		check_rewritten(t, asked, *n);
	else
		check_made(t, groups, *n);
	part_groups(t, *n);
	return 0;
}

static void dry_add(struct dry_run *sum, const struct dry_run *d)
{
	batch_cap_max(&sum->cap, &d->cap);
	live_add(&sum->live, &d->live, 1);
	sum->micro_batches += d->micro_batches;
	sum->tokens += d->tokens;
	sum->all_rows += d->all_rows;
	sum->most_micro = MAX(sum->most_micro, d->most_micro);
}

typedef size_t documents_of(const struct trainer *t, const struct document **docs, size_t n);

struct walk {
	const struct trainer *trainer;
	documents_of *of;                  /* or NULL */
	struct forest_options forest;
	const struct document **docs;      /* [threads][trainer_global_batch] */
	struct dry_run *sums;              /* [threads] */
};

/* All sums are of whole numbers below 2^53, so they are exact in any order. A step that was done before is not added,
 * but takes part in what is the most: a resumed run has the memory, and the bits, of one in one piece. So do those
 * beyond the last, which a run comes to that leaves rows out. */
static void dry_step(const struct walk *w, long step, const struct document **docs, struct dry_run *sum)
{
	const struct trainer *t = w->trainer;
	const struct forest_options *o = &w->forest;
	size_t n = order_step(t, step, NULL, docs);
	struct dry_run d = { 0 };

	n = w->of ? w->of(t, docs, n) : n;

	for (size_t at = 0; at < n; d.micro_batches++) {
		struct dry_run micro = { 0 };
		at += forest_take(docs + at, n - at, o, &micro.cap, &micro.live, &micro.tokens);
		dry_add(&d, &micro);
	}
	d.most_micro = d.micro_batches;
	d.all_rows = (int64_t)d.live.rows;
	if (step < t->totals.first || step >= t->schedule.steps)
		d = (struct dry_run){ .cap = d.cap, .most_micro = d.most_micro, .all_rows = d.all_rows };
	dry_add(sum, &d);
}

/* With those that follow where rows are left out. */
static long walked(const struct trainer *t) { return t->schedule.steps + trainer_spare(t); }

static void walk_piece(void *ctx, size_t item, int thread)
{
	const struct walk *w = ctx;
	const struct trainer *t = w->trainer;
	long first = (long)item * STEPS_A_PIECE, end = MIN(first + STEPS_A_PIECE, walked(t));

	for (long step = first; step < end; step++)
		dry_step(w, step, w->docs + (size_t)thread * trainer_global_batch(t), &w->sums[thread]);
}

/* Of documents that are not there yet: as many and as long as they may get, none of them shared. */
static void dry_maxima(const struct trainer *t, int32_t max_tokens, struct dry_run *out)
{
	const struct objective_maxima *m = &t->maxima;
	double docs = (double)t->global * m->documents, steps = (double)(t->schedule.steps - t->totals.first),
	       rows = docs * m->tokens, labels = docs * m->labels;
	int32_t virtual = t->forest.virtual_tokens;
	int64_t micros = (int64_t)ceil(rows / (max_tokens - virtual));

	out->cap.rows = out->cap.keys = (int32_t)MIN(rows + virtual, max_tokens);
	out->cap.docs = (int32_t)docs;
	out->cap.segments = 2 * out->cap.docs + (virtual > 0);
	out->cap.labels = (int32_t)labels;
	out->cap.targets = MIN(out->cap.rows, out->cap.labels);
	/* two after each other are more than one holds */
	out->most_micro = m->apart ? (int64_t)MIN(docs, 2 * (double)micros + 1) : (int64_t)t->global;
	out->micro_batches = (int64_t)steps * micros;
	out->tokens = (int64_t)(steps * rows);
	out->all_rows = (int64_t)((double)t->schedule.steps * rows);
	live_add(&out->live, &(struct live){ rows + (double)micros * virtual, labels, labels,
	                                     rows * (0.5 * (m->tokens + 1.0) + virtual) }, steps);
}

int order_walk(const struct trainer *t, const struct forest_options *forest, documents_of *of, struct dry_run *out,
               struct err *e)
{
	size_t threads = (size_t)pool_threads(t->pool);
	struct walk w = { .trainer = t, .of = of, .forest = *forest };

	w.docs = mem_array(threads * trainer_global_batch(t), sizeof(*w.docs));
	w.sums = mem_array(threads, sizeof(*w.sums));
	bool all = pool_try(t->pool, (size_t)((walked(t) + STEPS_A_PIECE - 1) / STEPS_A_PIECE), walk_piece, &w);
	*out = (struct dry_run){ 0 };
	for (size_t i = 0; i < threads; i++)
		dry_add(out, &w.sums[i]);
	mem_free(w.docs);
	mem_free(w.sums);
	return all ? 0 : err_set(e, "interrupted while the steps were planned");
}

int order_dry_run(const struct trainer *t, int32_t max_tokens, struct dry_run *out, struct err *e)
{
	struct forest_options forest = t->forest;
	int status = 0;

	*out = (struct dry_run){ 0 };
	forest.max_tokens = max_tokens;
	if (t->maxima.documents)
		dry_maxima(t, max_tokens, out);
	else if (trainer_is_windows(t))
		trainer_dry_windows(t, max_tokens, out);
	else
		status = order_walk(t, &forest, NULL, out, e);
	out->cap.columns = t->objective.row->columns;
	return status;
}

struct live dry_run_mean(const struct dry_run *d)
{
	return live_over(&d->live, (double)MAX(d->micro_batches, 1));
}
