/* decoder: the steps. */
#include "token/decoder.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/alphabet.h"
#include "token/pattern.h"

enum { STEPS_MAX = 32, DEPTH_MAX = 16, TEXT_BYTES = 64 };

struct step;
struct place {
	size_t i;
	bool first, last;
}; /* of a text in its list; first of all, last of all */

/* One text of the list to what it becomes. */
typedef void one_text(const struct step *s, const char *text, size_t n, struct place at, struct buf *out);

struct step {
	one_text *each; /* NULL: the step joins, or looks at neighbours */
	void (*whole)(const struct step *s, const struct texts *in, struct texts *out);
	struct pattern *pattern; /* of a Replace by expression */
	char a[TEXT_BYTES], b[TEXT_BYTES];
	bool cleanup, after_fuse;
	long long start, stop;
};

struct decoder {
	struct step step[STEPS_MAX];
	int n;
	bool spaces, fused, bytes; /* spaces: there is no decoder, tokens are parted by a space */
	char mark[TEXT_BYTES];
};

/* --- texts --- */

void texts_add(struct texts *t, const char *text, size_t n, bool raw)
{
	buf_add(&t->all, text, n);
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->item = mem_grow(t->item, t->cap, sizeof(*t->item));
	}
	t->item[t->n++] = (struct text_end){ t->all.len, raw };
}

static void texts_clear(struct texts *t)
{
	buf_clear(&t->all);
	t->n = 0;
}

void texts_release(struct texts *t)
{
	buf_release(&t->all);
	mem_free(t->item);
	*t = (struct texts){ 0 };
}

static const char *text_of(const struct texts *t, size_t i, size_t *n)
{
	size_t begin = i ? t->item[i - 1].end : 0;
	*n = t->item[i].end - begin;
	return buf_str(&t->all) + begin;
}

/* --- what is done with one text --- */

/* The text with every `from` replaced. */
static void put_replaced(const char *text, size_t n, const char *from, const char *to, struct buf *out)
{
	size_t k = strlen(from);
	for (size_t at = 0; at < n;) {
		bool here = k && n - at >= k && memcmp(text + at, from, k) == 0;
		buf_add(out, here ? to : text + at, here ? strlen(to) : 1);
		at += here ? k : 1;
	}
}

static void replace(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	(void)at;
	put_replaced(text, n, s->a, s->b, out);
}

static void replace_pattern(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	struct pattern_scratch *scratch = pattern_scratch_new();
	struct err e = ERR_INIT; /* an expression that gives up on a text leaves it */
	struct buf whole = BUF_INIT;
	size_t from = 0, begin, end;
	uint32_t c;
	(void)at;
	utf8_repair(&whole, text, n);
	text = buf_str(&whole);
	n = whole.len;
	while (from < n && pattern_next(s->pattern, scratch, text, n, from, &begin, &end, &e) > 0) {
		buf_add(out, text + from, begin - from);
		if (begin == end) { /* nothing was taken: on behind the next character */
			end += begin < n ? utf8_decode(text + begin, n - begin, &c) : 1;
			buf_add(out, text + begin, MIN(end, n) - begin);
		} else {
			buf_adds(out, s->b);
		}
		from = end;
	}
	if (from < n)
		buf_add(out, text + from, n - from);
	buf_release(&whole);
	pattern_scratch_free(scratch);
}

/* English as it is written: no space before some punctuation (transformers' clean_up_tokenization). */
static void cleanup(struct buf *text)
{
	static const char *const rules[][2] = {
		{ " .", "." },   { " ?", "?" },     { " !", "!" },     { " ,", "," },
		{ " ' ", "'" },  { " n't", "n't" }, { " 'm", "'m" },   { " do not", " don't" },
		{ " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct buf out = BUF_INIT;
		if (!strstr(buf_str(text), rules[i][0]))
			continue;
		put_replaced(text->data, text->len, rules[i][0], rules[i][1], &out);
		buf_release(text);
		*text = out;
	}
}

static void wordpiece(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	size_t head = strlen(s->a);
	bool begins = at.i == 0 && at.first, goes_on = !begins && n >= head && memcmp(text, s->a, head) == 0;
	struct buf word = BUF_INIT;
	if (!begins && !goes_on)
		buf_addc(&word, ' ');
	buf_add(&word, text + (goes_on ? head : 0), n - (goes_on ? head : 0));
	if (s->cleanup && word.len)
		cleanup(&word);
	buf_add(out, buf_str(&word), word.len);
	buf_release(&word);
}

/* a: the mark; start: those of the first text go */
static void metaspace(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	put_replaced(text, n, s->a, s->start && at.i == 0 && at.first ? "" : " ", out);
}

static void end_of_word(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	put_replaced(text, n, s->a, at.last ? "" : " ", out);
}

/* a: a character, of which up to `start` go in front and `stop` behind; after a Fuse those of the whole text. */
static void strip(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	size_t k = strlen(s->a);
	bool front = !s->after_fuse || at.first, back = !s->after_fuse || at.last;
	for (long long i = 0; front && i < s->start && n >= k && memcmp(text, s->a, k) == 0; i++, n -= k)
		text += k;
	for (long long i = 0; back && i < s->stop && n >= k && memcmp(text + n - k, s->a, k) == 0; i++)
		n -= k;
	buf_add(out, text, n);
}

static void byte_fallback(const struct step *s, const char *text, size_t n, struct place at, struct buf *out)
{
	(void)s;
	(void)at;
	if (n == 6 && !memcmp(text, "<0x", 3) && isxdigit((unsigned char)text[3]) && isxdigit((unsigned char)text[4]) &&
	    text[5] == '>')
		buf_addc(out, (char)strtoul(text + 3, NULL, 16));
	else
		buf_add(out, text, n);
}

/* --- what looks at several --- */

static void fuse(const struct step *s, const struct texts *in, struct texts *out)
{
	(void)s;
	texts_add(out, buf_str(&in->all), in->all.len, false);
}

/* The alphabet's characters as bytes; a token that is not of them all, and an added one, stands for itself. */
static void byte_level(const struct step *s, const struct texts *in, struct texts *out)
{
	struct buf bytes = BUF_INIT;
	(void)s;
	for (size_t i = 0; i < in->n; i++) {
		size_t n;
		const char *text = text_of(in, i, &n);
		if (in->item[i].raw || !alphabet_read(&bytes, text, n))
			buf_add(&bytes, text, n);
	}
	texts_add(out, buf_str(&bytes), bytes.len, false);
	buf_release(&bytes);
}

/* a: what means nothing, b: what parts words; of equal neighbours one remains. */
static void ctc(const struct step *s, const struct texts *in, struct texts *out)
{
	const char *before = NULL;
	size_t n_before = 0, n;
	for (size_t i = 0; i < in->n; i++) {
		const char *text = text_of(in, i, &n);
		struct buf word = BUF_INIT, spaced = BUF_INIT;
		bool again = before && n == n_before && memcmp(text, before, n) == 0;
		before = text;
		n_before = n;
		if (again)
			continue;
		put_replaced(text, n, s->a, "", &word);
		if (s->cleanup && word.len) {
			cleanup(&word);
			put_replaced(word.data, word.len, s->b, " ", &spaced);
			buf_release(&word);
			word = spaced;
		}
		if (word.len)
			texts_add(out, word.data, word.len, false);
		buf_release(&word);
	}
}

/* --- parsing --- */

static int add_step(struct decoder *d, struct step s, struct err *e)
{
	if (d->n == STEPS_MAX) {
		pattern_free(s.pattern);
		return err_set(e, "a decoder of more than %d steps", STEPS_MAX);
	}
	s.after_fuse = d->fused;
	d->step[d->n++] = s;
	return 0;
}

static int put_text(char to[TEXT_BYTES], const char *text, const char *what, struct err *e)
{
	if (strlen(text) >= TEXT_BYTES)
		return err_set(e, "a decoder's %s of %zu bytes, at most %d are supported", what, strlen(text),
		               TEXT_BYTES - 1);
	strcpy(to, text);
	return 0;
}

static int read_text(const json_t *j, const char *key, const char *init, char to[TEXT_BYTES], struct err *e)
{
	const char *text;
	return jsonx_string(j, key, init, &text, e) || put_text(to, text ? text : "", key, e) ? -1 : 0;
}

static int parse_replace(struct decoder *d, const json_t *j, struct err *e)
{
	const json_t *pattern = json_object_get(j, "pattern"), *regex = json_object_get(pattern, "Regex");
	const char *from = json_string_value(json_object_get(pattern, "String"));
	struct step s = { .each = replace };
	if (read_text(j, "content", "", s.b, e))
		return -1;
	if (from && *from) {
		if (!*d->mark && strcmp(s.b, " ") == 0 && put_text(d->mark, from, "pattern", e))
			return -1;
		return put_text(s.a, from, "pattern", e) ? -1 : add_step(d, s, e);
	}
	if (!json_is_string(regex))
		return err_set(e, "a decoder's Replace without a pattern");
	s.each = replace_pattern;
	s.pattern = pattern_new(json_string_value(regex), json_string_length(regex), false, e);
	return s.pattern ? add_step(d, s, e) : -1;
}

static int parse_strip(struct decoder *d, const json_t *j, struct err *e)
{
	struct step s = { .each = strip };
	uint32_t c;
	if (read_text(j, "content", " ", s.a, e) || jsonx_int(j, "start", 0, &s.start, e) ||
	    jsonx_int(j, "stop", 0, &s.stop, e))
		return -1;
	if (!*s.a || utf8_decode(s.a, strlen(s.a), &c) != strlen(s.a))
		return err_set(e, "a decoder's Strip of \"%.16s\", wanted one character", s.a);
	return add_step(d, s, e);
}

static int parse_metaspace(struct decoder *d, const json_t *j, struct err *e)
{
	struct step s = { .each = metaspace };
	const char *scheme;
	int prefix;
	if (read_text(j, "replacement", "\xe2\x96\x81", s.a, e) ||
	    jsonx_bool(j, "add_prefix_space", true, &prefix, e) ||
	    jsonx_string(j, "prepend_scheme", prefix ? "always" : "never", &scheme, e))
		return -1;
	s.start = strcmp(scheme, "never") != 0;
	strcpy(d->mark, s.a);
	return add_step(d, s, e);
}

static int parse_wordpiece(struct decoder *d, const json_t *j, struct err *e)
{
	struct step s = { .each = wordpiece };
	int clean;
	if (read_text(j, "prefix", "##", s.a, e) || jsonx_bool(j, "cleanup", true, &clean, e))
		return -1;
	s.cleanup = clean;
	return add_step(d, s, e);
}

static int parse_end_of_word(struct decoder *d, const json_t *j, struct err *e)
{
	struct step s = { .each = end_of_word };
	return read_text(j, "suffix", "</w>", s.a, e) ? -1 : add_step(d, s, e);
}

static int parse_ctc(struct decoder *d, const json_t *j, struct err *e)
{
	struct step s = { .whole = ctc };
	int clean;
	if (read_text(j, "pad_token", "<pad>", s.a, e) || read_text(j, "word_delimiter_token", "|", s.b, e) ||
	    jsonx_bool(j, "cleanup", true, &clean, e))
		return -1;
	s.cleanup = clean;
	return add_step(d, s, e);
}

static int parse_byte_level(struct decoder *d, const json_t *j, struct err *e)
{
	(void)j;
	int rc = add_step(d, (struct step){ .whole = byte_level }, e);
	d->fused = true;
	return rc;
}

static int parse_fuse(struct decoder *d, const json_t *j, struct err *e)
{
	(void)j;
	int rc = add_step(d, (struct step){ .whole = fuse }, e);
	d->fused = true;
	return rc;
}

static int parse_byte_fallback(struct decoder *d, const json_t *j, struct err *e)
{
	(void)j;
	d->bytes = true;
	return add_step(d, (struct step){ .each = byte_fallback }, e);
}

static const struct {
	const char *type;
	int (*parse)(struct decoder *, const json_t *, struct err *);
} types[] = {
	{ "ByteLevel", parse_byte_level },
	{ "WordPiece", parse_wordpiece },
	{ "Metaspace", parse_metaspace },
	{ "BPEDecoder", parse_end_of_word },
	{ "CTC", parse_ctc },
	{ "ByteFallback", parse_byte_fallback },
	{ "Fuse", parse_fuse },
	{ "Strip", parse_strip },
	{ "Replace", parse_replace },
};

static int parse_any(struct decoder *d, const json_t *j, int depth, struct err *e)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	struct buf names = BUF_INIT;
	const json_t *item;
	size_t i;
	if (type && strcmp(type, "Sequence") == 0 && depth < DEPTH_MAX) {
		json_array_foreach (json_object_get(j, "decoders"), i, item)
			if (parse_any(d, item, depth + 1, e))
				return -1;
		return 0;
	}
	for (i = 0; type && i < ARRAY_LEN(types); i++)
		if (strcmp(types[i].type, type) == 0)
			return types[i].parse(d, j, e);
	for (i = 0; i < ARRAY_LEN(types); i++)
		buf_addf(&names, ", %s", types[i].type);
	err_set(e, "decoder \"%.64s\" is not supported (Sequence%s are)", type ? type : "without a type",
	        buf_str(&names));
	buf_release(&names);
	return -1;
}

struct decoder *decoder_parse(const json_t *j, bool bytes, struct err *e)
{
	struct decoder *d = mem_alloc(sizeof(*d));
	bool none = !j || json_is_null(j);
	d->spaces = none && !bytes;
	if (none ? bytes && parse_byte_level(d, NULL, e) : parse_any(d, j, 0, e)) {
		decoder_free(d);
		return NULL;
	}
	return d;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	for (int i = 0; i < d->n; i++)
		pattern_free(d->step[i].pattern);
	mem_free(d);
}

const char *decoder_mark(const struct decoder *d) { return d->mark; }
bool decoder_has_bytes(const struct decoder *d) { return d->bytes; }

/* --- running --- */

static void run_each(const struct step *s, const struct texts *in, bool first, bool last, struct texts *out)
{
	struct buf one = BUF_INIT;
	for (size_t i = 0; i < in->n; i++) {
		size_t n;
		const char *text = text_of(in, i, &n);
		buf_clear(&one);
		s->each(s, text, n, (struct place){ i, first, last && i + 1 == in->n }, &one);
		texts_add(out, buf_str(&one), one.len, in->item[i].raw);
	}
	buf_release(&one);
}

void decoder_run(const struct decoder *d, struct texts *in, bool first, bool last, struct buf *out)
{
	struct texts other = { 0 };
	for (int i = 0; i < d->n; i++) {
		texts_clear(&other);
		if (d->step[i].each)
			run_each(&d->step[i], in, first, last, &other);
		else
			d->step[i].whole(&d->step[i], in, &other);
		struct texts swap = *in;
		*in = other;
		other = swap;
	}
	for (size_t i = 0; i < in->n; i++) {
		size_t n;
		const char *text = text_of(in, i, &n);
		if (d->spaces && (i || !first))
			buf_addc(out, ' ');
		buf_add(out, text, n);
	}
	texts_release(&other);
}
