/* show-rows: for tools/check-columns. usage: show-rows MODEL, a folder with a tokenizer. Each line of stdin is
 * {"template": …, "row": …}; each line of stdout is what becomes of the row: {"documents": [{"ids", "learn", "role"} …],
 * "asked": ids that ask for an answer, "unread": names of columns} or {"error": …}. */
#include <stdio.h>
#include <stdlib.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/document.h"
#include "data/prompts.h"
#include "data/shape.h"
#include "token/tokenizer.h"

static json_t *numbers(const int32_t *ids, const uint8_t *learn, size_t n)
{
	json_t *out = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(out, json_integer(learn ? learn[i] : ids[i]));
	return out;
}

static void show_columns(json_t *out, const struct columns *c)
{
	json_t *names = json_array();

	for (size_t i = 0; i < c->n; i++)
		if (column_unread(&c->items[i]))
			json_array_append_new(names, json_string(c->items[i].name));
	json_object_set_new(out, "unread", names);
}

static json_t *show_documents(const struct documents *d)
{
	json_t *out = json_object(), *list = json_array();

	for (size_t i = 0; i < d->n; i++) {
		const struct document *x = &d->items[i];
		json_array_append_new(list, json_pack("{s:o, s:o, s:i}", "ids", numbers(x->ids, NULL, (size_t)x->n),
		                                      "learn", numbers(NULL, x->learn, (size_t)x->n), "role",
		                                      (int)x->role));
	}
	json_object_set_new(out, "documents", list);
	show_columns(out, &d->columns);
	return out;
}

static void show_asked(json_t *out, const struct text_codec *c, const struct row *r)
{
	struct tokens ids = { 0 };
	struct columns seen = { 0 };
	struct err e = ERR_INIT;

	if (prompt_encode_row(c, r, &(struct prompt_options){ 0 }, &ids, &seen, &e) == 0)
		json_object_set_new(out, "asked", numbers(ids.id, NULL, ids.n));
	tokens_release(&ids);
	columns_release(&seen);
}

static json_t *failed(const struct err *e) { return json_pack("{s:s}", "error", e->msg); }

static json_t *show(const struct tokenizer *t, json_t *job)
{
	struct row row = { .json = json_object_get(job, "row"), .file = "row", .line = 1 };
	struct rows rows = { .items = &row, .n = 1, .shape = shape_of(row.json) };
	struct document_options o = { .max_length = INT32_MAX };
	struct documents d;
	struct err e = ERR_INIT;
	struct text_codec c = { t, template_parse(json_string_value(json_object_get(job, "template")), &e) };
	json_t *out = NULL;

	bool right = c.template_ && (rows.shape || shape_refuse(&row, &e) == 0) &&
	             (!rows.shape->check || rows.shape->check(&row, &e) == 0);
	if (right && documents_make(&d, &rows, &c, &o, &e) == 0) {
		out = show_documents(&d);
		show_asked(out, &c, &row);
		documents_release(&d);
	}
	template_free((struct template *)c.template_);
	return out ? out : failed(&e);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct tokenizer *t = argc == 2 ? tokenizer_from_dir(argv[1], &e) : NULL;
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!t) {
		fprintf(stderr, "show-rows: %s\n", argc == 2 ? e.msg : "usage: show-rows MODEL < JOBS");
		return 2;
	}
	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct err inner = ERR_INIT;
		json_t *job = jsonx_load(line, (size_t)n, "stdin", &inner), *out = job ? show(t, job) : failed(&inner);
		char *text = jsonx_line(out);
		puts(text);
		mem_free(text);
		json_decref(out);
		json_decref(job);
	}
	free(line);
	tokenizer_free(t);
	return 0;
}
