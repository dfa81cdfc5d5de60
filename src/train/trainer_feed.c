/* trainer_feed: the run's own rows for an adapter that begins by them (adapter_feed), before anything is planned: what
 * it becomes decides how much is trained. The micro-batches of the run's steps, in their order, go through the model
 * with nothing over it; of an epoch at most, then from the first again. Memory of that pass is taken and given back
 * here, its time is the opening's. */
#include "base/human.h"
#include "base/mem.h"
#include "model/resident.h"
#include "train/trainer_parts.h"

struct feeding {
	struct trainer *trainer;
	struct forest_options forest;
	struct dry_run dry;
	struct model_pass pass;
	const struct document **docs;      /* [trainer_global_batch] of the step */
	size_t n, at;                      /* of them; those that were fed */
	long step, steps;
	struct adapter_feed feed;
};

/* Each learnt token, or each, is a label of its own row; what repeats is computed once. */
static struct forest_options forest_of(const struct trainer *t, bool learnt)
{
	const struct objective *o = t->objective.row;

	return (struct forest_options){ .max_tokens = t->forest.max_tokens, .own_rows = true,
		                        .share = !t->model->config.arch->encoder,
		                        .all_targets = !learnt || o->labelled || o->masked };
}

static int check_memory(const struct trainer *t, size_t bytes, struct err *e)
{
	size_t limit = t->recipe.memory ? t->recipe.memory : mem_rss() + mem_available();
	char a[32], b[32];

	if (mem_rss() + bytes <= limit)
		return 0;
	return err_set(e, "the adapter begins by the rows, which wants %s of memory beside %s that are taken; a "
	                  "smaller --micro-batch-tokens needs less", human_bytes(bytes, a), human_bytes(mem_rss(), b));
}

static int begin(void *ctx, const struct overlay *watching, bool learnt, struct err *e)
{
	struct feeding *f = ctx;
	struct trainer *t = f->trainer;

	f->forest = forest_of(t, learnt);
	if (order_walk(t, &f->forest, NULL, &f->dry, e) < 0)
		return -1;
	f->steps = MIN(t->schedule.steps, order_steps_per_epoch(t));
	f->feed.n = (size_t)f->dry.most_micro * (size_t)f->steps;
	f->docs = mem_array(trainer_global_batch(t), sizeof(*f->docs));
	model_pass_begin(&f->pass, t->device, &f->dry.cap, t->model, watching, false);
	f->pass.result = graph_hidden(&f->pass.graph);
	if (pass_plan(&f->pass.pass, NULL, e) < 0 || check_memory(t, pass_bytes(&f->pass.pass), e) < 0)
		return -1;
	return model_pass_start(&f->pass, NULL, e);
}

static int next(void *ctx, struct err *e)
{
	struct feeding *f = ctx;
	struct trainer *t = f->trainer;
	struct batch *b = &f->pass.pass.batch;
	struct batch_cap need = { 0 };
	struct live live = { 0 };
	int64_t tokens = 0;

	if (f->at == f->n) {
		f->n = order_step(t, f->step++ % f->steps, NULL, f->docs);
		f->at = 0;
	}
	size_t n = forest_take(f->docs + f->at, f->n - f->at, &f->forest, &need, &live, &tokens);
	forest_fill(b, f->docs + f->at, n, &f->forest);
	f->at += n;
	if (pass_step(&f->pass.pass) < 0)
		return err_set(e, "interrupted while the adapter began by the rows");
	live = batch_live(b);
	struct work w = pass_work(&f->pass.pass, &live);
	t->fed.flops += w.flops;
	t->fed.int_ops += w.int_ops;
	return 0;
}

/* All that decides which rows come, and what the model makes of them. */
static char *key_of(const struct trainer *t)
{
	const struct recipe *r = &t->recipe;

	return mem_printf("%s %s %s %s %s %g %lld %zu %ld %d", t->model_hash, t->train.hash, t->replay.rows.hash,
	                  compute_name(t->model->compute), dtypes[t->model->in_4bit].name, r->replay_ratio,
	                  (long long)r->seed, t->global, MIN(t->schedule.steps, order_steps_per_epoch(t)),
	                  t->forest.max_tokens);
}

int trainer_feed(struct trainer *t, struct err *e)
{
	struct feeding f = { .trainer = t };

	if (!t->has_adapter || !t->adapter.by_rows)
		return 0;
	f.feed = (struct adapter_feed){ .begin = begin, .next = next, .ctx = &f, .pool = t->pool,
		                        .kernels = t->kernels, .key = key_of(t) };
	int status = adapter_feed(&t->adapter, t->model, &f.feed, e);
	model_pass_release(&f.pass);
	mem_free(f.docs);
	mem_free(f.feed.key);
	model_forget(t->model);
	return status;
}
