/* test_virtual_tokens: an adapter's tokens before every text: laid down once by the packer, kept once by a session, and
 * seen by nobody else.
 *
 * Broken would be: a document whose positions, labels or own tokens change; a sequence whose logits depend on how it
 * came about; a file of a sequence that goes on with other bits, or under another adapter. */
#include "fixture_bench.h"

#include <string.h>

#include "adapt/multi_adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "data/forest.h"
#include "infer/session.h"

enum { TOKENS = 24, CONTEXT = 40, PROBE = 16 };

/* --- the packer --- */

static void test_forest(struct bench *b)
{
	struct forest_options plain = { .max_tokens = 128, .share = true }, how = plain;
	struct batch_cap cap, need;
	struct live live, more;
	struct batch x, y;
	int64_t tokens;

	test_case(b->t, "the packer: one root segment, all else as without");
	how.virtual_tokens = 9;
	how.first_virtual = b->model.config.V;
	CHECK(b->t, forest_take(b->pointers, DOCS, &plain, &cap, &live, &tokens) == DOCS);
	CHECK(b->t, forest_take(b->pointers, DOCS, &how, &need, &more, &tokens) == DOCS);
	CHECK(b->t, need.rows == cap.rows + 9 && need.segments == cap.segments + 1 && need.labels == cap.labels);
	CHECK(b->t, more.visible == live.visible + 9 * live.rows + 45);
	batch_init(&x, &cap);
	batch_init(&y, &need);
	forest_fill(&x, b->pointers, DOCS, &plain);
	forest_fill(&y, b->pointers, DOCS, &how);
	CHECK(b->t, y.n_trees == 1 && y.segments[0].len == 9 && y.segments[0].end == y.n_rows);
	CHECK(b->t, y.vis_end[8] == y.n_rows);
	for (int i = 0; i < 9; i++)
		CHECK(b->t, y.ids[i] == b->model.config.V + i && y.pos[i] == i);
	for (int i = 0; i < x.n_rows; i++)
		CHECK(b->t, y.ids[9 + i] == x.ids[i] && y.pos[9 + i] == x.pos[i] + 9 &&
		                    y.vis_end[9 + i] == x.vis_end[i] + 9);
	for (int i = 0; i < x.n_targets; i++)
		CHECK(b->t, y.target_row[i] == x.target_row[i] + 9);
	CHECK(b->t, y.n_labels == x.n_labels && !memcmp(y.label_token, x.label_token, (size_t)x.n_labels * 4) &&
	                    !memcmp(y.label_doc, x.label_doc, (size_t)x.n_labels * 4));
	batch_release(&x);
	batch_release(&y);
}

/* --- sessions --- */

static bool open_session(struct bench *b, const struct adapter *a, struct session **s)
{
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 3 };

	return bench_fine(b, session_new(s, &b->model, &a->overlay, &b->device, &size, &e), &e);
}

static const float *feed(struct bench *b, struct session *s, int sequence, int from, int n)
{
	struct err e = ERR_INIT;
	const float *logits = NULL;

	bench_fine(b, session_feed(s, sequence, b->docs[0].ids + from, (size_t)n, &logits, &e), &e);
	return logits;
}

static void check_file(struct bench *b, const struct adapter *a, struct session *s, const float *want, size_t V)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), "sequence");
	struct session *other;

	session_drop(s, 1);
	feed(b, s, 1, 0, TOKENS - 1);
	bench_fine(b, session_save(s, 1, path, &e), &e);
	session_drop(s, 2);
	if (bench_fine(b, session_load(s, 2, path, &e), &e)) {
		CHECK(b->t, session_length(s, 2) == TOKENS - 1);
		CHECK(b->t, !memcmp(feed(b, s, 2, TOKENS - 1, 1), want, V * sizeof(*want)));
	}
	a->overlay.params.w[3] += 1; /* another prompt */
	int n = a->overlay.virtual_tokens; /* what is no longer than the probe is computed again */
	if (n + TOKENS - 1 > ROUND_UP(n, PROBE) + PROBE && open_session(b, a, &other)) {
		CHECK(b->t, session_load(other, 0, path, &e) < 0 && strstr(e.msg, "it was written with others"));
		session_free(other);
	}
	a->overlay.params.w[3] -= 1;
	io_remove_tree(path, NULL);
	mem_free(path);
}

static void check_session(struct bench *b, const struct adapter *a, struct session *s)
{
	size_t V = (size_t)b->model.config.V;
	float *want = arena_array(&b->mem, V, sizeof(*want));

	CHECK(b->t, session_limit(s) == MIN(CONTEXT, overlays_context(&a->overlay, &b->model)));
	CHECK(b->t, session_length(s, 0) == 0);
	memcpy(want, feed(b, s, 0, 0, TOKENS), V * sizeof(*want));
	CHECK(b->t, session_length(s, 0) == TOKENS && !memcmp(session_ids(s, 0), b->docs[0].ids, TOKENS * 4));
	for (int i = 0; i < TOKENS; i++)
		if (i == TOKENS - 1)
			CHECK(b->t, !memcmp(feed(b, s, 1, i, 1), want, V * sizeof(*want)));
		else
			feed(b, s, 1, i, 1);
	CHECK(b->t, session_branch(s, 2, 0, 5) == 5);
	CHECK(b->t, !memcmp(feed(b, s, 2, 5, TOKENS - 5), want, V * sizeof(*want)));
	CHECK(b->t, session_keep(s, 0, b->docs[0].ids, TOKENS) == TOKENS - 1);
	CHECK(b->t, !memcmp(feed(b, s, 0, TOKENS - 1, 1), want, V * sizeof(*want)));
	session_truncate(s, 0, 0);
	CHECK(b->t, session_length(s, 0) == 0);
	CHECK(b->t, !memcmp(feed(b, s, 0, 0, TOKENS), want, V * sizeof(*want)));
	check_file(b, a, s, want, V);
}

static void test_session(struct bench *b, const char *type, const char *n)
{
	const char *const options[] = { "num-virtual-tokens", n, NULL };
	struct err e = ERR_INIT;
	struct adapter a;
	struct session *s;

	test_case(b->t, "%s, %s: a session with %s virtual tokens", type, b->model.config.arch->name, n);
	if (!bench_fine(b, adapter_new_named(&a, type, &b->model, options, 3, &e), &e))
		return;
	if (open_session(b, &a, &s)) {
		check_session(b, &a, s);
		session_free(s);
	}
	adapter_release(&a);
}

/* --- adapters that come --- */

static void check_lay(struct bench *b, struct session *s, struct adapter *soft, const float *want, size_t V)
{
	static const char *const names[] = { "one", "two" };
	struct err e = ERR_INIT;
	struct adapter all;

	if (!bench_fine(b, multi_adapter_make(&all, &b->model, soft, names, 2, &e), &e))
		return;
	if (bench_fine(b, session_lay(s, &all.overlay, &e), &e)) {
		for (int k = -1; k < 2; k++) {
			session_use(s, k + 1, k);
			CHECK_MSG(b->t, !memcmp(feed(b, s, k + 1, k < 0 ? TOKENS - 1 : 0, k < 0 ? 1 : TOKENS),
			                        want + (size_t)(k + 1) * V, V * sizeof(*want)),
			          "adapter %d came: other bits than alone", k);
		}
		CHECK(b->t, session_length(s, 2) == TOKENS && session_limit(s) == CONTEXT);
	}
	multi_adapter_unmake(&all, soft);
}

/* The model's own sequence goes on while they come; too many, or too long ones, are a sentence. */
static void test_lay(struct bench *b)
{
	static const char *const few[] = { "num-virtual-tokens", "5", NULL };
	static const char *const more[] = { "num-virtual-tokens", "6", NULL };
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 3, .n_soft = 2, .soft_tokens = 6 };
	size_t V = (size_t)b->model.config.V;
	float *want = arena_array(&b->mem, 3 * V, sizeof(*want));
	struct err e = ERR_INIT;
	struct adapter soft[2];
	struct session *s = NULL;

	test_case(b->t, "%s: adapters with virtual tokens come to a session", b->model.config.arch->name);
	bench_fine(b, adapter_new_named(&soft[0], "prompt_tuning", &b->model, few, 1, &e), &e);
	bench_fine(b, adapter_new_named(&soft[1], "prefix_tuning", &b->model, more, 2, &e), &e);
	for (int k = -1; k < 2; k++) {
		bench_fine(b, session_new(&s, &b->model, k < 0 ? NULL : &soft[k].overlay, &b->device, &size, &e), &e);
		memcpy(want + (size_t)(k + 1) * V, feed(b, s, 0, 0, TOKENS), V * sizeof(*want));
		session_free(s);
	}
	bench_fine(b, session_new(&s, &b->model, NULL, &b->device, &size, &e), &e);
	session_use(s, 0, -1);
	feed(b, s, 0, 0, TOKENS - 1);
	check_lay(b, s, soft, want, V);
	CHECK(b->t, session_lay(s, NULL, &e) == 0);
	session_free(s);
	size.soft_tokens = 5;
	size.n_ctx = b->model.config.n_ctx - 5;
	bench_fine(b, session_new(&s, &b->model, NULL, &b->device, &size, &e), &e);
	CHECK_MSG(b->t, session_lay(s, &soft[1].overlay, &e) < 0 &&
	                        strstr(e.msg, "6 virtual tokens before a context of 123: there are 128 positions"),
	          "%s", e.msg);
	session_free(s);
	for (int k = 0; k < 2; k++)
		adapter_release(&soft[k]);
}

void test_virtual_tokens(struct test *t)
{
	static const char *const models[] = { "llama", "gpt2", "gemma3", "llama.gguf" };
	struct bench b;

	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		if (!bench_open(&b, t, models[i]))
			continue;
		if (i == 0)
			test_forest(&b);
		if (i < 2)
			test_lay(&b);
		test_session(&b, "prompt_tuning", "7");
		test_session(&b, "prompt_tuning", "80");
		test_session(&b, "prefix_tuning", "64");
		bench_close(&b);
	}
}
