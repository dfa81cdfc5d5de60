/* trainer_steer: what a caller with a loop of its own may decide between steps: the next step's learning rate, and how
 * much documents count.
 *
 *     loss of a step = −Σ weight(document) · log p / Σ weight(document)      over the supervised tokens of its global
 * batch
 *
 * so equal weights of any size are the loss without weights, and weights of 1 are its bits. Neither is part of a
 * checkpoint: whoever steers a run steers its continuation. */
#include "base/mem.h"
#include "train/trainer_parts.h"

void trainer_set_learning_rate(struct trainer *t, double rate) { t->next_rate = rate; }

size_t trainer_documents(const struct trainer *t) { return t->train.documents.n; }
const struct document *trainer_document(const struct trainer *t, size_t i) { return &t->train.documents.items[i]; }
size_t trainer_global_batch(const struct trainer *t) { return t->global; }

size_t trainer_next(const struct trainer *t, const struct document **out)
{
	return trainer_done(t) ? 0 : order_global_batch(t, t->step, out);
}

void trainer_set_weight(struct trainer *t, size_t document, float weight)
{
	size_t n = t->train.documents.n;

	if (document >= n || !(weight >= 0))
		BUG("weight %g of document %zu of %zu", (double)weight, document, n);
	if (!t->weights) {
		t->weights = mem_array(n, sizeof(*t->weights));
		for (size_t i = 0; i < n; i++)
			t->weights[i] = 1;
	}
	t->weights[document] = weight;
}

/* docs are those that b was filled with. */
double trainer_weigh(const struct trainer *t, struct batch *b, const struct document *const *docs)
{
	double sum = 0;

	if (!t->weights)
		return b->n_labels;
	for (int32_t i = 0; i < b->n_labels; i++) {
		b->label_weight[i] = t->weights[docs[b->label_doc[i]] - t->train.documents.items];
		sum += (double)b->label_weight[i];
	}
	return sum;
}
