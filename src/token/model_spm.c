/* model_spm: BPE of characters, as SentencePiece (Kudo & Richardson 2018) has it for Llama 2, Mistral, Gemma and Phi-3,
 * and subword-nmt (Sennrich et al. 2016) with "</w>" at a word's end for GPT-1. A word's characters become one symbol
 * each; with byte_fallback a character that is no piece becomes its bytes' pieces, "<0xE2>", or where one of them is
 * missing the unknown token; then they are merged by rank (token/bpe.h).
 *
 * In tokenizer.json this is type BPE without a ByteLevel and with a list of merges, in GGUF "llama" with a score for
 * each piece, which says the same: a joined piece of a higher score comes first. Spaces are marks (token/marks.h). */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf_write.h"
#include "token/bpe.h"
#include "token/marks.h"
#include "token/sentencepiece.h"

struct spm {
	struct bpe bpe;
	struct marks marks;
	int32_t unknown;           /* −1: such a character is left out */
	bool fuse_unknown;         /* several in a row become one */
	bool fallback;             /* a character that is no piece is its bytes */
	bool ignore_merges;        /* a word that is a piece is that piece, whatever its merges */
};

/* --- reading --- */

static bool is(const json_t *j, const json_t *model, const char *type)
{
	return (type ? !strcmp(type, "BPE") : json_object_get(model, "merges") != NULL) && !bpe_is_bytes(j);
}

static int begin(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct spm *s = tokenizer_own(t);
	marks_find_bytes(&s->marks, tokenizer_vocab(t));
	s->fallback = true;
	return bpe_begin(&s->bpe, tokenizer_vocab(t), model, e);
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct spm *s = tokenizer_own(t);
	if (vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e) || begin(t, model, e))
		return -1;
	return bpe_read_json(&s->bpe, json_object_get(model, "merges"), e);
}

static int load_scores(struct tokenizer *t, const float *score, struct err *e)
{
	struct spm *s = tokenizer_own(t);
	if (begin(t, NULL, e))
		return -1;
	bpe_read_scores(&s->bpe, score);
	return 0;
}

static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	json_t *rules = marks_gguf_rules(g, false, e);
	*add_bos = true;
	if (rules)
		json_object_set_new(rules, "model", sentencepiece_bpe(true, "<unk>"));
	return rules;
}

static int rules(struct tokenizer *t, const json_t *all, struct err *e)
{
	const json_t *model = json_object_get(all, "model");
	struct spm *s = tokenizer_own(t);
	const char *unknown;
	int fuse, ignore, fallback;
	if (jsonx_bool(model, "byte_fallback", false, &fallback, e) ||
	    jsonx_string(model, "unk_token", NULL, &unknown, e) ||
	    jsonx_bool(model, "fuse_unk", false, &fuse, e) || jsonx_bool(model, "ignore_merges", false, &ignore, e))
		return -1;
	s->unknown = unknown ? vocab_find(tokenizer_vocab(t), unknown, strlen(unknown)) : -1;
	s->fuse_unknown = fuse;
	s->ignore_merges = ignore;
	s->fallback = fallback;
	return 0;
}

static void release(struct tokenizer *t) { bpe_release(&((struct spm *)tokenizer_own(t))->bpe); }

/* --- words and pieces --- */

struct scratch { struct bpe_scratch *bpe; struct buf text; };

static void *scratch_new(void)
{
	struct scratch *s = mem_alloc(sizeof(*s));
	s->bpe = bpe_scratch_new();
	return s;
}

static void scratch_free(void *scratch)
{
	struct scratch *s = scratch;
	bpe_scratch_free(s->bpe);
	buf_release(&s->text);
	mem_free(s);
}

/* The piece of a character, with the prefix or the suffix that its place in the word wants; −1: none. */
static int32_t character_id(const struct spm *s, struct buf *text, const char *c, size_t k, bool first, bool last)
{
	if ((first || !*s->bpe.prefix) && (!last || !*s->bpe.suffix))
		return vocab_find(s->bpe.vocab, c, k);
	buf_clear(text);
	buf_adds(text, first ? "" : s->bpe.prefix);
	buf_add(text, c, k);
	buf_adds(text, last ? s->bpe.suffix : "");
	return vocab_find(s->bpe.vocab, text->data, text->len);
}

static bool has_bytes(const struct marks *m, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (m->byte_id[(uint8_t)text[i]] < 0)
			return false;
	return true;
}

/* Where an unknown token waits, it is put before the next piece, or at the end: behind bytes, as in tokenizers. */
static size_t put_waiting(struct token_at *to, size_t count, struct token_at *waiting)
{
	if (waiting->id < 0)
		return count;
	waiting->begin = count ? MAX(waiting->begin, to[count - 1].begin) : waiting->begin;
	to[count] = *waiting;
	waiting->id = -1;
	return count + 1;
}

static size_t symbols(const struct spm *s, struct buf *text, struct token_at *to, const char *word, size_t n)
{
	struct token_at waiting = { -1, 0 };
	size_t count = 0, k;
	uint32_t c;
	for (size_t at = 0; at < n; at += k) {
		k = MAX(utf8_decode(word + at, n - at, &c), (size_t)1);
		int32_t id = character_id(s, text, word + at, k, at == 0, at + k == n);
		bool bytes = id < 0 && s->fallback && has_bytes(&s->marks, word + at, k);
		if (id >= 0) {
			count = put_waiting(to, count, &waiting);
			to[count++] = (struct token_at){ id, (uint32_t)at };
		} else if (bytes) {
			for (size_t i = 0; i < k; i++)
				to[count++] = (struct token_at){ s->marks.byte_id[(uint8_t)word[at + i]],
					                         (uint32_t)at };
		} else if (s->unknown >= 0 && !(waiting.id >= 0 && s->fuse_unknown)) {
			count = put_waiting(to, count, &waiting);
			waiting = (struct token_at){ s->unknown, (uint32_t)at };
		}
	}
	return put_waiting(to, count, &waiting);
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct spm *s = tokenizer_own(t);
	struct scratch *room = scratch;
	struct token_at *token = bpe_symbols(room->bpe, n);
	int32_t id = s->ignore_merges && n ? vocab_find(s->bpe.vocab, word, n) : -1;
	if (id < 0)
		return bpe_merge(&s->bpe, room->bpe, symbols(s, &room->text, token, word, n), n_tokens);
	token[0] = (struct token_at){ id, 0 };
	*n_tokens = 1;
	return token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return marks_find(t, &((const struct spm *)tokenizer_own(t))->marks, bytes, n);
}

/* --- writing --- */

static void save(const struct tokenizer *t, json_t *model)
{
	bpe_save(&((const struct spm *)tokenizer_own(t))->bpe, model);
}

static int put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, struct err *e)
{
	const struct spm *s = tokenizer_own(t);
	int prefix = marks_front(t, e);

	if (prefix < 0)
		return -1;
	gguf_put_str(meta, "tokenizer.ggml.pre", "default");
	gguf_put_bool(meta, "tokenizer.ggml.add_space_prefix", prefix);
	return bpe_put_scores(&s->bpe, meta, rows, e);
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
	.load_scores = load_scores,
	.gguf_rules = gguf_rules,
	.rules = rules,
	.release = release,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.find = find,
	.save = save,
	.put_gguf = put_gguf,
	.hash = hash,
};
