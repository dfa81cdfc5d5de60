/* test_golden_values: the tiny models of test/golden against what PyTorch, transformers and PEFT compute with them
 * (test/golden/README.md). Every file of values that names a model and has its logits is a case;
 * what it holds is what is compared.
 *
 * Tolerances, relative to the largest number of the tensor: logits and log-probabilities 1e-5, gradients 1e-4, losses
 * of ten steps 1e-5 and the weights after them 1e-3 (AdamW's first steps divide a gradient by its own size, so rounding
 * in a small one shows fully). All documents of a case go through one forest with shared prefixes; PyTorch took them
 * one by one. An encoder's documents share nothing, and a row's log-probability is that of its own token. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "infer/scorer.h"
#include "infer/session.h"
#include "model/model_pass.h"
#include "train/method.h"
#include "train/optim.h"
#include "train/schedule.h"

enum { DOCS = 12, SCORED = 6, STEPS = 10, A_STEP = 4 };

struct golden {
	struct test *t;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct safetensors documents, values;
	struct document docs[DOCS];
	const struct document *pointers[DOCS];
	struct arena mem;
	struct model model;
	struct adapter adapter;
	bool has_adapter;
};

/* What the file says of itself; "": nothing. */
static const char *meta(const struct safetensors *s, const char *key)
{
	for (size_t i = 0; i < s->n_meta; i++)
		if (!strcmp(s->meta[i].key, key))
			return s->meta[i].value;
	return "";
}

static bool has_part(const struct safetensors *s, const char *prefix)
{
	for (size_t i = 0; i < s->n_tensors; i++)
		if (!strncmp(s->tensors[i].name, prefix, strlen(prefix)))
			return true;
	return false;
}

static bool open_st(struct test *t, struct safetensors *s, const char *name)
{
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/values/%s.safetensors", test_golden(), name);
	bool fine = st_open(s, path, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	mem_free(path);
	return fine;
}

static void read_documents(struct golden *g)
{
	const int32_t *ids = st_find(&g->documents, "ids")->data, *learn = st_find(&g->documents, "learn")->data;
	const int32_t *lengths = st_find(&g->documents, "lengths")->data;

	for (int i = 0, at = 0; i < DOCS; at += lengths[i++]) {
		struct document *d = &g->docs[i];
		*d = (struct document){ .ids = (int32_t *)(uintptr_t)(ids + at),
			                .n = lengths[i],
			                .file = "documents",
			                .line = (size_t)i + 1,
			                .choice = -1 };
		d->learn = arena_alloc(&g->mem, (size_t)d->n);
		for (int j = 0; j < d->n; j++)
			d->n_learn += d->learn[j] = learn[at + j] != 0;
		g->pointers[i] = d;
	}
}

static const float *value(const struct golden *g, const char *prefix, const char *name);

/* What is trained is in no file where it makes what is: the values have it as start.NAME. */
static void fill_start(struct golden *g)
{
	struct params *p = &g->adapter.overlay.params;

	for (size_t i = 0; i < p->n_items; i++) {
		const float *from = value(g, "start.", p->items[i].name);
		if (from)
			memcpy(p->w + p->items[i].offset, from, p->items[i].n * sizeof(*from));
	}
}

/* "NAME=VALUE NAME=VALUE": a new adapter by these options, with the numbers of the folder, or of the values. */
static bool make_adapter(struct golden *g, const char *type, const char *options, const char *dir, struct err *e)
{
	char *text = arena_strdup(&g->mem, options), *file = io_join(dir, "adapter_model.safetensors");
	const char *words[2 * 16 + 1] = { 0 };
	struct safetensors s = { 0 };
	size_t n = 0;

	for (char *word = strtok(text, " "), *is; word && n < 2 * 16; word = strtok(NULL, " ")) {
		is = strchr(word, '=');
		*is = 0;
		words[n++] = word;
		words[n++] = is + 1;
	}
	bool fine = adapter_new_named(&g->adapter, type, &g->model, words, 1, e) == 0;
	g->has_adapter = fine;
	fine = fine && adapter_start(&g->adapter, &g->model, g->pool, e) == 0;
	if (fine && has_part(&g->values, "start.")) {
		fill_start(g);
		mem_free(file);
		return true;
	}
	fine = fine && st_open(&s, file, e) == 0 && adapter_fit(&g->adapter, &g->model, &s, e) == 0 &&
	       adapter_fill(&g->adapter, &g->model, &s, e) == 0;
	if (fine)
		adapter_follow(&g->adapter, &g->model, g->kernels, g->pool);
	st_close(&s);
	mem_free(file);
	return fine;
}

/* "nf4 nested": the model's linears as the values' were. */
static int open_model(struct golden *g, const char *path, struct err *e)
{
	const char *four_bit = meta(&g->values, "load_in_4bit");
	struct four_bit_options o = { *four_bit, strncmp(four_bit, "fp4", 3) ? "nf4" : "fp4",
		                      strstr(four_bit, "nested") != NULL };

	return model_open(&g->model, path, e) < 0 ? -1 :
	       *four_bit                          ? model_load_in_4bit(&g->model, &o, g->pool, e) :
	                                            0;
}

static bool begin(struct golden *g, struct test *t, const char *model, const char *adapter, const char *values)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), model), *adapter_path = adapter ? io_join(test_golden(), adapter) : NULL;

	*g = (struct golden){ .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	g->device = device_cpu(g->kernels, g->pool);
	bool fine = g->kernels && open_st(t, &g->documents, "documents") && open_st(t, &g->values, values) &&
	            open_model(g, path, &e) == 0;
	if (fine && adapter && *meta(&g->values, "options"))
		fine = make_adapter(g, meta(&g->values, "method"), meta(&g->values, "options"), adapter_path, &e);
	else if (fine && adapter)
		fine = g->has_adapter = adapter_load(&g->adapter, adapter_path, &g->model, &e) == 0;
	if (fine)
		read_documents(g);
	CHECK_MSG(t, fine, "%s", e.msg);
	mem_free(path);
	mem_free(adapter_path);
	return fine;
}

static void end(struct golden *g)
{
	if (g->has_adapter)
		adapter_release(&g->adapter);
	model_close(&g->model);
	st_close(&g->values);
	st_close(&g->documents);
	arena_release(&g->mem);
	pool_free(g->pool);
}

static const struct overlay *overlay_of(const struct golden *g)
{
	return g->has_adapter ? &g->adapter.overlay : NULL;
}

static bool is_encoder(const struct golden *g) { return g->model.config.arch->encoder; }

static struct forest_options packing(const struct golden *g)
{
	return (struct forest_options){ .max_tokens = 512, .share = !is_encoder(g), .own_rows = is_encoder(g),
		                        .virtual_tokens = overlays_virtual(overlay_of(g)),
		                        .first_virtual = g->model.config.V,
		                        .invoked = overlays_invoked, .ctx = overlay_of(g) };
}

static const float *value(const struct golden *g, const char *prefix, const char *name)
{
	char *full = mem_printf("%s%s", prefix, name);
	const struct st_tensor *v = st_find(&g->values, full);

	CHECK_MSG(g->t, v, "no %s", full);
	mem_free(full);
	return v ? v->data : NULL;
}

/* --- forward --- */

static void check_logprobs(struct golden *g)
{
	struct err e = ERR_INIT;
	struct scorer *s = NULL;
	struct scorer_options o = { .max_tokens = 512, .max_length = 128 - overlays_virtual(overlay_of(g)),
		                    .own_tokens = true };
	float *each[SCORED];
	double sum[SCORED], worst = 0;
	const float *want = value(g, "", "logprob");

	for (int i = 0; i < SCORED; i++)
		each[i] = arena_array(&g->mem, (size_t)g->docs[i].n, sizeof(float));
	bool fine = scorer_new(&s, &g->model, overlay_of(g), &g->device, &o, &e) == 0 &&
	            scorer_run(s, g->pointers, SCORED, true, sum, each, NULL, NULL, &e) == 0;
	CHECK_MSG(g->t, fine, "%s", e.msg);
	for (int i = 0, at = 0; want && fine && i < SCORED; at += g->docs[i++].n)
		for (int j = !is_encoder(g); j < g->docs[i].n; j++)
			worst = fmax(worst,
			             fabs((double)each[i][j] - want[at + j]) / fmax(1, fabs((double)want[at + j])));
	CHECK_MSG(g->t, worst <= 1e-5, "log-probabilities are off by %g", worst);
	/* documents 0, 1 and 2 share their beginnings, where rows see only what is before them */
	CHECK(g->t, fine && (scorer_computed_tokens(s) < 214) == !is_encoder(g));
	scorer_free(s);
}

/* Logits of the stored rows, token by token through a session's cache; where an adapter is invoked by tokens, what
 * stands up to a row is a prompt. */
static void check_logits(struct golden *g)
{
	bool invoked = overlays_invocations(overlay_of(g));
	struct err e = ERR_INIT;
	struct session *s = NULL;
	const int32_t *rows = (const int32_t *)(const void *)value(g, "", "logit_rows");
	const float *want = value(g, "", "logits");
	size_t V = (size_t)g->model.config.V, row = 0;
	double off = 0, size = 0;

	CHECK_MSG(g->t,
	          session_new(&s, &g->model, overlay_of(g), &g->device, &(struct session_size){ .n_ctx = 128 },
	                      &e) == 0,
	          "%s", e.msg);
	for (int i = 0, at = 0; want && i < SCORED; i++) {
		session_drop(s, 0);
		for (int j = 0; j < g->docs[i].n; j++, at++) {
			const float *logits;
			if (invoked && rows[row] != at)
				continue;
			int kept = invoked ? session_keep(s, 0, g->docs[i].ids, (size_t)j + 1) : j;
			const int32_t *rest = g->docs[i].ids + kept;
			int fed = session_feed(s, 0, rest, (size_t)(j + 1 - kept), &logits, &e);
			CHECK_MSG(g->t, fed == 0, "%s", e.msg);
			if (rows[row] != at)
				continue;
			for (size_t v = 0; v < V; v++) {
				off = fmax(off, fabs((double)logits[v] - want[row * V + v]));
				size = fmax(size, fabs((double)want[row * V + v]));
			}
			row++;
		}
	}
	CHECK_MSG(g->t, row > 20 && off <= 1e-5 * size, "%zu rows of logits, off by %g of %g", row, off, size);
	session_free(s);
}

/* The worst difference of rows of a result, width numbers each, from those wanted: number i of them is of row from[i],
 * or of row i. */
static void check_rows(struct golden *g, const char *what, const float *got, const float *want, const int32_t *from,
                       size_t n, size_t width)
{
	double off = 0, size = 0;

	for (size_t i = 0; want && i < n; i++)
		for (size_t v = 0; v < width; v++) {
			double x = (double)got[(from ? (size_t)from[i] : i) * width + v], y = want[i * width + v];
			off = fmax(off, fabs(x - y));
			size = fmax(size, fabs(y));
		}
	CHECK_MSG(g->t, want && off <= 1e-5 * size, "%zu rows of %s, off by %g of %g", n, what, off, size);
}

/* An encoder's logits or states of all rows of the scored documents, which lie end to end in the order of their ids, as
 * the packer has them: each document's rows are moved to its place. */
static void encoder_rows(struct golden *g, bool logits, float *out, size_t width)
{
	struct err e = ERR_INIT;
	struct forest_options o = packing(g);
	struct batch_cap cap = { 0 };
	struct model_pass p;
	struct live live;
	int64_t tokens;
	size_t place[SCORED], at = 0;

	o.all_targets = true;
	for (int i = 0; i < SCORED; at += (size_t)g->docs[i++].n)
		place[i] = at;
	CHECK(g->t, forest_take(g->pointers, SCORED, &o, &cap, &live, &tokens) == SCORED);
	model_pass_begin(&p, &g->device, &cap, &g->model, overlay_of(g), false);
	uint32_t hidden = graph_hidden(&p.graph);
	p.result = logits ? graph_logits(&p.graph, hidden) : graph_states(&p.graph, hidden);
	bool fine = pass_plan(&p.pass, NULL, &e) == 0 && model_pass_start(&p, NULL, &e) == 0;
	CHECK_MSG(g->t, fine, "%s", e.msg);
	if (fine) {
		const struct batch *b = &p.pass.batch;
		forest_fill(&p.pass.batch, g->pointers, SCORED, &o);
		CHECK(g->t, pass_step(&p.pass) == 0);
		for (int32_t i = 0; i < b->n_labels; i++)
			memcpy(out + (place[b->label_doc[i]] + (size_t)b->pos[b->target_row[i]]) * width,
			       model_pass_result(&p) + (size_t)i * width, width * sizeof(*out));
	}
	model_pass_release(&p);
}

static void check_encoder(struct golden *g)
{
	const struct config *c = &g->model.config;
	size_t rows = 0, V = (size_t)c->V, C = (size_t)c->C;

	for (int i = 0; i < SCORED; i++)
		rows += (size_t)g->docs[i].n;
	float *out = arena_array(&g->mem, rows * MAX(V, C), sizeof(*out));
	encoder_rows(g, false, out, C);
	check_rows(g, "states", out, value(g, "", "states"), NULL, rows, C);
	if (has_part(&g->values, "logit_rows")) {
		const struct st_tensor *from = st_find(&g->values, "logit_rows");
		encoder_rows(g, true, out, V);
		check_rows(g, "logits", out, value(g, "", "logits"), from->data, from->dim[0], V);
	}
}

/* --- gradients and steps --- */

/* What is trained, and a tape for it. */
struct training {
	struct overlay full;
	const struct params *params;
	struct tape tape;
	struct graph graph;
	struct plan plan;
	struct run run;
	struct batch batch;
	struct device device;
	uint32_t logprob;
	float *gradient;
};

static void full_params(struct golden *g, struct training *x)
{
	struct err e = ERR_INIT;
	const struct model *m = &g->model;
	struct params *p = &x->full.params;
	const char *names = meta(&g->values, "trainable"), *layers = meta(&g->values, "trainable-layers");
	struct method_full options = { *names ? names : NULL, *layers ? layers : NULL };

	CHECK_MSG(g->t, method_full_overlay(&x->full, m, &options, &e) == 0, "%s", e.msg);
	CHECK_MSG(g->t, params_seal(p, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < p->n_items; i++)
		memcpy(p->w + p->items[i].offset, m->weights[p->items[i].weight].data, p->items[i].n * sizeof(float));
}

static bool training_begin(struct golden *g, struct training *x, int most)
{
	struct err e = ERR_INIT;
	struct forest_options o = packing(g);
	struct batch_cap cap = { 0 }, need;
	struct live live;
	int64_t tokens;

	*x = (struct training){ 0 };
	if (!g->has_adapter)
		full_params(g, x);
	const struct overlay *trained = g->has_adapter ? &g->adapter.overlay : &x->full;
	x->params = &trained->params;
	for (int i = 0; i < DOCS; i += most) {
		CHECK(g->t, forest_take(g->pointers + i, (size_t)most, &o, &need, &live, &tokens) == (size_t)most);
		batch_cap_max(&cap, &need);
	}
	tape_init(&x->tape, &cap, true);
	graph_init(&x->graph, &x->tape, &g->model, trained, true);
	x->logprob = graph_logprob(&x->graph, graph_hidden(&x->graph));
	x->device = device_cpu(g->kernels, g->pool);
	bool fine = tape_backward(&x->tape, &e) == 0 && plan_make(&x->plan, &x->tape, g->kernels, NULL, &e) == 0 &&
	            run_init(&x->run, &x->plan, &x->device, &e) == 0;
	CHECK_MSG(g->t, fine, "%s", e.msg);
	x->gradient = arena_array(&g->mem, x->params->n, sizeof(float));
	batch_init(&x->batch, &cap);
	if (fine)
		graph_bind(&x->graph, &x->run, x->gradient);
	return fine;
}

static void training_end(struct training *x)
{
	run_release(&x->run);
	plan_release(&x->plan);
	graph_release(&x->graph);
	tape_release(&x->tape);
	batch_release(&x->batch);
	overlay_release(&x->full);
}

/* −Σ log p over the learnt tokens; how many there are in *count. */
static double run_documents(struct golden *g, struct training *x, int first, int n, double *count)
{
	struct forest_options o = packing(g);
	double loss = 0;

	forest_fill(&x->batch, g->pointers + first, (size_t)n, &o);
	run_step(&x->run, &x->batch);
	*count = 0;
	for (int32_t i = 0; i < x->batch.n_labels; i++) {
		loss -= (double)x->batch.label_weight[i] * run_f32(&x->run, x->logprob)[i];
		*count += x->batch.label_weight[i];
	}
	return loss;
}

/* Where number i of a parameter is in the file's orientation. */
static size_t place(const struct golden *g, const struct params *all, size_t param, size_t i)
{
	const struct param *p = &all->items[param];
	bool transposed = g->has_adapter ? g->adapter.place[param].transposed :
	                               p->n_dims == 2 && (g->model.weights[p->weight].spec->flags & WEIGHT_TRANSPOSED);

	return transposed ? i % p->dim[1] * p->dim[0] + i / p->dim[1] : i;
}

/* The worst difference of a flat buffer from the stored tensors, relative to each tensor's largest number. */
static double worst_of(const struct golden *g, const struct training *x, const float *flat, const char *prefix)
{
	double worst = 0, zero = 0, largest = 0;

	for (size_t i = 0; i < x->params->n_items; i++) {
		const struct param *p = &x->params->items[i];
		const float *want = value(g, prefix, p->name);
		double off = 0, size = 0;
		for (size_t k = 0; want && k < p->n; k++) {
			off = fmax(off, fabs((double)flat[p->offset + k] - want[place(g, x->params, i, k)]));
			size = fmax(size, fabs((double)want[place(g, x->params, i, k)]));
		}
		largest = fmax(largest, size);
		/* what shifts all scores of a row alike, a bias of keys, has no gradient: rounding is there */
		zero = size > 0 ? zero : fmax(zero, off);
		worst = size > 0 ? fmax(worst, off / size) : worst;
	}
	return fmax(worst, zero / largest);
}

static void check_gradients(struct golden *g)
{
	struct training x;
	double count;

	if (training_begin(g, &x, SCORED)) {
		const float *want = value(g, "", "nll_sum");
		double loss = run_documents(g, &x, 0, SCORED, &count);
		CHECK_MSG(g->t, want && fabs(loss - want[0]) <= 1e-6 * want[0], "the loss is %.7f", loss);
		double worst = worst_of(g, &x, x.gradient, "grad.");
		CHECK_MSG(g->t, worst <= 1e-4, "a gradient is off by %g of its largest number", worst);
	}
	training_end(&x);
}

/* The loss with what the adapter has in it beside the objective. */
static double add_term(struct golden *g, struct training *x, double loss, double count)
{
	return loss + (g->has_adapter ? adapter_term(&g->adapter, x->gradient, count, g->kernels, g->pool) : 0);
}

static void follow(struct golden *g, const struct training *x, const struct optim *o, long step)
{
	struct adapter_update u = { .step = step, .g = x->gradient, .scale = (float)o->scale[0] };

	if (!g->has_adapter)
		return;
	adapter_updated(&g->adapter, &u, g->pool);
	adapter_follow(&g->adapter, &g->model, g->kernels, g->pool);
}

/* What an adapter keeps that values have too: which ranks are left. */
static void check_kept(struct golden *g)
{
	const struct params *p = &g->adapter.kept;

	for (size_t i = 0; i < p->n_items; i++) {
		const struct st_tensor *want = st_find(&g->values, p->items[i].name);
		CHECK(g->t, strncmp(p->items[i].name, "rank.", 5) != 0 ||
		                    (want && !memcmp(want->data, p->w + p->items[i].offset, want->bytes)));
	}
}

static void check_steps(struct golden *g, double lr)
{
	struct training x;
	struct schedule schedule = { .type = "linear", .steps = STEPS, .warmup_steps = 2 };
	struct adamw_options adamw = { .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8 };
	struct optim_settings s = { .learning_rate = lr, .weight_decay = 0.01, .options = &adamw };
	const float *losses = value(g, "", "losses"), *norms = value(g, "", "grad_norms");

	if (losses && norms && training_begin(g, &x, A_STEP)) {
		struct err e = ERR_INIT;
		struct optim optim;
		double count;
		optim_init(&optim, optimizer_find(NULL), &s, x.params, g->kernels, g->pool);
		CHECK_MSG(g->t, optim_start(&optim, &e) == 0, "%s", e.msg);
		CHECK_MSG(g->t, !g->has_adapter || adapter_plan(&g->adapter, STEPS, &e) == 0, "%s", e.msg);
		for (int step = 0; step < STEPS; step++) {
			double loss = run_documents(g, &x, step * A_STEP % DOCS, A_STEP, &count) / count;
			loss = add_term(g, &x, loss, count);
			double norm = optim_clip(&optim, x.gradient, 1 / count, 1);
			CHECK_MSG(g->t, fabs(loss - losses[step]) <= 1e-5 * losses[step],
			          "step %d: the loss is %.7f, not %.7f", step, loss, losses[step]);
			CHECK_MSG(g->t, fabs(norm - norms[step]) <= 1e-4 * norms[step],
			          "step %d: the norm is %.6f, not %.6f", step, norm, norms[step]);
			optim_step(&optim, x.gradient, lr * schedule_factor(&schedule, step), step + 1);
			follow(g, &x, &optim, step + 1);
		}
		optim_release(&optim);
		check_kept(g);
		double worst = has_part(&g->values, "final.") ? worst_of(g, &x, x.params->w, "final.") : 0;
		CHECK_MSG(g->t, worst <= 1e-3, "after ten steps a weight is off by %g of its tensor's largest", worst);
	}
	training_end(&x);
}

static void run_case(struct test *t, const char *name, const char *model, const char *adapter)
{
	struct golden g;

	test_case(t, "%s: log-probabilities and logits", name);
	if (begin(&g, t, model, adapter, name)) {
		if (has_part(&g.values, "logprob"))
			check_logprobs(&g);
		(is_encoder(&g) ? check_encoder : check_logits)(&g);
		if (has_part(&g.values, "grad.")) {
			test_case(t, "%s: every gradient", name);
			check_gradients(&g);
		}
		if (has_part(&g.values, "losses")) {
			test_case(t, "%s: ten steps", name);
			check_steps(&g, strtod(meta(&g.values, "learning_rate"), NULL));
		}
	}
	end(&g);
}

void test_golden_values(struct test *t)
{
	char *folder = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0, cases = 0;

	CHECK_MSG(t, io_list(folder, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		char *name = mem_printf("%.*s", (int)(strrchr(names[i], '.') - names[i]), names[i]);
		struct safetensors s;
		if (!strcmp(strrchr(names[i], '.'), ".safetensors") && open_st(t, &s, name)) {
			const char *model = meta(&s, "model"), *adapter = meta(&s, "adapter");
			/* an objective's values name a model too */
			bool is = *model && (has_part(&s, "logit_rows") || has_part(&s, "states"));
			if (is)
				run_case(t, name, model, *adapter ? adapter : NULL);
			cases += is;
			st_close(&s);
		}
		mem_free(name);
	}
	CHECK(t, cases >= 14);
	io_list_free(names, n);
	mem_free(folder);
}
