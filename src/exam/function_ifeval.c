/* function_ifeval: does an answer follow the instructions that stand in its prompt (Zhou et al. 2023)? Strictly: the
 * answer as it is; loosely: or without its first line, its last, both, or with those and without asterisks. A prompt
 * counts where all its instructions are followed; the other two metrics are of instructions. */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "exam/function.h"
#include "exam/instructions.h"

enum { VARIANTS = 8 };

static char *stripped(const char *s, size_t n)
{
	unicode_strip(&s, &n);
	return mem_printf("%.*s", (int)n, s);
}

static char *without_stars(const char *s)
{
	struct buf out = BUF_INIT;

	for (; *s; s++)
		if (*s != '*')
			buf_addc(&out, *s);
	return buf_detach(&out, NULL);
}

/* The answer and what else counts loosely: first whole, then without lines; behind each four the same without stars. */
static void make_variants(const char *answer, char *out[VARIANTS])
{
	size_t n = strlen(answer);
	const char *first = strchr(answer, '\n'), *last = strrchr(answer, '\n');
	const char *from = first ? first + 1 : answer + n, *to = last ? last : answer;

	out[0] = mem_strdup(answer);
	out[1] = stripped(from, strlen(from));
	out[2] = stripped(answer, (size_t)(to - answer));
	out[3] = stripped(from, to > from ? (size_t)(to - from) : 0);
	for (int i = 0; i < VARIANTS / 2; i++)
		out[VARIANTS / 2 + i] = without_stars(out[i]);
}

/* One instruction of a row: [strictly, loosely]. */
static int follows(const json_t *doc, size_t i, char *const variants[VARIANTS], bool found[2], struct err *e)
{
	const char *id = json_string_value(json_array_get(json_object_get(doc, "instruction_id_list"), i));
	const json_t *kwargs = json_array_get(json_object_get(doc, "kwargs"), i);

	if (!id || !json_is_object(kwargs))
		return err_set(e, "a row's instruction_id_list is texts, its kwargs as many objects");
	found[1] = false;
	for (int k = 0; k < VARIANTS && !found[1]; k++) {
		if (instruction_follows(id, kwargs, variants[k], &found[1], e) < 0)
			return -1;
		found[0] = k == 0 ? found[1] : found[0];
	}
	return 0;
}

static int process_results(const json_t *doc, const json_t *answers, json_t *metrics, struct err *e)
{
	static const char *const names[2][2] = { { "prompt_level_strict_acc", "inst_level_strict_acc" },
		                                 { "prompt_level_loose_acc", "inst_level_loose_acc" } };
	const char *answer = json_string_value(json_array_get(answers, 0));
	size_t n = json_array_size(json_object_get(doc, "instruction_id_list"));
	json_t *lists[2] = { json_array(), json_array() };
	bool all[2] = { true, true }, found[2] = { false, false };
	char *variants[VARIANTS];
	int status = n ? 0 : err_set(e, "a row's instruction_id_list is a list of texts");

	make_variants(answer ? answer : "", variants);
	for (size_t i = 0; i < n && status == 0; i++) {
		status = follows(doc, i, variants, found, e);
		for (int k = 0; k < 2; k++) {
			json_array_append_new(lists[k], json_integer(found[k]));
			all[k] = all[k] && found[k];
		}
	}
	for (int k = 0; k < 2; k++) {
		json_object_set_new(metrics, names[k][0], json_real(all[k]));
		json_object_set_new(metrics, names[k][1], lists[k]);
	}
	for (int k = 0; k < VARIANTS; k++)
		mem_free(variants[k]);
	return status;
}

/* The mean over all lists' numbers. */
static double aggregate(const json_t *values)
{
	double sum = 0, n = 0;
	size_t i, k;
	json_t *list, *one;

	json_array_foreach((json_t *)(uintptr_t)values, i, list)
		json_array_foreach(list, k, one) {
			sum += json_number_value(one);
			n++;
		}
	return sum / n;
}

static const struct exam_function list[] = { { "process_results", .of_results = process_results },
	                                     { "agg_inst_level_acc", .aggregate = aggregate },
	                                     { 0 } };
const struct exam_functions functions_ifeval = { "ifeval", list };
