/* test_sizes: named shapes become models of every family with the numbers of parameters that they are known for; what a
 * shape costs; and the laws that say which shape, how many tokens, which batch and rate. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/init.h"
#include "model/sizes.h"
#include "train/laws.h"

enum { CONTEXT = 256 };

static bool open_size(struct test *t, struct model *m, const char *name, int vocabulary)
{
	struct err e = ERR_INIT;
	struct init_options o = { .seed = 1, .parts = WEIGHT_OF_HEAD };
	json_t *j = size_config(name, CONTEXT, &e);

	CHECK_MSG(t, j, "%s", e.msg);
	if (j)
		json_object_set_new(j, "vocab_size", json_integer(vocabulary));
	bool open = j && model_new_facts(m, j, &o, &e) == 0;
	CHECK_MSG(t, open, "%s: %s", name, e.msg);
	json_decref(j);
	return open;
}

static void test_every_family(struct test *t)
{
	struct model m;

	for (size_t i = 0; arch_table[i]; i++) {
		const struct arch *a = arch_table[i];
		if (!a->hf_types[0])
			continue;
		test_case(t, "%s has the rule's shapes", a->name);
		char *name = mem_printf("%s-micro", a->name);
		if (open_size(t, &m, name, 1000)) {
			int experts, chosen = model_experts(&m, &experts);
			struct size_cost c = size_cost(&m, CONTEXT);
			CHECK(t, m.config.arch == a && m.config.n_layers == 3 && m.config.C == 192);
			CHECK_MSG(t, m.config.n_ctx == CONTEXT, "%d positions", m.config.n_ctx);
			CHECK_MSG(t, a->state || m.config.D == 32, "heads of %d", m.config.D);
			CHECK_MSG(t, chosen || fabs(c.blocks / size_depth_parameters(3) - 1) < 0.2, "%g in blocks",
			          c.blocks);
			CHECK(t, c.active > 1000 * 192 && c.active < c.parameters + 1000 * 192);
			CHECK(t, c.flops > 6 * c.active - 1);
			model_close(&m);
		}
		mem_free(name);
	}
}

static void test_known(struct test *t)
{
	static const struct { const char *name; int vocabulary; double parameters; } known[] = {
		/* positions beyond CONTEXT left out: 124,439,808 less 768·768, as published */
		{ "gpt2-124M", 50257, 124439808 - 768 * 768.0 },
		{ "llama-135M", 49152, 134515008 },
		{ "llama-15M", 32000, 15191712 },
	};
	struct model m;

	test_case(t, "known sizes have the parameters that they are known for");
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (open_size(t, &m, known[i].name, known[i].vocabulary)) {
			CHECK_MSG(t, (double)model_count(&m) == known[i].parameters, "%s: %zu", known[i].name,
			          model_count(&m));
			model_close(&m);
		}
	test_case(t, "the operations of a token");
	if (open_size(t, &m, "gpt2-nano", 1000)) {
		/* two blocks of 12·128² and the head, six for each; 2 layers of 128 at 256 positions, seen half */
		double matrices = 2 * 12 * 128 * 128 + 1000 * 128;
		struct size_cost c = size_cost(&m, CONTEXT);
		CHECK_MSG(t, c.active == matrices && c.flops == 6 * matrices + 6.0 * 2 * 128 * 256, "%g", c.flops);
		model_close(&m);
	}
}

static void test_names(struct test *t)
{
	struct err e = ERR_INIT;
	struct model m;

	test_case(t, "a depth, a number of parameters, and what is none");
	if (open_size(t, &m, "llama-d5", 300)) {
		CHECK(t, m.config.n_layers == 5 && m.config.C == 320 && m.config.H == 5);
		model_close(&m);
	}
	if (open_size(t, &m, "qwen3-80M", 300)) {
		CHECK(t, m.config.n_layers == 12);
		model_close(&m);
	}
	if (open_size(t, &m, "bert-tiny", 300)) {
		CHECK(t, m.config.n_layers == 2 && m.config.C == 128);
		model_close(&m);
	}
	CHECK(t, !size_config("llama", CONTEXT, &e) && strstr(e.msg, "FAMILY-SIZE"));
	CHECK(t, !size_config("lama-nano", CONTEXT, &e) && strstr(e.msg, "llama"));
	CHECK(t, !size_config("llama-huge", CONTEXT, &e) && strstr(e.msg, "no size huge"));
	CHECK(t, !size_config("llama-d0", CONTEXT, &e) && !size_config("llama-d129", CONTEXT, &e));
	struct buf list = BUF_INIT;
	size_list(&list);
	CHECK(t, strstr(buf_str(&list), "nano") && strstr(buf_str(&list), "SmolLM2"));
	buf_release(&list);
}

static void test_laws(struct test *t)
{
	double n, tokens;

	test_case(t, "laws give the numbers of their papers");
	law_optimal(5.76e23, LAW_RATIO, &n, &tokens); /* Gopher's budget: 67 B on 1.5 T (Hoffmann et al., table 3) */
	CHECK_MSG(t, fabs(n / 67e9 - 1) < 0.05 && fabs(tokens / 1.5e12 - 1) < 0.1, "%g %g", n, tokens);
	CHECK(t, law_repeated(100, 50) == 50);
	CHECK_MSG(t, law_repeated(1, 4) > 3.7 && law_repeated(1, 1000) < 16.4, "%g", law_repeated(1, 4));
	/* DeepSeek's 7 B: 2 T tokens, a batch of 9.4 M tokens, 4.2e-4 */
	CHECK_MSG(t, fabs(law_batch_of_flops(6 * 6.9e9 * 2e12) / 9.4e6 - 1) < 0.3 &&
	             fabs(law_rate_of_flops(6 * 6.9e9 * 2e12) / 4.2e-4 - 1) < 0.3, "%g %g",
	          law_batch_of_flops(6 * 6.9e9 * 2e12), law_rate_of_flops(6 * 6.9e9 * 2e12));
	CHECK(t, law_batch(1e9) > 7e4 && law_batch(1e9) < 9e4 && law_rate(1e9, 1e11) < law_rate(1e8, 1e11));
	CHECK(t, fabs(law_batch_for(1e5, 1e9, 1e9) - 1e5) < 1 && fabs(law_rate_for(1e-3, 1e5, 4e5) - 2e-3) < 1e-9);
	CHECK(t, law_vocabulary(1e12, 128) == 512 && law_vocabulary(1e26, 4096) == 131072);
	CHECK(t, law_vocabulary(1e18, 512) == 16384);
	CHECK(t, size_nearest_depth(law_size_of_text(1e6)) == 2);
	for (const struct law *l = laws; l->name; l++)
		CHECK_MSG(t, l->formula && l->source && l->fitted, "%s", l->name);
}

void test_sizes(struct test *t);
void test_sizes(struct test *t)
{
	test_every_family(t);
	test_known(t);
	test_names(t);
	test_laws(t);
}
