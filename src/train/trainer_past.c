/* trainer_past: the beginning of all documents that activated LoRA leaves as the base has it (adapt/lora_invocation.c).
 * Its keys and values are constants of the run: they are computed once, at the start, and its tokens are no rows of any
 * micro-batch (forest_options.past, graph.past).
 *
 * It is as long as all documents begin alike, none of them is invoked and no row of it predicts what is learnt. The
 * objective must be one whose documents all go through the trainer's own pass. */
#include <string.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

/* Of document x, at most `most` tokens, those that it has in common with `like`. */
static int32_t common(const struct trainer *t, const struct document *like, const struct document *x, int32_t most)
{
	int32_t n = 0, learnt = 0;

	while (learnt < x->n && !x->learn[learnt])
		learnt++;
	most = MIN(most, MIN(learnt, x->n) - 1);
	most = MIN(most, overlays_invoked(t->overlay, x->adapter, x->ids, x->n));
	while (n < most && x->ids[n] == like->ids[n])
		n++;
	return x->adapter == like->adapter ? n : 0;
}

static int32_t common_of(const struct trainer *t, const struct documents *d, const struct document *like, int32_t most)
{
	for (size_t i = 0; i < d->n && most > 0; i++)
		most = common(t, like, &d->items[i], most);
	return most;
}

/* Whether a past may be, and the model has keys and values in all of its layers. */
static bool can_be(const struct trainer *t)
{
	const struct objective_run *o = &t->objective;
	struct err ignored = ERR_INIT;

	return overlays_invocations(t->overlay) && o->row == objective_find("sft") && !objective_rewrites(o) &&
	       !trainer_is_windows(t) && !(t->recipe.ewc > 0) && !overlays_virtual(t->overlay) &&
	       t->train.documents.n > 0 && past_keys_layers(t->model, &ignored) == t->model->config.n_layers;
}

void past_open(struct trainer *t)
{
	const struct document *like = t->train.documents.items;
	int32_t n = can_be(t) ? common_of(t, &t->train.documents, like, like->n) : 0;

	n = n > 0 ? common_of(t, &t->replay.documents, like, n) : 0;
	if (n <= 0)
		return;
	size_t numbers = past_keys_numbers(t->model, n);
	t->past = past_keys_at(t->model, n, mem_array(numbers, sizeof(*t->past.at)));
	mem_touch(t->past.at, numbers * sizeof(*t->past.at));
	t->forest.past = n;
	t->past_start_bytes = past_keys_bytes(&t->past, t->model, trainer_under(t), t->device);
}

size_t past_bytes(const struct trainer *t)
{
	return t->past.n ? past_keys_numbers(t->model, t->past.n) * sizeof(*t->past.at) : 0;
}

int past_begin(struct trainer *t, struct err *e)
{
	const int32_t *ids = t->past.n ? t->train.documents.items[0].ids : NULL;

	return ids ? past_keys_make(&t->past, t->model, trainer_under(t), t->device, ids, true, e) : 0;
}

bool past_same(const struct trainer *a, const struct trainer *b)
{
	const int32_t *x, *y;

	if (a->past.n != b->past.n || !a->past.n)
		return a->past.n == b->past.n;
	x = a->train.documents.items[0].ids;
	y = b->train.documents.items[0].ids;
	return !memcmp(x, y, (size_t)a->past.n * sizeof(*x));
}

void past_release(struct trainer *t)
{
	mem_free(t->past.at);
	t->past = (struct past_keys){ 0 };
}
