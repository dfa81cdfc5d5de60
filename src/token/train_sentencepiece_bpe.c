/* train_sentencepiece_bpe: BPE of characters as SentencePiece trains it (spm_train --model_type=bpe), for tokenizers
 * like Llama 2's: words with a mark before them, the most frequent neighbours joined, at equal counts those of fewer
 * characters, then by bytes (token/pair_merges.h). The pieces are SentencePiece's.
 *
 * It looks for the most frequent among its "active" symbols, the upper twentieth at least 1,000 strong; here among all,
 * which is the same but for ties at that edge. Where nothing is left that stands in the texts it goes on with pairs
 * that stand nowhere; here the vocabulary is smaller then. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "token/pair_merges.h"
#include "token/sentencepiece.h"
#include "token/sentences.h"

extern const struct token_trainer token_trainer_sentencepiece_bpe;

struct options {
	struct sentence_options sentences;
};

static const struct opt opts[] = { SENTENCE_OPTS(struct options, sentences), OPT_END };

enum { CHARACTERS_MAX = 512 };

static size_t read_characters(const struct piece *p, uint32_t *to, size_t n)
{
	for (size_t at = 0; at < p->n && n < CHARACTERS_MAX; n++)
		at += utf8_decode(p->text + at, p->n - at, &to[n]);
	return n;
}

static bool joins(const void *ctx, const struct piece *left, const struct piece *right)
{
	const struct sentences *s = ctx;
	uint32_t c[CHARACTERS_MAX + 1];
	size_t n = read_characters(left, c, 0);

	return n < CHARACTERS_MAX && sentences_allow(s, c, read_characters(right, c, n));
}

static int merge(struct pair_merges *m, const struct sentences *s, const struct token_training *t, struct err *e)
{
	struct word_counts w = { .n = s->n_words };
	uint32_t *alphabet = mem_array(s->n_required + 1, sizeof(*alphabet));
	size_t bytes = 0;

	for (size_t i = 0; i < s->n_required; i++)
		alphabet[i] = s->required[i].c;
	alphabet[s->n_required] = SENTENCES_UNKNOWN;
	w.begin = mem_array(w.n + 1, sizeof(*w.begin));
	w.count = mem_array(w.n, sizeof(*w.count));
	for (size_t i = 0; i < w.n; i++)
		bytes += s->word[i].n;
	w.text = mem_array(bytes, 1);
	for (size_t i = 0; i < w.n; i++) {
		memcpy(w.text + w.begin[i], s->word[i].text, s->word[i].n);
		w.begin[i + 1] = w.begin[i] + s->word[i].n;
		w.count[i] = s->word[i].count;
	}
	struct pair_settings how = { .vocab_size = t->vocab_size - s->n_meta + 1,
		                     .initial = alphabet,
		                     .n_initial = s->n_required + 1,
		                     .prefix = "",
		                     .suffix = "",
		                     .joins = joins,
		                     .joins_ctx = s };
	int status = pair_merges_train(m, &w, &how, t, e);
	word_counts_release(&w);
	mem_free(alphabet);
	return status;
}

/* --- as a tokenizer.json --- */

/* Special pieces, bytes, joined pieces, characters: the order of SentencePiece's ids. */
static json_t *vocabulary(const struct sentences *s, const struct pair_merges *m)
{
	json_t *out = json_object();
	char text[16];

	for (size_t i = 0; i < s->n_meta; i++)
		json_object_set_new(out, sentences_meta(s, i, text), json_integer((json_int_t)i));
	for (size_t i = s->n_required + 1; i < m->vocab.n; i++)
		json_object_set_new(out, m->vocab.piece[i].text, json_integer((json_int_t)json_object_size(out)));
	for (size_t i = 0; i < s->n_required; i++)
		json_object_set_new(out, m->vocab.piece[i].text, json_integer((json_int_t)json_object_size(out)));
	return out;
}

struct cut {
	json_int_t left, right;
	size_t at;
};

static int by_ids(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;
	if (x->left != y->left)
		return x->left < y->left ? -1 : 1;
	return (x->right > y->right) - (x->right < y->right);
}

/* Every cut of a piece into two pieces, as transformers' converter lists them: of lower ids first. */
static void put_merges(json_t *list, const json_t *vocab, const struct piece *p)
{
	struct cut cut[CHARACTERS_MAX];
	size_t n = 0;
	uint32_t c;

	for (size_t at = utf8_decode(p->text, p->n, &c); at < p->n; at += utf8_decode(p->text + at, p->n - at, &c)) {
		char *left = mem_strndup(p->text, at);
		const json_t *a = json_object_get(vocab, left), *b = json_object_get(vocab, p->text + at);
		if (a && b && n < CHARACTERS_MAX)
			cut[n++] = (struct cut){ json_integer_value(a), json_integer_value(b), at };
		mem_free(left);
	}
	qsort(cut, n, sizeof(*cut), by_ids);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("[s%,s]", p->text, cut[i].at, p->text + cut[i].at));
}

static json_t *train(const struct token_training *t, const void *options, struct token_texts *texts, json_t *config,
                     struct token_train_report *r, struct err *e)
{
	const struct options *o = options;
	struct sentences s;
	struct pair_merges m;
	json_t *j = NULL;

	if (sentences_read(&s, t, &o->sentences, texts, r, e))
		return NULL;
	if (merge(&m, &s, t, e) == 0) {
		json_t *model = sentencepiece_bpe(o->sentences.byte_fallback, "<unk>"), *list = json_array();
		json_t *vocab = vocabulary(&s, &m);
		for (size_t i = s.n_required + 1; i < m.vocab.n; i++)
			put_merges(list, vocab, &m.vocab.piece[i]);
		json_object_set_new(model, "vocab", vocab);
		json_object_set_new(model, "merges", list);
		j = sentences_json(&s, t, model, config);
		r->merges = m.n_merges;
		pair_merges_release(&m);
	}
	sentences_release(&s);
	return j;
}

const struct token_trainer token_trainer_sentencepiece_bpe = {
	.name = "sentencepiece-bpe",
	.summary = "SentencePiece's BPE, as Llama 2",
	.opts = opts,
	.options_size = sizeof(struct options),
	.train = train,
};
