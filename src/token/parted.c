/* parted: the text is tokenized, and parted where special tokens are, until there are none. See parted.h. */
#include "token/parted.h"

#define APART "\xe2\x80\x8b"
enum { TIMES = 8 };             /* that it is looked through */

/* Appends the text with a space after the first character of each; returns how many there were. */
static size_t part_once(const struct tokenizer *t, const struct tokens *ids, const struct tokens *begins,
                        const struct buf *text, struct buf *out)
{
	size_t at = 0, n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		size_t begin = (size_t)begins->id[i] + 1;
		if (!tokenizer_is_special(t, ids->id[i]) || begin > text->len || begin <= at)
			continue;
		while (begin < text->len && ((unsigned char)text->data[begin] & 0xC0) == 0x80)
			begin++;
		buf_add(out, buf_str(text) + at, begin - at);
		buf_adds(out, APART);
		at = begin;
		n++;
	}
	buf_add(out, buf_str(text) + at, text->len - at);
	return n;
}

int special_tokens_part(const struct tokenizer *t, struct buf *text, size_t *n, struct err *e)
{
	size_t some = 1;
	int status = 0;

	for (int i = 0; i < TIMES && some && status == 0; i++) {
		struct tokens ids = { 0 }, begins = { 0 };
		struct buf out = BUF_INIT;
		status = tokenizer_encode_offsets(t, buf_str(text), text->len, TOKENIZE_SPECIAL, &ids, &begins, e);
		some = status == 0 ? part_once(t, &ids, &begins, text, &out) : 0;
		if (n)
			*n += some;
		if (some) {
			struct buf old = *text;
			*text = out;
			out = old;
		}
		buf_release(&out);
		tokens_release(&ids);
		tokens_release(&begins);
	}
	return status == 0 && some ? err_set(e, "the text has special tokens that cannot be parted") : status;
}
