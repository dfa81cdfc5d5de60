/* fuzz: any bytes as a GGUF file; a tokenizer that it holds encodes a text, and every piece can be had. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct tokenizer *t, int flags)
{
	static const char text[] = "it's  12345 <|end|>\n\n\xe6\xbc\xa2 e\xcc\x81 the ";
	struct tokens ids = { 0 };
	struct buf back = BUF_INIT;
	struct err e = ERR_INIT;
	if (tokenizer_encode(t, text, sizeof(text) - 1, flags, &ids, &e) && !e.msg[0])
		BUG("refused without a sentence");
	for (size_t i = 0; i < ids.n; i++)
		if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(t))
			BUG("id %d", ids.id[i]);
	tokenizer_decode(t, ids.id, ids.n, false, &back);
	buf_release(&back);
	tokens_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct gguf g;
	struct err e = ERR_INIT;
	if (gguf_parse(&g, data, n, "input", &e))
		return 0;
	struct tokenizer *t = tokenizer_from_gguf(&g, &e);
	if (!t && !e.msg[0])
		BUG("refused without a sentence");
	if (t) {
		check(t, 0);
		check(t, TOKENIZE_SPECIAL);
		for (size_t i = 0; i < tokenizer_size(t); i++) {
			struct buf piece = BUF_INIT;
			tokenizer_piece(t, (int32_t)i, &piece);
			buf_release(&piece);
		}
		mem_free(tokenizer_hash_text(t));
	}
	tokenizer_free(t);
	gguf_close(&g);
	return 0;
}
