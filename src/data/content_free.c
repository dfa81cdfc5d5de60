/* content_free: a question's frame without what is asked. Words that all questions happen to begin or end with in part
 * are no frame, so it is cut at white space. See content_free.h. */
#include "data/content_free.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "data/shape.h"

static const char *const inputs[] = { "N/A", "[MASK]", "" };

static const json_t *question(const struct rows *r, size_t i)
{
	return json_object_get(r->items[i].json, r->shape->asks);
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t'; }

/* Bytes that all questions begin with, and end with, without overlap in the shortest. */
static void common(const struct rows *r, size_t *begin, size_t *end)
{
	const char *a = json_string_value(question(r, 0));
	size_t n = json_string_length(question(r, 0)), shortest = n;

	*begin = *end = n;
	for (size_t i = 1; i < r->n; i++) {
		const char *b = json_string_value(question(r, i));
		size_t m = json_string_length(question(r, i)), k = 0;
		shortest = MIN(shortest, m);
		while (k < MIN(*begin, m) && a[k] == b[k])
			k++;
		*begin = k;
		for (k = 0; k < MIN(*end, m) && a[n - 1 - k] == b[m - 1 - k]; k++)
			;
		*end = k;
	}
	while (*begin && !is_space(a[*begin - 1]))
		(*begin)--;
	*end = MIN(*end, shortest - *begin);
	while (*end && !is_space(a[n - *end]))
		(*end)--;
}

int content_free_rows(const struct rows *rows, struct rows *out, struct err *e)
{
	size_t begin, end;

	*out = (struct rows){ 0 };
	for (size_t i = 0; i < rows->n; i++)
		if (!rows->shape->asks || !json_is_string(question(rows, i)))
			return err_set(e, "%s:%zu: its question is no text, whose place what is free of content could "
			                  "take", rows->items[i].file, rows->items[i].line);
	common(rows, &begin, &end);
	const char *text = json_string_value(question(rows, 0));
	size_t n = json_string_length(question(rows, 0));
	*out = (struct rows){ .shape = rows->shape, .n = ARRAY_LEN(inputs), .cap = ARRAY_LEN(inputs) };
	out->items = mem_array(out->n, sizeof(*out->items));
	for (size_t i = 0; i < out->n; i++) {
		struct buf asked = BUF_INIT;
		json_t *row = json_copy(rows->items[0].json);
		buf_add(&asked, text, begin);
		buf_adds(&asked, inputs[i]);
		buf_add(&asked, text + n - end, end);
		json_object_set_new(row, rows->shape->asks, json_stringn(buf_str(&asked), asked.len));
		out->items[i] = (struct row){ .json = row, .file = "content-free input", .line = i + 1 };
		buf_release(&asked);
	}
	return 0;
}
