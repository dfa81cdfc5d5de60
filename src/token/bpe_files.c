/* bpe_files: merges as the files of tokenizers have them. */
#include "token/bpe.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf_write.h"
#include "token/gguf_texts.h"

/* "a b" */
static int read_pair(struct bpe *b, const char *text, size_t n, struct err *e)
{
	const char *space = memchr(text, ' ', n);
	size_t left = space ? (size_t)(space - text) : 0;
	if (!space || left == 0 || left + 1 == n || memchr(space + 1, ' ', n - left - 1))
		return err_set(e, "merge %zu is \"%.*s\", wanted two texts with a space between them", b->n_merges,
		               (int)MIN(n, (size_t)64), text);
	return bpe_add_merge(b, text, left, space + 1, n - left - 1, e);
}

int bpe_read_json(struct bpe *b, const json_t *merges, struct err *e)
{
	const json_t *item;
	size_t i;
	if (!json_is_array(merges))
		return err_set(e, "\"merges\" is no list");
	json_array_foreach(merges, i, item) {
		const json_t *left = json_array_get(item, 0), *right = json_array_get(item, 1);
		if (json_is_string(item)) {
			if (read_pair(b, json_string_value(item), json_string_length(item), e))
				return -1;
		} else if (json_array_size(item) != 2 || !json_is_string(left) || !json_is_string(right)) {
			return err_set(e, "merge %zu is neither a text nor a pair of texts", i);
		} else if (bpe_add_merge(b, json_string_value(left), json_string_length(left), json_string_value(right),
		                         json_string_length(right), e)) {
			return -1;
		}
	}
	return 0;
}

int bpe_read_text(struct bpe *b, const char *text, size_t n, struct err *e)
{
	size_t bad;
	if (!utf8_valid(text, n, &bad))
		return err_set(e, "merges are not valid UTF-8 at byte %zu", bad);
	for (size_t at = 0; at < n;) {
		const char *newline = memchr(text + at, '\n', n - at);
		size_t end = newline ? (size_t)(newline - text) : n, length = end - at;
		bool comment = at == 0 && length >= 8 && memcmp(text, "#version", 8) == 0;
		if (length && text[end - 1] == '\r')
			length--;
		if (length && !comment && read_pair(b, text + at, length, e))
			return -1;
		at = end + 1;
	}
	return 0;
}

/* The space that parts the two is the first behind the first byte, which may be one. */
int bpe_read_gguf(struct bpe *b, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = gguf_texts(g, "tokenizer.ggml.merges", e);
	if (!kv)
		return -1;
	const struct gguf_string *text = kv->items;
	for (size_t i = 0; i < kv->n_items; i++) {
		size_t n = text[i].len;
		const char *space = n > 2 ? memchr(text[i].data + 1, ' ', n - 2) : NULL;
		if (!space)
			return err_set(e, "merge %zu is \"%.*s\", wanted two texts with a space between them", i,
			               (int)MIN(n, (size_t)64), text[i].data ? text[i].data : "");
		size_t left = (size_t)(space - text[i].data);
		if (gguf_check_text(&text[i], "merge", i, e) ||
		    bpe_add_merge(b, text[i].data, left, space + 1, n - left - 1, e))
			return -1;
	}
	return 0;
}

void bpe_save(const struct bpe *b, json_t *model)
{
	json_t *merges = json_array();
	for (size_t i = 0; i < b->n_merges; i++)
		json_array_append_new(merges, json_pack("[o,o]", piece_json(&b->vocab->piece[b->merge[i].left]),
		                                        piece_json(&b->vocab->piece[b->merge[i].right])));
	json_object_set_new(model, "vocab", vocab_json(b->vocab));
	json_object_set_new(model, "merges", merges);
}

void bpe_hash(const struct bpe *b, struct buf *out)
{
	for (size_t i = 0; i < b->n_merges; i++)
		buf_addf(out, "%d %d\n", b->merge[i].left, b->merge[i].right);
}

/* --- GGUF --- */

int bpe_put_merges(const struct bpe *b, struct gguf_meta *meta, size_t rows, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct gguf_string *text = arena_array(&mem, b->n_merges + 1, sizeof(*text));
	size_t n = 0;

	for (size_t i = 0; i < b->n_merges; i++) {
		const struct piece *left = &b->vocab->piece[b->merge[i].left],
		                   *right = &b->vocab->piece[b->merge[i].right];
		if (memchr(left->text, ' ', left->n) || memchr(right->text, ' ', right->n)) {
			arena_release(&mem);
			return err_set(e, "merge %zu has a space in one of its texts, which GGUF cannot say", i);
		}
		if ((size_t)b->merge[i].left >= rows || (size_t)b->merge[i].right >= rows)
			continue;
		text[n].data = arena_printf(&mem, "%s %s", left->text, right->text);
		text[n++].len = left->n + right->n + 1;
	}
	gguf_put_strings(meta, "tokenizer.ggml.merges", text, n);
	arena_release(&mem);
	return 0;
}
