/* test_invocation: an adapter that acts from the last place on where its invocation stands (activated LoRA).
 *
 * Broken would be: a beginning that another text or adapter had and that is computed again, or one that is kept
 * though it was computed otherwise; a sequence whose logits depend on how it came about; a file of a sequence that goes
 * on with other bits; documents that share rows which go through different adapters. */
#include "fixture_bench.h"
#include "fixture_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/forest.h"
#include "infer/scorer.h"
#include "infer/session.h"

enum { CONTEXT = 100, BEGINNING = 40, CALL = 2, WHOLE = 60 };

static const int32_t call[CALL] = { 298, 31 }; /* llama-alora's */

struct calls {
	struct bench b;
	struct adapter a;
	int32_t ids[WHOLE];        /* the call at BEGINNING */
	float *fresh;              /* [V] logits after all of it */
};

static struct session *open_session(struct calls *c, const struct overlay *o)
{
	struct err e = ERR_INIT;
	struct session *s = NULL;

	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 2 };
	CHECK_MSG(c->b.t, session_new(&s, &c->b.model, o, &c->b.device, &size, &e) == 0, "%s", e.msg);
	return s;
}

static const float *feed(struct calls *c, struct session *s, const int32_t *ids, int n)
{
	struct err e = ERR_INIT;
	const float *logits = NULL;

	CHECK_MSG(c->b.t, session_feed(s, 0, ids, (size_t)n, &logits, &e) == 0, "%s", e.msg);
	return logits;
}

static void check(struct calls *c, const float *logits)
{
	CHECK(c->b.t, logits && !memcmp(logits, c->fresh, (size_t)c->b.model.config.V * sizeof(*logits)));
}

static void begin(struct calls *c)
{
	size_t V = (size_t)c->b.model.config.V;

	for (int i = 0; i < WHOLE; i++)
		c->ids[i] = 3 + i * 7 % 200;
	memcpy(c->ids + BEGINNING, call, sizeof(call));
	c->fresh = arena_array(&c->b.mem, V, sizeof(float));
	struct session *s = open_session(c, &c->a.overlay), *base = open_session(c, NULL);
	memcpy(c->fresh, feed(c, s, c->ids, WHOLE), V * sizeof(float));
	const float *plain = feed(c, base, c->ids, WHOLE);
	CHECK(c->b.t, memcmp(c->fresh, plain, V * sizeof(float)) != 0);
	const float *before = feed(c, (session_drop(base, 0), base), c->ids, BEGINNING);
	float *kept = mem_array(V, sizeof(*kept));
	memcpy(kept, before, V * sizeof(*kept));
	session_drop(s, 0);
	CHECK(c->b.t, !memcmp(kept, feed(c, s, c->ids, BEGINNING), V * sizeof(*kept)));
	mem_free(kept);
	session_free(s);
	session_free(base);
}

/* --- sessions --- */

static void test_keep(struct calls *c)
{
	int32_t other[WHOLE];

	test_case(c->b.t, "the beginning of a text that calls nothing is kept, and what a later call changes is not");
	memcpy(other, c->ids, sizeof(other));
	other[BEGINNING] = 9;
	struct session *s = open_session(c, &c->a.overlay);
	feed(c, s, other, WHOLE);
	CHECK(c->b.t, session_keep(s, 0, c->ids, WHOLE) == BEGINNING);
	check(c, feed(c, s, c->ids + BEGINNING, WHOLE - BEGINNING));
	/* the same call once more at the end: what went through the adapter is the base's now */
	memcpy(other, c->ids, sizeof(other));
	memcpy(other + WHOLE - CALL, call, sizeof(call));
	CHECK(c->b.t, session_keep(s, 0, other, WHOLE) == BEGINNING);
	feed(c, s, other + BEGINNING, WHOLE - BEGINNING);
	CHECK(c->b.t, session_keep(s, 0, c->ids, WHOLE) == BEGINNING);
	check(c, feed(c, s, c->ids + BEGINNING, WHOLE - BEGINNING));
	session_free(s);
}

static void test_pieces(struct calls *c)
{
	struct session *s = open_session(c, &c->a.overlay);

	test_case(c->b.t, "a prompt in pieces, one of which ends within the call");
	feed(c, s, c->ids, BEGINNING + 1);
	check(c, feed(c, s, c->ids + BEGINNING + 1, WHOLE - BEGINNING - 1));
	test_case(c->b.t, "an answer that says the call calls nothing, and goes through what it went through");
	session_drop(s, 0);
	const float *logits = feed(c, s, c->ids, BEGINNING);
	for (int i = 0; i < CALL; i++)
		logits = feed(c, s, call + i, 1);
	struct session *base = open_session(c, NULL);
	const float *plain = feed(c, base, c->ids, BEGINNING + CALL);
	CHECK(c->b.t, !memcmp(logits, plain, (size_t)c->b.model.config.V * sizeof(*logits)));
	session_free(base);
	session_free(s);
}

static void test_copy(struct calls *c)
{
	struct session *with = open_session(c, &c->a.overlay), *base = open_session(c, NULL);

	test_case(c->b.t, "one beginning serves the base and the adapter, both ways");
	CHECK(c->b.t, session_same_keys(with, base) && session_same_keys(base, with));
	feed(c, base, c->ids, BEGINNING);
	session_copy(with, 0, base, 0);
	CHECK(c->b.t, session_keep(with, 0, c->ids, WHOLE) == BEGINNING);
	check(c, feed(c, with, c->ids + BEGINNING, WHOLE - BEGINNING));
	session_copy(base, 0, with, 0);
	CHECK(c->b.t, session_length(base, 0) == BEGINNING);
	session_free(with);
	session_free(base);
}

static void test_branch(struct calls *c)
{
	struct session *s = open_session(c, &c->a.overlay);
	struct err e = ERR_INIT;
	struct session_part part = { .sequence = 1, .ids = c->ids + BEGINNING, .n = WHOLE - BEGINNING, .wanted = true };

	test_case(c->b.t, "a branch of what came before the call");
	feed(c, s, c->ids, WHOLE);
	CHECK(c->b.t, session_common(s, 0, session_ids(s, 0), WHOLE, 0, c->ids, WHOLE) == WHOLE - 1);
	CHECK(c->b.t, session_common(s, 0, session_ids(s, 0), WHOLE, 0, c->ids, BEGINNING + 1) == BEGINNING);
	session_branch(s, 1, 0, BEGINNING);
	session_invoke(s, 1, c->ids, WHOLE);
	CHECK_MSG(c->b.t, session_step(s, &part, 1, &e) == 0, "%s", e.msg);
	check(c, part.logits);
	session_free(s);
}

static void test_file(struct calls *c)
{
	struct session *s = open_session(c, &c->a.overlay), *back = open_session(c, &c->a.overlay);
	struct session *base = open_session(c, NULL);
	char *path = io_join(test_tmp(), "called");
	struct err e = ERR_INIT;

	test_case(c->b.t, "a sequence as a file goes on with its bits, and is none of the base's");
	feed(c, s, c->ids, WHOLE - 1);
	CHECK_MSG(c->b.t, session_save(s, 0, path, &e) == 0, "%s", e.msg);
	CHECK_MSG(c->b.t, session_load(back, 0, path, &e) == 0, "%s", e.msg);
	check(c, feed(c, back, c->ids + WHOLE - 1, 1));
	CHECK(c->b.t, session_load(base, 0, path, &e) < 0 && strstr(e.msg, "invoked"));
	session_free(s);
	session_free(back);
	session_free(base);
	remove(path);
	mem_free(path);
}

/* --- documents --- */

static int64_t rows_of(struct calls *c, struct document *docs, bool share, float *each[2])
{
	const struct document *list[2] = { &docs[0], &docs[1] };
	struct scorer_options o = { .max_tokens = 256, .max_length = WHOLE, .own_tokens = true, .unshared = !share };
	struct err e = ERR_INIT;
	struct scorer *s = NULL;
	double sum[2];

	bool fine = scorer_new(&s, &c->b.model, &c->a.overlay, &c->b.device, &o, &e) == 0 &&
	            scorer_run(s, list, 2, true, sum, each, NULL, NULL, &e) == 0;
	CHECK_MSG(c->b.t, fine, "%s", e.msg);
	int64_t rows = fine ? scorer_computed_tokens(s) : 0;
	scorer_free(s);
	return rows;
}

static void test_documents(struct calls *c)
{
	float shared[2][WHOLE] = { 0 }, alone[2][WHOLE] = { 0 };
	int32_t later[WHOLE];
	uint8_t learn[WHOLE] = { 0 };
	struct document docs[2] = { { .ids = c->ids, .learn = learn, .n = WHOLE, .choice = -1 },
		                    { .ids = later, .learn = learn, .n = WHOLE, .choice = -1, .adapter = -1 } };

	test_case(c->b.t, "documents share what comes before the first of their calls, not rows of different adapters");
	memcpy(later, c->ids, sizeof(later));
	memcpy(later + WHOLE - 2 * CALL, call, sizeof(call)); /* alike up to there, and called later */
	int64_t rows = rows_of(c, docs, true, (float *[2]){ shared[0], shared[1] });
	CHECK_MSG(c->b.t, rows == 2 * WHOLE - BEGINNING, "%lld rows", (long long)rows);
	rows = rows_of(c, docs, false, (float *[2]){ alone[0], alone[1] });
	CHECK(c->b.t, rows == 2 * WHOLE);
	for (int i = 0; i < 2; i++)
		CHECK(c->b.t, bench_difference(shared[i], alone[i], WHOLE) < 1e-4);
}

/* --- in training --- */

enum { STEPS = 4 };

/* The run's losses; how many tokens of a past it has, how many it computes. */
static void train(struct test *t, const struct job *j, const struct objective *o, double *losses, int *past,
                  int64_t *computed)
{
	struct training s;

	if (training_begin_with(t, &s, j, o, 2)) {
		*past = trainer_plan(s.trainer)->past_tokens;
		*computed = trainer_plan(s.trainer)->computed_tokens;
		training_steps(t, &s, STEPS, losses);
	}
	training_end(&s);
}

/* Of another objective of the same numbers each micro-batch computes its own beginning. Keys are cut into other tiles,
 * so sums are rounded otherwise. */
static void test_constant(struct test *t, const char *model, const char *data, const char *options)
{
	struct objective other = *objective_find("sft");
	double once[STEPS] = { 0 }, each[STEPS] = { 0 };
	int64_t computed[2] = { 0 };
	int past[2] = { 0 };
	struct job j;
	char all[300];

	test_case(t, "%s: what all documents begin with is computed once for the run%s", model, options);
	other.open = NULL;
	other.close = NULL;
	other.rewrites = NULL;
	other.documents = NULL;
	snprintf(all, sizeof(all), "alora-invocation-tokens=:: max-steps=%d learning-rate=1e-2 "
	         "per-device-train-batch-size=3%s", STEPS, options);
	job_init(t, &j, model, data, all);
	train(t, &j, NULL, once, &past[0], &computed[0]);
	train(t, &j, &other, each, &past[1], &computed[1]);
	CHECK_MSG(t, past[0] >= 8 && !past[1], "%d and %d tokens", past[0], past[1]);
	CHECK_MSG(t, computed[1] - computed[0] == (int64_t)past[0] * STEPS, "%lld rows less, %d steps of %d tokens",
	          (long long)(computed[1] - computed[0]), STEPS, past[0]);
	for (int i = 0; i < STEPS; i++)
		CHECK_MSG(t, once[i] > 0 && fabs(once[i] - each[i]) <= 2e-5 * each[i], "step %d: %.8f, not %.8f", i,
		          once[i], each[i]);
	job_release(&j);
}

void test_invocation(struct test *t)
{
	struct calls c;
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama-alora");

	test_case(t, "what comes before a call is the base's");
	if (bench_open(&c.b, t, "llama") && bench_fine(&c.b, adapter_load(&c.a, path, &c.b.model, &e), &e)) {
		begin(&c);
		test_keep(&c);
		test_pieces(&c);
		test_copy(&c);
		test_branch(&c);
		test_file(&c);
		test_documents(&c);
		adapter_release(&c.a);
	}
	bench_close(&c.b);
	mem_free(path);
	log_set(LOG_QUIET);
	path = write_calls(t);
	test_constant(t, "llama", path, "");
	test_constant(t, "llama", path, " layers-to-transform=1");
	test_constant(t, "gpt2", path, "");
	test_constant(t, "gemma3", path, "");
	test_constant(t, "gpt_oss", path, "");
	mem_free(path);
}
