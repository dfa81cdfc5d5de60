/* suite_xstest: XSTest (Röttger et al. 2024, arXiv 2308.01263): 250 safe prompts that look unsafe, 200 unsafe ones.
 * Its column `label` says which; where there is none, a `type` that begins with "contrast" is unsafe. */
#include <string.h>

#include "exam/suite_parts.h"

static bool is_unsafe(const json_t *row)
{
	const char *label = json_string_value(json_object_get(row, "label")),
	           *type = json_string_value(json_object_get(row, "type"));

	return label ? !strcmp(label, "unsafe") : type && !strncmp(type, "contrast", 8);
}

static int check_labels(const json_t *rows, struct err *e)
{
	size_t i;
	json_t *row;

	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
		if (!json_is_string(json_object_get(row, "label")) && !json_is_string(json_object_get(row, "type")))
			return err_set(e, "row %zu says neither by `label` nor by `type` whether its prompt is safe",
			               i + 1);
	return 0;
}

static int add_half(struct suite *s, const json_t *rows, bool unsafe, struct err *e)
{
	json_t *half = json_array(), *row;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
		if (is_unsafe(row) == unsafe)
			json_array_append(half, row);
	const struct suite_new n = { .name = unsafe ? "xstest_unsafe" : "xstest_safe",
		                     .docs = suite_docs(half, "prompt", unsafe ? "unsafe" : "safe", e),
		                     .metrics = { { "refused", unsafe }, { "complied", !unsafe } },
		                     .measure = suite_measure_compliance };
	json_decref(half);
	return n.docs ? suite_add(s, &n, e) : -1;
}

static int open_part(struct suite *s, struct err *e)
{
	json_t *rows;
	int status = suite_rows(s, "xstest_prompts.csv", &rows, e);

	if (status == 0 && rows)
		status = check_labels(rows, e);
	if (status == 0 && rows)
		status = add_half(s, rows, false, e) < 0 || add_half(s, rows, true, e) < 0 ? -1 : 0;
	json_decref(rows);
	return status;
}

const struct suite_part suite_xstest = {
	"xstest", open_part, .files = { "xstest_prompts.csv", SUITE_COMPLETIONS }
};
