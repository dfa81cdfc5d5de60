/* test_objectives: what every row of the objective table must satisfy, on rows of a shape that it trains on:
 *
 *   gradient    along random directions of all weights, against central differences of its loss with Richardson's
 *               extrapolation, whatever numbers stand in its columns and whatever the groups weigh
 *   bits        threads, accumulation, recomputation, stopping and going on, three ranks
 *   plan        tokens as planned, memory not above it; what it measures has numbers, in an evaluation too
 *   reference   where it wants one: its loss is the same at every step while no weight changes
 *   golden      test/golden/values/objective_*.safetensors, by whoever their metadata say; of gradient_*
 *               each weight's first gradient, by its norm and its product with cos 1, cos 2, … */
#include "fixture_ranks.h"
#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../op_case.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "data/forest.h"
#include "format/safetensors.h"
#include "model/model_pass.h"

#define SMALL "per-device-train-batch-size=6 micro-batch-tokens=200 max-length=100 max-steps=4 learning-rate=3e-3"

/* --- rows --- */

static bool is_simple(const struct shape *s)
{
	for (size_t i = 0; i < SHAPE_COLUMNS && s->columns[i].key; i++)
		if (s->columns[i].need == NEED_LIST || s->columns[i].need == NEED_INDEX)
			return false;
	return true;
}

/* A shape of columns that any words may fill. */
static const struct shape *shape_for(const struct objective *o)
{
	for (size_t i = 0; shape_table[i]; i++)
		if (objective_accepts(o, shape_table[i]) && is_simple(shape_table[i]))
			return shape_table[i];
	return NULL;
}

static void add_words(struct buf *out, struct rng_stream *r, uint32_t most)
{
	static const char *const words[] = { "plan",  "tape",  "row",  "sum",  "bit",
		                             "games", "fonts", "mail", "tree", "leaf" };
	for (uint32_t j = 1 + rng_below(r, most); j-- > 0; )
		buf_addf(out, " %s", words[rng_below(r, ARRAY_LEN(words))]);
}

/* What it cannot do without. */
static bool draws(const struct objective *o) { return o->roles && !strcmp(o->roles[0], "prompt"); }

static const char *needs(const struct objective *o)
{
	if (draws(o))
		return "reward=regex reward-regex=[aeiou] num-generations=3 max-completion-length=6";
	return !strcmp(o->name, "distill") ? "teacher=test/golden/llama-untied" : "";
}

/* Who is trained by it. */
static const char *model_for(const struct objective *o) { return o->masked ? "bert" : "llama"; }

static char *write_rows_of(struct test *t, const struct shape *s, size_t n)
{
	struct rng_stream r = { 13 };
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "objective.jsonl");

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < SHAPE_COLUMNS && s->columns[k].key; k++) {
			buf_addf(&text, "%s\"%s\": ", k ? ", " : "{", s->columns[k].key);
			if (s->columns[k].need == NEED_LABEL) {
				buf_adds(&text, rng_below(&r, 2) ? "true" : "false");
				continue;
			}
			if (s->columns[k].need == NEED_CLASS) {
				buf_addf(&text, "%u", rng_below(&r, 4));
				continue;
			}
			buf_addf(&text, "\"%s", k ? "" : i % 3 ? "Which of these words comes next?" : "A plan:");
			add_words(&text, &r, 5);
			buf_addc(&text, '"');
		}
		buf_adds(&text, "}\n");
	}
	CHECK_MSG(t, io_write(path, text.data, text.len, &e) == 0, "%s", e.msg);
	buf_release(&text);
	return path;
}

/* --- gradient --- */

struct bench {
	struct test *t;
	struct arena mem;
	struct pool *pool;
	const struct kernels *kernels;
	struct model model;
	struct rows rows;
	struct documents documents;
	const struct document **docs;
	struct overlay full;
	struct overlay *top;
	struct params *params;             /* of all that is trained */
	struct params joined;              /* with the objective's own */
	struct objective_run run;
	struct opt_parse parse;            /* whose strings the options are */
	struct device device;
	struct model_pass net;
	float *gradient;
};

static bool fine(const struct bench *b, int status, const struct err *e)
{
	CHECK_MSG(b->t, status == 0, "%s", e->msg);
	return status == 0;
}

static int open_documents(struct bench *b, const char *path, struct err *e)
{
	struct text_codec codec = { .tokenizer = b->model.tokenizer };
	struct document_options o = { .max_length = 100, .labelled = b->run.row->labelled,
		                      .label_first = b->model.config.arch->encoder, .types = model_types(&b->model),
		                      .masked = b->run.row->masked ? b->run.row->masked(b->run.options) : 0 };

	if (rows_load(&b->rows, path, e) < 0 || documents_make(&b->documents, &b->rows, &codec, &o, e) < 0)
		return -1;
	b->docs = arena_array(&b->mem, b->documents.n, sizeof(*b->docs));
	for (size_t i = 0; i < b->documents.n; i++) {
		struct document *d = &b->documents.items[i];
		for (int32_t k = d->n / 2; k < d->n && draws(b->run.row); k++) /* prompts: as if they ended so */
			d->n_learn += d->learn[k] = 1;
		b->docs[i] = d;
	}
	return 0;
}

static int open_weights(struct bench *b, struct err *e)
{
	struct rng_stream r = { 3 };

	overlay_init(&b->full, &b->model);
	overlay_replace_all(&b->full, &b->model);
	if (params_seal(&b->full.params, e) < 0)
		return -1;
	for (size_t i = 0; i < b->full.params.n_items; i++) {
		const struct param *p = &b->full.params.items[i];
		model_weight_float(&b->model, p->weight, b->full.params.w + p->offset);
		for (size_t k = 0; k < p->n && b->model.weights[p->weight].made; k++)
			b->full.params.w[p->offset + k] = rng_next_float(&r) - 0.5f; /* a new head is small */
	}
	b->params = &b->full.params;
	b->top = &b->full;
	return 0;
}

static int open_objective(struct bench *b, struct err *e)
{
	struct objective_run *o = &b->run;

	o->model = &b->model;
	o->documents = &b->documents;
	o->rows = &b->rows;
	o->max_length = 100;
	if (o->row->open && o->row->open(o, e) < 0)
		return -1;
	size_t made;
	return o->row->masked ? o->row->documents(o, 0, b->docs, b->documents.n, b->docs, &made, e) : 0;
}

/* The objective's own parameters, which begin as anything, over the weights. */
static int open_run(struct bench *b, struct err *e)
{
	struct objective_run *o = &b->run;
	struct params *parts[2] = { &b->full.params, &o->own.params };
	struct rng_stream r = { 3 };
	size_t at[2];

	o->overlay = &b->full;
	if (o->row->params) {
		overlay_init(&o->own, &b->model);
		if (o->row->params(o, &o->own.params, e) < 0 || params_seal(&o->own.params, e) < 0 ||
		    params_join(&b->joined, parts, 2, NAN, at, e) < 0)
			return -1;
		for (size_t i = 0; i < o->own.params.n; i++)
			o->own.params.w[i] = rng_next_float(&r) - 0.5f;
		o->own.under = &b->full;
		o->own.at = at[1];
		b->full.at = at[0];
		b->top = &o->own;
		o->overlay = b->top;
		b->params = &b->joined;
	}
	b->gradient = arena_array(&b->mem, b->params->n, sizeof(*b->gradient));
	return 0;
}

/* Numbers as a reference has them, and any weights. */
static void fill_columns(struct batch *b, struct rng_stream *r)
{
	for (int i = 0; b->cap.columns && b->cap.columns[i].name; i++)
		for (int32_t k = 0; k < batch_column_count(b, b->cap.columns[i].per); k++)
			b->column[i][k] = -3 + 2 * rng_next_float(r);
	for (int32_t g = 0; g < b->n_groups; g++)
		b->group_weight[g] = 1 + rng_next_float(r);
	for (int32_t i = 0; i < b->n_labels; i++)
		b->label_weight[i] = b->group_weight[b->doc_group[b->label_doc[i]]];
}

/* Near what the model says, as a reference is. */
static int fill_reference(struct bench *b, struct rng_stream *r, struct err *e)
{
	if (!b->run.row->reference)
		return 0;
	if (pass_step(&b->net.pass) < 0)
		return err_set(e, "interrupted");
	const float *logp = model_pass_result(&b->net);
	float *reference = batch_column(&b->net.pass.batch, "reference");
	for (int32_t i = 0; i < b->net.pass.batch.n_labels; i++)
		reference[i] = logp[i] + rng_next_float(r) - 0.5f;
	return 0;
}

/* What it computes beside the step, of one micro-batch. */
static int plan_run(struct bench *b, const struct forest_options *forest, const struct batch_cap *cap,
                    const struct live *live, struct err *e)
{
	struct objective_run *o = &b->run;
	struct objective_plan plan = { 0 };

	if (!o->row->plan)
		return 0;
	o->device = &b->device;
	o->forest = forest;
	o->cap = cap;
	o->live = *live;
	o->micro_batches = o->steps = 1;
	o->groups = b->documents.n;
	if (o->row->plan(o, &plan, e) < 0)
		return -1;
	CHECK(b->t, plan.bytes > 0 && plan.step.flops > 0 && plan.step_seconds > 0);
	return o->row->begin ? o->row->begin(o, e) : 0;
}

/* Ratios to what the policy said before, where they are not cut. */
static void fill_old(struct bench *b, struct rng_stream *r)
{
	struct batch *x = &b->net.pass.batch;

	for (int i = 0; x->cap.columns && x->cap.columns[i].name; i++)
		if (!strcmp(x->cap.columns[i].name, "old")) {
			pass_step(&b->net.pass);
			for (int32_t k = 0; k < x->n_labels; k++)
				x->column[i][k] = model_pass_result(&b->net)[k] + 0.02f * rng_next_float(r);
		}
}

static int open_pass(struct bench *b, struct err *e)
{
	struct forest_options o = { .max_tokens = 4096, .share = !b->model.config.arch->encoder,
		                    .own_rows = b->run.row->labelled || b->run.row->masked };
	struct rng_stream r = { 5 };
	struct batch_cap cap;
	struct live live;
	int64_t tokens;

	forest_take(b->docs, b->documents.n, &o, &cap, &live, &tokens);
	cap.columns = b->run.row->columns;
	b->run.scratch = arena_array(&b->mem, OBJECTIVE_SCRATCH * b->documents.n, sizeof(*b->run.scratch));
	b->device = device_cpu(b->kernels, b->pool);
	if (plan_run(b, &o, &cap, &live, e) < 0)
		return -1;
	model_pass_begin(&b->net, &b->device, &cap, &b->model, b->top, true);
	b->net.result = b->run.row->record(&b->run, &b->net.graph, graph_hidden(&b->net.graph));
	if (tape_backward(&b->net.pass.tape, e) < 0 || pass_plan(&b->net.pass, NULL, e) < 0 ||
	    model_pass_start(&b->net, b->gradient, e) < 0)
		return -1;
	forest_fill(&b->net.pass.batch, b->docs, b->documents.n, &o);
	fill_columns(&b->net.pass.batch, &r);
	if (b->run.row->fill)
		b->run.row->fill(&b->run, &b->net.pass.batch, b->docs);
	fill_old(b, &r);
	return fill_reference(b, &r, e);
}

static double loss_now(struct bench *b)
{
	struct objective_sums s = { 0 };

	pass_step(&b->net.pass);
	b->run.row->loss(&b->run, &b->net.pass.batch, model_pass_result(&b->net), NULL, &s);
	CHECK(b->t, isfinite(s.loss) && s.weight > 0);
	CHECK(b->t, fabs(s.weight - objective_weight(b->run.row, &b->net.pass.batch)) <= 1e-9 * s.weight);
	return s.loss;
}

static double difference(struct bench *b, const float *at, const float *d, double h)
{
	struct params *p = b->params;
	double loss[2];

	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < p->n; i++)
			p->w[i] = (float)(at[i] + (side ? -h : h) * d[i]);
		loss[side] = loss_now(b);
	}
	memcpy(p->w, at, p->n * sizeof(*at));
	return (loss[0] - loss[1]) / (2 * h);
}

static void check_directions(struct bench *b)
{
	const double h = draws(b->run.row) ? 3e-4 : 0.005; /* ratios are exponentials, and are cut */
	struct params *p = b->params;
	float *at = arena_array(&b->mem, p->n, sizeof(*at)), *g = arena_array(&b->mem, p->n, sizeof(*g));
	struct rng_stream rng = { 21 };

	memcpy(at, p->w, p->n * sizeof(*at));
	loss_now(b);
	memcpy(g, b->gradient, p->n * sizeof(*g));
	for (int k = 0; k < 2; k++) {
		float *d = random_floats(&b->mem, &rng, p->n);
		double along = 0, size = 0;
		for (size_t i = 0; i < p->n; i++) {
			along += (double)g[i] * d[i];
			size += (double)g[i] * g[i];
		}
		double want = (4 * difference(b, at, d, h / 2) - difference(b, at, d, h)) / 3;
		CHECK_MSG(b->t, size > 0 && fabs(along - want) <= 4e-3 * sqrt(size) + 1e-3,
		          "direction %d: %.6f, by differences %.6f (the gradient's norm is %.4f)", k, along, want,
		          sqrt(size));
	}
}

/* assignments: "name=value name=value", or "". */
static int set_options(struct bench *b, const struct objective *o, const char *assignments, struct err *e)
{
	static const struct opt none[] = { OPT_END };
	void *options = arena_alloc(&b->mem, o->options_size + 1);
	char *all = mem_printf("%s %s", needs(o), assignments), *words = arena_strdup(&b->mem, all), *save = NULL;

	mem_free(all);
	b->run.row = o;
	b->run.options = options;
	if (opt_begin(&b->parse, o->opts ? o->opts : none, options, e) < 0)
		return -1;
	for (char *word = strtok_r(words, " ", &save), *is; word; word = strtok_r(NULL, " ", &save)) {
		is = strchr(word, '=');
		*is = 0;
		if (opt_assign(&b->parse, word, is + 1, e) < 0)
			return -1;
	}
	return 0;
}

/* --- every loss type, on log-probabilities alone --- */

/* As a step has it: what must be known of the whole, of x, comes first. */
static double loss_of_x(struct bench *b, const float *x, float *dx)
{
	const struct objective *o = b->run.row;
	struct batch *batch = &b->net.pass.batch;
	struct objective_sums s = { 0 };

	if (o->whole)
		o->whole(&b->run, b->docs, b->documents.n);
	if (o->looks && !o->beside && o->looks(b->run.options)) {
		o->look(&b->run, batch, b->docs, x);
		o->looked(&b->run);
	}
	if (o->fill)
		o->fill(&b->run, batch, b->docs);
	o->loss(&b->run, batch, x, dx, &s);
	return s.loss;
}

static void check_slopes(struct bench *b)
{
	int32_t n = b->net.pass.batch.n_labels;
	float *x = arena_array(&b->mem, (size_t)n, sizeof(*x)), *dx = arena_array(&b->mem, (size_t)n, sizeof(*dx));
	const float h = 1.0f / 512;

	memcpy(x, model_pass_result(&b->net), (size_t)n * sizeof(*x));
	loss_of_x(b, x, dx);
	for (int32_t i = 0; i < n; i += 3) {
		float at = x[i];
		x[i] = at + h;
		double up = loss_of_x(b, x, NULL);
		x[i] = at - h;
		double want = (up - loss_of_x(b, x, NULL)) / (2 * (double)h);
		x[i] = at;
		CHECK_MSG(b->t, fabs(want - dx[i]) <= 4e-3 * fmax(0.1, fabs(want)),
		          "label %d: %.6f, by differences %.6f", i, (double)dx[i], want);
	}
}

/* Where the model is its reference, the loss is the one that the row says. */
static void check_loss_start(struct bench *b)
{
	const struct objective *o = b->run.row;
	struct batch *batch = &b->net.pass.batch;
	const float *x = model_pass_result(&b->net);
	double start = o->start ? o->start(b->run.options) : NAN;

	if (!o->reference || isnan(start))
		return;
	memcpy(batch_column(batch, "reference"), x, (size_t)batch->n_labels * sizeof(*x));
	double loss = loss_of_x(b, x, NULL) / o->weight(batch);
	CHECK_MSG(b->t, fabs(loss - start) <= 1e-12 * fmax(1, start), "%.15g at the start, %.15g is said", loss, start);
}

static void check_options(struct bench *b, const char *options)
{
	const struct objective *o = b->run.row;
	struct rng_stream r = { 8 };
	struct err e = ERR_INIT;

	test_case(b->t, "%s %s: slopes, start", o->name, options);
	if (o->close)
		o->close(&b->run);
	opt_release(&b->parse);
	if (fine(b, set_options(b, o, options, &e), &e) && fine(b, o->check(b->run.options, &e), &e) &&
	    fine(b, o->open ? o->open(&b->run, &e) : 0, &e) && fine(b, fill_reference(b, &r, &e), &e)) {
		check_slopes(b);
		check_loss_start(b);
	}
}

static void check_loss_types(struct bench *b)
{
	char options[120];

	for (int32_t g = 0; g < b->net.pass.batch.n_groups; g++)
		b->net.pass.batch.group_weight[g] = 1; /* answers of several groups may stand beside each other */
	for (const char *const *x = b->run.row->loss_types; *x; x++) {
		snprintf(options, sizeof(options), "loss-type=%s%s", *x,
		         strstr(*x, "exo") || strstr(*x, "robust") ? " label-smoothing=0.1" : "");
		check_options(b, options);
	}
}

/* Of an option that no loss knows of: when a run ends, what advantages are divided by. */
static bool is_of_no_loss(const struct opt *x)
{
	return !strcmp(x->name, "doctor") || !strcmp(x->name, "scale-rewards");
}

/* Each choice of the objective's options by itself. */
static void each_choice(const struct objective *o, void (*of)(void *ctx, const char *assignment), void *ctx)
{
	char assignment[120], choices[120], *save = NULL;

	for (const struct opt *x = o->opts; x && x->type != OPT_TYPE_END; x++) {
		if (x->type != OPT_TYPE_CHOICE || is_of_no_loss(x))
			continue;
		snprintf(choices, sizeof(choices), "%s", x->choices);
		for (char *c = strtok_r(choices, "|", &save); c; c = strtok_r(NULL, "|", &save)) {
			snprintf(assignment, sizeof(assignment), "%s=%s", x->name, c);
			of(ctx, assignment);
		}
	}
}

static void check_choice(void *ctx, const char *assignment) { check_options(ctx, assignment); }

/* of: what is to hold once all is there. */
static void with_bench(struct test *t, const struct objective *o, const char *options, const char *name,
                       const char *path, void (*of)(struct bench *b, const void *ctx), const void *ctx)
{
	struct bench b = { .t = t, .mem = ARENA_INIT, .pool = pool_new(2), .kernels = kernels_get(NULL, NULL) };
	struct err e = ERR_INIT;
	char *model = io_join(test_golden(), name);

	if (fine(&b, set_options(&b, o, options, &e), &e) && fine(&b, model_open(&b.model, model, &e), &e) &&
	    fine(&b, model_tokenizer(&b.model, &e), &e) && fine(&b, open_documents(&b, path, &e), &e) &&
	    fine(&b, open_objective(&b, &e), &e) && fine(&b, open_weights(&b, &e), &e) &&
	    fine(&b, open_run(&b, &e), &e) &&
	    fine(&b, open_pass(&b, &e), &e))
		of(&b, ctx);
	model_pass_release(&b.net);
	if (o->close)
		o->close(&b.run);
	overlay_release(&b.run.own);
	overlay_release(&b.full);
	params_release(&b.joined);
	documents_release(&b.documents);
	rows_release(&b.rows);
	model_close(&b.model);
	pool_free(b.pool);
	opt_release(&b.parse);
	arena_release(&b.mem);
	mem_free(model);
}

static void check_gradient(struct bench *b, const void *unused)
{
	(void)unused;
	check_directions(b);
	if (b->run.row->loss_types) {
		check_loss_types(b);
		each_choice(b->run.row, check_choice, b);
	}
}

static void test_gradient(struct test *t, const struct objective *o, const char *options, const char *path)
{
	test_case(t, "%s %s: gradient", o->name, options);
	with_bench(t, o, options, model_for(o), path, check_gradient, NULL);
}

struct gradient_case { struct test *t; const struct objective *o; const char *path; };

static void gradient_of(void *ctx, const char *assignment)
{
	const struct gradient_case *c = ctx;

	test_gradient(c->t, c->o, assignment, c->path);
}

/* Through the model; where there are loss types, choices are tried on log-probabilities alone. */
static void test_gradients(struct test *t, const struct objective *o, const char *path)
{
	struct gradient_case c = { t, o, path };

	gradient_of(&c, "");
	if (!o->loss_types)
		each_choice(o, gradient_of, &c);
}

/* --- bits --- */

/* first: the weights after all steps. */
static void test_bits(struct test *t, const struct objective *o, const char *path, char first[33])
{
	static const char *const ways[] = {
		"", "per-device-train-batch-size=2 gradient-accumulation-steps=3",
		"per-device-train-batch-size=1 gradient-accumulation-steps=6", "gradient-checkpointing=true",
	};
	char hex[33], options[400];

	test_case(t, "%s: threads, accumulation and recomputation change no bit", o->name);
	for (int i = 0; i < 4; i++) {
		snprintf(options, sizeof(options), SMALL " objective=%s method=lora %s %s", o->name, needs(o), ways[i]);
		training_run(t, model_for(o), path, options, (int[]){ 1, 2, 3, 7 }[i], i ? hex : first, NULL);
		CHECK_MSG(t, i == 0 || !strcmp(first, hex), "way %d", i);
	}
	test_case(t, "%s: three ranks give the same bits", o->name);
	snprintf(options, sizeof(options), SMALL " objective=%s method=lora %s", o->name, needs(o));
	crew_check(t, model_for(o), path, options, 3, first);
}

/* whole: the weights after 4 steps. */
static void test_resume(struct test *t, const struct objective *o, const char *path, const char *method,
                        const char *whole)
{
	char hex[33], options[400], *dir = io_join(test_tmp(), "checkpoint-2");
	struct err e = ERR_INIT;
	struct training s;
	struct job j;
	json_t *mine = json_object(), *back = NULL;

	snprintf(options, sizeof(options), SMALL " objective=%s method=%s %s", o->name, method, needs(o));
	test_case(t, "%s, %s: 2 + 2 steps with a save between are 4", o->name, method);
	job_init(t, &j, model_for(o), path, options);
	if (training_begin(t, &s, &j, 2)) {
		training_steps(t, &s, 2, NULL);
		CHECK_MSG(t, trainer_save(s.trainer, dir, mine, &e) == 0, "%s", e.msg);
	}
	training_end(&s);
	if (training_begin(t, &s, &j, 3)) {
		CHECK_MSG(t, trainer_load(s.trainer, dir, &back, &e) == 0, "%s", e.msg);
		training_steps(t, &s, 2, NULL);
		params_hash(trainer_params(s.trainer), hex);
		CHECK(t, !strcmp(whole, hex));
	}
	training_end(&s);
	json_decref(mine);
	json_decref(back);
	job_release(&j);
	mem_free(dir);
}

/* --- plan, what is measured --- */

static void check_metrics(struct test *t, const struct objective *o, const struct objective_metrics *m)
{
	int n = 0;

	while (o->metrics && o->metrics[n])
		n++;
	CHECK(t, m->n == n || o->tell);
	for (int i = 0; i < m->n; i++)
		CHECK_MSG(t, isfinite(m->value[i]), "%s", m->names[i]);
}

/* hex: the weights that it ends with. */
static void check_run(struct test *t, const struct objective *o, struct training *s, char hex[33])
{
	const struct trainer_plan *p = trainer_plan(s->trainer);
	struct err e = ERR_INIT;
	struct eval_metrics eval;
	int64_t tokens = 0, computed = 0, supervised = 0;
	bool stopped = false;

	while (!trainer_done(s->trainer)) {
		struct step_metrics m;
		CHECK_MSG(t, trainer_step(s->trainer, &m, &e) == 0, "%s", e.msg);
		CHECK(t, isfinite(m.loss) && m.grad_norm > 0);
		check_metrics(t, o, &m.metrics);
		tokens += m.tokens;
		computed += m.computed_tokens;
		supervised += m.supervised_tokens;
	}
	params_hash(trainer_params(s->trainer), hex);
	CHECK_MSG(t, draws(o) ? tokens <= p->tokens && computed <= p->computed_tokens :
	                         tokens == p->tokens && computed == p->computed_tokens &&
	                                 supervised == p->supervised_tokens,
	          "%lld tokens, planned %lld", (long long)tokens, (long long)p->tokens);
	CHECK_MSG(t, trainer_eval(s->trainer, &eval, NULL, &stopped, &e) == 0, "%s", e.msg);
	CHECK(t, isfinite(eval.eval_loss) && eval.n > 0);
	if (!o->eval)
		check_metrics(t, o, &eval.metrics);
#ifndef KUNGFU_SANITIZE
	CHECK_MSG(t, (double)mem_rss() <= 1.02 * (double)p->planned_bytes, "%zu in use, %zu planned", mem_rss(),
	          p->planned_bytes);
#endif
}

static void test_plan(struct test *t, const struct objective *o, const char *path, char hex[33])
{
	char options[400];
	struct training s;
	struct job j;

	snprintf(options, sizeof(options), SMALL " objective=%s method=full eval-data=%s %s", o->name, path,
	         needs(o));
	test_case(t, "%s: as planned, and what it measures has numbers", o->name);
	job_init(t, &j, model_for(o), path, options);
	if (training_begin(t, &s, &j, 2))
		check_run(t, o, &s, hex);
	training_end(&s);
	job_release(&j);
}

static void test_reference(struct test *t, const struct objective *o, const char *path, const char *model,
                           const char *method)
{
	char options[400];
	double losses[4];
	struct training s;
	struct job j;

	snprintf(options, sizeof(options), SMALL " objective=%s method=%s learning-rate=0 lora-dropout=%s", o->name,
	         method, strcmp(method, "full") ? "0.1" : "0");
	test_case(t, "%s, %s, %s: the reference has the policy's bits while no weight changes", o->name, model, method);
	job_init(t, &j, model, path, options);
	if (training_begin(t, &s, &j, 3)) {
		training_steps(t, &s, 4, losses);
		for (int i = 1; i < 4; i++)
			CHECK_MSG(t, losses[i] == losses[0], "step %d: %.17g, %.17g at first", i + 1, losses[i],
			          losses[0]);
	}
	training_end(&s);
	job_release(&j);
}

/* --- golden --- */

/* How far off numbers may be, of what they are or of 1: of ten steps 1e-5, unless the file says more. */
static double tolerance(const struct safetensors *v)
{
	for (size_t i = 0; i < v->n_meta; i++)
		if (!strcmp(v->meta[i].key, "tolerance"))
			return strtod(v->meta[i].value, NULL);
	return 1e-5;
}

/* A tensor [steps] is what is measured under its name, or the loss. */
static void check_golden(struct test *t, const struct safetensors *v, int step, const struct step_metrics *m)
{
	double off = tolerance(v);

	for (size_t i = 0; i < v->n_tensors; i++) {
		const struct st_tensor *x = &v->tensors[i];
		double want = ((const float *)x->data)[step], got = NAN;
		if (!strcmp(x->name, "loss"))
			got = m->loss;
		else if (!strcmp(x->name, "grad_norm"))
			got = m->grad_norm;
		for (int k = 0; k < m->metrics.n; k++)
			if (!strcmp(x->name, m->metrics.names[k]))
				got = m->metrics.value[k];
		CHECK_MSG(t, fabs(got - want) <= off * fmax(1, fabs(want)), "step %d, %s: %.7f, wanted %.7f",
		          step + 1, x->name, got, want);
	}
}

static const char *meta_of(const struct safetensors *v, const char *key)
{
	for (size_t i = 0; i < v->n_meta; i++)
		if (!strcmp(v->meta[i].key, key))
			return v->meta[i].value;
	BUG("%s has no %s", v->path, key);
}

/* Of a pass whose groups weigh 1 each. */
static void check_each_gradient(struct bench *b, const void *values)
{
	const struct safetensors *v = values;
	struct batch *batch = &b->net.pass.batch;

	for (int32_t g = 0; g < batch->n_groups; g++)
		batch->group_weight[g] = 1;
	pass_step(&b->net.pass);
	for (size_t i = 0; i < v->n_tensors; i++) {
		int w = model_weight_by_name(&b->model, v->tensors[i].name);
		const float *want = v->tensors[i].data;
		double square = 0, along = 0;
		CHECK_MSG(b->t, w >= 0, "no %s", v->tensors[i].name);
		if (w < 0)
			continue;
		const struct param *p = &b->params->items[b->full.replaced[w]];
		for (size_t k = 0; k < p->n; k++) {
			double g = (double)b->gradient[p->offset + k] / batch->n_groups;
			square += g * g;
			along += g * cos((double)k + 1);
		}
		double off = fmax(fabs(sqrt(square) - (double)want[0]), fabs(along - (double)want[1]));
		CHECK_MSG(b->t, off <= 1e-5 * fmax(1, (double)want[0]), "%s: %.7f %.7f, wanted %.7f %.7f",
		          v->tensors[i].name, sqrt(square), along, (double)want[0], (double)want[1]);
	}
}

static void run_gradient(struct test *t, const struct safetensors *v)
{
	char *rows = io_join(test_golden(), meta_of(v, "rows"));
	const struct objective *o = objective_find(meta_of(v, "objective"));

	test_case(t, "%s of %s %s: every gradient is as %s", o->name, meta_of(v, "model"), meta_of(v, "rows"),
	          meta_of(v, "reference"));
	with_bench(t, o, meta_of(v, "options"), meta_of(v, "model"), rows, check_each_gradient, v);
	mem_free(rows);
}

/* What labels come out of is 0 in the references, which know no random number of ours. */
static void zero_head(struct trainer *t)
{
	const struct params *p = trainer_params(t);

	for (size_t i = 0; i < p->n_items; i++) {
		const struct param *x = &p->items[i];
		const struct weight *w = x->weight < 0 ? NULL : &trainer_model(t)->weights[x->weight];
		if (w && w->made && strchr(w->spec->shape, 'Y'))
			memset(p->w + x->offset, 0, x->n * sizeof(*p->w));
	}
}

static void run_golden(struct test *t, const struct safetensors *v)
{
	char *rows = io_join(test_golden(), meta_of(v, "rows")),
	     *options = mem_printf("objective=%s %s", meta_of(v, "objective"), meta_of(v, "options"));
	struct err e = ERR_INIT;
	struct training s;
	struct job j;

	test_case(t, "%s: as %s", options, meta_of(v, "reference"));
	job_init(t, &j, meta_of(v, "model"), rows, options);
	if (training_begin(t, &s, &j, 2)) {
		zero_head(s.trainer);
		for (int i = 0; !trainer_done(s.trainer); i++) {
			struct step_metrics m;
			if (trainer_step(s.trainer, &m, &e) < 0)
				break;
			check_golden(t, v, i, &m);
		}
		CHECK_MSG(t, !e.msg[0], "%s", e.msg);
	}
	training_end(&s);
	job_release(&j);
	mem_free(options);
	mem_free(rows);
}

static void test_golden_files(struct test *t)
{
	char *dir = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0;

	CHECK_MSG(t, io_list(dir, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		struct safetensors v;
		bool gradient = !strncmp(names[i], "gradient_", 9);
		if (!gradient && strncmp(names[i], "objective_", 10) != 0)
			continue;
		char *path = io_join(dir, names[i]);
		int status = st_open(&v, path, &e);
		CHECK_MSG(t, status == 0, "%s", e.msg);
		if (status == 0)
			(gradient ? run_gradient : run_golden)(t, &v);
		st_close(&v);
		mem_free(path);
	}
	io_list_free(names, n);
	mem_free(dir);
}

void test_objectives(struct test *t)
{
	log_set(LOG_QUIET);
	for (size_t i = 0; objective_table[i]; i++) {
		const struct objective *o = objective_table[i];
		const struct shape *s = shape_for(o);
		if (!s)
			BUG("%s trains on no shape that words can fill", o->name);
		char lora[33] = "", full[33] = "";
		char *path = write_rows_of(t, s, 24);
		test_gradients(t, o, path);
		test_bits(t, o, path, lora);
		test_resume(t, o, path, "lora", lora);
		test_plan(t, o, path, full);
		test_resume(t, o, path, "full", full);
		if (o->reference) {
			test_reference(t, o, path, "llama", "lora");
			test_reference(t, o, path, "llama", "full");
			test_reference(t, o, path, "llama.gguf", "lora");
			test_reference(t, o, path, "gpt2", "full");
		}
		mem_free(path);
	}
	test_golden_files(t);
}
