/* model_spm: SentencePiece's BPE (Kudo & Richardson 2018), as Llama 2, Mistral, Gemma and Phi-3 have it. A word's
 * characters become one symbol each; a character that is no piece becomes its bytes' pieces, "<0xE2>", or where one of
 * them is missing the unknown token; then they are merged by rank (token/bpe.h).
 *
 * In tokenizer.json this is type BPE with byte_fallback and a list of merges, in GGUF "llama" with a score for each
 * piece, which says the same: a joined piece of a higher score comes first. Spaces are marks (token/marks.h). */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/bpe.h"
#include "token/marks.h"

struct spm {
	struct bpe bpe;
	struct marks marks;
	int32_t unknown;           /* −1: such a character is left out */
	bool fuse_unknown;         /* several in a row become one */
	bool ignore_merges;        /* a word that is a piece is that piece, whatever its merges */
};

/* --- reading --- */

static bool is(const json_t *model, const char *type)
{
	return (type ? !strcmp(type, "BPE") : json_object_get(model, "merges") != NULL) &&
	       json_is_true(json_object_get(model, "byte_fallback"));
}

static void begin(struct tokenizer *t)
{
	struct spm *s = tokenizer_own(t);
	bpe_begin(&s->bpe, tokenizer_vocab(t));
	marks_find_bytes(&s->marks, tokenizer_vocab(t));
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct spm *s = tokenizer_own(t);
	if (vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e))
		return -1;
	begin(t);
	return bpe_read_json(&s->bpe, json_object_get(model, "merges"), e);
}

static int load_gguf(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	struct spm *s = tokenizer_own(t);
	begin(t);
	return bpe_read_scores(&s->bpe, g, e);
}

static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	json_t *rules = marks_gguf_rules(g, e);
	*add_bos = true;
	if (rules)
		json_object_set_new(rules, "model",
		                    json_pack("{s:s,s:n,s:s,s:n,s:n,s:b,s:b,s:b}", "type", "BPE", "dropout",
		                              "unk_token", "<unk>", "continuing_subword_prefix", "end_of_word_suffix",
		                              "fuse_unk", 1, "byte_fallback", 1, "ignore_merges", 0));
	return rules;
}

static int rules(struct tokenizer *t, const json_t *all, struct err *e)
{
	const json_t *model = json_object_get(all, "model");
	struct spm *s = tokenizer_own(t);
	const char *unknown;
	int fuse, ignore;
	if (bpe_check(model, e) || jsonx_string(model, "unk_token", NULL, &unknown, e) ||
	    jsonx_bool(model, "fuse_unk", false, &fuse, e) || jsonx_bool(model, "ignore_merges", false, &ignore, e))
		return -1;
	s->unknown = unknown ? vocab_find(tokenizer_vocab(t), unknown, strlen(unknown)) : -1;
	s->fuse_unknown = fuse;
	s->ignore_merges = ignore;
	return marks_read(&s->marks, json_object_get(all, "decoder"), e);
}

static void release(struct tokenizer *t) { bpe_release(&((struct spm *)tokenizer_own(t))->bpe); }

/* --- words and pieces --- */

static void *scratch_new(void) { return bpe_scratch_new(); }

static void scratch_free(void *scratch) { bpe_scratch_free(scratch); }

static bool has_bytes(const struct marks *m, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (m->byte_id[(uint8_t)text[i]] < 0)
			return false;
	return true;
}

static size_t symbols(const struct spm *s, struct token_at *to, const char *word, size_t n)
{
	size_t count = 0, k;
	bool was_unknown = false;
	uint32_t c;
	for (size_t at = 0; at < n; at += k) {
		k = MAX(utf8_decode(word + at, n - at, &c), (size_t)1);
		int32_t id = vocab_find(s->bpe.vocab, word + at, k);
		bool bytes = id < 0 && has_bytes(&s->marks, word + at, k), unknown = id < 0 && !bytes;
		for (size_t i = 0; bytes && i < k; i++)
			to[count++] = (struct token_at){ s->marks.byte_id[(uint8_t)word[at + i]], (uint32_t)at };
		if (id >= 0 || (unknown && s->unknown >= 0 && !(was_unknown && s->fuse_unknown)))
			to[count++] = (struct token_at){ unknown ? s->unknown : id, (uint32_t)at };
		was_unknown = unknown || (bytes && was_unknown);
	}
	return count;
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct spm *s = tokenizer_own(t);
	struct token_at *token = bpe_symbols(scratch, n);
	int32_t id = s->ignore_merges && n ? vocab_find(s->bpe.vocab, word, n) : -1;
	if (id < 0)
		return bpe_merge(&s->bpe, scratch, symbols(s, token, word, n), n_tokens);
	token[0] = (struct token_at){ id, 0 };
	*n_tokens = 1;
	return token;
}

static void piece(const struct tokenizer *t, const struct piece *p, bool first, struct buf *out)
{
	marks_piece(&((const struct spm *)tokenizer_own(t))->marks, p, first, out);
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return marks_find(&((const struct spm *)tokenizer_own(t))->marks, tokenizer_vocab(t), bytes, n);
}

/* --- writing --- */

static void save(const struct tokenizer *t, json_t *model)
{
	bpe_save(&((const struct spm *)tokenizer_own(t))->bpe, model);
}

static void hash(const struct tokenizer *t, struct buf *out)
{
	bpe_hash(&((const struct spm *)tokenizer_own(t))->bpe, out);
}

const struct token_model token_model_spm = {
	.name = "SentencePiece BPE",
	.type = "BPE",
	.gguf = "llama",
	.own_size = sizeof(struct spm),
	.is = is,
	.load = load,
	.load_gguf = load_gguf,
	.gguf_rules = gguf_rules,
	.rules = rules,
	.release = release,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.piece = piece,
	.find = find,
	.save = save,
	.hash = hash,
};
