/* test_multi_adapter: several adapters in one batch. A sequence has the bits of a session with its adapter alone, or
 * with none, whatever is beside it: other ranks, other modules, scales that are no power of two, an embedding and a
 * head, f32 and int8; and prompts answered beside each other get the tokens of each alone. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/multi_adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/batcher.h"
#include "model/prepare.h"

enum {
	ADAPTERS = 4,
	SEQUENCES = ADAPTERS + 2 /* one has none, one shares an adapter with another */,
	LENGTH = 40,
	STEPS = 3
};

static const int adapter_of[SEQUENCES] = { 2, 0, -1, 3, 1, 0 };

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct adapter adapters[ADAPTERS], all;
};

static bool fine(struct bench *b, int status, const struct err *e)
{
	CHECK_MSG(b->t, status == 0, "%s", e->msg);
	return status == 0;
}

/* Its numbers are not those of a new one, which adds nothing. */
static int make_odd(struct adapter *a, const struct model *m, struct err *e)
{
	const char *options[] = { "lora-r", "19", "lora-alpha", "5", "target-modules", "k_proj,up_proj,o_proj", NULL };
	struct rng_key key = { 9, RNG_TEST };

	if (adapter_new_named(a, "lora", m, options, 9, e) < 0)
		return -1;
	for (size_t i = 0; i < a->overlay.params.n; i++)
		a->overlay.params.w[i] = 0.2F * rng_normal(key, i, 0, 0);
	return 0;
}

/* third: a GGUF's embedding is not the one that PEFT saved beside llama-tied-ends. */
static bool open_bench(struct bench *b, const char *model, const char *third, enum compute compute)
{
	const char *const names[ADAPTERS] = { "llama-lora", "llama-rslora", third, "odd" };
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), model);
	bool ok = fine(b, model_open(&b->model, path, &e), &e) && fine(b, model_tokenizer(&b->model, &e), &e) &&
	          fine(b, model_prepare(&b->model, b->pool, compute, PREPARE_GENERATE, &e), &e);

	for (int i = 0; i < ADAPTERS && ok; i++) {
		char *dir = io_join(test_golden(), names[i]);
		ok = fine(b,
		          i == ADAPTERS - 1 ? make_odd(&b->adapters[i], &b->model, &e) :
		                              adapter_load(&b->adapters[i], dir, &b->model, &e),
		          &e);
		mem_free(dir);
	}
	mem_free(path);
	return ok && fine(b, multi_adapter_make(&b->all, &b->model, b->adapters, names, ADAPTERS, &e), &e);
}

static void close_bench(struct bench *b)
{
	for (int i = 0; i < ADAPTERS; i++)
		adapter_release(&b->adapters[i]);
	adapter_release(&b->all);
	model_close(&b->model);
}

static const struct overlay *alone_of(const struct bench *b, int which)
{
	return which < 0 ? NULL : &b->adapters[which].overlay;
}

static void compare_alone(struct bench *b, const struct session *s, const struct session_part *p)
{
	struct err e = ERR_INIT;
	struct session *alone;
	const float *logits;
	int which = adapter_of[p->sequence - 1], n = session_length(s, p->sequence);

	CHECK(b->t, session_new(&alone, &b->model, alone_of(b, which), &b->device,
	                        &(struct session_size){ .n_ctx = LENGTH }, &e) == 0);
	CHECK(b->t, session_feed(alone, 0, session_ids(s, p->sequence), (size_t)n, &logits, &e) == 0);
	CHECK_MSG(b->t, !memcmp(logits, p->logits, (size_t)b->model.config.V * sizeof(float)),
	          "adapter %d, %d tokens: other bits than alone", which, n);
	session_free(alone);
}

static void check_bits(struct bench *b)
{
	static const int lengths[STEPS][SEQUENCES] = { { 5, 1, 9, 17, 1, 3 },
		                                       { 1, 1, 1, 1, 1, 1 },
		                                       { 1, 4, 1, 1, 2, 1 } };
	struct err e = ERR_INIT;
	struct rng_stream rng = { 3 };
	struct session *s;
	struct session_part parts[SEQUENCES];
	int32_t ids[SEQUENCES][17];

	CHECK(b->t, session_new(&s, &b->model, &b->all.overlay, &b->device,
	                        &(struct session_size){ LENGTH, SEQUENCES + 1, { 0 } }, &e) == 0);
	for (int k = 0; k < SEQUENCES; k++) {
		session_branch(s, k + 1, 0, 0);
		session_use(s, k + 1, adapter_of[k]);
	}
	for (int step = 0; step < STEPS; step++) {
		for (int k = 0; k < SEQUENCES; k++) {
			for (int i = 0; i < lengths[step][k]; i++)
				ids[k][i] = (int32_t)rng_below(&rng, (uint32_t)b->model.config.V);
			parts[k] = (struct session_part){
				.sequence = k + 1, .ids = ids[k], .n = lengths[step][k], .wanted = true
			};
		}
		CHECK(b->t, session_step(s, parts, SEQUENCES, &e) == 0);
		for (int k = 0; k < SEQUENCES; k++)
			compare_alone(b, s, &parts[k]);
	}
	session_free(s);
}

/* --- prompts beside each other --- */

struct answers {
	struct bench *b;
	struct tokens ids[SEQUENCES];  /* what each was answered */
};

static int take(void *ctx, int64_t i, struct generation *g, struct err *e)
{
	struct answers *a = ctx;
	(void)e;
	a->ids[i] = g->ids;
	g->ids = (struct tokens){ 0 };
	return 0;
}

static void answer(struct answers *a, const struct overlay *with, const struct batcher_request *requests, size_t n)
{
	struct bench *b = a->b;
	struct err e = ERR_INIT;
	struct sampler greedy = { 0 };
	struct session *s;
	struct session_size size = { .n_ctx = LENGTH, .n_sequences = 3 };
	struct generate_options o = { .max_new_tokens = 12, .sampler = &greedy };

	generate_ends(&b->model, &o.end);
	if (fine(b, session_new(&s, &b->model, with, &b->device, &size, &e), &e)) {
		struct batcher *x = batcher_new(s, b->model.tokenizer, b->pool);
		for (size_t i = 0; i < n; i++) {
			struct batcher_request r = requests[i];
			r.generate = o;
			r.done = take;
			r.ctx = a;
			CHECK(b->t, batcher_add(x, &r, &e) == (int64_t)i);
		}
		while (batcher_busy(x) && fine(b, batcher_step(x, &e), &e))
			;
		batcher_free(x);
		session_free(s);
	}
	tokens_release(&o.end);
}

static void check_answers(struct bench *b)
{
	static const int32_t ids[] = { 5, 17, 40, 100, 200, 33 };
	struct batcher_request prompts[SEQUENCES];
	struct answers beside = { .b = b }, alone = { .b = b };
	bool differ = false;

	for (int k = 0; k < SEQUENCES; k++)
		prompts[k] = (struct batcher_request){ .ids = ids, .n = ARRAY_LEN(ids), .adapter = adapter_of[k] };
	answer(&beside, &b->all.overlay, prompts, SEQUENCES);
	for (int k = 0; k < SEQUENCES; k++) {
		struct batcher_request one = { .ids = ids, .n = ARRAY_LEN(ids) };
		answer(&alone, alone_of(b, adapter_of[k]), &one, 1);
		const struct tokens *x = &beside.ids[k], *y = &alone.ids[0];
		CHECK_MSG(b->t, x->n && x->n == y->n && !memcmp(x->id, y->id, x->n * sizeof(*x->id)),
		          "adapter %d has another answer than alone", adapter_of[k]);
		differ |= x->n != beside.ids[0].n || memcmp(x->id, beside.ids[0].id, x->n * sizeof(*x->id)) != 0;
		tokens_release(&alone.ids[0]);
	}
	CHECK_MSG(b->t, differ, "all adapters answer alike, so nothing was tested");
	for (int k = 0; k < SEQUENCES; k++)
		tokens_release(&beside.ids[k]);
}

static void check_refusals(struct bench *b)
{
	struct err e = ERR_INIT;
	struct adapter out;
	static const char *const name = "mine";

	test_case(b->t, "numbers that are not finite are refused by name");
	b->adapters[1].overlay.params.w[3] = INFINITY;
	CHECK_MSG(b->t,
	          multi_adapter_make(&out, &b->model, &b->adapters[1], &name, 1, &e) < 0 &&
	                  strstr(e.msg, "mine: it has a number that is not finite"),
	          "%s", e.msg);
}

/* --- other kinds --- */

enum { KINDS = 21 };

/* By folder, or of a type with options; every kind that there is, and some in more than one way. */
static const struct kind { const char *folder, *type, *options[7]; } kinds[] = {
	{ "llama-lora", NULL, { NULL } },
	{ "llama-ia3", NULL, { NULL } },
	{ NULL, "hira", { "lora-r", "3" } },
	{ NULL, "loha", { "lora-r", "3" } },
	{ "llama-lokr", NULL, { NULL } },
	{ NULL, "miss", { "lora-r", "4" } },
	{ NULL, "vera", { "lora-r", "6" } },
	{ NULL, "shira", { "lora-r", "2" } },
	{ NULL, "bottleneck", { NULL } },
	{ NULL, "bottleneck", { "adapter-config", "seq_bn[ln_after=True, residual_before_ln=False]" } },
	{ "llama-ln", NULL, { NULL } },
	{ "llama-tokens", NULL, { NULL } },
	{ NULL, "lora", { "use-dora", "true", "target-modules", "all-linear" } },
	{ NULL, "lora", { "modules-to-save", "lm_head,norm", "lora-r", "2" } },
	{ "llama-adalora-left", NULL, { NULL } },
	{ "llama-rslora", NULL, { NULL } },
	{ "llama-alora", NULL, { NULL } },
	{ "llama-prompt", NULL, { NULL } },
	{ "llama-prefix", NULL, { NULL } },
	{ NULL, "p_tuning", { "num-virtual-tokens", "5" } },
	{ NULL, "prefix_tuning", { "num-virtual-tokens", "3", "prefix-projection", "true" } },
};

/* Of a mixture: experts' matrices and others, of several ranks. */
static const struct kind of_experts[] = {
	{ "mixtral-lora", NULL, { NULL } },
	{ NULL, "lora", { "lora-r", "19", "target-modules", "w1,w2,v_proj" } },
	{ NULL, "lora", { "lora-r", "3", "target-modules", "w3" } },
};

/* Made so that each does something: twice, the same numbers. */
static bool make_kind(struct bench *b, const struct kind *x, uint64_t seed, struct adapter *a)
{
	struct rng_key key = { seed, RNG_TEST };
	struct err e = ERR_INIT;

	if (x->folder) {
		char *dir = io_join(test_golden(), x->folder);
		int status = adapter_load(a, dir, &b->model, &e);
		mem_free(dir);
		return fine(b, status, &e);
	}
	if (!fine(b, adapter_new_named(a, x->type, &b->model, x->options, seed, &e), &e))
		return false;
	for (size_t i = 0; i < a->overlay.params.n; i++)
		a->overlay.params.w[i] += 0.1F * rng_normal(key, i, 0, 0);
	adapter_follow(a, &b->model, b->kernels, b->pool);
	return true;
}

static void feed_one(struct bench *b, const struct overlay *o, const int32_t *ids, int n, float *logits)
{
	struct err e = ERR_INIT;
	struct session *s;
	const float *got = NULL;

	CHECK_MSG(b->t, session_new(&s, &b->model, o, &b->device, &(struct session_size){ .n_ctx = LENGTH }, &e) == 0,
	          "%s", e.msg);
	CHECK_MSG(b->t, session_feed(s, 0, ids, (size_t)n, &got, &e) == 0, "%s", e.msg);
	memcpy(logits, got, (size_t)b->model.config.V * sizeof(*logits));
	session_free(s);
}

/* Kinds first … first + n − 1 of so many beside each other, and a row of none. */
static void check_kinds(struct bench *b, const struct kind *of, int most, int first, int n)
{
	struct adapter beside[KINDS], alone, all;
	const char *names[KINDS];
	int32_t ids[16];
	struct err e = ERR_INIT;
	size_t V = (size_t)b->model.config.V;
	float *want = mem_array(2 * V, sizeof(*want)), *plain = want + V;
	struct session *s;

	for (int i = 0; i < 16; i++)
		ids[i] = i == 2 ? 298 : i == 3 ? 31 : 5 + i * 17 % 200; /* llama-alora's invocation is there */
	for (int i = 0; i < n; i++) {
		const struct kind *x = &of[(first + i) % most];
		names[i] = x->folder ? x->folder : x->type;
		if (!make_kind(b, x, 7 + (uint64_t)i, &beside[i]))
			return;
	}
	bool made = fine(b, multi_adapter_make(&all, &b->model, beside, names, (size_t)n, &e), &e);
	made = made && fine(b, session_new(&s, &b->model, &all.overlay, &b->device,
	                                   &(struct session_size){ LENGTH, KINDS + 2, { 0 } }, &e), &e);
	struct session_part parts[KINDS + 1];
	for (int i = 0; i <= n && made; i++) {
		session_branch(s, i + 1, 0, 0);
		session_use(s, i + 1, i < n ? i : -1);
		session_invoke(s, i + 1, ids, 5 + (size_t)i % 3);
		parts[i] = (struct session_part){ .sequence = i + 1, .ids = ids, .n = 5 + i % 3, .wanted = true };
	}
	if (made)
		CHECK_MSG(b->t, session_step(s, parts, n + 1, &e) == 0, "%s", e.msg);
	for (int i = 0; i <= n && made; i++) {
		feed_one(b, NULL, ids, parts[i].n, plain);
		if (i < n && make_kind(b, &of[(first + i) % most], 7 + (uint64_t)i, &alone)) {
			feed_one(b, &alone.overlay, ids, parts[i].n, want);
			CHECK_MSG(b->t, memcmp(want, plain, V * sizeof(*want)) != 0, "%s does nothing", names[i]);
			adapter_release(&alone);
		}
		CHECK_MSG(b->t, !memcmp(parts[i].logits, i < n ? want : plain, V * sizeof(*want)),
		          "%s, with %d from %d on: other bits than alone", i < n ? names[i] : "no adapter", n, first);
	}
	if (made)
		session_free(s);
	if (made)
		adapter_release(&all);
	for (int i = 0; i < n; i++)
		adapter_release(&beside[i]);
	mem_free(want);
}

void test_multi_adapter(struct test *t)
{
	static const struct { const char *model, *third; enum compute compute;
	} cases[] = {
		{ "llama", "llama-tied-ends", COMPUTE_F32 },
		{ "llama.gguf", "llama-lora.gguf", COMPUTE_F32 },
		{ "llama.gguf", "llama-lora.gguf", COMPUTE_INT8 },
	};
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	b.device = device_cpu(b.kernels, b.pool);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		test_case(t, "%s, %s: each sequence has the bits of its adapter alone", cases[i].model,
		          compute_name(cases[i].compute));
		if (!open_bench(&b, cases[i].model, cases[i].third, cases[i].compute))
			break;
		check_bits(&b);
		test_case(t, "%s, %s: prompts beside each other have the answers of their adapters alone",
		          cases[i].model, compute_name(cases[i].compute));
		check_answers(&b);
		if (i == 0)
			check_refusals(&b);
		close_bench(&b);
	}
	for (int k = 0; k < 4; k++) {
		static const char *const models[] = { "llama", "llama.gguf", "mixtral", "mixtral.gguf" };
		char *path = io_join(test_golden(), models[k]);
		enum compute compute = k % 2 ? COMPUTE_INT8 : COMPUTE_F32;
		test_case(t, "%s: adapters of every kind beside each other, each with the bits that it has alone",
		          path);
		if (fine(&b, model_open(&b.model, path, &e), &e)) {
			fine(&b, model_prepare(&b.model, b.pool, compute, PREPARE_GENERATE, &e), &e);
			if (k >= 2)
				check_kinds(&b, of_experts, ARRAY_LEN(of_experts), 0, ARRAY_LEN(of_experts));
			else
				check_kinds(&b, kinds, KINDS, 0, KINDS);
			for (int first = 0; first < KINDS && k < 2; first++)
				check_kinds(&b, kinds, KINDS, first, 2 + first % 3);
			model_close(&b.model);
		}
		mem_free(path);
	}
	pool_free(b.pool);
}
