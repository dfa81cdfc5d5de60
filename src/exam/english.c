/* english: Punkt's decisions by small tables, and Treebank's words of capitals.
 *
 * A candidate is . ? or ! with white space and another word, or a mark, behind it; of several without white space
 * between them the last counts. Its surroundings (the word before, what follows) are cut into tokens, and the first
 * token that ends a sentence and has another behind it makes the cut. Tokens that end with a period:
 *
 *     abbreviation, dots     ends one where the next word has a capital and is common in small letters
 *     initial (J.), number   does not where the next word is small; an initial neither before an unknown capital
 *     else                   ends one
 *
 * Closing quotes and brackets behind a cut go to the sentence before it. */
#include "exam/english.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* Abbreviations of American news, as they stand before a period; one letter is one. */
static const char abbreviations[] =
	" a.m p.m u.s u.k u.n u.s.a u.s.s.r d.c n.y n.j n.c n.d n.h n.m n.v s.c l.a r.i w.va s.g p.a.m a.d"
	" j.b j.j j.k j.p j.r d.w e.h e.l g.d h.c l.p m.j t.j w.w"
	" mr mrs ms dr prof sr jr st messrs gen col maj lt sgt adm capt rep reps sen gov"
	" inc ltd co corp bros cie s.a s.p.a ave ft mg vs ct chg ph.d m.b.a"
	" jan feb aug sept sep oct nov dec tues wed fri"
	" ala ariz calif colo conn fla ga ill kan ky mass mich minn nev okla ore pa tenn va vt wash wis"
	" yr ok sw cos ";

/* Words that begin sentences, common in small letters, hence no names: a capital of theirs is a beginning. */
static const char beginnings[] =
	" above according almost along already although always among anyone anything ask being besides better"
	" between both but call check choose consider currently does done either else enjoy enter even examples"
	" explain fill finally follow following furthermore given her here hers herself however if imagine in"
	" including indeed instead into it learn likewise many meanwhile moreover most myself neither"
	" nevertheless nonetheless nor nothing otherwise overall please provide put remember separately similarly"
	" simply since so some someone sometimes soon still such thanks the them there therefore these they think"
	" this though through thus together try turn under unless unlike upon using very were when whenever"
	" whether which while whole whom within without yes yet your ";

/* Words that are common in small letters and stand with a capital within sentences too: no beginning for sure, but no
 * name behind an initial. */
static const char common[] =
	" a about across actually after again against all also an and another answer any are as at avoid"
	" background be because been before below best book by can come conclusion could day did do during each"
	" every everyone everything example few find first for get give go good had has have having help his how"
	" idea introduction is its itself just keep know later let life like look make man maybe me more much my"
	" name near never next no nobody none not note now of often on once one only open or other others our out"
	" over overview part people perhaps place plan point question rather read response rest section see set"
	" several should something start state step story summary sure system take tell than that their then"
	" those time to too two until up use usually was water way we what whatever where who whose why will with"
	" woman work world would write you ";

static bool listed(const char *list, const char *s, size_t n)
{
	char word[40];

	if (n + 3 > sizeof(word) || !n || memchr(s, ' ', n))
		return false;
	word[0] = ' ';
	for (size_t i = 0; i < n; i++)
		word[i + 1] = (char)tolower((unsigned char)s[i]);
	memcpy(word + n + 1, " ", 2);
	return strstr(list, word) != NULL;
}

/* --- characters --- */

static size_t decode(const char *s, const char *end, uint32_t *c)
{
	size_t k = s < end ? utf8_decode(s, (size_t)(end - s), c) : 0;

	if (!k)
		*c = s < end ? 0xFFFD : 0;
	return s < end ? MAX(k, (size_t)1) : 0;
}

static bool is_space_at(const char *s, const char *end)
{
	uint32_t c;
	return decode(s, end, &c) && unicode_is_space(c);
}

/* Bytes of a quote or bracket, of those that close when `closing`; 0: none. */
static size_t mark_at(const char *s, const char *end, bool closing)
{
	uint32_t c;
	size_t k = decode(s, end, &c);

	if (!k)
		return 0;
	if (c == 0x2018 || c == 0x2019 || c == 0x201C || c == 0x201D || c == 0xAB || c == 0xBB)
		return k;
	return c < 0x80 && strchr(closing ? "\"')]}" : ")\";}]*:@'({[?!", (int)c) ? k : 0;
}

static bool is_letter(uint32_t c) { return unicode_is_alnum(c) && !unicode_is_numeric(c) && c != '_'; }

/* --- tokens of a candidate's surroundings --- */

struct token { const char *s; size_t n; bool short_, dots, ends; };

/* Two or more of - or ., or periods with white space between them, at least three. */
static size_t run_at(const char *s, const char *end)
{
	size_t k = 0, spaced = 0;

	while (s + k < end && (*s == '-' || *s == '.') && s[k] == *s)
		k++;
	if (k >= 2 || *s != '.')
		return k >= 2 ? k : 0;
	for (k = 0; s + k + 1 < end && s[k] == '.' && is_space_at(s + k + 1, end); spaced++) {
		uint32_t c;
		k += 1 + decode(s + k + 1, end, &c);
	}
	return spaced >= 2 && s + k < end && s[k] == '.' ? k + 1 : 0;
}

static bool word_ends(const char *s, const char *end)
{
	return s == end || is_space_at(s, end) || mark_at(s, end, false) || run_at(s, end);
}

static size_t token_at(const char *s, const char *end)
{
	size_t k = run_at(s, end);
	uint32_t c;

	if (k)
		return k;
	k = decode(s, end, &c);
	if (c < 0x80 && strchr("(\"`{[:;&#*@)}]-,", (int)c))
		return k;
	while (!word_ends(s + k, end) && !(s[k] == ',' && word_ends(s + k + 1, end)))
		k += decode(s + k, end, &c);
	return k;
}

/* What a token is by itself. */
static struct token look(const char *s, size_t n)
{
	struct token t = { .s = s, .n = n };
	size_t dots = strspn(s, "."), from = n;

	dots = MIN(dots, n);
	t.dots = n >= 2 && dots == n;
	t.ends = n == 1 && strchr(".?!", *s);
	if (t.ends || t.dots || s[n - 1] != '.' || (n > 1 && s[n - 2] == '.'))
		return t;
	while (from > 0 && s[from - 1] != '-')
		from--;
	size_t rest = n - 1 - MIN(from, n - 1);
	t.short_ = listed(abbreviations, s, n - 1) || listed(abbreviations, s + from, rest) ||
	           (n == 2 && isalpha((unsigned char)*s) && strchr("cfhlmnrstvw", tolower((unsigned char)*s)));
	t.ends = !t.short_;
	return t;
}

static bool is_initial(const struct token *t)
{
	uint32_t c;
	size_t k = decode(t->s, t->s + t->n, &c);

	return k + 1 == t->n && is_letter(c) && t->s[k] == '.';
}

/* -?[.,]?\d[\d,.-]*\.? */
static bool is_number(const struct token *t)
{
	size_t i = t->n > 0 && t->s[0] == '-';

	i += i < t->n && (t->s[i] == '.' || t->s[i] == ',');
	if (i == t->n || !isdigit((unsigned char)t->s[i]))
		return false;
	while (i < t->n && (isdigit((unsigned char)t->s[i]) || strchr(",.-", t->s[i])))
		i++;
	return i == t->n;
}

enum start { NO_START, START, UNKNOWN };

/* Does a sentence begin with it? */
static enum start starts(const struct token *t, bool *capital, bool *known)
{
	uint32_t c;

	decode(t->s, t->s + t->n, &c);
	*capital = unicode_is_upper(c);
	size_t n = t->n - (t->ends && t->n > 1 && t->s[t->n - 1] == '.');
	bool begins = listed(beginnings, t->s, n);
	*known = begins || listed(common, t->s, n);
	if (t->n == 1 && strchr(";:,.!?", *t->s))
		return NO_START;
	if (*capital && begins)
		return START;
	return unicode_is_lower(c) ? NO_START : UNKNOWN;
}

/* What the token behind it makes of one that ends with a period. */
static void judge(struct token *t, const struct token *next)
{
	bool capital, known, initial = is_initial(t);

	if (t->s[t->n - 1] != '.')
		return;
	enum start start = starts(next, &capital, &known);
	if ((t->short_ || t->dots) && !initial && start == START)
		t->ends = true;
	if (!initial && !is_number(t))
		return;
	if (start == NO_START || (start == UNKNOWN && initial && capital && !known))
		t->ends = false;
}

static bool is_cut(const char *s, const char *end)
{
	struct token last = { 0 };

	for (; s < end;) {
		uint32_t c;
		if (is_space_at(s, end)) {
			s += decode(s, end, &c);
			continue;
		}
		struct token t = look(s, token_at(s, end));
		if (last.n)
			judge(&last, &t);
		if (last.n && last.ends)
			return true;
		last = t;
		s += t.n;
	}
	return false;
}

/* --- sentences --- */

/* A candidate at *s? *behind: the end of what follows it, *next where the next word begins (NULL: a mark follows). */
static bool candidate(const char *s, const char *end, const char **behind, const char **next)
{
	const char *p = s + 1;
	uint32_t c;

	*next = NULL;
	if (!strchr(".?!", *s))
		return false;
	*behind = p + mark_at(p, end, false);
	if (*behind > p)
		return true;
	while (is_space_at(p, end))
		p += decode(p, end, &c);
	if (p == s + 1 || p == end)
		return false;
	*next = p;
	while (p < end && !is_space_at(p, end))
		p += decode(p, end, &c);
	*behind = p;
	return true;
}

/* What closes goes to the sentence before: bytes of it and of the white space behind. */
static size_t closing(const char *s, const char *end)
{
	size_t k = 0, some;
	uint32_t c;

	while ((some = mark_at(s + k, end, true))) {
		k += some;
		if (s + k == end || (end - s >= (ptrdiff_t)k + 2 && !strncmp(s + k, "--", 2)))
			return k;
		if (is_space_at(s + k, end)) {
			while (is_space_at(s + k, end))
				k += decode(s + k, end, &c);
			return k;
		}
	}
	return 0;
}

/* Behind the last white space of ASCII between the two; NULL: there is none. */
static const char *word_behind(const char *from, const char *at)
{
	for (const char *p = at - 1; p > from; p--)
		if (strchr(" \t\n\r\v\f", *p))
			return p + 1;
	return NULL;
}

struct cuts {
	const char *word, *at, *behind, *next; /* of the last candidate; at NULL: none */
	const char *begin;             /* of the sentence that goes on */
	size_t n;
};

static void settle(struct cuts *c)
{
	if (!c->at || !is_cut(c->word, c->behind))
		return;
	c->begin = c->next ? c->next : c->at + 1;
	c->n++;
}

size_t english_sentences(const char *s, size_t n)
{
	struct cuts c = { .word = s, .begin = s };

	unicode_rstrip(s, &n);
	const char *end = s + n, *behind, *next;
	for (const char *p = s; p < end; p++) {
		if (!candidate(p, end, &behind, &next))
			continue;
		const char *word = word_behind(c.at ? c.at : s, p);
		if (word)
			settle(&c);
		c.word = word ? word : c.word;
		c.at = p;
		c.behind = behind;
		c.next = next;
	}
	settle(&c);
	return c.n + (c.begin + (c.n ? closing(c.begin, end) : 0) < end);
}

/* --- words of capitals --- */

/* A mark that stands alone among words: its bytes; 0: none. */
static size_t lone_mark(const char *s, const char *end)
{
	uint32_t c;
	size_t k = decode(s, end, &c), run = 0;

	if (!k || unicode_is_space(c))
		return k;
	while (s + run < end && (*s == '.' || *s == '-' || *s == '\'') && s[run] == *s)
		run++;
	if (run >= 2)
		return run;
	if (c < 0x80 && strchr(";@#$%&?!*()[]{}<>\"`", (int)c))
		return k;
	if (*s == ':' || *s == ',') {
		uint32_t next;
		return decode(s + 1, end, &next) && unicode_is_decimal(next) ? 0 : 1;
	}
	return (c >= 0x2012 && c <= 0x2015) || c == 0x2018 || c == 0x2019 || (c >= 0x201C && c <= 0x201E) ||
	       c == 0xAB || c == 0xBB ? k : 0;
}

/* Where Treebank cuts a word in two: before n't, 's and their like, within cannot, gimme; 0: it stays whole. */
static size_t clitic(const char *s, size_t n)
{
	static const char *const ends[] = { "n't", "'ll", "'re", "'ve", "'s", "'m", "'d" };
	static const struct { const char *word; size_t at; } words[] = {
		{ "cannot", 3 }, { "d'ye", 1 }, { "gimme", 3 }, { "gonna", 3 }, { "gotta", 3 }, { "lemme", 3 },
		{ "more'n", 4 }, { "wanna", 3 },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (n == strlen(words[i].word) && !strncasecmp(s, words[i].word, n))
			return words[i].at;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t k = strlen(ends[i]);
		if (n > k && s[n - k - 1] != '\'' && !strncasecmp(s + n - k, ends[i], k))
			return n - k;
	}
	return 0;
}

static size_t capitals(const char *s, size_t n)
{
	n -= n > 1 && s[n - 1] == '.';
	size_t cut = n ? clitic(s, n) : 0;

	return !n ? 0 : unicode_text_is_upper(s + cut, n - cut) + (cut && unicode_text_is_upper(s, cut));
}

size_t english_capital_words(const char *s, size_t n)
{
	const char *end = s + n, *word = s;
	size_t count = 0;
	uint32_t c;

	for (size_t k; s < end; s += k) {
		if ((k = lone_mark(s, end))) {
			count += capitals(word, (size_t)(s - word));
			word = s + k;
		} else {
			k = decode(s, end, &c);
		}
	}
	return count + capitals(word, (size_t)(end - word));
}
