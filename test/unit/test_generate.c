/* test_generate: text given out piece by piece is the text of the tokens, whole characters only, and stop strings are
 * found wherever tokens cut them. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/generate.h"

struct bench {
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct test *t;
	struct buf shown;
	int pieces, cancel_after;
};

static int show(void *ctx, const char *text, size_t n)
{
	struct bench *b = ctx;
	CHECK(b->t, n > 0 && utf8_valid(text, n, NULL));
	buf_add(&b->shown, text, n);
	return ++b->pieces == b->cancel_after;
}

/* A sampled answer, so that the tiny model says different things. */
static int ask(struct bench *b, int n_ctx, size_t most, const char *stop, uint64_t seed, struct generation *g,
               struct err *e)
{
	struct sampler_choice choice;
	struct sampler sampler = { .seed = seed };
	struct generate_options o = { .stop = &stop,
		                      .n_stop = stop != NULL,
		                      .max_new_tokens = most,
		                      .sampler = &sampler,
		                      .emit = show,
		                      .ctx = b };
	struct tokens ids = { 0 };
	struct session *s;

	b->shown.len = 0;
	b->pieces = 0;
	sampler_choose(&choice);
	sampler_choice_set(&choice, "temperature", 1);
	sampler.steps = choice.steps;
	sampler_init(&sampler, (size_t)b->model.config.V);
	generate_ends(&b->model, &o.end);
	CHECK(b->t, tokenizer_encode(b->model.tokenizer, "The plan is", 11, 0, &ids, e) == 0);
	CHECK(b->t,
	      session_new(&s, &b->model, NULL, &b->device, &(struct session_size){ .n_ctx = n_ctx }, e) == 0);
	int status = generate(s, b->model.tokenizer, ids.id, ids.n, &o, g, e);
	session_free(s);
	sampler_release(&sampler);
	sampler_choice_release(&choice);
	tokens_release(&o.end);
	tokens_release(&ids);
	return status;
}

static bool is_shown(const struct bench *b, const struct generation *g)
{
	return b->shown.len == g->text.len && !memcmp(buf_str(&b->shown), buf_str(&g->text), g->text.len);
}

static void test_text(struct bench *b)
{
	struct test *t = b->t;
	struct err e = ERR_INIT;
	struct generation g;

	test_case(t, "pieces are the whole; bytes that stand alone are replaced");
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct buf bytes = BUF_INIT, wanted = BUF_INIT;
		CHECK(t, ask(b, 128, 60, NULL, seed, &g, &e) == 0);
		tokenizer_decode(b->model.tokenizer, g.ids.id, g.ids.n, true, &bytes);
		utf8_repair(&wanted, buf_str(&bytes), bytes.len);
		CHECK(t, is_shown(b, &g) && wanted.len == g.text.len &&
		                 !memcmp(buf_str(&wanted), buf_str(&g.text), g.text.len));
		CHECK(t, g.finish == FINISH_STOP || (g.finish == FINISH_LENGTH && g.ids.n == 60 && !g.context_full));
		buf_release(&bytes);
		buf_release(&wanted);
		generation_release(&g);
	}
}

/* Every stop string that stands in an answer ends it just before. */
static void test_stop(struct bench *b)
{
	struct test *t = b->t;
	struct err e = ERR_INIT;
	struct generation whole, g;

	test_case(t, "stop strings end the answer before them");
	CHECK(t, ask(b, 128, 40, NULL, 3, &whole, &e) == 0);
	CHECK(t, whole.text.len > 20);
	for (size_t at = 0; at + 1 < whole.text.len; at++)
		for (size_t n = 1; n <= 7 && at + n <= whole.text.len; n += 2) {
			char *stop = mem_strndup(buf_str(&whole.text) + at, n);
			size_t first = (size_t)(strstr(buf_str(&whole.text), stop) - buf_str(&whole.text));
			if (utf8_valid(stop, n, NULL) && !strstr(stop, "\xEF\xBF\xBD")) {
				CHECK(t, ask(b, 128, 40, stop, 3, &g, &e) == 0);
				CHECK_MSG(t, g.finish == FINISH_STOP && g.text.len == first && is_shown(b, &g),
				          "stop \"%s\": \"%s\"", stop, buf_str(&g.text));
				generation_release(&g);
			}
			mem_free(stop);
		}
	CHECK(t, ask(b, 128, 40, "no such thing", 3, &g, &e) == 0);
	CHECK(t, g.text.len == whole.text.len && is_shown(b, &g));
	generation_release(&g);
	generation_release(&whole);
}

static void test_ends(struct bench *b)
{
	struct test *t = b->t;
	struct err e = ERR_INIT;
	struct generation g;
	struct tokens ends = { 0 };

	test_case(t, "the model's own ends, once each");
	generate_ends(&b->model, &ends);
	CHECK(t, ends.n == 1 && ends.id[0] == 2);
	tokens_release(&ends);

	test_case(t, "a full context ends the answer and is told");
	CHECK(t, ask(b, 16, 60, NULL, 3, &g, &e) == 0);
	CHECK(t, g.finish == FINISH_LENGTH && g.context_full && g.ids.n < 16);
	generation_release(&g);
	CHECK(t, ask(b, 2, 60, NULL, 3, &g, &e) < 0);
	CHECK_MSG(t, strstr(e.msg, "it holds 2"), "%s", e.msg);
	generation_release(&g);

	test_case(t, "whoever shows it can end it");
	b->cancel_after = 4;
	CHECK(t, ask(b, 128, 60, NULL, 3, &g, &e) == 0);
	CHECK(t, g.finish == FINISH_CANCELLED && b->pieces == 4);
	generation_release(&g);
}

void test_generate(struct test *t)
{
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(1), .kernels = kernels_get(NULL, &e) };
	b.device = device_cpu(b.kernels, b.pool);
	char *path = io_join(test_golden(), "llama");

	test_case(t, "the tiny Llama opens");
	CHECK_MSG(t, model_open(&b.model, path, &e) == 0 && model_tokenizer(&b.model, &e) == 0, "%s", e.msg);
	test_text(&b);
	test_stop(&b);
	test_ends(&b);
	model_close(&b.model);
	pool_free(b.pool);
	buf_release(&b.shown);
	mem_free(path);
}
