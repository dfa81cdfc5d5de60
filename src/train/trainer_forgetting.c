/* trainer_forgetting: what a run has made the model forget, measured without anybody's data.
 *
 *     before the first step   the model draws texts of its own (infer/own_texts.h)
 *     after the result        KL(before ‖ after) of each of their tokens (infer/divergence.h), both computed anew
 *     forgetting_kl           the mean over tokens; its standard error is of texts, which are the independent draws
 *
 * Before is the model without what was trained, read from its file again: an adapter is left out, of full tuning the
 * file's weights are taken. So nothing has to be kept meanwhile, and a run that goes on measures what one in one piece
 * does. Nothing of training is needed any more then: the steps' memory and the gradients have gone, and their place is
 * enough in most runs; the plan has the larger of the two.
 *
 * How many texts follows from the rows that the whole run computes, not from a clock, so that every machine measures
 * the same: SHARE of the rows, at least LEAST_TOKENS and LEAST_TEXTS, at most MOST_TEXTS. */
#include <math.h>

#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "eval/statistics.h"
#include "model/resident.h"
#include "train/trainer_parts.h"

enum { SHARE = 200, LEAST_TOKENS = 512, LEAST_TEXTS = 8, MOST_TEXTS = 128 };

/* --- the plan --- */

/* Tokens of a text that are looked at: what an adapter's virtual tokens leave of the positions. */
static int32_t length_of(const struct trainer *t)
{
	return MIN(own_texts_length(t->model), t->model->config.n_ctx - overlays_virtual(t->overlay));
}

/* Why there is nothing to compare, or NULL. */
static const char *impossible(const struct trainer *t)
{
	return t->objective.row->labelled ? "the model tells labels, and has no head that predicts tokens" :
	       t->objective.row->masked ? "an encoder writes no texts of its own" :
	       length_of(t) < 2 ? "there is no room for two tokens" : NULL;
}

static size_t texts_wanted(const struct trainer *t)
{
	int64_t tokens = MAX(t->dry.all_rows / SHARE, (int64_t)LEAST_TOKENS), each = length_of(t) - 1;

	return (size_t)MIN(MAX((tokens + each - 1) / each, (int64_t)LEAST_TEXTS), (int64_t)MOST_TEXTS);
}

/* Documents of the texts, whose ids come at the start; until then any stand for them. */
static void make_documents(struct forgetting *f, const struct trainer *t)
{
	size_t length = (size_t)length_of(t), V = (size_t)t->model->config.V;

	f->n = texts_wanted(t);
	f->docs = mem_array(f->n, sizeof(*f->docs));
	f->list = mem_array(f->n, sizeof(*f->list));
	f->learn = mem_array(length, 1);
	f->pretended = mem_array(f->n * length, sizeof(*f->pretended));
	for (size_t k = 1; k < length; k++)
		f->learn[k] = 1;
	for (size_t i = 0; i < f->n; i++) {
		f->docs[i] = (struct document){ .ids = f->pretended + i * length, .learn = f->learn,
			                        .n = (int32_t)length, .n_learn = (int32_t)length - 1, .choice = -1,
			                        .adapter = -1 };
		for (size_t k = 0; k < length; k++)
			f->docs[i].ids[k] = (int32_t)((i + k * k) % V);
		f->list[i] = &f->docs[i];
	}
}

static int plan_drawing(struct trainer *t, struct err *e)
{
	struct own_texts_forecast draw;

	if (own_texts_forecast(&draw, t->model, t->model_hash, t->device, t->forgetting.n, e) < 0)
		return -1;
	t->forgetting.draw_bytes = draw.bytes;
	t->forgetting.draw_seconds = draw.seconds;
	t->forgetting.planned = draw.work;
	return 0;
}

static int plan_comparing(struct trainer *t, struct err *e)
{
	struct forgetting *f = &t->forgetting;
	struct scorer_forecast both;

	if (divergence_new(&f->divergence, t->model, trainer_under(t), t->overlay, t->device, length_of(t), e) < 0 ||
	    divergence_forecast(f->divergence, f->list, f->n, &both, e) < 0)
		return -1;
	f->bytes = both.bytes;
	f->seconds = both.seconds + (both.bytes ? (double)both.bytes / both.touch_rate : 0);
	f->planned.flops += both.flops;
	f->planned.int_ops += both.int_ops;
	return 0;
}

/* --retain: each side by a scorer of its own, one after the other, when the texts are done. */
static int plan_retained(struct trainer *t, struct err *e)
{
	struct forgetting *f = &t->forgetting;
	const struct dataset *d = &t->retain;
	struct scorer_options o = { .max_tokens = (int32_t)t->recipe.micro_batch_tokens, .max_length = t->max_length };
	struct scorer_forecast side;

	for (int i = 0; i < 2 && d->documents.n; i++) {
		if (scorer_new(&f->side[i], t->model, i ? t->overlay : trainer_under(t), t->device, &o, e) < 0 ||
		    scorer_forecast(f->side[i], d->pointer, d->documents.n, false, &side, e) < 0)
			return -1;
		f->bytes = MAX(f->bytes, side.bytes);
		f->seconds += side.seconds;
		f->planned.flops += side.flops;
		f->planned.int_ops += side.int_ops;
	}
	return 0;
}

int trainer_plan_forgetting(struct trainer *t, struct err *e)
{
	struct forgetting *f = &t->forgetting;
	const char *why = impossible(t);
	size_t owned;

	if (!t->recipe.forgetting)
		return 0;
	if (why) {
		log_say("what is forgotten is not measured: %s", why);
		return 0;
	}
	make_documents(f, t);
	f->weights_bytes = model_read_bytes(t->model, &(struct model_reads){ 0 }, &owned) + owned;
	if (plan_drawing(t, e) < 0 || plan_comparing(t, e) < 0 || plan_retained(t, e) < 0)
		return err_prefix(e, "the measure of forgetting (--no-forgetting leaves it out)");
	if (safety_plan(t, e) < 0)
		return err_prefix(e, "the measure of refusals (--no-safety leaves it out)");
	f->bytes = MAX(f->bytes, t->safety.bytes);
	f->seconds += t->safety.seconds;
	f->planned.flops += t->safety.planned.flops;
	f->planned.int_ops += t->safety.planned.int_ops;
	return 0;
}

void trainer_settle_forgetting(struct trainer *t, size_t need, size_t limit)
{
	struct forgetting *f = &t->forgetting;
	struct trainer_plan *p = &t->totals;
	char a[32], b[32];

	if (f->n && need > limit) {
		log_say("what is forgotten is not measured: that needs %s of memory, the limit is %s",
		        human_bytes(need, a), human_bytes(limit, b));
		forgetting_release(f);
		*f = (struct forgetting){ 0 };
		safety_release(&t->safety);
	}
	if (!f->n)
		return;
	p->forgetting_tokens = (int64_t)f->n * f->docs[0].n_learn;
	p->forgetting_seconds = f->seconds;
	p->safety_pairs = t->safety.n;
	p->drawing_seconds = f->draw_seconds;
	p->start_seconds += f->draw_seconds;
	p->planned_flops += f->planned.flops;
	p->planned_int_ops += f->planned.int_ops;
}

/* --- before and after --- */

int trainer_draw_own_texts(struct trainer *t, struct err *e)
{
	struct forgetting *f = &t->forgetting;

	if (!f->n)
		return 0;
	if (own_texts_get(&f->texts, t->model, t->model_hash, t->device, f->n, t->interrupted, e) < 0)
		return -1;
	for (size_t i = 0; i < f->n; i++)
		f->docs[i].ids = f->texts.ids + i * (size_t)f->texts.length;
	mem_free(f->pretended);
	f->pretended = NULL;
	model_forget(t->model); /* pages that the steps do not read */
	return 0;
}

bool trainer_has_forgetting(const struct trainer *t) { return t->forgetting.n > 0; }

struct look { bool (*interrupted)(void); bool stopped; };

static int look(void *ctx, size_t done, size_t total)
{
	struct look *w = ctx;
	(void)done;
	(void)total;

	w->stopped |= w->interrupted && w->interrupted();
	return w->stopped ? -1 : 0;
}

/* Of rows with choices: whether the likeliest, the first of equals, is the gold one, NaN where one is no number; how
 * many rows. */
static size_t find_hits(const struct documents *d, const double *sum, double *hit)
{
	size_t n = 0;

	for (size_t i = 0, best; i < d->n; n++) {
		bool known = true;
		best = i;
		do {
			best = sum[i] > sum[best] ? i : best;
			known &= !isnan(sum[i]);
		} while (++i < d->n && d->items[i].choice > 0);
		hit[n] = known ? d->items[best].gold : NAN;
	}
	return n;
}

/* sum: of before and after; both lists are changed. */
static void summarize_retained(const struct documents *d, double *before, double *after, struct retain_metrics *r)
{
	double *count = mem_array(d->n, sizeof(*count)), *hit[2];
	struct estimate change;

	*r = (struct retain_metrics){ .n = d->n, .choices = d->items[0].choice >= 0 };
	for (int k = 0; k < 2; k++) {
		double *sum = k ? after : before;
		hit[k] = mem_array(d->n, sizeof(*hit[k]));
		for (size_t i = 0; i < d->n; i++)
			count[i] = d->items[i].n_learn;
		if (r->choices)
			r->n = find_hits(d, sum, hit[k]);
		*(k ? &r->after : &r->before) =
			r->choices ? estimate_mean(hit[k], r->n).mean : estimate_perplexity(sum, count, d->n).mean;
	}
	for (size_t i = 0; i < d->n; i++)
		after[i] = r->choices ? hit[1][i] - hit[0][i] : after[i] - before[i];
	change = r->choices ? estimate_mean(after, r->n) : estimate_perplexity_ratio(after, count, d->n);
	r->change = change.mean;
	r->change_stderr = change.stderr_;
	r->low = change.low;
	r->high = change.high;
	mem_free(count);
	mem_free(hit[0]);
	mem_free(hit[1]);
}

static int measure_retained(struct trainer *t, struct retain_metrics *r, struct look *w, struct err *e)
{
	struct forgetting *f = &t->forgetting;
	const struct dataset *d = &t->retain;
	double *sum[2];
	int status = 0;

	*r = (struct retain_metrics){ 0 };
	if (!f->side[0])
		return 0;
	divergence_free(f->divergence); /* their memory is for these now */
	f->divergence = NULL;
	for (int i = 0; i < 2; i++) {
		sum[i] = mem_array(d->documents.n, sizeof(*sum[i]));
		if (!status)
			status = scorer_run(f->side[i], d->pointer, d->documents.n, false, sum[i], NULL, look, w, e);
		f->work.flops += scorer_flops(f->side[i]);
		f->work.int_ops += scorer_int_ops(f->side[i]);
		scorer_free(f->side[i]);
		f->side[i] = NULL;
	}
	if (!status)
		summarize_retained(&d->documents, sum[0], sum[1], r);
	mem_free(sum[0]);
	mem_free(sum[1]);
	return status;
}

static void summarize(const struct forgetting *f, const double *sum, struct forgetting_metrics *m)
{
	double *mean = mem_array(f->n, sizeof(*mean));

	for (size_t i = 0; i < f->n; i++)
		mean[i] = sum[i] / f->docs[i].n_learn;
	struct estimate e = estimate_mean(mean, f->n);
	*m = (struct forgetting_metrics){ .kl = e.mean, .kl_stderr = e.stderr_, .low = e.low < 0 ? 0 : e.low,
		                          .high = e.high, .tokens = (int64_t)f->n * f->docs[0].n_learn };
	mem_free(mean);
}

int trainer_forgetting(struct trainer *t, struct forgetting_metrics *m, bool (*interrupted)(void), bool *stopped,
                       struct err *e)
{
	struct forgetting *f = &t->forgetting;
	struct look w = { .interrupted = interrupted };
	double *sum = mem_array(f->n, sizeof(*sum));

	if (!t->started || !f->n)
		BUG("what a run has forgotten before it began");
	pass_stop(&t->net.pass);
	grad_tree_release(&t->gradients);
	int status = zero3_gather(t, e);
	if (!status)
		status = divergence_run(f->divergence, f->list, f->n, sum, look, &w, e);
	f->work = (struct work){ divergence_flops(f->divergence), divergence_int_ops(f->divergence) };
	if (!status)
		summarize(f, sum, m);
	if (!status)
		status = measure_retained(t, &m->retained, &w, e);
	if (status)
		*stopped = w.stopped || stop_asked();
	divergence_free(f->divergence); /* others beside it come to their end after it */
	f->divergence = NULL;
	if (!status)
		status = safety_measure(t, &m->safety, interrupted, stopped, e);
	zero3_scatter(t);
	mem_free(sum);
	return status;
}

void forgetting_release(struct forgetting *f)
{
	divergence_free(f->divergence);
	scorer_free(f->side[0]);
	scorer_free(f->side[1]);
	own_texts_release(&f->texts);
	mem_free(f->docs);
	mem_free(f->list);
	mem_free(f->learn);
	mem_free(f->pretended);
}
