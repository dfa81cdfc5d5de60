/* learnt: rows of the task as a learner reads them, and what it says of rows as outcomes: the label with the largest
 * output, its probability. See learnt.h. */
#include "ladder/learnt.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "data/asked.h"
#include "data/chat.h"
#include "data/shape.h"
#include "learn/answers.h"
#include "ladder/known_states.h"
#include "learn/frozen.h"
#include "model/resident.h"

int learnt_fits(struct ladder *l, struct err *e)
{
	const struct task *t = l->task;
	int seen = -1;

	if (!t->n_classes)
		return err_set(e, "these rows have no classes");
	for (size_t i = 0; i < t->n; i++) {
		if (t->rows[i].side != SIDE_TRAIN)
			continue;
		if (seen >= 0 && t->rows[i].class != seen)
			return 0;
		seen = t->rows[i].class;
	}
	return err_set(e, "the rows to learn from are of one class");
}

/* Rows at[n] of the task; the list is the caller's to free. */
static struct rows rows_at(const struct task *t, const size_t *at, size_t n)
{
	struct row *items = mem_array(MAX(n, 1), sizeof(*items));

	for (size_t i = 0; i < n; i++)
		items[i] = t->rows[at[i]].row;
	return (struct rows){ .items = items, .n = n, .shape = t->shape };
}

/* --- a frozen model's states --- */

static int want_template(struct ladder *l, const struct rows *r, struct err *e)
{
	bool wanted = false;

	for (size_t i = 0; i < r->n; i++)
		wanted |= asked_by_template(r->items[i].json, l->apply_chat_template);
	if (!wanted || l->chat || l->base.config.arch->encoder)
		return 0;
	if (chat_template(&l->chat, l->base.tokenizer, e) < 0)
		return err_prefix(e, "%s: its chat template", l->on->path);
	return 0;
}

static struct frozen_options how_of(const struct ladder *l, const int *layers, size_t n)
{
	return (struct frozen_options){ .pooling = l->base.config.arch->encoder ? FEATURES_MEAN : FEATURES_LAST,
		                        .layers = layers,
		                        .n_layers = n,
		                        .max_length = l->base.config.n_ctx,
		                        .micro_batch_tokens = l->micro_batch_tokens,
		                        .apply_chat_template = l->apply_chat_template };
}

static int look(void *ctx, size_t done, size_t total)
{
	const struct ladder *l = ctx;
	struct evaluate_progress p = { "reading", (int64_t)done, (int64_t)total, INFINITY };

	return l->progress ? l->progress(l->ctx, &p) : 0;
}

/* *out: [n][n_layers][width], mem_free. */
static int states_of(struct ladder *l, const struct rows *r, const int *layers, size_t n_layers, float **out,
                     struct err *e)
{
	struct frozen_options how = how_of(l, layers, n_layers);
	struct frozen f;

	if (want_template(l, r, e) < 0)
		return -1;
	int status = frozen_open(&f, &l->base, NULL, l->chat, l->device, r, &how, e);
	*out = mem_array(r->n * n_layers * (size_t)l->base.config.C + 1, sizeof(**out));
	if (status == 0)
		status = frozen_run(&f, *out, look, l, e);
	frozen_close(&f);
	return status;
}

/* Those of rows that no file has; the others' from it. */
static int read_rest(struct ladder *l, const struct rows *r, struct known_states *k, struct err *e)
{
	struct base_model *b = l->on;
	size_t each = b->n_layers * (size_t)l->base.config.C, n = 0;
	size_t *place = mem_array(r->n + 1, sizeof(*place));
	struct rows rest = { .items = mem_array(r->n + 1, sizeof(*rest.items)), .shape = r->shape };
	float *read = NULL;

	b->features = mem_array(r->n * each + 1, sizeof(*b->features));
	for (size_t i = 0; i < r->n; i++)
		if (!known_states_take(k, r->items[i].json, b->features + i * each)) {
			place[n++] = i;
			rest.items[rest.n++] = r->items[i];
		}
	int status = n ? states_of(l, &rest, b->layers, b->n_layers, &read, e) : 0;
	for (size_t i = 0; i < n && status == 0; i++)
		memcpy(b->features + place[i] * each, read + i * each, each * sizeof(*read));
	mem_free(rest.items);
	mem_free(place);
	mem_free(read);
	return status;
}

/* Of the rows to learn from, once; what was read before, by this run or before more rows came, is in a file. */
static int learn_states(struct ladder *l, const struct rows *r, struct err *e)
{
	struct base_model *b = l->on;
	struct known_states k;
	double began = clock_seconds();

	if (b->features) {
		l->shared_seconds += b->read_seconds;
		return 0;
	}
	if (ladder_open_states(l, e) < 0)
		return -1;
	b->layers = mem_array((size_t)features_layers(&l->base), sizeof(*b->layers));
	b->n_layers = frozen_layers(&l->base, r->n, mem_available() / 4, b->layers);
	known_states_open(&k, l->was ? l->was : l->dir, b->path, b->layers, b->n_layers, (size_t)l->base.config.C);
	int status = read_rest(l, r, &k, e);
	l->shared_seconds += k.seconds;
	b->read_seconds = k.seconds + clock_seconds() - began;
	if (status == 0 && k.missed)
		known_states_save(&k, r, b->features, b->read_seconds);
	known_states_close(&k);
	if (status < 0)
		learnt_release(b);
	return status;
}

/* How many of the rows to learn from must still be read. */
static double rows_to_read(const struct ladder *l)
{
	struct base_model *b = l->on;
	size_t n, *at = task_side(l->task, SIDE_TRAIN, &n), found = 0;
	int *layers = mem_array((size_t)features_layers(&l->base), sizeof(*layers));
	size_t n_layers = frozen_layers(&l->base, n, mem_available() / 4, layers);
	struct known_states k;

	known_states_open(&k, l->was ? l->was : l->dir, b->path, layers, n_layers, (size_t)l->base.config.C);
	for (size_t i = 0; i < n; i++)
		found += known_states_take(&k, l->task->rows[at[i]].row.json, NULL);
	known_states_close(&k);
	mem_free(layers);
	mem_free(at);
	return b->features ? 0 : (double)(n - found);
}

void learnt_release(struct base_model *b)
{
	mem_free(b->features);
	mem_free(b->layers);
	b->features = NULL;
	b->layers = NULL;
}

/* What whoever loads it must know: the keys of a probe's folder. */
static json_t *facts(const struct ladder *l)
{
	bool encoder = l->base.config.arch->encoder;

	return json_pack("{s:o, s:n, s:s, s:b, s:i}", "base_model_name_or_path", jsonx_path(l->on->path), "adapter",
	                 "pooling", encoder ? "mean" : "last", "apply_chat_template", l->apply_chat_template,
	                 "max_length", l->base.config.n_ctx);
}

static int fit_and_save(struct ladder *l, enum learner_kind kind, struct examples *x, const char *dir, struct err *e)
{
	struct learner_options o = { .layer = -1, .folds = 5, .seed = l->seed };
	struct workshop on = { l->device->kernels, l->device->pool };
	struct learner learner = { 0 };
	bool reads = learner_reads_features(kind);

	if (reads) {
		x->feature = l->on->features;
		x->n_layers = l->on->n_layers;
		x->layer = l->on->layers;
		x->width = (size_t)l->base.config.C;
	}
	json_t *more = reads ? facts(l) : NULL;
	int status = learner_fit(&learner, kind, x, &o, &on, e);
	if (status == 0)
		status = learner_save(&learner, dir, more, e);
	json_decref(more);
	learner_release(&learner);
	return status;
}

int learnt_make(struct ladder *l, enum learner_kind kind, const char *dir, struct err *e)
{
	struct answers a = { 0 };
	size_t n, *at = task_side(l->task, SIDE_TRAIN, &n);
	struct rows rows = rows_at(l->task, at, n);
	int status = learner_reads_features(kind) ? learn_states(l, &rows, e) : 0;

	if (status == 0 && (status = answers_learn(&a, &rows, false, e)) == 0) {
		status = fit_and_save(l, kind, &a.rows, dir, e);
		answers_release(&a);
	}
	mem_free(rows.items);
	mem_free(at);
	return status;
}

/* --- what it would take: steps of all fits that cross-validation makes, each twice two operations a number --- */

#define STATE_FLOPS 5e9
#define WORD_FLOPS 1e9
enum { STATE_STEPS = 400, WORD_STEPS = 900, WORD_BYTES = 6 };

double learnt_word_seconds(const struct ladder *l)
{
	double words = 0;

	for (size_t i = 0; i < l->task->n; i++)
		if (l->task->rows[i].side == SIDE_TRAIN)
			words += (double)strlen(l->task->rows[i].text) / WORD_BYTES;
	return 0.02 + words * l->task->n_classes * 4 * WORD_STEPS / WORD_FLOPS;
}

static double state_seconds(const struct ladder *l)
{
	double layers = (double)features_layers(&l->base) / 4 + 1;

	return (double)l->task->side_n[SIDE_TRAIN] * l->task->n_classes * l->base.config.C * 4 * STATE_STEPS * layers /
	       STATE_FLOPS;
}

static int forecast_reading(struct ladder *l, const struct rows *r, struct rung_price *p, struct err *e)
{
	int last = features_layers(&l->base) - 1;
	struct frozen_options how = how_of(l, &last, 1);
	struct scorer_forecast x;
	struct frozen f;
	size_t owned;

	if (want_template(l, r, e) < 0)
		return -1;
	int status = frozen_open(&f, &l->base, NULL, l->chat, l->device, r, &how, e);
	if (status == 0)
		status = scorer_forecast(features_scorer(f.features), f.docs, f.n, false, &x, e);
	frozen_close(&f);
	if (status < 0)
		return -1;
	size_t mapped = model_read_bytes(&l->base, &(struct model_reads){ .token = NULL }, &owned);
	*p = (struct rung_price){ .answer = x.seconds / (double)r->n, .bytes = (double)(x.bytes + mapped + owned) };
	return 0;
}

int learnt_price_reading(struct ladder *l, struct rung_price *p, struct err *e)
{
	struct base_model *b = l->on;

	if (!b->is_read) {
		size_t n, *at = task_side(l->task, SIDE_CHOOSE, &n);
		struct rows rows = rows_at(l->task, at, n);
		b->is_read = ladder_open_states(l, e) == 0 && forecast_reading(l, &rows, &b->read, e) == 0;
		mem_free(rows.items);
		mem_free(at);
	}
	*p = b->read;
	return b->is_read ? 0 : -1;
}

/* Every row is read once, where no other rung has done so. */
int learnt_state_price(struct ladder *l, double share, struct rung_price *p, struct err *e)
{
	if (learnt_price_reading(l, p, e) < 0 || ladder_open_states(l, e) < 0)
		return -1;
	double reading = p->answer * rows_to_read(l);
	double mid = reading + share * state_seconds(l);
	p->make = (struct span){ mid, mid / 2, mid * 2 };
	return 0;
}

/* --- answering --- */

static int class_of(const struct task *t, const char *name)
{
	for (int c = 0; c < t->n_classes; c++)
		if (!strcmp(t->classes[c], name))
			return c;
	return -1;
}

/* Returns what it says. */
static const char *take(const struct ladder *l, const struct learner *learner, const float *z,
                        const struct task_row *row, struct outcome *o)
{
	int best = 0, n = learner->labels.n;
	double sum = 0, right = 0;

	for (int k = 1; k < n; k++)
		if (z[k] > z[best])
			best = k;
	for (int k = 0; k < n; k++) {
		double share = exp((double)(z[k] - z[best]));
		sum += share;
		if (!strcmp(learner->labels.name[k], row->answer))
			right = share;
	}
	*o = outcome_none;
	o->said = class_of(l->task, learner->labels.name[best]);
	o->hit = o->hit_norm = o->exact = o->f1 = !strcmp(learner->labels.name[best], row->answer);
	o->confidence = 1 / sum;
	o->chance = right / sum;
	return learner->labels.name[best];
}

/* The states that it reads, of rows that are asked. */
static int take_states(struct ladder *l, const struct learner *learner, const struct rows *r, struct examples *x,
                       float **states, struct err *e)
{
	if (!learner_reads_features(learner->kind))
		return 0;
	if (ladder_open_states(l, e) < 0 || states_of(l, r, &learner->layer, 1, states, e) < 0)
		return -1;
	x->feature = *states;
	x->n_layers = 1;
	x->layer = &learner->layer;
	x->width = (size_t)l->base.config.C;
	return 0;
}

static int say_all(struct ladder *l, const struct learner *learner, const struct rows *r, const size_t *at,
                   struct outcome *out, struct err *e)
{
	struct workshop on = { l->device->kernels, l->device->pool };
	size_t k = (size_t)learner->labels.n;
	struct answers a = { 0 };
	float *z = mem_array(r->n * k + 1, sizeof(*z)), *states = NULL;
	const char **said = mem_array(r->n + 1, sizeof(*said));
	int status = answers_ask(&a, r, e);

	if (status == 0) {
		status = take_states(l, learner, r, &a.rows, &states, e);
		if (status == 0)
			status = learner_outputs(learner, &a.rows, &on, z, e);
		for (size_t i = 0; i < r->n && status == 0; i++)
			said[i] = take(l, learner, z + i * k, &l->task->rows[at[i]], &out[i]);
		if (status == 0)
			status = ladder_reward(l, at, said, r->n, out, e);
		answers_release(&a);
	}
	mem_free(states);
	mem_free(said);
	mem_free(z);
	return status;
}

int learnt_answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	struct rows rows = rows_at(l->task, at, n);
	struct learner learner = { 0 };
	int status = learner_load(&learner, dir, NULL, e);

	if (status == 0)
		status = say_all(l, &learner, &rows, at, out, e);
	learner_release(&learner);
	mem_free(rows.items);
	return status;
}

/* --- of fewer rows --- */

/* States of one layer: of the rows to learn from by their place in the task, and of those that are asked. */
struct one_layer {
	int layer;
	size_t width;
	float *known, *asked;
	size_t *place; /* [task.n] of a row among the known */
};

static int read_layer(struct ladder *l, struct one_layer *s, const struct rows *train, const struct rows *asked,
                      struct err *e)
{
	const struct base_model *b = l->on;
	size_t k = 0;

	if (ladder_open_states(l, e) < 0)
		return -1;
	s->width = (size_t)l->base.config.C;
	while (b->features && k < b->n_layers && b->layers[k] != s->layer)
		k++;
	if (!b->features || k == b->n_layers) {
		if (states_of(l, train, &s->layer, 1, &s->known, e) < 0)
			return -1;
	} else {
		s->known = mem_array(train->n * s->width + 1, sizeof(*s->known));
		for (size_t i = 0; i < train->n; i++)
			memcpy(s->known + i * s->width, b->features + (i * b->n_layers + k) * s->width,
			       s->width * sizeof(*s->known));
	}
	return states_of(l, asked, &s->layer, 1, &s->asked, e);
}

static void put_states(const struct one_layer *s, struct examples *x, const float *feature)
{
	x->feature = feature;
	x->n_layers = 1;
	x->layer = &s->layer;
	x->width = s->width;
}

/* A learner of a part. Of one label alone, or of none that rows have in common, there is none: that is no error. */
static int fit_part(struct ladder *l, enum learner_kind kind, const struct one_layer *s, const struct rung_part *p,
                    struct learner *learner, bool *fitted, struct err *e)
{
	struct learner_options o = { .layer = -1, .folds = 5, .seed = l->seed };
	struct workshop on = { l->device->kernels, l->device->pool };
	struct rows rows = rows_at(l->task, p->at, p->n);
	struct answers a = { 0 };
	float *feature = s->known ? mem_array(p->n * s->width + 1, sizeof(*feature)) : NULL;
	struct err why = ERR_INIT;
	int status = answers_learn(&a, &rows, false, &why);

	for (size_t i = 0; feature && i < p->n; i++)
		memcpy(feature + i * s->width, s->known + s->place[p->at[i]] * s->width, s->width * sizeof(*feature));
	if (feature)
		put_states(s, &a.rows, feature);
	if (status == 0)
		status = learner_fit(learner, kind, &a.rows, &o, &on, &why);
	*fitted = status == 0;
	answers_release(&a);
	mem_free(feature);
	mem_free(rows.items);
	return !*fitted && stop_ended(&why) ? err_set(e, "%s", why.msg) : 0;
}

static int ask_part(struct ladder *l, const struct learner *learner, struct examples *asked, const size_t *at,
                    struct outcome *out, struct err *e)
{
	struct workshop on = { l->device->kernels, l->device->pool };
	size_t k = (size_t)learner->labels.n;
	float *z = mem_array(asked->n * k + 1, sizeof(*z));
	int status = learner_outputs(learner, asked, &on, z, e);

	for (size_t i = 0; i < asked->n && status == 0; i++)
		take(l, learner, z + i * k, &l->task->rows[at[i]], &out[i]);
	mem_free(z);
	return status;
}

static int each_part(struct ladder *l, enum learner_kind kind, const struct one_layer *s, const struct rung_part *parts,
                     size_t n_parts, struct examples *asked, const size_t *at, struct outcome *out, struct err *e)
{
	int status = 0;

	for (size_t k = 0; k < n_parts && status == 0; k++) {
		struct learner learner = { 0 };
		bool fitted;
		status = fit_part(l, kind, s, &parts[k], &learner, &fitted, e);
		for (size_t i = 0; i < asked->n; i++)
			out[k * asked->n + i] = outcome_none;
		if (status == 0 && fitted)
			status = ask_part(l, &learner, asked, at, out + k * asked->n, e);
		learner_release(&learner);
	}
	return status;
}

static void place_rows(const struct task *t, const size_t *train, size_t n, struct one_layer *s)
{
	s->place = mem_array(t->n, sizeof(*s->place));
	for (size_t i = 0; i < n; i++)
		s->place[train[i]] = i;
}

int learnt_fewer(struct ladder *l, const char *dir, const struct rung_part *parts, size_t n_parts, const size_t *at,
                 size_t n, struct outcome *out, struct err *e)
{
	size_t n_train, *train = task_side(l->task, SIDE_TRAIN, &n_train);
	struct rows known = rows_at(l->task, train, n_train), rows = rows_at(l->task, at, n);
	struct one_layer s = { .layer = 0 };
	struct learner like = { 0 };
	struct answers asked = { 0 };
	int status = learner_load(&like, dir, NULL, e);

	place_rows(l->task, train, n_train, &s);
	s.layer = like.layer;
	if (status == 0 && learner_reads_features(like.kind))
		status = read_layer(l, &s, &known, &rows, e);
	if (status == 0 && (status = answers_ask(&asked, &rows, e)) == 0) {
		if (s.asked)
			put_states(&s, &asked.rows, s.asked);
		status = each_part(l, like.kind, &s, parts, n_parts, &asked.rows, at, out, e);
		answers_release(&asked);
	}
	learner_release(&like);
	mem_free(s.known);
	mem_free(s.asked);
	mem_free(s.place);
	mem_free(known.items);
	mem_free(rows.items);
	mem_free(train);
	return status;
}

/* In which column rows ask, so that a prompt can be put there. */
static const char *asks(const struct shape *s)
{
	if (s->ask)
		return "instruction";
	if (!s->asks)
		return "text";
	return !strcmp(s->asks, "conversations") ? "messages" : s->asks;
}

json_t *learnt_leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)dir, (void)e;
	return json_pack("{s:s, s:s, s:s}", "kind", "learner", "learner", ".", "asks", asks(l->task->shape));
}
