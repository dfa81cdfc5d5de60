/* label: one answer and whether it was good. See label.h. */
#include "data/label.h"

int label_check(const struct row *r, const char *key, struct err *e)
{
	const json_t *label = json_object_get(r->json, key);

	if (json_is_integer(label) && json_integer_value(label) != 0 && json_integer_value(label) != 1)
		return err_set(e, "%s:%zu: %s is %lld, wanted true or false", r->file, r->line, key,
		               (long long)json_integer_value(label));
	return 0;
}

int32_t label_role(const json_t *row, const char *key)
{
	const json_t *label = json_object_get(row, key);

	return json_is_true(label) || json_integer_value(label) == 1 ? DESIRABLE : UNDESIRABLE;
}

int label_chat(struct maker *m, const char *key, const char *label, struct err *e)
{
	const json_t *turns = json_object_get(m->row->json, key);
	size_t n = json_array_size(turns);
	struct document *d = maker_chat(m, turns, n ? n - 1 : 0, e);

	if (!d)
		return -1;
	d->role = label_role(m->row->json, label);
	return 0;
}
