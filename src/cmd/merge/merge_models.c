/* merge_models: several whole models become one. linear and slerp go between MODEL and those of --with; all others add
 * up what --with's models, and with --base MODEL too, changed of their base. */
#include "cmd/merge/merge_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/combine_models.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"

struct merging {
	struct app *app;
	const struct merge *o;
	struct loaded l;               /* MODEL, from which all but the numbers is taken */
	struct model others[COMBINE_MODELS_MOST + 1];
	size_t n_others;               /* opened: those of --with, then the base */
	const struct model *models[COMBINE_MODELS_MOST + 1];
	const char *names[COMBINE_MODELS_MOST + 1];
	double *weights;
	struct combine_models c;
	struct effect effect;
	struct effect_forecast each;   /* of measuring it once */
	bool opened;
};

static int open_other(struct merging *m, const char *path, struct err *e)
{
	if (model_open(&m->others[m->n_others], path, e) < 0)
		return -1;
	m->n_others++;
	metering_in("model", path, NULL);
	return 0;
}

static int check_sum(const struct merging *m, struct err *e)
{
	double sum = 0;

	for (size_t i = 0; i < m->c.n; i++)
		sum += m->weights[i];
	if (!m->c.how.normalize || fabs(sum) >= 1e-8)
		return 0;
	return err_set(e, "--weights %s add up to 0, by which %s divides: nothing would be left; --normalize false "
	                  "takes them as they are", m->o->weights, m->c.how.how->name);
}

static int open_all(struct merging *m, const char *model, struct err *e)
{
	const struct merge *o = m->o;
	const char *type = o->chosen ? o->combination : "linear";
	const struct combination *how = combination_find(type);
	bool straight = !strcmp(how->name, "linear") || !strcmp(how->name, "slerp");
	size_t n = 0;

	if (!how->models)
		return err_set(e, "--combination-type %s is of adapters, not of whole models (--with)", how->name);
	if (straight && o->base)
		return err_set(e, "%s goes between the models themselves: --base is of the other types", type);
	if (o->with.n > COMBINE_MODELS_MOST - 1)
		return err_set(e, "%zu models, at most %d go together", o->with.n + 1, COMBINE_MODELS_MOST);
	if (loaded_open_alone(&m->l, model, e) < 0)
		return -1;
	m->opened = true;
	if (straight || o->base) {
		m->names[n] = model;
		m->models[n++] = &m->l.model;
	}
	for (size_t i = 0; i < o->with.n; i++) {
		if (open_other(m, o->with.items[i], e) < 0)
			return -1;
		m->names[n] = o->with.items[i];
		m->models[n++] = &m->others[i];
	}
	if (o->base && open_other(m, o->base, e) < 0)
		return -1;
	if (!(m->weights = merge_weights(o, n, straight ? 0.5 : 1, e)))
		return err_prefix(e, straight || o->base ? "of MODEL and of each --with" :
		                                           "of each --with, MODEL being their base");
	const struct model *base = o->base ? &m->others[o->with.n] : &m->l.model;
	m->c = (struct combine_models){ .base = straight ? NULL : base,
		                        .base_name = o->base ? o->base : model,
		                        .models = m->models, .names = m->names, .weights = m->weights, .n = n,
		                        .how = merge_how(o, how) };
	m->c.how.rules = RULES_MERGEKIT;
	m->c.how.normalize = !strcmp(o->normalize, "true");
	if (!strcmp(o->normalize, "auto"))
		m->c.how.normalize = !strcmp(how->name, "linear") || !strcmp(how->name, "ties");
	return straight && check_sum(m, e) < 0 ? -1 : combine_models_begin(&m->c, e);
}

static void besides(void *ctx, struct predicted *p)
{
	const struct merging *m = ctx;

	snprintf(p->kind + strlen(p->kind), sizeof(p->kind) - strlen(p->kind), " on rows");
	effect_predict(p, &m->each, &m->each, 1, 0);
	/* what is measured is opened again, when what was merged of is not needed any more */
	predict_part(p, "work", fmax((double)m->each.bytes - (double)combine_models_bytes(&m->c), 0), "activations");
}

static int write_all(struct merging *m, struct err *e)
{
	struct export_weights weights = { .get = combine_models_weight, .ctx = &m->c };
	size_t more = combine_models_bytes(&m->c);

	for (size_t i = 0, owned; i < m->n_others; i++) {
		more += model_read_bytes(&m->others[i], &(struct model_reads){ .token = NULL }, &owned);
		more += owned;
	}
	struct model_writing w = { .l = &m->l, .what = "merge models", .out = m->o->out, .weights = &weights,
		                   .more = more, .besides = m->effect.n ? besides : NULL, .ctx = m,
		                   .dtype = m->o->dtype ? dtype_from_name(m->o->dtype) : -1 };
	return model_write(m->app, &w, e);
}

/* What is measured is opened for it alone: MODEL, and then what was written of it, as others will have it. each: only
 * how long that will take. */
static int measure(struct merging *m, const char *path, bool after, struct effect_forecast *each, struct err *e)
{
	struct loaded l;

	if (loaded_open_alone(&l, path, e) < 0)
		return -1;
	int status = model_want_causal(&l.model, e) < 0 ? -1 :
	             model_compute(m->app, &l.model, m->o->compute, PREPARE_SCORE, e);
	if (status == 0)
		status = each ? effect_foresee(each, &m->effect, m->app, m->o, &l, e) :
		                effect_measure(&m->effect, m->app, m->o, &l, after, e);
	loaded_close(&l);
	return status;
}

static void report(struct merging *m, double seconds)
{
	json_t *weights = json_array(), *effect = m->o->eval_data.n ? effect_report(m->app, &m->effect) : json_null();
	char time[32];

	for (size_t i = 0; i < m->c.n; i++)
		json_array_append_new(weights, json_real(m->weights[i]));
	metering_out("result", m->o->out);
	app_summary(m->app, json_pack("{s:o, s:s, s:o, s:o, s:f}", "out", jsonx_path(m->o->out),
	                              "combination_type", m->c.how.how->name, "weights", weights, "effect", effect,
	                              "seconds", seconds));
	clock_human(seconds, time);
	if (!m->app->json)
		log_say("%s: %zu models as one (%s), in %s", m->o->out, m->c.n + (m->c.base != NULL),
		        m->c.how.how->name, time);
}

static int run_all(struct merging *m, const char *model, struct err *e)
{
	double began = clock_seconds();

	if (effect_open(&m->effect, m->o, e) < 0 || open_all(m, model, e) < 0 ||
	    (m->effect.n && measure(m, model, false, &m->each, e) < 0) || write_all(m, e) < 0 ||
	    (m->effect.n && (measure(m, model, false, NULL, e) < 0 || measure(m, m->o->out, true, NULL, e) < 0)))
		return -1;
	report(m, clock_seconds() - began);
	return 0;
}

int merge_models(struct app *app, const struct merge *o, const char *model, struct err *e)
{
	struct merging m = { .app = app, .o = o };
	int status = run_all(&m, model, e);

	combine_models_end(&m.c);
	for (size_t i = 0; i < m.n_others; i++)
		model_close(&m.others[i]);
	if (m.opened)
		loaded_close(&m.l);
	mem_free(m.weights);
	effect_close(&m.effect);
	return status;
}
