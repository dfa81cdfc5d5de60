/* trainer_instruction: rows of questions and answers among windows of token shards (--instruction-data), for the later
 * part of a pretraining. Of them is learnt what their shape says, answers alone as a rule.
 *
 * Rows are taken in a keyed permutation and joined, as many as fit into a window, to groups of documents that stand
 * alone: so a share of windows is nearly a share of tokens. From --instruction-start of the steps on, such groups are
 * --instruction-ratio of the windows. Before step s that is of all windows since the first of them, rounded down:
 * a function of its number. The windows of the text go on where they would have; a step's rows follow its text. When
 * all groups have been there they come again in another order. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "train/trainer_parts.h"

uint64_t instruction_before(const struct trainer *t, long step)
{
	const struct recipe *r = &t->recipe;
	long first = (long)ceil(r->instruction_start * (double)t->schedule.steps);

	if (!r->instruction_data || step <= first)
		return 0;
	uint64_t since = batch_ramp_before(&t->ramp, (uint64_t)step) - batch_ramp_before(&t->ramp, (uint64_t)first);
	return (uint64_t)((double)since * r->instruction_ratio);
}

void instruction_join(struct dataset *d, int32_t length, uint64_t seed)
{
	struct document *items = d->documents.items, *taken;
	size_t n = d->documents.n;
	int32_t used = 0;

	taken = mem_array(n, sizeof(*taken));
	memcpy(taken, items, n * sizeof(*taken));
	for (size_t i = 0; i < n; i++) {
		items[i] = taken[rng_permute((struct rng_key){ ~seed, RNG_SHUFFLE }, UINT32_MAX, n, i)];
		items[i].joined = i && used + items[i].n <= length;
		used = items[i].n + (items[i].joined ? used : 0);
	}
	mem_free(taken);
}

void instruction_plan(const struct trainer *t, int32_t max_tokens, struct dry_run *out)
{
	const struct dataset *d = &t->replay;
	const struct windows *w = t->train.windows;
	double n = (double)(instruction_before(t, t->schedule.steps) - instruction_before(t, t->totals.first)),
	       groups = (double)d->n_groups, rows = (double)d->documents.tokens / groups;
	struct live rest = { 0 }, some = { 0 };
	int64_t most = MIN((int64_t)t->global * w->o.length, (int64_t)(max_tokens - t->forest.virtual_tokens));

	if (!t->recipe.instruction_data)
		return;
	/* shorter groups stand closer together, and have more documents */
	out->cap.rows = out->cap.keys = (int32_t)most + t->forest.virtual_tokens;
	out->cap.docs = (int32_t)MIN(most, (int64_t)(t->global * order_most_group(t)));
	out->cap.segments = out->cap.docs + (t->forest.virtual_tokens > 0);
	out->cap.labels = out->cap.targets = (int32_t)most;
	for (size_t i = 0; i < d->documents.n; i++)
		live_see(&some, 1, d->documents.items[i].n);
	live_add(&rest, &w->live, -n);
	live_add(&rest, &some, n / groups);
	rest.rows += n * rows;
	rest.labels += n * (double)d->documents.learnt / groups;
	rest.targets += n * (double)d->documents.learnt / groups;
	live_add(&out->live, &rest, 1);
	out->tokens -= (int64_t)(n * (w->o.length - rows));
}
