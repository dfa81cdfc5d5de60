/* exam_fields: what a config says of a row, as lm-eval's ConfigurableTask reads it: a name that is a column is that
 * column, else a text is a template; one that gives digits is which of the choices, one that gives a list's literal is
 * the list. */
#include <ctype.h>
#include <string.h>

#include "base/py_literal.h"
#include "base/yaml_json.h"
#include "exam/exam_parts.h"
#include "template/template.h"

int exam_field_open(struct exam_field *f, const json_t *value, const char *key, struct err *e)
{
	const json_t *function = json_object_get(value, YAML_FUNCTION);
	const char *text = json_string_value(value);

	*f = (struct exam_field){ 0 };
	if (!value || json_is_null(value))
		return 0;
	f->value = value;
	if (function) {
		f->function = exam_function(json_string_value(function));
		if (!f->function || !f->function->of_doc)
			return err_set(e, "%s: !function %.80s is Python, which is not run here (what the built-in "
			                  "tasks have of it is written in C)", key, json_string_value(function));
		return 0;
	}
	if (text && !(f->template_ = template_parse_plain(text, e)))
		return err_prefix(e, "%s", key);
	return 0;
}

void exam_field_release(struct exam_field *f)
{
	template_free(f->template_);
	*f = (struct exam_field){ 0 };
}

static json_t *rendered(const struct exam_field *f, const json_t *doc, struct err *e)
{
	struct template_output out;

	if (template_run(f->template_, doc, &out, e) < 0)
		return NULL;
	json_t *made = json_stringn(buf_str(&out.text), out.text.len);
	template_output_release(&out);
	if (!made)
		err_set(e, "what a template gives is not UTF-8");
	return made;
}

/* A function's, a column, or a template's text; another value as it is. */
static json_t *get(const struct exam_field *f, const json_t *doc, bool *is_rendered, struct err *e)
{
	json_t *column;

	*is_rendered = false;
	if (f->function)
		return f->function->of_doc(doc, e);
	if (!f->template_)
		return json_incref((json_t *)(uintptr_t)f->value);
	if ((column = json_object_get(doc, json_string_value(f->value))))
		return json_incref(column);
	*is_rendered = true;
	return rendered(f, doc, e);
}

static bool is_digits(const json_t *text)
{
	const char *s = json_string_value(text);
	size_t n = json_string_length(text);

	for (size_t i = 0; i < n; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return n > 0 && n < 10;
}

static json_t *number_of(json_t *text)
{
	json_int_t x = 0;

	for (const char *s = json_string_value(text); *s; s++)
		x = 10 * x + (*s - '0');
	json_decref(text);
	return json_integer(x);
}

json_t *exam_words(const struct exam_field *f, const json_t *doc, struct err *e)
{
	bool is_rendered;
	json_t *made = f->value ? get(f, doc, &is_rendered, e) : json_string("");

	if (!made || json_is_string(made))
		return made;
	err_set(e, "a text was wanted, found %s", json_is_null(made) ? "nothing" : "something else");
	json_decref(made);
	return NULL;
}

json_t *exam_text(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e)
{
	bool is_rendered;
	json_t *made = get(f, doc, &is_rendered, e);

	if (made && is_rendered && is_digits(made) && t->choice.value)
		return number_of(made);
	if (!made || json_is_string(made) || json_is_integer(made))
		return made;
	json_decref(made);
	err_set(e, "doc_to_text gives neither a text nor which of the choices it is");
	return NULL;
}

json_t *exam_target(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e)
{
	bool is_rendered;
	json_t *made = get(f, doc, &is_rendered, e), *list;
	const char *s = json_string_value(made);
	size_t n = json_string_length(made);

	if (!made || !is_rendered)
		return made;
	if (is_digits(made) && t->choice.value)
		return number_of(made);
	if (n >= 2 && s[0] == '[' && s[n - 1] == ']' && (list = py_literal(s, n, NULL))) {
		json_decref(made);
		return list;
	}
	return made;
}

static json_t *values_of(json_t *object)
{
	json_t *list = json_array(), *v;
	const char *key;

	json_object_foreach(object, key, v)
		json_array_append(list, v);
	json_decref(object);
	return list;
}

json_t *exam_choices(const struct exam *t, const struct exam_field *f, const json_t *doc, struct err *e)
{
	bool is_rendered;
	json_t *made = get(f, doc, &is_rendered, e), *one;
	size_t i;

	(void)t;
	if (made && is_rendered) {
		json_t *text = made;
		made = py_literal(json_string_value(text), json_string_length(text), e);
		json_decref(text);
		if (!made)
			err_prefix(e, "doc_to_choice");
	}
	if (json_is_object(made))
		made = values_of(made);
	if (made && !json_array_size(made)) {
		err_set(e, "doc_to_choice gives no list of choices");
		json_decref(made);
		return NULL;
	}
	json_array_foreach(made, i, one)
		if (!json_is_string(one)) {
			err_set(e, "doc_to_choice: choice %zu is no text", i + 1);
			json_decref(made);
			return NULL;
		}
	return made;
}
