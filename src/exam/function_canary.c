/* function_canary: the codes that could stand where a canary's secret does (canary.c), the secret first. */
#include "exam/suite_parts.h"

static json_t *choices(const json_t *doc, struct err *e)
{
	const json_t *c = json_object_get(doc, "canary");
	uint64_t seed = (uint64_t)json_integer_value(json_object_get(c, "seed"));
	uint32_t number = (uint32_t)json_integer_value(json_object_get(c, "number"));
	json_t *list = json_array();

	(void)e;
	json_array_append(list, json_object_get(doc, "completion"));
	for (uint32_t k = 1; k <= CANARY_ALTERNATIVES; k++)
		json_array_append_new(list, canary_code(seed, number, k));
	return list;
}

static const struct exam_function list[] = { { "choices", .of_doc = choices }, { 0 } };
const struct exam_functions functions_canary = { "canary", list };
