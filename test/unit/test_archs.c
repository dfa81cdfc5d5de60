/* test_archs: of every architecture in the table, on the tiny models of test/golden that are of it (folders and GGUF
 * files are found by what they say they are): log-probabilities are finite, the same bits on any number of threads,
 * near those of smaller micro-batches and of a session that takes token by token; each parameter's gradient is the
 * slope of the loss; written as a folder and read again it is the same model; what its tables refuse is refused by
 * name. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/embed.h"
#include "infer/session.h"
#include "model/config.h"
#include "model/export.h"
#include "model/graph.h"
#include "model/weights.h"
#include "op/pass.h"

enum { DOCS = 4, LONGEST = 40, TOKENS = 100, ROUTES = 8 };

struct bench {
	struct test *t;
	const struct kernels *kernels;
	struct model model;
	int32_t ids[DOCS][LONGEST];
	uint8_t learn[DOCS][LONGEST];
	struct document docs[DOCS];
	const struct document *pointers[DOCS];
};

/* Documents of random tokens; the first two share a beginning, the last is as short as can be. */
static void make_documents(struct bench *b)
{
	static const int length[DOCS] = { 31, LONGEST, 17, 2 };

	for (int i = 0; i < DOCS; i++) {
		for (int j = 0; j < length[i]; j++) {
			struct rng_key key = { 7, RNG_INIT };
			uint64_t like = (uint64_t)(i == 1 && j < 20 ? 0 : i);
			b->ids[i][j] = (int32_t)(rng_uniform(key, like, (uint32_t)j, 1) * (float)b->model.config.V);
			b->learn[i][j] = j > 0;
		}
		b->docs[i] = (struct document){ .ids = b->ids[i], .n = length[i], .learn = b->learn[i],
			                        .n_learn = length[i] - 1, .file = "made", .line = 1, .choice = -1 };
		b->pointers[i] = &b->docs[i];
	}
}

static bool open_bench(struct bench *b, struct test *t, const char *path)
{
	struct err e = ERR_INIT;

	*b = (struct bench){ .t = t, .kernels = kernels_get(NULL, &e) };
	int status = model_open(&b->model, path, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status == 0)
		make_documents(b);
	return status == 0;
}

/* --- scores --- */

/* What stands for scores where nothing is predicted: numbers of the documents' embeddings. */
static void embed(struct bench *b, const struct overlay *o, struct device *d, int32_t max_tokens, float out[TOKENS])
{
	struct err e = ERR_INIT;
	struct embed_options eo = { .max_tokens = max_tokens, .max_length = LONGEST };
	struct embedder *x = NULL;
	size_t each = TOKENS / DOCS, width = (size_t)b->model.config.C;
	float *all = mem_array(DOCS * width, sizeof(*all));

	bool fine = embedder_new(&x, &b->model, o, d, &eo, &e) == 0 &&
	            embedder_run(x, b->pointers, DOCS, all, NULL, NULL, &e) == 0;
	CHECK_MSG(b->t, fine, "%s", e.msg);
	for (size_t i = 0; i < DOCS; i++)
		memcpy(out + i * each, all + i * width, MIN(each, width) * sizeof(*out));
	embedder_free(x);
	mem_free(all);
}

static void score(struct bench *b, const struct overlay *o, int threads, int32_t max_tokens, float out[TOKENS])
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(threads);
	struct device d = device_cpu(b->kernels, pool);
	struct scorer *s = NULL;
	struct scorer_options so = { .max_tokens = max_tokens, .max_length = LONGEST, .own_tokens = true };
	double sum[DOCS];
	float *each[DOCS];

	memset(out, 0, TOKENS * sizeof(*out));
	if (!model_predicts(&b->model)) {
		embed(b, o, &d, max_tokens, out);
		pool_free(pool);
		return;
	}
	for (int i = 0, at = 0; i < DOCS; at += b->docs[i++].n)
		each[i] = out + at;
	int status = scorer_new(&s, &b->model, o, &d, &so, &e);
	if (status == 0)
		status = scorer_run(s, b->pointers, DOCS, true, sum, each, NULL, NULL, &e);
	CHECK_MSG(b->t, status == 0, "%s", e.msg);
	scorer_free(s);
	pool_free(pool);
}

/* The largest difference, relative where the numbers are large. */
static double apart(const float *one, const float *two)
{
	double worst = 0;

	for (int i = 0; i < TOKENS; i++)
		worst = fmax(worst, fabs((double)one[i] - (double)two[i]) / fmax(1, fabs((double)one[i])));
	return worst;
}

static double logprob(const float *logits, size_t n, int32_t id)
{
	double most = -INFINITY, sum = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, (double)logits[i]);
	for (size_t i = 0; i < n; i++)
		sum += exp((double)logits[i] - most);
	return (double)logits[id] - most - log(sum);
}

static void check_session(struct bench *b, const float *want)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(1);
	struct device d = device_cpu(b->kernels, pool);
	struct session *s = NULL;
	double worst = 0;
	int status = session_new(&s, &b->model, NULL, &d, &(struct session_size){ .n_ctx = LONGEST }, &e);

	for (int i = 0, at = 0; i < DOCS && status == 0; at += b->docs[i++].n) {
		session_drop(s, 0);
		for (int j = 0; j + 1 < b->docs[i].n && status == 0; j++) {
			const float *logits;
			status = session_feed(s, 0, &b->ids[i][j], 1, &logits, &e);
			if (status < 0)
				break;
			double x = logprob(logits, (size_t)b->model.config.V, b->ids[i][j + 1]);
			worst = fmax(worst, fabs(x - (double)want[at + j + 1]) / fmax(1, fabs(x)));
		}
	}
	CHECK_MSG(b->t, status == 0, "%s", e.msg);
	CHECK_MSG(b->t, worst <= 1e-5, "a session's log-probabilities are off by %g", worst);
	session_free(s);
	pool_free(pool);
}

static void check_scores(struct bench *b, const char *name)
{
	float one[TOKENS], other[TOKENS];
	bool finite = true;

	test_case(b->t, "%s: finite, whatever the threads and the micro-batch", name);
	score(b, NULL, 1, 512, one);
	for (int i = 0; i < TOKENS; i++)
		finite &= isfinite(one[i]);
	CHECK(b->t, finite);
	for (int threads = 2; threads <= 3; threads++) {
		score(b, NULL, threads, 512, other);
		CHECK_MSG(b->t, !memcmp(one, other, sizeof(one)), "%d threads", threads);
	}
	score(b, NULL, 2, LONGEST, other); /* nothing is shared there, so keys lie in other tiles */
	CHECK_MSG(b->t, apart(one, other) <= 1e-5, "by small micro-batches scores differ by %g", apart(one, other));
	if (b->model.config.arch->encoder)
		return;
	test_case(b->t, "%s: a session token by token", name);
	check_session(b, one);
}

/* --- gradients --- */

struct training {
	struct overlay full;
	struct pass pass;
	struct graph graph;
	struct device device;
	struct pool *pool;
	uint32_t logprob;
	float *gradient;
	uint32_t chosen[ROUTES];       /* of mixtures: the experts that each layer chose, TENSOR_NONE at the end */
	struct arena mem;
	int32_t *choice[ROUTES];       /* what they were at first */
};

static void take_weights(const struct model *m, struct params *p)
{
	for (size_t i = 0; i < m->n_weights; i++)
		dtypes[m->weights[i].dtype].to_float(m->weights[i].data, p->w + p->items[i].offset, p->items[i].n);
}

static double loss_of(struct bench *b, struct training *x)
{
	bool encoder = b->model.config.arch->encoder;
	struct forest_options o = { .max_tokens = 512, .share = !encoder, .own_rows = encoder };
	double loss = 0;

	forest_fill(&x->pass.batch, b->pointers, DOCS, &o);
	pass_step(&x->pass);
	for (int32_t i = 0; i < x->pass.batch.n_labels; i++)
		loss -= (double)x->pass.batch.label_weight[i] * run_f32(&x->pass.run, x->logprob)[i];
	return loss;
}

static void find_routes(struct training *x)
{
	struct tape *t = &x->pass.tape;
	int n = 0;

	for (uint32_t i = 0; i < t->n_nodes && n + 1 < ROUTES; i++)
		if (!strcmp(t->nodes[i].op->name, "route"))
			tape_keep(t, x->chosen[n++] = t->nodes[i].out[1]);
}

static size_t choices(const struct training *x, int layer)
{
	return (size_t)x->pass.batch.n_rows * tape_tensor(&x->pass.tape, x->chosen[layer])->dim[1];
}

static void remember_choices(struct training *x)
{
	for (int i = 0; x->chosen[i]; i++) {
		x->choice[i] = arena_array(&x->mem, choices(x, i), sizeof(int32_t));
		memcpy(x->choice[i], run_i32(&x->pass.run, x->chosen[i]), choices(x, i) * sizeof(int32_t));
	}
}

static bool same_choices(const struct training *x)
{
	bool same = true;

	for (int i = 0; x->chosen[i]; i++)
		same &= !memcmp(x->choice[i], run_i32(&x->pass.run, x->chosen[i]), choices(x, i) * sizeof(int32_t));
	return same;
}

static bool training_begin(struct bench *b, struct training *x)
{
	struct err e = ERR_INIT;
	bool encoder = b->model.config.arch->encoder;
	struct forest_options o = { .max_tokens = 512, .share = !encoder, .own_rows = encoder };
	struct batch_cap cap = { 0 };
	struct live live;
	int64_t tokens;

	*x = (struct training){ .pool = pool_new(2) };
	x->device = device_cpu(b->kernels, x->pool);
	overlay_init(&x->full, &b->model);
	overlay_replace_all(&x->full, &b->model);
	CHECK(b->t, params_seal(&x->full.params, &e) == 0);
	take_weights(&b->model, &x->full.params);
	x->gradient = mem_array(x->full.params.n, sizeof(*x->gradient));
	CHECK(b->t, forest_take(b->pointers, DOCS, &o, &cap, &live, &tokens) == DOCS);
	pass_begin(&x->pass, &x->device, &cap, true);
	graph_init(&x->graph, &x->pass.tape, &b->model, &x->full, true);
	x->logprob = graph_logprob(&x->graph, graph_hidden(&x->graph));
	find_routes(x);
	bool fine = tape_backward(&x->pass.tape, &e) == 0 && pass_plan(&x->pass, NULL, &e) == 0 &&
	            pass_start(&x->pass, &e) == 0;
	CHECK_MSG(b->t, fine, "%s", e.msg);
	if (fine) {
		graph_bind(&x->graph, &x->pass.run, x->gradient);
		CHECK_MSG(b->t, run_ready(&x->pass.run, &e) == 0, "%s", e.msg);
	}
	return fine;
}

static void training_end(struct training *x)
{
	pass_release(&x->pass);
	graph_release(&x->graph);
	overlay_release(&x->full);
	mem_free(x->gradient);
	arena_release(&x->mem);
	pool_free(x->pool);
}

static double length_of(const float *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

/* Along each parameter's own gradient the loss rises by its length: f'(0) by a difference of fourth order. NaN: on the
 * way a row went to other experts, where the loss jumps. */
static double slope_off(struct bench *b, struct training *x, const struct param *p, const float *gradient, double by)
{
	static const double at[4] = { -2, -1, 1, 2 }, factor[4] = { 1, -8, 8, -1 };
	float *w = x->full.params.w + p->offset, *was = mem_array(p->n, sizeof(*was));
	double length = 0, size = 0, slope = 0;

	memcpy(was, w, p->n * sizeof(*w));
	for (size_t i = 0; i < p->n; i++) {
		length += (double)gradient[i] * gradient[i];
		size += (double)w[i] * w[i];
	}
	length = sqrt(length);
	double step = by * sqrt(size);
	for (int k = 0; k < 4; k++) {
		for (size_t i = 0; i < p->n; i++)
			w[i] = (float)((double)was[i] + at[k] * step * (double)gradient[i] / length);
		slope += factor[k] * loss_of(b, x) / (12 * step);
		if (!same_choices(x))
			slope = NAN;
	}
	memcpy(w, was, p->n * sizeof(*w));
	mem_free(was);
	return fabs(slope / length - 1);
}

static void check_gradients(struct bench *b, const char *name)
{
	static const double steps[4] = { 0.002, 0.0003, 0.0001, 0.00003 };
	struct training x;

	test_case(b->t, "%s: each parameter's gradient is the slope of the loss", name);
	if (training_begin(b, &x)) {
		const struct params *p = &x.full.params;
		float *first = mem_array(p->n, sizeof(*first));
		loss_of(b, &x);
		remember_choices(&x);
		memcpy(first, x.gradient, p->n * sizeof(*first));
		double all = length_of(first, p->n);
		for (size_t i = 0; i < p->n_items; i++) {
			/* what shifts all scores of a row alike, a bias of keys, has none but rounding */
			if (length_of(first + p->items[i].offset, p->items[i].n) < 1e-6 * all)
				continue;
			/* shorter where the loss bends within a step, or jumps */
			double off = NAN;
			for (int k = 0; k < 4 && !(off <= 0.01); k++)
				off = slope_off(b, &x, &p->items[i], first + p->items[i].offset, steps[k]);
			/* one that jumps within each of them says nothing here; golden gradients judge it */
			CHECK_MSG(b->t, off <= 0.01 || isnan(off), "%s: the slope is off by %.3g", p->items[i].name,
			          off);
		}
		mem_free(first);
	}
	training_end(&x);
}

/* --- files --- */

/* Bits of every weight in Hugging Face's order, and scores: the same bits from a folder, as near as the order of a
 * head's numbers allows from a GGUF. */
static void compare(struct bench *b, struct bench *back, double limit)
{
	float one[TOKENS], two[TOKENS];

	CHECK(b->t, b->model.n_weights == back->model.n_weights);
	for (size_t i = 0; i < MIN(b->model.n_weights, back->model.n_weights); i++) {
		const struct weight *w = &b->model.weights[i];
		size_t n = weight_numbers(w);
		float *x = mem_array(n, sizeof(*x)), *y = mem_array(n, sizeof(*y));
		model_weight_float(&b->model, (int)i, x);
		model_weight_float(&back->model, (int)i, y);
		CHECK_MSG(b->t, !strcmp(w->name, back->model.weights[i].name) && !memcmp(x, y, n * sizeof(*x)), "%s",
		          w->name);
		mem_free(x);
		mem_free(y);
	}
	score(b, NULL, 1, 512, one);
	score(back, NULL, 1, 512, two);
	CHECK_MSG(b->t, apart(one, two) <= limit, "scores differ by %g", apart(one, two));
}

static void check_export(struct bench *b, const char *name)
{
	struct err e = ERR_INIT;
	struct bench back;
	char *dir = mem_printf("%s/arch-%s", test_tmp(), name);
	struct export_weights w = { .get = export_own, .ctx = &b->model };

	test_case(b->t, "%s: written as a folder and read again", name);
	int status = b->model.source.is_gguf ? model_tokenizer(&b->model, &e) : 0;
	if (status == 0)
		status = export_folder(&b->model, dir, DTYPE_F32, &w, &e);
	if (!b->model.config.arch->hf_types[0])
		CHECK_MSG(b->t, status < 0 && strstr(e.msg, "transformers has no"), "%s", e.msg);
	else
		CHECK_MSG(b->t, status == 0, "%s", e.msg);
	if (status == 0 && open_bench(&back, b->t, dir)) {
		CHECK(b->t, back.model.config.arch == b->model.config.arch);
		CHECK(b->t, back.model.config.tied == b->model.config.tied);
		compare(b, &back, b->model.source.is_gguf ? 1e-5 : 0);
		model_close(&back.model);
	}
	mem_free(dir);
}

/* A value that no row means. */
static json_t *foreign(const struct config_field *f)
{
	if (!strcmp(f->hf_init, "true") || !strcmp(f->hf_init, "false"))
		return json_boolean(f->hf_init[0] == 'f');
	return f->kind == CONFIG_KIND_EACH ? json_pack("[s]", "foreign") : json_string("foreign");
}

static void check_refusals(struct bench *b, const char *name)
{
	const struct config_field *const *tables = b->model.config.arch->fields;
	const json_t *config = b->model.source.config;

	test_case(b->t, "%s: what is not computed is refused by its name", name);
	for (; *tables; tables++)
		for (const struct config_field *f = *tables; f->kind; f++) {
			struct config c = { .arch = b->model.config.arch, .own = b->model.config.own };
			struct err e = ERR_INIT;
			json_t *j = json_copy((json_t *)(uintptr_t)config);
			if (!f->hf || (f->kind != CONFIG_KIND_IS && f->kind != CONFIG_KIND_EACH)) {
				json_decref(j);
				continue;
			}
			json_object_set_new(j, f->hf, foreign(f));
			CHECK_MSG(b->t,
			          config_read(&c, &(struct config_source){ .json = j, .where = "x" }, &e) < 0 &&
			                  strstr(e.msg, f->hf),
			          "%s: '%s' was said", f->hf, e.msg);
			json_decref(j);
		}
}

/* --- all of them --- */

static void check_model(struct test *t, const char *path, const char *name)
{
	struct bench b;

	if (!open_bench(&b, t, path))
		return;
	bool predicts = !b.model.labels; /* those that classify are test_classifier's */
	if (predicts)
		check_scores(&b, name);
	check_export(&b, name);
	if (predicts && !b.model.source.is_gguf) {
		check_gradients(&b, name);
		check_refusals(&b, name);
	}
	model_close(&b.model);
}

/* Whether it is a model's folder or file, and of that architecture. */
static bool is_of(const char *path, const struct arch *a)
{
	const struct log_sink silent = { 0 }, *before = log_lend(&silent);
	struct err e = ERR_INIT;
	struct model m;
	bool is = model_open_facts(&m, path, &e) == 0;

	if (is) {
		is = m.config.arch == a;
		model_close(&m);
	}
	log_lend(before);
	return is;
}

void test_archs(struct test *t);
void test_archs(struct test *t)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n = 0;

	CHECK_MSG(t, io_list(test_golden(), &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; arch_table[i]; i++) {
		size_t folders = 0, files = 0;
		for (size_t k = 0; k < n; k++) {
			char *path = io_join(test_golden(), names[k]);
			if (is_of(path, arch_table[i])) {
				*(io_is_dir(path) ? &folders : &files) += 1;
				check_model(t, path, names[k]);
			}
			mem_free(path);
		}
		test_case(t, "%s has tiny models", arch_table[i]->name);
		CHECK(t, (folders > 0 || !arch_table[i]->hf_types[0]) && (files > 0 || !arch_table[i]->gguf));
	}
	io_list_free(names, n);
}
