/* test_session: sequences of one session have the bits that they have alone: branches of every kind of prompt, in mixed
 * steps, in a place that another one left, and whatever was done with them in whatever order; and what is kept of a
 * conversation is what its next turn begins with. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/session.h"
#include "model/decoder.h"
#include "model/model_pass.h"
#include "op/kv_cache.h"

enum {
	CONTEXT = 400,                  /* more than a range of keys */
	BRANCHES = 3,
	TREE = 6, DEEP = 600, DEEDS = 120,  /* sequences, tokens and what is done with them in a random order */
};

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct cache_types cache;
	bool states;                   /* instead of keys: a sequence goes back to where one is */
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

/* How many of `had` tokens are left where only the first n are wanted. */
static int left(const struct bench *b, int had, int n) { return b->states && n < had ? n / KV_RANGE * KV_RANGE : n; }

/* The logits after ids[0..n), of a sequence alone. */
static const float *judge(struct bench *b, const int32_t *ids, int n)
{
	struct err e = ERR_INIT;
	const float *logits = NULL;

	session_drop(b->alone, 0);
	CHECK_MSG(b->t, session_feed(b->alone, 0, ids, (size_t)n, &logits, &e) == 0, "%s", e.msg);
	return logits;
}

static void check_part(struct bench *b, const struct session *s, const struct session_part *p, const char *when)
{
	int n = session_length(s, p->sequence);
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
	          session_new(&s, &b->model, NULL, &b->device,
	                      &(struct session_size){ CONTEXT, BRANCHES + 1, b->cache }, &e) == 0,
	          "%s", e.msg);
	if (prompt)
		CHECK(b->t, session_feed(s, 0, b->ids, (size_t)prompt, &logits, &e) == 0);
	for (int i = 1; i <= BRANCHES; i++)
		CHECK(b->t, session_branch(s, i, 0, prompt) == prompt);
	feed_branches(b, s, 100, "at first");
	session_drop(s, 2);
	session_branch(s, 2, 0, prompt);
	CHECK(b->t, session_length(s, 2) == prompt);
	int32_t id = 5;
	struct session_part p = { .sequence = 2, .ids = &id, .n = 1, .wanted = true };
	CHECK(b->t, session_step(s, &p, 1, &e) == 0);
	check_part(b, s, &p, "in another's place");
	int at = session_truncate(s, 0, prompt / 2);
	CHECK(b->t, at == left(b, prompt, prompt / 2));
	/* sequence 0 is cut and goes on beside its branches, which do not notice */
	CHECK(b->t, session_feed(s, 0, b->ids + at, (size_t)(prompt / 2 + 3 - at), &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, session_ids(s, 0), prompt / 2 + 3), b->V * sizeof(float)));
	session_drop(s, 0);
	feed_branches(b, s, 500, "after the parent went");
	session_free(s);
}

/* --- anything in any order --- */

struct tree {
	struct bench *b;
	struct session *s;
	struct rng_stream rng;
	int32_t ids[TREE][DEEP];       /* what each sequence should have */
	int n[TREE];
	int done[6];                   /* how often each thing was done */
};

static int draw(struct tree *t, int n) { return (int)rng_below(&t->rng, (uint32_t)n); }

/* Lengths around the ends of ranges are the interesting ones. */
static int draw_length(struct tree *t, int most)
{
	static const int ends[] = { 0, 1, 255, 256, 257, 511, 512, 513 };
	int n = ends[draw(t, (int)ARRAY_LEN(ends))];

	return draw(t, 2) && n <= most ? n : draw(t, 3) ? draw(t, most + 1) : most;
}

static void check_tree(struct tree *t, const char *when)
{
	for (int k = 0; k < TREE; k++)
		CHECK_MSG(t->b->t,
		          session_length(t->s, k) == t->n[k] &&
		                  !memcmp(session_ids(t->s, k), t->ids[k], (size_t)t->n[k] * sizeof(int32_t)),
		          "%s: sequence %d has other tokens", when, k);
}

/* Some sequences, in any order, some tokens each; each of them is as alone. */
static void grow(struct tree *t)
{
	struct session_part parts[TREE];
	struct err e = ERR_INIT;
	int n = 0, room = session_rows(t->s), first = draw(t, TREE), step = 1 + 4 * draw(t, 2);

	for (int i = 0; i < TREE; i++) {
		int k = (first + step * i) % TREE, free = MIN(DEEP - t->n[k], room),
		    more = draw(t, 2) ? 1 : draw(t, 4) ? 1 + draw(t, 40) : 1 + draw(t, 300);
		if (free < 1 || draw(t, 3) == 0)
			continue;
		more = MIN(more, free);
		random_ids(t->b, t->rng.state + (uint64_t)k, t->ids[k] + t->n[k], more);
		parts[n++] = (struct session_part){
			.sequence = k, .ids = t->ids[k] + t->n[k], .n = more, .wanted = draw(t, 4) > 0
		};
		t->n[k] += more;
		room -= more;
	}
	if (n == 0)
		return;
	CHECK_MSG(t->b->t, session_step(t->s, parts, n, &e) == 0, "%s", e.msg);
	for (int i = 0; i < n; i++)
		if (parts[i].wanted)
			check_part(t->b, t->s, &parts[i], "among others");
}

static void branch(struct tree *t)
{
	int to = draw(t, TREE), from = draw(t, TREE), length;

	if (to == from)
		return;
	session_drop(t->s, to);
	length = draw_length(t, t->n[from]);
	int want = left(t->b, t->n[from], length);
	length = session_branch(t->s, to, from, length);
	CHECK(t->b->t, length == want);
	memcpy(t->ids[to], t->ids[from], (size_t)length * sizeof(int32_t));
	t->n[to] = length;
}

static void cut(struct tree *t)
{
	int k = draw(t, TREE);

	int n = draw_length(t, t->n[k]), want = left(t->b, t->n[k], n);
	t->n[k] = session_truncate(t->s, k, n);
	CHECK(t->b->t, t->n[k] == want);
}

static void keep(struct tree *t)
{
	int k = draw(t, TREE), n = draw_length(t, DEEP), same = MIN(t->n[k], n ? n - 1 : 0), other = draw(t, DEEP);
	int32_t ids[DEEP];

	memcpy(ids, t->ids[k], sizeof(ids));
	if (other < same)
		ids[same = other]++;
	same = left(t->b, t->n[k], same);
	CHECK(t->b->t, session_keep(t->s, k, ids, (size_t)n) == same);
	t->n[k] = same;
}

static void drop(struct tree *t)
{
	int k = draw(t, TREE);

	session_drop(t->s, k);
	t->n[k] = 0;
}

/* To a file, and back into another place, or into its own. */
static void save(struct tree *t)
{
	int to = draw(t, TREE), from = draw(t, TREE);
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "sequence");

	CHECK_MSG(t->b->t, session_save(t->s, from, path, &e) == 0, "%s", e.msg);
	session_drop(t->s, to);
	CHECK_MSG(t->b->t, session_load(t->s, to, path, &e) == 0, "%s", e.msg);
	memmove(t->ids[to], t->ids[from], (size_t)t->n[from] * sizeof(int32_t));
	t->n[to] = t->n[from];
	mem_free(path);
}

static void test_trees(struct bench *b, uint64_t seed)
{
	static void (*const deeds[])(struct tree *t) = { grow, branch, cut, keep, drop, save };
	struct tree t = { .b = b, .rng = { seed } };
	struct err e = ERR_INIT;
	int32_t positions = b->model.config.n_ctx;

	test_case(b->t, "fed, branched, cut, kept, dropped, saved in any order (%d), sequences have their bits alone",
	          (int)seed);
	b->model.config.n_ctx = DEEP;
	struct session *before = b->alone;
	struct session_size size = { DEEP, TREE, b->cache }, one = { DEEP, 1, b->cache };
	CHECK(b->t, session_new(&t.s, &b->model, NULL, &b->device, &size, &e) == 0);
	CHECK(b->t, session_new(&b->alone, &b->model, NULL, &b->device, &one, &e) == 0);
	for (int i = 0; i < DEEDS; i++) {
		int deed = draw(&t, 2) ? 0 : draw(&t, (int)ARRAY_LEN(deeds));
		deeds[deed](&t);
		t.done[deed]++;
		check_tree(&t, "at any time");
	}
	for (size_t i = 0; i < ARRAY_LEN(deeds); i++)
		CHECK_MSG(b->t, t.done[i] > 3, "deed %zu was done %d times", i, t.done[i]);
	session_free(t.s);
	session_free(b->alone);
	b->alone = before;
	b->model.config.n_ctx = positions;
}

static void test_steps(struct bench *b)
{
	struct err e = ERR_INIT;
	struct session *s;
	const float *logits;

	test_case(b->t, "one by one, in pieces and all at once: the same bits");
	CHECK(b->t, session_new(&s, &b->model, NULL, &b->device,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	for (int i = 0; i < 270; i++)
		CHECK(b->t, session_feed(s, 0, b->ids + i, 1, &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, b->ids, 270), b->V * sizeof(float)));

	test_case(b->t, "what a conversation begins with again is kept, the last token at most not");
	int32_t other[100];
	memcpy(other, b->ids, sizeof(other));
	other[70]++;
	int kept = left(b, 270, 269);
	CHECK(b->t, session_keep(s, 0, b->ids, 270) == kept && session_length(s, 0) == kept);
	kept = left(b, kept, 70);
	CHECK(b->t, session_keep(s, 0, other, 100) == kept && session_length(s, 0) == kept);
	CHECK(b->t, session_feed(s, 0, other + kept, (size_t)(100 - kept), &logits, &e) == 0);
	CHECK(b->t, !memcmp(logits, judge(b, other, 100), b->V * sizeof(float)));
	CHECK(b->t, session_keep(s, 0, other, 0) == 0 && session_length(s, 0) == 0);

	test_case(b->t, "a full context is a sentence with its numbers, and nothing is fed");
	CHECK(b->t, session_feed(s, 0, b->ids, 100, &logits, &e) == 0);
	CHECK(b->t, session_feed(s, 0, b->ids, 301, &logits, &e) < 0 &&
	                    strstr(e.msg, "100 tokens are in it and 301 are to be added, it holds 400"));
	CHECK(b->t, session_length(s, 0) == 100);
	session_free(s);
	CHECK(b->t, session_new(&s, &b->model, NULL, &b->device,
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
	CHECK(b->t, session_new(&with, &b->model, &a.overlay, &b->device,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	CHECK(b->t, session_new(&fresh, &b->model, &a.overlay, &b->device,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	base = judge(b, b->ids, 50);
	CHECK(b->t, session_same_keys(with, b->alone) == shares && session_same_keys(b->alone, with) == shares);
	CHECK(b->t, session_feed(fresh, 0, b->ids, 50, &wanted, &e) == 0);
	CHECK(b->t, memcmp(base, wanted, b->V * sizeof(float)) != 0); /* the adapter does something */
	if (shares) {
		CHECK(b->t, session_feed(with, 0, b->ids, 20, &logits, &e) == 0);
		session_copy(with, 0, b->alone, 0);
		int kept = left(b, 50, 49);
		CHECK(b->t, session_length(with, 0) == 50 && session_keep(with, 0, b->ids, 50) == kept);
		CHECK(b->t, session_feed(with, 0, b->ids + kept, (size_t)(50 - kept), &logits, &e) == 0);
		CHECK(b->t, !memcmp(logits, wanted, b->V * sizeof(float)));
	}
	session_free(with);
	session_free(fresh);
	adapter_release(&a);
}

/* Loads the file, which is refused with these words; the sequence stays empty. */
static void check_refusal(struct bench *b, struct model *m, const struct overlay *o, struct session_size size,
                          const char *path, const char *words)
{
	struct err e = ERR_INIT;
	struct session *s;

	CHECK(b->t, session_new(&s, m, o, &b->device, &size, &e) == 0);
	CHECK_MSG(b->t, session_load(s, 0, path, &e) < 0 && strstr(e.msg, words) && !strncmp(e.msg, path, strlen(path)),
	          "%s", e.msg);
	CHECK(b->t, session_length(s, 0) == 0);
	session_free(s);
}

/* A copy of the file with one byte changed, or without its end. */
static char *spoil(const char *path, size_t at, size_t cut)
{
	struct err e = ERR_INIT;
	struct buf file = BUF_INIT;
	char *copy = io_join(test_tmp(), "spoilt");

	io_read(&file, path, &e);
	file.data[at % file.len] ^= 1;
	io_write(copy, file.data, file.len - MIN(cut, file.len), &e);
	buf_release(&file);
	return copy;
}

static void test_snapshots(struct bench *b)
{
	static const struct { size_t at, cut; const char *words; } spoilt[] = {
		{ 3, 0, "no sequence" },     { 30, 0, "damaged" },     { 1000, 0, "damaged" },
		{ SIZE_MAX, 0, "damaged" },  { 5000, 1, "damaged" },   { 5000, 20000, "damaged" },
		{ 0, SIZE_MAX, "no sequence" },
	};
	struct session_size size = { .n_ctx = CONTEXT, .cache = b->cache }, small = { .n_ctx = 299, .cache = b->cache },
			    other = { .n_ctx = CONTEXT, .cache = { DTYPE_F16, DTYPE_F16 } };
	char *path = io_join(test_tmp(), "sequence");
	struct err e = ERR_INIT;
	struct adapter a;

	test_case(b->t, "a file of a sequence is refused where it does not belong, or is damaged");
	judge(b, b->ids, 300);
	CHECK_MSG(b->t, session_save(b->alone, 0, path, &e) == 0, "%s", e.msg);
	check_refusal(b, &b->model, NULL, small, path, "it has 300 tokens, the context holds 299");
	check_refusal(b, &b->model, NULL, other, path, "cache_type");
	make_adapter(b, "layers.2.self_attn.v_proj", &a);
	check_refusal(b, &b->model, &a.overlay, size, path, "not what this model and adapter compute");
	adapter_release(&a);
	for (size_t i = 0; i < ARRAY_LEN(spoilt); i++) {
		char *copy = spoil(path, spoilt[i].at, spoilt[i].cut);
		check_refusal(b, &b->model, NULL, size, copy, spoilt[i].words);
		mem_free(copy);
	}
	mem_free(path);
}

static void begin_alone(struct bench *b)
{
	struct err e = ERR_INIT;

	CHECK(b->t, session_new(&b->alone, &b->model, NULL, &b->device,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
}

static void test_orders(struct bench *b)
{
	static const int prompts[] = { 0, 1, 40, 65, 255, 256, 257, 330 };

	for (size_t i = 0; i < ARRAY_LEN(prompts); i++)
		test_branches(b, prompts[i]);
	test_steps(b);
	test_trees(b, (uint64_t)(pool_threads(b->pool) + 10 * (int)b->cache.k));
}

/* A model that keeps states: the same, and the model's states are told from an adapter's. */
static void test_states(struct bench *b)
{
	struct session_size size = { .n_ctx = CONTEXT, .cache = b->cache };
	char *path = io_join(test_tmp(), "sequence");
	struct err e = ERR_INIT;
	struct adapter a;

	begin_alone(b);
	test_orders(b);
	test_case(b->t, "a file of states is refused by another adapter");
	judge(b, b->ids, 300);
	CHECK_MSG(b->t, session_save(b->alone, 0, path, &e) == 0, "%s", e.msg);
	make_adapter(b, "layers.2.attn.v_proj", &a);
	check_refusal(b, &b->model, &a.overlay, size, path, "not what this model and adapter compute");
	adapter_release(&a);
	test_copy(b, "layers.2.ffn.value", true);
	test_copy(b, "layers.2.ffn.key", true);
	test_copy(b, "layers.2.attn.o_proj", false);
	session_free(b->alone);
	mem_free(path);
}

/* Whatever keys and values are kept as, a sequence's bits do not depend on what is beside it. */
static void test_bits(struct bench *b)
{
	begin_alone(b);
	test_orders(b);
	test_snapshots(b);
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
		CHECK(b->t, session_new(&s, &b->model, NULL, &b->device,
		                        &(struct session_size){ .n_ctx = CONTEXT, .cache = types[i] }, &e) == 0);
		CHECK(b->t, session_feed(s, 0, b->ids, 100, &logits, &e) == 0);
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
	CHECK_MSG(b->t, session_new(&s, &b->model, NULL, &b->device, &blocks, &e) < 0, "heads of 8");
	CHECK(b->t, strstr(e.msg, "blocks"));
	mem_free(exact);
}

/* --- layers with a window --- */

enum { WINDOW = 40 };

/* The Llama's block, its first layer with a window, the others without. */
static uint32_t windowed_block(struct graph *g, int layer, uint32_t x)
{
	const struct config *c = &g->model->config;
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "input_layernorm.weight");
	uint32_t q = nn_linear(g, h, DECODER_BLOCK "self_attn.q_proj.weight", NULL, TENSOR_NONE);
	uint32_t k = nn_linear(g, h, DECODER_BLOCK "self_attn.k_proj.weight", NULL, TENSOR_NONE);
	uint32_t v = nn_linear(g, h, DECODER_BLOCK "self_attn.v_proj.weight", NULL, TENSOR_NONE);
	uint32_t o = nn_attention(g, nn_rope(g, q, c->H, &c->rope), nn_rope(g, k, c->G, &c->rope), v,
	                          (struct attention_spec){ .window = layer == 0 ? WINDOW : 0 });

	x = nn_linear(g, o, DECODER_BLOCK "self_attn.o_proj.weight", NULL, x);
	return decoder_feed_forward(g, x);
}

/* Logits after all tokens, of one document without a cache. */
static float *uncached(struct bench *b, int n, struct arena *mem)
{
	struct err e = ERR_INIT;
	struct model_pass p;
	struct batch_cap cap = { .rows = n, .targets = 1, .labels = 1, .segments = 1, .docs = 1, .keys = n };
	struct batch *batch = &p.pass.batch;
	float *logits = arena_array(mem, b->V, sizeof(*logits));

	model_pass_begin(&p, &b->device, &cap, &b->model, NULL, false);
	p.result = graph_logits(&p.graph, graph_hidden(&p.graph));
	if (pass_plan(&p.pass, NULL, &e) < 0 || model_pass_start(&p, NULL, &e) < 0)
		BUG("%s", e.msg);
	batch->n_rows = batch->n_keys = n;
	batch->n_segments = batch->n_docs = batch->n_trees = batch->n_targets = 1;
	batch->segments[0] = (struct segment){ .len = n, .parent = -1, .end = n };
	batch->tree[0] = 0;
	batch->tree[1] = n;
	batch->target_row[0] = n - 1;
	for (int32_t i = 0; i < n; i++) {
		batch->ids[i] = b->ids[i];
		batch->pos[i] = batch->key[i] = batch->key_pos[i] = i;
		batch->vis_end[i] = n;
		batch->vis_from[i] = 0;
	}
	pass_step(&p.pass);
	memcpy(logits, model_pass_result(&p), b->V * sizeof(*logits));
	model_pass_release(&p);
	return logits;
}

/* Through the cache as without it, another answer than without the window, and the same bits in every branch. */
static void test_window(struct bench *b)
{
	const struct arch *whole = b->model.config.arch;
	struct arch windowed = *whole;
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	const float *cached = NULL;
	double off = 0, apart = 0;

	float *without = uncached(b, CONTEXT - 10, &mem);
	windowed.block = windowed_block;
	b->model.config.arch = &windowed;
	float *with = uncached(b, CONTEXT - 10, &mem);
	test_case(b->t, "a layer with a window of %d, through the cache and without one", WINDOW);
	CHECK(b->t, session_new(&b->alone, &b->model, NULL, &b->device,
	                        &(struct session_size){ .n_ctx = CONTEXT, .cache = b->cache }, &e) == 0);
	CHECK(b->t, session_feed(b->alone, 0, b->ids, 300, &cached, &e) == 0);
	CHECK(b->t, session_feed(b->alone, 0, b->ids + 300, CONTEXT - 310, &cached, &e) == 0);
	for (size_t i = 0; i < b->V; i++) {
		off = fmax(off, fabs((double)cached[i] - (double)with[i]));
		apart = fmax(apart, fabs((double)without[i] - (double)with[i]));
	}
	CHECK_MSG(b->t, off < 1e-4 && apart > 100 * off, "off %g, without the window %g", off, apart);
	session_free(b->alone);
	test_bits(b);
	b->model.config.arch = whole;
	arena_release(&mem);
}

static void open_bench(struct bench *b, struct test *t, const char *name, int threads)
{
	char *path = io_join(test_golden(), name);
	struct err e = ERR_INIT;

	*b = (struct bench){ .t = t, .pool = pool_new(threads), .kernels = kernels_get(NULL, &e) };
	b->device = device_cpu(b->kernels, b->pool);
	test_case(t, "%s opens", name);
	CHECK_MSG(t, model_open(&b->model, path, &e) == 0, "%s", e.msg);
	b->model.config.n_ctx = CONTEXT; /* its positions are rotations, or none: there can be as many as one likes */
	b->V = (size_t)b->model.config.V;
	random_ids(b, 1, b->ids, CONTEXT);
	mem_free(path);
}

static void close_bench(struct bench *b)
{
	model_close(&b->model);
	pool_free(b->pool);
}

void test_session(struct test *t)
{
	struct bench b;

	for (int threads = 1; threads <= 3; threads += 2) {
		open_bench(&b, t, "llama", threads);
		test_types(&b);
		b.cache = (struct cache_types){ DTYPE_F32, DTYPE_F32 };
		test_bits(&b);
		test_window(&b);
		b.cache = (struct cache_types){ DTYPE_F16, DTYPE_F32 };
		test_bits(&b);
		close_bench(&b);
		open_bench(&b, t, "rwkv7.gguf", threads);
		b.states = true;
		test_states(&b);
		close_bench(&b);
		open_bench(&b, t, "rwkv", threads);
		b.states = true;
		begin_alone(&b);
		test_orders(&b);
		session_free(b.alone);
		close_bench(&b);
	}
}
