/* lycoris: see lycoris.h. The mask is that of a forward, so of a micro-batch here (op/op_drop_columns.c). */
#include "adapt/lycoris.h"

void lycoris_put(json_t *own, const struct lycoris_dropout *d)
{
	json_object_set_new(own, "rank_dropout", json_real(d->rank));
	json_object_set_new(own, "module_dropout", json_real(d->module));
}

int lycoris_read(const json_t *config, struct lycoris_dropout *d, struct err *e)
{
	return peft_dropout(config, "rank_dropout", &d->rank, e) < 0 ? -1 :
	       peft_dropout(config, "module_dropout", &d->module, e);
}

bool lycoris_drops(const struct graph *g, const struct overlay *o, const struct lycoris_dropout *d)
{
	return g->training && !o->frozen && (d->rank > 0 || d->module > 0);
}

uint32_t lycoris_drop(struct graph *g, const struct overlay *o, const struct lycoris_dropout *d, bool scaled,
                      uint32_t y)
{
	struct drop_columns drop = { (float)d->rank, (float)d->module, scaled && d->rank > 0 };

	return lycoris_drops(g, o, d) ? op_drop_columns(g->tape, y, drop, g->site++) : y;
}
