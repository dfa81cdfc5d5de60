/* shrink_rungs: how a rung's file is made. See cmd_shrink.c. */
#include "cmd/shrink/shrink.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/trial.h"
#include "infer/embed_settings.h"
#include "quant/gptq.h"
#include "quant/ranges.h"

#define MOMENTS_BYTES ((size_t)1 << 30) /* of what matrices are multiplied with, at a time */

const char *const rung_names[RUNGS] = { "round", "imatrix", "gptq", "learn" };

static int check_stop(struct err *e)
{
	metering_tick();
	return app_interrupted() || metering_over() ? err_set(e, "interrupted") : 0;
}

int32_t shrink_longest(const struct set *x)
{
	int32_t longest = 1;

	for (size_t i = 0; i < x->n; i++)
		longest = MAX(longest, x->items[i].n);
	return longest;
}

int shrink_imatrix(struct shrinking *s, struct err *e)
{
	struct importance sums;
	size_t n;
	int32_t longest = shrink_longest(&s->learn);

	int status = importance_begin(&sums, &s->source.model, s->app->device, longest, e);
	if (status == 0)
		status = importance_start(&sums, e);
	for (size_t i = 0; i < s->learn.n && status == 0; i++) {
		log_live("importance: %zu of %zu texts  %s", i, s->learn.n, metering_live());
		status = importance_add(&sums, &s->learn.items[i], e) < 0 || check_stop(e) < 0 ? -1 : 0;
	}
	log_live_end();
	if (status == 0) {
		const struct imatrix_sums *x = importance_sums(&sums, &n);
		struct imatrix_about about = { s->o->data ? s->o->data : "own texts", (uint32_t)s->learn.n,
			                       (uint32_t)longest };
		status = imatrix_write(s->imatrix, x, n, &about, e);
	}
	importance_end(&sums);
	return status;
}

static int before_matrix(void *ctx, const struct export_tensor *t, struct err *e)
{
	struct shrinking *s = ctx;
	(void)t;

	model_forget(&s->source.model);
	return check_stop(e);
}

static void put_keys(void *ctx, struct gguf_meta *meta)
{
	embed_settings_put_gguf(&((struct shrinking *)ctx)->source.model, meta);
}

size_t shrink_moments_bytes(const struct shrinking *s)
{
	return s->o->memory ? MIN(s->o->memory / 2, MOMENTS_BYTES) : MOMENTS_BYTES;
}

/* What the matrices from a layer on are multiplied with, of as many layers as there is room for. */
static int gather(struct shrinking *s, int layer, struct err *e)
{
	struct model *m = &s->source.model;

	moments_end(&s->moments);
	if (moments_begin(&s->moments, m, s->app->device, shrink_longest(&s->learn), layer,
	                  shrink_moments_bytes(s), e) < 0)
		return -1;
	for (size_t i = 0; i < s->learn.n; i++) {
		log_live("gptq: layers %d to %d of %d, %zu of %zu texts  %s", layer, s->moments.end - 1,
		         m->config.n_layers, i, s->learn.n, metering_live());
		if (moments_add(&s->moments, &s->learn.items[i], e) < 0 || check_stop(e) < 0)
			return -1;
	}
	log_live_end();
	return 0;
}

static int factors(void *ctx, const struct export_tensor *t, int expert, struct quantize_matrix *to, struct err *e)
{
	struct shrinking *s = ctx;
	const struct model *m = &s->source.model;
	int layer = (size_t)t->weight < m->n_weights ? m->weights[t->weight].layer : -1;

	if (layer < 0 || !gptq_writes(to->to))
		return 0;
	if ((layer < s->moments.first || layer >= s->moments.end) && gather(s, layer, e) < 0)
		return -1;
	to->factors = moments_factors(&s->moments, s->app->pool, t->weight, expert, e);
	return to->factors || s->moments.of[t->weight] < 0 ? 0 : -1;
}

int shrink_list(struct shrinking *s, const char *type, bool weighted, struct shrink_list *l, struct err *e)
{
	*l = (struct shrink_list){ .own = { .get = export_own, .ctx = &s->source.model } };
	l->how = (struct quantize_how){ .wish = &l->wish, .imatrix = weighted ? &l->imatrix : NULL,
		                        .imatrix_path = s->imatrix, .allow_requantize = true };
	quantize_model_wish(&l->wish, quant_mix_find(type, e), weighted, &s->source.model);
	if (weighted && imatrix_open(&l->imatrix, s->imatrix, e) < 0)
		return -1;
	if (quantize_model_list(&l->q, &s->source.model, &l->own, true, &l->how, e) == 0)
		return 0;
	imatrix_close(&l->imatrix);
	return -1;
}

void shrink_list_release(struct shrink_list *l)
{
	quantize_model_release(&l->q);
	imatrix_close(&l->imatrix);
}

int shrink_quantize(struct shrinking *s, const char *type, enum rung rung, const char *path, size_t *bytes,
                    struct err *e)
{
	struct shrink_list l;

	if (shrink_list(s, type, rung != RUNG_ROUND, &l, e) < 0)
		return -1;
	l.q.before = before_matrix;
	l.q.rounding = rung == RUNG_GPTQ ? factors : NULL;
	l.q.keys = put_keys;
	l.q.ctx = s;
	*bytes = l.q.list.bytes_to;
	int status = path ? quantize_model_write(&l.q, path, s->app->pool, e) : 0;
	shrink_list_release(&l);
	moments_end(&s->moments);
	return status;
}

static void show_training(void *ctx, const struct train_loop_progress *p)
{
	char left[32];
	(void)ctx;

	clock_human(p->seconds_left, left);
	log_live("learn: step %ld/%ld  KL %.4f  %s left  %s", p->step, p->steps, p->loss, left, metering_live());
}

static int set(struct opt_parse *p, const char *name, const char *value, struct err *e)
{
	return opt_assign(p, name, value, e) < 0 ? err_prefix(e, "--%s", name) : 0;
}

/* Whether the type's scales are learnt, so that training may begin as any file of it is. */
static bool learns_ranges(const char *type)
{
	struct err ignored;
	const struct quant_mix *m = quant_mix_find(type, &ignored);

	return m && ranges_of(m->dtype);
}

/* The rest is what tune has. */
int shrink_recipe(struct shrinking *s, const char *type, const char *from, const char *dir, struct recipe *r,
                  struct opt_parse *p, struct err *e)
{
	const struct shrink *o = s->o;
	bool ranges = learns_ranges(type);
	const char *const given[][2] = {
		{ "model", ranges && from ? from : s->model }, { "teacher", s->model },
		{ "data", o->data ? o->data : s->texts }, { "qat-range-learning", ranges ? "true" : "false" },
		{ "out", dir }, { "method", "full" }, { "objective", "distill" }, { "beta", "0" }, { "qat", type },
		{ "qat-imatrix", s->imatrix }, { "forgetting", "false" }, { "lr-scheduler-type", "cosine" },
	};
	*r = (struct recipe){ 0 };
	int status = opt_begin(p, recipe_opts, r, e);

	for (size_t i = 0; i < ARRAY_LEN(given) && status == 0; i++)
		status = set(p, given[i][0], given[i][1], e);
	if (status < 0)
		return -1;
	opt_put(p, "max-steps", (double)o->max_steps);
	opt_put(p, "per-device-train-batch-size", (double)o->batch_size);
	opt_put(p, "learning-rate", o->learning_rate);
	opt_put(p, "max-length", SHRINK_LENGTH);
	opt_put(p, "seed", (double)o->seed);
	r->memory = o->memory;
	if (recipe_resolve(r, e) < 0)
		return -1;
	recipe_settle(r, s->app->kernels);
	return 0;
}

/* The file nearest to the source among those of the type that were only rounded. */
static const char *nearest_file(const struct shrinking *s, const char *type)
{
	const struct step *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct step *x = &s->steps[i];
		if (x->rung < RUNG_LEARN && !strcmp(x->type, type) && (!best || x->a.kl.mean < best->a.kl.mean))
			best = x;
	}
	return best ? best->path : NULL;
}

/* The run, in a folder of its own, where its file is. */
int shrink_learn(struct shrinking *s, struct step *x, struct err *e)
{
	char *dir = mem_printf("%s/%s", s->work, x->type);
	struct trial_result done;
	struct opt_parse p = { 0 };
	struct recipe r;

	int status = shrink_recipe(s, x->type, nearest_file(s, x->type), dir, &r, &p, e);
	struct trial_options t = { .recipe = &r, .folder = TRIAL_EITHER, .part = "shrink", .log = &log_texts,
		                   .progress = show_training, .ctx = s };
	if (status == 0)
		status = trial_run(s->app, &t, &done, e);
	log_live_end();
	if (status == 0) {
		s->stopped = done.end != TRIAL_DONE;
		x->gas = done.whole;
		trial_result_release(&done);
	}
	opt_release(&p);
	mem_free(dir);
	return status;
}
