/* sentence: a format is literal text and conversions, one after the other. A conversion that printed exactly "1" looks
 * at the text behind it:
 *
 *   1 [adjectives] NOUNS [that] [VERB]     the noun and the verb become singular: "1 new row is", "1 text that is"
 *   1 of N nouns VERB                      the verb goes with the first number, the noun with its own
 *   1 of them VERB, 1 VERB                 the verb alone
 *   there are 1 NOUNS, all 1 NOUNS         "there is 1 row", "the 1 row"
 *
 * What stands behind the name of a thing is its place and counts nothing: "line 1 names", "row 1 repeats". A number of
 * a given width stands in a table, whose columns stay as they are. Nouns, adjectives and verbs are those of the tables:
 * a word that is in none of them stays as it is written. */
#include "base/sentence.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

static const char *const nouns[] = {
	"adapter",  "ancestor",    "answer",      "argument",  "batch",     "bit",      "block",   "byte",
	"call",     "canary",      "cell",        "character", "chart",     "choice",   "chunk",   "class",
	"column",   "comparison",  "context",     "digit",     "dimension", "document", "end",     "entry",
	"epoch",    "evaluation",  "example",     "expert",    "fault",     "feature",  "file",    "filter",
	"folder",   "group",       "guess",       "head",      "header",    "id",       "index",   "input",
	"item",     "key",         "kind",        "label",     "layer",     "letter",   "line",    "list",
	"matrix",   "message",     "micro-batch", "model",     "module",    "name",     "norm",    "note",
	"number",   "operation",   "option",      "pair",      "parameter", "part",     "passage", "piece",
	"place",    "point",       "position",    "process",   "processor", "product",  "prompt",  "query",
	"question", "range",       "rank",        "rater",     "rating",    "reading",  "recipe",  "reply",
	"request",  "requirement", "reward",      "row",       "rule",      "run",      "rung",    "schema",
	"score",    "second",      "seed",        "segment",   "sentence",  "sequence", "share",   "size",
	"source",   "space",       "spike",       "state",     "step",      "subset",   "sum",     "table",
	"target",   "task",        "tensor",      "term",      "text",      "thread",   "time",    "token",
	"tool",     "trial",       "turn",        "type",      "use",       "value",    "variant", "vector",
	"way",      "weight",      "window",      "word",      "wording",
};

static const char *const adjectives[] = {
	"adapter",  "assistant",      "attention", "control", "different",   "distinct", "empty", "line",
	"failed",   "floating-point", "gradient",  "guessed", "key-value",   "logical",  "more",  "new",
	"other",    "past",           "query",     "rising",  "safetensors", "special",  "test",  "trainable",
	"training", "unlike",         "virtual",   "whole",   "YAML",
};

static const char *const verbs[][2] = {
	{ "are", "is" },         { "were", "was" },     { "have", "has" },   { "do", "does" },
	{ "go", "goes" },        { "ask", "asks" },     { "lose", "loses" }, { "name", "names" },
	{ "differ", "differs" }, { "need", "needs" },   { "want", "wants" }, { "repeat", "repeats" },
	{ "train", "trains" },   { "leave", "leaves" }, { "take", "takes" }, { "teach", "teaches" },
	{ "fit", "fits" },       { "stand", "stands" }, { "come", "comes" },
};

/* Where the sentence is written, and what is known of it there. */
struct sentence {
	char *out;
	size_t size, n;   /* n: what would have been written */
	char last;        /* the last character, 0 for none */
	bool one;         /* the number before is 1, */
	bool subject_one; /* and what a verb goes with: "1 of 3 rows is" */
};

static void put(struct sentence *s, const char *text, size_t n)
{
	if (s->n < s->size)
		memcpy(s->out + s->n, text, MIN(n, s->size - s->n));
	s->n += n;
	if (n)
		s->last = text[n - 1];
}

/* Bytes of the word at s, a hyphen among them: 0 for none. */
static size_t word(const char *s, const char *end)
{
	const char *p = s;
	while (p < end && (isalpha((unsigned char)*p) || (*p == '-' && p > s)))
		p++;
	return (size_t)(p - s);
}

static bool is_in(const char *const *table, size_t n, const char *s, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(table[i]) == len && memcmp(table[i], s, len) == 0)
			return true;
	return false;
}

static bool noun(const char *s, size_t len) { return is_in(nouns, ARRAY_LEN(nouns), s, len); }

/* The singular of a noun's plural, into out: its length, 0 when it is none. */
static size_t singular(const char *s, size_t len, char out[32])
{
	static const struct {
		const char *end, *one;
	} ends[] = {
		{ "ies", "y" }, { "ices", "ix" }, { "ices", "ex" }, { "es", "" }, { "s", "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(ends) && len < 32; i++) {
		size_t end = strlen(ends[i].end), stem = len - end, one = strlen(ends[i].one);
		if (len <= end || memcmp(s + stem, ends[i].end, end) != 0)
			continue;
		memcpy(out, s, stem);
		memcpy(out + stem, ends[i].one, one);
		if (noun(out, stem + one))
			return stem + one;
	}
	return 0;
}

/* Whether the text ends in the words. */
static bool ends_in(const char *s, size_t n, const char *words)
{
	size_t len = strlen(words);
	return n >= len && memcmp(s + n - len, words, len) == 0;
}

static bool begins_with(const char *s, const char *end, const char *words)
{
	size_t len = strlen(words);
	return (size_t)(end - s) >= len && memcmp(s, words, len) == 0;
}

/* The plural noun in the text behind a number, adjectives before it: NULL for none. */
static const char *find_noun(const char *s, const char *end, size_t *len)
{
	char one[32];
	while (s < end && *s == ' ') {
		*len = word(++s, end);
		if (singular(s, *len, one))
			return s;
		if (!is_in(adjectives, ARRAY_LEN(adjectives), s, *len))
			break;
		s += *len;
	}
	return NULL;
}

/* The number behind the text is a thing's place: "line 1", not "all 1". */
static bool is_place(const char *s, size_t n)
{
	if (n < 2 || s[n - 1] != ' ')
		return false;
	size_t at = n - 1;
	while (at > 0 && (isalpha((unsigned char)s[at - 1]) || s[at - 1] == '-'))
		at--;
	return noun(s + at, n - 1 - at);
}

/* The verb of several that the text begins with: its singular, or NULL. */
static const char *find_verb(const char *s, const char *end, size_t *len)
{
	*len = s < end && *s == ' ' ? word(s + 1, end) : 0;
	for (size_t i = 0; *len && i < ARRAY_LEN(verbs); i++)
		if (strlen(verbs[i][0]) == *len && memcmp(s + 1, verbs[i][0], *len) == 0)
			return verbs[i][1];
	return NULL;
}

/* Writes what the text begins with, where it begins so. */
static const char *put_words(struct sentence *s, const char *text, const char *end, const char *words)
{
	if (!begins_with(text, end, words))
		return text;
	put(s, words, strlen(words));
	return text + strlen(words);
}

/* Writes the text behind a number, up to the next one, so that noun and verb agree. */
static void put_agreed(struct sentence *s, const char *text, const char *end)
{
	char made[32];
	size_t len;
	const char *found = find_noun(text, end, &len), *verb;
	if (found) {
		size_t n = s->one ? singular(found, len, made) : 0;
		put(s, text, (size_t)(found - text));
		put(s, n ? made : found, n ? n : len);
		text = found + len;
	} else {
		text = put_words(s, text, end, " of them");
	}
	text = put_words(s, text, end, " that");
	verb = s->subject_one ? find_verb(text, end, &len) : NULL;
	if (verb) {
		put(s, " ", 1);
		put(s, verb, strlen(verb));
		text += 1 + len;
	}
	put(s, text, (size_t)(end - text));
}

/* Changes the end of what was written before a number that is 1 of something. */
static void change_before(struct sentence *s, const char *text, size_t n)
{
	static const char *const changes[][2] = {
		{ "there are ", "there is " },
		{ "there were ", "there was " },
		{ "all ", "the " },
	};
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (ends_in(text, n, changes[i][0])) {
			s->n -= strlen(changes[i][0]);
			put(s, changes[i][1], strlen(changes[i][1]));
			return;
		}
}

/* The end of the conversion that begins at the percent sign. */
static const char *conversion_end(const char *s)
{
	s++;
	s += strspn(s, "-+ #0'");
	s += strspn(s, "0123456789*.");
	s += strspn(s, "hlzjtL");
	return *s ? s + 1 : s;
}

/* Prints one conversion with the next argument, as vsnprintf would: the length. */
static int convert(char *out, size_t size, const char *spec, size_t n, va_list *ap)
{
	char fmt[64];
	const char *length = spec + 1;
	int stars[2], k = 0;
	if (n >= sizeof(fmt))
		BUG("a conversion of %zu bytes", n);
	memcpy(fmt, spec, n);
	fmt[n] = 0;
	for (const char *p = fmt; *p; p++)
		if (*p == '*') {
			if (k == 2)
				BUG("a conversion with three stars: %s", fmt);
			stars[k++] = va_arg(*ap, int);
		}
	length = fmt + n - 1;
	while (length > fmt && strchr("hlzjtL", length[-1]))
		length--;
#define PRINT(type) \
	do { \
		type value = va_arg(*ap, type); \
		return k == 0 ? snprintf(out, size, fmt, value) : \
		       k == 1 ? snprintf(out, size, fmt, stars[0], value) : \
		                snprintf(out, size, fmt, stars[0], stars[1], value); \
	} while (0)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	switch (fmt[n - 1]) {
	case '%': return snprintf(out, size, "%%");
	case 's': PRINT(const char *);
	case 'p': PRINT(void *);
	case 'a':
	case 'e':
	case 'f':
	case 'g':
	case 'E':
	case 'G':
		if (*length == 'L')
			PRINT(long double);
		PRINT(double);
	case 'c':
	case 'd':
	case 'i':
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		if (length[0] == 'l' && length[1] == 'l')
			PRINT(long long);
		if (length[0] == 'l')
			PRINT(long);
		if (length[0] == 'z' || length[0] == 't')
			PRINT(size_t);
		if (length[0] == 'j')
			PRINT(intmax_t);
		PRINT(int);
	default: BUG("a conversion that is not known here: %s", fmt);
	}
#pragma GCC diagnostic pop
#undef PRINT
}

/* Whether numbers of the format stand before nouns or verbs at all: most do not, and are vsnprintf's alone. */
static bool counts_something(const char *fmt)
{
	size_t len;
	for (const char *p = strchr(fmt, '%'); p; p = strchr(p, '%')) {
		p = conversion_end(p);
		const char *end = p + strcspn(p, "%");
		if (find_noun(p, end, &len) || begins_with(p, end, " of them") || find_verb(p, end, &len))
			return true;
	}
	return false;
}

/* Writes one conversion; the text between it and the one before it is written. */
static void put_conversion(struct sentence *s, const char *before, const char *spec, const char *end, va_list *ap)
{
	char text[64];
	size_t n_before = (size_t)(spec - before), len;
	va_list again;
	va_copy(again, *ap);
	int n = convert(text, sizeof(text), spec, (size_t)(end - spec), ap);
	if (n < 0)
		BUG("a format that cannot be printed: %s", spec);
	bool alone = !isalnum((unsigned char)s->last) && !(s->last && strchr(".,-/+^=", s->last));
	bool one = alone && n == 1 && text[0] == '1' && !is_place(before, n_before);
	if (one && find_noun(end, end + strcspn(end, "%"), &len))
		change_before(s, before, n_before);
	if (!ends_in(before, n_before, " of "))
		s->subject_one = one && !ends_in(before, n_before, " to ");
	s->one = one;
	if ((size_t)n < sizeof(text)) {
		put(s, text, (size_t)n);
	} else {
		char *whole = mem_alloc((size_t)n + 1);
		convert(whole, (size_t)n + 1, spec, (size_t)(end - spec), &again);
		put(s, whole, (size_t)n);
		mem_free(whole);
	}
	va_end(again);
}

int sentence_vformat(char *out, size_t size, const char *fmt, va_list ap)
{
	struct sentence s = { .out = out, .size = size };
	const char *text = fmt, *spec;
	va_list args;
	if (!counts_something(fmt))
		return vsnprintf(out, size, fmt, ap);
	va_copy(args, ap);
	while (*(spec = text + strcspn(text, "%"))) {
		put_agreed(&s, text, spec);
		const char *end = conversion_end(spec);
		put_conversion(&s, text, spec, end, &args);
		text = end;
	}
	va_end(args);
	put_agreed(&s, text, spec);
	if (size)
		out[MIN(s.n, size - 1)] = 0;
	return (int)s.n;
}

int sentence_format(char *out, size_t size, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = sentence_vformat(out, size, fmt, ap);
	va_end(ap);
	return n;
}

char *sentence_vprintf(const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = sentence_vformat(NULL, 0, fmt, ap);
	if (n < 0)
		BUG("a format that cannot be printed: %s", fmt);
	char *out = mem_alloc((size_t)n + 1);
	sentence_vformat(out, (size_t)n + 1, fmt, again);
	va_end(again);
	return out;
}

void sentence_add(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = sentence_vprintf(fmt, ap);
	va_end(ap);
	buf_add(b, text, strlen(text));
	mem_free(text);
}
