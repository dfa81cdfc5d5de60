/* rules: the table, in the order in which they are asked: FineWeb's (Penedo et al. 2024): Gopher's repetition, Gopher's
 * quality (Rae et al. 2021, A.1.1 and table A1), C4's (Raffel et al. 2020, section 2.2), FineWeb's own.
 *
 * Numbers are those of the papers. Where a paper leaves open how something is counted, it is counted as Hugging Face's
 * datatrove does, but: words are what stands between white space (datatrove's default parts punctuation from them), a
 * sentence ends at . ! ? before white space, FineWeb's share of duplicated lines is the paper's 0.1 (0.01 there). */
#include "corpus/rules.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* --- counting --- */

/* A set of hashes with how often each came. */
struct seen {
	uint64_t *key;
	uint32_t *count;
	size_t mask;
};

static struct seen seen_make(size_t most)
{
	size_t cap = 16;
	while (cap < 2 * most)
		cap *= 2;
	return (struct seen){ mem_array(cap, sizeof(uint64_t)), mem_array(cap, sizeof(uint32_t)), cap - 1 };
}

/* How often it came before. */
static uint32_t seen_add(struct seen *s, const char *data, size_t n)
{
	uint64_t key = hash_64(data, n);
	size_t i = key & s->mask;

	while (s->count[i] && s->key[i] != key)
		i = (i + 1) & s->mask;
	s->key[i] = key;
	return s->count[i]++;
}

static void seen_release(struct seen *s)
{
	mem_free(s->key);
	mem_free(s->count);
}

double rule_duplicates(const struct text_spans *parts, bool characters)
{
	struct seen seen = seen_make(parts->n);
	double sum = 0;

	for (size_t i = 0; i < parts->n; i++)
		if (seen_add(&seen, parts->items[i].s, parts->items[i].n))
			sum += characters ? parts->items[i].chars : 1;
	seen_release(&seen);
	return sum;
}

/* Words one after another, `between` between two, so that n-grams are stretches of bytes. at: [n + 1] */
static char *join_words(const struct text_spans *words, const char *between, size_t *at)
{
	size_t gap = strlen(between), bytes = 1;

	for (size_t i = 0; i < words->n; i++)
		bytes += words->items[i].n + gap;
	char *all = mem_alloc(bytes), *to = all;
	for (size_t i = 0; i < words->n; i++) {
		at[i] = (size_t)(to - all);
		memcpy(to, words->items[i].s, words->items[i].n);
		to += words->items[i].n;
		memcpy(to, between, gap);
		to += gap;
	}
	at[words->n] = (size_t)(to - all);
	return all;
}

static double chars_of(const struct text_spans *words, size_t from, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += words->items[from + (size_t)i].chars;
	return sum;
}

double rule_duplicate_ngrams(const struct text_spans *words, int n)
{
	if (words->n < (size_t)n)
		return 0;
	size_t *at = mem_array(words->n + 1, sizeof(*at));
	char *all = join_words(words, "", at);
	struct seen seen = seen_make(words->n);
	double sum = 0;

	for (size_t i = 0; i + (size_t)n <= words->n;) {
		bool before = seen_add(&seen, all + at[i], at[i + (size_t)n] - at[i]) > 0;
		sum += before ? chars_of(words, i, n) : 0;
		i += before ? (size_t)n : 1;
	}
	seen_release(&seen);
	mem_free(all);
	mem_free(at);
	return sum;
}

/* Of several that come as often, that which came first. */
double rule_top_ngram(const struct text_spans *words, int n)
{
	if (words->n < (size_t)n)
		return 0;
	size_t *at = mem_array(words->n + 1, sizeof(*at)), grams = words->n + 1 - (size_t)n, best = 0;
	char *all = join_words(words, " ", at);
	struct seen seen = seen_make(words->n);
	uint32_t most = 0;

	for (size_t i = 0; i < grams; i++) {
		uint32_t count = 1 + seen_add(&seen, all + at[i], at[i + (size_t)n] - at[i] - 1);
		most = MAX(most, count);
	}
	for (size_t i = 0; i < grams; i++) {
		uint64_t key = hash_64(all + at[i], at[i + (size_t)n] - at[i] - 1);
		size_t k = key & seen.mask;
		while (seen.key[k] != key)
			k = (k + 1) & seen.mask;
		best = i;
		if (seen.count[k] == most)
			break;
	}
	double chars = chars_of(words, best, n) + n - 1;
	seen_release(&seen);
	mem_free(all);
	mem_free(at);
	return chars * most;
}

/* Parts between runs of at least so many line feeds; what is at the ends may be empty. */
static void split(const char *s, size_t n, size_t least, struct text_spans *out)
{
	size_t from = 0, run;

	for (size_t i = 0; i < n; i += MAX(run, (size_t)1)) {
		for (run = 0; i + run < n && s[i + run] == '\n';)
			run++;
		if (run < least || !run)
			continue;
		text_spans_add(out, s + from, i - from);
		from = i + run;
	}
	text_spans_add(out, s + from, n - from);
}

static double share_of_parts(const struct facts *f, size_t least, bool characters)
{
	struct text_spans parts = { 0 };
	const char *s = f->text;
	size_t n = f->n;

	if (least > 1)
		unicode_strip(&s, &n);
	split(s, n, least, &parts);
	double share = rule_duplicates(&parts, characters) / (characters ? (double)f->chars : (double)parts.n);
	mem_free(parts.items);
	return share;
}

static double count_of(const struct facts *f, const char *what)
{
	size_t n = strlen(what);
	double sum = 0;

	for (const char *at = f->text; (at = memmem(at, (size_t)(f->text + f->n - at), what, n)); at += n)
		sum++;
	return sum;
}

static bool any_char(struct text_span w, bool (*is)(uint32_t c))
{
	uint32_t c;

	for (size_t i = 0; i < w.n; i += utf8_decode(w.s + i, w.n - i, &c)) {
		utf8_decode(w.s + i, w.n - i, &c);
		if (is(c))
			return true;
	}
	return false;
}

/* --- Gopher: repetition --- */

static double duplicate_paragraphs(const struct facts *f, const struct rule *r) { return share_of_parts(f, 2, r->n); }

static double duplicate_lines(const struct facts *f, const struct rule *r) { return share_of_parts(f, 1, r->n); }

static double top_ngram(const struct facts *f, const struct rule *r)
{
	return rule_top_ngram(&f->words, r->n) / (double)f->chars;
}

static double duplicate_ngrams(const struct facts *f, const struct rule *r)
{
	return rule_duplicate_ngrams(&f->words, r->n) / (double)f->chars;
}

/* --- Gopher: quality --- */

static double words(const struct facts *f, const struct rule *r)
{
	double n = 0;
	(void)r;

	for (size_t i = 0; i < f->words.n; i++)
		n += any_char(f->words.items[i], unicode_is_alnum);
	return n;
}

static double mean_word_length(const struct facts *f, const struct rule *r)
{
	double n = 0, sum = 0;
	(void)r;

	for (size_t i = 0; i < f->words.n; i++)
		if (any_char(f->words.items[i], unicode_is_alnum)) {
			n++;
			sum += f->words.items[i].chars;
		}
	return n > 0 ? sum / n : 0;
}

static double hashes(const struct facts *f, const struct rule *r)
{
	(void)r;
	return count_of(f, "#") / (double)f->words.n;
}

static double ellipses(const struct facts *f, const struct rule *r)
{
	(void)r;
	return (count_of(f, "...") + count_of(f, "…")) / (double)f->words.n;
}

typedef bool marked(struct text_span line, const char *mark);

/* The share of lines that, without white space at their ends, have one of two marks there. */
static double marked_lines(const struct facts *f, marked *has, const char *one, const char *other)
{
	double n = 0;

	for (size_t i = 0; i < f->lines.n; i++) {
		struct text_span line = text_span_strip(f->lines.items[i]);
		n += has(line, one) || has(line, other);
	}
	return n / (double)f->lines.n;
}

static double bullet_lines(const struct facts *f, const struct rule *r)
{
	(void)r;
	return marked_lines(f, text_span_begins, "•", "-");
}

static double ellipsis_lines(const struct facts *f, const struct rule *r)
{
	(void)r;
	return marked_lines(f, text_span_ends, "...", "…");
}

static double alphabetic_words(const struct facts *f, const struct rule *r)
{
	double n = 0;
	(void)r;

	for (size_t i = 0; i < f->words.n; i++)
		n += any_char(f->words.items[i], unicode_is_alpha);
	return n / (double)f->words.n;
}

static double stop_words(const struct facts *f, const struct rule *r)
{
	static const char *const list[] = { "the", "be", "to", "of", "and", "that", "have", "with" };
	bool has[ARRAY_LEN(list)] = { false };
	double n = 0;
	(void)r;

	for (size_t i = 0; i < f->words.n; i++)
		for (size_t k = 0; k < ARRAY_LEN(list); k++)
			has[k] |=
				f->words.items[i].n == strlen(list[k]) && text_span_begins(f->words.items[i], list[k]);
	for (size_t k = 0; k < ARRAY_LEN(list); k++)
		n += has[k];
	return n;
}

/* --- FineWeb --- */

/* Lines that are not blank. */
static void full_lines(const struct facts *f, struct text_spans *out)
{
	struct text_spans all = { 0 };

	split(f->text, f->n, 1, &all);
	for (size_t i = 0; i < all.n; i++)
		if (text_span_strip(all.items[i]).n)
			text_spans_add(out, all.items[i].s, all.items[i].n);
	mem_free(all.items);
}

static bool ends_sentence(struct text_span line)
{
	static const char *const ends[] = { ".", "?", "!", "…", "。", "？", "！", "．", "｡", "‼", "⁇", "⁈",
		                            "⁉", "‽", "؟", "۔", "।",  "॥",  "።",  "፧",  "་", "။", "។" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (text_span_ends(line, ends[i]))
			return true;
	return false;
}

static double of_lines(const struct facts *f, bool (*is)(struct text_span line))
{
	struct text_spans lines = { 0 };
	double n = 0;

	full_lines(f, &lines);
	for (size_t i = 0; i < lines.n; i++)
		n += is(lines.items[i]);
	n /= (double)lines.n;
	mem_free(lines.items);
	return n;
}

static double line_punctuation(const struct facts *f, const struct rule *r)
{
	(void)r;
	return of_lines(f, ends_sentence);
}

static bool is_short(struct text_span line) { return line.chars <= 30; }

static double short_lines(const struct facts *f, const struct rule *r)
{
	(void)r;
	return of_lines(f, is_short);
}

static double duplicate_line_characters(const struct facts *f, const struct rule *r)
{
	struct text_spans lines = { 0 };
	(void)r;

	full_lines(f, &lines);
	double share = rule_duplicates(&lines, true) / ((double)f->chars - count_of(f, "\n"));
	mem_free(lines.items);
	return share;
}

static double newlines(const struct facts *f, const struct rule *r)
{
	(void)r;
	return count_of(f, "\n") / (double)f->words.n;
}

/* --- the table --- */

#define REPEATED(name_, summary_, most_, value_, n_) \
	{ \
		"gopher-" name_, "gopher-repetition", summary_, NAN, most_, value_, n_ \
	}
#define QUALITY(name_, summary_, least_, most_, value_) \
	{ \
		"gopher-" name_, "gopher-quality", summary_, least_, most_, value_, 0 \
	}
#define LINES(name_, summary_) \
	{ \
		"c4-" name_, "c4", summary_, NAN, NAN, NULL, 0 \
	}
#define FINEWEB(name_, summary_, least_, most_, value_) \
	{ \
		"fineweb-" name_, "fineweb", summary_, least_, most_, value_, 0 \
	}

const struct rule rules_table[] = {
	REPEATED("duplicate-paragraphs", "paragraphs seen before", 0.3, duplicate_paragraphs, 0),
	REPEATED("duplicate-paragraph-characters", "characters in such paragraphs", 0.2, duplicate_paragraphs, 1),
	REPEATED("duplicate-lines", "lines seen before", 0.3, duplicate_lines, 0),
	REPEATED("duplicate-line-characters", "characters in such lines", 0.2, duplicate_lines, 1),
	REPEATED("top-2-gram", "characters of the top 2-gram", 0.2, top_ngram, 2),
	REPEATED("top-3-gram", "characters of the top 3-gram", 0.18, top_ngram, 3),
	REPEATED("top-4-gram", "characters of the top 4-gram", 0.16, top_ngram, 4),
	REPEATED("duplicate-5-grams", "characters of 5-grams seen before", 0.15, duplicate_ngrams, 5),
	REPEATED("duplicate-6-grams", "characters of 6-grams seen before", 0.14, duplicate_ngrams, 6),
	REPEATED("duplicate-7-grams", "characters of 7-grams seen before", 0.13, duplicate_ngrams, 7),
	REPEATED("duplicate-8-grams", "characters of 8-grams seen before", 0.12, duplicate_ngrams, 8),
	REPEATED("duplicate-9-grams", "characters of 9-grams seen before", 0.11, duplicate_ngrams, 9),
	REPEATED("duplicate-10-grams", "characters of 10-grams seen before", 0.1, duplicate_ngrams, 10),
	QUALITY("words", "words of letters or digits", 50, 100000, words),
	QUALITY("mean-word-length", "mean characters of such a word", 3, 10, mean_word_length),
	QUALITY("hashes", "# a word", NAN, 0.1, hashes),
	QUALITY("ellipses", "... or … a word", NAN, 0.1, ellipses),
	QUALITY("bullet-lines", "lines that begin with • or -", NAN, 0.9, bullet_lines),
	QUALITY("ellipsis-lines", "lines that end in ... or …", NAN, 0.3, ellipsis_lines),
	QUALITY("alphabetic-words", "words with a letter", 0.8, NAN, alphabetic_words),
	QUALITY("stop-words", "stop words, as the, of and with", 2, NAN, stop_words),
	LINES("long-words", "lines with words of 1,001+ characters"),
	LINES("citations", "marks as [1] and [edit] are cut out"),
	LINES("terminal-punctuation", "lines without . ? ! \" ' at their end"),
	LINES("short-lines", "lines of fewer than 3 words"),
	LINES("lorem-ipsum", "documents with \"lorem ipsum\""),
	LINES("javascript", "lines with \"javascript\""),
	LINES("curly-bracket", "documents with {"),
	LINES("policy", "lines on cookies, privacy, terms of use"),
	LINES("few-sentences", "documents of fewer than 5 sentences"),
	FINEWEB("line-punctuation", "lines that end a sentence", 0.12, NAN, line_punctuation),
	FINEWEB("short-lines", "lines of at most 30 characters", NAN, 0.67, short_lines),
	FINEWEB("duplicate-line-characters", "characters in lines seen before", NAN, 0.1, duplicate_line_characters),
	FINEWEB("newlines", "line ends a word", NAN, 0.3, newlines),
};

size_t rules_count(void) { return ARRAY_LEN(rules_table); }

/* --- which are on --- */

static bool means(const struct rule *r, const char *name, size_t n)
{
	bool family = n && strlen(r->group) > n && r->group[n] == '-' && !strncmp(r->group, name, n);
	return (strlen(r->name) == n && !strncmp(r->name, name, n)) ||
	       (strlen(r->group) == n && !strncmp(r->group, name, n)) || family;
}

int rules_parse(const char *list, struct rules_on *on, struct err *e)
{
	*on = (struct rules_on){ 0 };
	for (const char *at = list; at && *at;) {
		size_t n = strcspn(at, ","), found = 0;
		bool off = *at == '-';
		for (size_t i = 0; i < rules_count(); i++)
			if (means(&rules_table[i], at + off, n - off)) {
				on->on[i] = !off;
				found++;
			}
		if (!found)
			return err_set(e,
			               "'%.*s' is no filter; groups are c4, gopher (gopher-quality, gopher-repetition) "
			               "and fineweb",
			               (int)n, at);
		at += n + (at[n] == ',');
	}
	for (size_t i = 0; i < rules_count(); i++)
		on->any |= on->on[i];
	return 0;
}

int rules_judge(const struct rules_on *on, struct buf *text, struct facts *f, double *value, rule_line *line, void *ctx)
{
	bool c4 = false;

	if (!on->any)
		return -1;
	facts_make(f, buf_str(text), text->len);
	for (size_t i = 0; i < rules_count(); i++) {
		const struct rule *r = &rules_table[i];
		if (!on->on[i] || (!r->value && c4))
			continue;
		if (!r->value) { /* all of them at once: a line meets each in turn */
			size_t first = i;
			while (first && !rules_table[first - 1].value)
				first--;
			int by = rules_c4(on->on, first, text, f, value, line, ctx);
			c4 = true;
			if (by >= 0)
				return by;
			facts_make(f, buf_str(text), text->len);
			continue;
		}
		*value = r->value(f, r);
		if (*value < r->least || *value > r->most)
			return (int)i;
	}
	return -1;
}
