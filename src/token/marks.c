/* marks: bytes to pieces; rules of a GGUF. */
#include "token/marks.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "token/sentencepiece.h"
#include "token/tokenizer.h"

void marks_find_bytes(struct marks *m, const struct vocab *v)
{
	char name[8];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "<0x%02X>", i);
		m->byte_id[i] = vocab_find(v, name, strlen(name));
	}
}

int32_t marks_find(const struct tokenizer *t, const struct marks *m, const char *bytes, size_t n)
{
	const char *mark = decoder_mark(tokenizer_decoder(t));
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] == ' ' && *mark)
			buf_adds(&text, mark);
		else
			buf_addc(&text, bytes[i]);
	int32_t id = text.len ? vocab_find(tokenizer_vocab(t), text.data, text.len) : -1;
	buf_release(&text);
	return id < 0 && n == 1 && decoder_has_bytes(tokenizer_decoder(t)) ? m->byte_id[(uint8_t)*bytes] : id;
}

/* --- GGUF --- */

json_t *marks_gguf_rules(const struct gguf *g, bool squeezes, struct err *e)
{
	const struct gguf_kv *map = gguf_find(g, "tokenizer.ggml.precompiled_charsmap");
	struct sentencepiece s = { .every = true };

	if (gguf_bool(g, "tokenizer.ggml.add_space_prefix", false, true, &s.dummy_prefix, e) ||
	    gguf_bool(g, "tokenizer.ggml.remove_extra_whitespaces", false, false, &s.squeeze, e))
		return NULL;
	if (s.squeeze && !squeezes) {
		err_set(e, "tokenizer.ggml.remove_extra_whitespaces is true, which is not supported here");
		return NULL;
	}
	if (map && squeezes && map->type == GGUF_ARRAY && (map->item_type == GGUF_U8 || map->item_type == GGUF_I8)) {
		s.charsmap = map->items;
		s.n_charsmap = map->n_items;
	}
	return sentencepiece_rules(&s);
}

int marks_front(const struct tokenizer *t, struct err *e)
{
	struct tokens ids = { 0 };
	int status = tokenizer_encode(t, "a", 1, 0, &ids, e);
	const struct piece *p = status == 0 && ids.n ? &tokenizer_vocab(t)->piece[ids.id[0]] : NULL;
	size_t n = strlen(MARK);
	bool front = p && p->n >= n && !memcmp(p->text, MARK, n);

	tokens_release(&ids);
	return status < 0 ? -1 : front;
}
