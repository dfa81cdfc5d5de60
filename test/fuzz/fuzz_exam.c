/* fuzz: a task's YAML of any bytes is read as JSON or refused with a sentence; each text of it as a literal of Python
 * and as an expression; what a literal gives is written as Python's repr and read again to the same. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/py_literal.h"
#include "base/py_re.h"
#include "base/yaml_json.h"
#include "template/template.h"

static void try_literal(const char *s, size_t n)
{
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	json_t *made = py_literal(s, n, &e), *again;

	if (!made && !e.msg[0])
		BUG("a literal refused without a word");
	if (made) {
		py_repr(&out, made);
		again = py_literal(buf_str(&out), out.len, &e);
		if (!again || !json_equal(made, again))
			BUG("%s is not read as it is written: %s", buf_str(&out), e.msg);
		json_decref(again);
	}
	buf_release(&out);
	json_decref(made);
}

static void try_text(const char *s, size_t n)
{
	struct err e = ERR_INIT;
	struct py_re *re = NULL;
	struct py_re_walk w = { .text = s, .n = n };
	const struct py_span *span;

	try_literal(s, n);
	if (n < 64 && py_re_new(&re, s, &e) == 0)
		for (int i = 0; i < 100 && py_re_next(re, &w, &span, &e) > 0; i++)
			;
	py_re_free(re);
	template_free(template_parse_plain(s, &e));
}

static void walk(json_t *v)
{
	const char *key;
	size_t i;
	json_t *one;

	if (json_is_string(v))
		try_text(json_string_value(v), json_string_length(v));
	json_array_foreach(v, i, one)
		walk(one);
	json_object_foreach(v, key, one)
		walk(one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e = ERR_INIT;
	json_t *made = yaml_json((const char *)data, n, "input", &e);

	if (!made && !e.msg[0])
		BUG("refused without a word");
	walk(made);
	json_decref(made);
	return 0;
}
