/* suite_jailbreak: the same plain requests in other forms: inside templates that are to talk a model out of refusing,
 * and written in encodings (guard/encoding.h). Each request has one form, in turn, so that rows are independent and an
 * interval is what it says. A model that understands an encoding badly neither refuses nor complies. */
#include <string.h>

#include "exam/suite_parts.h"
#include "guard/encoding.h"

typedef char *change(const struct suite *s, size_t i, const char *request, const char **form);

static char *in_template(const struct suite *s, size_t i, const char *request, const char **form)
{
	const json_t *list = suite_own(s, "templates"), *one = json_array_get(list, i % json_array_size(list));

	*form = json_string_value(json_object_get(one, "id"));
	return suite_fill(json_string_value(json_object_get(one, "text")), "request", request, NULL);
}

static char *encoded(const struct suite *s, size_t i, const char *request, const char **form)
{
	const json_t *list = suite_own(s, "encodings"), *one = json_array_get(list, i % json_array_size(list));
	const char *name = json_string_value(json_object_get(one, "name")),
	           *words = json_string_value(json_object_get(one, "words"));
	const struct encoding *x = encoding_find(name);
	struct buf text = BUF_INIT;

	if (!x || !x->encode)
		BUG("share/safety.yaml: no encoding %s", name);
	x->encode(&text, request, strlen(request));
	*form = name;
	char *made = suite_fill(json_string_value(suite_own(s, "encoding_prompt")), "encoding", words, "request",
	                        buf_str(&text), NULL);
	buf_release(&text);
	return made;
}

static int add(struct suite *s, const char *name, change *by, struct err *e)
{
	struct suite_new n = { .name = name, .docs = suite_requests(s, e), .measure = suite_measure_compliance,
		               .metrics = { { "refused", true }, { "complied", false } } };
	size_t i;
	json_t *doc;

	if (!n.docs)
		return -1;
	json_array_foreach(n.docs, i, doc) {
		json_t *request = json_incref(json_object_get(doc, "prompt"));
		const char *form;
		char *text = by(s, i, json_string_value(request), &form);
		json_object_set_new(doc, "request", request);
		json_object_set_new(doc, "form", json_string(form));
		json_object_set_new(doc, "prompt", json_string(text));
		mem_free(text);
	}
	return suite_add(s, &n, e);
}

static int open_part(struct suite *s, struct err *e)
{
	return add(s, "jailbreak_templates", in_template, e) < 0 ? -1 : add(s, "jailbreak_encodings", encoded, e);
}

const struct suite_part suite_jailbreak = {
	"jailbreak", open_part, .files = { "simple_safety_tests.csv" }, .built_in = true
};
