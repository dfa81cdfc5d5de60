/* test_sampler: greedy and its ties, every option's distribution against transformers'
 * (tools/golden/sampler_numbers.py), frequencies of many draws, repeatability. */
#include "../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/sampler.h"

enum { SOME = 23, DRAWS = 40000 };

/* A sampler with options of its own. */
struct mine { struct sampler s; struct sampler_choice choice; };

static void begin(struct mine *m, size_t V, double temperature, uint64_t seed)
{
	sampler_choose(&m->choice);
	m->s = (struct sampler){ .steps = m->choice.steps, .seed = seed };
	sampler_choice_set(&m->choice, "temperature", temperature);
	sampler_init(&m->s, V);
}

static void end(struct mine *m)
{
	sampler_release(&m->s);
	sampler_choice_release(&m->choice);
}

static void test_greedy(struct test *t)
{
	struct sampler s = { 0 };

	test_case(t, "greedy: the largest, at ties the lowest id, never what is no number");
	sampler_init(&s, 5);
	CHECK(t, sampler_next(&s, (float[]){ 1, 3, 2, 3, -1 }) == 1);
	CHECK(t, sampler_next(&s, (float[]){ -INFINITY, -INFINITY, -5, -INFINITY, -6 }) == 2);
	CHECK(t, sampler_next(&s, (float[]){ NAN, 1, 2, NAN, 0 }) == 2);
	CHECK(t, s.index == 0);
	sampler_release(&s);
}

static int by_weight(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return x[0] != y[0] ? (x[0] < y[0]) - (x[0] > y[0]) : (x[1] > y[1]) - (x[1] < y[1]);
}

/* p of every id by the definition: softmax at the temperature, the k likeliest, of those the fewest that reach
 * top_p. */
static void define(const float *logits, size_t V, double temperature, int top_k, double top_p, double *p)
{
	double sorted[SOME][2], sum = 0, kept = 0, rest = 0;
	size_t k = top_k ? MIN((size_t)top_k, V) : V, n = 0;

	for (size_t i = 0; i < V; i++) {
		sorted[i][0] = exp(logits[i] / temperature);
		sorted[i][1] = (double)i;
		p[i] = 0;
	}
	qsort(sorted, V, sizeof(sorted[0]), by_weight);
	for (size_t i = 0; i < k; i++)
		sum += sorted[i][0];
	for (; n < k && (n == 0 || kept / sum < top_p); n++)
		kept += sorted[n][0];
	for (size_t i = 0; i < n; i++)
		rest += sorted[i][0];
	for (size_t i = 0; i < n; i++)
		p[(size_t)sorted[i][1]] = sorted[i][0] / rest;
}

static void test_draws(struct test *t, double temperature, int top_k, double top_p)
{
	struct mine m;
	struct rng_stream rng = { 5 };
	float logits[SOME];
	double p[SOME];
	int count[SOME] = { 0 };

	test_case(t, "frequencies at temperature %g, top-k %d, top-p %g", temperature, top_k, top_p);
	begin(&m, SOME, temperature, 7);
	sampler_choice_set(&m.choice, "top-k", top_k);
	sampler_choice_set(&m.choice, "top-p", top_p);
	for (int i = 0; i < SOME; i++)
		logits[i] = 3 * rng_next_float(&rng);
	define(logits, SOME, temperature, top_k, top_p, p);
	for (int i = 0; i < DRAWS; i++) {
		int32_t id = sampler_next(&m.s, logits);
		CHECK(t, id >= 0 && id < SOME);
		count[id]++;
	}
	CHECK(t, m.s.index == DRAWS);
	for (int i = 0; i < SOME; i++) {
		double error = sqrt(p[i] * (1 - p[i]) / DRAWS);
		CHECK_MSG(t, p[i] > 0 || count[i] == 0, "id %d was drawn, but is cut off", i);
		CHECK_MSG(t, fabs((double)count[i] / DRAWS - p[i]) <= 5 * error + 1e-9,
		          "id %d: %d of %d, %g was wanted", i, count[i], DRAWS, p[i]);
	}
	end(&m);
}

static void test_repeats(struct test *t)
{
	struct mine a, b, c;
	float logits[SOME] = { 0 };
	int same = 0;

	test_case(t, "a seed repeats its draws from any index, another seed has others");
	begin(&a, SOME, 1, 3);
	begin(&b, SOME, 1, 3);
	begin(&c, SOME, 1, 4);
	sampler_choice_set(&a.choice, "top-p", 0.9);
	sampler_choice_set(&b.choice, "top-p", 0.9);
	sampler_choice_set(&c.choice, "top-p", 0.9);
	int32_t drawn[50];
	for (int i = 0; i < 50; i++) {
		drawn[i] = sampler_next(&a.s, logits);
		same += drawn[i] == sampler_next(&c.s, logits);
	}
	b.s.index = 20;
	for (int i = 20; i < 50; i++)
		CHECK(t, sampler_next(&b.s, logits) == drawn[i]);
	CHECK(t, same < 15);
	end(&a);
	end(&b);
	end(&c);
}

static void test_edges(struct test *t)
{
	struct mine m;

	test_case(t, "a tiny temperature, top-k 1 and top-p 0 are greedy, huge logits are no trouble");
	begin(&m, 4, 1e-6, 3);
	for (int i = 0; i < 20; i++)
		CHECK(t, sampler_next(&m.s, (float[]){ 1, 3e30F, -3e38F, 2 }) == 1);
	sampler_choice_set(&m.choice, "temperature", 5);
	sampler_choice_set(&m.choice, "top-k", 1);
	for (int i = 0; i < 20; i++)
		CHECK(t, sampler_next(&m.s, (float[]){ 1, 2, 2, 1 }) == 1);
	sampler_choice_set(&m.choice, "top-k", 0);
	sampler_choice_set(&m.choice, "top-p", 0);
	for (int i = 0; i < 20; i++)
		CHECK(t, sampler_next(&m.s, (float[]){ 1, 2, 2, 1 }) == 1);
	sampler_choice_set(&m.choice, "top-k", 100);
	sampler_choice_set(&m.choice, "top-p", 1);
	for (int i = 0; i < 20; i++)
		CHECK(t, sampler_next(&m.s, (float[]){ 1, 2, 2, -INFINITY }) != 3);
	end(&m);
}

static double number(const json_t *c, const char *key, double init)
{
	const json_t *v = json_object_get(c, key);
	return v ? json_number_value(v) : init;
}

/* What a case asks for, with its tokens seen. */
static void ask(const json_t *c, struct logit_bias *bias, struct mine *m)
{
	static const char *const keys[] = { "top_k",         "top_p",
		                            "min_p",         "typical_p",
		                            "repetition_penalty", "frequency_penalty",
		                            "presence_penalty",   "repeat_last_n" };
	const char *key;
	json_t *v;
	size_t i;
	struct sampler *s = &m->s;

	begin(m, json_array_size(json_object_get(c, "logits")), number(c, "temperature", 1), 0);
	s->bias = bias;
	for (i = 0; i < ARRAY_LEN(keys); i++)
		if ((v = json_object_get(c, keys[i])))
			sampler_choice_set(&m->choice, keys[i], json_number_value(v));
	s->llama_order = !strcmp(json_string_value(json_object_get(c, "order")), "llama.cpp");
	json_object_foreach(json_object_get(c, "logit_bias"), key, v)
		bias[s->n_bias++] = (struct logit_bias){ atoi(key), (float)json_number_value(v) };
	json_array_foreach(json_object_get(c, "seen"), i, v)
		sampler_see(s, (int32_t[]){ (int32_t)json_integer_value(v) }, 1);
}

static void test_case_of(struct test *t, const json_t *c)
{
	struct logit_bias bias[8];
	struct mine m;
	float logits[64];
	double p[64], by_id[64] = { 0 };
	json_t *v;
	size_t i;
	char *text = jsonx_line(c);

	*strstr(text, "\"logits\"") = 0;
	test_case(t, "as transformers: %s", text);
	ask(c, bias, &m);
	json_array_foreach(json_object_get(c, "logits"), i, v)
		logits[i] = (float)json_number_value(v);
	for (int again = 0; again < 2; again++) { /* nothing is left behind by the first time */
		size_t n = sampler_distribution(&m.s, logits, p);
		memset(by_id, 0, sizeof(by_id));
		for (i = 0; i < n; i++)
			by_id[m.s.id[i]] = p[i];
		json_array_foreach(json_object_get(c, "p"), i, v)
			CHECK_MSG(t,
			          fabs(by_id[i] - json_number_value(v)) < 1e-5 &&
			                  (by_id[i] > 0) == (json_number_value(v) > 0),
			          "id %zu: %g, %g was wanted", i, by_id[i], json_number_value(v));
	}
	sampler_choice_set(&m.choice, "temperature", 0); /* biases and penalties hold for the likeliest too */
	int32_t best = sampler_next(&m.s, logits);
	sampler_choice_set(&m.choice, "temperature", 1);
	sampler_choice_set(&m.choice, "top-k", 1);
	CHECK(t, sampler_next(&m.s, logits) == best);
	mem_free(text);
	end(&m);
}

static void test_golden_distributions(struct test *t)
{
	char *path = mem_printf("%s/values/sampler.json", test_golden());
	struct err e = ERR_INIT;
	json_t *cases = jsonx_load_file(path, &e), *c;
	size_t i;

	CHECK_MSG(t, json_array_size(cases) > 20, "%s", e.msg);
	json_array_foreach(cases, i, c)
		test_case_of(t, c);
	json_decref(cases);
	mem_free(path);
}

static void test_streams(struct test *t)
{
	struct mine m;
	float logits[SOME] = { 0 };
	int32_t drawn[3][20];
	int same = 0;

	test_case(t, "streams of one seed are different, and each repeats");
	begin(&m, SOME, 1, 3);
	for (int i = 0; i < 60; i++) {
		m.s.stream = (uint32_t)(i % 3);
		m.s.index = (uint64_t)(i / 3);
		drawn[i % 3][i / 3] = sampler_next(&m.s, logits);
	}
	m.s.stream = 1;
	m.s.index = 0;
	for (int i = 0; i < 20; i++) {
		CHECK(t, sampler_next(&m.s, logits) == drawn[1][i]);
		same += drawn[0][i] == drawn[1][i];
	}
	CHECK(t, same < 6);
	sampler_forget(&m.s);
	CHECK(t, m.s.n_seen == 0);

	test_case(t, "the likeliest few, in order");
	int32_t top[3];
	sampler_top(&m.s, (float[SOME]){ [4] = 2, [7] = 3, [9] = 2, [12] = NAN }, top, 3);
	CHECK(t, top[0] == 7 && top[1] == 4 && top[2] == 9);
	end(&m);
}

static void test_logprob(struct test *t)
{
	float logits[] = { 1000, 1001, -INFINITY };

	test_case(t, "log-probability of an entry");
	CHECK(t, fabs(logits_logprob(logits, 3, 1) + log1p(exp(-1))) < 1e-12);
	CHECK(t, fabs(logits_logprob(logits, 3, 0) + log1p(exp(1))) < 1e-12);
	CHECK(t, logits_logprob(logits, 3, 2) == -INFINITY);
}

void test_sampler(struct test *t)
{
	static const struct { double temperature; int k; double p;
	} settings[] = {
		{ 1, 0, 1 },     { 0.5, 0, 1 },    { 1, 5, 1 },      { 1, 0, 0.8 },
		{ 1.7, 9, 0.6 }, { 1, 23, 0.999 }, { 0.3, 2, 0.99 },
	};

	test_greedy(t);
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		test_draws(t, settings[i].temperature, settings[i].k, settings[i].p);
	test_golden_distributions(t);
	test_repeats(t);
	test_streams(t);
	test_edges(t);
	test_logprob(t);
}
