/* train_unigram: Unigram as SentencePiece trains it (spm_train --model_type=unigram), for tokenizers like T5's: seeds
 * are all strings that stand more than once, fitted and pruned (token/unigram_fit.h) until the vocabulary is small
 * enough. The pieces are SentencePiece's of one thread, and so are their scores.
 *
 * Seeds are the inner nodes of the suffix tree of all lines' bytes. Since a piece lies within a word, that of the
 * distinct words serves, each with what follows it (a mark, or a line's end) and how often: nodes that reach beyond a
 * word are no pieces. Suffixes are sorted by their bytes, nodes are found by a stack over what neighbours share.
 *
 * Not SentencePiece's: parts of 500 MB, in which it looks for seeds one by one (here it is one), and, with
 * --no-add-dummy-prefix, counts of seeds that end lines, for which the next line's first byte matters there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "base/utf8.h"
#include "token/marks.h"
#include "token/sentences.h"
#include "token/unigram_fit.h"

extern const struct token_trainer token_trainer_unigram;

struct options {
	struct sentence_options sentences;
	int64_t seeds, sub_iterations;
	double shrinking_factor;
};

static const struct opt opts[] = {
	SENTENCE_OPTS(struct options, sentences),
	OPT_INT("seed-sentencepiece-size", struct options, seeds, "1000000", 1, 1 << 30, "pieces to begin with"),
	OPT_FLOAT("shrinking-factor", struct options, shrinking_factor, "0.75", 0.5, 0.95,
	          "so many of the pieces stay, each time"),
	OPT_INT("num-sub-iterations", struct options, sub_iterations, "2", 1, 10, "of fitting between prunings"),
	OPT_END
};

/* --- suffixes --- */

struct suffix {
	const char *text;
	uint64_t count;
}; /* ends with a zero byte */
struct suffixes {
	struct suffix *list;
	size_t n;
	char *text;
};

/* A word with what follows it: copies go to *to. */
static void put_variant(struct suffixes *x, const struct sentence_word *w, const char *follows, uint64_t count,
                        char **to)
{
	char *text = *to;

	if (!count)
		return;
	memcpy(text, w->text, w->n);
	memcpy(text + w->n, follows, strlen(follows) + 1);
	for (size_t i = 0; i < w->n; i++)
		if (((uint8_t)text[i] & 0xC0) != 0x80)
			x->list[x->n++] = (struct suffix){ text + i, count };
	*to += w->n + strlen(follows) + 1;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct suffix *)a)->text, ((const struct suffix *)b)->text);
}

static void make_suffixes(struct suffixes *x, const struct sentences *s)
{
	size_t bytes = 0;
	char *to;

	for (size_t i = 0; i < s->n_words; i++)
		bytes += s->word[i].n + strlen(MARK) + 1;
	x->text = to = mem_array(2 * bytes, 1);
	x->list = mem_array(2 * bytes, sizeof(*x->list));
	for (size_t i = 0; i < s->n_words; i++) {
		put_variant(x, &s->word[i], "", s->word[i].last, &to);
		put_variant(x, &s->word[i], MARK, s->word[i].count - s->word[i].last, &to);
	}
	if (x->n)
		qsort(x->list, x->n, sizeof(*x->list), by_text);
}

/* Bytes that two share, with the end where they are equal. */
static size_t shared(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] && a[n] == b[n])
		n++;
	return n + (!a[n] && !b[n]);
}

/* --- seeds --- */

struct seed {
	const char *text;
	uint32_t n, length;
	uint64_t count;
};
struct seeds {
	struct seed *list;
	size_t n, cap;
};

static void add_seed(struct seeds *x, const struct sentences *s, const char *text, size_t n, uint64_t count)
{
	uint32_t c[513];
	size_t length = 0;

	if (count < 2 || strnlen(text, n) < n || ((uint8_t)text[n] & 0xC0) == 0x80)
		return; /* beyond the word, or within a character */
	for (size_t at = 0; at < n && length <= (size_t)s->o->max_piece_length;)
		at += utf8_decode(text + at, n - at, &c[length++]);
	if (length < 2 || !sentences_allow(s, c, length))
		return;
	if (x->n == x->cap) {
		x->cap = MAX(4096, 2 * x->cap);
		x->list = mem_grow(x->list, x->cap, sizeof(*x->list));
	}
	x->list[x->n++] = (struct seed){ text, (uint32_t)n, (uint32_t)length, count };
}

struct open_node {
	size_t first, depth;
	uint64_t before;
};

/* Inner nodes, each when the suffixes under it have all been passed. */
static void find_nodes(struct seeds *out, const struct suffixes *x, const struct sentences *s)
{
	size_t n = 0, cap = 64;
	struct open_node *stack = mem_array(cap, sizeof(*stack));
	uint64_t before = 0;

	for (size_t i = 1; i <= x->n; i++) {
		struct open_node next = { i - 1, i < x->n ? shared(x->list[i - 1].text, x->list[i].text) : 0, before };
		before += x->list[i - 1].count;
		while (n && stack[n - 1].depth > next.depth) {
			struct open_node *o = &stack[--n];
			add_seed(out, s, x->list[o->first].text, o->depth, before - o->before);
			next.first = o->first;
			next.before = o->before;
		}
		if (next.depth == 0 || (n && stack[n - 1].depth == next.depth))
			continue;
		if (n == cap) {
			cap *= 2;
			stack = mem_grow(stack, cap, sizeof(*stack));
		}
		stack[n++] = next;
	}
	mem_free(stack);
}

static int by_seed_text(const void *a, const void *b)
{
	const struct seed *x = a, *y = b;
	int c = memcmp(x->text, y->text, MIN(x->n, y->n));
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static float score_of(const struct seed *x) { return (float)x->count * (float)x->length; }

static int by_score(const void *a, const void *b)
{
	const struct seed *x = a, *y = b;
	float p = score_of(x), q = score_of(y);
	if (p != q)
		return p > q ? -1 : 1;
	return x->n != y->n ? (x->n > y->n ? -1 : 1) : by_seed_text(a, b);
}

/* The end of the last line is the end of all: a suffix of it is parted from other lines' ends behind that end, and
 * counts as a node of its own there. */
static void add_tails(struct seeds *out, const struct suffixes *x, const struct sentences *s)
{
	for (size_t at = 0; s->last && at < s->last->n; at++) {
		const char *text = s->last->text + at;
		struct suffix key = { text, 0 }, *found;
		uint64_t count = 0;
		if (((uint8_t)*text & 0xC0) == 0x80 || !x->n ||
		    !(found = bsearch(&key, x->list, x->n, sizeof(*x->list), by_text)))
			continue;
		while (found > x->list && !by_text(found - 1, &key))
			found--;
		for (; found < x->list + x->n && !by_text(found, &key); found++)
			count += found->count;
		add_seed(out, s, text, s->last->n - at, count);
	}
}

/* Equal ones become one; then the best first. */
static void sort_seeds(struct seeds *x)
{
	size_t k = 0;

	if (!x->n)
		return;
	qsort(x->list, x->n, sizeof(*x->list), by_seed_text);
	for (size_t i = 0; i < x->n; i++)
		if (k && !by_seed_text(&x->list[k - 1], &x->list[i]))
			x->list[k - 1].count += x->list[i].count;
		else
			x->list[k++] = x->list[i];
	x->n = k;
	qsort(x->list, x->n, sizeof(*x->list), by_score);
}

/* Characters first, then strings: texts lie in s and in suffixes. mem_free. */
static struct unigram_piece *make_pieces(const struct sentences *s, const struct seeds *seeds, size_t most, char *chars,
                                         size_t *n)
{
	size_t k = MIN(seeds->n, most);
	struct unigram_piece *out = mem_array(s->n_required + k + 1, sizeof(*out));
	double sum = 0;

	*n = 0;
	for (size_t i = 0; i < s->n_required; i++) {
		uint32_t length = (uint32_t)utf8_encode(s->required[i].c, chars + 4 * i);
		out[(*n)++] = (struct unigram_piece){ chars + 4 * i, length, (float)s->required[i].count };
	}
	for (size_t i = 0; i < k; i++)
		out[(*n)++] =
			(struct unigram_piece){ seeds->list[i].text, seeds->list[i].n, score_of(&seeds->list[i]) };
	for (size_t i = 0; i < *n; i++)
		sum += out[i].score;
	for (size_t i = 0; i < *n; i++)
		out[i].score = (float)(log((double)out[i].score) - log(sum));
	return out;
}

/* --- the end --- */

static int best_first(const void *a, const void *b)
{
	const struct unigram_piece *x = a, *y = b;
	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	int c = memcmp(x->text, y->text, MIN(x->n, y->n));
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static bool is_character(const struct unigram_piece *p)
{
	uint32_t c;
	return utf8_decode(p->text, p->n, &c) == p->n;
}

/* All characters, below the lowest where fitting has left them out, and the best of the rest. */
static struct unigram_piece *finish(const struct sentences *s, struct unigram_piece *p, size_t n, size_t wanted,
                                    const char *chars, size_t *n_out)
{
	struct unigram_piece *out = mem_array(MAX(wanted, s->n_required) + 1, sizeof(*out));
	float lowest = p[0].score, penalty = 0;

	for (size_t i = 0; i < n; i++)
		lowest = MIN(lowest, p[i].score);
	*n_out = 0;
	for (size_t i = 0; i < s->n_required; i++) {
		char text[4];
		uint32_t length = (uint32_t)utf8_encode(s->required[i].c, text);
		size_t k = 0;
		while (k < n && (p[k].n != length || memcmp(p[k].text, text, length)))
			k++;
		out[(*n_out)++] =
			(struct unigram_piece){ chars + 4 * i, length, k < n ? p[k].score : lowest + penalty };
		penalty += k < n ? 0 : 0.0001f;
	}
	qsort(p, n, sizeof(*p), best_first);
	for (size_t i = 0; i < n && *n_out < wanted; i++)
		if (!is_character(&p[i]))
			out[(*n_out)++] = p[i];
	qsort(out, *n_out, sizeof(*out), best_first);
	return out;
}

static json_t *model_json(const struct sentences *s, const struct unigram_piece *p, size_t n)
{
	json_t *list = json_array();
	char text[16];

	for (size_t i = 0; i < s->n_meta; i++)
		json_array_append_new(list, json_pack("[s,f]", sentences_meta(s, i, text), 0.0));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("[s%,f]", p[i].text, (size_t)p[i].n, (double)p[i].score));
	return json_pack("{s:s,s:i,s:o,s:b}", "type", "Unigram", "unk_id", 0, "vocab", list, "byte_fallback",
	                 s->o->byte_fallback);
}

static json_t *train_pieces(const struct sentences *s, const struct token_training *t, const struct options *o,
                            struct err *e)
{
	struct unigram_settings how = { t->vocab_size, o->shrinking_factor, o->sub_iterations };
	struct suffixes x = { 0 };
	struct seeds seeds = { 0 };
	char *chars = mem_array(s->n_required, 4);
	json_t *model = NULL;
	size_t n, n_out;

	token_train_progress(t, "finding strings", 0, 0);
	make_suffixes(&x, s);
	find_nodes(&seeds, &x, s);
	add_tails(&seeds, &x, s);
	sort_seeds(&seeds);
	struct unigram_piece *p = make_pieces(s, &seeds, (size_t)o->seeds, chars, &n);
	mem_free(x.list);
	if (unigram_fit(p, &n, s, &how, t, e) == 0) {
		struct unigram_piece *out = finish(s, p, n, t->vocab_size - s->n_meta, chars, &n_out);
		model = model_json(s, out, n_out);
		mem_free(out);
	}
	mem_free(p);
	mem_free(seeds.list);
	mem_free(x.text);
	mem_free(chars);
	return model;
}

static json_t *train(const struct token_training *t, const void *options, struct token_texts *texts, json_t *config,
                     struct token_train_report *r, struct err *e)
{
	const struct options *o = options;
	struct sentences s;

	if (sentences_read(&s, t, &o->sentences, texts, r, e))
		return NULL;
	json_t *model = train_pieces(&s, t, o, e), *j = model ? sentences_json(&s, t, model, config) : NULL;
	sentences_release(&s);
	return j;
}

const struct token_trainer token_trainer_unigram = {
	.name = "unigram",
	.summary = "SentencePiece's Unigram, as T5",
	.opts = opts,
	.options_size = sizeof(struct options),
	.train = train,
};
