/* test_pooling: embeddings of tiny models against sums over the states that the graph gives for each document alone:
 * every pooling, normalized and not, documents that share beginnings and ones that are packed side by side. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "infer/embed.h"
#include "model/model_pass.h"

enum { DOCS = 5, LONGEST = 30 };

struct bench {
	struct test *t;
	struct pool *pool;
	struct device device;
	struct model model;
	int32_t ids[DOCS][LONGEST];
	uint8_t learn[DOCS][LONGEST];
	struct document docs[DOCS];
	const struct document *pointers[DOCS];
	float *states[DOCS];            /* [n][C] */
};

/* The first two share 20 tokens, the third is the second's beginning, the last is one token. */
static void make_documents(struct bench *b)
{
	static const int32_t length[DOCS] = { 25, LONGEST, 22, 7, 1 };

	for (int i = 0; i < DOCS; i++) {
		for (int j = 0; j < length[i]; j++)
			b->ids[i][j] = (i < 3 && j < 20 ? 3 + 7 * j : 5 + (i == 2 ? 1 : i) * 11 + 3 * j) % 300;
		b->learn[i][length[i] - 1] = 1;
		b->docs[i] = (struct document){ .ids = b->ids[i], .n = length[i], .learn = b->learn[i], .n_learn = 1,
			                        .file = "made", .line = 1, .choice = -1, .adapter = -1 };
		b->pointers[i] = &b->docs[i];
	}
}

/* A document's states, alone in a batch. */
static void states_of(struct bench *b, int i)
{
	struct err e = ERR_INIT;
	struct forest_options o = { .max_tokens = LONGEST, .own_rows = true };
	struct batch_cap cap = { 0 };
	struct model_pass p;
	struct live live;
	int64_t tokens;
	size_t n = (size_t)b->docs[i].n * (size_t)b->model.config.C;

	forest_take(b->pointers + i, 1, &o, &cap, &live, &tokens);
	model_pass_begin(&p, &b->device, &cap, &b->model, NULL, false);
	p.result = graph_states(&p.graph, graph_hidden(&p.graph));
	bool fine = pass_plan(&p.pass, NULL, &e) == 0 && model_pass_start(&p, NULL, &e) == 0;
	CHECK_MSG(b->t, fine, "%s", e.msg);
	b->states[i] = mem_array(n, sizeof(float));
	if (fine) {
		forest_fill(&p.pass.batch, b->pointers + i, 1, &o);
		CHECK(b->t, pass_step(&p.pass) == 0);
		memcpy(b->states[i], model_pass_result(&p), n * sizeof(float));
	}
	model_pass_release(&p);
}

static double pooled(const struct bench *b, int i, enum pooling how, size_t c)
{
	size_t C = (size_t)b->model.config.C, n = (size_t)b->docs[i].n;
	const float *x = b->states[i] + c;
	double sum = 0, most = -INFINITY;

	for (size_t j = 0; j < n; j++) {
		sum += (double)x[j * C];
		most = fmax(most, (double)x[j * C]);
	}
	return how == POOLING_MEAN ? sum / (double)n : how == POOLING_MAX ? most :
	       how == POOLING_CLS ? (double)x[0] : (double)x[(n - 1) * C];
}

static void check_pooling(struct bench *b, enum pooling how, bool normalize, int32_t max_tokens)
{
	struct err e = ERR_INIT;
	struct embed_options o = { .max_tokens = max_tokens, .max_length = LONGEST, .pooling = how,
		                   .normalize = normalize };
	struct embedder *x = NULL;
	size_t C = (size_t)b->model.config.C;
	float *out = mem_array(DOCS * C, sizeof(*out));
	double worst = 0;

	bool fine = embedder_new(&x, &b->model, NULL, &b->device, &o, &e) == 0 &&
	            embedder_run(x, b->pointers, DOCS, out, NULL, NULL, &e) == 0;
	CHECK_MSG(b->t, fine && embedder_width(x) == C, "%s", e.msg);
	for (int i = 0; i < DOCS; i++) {
		double length = 0;
		for (size_t c = 0; c < C; c++)
			length += pooled(b, i, how, c) * pooled(b, i, how, c);
		length = normalize ? sqrt(length) : 1;
		for (size_t c = 0; c < C; c++)
			worst = fmax(worst, fabs((double)out[(size_t)i * C + c] - pooled(b, i, how, c) / length));
	}
	CHECK_MSG(b->t, worst <= 1e-5, "%s%s, micro-batches of %d: off by %g", pooling_names[how],
	          normalize ? ", normalized" : "", max_tokens, worst);
	embedder_free(x);
	mem_free(out);
}

static void check_model(struct test *t, const char *name)
{
	struct bench b = { .t = t, .pool = pool_new(2) };
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), name);

	test_case(t, "%s: every pooling", name);
	b.device = device_cpu(kernels_get(NULL, &e), b.pool);
	bool fine = model_open(&b.model, path, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	if (fine) {
		make_documents(&b);
		for (int i = 0; i < DOCS; i++)
			states_of(&b, i);
		for (int how = 0; how < POOLINGS; how++) {
			check_pooling(&b, (enum pooling)how, false, 512);
			check_pooling(&b, (enum pooling)how, true, LONGEST);
		}
		for (int i = 0; i < DOCS; i++)
			mem_free(b.states[i]);
		model_close(&b.model);
	}
	mem_free(path);
	pool_free(b.pool);
}

void test_pooling(struct test *t);
void test_pooling(struct test *t)
{
	static const char *const models[] = { "bert", "roberta", "modernbert", "llama", "gpt2", "bert.gguf" };

	for (size_t i = 0; i < ARRAY_LEN(models); i++)
		check_model(t, models[i]);
	CHECK(t, pooling_find("mean") == POOLING_MEAN && pooling_find("max") == POOLING_MAX && pooling_find("sum") < 0);
}
