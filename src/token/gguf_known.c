/* gguf_known: a table of texts. A role that metadata name a token for (fill-in-the-middle's) is not looked for by text;
 * where several texts of a role are there, the lowest id has it (llama.cpp takes any).
 *
 * Two families of models have a text of the list in the middle of an answer: where <|call|> and <|return|> end it
 * (gpt-oss; <|calls|> and <|flush|>: Solar Open) <|end|> only ends a part of it, and beside <|tool_response> (Gemma 4)
 * </s> is a word. llama.cpp's ids for a file that names no EOS at all (GPT-2's 11) are not taken over. */
#include "token/gguf_known.h"

#include <string.h>

#include "base/mem.h"
#include "token/gguf_texts.h"

enum role { END, PREFIX, SUFFIX, MIDDLE, PAD, REPOSITORY, SEPARATOR, PART, ROLES };

static const struct { const char *text; enum role role; } known[] = {
	{ "<|eot_id|>", END }, { "<|im_end|>", END }, { "<|end|>", END }, { "<|return|>", END }, { "<|call|>", END },
	{ "<|flush|>", END }, { "<|calls|>", END }, { "<end_of_turn>", END }, { "<|endoftext|>", END }, { "</s>", END },
	{ "<|eom_id|>", END }, { "<EOT>", END }, { "_<EOT>", END }, { "[EOT]", END }, { "[EOS]", END },
	{ "<|end_of_text|>", END }, { "<end_of_utterance>", END }, { "<eos>", END }, { "<turn|>", END },
	{ "<|tool_response>", END }, { "<｜end▁of▁sentence｜>", END }, { "[e~[", END },
	{ "<|fim_prefix|>", PREFIX }, { "<fim-prefix>", PREFIX }, { "<fim_prefix>", PREFIX },
	{ "<｜fim▁begin｜>", PREFIX }, { "<PRE>", PREFIX }, { "▁<PRE>", PREFIX }, { "<|code_prefix|>", PREFIX },
	{ "<|prefix|>", PREFIX },
	{ "<|fim_suffix|>", SUFFIX }, { "<fim-suffix>", SUFFIX }, { "<fim_suffix>", SUFFIX },
	{ "<｜fim▁hole｜>", SUFFIX }, { "<SUF>", SUFFIX }, { "▁<SUF>", SUFFIX }, { "<|code_suffix|>", SUFFIX },
	{ "<|suffix|>", SUFFIX },
	{ "<|fim_middle|>", MIDDLE }, { "<fim-middle>", MIDDLE }, { "<fim_middle>", MIDDLE },
	{ "<｜fim▁end｜>", MIDDLE }, { "<MID>", MIDDLE }, { "▁<MID>", MIDDLE }, { "<|code_middle|>", MIDDLE },
	{ "<|middle|>", MIDDLE },
	{ "<|fim_pad|>", PAD }, { "<fim-pad>", PAD }, { "<fim_pad>", PAD }, { "<PAD>", PAD }, { "[PAD]", PAD },
	{ "<|fim_repo|>", REPOSITORY }, { "<|repo_name|>", REPOSITORY }, { "<fim-repo>", REPOSITORY },
	{ "<REPO>", REPOSITORY }, { "<reponame>", REPOSITORY },
	{ "<|file_sep|>", SEPARATOR },
	{ "<|channel|>", PART }, { "<|message|>", PART }, { "<|start|>", PART }, { "<|constrain|>", PART },
};

/* Metadata that end an answer, and the role whose texts are not looked for then. */
static const struct { const char *key; enum role role; } named[] = {
	{ "tokenizer.ggml.eos_token_id", ROLES }, { "tokenizer.ggml.eot_token_id", ROLES },
	{ "tokenizer.ggml.eom_token_id", ROLES }, { "tokenizer.ggml.fim_pad_token_id", PAD },
	{ "tokenizer.ggml.fim_rep_token_id", REPOSITORY }, { "tokenizer.ggml.fim_sep_token_id", SEPARATOR },
};

static bool is_text(const struct gguf_string *s, const char *text)
{
	size_t n = strlen(text);

	return s->len == n && !memcmp(s->data, text, n);
}

static enum role role_of(const struct gguf_string *s)
{
	if (!s->len || !strchr("<[_\xe2", s->data[0])) /* what all of them begin with: a vocabulary is long */
		return ROLES;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (is_text(s, known[i].text))
			return known[i].role;
	return ROLES;
}

enum gguf_known gguf_known(const char *text, size_t n)
{
	enum role role = role_of(&(struct gguf_string){ text, n });

	return role == ROLES ? GGUF_KNOWN_NOT : role == PART ? GGUF_KNOWN_USER_DEFINED : GGUF_KNOWN_CONTROL;
}

bool gguf_is_end(const char *text, size_t n) { return role_of(&(struct gguf_string){ text, n }) == END; }

/* --- ends --- */

/* An id of metadata, −1: none that is a token. */
static int64_t named_id(const struct gguf *g, const char *key, size_t n)
{
	struct err ignored = ERR_INIT; /* a value of another type is no id */
	int64_t id;

	return gguf_int(g, key, false, -1, &id, &ignored) < 0 || id < 0 || (uint64_t)id >= n ? -1 : id;
}

/* Marks by metadata and by text. */
static void mark(const struct gguf *g, const struct gguf_kv *list, bool *ends)
{
	const struct gguf_string *text = list->items;
	bool taken[ROLES + 1] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		int64_t id = named_id(g, named[i].key, list->n_items);
		if (id >= 0)
			ends[id] = taken[named[i].role] = true;
	}
	for (size_t i = 0; i < list->n_items; i++) {
		enum role role = role_of(&text[i]);
		if (role == END)
			ends[i] = true;
		if ((role == PAD || role == REPOSITORY || role == SEPARATOR) && !taken[role])
			ends[i] = taken[role] = true;
	}
}

/* The end of this text, −1: there is none. */
static int64_t end_with(const struct gguf_kv *list, const bool *ends, const char *text)
{
	for (size_t i = 0; i < list->n_items; i++)
		if (ends[i] && is_text((const struct gguf_string *)list->items + i, text))
			return (int64_t)i;
	return -1;
}

/* Takes back those that are in the middle of an answer where certain others end it. */
static void unmark(const struct gguf_kv *list, bool *ends)
{
	static const struct { const char *text, *beside[2]; } middle[] = {
		{ "<|end|>", { "<|call|>", "<|return|>" } }, { "<|end|>", { "<|call|>", "<|flush|>" } },
		{ "<|end|>", { "<|calls|>", "<|return|>" } }, { "<|end|>", { "<|calls|>", "<|flush|>" } },
		{ "</s>", { "<|tool_response>", "<|tool_response>" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(middle); i++) {
		int64_t id = end_with(list, ends, middle[i].text);
		if (id >= 0 && end_with(list, ends, middle[i].beside[0]) >= 0 &&
		    end_with(list, ends, middle[i].beside[1]) >= 0)
			ends[id] = false;
	}
}

void gguf_ends(const struct gguf *g, struct tokens *out)
{
	struct err ignored = ERR_INIT; /* a model without a tokenizer ends nothing */
	const struct gguf_kv *list = gguf_texts(g, "tokenizer.ggml.tokens", &ignored);

	if (!list)
		return;
	bool *ends = mem_array(list->n_items, sizeof(*ends));
	mark(g, list, ends);
	unmark(list, ends);
	for (size_t i = 0; i < list->n_items; i++)
		if (ends[i])
			tokens_add(out, (int32_t)i);
	mem_free(ends);
}
