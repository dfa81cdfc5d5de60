/* adapter_prompt_tuning: rows of the embedding for n virtual tokens that stand before every text, BOS included (Lester
 * et al. 2021).
 *
 *     x = [P; E(ids)]     P [n, C], the text begins at position n
 *
 * P begins as rows of the embedding: of tokens drawn from the vocabulary, or of a text's, which is cut to n tokens or
 * repeated until there are n; or at random, N(0, 1), as PEFT's default is (PromptTuningConfig, prompt_tuning/model.py),
 * far from where embeddings are. Nothing but P is trained. */
#include <string.h>
#include <strings.h>

#include "adapt/soft_prompt.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "model/graph.h"

struct options { struct soft_prompt_options prompt; const char *init, *text; };

static const struct opt opts[] = {
	SOFT_PROMPT_OPTS(struct options, prompt, "20"),
	OPT_CHOICE("prompt-tuning-init", struct options, init, NULL, "random|sample_vocab|text",
	           "what virtual tokens begin as: N(0, 1), rows of the embedding of drawn tokens, or of a text's; "
	           "with a text that, else sample_vocab"),
	OPT_STRING("prompt-tuning-init-text", struct options, text, NULL, "TEXT",
	           "a text that they begin as, repeated or cut to their number"),
	OPT_END
};

static const struct peft_keys keys = {
	.read = (const char *const[]){ NULL },
	.inert = (const char *const[]){ "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_kwargs",
	                                "tokenizer_name_or_path", NULL },
};

static const char *init_of(const struct options *o)
{
	return o->init ? o->init : o->text ? "text" : "sample_vocab";
}

static int check_options(const struct options *o, struct err *e)
{
	bool text = !strcmp(init_of(o), "text");

	if (text && !o->text)
		return err_set(e, "--prompt-tuning-init text wants --prompt-tuning-init-text");
	if (!text && o->text)
		return err_set(e, "--prompt-tuning-init-text goes with --prompt-tuning-init text, not %s", o->init);
	return !o->text || utf8_valid(o->text, strlen(o->text), NULL) ? 0 :
	       err_set(e, "--prompt-tuning-init-text: not UTF-8");
}

/* PEFT wants the name of a tokenizer beside a text. */
static json_t *own_config(struct adapter *a, const struct model *m, const struct options *o)
{
	static const struct { const char *here, *peft; } names[] = {
		{ "random", "RANDOM" }, { "sample_vocab", "SAMPLE_VOCAB" }, { "text", "TEXT" },
	};
	const char *base = o->prompt.base ? o->prompt.base : peft_base(&a->mem, m), *init = names[0].peft;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(names[i].here, init_of(o)) && (base || !o->text))
			init = names[i].peft;
	bool text = o->text && base;
	return json_pack("{s:s, s:s?, s:n, s:s?}", "prompt_tuning_init", init, "prompt_tuning_init_text",
	                 text ? o->text : NULL, "tokenizer_kwargs", "tokenizer_name_or_path", text ? base : NULL);
}

static int fill(struct adapter *a, const struct model *m, const struct options *o, uint64_t seed, struct err *e)
{
	struct param *p = &a->overlay.params.items[0];
	float *w = a->overlay.params.w + p->offset;
	size_t n = p->dim[0];
	struct rng_key key = { seed, RNG_INIT };
	int32_t *ids = mem_array(n, sizeof(*ids));
	int status = 0;

	if (!strcmp(init_of(o), "random")) {
		for (size_t i = 0; i < p->n; i++)
			w[i] = rng_normal(key, i, p->site, 0);
	} else {
		if (o->text)
			status = soft_prompt_text(m, o->text, "--prompt-tuning-init-text", ids, n, e);
		else
			soft_prompt_draw(m, seed, ids, n);
		if (status == 0)
			soft_prompt_rows(m, ids, n, w);
	}
	mem_free(ids);
	return status;
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;

	if (check_options(o, e) < 0)
		return -1;
	soft_prompt_begin(a, m, PROMPT_ROWS, &o->prompt, own_config(a, m, o));
	if (soft_prompt_check(a, m, PROMPT_ROWS, &keys, e) < 0)
		return -1;
	soft_prompt_param(a, m, PROMPT_ROWS);
	return soft_prompt_seal(a, m, e) < 0 ? -1 : fill(a, m, o, seed, e);
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return soft_prompt_load(a, m, PROMPT_ROWS, &keys, config, s, dir, e);
}

static uint32_t virtual_rows(struct graph *g, const struct overlay *o, uint32_t y)
{
	return soft_prompt_embed(g, o, y, nn_param(g, o, 0));
}

static const struct overlay_hooks hooks = { .virtual_rows = virtual_rows, .by_row = true };

const struct adapter_type adapter_prompt_tuning = {
	.name = "prompt_tuning",
	.summary = "rows of the embedding for virtual tokens before every text",
	.learning_rate = 1e-2,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "num-virtual-tokens",
	.peft_type = "PROMPT_TUNING",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
};
