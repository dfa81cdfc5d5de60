/* substitution: gains of words, sums of stretches. A stretch ends where its sum falls 24 bits below its height, which
 * two plain words do. Where what is undone costs more than `most` bits a letter, it is no English: of another
 * language both ways cost alike, and a sum of chances must not pass for a text. */
#include "guard/substitution.h"

#include <limits.h>
#include <string.h>

#define FALL 24
#define SHORT 10 /* bits more in all, where the text speaks of decoding: names are no usual words */

struct sum { double gain, cost; size_t letters, words, end; }; /* cost: undone, bits */

struct stretch { size_t begin; struct sum now, top; };

/* In the case of the letter. */
static char other_letter(const char *letters, char c)
{
	int k = language_letter(c);

	return k < 0 ? c : (char)(letters[k] ^ 32 ^ (c & 32));
}

#define LETTERS ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1
/* Of words of letters, of those with digits. */
static const bool word_bytes[2][256] = {
	{ LETTERS, ['\''] = 1 },
	{ LETTERS, ['0' ... '9'] = 1, ['@'] = 1, ['$'] = 1, ['!'] = 1, ['|'] = 1, ['+'] = 1 },
};

static bool in_word(const struct substitution *s, char c) { return word_bytes[s->in_word_digits][(uint8_t)c]; }

static bool letters_alone(const char *s, size_t n)
{
	while (n && language_letter(s[n - 1]) >= 0)
		n--;
	return !n;
}

static const struct words *words_of(struct finder *f, const struct substitution *s)
{
	struct words *w = &f->words[s->in_word_digits ? WORDS_DIGITS : WORDS_LETTERS];

	if (w->made)
		return w;
	w->made = true;
	w->n = 0;
	for (size_t i = 0, end; i < f->n; i = end + 1) {
		for (end = i; end < f->n && in_word(s, f->s[end]);)
			end++;
		if (end == i)
			continue;
		bool plain = s->in_word_digits && letters_alone(f->s + i, end - i);
		int cost = plain ? 0 : language_word(f->s + i, end - i, NULL, INT_MAX);
		words_add(w, (struct word){ (uint32_t)i, (uint32_t)end, cost, plain });
	}
	return w;
}

static bool undo(const struct substitution *s, const char *word, size_t n, char *out)
{
	if (!s->letters)
		return s->undo(word, n, out);
	for (size_t i = 0; i < n; i++)
		out[i] = other_letter(s->letters, word[i]);
	return true;
}

static void put_undone(struct finder *f, const struct substitution *s, size_t begin, size_t end)
{
	char out[64];

	for (size_t i = begin; i < end;) {
		size_t k = i;
		while (k < end && in_word(s, f->s[k]))
			k++;
		if (k > i && k - i <= sizeof(out) && undo(s, f->s + i, k - i, out))
			for (size_t j = 0; j < k - i; j++)
				finder_put(f, out + j, 1, i + j, i + j + 1);
		else if (k > i)
			finder_put(f, f->s + i, k - i, i, k);
		else
			finder_put(f, f->s + i, 1, i, i + 1), k = i + 1;
		i = k;
	}
}

static void put_turned(struct finder *f, size_t begin, size_t end)
{
	for (size_t i = end; i > begin; i--)
		finder_put(f, f->s + i - 1, 1, i - 1, i);
}

static void offer(struct finder *f, const struct substitution *s, const struct stretch *x)
{
	const struct sum *top = &x->top;
	double count = (double)(top->letters + top->words), more = f->prior < f->by->prior ? SHORT / count : 0;

	if (top->gain <= f->prior || top->letters < 4 || top->cost / count > s->most + more)
		return;
	if (s->turned)
		put_turned(f, x->begin, top->end);
	else
		put_undone(f, s, x->begin, top->end);
	struct language l = language_look(f->put.s.data, f->put.s.len);
	finder_offer(f, x->begin, top->end, l.bits + top->gain);
}

/* A word into the sum. Where that is 0 (`first`) a word without a gain leaves nothing, so it is read no further than
 * it takes to know that. */
static void add_word(struct finder *f, const struct substitution *s, struct sum *x, const struct word *w, bool first)
{
	char out[64];
	size_t n = w->end - w->begin, letters = 0;
	const char *word = f->s + w->begin;

	if (n > sizeof(out) || !f->room(f->ctx, 1))
		return;
	x->end = w->end;
	if (!s->letters && (w->plain || !s->undo(word, n, out))) {
		x->gain -= s->plain ? 0.5 : 6;
		return;
	}
	int most = first && !s->in_word_digits ? w->cost : INT_MAX;
	int undone = language_word(s->letters ? word : out, n, s->letters, most);
	x->gain += (w->cost - undone) / 4.0;
	if (undone > most)
		return;
	for (size_t j = 0; j < n; j++) {
		bool is = language_letter(s->letters ? word[j] : out[j]) >= 0;
		letters += is;
		x->gain += s->in_word_digits && is && language_letter(word[j]) < 0 ? 4 : 0;
	}
	x->cost += undone / 4.0;
	x->letters += letters;
	x->words++;
}

/* Of each byte the letter that it stands for. */
static void numbers(const struct substitution *s, int8_t number[256])
{
	memset(number, -1, 256);
	for (int c = 0; c < 26; c++)
		number['a' + c] = number['A' + c] = (int8_t)(s->letters ? s->letters[c] - 'a' : c);
}

/* The first word from i on that a stretch may begin with: undone it costs less. */
static size_t next_gain(struct finder *f, const struct substitution *s, const struct words *words, size_t i,
                        const int8_t number[256])
{
	size_t from = i;

	for (; i < words->n; i++) {
		const struct word *w = &words->of[i];
		bool may = !s->letters && !s->turned ?
		                   !w->plain :
		                   language_word_below(f->s + w->begin, w->end - w->begin, number, s->turned, w->cost);
		if (may)
			break;
	}
	f->room(f->ctx, i - from);
	return i;
}

void substitution_find(struct finder *f, const struct substitution *s)
{
	const struct words *words;
	struct stretch x = { 0 };
	int8_t number[256];

	if (!f->room(f->ctx, f->n))
		return;
	words = words_of(f, s);
	numbers(s, number);
	for (size_t i = 0; i < words->n; i++) {
		bool first = x.now.gain <= 0;
		if (first && (i = next_gain(f, s, words, i, number)) == words->n)
			break;
		if (first) {
			x.begin = words->of[i].begin;
			x.now = (struct sum){ 0 };
		}
		add_word(f, s, &x.now, &words->of[i], first);
		if (x.now.gain > x.top.gain)
			x.top = x.now;
		if (x.top.gain > 0 && (x.now.gain <= 0 || x.now.gain < x.top.gain - FALL)) {
			offer(f, s, &x);
			x = (struct stretch){ 0 };
		}
	}
	offer(f, s, &x);
}

void substitution_letters(struct buf *out, const char *s, size_t n, const char *letters)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(out, other_letter(letters, s[i]));
}
