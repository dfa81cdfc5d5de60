/* test_grounding: what a source adds to an answer's log-probability is what the scorer says of both prompts alone; the
 * bootstrap's interval holds the sum, and is the same each time. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/grounding.h"

enum { PROMPTS = 3, ANSWER = 6, SHARED = 20 };

static void make_tokens(struct tokens *out, const struct model *m, size_t n, uint64_t seed)
{
	struct rng_stream r = { seed };

	for (size_t i = 0; i < n; i++)
		tokens_add(out, (int32_t)rng_below(&r, (uint32_t)m->config.V));
}

/* log P(answer | prompt), by itself. */
static double alone(struct test *t, struct model *m, struct device *d, const struct tokens *prompt,
                    const struct tokens *answer)
{
	struct arena mem = ARENA_INIT;
	size_t n = prompt->n + answer->n;
	struct document doc = { .n = (int32_t)n, .n_learn = (int32_t)answer->n, .file = "alone", .choice = -1,
		                .ids = arena_array(&mem, n, sizeof(int32_t)), .learn = arena_array(&mem, n, 1) };
	const struct document *docs = &doc;
	const struct scorer_options o = { .max_length = (int32_t)n, .max_tokens = (int32_t)n };
	struct scorer *s;
	struct err e = ERR_INIT;
	double sum = NAN;

	memcpy(doc.ids, prompt->id, prompt->n * sizeof(int32_t));
	memcpy(doc.ids + prompt->n, answer->id, answer->n * sizeof(int32_t));
	memset(doc.learn + prompt->n, 1, answer->n);
	CHECK_MSG(t, scorer_new(&s, m, NULL, d, &o, &e) == 0 && scorer_run(s, &docs, 1, false, &sum, NULL, NULL, NULL,
	                                                                   &e) == 0,
	          "%s", e.msg);
	scorer_free(s);
	arena_release(&mem);
	return sum;
}

static void check_support(struct test *t)
{
	char *path = io_join(test_golden(), "llama");
	struct model m;
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(2);
	struct device d = device_cpu(kernels_get(NULL, &e), pool);
	struct tokens prompts[PROMPTS] = { 0 }, answer = { 0 };
	struct grounding g;
	struct scorer_forecast f;

	test_case(t, "support is the difference of two scores");
	CHECK_MSG(t, model_open(&m, path, &e) == 0, "%s", e.msg);
	make_tokens(&answer, &m, ANSWER, 9);
	for (size_t i = 0; i < PROMPTS; i++) {
		make_tokens(&prompts[i], &m, SHARED, 1);
		make_tokens(&prompts[i], &m, 5 + i, 20 + i);
	}
	CHECK_MSG(t, grounding_measure(&g, &m, NULL, &d, prompts, PROMPTS - 1, &answer, &e) == 0, "%s", e.msg);
	double all = alone(t, &m, &d, &prompts[0], &answer);
	for (size_t i = 0; i + 1 < PROMPTS; i++) {
		double want = all - alone(t, &m, &d, &prompts[i + 1], &answer);
		const struct estimate *x = &g.support[i];
		CHECK_MSG(t, fabs(x->mean - want) < 1e-4 * (1 + fabs(all)), "%g, by itself %g", x->mean, want);
		CHECK(t, x->low <= x->mean && x->mean <= x->high && x->n == ANSWER);
	}
	CHECK(t, g.computed_tokens == SHARED + 5 + 6 + 7 + PROMPTS * ANSWER);
	CHECK(t, grounding_forecast(&f, &m, NULL, &d, prompts, PROMPTS - 1, ANSWER, &e) == 0 && f.flops >= g.flops);
	for (size_t i = 0; i < PROMPTS; i++)
		tokens_release(&prompts[i]);
	tokens_release(&answer);
	mem_free(g.support);
	model_close(&m);
	pool_free(pool);
	mem_free(path);
}

static void check_bootstrap(struct test *t)
{
	struct rng_key key = { 4, RNG_TEST };
	double x[400];

	test_case(t, "bootstrap: near a normal's interval of a sum");
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		x[i] = 1 + (double)rng_normal(key, i, 0, 0);
	struct estimate a = bootstrap_sum(x, ARRAY_LEN(x)), b = bootstrap_sum(x, ARRAY_LEN(x));
	CHECK(t, !memcmp(&a, &b, sizeof(a)));
	CHECK_MSG(t, fabs(a.stderr_ - 20) < 2.5, "%g", a.stderr_);
	CHECK(t, fabs(a.high - a.mean - 1.96 * a.stderr_) < 5 && fabs(a.mean - a.low - 1.96 * a.stderr_) < 5);
	const double one[] = { 2.5 };
	a = bootstrap_sum(one, 1);
	CHECK(t, a.low == 2.5 && a.high == 2.5);
}

void test_grounding(struct test *t)
{
	check_support(t);
	check_bootstrap(t);
}
