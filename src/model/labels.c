/* labels: read, written and found. See labels.h. */
#include "model/labels.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"

enum { LISTED = 20 };           /* names of a sentence */

static const char *const problems[] = {
	[PROBLEM_SINGLE_LABEL] = "single_label_classification",
	[PROBLEM_MULTI_LABEL] = "multi_label_classification",
	[PROBLEM_REGRESSION] = "regression",
};

const char *problem_name(enum problem p) { return problems[p]; }

/* −1: none of them. */
static int problem_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(problems); i++)
		if (!strcmp(problems[i], name))
			return (int)i;
	return -1;
}

void labels_make(struct labels *l, struct arena *mem, int n, const char *const *names, enum problem p)
{
	*l = (struct labels){ .n = n, .problem = p, .name = arena_array(mem, (size_t)n, sizeof(*l->name)) };
	for (int i = 0; i < n; i++)
		l->name[i] = names ? arena_strdup(mem, names[i]) : arena_printf(mem, "LABEL_%d", i);
}

/* Keys are the outputs' numbers. */
static int read_names(struct labels *l, struct arena *mem, const json_t *names, const char *where, struct err *e)
{
	const char *key;
	json_t *name;

	json_object_foreach((json_t *)(uintptr_t)names, key, name) {
		char *end;
		long i = strtol(key, &end, 10);
		if (end == key || *end || i < 0 || i >= l->n || !json_is_string(name))
			return err_set(e, "%s: id2label has \"%.40s\"; wanted are numbers from 0 to %d, each with a "
			               "text", where, key, l->n - 1);
		l->name[i] = arena_strdup(mem, json_string_value(name));
	}
	return 0;
}

int labels_read(struct labels *l, struct arena *mem, const json_t *config, const char *where, struct err *e)
{
	const json_t *names = json_object_get(config, "id2label"), *type = json_object_get(config, "problem_type");
	long long n = 2;

	if (jsonx_int(config, "num_labels", 2, &n, e) < 0)
		return err_prefix(e, "%s", where);
	n = json_object_size(names) ? (long long)json_object_size(names) : n;
	if (n < 1 || n > LABELS_MOST)
		return err_set(e, "%s: %lld labels, wanted from 1 to %d", where, n, LABELS_MOST);
	int problem = n == 1 ? PROBLEM_REGRESSION : PROBLEM_SINGLE_LABEL;
	if (type && !json_is_null(type))
		problem = json_is_string(type) ? problem_find(json_string_value(type)) : -1;
	if (problem < 0)
		return err_set(e, "%s: problem_type is none of %s, %s and %s", where, problems[0], problems[1],
		               problems[2]);
	labels_make(l, mem, (int)n, NULL, (enum problem)problem);
	return read_names(l, mem, names, where, e);
}

json_t *labels_json(const struct labels *l)
{
	json_t *names = json_object(), *numbers = json_object();

	for (int i = 0; i < l->n; i++) {
		char *key = mem_printf("%d", i);
		json_object_set_new(names, key, json_string(l->name[i]));
		json_object_set_new(numbers, l->name[i], json_integer(i));
		mem_free(key);
	}
	return json_pack("{s:i, s:o, s:o, s:s}", "num_labels", l->n, "id2label", names, "label2id", numbers,
	                 "problem_type", problems[l->problem]);
}

int labels_find(const struct labels *l, const char *word)
{
	size_t digits = strspn(word, "0123456789");

	for (int i = 0; i < l->n; i++)
		if (!strcmp(l->name[i], word))
			return i;
	if (!digits || digits > 9 || word[digits] || (word[0] == '0' && digits > 1))
		return -1;
	long number = strtol(word, NULL, 10);
	return number < l->n ? (int)number : -1;
}

const char *labels_list(struct arena *mem, const struct labels *l)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < MIN(l->n, LISTED); i++)
		buf_addf(&b, "%s%.80s", i ? ", " : "", l->name[i]);
	if (l->n > LISTED)
		buf_adds(&b, ", …");
	const char *text = arena_strdup(mem, buf_str(&b));
	buf_release(&b);
	return text;
}
