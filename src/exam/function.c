/* function: which function a name means, and a column of a row. */
#include "exam/function.h"

#include <string.h>

const struct exam_function *exam_function(const char *name)
{
	const char *dot = strchr(name, '.');

	for (size_t i = 0; dot && exam_functions_table[i]; i++) {
		const struct exam_functions *f = exam_functions_table[i];
		if (strlen(f->name) != (size_t)(dot - name) || strncmp(f->name, name, (size_t)(dot - name)) != 0)
			continue;
		for (const struct exam_function *one = f->list; one->name; one++)
			if (!strcmp(one->name, dot + 1))
				return one;
	}
	return NULL;
}

const char *function_text(const json_t *doc, const char *key, struct err *e)
{
	const char *text = json_string_value(json_object_get(doc, key));

	if (!text)
		err_set(e, "a row has no text in the column %s", key);
	return text;
}
