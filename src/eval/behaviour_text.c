/* behaviour_text: tokens as text. A symbol or a picture is several tokens of bytes, of which none alone does what all
 * do, so such characters are listed whole. Not here: letters of other scripts, of which a vocabulary that has none has
 * too many. */
#include "eval/behaviour_text.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

/* Blocks: punctuation, arrows, operators, technical; shapes, symbols, dingbats; pictures, faces, vehicles. */
static const struct { uint32_t first, last; } symbols[] = {
	{ 0xa1, 0xbf },       { 0x2010, 0x2027 },   { 0x2030, 0x205e },   { 0x2190, 0x23ff },   { 0x25a0, 0x27bf },
	{ 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x1fa70, 0x1faff },
};

enum { WORD_LEAST = 3, ANSWER_WORDS = 2 };

static bool is_symbol(uint32_t cp)
{
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
		if (cp >= symbols[i].first && cp <= symbols[i].last)
			return true;
	return false;
}

bool behaviour_may_open(const char *piece, size_t n, bool space)
{
	uint32_t cp;

	if ((n && piece[0] == ' ') != space || n <= space || !utf8_decode(piece + space, n - space, &cp))
		return false;
	return cp < 0x80 ? isupper((int)cp) || ispunct((int)cp) : is_symbol(cp);
}

enum behaviour_lacks behaviour_lacks(const struct tokenizer *t, const int32_t *ids, int n)
{
	struct buf text = BUF_INIT;
	size_t begin = 0;

	for (int i = 0; i < n; i++)
		tokenizer_piece(t, ids[i], &text);
	while (begin < text.len && (text.data[begin] & 0xc0) == 0x80)
		begin++;
	size_t left = text.len - begin, whole = left ? utf8_complete(text.data + begin, left) : 0;
	bool valid = !left || utf8_valid(text.data + begin, whole, NULL);
	buf_release(&text);
	if (!valid)
		return LACKS_TEXT;
	return begin ? LACKS_BEFORE : whole < left ? LACKS_BEHIND : LACKS_NOTHING;
}

/* A token's text without spaces around it, in lower case. */
static void word_of(const struct tokenizer *t, int32_t id, struct buf *out)
{
	struct buf piece = BUF_INIT;
	size_t begin = 0, end;

	tokenizer_piece(t, id, &piece);
	for (end = piece.len; end > 0 && isspace((unsigned char)piece.data[end - 1]); end--)
		;
	while (begin < end && isspace((unsigned char)piece.data[begin]))
		begin++;
	buf_clear(out);
	for (size_t i = begin; i < end; i++)
		buf_addc(out, (char)tolower((unsigned char)piece.data[i]));
	buf_release(&piece);
}

/* Short words are in everything. */
static bool tells(const struct buf *word)
{
	return word->len >= WORD_LEAST || (word->len && ispunct((unsigned char)word->data[0]));
}

bool behaviour_repeats(const struct tokenizer *t, const int32_t *ids, int n, const int32_t *answer, int n_answer)
{
	struct buf said = BUF_INIT, word = BUF_INIT;
	bool found = false;

	for (int k = 0; k < MIN(n_answer, ANSWER_WORDS); k++) {
		word_of(t, answer[k], &said);
		for (int i = 0; i < n && tells(&said); i++) {
			word_of(t, ids[i], &word);
			found |= word.len >= said.len && !memcmp(word.data, said.data, said.len);
		}
	}
	buf_release(&said);
	buf_release(&word);
	return found;
}

/* As a unit, if it is one of 2 to `most` tokens; 0: it is not. */
static int encode(const struct tokenizer *t, const char *text, size_t n, int most, struct behaviour_unit *u,
                  struct err *e)
{
	struct tokens ids = { 0 };
	int status = tokenizer_encode(t, text, n, 0, &ids, e);
	bool is = status == 0 && ids.n > 1 && ids.n <= (size_t)MIN(most, CHARACTER_MOST);

	for (size_t k = 0; k < ids.n; k++)
		is &= !tokenizer_is_special(t, ids.id[k]);
	if (is) {
		memcpy(u->id, ids.id, ids.n * sizeof(*u->id));
		u->n = (int)ids.n;
	}
	tokens_release(&ids);
	return status < 0 ? -1 : is;
}

/* Whether the vocabulary has a word, its space before it, with a small letter, too. */
static int has_small(const struct tokenizer *t, const struct buf *word, struct err *e)
{
	struct buf text = BUF_INIT;
	struct tokens ids = { 0 };

	buf_addf(&text, " %c%.*s", tolower((unsigned char)word->data[1]), (int)word->len - 2, word->data + 2);
	int status = tokenizer_encode(t, text.data, text.len, 0, &ids, e);
	bool has = ids.n == 1;
	buf_release(&text);
	tokens_release(&ids);
	return status < 0 ? -1 : has;
}

int behaviour_opener(const struct tokenizer *t, int32_t id, bool space, int most, struct behaviour_unit *u,
                     struct err *e)
{
	struct buf piece = BUF_INIT, text = BUF_INIT;

	tokenizer_piece(t, id, &piece);
	int is = piece.len > WORD_LEAST + 1 && piece.data[0] == ' ';
	for (size_t i = 1; i < piece.len && is; i++)
		is = islower((unsigned char)piece.data[i]) || (i == 1 && isupper((unsigned char)piece.data[i]));
	if (is && isupper((unsigned char)piece.data[1])) {
		int small = has_small(t, &piece, e);
		is = small < 0 ? -1 : !small;
	}
	if (is > 0) {
		buf_addf(&text, "%s%c%.*s,", space ? " " : "", toupper((unsigned char)piece.data[1]),
		           (int)piece.len - 2, piece.data + 2);
		is = encode(t, text.data, text.len, most, u, e);
	}
	buf_release(&piece);
	buf_release(&text);
	return is;
}

int behaviour_characters(const struct tokenizer *t, bool space, int most, struct behaviour_unit **out, size_t *n,
                         struct err *e)
{
	size_t room = 0;
	int is = 0;

	for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
		room += symbols[i].last - symbols[i].first + 1;
	*out = mem_array(room, sizeof(**out));
	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
		for (uint32_t cp = symbols[i].first; cp <= symbols[i].last && is >= 0; cp++) {
			char text[5] = " ";
			is = encode(t, text, space + utf8_encode(cp, text + space), most, *out + *n, e);
			*n += is > 0;
		}
	return is < 0 ? -1 : 0;
}
