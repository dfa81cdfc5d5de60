/* probing: learners and the models under them. See probing.h. */
#include "cmd/probing.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/scoring.h"
#include "infer/labeller.h"

const char *const feature_pooling_names[] = { [FEATURES_LAST] = "last", [FEATURES_MEAN] = "mean" };

json_t *probing_facts(const char *model, const char *adapter, const struct frozen_options *how)
{
	json_t *j = json_object();

	if (!model)
		return j;
	json_object_set_new(j, "base_model_name_or_path", jsonx_path(model));
	json_object_set_new(j, "adapter", adapter ? jsonx_path(adapter) : json_null());
	json_object_set_new(j, "pooling", json_string(feature_pooling_names[how->pooling]));
	json_object_set_new(j, "apply_chat_template", json_boolean(how->apply_chat_template));
	json_object_set_new(j, "max_length", json_integer(how->max_length));
	return j;
}

/* --- opening --- */

static int open_model(struct probing *p, struct app *app, const char *model, const char *adapter, const char *compute,
                      struct err *e)
{
	if (loaded_open(&p->l, model, adapter, e) < 0)
		return -1;
	p->has_model = true;
	if (model_compute(app, &p->l.model, compute, PREPARE_SCORE, e) < 0 || loaded_text(&p->l, e) < 0)
		return -1;
	int32_t most = overlays_context(loaded_overlay(&p->l), &p->l.model);
	p->how.max_length = p->how.max_length > 0 ? MIN(p->how.max_length, most) : most;
	return 0;
}

int probing_open(struct probing *p, struct app *app, const char *dir, const char *compute, struct err *e)
{
	json_t *j = NULL;
	const char *model, *adapter;

	*p = (struct probing){ 0 };
	int status = learner_load(&p->learner, dir, &j, e);
	if (status == 0 && learner_reads_features(p->learner.kind)) {
		status = frozen_facts(&p->how, j, dir, &p->learner.layer, &model, &adapter, e);
		if (status == 0 && open_model(p, app, model, adapter, compute, e) < 0)
			status = err_prefix(e, "the model of %s", dir);
	}
	if (status == 0)
		metering_in("model", dir, NULL);
	json_decref(j);
	return status;
}

void probing_close(struct probing *p)
{
	frozen_close(&p->frozen);
	if (p->has_model)
		loaded_close(&p->l);
	learner_release(&p->learner);
}

/* --- rows --- */

static bool wants_template(const struct rows *r, bool apply)
{
	for (size_t i = 0; i < r->n; i++)
		if (asked_by_template(r->items[i].json, apply))
			return true;
	return false;
}

int probing_rows(struct probing *p, struct app *app, const struct rows *r, int32_t micro_batch_tokens, struct err *e)
{
	if (!p->has_model)
		return 0;
	if (!p->l.chat && wants_template(r, p->how.apply_chat_template) && loaded_chat(&p->l, e) < 0)
		return -1;
	p->how.micro_batch_tokens = micro_batch_tokens;
	frozen_close(&p->frozen);
	if (frozen_open(&p->frozen, &p->l.model, loaded_overlay(&p->l), p->l.chat, app->device, r, &p->how, e) < 0)
		return -1;
	if (p->frozen.n_cut)
		log_warn("%zu of %zu rows are longer than %d tokens and cut there", p->frozen.n_cut, r->n,
		         p->how.max_length);
	return 0;
}

int probing_planned(struct app *app, const struct loaded *l, const struct frozen *f, const char *command,
                    size_t bytes, const char *after, double seconds, struct err *e)
{
	const struct scoring s = { .docs = f->docs, .n = f->n, .unit = "row" };
	const struct scoring_plan plan = { .command = command, .phase = "features", .what = "activations, features",
		                           .bytes = bytes, .no_head = true, .writing = seconds, .after = after };

	return scoring_planned(&s, app, l, features_scorer(f->features), &plan, e);
}

int probing_features(float **out, struct frozen *f, size_t n_layers, struct err *e)
{
	struct scoring s = { .docs = f->docs, .n = f->n, .unit = "row" };

	*out = mem_array(f->n * n_layers * features_width(f->features) + 1, sizeof(**out));
	scoring_begin(&s);
	int status = frozen_run(f, *out, scoring_progress, &s, e);
	log_live_end();
	return status;
}

int probing_outputs(struct probing *p, struct app *app, const struct examples *rows, float *z, struct err *e)
{
	struct workshop on = { app->kernels, app->pool };
	struct examples x = *rows;
	float *features = NULL;
	int status = 0;

	if (p->has_model) {
		status = probing_features(&features, &p->frozen, 1, e);
		x.feature = features;
		x.n_layers = 1;
		x.layer = &p->learner.layer;
		x.width = features_width(p->frozen.features);
	}
	if (status == 0)
		status = learner_outputs(&p->learner, &x, &on, z, e);
	mem_free(features);
	return status;
}

/* --- use --- */

int probing_planned_use(struct probing *p, struct app *app, const char *command, double writing, struct err *e)
{
	struct predicted x;
	char *name = mem_printf("%s %s", command, learner_names[p->learner.kind]);

	if (p->has_model) {
		int status = probing_planned(app, &p->l, &p->frozen, name, 0, NULL, writing, e);
		mem_free(name);
		return status;
	}
	predict_begin(&x, "%s", name);
	mem_free(name);
	predict_part(&x, "base", (double)mem_rss_peak(), "program, libraries, rows");
	predict_phase(&x, "writing", writing);
	return planned(app, &x, NULL, e);
}

static void put_line(const struct probing_eval *o, const struct labels *l, const struct examples *x, size_t i,
                     const float *z)
{
	json_t *line = json_pack("{s:o, s:I}", "file", jsonx_path(o->rows->items[i].file), "line",
	                         (json_int_t)o->rows->items[i].line),
	       *chances = labels_chances(l, z);

	json_object_set_new(line, "label", x->number ? jsonx_number(x->number[i]) : json_string(l->name[x->y[i]]));
	json_object_set_new(line, "predicted", labels_said(l, z));
	if (chances)
		json_object_set_new(line, "probabilities", chances);
	o->detail(o->ctx, line);
	json_decref(line);
}

static void judge_rows(struct probing *p, const struct probing_eval *o, const struct examples *x, const float *z,
                       struct evaluation *v)
{
	const struct labels *l = &p->learner.labels;
	size_t k = (size_t)l->n;
	int32_t *said = mem_array(x->n, sizeof(*said));
	double *number = mem_array(x->n, sizeof(*number)), *loss = mem_array(x->n, sizeof(*loss)),
	       *chance = mem_array(k, sizeof(*chance));

	for (size_t i = 0; i < x->n; i++) {
		said[i] = labels_largest(l, z + i * k);
		number[i] = (double)z[i * k];
		labels_probabilities(l, z + i * k, chance);
		loss[i] = x->y ? -log(fmax(chance[x->y[i]], DBL_MIN)) : 0;
		if (o->detail)
			put_line(o, l, x, i, z + i * k);
	}
	if (x->number) {
		label_scores_numbers(&v->labels, x->number, number, x->n);
	} else {
		label_scores_single(&v->labels, l->n, x->y, said, x->n);
		v->loss = estimate_mean(loss, x->n);
	}
	mem_free(said);
	mem_free(number);
	mem_free(loss);
	mem_free(chance);
}

int probing_evaluate(struct probing *p, struct app *app, const struct probing_eval *o, struct evaluation *v,
                     struct err *e)
{
	struct answers a = { 0 };
	double began = clock_seconds();
	size_t n = o->rows->n * (size_t)p->learner.labels.n;

	*v = (struct evaluation){ .shape = o->rows->shape, .n = o->rows->n };
	int status = answers_take(&a, o->rows, &p->learner.labels, e);
	if (status == 0)
		status = probing_rows(p, app, o->rows, o->micro_batch_tokens, e);
	if (status == 0)
		status = probing_planned_use(p, app, "eval", 0, e);
	float *z = mem_array(n + 1, sizeof(*z));
	metering_phase("evaluate");
	if (status == 0)
		status = probing_outputs(p, app, &a.rows, z, e);
	if (status == 0)
		judge_rows(p, o, &a.rows, z, v);
	if (status == 0 && p->has_model) {
		struct scorer *s = features_scorer(p->frozen.features);
		v->tokens = p->frozen.tokens;
		v->n_truncated = p->frozen.n_cut;
		v->computed_tokens = scorer_computed_tokens(s);
		v->flops = scorer_flops(s);
		v->int_ops = scorer_int_ops(s);
	}
	v->seconds = clock_seconds() - began;
	mem_free(z);
	answers_release(&a);
	return status;
}
