/* fold: characters one after another. What is a sign and what is innocent: joiners stand in emoji, Persian and Indic
 * words, a zero-width space between words of Thai and at places where a long word may be broken, marks in heaps on
 * letters that are not Latin, bidirectional controls where something is written from the right; so each counts only
 * beside Latin letters, or where there is no such writing. */
#include "guard/fold.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "guard/confusables_table.h"

enum { SEGMENT = 32, REPLACEMENT = 0xFFFD, SCRIPTS_MANY = 4, HEAP = 3 };

const char *const sign_names[SIGNS] = { "invisible", "bidi", "control", "marks", "lookalike", "scripts" };

/* --- kinds of characters --- */

static bool is_latin_ascii(uint32_t c) { return c < 0x80 && ((c | 32) >= 'a' && (c | 32) <= 'z'); }

static bool is_alnum_ascii(char c) { return is_latin_ascii((uint8_t)c) || (c >= '0' && c <= '9'); }

static bool is_ascii(uint32_t c) { return c && c < 0x80; }

static bool is_bidi(uint32_t c)
{
	return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F || c == 0x61C;
}

/* Shown by nothing. */
static bool is_unseen(uint32_t c)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0xAD, 0xAD }, { 0x34F, 0x34F }, { 0x115F, 0x1160 }, { 0x17B4, 0x17B5 }, { 0x180B, 0x180F },
		{ 0x200B, 0x200D }, { 0x2060, 0x2065 }, { 0x206A, 0x206F }, { 0x3164, 0x3164 },
		{ 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF }, { 0xFFA0, 0xFFA0 }, { 0xFFF9, 0xFFFB },
		{ 0x1D173, 0x1D17A }, { 0xE0000, 0xE0FFF },
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges) && c >= ranges[i].first; i++)
		if (c <= ranges[i].last)
			return true;
	return is_bidi(c);
}

static bool is_control(uint32_t c)
{
	return (c < ' ' && c != '\n' && c != '\t' && c != '\r' && c != '\f') || c == 127;
}

static bool is_right_to_left(uint32_t c)
{
	const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);

	return p->bidi_class == UTF8PROC_BIDI_CLASS_R || p->bidi_class == UTF8PROC_BIDI_CLASS_AL;
}

static bool is_mark(uint32_t c)
{
	utf8proc_category_t k = c < 0x300 ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t)c);

	return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_MC;
}

/* Scripts roughly, by blocks: 0 none that counts, 1 Latin. */
static int script(uint32_t c)
{
	static const struct { uint32_t first, last; } blocks[] = {
		{ 0x370, 0x3FF }, { 0x400, 0x52F }, { 0x530, 0x58F }, { 0x590, 0x5FF },
		{ 0x600, 0x6FF }, { 0x700, 0x74F }, { 0x780, 0x7BF }, { 0x7C0, 0x7FF },
		{ 0x800, 0x83F }, { 0x900, 0x97F }, { 0x980, 0x9FF }, { 0xA00, 0xA7F },
		{ 0xA80, 0xAFF }, { 0xB00, 0xB7F }, { 0xB80, 0xBFF }, { 0xC00, 0xC7F },
		{ 0xC80, 0xCFF }, { 0xD00, 0xD7F }, { 0xD80, 0xDFF }, { 0xE00, 0xE7F },
		{ 0xE80, 0xEFF }, { 0xF00, 0xFFF }, { 0x1000, 0x109F }, { 0x10A0, 0x10FF },
		{ 0x1100, 0x11FF }, { 0x1200, 0x139F }, { 0x13A0, 0x13FF }, { 0x1400, 0x167F },
		{ 0x1680, 0x169F }, { 0x16A0, 0x16FF }, { 0x1780, 0x17FF }, { 0x1800, 0x18AF },
		{ 0x1900, 0x194F }, { 0x1950, 0x19DF }, { 0x1A00, 0x1AAF }, { 0x1B00, 0x1CBF },
		{ 0x2C80, 0x2CFF }, { 0x2D30, 0x2D7F }, { 0xA000, 0xA4CF }, { 0xA4D0, 0xA4FF },
		{ 0xA500, 0xA63F }, { 0xAC00, 0xD7FF },
	};

	if (c < 0x250)
		return c >= 0x80 ? c >= 0xC0 : is_latin_ascii(c);
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (c >= blocks[i].first && c <= blocks[i].last)
			return (int)i + 2;
	return 0;
}

static char confusable(uint32_t c)
{
	size_t low = 0, high = ARRAY_LEN(confusables);

	while (low < high && c >= 0x80) {
		size_t half = low + (high - low) / 2;
		if (confusables[half].from == c)
			return confusables[half].to;
		if (confusables[half].from < c)
			low = half + 1;
		else
			high = half;
	}
	return 0;
}

/* --- signs --- */

static void mark(struct sign *signs, enum sign_kind kind, const struct mapped *m, size_t begin, size_t end, size_t n)
{
	size_t from, to;

	if (!signs || end <= begin)
		return;
	mapped_span(m, begin, end, &from, &to);
	struct sign *s = &signs[kind];
	s->begin = s->count ? MIN(s->begin, from) : from;
	s->end = s->count ? MAX(s->end, to) : to;
	s->kind = kind;
	s->count += n;
}

/* --- clean --- */

struct reading {
	const struct mapped *in;
	size_t at;                /* of the character */
	uint32_t c;
	size_t k;                 /* its bytes */
};

static bool next(struct reading *r)
{
	r->at += r->k;
	if (r->at >= r->in->s.len)
		return false;
	r->c = (uint8_t)r->in->s.data[r->at];
	r->k = 1;
	if (r->c < 0x80)
		return true;
	r->k = utf8_decode(r->in->s.data + r->at, r->in->s.len - r->at, &r->c);
	if (!r->k) {
		r->k = 1;
		r->c = REPLACEMENT;
	}
	return true;
}

static uint32_t peek(const struct reading *r)
{
	struct reading ahead = *r;

	return next(&ahead) ? ahead.c : 0;
}

/* A character that is not seen, between `before` and `after`. */
static void look_unseen(const struct reading *r, uint32_t before, uint32_t after, bool rtl, struct sign *signs)
{
	uint32_t c = r->c;
	bool override = c == 0x202D || c == 0x202E, latin = is_latin_ascii(before) && is_latin_ascii(after);
	bool isolate = is_bidi(c) && c != 0x200E && c != 0x200F && c != 0x61C;
	bool joiner = c == 0x200C || c == 0x200D || (c >= 0x2060 && c <= 0x2064) || (c == 0xFEFF && r->at) ||
	              c == 0x34F || c == 0x180E;
	bool beside = is_ascii(before) && is_ascii(after) && (is_latin_ascii(before) || is_latin_ascii(after));

	if (override || (isolate && !rtl))
		mark(signs, SIGN_BIDI, r->in, r->at, r->at + r->k, 1);
	else if (c == 0x200B ? latin : joiner && beside)
		mark(signs, SIGN_INVISIBLE, r->in, r->at, r->at + r->k, 1);
}

/* A character with the marks behind it, composed. */
static void put_segment(struct mapped *out, const struct reading *first, struct reading *last)
{
	utf8proc_int32_t parts[SEGMENT * 18];
	size_t from, to, begin = first->at, end;
	utf8proc_ssize_t n = 0;
	struct reading r = *first;
	char four[4];

	for (int count = 0;; count++) {
		int boundary = 0;
		utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)r.c, parts + n, ARRAY_LEN(parts) - n,
		                                             UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
		if (k > 0 && n + k <= (utf8proc_ssize_t)ARRAY_LEN(parts))
			n += k;
		end = r.at + r.k;
		*last = r;
		if (count + 1 >= SEGMENT || !is_mark(peek(&r)) || !next(&r))
			break;
	}
	mapped_span(first->in, begin, end, &from, &to);
	n = utf8proc_normalize_utf32(parts, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
	for (utf8proc_ssize_t i = 0; i < n; i++)
		mapped_put(out, four, utf8_encode((uint32_t)parts[i], four), (uint32_t)from, (uint32_t)to);
}

static bool has_right_to_left(const struct mapped *m)
{
	bool may = false; /* U+0590 begins with D6 */

	for (size_t i = 0; i < m->s.len; i++)
		may |= (uint8_t)m->s.data[i] >= 0xD6;
	for (struct reading r = { .in = m }; may && next(&r);)
		if (r.c >= 0x590 && is_right_to_left(r.c))
			return true;
	return false;
}

/* How many characters from `at` on stay as they are: of ASCII, and none behind that could be a mark on the last. */
static size_t plain_run(const struct mapped *in, size_t at)
{
	static const bool stays[256] = { [' ' ... '~'] = true, ['\n'] = true, ['\t'] = true, ['\f'] = true };
	size_t i = at;

	while (i < in->s.len && stays[(uint8_t)in->s.data[i]])
		i++;
	return i - at - (i > at && i < in->s.len && (in->s.data[i] & 0x80) != 0);
}

void fold_clean(struct mapped *out, const struct mapped *in, struct sign *signs)
{
	uint32_t before = 0;
	bool rtl = signs && has_right_to_left(in);

	for (struct reading r = { .in = in }, last; next(&r);) {
		size_t plain = plain_run(in, r.at);
		if (plain) {
			mapped_copy(out, in, r.at, plain);
			r.at += plain - 1;
			r.c = (uint8_t)in->s.data[r.at];
		} else if (is_control(r.c)) {
			mark(signs, SIGN_CONTROL, in, r.at, r.at + r.k, 1);
		} else if (is_unseen(r.c)) {
			look_unseen(&r, before, peek(&r), rtl, signs);
		} else if (r.c < 0x80 && peek(&r) < 0x300) {
			if (r.c == '\r' && is_latin_ascii(before) && peek(&r) != '\n' && peek(&r))
				mark(signs, SIGN_CONTROL, in, r.at, r.at + r.k, 1);
			mapped_put(out, in->s.data + r.at, 1, in->from[r.at], in->to[r.at]);
		} else {
			put_segment(out, &r, &last);
			r = last;
		}
		before = r.c;
	}
}

/* --- folded --- */

/* Lower-case ASCII of a character that is a Latin letter with marks; 0: it is none. */
static char bare(uint32_t c)
{
	utf8proc_int32_t parts[4];
	int boundary = 0;

	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? (char)(c | 32) : (char)c;
	if (c > 0x24F && (c < 0x1E00 || c > 0x1EFF))
		return 0;
	utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 4, UTF8PROC_DECOMPOSE, &boundary);
	return k > 0 && is_latin_ascii((uint32_t)parts[0]) ? (char)(parts[0] | 32) : 0;
}

struct word { size_t begin, end, latin, alike, foreign_alike, other, heaps; uint64_t scripts; };

/* The word that r stands at: letters, digits and marks; r then stands at its last character. */
static struct word read_word(struct reading *r)
{
	struct word w = { .begin = r->at };
	size_t heap = 0;
	bool on_latin = false;

	for (;;) {
		int s = script(r->c);
		char alike = bare(r->c) ? 0 : confusable(r->c);
		if (is_mark(r->c)) {
			w.heaps += on_latin && ++heap == HEAP;
		} else {
			on_latin = s == 1;
			heap = 0;
			w.latin += is_latin_ascii(r->c);
			w.alike += alike != 0;
			w.foreign_alike += alike && s > 1;
			w.other += !alike && !bare(r->c);
			w.scripts |= s ? (uint64_t)1 << s : 0;
		}
		w.end = r->at + r->k;
		uint32_t c = peek(r);
		if (!c || !(unicode_is_alnum(c) || is_mark(c)) || !next(r))
			return w;
	}
}

static void put_word(struct mapped *out, const struct mapped *clean, const struct word *w)
{
	bool fold = w->latin || !w->other;
	char four[4];
	struct reading r = { .in = clean, .at = w->begin };

	while (next(&r) && r.at < w->end) {
		char c = bare(r.c), alike = !c && fold ? confusable(r.c) : 0;
		bool dropped = is_mark(r.c) && w->latin;
		size_t n = 1;
		if (alike)
			c = alike >= 'A' && alike <= 'Z' ? alike | 32 : alike;
		four[0] = c;
		if (!c)
			n = utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)r.c), four);
		size_t from, to;
		mapped_span(clean, r.at, r.at + r.k, &from, &to);
		if (!dropped)
			mapped_put(out, four, n, (uint32_t)from, (uint32_t)to);
	}
}

static void look_word(const struct mapped *clean, const struct word *w, struct sign *signs)
{
	if (w->foreign_alike && w->latin + w->foreign_alike >= 3 && w->latin >= 1 && !w->other)
		mark(signs, SIGN_LOOKALIKE, clean, w->begin, w->end, 1);
	if (__builtin_popcountll(w->scripts) >= SCRIPTS_MANY)
		mark(signs, SIGN_SCRIPTS, clean, w->begin, w->end, 1);
	if (w->heaps)
		mark(signs, SIGN_MARKS, clean, w->begin, w->end, w->heaps);
}

/* Where the ASCII from `at` on ends, without a last word that goes on in other characters. */
static size_t ascii_end(const struct mapped *clean, size_t at)
{
	size_t i = at;

	while (i < clean->s.len && (clean->s.data[i] & 0x80) == 0)
		i++;
	while (i > at && i < clean->s.len && is_alnum_ascii(clean->s.data[i - 1]))
		i--;
	return i;
}

/* Of ASCII: 0 where it stays, else what is to be changed. */
enum { UPPER = 1, BLANK = 2 };
static const uint8_t changes[256] = {
	['A' ... 'Z'] = UPPER, [' '] = BLANK, [9 ... 13] = BLANK, [0x1C ... 0x1F] = BLANK,
};

/* Of ASCII alone: small letters, white space one blank. */
static void put_ascii(struct mapped *out, const struct mapped *clean, size_t begin, size_t end)
{
	size_t base = out->s.len, n = 0;
	bool after_blank = base && out->s.data[base - 1] == ' ';
	char *to = mapped_copy(out, clean, begin, end - begin);

	for (size_t i = 0; i < end - begin && to; i++) {
		char c = to[i];
		uint8_t change = changes[(uint8_t)c];
		bool blank = change == BLANK;
		if (blank && after_blank)
			continue;
		if (n < i) {
			out->from[base + n] = out->from[base + i];
			out->to[base + n] = out->to[base + i];
		}
		to[n++] = blank ? ' ' : (char)(c | change << 5);
		after_blank = blank;
	}
	if (to)
		to[n] = 0;
	out->s.len = base + n;
}

void fold_letters(struct mapped *out, const struct mapped *clean, struct sign *signs)
{
	struct reading r = { .in = clean };

	while (next(&r)) {
		size_t end = ascii_end(clean, r.at);
		if (end > r.at) {
			put_ascii(out, clean, r.at, end);
			r.k = end - r.at;
		} else if (unicode_is_alnum(r.c) || is_mark(r.c)) {
			struct word w = read_word(&r);
			put_word(out, clean, &w);
			look_word(clean, &w, signs);
		} else if (unicode_is_space(r.c)) {
			if (!out->s.len || out->s.data[out->s.len - 1] != ' ')
				mapped_put(out, " ", 1, clean->from[r.at], clean->to[r.at]);
		} else {
			size_t from, to;
			mapped_span(clean, r.at, r.at + r.k, &from, &to);
			mapped_put(out, clean->s.data + r.at, r.k, (uint32_t)from, (uint32_t)to);
		}
	}
}
