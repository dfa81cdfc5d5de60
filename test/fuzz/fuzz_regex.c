/* fuzz: any bytes are a regular expression or are refused by a sentence; what its masks allow matches it. The same of
 * one in the string of a schema, whose texts are JSON: those of an odd length, as each is half of the time. */
#include "grow_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_pattern(const uint8_t *data, size_t n)
{
	json_t *text = json_stringn((const char *)data, n), *schema;
	struct buf gbnf = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	bool over = false;

	if (!text)
		return;
	schema = json_pack("{s:s, s:o}", "type", "string", "pattern", text);
	if (grammar_of_schema(schema, &gbnf, &e) == 0 && grow_gbnf(buf_str(&gbnf), gbnf.len, data, n, &out, &over) &&
	    over) {
		json_t *j = json_loadb(buf_str(&out), out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (!json_is_string(j))
			BUG("no JSON string: %s", buf_str(&out));
		json_decref(j);
	}
	json_decref(schema);
	buf_release(&gbnf);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf gbnf = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	bool over;

	if (n > 1024)
		return 0;
	if (n % 2) {
		as_pattern(data, n);
		return 0;
	}
	if (grammar_of_regex((const char *)data, n, &gbnf, &e) == 0)
		grow_gbnf(buf_str(&gbnf), gbnf.len, data, n, &out, &over);
	buf_release(&gbnf);
	buf_release(&out);
	return 0;
}
