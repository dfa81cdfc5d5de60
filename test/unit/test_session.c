/* test_session: sequences of one session have the bits that they have alone: branches of every kind of prompt, in mixed
 * steps, in a place that another one left; and what is kept of a conversation is what its next turn begins with. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"

enum { CONTEXT = 400, BRANCHES = 3 }; /* more than a range of keys */

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	const struct kernels *kernels;
	struct cache_types cache;
	struct session *alone;         /* one sequence */
	int32_t ids[CONTEXT];
	size_t V;
};

static void random_ids(const struct bench *b, uint64_t seed, int32_t *ids, int n)
{
	struct rng_stream rng = { seed };
	for (int i = 0; i < n; i++)
		ids[i] = (int32_t)rng_below(&rng, (uint32_t)b->V);
}

/* The logits after ids[0..n), of a sequence alone. */
static const float *judge(struct bench *b, const int32_t *ids, int n)
{
	struct err e = ERR_INIT;
	const float *logits = NULL;

	session_truncate(b->alone, 0);
	CHECK_MSG(b->t, session_feed(b->alone, ids, (size_t)n, &logits, &e) == 0, "%s", e.msg);
	return logits;
}

static void check_part(struct bench *b, const struct session *s, const struct session_part *p, const char *when)
{
	int n = session_length_of(s, p->sequence);
	const float *wanted = judge(b, session_ids(s, p->sequence), n);

	CHECK_MSG(b->t, p->logits && !memcmp(p->logits, wanted, b->V * sizeof(float)),
	          "%s: sequence %d, %d tokens: other bits than alone", when, p->sequence, n);
}

/* Steps of every length for each branch, beside each other. */
static void feed_branches(struct bench *b, struct session *s, uint64_t seed, const char *when)
{
	static const int lengths[][BRANCHES] = { { 1, 1, 1 }, { 3, 1, 7 }, { 1, 17, 1 }, { 2, 1, 1 } };
	struct err e = ERR_INIT;
	int32_t ids[BRANCHES][32];

	for (size_t step = 0; step < ARRAY_LEN(lengths); step++) {
		struct session_part parts[BRANCHES];
		for (int i = 0; i < BRANCHES; i++) {
			random_ids(b, seed + 10 * step + (uint64_t)i, ids[i], lengths[step][i]);
			parts[i] = (struct session_part){
				.sequence = i + 1, .ids = ids[i], .n = lengths[step][i], .wanted = true
			};
		}
		CHECK_MSG(b->t, session_step(s, parts, BRANCHES, &e) == 0, "%s", e.msg);
		for (int i = 0; i < BRANCHES; i++)
			check_part(b, s, &parts[i], when);
	}
}

static void test_branches(struct bench *b, int prompt)
{
	struct err e = ERR_INIT;
	struct session *s;
	const float *logits;

	test_case(b->t, "branches of %d tokens, stored once, have the bits of sequences alone", prompt);
	CHECK_MSG(b->t,
	          session_new(&s, &b->model, NULL, b->pool, b->kernels,
	                      &(struct session_size){ CONTEXT, BRANCHES + 1, b->cache }, &e) == 0,
	          "%s", e.msg);
	if (prompt)
		CHECK(b->t, session_feed(s, b->ids, (size_t)prompt, &logits, &e) == 0);
	for (int i = 1; i <= BRANCHES; i++)
		session_branch(s, i);
	feed_branches(b, s, 100, "at first");
	session_drop(s, 2);
	session_branch(s, 2);
	CHECK(b->t, session_length_of(s, 2) == prompt);
	int32_t id = 5;
	struct session_part p = { .sequence = 2, .ids = &id, .n = 1, .wanted = true };
	CHECK(b->t, session_step(s, &p, 1, &e) == 0);
	check_part(b, s, &p, "in another's place");
	for (int i = 1; i <= BRANCHES; i++)
		session_drop(s, i);

	session_truncate(s, prompt / 2);
	/* sequence 0 goes on once its branches are gone */
	CHECK(b->t, session_feed(s, b->ids + prompt / 2, 3, &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, session_ids(s, 0), prompt / 2 + 3), b->V * sizeof(float)));
	session_free(s);
}

static void test_steps(struct bench *b)
{
	struct err e = ERR_INIT;
	struct session *s;
	const float *logits;

	test_case(b->t, "one by one, in pieces and all at once: the same bits");
	CHECK(b->t, session_new(&s, &b->model, NULL, b->pool, b->kernels,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	for (int i = 0; i < 270; i++)
		CHECK(b->t, session_feed(s, b->ids + i, 1, &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, b->ids, 270), b->V * sizeof(float)));

	test_case(b->t, "what a conversation begins with again is kept, the last token at most not");
	int32_t other[100];
	memcpy(other, b->ids, sizeof(other));
	other[70]++;
	CHECK(b->t, session_keep(s, b->ids, 270) == 269 && session_length(s) == 269);
	CHECK(b->t, session_keep(s, other, 100) == 70 && session_length(s) == 70);
	CHECK(b->t, session_feed(s, other + 70, 30, &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, other, 100), b->V * sizeof(float)));
	CHECK(b->t, session_keep(s, other, 0) == 0 && session_length(s) == 0);

	test_case(b->t, "a full context is a sentence with its numbers, and nothing is fed");
	CHECK(b->t, session_feed(s, b->ids, 100, &logits, &e) == 0);
	CHECK(b->t, session_feed(s, b->ids, 301, &logits, &e) < 0 &&
	                    strstr(e.msg, "100 tokens are in it and 301 are to be added, it holds 400"));
	CHECK(b->t, session_length(s) == 100);
	session_free(s);
	CHECK(b->t, session_new(&s, &b->model, NULL, b->pool, b->kernels,
	                        &(struct session_size){ .n_ctx = CONTEXT, .n_sequences = SESSION_ROWS + 1 }, &e) < 0 &&
	                    strstr(e.msg, "513 sequences"));
}

/* An adapter of one module, its B not zero. */
static void make_adapter(struct bench *b, const char *module, struct adapter *a)
{
	struct err e = ERR_INIT;
	struct rng_stream rng = { 3 };
	const char *options[] = { "lora-r", "2", "lora-alpha", "4", "target-modules", module, NULL };

	CHECK_MSG(b->t, adapter_new_named(a, "lora", &b->model, options, 1, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < a->overlay.params.n_items; i++)
		for (size_t j = 0; j < a->overlay.params.items[i].n; j++)
			a->overlay.params.w[a->overlay.params.items[i].offset + j] = rng_next_float(&rng);
}

static void test_copy(struct bench *b, const char *module, bool shares)
{
	struct err e = ERR_INIT;
	struct adapter a;
	struct session *with, *fresh;
	const float *logits, *base, *wanted;

	test_case(b->t, "LoRA on %s %s the model's keys", module, shares ? "keeps" : "changes");
	make_adapter(b, module, &a);
	CHECK(b->t, session_new(&with, &b->model, &a.overlay, b->pool, b->kernels,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	CHECK(b->t, session_new(&fresh, &b->model, &a.overlay, b->pool, b->kernels,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	base = judge(b, b->ids, 50);
	CHECK(b->t, session_same_keys(with, b->alone) == shares && session_same_keys(b->alone, with) == shares);
	CHECK(b->t, session_feed(fresh, b->ids, 50, &wanted, &e) == 0);
	CHECK(b->t, memcmp(base, wanted, b->V * sizeof(float)) != 0); /* the adapter does something */
	if (shares) {
		CHECK(b->t, session_feed(with, b->ids, 20, &logits, &e) == 0);
		session_copy(with, b->alone);
		CHECK(b->t, session_length(with) == 50 && session_keep(with, b->ids, 50) == 49);
		CHECK(b->t, session_feed(with, b->ids + 49, 1, &logits, &e) == 0);
		CHECK(b->t, !memcmp(logits, wanted, b->V * sizeof(float)));
	}
	session_free(with);
	session_free(fresh);
	adapter_release(&a);
}

/* Whatever keys and values are kept as, a sequence's bits do not depend on what is beside it. */
static void test_bits(struct bench *b)
{
	static const int prompts[] = { 0, 1, 40, 65, 255, 256, 257, 330 };
	struct err e = ERR_INIT;

	CHECK(b->t, session_new(&b->alone, &b->model, NULL, b->pool, b->kernels,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	for (size_t i = 0; i < ARRAY_LEN(prompts); i++)
		test_branches(b, prompts[i]);
	test_steps(b);
	test_copy(b, "layers.2.mlp.down_proj", true);
	test_copy(b, "layers.2.self_attn.q_proj", true);
	test_copy(b, "layers.2.self_attn.v_proj", false);
	test_copy(b, "layers.1.mlp.down_proj", false);
	session_free(b->alone);
}

/* The last of 100 tokens' largest logit difference from f32, and the cache's bytes. f16 rounds by 2^-12, which three
 * layers make larger. */
static void test_types(struct bench *b)
{
	static const struct cache_types types[] = { { DTYPE_F32, DTYPE_F32 },
		                                    { DTYPE_F16, DTYPE_F32 },
		                                    { DTYPE_F16, DTYPE_F16 } };
	float *exact = mem_array(b->V, sizeof(*exact));
	size_t work, bytes, whole = 0;
	struct err e = ERR_INIT;
	const float *logits;
	struct session *s;

	test_case(b->t, "keys and values in f16: half of the memory, nearly the same logits; blocks want heads of 16");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		float off = 0;
		CHECK(b->t, session_new(&s, &b->model, NULL, b->pool, b->kernels,
		                        &(struct session_size){ .n_ctx = CONTEXT, .cache = types[i] }, &e) == 0);
		CHECK(b->t, session_feed(s, b->ids, 100, &logits, &e) == 0);
		session_bytes(s, &work, &bytes);
		if (i == 0) {
			memcpy(exact, logits, b->V * sizeof(*exact));
			whole = bytes;
		}
		for (size_t j = 0; j < b->V; j++)
			off = fmaxf(off, fabsf(logits[j] - exact[j]));
		CHECK_MSG(b->t, i == 0 || (off > 0 && off < 1e-2F), "%g", (double)off);
		CHECK(b->t, bytes == whole - whole / 4 * i);
		session_free(s);
	}
	struct session_size blocks = { .n_ctx = CONTEXT, .cache = { DTYPE_Q8_0, DTYPE_F32 } };
	CHECK_MSG(b->t, session_new(&s, &b->model, NULL, b->pool, b->kernels, &blocks, &e) < 0, "heads of 8");
	CHECK(b->t, strstr(e.msg, "blocks"));
	mem_free(exact);
}

void test_session(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama");

	for (int threads = 1; threads <= 3; threads += 2) {
		struct bench b = { .t = t, .pool = pool_new(threads), .kernels = kernels_get(NULL, &e) };
		test_case(t, "the tiny Llama opens");
		CHECK_MSG(t, model_open(&b.model, path, &e) == 0, "%s", e.msg);
		b.model.config.n_ctx = CONTEXT; /* its positions are rotations: there can be as many as one likes */
		b.V = (size_t)b.model.config.V;
		random_ids(&b, 1, b.ids, CONTEXT);
		test_types(&b);
		b.cache = (struct cache_types){ DTYPE_F32, DTYPE_F32 };
		test_bits(&b);
		b.cache = (struct cache_types){ DTYPE_F16, DTYPE_F32 };
		test_bits(&b);
		model_close(&b.model);
		pool_free(b.pool);
	}
	mem_free(path);
}
