/* not_number: a walk over the text that knows strings and brackets. See not_number.h. */
#include "data/not_number.h"

#include <string.h>

struct walk {
	const char *at, *end;
	int depth, row_depth;
	json_int_t row;
	const char *string, *key;      /* the last string, and the last name at the row's depth; with their quotes */
	size_t n_string, n_key;
};

static void take_string(struct walk *w)
{
	w->string = w->at++;
	while (w->at < w->end && *w->at != '"')
		w->at += *w->at == '\\' && w->at + 1 < w->end ? 2 : 1;
	w->at += w->at < w->end;
	w->n_string = (size_t)(w->at - w->string);
}

static void take_mark(struct walk *w)
{
	switch (*w->at++) {
	case '{':
	case '[': w->depth++; break;
	case '}':
	case ']':
		if (w->depth-- == w->row_depth)
			w->row++;
		break;
	case ':':
		if (w->depth == w->row_depth) {
			w->key = w->string;
			w->n_key = w->n_string;
		}
	}
}

static size_t length_here(const struct walk *w)
{
	static const char *const words[] = { "NaN", "-Infinity", "Infinity" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t n = strlen(words[i]);
		if ((size_t)(w->end - w->at) >= n && !memcmp(w->at, words[i], n))
			return n;
	}
	return 0;
}

json_t *not_numbers(const char *text, size_t n, int depth, struct buf *out)
{
	struct walk w = { .at = text, .end = text + n, .row_depth = depth };
	json_t *found = NULL;
	const char *from = text;

	while (w.at < w.end) {
		size_t word = length_here(&w);
		if (*w.at == '"') {
			take_string(&w);
		} else if (!word) {
			take_mark(&w);
		} else {
			json_t *name = w.key ? json_loadb(w.key, w.n_key, JSON_DECODE_ANY, NULL) : NULL;
			found = found ? found : json_array();
			if (name)
				json_array_append_new(found, json_pack("[I, o]", w.row, name));
			buf_add(out, from, (size_t)(w.at - from));
			buf_adds(out, "null");
			from = w.at += word;
		}
	}
	if (found)
		buf_add(out, from, (size_t)(w.end - from));
	return found;
}
