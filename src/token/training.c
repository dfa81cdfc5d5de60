/* training: texts to merges: words counted (token/word_counts.h), pairs merged (token/pair_merges.h). */
#include "token/training.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "token/alphabet.h"

static void add_characters(struct pair_settings *s, uint32_t *to, const char *text, size_t n)
{
	for (size_t at = 0; at < n;) {
		uint32_t c;
		size_t k = utf8_decode(text + at, n - at, &c);
		at += k ? k : 1;
		if (k)
			to[s->n_initial++] = c;
	}
}

/* In to, which has room: 256 and a character for each byte of the option. */
static void initial_alphabet(struct pair_settings *s, uint32_t *to, const char *asked, bool all_bytes)
{
	struct buf b = BUF_INIT;

	for (int i = 0; all_bytes && i < 256; i++) {
		char byte = (char)i;
		alphabet_write(&b, &byte, 1);
	}
	s->initial = to;
	add_characters(s, to, buf_str(&b), b.len);
	if (asked)
		add_characters(s, to, asked, strlen(asked));
	buf_release(&b);
}

static int count_words(struct word_counts *w, const struct token_training *t, const struct pair_options *o,
                       const json_t *normalizer, const json_t *pre_tokenizer, struct token_texts *texts,
                       struct token_train_report *r, struct err *e)
{
	struct word_counter *c = word_counter_new(t, normalizer, pre_tokenizer, e);

	if (!c)
		return -1;
	if (word_counter_read(c, texts, !o->lines, r, e)) {
		word_counter_free(c);
		return -1;
	}
	if (word_counter_end(c, w, &r->spilled, e))
		return -1;
	r->distinct = w->n;
	return 0;
}

int train_pairs(struct pair_merges *out, const struct token_training *t, const struct pair_options *o, bool bytes,
                bool all_bytes, const json_t *normalizer, const json_t *pre_tokenizer, struct token_texts *texts,
                struct token_train_report *r, struct err *e)
{
	struct pair_settings s = { .vocab_size = t->vocab_size, .bytes = bytes,
		                   .min_frequency = (uint64_t)o->min_frequency, .prefix = o->prefix ? o->prefix : "",
		                   .suffix = o->suffix ? o->suffix : "" };
	struct word_counts w = { 0 };
	uint32_t *initial = mem_array(256 + (o->initial_alphabet ? strlen(o->initial_alphabet) : 0), sizeof(*initial));

	if (o->limit_alphabet != OPT_UNSET_INT)
		s.limit_alphabet = (size_t)o->limit_alphabet;
	if (o->max_token_length != OPT_UNSET_INT)
		s.max_token_length = (size_t)o->max_token_length;
	initial_alphabet(&s, initial, o->initial_alphabet, all_bytes);
	s.special = token_train_special(t, &s.n_special);
	int status = count_words(&w, t, o, normalizer, pre_tokenizer, texts, r, e);
	if (!status)
		status = pair_merges_train(out, &w, &s, t, e);
	if (!status)
		r->merges = out->n_merges;
	word_counts_release(&w);
	mem_free(initial);
	mem_free((void *)s.special);
	return status;
}

json_t *train_merges_json(const struct pair_merges *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_merges; i++)
		json_array_append_new(list, json_pack("[o,o]", piece_json(&m->vocab.piece[m->merge[i].left]),
		                                      piece_json(&m->vocab.piece[m->merge[i].right])));
	return list;
}
