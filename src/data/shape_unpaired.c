/* shape_unpaired: a prompt, a completion and whether that was good: TRL's unpaired preference. One document, whose
 * role is its label. */
#include "data/maker.h"
#include "data/shape.h"

enum { DESIRABLE, UNDESIRABLE };

static int check(const struct row *r, struct err *e)
{
	const json_t *label = json_object_get(r->json, "label");

	if (json_is_integer(label) && json_integer_value(label) != 0 && json_integer_value(label) != 1)
		return err_set(e, "%s:%zu: label is %lld, wanted true or false", r->file, r->line,
		               (long long)json_integer_value(label));
	return 0;
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *label = json_object_get(row, "label");
	struct document *d =
		maker_answer(m, json_object_get(row, "prompt"), json_object_get(row, "completion"), e);

	if (!d)
		return -1;
	d->role = json_is_true(label) || json_integer_value(label) == 1 ? DESIRABLE : UNDESIRABLE;
	return 0;
}

const struct shape shape_unpaired = {
	.name = "prompt,completion,label",
	.example = "{\"prompt\": \"2 + 2 =\", \"completion\": \" 5\", \"label\": false}",
	.columns = { { "prompt", NEED_TEXT }, { "completion", NEED_TEXT }, { "label", NEED_LABEL } },
	.roles = { [DESIRABLE] = "desirable", [UNDESIRABLE] = "undesirable" },
	.check = check,
	.make = make,
	.asks = "prompt",
};
