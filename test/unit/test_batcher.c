/* test_batcher: answers beside each other are the answers alone, token for token: prompts that begin alike and not,
 * more of them than sequences, each with its own way to draw, its own ends and its own text as it grows, whatever is at
 * once, and whoever comes and goes meanwhile. What a prompt's own tokens cost, where that is wanted, is what they cost
 * alone. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/batcher.h"
#include "infer/scorer.h"
#include "op/logprob.h"

enum {
	PROMPTS = 9, MOST = 20,
	CONTEXT = 128,
	WAYS = 4,                      /* to answer a prompt */
	REQUESTS = 60,                 /* of a random day */
};

static const char *const texts[PROMPTS] = {
	"The plan is",
	"The plan is to",
	"The plan",
	"The p",
	"The plan is to begin with a longer text that takes more than sixty-four tokens of this tiny vocabulary, and "
	"on",
	"The plan is to begin with a longer text that takes more than sixty-four tokens of this tiny vocabulary, and "
	"on and on",
	"The",
	"The plan is",
	"The end",
};

/* How a request wants to be answered. */
struct way {
	struct { const char *option; double value; } set[3]; /* of the sampler */
	uint64_t seed;
	uint32_t stream;
	const char *stop;
	size_t most;
};

static const struct way ways[WAYS] = {
	{ .most = MOST },
	{ { { "temperature", 1 }, { "top-p", 0.95 }, { "repetition-penalty", 1.3 } }, 3, 0, "a", MOST },
	{ { { "temperature", 0.7 }, { "top-k", 40 } }, 8, 2, NULL, 7 },
	{ { { "frequency-penalty", 0.5 }, { "repeat-last-n", 16 } }, 0, 0, "e", 2 * MOST },
};

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct tokens end;
	struct sampler_choice choice[WAYS];
	struct tokens ids[PROMPTS];
	struct generation alone[PROMPTS][WAYS];
	float *logprob[PROMPTS];       /* of each of its tokens but the first */
};

struct asked {                         /* one request, and what comes of it */
	struct bench *b;
	int64_t ticket;
	int prompt, way, begun, done, read;
	bool cancelled, scored, unwanted;
	struct buf text;               /* as it was given out while it grew */
	size_t tokens;
};

struct day {
	struct bench *b;
	struct session *s;
	struct batcher *batcher;
	struct asked asked[REQUESTS];
	int n, n_done, stop_after;
	bool scores;                   /* what some of their prompts' tokens cost is wanted */
	double operations, kept;
};

static void choose(struct bench *b)
{
	for (int w = 0; w < WAYS; w++) {
		sampler_choose(&b->choice[w]);
		for (size_t i = 0; i < ARRAY_LEN(ways[w].set) && ways[w].set[i].option; i++)
			sampler_choice_set(&b->choice[w], ways[w].set[i].option, ways[w].set[i].value);
	}
}

static struct sampler sampler_of(const struct bench *b, int w)
{
	return (struct sampler){ .steps = b->choice[w].steps, .seed = ways[w].seed, .stream = ways[w].stream };
}

static struct generate_options options_of(const struct bench *b, int way, struct sampler *sampler)
{
	return (struct generate_options){ .end = b->end,
		                          .stop = &ways[way].stop,
		                          .n_stop = ways[way].stop != NULL,
		                          .max_new_tokens = ways[way].most,
		                          .logprobs = true,
		                          .sampler = sampler };
}

/* Each prompt by itself, in each way. */
static void answer_alone(struct bench *b)
{
	struct err e = ERR_INIT;

	for (int i = 0; i < PROMPTS; i++)
		for (int w = 0; w < WAYS; w++) {
			struct session *s;
			struct sampler sampler = sampler_of(b, w);
			sampler_init(&sampler, (size_t)b->model.config.V);
			struct generate_options o = options_of(b, w, &sampler);
			CHECK(b->t, session_new(&s, &b->model, NULL, &b->device,
			                        &(struct session_size){ .n_ctx = CONTEXT }, &e) == 0);
			CHECK_MSG(b->t,
			          generate(s, b->model.tokenizer, b->ids[i].id, b->ids[i].n, &o, &b->alone[i][w],
			                   &e) == 0,
			          "%s", e.msg);
			session_free(s);
			sampler_release(&sampler);
		}
}

/* By a session that has all of a prompt in one step; a scorer's are the same but for rounding. */
static void score_alone(struct bench *b)
{
	struct session_size size = { .n_ctx = CONTEXT, .n_logits = CONTEXT };
	struct scorer_options o = { .max_length = CONTEXT };
	size_t V = (size_t)b->model.config.V;
	float *room = mem_array(logprob_room(V), sizeof(*room)), scored[CONTEXT], *each = scored;
	uint8_t learn[CONTEXT] = { 0 };
	double sum;
	struct err e = ERR_INIT;
	struct session *session;
	struct scorer *scorer;

	CHECK_MSG(b->t, session_new(&session, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, scorer_new(&scorer, &b->model, NULL, &b->device, &o, &e) == 0, "%s", e.msg);
	for (int i = 0; i < PROMPTS; i++) {
		const struct tokens *ids = &b->ids[i];
		struct session_part p = { .ids = ids->id, .n = (int)ids->n, .wanted = (int)ids->n };
		struct document d = { .ids = ids->id, .learn = learn, .n = (int32_t)ids->n, .file = "prompt" };
		const struct document *list = &d;
		session_drop(session, 0);
		CHECK(b->t, session_step(session, &p, 1, &e) == 0);
		CHECK(b->t, scorer_run(scorer, &list, 1, true, &sum, &each, NULL, NULL, &e) == 0);
		b->logprob[i] = mem_array(ids->n, sizeof(float));
		for (size_t k = 1; k < ids->n; k++) {
			b->logprob[i][k] = logprob_of_logits(b->kernels, p.logits + (k - 1) * V, V, (size_t)ids->id[k],
			                                     room);
			CHECK(b->t, fabsf(scored[k] - b->logprob[i][k]) <= 1e-5F * fabsf(scored[k]));
		}
	}
	session_free(session);
	scorer_free(scorer);
	mem_free(room);
}

/* --- requests --- */

static int give_text(void *ctx, const char *text, size_t n)
{
	struct asked *a = ctx;
	buf_add(&a->text, text, n);
	return 0;
}

static void give_token(void *ctx, int32_t id, const float *logits)
{
	struct asked *a = ctx;
	(void)id;
	(void)logits;
	a->tokens++;
}

static void begin_one(void *ctx, int64_t ticket)
{
	struct day *d = ctx;
	d->asked[ticket].begun++;
}

/* All of the answer alone, or its first tokens where it was cancelled. */
static int take(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct day *d = ctx;
	struct asked *x = &d->asked[ticket];
	struct test *t = d->b->t;
	const struct generation *a = &d->b->alone[x->prompt][x->way];
	bool whole = g->ids.n == a->ids.n, stopped = x->cancelled && g->finish == FINISH_CANCELLED;
	if (x->unwanted && x->read) {
		CHECK(t, g->finish == FINISH_FILTER && !g->ids.n && !g->text.len && !x->tokens && x->read == 1);
		stopped = true;
	}
	CHECK(t, stopped || x->read == x->scored);

	CHECK_MSG(t, (whole || (stopped && g->ids.n < a->ids.n)) &&
	                     (g->ids.n == 0 || !memcmp(a->ids.id, g->ids.id, g->ids.n * sizeof(*g->ids.id))),
	          "prompt %d, way %d has another answer: %s", x->prompt, x->way, buf_str(&g->text));
	CHECK(t, g->ids.n == 0 || !memcmp(a->logprob, g->logprob, g->ids.n * sizeof(*g->logprob)));
	CHECK(t, stopped || (a->text.len == g->text.len && !memcmp(buf_str(&a->text), buf_str(&g->text), g->text.len)));
	CHECK(t, stopped || (a->finish == g->finish && a->context_full == g->context_full));
	CHECK_MSG(t, x->text.len == g->text.len && !memcmp(buf_str(&x->text), buf_str(&g->text), g->text.len) &&
	                     x->tokens == g->ids.n,
	          "its text grew to another");
	CHECK(t, x->ticket == ticket && x->done++ == 0 && (x->begun == 1 || stopped));
	CHECK_MSG(t, stopped || (g->flops > 0 && g->share > 0 && g->share < 1 + 1e-9), "%g operations, a share of %g",
	          g->flops, g->share);
	d->operations += g->flops + g->int_ops;
	d->kept += (double)g->kept;
	return ++d->n_done == d->stop_after ? err_set(e, "enough") : 0;
}

/* Some tokens of a prompt, others of each request. */
static bool is_scored(int64_t ticket, size_t k) { return k && (k / 5 + (size_t)ticket) % 3; }

static int read_one(void *ctx, int64_t ticket, const float *cost)
{
	struct day *d = ctx;
	struct asked *x = &d->asked[ticket];

	CHECK(d->b->t, x->scored && !x->tokens);
	x->read++;
	for (size_t k = 0; k < d->b->ids[x->prompt].n; k++)
		CHECK_MSG(d->b->t, !is_scored(ticket, k) || cost[k] == -d->b->logprob[x->prompt][k],
		          "prompt %d, token %zu costs %.9g, alone %.9g", x->prompt, k, (double)cost[k],
		          -(double)d->b->logprob[x->prompt][k]);
	return x->unwanted;
}

/* It wants what they cost; every seventh is not answered then. */
static void want_costs(struct day *d, struct batcher_request *r, uint8_t *scored)
{
	for (size_t k = 0; k < r->n; k++)
		scored[k] = is_scored(d->n, k);
	r->scored = scored;
	r->read = read_one;
	d->asked[d->n].scored = true;
	d->asked[d->n].unwanted = d->n % 7 == 3;
}

static void ask(struct day *d, int prompt, int way)
{
	uint8_t scored[CONTEXT];
	struct err e = ERR_INIT;
	struct asked *x = &d->asked[d->n];
	struct sampler wanted = sampler_of(d->b, way);
	struct batcher_request r = { .ids = d->b->ids[prompt].id,
		                     .n = d->b->ids[prompt].n,
		                     .generate = options_of(d->b, way, &wanted),
		                     .begun = begin_one,
		                     .done = take,
		                     .ctx = d };

	*x = (struct asked){ .b = d->b, .prompt = prompt, .way = way };
	if (d->scores && d->n % 5)
		want_costs(d, &r, scored);
	r.generate.emit = give_text;
	r.generate.token = give_token;
	r.generate.ctx = x;
	x->ticket = batcher_add(d->batcher, &r, &e);
	CHECK_MSG(d->b->t, x->ticket == d->n, "%s", e.msg);
	d->n++;
}

static void day_begin(struct day *d, struct bench *b, int slots)
{
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = slots, .n_logits = slots + 3 };

	*d = (struct day){ .b = b };
	CHECK_MSG(b->t, session_new(&d->s, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	d->batcher = batcher_new(d->s, b->model.tokenizer, b->pool);
}

static void day_end(struct day *d)
{
	batcher_free(d->batcher);
	for (int i = 0; i < session_sequences(d->s); i++)
		CHECK(d->b->t, session_length(d->s, i) == 0);
	for (int i = 0; i < d->n; i++)
		buf_release(&d->asked[i].text);
	session_free(d->s);
}

static void run(struct day *d)
{
	struct err e = ERR_INIT;

	while (batcher_busy(d->batcher))
		if (batcher_step(d->batcher, &e)) {
			CHECK_MSG(d->b->t, false, "%s", e.msg);
			return;
		}
}

/* What the answers took is what the session computed, no more and no less. */
static void check_operations(struct day *d)
{
	struct live work = session_work(d->s), twice = { 0 };
	double flops, int_ops, flops2, int_ops2;

	session_operations(d->s, &work, &flops, &int_ops);
	live_add(&twice, &work, 2);
	session_operations(d->s, &twice, &flops2, &int_ops2);
	CHECK_MSG(d->b->t, flops2 == 2 * flops && int_ops2 == 2 * int_ops, "twice the work: %g of %g", flops2, flops);
	CHECK_MSG(d->b->t, fabs(d->operations - flops - int_ops) <= 1e-9 * d->operations, "%.17g of %.17g",
	          d->operations, flops + int_ops);
}

/* --- what is tested --- */

static void test_at_once(struct bench *b, int slots)
{
	struct day d;

	test_case(b->t, "all at the start, %d at once", slots);
	day_begin(&d, b, slots);
	for (int i = 0; i < PROMPTS * WAYS; i++)
		ask(&d, i % PROMPTS, i * 7 % WAYS);
	run(&d);
	CHECK(b->t, d.n_done == PROMPTS * WAYS);
	check_operations(&d);
	day_end(&d);
}

/* They come when they like, and some are taken back: from the queue, while they are read, while they are answered. */
static void test_open(struct bench *b, uint64_t seed, bool scores)
{
	struct rng_stream rng = { seed };
	struct err e = ERR_INIT;
	struct day d;
	int cancelled = 0;

	test_case(b->t, "they come and go between steps (%d%s)", (int)seed, scores ? ", scored" : "");
	day_begin(&d, b, 1 + (int)seed);
	d.scores = scores;
	while (d.n < REQUESTS || batcher_busy(d.batcher)) {
		for (int n = (int)rng_below(&rng, 4); n > 0 && d.n < REQUESTS; n--)
			ask(&d, (int)rng_below(&rng, PROMPTS), (int)rng_below(&rng, WAYS));
		if (d.n && rng_below(&rng, 4) == 0) {
			struct asked *x = &d.asked[rng_below(&rng, (uint32_t)d.n)];
			bool living = !x->done, found = batcher_cancel(d.batcher, x->ticket);
			CHECK(b->t, living == found);
			x->cancelled |= found;
			cancelled += found;
		}
		CHECK_MSG(b->t, batcher_step(d.batcher, &e) == 0, "%s", e.msg);
	}
	for (int i = 0; i < d.n; i++)
		CHECK(b->t, d.asked[i].done == 1);
	CHECK_MSG(b->t, cancelled > 3 && cancelled < REQUESTS - 3, "%d were cancelled", cancelled);
	check_operations(&d);
	day_end(&d);
}

/* 4 and 5 begin with more than 64 tokens alike. */
static void test_beginnings(struct bench *b)
{
	size_t n = b->ids[4].n, alike = 0;
	struct err e = ERR_INIT;
	struct day d;

	while (alike < n && b->ids[4].id[alike] == b->ids[5].id[alike])
		alike++;
	test_case(b->t, "what another one is just reading is waited for, not computed");
	day_begin(&d, b, 3);
	ask(&d, 4, 0);
	ask(&d, 5, 0);
	ask(&d, 4, 1);
	run(&d);
	CHECK_MSG(b->t, d.kept == (double)(alike + n - 1), "%g tokens were kept of %zu", d.kept, alike + n - 1);
	check_operations(&d);

	test_case(b->t, "what an answer that ended has left is gone on from, until its place is needed");
	d.kept = 0;
	ask(&d, 4, 2);
	run(&d);
	CHECK_MSG(b->t, d.kept == (double)(n - 1), "%g tokens were kept of %zu", d.kept, n - 1);
	for (int i = 0; i < 3; i++) /* "The p", "The", "The end": all places are taken for them */
		ask(&d, (int[]){ 3, 6, 8 }[i], 0);
	run(&d);
	d.kept = 0;
	ask(&d, 4, 2);
	run(&d);
	CHECK_MSG(b->t, d.kept < 10, "%g tokens were kept", d.kept);
	day_end(&d);

	test_case(b->t, "who waits for one that is taken back begins by himself");
	day_begin(&d, b, 2);
	ask(&d, 4, 0);
	ask(&d, 5, 0);
	d.asked[0].cancelled = batcher_cancel(d.batcher, 0);
	run(&d);
	CHECK(b->t, d.n_done == 2 && d.asked[0].begun == 0 && d.kept == 0);
	ask(&d, 5, 1);
	CHECK(b->t, batcher_step(d.batcher, &e) == 0);
	ask(&d, 5, 2);
	CHECK(b->t, batcher_step(d.batcher, &e) == 0 && batcher_busy(d.batcher));
	day_end(&d); /* in the middle */
}

/* --- tokens guessed ahead --- */

enum { GUESSES = 6 };

/* The answers alone, with guesses: the same. */
static void guess_alone(struct bench *b, struct session *draft, size_t *right)
{
	struct err e = ERR_INIT;
	struct session *s;
	struct session_size size = { .n_ctx = CONTEXT, .n_logits = 1 + GUESSES };

	CHECK(b->t, session_new(&s, &b->model, NULL, &b->device, &size, &e) == 0);
	for (int i = 0; i < PROMPTS * WAYS; i++) {
		const struct generation *a = &b->alone[i % PROMPTS][i / PROMPTS];
		struct drafter *d = drafter_new(GUESSES, 1, draft);
		struct sampler sampler = sampler_of(b, i / PROMPTS);
		struct generation g;
		sampler_init(&sampler, (size_t)b->model.config.V);
		struct generate_options o = options_of(b, i / PROMPTS, &sampler);
		o.drafter = d;
		const struct tokens *ids = &b->ids[i % PROMPTS];
		session_drop(s, 0);
		CHECK_MSG(b->t, generate(s, b->model.tokenizer, ids->id, ids->n, &o, &g, &e) == 0, "%s", e.msg);
		CHECK_MSG(b->t, g.ids.n == a->ids.n && !memcmp(g.ids.id, a->ids.id, g.ids.n * sizeof(*g.ids.id)) &&
		                        !memcmp(g.logprob, a->logprob, g.ids.n * sizeof(*g.logprob)),
		          "prompt %d, way %d has another answer", i % PROMPTS, i / PROMPTS);
		CHECK(b->t, g.right <= g.guessed && g.text.len == a->text.len && g.context_full == a->context_full);
		CHECK(b->t, session_length(s, 0) <= (int)(ids->n + g.ids.n));
		*right += g.right;
		drafter_free(d);
		sampler_release(&sampler);
		generation_release(&g);
	}
	session_free(s);
}

/* Beside each other, as all are guessed in one pass. */
static void guess_beside(struct bench *b, struct session *draft)
{
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 4, .n_logits = 4 * (1 + GUESSES) };
	struct drafter *drafter = drafter_new(GUESSES, 4, draft);
	struct day d = { .b = b };

	CHECK_MSG(b->t, session_new(&d.s, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	d.batcher = batcher_new(d.s, b->model.tokenizer, b->pool);
	batcher_limit(d.batcher, &(struct batcher_limits){ .drafter = drafter });
	for (int i = 0; i < PROMPTS * WAYS; i++)
		ask(&d, i % PROMPTS, i * 7 % WAYS);
	run(&d);
	CHECK(b->t, d.n_done == PROMPTS * WAYS);
	day_end(&d);
	drafter_free(drafter);
}

static void test_guesses(struct bench *b)
{
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 4 };
	struct session *draft;
	size_t right = 0;

	test_case(b->t, "what the text says again is guessed, and no answer is another one");
	guess_alone(b, NULL, &right);
	CHECK(b->t, right > 0);
	guess_beside(b, NULL);

	test_case(b->t, "a draft model that is the model is always right, and no answer is another one");
	CHECK_MSG(b->t, session_new(&draft, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	right = 0;
	guess_alone(b, draft, &right);
	CHECK_MSG(b->t, right > PROMPTS * WAYS, "%zu were right", right);
	guess_beside(b, draft);
	for (int i = 0; i < 4; i++)
		CHECK(b->t, session_length(draft, i) == 0);
	session_free(draft);

	test_case(b->t, "one that is another model, keeps states and has less room: no answer is another one");
	struct model other;
	char *path = io_join(test_golden(), "rwkv");
	CHECK_MSG(b->t, model_open(&other, path, &e) == 0, "%s", e.msg);
	size.n_ctx = CONTEXT / 4;
	CHECK_MSG(b->t, session_new(&draft, &other, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	guess_alone(b, draft, &right);
	guess_beside(b, draft);
	session_free(draft);
	model_close(&other);
	mem_free(path);
}

static void test_ends(struct bench *b)
{
	struct err e = ERR_INIT;
	struct day d;
	struct batcher_request long_one = { .ids = b->ids[0].id, .n = CONTEXT };
	int status = 0, steps = 0;

	test_case(b->t, "one that takes answers may end a step; the others' are not lost");
	day_begin(&d, b, 4);
	d.stop_after = 2;
	for (int i = 0; i < 6; i++)
		ask(&d, 0, 0);
	while (batcher_busy(d.batcher) && steps++ < 1000) {
		int one = batcher_step(d.batcher, &e);
		CHECK(b->t, one == 0 || (d.n_done == 2 && !strcmp(e.msg, "enough")));
		status += one;
	}
	CHECK(b->t, status == -1 && d.n_done == 6);
	CHECK(b->t, !batcher_cancel(d.batcher, 0) && !batcher_cancel(d.batcher, 6));

	test_case(b->t, "a prompt that fills the context is refused with both numbers");
	CHECK(b->t, batcher_add(d.batcher, &long_one, &e) == -1);
	CHECK_MSG(b->t, strstr(e.msg, "the prompt has 128 tokens, the context holds 128"), "%s", e.msg);
	CHECK(b->t, !batcher_busy(d.batcher));
	day_end(&d);
}

void test_batcher(struct test *t)
{
	static const int slots[] = { 1, 2, 4, 16 };
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	b.device = device_cpu(b.kernels, b.pool);
	char *path = io_join(test_golden(), "llama");

	test_case(t, "the tiny Llama opens");
	CHECK_MSG(t, model_open(&b.model, path, &e) == 0 && model_tokenizer(&b.model, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < PROMPTS; i++)
		CHECK(t, tokenizer_encode(b.model.tokenizer, texts[i], strlen(texts[i]), 0, &b.ids[i], &e) == 0);
	CHECK(t, b.ids[5].n > 64 && b.ids[5].n < CONTEXT);
	generate_ends(&b.model, &b.end);
	choose(&b);
	answer_alone(&b);
	score_alone(&b);
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		test_at_once(&b, slots[i]);
	for (uint64_t seed = 1; seed < 5; seed++)
		for (int scores = 0; scores < 2; scores++)
			test_open(&b, seed, scores);
	test_beginnings(&b);
	test_guesses(&b);
	test_ends(&b);
	for (size_t i = 0; i < PROMPTS; i++) {
		for (int w = 0; w < WAYS; w++)
			generation_release(&b.alone[i][w]);
		tokens_release(&b.ids[i]);
		mem_free(b.logprob[i]);
	}
	for (int w = 0; w < WAYS; w++)
		sampler_choice_release(&b.choice[w]);
	tokens_release(&b.end);
	model_close(&b.model);
	pool_free(b.pool);
	mem_free(path);
}
