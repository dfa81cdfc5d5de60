/* test_many: answers beside each other are the answers alone, token for token: prompts that begin alike and not, more
 * of them than sequences, greedy and drawn, with penalties and stop strings, whatever is at once. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "infer/many.h"

enum { PROMPTS = 9, MOST = 20 };

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

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	const struct kernels *kernels;
	struct tokens ids[PROMPTS];
	struct many_prompt prompts[PROMPTS];
	struct generation alone[PROMPTS];
	int n_done, stop_after, begun;
	double operations, share;
};

static int take(void *ctx, size_t i, struct generation *g, struct err *e)
{
	struct bench *b = ctx;
	const struct generation *a = &b->alone[i];

	CHECK_MSG(b->t, a->ids.n == g->ids.n && !memcmp(a->ids.id, g->ids.id, g->ids.n * sizeof(*g->ids.id)),
	          "prompt %zu has another answer: %s", i, buf_str(&g->text));
	CHECK(b->t, a->text.len == g->text.len && !memcmp(buf_str(&a->text), buf_str(&g->text), g->text.len));
	CHECK(b->t, a->finish == g->finish && a->context_full == g->context_full);
	CHECK(b->t, g->logprob && !memcmp(a->logprob, g->logprob, g->ids.n * sizeof(*g->logprob)));
	b->operations += g->flops + g->int_ops;
	CHECK_MSG(b->t, g->flops > 0 && g->share > 0 && g->share < 1 + 1e-9, "%g operations, a share of %g", g->flops,
	          g->share);
	if (++b->n_done == b->stop_after)
		return err_set(e, "enough");
	return 0;
}

static void begin_one(void *ctx, size_t i)
{
	struct bench *b = ctx;
	(void)i;
	b->begun++;
}

/* What the answers took and what they share is what the session computed, no more and no less. */
static void check_operations(struct bench *b, const struct session *s, const struct many_options *o)
{
	struct live work = session_work(s), twice = { 0 };
	double flops, int_ops, flops2, int_ops2;

	session_operations(s, &work, &flops, &int_ops);
	live_add(&twice, &work, 2);
	session_operations(s, &twice, &flops2, &int_ops2);
	CHECK_MSG(b->t, flops2 == 2 * flops && int_ops2 == 2 * int_ops, "twice the work: %g of %g", flops2, flops);
	double all = b->operations + o->shared_flops + o->shared_int_ops;
	CHECK_MSG(b->t, fabs(all - flops - int_ops) <= 1e-9 * all && b->begun == PROMPTS, "%.17g of %.17g", all,
	          flops + int_ops);
}

/* Each prompt by itself. */
static void answer_alone(struct bench *b, const struct generate_options *o, int n_ctx)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < PROMPTS; i++) {
		struct session *s;
		o->sampler->index = 0;
		o->sampler->stream = b->prompts[i].stream;
		sampler_forget(o->sampler);
		CHECK(b->t, session_new(&s, &b->model, NULL, b->pool, b->kernels,
		                        &(struct session_size){ .n_ctx = n_ctx }, &e) == 0);
		CHECK_MSG(b->t,
		          generate(s, b->model.tokenizer, b->prompts[i].ids, b->prompts[i].n, o, &b->alone[i], &e) == 0,
		          "%s", e.msg);
		session_free(s);
	}
}

static void compare(struct bench *b, struct sampler sampler, const char *stop, const char *what)
{
	static const size_t at_once[] = { 1, 2, 4, 16 };
	struct err e = ERR_INIT;
	struct many_options o = { .generate = { .stop = &stop,
		                                .n_stop = stop != NULL,
		                                .max_new_tokens = MOST,
		                                .logprobs = true,
		                                .sampler = &sampler },
		                  .begun = begin_one,
		                  .done = take,
		                  .ctx = b };

	sampler_init(&sampler, (size_t)b->model.config.V);
	generate_ends(&b->model, &o.generate.end);
	answer_alone(b, &o.generate, 128);
	for (size_t i = 0; i < ARRAY_LEN(at_once); i++) {
		struct session *s;
		test_case(b->t, "%s: %zu at once", what, at_once[i]);
		o.at_once = at_once[i];
		b->n_done = b->begun = 0;
		b->operations = 0;
		CHECK_MSG(b->t,
		          many_session(&s, &b->model, NULL, b->pool, b->kernels, b->prompts, PROMPTS, &o, &e) == 0,
		          "%s", e.msg);
		CHECK_MSG(b->t, many_run(s, b->model.tokenizer, b->pool, b->prompts, PROMPTS, &o, &e) == 0, "%s",
		          e.msg);
		CHECK(b->t, b->n_done == PROMPTS && session_length(s, 0) == 0);
		check_operations(b, s, &o);
		if (at_once[i] == 4) { /* again in the same session, ended by whoever takes the answers */
			b->stop_after = 2;
			b->n_done = 0;
			CHECK(b->t, many_run(s, b->model.tokenizer, b->pool, b->prompts, PROMPTS, &o, &e) < 0 &&
			                    !strcmp(e.msg, "enough"));
			CHECK(b->t, b->n_done == 2 && session_length(s, 0) == 0);
			b->stop_after = 0;
		}
		session_free(s);
	}
	for (size_t i = 0; i < PROMPTS; i++)
		generation_release(&b->alone[i]);
	tokens_release(&o.generate.end);
	sampler_release(&sampler);
}

static void test_refusal(struct bench *b)
{
	struct err e = ERR_INIT;
	struct session *s;
	struct many_options o = { .generate = { .max_new_tokens = 1 }, .at_once = 2 };
	struct many_prompt long_one = { b->ids[0].id, 128, 0 };

	test_case(b->t, "a prompt that fills the context is refused with its number");
	CHECK(b->t, many_session(&s, &b->model, NULL, b->pool, b->kernels, &long_one, 1, &o, &e) < 0);
	CHECK_MSG(b->t, strstr(e.msg, "prompt 1 has 128 tokens, the model's context holds 128"), "%s", e.msg);
}

void test_many(struct test *t)
{
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(2), .kernels = kernels_get(NULL, &e) };
	char *path = io_join(test_golden(), "llama");

	test_case(t, "the tiny Llama opens");
	CHECK_MSG(t, model_open(&b.model, path, &e) == 0 && model_tokenizer(&b.model, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < PROMPTS; i++) {
		CHECK(t, tokenizer_encode(b.model.tokenizer, texts[i], strlen(texts[i]), 0, &b.ids[i], &e) == 0);
		b.prompts[i] = (struct many_prompt){ b.ids[i].id, b.ids[i].n, (uint32_t)i };
	}
	CHECK(t, b.ids[5].n > 64 && b.ids[5].n < 128);
	compare(&b, (struct sampler){ 0 }, NULL, "greedy");
	compare(&b,
	        (struct sampler){
			.temperature = 1, .top_p = 0.95, .seed = 3, .repetition_penalty = 1.3, .repeat_last_n = -1 },
	        "a", "drawn");
	test_refusal(&b);
	for (size_t i = 0; i < PROMPTS; i++)
		tokens_release(&b.ids[i]);
	model_close(&b.model);
	pool_free(b.pool);
	mem_free(path);
}
