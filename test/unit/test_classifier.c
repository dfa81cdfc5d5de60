/* test_classifier: models with a head that classifies: outputs and every gradient as transformers has them
 * (values/classifier_*), labels of a config.json, a head made of none, what an adapter's folder brings. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/document.h"
#include "infer/labeller.h"
#include "model/classifier.h"
#include "model/model_pass.h"
#include "model/weights.h"

struct bench {
	struct test *t;
	struct model model;
	struct safetensors values;
	struct rows rows;
	struct documents documents;
	const struct document **docs;
	struct pool *pool;
	struct device device;
	struct overlay full;
	struct model_pass net;
	float *gradient;
	int32_t *wanted;
	struct arena mem;
};

static bool fine(struct bench *b, int status, const struct err *e)
{
	CHECK_MSG(b->t, status == 0, "%s", e->msg);
	return status == 0;
}

static const char *meta_of(const struct safetensors *v, const char *key)
{
	for (size_t i = 0; i < v->n_meta; i++)
		if (!strcmp(v->meta[i].key, key))
			return v->meta[i].value;
	BUG("%s has no %s", v->path, key);
}

static int open_model(struct bench *b, struct err *e)
{
	char *path = io_join(test_golden(), meta_of(&b->values, "model"));
	int status = model_open(&b->model, path, e) < 0 ? -1 : model_tokenizer(&b->model, e);

	mem_free(path);
	return status;
}

static int open_documents(struct bench *b, struct err *e)
{
	char *path = io_join(test_golden(), meta_of(&b->values, "rows"));
	struct text_codec codec = { .tokenizer = b->model.tokenizer };
	struct document_options o = { .max_length = 60, .labelled = true,
		                      .label_first = b->model.config.arch->encoder, .types = model_types(&b->model) };
	int status = rows_load(&b->rows, path, e);

	mem_free(path);
	if (status < 0 || documents_make(&b->documents, &b->rows, &codec, &o, e) < 0)
		return -1;
	b->docs = arena_array(&b->mem, b->documents.n, sizeof(*b->docs));
	b->wanted = arena_array(&b->mem, b->documents.n, sizeof(*b->wanted));
	for (size_t i = 0; i < b->documents.n; i++) {
		b->docs[i] = &b->documents.items[i];
		b->wanted[i] = labels_find(b->model.labels, b->docs[i]->label);
		CHECK(b->t, b->wanted[i] >= 0);
	}
	return 0;
}

/* Of the largest, of `least` at least: a key's bias moves nothing, and its gradient is 0 but for rounding. */
static double difference(const float *x, const float *y, size_t n, double least)
{
	double most = least, off = 0;

	for (size_t i = 0; i < n; i++) {
		most = fmax(most, fabs((double)y[i]));
		off = fmax(off, fabs((double)x[i] - (double)y[i]));
	}
	return off / most;
}

static void check_outputs(struct bench *b)
{
	const struct st_tensor *want = st_find(&b->values, "logits");
	size_t n = b->documents.n * (size_t)b->model.labels->n;
	float *z = arena_array(&b->mem, n, sizeof(*z));
	struct labeller *x;
	struct err e = ERR_INIT;

	if (!fine(b, labeller_new(&x, &b->model, NULL, &b->device, 64, 60, &e), &e))
		return;
	fine(b, labeller_run(x, b->docs, b->documents.n, z, NULL, NULL, &e), &e);
	double off = difference(z, want->data, n, 1e-3);
	CHECK_MSG(b->t, off <= 1e-5, "outputs off by %g", off);
	labeller_free(x);
}

/* --- gradients --- */

static double cross_entropy(const void *ctx, const struct batch *batch, const float *z, float *dz)
{
	const struct bench *b = ctx;
	size_t n = (size_t)b->model.labels->n;
	double loss = 0, p[8];

	if (dz)
		memset(dz, 0, (size_t)batch->n_targets * n * sizeof(*dz));
	for (int32_t i = 0; i < batch->n_labels; i++) {
		size_t row = (size_t)batch->label_target[i] * n;
		int32_t right = b->wanted[batch->label_doc[i]];
		labels_probabilities(b->model.labels, z + row, p);
		loss -= log(p[right]);
		for (size_t k = 0; k < n && dz; k++)
			dz[row + k] += (float)(p[k] - ((int32_t)k == right));
	}
	return loss;
}

static int run_gradients(struct bench *b, struct err *e)
{
	struct forest_options o = { .max_tokens = 4096, .own_rows = true };
	struct batch_cap cap;
	struct live live;
	int64_t tokens;

	overlay_init(&b->full, &b->model);
	overlay_replace_all(&b->full, &b->model);
	if (params_seal(&b->full.params, e) < 0)
		return -1;
	for (size_t i = 0; i < b->full.params.n_items; i++)
		model_weight_float(&b->model, b->full.params.items[i].weight,
		                   b->full.params.w + b->full.params.items[i].offset);
	b->gradient = arena_array(&b->mem, b->full.params.n, sizeof(*b->gradient));
	forest_take(b->docs, b->documents.n, &o, &cap, &live, &tokens);
	model_pass_begin(&b->net, &b->device, &cap, &b->model, &b->full, true);
	uint32_t z = graph_labels(&b->net.graph, graph_hidden(&b->net.graph));
	op_loss(&b->net.pass.tape, z, &(struct loss){ .of = cross_entropy, .ctx = b });
	if (tape_backward(&b->net.pass.tape, e) < 0 || pass_plan(&b->net.pass, NULL, e) < 0 ||
	    model_pass_start(&b->net, b->gradient, e) < 0)
		return -1;
	forest_fill(&b->net.pass.batch, b->docs, b->documents.n, &o);
	return pass_step(&b->net.pass);
}

/* A matrix of GPT-2's files is [in][out]. */
static void turn(const struct bench *b, const struct param *p, float *g)
{
	if (p->n_dims != 2 || !(b->model.weights[p->weight].spec->flags & WEIGHT_TRANSPOSED))
		return;
	float *was = mem_array(p->n, sizeof(*was));

	memcpy(was, g, p->n * sizeof(*was));
	for (size_t r = 0; r < p->dim[0]; r++)
		for (size_t c = 0; c < p->dim[1]; c++)
			g[c * p->dim[0] + r] = was[r * p->dim[1] + c];
	mem_free(was);
}

static void check_gradients(struct bench *b)
{
	struct err e = ERR_INIT;
	size_t seen = 0;

	if (!fine(b, run_gradients(b, &e), &e))
		return;
	for (size_t i = 0; i < b->full.params.n_items; i++) {
		const struct param *p = &b->full.params.items[i];
		char *name = mem_printf("grad.%s", b->model.weights[p->weight].name);
		const struct st_tensor *want = st_find(&b->values, name);
		float *g = b->gradient + p->offset;
		turn(b, p, g);
		seen += want != NULL;
		bool there = want && want->bytes == p->n * sizeof(float);
		double off = there ? difference(g, want->data, p->n, 1e-2) : NAN;
		CHECK_MSG(b->t, off <= 1e-4, "%s: off by %g", name, off);
		mem_free(name);
	}
	CHECK_MSG(b->t, seen + 1 == b->values.n_tensors, "%zu gradients of %zu", seen, b->values.n_tensors - 1);
}

static void test_golden_file(struct test *t, const char *path)
{
	struct bench b = { .t = t, .pool = pool_new(2), .mem = ARENA_INIT };
	struct err e = ERR_INIT;

	b.device = device_cpu(kernels_get(NULL, &e), b.pool);
	if (fine(&b, st_open(&b.values, path, &e), &e)) {
		test_case(t, "%s: outputs and gradients as %s", meta_of(&b.values, "model"),
		          meta_of(&b.values, "reference"));
		if (fine(&b, open_model(&b, &e), &e) && b.model.labels && fine(&b, open_documents(&b, &e), &e)) {
			check_outputs(&b);
			check_gradients(&b);
		}
		CHECK(t, b.model.labels != NULL);
	}
	model_pass_release(&b.net);
	overlay_release(&b.full);
	documents_release(&b.documents);
	rows_release(&b.rows);
	model_close(&b.model);
	st_close(&b.values);
	pool_free(b.pool);
	arena_release(&b.mem);
}

static void test_golden_files(struct test *t)
{
	char *dir = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0;

	CHECK_MSG(t, io_list(dir, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		char *path = io_join(dir, names[i]);
		if (!strncmp(names[i], "classifier_", strlen("classifier_")))
			test_golden_file(t, path);
		mem_free(path);
	}
	io_list_free(names, n);
	mem_free(dir);
}

/* --- labels --- */

static int read_labels(struct labels *l, struct arena *mem, const char *text, struct err *e)
{
	json_t *config = jsonx_load(text, strlen(text), "config.json", e);
	int status = labels_read(l, mem, config, "config.json", e);

	json_decref(config);
	return status;
}

static void test_labels(struct test *t)
{
	static const struct { const char *text, *names; int n; enum problem problem; } right[] = {
		{ "{}", "LABEL_0, LABEL_1", 2, PROBLEM_SINGLE_LABEL },
		{ "{\"num_labels\": 1}", "LABEL_0", 1, PROBLEM_REGRESSION },
		{ "{\"id2label\": {\"1\": \"b\", \"0\": \"a\"}}", "a, b", 2, PROBLEM_SINGLE_LABEL },
		{ "{\"id2label\": {\"0\": \"a\"}, \"problem_type\": \"multi_label_classification\"}", "a", 1,
		  PROBLEM_MULTI_LABEL },
		{ "{\"num_labels\": 2, \"problem_type\": null}", "LABEL_0, LABEL_1", 2, PROBLEM_SINGLE_LABEL },
	};
	static const struct { const char *text, *says; } wrong[] = {
		{ "{\"problem_type\": \"ranking\"}", "problem_type" },
		{ "{\"id2label\": {\"0\": \"a\", \"7\": \"b\"}}", "\"7\"" },
		{ "{\"id2label\": {\"0\": 3}}", "\"0\"" },
		{ "{\"num_labels\": 0}", "0 labels" },
		{ "{\"num_labels\": 1000000}", "1000000 labels" },
	};
	struct arena mem = ARENA_INIT;
	struct labels l;

	test_case(t, "labels of a config.json");
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		struct err e = ERR_INIT;
		CHECK_MSG(t, read_labels(&l, &mem, right[i].text, &e) == 0, "%s", e.msg);
		CHECK(t, l.n == right[i].n && l.problem == right[i].problem);
		CHECK_MSG(t, !strcmp(labels_list(&mem, &l), right[i].names), "%s", labels_list(&mem, &l));
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = ERR_INIT;
		CHECK_MSG(t, read_labels(&l, &mem, wrong[i].text, &e) == -1 && strstr(e.msg, wrong[i].says), "%s",
		          e.msg);
	}
	test_case(t, "a label by name before number");
	labels_make(&l, &mem, 3, (const char *const[]){ "1", "b", "c" }, PROBLEM_SINGLE_LABEL);
	CHECK(t, labels_find(&l, "1") == 0 && labels_find(&l, "b") == 1 && labels_find(&l, "2") == 2);
	CHECK(t, labels_find(&l, "3") == -1 && labels_find(&l, "01") == -1 && labels_find(&l, "") == -1);
	arena_release(&mem);
}

/* --- made --- */

static void test_made(struct test *t, const char *name)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct model m;
	struct labels l;
	char *path = io_join(test_golden(), name);
	size_t made = 0;

	test_case(t, "%s: a head is made, the one of tokens goes, and goes on where labels are the same", name);
	labels_make(&l, &mem, 3, (const char *const[]){ "a", "b", "c" }, PROBLEM_SINGLE_LABEL);
	CHECK_MSG(t, model_open(&m, path, &e) == 0 && classifier_make(&m, &l, 1, &e) == 0, "%s", e.msg);
	CHECK(t, m.labels && m.labels->n == 3 && classifier_made(&m) && !model_predicts(&m) && model_head(&m) < 0);
	CHECK(t, model_want_causal(&m, &e) == -1);
	for (size_t i = 0; i < m.n_weights; i++) {
		made += m.weights[i].made;
		CHECK_MSG(t, !m.weights[i].made || classifier_owns(&m.weights[i]), "%s", m.weights[i].name);
	}
	const void *before = m.weights[m.n_weights - 1].data;
	CHECK(t, classifier_make(&m, &l, 2, &e) == 0 && m.weights[m.n_weights - 1].data == before);
	labels_make(&l, &mem, 2, NULL, PROBLEM_SINGLE_LABEL);
	CHECK(t, classifier_make(&m, &l, 2, &e) == 0 && m.labels->n == 2 && m.config.labels == 2);
	size_t again = 0;
	for (size_t i = 0; i < m.n_weights; i++)
		again += m.weights[i].made;
	CHECK_MSG(t, again == made && made, "%zu weights made, then %zu", made, again);
	model_close(&m);
	mem_free(path);
	arena_release(&mem);
}

void test_classifier(struct test *t);
void test_classifier(struct test *t)
{
	static const char *const models[] = { "llama", "llama-untied", "gpt2", "bert", "roberta", "distilbert",
		                              "modernbert", "bert-classes", "llama-classes", "llama.gguf" };

	log_set(LOG_QUIET);
	test_golden_files(t);
	test_labels(t);
	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		test_made(t, models[i]);
	log_set(LOG_NORMAL);
}
