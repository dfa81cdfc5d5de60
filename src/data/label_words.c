/* label_words: rows with their labels in words. See label_words.h. */
#include "data/label_words.h"

#include <string.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/shape.h"

static int refuse_words(const char *text, struct err *e)
{
	return err_set(e, "--label-words %.80s: label=words,label=words was wanted, or a JSON object of them", text);
}

static int add_pair(json_t *out, const char *at, size_t n, const char *text, struct err *e)
{
	const char *is = memchr(at, '=', n);
	char *label;

	if (!is || is == at || is + 1 == at + n)
		return refuse_words(text, e);
	label = mem_strndup(at, (size_t)(is - at));
	json_object_set_new(out, label, json_stringn(is + 1, n - (size_t)(is + 1 - at)));
	mem_free(label);
	return 0;
}

json_t *label_words_parse(const char *text, struct err *e)
{
	json_t *out, *v;
	const char *key, *at = text;
	int status = 0;

	if (text[strspn(text, " \t\r\n")] == '{') {
		out = jsonx_load(text, strlen(text), "--label-words", e);
		json_object_foreach(out, key, v)
			if (!json_is_string(v) || !json_string_length(v))
				status = refuse_words(text, e);
	} else {
		out = json_object();
		for (const char *end = at; status == 0 && *end; at = end + 1) {
			end = at + strcspn(at, ",");
			status = add_pair(out, at, (size_t)(end - at), text, e);
		}
	}
	if (out && status == 0)
		return out;
	json_decref(out);
	return NULL;
}

bool label_words_wants(const struct rows *rows)
{
	return rows->shape && rows->shape->labelled && !strcmp(rows->shape->name, "text,label");
}

/* A label as a text; new, NULL where it is none. */
static json_t *label_text(const json_t *label)
{
	if (json_is_string(label))
		return json_incref((json_t *)label);
	if (!json_is_number(label) && !json_is_boolean(label))
		return NULL;
	char *line = jsonx_line(label);
	json_t *text = json_string(line);
	mem_free(line);
	return text;
}

/* Where it stands, or where it would; *there: it does. */
static size_t place(const json_t *classes, const char *label, bool *there)
{
	size_t i = 0;

	while (i < json_array_size(classes) && strcmp(json_string_value(json_array_get(classes, i)), label) < 0)
		i++;
	*there = i < json_array_size(classes) && !strcmp(json_string_value(json_array_get(classes, i)), label);
	return i;
}

int label_words_classes(const struct rows *rows, json_t *classes, struct err *e)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->items[i];
		json_t *label = label_text(json_object_get(r->json, "label"));
		bool there;
		if (!label)
			return err_set(e, "%s:%zu: a list of labels: one of several is asked for, not some", r->file,
			               r->line);
		size_t at = place(classes, json_string_value(label), &there);
		if (!there)
			json_array_insert(classes, at, label);
		json_decref(label);
	}
	return 0;
}

/* Choices in words; new. */
static json_t *say(const json_t *choices, const json_t *words)
{
	json_t *out = json_array(), *one;
	size_t i;

	json_array_foreach((json_t *)choices, i, one) {
		json_t *said = json_object_get(words, json_string_value(one));
		json_array_append(out, said ? said : one);
	}
	return out;
}

static json_t *wording(const char *template, const json_t *text)
{
	const char *hole = strstr(template, "{text}");
	struct buf b = BUF_INIT;

	buf_add(&b, template, (size_t)(hole - template));
	buf_add(&b, json_string_value(text), json_string_length(text));
	buf_adds(&b, hole + strlen("{text}"));
	json_t *out = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return out;
}

static json_t *make_row(const struct row *r, const json_t *words, const json_t *classes, const char *template)
{
	json_t *out = json_copy(r->json), *label = label_text(json_object_get(r->json, "label"));
	bool there;

	if (classes) {
		json_object_del(out, "text");
		json_object_del(out, "label");
		json_object_set_new(out, "query", wording(template, json_object_get(r->json, "text")));
		json_object_set_new(out, "choices", say(classes, words));
		json_object_set_new(out, "gold",
		                    json_integer((json_int_t)place(classes, json_string_value(label), &there)));
	} else {
		json_object_set_new(out, "choices", say(json_object_get(r->json, "choices"), words));
	}
	json_decref(label);
	return out;
}

/* Every label that has words is one of some row. */
static int check_words(const struct rows *rows, const json_t *words, const json_t *classes, struct err *e)
{
	const char *key;
	json_t *v, *one;
	size_t k;

	json_object_foreach((json_t *)words, key, v) {
		bool there = false;
		for (size_t i = 0; i < (classes ? 1 : rows->n) && !there; i++)
			json_array_foreach(classes ? (json_t *)classes :
			                             json_object_get(rows->items[i].json, "choices"), k, one)
				there |= !strcmp(json_string_value(one), key);
		if (!there)
			return err_set(e, "--label-words: no row has the label %.80s", key);
	}
	return 0;
}

/* Two labels in the same words could not be told apart. */
static int check_apart(const json_t *choices, const json_t *words, struct err *e)
{
	json_t *said = say(choices, words), *x, *y;
	size_t i, j;
	int status = 0;

	json_array_foreach(said, i, x)
		json_array_foreach(said, j, y)
			if (status == 0 && i < j && json_equal(x, y) &&
			    !json_equal(json_array_get(choices, i), json_array_get(choices, j)))
				status = err_set(e, "--label-words: %.80s and %.80s would both be said as '%.80s'",
				                 json_string_value(json_array_get(choices, i)),
				                 json_string_value(json_array_get(choices, j)), json_string_value(x));
	json_decref(said);
	return status;
}

static int check_all_apart(const struct rows *rows, const json_t *words, const json_t *classes, struct err *e)
{
	if (!json_object_size(words))
		return 0;
	if (classes)
		return check_apart(classes, words, e);
	for (size_t i = 0; i < rows->n; i++)
		if (check_apart(json_object_get(rows->items[i].json, "choices"), words, e) < 0)
			return -1;
	return 0;
}

int label_words_rows(const struct rows *rows, const json_t *words, const json_t *classes, const char *template,
                     struct rows *out, struct err *e)
{
	*out = (struct rows){ 0 };
	if (!classes && rows->n && !json_object_get(rows->items[0].json, "choices"))
		return err_set(e, "%s: --label-words are of rows of query,choices,gold or text,label, not %s",
		               rows->items[0].file, shape_name(rows->shape));
	if (classes && !strstr(template, "{text}"))
		return err_set(e, "--query-template has no {text}, where a row's text would stand");
	if (check_words(rows, words, classes, e) < 0 || check_all_apart(rows, words, classes, e) < 0)
		return -1;
	out->items = mem_array(rows->n, sizeof(*out->items));
	out->cap = rows->n;
	memcpy(out->hash, rows->hash, sizeof(out->hash));
	for (size_t i = 0; i < rows->n; i++) {
		out->items[i] = rows->items[i];
		out->items[i].file = arena_strdup(&out->mem, rows->items[i].file);
		out->items[i].json = make_row(&rows->items[i], words, classes, template);
		out->n++;
	}
	if (out->n)
		out->shape = shape_of(out->items[0].json);
	return 0;
}
