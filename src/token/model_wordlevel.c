/* model_wordlevel: a word is a token, or it is unknown. In tokenizer.json this is type WordLevel. */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "token/token_model.h"

struct wordlevel {
	int32_t unknown;
};

static bool is(const json_t *j, const json_t *model, const char *type)
{
	(void)j;
	return type ? !strcmp(type, "WordLevel") :
	              json_is_object(json_object_get(model, "vocab")) && !json_object_get(model, "merges") &&
	                       !json_object_get(model, "continuing_subword_prefix");
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct wordlevel *w = tokenizer_own(t);
	const char *unknown;
	if (vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e) ||
	    jsonx_string(model, "unk_token", "<unk>", &unknown, e))
		return -1;
	w->unknown = vocab_find(tokenizer_vocab(t), unknown, strlen(unknown));
	if (w->unknown < 0)
		return err_set(e, "model.unk_token is \"%.64s\", which is not in the vocabulary", unknown);
	return 0;
}

static void *scratch_new(void) { return mem_alloc(sizeof(struct token_at)); }

static void scratch_free(void *scratch) { mem_free(scratch); }

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct wordlevel *w = tokenizer_own(t);
	struct token_at *token = scratch;
	int32_t id = vocab_find(tokenizer_vocab(t), word, n);
	*token = (struct token_at){ id < 0 ? w->unknown : id, 0 };
	*n_tokens = 1;
	return token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return vocab_find(tokenizer_vocab(t), bytes, n);
}

static void save(const struct tokenizer *t, json_t *model)
{
	json_object_set_new(model, "vocab", vocab_json(tokenizer_vocab(t)));
}

const struct token_model token_model_wordlevel = {
	.name = "WordLevel",
	.type = "WordLevel",
	.own_size = sizeof(struct wordlevel),
	.is = is,
	.load = load,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.find = find,
	.save = save,
};
