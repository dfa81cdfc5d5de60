/* test_behaviour_weights: what moved weights react to, against the definition worked out in doubles for a product of
 * which one row was moved; and nothing where no weight was. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "model/weights.h"

enum { MOVED_BY = 7, OTHER = 9, ROW = 3 };

struct setup {
	struct model model;
	struct device device;
	struct pool *pool;
	double *x;                     /* [V][C] what comes to the product, of each token */
	int product;
};

static float *numbers(const struct model *m, const char *name)
{
	int i = model_weight_by_name(m, name);
	float *out = mem_array(weight_numbers(&m->weights[i]), sizeof(*out));

	model_weight_float(m, i, out);
	return out;
}

/* The first norm of the embeddings, where no context matters yet. */
static void find_x(struct setup *s)
{
	size_t V = (size_t)s->model.config.V, C = (size_t)s->model.config.C;
	float *embedding = numbers(&s->model, "model.embed_tokens.weight"),
	      *norm = numbers(&s->model, "model.layers.0.input_layernorm.weight");

	s->x = mem_array(V * C, sizeof(*s->x));
	for (size_t v = 0; v < V; v++) {
		double squares = 0;
		for (size_t i = 0; i < C; i++)
			squares += (double)embedding[v * C + i] * (double)embedding[v * C + i];
		for (size_t i = 0; i < C; i++)
			s->x[v * C + i] = (double)embedding[v * C + i] * (double)norm[i] /
			                  sqrt(squares / (double)C + (double)s->model.config.norm_eps);
	}
	mem_free(embedding);
	mem_free(norm);
}

/* One row is what comes to it of one token. */
static bool moved(const void *ctx, int weight, float *d)
{
	const struct setup *s = ctx;
	size_t C = (size_t)s->model.config.C;

	for (size_t i = 0; i < C && weight == s->product; i++)
		d[ROW * C + i] = (float)s->x[MOVED_BY * C + i];
	return weight == s->product;
}

static double norm_of(const struct setup *s, size_t v)
{
	size_t C = (size_t)s->model.config.C;
	double sum = 0;

	for (size_t i = 0; i < C; i++)
		sum += s->x[v * C + i] * s->x[MOVED_BY * C + i];
	return fabs(sum);
}

static void check_moved(struct test *t, struct setup *s, const struct behaviour_options *o)
{
	size_t n = (size_t)s->model.config.V + 1;
	struct behaviour_unit *units = mem_array(n, sizeof(*units));
	float *z = mem_array(n, sizeof(*z));
	struct search x = { .o = o };
	struct err e = ERR_INIT;
	double sum = 0, squares = 0;
	bool known;

	test_case(t, "a unit's reaction is the most deviations of its tokens at a product");
	for (size_t i = 0; i < n; i++) {
		bool last = i == n - 1;
		units[i] = last ? (struct behaviour_unit){ { MOVED_BY, OTHER }, 2 } :
		                  (struct behaviour_unit){ { (int32_t)i }, 1 };
		double norm = norm_of(s, last ? MOVED_BY : i);
		sum += norm;
		squares += norm * norm;
	}
	CHECK_MSG(t, search_moved(&x, units, n, z, &known, &e) == 0 && known, "%s", e.msg);
	double mean = sum / (double)n, deviation = sqrt(squares / (double)n - mean * mean);
	for (size_t i = 0; i < n; i++) {
		double want = (norm_of(s, i == n - 1 ? MOVED_BY : i) - mean) / deviation;
		CHECK_MSG(t, fabs((double)z[i] - want) < 1e-3, "%zu: %g, wanted %g", i, (double)z[i], want);
	}
	CHECK(t, x.ranked.flops > 0 && x.ranked_rows >= (int64_t)n);
	mem_free(units);
	mem_free(z);
}

static void check_nothing(struct test *t, struct setup *s, struct behaviour_options *o)
{
	const struct behaviour_unit one = { { OTHER }, 1 };
	struct search x = { .o = o };
	struct err e = ERR_INIT;
	bool known = true;
	float z;

	test_case(t, "where no weight was moved, or none can be compared, nothing is known");
	s->product = -1;
	CHECK(t, search_moved(&x, &one, 1, &z, &known, &e) == 0 && !known);
	o->moved = NULL;
	known = true;
	CHECK(t, search_moved(&x, &one, 1, &z, &known, &e) == 0 && !known);
}

void test_behaviour_weights(struct test *t)
{
	static const int32_t before[] = { 1, 2 };
	char *path = mem_printf("%s/llama", test_golden());
	struct setup s = { .pool = pool_new(2) };
	struct err e = ERR_INIT;

	s.device = device_cpu(kernels_get(NULL, &e), s.pool);
	if (model_open(&s.model, path, &e) == 0) {
		struct behaviour_options o = { .base = { &s.model, NULL }, .device = &s.device, .moved = moved,
			                       .alone = { before, NULL, 2, 0 }, .ctx = &s };
		s.product = model_weight_by_name(&s.model, "model.layers.0.self_attn.v_proj.weight");
		find_x(&s);
		check_moved(t, &s, &o);
		check_nothing(t, &s, &o);
		mem_free(s.x);
		model_close(&s.model);
	} else
		CHECK_MSG(t, false, "%s", e.msg);
	pool_free(s.pool);
	mem_free(path);
}
