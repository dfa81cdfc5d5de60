/* shape_unpaired: a prompt, a completion and whether that was good: TRL's unpaired preference. */
#include "data/label.h"
#include "data/shape.h"

static int check(const struct row *r, struct err *e) { return label_check(r, "label", e); }

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	struct document *d =
		maker_answer(m, json_object_get(row, "prompt"), json_object_get(row, "completion"), e);

	if (!d)
		return -1;
	d->role = label_role(row, "label");
	return 0;
}

const struct shape shape_unpaired = {
	.name = "prompt,completion,label",
	.example = "{\"prompt\": \"2 + 2 =\", \"completion\": \" 5\", \"label\": false}",
	.columns = { { "prompt", NEED_TEXT }, { "completion", NEED_TEXT }, { "label", NEED_LABEL } },
	.roles = LABEL_ROLES,
	.check = check,
	.make = make,
	.asks = "prompt",
};
