/* pretokenize: the steps, each turning a list of spans into a finer one.
 *
 * Semantics of Hugging Face's tokenizers: a Split cuts every piece at the matches of its expression (which sees that
 * piece alone), and its behaviour says where the matches go; ByteLevel puts a space before every piece when asked to,
 * cuts by GPT-2's expression when asked to, and then writes bytes as characters of the alphabet. That writing matters
 * only to steps that follow (Falcon has some: they see the alphabet, not the text), so it is done only then. */
#include "token/pretokenize.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/alphabet.h"
#include "token/scripts.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* Digits is not a regular expression there but Rust's is_numeric, of Unicode 17 */
#define NUMERIC "[\\p{N}\\x{11DE0}-\\x{11DE9}\\x{16FF4}-\\x{16FF6}]"
/* \w of Rust's expressions */
#define WORD \
	"\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-" \
	"\\x{1F169}\\x{1F170}-\\x{1F189}"
#define PUNCTUATION "[\\p{P}$+<=>^`|~]"

enum kind { STEP_SPLIT, STEP_PREFIX, STEP_ALPHABET, STEP_MARK };
enum scheme { MARK_ALWAYS, MARK_FIRST, MARK_NEVER };
enum { STEPS_MAX = 64, DEPTH_MAX = 16 };

struct step {
	enum kind kind;
	struct pattern *pattern;
	enum behavior behavior;
	bool invert;
	char mark[8];       /* of STEP_MARK: what a space becomes */
	enum scheme scheme; /* and before which pieces one is put */
};

struct pretokenizer {
	struct step step[STEPS_MAX];
	int n;
	bool has_bytes; /* a ByteLevel was there */
};

struct span {
	size_t begin, end;
	bool match;
};
struct spans {
	struct span *span;
	size_t n, cap;
};

struct words {
	struct pattern_scratch *scratch;
	struct spans now, next;
	struct slice slice; /* what the spans cut */
	bool alphabet;      /* its bytes are written as characters */
	struct altered altered;
	struct buf bytes; /* of one word, read back from the alphabet */
	uint32_t *bytes_origin;
	size_t cap_origin;
	size_t at;
};

/* --- parsing --- */

static int add_step(struct pretokenizer *p, enum kind kind, const char *source, size_t n, bool literal,
                    enum behavior behavior, bool invert, struct err *e)
{
	struct pattern *pattern = NULL;
	if (p->n == STEPS_MAX)
		return err_set(e, "more than %d steps of pre-tokenizing", STEPS_MAX);
	if (source && !(pattern = pattern_new(source, n, literal, e)))
		return -1;
	p->step[p->n++] = (struct step){ kind, pattern, behavior, invert };
	return 0;
}

static int split(struct pretokenizer *p, const char *regex, enum behavior behavior, bool invert, struct err *e)
{
	return add_step(p, STEP_SPLIT, regex, strlen(regex), false, behavior, invert, e);
}

static int parse_behavior(const json_t *j, enum behavior *out, struct err *e)
{
	static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
		                             "Contiguous" };
	const char *name;
	if (jsonx_string(j, "behavior", "Isolated", &name, e))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum behavior)i;
			return 0;
		}
	}
	return err_set(
		e, "behavior \"%.64s\" is not one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous",
		name);
}

static int parse_split(struct pretokenizer *p, const json_t *j, struct err *e)
{
	const json_t *pattern = json_object_get(j, "pattern"), *regex = json_object_get(pattern, "Regex");
	const json_t *text = regex ? regex : json_object_get(pattern, "String");
	enum behavior behavior = ISOLATED;
	int invert;
	if (!json_is_string(text))
		return err_set(e, "a Split whose pattern is neither {\"Regex\": …} nor {\"String\": …}");
	if (parse_behavior(j, &behavior, e) || jsonx_bool(j, "invert", false, &invert, e))
		return -1;
	return add_step(p, STEP_SPLIT, json_string_value(text), json_string_length(text), !regex, behavior, invert, e);
}

static int parse_digits(struct pretokenizer *p, const json_t *j, struct err *e)
{
	int individual;
	if (jsonx_bool(j, "individual_digits", false, &individual, e))
		return -1;
	return split(p, NUMERIC, individual ? ISOLATED : CONTIGUOUS, false, e);
}

static int parse_punctuation(struct pretokenizer *p, const json_t *j, struct err *e)
{
	enum behavior behavior = ISOLATED;
	if (parse_behavior(j, &behavior, e))
		return -1;
	return split(p, PUNCTUATION, behavior, false, e);
}

static int parse_byte_level(struct pretokenizer *p, const json_t *j, struct err *e)
{
	int prefix, regex;
	if (p->has_bytes)
		return err_set(e, "a second ByteLevel");
	if (jsonx_bool(j, "add_prefix_space", true, &prefix, e) || jsonx_bool(j, "use_regex", true, &regex, e))
		return -1;
	if (prefix && add_step(p, STEP_PREFIX, NULL, 0, false, ISOLATED, false, e))
		return -1;
	if (regex && split(p, GPT2, ISOLATED, false, e))
		return -1;
	p->has_bytes = true;
	return add_step(p, STEP_ALPHABET, NULL, 0, false, ISOLATED, false, e);
}

/* Spaces become a mark, a piece may get one in front, and words begin with it (SentencePiece). */
static int parse_metaspace(struct pretokenizer *p, const json_t *j, struct err *e)
{
	static const char *const schemes[] = { "always", "first", "never" };
	const char *mark, *scheme;
	int apart, prefix;
	size_t k = 0;
	if (jsonx_string(j, "replacement", "\xe2\x96\x81", &mark, e) || jsonx_bool(j, "split", true, &apart, e) ||
	    jsonx_bool(j, "add_prefix_space", true, &prefix, e) ||
	    jsonx_string(j, "prepend_scheme", prefix ? "always" : "never", &scheme, e))
		return -1;
	while (k < ARRAY_LEN(schemes) && strcmp(scheme, schemes[k]) != 0)
		k++;
	if (k == ARRAY_LEN(schemes) || !*mark || strlen(mark) > 4)
		return err_set(e,
		               "a Metaspace with prepend_scheme \"%.64s\" and replacement \"%.64s\", wanted always, "
		               "first or never and one character",
		               scheme, mark);
	if (add_step(p, STEP_MARK, NULL, 0, false, ISOLATED, false, e))
		return -1;
	strcpy(p->step[p->n - 1].mark, mark);
	p->step[p->n - 1].scheme = (enum scheme)k;
	return apart ? add_step(p, STEP_SPLIT, mark, strlen(mark), true, MERGED_WITH_NEXT, false, e) : 0;
}

static int parse_whitespace_split(struct pretokenizer *p, const json_t *j, struct err *e)
{
	(void)j;
	return split(p, "\\s", REMOVED, false, e);
}

static int parse_whitespace(struct pretokenizer *p, const json_t *j, struct err *e)
{
	(void)j;
	return split(p, "[" WORD "]+|[^" WORD "\\s]+", REMOVED, true, e);
}

static int parse_bert(struct pretokenizer *p, const json_t *j, struct err *e)
{
	(void)j;
	return split(p, "\\s", REMOVED, false, e) || split(p, "[!-/:-@\\[-`{-~\\p{P}]", ISOLATED, false, e) ? -1 : 0;
}

static int parse_delimiter(struct pretokenizer *p, const json_t *j, struct err *e)
{
	const char *delimiter;
	if (jsonx_string(j, "delimiter", "", &delimiter, e))
		return -1;
	if (!*delimiter)
		return err_set(e, "a CharDelimiterSplit without a delimiter");
	return add_step(p, STEP_SPLIT, delimiter, strlen(delimiter), true, REMOVED, false, e);
}

static int parse_fixed_length(struct pretokenizer *p, const json_t *j, struct err *e)
{
	char regex[48];
	long long length;
	if (jsonx_int(j, "length", 5, &length, e))
		return -1;
	if (length < 1 || length > 65535)
		return err_set(e, "a FixedLength of %lld, wanted 1 to 65535", length);
	snprintf(regex, sizeof(regex), "[\\s\\S]{1,%lld}", length);
	return split(p, regex, ISOLATED, false, e);
}

/* Of scripts Japanese writes in three, which count as one; a space, and what has no script, goes with what stands
 * before it. */
#define JAPANESE "\\p{sc:Han}\\p{sc:Hiragana}\\p{sc:Katakana}\\x{30FC}"

static int parse_scripts(struct pretokenizer *p, const json_t *j, struct err *e)
{
	struct buf regex = BUF_INIT;
	(void)j;
	buf_adds(&regex, "[" JAPANESE "][" JAPANESE " \\p{Cn}]*");
	for (const char *at = scripts; *at; at += strspn(at, " ")) {
		int n = (int)strcspn(at, " ");
		buf_addf(&regex, "|(?=[^ \\x{30FC}])\\p{sc:%.*s}(?:(?!\\x{30FC})[\\p{sc:%.*s} \\p{Cn}])*", n, at, n,
		         at);
		at += n;
	}
	int rc = add_step(p, STEP_SPLIT, regex.data, regex.len, false, REMOVED, true, e);
	buf_release(&regex);
	return rc;
}

static const struct {
	const char *type;
	int (*parse)(struct pretokenizer *p, const json_t *j, struct err *e);
} types[] = {
	{ "Split", parse_split },
	{ "Digits", parse_digits },
	{ "Punctuation", parse_punctuation },
	{ "ByteLevel", parse_byte_level },
	{ "Metaspace", parse_metaspace },
	{ "WhitespaceSplit", parse_whitespace_split },
	{ "Whitespace", parse_whitespace },
	{ "BertPreTokenizer", parse_bert },
	{ "CharDelimiterSplit", parse_delimiter },
	{ "FixedLength", parse_fixed_length },
	{ "UnicodeScripts", parse_scripts },
};

static int unknown_type(const char *type, struct err *e)
{
	struct buf names = BUF_INIT;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		buf_addf(&names, ", %s", types[i].type);
	err_set(e, "pre_tokenizer \"%.64s\" is not supported (Sequence%s are)", type ? type : "without a type",
	        buf_str(&names));
	buf_release(&names);
	return -1;
}

static int parse_any(struct pretokenizer *p, const json_t *j, int depth, struct err *e)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	const json_t *item;
	size_t i;
	if (type && strcmp(type, "Sequence") == 0 && depth < DEPTH_MAX) {
		json_array_foreach (json_object_get(j, "pretokenizers"), i, item)
			if (parse_any(p, item, depth + 1, e))
				return -1;
		return 0;
	}
	for (i = 0; type && i < ARRAY_LEN(types); i++)
		if (strcmp(type, types[i].type) == 0)
			return types[i].parse(p, j, e);
	return unknown_type(type, e);
}

struct pretokenizer *pretokenizer_parse(const json_t *j, struct err *e)
{
	struct pretokenizer *p = mem_alloc(sizeof(*p));
	if (j && !json_is_null(j) && parse_any(p, j, 0, e)) {
		pretokenizer_free(p);
		return NULL;
	}
	if (p->n && p->step[p->n - 1].kind == STEP_ALPHABET) /* nobody sees the alphabet */
		p->n--;
	return p;
}

bool pretokenizer_has_bytes(const struct pretokenizer *p) { return p->has_bytes; }

void pretokenizer_free(struct pretokenizer *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n; i++)
		pattern_free(p->step[i].pattern);
	mem_free(p);
}

/* --- running --- */

static void spans_add(struct spans *s, size_t begin, size_t end, bool match)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 256;
		s->span = mem_grow(s->span, s->cap, sizeof(*s->span));
	}
	s->span[s->n++] = (struct span){ begin, end, match };
}

/* All of a piece, matches and what lies between. An empty match cuts without taking anything, as does Oniguruma's. */
static int find_matches(const struct step *step, struct pattern_scratch *scratch, const char *text, struct span piece,
                        struct spans *out, struct err *e)
{
	size_t n = piece.end - piece.begin, from = 0, done = 0, begin, end;
	while (from <= n) {
		int rc = pattern_next(step->pattern, scratch, text + piece.begin, n, from, &begin, &end, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		if (begin > done)
			spans_add(out, piece.begin + done, piece.begin + begin, step->invert);
		if (end > begin)
			spans_add(out, piece.begin + begin, piece.begin + end, !step->invert);
		done = MAX(done, end);
		from = end;
		if (end == begin) {
			uint32_t character;
			from += from < n ? utf8_decode(text + piece.begin + from, n - from, &character) : 1;
		}
	}
	if (done < n)
		spans_add(out, piece.begin + done, piece.end, step->invert);
	return 0;
}

/* What becomes of the matches among the spans from `first` on; in place, since there are never more. */
static void apply_behavior(struct spans *s, size_t first, enum behavior behavior)
{
	size_t k = first;
	bool was_match = false;
	if (behavior == ISOLATED)
		return;
	if (behavior == MERGED_WITH_NEXT) { /* as with the previous, but from the right */
		k = s->n;
		for (size_t i = s->n; i-- > first;) {
			struct span span = s->span[i];
			if (span.match && !was_match && k < s->n)
				s->span[k].begin = span.begin;
			else
				s->span[--k] = span;
			was_match = span.match;
		}
		memmove(s->span + first, s->span + k, (s->n - k) * sizeof(*s->span));
		s->n -= k - first;
		return;
	}
	for (size_t i = first; i < s->n; i++) {
		struct span span = s->span[i];
		bool joins = behavior == CONTIGUOUS ? span.match == was_match :
		                                      behavior == MERGED_WITH_PREVIOUS && span.match && !was_match;
		was_match = span.match;
		if (behavior == REMOVED && span.match)
			continue;
		if (joins && k > first)
			s->span[k - 1].end = span.end;
		else
			s->span[k++] = span;
	}
	s->n = k;
}

static int run_split(const struct step *step, struct words *w, struct err *e)
{
	w->next.n = 0;
	for (size_t i = 0; i < w->now.n; i++) {
		size_t first = w->next.n;
		if (find_matches(step, w->scratch, w->slice.text, w->now.span[i], &w->next, e))
			return -1;
		apply_behavior(&w->next, first, step->behavior);
	}
	struct spans now = w->now;
	w->now = w->next;
	w->next = now;
	return 0;
}

/* What goes before a piece. */
static void put_front(const struct step *step, struct altered *r, const struct slice *s, const struct span *span)
{
	const char *text = s->text + span->begin;
	uint32_t origin = slice_origin(s, span->begin);
	size_t n = strlen(step->mark);
	if (step->kind == STEP_PREFIX && *text != ' ')
		altered_add(r, " ", 1, origin);
	if (step->kind == STEP_MARK && *text != ' ' &&
	    !(span->end - span->begin >= n && !memcmp(text, step->mark, n)) &&
	    (step->scheme == MARK_ALWAYS || (step->scheme == MARK_FIRST && origin == 0)))
		altered_add(r, step->mark, n, origin);
}

static void put_byte(const struct step *step, struct buf *one, const char *byte)
{
	if (step->kind == STEP_ALPHABET)
		alphabet_write(one, byte, 1);
	else if (step->kind == STEP_MARK && *byte == ' ')
		buf_adds(one, step->mark);
	else
		buf_addc(one, *byte);
}

/* Writes the slice anew: each piece with a space before it, or in the alphabet, or with marks for spaces. */
static int run_rewrite(const struct step *step, struct words *w, struct err *e)
{
	struct altered r = { 0 };
	struct buf one = BUF_INIT;
	for (size_t i = 0; i < w->now.n; i++) {
		struct span *span = &w->now.span[i];
		size_t begin = r.text.len;
		put_front(step, &r, &w->slice, span);
		for (size_t at = span->begin; at < span->end; at++) {
			buf_clear(&one);
			put_byte(step, &one, w->slice.text + at);
			altered_add(&r, one.data, one.len, slice_origin(&w->slice, at));
		}
		*span = (struct span){ begin, r.text.len, false };
	}
	bool overflow = r.text.overflow;
	altered_release(&w->altered);
	w->altered = r;
	w->slice = (struct slice){ buf_str(&w->altered.text), w->altered.text.len, 0, w->altered.origin };
	w->alphabet |= step->kind == STEP_ALPHABET;
	buf_release(&one);
	return overflow ? err_set(e, "the text becomes too long with its prefix spaces") : 0;
}

int pretokenizer_run(const struct pretokenizer *p, const struct slice *in, struct words *w, struct err *e)
{
	w->slice = *in;
	w->alphabet = false;
	w->now.n = w->at = 0;
	if (in->n)
		spans_add(&w->now, 0, in->n, false);
	for (int i = 0; i < p->n; i++) {
		const struct step *step = &p->step[i];
		if (step->kind == STEP_SPLIT ? run_split(step, w, e) : run_rewrite(step, w, e))
			return -1;
	}
	return 0;
}

/* A word in the alphabet's characters becomes bytes, each from where its character came. */
static struct slice word_bytes(struct words *w, struct span span)
{
	size_t k = 0;
	buf_clear(&w->bytes);
	if (!alphabet_read(&w->bytes, w->slice.text + span.begin, span.end - span.begin))
		BUG("a character outside the alphabet");
	if (w->bytes.len > w->cap_origin) {
		w->cap_origin = w->bytes.len * 2;
		w->bytes_origin = mem_grow(w->bytes_origin, w->cap_origin, sizeof(*w->bytes_origin));
	}
	for (size_t at = span.begin; at < span.end; at++)
		if (((unsigned char)w->slice.text[at] & 0xC0) != 0x80)
			w->bytes_origin[k++] = slice_origin(&w->slice, at);
	return (struct slice){ buf_str(&w->bytes), w->bytes.len, 0, w->bytes_origin };
}

bool words_next(struct words *w, struct slice *word)
{
	if (w->at == w->now.n)
		return false;
	struct span span = w->now.span[w->at++];
	*word = w->alphabet ? word_bytes(w, span) : slice_part(&w->slice, span.begin, span.end);
	return true;
}

struct words *words_new(void)
{
	struct words *w = mem_alloc(sizeof(*w));
	w->scratch = pattern_scratch_new();
	return w;
}

void words_free(struct words *w)
{
	if (!w)
		return;
	pattern_scratch_free(w->scratch);
	mem_free(w->now.span);
	mem_free(w->next.span);
	altered_release(&w->altered);
	buf_release(&w->bytes);
	mem_free(w->bytes_origin);
	mem_free(w);
}
