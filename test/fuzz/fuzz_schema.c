/* fuzz: any JSON is a schema that becomes a grammar or is refused by a sentence; what its masks allow is JSON. */
#include "base/jsonx.h"
#include "grow_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	struct buf gbnf = BUF_INIT, out = BUF_INIT;
	json_t *schema = n <= 8192 ? json_loadb((const char *)data, n, JSON_DECODE_ANY, NULL) : NULL;
	bool over = false;

	if (schema && grammar_of_schema(schema, &gbnf, &e) == 0 &&
	    grow_gbnf(buf_str(&gbnf), gbnf.len, data, n, &out, &over) && over) {
		json_t *j = json_loadb(buf_str(&out), out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (!j)
			BUG("no JSON: %s", buf_str(&out));
		json_decref(j);
	}
	json_decref(schema);
	buf_release(&gbnf);
	buf_release(&out);
	return 0;
}
