/* merge_effect: rows before and after, the same rows in both, so that what differs is the merge: the change of a row's
 * score, its mean and the interval of that (paired: a row that is hard is hard twice).
 *
 * A row's score is `acc` of choices, `exact_match` of answers, the mean log-probability of a token of texts. */
#include "cmd/merge/merge_parts.h"

#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "eval/evaluate.h"
#include "op/timing.h"

enum { WINDOW = 1024, MICRO_BATCH = 1024 };

int effect_open(struct effect *x, const struct merge *o, struct err *e)
{
	*x = (struct effect){ .of = mem_array(o->eval_data.n, sizeof(*x->of)) };
	for (; x->n < o->eval_data.n; x->n++) {
		struct effect_rows *r = &x->of[x->n];
		r->path = o->eval_data.items[x->n];
		if (rows_load(&r->rows, r->path, e) < 0)
			return -1;
		metering_in("data", r->path, r->rows.hash);
		if (!r->rows.n)
			return err_set(e, "%s holds no rows", r->path);
	}
	return 0;
}

void effect_close(struct effect *x)
{
	for (size_t i = 0; i < x->n; i++) {
		rows_release(&x->of[i].rows);
		mem_free(x->of[i].before);
		mem_free(x->of[i].after);
	}
	mem_free(x->of);
}

static const char *score_name(const struct effect_rows *r)
{
	switch (r->rows.shape->judged) {
	case JUDGED_CHOICES: return "acc";
	case JUDGED_TEXTS: return "log-probability of a token";
	default: return "exact_match";
	}
}

struct collecting { double *score; size_t n; struct effect_forecast *foreseen; bool known; };

static void collect(void *ctx, json_t *line)
{
	struct collecting *c = ctx;
	const json_t *acc = json_object_get(line, "acc"), *match = json_object_get(line, "exact_match");
	double tokens = json_number_value(json_object_get(line, "tokens"));

	if (acc || match)
		c->score[c->n++] = json_number_value(acc ? acc : match);
	else
		c->score[c->n++] = json_number_value(json_object_get(line, "logprob")) / fmax(tokens, 1);
}

static int watch(void *ctx, const struct evaluate_progress *p)
{
	(void)ctx;
	metering_tick();
	if (p->seconds > 2)
		log_live("%s: %.0f %%  %s", p->doing, 100.0 * (double)p->done / (double)p->total, metering_live());
	return app_interrupted();
}

/* When all is known that was asked for, evaluate need not go on. */
static int keep_forecast(void *ctx, const struct evaluate_forecast *f, struct err *e)
{
	struct collecting *c = ctx;

	c->foreseen->start_seconds = fmax(c->foreseen->start_seconds, f->start_seconds);
	c->foreseen->seconds += f->score_seconds + f->answer_seconds;
	c->foreseen->spare_seconds += f->spare_seconds;
	c->foreseen->flops += f->flops;
	c->foreseen->int_ops += f->int_ops;
	c->foreseen->bytes = MAX(c->foreseen->bytes, f->bytes);
	c->known = true;
	return err_set(e, "foreseen");
}

/* The scores into out, or how long they will take into foreseen. */
static int measure_one(struct effect_rows *r, struct app *app, const struct merge *o, struct loaded *l, double *out,
                       struct effect_forecast *foreseen, struct err *e)
{
	bool texts = r->rows.shape->judged == JUDGED_TEXTS;
	int32_t most = l->model.config.n_ctx, length = texts ? MIN(most, WINDOW) : most;
	struct collecting c = { .score = out, .foreseen = foreseen };
	struct evaluate_options eo = { .max_length = length, .stride = MAX(length / 2, 1),
		                       .micro_batch_tokens = MICRO_BATCH, .progress = watch, .detail = collect,
		                       .apply_chat_template = o->apply_chat_template, .ctx = &c,
		                       .planned = foreseen ? keep_forecast : NULL };
	struct evaluation v = { 0 };

	if (loaded_text(l, e) < 0 || (evaluate_wants_template(&r->rows, &eo) && !l->chat && loaded_chat(l, e) < 0))
		return -1;
	struct subject s = { &l->model, loaded_overlay(l), l->chat, app->device };
	int status = evaluate(&v, &s, &r->rows, &eo, e);
	if (status == 0 && !foreseen)
		metering_count(v.tokens, v.new_tokens, v.scored_tokens, v.flops, v.int_ops);
	if (c.known)
		status = 0;
	else if (status == 0 && c.n != r->rows.n)
		BUG("%zu scores of %zu rows", c.n, r->rows.n);
	evaluation_release(&v);
	log_live_end();
	return status;
}

int effect_measure(struct effect *x, struct app *app, const struct merge *o, struct loaded *l, bool after,
                   struct err *e)
{
	metering_phase("evaluate");
	for (size_t i = 0; i < x->n; i++) {
		double **to = after ? &x->of[i].after : &x->of[i].before;
		if (!*to)
			*to = mem_array(x->of[i].rows.n, sizeof(**to));
		if (measure_one(&x->of[i], app, o, l, *to, NULL, e) < 0)
			return -1;
	}
	return 0;
}

int effect_foresee(struct effect_forecast *f, struct effect *x, struct app *app, const struct merge *o,
                   struct loaded *l, struct err *e)
{
	*f = (struct effect_forecast){ 0 };
	for (size_t i = 0; i < x->n; i++)
		if (measure_one(&x->of[i], app, o, l, NULL, f, e) < 0)
			return -1;
	return 0;
}

void effect_predict(struct predicted *p, const struct effect_forecast *before, const struct effect_forecast *after,
                    double times, double spare)
{
	predict_phase(p, "evaluations", before->start_seconds + before->seconds + times * after->seconds);
	p->spare_seconds += before->spare_seconds + spare * after->seconds + (times - spare) * after->spare_seconds;
	p->loose_seconds = hypot(p->loose_seconds, (double)MAX(before->bytes, after->bytes) / TIMING_SLOW_RATE);
	predict_operations(p, before->flops + times * after->flops, before->int_ops + times * after->int_ops);
}

static struct estimate change_of(const struct effect_rows *r)
{
	double *d = mem_array(r->rows.n, sizeof(*d));

	for (size_t i = 0; i < r->rows.n; i++)
		d[i] = r->after[i] - r->before[i];
	struct estimate x = estimate_mean(d, r->rows.n);
	mem_free(d);
	return x;
}

double effect_gain(const struct effect *x)
{
	double sum = 0;

	for (size_t i = 0; i < x->n; i++)
		sum += change_of(&x->of[i]).mean;
	return sum / (double)MAX(x->n, (size_t)1);
}

json_t *effect_report(const struct app *app, const struct effect *x)
{
	json_t *list = json_array();

	for (size_t i = 0; i < x->n; i++) {
		const struct effect_rows *r = &x->of[i];
		struct estimate before = estimate_mean(r->before, r->rows.n), change = change_of(r),
				after = estimate_mean(r->after, r->rows.n);
		json_t *j = json_pack("{s:s, s:s, s:I}", "data", r->path, "score", score_name(r), "n",
		                      (json_int_t)r->rows.n);
		put_estimate(j, "before", &before);
		put_estimate(j, "after", &after);
		put_estimate(j, "change", &change);
		json_array_append_new(list, j);
		if (app->json)
			continue;
		bool chance = !isfinite(change.low) || (change.low <= 0 && change.high >= 0);
		app_print("%s: %s %.4f before, %.4f after: %+.4f (95 %%: %+.4f to %+.4f; %zu rows)%s\n", r->path,
		          score_name(r), before.mean, after.mean, change.mean, change.low, change.high, r->rows.n,
		          chance ? ", not more than chance" : "");
	}
	return list;
}
