/* fixture_bench: see fixture_bench.h. Documents are random tokens, all of them learnt. */
#include "fixture_bench.h"

#include <math.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/forest.h"
#include "infer/scorer.h"
#include "model/model_pass.h"

bool bench_fine(struct bench *b, int status, const struct err *e)
{
	CHECK_MSG(b->t, status == 0, "%s", e->msg);
	return status == 0;
}

bool bench_open(struct bench *b, struct test *t, const char *model)
{
	struct err e = ERR_INIT;
	struct rng_key key = { 5, RNG_TEST };
	char *path = io_join(test_golden(), model);

	*b = (struct bench){ .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	b->device = device_cpu(b->kernels, b->pool);
	bool ok = bench_fine(b, model_open(&b->model, path, &e), &e);
	mem_free(path);
	for (int i = 0; ok && i < DOCS; i++) {
		struct document *d = &b->docs[i];
		*d = (struct document){ .n = LENGTH - i, .n_learn = LENGTH - i - 1, .choice = -1, .file = "documents" };
		d->ids = arena_array(&b->mem, LENGTH, sizeof(*d->ids));
		d->learn = arena_array(&b->mem, LENGTH, 1);
		for (int j = 0; j < d->n; j++) {
			d->ids[j] = (int32_t)(rng_uniform(key, (uint64_t)i, (uint32_t)j, 0) *
			                      (float)b->model.config.V);
			d->learn[j] = j > 0;
		}
		b->pointers[i] = d;
	}
	return ok;
}

void bench_close(struct bench *b)
{
	model_close(&b->model);
	pool_free(b->pool);
	arena_release(&b->mem);
}

/* The log-probabilities of all tokens; [DOCS·LENGTH], others 0. */
float *bench_logprobs(struct bench *b, const struct overlay *o)
{
	struct err e = ERR_INIT;
	struct scorer *s;
	struct scorer_options how = { .max_tokens = 128, .max_length = LENGTH };
	float *out = arena_array(&b->mem, (size_t)DOCS * LENGTH, sizeof(*out)), *each[DOCS];
	double sum[DOCS];

	for (int i = 0; i < DOCS; i++)
		each[i] = out + (size_t)i * LENGTH;
	if (bench_fine(b, scorer_new(&s, &b->model, o, &b->device, &how, &e), &e)) {
		bench_fine(b, scorer_run(s, b->pointers, DOCS, true, sum, each, NULL, NULL, &e), &e);
		scorer_free(s);
	}
	return out;
}

double bench_difference(const float *a, const float *b, size_t n)
{
	double off = 0;

	for (size_t i = 0; i < n; i++)
		off = fmax(off, fabs((double)a[i] - b[i]));
	return off;
}

double bench_largest(const float *a, size_t n)
{
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, fabs((double)a[i]));
	return most;
}

float *bench_gradient(struct bench *b, const struct overlay *o, size_t n, const struct document *const *docs,
                       size_t n_docs)
{
	struct err e = ERR_INIT;
	struct forest_options how = { .max_tokens = 128, .share = true, .virtual_tokens = overlays_virtual(o),
		                      .first_virtual = b->model.config.V };
	struct batch_cap cap = { 0 };
	struct live live;
	int64_t tokens;
	struct model_pass p;
	float *grads = arena_array(&b->mem, n, sizeof(*grads));

	CHECK(b->t, forest_take(docs, n_docs, &how, &cap, &live, &tokens) == n_docs);
	struct device d = device_cpu(b->kernels, b->pool);
	model_pass_begin(&p, &d, &cap, &b->model, o, true);
	p.result = graph_logprob(&p.graph, graph_hidden(&p.graph));
	if (bench_fine(b, tape_backward(&p.pass.tape, &e), &e) && bench_fine(b, pass_plan(&p.pass, NULL, &e), &e) &&
	    bench_fine(b, model_pass_start(&p, grads, &e), &e)) {
		forest_fill(&p.pass.batch, docs, n_docs, &how);
		pass_step(&p.pass);
	}
	model_pass_release(&p);
	return grads;
}
