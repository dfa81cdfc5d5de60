/* model_unigram: SentencePiece's unigram model (Kudo 2018), as T5 and XLM-RoBERTa have it: every piece has a score, the
 * logarithm of its probability, and a word becomes those pieces whose scores add up to the most (Viterbi). A character
 * that is no piece costs the lowest score and ten more, and several in a row are one unknown token, or with
 * byte_fallback their bytes.
 *
 * In tokenizer.json this is type Unigram, in GGUF "t5". */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf_write.h"
#include "token/marks.h"
#include "token/tokenizer.h"

#define LEAST (-1e30) /* instead of −infinity, which JSON cannot hold */
#define UNUSED (-10000.0F) /* of rows that are no piece, as llama.cpp's converter has it */
#define UNKNOWN_COST 10.0 /* below the lowest score; SentencePiece's kUnkPenalty */

struct unigram {
	struct marks marks;
	double *score;             /* [vocabulary] */
	double lowest;
	size_t most;               /* bytes of a piece */
	long long unknown;
	int fallback;
};

/* The best way to a byte of the word. */
struct reached { double score; int32_t id; uint32_t from; };

struct scratch {
	struct reached *reached;         /* [bytes + 1] */
	struct token_at *part, *token;   /* [bytes + 1] */
	size_t cap;
};

/* --- reading --- */

static bool is(const json_t *j, const json_t *model, const char *type)
{
	(void)j;
	return type ? !strcmp(type, "Unigram") : json_is_array(json_object_get(model, "vocab"));
}

/* The double that tokenizers reads of a score's text, whose parser rounds twice where there are more digits than a
 * double has: ties of sums are decided by it. */
static double as_read(double x)
{
	char text[40];
	unsigned long long digits = 0;
	int places = 0, n = 15;
	do
		snprintf(text, sizeof(text), "%.*g", n, x);
	while (strtod(text, NULL) != x && ++n <= 17);
	bool point = false;
	for (const char *at = text; *at; at++) {
		if (*at == 'e' || *at == 'n' || *at == 'i')
			return x;
		point |= *at == '.';
		if (*at >= '0' && *at <= '9') {
			digits = digits * 10 + (unsigned long long)(*at - '0');
			places += point;
		}
	}
	double power = 1;
	for (int i = 0; i < places; i++)
		power *= 10;
	return (*text == '-' ? -1 : 1) * ((double)digits / power);
}

static int read_pieces(struct tokenizer *t, const json_t *list, struct err *e)
{
	struct unigram *u = tokenizer_own(t);
	const json_t *item;
	size_t i;
	u->score = mem_array(json_array_size(list) + 1, sizeof(*u->score));
	json_array_foreach(list, i, item) {
		const json_t *text = json_array_get(item, 0), *score = json_array_get(item, 1);
		if (!json_is_string(text) || !json_is_number(score))
			return err_set(e, "piece %zu is no pair of a text and a score", i);
		if (vocab_put(tokenizer_vocab(t), json_string_value(text), json_string_length(text), (long long)i,
		              PIECE_MODEL, e))
			return -1;
		u->score[i] = as_read(json_number_value(score));
		if (u->score[i] > LEAST)
			u->lowest = MIN(u->lowest, u->score[i]);
		u->most = MAX(u->most, json_string_length(text));
	}
	return vocab_check_sparse(tokenizer_vocab(t), e);
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct unigram *u = tokenizer_own(t);
	u->lowest = DBL_MAX;
	return read_pieces(t, json_object_get(model, "vocab"), e);
}

static int load_scores(struct tokenizer *t, const float *score, struct err *e)
{
	struct unigram *u = tokenizer_own(t);
	const struct vocab *v = tokenizer_vocab(t);
	(void)e;
	u->lowest = DBL_MAX;
	u->score = mem_array(v->n, sizeof(*u->score));
	for (size_t i = 0; i < v->n; i++) {
		u->score[i] = v->piece[i].text ? (double)score[i] : -INFINITY;
		if (score[i] > -INFINITY)
			u->lowest = MIN(u->lowest, u->score[i]);
		u->most = MAX(u->most, v->piece[i].n);
	}
	return 0;
}

static int rules(struct tokenizer *t, const json_t *all, struct err *e)
{
	const json_t *model = json_object_get(all, "model"), *unknown = json_object_get(model, "unk_id");
	struct unigram *u = tokenizer_own(t);
	u->unknown = json_is_integer(unknown) ? json_integer_value(unknown) : -1;
	if (u->unknown < 0 || (size_t)u->unknown >= tokenizer_vocab(t)->n)
		return err_set(e, "model.unk_id is missing, or none of the %zu pieces", tokenizer_vocab(t)->n);
	marks_find_bytes(&u->marks, tokenizer_vocab(t));
	return jsonx_bool(model, "byte_fallback", false, &u->fallback, e);
}

static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	json_t *all = marks_gguf_rules(g, true, e);
	int64_t unknown;
	*add_bos = false;
	if (all && gguf_int(g, "tokenizer.ggml.unknown_token_id", false, 2, &unknown, e)) {
		json_decref(all);
		return NULL;
	}
	if (all)
		json_object_set_new(all, "model", json_pack("{s:s,s:I,s:b}", "type", "Unigram", "unk_id",
		                                            (json_int_t)unknown, "byte_fallback", 0));
	return all;
}

static void release(struct tokenizer *t) { mem_free(((struct unigram *)tokenizer_own(t))->score); }

/* --- words and pieces --- */

static void *scratch_new(void) { return mem_alloc(sizeof(struct scratch)); }

static void scratch_free(void *scratch)
{
	struct scratch *s = scratch;
	mem_free(s->reached);
	mem_free(s->part);
	mem_free(s->token);
	mem_free(s);
}

static void reach(struct reached *to, double score, int32_t id, size_t from)
{
	if (to->from != UINT32_MAX && score <= to->score)
		return;
	*to = (struct reached){ score, id, (uint32_t)from };
}

/* All pieces that begin at this character. */
static void step(const struct tokenizer *t, struct reached *reached, const char *word, size_t at, size_t k, size_t n)
{
	const struct unigram *u = tokenizer_own(t);
	double here = reached[at].score;
	bool alone = false;
	for (size_t end = at + k; end <= n && end - at <= u->most; end++) {
		if (end < n && ((unsigned char)word[end] & 0xC0) == 0x80)
			continue;
		int32_t id = vocab_find(tokenizer_vocab(t), word + at, end - at);
		if (id < 0)
			continue;
		reach(&reached[end], here + u->score[id], id, at);
		alone |= end - at == k;
	}
	if (!alone)
		reach(&reached[at + k], here + (u->lowest - UNKNOWN_COST), (int32_t)u->unknown, at);
}

/* Tokens of an unknown run of the word, behind those that are there. */
static size_t put_unknown(const struct unigram *u, struct token_at *to, const char *word, size_t begin, size_t end)
{
	bool bytes = u->fallback;
	for (size_t i = begin; i < end; i++)
		bytes &= u->marks.byte_id[(uint8_t)word[i]] >= 0;
	for (size_t i = begin; bytes && i < end; i++)
		to[i - begin] = (struct token_at){ u->marks.byte_id[(uint8_t)word[i]], (uint32_t)i };
	if (!bytes)
		*to = (struct token_at){ (int32_t)u->unknown, (uint32_t)begin };
	return bytes ? end - begin : 1;
}

/* The way back from the end; unknown neighbours become one. They lie at the end of s->part, first to last. */
static size_t walk_back(const struct unigram *u, struct scratch *s, size_t n)
{
	size_t first = n;
	for (size_t at = n; at > 0; at = s->reached[at].from) {
		struct reached r = s->reached[at];
		if (first < n && r.id == u->unknown && s->part[first].id == r.id)
			s->part[first].begin = r.from;
		else
			s->part[--first] = (struct token_at){ r.id, r.from };
	}
	return first;
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct unigram *u = tokenizer_own(t);
	struct scratch *s = scratch;
	uint32_t c;
	*n_tokens = 0;
	if (n + 1 > s->cap) {
		s->cap = 2 * n + 1;
		s->reached = mem_grow(s->reached, s->cap, sizeof(*s->reached));
		s->part = mem_grow(s->part, s->cap, sizeof(*s->part));
		s->token = mem_grow(s->token, s->cap, sizeof(*s->token));
	}
	for (size_t i = 1; i <= n; i++)
		s->reached[i].from = UINT32_MAX;
	s->reached[0] = (struct reached){ 0 };
	for (size_t at = 0, k; at < n; at += k) {
		k = MAX(utf8_decode(word + at, n - at, &c), (size_t)1);
		step(t, s->reached, word, at, k, n);
	}
	for (size_t i = walk_back(u, s, n); i < n; i++) {
		size_t end = i + 1 < n ? s->part[i + 1].begin : n;
		if (s->part[i].id == u->unknown)
			*n_tokens += put_unknown(u, s->token + *n_tokens, word, s->part[i].begin, end);
		else
			s->token[(*n_tokens)++] = s->part[i];
	}
	return s->token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return marks_find(t, &((const struct unigram *)tokenizer_own(t))->marks, bytes, n);
}

/* --- writing --- */

static void save(const struct tokenizer *t, json_t *model)
{
	const struct unigram *u = tokenizer_own(t);
	const struct vocab *v = tokenizer_vocab(t);
	json_t *list = json_array();
	for (size_t i = 0; i < v->n; i++)
		if (v->piece[i].flags & PIECE_MODEL)
			json_array_append_new(list,
			                      json_pack("[o, f]", piece_json(&v->piece[i]), MAX(u->score[i], LEAST)));
	json_object_set_new(model, "vocab", list);
}

/* The map of a normalizer, or of the first step in it that has one, in base64; NULL: there is none. */
static const char *charsmap_of(const json_t *normalizer)
{
	const char *map = json_string_value(json_object_get(normalizer, "precompiled_charsmap"));
	const json_t *step;
	size_t i;

	json_array_foreach(json_object_get(normalizer, "normalizers"), i, step)
		map = map ? map : charsmap_of(step);
	return map;
}

static int put_charsmap(const struct tokenizer *t, struct gguf_meta *meta, struct err *e)
{
	const char *map = charsmap_of(json_object_get(tokenizer_rules(t), "normalizer"));
	struct buf bytes = BUF_INIT;
	int status = map && base64_read(&bytes, map, strlen(map)) < 0 ? err_set(e, "a charsmap that is no base64") : 0;

	if (bytes.len)
		gguf_put_numbers(meta, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, bytes.data, bytes.len);
	buf_release(&bytes);
	return status;
}

/* Are two spaces one? */
static bool squeezes(const struct tokenizer *t)
{
	struct tokens one = { 0 }, two = { 0 };
	struct err ignored = ERR_INIT;
	bool same = tokenizer_encode(t, "a b", 3, 0, &one, &ignored) == 0 &&
	            tokenizer_encode(t, "a  b", 4, 0, &two, &ignored) == 0 && one.n == two.n &&
	            !memcmp(one.id, two.id, one.n * sizeof(*one.id));

	tokens_release(&one);
	tokens_release(&two);
	return same;
}

static int put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, struct err *e)
{
	const struct unigram *u = tokenizer_own(t);
	const struct vocab *v = tokenizer_vocab(t);
	int prefix = marks_front(t, e);

	if (prefix < 0)
		return -1;
	float *score = mem_array(rows, sizeof(*score));
	for (size_t i = 0; i < rows; i++)
		score[i] = i < v->n && (v->piece[i].flags & PIECE_MODEL) ? (float)MAX(u->score[i], LEAST) : UNUSED;
	gguf_put_str(meta, "tokenizer.ggml.pre", "default");
	gguf_put_bool(meta, "tokenizer.ggml.add_space_prefix", prefix);
	gguf_put_bool(meta, "tokenizer.ggml.remove_extra_whitespaces", squeezes(t));
	gguf_put_numbers(meta, "tokenizer.ggml.scores", GGUF_F32, score, rows);
	mem_free(score);
	return put_charsmap(t, meta, e);
}

static void hash(const struct tokenizer *t, struct buf *out)
{
	const struct unigram *u = tokenizer_own(t);
	for (size_t i = 0; i < tokenizer_vocab(t)->n; i++)
		if (tokenizer_vocab(t)->piece[i].flags & PIECE_MODEL)
			buf_addf(out, "%.17g\n", u->score[i]);
}

const struct token_model token_model_unigram = {
	.name = "Unigram",
	.type = "Unigram",
	.gguf = "t5",
	.only_normal = true,
	.own_size = sizeof(struct unigram),
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
