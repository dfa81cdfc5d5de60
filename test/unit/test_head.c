/* test_head: what an architecture says of its head beside the matrix (bias, scale, soft cap) reaches the logits and the
 * log-probabilities alike: z = cap·tanh((scale·y + bias)/cap) of the logits y that the model has without. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/model_pass.h"
#include "op/batch_sample.h"

static const float scale = 1.5F, bound = 2;
static uint32_t bias_tensor;

static void own_logits(struct graph *g, struct linear *head, float *cap)
{
	size_t V = (size_t)g->model->config.V;

	if (!bias_tensor)
		bias_tensor = tape_weight(g->tape, "head.bias", DTYPE_F32, 1, &V);
	head->bias = bias_tensor;
	head->scale = scale;
	*cap = bound;
}

struct heads { float *logits, *logprob, *above; };

static float *taken(struct arena *mem, const struct model_pass *p, uint32_t x, size_t n)
{
	float *copy = arena_array(mem, n, sizeof(*copy));

	memcpy(copy, run_read(&p->pass.run, x), n * sizeof(*copy));
	return copy;
}

/* Of the labels that rng draws into the pass's batch. */
static struct heads heads_of(struct arena *mem, struct model_pass *p, const struct model *m, struct device *d,
                             const float *bias)
{
	struct err e = ERR_INIT;
	struct rng_stream rng = { 3 };
	size_t V = (size_t)m->config.V;

	bias_tensor = TENSOR_NONE;
	model_pass_begin(p, d, &batch_sample_cap, m, NULL, false);
	uint32_t hidden = graph_hidden(&p->graph), logits = graph_logits(&p->graph, hidden),
		 logprob = graph_logprob(&p->graph, hidden), above = graph_logprob_from_above(&p->graph, hidden);
	if (pass_plan(&p->pass, NULL, &e) < 0 || pass_start(&p->pass, &e) < 0)
		BUG("%s", e.msg);
	model_pass_bind(p, NULL);
	if (bias_tensor)
		run_bind_host(&p->pass.run, bias_tensor, bias);
	if (run_ready(&p->pass.run, &e) < 0)
		BUG("%s", e.msg);
	batch_sample(&p->pass.batch, &rng, 30, (int)V);
	pass_step(&p->pass);
	size_t R = (size_t)p->pass.batch.n_targets, M = (size_t)p->pass.batch.n_labels;
	return (struct heads){ taken(mem, p, logits, R * V), taken(mem, p, logprob, M), taken(mem, p, above, M) };
}

static double log_softmax(const float *z, size_t V, size_t token)
{
	double sum = 0;

	for (size_t v = 0; v < V; v++)
		sum += exp((double)z[v]);
	return (double)z[token] - log(sum);
}

static void check_heads(struct test *t, const struct model *m, struct arch *own, struct device *d)
{
	struct arena mem = ARENA_INIT;
	struct rng_stream rng = { 9 };
	struct model_pass plain, with;
	struct model other = *m;
	size_t V = (size_t)m->config.V;
	float *bias = arena_array(&mem, V, sizeof(*bias));
	double off = 0, apart = 0;

	for (size_t v = 0; v < V; v++)
		bias[v] = rng_next_float(&rng);
	other.config.arch = own;
	struct heads a = heads_of(&mem, &plain, m, d, NULL), b = heads_of(&mem, &with, &other, d, bias);
	const struct batch *batch = &with.pass.batch;
	for (size_t i = 0; i < (size_t)batch->n_targets * V; i++)
		off = fmax(off, fabs(b.logits[i] - bound * tanh((scale * a.logits[i] + bias[i % V]) / bound)));
	for (int32_t i = 0; i < batch->n_labels; i++) {
		double p = log_softmax(b.logits + (size_t)batch->label_target[i] * V, V, (size_t)batch->label_token[i]);
		apart = fmax(apart, fmax(fabs(p - b.logprob[i]), fabs(p - b.above[i])));
	}
	CHECK_MSG(t, off < 1e-5, "logits are off by %g", off);
	CHECK_MSG(t, apart < 1e-5, "log-probabilities are %g from those of the logits", apart);
	model_pass_release(&plain);
	model_pass_release(&with);
	arena_release(&mem);
}

void test_head(struct test *t)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(2);
	struct device d = device_cpu(kernels_get(NULL, &e), pool);
	static const char *const models[] = { "llama", "llama-untied", "gpt2" };

	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		char *path = io_join(test_golden(), models[i]);
		struct model m;
		test_case(t, "%s: bias, scale and cap of the head", models[i]);
		CHECK_MSG(t, model_open(&m, path, &e) == 0, "%s", e.msg);
		struct arch own = *m.config.arch;
		own.logits = own_logits;
		check_heads(t, &m, &own, &d);
		model_close(&m);
		mem_free(path);
	}
	pool_free(pool);
}
