/* test_watermark: green tokens and what is found of them, against transformers' WatermarkLogitsProcessor (lefthash) and
 * WatermarkDetector; what a sampler with the mark draws is found, and what one without draws is not. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/sampler.h"
#include "infer/watermark.h"

enum { KEY = 15485863 }; /* transformers' default */

/* Its first six green tokens, and Σ place · token of all, which no other order has. */
static void check_green(struct test *t, const struct watermark *w, size_t V, int32_t before, const int32_t *first,
                        size_t wanted, int64_t sum)
{
	int32_t *room = mem_array(V, sizeof(*room));
	size_t n = watermark_green(w, before, V, room);
	int64_t all = 0;

	for (size_t i = 0; i < n; i++)
		all += (int64_t)(i + 1) * room[i];
	CHECK(t, n == wanted);
	CHECK(t, !memcmp(room, first, 6 * sizeof(*first)));
	CHECK_MSG(t, all == sum, "%lld, not %lld", (long long)all, (long long)sum);
	mem_free(room);
}

static void test_green(struct test *t)
{
	struct watermark w = { KEY, 0.25, 2 }, large = { 1099511627775, 0.3, 2 };

	test_case(t, "green tokens are transformers'");
	check_green(t, &w, 1000, 0, (int32_t[]){ 44, 37, 675, 775, 947, 209 }, 250, 15314494);
	check_green(t, &w, 1000, 7, (int32_t[]){ 969, 549, 528, 680, 534, 248 }, 250, 15105428);
	check_green(t, &w, 1000, 999, (int32_t[]){ 446, 404, 452, 979, 467, 156 }, 250, 15944352);
	check_green(t, &large, 49152, 40000, (int32_t[]){ 24971, 38523, 19737, 7058, 14207, 13269 }, 14745,
	            2682408913700);
}

static void test_found(struct test *t)
{
	struct watermark w = { KEY, 0.25, 2 };
	int32_t ids[66];

	test_case(t, "what is found is what transformers' detector finds, repeated pairs counted once or each time");
	for (int32_t i = 0; i < 60; i++)
		ids[i] = (i * i * 7 + 3 * i) % 1000;
	for (int32_t i = 60; i < 66; i++)
		ids[i] = 5 + i % 2;
	struct watermark_found each = watermark_detect(&w, ids, 66, 1000, false),
			       once = watermark_detect(&w, ids, 66, 1000, true);
	CHECK(t, each.scored == 65 && each.green == 11);
	CHECK(t, once.scored == 62 && once.green == 11);
	CHECK(t, fabs(each.z + 1.50384124) < 1e-8 && fabs(each.p - 0.93368887) < 1e-8);
	CHECK(t, fabs(once.z + 1.31982404) < 1e-8 && fabs(once.p - 0.90655311) < 1e-8);
	once = watermark_detect(&w, ids, 1, 1000, true);
	CHECK(t, once.scored == 0 && isnan(once.z));
}

/* 200 tokens of random logits, and what is found of key `by`. */
static double z_of(double key, int64_t by, double temperature)
{
	enum { V = 96, N = 200 };
	struct sampler_choice choice;
	struct sampler s;
	float logits[V];
	int32_t ids[N] = { 3 };

	sampler_choose(&choice);
	sampler_choice_set(&choice, "temperature", temperature);
	if (key > 0)
		sampler_choice_set(&choice, "watermark-hashing-key", key);
	s = (struct sampler){ .steps = choice.steps, .seed = 7 };
	sampler_init(&s, V);
	sampler_see(&s, ids, 1);
	for (int i = 1; i < N; i++) {
		for (uint32_t k = 0; k < V; k += 4)
			rng_normals((struct rng_key){ 11, RNG_TEST }, (uint64_t)i, k, 0, logits + k);
		ids[i] = sampler_next(&s, logits);
		sampler_see(&s, &ids[i], 1);
	}
	sampler_release(&s);
	sampler_choice_release(&choice);
	return watermark_detect(&(struct watermark){ by, 0.25, 2 }, ids, N, V, true).z;
}

static void test_drawn(struct test *t)
{
	test_case(t, "a text that is drawn with the mark has it, greedy too; one without, or of another key, has not");
	CHECK(t, z_of(KEY, KEY, 1) > 8);
	CHECK(t, z_of(KEY, KEY, 0) > 8);
	CHECK(t, fabs(z_of(0, KEY, 1)) < 4);
	CHECK(t, fabs(z_of(KEY, KEY + 2, 1)) < 4);
}

void test_watermark(struct test *t)
{
	test_green(t);
	test_found(t);
	test_drawn(t);
}
