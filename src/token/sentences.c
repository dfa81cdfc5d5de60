/* sentences: lines to words by token/word_counts.h, characters counted from these, then the words with what is seldom
 * replaced, in SentencePiece's order (TrainerInterface).
 *
 * Where a word ends a line is told apart by a mark of our own (U+FDD0, which is no character) at every line's end: only
 * so far do lines matter to what SentencePiece trains. Lines that hold U+2585 are left out, and special tokens in a
 * line are boundaries (here U+FDD1), as there. */
#include "token/sentences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/charsmap.h"
#include "token/marks.h"
#include "token/scripts.h"
#include "token/sentencepiece.h"
#include "token/word_counts.h"

#define END "\xef\xb7\x90"
#define UNKNOWN "\xe2\x96\x85"
enum { CHARACTERS = 0x110000, END_BYTES = 3, BOUNDARY = 0xFDD1, OWN = 3, MARK_CODE = 0x2581 };
static const char *const own[OWN] = { "<unk>", "<s>", "</s>" };

/* --- which line is the last ---
 *
 * SentencePiece moves the last of its lines to the place of one of which normalizing leaves nothing. So the last one in
 * the end is the first with a text whose number is at least that of all with a text, less one, counted from 0. Kept are
 * those that may still be it: one more than there are lines without. */

struct tail { size_t number, at, n; };          /* of the text of a line */
struct tails {
	struct tail *list;
	size_t from, n, cap, lines, with;       /* lines so far; those with a text */
	struct buf text;
};

static void tails_add(struct tails *t, const char *text, size_t n)
{
	if (t->cap == 0) {
		t->cap = 64;
		t->list = mem_array(t->cap, sizeof(*t->list));
	} else if (t->n == t->cap) {
		size_t first = t->from < t->n ? t->list[t->from].at : t->text.len;
		memmove(t->list, t->list + t->from, (t->n - t->from) * sizeof(*t->list));
		if (first)
			memmove(t->text.data, t->text.data + first, t->text.len - first);
		t->text.len -= first;
		t->n -= t->from;
		t->from = 0;
		for (size_t i = 0; i < t->n; i++)
			t->list[i].at -= first;
		if (2 * t->n >= t->cap) {
			t->cap *= 2;
			t->list = mem_grow(t->list, t->cap, sizeof(*t->list));
		}
	}
	t->list[t->n++] = (struct tail){ t->lines, t->text.len, n };
	buf_add(&t->text, text, n);
	t->with++;
	while (t->list[t->from].number + 1 < t->with)
		t->from++;
}

/* --- lines --- */

struct lines {
	struct token_texts *texts;
	const char *at, *end;
	size_t most;
	bool trim;          /* spaces at the end, which normalizing takes away, go at once */
	bool by_spaces;     /* a line is its words: tails are words */
	struct normalizer *z;
	uint8_t *leaves;    /* of each character: whether normalizing leaves something of it; 0: not looked at */
	struct tails tails;
	struct buf line;
	struct token_train_report *r;
};

enum { NOTHING = 1, SOMETHING };

/* A line's end, and before it at most the mark that every line gets. */
static bool is_nothing(bool squeeze, const char *text, size_t n)
{
	return (n == END_BYTES && !memcmp(text, END, n)) ||
	       (squeeze && n == strlen(MARK END) && !memcmp(text, MARK END, n));
}

/* What normalizing leaves of a line, with END behind it. */
static int leaves(struct lines *l, const char *text, size_t n, bool *something, struct err *e)
{
	struct buf b = BUF_INIT;
	struct slice in = { .begins = true }, out;
	struct altered a = { 0 };

	buf_add(&b, text, n);
	buf_adds(&b, END);
	in.text = buf_str(&b);
	in.n = b.len;
	int status = normalizer_run(l->z, &in, &out, &a, e);
	*something = !status && !is_nothing(l->trim, out.text, out.n);
	altered_release(&a);
	buf_release(&b);
	return status;
}

/* Character by character, since what is left of one is seldom nothing. */
static int line_leaves(struct lines *l, const char *text, size_t n, bool *something, struct err *e)
{
	*something = false;
	for (size_t at = 0; at < n && !*something;) {
		uint32_t c;
		size_t k = utf8_decode(text + at, n - at, &c);
		if (!l->leaves[c]) {
			if (leaves(l, text + at, k, something, e))
				return -1;
			l->leaves[c] = *something ? SOMETHING : NOTHING;
		}
		*something = l->leaves[c] == SOMETHING;
		at += k;
	}
	return 0;
}

static int look_at_line(struct lines *l, const char *text, size_t n, struct err *e)
{
	const char *space = l->by_spaces ? memrchr(text, ' ', n) : NULL;
	size_t from = space ? (size_t)(space + 1 - text) : 0;
	bool something;

	if (line_leaves(l, text, n, &something, e))
		return -1;
	if (something)
		tails_add(&l->tails, text + from, n - from);
	l->tails.lines++;
	return 0;
}

static int next_line(void *ctx, const char **text, size_t *n, struct err *e)
{
	struct lines *l = ctx;
	size_t length;
	int found;

	for (;;) {
		if (l->at == l->end) {
			if ((found = l->texts->next(l->texts->ctx, &l->at, &length, e)) <= 0)
				return found;
			l->end = l->at + length;
			continue;
		}
		const char *line = l->at, *newline = memchr(line, '\n', (size_t)(l->end - line));
		length = (size_t)((newline ? newline : l->end) - line);
		l->at = newline ? newline + 1 : l->end;
		while (length > 0 && line[length - 1] == '\r')
			length--;
		if (length == 0)
			continue;
		if (length > l->most || memmem(line, length, UNKNOWN, strlen(UNKNOWN))) {
			l->r->skipped++;
			continue;
		}
		while (l->trim && length > 0 && line[length - 1] == ' ')
			length--;
		if (look_at_line(l, line, length, e))
			return -1;
		buf_clear(&l->line);
		buf_add(&l->line, line, length);
		buf_adds(&l->line, END);
		*text = l->line.data;
		*n = l->line.len;
		return 1;
	}
}

/* --- normalizing --- */

static json_t *replace(const char *kind, const char *from, const char *to)
{
	return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", kind, from, "content", to);
}

/* What follows a special token gets its mark too: tokenizers, which reads the file, knows no other way. */
static json_t *rules_of(const struct sentences *s)
{
	struct sentencepiece rules = { .charsmap = (const uint8_t *)s->charsmap.data, .n_charsmap = s->charsmap.len,
		                       .dummy_prefix = s->o->add_dummy_prefix,
		                       .squeeze = s->o->remove_extra_whitespaces, .every = true };

	return sentencepiece_rules(&rules);
}

/* The same for training: no space before the end's mark, special tokens are boundaries. */
static json_t *training_normalizer(const struct sentences *s)
{
	json_t *rules = rules_of(s), *normalizer = json_incref(json_object_get(rules, "normalizer"));
	json_t *steps = json_object_get(normalizer, "normalizers");

	if (s->o->remove_extra_whitespaces)
		json_array_insert_new(steps, json_array_size(steps) - 1 - s->o->add_dummy_prefix,
		                      replace("Regex", " +" END, END));
	for (size_t i = 0; i < s->n_special; i++)
		json_array_append_new(steps, replace("String", s->special[i], "\xef\xb7\x91"));
	json_decref(rules);
	return normalizer;
}

/* The last word of the last line, as it is counted. */
static int last_word(struct buf *out, const struct lines *l, struct err *e)
{
	const struct tails *t = &l->tails;
	struct buf line = BUF_INIT;
	struct slice all = { .begins = true }, normal;
	struct altered a = { 0 };

	if (t->from == t->n)
		return 0;
	buf_add(&line, t->text.data + t->list[t->from].at, t->list[t->from].n);
	buf_adds(&line, END);
	all.text = buf_str(&line);
	all.n = line.len;
	int status = normalizer_run(l->z, &all, &normal, &a, e);
	if (!status) {
		size_t from = normal.n;
		while (from > 0 &&
		       (from + strlen(MARK) > normal.n || memcmp(normal.text + from, MARK, strlen(MARK)) != 0))
			from--;
		buf_add(out, normal.text + from, normal.n - from);
	}
	altered_release(&a);
	buf_release(&line);
	return status;
}

/* Is a line the same as its words, each a line? Spaces beside each other have to be one and each word to get its mark;
 * no special token may reach over a space. Forms of Unicode join nothing with a space; a line's end may stand behind
 * something that becomes a space, so word_counts wants more before it. */
static bool by_spaces(const struct sentences *s)
{
	for (size_t i = 0; i < s->n_special; i++)
		if (strstr(s->special[i], MARK))
			return false;
	return s->o->add_dummy_prefix && s->o->remove_extra_whitespaces;
}

static int count_lines(struct sentences *s, const struct token_training *t, struct lines *lines, const json_t *rules,
                       struct word_counts *w, struct token_train_report *r, struct err *e)
{
	struct token_texts source = { next_line, lines, lines->texts->bytes };
	json_t *cut = json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "String", MARK, "behavior",
	                        "MergedWithNext", "invert", 0);
	struct word_counter *c = word_counter_new(t, rules, cut, e);
	int status = c ? 0 : -1;

	lines->by_spaces = by_spaces(s);
	if (!status && lines->by_spaces)
		word_counter_by_spaces(c);
	if (!status && (status = word_counter_read(c, &source, true, r, e)) < 0)
		word_counter_free(c);
	else if (!status)
		status = word_counter_end(c, w, &r->spilled, e);
	json_decref(cut);
	return status;
}

static int count_words(struct sentences *s, const struct token_training *t, struct token_texts *texts,
                       struct word_counts *w, struct buf *last, struct token_train_report *r, struct err *e)
{
	struct normalizer z = { 0 };
	struct lines lines = { .texts = texts, .most = (size_t)s->o->max_sentence_length, .r = r,
		               .trim = s->o->remove_extra_whitespaces, .z = &z,
		               .leaves = mem_array(CHARACTERS, 1) };
	json_t *rules = training_normalizer(s);
	int status = normalizer_parse(&z, rules, e);

	if (!status && (status = count_lines(s, t, &lines, rules, w, r, e)) == 0)
		status = last_word(last, &lines, e);
	json_decref(rules);
	normalizer_release(&z);
	mem_free(lines.leaves);
	mem_free(lines.tails.list);
	buf_release(&lines.tails.text);
	buf_release(&lines.line);
	return status;
}

/* --- characters --- */

static bool ends_line(const char *text, size_t n)
{
	return n >= END_BYTES && !memcmp(text + n - END_BYTES, END, END_BYTES);
}

static int most_first(const void *a, const void *b)
{
	const struct sentence_character *x = a, *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->c > y->c) - (x->c < y->c);
}

/* A line of nothing but its end, which SentencePiece leaves out. */
static bool is_empty(const struct sentences *s, const struct word_counts *w, size_t i)
{
	const char *text = w->text + w->begin[i];
	return is_nothing(s->o->remove_extra_whitespaces, text, word_counts_bytes(w, i));
}

/* Counted in words, without marks of ends; mem_free. *all: the sum. */
static struct sentence_character *characters_of(const struct sentences *s, const struct word_counts *w, size_t *n,
                                                uint64_t *all)
{
	uint64_t *count = mem_array(CHARACTERS, sizeof(*count));
	size_t k = 0;

	*all = 0;
	for (size_t i = 0; i < w->n; i++) {
		const char *text = w->text + w->begin[i];
		size_t length = word_counts_bytes(w, i);
		if (is_empty(s, w, i))
			continue;
		length -= ends_line(text, length) ? END_BYTES : 0;
		for (size_t at = 0; at < length;) {
			uint32_t c;
			at += utf8_decode(text + at, length - at, &c);
			k += count[c] == 0 && c != 0;
			count[c] += w->count[i];
		}
	}
	struct sentence_character *out = mem_array(k + 1, sizeof(*out));
	*n = 0;
	for (uint32_t c = 1; c < CHARACTERS; c++)
		if (count[c]) {
			out[(*n)++] = (struct sentence_character){ c, count[c] };
			*all += count[c];
		}
	mem_free(count);
	if (*n)
		qsort(out, *n, sizeof(*out), most_first);
	return out;
}

/* The most frequent ones, until they cover so much. */
static void require(struct sentences *s, const struct word_counts *w)
{
	uint64_t all, sum = 0;
	size_t n;

	s->required = characters_of(s, w, &n, &all);
	for (size_t i = 0; i < n && (float)((double)sum / (double)all) < (float)s->o->character_coverage; i++) {
		sum += s->required[i].count;
		if (s->required[i].c != BOUNDARY)
			s->required[s->n_required++] = s->required[i];
	}
}

static int know_scripts(struct sentences *s, struct err *e)
{
	uint32_t *c = mem_array(s->n_required + 1, sizeof(*c));
	uint8_t han = (uint8_t)scripts_number("Han");

	s->script = mem_array(CHARACTERS, sizeof(*s->script));
	s->inherited = scripts_number("Inherited");
	for (size_t i = 0; i < s->n_required; i++)
		c[i] = s->required[i].c;
	int status = scripts_of(c, s->n_required, s->script, e);
	for (size_t i = 0; i < s->n_required; i++)
		if (s->script[c[i]] == scripts_number("Hiragana") || s->script[c[i]] == scripts_number("Katakana") ||
		    c[i] == 0x30FC)
			s->script[c[i]] = han;
	mem_free(c);
	return status;
}

/* --- words --- */

static int by_text(const void *a, const void *b)
{
	const struct sentence_word *x = a, *y = b;
	int c = memcmp(x->text, y->text, MIN(x->n, y->n));
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int by_count(const void *a, const void *b)
{
	const struct sentence_word *x = a, *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return by_text(a, b);
}

/* Without the end's mark, with what is seldom replaced. */
static struct sentence_word word_of(struct sentences *s, const char *text, size_t n, uint64_t count, struct buf *b)
{
	bool last = ends_line(text, n);

	n -= last ? END_BYTES : 0;
	buf_clear(b);
	for (size_t at = 0; at < n;) {
		uint32_t c;
		size_t k = utf8_decode(text + at, n - at, &c);
		if (s->script[c])
			buf_add(b, text + at, k);
		else
			buf_adds(b, UNKNOWN);
		at += k;
	}
	char *own_text = arena_alloc(&s->mem, b->len + 1);
	memcpy(own_text, buf_str(b), b->len);
	return (struct sentence_word){ own_text, (uint32_t)b->len, count, last ? count : 0 };
}

static void make_words(struct sentences *s, const struct word_counts *w, const struct buf *last)
{
	struct buf b = BUF_INIT;
	size_t n = 0, k = 0;

	s->word = mem_array(w->n + 1, sizeof(*s->word));
	for (size_t i = 0; i < w->n; i++)
		if (!is_empty(s, w, i))
			s->word[n++] = word_of(s, w->text + w->begin[i], word_counts_bytes(w, i), w->count[i], &b);
	if (n)
		qsort(s->word, n, sizeof(*s->word), by_text);
	for (size_t i = 0; i < n; i++) {
		if (k && !by_text(&s->word[k - 1], &s->word[i])) {
			s->word[k - 1].count += s->word[i].count;
			s->word[k - 1].last += s->word[i].last;
		} else {
			s->word[k++] = s->word[i];
		}
	}
	if (k)
		qsort(s->word, k, sizeof(*s->word), by_count);
	s->n_words = k;
	struct sentence_word end = word_of(s, buf_str(last), last->len, 0, &b);
	for (size_t i = 0; i < k && !s->last; i++)
		if (!by_text(&s->word[i], &end))
			s->last = &s->word[i];
	buf_release(&b);
}

/* --- all of it --- */

static void make_special(struct sentences *s, const struct token_training *t)
{
	size_t n;
	const char **asked = token_train_special(t, &n);

	s->special = mem_array(n + OWN, sizeof(*s->special));
	for (size_t i = 0; i < OWN; i++)
		s->special[s->n_special++] = own[i];
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;
		while (k < OWN && strcmp(own[k], asked[i]) != 0)
			k++;
		if (k == OWN)
			s->special[s->n_special++] = asked[i];
	}
	s->n_meta = s->n_special + (s->o->byte_fallback ? 256 : 0);
	mem_free((void *)asked);
}

int sentences_read(struct sentences *s, const struct token_training *t, const struct sentence_options *o,
                   struct token_texts *texts, struct token_train_report *r, struct err *e)
{
	struct word_counts w = { 0 };
	struct buf last = BUF_INIT;

	*s = (struct sentences){ .o = o };
	make_special(s, t);
	if (strcmp(o->normalization, "identity") != 0)
		charsmap_make(&s->charsmap, !strcmp(o->normalization, "nmt_nfkc"));
	int status = count_words(s, t, texts, &w, &last, r, e);
	if (!status) {
		require(s, &w);
		status = s->n_required ? know_scripts(s, e) : err_set(e, "the texts have no line to train on");
	}
	if (!status && s->n_required + s->n_meta > t->vocab_size)
		status = err_set(e,
		                 "--vocab-size %zu has no room for %zu special pieces and an alphabet of %zu; a larger "
		                 "size, or a smaller --character-coverage",
		                 t->vocab_size, s->n_meta, s->n_required);
	if (!status)
		make_words(s, &w, &last);
	r->distinct = s->n_words;
	word_counts_release(&w);
	buf_release(&last);
	if (status)
		sentences_release(s);
	return status;
}

void sentences_release(struct sentences *s)
{
	mem_free(s->word);
	mem_free(s->required);
	mem_free(s->script);
	buf_release(&s->charsmap);
	mem_free((void *)s->special);
	arena_release(&s->mem);
	*s = (struct sentences){ 0 };
}

static bool is_digit(uint32_t c) { return (c >= '0' && c <= '9') || (c >= 0xFF10 && c <= 0xFF19); }

bool sentences_allow(const struct sentences *s, const uint32_t *c, size_t n)
{
	const struct sentence_options *o = s->o;
	int before = -1;

	if (n == 0 || n > (size_t)o->max_piece_length)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (c[i] == MARK_CODE && i > 0)
			return false;
		if (c[i] == MARK_CODE)
			continue;
		if (!s->script[c[i]] || c[i] == SENTENCES_UNKNOWN || c[i] == ' ')
			return false;
		int script = s->script[c[i]] == s->inherited ? before : s->script[c[i]];
		if (is_digit(c[i]) && !o->split_by_number)
			script = -1;
		if (is_digit(c[i]) && o->split_digits && n > 1)
			return false;
		if (o->split_by_unicode_script && script >= 0 && before >= 0 && script != before)
			return false;
		before = script;
	}
	return true;
}

const char *sentences_meta(const struct sentences *s, size_t i, char text[16])
{
	if (i < s->n_special)
		return s->special[i];
	snprintf(text, 16, "<0x%02X>", (unsigned)(i - s->n_special) & 0xff);
	return text;
}

json_t *sentences_json(const struct sentences *s, const struct token_training *t, json_t *model, json_t *config)
{
	struct token_training all = { .special = s->special, .n_special = s->n_special };
	json_t *j = rules_of(s);

	json_object_set_new(j, "added_tokens", token_train_added(&all));
	json_object_set_new(j, "model", model);
	json_object_set_new(config, "unk_token", json_string(own[0]));
	json_object_set_new(config, "bos_token", json_string(own[1]));
	if (!t->end_of_text)
		json_object_set_new(config, "eos_token", json_string(own[2]));
	return j;
}
