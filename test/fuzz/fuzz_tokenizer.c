/* fuzz: any bytes as tokenizer.json, then a zero byte and tokenizer_config.json, then a zero byte and a text (each may
 * be missing). What is accepted encodes that text: ids exist, offsets rise within the text, and every piece can be
 * had. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_MAX = 256 }; /* hostile expressions are allowed to be slow */

struct part { const char *data; size_t n; };

/* The bytes up to the next zero, and behind it the rest. */
static struct part take(struct part *rest)
{
	const char *zero = rest->n ? memchr(rest->data, 0, rest->n) : NULL;
	size_t n = zero ? (size_t)(zero - rest->data) : rest->n, skip = zero ? n + 1 : n;
	struct part p = { rest->data, n };
	*rest = (struct part){ rest->data + skip, rest->n - skip };
	return p;
}

static void check_encoding(const struct tokenizer *t, struct part text, int flags)
{
	struct tokens ids = { 0 }, offsets = { 0 };
	struct buf back = BUF_INIT;
	struct err e = ERR_INIT;
	int rc = tokenizer_encode_offsets(t, text.data, text.n, flags, &ids, &offsets, &e);
	if (rc && !e.msg[0])
		BUG("refused without a sentence");
	if (rc == 0 && !utf8_valid(text.data, text.n, NULL))
		BUG("bytes that are not UTF-8 were encoded");
	if (ids.n != offsets.n)
		BUG("%zu ids, %zu offsets", ids.n, offsets.n);
	for (size_t i = 0; i < ids.n; i++)
		if (ids.id[i] < 0 || (size_t)ids.id[i] >= tokenizer_size(t) || offsets.id[i] < 0 ||
		    (size_t)offsets.id[i] >= text.n)
			BUG("id %d at %d", ids.id[i], offsets.id[i]);
	tokenizer_decode(t, ids.id, ids.n, true, &back);
	tokenizer_find(t, text.data, MIN(text.n, (size_t)8));
	buf_release(&back);
	tokens_release(&ids);
	tokens_release(&offsets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct part rest = { (const char *)data, n }, json = take(&rest), config = take(&rest);
	static const char sample[] = "it's  12345 <s>\n\n\xe6\xbc\xa2 e\xcc\x81 aab ";
	struct err e = ERR_INIT;
	json_t *j = jsonx_load(json.data, json.n, "input", &e),
	       *c = config.n ? jsonx_load(config.data, config.n, "config", &e) : NULL;
	struct tokenizer *t = j ? tokenizer_from_json(j, c, "input", &e) : NULL;
	if (!t && !e.msg[0])
		BUG("refused without a sentence");
	if (t) {
		rest.n = MIN(rest.n, (size_t)TEXT_MAX);
		check_encoding(t, rest, TOKENIZE_SPECIAL);
		check_encoding(t, (struct part){ sample, sizeof(sample) - 1 }, 0);
		mem_free(tokenizer_hash_text(t));
	}
	tokenizer_free(t);
	json_decref(j);
	json_decref(c);
	return 0;
}
