/* trainer_steer: what a caller with a loop of its own may decide between steps: the next step's learning rate, and how
 * much documents count. A document's weight is its group's, so the documents of a row have one.
 *
 *     loss of a step = −Σ weight · log p / Σ weight      over the supervised tokens of its global batch
 *
 * (an objective over groups: Σ weight · loss of the group / Σ weight), so equal weights of any size are the loss
 * without weights, and weights of 1 are its bits. Neither is part of a checkpoint: whoever steers a run steers its
 * continuation. */
#include "base/mem.h"
#include "train/trainer_parts.h"

void trainer_set_learning_rate(struct trainer *t, double rate) { t->next_rate = rate; }

size_t trainer_documents(const struct trainer *t) { return t->train.documents.n; }
const struct document *trainer_document(const struct trainer *t, size_t i) { return &t->train.documents.items[i]; }
size_t trainer_global_batch(const struct trainer *t)
{
	return t->global * order_most_group(t);
}


size_t trainer_next(const struct trainer *t, const struct document **out)
{
	return trainer_done(t) ? 0 : order_step(t, t->step + t->skipped, NULL, out);
}

/* The group that a document is in. */
static size_t group_of(const struct dataset *d, size_t document)
{
	size_t lo = 0, hi = d->n_groups - 1;

	while (lo < hi) { /* the last group that begins at or before it */
		size_t mid = hi - (hi - lo) / 2;
		if (d->group[mid] <= document)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

void trainer_set_weight(struct trainer *t, size_t document, float weight)
{
	const struct dataset *d = &t->train;

	if (document >= d->documents.n || !(weight >= 0))
		BUG("weight %g of document %zu of %zu", (double)weight, document, d->documents.n);
	if (!t->weights) {
		size_t n = d->n_groups + t->replay.n_groups;
		t->weights = mem_array(n, sizeof(*t->weights));
		for (size_t i = 0; i < n; i++)
			t->weights[i] = 1;
	}
	t->weights[group_of(d, document)] = weight;
}

/* groups: the numbers of those that b was filled with. */
void trainer_weigh(const struct trainer *t, struct batch *b, const size_t *groups)
{
	if (!t->weights)
		return;
	for (int32_t g = 0; g < b->n_groups; g++)
		b->group_weight[g] = t->weights[groups[g]];
	for (int32_t i = 0; i < b->n_labels; i++)
		b->label_weight[i] = b->group_weight[b->doc_group[b->label_doc[i]]];
}
