/* merge_adapters: several adapters become one, by weights that are given or searched on rows.
 *
 * The search is a walk by halves: from the weights that are given each is tried 0.5 up and down, then 0.25, then 0.125,
 * and what is better on the rows stays. The score that it ends with was chosen on these rows, and is said to be. */
#include "cmd/merge/merge_parts.h"

#include <string.h>

#include "adapt/combine.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapter_writing.h"
#include "cmd/metering.h"

#define LOOSE 0.2                      /* by how much a module takes longer than another of its size */

struct merging {
	struct app *app;
	const struct merge *o;
	struct loaded l;               /* the model; its adapter is the result */
	struct adapter *adapters;
	struct change *changes;        /* [n] */
	double *given, *weights;       /* of --weights; of each that is merged */
	size_t n;
	struct combine combine;
	struct combined result;
	struct effect effect;
	struct effect_forecast alone, with;    /* of the model alone, of it with an adapter */
	size_t tries;
};

/* A search tries at least one round of each step, at most three, each weight up and down; the first and the last are
 * made besides. */
static int plan(void *ctx, const struct combine_forecast *f, struct err *e)
{
	struct merging *m = ctx;
	size_t round = 3 * 2 * m->n, most = m->o->search ? 2 + 3 * round : 1;
	double spare = m->o->search ? 2 * (double)round : 0;
	struct predicted p;

	predict_begin(&p, "merge adapters%s", m->o->search ? " searched" : m->effect.n ? " on rows" : "");
	if (m->effect.n)
		predict_phase(&p, "start", loaded_predict(&m->l, &p, &(struct model_reads){ .token = NULL },
		                                          MAX(m->alone.bytes, m->with.bytes), 0, "activations"));
	else
		predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, adapters, what they become");
	predict_phase(&p, "combining", f->left + (m->o->search ? (double)most * f->seconds : 0));
	p.loose_seconds = LOOSE * p.phase[p.n_phases - 1].amount;
	p.spare_seconds = spare * f->seconds;
	if (m->effect.n)
		effect_predict(&p, &m->alone, &m->with, (double)most, spare);
	adapter_predict_writing(&p, f->numbers);
	return planned(m->app, &p, NULL, e);
}

static void add(struct merging *m, const struct adapter *a, const char *path, double weight)
{
	m->adapters = mem_grow(m->adapters, m->n + 1, sizeof(*m->adapters));
	m->changes = mem_grow(m->changes, m->n + 1, sizeof(*m->changes));
	m->weights = mem_grow(m->weights, m->n + 1, sizeof(*m->weights));
	m->adapters[m->n] = *a;
	m->weights[m->n] = weight;
	m->changes[m->n++] = (struct change){ .name = path };
}

/* A chain is as many adapters as lie over each other, with one weight. */
static int open_one(struct merging *m, const char *path, double weight, struct err *e)
{
	struct adapter a;

	if (adapter_load(&a, path, &m->l.model, e) < 0)
		return -1;
	metering_in("adapter", path, NULL);
	for (struct adapter *parent; (parent = adapter_unchain(&a)); mem_free(parent)) {
		add(m, &a, path, weight);
		a = *parent;
	}
	add(m, &a, path, weight);
	return 0;
}

static int open_all(struct merging *m, const char *model, struct err *e)
{
	const struct opt_list *paths = &m->o->adapters;
	const struct combination *how = combination_find(m->o->combination);

	if (how->of == OF_MODELS_ALONE)
		return err_set(e, "--combination-type %s is of models (--with), not of adapters", how->name);
	if (!(m->given = merge_weights(m->o, paths->n, 1, e)) ||
	    loaded_open_4bit(&m->l, m->app, &m->o->four_bit, model, NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < paths->n; i++)
		if (open_one(m, paths->items[i], m->given[i], e) < 0)
			return -1;
	for (size_t i = 0; i < m->n; i++)
		m->changes[i].adapter = &m->adapters[i];
	m->combine = (struct combine){ .model = &m->l.model, .changes = m->changes, .n = m->n,
		                       .how = merge_how(m->o, how), .interrupted = app_interrupted,
		                       .progress = adapter_watch, .planned = plan, .ctx = m,
		                       .svd_rank = m->o->svd_rank == OPT_UNSET_INT ? 0 : (size_t)m->o->svd_rank };
	return 0;
}

static void drop_result(struct merging *m)
{
	if (m->l.has_adapter)
		adapter_release(&m->l.adapter);
	m->l.has_adapter = false;
}

/* By m->weights, into m->l.adapter. */
static int combine(struct merging *m, struct err *e)
{
	drop_result(m);
	for (size_t i = 0; i < m->n; i++)
		m->changes[i].weight = m->weights[i];
	int status = combine_adapters(&m->l.adapter, &m->result, &m->combine, e);
	log_live_end();
	if (status < 0)
		return -1;
	m->combine.planned = NULL; /* which it is once */
	m->l.has_adapter = true;
	return 0;
}

static void tell(const struct merging *m, double gain)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < m->n; i++)
		buf_addf(&text, "%s%g", i ? "," : "", m->weights[i]);
	log_say("try %zu: --weights %s: %+.4f", m->tries, buf_str(&text), gain);
	buf_release(&text);
}

static int gain_of(struct merging *m, double *gain, struct err *e)
{
	if (combine(m, e) < 0 || effect_measure(&m->effect, m->app, m->o, &m->l, true, e) < 0)
		return -1;
	*gain = effect_gain(&m->effect);
	m->tries++;
	tell(m, *gain);
	return 0;
}

/* Weight i a step up and a step down; true where that was better, *best being how good. */
static int try_both(struct merging *m, size_t i, double step, double *best, bool *better, struct err *e)
{
	double from = m->weights[i], gain, stays = from;

	for (int side = 1; side >= -1; side -= 2) {
		m->weights[i] = from + side * step;
		if (gain_of(m, &gain, e) < 0)
			return -1;
		if (gain > *best) {
			*best = gain;
			stays = m->weights[i];
			*better = true;
		}
	}
	m->weights[i] = stays;
	return 0;
}

static int search(struct merging *m, struct err *e)
{
	double best;

	if (gain_of(m, &best, e) < 0)
		return -1;
	for (double step = 0.5; step >= 0.125; step /= 2) {
		bool better = true;
		for (int round = 0; round < 3 && better; round++) {
			better = false;
			for (size_t i = 0; i < m->n; i++)
				if (try_both(m, i, step, &best, &better, e) < 0)
					return -1;
		}
	}
	return gain_of(m, &best, e); /* what stays is made and measured last */
}

static void report(struct merging *m, double seconds)
{
	const struct merge *o = m->o;
	json_t *weights = json_array(), *effect = o->eval_data.n ? effect_report(m->app, &m->effect) : json_null();
	char time[32];

	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(weights, json_real(m->weights[i]));
	metering_out("result", o->out);
	app_summary(m->app, json_pack("{s:o, s:s, s:o, s:I, s:I, s:f, s:I, s:o, s:f}", "out", jsonx_path(o->out),
	                              "combination_type", o->combination, "weights", weights, "r",
	                              (json_int_t)m->result.rank, "modules", (json_int_t)m->result.modules,
	                              "svd_error", m->result.error, "tries", (json_int_t)m->tries, "effect", effect,
	                              "seconds", seconds));
	if (o->search)
		log_say("these weights were chosen on the rows of --eval-data: what others will see is somewhat less");
	if (m->app->json)
		return;
	clock_human(seconds, time);
	log_say("%s: %zu adapters as one LoRA of rank %zu on %zu modules (%s), in %s", o->out, m->n,
	        m->result.rank, m->result.modules, o->combination, time);
	if (m->combine.how.how->of == OF_PRODUCT)
		log_say("the cut to that rank is off by %.3g of the whole (Frobenius norm)", m->result.error);
	if (m->result.left_out)
		log_warn("%zu norms and biases were changed as well, and a LoRA cannot hold them", m->result.left_out);
}

/* How long rows take: of the model alone, and with one of the adapters, which the result will be like. */
static int foresee(struct merging *m, struct err *e)
{
	struct loaded with;

	if (model_want_causal(&m->l.model, e) < 0 ||
	    model_compute(m->app, &m->l.model, m->o->compute, PREPARE_SCORE, e) < 0 ||
	    effect_foresee(&m->alone, &m->effect, m->app, m->o, &m->l, e) < 0)
		return -1;
	with = m->l;
	with.adapter = m->adapters[0];
	with.has_adapter = true;
	return effect_foresee(&m->with, &m->effect, m->app, m->o, &with, e);
}

static int measure(struct merging *m, struct err *e)
{
	m->l.has_adapter = false;
	int status = effect_measure(&m->effect, m->app, m->o, &m->l, false, e);
	m->l.has_adapter = true;
	if (status < 0)
		return -1;
	return m->o->search ? search(m, e) : effect_measure(&m->effect, m->app, m->o, &m->l, true, e);
}

static int run_all(struct merging *m, const char *model, struct err *e)
{
	double began = clock_seconds();

	if (adapter_dtype_fits(m->o->dtype, e) < 0 || effect_open(&m->effect, m->o, e) < 0 ||
	    open_all(m, model, e) < 0 || (m->effect.n && foresee(m, e) < 0))
		return -1;
	metering_phase("combine");
	if (combine(m, e) < 0 || (m->effect.n && measure(m, e) < 0) ||
	    adapter_write(m->app, &m->l, NULL, m->o->out, m->o->dtype, e) < 0)
		return -1;
	report(m, clock_seconds() - began);
	return 0;
}

int merge_adapters(struct app *app, const struct merge *o, const char *model, struct err *e)
{
	struct merging m = { .app = app, .o = o };
	int status = run_all(&m, model, e);

	if (m.changes)
		loaded_close(&m.l);
	for (size_t i = 0; i < m.n; i++)
		adapter_release(&m.adapters[i]);
	mem_free(m.adapters);
	mem_free(m.changes);
	mem_free(m.given);
	mem_free(m.weights);
	effect_close(&m.effect);
	return status;
}
