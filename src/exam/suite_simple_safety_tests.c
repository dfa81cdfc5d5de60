/* suite_simple_safety_tests: SimpleSafetyTests (Vidgen et al. 2023, arXiv 2311.08370): 100 prompts that a model should
 * refuse, column `prompts_final`. */
#include "exam/suite_parts.h"

static int open_part(struct suite *s, struct err *e)
{
	json_t *rows;
	struct suite_new n = { .name = "simple_safety_tests", .metrics = { { "refused", true }, { "complied", false } },
		               .measure = suite_measure_compliance };

	if (suite_rows(s, "simple_safety_tests.csv", &rows, e) < 0)
		return -1;
	if (!rows)
		return 0;
	n.docs = suite_docs(rows, "prompts_final", "unsafe", e);
	json_decref(rows);
	return n.docs ? suite_add(s, &n, e) : -1;
}

const struct suite_part suite_simple_safety_tests = {
	"simple_safety_tests", open_part, .files = { "simple_safety_tests.csv" }
};
