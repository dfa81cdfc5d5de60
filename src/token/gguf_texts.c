/* gguf_texts: a GGUF's lists of strings as texts. What GGUF calls a string is bytes; that they are UTF-8 is checked
 * here, one by one. */
#include "token/gguf_texts.h"

#include <string.h>

#include "base/utf8.h"

const struct gguf_kv *gguf_texts(const struct gguf *g, const char *key, struct err *e)
{
	const struct gguf_kv *kv = gguf_find(g, key);
	if (kv && kv->type == GGUF_ARRAY && kv->item_type == GGUF_STRING)
		return kv;
	err_set(e, "%s is %s, wanted a list of texts", key, kv ? "of another type" : "missing");
	return NULL;
}

int gguf_check_text(const struct gguf_string *s, const char *what, size_t i, struct err *e)
{
	if (!utf8_valid(s->data, s->len, NULL) || (s->len && memchr(s->data, 0, s->len)))
		return err_set(e, "%s %zu is not valid UTF-8", what, i);
	return 0;
}
